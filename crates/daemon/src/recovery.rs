//! After a start: what earlier daemons and launchers left to be done.

use std::path::PathBuf;
use std::sync::Arc;

use amps_core::error::ErrorCode;
use amps_core::id::LeaseId;
use amps_core::process::{Verdict, judge};
use amps_engine::files;
use amps_engine::ops::regrant_lease::regrant_lease;
use amps_engine::process;
use amps_engine::socket;
use amps_engine::spool;
use amps_proto::fault::Fault;
use amps_proto::request::Request;
use tokio::task::spawn_blocking;

use crate::checkpoints;
use crate::daemon::Daemon;
use crate::dispatch;
use crate::worktrees;

/// Hears what was spooled, takes open leases over, and sees to every capture that is owed.
pub(crate) async fn recover(daemon: &Arc<Daemon>) -> Result<(), Fault> {
    deliver_spool(daemon).await;
    for (session, run) in daemon.store(|ledger| ledger.open_runs()).await? {
        let id = session.session_id;
        let owner = run.lease.owner();
        let now = daemon.clock.now();
        let verdict = judge(&owner, &daemon.place, process::sight(owner.pid));
        let (session, run) = match verdict {
            Verdict::Dead(_) => (session, run),
            Verdict::Alive { .. } | Verdict::Unknown => {
                daemon
                    .store(move |ledger| regrant_lease(ledger, id, now))
                    .await?
            }
        };
        daemon.leases.hold(daemon, &session, &run, false);
        daemon.checkpoints.hold(daemon, &session, &run);
    }
    remove_free_locks(daemon);
    remove_dead_sockets(daemon).await;
    for (session, _) in daemon.store(|ledger| ledger.owing_runs()).await? {
        daemon.captures.see_to(daemon, session.session_id);
    }
    checkpoints::settle_beside(daemon);
    worktrees::recover(daemon).await
}

/// Removes the locks of launchers that are gone and whose leases are not open.
fn remove_free_locks(daemon: &Daemon) {
    let Ok(entries) = std::fs::read_dir(daemon.home.leases()) else {
        return;
    };
    let open = daemon.leases.ids();
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let is_open = path
            .file_name()
            .and_then(|name| name.to_str()?.parse::<LeaseId>().ok())
            .is_none_or(|id| open.contains(&id));
        if !is_open {
            files::remove_free_lock(&path);
        }
    }
}

/// Removes the sockets of hosts that were killed.
async fn remove_dead_sockets(daemon: &Daemon) {
    let Ok(entries) = std::fs::read_dir(daemon.home.hosts()) else {
        return;
    };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        if path
            .extension()
            .is_some_and(|extension| extension == "sock")
        {
            remove_dead_socket(path).await;
        }
    }
}

/// Removes a socket if its host was killed. One that stays is asked in vain, nothing worse.
pub(crate) async fn remove_dead_socket(path: PathBuf) {
    // A host that is stopped lets whoever connects wait.
    let removed = spawn_blocking(move || socket::remove_dead(&path)).await;
    if let Ok(Err(error)) = removed {
        tracing::warn!(%error, "the socket of a dead host stays");
    }
}

/// Hears the facts that launchers spooled while no daemon could be reached. A file stays until
/// all of it has been heard; a line that is not a fact is passed over and logged.
pub(crate) async fn deliver_spool(daemon: &Arc<Daemon>) {
    let _hearing = daemon.hearing.lock().await;
    let spooled = match spool::read(&daemon.home.spool()) {
        Ok(spooled) => spooled,
        Err(error) => {
            tracing::warn!(error = %crate::log::chain(&error), "the spool cannot be read");
            return;
        }
    };
    for file in spooled {
        let mut fate = Fate::Heard;
        for line in &file.lines {
            fate = fate.max(match serde_json::from_str::<Request>(line) {
                Ok(request) => hear(daemon, request).await,
                Err(error) => {
                    tracing::warn!(%error, path = %file.path.display(), "no fact");
                    Fate::Rejected
                }
            });
        }
        let settled = match fate {
            Fate::Heard => spool::discard(&file),
            Fate::Rejected => spool::set_aside(&file),
            Fate::Later => Ok(()),
        };
        if let Err(error) = settled {
            tracing::warn!(error = %crate::log::chain(&error), "delivered facts stay");
        }
    }
}

/// What becomes of a spooled fact, and of its file the worst of its facts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    /// It is in the store.
    Heard,
    /// It will never be: the file is kept under another name.
    Rejected,
    /// It is told again later.
    Later,
}

async fn hear(daemon: &Arc<Daemon>, request: Request) -> Fate {
    match Box::pin(dispatch::late(daemon, request)).await {
        Ok(_) => Fate::Heard,
        Err(fault) => {
            tracing::warn!(%fault, causes = ?fault.causes, "a late fact was refused");
            // What the store cannot take now it may take later; what is wrong stays so.
            match fault.code {
                ErrorCode::BadArgument | ErrorCode::NotAllowed | ErrorCode::NotFound => {
                    Fate::Rejected
                }
                _ => Fate::Later,
            }
        }
    }
}
