//! P3 and P6: how long it takes until the person has the prompt back.

use std::path::Path;

use crate::{
    Outcome, agent,
    bench::Bench,
    clock,
    fixtures::{LARGE, SMALL},
    report::{Compare, Report, Row, at_most},
    series::interleave,
    stats::{self, Spread},
    terminal::Terminal,
    wrapper::{
        Wrapper::{self, Amps, Bare, PlainLauncher, PlainRelay, Script},
        owned,
    },
};

/// P3: the whole process around a program that does nothing, in a small repository.
pub(crate) fn nothing_changed(bench: &Bench, report: &mut Report) -> Outcome<()> {
    let dir = bench.copy(&SMALL, "exit-small")?;
    let mut names = vec!["git status", "plain launcher", "bare"];
    if bench.product.is_some() {
        names.push("amps");
    }
    let nothing = owned(&["true"]);
    let series = interleave(&names, 5, bench.rounds(60), |index| match index {
        0 => bench.time(&["git", "--no-optional-locks", "status"], &dir),
        1 => bench.time_on_terminal(&bench.wrapped(PlainLauncher, &nothing), &dir),
        2 => bench.time_on_terminal(&nothing, &dir),
        _ => bench.time_on_terminal(&bench.wrapped(Amps, &nothing), &dir),
    });
    let sum = stats::sums(
        series.samples("git status"),
        series.samples("plain launcher"),
    );
    let ours = series.samples("amps");
    report.row(
        Row::new(
            "P3",
            "exit, nothing changed, small repository: whole process",
        )
        .yardstick("git status + plain launcher", &sum, "ms")
        .ours(ours, "ms")
        .judged(&stats::ratios(ours, &sum))
        .goals(at_most(2.0), at_most(1.3), "x"),
    );
    report.series(("P3", "whole process", "ms"), &series, Compare::Nothing);
    Ok(())
}

/// P6: from the agent's last act to the exit of what stands around it.
pub(crate) fn prompt_is_back(bench: &Bench, report: &mut Report) -> Outcome<()> {
    let small = bench.copy(&SMALL, "prompt-small")?;
    let places = [
        ("small repository", small, 60),
        ("78,000 files", bench.fixture(&LARGE)?, 30),
    ];
    let wrappers = bench.present(&[Bare, PlainLauncher, PlainRelay, Script, Amps]);
    let names: Vec<_> = wrappers.iter().map(|wrapper| wrapper.name()).collect();
    for (place, dir, rounds) in &places {
        let series = interleave(&names, 3, bench.rounds(*rounds), |index| {
            let wrapper = wrappers.get(index).copied().unwrap_or(Bare);
            after_the_agent(bench, wrapper, dir)
        });
        let script = series.extra("script", "bare");
        let ours = series.extra("amps", "bare");
        let launcher = stats::ratios(&series.extra("plain launcher", "bare"), &script);
        let stretch = Spread::of(&launcher).map_or(1.0, |spread| spread.median * 1.3);
        report.row(
            Row::new(
                "P6",
                &format!("prompt is back, {place}: extra exit over bare"),
            )
            .yardstick("script +", &script, "ms")
            .ours(&ours, "ms")
            .judged(&stats::ratios(&ours, &script))
            .goals(at_most(1.0), at_most(stretch), "x"),
        );
        report.series(("P6", place, "ms"), &series, Compare::Difference);
    }
    report.note(
        "P6's stretch goal is 1.3 x the plain launcher's extra exit, written as a share of script's"
            .to_owned(),
    );
    Ok(())
}

fn after_the_agent(bench: &Bench, wrapper: Wrapper, dir: &Path) -> Outcome<f64> {
    let argv = bench.wrapped(wrapper, &bench.agent(&["stamp"]));
    let mut terminal = Terminal::spawn(&bench.home, &argv, dir)?;
    let (_, at) = terminal.finish()?;
    terminal.drain()?;
    let last = agent::parse_stamp(terminal.seen())?;
    Ok(clock::milliseconds(last, at))
}
