//! One run: the home, the daemons and the repositories that the measures share.

use std::{
    cell::RefCell,
    fs,
    path::{Path, PathBuf},
};

use crate::{
    Outcome, agent,
    args::Args,
    fixtures::Fixture,
    home::Home,
    measures::MEASURES,
    plain::PlainDaemon,
    product::Product,
    report::Report,
    terminal::{Terminal, time_quietly},
    wrapper::{Wrapper, Wrapping, owned},
};

/// What all measures share. The order of the fields is the order in which they end.
#[derive(Debug)]
pub(crate) struct Bench {
    /// The product, when one was given.
    pub(crate) product: Option<Product>,
    /// The yardstick daemon.
    pub(crate) plain: PlainDaemon,
    /// The home of everything started.
    pub(crate) home: Home,
    /// The product's program, when one was given.
    pub(crate) amps: Option<PathBuf>,
    /// Whether little is measured quickly.
    pub(crate) quick: bool,
    program: String,
    cache: PathBuf,
    runs: Option<usize>,
    missing: RefCell<Vec<&'static str>>,
}

/// Runs the measures that were asked for and prints the report.
pub(crate) fn run(args: &Args) -> Outcome<()> {
    let known = |id: &String| {
        MEASURES
            .iter()
            .any(|(known, _)| known.eq_ignore_ascii_case(id))
    };
    if let Some(unknown) = args.only.iter().find(|id| !known(id)) {
        return Err(format!("there is no measure {unknown}").into());
    }
    let bench = Bench::new(args)?;
    let mut report = Report::default();
    for (id, measure) in MEASURES {
        let wanted = args.only.iter().any(|only| only.eq_ignore_ascii_case(id));
        if !args.only.is_empty() && !wanted {
            continue;
        }
        eprintln!("amps-bench: {id}");
        if let Err(error) = measure(&bench, &mut report) {
            report.note(format!("{id} could not be measured: {error}"));
        }
    }
    for name in bench.missing.borrow().iter() {
        report.note(format!("{name} is not installed and was not measured"));
    }
    if args.amps.is_none() {
        report.note("without --amps: yardsticks only".to_owned());
    }
    let machine = bench.machine()?;
    if let Some(path) = &args.json {
        fs::write(path, format!("{:#}\n", report.json(&machine)))?;
    }
    print!("{}", report.markdown(&machine));
    Ok(())
}

impl Bench {
    fn new(args: &Args) -> Outcome<Self> {
        let home = Home::new()?;
        let plain = PlainDaemon::start(&home, "plain")?;
        let program = std::env::current_exe()?;
        let beside = program.ancestors().find(|dir| dir.ends_with("target"));
        let beside = beside.map_or_else(|| PathBuf::from("target"), PathBuf::from);
        let product = args.amps.as_ref().map(|amps| Product::start(amps, &home));
        Ok(Self {
            product: product.transpose()?,
            plain,
            home,
            amps: args.amps.clone(),
            quick: args.quick,
            program: program.display().to_string(),
            cache: std::path::absolute(
                args.fixtures
                    .clone()
                    .unwrap_or_else(|| beside.join("bench-fixtures")),
            )?,
            runs: args.runs,
            missing: RefCell::default(),
        })
    }

    /// Returns how many rounds to take where a measure would take `usual`.
    pub(crate) fn rounds(&self, usual: usize) -> usize {
        let quick = if self.quick {
            (usual / 5).max(2)
        } else {
            usual
        };
        self.runs.unwrap_or(quick).max(1)
    }

    /// Returns those that can take part, and remembers which are not installed.
    pub(crate) fn present(&self, wanted: &[Wrapper]) -> Vec<Wrapper> {
        let present = |wrapper: &Wrapper| match wrapper.program() {
            Some(program) if !self.home.finds(program) => {
                let mut missing = self.missing.borrow_mut();
                if !missing.contains(&program) {
                    missing.push(program);
                }
                false
            }
            _ => !wrapper.is_ours() || self.product.is_some(),
        };
        wanted.iter().copied().filter(present).collect()
    }

    /// Returns the command line of one of our agents.
    pub(crate) fn agent(&self, words: &[&str]) -> Vec<String> {
        let mut argv = owned(&[&self.program, "agent"]);
        argv.extend(owned(words));
        argv
    }

    /// Returns the command line of a program started by a wrapper.
    pub(crate) fn wrapped(&self, wrapper: Wrapper, command: &[String]) -> Vec<String> {
        self.wrapping(0).argv(wrapper, 0, command)
    }

    /// Returns how to wrap, the plain launcher renewing its lease every `beat` seconds.
    pub(crate) fn wrapping(&self, beat: u32) -> Wrapping<'_> {
        Wrapping {
            home: &self.home,
            program: &self.program,
            socket: self.plain.socket(),
            beat,
            product: self.product.as_ref(),
        }
    }

    /// Makes sure that a repository is there and clean.
    pub(crate) fn fixture(&self, fixture: &Fixture) -> Outcome<PathBuf> {
        fixture.prepare(&self.home, &self.cache)
    }

    /// Makes a copy of a repository inside the home.
    pub(crate) fn copy(&self, fixture: &Fixture, name: &str) -> Outcome<PathBuf> {
        fixture.copy(&self.home, &self.cache, name)
    }

    /// Times a program without a terminal, in milliseconds.
    pub(crate) fn time(&self, argv: &[&str], dir: &Path) -> Outcome<f64> {
        time_quietly(&self.home, &owned(argv), dir)
    }

    /// Times a program on a terminal from before its `exec` to its exit, in milliseconds.
    pub(crate) fn time_on_terminal(&self, argv: &[String], dir: &Path) -> Outcome<f64> {
        let mut terminal = Terminal::spawn(&self.home, argv, dir)?;
        let (status, at) = terminal.finish()?;
        if status.success() {
            return Ok(crate::clock::milliseconds(terminal.started(), at));
        }
        let seen = String::from_utf8_lossy(terminal.seen());
        Err(format!("{argv:?}: {status}: {seen}").into())
    }

    /// Starts a program and waits until it is ready.
    pub(crate) fn start(&self, argv: &[String], dir: &Path) -> Outcome<Terminal> {
        let mut terminal = Terminal::spawn(&self.home, argv, dir)?;
        terminal.wait_for(agent::READY)?;
        Ok(terminal)
    }

    fn machine(&self) -> Outcome<String> {
        let cores = std::thread::available_parallelism()?;
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
        let git = String::from_utf8(self.home.output(&["git", "--version"], self.home.path())?)?;
        let now = jiff::Timestamp::now().strftime("%Y-%m-%d");
        let amps = self
            .amps
            .as_ref()
            .map_or("none".to_owned(), |amps| amps.display().to_string());
        let load = fs::read_to_string("/proc/loadavg")?;
        let load = load.split(' ').next().unwrap_or("?");
        let (kernel, git) = (kernel.trim(), git.trim());
        Ok(format!(
            "{now}, {cores} cores, kernel {kernel}, {git}, load {load} at the end, amps: {amps}"
        ))
    }
}
