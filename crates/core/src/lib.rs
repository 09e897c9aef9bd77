//! What is true about agent sessions and what may happen next.
//!
//! Pure rules and the types they speak of: no I/O, no clock, no process. Time, ids and
//! sightings of the outside world are arguments.

#![warn(clippy::wildcard_enum_match_arm, clippy::indexing_slicing)]

pub mod capture;
pub mod changeset;
pub mod checkpoint;
pub mod credential;
pub mod environment;
pub mod error;
pub mod event;
pub mod evidence;
pub mod exit;
pub mod facts;
pub mod ground;
pub mod id;
pub mod iteration;
pub mod landing;
pub mod lease;
pub mod mask;
pub mod path;
pub mod process;
pub mod recording;
pub mod run;
pub mod session;
pub mod snapshot;
pub mod time;
pub mod tool_call;
pub mod turn;
pub mod usage;
pub mod worktree;
