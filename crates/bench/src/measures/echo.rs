//! P7: how long a key takes to the agent and back.

use std::{thread::sleep, time::Duration};

use crate::{
    Outcome, agent,
    bench::Bench,
    clock,
    report::{Compare, Report, Row, at_most},
    series::{Series, Track, order},
    stats,
    terminal::{PATIENCE, Terminal},
    wrapper::Wrapper::{
        self, Amps, AmpsHeld, AmpsRecorded, Bare, BareAgain, Dtach, PlainRelay, Script, Tmux,
    },
};

/// Keys that end no escape sequence in use, so that a redrawing relay is understood too.
const KEYS: &[u8] = b"QWXYZ";

/// The pause between two keys. Without one the scheduler settles both ends on one core or on two
/// for seconds at a time, and that alone changes the result fivefold; a person pauses as well.
const BETWEEN: Duration = Duration::from_micros(200);

/// A session that is open, or why it is not.
type Session = Result<Terminal, String>;

/// P7: all sessions are open at once and take turns, key by key: bursts of foreign load, which are
/// longer than a key, fall on all of them.
pub(crate) fn latency(bench: &Bench, report: &mut Report) -> Outcome<()> {
    let wrappers = bench.present(&[
        Bare,
        BareAgain,
        PlainRelay,
        Script,
        Dtach,
        Tmux,
        Amps,
        AmpsHeld,
        AmpsRecorded,
    ]);
    let dir = bench.home.path().to_path_buf();
    let command = bench.agent(&["echo"]);
    let mut sessions: Vec<Session> = Vec::new();
    for (number, wrapper) in wrappers.iter().enumerate() {
        let argv = bench.wrapping(0).argv(*wrapper, number, &command);
        sessions.push(bench.start(&argv, &dir).map_err(|error| error.to_string()));
    }
    let mut middle = tracks(&wrappers);
    let mut tail = tracks(&wrappers);
    let keys = if bench.quick { 200 } else { 500 };
    for round in 0..=bench.rounds(16) {
        for (index, batch) in batch(&mut sessions, keys).into_iter().enumerate() {
            let (Some(middle), Some(tail)) =
                (middle.tracks.get_mut(index), tail.tracks.get_mut(index))
            else {
                continue;
            };
            match batch {
                Ok((p50, p99)) if round > 0 => {
                    middle.samples.push(p50);
                    tail.samples.push(p99);
                }
                Ok(_) => {}
                Err(error) => {
                    middle.failure = Some(error.clone());
                    tail.failure = Some(error);
                }
            }
        }
    }
    for terminal in sessions.iter_mut().flatten() {
        terminal.send(&[agent::QUIT])?;
        terminal.finish()?;
    }
    rows(report, &middle, &tail);
    report.series(("P7", "echo p50", "us"), &middle, Compare::Ratio);
    report.series(("P7", "echo p99", "us"), &tail, Compare::Ratio);
    Ok(())
}

fn rows(report: &mut Report, middle: &Series, tail: &Series) {
    for (wrapper, terminal, beside, limits) in [
        (Amps, "inherited", Bare, [1.1, 1.5]),
        (AmpsHeld, "held", PlainRelay, [1.1, 1.1]),
        (AmpsRecorded, "recorded", PlainRelay, [1.1, 1.1]),
    ] {
        let parts = [("p50", middle), ("p99", tail)];
        for ((percentile, series), must) in parts.into_iter().zip(limits) {
            let (ours, beside) = (wrapper.name(), beside.name());
            let what = format!("echo {percentile}, {terminal} terminal");
            report.row(
                Row::new("P7", &what)
                    .yardstick(beside, series.samples(beside), "us")
                    .ours(series.samples(ours), "us")
                    .judged(&series.ratios(ours, beside))
                    .goals(at_most(must), at_most(1.0), "x"),
            );
        }
    }
}

fn tracks(wrappers: &[Wrapper]) -> Series {
    let track = |wrapper: &Wrapper| Track {
        name: wrapper.name().to_owned(),
        samples: Vec::new(),
        failure: None,
    };
    Series {
        tracks: wrappers.iter().map(track).collect(),
    }
}

/// Types `keys` keys into every session, key by key in turn, and returns p50 and p99 of each in
/// microseconds. A session that fails no longer takes part.
fn batch(sessions: &mut [Session], keys: usize) -> Vec<Result<(f64, f64), String>> {
    let mut taken = vec![Vec::with_capacity(keys); sessions.len()];
    for (turn, key) in KEYS.iter().cycle().take(keys).enumerate() {
        for index in order(turn, sessions.len()) {
            let (Some(session), Some(taken)) = (sessions.get_mut(index), taken.get_mut(index))
            else {
                continue;
            };
            let Ok(terminal) = session else { continue };
            match type_one(terminal, *key) {
                Ok(microseconds) => taken.push(microseconds),
                Err(error) => *session = Err(error.to_string()),
            }
        }
    }
    let summary = |(session, taken): (&Session, &Vec<f64>)| {
        session.as_ref().map_err(Clone::clone)?;
        let sorted = stats::sorted(taken);
        let at = |percent| stats::percentile(&sorted, percent).ok_or("no keys".to_owned());
        Ok((at(50.0)?, at(99.0)?))
    };
    sessions.iter().zip(&taken).map(summary).collect()
}

/// Types one key and returns the microseconds until it is back.
fn type_one(terminal: &Terminal, key: u8) -> Outcome<f64> {
    let mut buffer = [0; 4096];
    sleep(BETWEEN);
    let sent = clock::now();
    terminal.send(&[key])?;
    loop {
        let count = terminal.read(&mut buffer, sent + PATIENCE)?;
        if count == 0 {
            return Err("ended while typing".into());
        }
        if buffer.get(..count).unwrap_or_default().contains(&key) {
            return Ok(clock::milliseconds(sent, clock::now()) * 1000.0);
        }
    }
}
