//! P10: the memory of sessions that are held.

use std::{thread::sleep, time::Duration};

use crate::{
    Outcome,
    bench::Bench,
    detached::Detached,
    proc_stat::memory,
    report::{Compare, Report, Row, at_most},
    series::{Series, Track, interleave},
    wrapper::Wrapper::{self, AmpsHeld, AmpsRecorded, Dtach, Tmux},
};

/// How long nothing has happened when memory is weighed.
const QUIET: Duration = Duration::from_secs(5);

/// P10: the memory of all hosts, shared among the sessions. The agents have filled their screens and
/// nothing has left them.
#[expect(clippy::unnecessary_wraps, reason = "has the form of every measure")]
pub(crate) fn memory_of_each(bench: &Bench, report: &mut Report) -> Outcome<()> {
    let sessions = if bench.quick { 10 } else { 30 };
    let wrappers = bench.present(&[Dtach, Tmux, AmpsHeld, AmpsRecorded]);
    let names: Vec<_> = wrappers.iter().map(|wrapper| wrapper.name()).collect();
    let mut own: Vec<Vec<f64>> = vec![Vec::new(); wrappers.len()];
    let series = interleave(&names, 0, bench.rounds(3), |index| {
        let wrapper = wrappers.get(index).copied().unwrap_or(Dtach);
        let (share, dirty) = weigh(bench, wrapper, sessions)?;
        if let Some(own) = own.get_mut(index) {
            own.push(dirty);
        }
        Ok(share)
    });
    let what = format!("memory of each of {sessions} idle sessions (PSS)");
    for (wrapper, kind) in [(AmpsHeld, "held"), (AmpsRecorded, "held and recorded")] {
        let ours = series.samples(wrapper.name());
        report.row(
            Row::new("P10", &format!("{what}, {kind}"))
                .yardstick("dtach", series.samples("dtach"), "MB")
                .ours(ours, "MB")
                .judged(ours)
                .goals(at_most(0.66), at_most(0.2), "MB"),
        );
    }
    report.series(("P10", &what, "MB"), &series, Compare::Ratio);
    let tracks = names.iter().zip(own).map(|(name, samples)| Track {
        name: (*name).to_owned(),
        samples,
        failure: None,
    });
    let own = Series {
        tracks: tracks.collect(),
    };
    let what = format!("of which private and dirty, {sessions} sessions");
    report.series(("P10", &what, "MB"), &own, Compare::Ratio);
    Ok(())
}

/// Returns the megabytes of each session: the share of its host, and what in it is private.
fn weigh(bench: &Bench, wrapper: Wrapper, sessions: usize) -> Outcome<(f64, f64)> {
    let detached = Detached::start(bench, wrapper, sessions)?;
    sleep(QUIET);
    let (mut pss, mut dirty) = (0.0, 0.0);
    for host in detached.hosts() {
        let memory = memory(host)?;
        pss += memory.pss;
        dirty += memory.private_dirty;
    }
    detached.end()?;
    let each = |kib: f64| kib * 1024.0 / 1e6 / sessions as f64;
    Ok((each(pss), each(dirty)))
}
