//! Locks name their holder, outlive it only with its git, and are never stolen.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use amps_engine::worktree::{
    IndexLock, Refusal, RepositoryLock, SessionLock, clear_stale_index_lock,
};

use super::capture_repo::Repo;
use super::worktree_ground::{WAIT, create, native, refusal, session};

#[test]
fn a_refusal_names_who_holds_the_lock_and_since_when() {
    let repo = Repo::new();
    let common_dir = repo.root.join(".git");
    let take = |number, purpose: &str| {
        SessionLock::take(&common_dir, session(number), purpose, Duration::ZERO)
    };
    let held = take(1, "amps iterate").unwrap();
    let told = refusal(take(1, "amps merge")).to_string();
    let me = format!(
        "held by `amps iterate` (pid {}) since 20",
        std::process::id()
    );
    assert!(told.starts_with(&me), "{told}");
    drop(take(2, "another session").unwrap());
    drop(RepositoryLock::take(&common_dir, "the repository", Duration::ZERO).unwrap());
    drop(held);
    drop(take(1, "amps merge").unwrap());
}

#[test]
fn whoever_waits_gets_the_lock_when_it_is_free() {
    let repo = Repo::new();
    let common_dir = repo.root.join(".git");
    let take = || SessionLock::take(&common_dir, session(1), "a test", WAIT);
    let held = take().unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| take().unwrap());
        drop(held);
        waiting.join().unwrap();
    });
}

#[test]
fn a_lock_whose_holder_is_dead_is_free() {
    let repo = Repo::new();
    let common_dir = repo.root.join(".git");
    drop(SessionLock::take(&common_dir, session(1), "before", WAIT).unwrap());
    let path = common_dir.join("amps/locks").join(session(1).to_string());
    let mut child = Command::new("flock")
        .arg(&path)
        .arg("cat")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // It is held as soon as what is written comes back.
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), b"x").unwrap();
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut [0]).unwrap();
    let told = refusal(SessionLock::take(
        &common_dir,
        session(1),
        "x",
        Duration::ZERO,
    ));
    assert!(matches!(told, Refusal::Held { .. }));
    drop(child.stdin.take());
    child.wait().unwrap();
    drop(SessionLock::take(&common_dir, session(1), "after", WAIT).unwrap());
}

#[test]
fn an_index_lock_is_removed_only_when_no_git_can_hold_it() {
    let repo = Repo::new();
    let plan = create(&repo, 1);
    let root = native(&plan.worktree);
    let admin = repo.root.join(".git/worktrees").join(&plan.admin);
    let lock = admin.join("index.lock");
    let clear = || clear_stale_index_lock(&admin, &root).unwrap();
    assert_eq!(clear(), IndexLock::None);
    let open = File::create(&lock).unwrap();
    let mut child = Command::new("cat");
    let mut child = child
        .stdin(Stdio::piped())
        .stdout(open)
        .process_group(0)
        .spawn()
        .unwrap();
    assert_eq!(clear(), IndexLock::Held, "somebody has it open");
    drop(child.stdin.take());
    child.wait().unwrap();
    assert_eq!(clear(), IndexLock::Removed);
    // A git that waits for an editor has closed it.
    let mut git = repo.command(["commit", "-a", "--allow-empty"]);
    let started = repo.home().join("editor-started");
    let editor = format!("mkfifo {0} && cat {0} #", started.display());
    let mut git = git
        .current_dir(&root)
        .env("GIT_EDITOR", editor)
        .process_group(0)
        .spawn()
        .unwrap();
    let deadline = std::time::Instant::now() + WAIT;
    while !started.exists() {
        assert!(
            std::time::Instant::now() < deadline,
            "no editor was started"
        );
    }
    assert!(lock.exists());
    assert_eq!(clear(), IndexLock::Held, "a git works here");
    fs::write(&started, "").unwrap();
    git.wait().unwrap();
    File::create(&lock).unwrap();
    assert_eq!(clear(), IndexLock::Removed);
    assert!(!lock.exists());
}
