//! P21: the newest sessions of a store with a million.

use std::path::Path;

use rusqlite::Connection;

use crate::{
    Outcome,
    bench::Bench,
    home::Home,
    product::{Product, Record, Way, fill},
    report::{Compare, Report, Row, at_most},
    series::interleave,
    terminal::time_quietly,
};

/// P21: the whole process, beside `git --version`.
pub(crate) fn newest(bench: &Bench, report: &mut Report) -> Outcome<()> {
    let sessions = if bench.quick { 20_000 } else { 1_000_000 };
    let what = format!("list the newest 50 of {sessions} sessions, whole process");
    let dir = bench.home.path().to_path_buf();
    let filled = match &bench.amps {
        Some(amps) => Some(full_store(amps, sessions)?),
        None => None,
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
    let row = Row::new("P21", &what)
        .yardstick("git --version", series.samples("git --version"), "ms")
        .ours(series.samples("amps"), "ms")
        .judged(&series.ratios("amps", "git --version"))
        .goals(at_most(10.0), at_most(3.0), "x");
    report.row(row);
    report.series(("P21", "whole process", "ms"), &series, Compare::Ratio);
    Ok(())
}

/// Makes a home whose store holds that many sessions, with its daemon.
fn full_store(amps: &Path, sessions: u32) -> Outcome<(Product, Home)> {
    let home = Home::new()?;
    let product = Product::start(amps, &home)?;
    let mut command = product.run_argv(Way::Inherited);
    command.push("true".to_owned());
    home.output(
        &command.iter().map(String::as_str).collect::<Vec<_>>(),
        home.path(),
    )?;
    let recorded = product.find("true")?;
    product.wait_until(&recorded, Record::is_final)?;
    drop(product);
    let mut store = Connection::open(Product::store(&home))?;
    fill(&mut store, &Product::filler(), sessions)?;
    drop(store);
    let product = Product::start(amps, &home)?;
    match product.sessions()? {
        count if count > u64::from(sessions) => Ok((product, home)),
        count => Err(format!("the store has {count} sessions only").into()),
    }
}
