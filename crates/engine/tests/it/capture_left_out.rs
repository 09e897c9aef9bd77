//! What is not kept is named, and never read as absent.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use amps_core::snapshot::LeftOutReason;

use super::capture_repo::{Repo, left_out, listed};

#[test]
fn ignored_files_stay_out() {
    let repo = Repo::new();
    repo.write(".gitignore", "target/\n");
    let changeset = repo.run(|repo| repo.write("target/built", "x"));
    assert!(changeset.files.is_empty() && !changeset.partial);
}

#[test]
fn untracked_credentials_are_named_and_not_kept() {
    let repo = Repo::new();
    repo.write("tracked.pem", "public on purpose\n");
    repo.git(["add", "tracked.pem"]);
    repo.git(["commit", "-qm", "tracked"]);
    let base = repo.base();
    repo.write(".env", "SECRET=do-not-store-me\n");
    repo.append("tracked.pem", "changed\n");
    let end = repo.end();
    assert_eq!(
        left_out(&end),
        [(".env".to_owned(), LeftOutReason::Credential)]
    );
    let changeset = repo.compare(&base, &end);
    assert_eq!(listed(&changeset), ["M tracked.pem"]);
    assert!(changeset.partial);
    let blob = repo.git(["hash-object", ".env"]);
    assert!(!repo.try_git(["cat-file", "-e", &blob]).status.success());
}

#[test]
fn big_files_are_named_and_tracked_ones_do_not_read_as_deleted() {
    let mut repo = Repo::new();
    repo.limits.max_file_size = 100;
    let base = repo.base();
    repo.write("big", "x".repeat(101));
    repo.write("a", "y".repeat(101));
    repo.write("fits", "z".repeat(100));
    let end = repo.end();
    let reason = LeftOutReason::TooLarge;
    assert_eq!(
        left_out(&end),
        [("a".to_owned(), reason), ("big".to_owned(), reason)]
    );
    let changeset = repo.compare(&base, &end);
    assert_eq!(listed(&changeset), ["A fits"]);
    assert!(changeset.partial);
    repo.git(["update-ref", "-d", "refs/amps/end"]);
    assert!(!repo.compare(&end, &repo.end()).partial);
}

#[test]
fn pipes_are_never_opened() {
    let repo = Repo::new();
    let base = repo.base();
    repo.remove("a");
    for name in ["a", "new pipe"] {
        let made = Command::new("mkfifo")
            .arg(repo.full(name))
            .status()
            .unwrap();
        assert!(made.success());
    }
    let end = repo.end();
    assert_eq!(
        left_out(&end),
        [("a".to_owned(), LeftOutReason::Unreadable)]
    );
    assert!(repo.compare(&base, &end).partial);
}

#[test]
fn repositories_inside_are_named() {
    let repo = Repo::new();
    repo.git(["init", "-q", "inner/empty"]);
    repo.git(["init", "-q", "inner/full"]);
    repo.git([
        "-C",
        "inner/full",
        "commit",
        "-q",
        "--allow-empty",
        "-m",
        "x",
    ]);
    repo.write("inner/full/x", "x");
    let base = repo.base();
    let reason = LeftOutReason::NestedRepository;
    let names = left_out(&base);
    assert!(
        names.contains(&("inner/full".to_owned(), reason)),
        "{names:?}"
    );
    repo.git([
        "-C",
        "inner/full",
        "commit",
        "-q",
        "--allow-empty",
        "-m",
        "y",
    ]);
    assert!(repo.compare(&base, &repo.end()).partial);
}

#[test]
fn what_cannot_be_read_is_named_and_does_not_read_as_deleted() {
    let repo = Repo::new();
    repo.write("readable", "x\n");
    repo.write("locked/inside", "x\n");
    repo.append("a", "unreadable now\n");
    repo.chmod("a", 0o000);
    repo.chmod("dir", 0o000);
    repo.chmod("locked", 0o000);
    if std::fs::read(repo.full("a")).is_ok() {
        // The super-user reads everything.
        repo.chmod("dir", 0o755);
        repo.chmod("locked", 0o755);
        return;
    }
    let workspace = repo.workspace();
    let git = repo.engine_git();
    let cutoff = amps_engine::capture::Cutoff::open(super::capture_repo::now());
    let side = amps_core::capture::Side::Base;
    let frozen = amps_engine::capture::freeze(&git, &workspace, side, &cutoff, &repo.limits);
    let kept = amps_engine::capture::keep(&git, &workspace, &frozen.unwrap(), "refs/amps/x", None);
    for (name, mode) in [("dir", 0o755), ("locked", 0o755)] {
        std::fs::set_permissions(repo.full(name), std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let kept = kept.unwrap();
    let reason = LeftOutReason::Unreadable;
    let mut names = left_out(&kept);
    names.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(
        names,
        [
            ("a".to_owned(), reason),
            ("dir".to_owned(), reason),
            ("locked".to_owned(), reason)
        ]
    );
    let files = repo.git(["ls-tree", "-r", "--name-only", "refs/amps/x"]);
    assert_eq!(files, "a\nb\ndir/c\nreadable");
}
