//! Recordings whose hosts died before they told how much there is of them.

use std::path::Path;
use std::sync::Arc;

use amps_core::facts::RecordFacts;
use amps_core::id::SessionId;
use amps_core::recording::Recording;
use amps_engine::ops::record_terminal::record_terminal;
use amps_engine::recording::{Entry, Journal, JournalError};
use tokio::task::spawn_blocking;

use crate::daemon::Daemon;

/// Counts what the journal of a session holds, and stores it. One that cannot be read stays as it
/// was told last.
pub(crate) async fn count(daemon: &Arc<Daemon>, id: SessionId) {
    let folder = daemon.home.recording_of(id);
    // A journal is read from its beginning to its end.
    let recording = match spawn_blocking(move || held_by(&folder)).await {
        Ok(Ok(recording)) => recording,
        Ok(Err(error)) => {
            let error = crate::log::chain(&error);
            tracing::warn!(session = %id, %error, "a recording could not be counted");
            return;
        }
        Err(error) => {
            tracing::error!(session = %id, %error, "a recording could not be counted");
            return;
        }
    };
    let facts = RecordFacts {
        session_id: id,
        recording,
        at: daemon.clock.now(),
    };
    let stored = daemon.store(move |ledger| record_terminal(ledger, &facts));
    if let Err(fault) = stored.await {
        tracing::warn!(session = %id, %fault, "the size of a recording could not be stored");
    }
}

fn held_by(folder: &Path) -> Result<Recording, JournalError> {
    let journal = Journal::open(folder)?;
    let mut recording = Recording {
        cut: journal.is_cut(),
        ..Recording::default()
    };
    for record in journal.records() {
        match record.entry {
            Entry::Output(bytes) => recording.bytes += bytes.len() as u64,
            Entry::Lost(bytes) => recording.lost += bytes,
            Entry::Keyframe(_)
            | Entry::Resized { .. }
            | Entry::Marked(_)
            | Entry::Skipped { .. }
            | Entry::Ended(_) => {}
        }
    }
    Ok(recording)
}
