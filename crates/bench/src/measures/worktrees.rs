//! P17 and P18, and what worktree sessions cost beside plain git: an iteration, a squash, and the
//! conflicts between all live sessions.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{
    Outcome,
    bench::Bench,
    fixtures::{MEDIUM, SMALL},
    report::{Compare, Report, Row, at_least, at_most},
    series::interleave,
};

/// Worktree sessions that are made at once.
const AT_ONCE: usize = 20;

/// Commits that are squashed.
const COMMITS: usize = 200;

/// Sessions whose conflicts are looked for.
const SESSIONS: usize = 50;

/// An agent that changes one file, as the configuration has it.
const AGENT: &str =
    "agents:\n  bench:\n    program: sh\n    command: ['-c', 'echo x >> work.txt']\n";

/// A worktree session.
struct Session {
    id: String,
    worktree: PathBuf,
}

/// P17: what fails, and what is left behind, of many worktrees that are made at once.
pub(crate) fn at_once(bench: &Bench, report: &mut Report) -> Outcome<()> {
    configure(bench)?;
    let rounds = bench.rounds(3);
    let (mut plain, mut ours) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let dir = bench.copy(&SMALL, &format!("at-once-{round}"))?;
        let started = (0..AT_ONCE).map(|number| {
            let (branch, path) = (
                format!("plain-{number}"),
                format!("../plain-{round}-{number}"),
            );
            let mut command = bench.home.command("git");
            command.args(["worktree", "add", "-q", "-b", &branch, &path, "origin/main"]);
            command
        });
        plain.push(count(failures(started, &dir)?));
        if let Some(amps) = amps(bench) {
            let started = (0..AT_ONCE).map(|_| {
                let mut command = bench.home.command(&amps);
                command.args(["new", "--prompt", "the same", "--agent", "bench"]);
                command
            });
            let failed = failures(started, &dir)?;
            let listed = bench.home.output(&["git", "worktree", "list"], &dir)?;
            let listed = String::from_utf8_lossy(&listed).into_owned();
            let made = listed.lines().filter(|line| line.contains("/.worktrees/"));
            let left = made.count().abs_diff(AT_ONCE - failed);
            ours.push(count(failed + left));
        }
    }
    let what = "20 worktree sessions at once, failed or left behind";
    let row = Row::new("P17", what)
        .yardstick("git worktree add -b B P origin/main", &plain, "failed")
        .ours(&ours, "failed")
        .goals(at_most(0.0), at_most(0.0), "failed");
    report.row(row.judged(&ours));
    Ok(())
}

/// P18: until one worktree session is ready.
pub(crate) fn ready(bench: &Bench, report: &mut Report) -> Outcome<()> {
    configure(bench)?;
    let what = "one worktree session ready, 5,000 files";
    let dir = bench.copy(&MEDIUM, "ready")?;
    let name = "git worktree add";
    let mut names = vec![name];
    let amps = amps(bench);
    names.extend(amps.as_ref().map(|_| "amps new"));
    let mut number = 0;
    let series = interleave(&names, 1, bench.rounds(10), |index| {
        number += 1;
        if let (1, Some(amps)) = (index, &amps) {
            let argv = [amps, "new", "--prompt", "bench", "--agent", "bench"];
            return bench.time(&argv, &dir);
        }
        let (branch, path) = (format!("plain-{number}"), format!("../ready-{number}"));
        let argv = [
            "git",
            "worktree",
            "add",
            "-q",
            "--no-track",
            "-b",
            &branch,
            &path,
            "main",
        ];
        bench.time(&argv, &dir)
    });
    report.series(("P18", what, "ms"), &series, Compare::Ratio);
    let row = Row::new("P18", what)
        .yardstick(name, series.samples(name), "ms")
        .ours(series.samples("amps new"), "ms")
        .goals(at_most(1.05), at_most(0.75), "x");
    report.row(row.judged(&series.ratios("amps new", name)));
    Ok(())
}

/// What an iteration takes beside its agent, its commit and its gate.
pub(crate) fn iteration(bench: &Bench, report: &mut Report) -> Outcome<()> {
    configure(bench)?;
    let what = "an iteration beside agent, commit and gate";
    let dir = bench.copy(&SMALL, "iteration")?;
    let Some(amps) = amps(bench) else {
        return Ok(());
    };
    let session = begin(bench, &amps, &dir, &["--script", "true"])?;
    let plain = "echo x >> work.txt && git add -A && git commit -qm work && true";
    let names = ["sh and git", "amps iterate"];
    let series = interleave(&names, 2, bench.rounds(15), |index| {
        if index == 0 {
            bench.time(&["sh", "-c", plain], &dir)
        } else {
            bench.time(&[&amps, "iterate", &session.id], &dir)
        }
    });
    report.series(("I1", what, "ms"), &series, Compare::Difference);
    let row = Row::new("I1", what)
        .yardstick("sh and git", series.samples("sh and git"), "ms")
        .ours(series.samples("amps iterate"), "ms")
        .goals(at_most(50.0), at_most(50.0), "ms");
    report.row(row.judged(&series.extra("amps iterate", "sh and git")));
    Ok(())
}

/// A squash of 200 commits beside the rebase that people use for it.
pub(crate) fn squash(bench: &Bench, report: &mut Report) -> Outcome<()> {
    configure(bench)?;
    let what = "squash of 200 commits";
    let dir = bench.copy(&SMALL, "squash")?;
    let Some(amps) = amps(bench) else {
        return Ok(());
    };
    let session = begin(bench, &amps, &dir, &[])?;
    let tree = session.worktree.clone();
    for number in 0..COMMITS {
        fs::write(
            tree.join(format!("work-{}.txt", number % 20)),
            format!("{number}\n"),
        )?;
        bench.home.output(&["git", "add", "-A"], &tree)?;
        bench
            .home
            .output(&["git", "commit", "-qm", "amp: work"], &tree)?;
    }
    let tip = text(&bench.home.output(&["git", "rev-parse", "HEAD"], &tree)?);
    let script = "exec sed -i '2,$s/^pick/fixup/' \"$1\"";
    let editor = bench.home.text("fixup.sh");
    fs::write(&editor, format!("#!/bin/sh\n{script}\n"))?;
    let editor = format!("sequence.editor=sh {editor}");
    let name = "git rebase -i";
    let series = interleave(&[name, "amps squash"], 1, bench.rounds(5), |index| {
        bench
            .home
            .output(&["git", "reset", "-q", "--hard", &tip], &tree)?;
        if index == 0 {
            bench.time(&["git", "-c", &editor, "rebase", "-q", "-i", "main"], &tree)
        } else {
            let argv = [&amps, "squash", &session.id, "--message", "work"];
            bench.time(&argv, &dir)
        }
    });
    report.series(("I2", what, "ms"), &series, Compare::Ratio);
    let row = Row::new("I2", what)
        .yardstick(name, series.samples(name), "ms")
        .ours(series.samples("amps squash"), "ms")
        .goals(at_least(5.0), at_least(5.0), "x faster");
    report.row(row.judged(&series.ratios(name, "amps squash")));
    Ok(())
}

/// The conflicts between all pairs of 50 sessions beside one merge for each pair.
pub(crate) fn conflicts(bench: &Bench, report: &mut Report) -> Outcome<()> {
    configure(bench)?;
    let what = "conflicts between 50 sessions";
    let dir = bench.copy(&SMALL, "conflicts")?;
    let Some(amps) = amps(bench) else {
        return Ok(());
    };
    for number in 0..SESSIONS {
        let session = begin(bench, &amps, &dir, &[])?;
        let file = format!("work-{}.txt", number % 10);
        fs::write(session.worktree.join(file), format!("{number}\n"))?;
        bench
            .home
            .output(&["git", "add", "-A"], &session.worktree)?;
        bench
            .home
            .output(&["git", "commit", "-qm", "amp: work"], &session.worktree)?;
    }
    let script = "set -- $(git for-each-ref --format='%(refname)' refs/heads/amp); \
                  while [ $# -gt 1 ]; do one=$1; shift; for other; do \
                  git merge-tree --write-tree $one $other > /dev/null; done; done; true";
    let name = "git merge-tree for each pair";
    let series = interleave(&[name, "amps conflicts"], 1, bench.rounds(5), |index| {
        if index == 0 {
            bench.time(&["sh", "-c", script], &dir)
        } else {
            bench.time(&[&amps, "conflicts", "--json"], &dir)
        }
    });
    report.series(("I3", what, "ms"), &series, Compare::Ratio);
    let row = Row::new("I3", what)
        .yardstick(name, series.samples(name), "ms")
        .ours(series.samples("amps conflicts"), "ms")
        .goals(at_most(1.0), at_most(0.5), "x");
    report.row(row.judged(&series.ratios("amps conflicts", name)));
    Ok(())
}

fn configure(bench: &Bench) -> Outcome<()> {
    fs::write(bench.home.path().join(".ampsm/config.yaml"), AGENT)?;
    Ok(())
}

fn amps(bench: &Bench) -> Option<String> {
    let amps = bench.amps.as_ref()?;
    Some(std::path::absolute(amps).ok()?.display().to_string())
}

/// Makes a worktree session.
fn begin(bench: &Bench, amps: &str, dir: &Path, more: &[&str]) -> Outcome<Session> {
    let mut argv = vec![
        amps, "new", "--prompt", "bench", "--agent", "bench", "--json",
    ];
    argv.extend(more);
    let made: serde_json::Value = serde_json::from_slice(&bench.home.output(&argv, dir)?)?;
    let field = |name: &str| made.get(name).and_then(|value| value.as_str());
    Ok(Session {
        id: field("session_id").ok_or("no session")?.to_owned(),
        worktree: PathBuf::from(field("worktree").ok_or("no worktree")?),
    })
}

/// Starts all programs at once and returns how many of them failed.
fn failures(commands: impl Iterator<Item = Command>, dir: &Path) -> Outcome<usize> {
    let mut children = Vec::new();
    for mut command in commands {
        command.current_dir(dir).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        children.push(command.spawn()?);
    }
    let mut failed = 0;
    for mut child in children {
        failed += usize::from(!child.wait()?.success());
    }
    Ok(failed)
}

#[expect(clippy::cast_precision_loss, reason = "a small number")]
fn count(number: usize) -> f64 {
    number as f64
}

fn text(answer: &[u8]) -> String {
    String::from_utf8_lossy(answer).trim().to_owned()
}
