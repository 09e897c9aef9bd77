//! What a terminal shows, and the bytes that show it again.
//!
//! A [`Screen`] is fed with everything that a program writes to its terminal. It can then bring
//! another terminal to the state that it would be in, had that seen every byte itself. Pure: no
//! I/O, no clock.

#![warn(clippy::wildcard_enum_match_arm, clippy::indexing_slicing)]

mod emulator;
mod flood;
mod keyboard;
mod modes;
mod notes;
mod paint;
mod pen;
mod redraw;
mod reset;
mod screen;
mod settle;
mod size;
mod tabs;
mod unfinished;
mod view;

pub use reset::reset;
pub use screen::{Answer, Screen};
pub use size::Size;
