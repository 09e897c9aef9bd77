//! Paths come back exactly, and newer work is never overwritten.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use amps_core::capture::CaptureLimits;
use amps_core::path::RawPath;
use amps_core::snapshot::Snapshot;
use amps_engine::capture::{
    Cutoff, Restore, RestorePolicy, RestoreRefusal, RestoreReport, Selection, restore,
};

use super::capture_repo::{Repo, now, path};

fn only(paths: &[&str]) -> Selection {
    Selection::Paths(paths.iter().map(path).collect())
}

fn force() -> RestorePolicy {
    RestorePolicy::Force {
        safety: "refs/amps/restore/1".to_owned(),
        cutoff: Cutoff::open(now()),
        limits: CaptureLimits::default(),
    }
}

/// Restores from the first of the snapshots of a run and checks that git's own state stays.
fn bring_back(
    repo: &Repo,
    snapshots: [&Snapshot; 2],
    selection: Selection,
    policy: RestorePolicy,
) -> RestoreReport {
    let git_files = |repo: &Repo| {
        let mut all = repo.everything();
        all.retain(|path, _| path.starts_with(repo.full(".git")) || path.ends_with("refs"));
        all
    };
    let before = git_files(repo);
    let request = Restore {
        snapshot: snapshots[0],
        known: &snapshots,
        selection,
        policy,
    };
    let report = restore(&repo.engine_git(), &repo.workspace(), &request).unwrap();
    assert_eq!(git_files(repo), before, "git's own state was touched");
    report
}

fn names(paths: &[RawPath]) -> Vec<String> {
    paths.iter().map(RawPath::to_string).collect()
}

#[test]
fn what_a_run_did_is_undone_exactly() {
    let repo = Repo::new();
    repo.chmod("b", 0o755);
    repo.link("a", "link");
    repo.append("a", "from before\n");
    let base = repo.base();
    repo.write("a", "by the agent\n");
    repo.remove("b");
    repo.remove("link");
    repo.write("link", "a file now\n");
    fs::remove_dir_all(repo.full("dir")).unwrap();
    repo.write("new", "by the agent\n");
    let end = repo.end();
    let dry = bring_back(&repo, [&base, &end], Selection::All, RestorePolicy::DryRun);
    assert_eq!(repo.read("a"), "by the agent\n");
    let done = bring_back(&repo, [&base, &end], Selection::All, RestorePolicy::Careful);
    assert_eq!(dry, done);
    assert_eq!(names(&done.written), ["a", "b", "dir/c", "link"]);
    assert_eq!(names(&done.left_alone), ["new"]);
    assert_eq!(repo.read("a"), "one\ntwo\nthree\nfrom before\n");
    let mode = fs::metadata(repo.full("b")).unwrap().permissions().mode();
    assert_eq!(mode & 0o111, 0o111);
    assert_eq!(
        fs::read_link(repo.full("link")).unwrap().to_str(),
        Some("a")
    );
    assert_eq!(repo.read("dir/c"), "seven\neight\nnine\n");
    assert_eq!(repo.read("new"), "by the agent\n");
    let again = bring_back(&repo, [&base, &end], Selection::All, RestorePolicy::Careful);
    assert!(
        again.written.is_empty() && again.unchanged.len() == 4,
        "{again:?}"
    );
}

#[test]
fn newer_work_stops_everything() {
    let repo = Repo::new();
    let base = repo.base();
    repo.write("a", "by the agent\n");
    repo.write("b", "by the agent\n");
    let end = repo.end();
    repo.append("b", "newer\n");
    let report = bring_back(&repo, [&base, &end], Selection::All, RestorePolicy::Careful);
    assert!(report.written.is_empty());
    assert_eq!(report.refused.len(), 1);
    assert_eq!(report.refused[0].path, path("b"));
    assert_eq!(report.refused[0].reason, RestoreRefusal::Newer);
    assert_eq!(repo.read("a"), "by the agent\n");
    let one = bring_back(&repo, [&base, &end], only(&["a"]), RestorePolicy::Careful);
    assert_eq!(names(&one.written), ["a"]);
    assert_eq!(repo.read("b"), "by the agent\nnewer\n");
}

#[test]
fn force_keeps_newer_work_first() {
    let repo = Repo::new();
    repo.write(".gitignore", "ignored/\n");
    repo.write("ignored", "tracked all the same\n");
    repo.git(["add", "-f", "."]);
    repo.git(["commit", "-qm", "x"]);
    let base = repo.base();
    repo.remove("ignored");
    let end = repo.end();
    repo.write("a", "newer\n");
    repo.write("ignored/newer", "newer and ignored\n");
    let report = bring_back(&repo, [&base, &end], Selection::All, force());
    assert_eq!(names(&report.written), ["a", "ignored"]);
    assert!(report.safety.is_some());
    assert_eq!(repo.read("a"), "one\ntwo\nthree\n");
    assert_eq!(repo.read("ignored"), "tracked all the same\n");
    assert_eq!(repo.git(["show", "refs/amps/restore/1:a"]), "newer");
    assert_eq!(
        repo.git(["show", "refs/amps/restore/1:ignored/newer"]),
        "newer and ignored"
    );
}

#[test]
fn what_cannot_be_kept_is_not_overwritten_even_by_force() {
    let repo = Repo::new();
    let base = repo.base();
    fs::remove_dir_all(repo.full("dir")).unwrap();
    repo.remove("a");
    let end = repo.end();
    repo.write("a/.env", "a secret\n");
    repo.git(["init", "-q", "dir/c"]);
    let report = bring_back(&repo, [&base, &end], Selection::All, force());
    let refused: Vec<_> = report
        .refused
        .iter()
        .map(|refused| (refused.path.to_string(), refused.reason))
        .collect();
    let reason = RestoreRefusal::NotKept;
    assert_eq!(
        refused,
        [("a/.env".to_owned(), reason), ("dir/c".to_owned(), reason)]
    );
    assert!(report.written.is_empty() && report.safety.is_none());
    assert_eq!(repo.read("a/.env"), "a secret\n");
}

#[test]
fn files_and_folders_trade_places_back() {
    let repo = Repo::new();
    let base = repo.base();
    repo.remove("a");
    repo.write("a/deep/inside", "by the agent\n");
    fs::create_dir_all(repo.full("a/empty")).unwrap();
    fs::remove_dir_all(repo.full("dir")).unwrap();
    repo.write("dir", "by the agent\n");
    let end = repo.end();
    let back = bring_back(&repo, [&base, &end], Selection::All, RestorePolicy::Careful);
    assert_eq!(names(&back.written), ["a", "dir/c"]);
    assert_eq!(repo.read("a"), "one\ntwo\nthree\n");
    assert_eq!(repo.read("dir/c"), "seven\neight\nnine\n");
    let forth = bring_back(&repo, [&end, &base], Selection::All, RestorePolicy::Careful);
    assert_eq!(names(&forth.written), ["a/deep/inside", "dir"]);
    assert_eq!(repo.read("dir"), "by the agent\n");
}

#[test]
fn no_link_leads_out_of_the_working_tree() {
    let repo = Repo::new();
    let base = repo.base();
    let outside = repo.home().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("c"), "not ours\n").unwrap();
    fs::remove_dir_all(repo.full("dir")).unwrap();
    repo.link("../outside", "dir");
    let end = repo.end();
    let done = bring_back(&repo, [&base, &end], only(&["dir"]), RestorePolicy::Careful);
    assert_eq!(names(&done.written), ["dir/c"]);
    assert_eq!(fs::read_to_string(outside.join("c")).unwrap(), "not ours\n");
    assert!(fs::symlink_metadata(repo.full("dir")).unwrap().is_dir());
    // A link that is in no snapshot is newer work itself.
    fs::remove_dir_all(repo.full("dir")).unwrap();
    repo.link("../outside/.", "dir");
    let report = bring_back(&repo, [&base, &end], only(&["dir"]), RestorePolicy::Careful);
    assert_eq!(report.refused[0].path, path("dir"));
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
}

#[test]
fn filters_apply_on_the_way_back() {
    let repo = Repo::new();
    repo.write(".gitattributes", "*.up filter=upper\n*.txt text eol=crlf\n");
    repo.git(["config", "filter.upper.clean", "tr a-z A-Z"]);
    repo.git(["config", "filter.upper.smudge", "tr A-Z a-z"]);
    repo.write("x.up", "content\n");
    repo.write("y.txt", "one\r\n");
    let base = repo.base();
    for name in ["x.up", "y.txt", ".gitattributes"] {
        repo.remove(name);
    }
    let end = repo.end();
    bring_back(&repo, [&base, &end], Selection::All, RestorePolicy::Careful);
    assert_eq!(repo.read("x.up"), "content\n");
    assert_eq!(repo.read("y.txt"), "one\r\n");
}

#[test]
fn odd_names_come_back_and_unknown_ones_are_told() {
    let odd: [&[u8]; 4] = [b"line\nbreak", b"not \xff utf-8", b":(glob)*", b"-dash"];
    let repo = Repo::new();
    for name in odd {
        repo.write(name, "x\n");
    }
    let base = repo.base();
    for name in odd {
        repo.remove(name);
    }
    let end = repo.end();
    let mut wanted: Vec<RawPath> = odd.iter().map(path).collect();
    wanted.push(path("nowhere"));
    let selection = Selection::Paths(wanted);
    let report = bring_back(&repo, [&base, &end], selection, RestorePolicy::Careful);
    assert_eq!(report.written.len(), 4);
    assert_eq!(names(&report.not_found), ["nowhere"]);
    for name in odd {
        assert_eq!(repo.read(name), "x\n");
    }
}

#[test]
fn a_folder_that_is_no_repository_comes_back_too() {
    let repo = Repo::folder();
    repo.write("a", "x\n");
    repo.write("deep/er/b", "y\n");
    let base = repo.base();
    fs::remove_dir_all(repo.full("deep")).unwrap();
    repo.write("a", "by the agent\n");
    let end = repo.end();
    let request = Restore {
        snapshot: &base,
        known: &[&base, &end],
        selection: Selection::All,
        policy: RestorePolicy::Careful,
    };
    let report = restore(&repo.engine_git(), &repo.workspace(), &request).unwrap();
    assert_eq!(names(&report.written), ["a", "deep/er/b"]);
    assert_eq!(repo.read("deep/er/b"), "y\n");
}

#[test]
fn a_submodule_does_not_stop_a_restore() {
    let inner = Repo::new();
    let repo = Repo::new();
    repo.git([
        "submodule",
        "--quiet",
        "add",
        inner.root.to_str().unwrap(),
        "sub",
    ]);
    repo.git(["commit", "-qm", "submodule"]);
    let base = repo.base();
    repo.remove("b");
    let end = repo.end();
    let report = bring_back(&repo, [&base, &end], Selection::All, RestorePolicy::Careful);
    assert_eq!(names(&report.written), ["b"]);
    assert_eq!(names(&report.submodules), ["sub"]);
}

#[test]
fn a_sparse_checkout_stays_sparse_unless_a_path_is_asked_for() {
    let repo = Repo::new();
    repo.write("far/away", "x\n");
    repo.git(["add", "."]);
    repo.git(["commit", "-qm", "far"]);
    repo.git(["sparse-checkout", "set", "--cone", "dir"]);
    let base = repo.base();
    repo.remove("dir/c");
    let end = repo.end();
    let report = bring_back(&repo, [&base, &end], Selection::All, RestorePolicy::Careful);
    assert_eq!(names(&report.written), ["dir/c"]);
    let asked = bring_back(&repo, [&base, &end], only(&["far"]), RestorePolicy::Careful);
    assert_eq!(names(&asked.written), ["far/away"]);
    assert_eq!(repo.read("far/away"), "x\n");
}
