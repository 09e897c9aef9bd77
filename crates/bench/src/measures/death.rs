//! P14 and P15: what the record says after the wrapper was killed.

use std::process::id;

use crate::{
    Outcome,
    bench::Bench,
    clock,
    fixtures::SMALL,
    product::Record,
    report::{Compare, Report, Row, at_most},
    series::interleave,
    wrapper::Wrapper::Amps,
};

/// P14: from the kill to a final record with its capture, over the same after an ordinary exit.
pub(crate) fn killed_wrapper(bench: &Bench, report: &mut Report) -> Outcome<()> {
    let dir = bench.copy(&SMALL, "killed")?;
    let mut names = vec!["git status"];
    if bench.product.is_some() {
        names.extend(["ordinary exit", "amps"]);
    }
    let mut round = 0;
    let series = interleave(&names, 2, bench.rounds(30), |index| {
        round += 1;
        if index == 0 {
            return bench.time(&["git", "--no-optional-locks", "status"], &dir);
        }
        let product = bench.product.as_ref().ok_or("no product")?;
        let tag = format!("tag-P14-{}-{round}", id());
        let command = bench.agent(&["hold", &tag]);
        let mut terminal = bench.start(&bench.wrapped(Amps, &command), &dir)?;
        let session = product.find(&tag)?;
        let from = if index == 1 {
            let from = clock::now();
            terminal.send(b"\n")?;
            terminal.finish()?;
            from
        } else {
            terminal.kill()?
        };
        let said = |record: &Record| record.is_final() && record.is_captured();
        let done = product.wait_until(&session, said)?;
        Ok(clock::milliseconds(from, done))
    });
    report.row(
        Row::new(
            "P14",
            "kill -9 of the wrapper until final and captured, over an ordinary exit",
        )
        .yardstick("git status", series.samples("git status"), "ms")
        .ours(series.samples("amps"), "ms")
        .judged(&series.extra("amps", "ordinary exit"))
        .goals(at_most(5.0), at_most(2.0), "ms"),
    );
    report.series(
        ("P14", "until final and captured", "ms"),
        &series,
        Compare::Nothing,
    );
    Ok(())
}

/// P15: an agent that outlives the wrapper and changes a file is in the record.
pub(crate) fn survivor(bench: &Bench, report: &mut Report) -> Outcome<()> {
    let row = Row::new("P15", "survivor noticed, its later changes recorded").goals(
        at_most(0.0),
        at_most(0.0),
        "missing",
    );
    let Some(product) = &bench.product else {
        report.row(row);
        return Ok(());
    };
    let rounds = bench.rounds(5);
    let mut missing = 0.0;
    for round in 0..rounds {
        let dir = bench.copy(&SMALL, &format!("survivor-{round}"))?;
        let tag = format!("tag-P15-{}-{round}", id());
        let file = format!("late-{round}.txt");
        // the shell ignores the hang-up for the agent, as nohup would
        let linger = bench.agent(&["linger", &file, &tag]).join(" ");
        let command = ["sh", "-c", &format!("trap '' HUP; exec {linger}")].map(str::to_owned);
        let mut terminal = bench.start(&bench.wrapped(Amps, &command), &dir)?;
        let session = product.find(&tag)?;
        terminal.kill()?;
        let recorded = product.wait_until(&session, |record| {
            record.is_final() && record.names_file(&file)
        });
        if let Err(error) = recorded {
            missing += 1.0;
            report.note(format!("P15: {error}"));
        }
    }
    let yardstick = "none does it";
    report.row(
        row.yardstick(yardstick, &[], "")
            .ours(&[missing], &format!("missing of {rounds}"))
            .judged(&[missing]),
    );
    Ok(())
}
