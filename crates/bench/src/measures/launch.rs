//! P1 and P2: how much later the first output comes than without us.

use std::{fs, path::Path};

use crate::{
    Outcome, agent,
    bench::Bench,
    clock,
    fixtures::{LARGE, SMALL, make_dirty},
    report::{Compare, Report, Row, at_most},
    series::interleave,
    stats,
    terminal::Terminal,
    wrapper::Wrapper::{self, Amps, Bare, PlainLauncher},
};

/// P1: outside a repository, in a small clean one and in a small dirty one.
pub(crate) fn first_output(bench: &Bench, report: &mut Report) -> Outcome<()> {
    let outside = bench.home.path().join("outside");
    fs::create_dir_all(&outside)?;
    let clean = bench.copy(&SMALL, "launch-clean")?;
    let dirty = bench.copy(&SMALL, "launch-dirty")?;
    make_dirty(&bench.home, &dirty)?;
    let places = [
        ("outside a repository", outside),
        ("small clean repository", clean),
        ("small dirty repository", dirty),
    ];
    let wrappers = bench.present(&Wrapper::ALL);
    let names: Vec<_> = wrappers.iter().map(|wrapper| wrapper.name()).collect();
    for (place, dir) in &places {
        let series = interleave(&names, 5, bench.rounds(100), |index| {
            let wrapper = wrappers.get(index).copied().unwrap_or(Bare);
            first_byte(bench, wrapper, dir)
        });
        let plain = series.extra("plain launcher", "bare");
        let ours = series.extra("amps", "bare");
        report.row(
            Row::new("P1", &format!("launch, {place}: first output over bare"))
                .yardstick("plain launcher +", &plain, "ms")
                .ours(&ours, "ms")
                .judged(&stats::ratios(&ours, &plain))
                .goals(at_most(2.0), at_most(1.3), "x"),
        );
        report.series(("P1", place, "ms"), &series, Compare::Difference);
    }
    Ok(())
}

/// P2: in a repository of 78,000 files, beside the small one.
pub(crate) fn large_repository(bench: &Bench, report: &mut Report) -> Outcome<()> {
    let large = bench.fixture(&LARGE)?;
    let small = bench.copy(&SMALL, "launch-small")?;
    let mut names = vec!["bare", "plain launcher", "git status"];
    if bench.product.is_some() {
        names.extend(["amps in the small one", "amps"]);
    }
    let series = interleave(&names, 3, bench.rounds(30), |index| match index {
        0 => first_byte(bench, Bare, &large),
        1 => first_byte(bench, PlainLauncher, &large),
        2 => bench.time(&["git", "--no-optional-locks", "status"], &large),
        3 => first_byte(bench, Amps, &small),
        _ => first_byte(bench, Amps, &large),
    });
    let beyond = series.extra("amps", "amps in the small one");
    report.row(
        Row::new(
            "P2",
            "launch, 78,000 files: first output over P1 in a small repository",
        )
        .yardstick("git status", series.samples("git status"), "ms")
        .ours(&series.extra("amps", "bare"), "ms over bare")
        .judged(&beyond)
        .goals(at_most(50.0), at_most(1.0), "ms"),
    );
    report.series(("P2", "78,000 files", "ms"), &series, Compare::Difference);
    Ok(())
}

/// Returns the milliseconds from before the wrapper's `exec` to the program's first output.
fn first_byte(bench: &Bench, wrapper: Wrapper, dir: &Path) -> Outcome<f64> {
    let argv = bench.wrapped(wrapper, &bench.agent(&["hold"]));
    let mut terminal = Terminal::spawn(&bench.home, &argv, dir)?;
    let at = terminal.wait_for(agent::READY)?;
    let taken = clock::milliseconds(terminal.started(), at);
    terminal.send(b"\n")?;
    terminal.finish()?;
    Ok(taken)
}
