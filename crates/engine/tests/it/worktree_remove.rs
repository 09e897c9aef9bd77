//! A worktree is removed for good only when all of it is proven to exist elsewhere.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use amps_core::ground::{CreationPlan, Finding, FurnishPolicy, Orphan};
use amps_core::path::RawPath;
use amps_engine::worktree::{
    CONTEXT_FOLDER, ContextFacts, Refusal, RemovalOutcome, carry_out_restore, find_orphans,
    plan_removal, write_context,
};

use super::capture_repo::Repo;
use super::worktree_ground::{
    commit, create, furnished, git_in, is_reachable, leftovers, lock, native, noon, persons,
    planned_removal, refusal, remove, session, try_remove, write,
};

fn findings(repo: &Repo, plan: &CreationPlan) -> Vec<String> {
    let found = planned_removal(repo, plan).findings;
    found.iter().map(ToString::to_string).collect()
}

fn refused(repo: &Repo, plan: &CreationPlan) -> Refusal {
    refusal(plan_removal(&repo.engine_git(), plan, noon()))
}

#[test]
fn a_worktree_in_which_nothing_was_done_leaves_nothing_behind() {
    let repo = Repo::new();
    let plan = create(&repo, 1);
    let before = persons(&repo);
    assert_eq!(findings(&repo, &plan), Vec::<String>::new());
    let planned = planned_removal(&repo, &plan);
    assert_eq!(remove(&repo, &plan), RemovalOutcome::Removed);
    assert_eq!(leftovers(&repo), Vec::<String>::new());
    assert_eq!(repo.git(["for-each-ref", "refs/amps"]), "");
    assert_eq!(persons(&repo), before);
    assert_eq!(repo.git(["worktree", "list"]).lines().count(), 1);
    let again = try_remove(&repo.engine_git(), &planned).unwrap();
    assert_eq!(again, RemovalOutcome::Removed, "once more changes nothing");
}

#[test]
fn a_merged_branch_is_removed_for_good() {
    let repo = Repo::new();
    let plan = create(&repo, 1);
    let folder = native(&plan.worktree);
    write(&folder, "made", "x\n");
    let made = commit(&repo, &folder, "amp: made");
    repo.git(["merge", "-q", "--no-ff", "-m", "merge", &plan.branch]);
    assert_eq!(findings(&repo, &plan), Vec::<String>::new());
    assert_eq!(remove(&repo, &plan), RemovalOutcome::Removed);
    assert_eq!(leftovers(&repo), Vec::<String>::new());
    assert!(is_reachable(&repo, &made));
}

#[test]
fn everything_that_is_nowhere_else_is_found() {
    let repo = Repo::new();
    repo.write(".gitignore", "ignored*\n");
    repo.git(["add", "."]);
    repo.git(["commit", "-qm", "ignore"]);
    let plan = create(&repo, 1);
    let folder = native(&plan.worktree);
    let found = || findings(&repo, &plan);
    write(&folder, "a", "edited\n");
    assert_eq!(found(), ["1 uncommitted"]);
    git_in(&repo, &folder, &["add", "a"]);
    assert_eq!(found(), ["1 uncommitted"]);
    git_in(&repo, &folder, &["reset", "-q", "--hard"]);
    write(&folder, "new\nfile", "x\n");
    assert_eq!(found(), ["1 untracked"]);
    fs::remove_file(folder.join("new\nfile")).unwrap();
    write(&folder, "ignored.key", "secret\n");
    assert_eq!(found(), ["1 ignored and nowhere else"]);
    fs::remove_file(folder.join("ignored.key")).unwrap();
    git_in(&repo, &folder, &["update-index", "--assume-unchanged", "a"]);
    assert_eq!(found(), ["1 uncommitted"], "git is told not to look");
    git_in(
        &repo,
        &folder,
        &["update-index", "--no-assume-unchanged", "a"],
    );
    write(&folder, "a", "stashed\n");
    git_in(&repo, &folder, &["stash", "-q"]);
    assert_eq!(found(), ["1 stash entries"]);
    git_in(&repo, &folder, &["stash", "drop", "-q"]);
    git_in(&repo, &folder, &["bisect", "start"]);
    assert_eq!(found(), ["a bisect in progress"]);
    git_in(&repo, &folder, &["bisect", "reset"]);
    commit_empty(&repo, &folder);
    assert_eq!(
        found(),
        ["1 commits whose changes are in the base"],
        "it has none"
    );
    write(&folder, "a", "committed\n");
    commit(&repo, &folder, "edit");
    assert_eq!(found(), ["2 commits on no other branch"]);
    git_in(&repo, &folder, &["reset", "-q", "--hard", "HEAD~1"]);
    git_in(&repo, &folder, &["reset", "-q", "--hard", "HEAD~1"]);
    assert_eq!(
        found(),
        ["2 commits whose changes are in the base"],
        "only in a reflog"
    );
}

fn commit_empty(repo: &Repo, folder: &std::path::Path) {
    git_in(
        repo,
        folder,
        &["commit", "-q", "--allow-empty", "-m", "empty"],
    );
}

#[test]
fn commits_squashed_into_the_base_are_told_and_kept() {
    let repo = Repo::new();
    let plan = create(&repo, 1);
    let folder = native(&plan.worktree);
    write(&folder, "one", "1\n");
    commit(&repo, &folder, "amp: one");
    write(&folder, "two", "2\n");
    let tip = commit(&repo, &folder, "amp: two");
    assert_eq!(findings(&repo, &plan), ["2 commits on no other branch"]);
    repo.git(["merge", "-q", "--squash", &plan.branch]);
    repo.git(["commit", "-qm", "squashed"]);
    assert_eq!(
        findings(&repo, &plan),
        ["2 commits whose changes are in the base"]
    );
    let RemovalOutcome::Trashed(entry) = remove(&repo, &plan) else {
        panic!("commits that nobody else has went for good");
    };
    assert_eq!(leftovers(&repo), Vec::<String>::new());
    assert!(is_reachable(&repo, &tip));
    assert!(
        !native(&entry.plan.trash).exists(),
        "files can be made from commits"
    );
    carry_out_restore(&repo.engine_git(), &native(&plan.common_dir), &lock(&plan)).unwrap();
    assert_eq!(fs::read_to_string(folder.join("two")).unwrap(), "2\n");
    assert_eq!(git_in(&repo, &folder, &["rev-parse", "HEAD"]), tip);
    assert_eq!(git_in(&repo, &folder, &["status", "--porcelain"]), "");
}

#[test]
fn files_that_were_brought_along_and_not_touched_are_nobodys_work() {
    let repo = Repo::new();
    repo.write(".gitignore", "*.env\n");
    repo.git(["add", "."]);
    repo.git(["commit", "-qm", "ignore"]);
    repo.write("x.env", "KEY=1\n");
    repo.write("y.env", "KEY=2\n");
    let policy = FurnishPolicy {
        copy: vec!["*.env".to_owned()],
        ..FurnishPolicy::default()
    };
    let plan = create(&repo, 1);
    furnished(&repo, &plan, &policy);
    let folder = native(&plan.worktree);
    let facts = ContextFacts {
        session: Some("add a login"),
        ..ContextFacts::default()
    };
    write_context(&repo.engine_git(), &folder, &facts).unwrap();
    assert_eq!(findings(&repo, &plan), Vec::<String>::new());
    write(
        &folder,
        &format!("{CONTEXT_FOLDER}/ideas.md"),
        "of the agent",
    );
    assert_eq!(findings(&repo, &plan), ["1 ignored and nowhere else"]);
    fs::remove_file(folder.join(CONTEXT_FOLDER).join("ideas.md")).unwrap();
    write(&folder, "x.env", "KEY=1\n");
    repo.remove("y.env");
    assert_eq!(
        findings(&repo, &plan),
        ["2 ignored and nowhere else"],
        "one written to, one whose original is gone"
    );
}

#[test]
fn a_worktree_that_is_locked_or_worked_in_is_left_alone() {
    let repo = Repo::new();
    let plan = create(&repo, 1);
    let folder = native(&plan.worktree);
    git_in(
        &repo,
        &repo.root,
        &[
            "worktree",
            "lock",
            "--reason",
            "on a stick",
            folder.to_str().unwrap(),
        ],
    );
    assert_eq!(
        refused(&repo, &plan).to_string(),
        "the worktree is locked by git: on a stick"
    );
    git_in(
        &repo,
        &repo.root,
        &["worktree", "unlock", folder.to_str().unwrap()],
    );
    let planned = planned_removal(&repo, &plan);
    let mut child = Command::new("cat")
        .current_dir(folder.join("dir"))
        .stdin(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap();
    let told = refused(&repo, &plan);
    assert!(
        matches!(told, Refusal::Occupied { pid, .. } if pid == child.id()),
        "{told}"
    );
    assert!(try_remove(&repo.engine_git(), &planned).is_err());
    drop(child.stdin.take());
    child.wait().unwrap();
    assert_eq!(remove(&repo, &plan), RemovalOutcome::Removed);
}

#[test]
fn what_was_done_after_the_plan_stops_it() {
    let repo = Repo::new();
    let plan = create(&repo, 1);
    let folder = native(&plan.worktree);
    let planned = planned_removal(&repo, &plan);
    assert!(planned.is_proven());
    write(&folder, "late", "x\n");
    let error = try_remove(&repo.engine_git(), &planned).unwrap_err();
    assert_eq!(
        error.to_string(),
        "what is in the worktree changed since this was planned"
    );
    fs::remove_file(folder.join("late")).unwrap();
    commit_empty(&repo, &folder);
    let error = try_remove(&repo.engine_git(), &planned).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the branch changed since this was planned"
    );
    assert!(folder.join("a").exists());
    assert_eq!(repo.git(["for-each-ref", "refs/amps/trash"]), "");
}

#[test]
fn a_branch_that_somebody_else_has_checked_out_stays() {
    let repo = Repo::new();
    let plan = create(&repo, 1);
    let folder = native(&plan.worktree);
    git_in(&repo, &folder, &["checkout", "-q", "--detach"]);
    let other = repo.home().join("other");
    let name = plan.branch.trim_start_matches("refs/heads/");
    repo.git(["worktree", "add", "-q", other.to_str().unwrap(), name]);
    assert_eq!(remove(&repo, &plan), RemovalOutcome::Removed);
    assert_eq!(
        git_in(&repo, &other, &["symbolic-ref", "HEAD"]),
        plan.branch
    );
    assert_eq!(
        git_in(&repo, &other, &["rev-parse", "HEAD"]),
        plan.base.as_str()
    );
}

#[test]
fn a_branch_that_was_renamed_is_the_persons() {
    let repo = Repo::new();
    let plan = create(&repo, 1);
    let folder = native(&plan.worktree);
    write(&folder, "made", "x\n");
    let made = commit(&repo, &folder, "made");
    git_in(&repo, &folder, &["branch", "-m", "mine"]);
    assert_eq!(remove(&repo, &plan), RemovalOutcome::Removed);
    assert_eq!(repo.git(["rev-parse", "refs/heads/mine"]), made);
}

#[test]
fn commits_of_a_branch_that_was_deleted_are_kept() {
    let repo = Repo::new();
    let plan = create(&repo, 1);
    let folder = native(&plan.worktree);
    write(&folder, "made", "x\n");
    let made = commit(&repo, &folder, "made");
    repo.git(["update-ref", "-d", &plan.branch]);
    let RemovalOutcome::Trashed(entry) = remove(&repo, &plan) else {
        panic!("commits that nobody else has went for good");
    };
    assert!(is_reachable(&repo, &made));
    assert!(native(&entry.plan.trash).join("made").exists());
}

#[test]
fn a_worktree_that_was_moved_is_found_where_it_is() {
    let repo = Repo::new();
    let plan = create(&repo, 1);
    let to = repo.home().join("moved away");
    let from = native(&plan.worktree);
    repo.git([
        "worktree",
        "move",
        from.to_str().unwrap(),
        to.to_str().unwrap(),
    ]);
    write(&to, "new", "x\n");
    let planned = planned_removal(&repo, &plan);
    assert_eq!(planned.worktree.as_ref().map(native), Some(to.clone()));
    try_remove(&repo.engine_git(), &planned).unwrap();
    assert!(!to.exists());
    carry_out_restore(&repo.engine_git(), &native(&plan.common_dir), &lock(&plan)).unwrap();
    assert_eq!(fs::read_to_string(to.join("new")).unwrap(), "x\n");
    assert_eq!(git_in(&repo, &to, &["symbolic-ref", "HEAD"]), plan.branch);
}

#[test]
fn a_folder_that_was_deleted_or_is_not_known_to_git_is_still_removed_safely() {
    let repo = Repo::new();
    let gone = create(&repo, 1);
    fs::remove_dir_all(native(&gone.worktree)).unwrap();
    assert_eq!(remove(&repo, &gone), RemovalOutcome::Removed);
    let unknown = create(&repo, 2);
    let folder = native(&unknown.worktree);
    write(&folder, "new", "x\n");
    fs::rename(&folder, repo.home().join("aside")).unwrap();
    repo.git(["worktree", "prune"]);
    fs::rename(repo.home().join("aside"), &folder).unwrap();
    assert_eq!(
        findings(&repo, &unknown),
        ["a folder that git does not know any more"]
    );
    let RemovalOutcome::Trashed(entry) = remove(&repo, &unknown) else {
        panic!("files that nobody looked at went for good");
    };
    assert_eq!(
        fs::read_to_string(native(&entry.plan.trash).join("new")).unwrap(),
        "x\n"
    );
    assert_eq!(leftovers(&repo), Vec::<String>::new());
}

#[test]
fn submodules_come_from_the_main_checkout_and_work_in_them_is_found() {
    let inner = Repo::new();
    let repo = Repo::new();
    let url = inner.root.to_str().unwrap();
    repo.git([
        "submodule",
        "--quiet",
        "add",
        "--name",
        "in ner",
        url,
        "sub dir",
    ]);
    repo.git(["commit", "-qm", "submodule"]);
    let plan = create(&repo, 1);
    let away = inner.home().join("away");
    fs::rename(&inner.root, &away).unwrap();
    let git = repo.engine_git();
    let left = amps_engine::worktree::init_submodules(&git, &plan, &lock(&plan)).unwrap();
    assert_eq!(left, []);
    fs::rename(&away, &inner.root).unwrap();
    let sub = native(&plan.worktree).join("sub dir");
    assert_eq!(
        fs::read_to_string(sub.join("b")).unwrap(),
        "four\nfive\nsix\n"
    );
    assert_eq!(git_in(&repo, &sub, &["remote", "get-url", "origin"]), url);
    assert_eq!(findings(&repo, &plan), Vec::<String>::new());
    write(&sub, "new", "x\n");
    assert_eq!(
        findings(&repo, &plan),
        ["1 uncommitted", "work in the submodule sub dir"]
    );
    commit(&repo, &sub, "inside");
    assert_eq!(
        findings(&repo, &plan),
        ["1 uncommitted", "work in the submodule sub dir"]
    );
    git_in(&repo, &sub, &["reset", "-q", "--hard", "HEAD~1"]);
    assert_eq!(
        findings(&repo, &plan),
        ["work in the submodule sub dir"],
        "in a reflog"
    );
    remove(&repo, &plan);
    carry_out_restore(&git, &native(&plan.common_dir), &lock(&plan)).unwrap();
    assert_eq!(git_in(&repo, &sub, &["status", "--porcelain"]), "");
    assert!(git_in(&repo, &sub, &["log", "-g", "--format=%s"]).contains("inside"));
}

#[test]
fn differences_between_git_and_the_known_sessions_are_reported_and_left() {
    let repo = Repo::new();
    let [fine, gone, moved, switched] = [1, 2, 3, 4].map(|number| create(&repo, number));
    let stray = create(&repo, 5);
    fs::remove_dir_all(native(&gone.worktree)).unwrap();
    let to = repo.home().join("moved");
    let from = native(&moved.worktree);
    repo.git([
        "worktree",
        "move",
        from.to_str().unwrap(),
        to.to_str().unwrap(),
    ]);
    git_in(
        &repo,
        &native(&switched.worktree),
        &["checkout", "-q", "-b", "mine"],
    );
    repo.git([
        "branch",
        "-qD",
        switched.branch.trim_start_matches("refs/heads/"),
    ]);
    let before = repo.everything();
    let known = [fine, gone, moved, switched];
    let worktrees = repo.root.join(".worktrees");
    let common_dir = native(&known[0].common_dir);
    let found = find_orphans(&repo.engine_git(), &common_dir, &worktrees, &known).unwrap();
    let tip = match found.last() {
        Some(Orphan::Branch { tip }) => tip.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(tip.name, stray.branch);
    assert_eq!(
        found,
        [
            Orphan::FolderGone {
                session: session(2)
            },
            Orphan::Moved {
                session: session(3),
                path: RawPath::new(to.to_str().unwrap())
            },
            Orphan::BranchGone {
                session: session(4)
            },
            Orphan::OtherBranch {
                session: session(4),
                branch: Some("refs/heads/mine".to_owned())
            },
            Orphan::Worktree {
                path: stray.worktree,
                branch: Some(stray.branch)
            },
            Orphan::Branch { tip },
        ]
    );
    assert_eq!(repo.everything(), before);
    assert!(planned_removal(&repo, &known[0]).findings.is_empty());
    let stash = Finding::Stash { count: 0 };
    assert_eq!(stash.to_string(), "0 stash entries");
}
