//! Processes of an agent that outlive its session: watched until the last one is gone.

use std::sync::Arc;

use amps_core::process::{ProcessIdentity, Verdict, judge};
use amps_core::run::Run;
use amps_engine::process;

use crate::daemon::Daemon;
use crate::leases::exit_of;

/// Waits until every survivor of the run is gone, and whatever they started since.
pub(crate) async fn outlive(daemon: &Arc<Daemon>, run: &Run) {
    let mut left = run.survivors.clone();
    while !left.is_empty() {
        for survivor in &left {
            gone(daemon, survivor).await;
        }
        left = process::of_session(&run.session_id.to_string(), &[], &daemon.clock);
    }
}

async fn gone(daemon: &Daemon, survivor: &ProcessIdentity) {
    let verdict = judge(survivor, &daemon.place, process::sight(survivor.pid));
    if let Verdict::Alive { .. } = verdict {
        // Where the kernel does not tell, the next look at /proc decides.
        exit_of(survivor).await;
    }
}
