//! What went to the trash comes back as it was, and leaves it only when it was kept long enough.

use std::fs;
use std::time::Duration;

use amps_core::ground::TrashStage;
use amps_engine::worktree::{Refusal, RemovalOutcome, carry_out_restore, empty_trash, list_trash};
use jiff::SignedDuration;

use super::capture_repo::Repo;
use super::worktree_ground::{
    commit, create, everything_below, git_in, is_reachable, leftovers, lock, native, refusal,
    remove, write,
};

/// A worktree in which an agent was at everything that an agent can be at.
fn busy(repo: &Repo) -> (amps_core::ground::CreationPlan, Vec<String>) {
    let plan = create(repo, 1);
    let folder = native(&plan.worktree);
    let blob = |content: &str| {
        write(&folder, "blob", content);
        let name = git_in(repo, &folder, &["hash-object", "-w", "blob"]);
        fs::remove_file(folder.join("blob")).unwrap();
        name
    };
    let mut objects = vec![
        blob("committed\n"),
        blob("amended away\n"),
        blob("staged\n"),
    ];
    objects.push(blob("not staged\n"));
    write(&folder, "made", "amended away\n");
    objects.push(commit(repo, &folder, "amp: made"));
    write(&folder, "made", "committed\n");
    git_in(
        repo,
        &folder,
        &["commit", "-qa", "--amend", "-m", "amp: made"],
    );
    objects.push(git_in(repo, &folder, &["rev-parse", "HEAD"]));
    write(&folder, "a", "staged\n");
    git_in(repo, &folder, &["add", "a"]);
    write(&folder, "a", "not staged\n");
    write(&folder, "un tracked/\u{e9}\n", "untracked\n");
    write(&folder, "key.pem", "-----BEGIN PRIVATE KEY-----\n");
    write(&folder, "ignored.o", "ignored\n");
    std::os::unix::fs::symlink("../outside", folder.join("link")).unwrap();
    (plan, objects)
}

fn busy_repo() -> Repo {
    let repo = Repo::new();
    repo.write(".gitignore", "*.o\n");
    repo.git(["add", "."]);
    repo.git(["commit", "-qm", "ignore"]);
    repo
}

#[test]
fn everything_comes_back_from_the_trash() {
    let repo = busy_repo();
    let (plan, objects) = busy(&repo);
    let folder = native(&plan.worktree);
    let before = everything_below(&folder);
    let status = git_in(&repo, &folder, &["status", "--porcelain=v2", "--branch"]);
    let log = git_in(&repo, &folder, &["log", "-g", "--format=%H %gs"]);
    let RemovalOutcome::Trashed(entry) = remove(&repo, &plan) else {
        panic!("work went for good");
    };
    assert_eq!(entry.stage, TrashStage::Kept);
    assert!(!folder.exists());
    assert_eq!(leftovers(&repo), Vec::<String>::new());
    repo.git(["reflog", "expire", "--expire=now", "--all"]);
    repo.git(["gc", "-q", "--prune=now"]);
    for object in &objects {
        assert!(is_reachable(&repo, object), "{object}");
    }
    let snapshot = entry.snapshot.as_ref().unwrap().commit.clone().unwrap();
    let kept = repo.git(["ls-tree", "-r", "--name-only", "-z", snapshot.as_str()]);
    assert!(
        kept.contains("un tracked/\u{e9}\n") && !kept.contains("key.pem"),
        "{kept}"
    );
    let common_dir = native(&plan.common_dir);
    assert_eq!(list_trash(&common_dir).unwrap(), [*entry]);
    carry_out_restore(&repo.engine_git(), &common_dir, &lock(&plan)).unwrap();
    assert_eq!(everything_below(&folder), before);
    assert_eq!(
        git_in(&repo, &folder, &["status", "--porcelain=v2", "--branch"]),
        status
    );
    assert_eq!(
        git_in(&repo, &folder, &["log", "-g", "--format=%H %gs"]),
        log
    );
    assert_eq!(list_trash(&common_dir).unwrap(), []);
    assert_eq!(repo.git(["for-each-ref", "refs/amps"]), "");
    assert_eq!(repo.git(["worktree", "prune", "--verbose"]), "");
}

#[test]
fn nothing_is_overwritten_by_what_comes_back() {
    let repo = busy_repo();
    let (plan, _) = busy(&repo);
    let folder = native(&plan.worktree);
    remove(&repo, &plan);
    let common_dir = native(&plan.common_dir);
    let restored = || carry_out_restore(&repo.engine_git(), &common_dir, &lock(&plan));
    let refused = || refusal(restored());
    write(&folder, "newer", "x");
    assert!(matches!(refused(), Refusal::InTheWay { .. }));
    fs::remove_dir_all(&folder).unwrap();
    repo.git(["update-ref", &plan.branch, "HEAD"]);
    assert!(matches!(refused(), Refusal::BranchTaken { .. }));
    repo.git(["update-ref", "-d", &plan.branch]);
    carry_out_restore(&repo.engine_git(), &common_dir, &lock(&plan)).unwrap();
    assert!(folder.join("made").exists());
    assert!(matches!(refused(), Refusal::NotInTrash { .. }));
}

#[test]
fn the_trash_is_emptied_of_what_was_kept_long_enough() {
    let repo = busy_repo();
    let (plan, objects) = busy(&repo);
    let RemovalOutcome::Trashed(entry) = remove(&repo, &plan) else {
        panic!("work went for good");
    };
    let common_dir = native(&plan.common_dir);
    let month = Duration::from_secs(30 * 86_400);
    let past = |days: i64| {
        let now = entry.trashed_at + SignedDuration::from_hours(24 * days);
        empty_trash(&repo.engine_git(), &common_dir, |entry| {
            entry.is_past(month, now)
        })
        .unwrap()
    };
    assert_eq!(past(29).len(), 0);
    assert!(is_reachable(&repo, &objects[0]));
    let held = lock(&plan);
    assert_eq!(past(31).len(), 0, "somebody works on it");
    drop(held);
    assert_eq!(past(31).len(), 1);
    assert_eq!(list_trash(&common_dir).unwrap(), []);
    assert!(!is_reachable(&repo, &objects[0]));
    assert_eq!(repo.git(["for-each-ref", "refs/amps"]), "");
    assert!(
        !common_dir
            .join("amps/trash")
            .join(plan.session.to_string())
            .exists()
    );
}

#[test]
fn other_formats_of_objects_and_references_have_a_trash_too() {
    for option in ["--object-format=sha256", "--ref-format=reftable"] {
        let repo = Repo::with(&[option]);
        repo.write(".gitignore", "*.o\n");
        repo.git(["add", "."]);
        repo.git(["commit", "-qm", "ignore"]);
        let (plan, objects) = busy(&repo);
        let folder = native(&plan.worktree);
        let before = everything_below(&folder);
        assert!(
            matches!(remove(&repo, &plan), RemovalOutcome::Trashed(_)),
            "{option}"
        );
        for object in &objects {
            assert!(is_reachable(&repo, object), "{option}: {object}");
        }
        let common_dir = native(&plan.common_dir);
        carry_out_restore(&repo.engine_git(), &common_dir, &lock(&plan)).unwrap();
        assert_eq!(everything_below(&folder), before, "{option}");
        assert_eq!(
            git_in(&repo, &folder, &["symbolic-ref", "HEAD"]),
            plan.branch
        );
    }
}
