//! The daemon's log: one line an event, kept small.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use amps_engine::files::{is_at, open_to_append};
use rustix::stdio::{dup2_stderr, stderr};
use tracing::Level;

/// A log is kept up to this size; the one before it stays beside it.
const MAX_SIZE: u64 = 4 * 1024 * 1024;

/// Moves a log that has grown aside. Returns whether a new one is to be made.
pub(crate) fn rotate(path: &Path) -> bool {
    // A log that cannot be moved only grows; that is no reason not to start.
    path.metadata().is_ok_and(|data| data.len() > MAX_SIZE)
        && fs::rename(path, path.with_extension("log.old")).is_ok()
}

/// Goes on with a new log when the old one has grown. Standard error is a terminal or a journal
/// instead for a daemon that a person or the service manager has started.
fn keep_small(path: &Path) -> io::Result<()> {
    let log = File::from(stderr().try_clone_to_owned()?);
    if log.metadata()?.len() > MAX_SIZE && is_at(&log, path) && rotate(path) {
        dup2_stderr(open_to_append(path)?)?;
    }
    Ok(())
}

/// Sends events to standard error, which the starter has directed into the log at `path`.
pub(crate) fn start(level: Option<&str>, path: PathBuf) {
    let level = level
        .and_then(|level| level.parse().ok())
        .unwrap_or(Level::INFO);
    let writer = move || {
        // Without a new log the old one goes on.
        drop(keep_small(&path));
        io::stderr()
    };
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(writer)
        .with_ansi(false)
        .with_target(false)
        .finish();
    // A second daemon in one process exists in tests only; the first one's log stays.
    drop(tracing::subscriber::set_global_default(subscriber));
}

/// Returns an error and its causes on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
