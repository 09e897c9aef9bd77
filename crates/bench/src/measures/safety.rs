//! P16: observing a repository never breaks the agent's own git.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
};

use crate::{
    Outcome,
    bench::Bench,
    fixtures::{SMALL, edit},
    home::Home,
    report::{Report, Row, at_most},
    terminal::Terminal,
    wrapper::{
        Wrapper::{Amps, PlainLauncher},
        owned,
    },
};

/// P16: an agent commits in a loop while another looks on in a loop.
pub(crate) fn commits(bench: &Bench, report: &mut Report) -> Outcome<()> {
    let rounds = bench.rounds(200);
    let truth = owned(&["true"]);
    let status = owned(&["git", "status"]);
    let careful = owned(&["git", "--no-optional-locks", "status"]);
    let mut watchers = vec![
        ("plain launcher", bench.wrapped(PlainLauncher, &truth)),
        ("git status", status),
        ("git --no-optional-locks status", careful),
    ];
    if bench.product.is_some() {
        watchers.push(("amps", bench.wrapped(Amps, &truth)));
    }
    let what = format!("failures of {rounds} commits while watched");
    let mut failures = Vec::new();
    for (number, (name, argv)) in watchers.iter().enumerate() {
        let dir = bench.copy(&SMALL, &format!("safety-{number}"))?;
        let (failed, looks) = race(bench, argv, &dir, rounds)?;
        report.figure(("P16", &what, "failed"), name, f64::from(failed));
        report.figure(("P16", "looks meanwhile", "looks"), name, f64::from(looks));
        failures.push(f64::from(failed));
        fs::remove_dir_all(&dir)?;
    }
    let ours = failures.get(3..).unwrap_or_default();
    report.row(
        Row::new("P16", &what)
            .yardstick(
                "git status",
                failures.get(1..2).unwrap_or_default(),
                "failed, --no-optional-locks is the goal",
            )
            .ours(ours, "failed")
            .judged(ours)
            .goals(at_most(0.0), at_most(0.0), "failed"),
    );
    Ok(())
}

/// Commits `rounds` times while `argv` runs again and again; returns failed commits and runs.
fn race(bench: &Bench, argv: &[String], dir: &Path, rounds: usize) -> Outcome<(u32, u32)> {
    let done = AtomicBool::new(false);
    let home = &bench.home;
    let looks = AtomicU32::new(0);
    let failed = std::thread::scope(|scope| {
        // two watchers: one alone leaves gaps that are longer than a commit
        let watchers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        look_once(home, argv, dir)?;
                        looks.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok::<(), String>(())
                })
            })
            .collect();
        let failed = commit_all(bench, dir, rounds);
        done.store(true, Ordering::Relaxed);
        for watcher in watchers {
            watcher.join().map_err(|_| "a watcher panicked")??;
        }
        failed
    })?;
    Ok((failed, looks.into_inner()))
}

/// Runs a watcher once on a terminal; a watcher that fails makes the comparison void.
fn look_once(home: &Home, argv: &[String], dir: &Path) -> Result<(), String> {
    let look = || -> Outcome<()> {
        let mut terminal = Terminal::spawn(home, argv, dir)?;
        let (status, _) = terminal.finish()?;
        if status.success() {
            return Ok(());
        }
        let seen = String::from_utf8_lossy(terminal.seen());
        Err(format!("{argv:?}: {status}: {seen}").into())
    };
    look().map_err(|error| error.to_string())
}

fn commit_all(bench: &Bench, dir: &Path, rounds: usize) -> Outcome<u32> {
    let mut failed = 0;
    for round in 0..rounds {
        edit(dir, SMALL.files, 20, round)?;
        let message = format!("round {round}");
        let commit = ["git", "commit", "-q", "-a", "-m", &message];
        if bench.home.output(&commit, dir).is_err() {
            failed += 1;
        }
    }
    Ok(failed)
}
