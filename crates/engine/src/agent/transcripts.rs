//! Transcripts that can be read: where these lie, and by what a turn ends in them.

mod tail;

use std::ffi::{OsStr, OsString};
use std::fmt::Debug;
use std::path::{Path, PathBuf};

use amps_core::path::RawPath;

pub use tail::Tail;

/// The transcripts of an agent.
pub trait Transcripts: Debug + Sync {
    /// Returns the folder of all of them, by the variables that the agent is started with.
    fn folder(&self, variable: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf>;

    /// Returns how many folders below that a transcript lies.
    fn depth(&self) -> usize;

    /// Returns whether the transcript of an agent that was started in `cwd` may lie in a folder of
    /// this name, so many folders below.
    fn leads(&self, cwd: &RawPath, depth: usize, name: &OsStr) -> bool;

    /// Returns whether a file of this name is a transcript.
    fn is_transcript(&self, name: &OsStr) -> bool;

    /// Returns whether a turn is of an agent that was started in `cwd`.
    fn is_of(&self, turn: &Turn, cwd: &RawPath) -> bool;

    /// Returns what hears the lines of one transcript, in order and from any of them on.
    fn listener(&self) -> Box<dyn Listener>;
}

/// Hears the lines of one transcript.
pub trait Listener: Debug + Send {
    /// Hears one line; returns the turn that it ends. What is not understood is passed over.
    fn hear(&mut self, line: &[u8]) -> Option<Turn>;
}

/// A turn that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// The folder in which the agent said it worked.
    pub cwd: Option<RawPath>,
}

/// Returns the folder that a variable names, or else a folder of the person's home.
pub(super) fn folder_of(
    variable: &dyn Fn(&str) -> Option<OsString>,
    name: &str,
    usual: &str,
) -> Option<PathBuf> {
    let named = variable(name).map(PathBuf::from);
    named.or_else(|| Some(Path::new(&variable("HOME")?).join(usual)))
}

/// Returns whether a line has this in it, before the whole of it is read as JSON: most lines are
/// of no interest, and some are long.
pub(super) fn mentions(line: &str, words: &[&str]) -> bool {
    words.iter().any(|word| line.contains(word))
}

pub(super) fn is_jsonl(name: &OsStr) -> bool {
    Path::new(name)
        .extension()
        .is_some_and(|extension| extension == "jsonl")
}
