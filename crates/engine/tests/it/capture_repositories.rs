//! Every kind of repository that people have can be captured.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use amps_core::capture::{CaptureLimits, Failure};
use amps_core::snapshot::WorkspaceKind;
use amps_engine::capture::{CaptureError, Cutoff, Exclusion, discover, freeze, root_commits};

use super::capture_repo::{Repo, listed, now};

fn agent(repo: &Repo) {
    repo.append("a", "by the agent\n");
    repo.remove("b");
    repo.write("new", "by the agent\n");
}

const BY_AGENT: [&str; 3] = ["M a", "D b", "A new"];

#[test]
fn before_the_first_commit() {
    let repo = Repo::unborn(&[]);
    repo.write("a", "staged\n");
    repo.git(["add", "a"]);
    repo.write("a", "on top\n");
    repo.write("b", "untracked\n");
    let base = repo.base();
    assert_eq!((&base.head, base.branch.as_deref()), (&None, Some("main")));
    let commit = base.commit.clone().unwrap();
    assert_eq!(repo.git(["show", &format!("{commit}^1:a")]), "staged");
    agent(&repo);
    assert_eq!(listed(&repo.compare(&base, &repo.end())), BY_AGENT);
    assert!(
        root_commits(&repo.engine_git(), &repo.workspace())
            .unwrap()
            .is_empty()
    );
}

#[test]
fn an_empty_repository_gives_an_empty_tree() {
    let repo = Repo::unborn(&[]);
    let changeset = repo.run(|repo| {
        repo.write("a", "x\n");
        repo.git(["add", "a"]);
        repo.git(["commit", "-qm", "the very first"]);
    });
    assert_eq!(listed(&changeset), ["A a"]);
    assert_eq!(changeset.commits[0].subject, "the very first");
}

#[test]
fn a_detached_head() {
    let repo = Repo::new();
    repo.git(["checkout", "-q", "--detach"]);
    let base = repo.base();
    assert_eq!(base.branch, None);
    agent(&repo);
    repo.git(["commit", "-qam", "on no branch"]);
    let changeset = repo.compare(&base, &repo.end());
    assert_eq!(listed(&changeset), BY_AGENT);
    assert_eq!(changeset.commits[0].subject, "on no branch");
}

#[test]
fn a_linked_worktree_and_its_own_reflog() {
    let repo = Repo::new();
    let root = repo.home().join("linked");
    repo.git([
        "worktree",
        "add",
        "-q",
        root.to_str().unwrap(),
        "-b",
        "side",
    ]);
    let main_git_dir = repo.root.join(".git");
    let repo = repo.elsewhere(root.canonicalize().unwrap());
    let workspace = repo.workspace();
    assert_eq!(
        workspace.common_dir.to_string(),
        main_git_dir.to_str().unwrap()
    );
    assert_ne!(workspace.git_dir, workspace.common_dir);
    let changeset = repo.run(|repo| {
        agent(repo);
        repo.git(["commit", "-qam", "in the side"]);
    });
    assert_eq!(listed(&changeset), BY_AGENT);
    assert_eq!(changeset.commits.len(), 1);
}

#[test]
fn a_merge_in_progress_with_conflicts() {
    let repo = Repo::new();
    repo.git(["checkout", "-qb", "side"]);
    repo.write("a", "side\n");
    repo.git(["commit", "-qam", "side"]);
    repo.git(["checkout", "-q", "main"]);
    repo.write("a", "main\n");
    repo.git(["rm", "-q", "b"]);
    repo.git(["commit", "-qam", "main"]);
    assert!(!repo.try_git(["merge", "side"]).status.success());
    let changeset = repo.run(|repo| {
        repo.write("a", "resolved\n");
        repo.write("c", "new\n");
    });
    assert_eq!(listed(&changeset), ["M a", "A c"]);
    assert_eq!(repo.git(["show", "refs/amps/end:a"]), "resolved");
    assert!(repo.git(["show", "refs/amps/base:a"]).contains("<<<<<<<"));
    assert!(repo.root.join(".git/MERGE_HEAD").exists());
}

#[test]
fn a_sparse_checkout_does_not_read_as_deleted() {
    for index in ["--no-sparse-index", "--sparse-index"] {
        let repo = Repo::new();
        repo.write("far/away", "x\n");
        repo.git(["add", "."]);
        repo.git(["commit", "-qm", "far"]);
        repo.git(["sparse-checkout", "set", "--cone", index, "dir"]);
        assert!(!repo.full("far").exists());
        let changeset = repo.run(agent);
        assert_eq!(listed(&changeset), BY_AGENT);
        assert_eq!(repo.git(["show", "refs/amps/end:far/away"]), "x");
    }
}

#[test]
fn other_formats_of_objects_references_and_index() {
    for options in [&["--object-format=sha256"], &["--ref-format=reftable"]] {
        let repo = Repo::with(options);
        repo.git(["update-index", "--split-index"]);
        let changeset = repo.run(|repo| {
            agent(repo);
            repo.git(["commit", "-qam", "by the agent"]);
        });
        assert_eq!(listed(&changeset), BY_AGENT, "{options:?}");
        assert_eq!(changeset.commits.len(), 1, "{options:?}");
    }
}

#[test]
fn shallow_and_partial_clones() {
    let origin = Repo::new();
    origin.git(["commit", "-q", "--allow-empty", "-m", "second"]);
    origin.git(["config", "uploadpack.allowFilter", "true"]);
    let url = format!("file://{}", origin.root.display());
    for option in ["--depth=1", "--filter=blob:none"] {
        let repo = Repo::folder();
        repo.git(["clone", "-q", option, &url, "."]);
        assert_eq!(listed(&repo.run(agent)), BY_AGENT, "{option}");
    }
}

#[test]
fn a_folder_that_is_no_repository() {
    let repo = Repo::folder();
    repo.write("a", "from before\n");
    repo.write("b", "from before\n");
    repo.write(".gitignore", "ignored\n");
    repo.write("ignored", "x\n");
    let workspace = repo.workspace();
    assert_eq!(workspace.kind, WorkspaceKind::Folder);
    assert_eq!(workspace, repo.workspace());
    let mode = fs::metadata(workspace.git_dir.to_string())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700);
    assert_eq!(listed(&repo.run(agent)), BY_AGENT);
    assert!(!repo.full(".git").exists());
}

#[test]
fn folders_that_are_never_captured_are_refused_for_good() {
    let repo = Repo::folder();
    let git = repo.engine_git();
    let reason = |folder: &std::path::Path| {
        let error = discover(&git, folder, &repo.folders_dir()).unwrap_err();
        assert_eq!(error.failure(), Failure::Permanent, "{error}");
        match error {
            CaptureError::Excluded { reason, .. } => reason,
            other => panic!("{other}"),
        }
    };
    assert_eq!(reason(repo.home()), Exclusion::Home);
    assert_eq!(reason("/".as_ref()), Exclusion::FileSystemRoot);
    let other = Repo::new();
    assert_eq!(reason(&other.root.join(".git")), Exclusion::NoWorkingTree);
    other.git(["init", "-q", "--bare", "bare"]);
    assert_eq!(reason(&other.full("bare")), Exclusion::NoWorkingTree);
}

#[test]
fn a_folder_with_too_many_files_is_refused_before_it_is_read() {
    let repo = Repo::folder();
    for number in 0..11 {
        repo.write(format!("f{number}"), "x");
    }
    let limits = CaptureLimits {
        max_folder_files: 10,
        ..CaptureLimits::default()
    };
    let cutoff = Cutoff::open(now());
    let side = amps_core::capture::Side::Base;
    let error = freeze(
        &repo.engine_git(),
        &repo.workspace(),
        side,
        &cutoff,
        &limits,
    )
    .unwrap_err();
    assert_eq!(error.failure(), Failure::Permanent);
    assert!(error.to_string().contains("more than 10 files"), "{error}");
}

#[test]
fn a_repository_that_git_refuses_is_refused_with_its_words() {
    let repo = Repo::new();
    repo.git(["config", "extensions.unheardOf", "true"]);
    repo.git(["config", "core.repositoryFormatVersion", "1"]);
    let error = discover(&repo.engine_git(), &repo.root, &repo.folders_dir()).unwrap_err();
    assert_eq!(error.failure(), Failure::Permanent);
    assert!(error.to_string().contains("unheardof"), "{error}");
}

#[test]
fn a_repository_of_somebody_else_is_refused_with_the_words_of_git() {
    let repo = Repo::new();
    let git = repo.engine_git_with("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1");
    let error = discover(&git, &repo.root, &repo.folders_dir()).unwrap_err();
    assert_eq!(error.failure(), Failure::Permanent);
    assert!(error.to_string().contains("dubious ownership"), "{error}");
}

#[test]
fn worktrees_of_a_project_share_their_root_commits() {
    let repo = Repo::new();
    let roots = root_commits(&repo.engine_git(), &repo.workspace()).unwrap();
    assert_eq!(roots.len(), 1);
    assert_eq!(
        roots[0].as_str(),
        repo.git(["rev-list", "--max-parents=0", "HEAD"])
    );
}

#[test]
fn a_root_with_a_line_break_in_its_name_is_found() {
    let repo = Repo::folder();
    let odd = repo.root.join("line\nbreak");
    fs::create_dir(&odd).unwrap();
    let repo = repo.elsewhere(odd);
    repo.git(["init", "-q"]);
    repo.write("a", "x\n");
    repo.write("b", "x\n");
    assert_eq!(listed(&repo.run(agent)), BY_AGENT);
}
