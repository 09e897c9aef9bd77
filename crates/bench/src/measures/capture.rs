//! P4 and P5: how long the end capture takes until the record says that it is done.

use std::{path::Path, process::id};

use crate::{
    Outcome, agent,
    bench::Bench,
    clock,
    fixtures::{Fixture, LARGE, MEDIUM, reset},
    product::Record,
    report::{Compare, Report, Row, at_most},
    series::interleave,
    wrapper::Wrapper::{Amps, Bare},
};

/// P4: 78,000 files of which 5 changed.
pub(crate) fn few_of_many(bench: &Bench, report: &mut Report) -> Outcome<()> {
    let case = Case {
        id: "P4",
        what: "capture, 78,000 files, 5 changed",
        fixture: LARGE,
        changed: 5,
        yardstick: &["git", "--no-optional-locks", "status"],
    };
    let row = case.measure(bench, report)?;
    report.row(row.goals(at_most(1.5), at_most(1.2), "x"));
    Ok(())
}

/// P5: 5,000 files of which 720 changed.
pub(crate) fn many_changed(bench: &Bench, report: &mut Report) -> Outcome<()> {
    let case = Case {
        id: "P5",
        what: "capture, 5,000 files, 720 changed",
        fixture: MEDIUM,
        changed: 720,
        yardstick: &["git", "--no-optional-locks", "diff", "HEAD", "--binary"],
    };
    let row = case.measure(bench, report)?;
    report.row(row.goals(at_most(1.3), at_most(0.9), "x"));
    Ok(())
}

/// A repository, what changes in it, and what the capture is held against.
#[derive(Debug)]
struct Case {
    id: &'static str,
    what: &'static str,
    fixture: Fixture,
    changed: usize,
    yardstick: &'static [&'static str],
}

impl Case {
    fn measure(&self, bench: &Bench, report: &mut Report) -> Outcome<Row> {
        let dir = bench.fixture(&self.fixture)?;
        let name = self.yardstick.join(" ");
        let mut names = vec![name.as_str()];
        if bench.product.is_some() {
            names.push("amps");
        }
        let mut round = 0;
        let series = interleave(&names, 2, bench.rounds(15), |index| {
            round += 1;
            reset(&bench.home, &dir)?;
            if index == 0 {
                self.change_bare(bench, &dir, round)?;
                bench.time(self.yardstick, &dir)
            } else {
                self.change_and_capture(bench, &dir, round)
            }
        });
        reset(&bench.home, &dir)?;
        report.series((self.id, self.what, "ms"), &series, Compare::Ratio);
        Ok(Row::new(self.id, self.what)
            .yardstick(&name, series.samples(&name), "ms")
            .ours(series.samples("amps"), "ms")
            .judged(&series.ratios("amps", &name)))
    }

    fn editor(&self, bench: &Bench, round: usize, tag: &str) -> Vec<String> {
        let [files, changed, round] = [self.fixture.files, self.changed, round];
        let words = [files, changed, round].map(|word| word.to_string());
        let [files, changed, round] = &words;
        bench.agent(&["edit", files, changed, round, tag])
    }

    fn change_bare(&self, bench: &Bench, dir: &Path, round: usize) -> Outcome<()> {
        let argv = bench.wrapped(Bare, &self.editor(bench, round, "bare"));
        let mut terminal = bench.start(&argv, dir)?;
        terminal.send(b"\n")?;
        terminal.finish()?;
        Ok(())
    }

    /// Returns the milliseconds from the agent's last act to the record's word. The agent acts when
    /// its base has been taken: one capture is measured, not two.
    fn change_and_capture(&self, bench: &Bench, dir: &Path, round: usize) -> Outcome<f64> {
        let product = bench.product.as_ref().ok_or("no product")?;
        let tag = format!("tag-{}-{}-{round}", self.id, id());
        let argv = bench.wrapped(Amps, &self.editor(bench, round, &tag));
        let mut terminal = bench.start(&argv, dir)?;
        let session = product.find(&tag)?;
        product.wait_until(&session, Record::has_base)?;
        terminal.send(b"\n")?;
        terminal.finish()?;
        let done = product.wait_until(&session, Record::is_captured)?;
        terminal.drain()?;
        Ok(clock::milliseconds(
            agent::parse_stamp(terminal.seen())?,
            done,
        ))
    }
}
