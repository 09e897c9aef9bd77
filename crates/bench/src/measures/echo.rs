//! P7: how long a key takes to the agent and back.

use crate::{
    Outcome, agent,
    bench::Bench,
    clock,
    report::{Compare, Report, Row, at_most},
    series::{Series, Track},
    stats,
    terminal::{PATIENCE, Terminal},
    wrapper::Wrapper::{self, Amps, Bare, Dtach, PlainRelay, Script, Tmux},
};

/// Keys that end no escape sequence in use, so that a redrawing relay is understood too.
const KEYS: &[u8] = b"QWXYZ";

/// P7: all sessions are open at once and take turns, a batch each.
pub(crate) fn latency(bench: &Bench, report: &mut Report) -> Outcome<()> {
    let wrappers = bench.present(&[Bare, PlainRelay, Script, Dtach, Tmux, Amps]);
    let dir = bench.home.path().to_path_buf();
    let command = bench.agent(&["echo"]);
    let mut sessions: Vec<Result<Terminal, String>> = Vec::new();
    for (number, wrapper) in wrappers.iter().enumerate() {
        let argv = bench.wrapping(0).argv(*wrapper, number, &command);
        sessions.push(bench.start(&argv, &dir).map_err(|error| error.to_string()));
    }
    let mut middle = tracks(&wrappers);
    let mut tail = tracks(&wrappers);
    let keys = if bench.quick { 300 } else { 1000 };
    let rounds = bench.rounds(12);
    for round in 0..=rounds {
        let all = sessions
            .iter_mut()
            .zip(&mut middle.tracks)
            .zip(&mut tail.tracks);
        for ((session, middle), tail) in all {
            let batch = match session {
                Ok(terminal) => batch(terminal, keys).map_err(|error| error.to_string()),
                Err(error) => Err(error.clone()),
            };
            match batch {
                Ok((p50, p99)) if round > 0 => {
                    middle.samples.push(p50);
                    tail.samples.push(p99);
                }
                Ok(_) => {}
                Err(error) => {
                    middle.failure = Some(error.clone());
                    tail.failure = Some(error.clone());
                    *session = Err(error);
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
    for (what, series, must, stretch) in [
        ("echo p50, inherited terminal", middle, 1.1, 1.0),
        ("echo p99, inherited terminal", tail, 1.5, 1.0),
    ] {
        report.row(
            Row::new("P7", what)
                .yardstick("bare", series.samples("bare"), "us")
                .ours(series.samples("amps"), "us")
                .judged(&series.ratios("amps", "bare"))
                .goals(at_most(must), at_most(stretch), "x"),
        );
    }
    report.row(
        Row::new("P7", "echo p50, held terminal")
            .yardstick("plain relay", middle.samples("plain relay"), "us")
            .goals(at_most(1.1), at_most(1.0), "x")
            .because("later issue"),
    );
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

/// Types `keys` keys, each after the last one came back; p50 and p99 in microseconds.
fn batch(terminal: &Terminal, keys: usize) -> Outcome<(f64, f64)> {
    let mut taken = Vec::with_capacity(keys);
    let mut buffer = [0; 4096];
    for key in KEYS.iter().cycle().take(keys) {
        let sent = clock::now();
        terminal.send(&[*key])?;
        loop {
            let count = terminal.read(&mut buffer, sent + PATIENCE)?;
            if count == 0 {
                return Err("ended while typing".into());
            }
            if buffer.get(..count).unwrap_or_default().contains(key) {
                break;
            }
        }
        taken.push(clock::milliseconds(sent, clock::now()) * 1000.0);
    }
    let sorted = stats::sorted(&taken);
    let at = |percent| stats::percentile(&sorted, percent).ok_or("no keys");
    Ok((at(50.0)?, at(99.0)?))
}
