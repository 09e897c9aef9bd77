//! The daemon's log: one line an event, kept small.

use std::fs;
use std::path::Path;

use tracing::Level;

/// A log is kept up to this size; the one before it stays beside it.
const MAX_SIZE: u64 = 4 * 1024 * 1024;

/// Starts a new log when the old one has grown.
pub(crate) fn rotate(path: &Path) {
    if path.metadata().is_ok_and(|data| data.len() > MAX_SIZE) {
        // A log that cannot be moved only grows; that is no reason not to start.
        drop(fs::rename(path, path.with_extension("log.old")));
    }
}

/// Sends events to standard error, which the starter has directed into the log.
pub(crate) fn start(level: Option<&str>) {
    let level = level
        .and_then(|level| level.parse().ok())
        .unwrap_or(Level::INFO);
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
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
