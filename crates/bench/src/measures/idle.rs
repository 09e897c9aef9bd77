//! P12: the processor time of sessions while nothing happens.

use std::{thread::sleep, time::Duration};

use crate::{
    Outcome,
    bench::Bench,
    detached::Detached,
    proc_stat::thread_time,
    report::{Report, Row, at_most},
    series::{Series, Track},
    terminal::Terminal,
    wrapper::Wrapper::{Amps, AmpsHeld, AmpsRecorded, Dtach, PlainLauncher, Tmux},
};

/// Seconds between renewals of the plain launcher: the beat of the goal.
const BEAT: u32 = 15;

/// How long a session may take to come to rest.
const SETTLING: Duration = Duration::from_secs(5);

/// One idle session, and the processes that are there for it.
#[derive(Debug)]
struct Idle {
    name: &'static str,
    wrapper: Vec<u32>,
    daemon: Option<u32>,
}

/// P12: the processor time of one idle session, wrapper and daemon, per minute.
pub(crate) fn idle(bench: &Bench, report: &mut Report) -> Outcome<()> {
    // Long enough for the rarest thing that either side does.
    let seconds = if bench.quick { 10 } else { 300 };
    let mut watched = Vec::new();
    let terminals = shown(bench, &mut watched)?;
    let detached = detached(bench, &mut watched, report);
    sleep(SETTLING);
    let read = || watched.iter().map(Idle::time).collect::<Outcome<Vec<_>>>();
    let before = read()?;
    sleep(Duration::from_secs(seconds));
    let after = read()?;
    let what = format!("idle for {seconds} s, per minute");
    let mut totals = Series::default();
    for ((idle, before), after) in watched.iter().zip(&before).zip(&after) {
        let minute = |from: u64, to: u64| (to - from) as f64 / 1e6 * 60.0 / seconds as f64;
        let [wrapper, daemon] = [minute(before.0, after.0), minute(before.1, after.1)];
        let name = idle.name;
        report.figure(("P12", &what, "ms"), &format!("{name}, wrapper"), wrapper);
        if idle.daemon.is_some() {
            report.figure(("P12", &what, "ms"), &format!("{name}, daemon"), daemon);
        }
        totals.tracks.push(Track {
            name: name.to_owned(),
            samples: vec![wrapper + daemon],
            failure: None,
        });
    }
    rows(report, &totals);
    for mut terminal in terminals {
        terminal.send(b"\n")?;
        terminal.finish()?;
    }
    for (name, detached) in detached {
        if let Err(error) = detached.end() {
            report.note(format!("P12 {name}: {error}"));
        }
    }
    Ok(())
}

/// Starts the sessions that have the terminal they were started on.
fn shown(bench: &Bench, watched: &mut Vec<Idle>) -> Outcome<Vec<Terminal>> {
    let command = bench.agent(&["hold"]);
    let daemon = bench
        .product
        .as_ref()
        .map(|product| (Amps, product.daemon_pid()));
    let mut terminals = Vec::new();
    for (wrapper, daemon) in [(PlainLauncher, bench.plain.pid())]
        .into_iter()
        .chain(daemon)
    {
        let argv = bench.wrapping(BEAT).argv(wrapper, 0, &command);
        let terminal = bench.start(&argv, bench.home.path())?;
        watched.push(Idle {
            name: wrapper.name(),
            wrapper: vec![terminal.pid()],
            daemon: Some(daemon),
        });
        terminals.push(terminal);
    }
    Ok(terminals)
}

/// Starts the sessions that no terminal shows, each with a daemon of its own where it has one.
fn detached(
    bench: &Bench,
    watched: &mut Vec<Idle>,
    report: &mut Report,
) -> Vec<(&'static str, Detached)> {
    let mut all = Vec::new();
    for wrapper in bench.present(&[Dtach, Tmux, AmpsHeld, AmpsRecorded]) {
        let name = wrapper.name();
        match Detached::start(bench, wrapper, 1) {
            Ok(detached) => {
                watched.push(Idle {
                    name,
                    wrapper: detached.hosts(),
                    daemon: detached.daemon(),
                });
                all.push((name, detached));
            }
            Err(error) => report.note(format!("P12 {name}: {error}")),
        }
    }
    all
}

fn rows(report: &mut Report, totals: &Series) {
    let plain = ("plain launcher and daemon", PlainLauncher);
    for (wrapper, kind, (yardstick, beside)) in [
        (Amps, "idle session", plain),
        (AmpsHeld, "idle held session", ("dtach", Dtach)),
        (
            AmpsRecorded,
            "idle held and recorded session",
            ("dtach", Dtach),
        ),
    ] {
        let ours = totals.samples(wrapper.name());
        report.row(
            Row::new("P12", &format!("processor time of an {kind} per minute"))
                .yardstick(yardstick, totals.samples(beside.name()), "ms")
                .ours(ours, "ms")
                .judged(ours)
                .goals(at_most(1.0), at_most(0.3), "ms"),
        );
    }
}

impl Idle {
    /// Returns the processor time in nanoseconds so far, of the wrapper and of the daemon.
    fn time(&self) -> Outcome<(u64, u64)> {
        let mut wrapper = 0;
        for pid in &self.wrapper {
            wrapper += thread_time(*pid)?;
        }
        Ok((wrapper, self.daemon.map_or(Ok(0), thread_time)?))
    }
}
