//! Whoever works in a worktree that is half made loses nothing of it.
#![cfg(feature = "testing")]

use std::fs;
use std::path::Path;

use amps_core::ground::CreationPlan;
use amps_engine::worktree::{Refusal, carry_out_creation, undo_creation};

use super::capture_repo::Repo;
use super::worktree_ground::{commit, git_in, leftovers, lock, native, plan, refusal, write};
use super::worktree_killed::kill_at;

fn status(repo: &Repo, folder: &Path) -> String {
    git_in(repo, folder, &["status", "--porcelain", "--ignored"])
}

/// Goes on with a creation, and fails unless it comes to its end.
fn go_on(repo: &Repo, plan: &CreationPlan) {
    carry_out_creation(&repo.engine_git(), plan, &lock(plan)).unwrap();
    let listed = repo.git(["worktree", "list", "--porcelain"]);
    assert!(!listed.contains("locked"), "{listed}");
}

fn try_undo(repo: &Repo, plan: &CreationPlan) -> Refusal {
    refusal(undo_creation(&repo.engine_git(), plan, &lock(plan)))
}

#[test]
fn work_done_before_a_creation_goes_on_stays_and_is_never_undone() {
    let repo = Repo::new();
    let plan = plan(&repo, 1);
    let folder = native(&plan.worktree);
    assert!(kill_at(&repo, "create", &plan, "worktree-checked-out"));
    write(&folder, "made", "x\n");
    let made = commit(&repo, &folder, "made");
    let worked_in = Refusal::WorkedIn {
        path: plan.worktree.clone(),
    };
    assert_eq!(try_undo(&repo, &plan), worked_in, "a commit");
    write(&folder, "a", "edited\n");
    write(&folder, "new", "new\n");
    assert_eq!(try_undo(&repo, &plan), worked_in);
    go_on(&repo, &plan);
    assert_eq!(status(&repo, &folder), " M a\n?? new");
    assert_eq!(git_in(&repo, &folder, &["rev-parse", "HEAD"]), made);
    assert_eq!(repo.git(["rev-parse", &plan.branch]), made);
}

#[test]
fn every_kind_of_work_keeps_a_half_made_worktree() {
    let repo = Repo::new();
    repo.write(".gitignore", "*.o\n");
    repo.git(["add", "."]);
    repo.git(["commit", "-qm", "ignore"]);
    let plan = plan(&repo, 1);
    let folder = native(&plan.worktree);
    assert!(kill_at(&repo, "create", &plan, "worktree-checkout"));
    for name in ["a", "new", "new.o"] {
        write(&folder, name, "mine\n");
        let told = try_undo(&repo, &plan);
        assert!(matches!(told, Refusal::WorkedIn { .. }), "{name}: {told}");
        fs::remove_file(folder.join(name)).unwrap();
    }
    undo_creation(&repo.engine_git(), &plan, &lock(&plan)).unwrap();
    assert_eq!(leftovers(&repo), Vec::<String>::new());
}

#[test]
fn commits_made_without_a_branch_keep_a_half_made_worktree() {
    let repo = Repo::new();
    let plan = plan(&repo, 1);
    let folder = native(&plan.worktree);
    assert!(kill_at(&repo, "create", &plan, "worktree-checked-out"));
    git_in(&repo, &folder, &["checkout", "-q", "--detach"]);
    write(&folder, "made", "x\n");
    commit(&repo, &folder, "made");
    assert!(matches!(try_undo(&repo, &plan), Refusal::WorkedIn { .. }));
    assert!(folder.join("made").exists());
}

#[test]
fn a_checkout_that_goes_on_adds_what_is_missing_and_replaces_nothing() {
    let repo = Repo::new();
    let plan = plan(&repo, 1);
    let folder = native(&plan.worktree);
    assert!(kill_at(&repo, "create", &plan, "worktree-checkout"));
    write(&folder, "a", "mine\n");
    let b = fs::read_to_string(repo.root.join("b")).unwrap();
    write(&folder, "b", b);
    write(&folder, "new", "new\n");
    go_on(&repo, &plan);
    assert_eq!(status(&repo, &folder), " M a\n?? new");
    assert_eq!(fs::read_to_string(folder.join("a")).unwrap(), "mine\n");
    assert!(folder.join("dir/c").exists());
}

#[test]
fn a_sparse_checkout_that_goes_on_stays_sparse() {
    let repo = Repo::new();
    repo.git(["sparse-checkout", "set", "--cone", "other"]);
    let plan = plan(&repo, 1);
    let folder = native(&plan.worktree);
    assert!(kill_at(&repo, "create", &plan, "worktree-checkout"));
    write(&folder, "new", "new\n");
    go_on(&repo, &plan);
    assert!(folder.join("a").exists() && !folder.join("dir").exists());
    assert_eq!(status(&repo, &folder), "?? new");
}
