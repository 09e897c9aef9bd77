//! Processes of an agent that outlive its session: watched until the last one is gone.

use std::sync::Arc;
use std::time::Duration;

use amps_core::process::{ProcessIdentity, Verdict, judge};
use amps_core::run::Run;
use amps_engine::process;
use tokio::task::spawn_blocking;

use crate::daemon::Daemon;
use crate::owners::exit_of;

/// Between two looks at a process whose end the kernel does not tell.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Waits until every survivor of the run is gone, and whatever they started since.
pub(crate) async fn outlive(daemon: &Arc<Daemon>, run: &Run) {
    let mut left = run.survivors.clone();
    while !left.is_empty() {
        for survivor in &left {
            gone(daemon, survivor).await;
        }
        let (work, run) = (Arc::clone(daemon), run.clone());
        let look = spawn_blocking(move || now(&work, &run));
        left = look.await.unwrap_or_default();
    }
}

/// Returns the processes of a run that live now: those that carry its mark, and the agent itself,
/// whose environment may be unreadable or overwritten.
pub(crate) fn now(daemon: &Daemon, run: &Run) -> Vec<ProcessIdentity> {
    let session = run.session_id.to_string();
    let mut found = process::of_session(&session, &run.lease.owner(), &daemon.clock);
    let lives = |agent: &&ProcessIdentity| {
        let sighting = process::sight(agent.pid);
        matches!(judge(agent, &daemon.place, sighting), Verdict::Alive { .. })
    };
    if let Some(agent) = run.agent_process.as_ref().filter(lives)
        && !found.contains(agent)
    {
        found.push(agent.clone());
    }
    found
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
