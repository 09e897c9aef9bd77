//! Capturing disturbs nobody: no program of the person's runs, no lock is taken, no commit fails.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use amps_core::capture::Side;
use amps_core::snapshot::Oid;
use amps_engine::capture::{CaptureError, Cutoff, freeze, keep, patch};
use amps_engine::git::{Call, GitError};

use super::capture_repo::{Repo, listed, now};

/// Makes a program that leaves a trace in the home folder and fails.
fn trap(repo: &Repo, name: &str) -> String {
    let program = repo.home().join(name);
    fs::write(
        &program,
        "#!/bin/sh\necho \"$0 $*\" >> \"$HOME/sprung\"\nexit 1\n",
    )
    .unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&program, mode).unwrap();
    program.to_str().unwrap().to_owned()
}

#[test]
fn no_hook_monitor_pager_or_diff_program_runs() {
    let repo = Repo::new();
    let trap_path = trap(&repo, "trap");
    let hooks = repo.home().join("hooks");
    fs::create_dir(&hooks).unwrap();
    for hook in [
        "reference-transaction",
        "post-index-change",
        "post-checkout",
        "pre-commit",
        "post-commit",
        "pre-auto-gc",
    ] {
        fs::copy(&trap_path, hooks.join(hook)).unwrap();
        fs::copy(&trap_path, repo.full(".git/hooks").join(hook)).unwrap();
    }
    repo.write(".git/info/attributes", "* diff=trap\n");
    for (key, value) in [
        ("core.hooksPath", hooks.to_str().unwrap()),
        ("core.fsmonitor", &trap_path),
        ("core.pager", &trap_path),
        ("core.askPass", &trap_path),
        ("core.editor", &trap_path),
        ("core.sshCommand", &trap_path),
        ("credential.helper", &trap_path),
        ("diff.external", &trap_path),
        ("diff.trap.command", &trap_path),
        ("diff.trap.textconv", &trap_path),
        ("gpg.program", &trap_path),
        ("commit.gpgSign", "true"),
        ("log.showSignature", "true"),
        ("core.safecrlf", "true"),
        ("core.autocrlf", "input"),
        ("core.logAllRefUpdates", "always"),
        ("core.quotePath", "false"),
        ("status.showUntrackedFiles", "no"),
        ("status.relativePaths", "true"),
        ("status.showStash", "true"),
        ("status.short", "true"),
        ("diff.noprefix", "true"),
        ("diff.renames", "false"),
        ("diff.ignoreSubmodules", "all"),
        ("diff.submodule", "log"),
        ("color.ui", "always"),
        ("column.ui", "always"),
        ("gc.auto", "1"),
        ("fastimport.unpackLimit", "1000"),
        ("push.gpgSign", "true"),
    ] {
        repo.git(["-c", "core.fsmonitor=false", "config", key, value]);
    }
    let base = repo.base();
    repo.append("a", "one\r\n");
    repo.write("new", "x\n");
    let end = repo.end();
    let changeset = repo.compare(&base, &end);
    assert_eq!(listed(&changeset), ["M a", "A new"]);
    let patch = patch(&repo.engine_git(), &repo.workspace(), &base, &end, 1 << 20).unwrap();
    assert!(
        String::from_utf8(patch.bytes)
            .unwrap()
            .contains("+++ b/new")
    );
    assert!(
        !repo.home().join("sprung").exists(),
        "{:?}",
        fs::read_to_string(repo.home().join("sprung"))
    );
}

#[test]
fn the_stash_and_its_reflog_stay() {
    let repo = Repo::new();
    repo.append("a", "stashed\n");
    repo.git(["stash", "-q"]);
    repo.append("b", "x\n");
    assert_eq!(listed(&repo.run(|repo| repo.write("new", "x"))), ["A new"]);
    assert_eq!(repo.git(["stash", "list"]).lines().count(), 1);
}

#[test]
fn an_index_that_is_locked_does_not_matter() {
    let repo = Repo::new();
    repo.write(".git/index.lock", "");
    assert_eq!(listed(&repo.run(|repo| repo.append("a", "x\n"))), ["M a"]);
}

#[test]
fn commits_in_a_loop_never_fail_beside_snapshots_in_a_loop() {
    let repo = Repo::new();
    let (git, workspace) = (repo.engine_git(), repo.workspace());
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let snapshots = scope.spawn(|| {
            let mut taken = 0;
            while !done.load(Ordering::Relaxed) {
                let cutoff = Cutoff::open(now());
                let frozen = freeze(&git, &workspace, Side::End, &cutoff, &repo.limits).unwrap();
                keep(
                    &git,
                    &workspace,
                    &frozen,
                    &format!("refs/amps/{taken}"),
                    None,
                )
                .unwrap();
                taken += 1;
            }
            taken
        });
        let started = Instant::now();
        let mut failed = Vec::new();
        let mut made = 0;
        while made < 60 || started.elapsed() < Duration::from_secs(2) {
            repo.append("a", "x\n");
            repo.write(format!("new {made}"), "x\n");
            for arguments in [&["add", "."][..], &["commit", "-qm", "x"]] {
                let output = repo.try_git(arguments);
                if !output.status.success() {
                    failed.push(output);
                }
            }
            made += 1;
        }
        done.store(true, Ordering::Relaxed);
        assert!(snapshots.join().unwrap() > 0);
        assert!(failed.is_empty(), "{failed:?}");
    });
}

#[test]
fn keeping_again_gives_the_same_and_another_needs_the_expected_old() {
    let repo = Repo::new();
    let (git, workspace) = (repo.engine_git(), repo.workspace());
    let cutoff = Cutoff::open(now());
    let frozen = |_: &str| freeze(&git, &workspace, Side::Base, &cutoff, &repo.limits).unwrap();
    let name = "refs/amps/run/base";
    for changed in [false, true] {
        if changed {
            repo.append("a", "x\n");
            repo.git(["update-ref", "-d", name]);
        }
        let first = frozen("first");
        let kept = keep(&git, &workspace, &first, name, None).unwrap();
        assert_eq!(keep(&git, &workspace, &first, name, None).unwrap(), kept);
        repo.append("b", "y\n");
        let second = frozen("second");
        let taken = keep(&git, &workspace, &second, name, None).unwrap_err();
        assert!(
            matches!(&taken, CaptureError::Taken { holds, .. } if *holds == kept.commit),
            "{taken}"
        );
        let wrong = Oid::parse(&"1".repeat(40)).unwrap();
        assert!(keep(&git, &workspace, &second, name, Some(&wrong)).is_err());
        assert_eq!(
            repo.git(["rev-parse", name]),
            kept.commit.clone().unwrap().as_str()
        );
        let replaced = keep(&git, &workspace, &second, name, kept.commit.as_ref()).unwrap();
        assert_eq!(
            repo.git(["rev-parse", name]),
            replaced.commit.unwrap().as_str()
        );
        repo.git(["checkout", "-q", "--", "b"]);
    }
    repo.git(["commit", "-qam", "moves on"]);
    let moved_on = frozen("moved on");
    assert!(keep(&git, &workspace, &moved_on, name, None).is_err());
    let refs = repo.git(["for-each-ref", "--format=%(refname)", "refs/amps/new"]);
    assert_eq!(refs, "", "a reference made on the way was left behind");
}

#[test]
fn a_snapshot_that_fails_leaves_no_report_in_the_git_directory() {
    let repo = Repo::new();
    let (git, workspace) = (repo.engine_git(), repo.workspace());
    repo.write("new", "x\n");
    let cutoff = Cutoff::open(now());
    let frozen = freeze(&git, &workspace, Side::Base, &cutoff, &repo.limits).unwrap();
    let blob = repo.git(["hash-object", "new"]);
    let (folder, rest) = blob.split_at(2);
    fs::remove_file(repo.full(format!(".git/objects/{folder}/{rest}"))).unwrap();
    let before = repo.everything();
    assert!(keep(&git, &workspace, &frozen, "refs/amps/base", None).is_err());
    assert_eq!(repo.everything(), before);
}

#[test]
fn a_call_that_takes_too_long_is_killed_with_all_it_started() {
    let repo = Repo::new();
    let git = repo.engine_git().with_deadline(Duration::from_millis(300));
    repo.git(["config", "alias.hang", "!sleep 1000"]);
    let started = Instant::now();
    let error = git.run(&Call::within(&repo.root).arg("hang")).unwrap_err();
    assert!(matches!(error, GitError::TooSlow { .. }), "{error}");
    assert!(started.elapsed() < Duration::from_secs(60));
}

#[test]
fn much_input_and_much_output_at_once_do_not_deadlock() {
    let repo = Repo::new();
    let line = format!("{}\n", "x".repeat(100));
    let input = line.repeat(50_000);
    let call = Call::within(&repo.root)
        .args(["cat-file", "--batch-check"])
        .input(input.as_bytes());
    let answer = repo.engine_git().run(&call).unwrap();
    assert_eq!(String::from_utf8(answer).unwrap().lines().count(), 50_000);
}

#[test]
fn an_error_tells_what_was_asked_and_what_git_said() {
    let repo = Repo::new();
    let call = Call::within(&repo.root).args(["rev-parse", "--verify", "nothing\u{1b}[2J"]);
    let error = repo.engine_git().run(&call).unwrap_err().to_string();
    assert!(error.contains("rev-parse --verify") && error.contains("Needed a single revision"));
}

#[test]
fn a_run_can_be_compared_long_after() {
    let repo = Repo::new();
    let base = repo.base();
    repo.append("a", "x\n");
    repo.git(["commit", "-qam", "in the run"]);
    let end = repo.end();
    repo.git(["commit", "-q", "--allow-empty", "-m", "after it"]);
    repo.git(["gc", "-q", "--prune=now"]);
    let changeset = repo.compare(&base, &end);
    assert_eq!(listed(&changeset), ["M a"]);
    assert_eq!(changeset.commits.len(), 1);
}
