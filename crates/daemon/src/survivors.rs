//! Processes of an agent that outlive its session: watched until the last one is gone.

use std::sync::Arc;
use std::time::Duration;

use amps_core::process::{ProcessIdentity, Verdict, judge};
use amps_core::run::Run;
use amps_engine::process;
use tokio::task::spawn_blocking;

use crate::daemon::Daemon;
use crate::leases::exit_of;

/// Between two looks at a process whose end the kernel does not tell.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Waits until every survivor of the run is gone, and whatever they started since.
pub(crate) async fn outlive(daemon: &Arc<Daemon>, run: &Run) {
    let mut left = run.survivors.clone();
    while !left.is_empty() {
        for survivor in &left {
            gone(daemon, survivor).await;
        }
        let session = run.session_id.to_string();
        let clock = daemon.clock.clone();
        let launcher = run.lease.owner();
        let look = spawn_blocking(move || process::of_session(&session, &launcher, &clock));
        left = look.await.unwrap_or_default();
    }
}

async fn gone(daemon: &Daemon, survivor: &ProcessIdentity) {
    let verdict = judge(survivor, &daemon.place, process::sight(survivor.pid));
    if let Verdict::Alive { .. } = verdict {
        // Where the kernel does not tell, the next look at /proc decides.
        if exit_of(survivor).await.is_none() {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}
