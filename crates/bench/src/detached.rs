//! Sessions that no terminal shows, kept by one wrapper in a home of their own.
//!
//! Their hosts are whatever keeps the terminals of the agents: a process for each session, or one
//! for all. They are told from the agents by the program that they run.

use std::{ffi::OsString, fs, path::Path, thread::sleep, time::Duration};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    Outcome,
    bench::Bench,
    clock,
    home::Home,
    product::Product,
    terminal::PATIENCE,
    wrapper::{Wrapper, Wrapping},
};

/// Idle sessions. The order of the fields is the order in which they end.
#[derive(Debug)]
pub(crate) struct Detached {
    product: Option<Product>,
    home: Home,
    /// The program of the hosts.
    host: OsString,
    /// The program of the agents.
    agent: OsString,
}

impl Detached {
    /// Starts as many sessions, and waits until the agent of each has printed a screenful.
    pub(crate) fn start(bench: &Bench, wrapper: Wrapper, sessions: usize) -> Outcome<Self> {
        let home = Home::new()?;
        let amps = bench.amps.as_deref().filter(|_| wrapper.is_ours());
        let host = match (amps, wrapper.program()) {
            (Some(amps), _) => program_of(&fs::canonicalize(amps)?)?,
            (None, program) => program.ok_or("has no hosts")?.into(),
        };
        let detached = Self {
            product: amps.map(|amps| Product::start(amps, &home)).transpose()?,
            host,
            agent: program_of(&std::env::current_exe()?)?,
            home,
        };
        let folder = detached.home.path().join("folder");
        fs::create_dir(&folder)?;
        let printed: Vec<_> = (0..sessions)
            .map(|number| detached.home.path().join(format!("printed-{number}")))
            .collect();
        for (number, file) in printed.iter().enumerate() {
            let agent = bench.agent(&["screenful", &file.display().to_string()]);
            let wrapping = Wrapping {
                home: &detached.home,
                product: detached.product.as_ref(),
                ..bench.wrapping(0)
            };
            let argv = wrapping.detached_argv(wrapper, number, &agent);
            let argv = argv.ok_or("cannot leave an agent alone")?;
            let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
            detached.home.output(&argv, &folder)?;
        }
        let wanted = if wrapper == Wrapper::Tmux {
            1
        } else {
            sessions
        };
        if becomes(|| printed.iter().all(|file| file.exists()) && detached.hosts().len() == wanted)
        {
            return Ok(detached);
        }
        let hosts = detached.hosts().len();
        Err(format!("{hosts} hosts of {sessions} sessions, {wanted} were expected").into())
    }

    /// Returns the process ids of the hosts.
    pub(crate) fn hosts(&self) -> Vec<u32> {
        let all = self.home.running(&self.host).into_iter();
        all.filter_map(|pid| u32::try_from(pid.as_raw_nonzero().get()).ok())
            .filter(|pid| Some(*pid) != self.daemon())
            .collect()
    }

    /// Returns the process id of the daemon that knows the sessions, if there is one.
    pub(crate) fn daemon(&self) -> Option<u32> {
        self.product.as_ref().map(Product::daemon_pid)
    }

    /// Ends the agents; fails when a host does not follow.
    pub(crate) fn end(self) -> Outcome<()> {
        for agent in self.agents() {
            kill_process(agent, Signal::TERM).ok(); // it may have ended meanwhile
        }
        if becomes(|| self.agents().is_empty() && self.hosts().is_empty()) {
            return Ok(());
        }
        let (agents, hosts) = (self.agents().len(), self.hosts().len());
        Err(format!("{agents} agents and {hosts} hosts were left").into())
    }

    fn agents(&self) -> Vec<Pid> {
        self.home.running(&self.agent)
    }
}

fn program_of(path: &Path) -> Outcome<OsString> {
    Ok(path.file_name().ok_or("a program without a name")?.into())
}

/// Waits until something holds; false when it never did.
fn becomes(holds: impl Fn() -> bool) -> bool {
    let deadline = clock::now() + PATIENCE;
    while clock::now() < deadline {
        if holds() {
            return true;
        }
        sleep(Duration::from_millis(10));
    }
    false
}
