//! What travels between the processes of amps: types, codec and a blocking client.
//!
//! The wire is a Unix socket with one JSON object a line. Each side first sends a [`Hello`]; then
//! the client sends [`Request`]s and the server answers each, in order, with a [`Response`].
//! A new field has a default, an unknown field is ignored, an unknown request gets a fault.
//!
//! [`Hello`]: version::Hello
//! [`Request`]: request::Request
//! [`Response`]: response::Response

#![warn(clippy::wildcard_enum_match_arm, clippy::indexing_slicing)]

pub mod client;
pub mod codec;
pub mod exit_code;
pub mod fault;
pub mod hold;
pub mod request;
pub mod response;
pub mod version;
pub mod view;
