//! Captures by the launcher itself, for a run that no daemon hears of yet.
//!
//! The snapshots are kept under the references that the daemon will look for, so that delivering
//! the facts later finds them.

use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use amps_core::capture::Side;
use amps_core::facts::{OpenFacts, StartFacts};
use amps_core::time::Moment;
use amps_engine::capture::{Cutoff, LONGEST_LAG_MS, TICK};
use amps_engine::clock::Clock;
use amps_engine::files::pause;
use amps_engine::ops::capture_run::{Site, Tools, take_alone};

use crate::context::Context;

/// How long the prompt may wait for captures by the launcher.
const END: Duration = Duration::from_secs(2);

/// Takes the snapshots of one run.
pub(super) struct Local {
    tools: Tools,
    clock: Clock,
    base: Option<JoinHandle<()>>,
}

impl Local {
    /// Returns `None` when the configuration cannot be read.
    pub(super) fn new(context: &Context) -> Option<Self> {
        let tools = context.capture_tools().ok()?;
        Some(Self {
            tools,
            clock: context.clock.clone(),
            base: None,
        })
    }

    /// Takes the base; holds up the launch no longer than the daemon would.
    pub(super) fn begin(&mut self, open: &OpenFacts) {
        let cutoff = Cutoff::open(self.clock.now());
        let (frozen, wait) = mpsc::channel();
        let work = (self.tools.clone(), Site::from(open), cutoff.clone());
        let id = open.session_id;
        self.base = Some(thread::spawn(move || {
            let (tools, site, cutoff) = work;
            let tell = || frozen.send(()).unwrap_or_default();
            // What fails here is done by the daemon, dated by the launch.
            drop(take_alone(&tools, (id, &site), Side::Base, &cutoff, tell));
        }));
        let hold = self.tools.limits.hold.saturating_sub(TICK);
        if wait.recv_timeout(hold).is_err() {
            cutoff.set(self.clock.now());
            for _ in 0..LONGEST_LAG_MS {
                if cutoff.has_come() {
                    break;
                }
                pause(Duration::from_millis(1));
            }
        }
    }

    /// Waits for a base that is under way, no longer than [`END`].
    pub(super) fn finish_base(mut self) {
        let Some(base) = self.base.take() else { return };
        let (done, wait) = mpsc::channel();
        thread::spawn(move || done.send(base.join()));
        drop(wait.recv_timeout(END));
    }

    /// Takes the end, after the base. The prompt waits for it no longer than [`END`]: the facts
    /// are in the spool, and what is not done here the daemon does, dated by the end.
    pub(super) fn end(mut self, open: &OpenFacts, started: Option<&StartFacts>, at: Moment) {
        let (done, wait) = mpsc::channel();
        let (open, started) = (open.clone(), started.cloned());
        thread::spawn(move || {
            self.take_end(&open, started.as_ref(), at);
            done.send(()).unwrap_or_default();
        });
        wait.recv_timeout(END).ok();
    }

    fn take_end(&mut self, open: &OpenFacts, started: Option<&StartFacts>, at: Moment) {
        let site = Site::from(open);
        let run = (open.session_id, &site);
        if let Some(base) = self.base.take() {
            drop(base.join());
        } else if let Some(started) = started {
            let launched = Cutoff::passed(started.launched_at);
            drop(take_alone(&self.tools, run, Side::Base, &launched, || {}));
        }
        drop(take_alone(
            &self.tools,
            run,
            Side::End,
            &Cutoff::ended(at),
            || {},
        ));
    }
}
