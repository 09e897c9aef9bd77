//! What an agent is told in files is never committed.

use std::fs;
use std::os::unix::fs::symlink;

use amps_engine::worktree::{ContextFacts, Refusal, WorktreeError, write_context};

use super::capture_repo::Repo;
use super::worktree_ground::{create, git_in, native};

#[test]
fn the_files_are_written_replaced_and_removed_and_git_does_not_see_them() {
    let repo = Repo::new();
    let plan = create(&repo, 1);
    let folder = native(&plan.worktree);
    let git = repo.engine_git();
    let mut facts = ContextFacts {
        session: Some("add a login\n"),
        diff_summary: Some("none\n"),
        iteration_log: Some(""),
        last_status: Some("{}"),
        rebase_help: Some("git rebase --continue\n"),
    };
    write_context(&git, &folder, &facts).unwrap();
    facts.rebase_help = None;
    facts.last_status = Some("{\"gate\":\"passed\"}");
    write_context(&git, &folder, &facts).unwrap();
    let mut names: Vec<_> = fs::read_dir(folder.join("AGENT_CONTEXT"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "DIFF_SUMMARY.txt",
            "ITERATION_LOG.md",
            "LAST_STATUS.json",
            "SESSION.md"
        ]
    );
    git_in(&repo, &folder, &["add", "--all"]);
    assert_eq!(git_in(&repo, &folder, &["status", "--porcelain"]), "");
}

#[test]
fn a_repository_with_files_of_its_own_there_keeps_them() {
    let repo = Repo::new();
    repo.write("AGENT_CONTEXT/SESSION.md", "ours\n");
    repo.git(["add", "."]);
    repo.git(["commit", "-qm", "context"]);
    let plan = create(&repo, 1);
    let facts = ContextFacts::default();
    let error = write_context(&repo.engine_git(), &native(&plan.worktree), &facts).unwrap_err();
    assert!(matches!(
        error,
        WorktreeError::Refused(Refusal::InTheWay { .. })
    ));
    let file = native(&plan.worktree).join("AGENT_CONTEXT/SESSION.md");
    assert_eq!(fs::read_to_string(file).unwrap(), "ours\n");
}

#[test]
fn a_link_in_place_of_the_folder_is_neither_followed_nor_committed() {
    let repo = Repo::new();
    let plan = create(&repo, 1);
    let folder = native(&plan.worktree);
    symlink(repo.home(), folder.join("AGENT_CONTEXT")).unwrap();
    let facts = ContextFacts {
        session: Some("add a login\n"),
        ..ContextFacts::default()
    };
    let error = write_context(&repo.engine_git(), &folder, &facts).unwrap_err();
    assert!(matches!(
        error,
        WorktreeError::Refused(Refusal::InTheWay { .. })
    ));
    assert!(!repo.home().join("SESSION.md").exists());
    git_in(&repo, &folder, &["add", "--all"]);
    assert_eq!(git_in(&repo, &folder, &["status", "--porcelain"]), "");
}
