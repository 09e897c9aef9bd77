//! P8 and P9: how fast output flows, and whether all of it arrives.

use crate::{
    Outcome, agent,
    bench::Bench,
    clock,
    report::{Compare, Report, Row, at_least, at_most},
    series::interleave,
    stats::Spread,
    terminal::{PATIENCE, Terminal, find},
    wrapper::Wrapper::{
        self, Amps, AmpsHeld, AmpsRecorded, Bare, BareAgain, Dtach, PlainLauncher, PlainRelay,
        Script, Tmux,
    },
};

/// P8: megabytes a second from a producer to the reader of the terminal.
#[expect(clippy::unnecessary_wraps, reason = "has the form of every measure")]
pub(crate) fn throughput(bench: &Bench, report: &mut Report) -> Outcome<()> {
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
    let names: Vec<_> = wrappers.iter().map(|wrapper| wrapper.name()).collect();
    let megabytes = if bench.quick { 16 } else { 32 };
    let series = interleave(&names, 1, bench.rounds(30), |index| {
        let wrapper = wrappers.get(index).copied().unwrap_or(Bare);
        // tmux is so much slower that a smaller part shows it as well
        let part = if wrapper == Tmux {
            megabytes / 4
        } else {
            megabytes
        };
        flood(bench, wrapper, part)
    });
    for (wrapper, terminal, beside, must, stretch) in [
        (Amps, "inherited", Bare, 0.95, 1.0),
        (AmpsHeld, "held", PlainRelay, 0.9, 1.0),
        (AmpsHeld, "held", Tmux, 4.0, 4.0),
        (AmpsRecorded, "recorded", PlainRelay, 0.9, 1.0),
        (AmpsRecorded, "recorded", Tmux, 4.0, 4.0),
    ] {
        let (ours, beside) = (wrapper.name(), beside.name());
        report.row(
            Row::new("P8", &format!("throughput, {terminal} terminal"))
                .yardstick(beside, series.samples(beside), "MB/s")
                .ours(series.samples(ours), "MB/s")
                .judged(&series.ratios(ours, beside))
                .goals(at_least(must), at_least(stretch), "x"),
        );
    }
    report.series(("P8", "throughput", "MB/s"), &series, Compare::Ratio);
    Ok(())
}

/// Returns the megabytes a second from the agent's first byte to the last that was seen. The agent
/// is told to begin: how long it took to start is no part of it.
fn flood(bench: &Bench, wrapper: Wrapper, megabytes: usize) -> Outcome<f64> {
    let bytes = megabytes * 1_000_000;
    let argv = bench.wrapped(wrapper, &bench.agent(&["flood", &bytes.to_string()]));
    let mut terminal = bench.start(&argv, bench.home.path())?;
    let mut buffer = vec![0; 65536];
    let began = clock::now();
    terminal.send(b"\n")?;
    let mut seen = 0;
    let ended = loop {
        let count = terminal.read(&mut buffer, clock::now() + PATIENCE)?;
        let part = buffer.get(..count).unwrap_or_default();
        if count == 0 {
            return Err("ended before its last output was seen".into());
        }
        seen += count;
        if part.contains(&b'<') {
            break clock::now();
        }
    };
    terminal.send(b"\n")?;
    terminal.finish()?;
    // tmux shows the last screen only, whatever came before.
    if seen < bytes && wrapper != Tmux {
        return Err(format!("only {seen} of {bytes} bytes came").into());
    }
    Ok(bytes as f64 / 1000.0 / clock::milliseconds(began, ended))
}

/// P9: many short runs that end right after their last byte.
pub(crate) fn same_bytes(bench: &Bench, report: &mut Report) -> Outcome<()> {
    let wrappers = bench.present(&[
        Bare,
        PlainLauncher,
        PlainRelay,
        Script,
        Dtach,
        Amps,
        AmpsHeld,
        AmpsRecorded,
    ]);
    let rounds = bench.rounds(200);
    let mut wrong = vec![0_u32; wrappers.len()];
    for round in 0..rounds {
        let seed = u64::try_from(round)?;
        let length = 1 + round * 7919 % 60_000;
        let sent = agent::payload(seed, length);
        for (wrapper, wrong) in wrappers.iter().zip(&mut wrong) {
            let arrived = run_payload(bench, *wrapper, seed, length);
            let whole = match wrapper {
                // dtach writes around what it relays
                Dtach => arrived.is_ok_and(|bytes| find(&bytes, &sent).is_some()),
                // modes that are left set are taken back behind the last byte
                AmpsHeld | AmpsRecorded => arrived.is_ok_and(|bytes| bytes.starts_with(&sent)),
                _ => arrived.is_ok_and(|bytes| bytes == sent),
            };
            *wrong += u32::from(!whole);
        }
    }
    let count = |wanted: Wrapper| {
        let at = wrappers.iter().position(|wrapper| *wrapper == wanted);
        at.and_then(|at| wrong.get(at))
            .map(|wrong| f64::from(*wrong))
    };
    let what = format!("same bytes arrive, {rounds} short runs");
    for wrapper in &wrappers {
        let value = count(*wrapper).unwrap_or_default();
        report.figure(("P9", &what, "wrong"), wrapper.name(), value);
    }
    let list = |wrapper| count(wrapper).into_iter().collect::<Vec<f64>>();
    for (wrapper, terminal) in [
        (Amps, "inherited"),
        (AmpsHeld, "held"),
        (AmpsRecorded, "recorded"),
    ] {
        report.row(
            Row::new("P9", &format!("{what}, {terminal} terminal"))
                .yardstick("bare", &list(Bare), "wrong")
                .ours(&list(wrapper), "wrong")
                .judged(&list(wrapper))
                .goals(at_most(0.0), at_most(0.0), "wrong"),
        );
    }
    if let Some(spread) = Spread::of(&list(Bare)).filter(|spread| spread.max > 0.0) {
        report.note(format!(
            "P9 proves nothing: bare itself lost {} runs",
            spread.max
        ));
    }
    Ok(())
}

fn run_payload(bench: &Bench, wrapper: Wrapper, seed: u64, length: usize) -> Outcome<Vec<u8>> {
    let words = [seed.to_string(), length.to_string()];
    let [seed, length] = &words;
    let argv = bench.wrapped(wrapper, &bench.agent(&["payload", seed, length]));
    let mut terminal = Terminal::spawn(&bench.home, &argv, bench.home.path())?;
    terminal.finish()?;
    terminal.drain()?;
    Ok(terminal.seen().to_vec())
}
