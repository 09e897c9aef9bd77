//! A removal that goes on, or that is one of several, takes nothing for safe that is so no more.
#![cfg(feature = "testing")]

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use amps_core::ground::CreationPlan;
use amps_engine::worktree::{
    Refusal, RemovalOutcome, RepositoryLock, carry_out_restore, list_trash, plan_removal,
};

use super::capture_repo::Repo;
use super::worktree_ground::{
    commit, create, git_in, is_reachable, leftovers, lock, native, noon, planned_removal, refusal,
    remove, try_remove, write,
};
use super::worktree_killed::{kill_at, look_and_kill_at};

/// A worktree with a commit that a branch of the person's has, too.
fn merged(repo: &Repo) -> (CreationPlan, String) {
    let plan = create(repo, 1);
    let folder = native(&plan.worktree);
    write(&folder, "made", "x\n");
    let made = commit(repo, &folder, "made");
    repo.git(["branch", "theirs", &made]);
    (plan, made)
}

#[test]
fn commits_that_are_elsewhere_no_more_are_kept_by_a_removal_that_goes_on() {
    for point in ["removal-files-moved", "removal-unregistered"] {
        let repo = Repo::new();
        let (plan, made) = merged(&repo);
        let removal = planned_removal(&repo, &plan);
        assert!(removal.is_proven());
        assert!(kill_at(&repo, "remove", &removal, point), "{point}");
        repo.git(["branch", "-qD", "theirs"]);
        let outcome = try_remove(&repo.engine_git(), &removal).unwrap();
        assert!(matches!(outcome, RemovalOutcome::Trashed(_)), "{point}");
        assert!(is_reachable(&repo, &made), "{point}");
        assert_eq!(leftovers(&repo), Vec::<String>::new());
        let common_dir = native(&plan.common_dir);
        carry_out_restore(&repo.engine_git(), &common_dir, &lock(&plan)).unwrap();
        assert_eq!(repo.git(["rev-parse", &plan.branch]), made);
        let folder = native(&plan.worktree);
        assert_eq!(fs::read_to_string(folder.join("made")).unwrap(), "x\n");
        assert_eq!(git_in(&repo, &folder, &["status", "--porcelain"]), "");
    }
}

#[test]
fn so_are_commits_that_only_the_worktree_is_at() {
    for format in ["--ref-format=files", "--ref-format=reftable"] {
        let repo = Repo::with(&[format]);
        let plan = create(&repo, 1);
        let folder = native(&plan.worktree);
        git_in(&repo, &folder, &["checkout", "-q", "--detach"]);
        write(&folder, "made", "x\n");
        let made = commit(&repo, &folder, "made");
        repo.git(["branch", "theirs", &made]);
        let removal = planned_removal(&repo, &plan);
        assert!(removal.is_proven(), "{format}");
        assert!(kill_at(&repo, "remove", &removal, "removal-unregistered"));
        repo.git(["branch", "-qD", "theirs"]);
        let outcome = try_remove(&repo.engine_git(), &removal).unwrap();
        assert!(matches!(outcome, RemovalOutcome::Trashed(_)), "{format}");
        assert!(is_reachable(&repo, &made), "{format}");
    }
}

#[test]
fn a_removal_that_has_moved_nothing_is_void_when_somebody_has_come_back() {
    let repo = Repo::new();
    let (plan, _) = merged(&repo);
    let folder = native(&plan.worktree);
    let git = repo.engine_git();
    let removal = planned_removal(&repo, &plan);
    let begin = || assert!(kill_at(&repo, "remove", &removal, "removal-files-kept"));
    begin();
    let mut child = Command::new("cat")
        .current_dir(&folder)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let told = refusal(try_remove(&git, &removal));
    assert!(matches!(told, Refusal::Occupied { .. }), "{told}");
    drop(child.stdin.take());
    child.wait().unwrap();
    begin();
    write(&folder, "late", "x\n");
    let told = refusal(try_remove(&git, &removal));
    assert!(matches!(told, Refusal::Changed { .. }), "{told}");
    assert!(folder.join("late").exists());
    let common_dir = native(&plan.common_dir);
    assert_eq!(list_trash(&common_dir).unwrap(), []);
    fs::remove_file(folder.join("late")).unwrap();
    begin();
    repo.git(["branch", "-qD", "theirs"]);
    let told = refusal(try_remove(&git, &removal));
    assert!(matches!(told, Refusal::Changed { .. }), "{told}");
    assert!(matches!(remove(&repo, &plan), RemovalOutcome::Trashed(_)));
}

#[test]
fn two_sessions_do_not_prove_each_other() {
    let repo = Repo::new();
    let (one, other) = (create(&repo, 1), create(&repo, 2));
    let folder = native(&one.worktree);
    write(&folder, "made", "x\n");
    let made = commit(&repo, &folder, "made");
    let merge = ["merge", "-q", "--ff-only", &made];
    git_in(&repo, &native(&other.worktree), &merge);
    let removal = planned_removal(&repo, &one);
    assert!(removal.is_proven());
    assert!(kill_at(&repo, "remove", &removal, "removal-files-moved"));
    assert_eq!(remove(&repo, &other), RemovalOutcome::Removed);
    let outcome = try_remove(&repo.engine_git(), &removal).unwrap();
    assert!(matches!(outcome, RemovalOutcome::Trashed(_)));
    assert!(is_reachable(&repo, &made));
}

#[test]
fn no_other_removal_comes_between_the_last_look_and_the_end_of_a_branch() {
    let repo = Repo::new();
    let (plan, _) = merged(&repo);
    let removal = planned_removal(&repo, &plan);
    let common_dir = native(&plan.common_dir);
    let point = "removal-commits-looked-at";
    let came = look_and_kill_at(&repo, "remove", &removal, point, || {
        let taken = RepositoryLock::take(&common_dir, "a test", Duration::ZERO);
        assert!(matches!(refusal(taken), Refusal::Held { .. }));
    });
    assert!(came);
    let outcome = try_remove(&repo.engine_git(), &removal).unwrap();
    assert_eq!(outcome, RemovalOutcome::Removed);
}

#[test]
fn a_worktree_with_another_one_in_it_stays() {
    let repo = Repo::new();
    let plan = create(&repo, 1);
    let inner = native(&plan.worktree).join("dir/inner");
    let inner = inner.to_str().unwrap();
    repo.git(["worktree", "add", "-q", inner]);
    let told = refusal(plan_removal(&repo.engine_git(), &plan, noon()));
    assert_eq!(told.to_string(), format!("the worktree {inner} lies in it"));
    repo.git(["worktree", "remove", inner]);
    assert_eq!(remove(&repo, &plan), RemovalOutcome::Removed);
}
