//! P21: the newest sessions of a store with a million.

use rusqlite::Connection;

use crate::{
    Outcome,
    bench::Bench,
    home::Home,
    product::{Product, fill},
    report::{Compare, Report, Row, at_most},
    series::interleave,
    terminal::time_quietly,
};

/// P21: the whole process, beside `git --version`.
pub(crate) fn newest(bench: &Bench, report: &mut Report) -> Outcome<()> {
    let sessions = if bench.quick { 20_000 } else { 1_000_000 };
    let what = format!("list the newest 50 of {sessions} sessions, whole process");
    let dir = bench.home.path().to_path_buf();
    let filled = match (&bench.amps, Product::filler()) {
        (Some(amps), Some(filler)) => {
            let home = Home::new()?;
            drop(Product::start(amps, &home)?);
            fill(
                &mut Connection::open(Product::store(&home))?,
                &filler,
                sessions,
            )?;
            Some((Product::start(amps, &home)?, home))
        }
        _ => None,
    };
    let mut names = vec!["git --version"];
    if filled.is_some() {
        names.push("amps");
    }
    let series = interleave(&names, 5, bench.rounds(60), |index| {
        match (index, &filled) {
            (1, Some((product, home))) => time_quietly(home, &product.list_argv(), home.path()),
            _ => bench.time(&["git", "--version"], &dir),
        }
    });
    let mut row = Row::new("P21", &what)
        .yardstick("git --version", series.samples("git --version"), "ms")
        .ours(series.samples("amps"), "ms")
        .judged(&series.ratios("amps", "git --version"))
        .goals(at_most(10.0), at_most(3.0), "x");
    if bench.amps.is_some() && filled.is_none() {
        row = row.because("the schema of the store is not known yet");
    }
    report.row(row);
    report.series(("P21", "whole process", "ms"), &series, Compare::Ratio);
    Ok(())
}
