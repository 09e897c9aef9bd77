//! Every kind of change that a run can make is in its changeset, and nothing from before it.

use std::fs;

use amps_core::changeset::Change;
use amps_engine::capture::patch;

use super::capture_repo::{Repo, listed, path};

#[test]
fn a_run_without_changes_keeps_head_itself() {
    let repo = Repo::new();
    let base = repo.base();
    assert_eq!(base.commit, base.head);
    assert_eq!(
        base.head.as_ref().unwrap().as_str(),
        repo.git(["rev-parse", "HEAD"])
    );
    assert_eq!(base.tree.as_str(), repo.git(["rev-parse", "HEAD^{tree}"]));
    assert_eq!(base.branch.as_deref(), Some("main"));
    assert_eq!(
        repo.git(["rev-parse", "refs/amps/base"]),
        base.head.clone().unwrap().as_str()
    );
    let changeset = repo.compare(&base, &repo.end());
    assert!(changeset.files.is_empty() && changeset.commits.is_empty() && !changeset.partial);
}

#[test]
fn staged_unstaged_untracked_and_committed_changes_are_found() {
    let repo = Repo::new();
    let changeset = repo.run(|repo| {
        repo.append("a", "staged\n");
        repo.git(["add", "a"]);
        repo.append("a", "unstaged on top\n");
        repo.append("b", "unstaged\n");
        repo.write("new dir/new", "untracked\n");
        repo.write("committed", "x\n");
        repo.git(["add", "committed"]);
        repo.git([
            "commit",
            "-qm",
            "made with token ghp_A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8",
            "committed",
        ]);
    });
    assert_eq!(
        listed(&changeset),
        ["M a", "M b", "A committed", "A new dir/new"]
    );
    assert_eq!((changeset.additions, changeset.deletions), (5, 0));
    assert_eq!(changeset.commits.len(), 1);
    assert_eq!(changeset.commits[0].subject, "made with token [masked]");
    assert!(!changeset.partial);
}

#[test]
fn staged_content_that_is_nowhere_else_is_kept() {
    let repo = Repo::new();
    repo.write("a", "only in the index\n");
    repo.git(["add", "a"]);
    repo.write("a", "in the working tree\n");
    let base = repo.base();
    let commit = base.commit.unwrap();
    assert_eq!(
        repo.git(["show", &format!("{commit}:a")]),
        "in the working tree"
    );
    assert_eq!(
        repo.git(["show", &format!("{commit}^2:a")]),
        "only in the index"
    );
    assert_eq!(
        repo.git(["rev-parse", &format!("{commit}^1")]),
        base.head.unwrap().as_str()
    );
}

#[test]
fn edits_from_before_are_not_in_the_changeset() {
    let repo = Repo::new();
    repo.append("a", "from before\n");
    repo.write("old untracked", "from before\n");
    repo.append("b", "staged before\n");
    repo.git(["add", "b"]);
    repo.remove("dir/c");
    let changeset = repo.run(|repo| repo.append("a", "by the agent\n"));
    assert_eq!(listed(&changeset), ["M a"]);
    assert_eq!((changeset.additions, changeset.deletions), (1, 0));
}

#[test]
fn committing_what_was_there_before_changes_no_file() {
    let repo = Repo::new();
    repo.append("a", "from before\n");
    let changeset = repo.run(|repo| {
        repo.git(["commit", "-qam", "second"]);
    });
    assert!(changeset.files.is_empty());
    assert_eq!(changeset.commits[0].subject, "second");
}

#[test]
fn commits_that_were_amended_or_reset_away_are_listed_and_older_ones_are_not() {
    let repo = Repo::new();
    repo.git(["checkout", "-qb", "other"]);
    let old = repo
        .command(["commit", "-qm", "made long ago", "--allow-empty"])
        .env("GIT_COMMITTER_DATE", "2001-01-01T00:00:00Z")
        .output()
        .unwrap();
    assert!(old.status.success());
    repo.git(["checkout", "-q", "main"]);
    let changeset = repo.run(|repo| {
        repo.git(["merge", "-q", "other"]);
        repo.git(["commit", "-q", "--allow-empty", "-m", "first try"]);
        repo.git([
            "commit",
            "-q",
            "--allow-empty",
            "--amend",
            "-m",
            "second try",
        ]);
    });
    let mut subjects: Vec<_> = changeset
        .commits
        .iter()
        .map(|made| &made.subject[..])
        .collect();
    subjects.sort_unstable();
    assert_eq!(subjects, ["first try", "second try"]);
}

#[test]
fn commits_are_listed_oldest_first() {
    let repo = Repo::new();
    let changeset = repo.run(|repo| {
        for subject in ["1", "2", "3"] {
            repo.git(["commit", "-q", "--allow-empty", "-m", subject]);
        }
    });
    let subjects: Vec<_> = changeset
        .commits
        .iter()
        .map(|made| &made.subject[..])
        .collect();
    assert_eq!(subjects, ["1", "2", "3"]);
}

#[test]
fn renames_are_recognised() {
    let repo = Repo::new();
    let changeset = repo.run(|repo| {
        fs::rename(repo.full("a"), repo.full("dir/z")).unwrap();
    });
    assert_eq!(listed(&changeset), ["R a -> dir/z"]);
    assert_eq!((changeset.additions, changeset.deletions), (0, 0));
}

#[test]
fn binary_files_have_no_line_counts() {
    let repo = Repo::new();
    let changeset = repo.run(|repo| repo.write("x.bin", [0, 1, 2, 0xff]));
    assert_eq!(listed(&changeset), ["A x.bin"]);
    assert!(changeset.files[0].is_binary());
}

#[test]
fn symbolic_links_and_modes_are_exact() {
    let repo = Repo::new();
    repo.link("a", "link");
    repo.git(["add", "link"]);
    repo.git(["commit", "-qm", "link"]);
    let changeset = repo.run(|repo| {
        repo.remove("link");
        repo.link("b", "link");
        repo.link("/nowhere/\u{e9}", "dangling");
        repo.chmod("a", 0o755);
        repo.remove("b");
        repo.link("a", "b");
    });
    assert_eq!(listed(&changeset), ["M a", "T b", "A dangling", "M link"]);
    let [a, b, dangling, _] = &changeset.files[..] else {
        panic!("{changeset:?}");
    };
    assert_eq!(a.old_mode.as_deref(), Some("100644"));
    assert_eq!(a.new_mode.as_deref(), Some("100755"));
    assert_eq!(
        (b.change, b.new_mode.as_deref()),
        (Change::Typechange, Some("120000"))
    );
    assert_eq!(dangling.old_mode, None);
}

#[test]
fn a_file_becomes_a_folder_and_a_folder_a_file() {
    let repo = Repo::new();
    let changeset = repo.run(|repo| {
        repo.remove("a");
        repo.write("a/inside", "x\n");
        fs::remove_dir_all(repo.full("dir")).unwrap();
        repo.write("dir", "y\n");
    });
    assert_eq!(
        listed(&changeset),
        ["D a", "A a/inside", "A dir", "D dir/c"]
    );
}

#[test]
fn a_folder_behind_a_new_link_is_not_read() {
    let repo = Repo::new();
    let changeset = repo.run(|repo| {
        fs::rename(repo.full("dir"), repo.home().join("outside")).unwrap();
        repo.link("../outside", "dir");
    });
    assert_eq!(listed(&changeset), ["A dir", "D dir/c"]);
}

#[test]
fn names_of_any_bytes_are_kept() {
    let names: [&[u8]; 9] = [
        b"not \xff utf-8",
        b"line\nbreak",
        b"\"quoted\"",
        b"-leading dash",
        b":(glob)*",
        b"back\\slash",
        b" space ",
        b"tab\tand\x01control",
        b"caf\xc3\xa9",
    ];
    let repo = Repo::new();
    let changeset = repo.run(|repo| {
        for name in names {
            repo.write(name, "x\n");
        }
    });
    let mut expected: Vec<_> = names.iter().map(path).collect();
    expected.sort();
    let found: Vec<_> = changeset
        .files
        .iter()
        .map(|file| file.path.clone())
        .collect();
    assert_eq!(found, expected);
    let changeset = repo_again(&repo, &names);
    assert_eq!(changeset, names.len());
}

/// The same names as tracked paths, deleted.
fn repo_again(repo: &Repo, names: &[&[u8]]) -> usize {
    repo.git(["add", "."]);
    repo.git(["commit", "-qm", "names"]);
    repo.git(["update-ref", "-d", "refs/amps/base"]);
    repo.git(["update-ref", "-d", "refs/amps/end"]);
    let changeset = repo.run(|repo| names.iter().for_each(|name| repo.remove(name)));
    assert!(
        changeset
            .files
            .iter()
            .all(|file| file.change == Change::Deleted)
    );
    changeset.files.len()
}

#[test]
fn the_pointer_of_a_submodule_is_followed() {
    let inner = Repo::new();
    let repo = Repo::new();
    let url = inner.root.to_str().unwrap();
    repo.git(["submodule", "--quiet", "add", url, "sub"]);
    repo.git(["commit", "-qm", "submodule"]);
    let changeset = repo.run(|repo| {
        repo.git(["-C", "sub", "commit", "-q", "--allow-empty", "-m", "inside"]);
        repo.write("sub/dirty", "not part of the pointer\n");
    });
    assert_eq!(listed(&changeset), ["M sub"]);
    assert_eq!(changeset.files[0].new_mode.as_deref(), Some("160000"));
}

#[test]
fn a_path_taken_out_of_the_index_only_is_still_there() {
    let repo = Repo::new();
    let changeset = repo.run(|repo| {
        repo.git(["rm", "-q", "--cached", "a"]);
    });
    assert!(changeset.files.is_empty(), "{changeset:?}");
}

#[test]
fn intent_to_add_is_an_addition() {
    let repo = Repo::new();
    let changeset = repo.run(|repo| {
        repo.write("meant", "x\n");
        repo.git(["add", "-N", "meant"]);
    });
    assert_eq!(listed(&changeset), ["A meant"]);
    assert_eq!(changeset.additions, 1);
}

#[test]
fn what_the_person_told_git_to_assume_is_assumed() {
    let repo = Repo::new();
    repo.git(["update-index", "--assume-unchanged", "a"]);
    let changeset = repo.run(|repo| {
        repo.append("a", "not looked at\n");
        repo.append("b", "looked at\n");
    });
    assert_eq!(listed(&changeset), ["M b"]);
}

#[test]
fn filters_and_line_endings_apply_as_they_do_for_git() {
    let repo = Repo::new();
    repo.write(".gitattributes", "*.up filter=upper\n*.txt text\n");
    repo.git(["config", "filter.upper.clean", "tr a-z A-Z"]);
    repo.git(["config", "filter.upper.smudge", "tr A-Z a-z"]);
    let changeset = repo.run(|repo| {
        repo.write("x.up", "content\n");
        repo.write("y.txt", "one\r\ntwo\r\n");
    });
    assert_eq!(listed(&changeset), ["A x.up", "A y.txt"]);
    assert_eq!(repo.git(["show", "refs/amps/end:x.up"]), "CONTENT");
    assert_eq!(repo.git(["show", "refs/amps/end:y.txt"]), "one\ntwo");
}

#[test]
fn a_filter_that_fails_costs_no_content() {
    let repo = Repo::new();
    repo.git(["config", "filter.broken.clean", "false"]);
    repo.git(["config", "filter.broken.required", "true"]);
    repo.write(".gitattributes", "*.x filter=broken\n");
    let changeset = repo.run(|repo| {
        for name in ["1.x", "2", "3.x", "4"] {
            repo.write(name, name);
        }
    });
    assert_eq!(listed(&changeset), ["A 1.x", "A 2", "A 3.x", "A 4"]);
    assert_eq!(repo.git(["show", "refs/amps/end:3.x"]), "3.x");
}

#[test]
fn one_edited_line_of_a_file_committed_with_crlf_is_one_line() {
    let repo = Repo::new();
    repo.write("crlf", "one\r\ntwo\r\nthree\r\n");
    repo.git(["add", "crlf"]);
    repo.git(["commit", "-qm", "crlf"]);
    repo.git(["config", "core.autocrlf", "true"]);
    let changeset = repo.run(|repo| repo.append("crlf", "four\r\n"));
    assert_eq!(listed(&changeset), ["M crlf"]);
    assert_eq!((changeset.additions, changeset.deletions), (1, 0));
}

#[test]
fn many_files_are_stored_side_by_side_in_their_order() {
    let repo = Repo::new();
    let changeset = repo.run(|repo| {
        for number in 0..300 {
            repo.write(format!("many/{number}"), format!("{number}\n"));
        }
    });
    assert_eq!(changeset.files.len(), 300);
    for number in [0, 63, 149, 150, 299] {
        let name = format!("refs/amps/end:many/{number}");
        assert_eq!(repo.git(["show", &name]), number.to_string());
    }
}

#[test]
fn many_files_keep_their_filters_and_line_endings() {
    let repo = Repo::new();
    repo.write(
        ".gitattributes",
        "* text=auto\n*.up filter=upper\nodd*.up -filter\n",
    );
    repo.git(["config", "filter.upper.clean", "tr a-z A-Z"]);
    let changeset = repo.run(|repo| {
        for number in 0..40 {
            repo.write(format!("{number}.up"), "word\n");
            repo.write(format!("odd \n{number}.up"), "word\n");
            repo.write(format!("{number}.txt"), "one\r\ntwo\r\n");
            repo.write(format!("{number}.big"), format!("{number}").repeat(200_000));
        }
        repo.chmod("7.up", 0o755);
    });
    assert_eq!(changeset.files.len(), 160);
    assert_eq!(
        repo.git(["status", "--porcelain", "--untracked-files=no"]),
        ""
    );
    repo.git(["add", "."]);
    let tree = repo.git(["write-tree"]);
    assert_eq!(repo.git(["rev-parse", "refs/amps/end^{tree}"]), tree);
    assert_eq!(repo.git(["show", "refs/amps/end:7.up"]), "WORD");
    assert_eq!(repo.git(["show", "refs/amps/end:odd \n7.up"]), "word");
    assert_eq!(repo.git(["show", "refs/amps/end:7.txt"]), "one\ntwo");
}

#[test]
fn a_patch_is_bounded_and_masked() {
    let repo = Repo::new();
    let base = repo.base();
    repo.append("a", "password = correcthorsebattery\n");
    repo.write("b", "line\n".repeat(100_000));
    let end = repo.end();
    let (git, workspace) = (repo.engine_git(), repo.workspace());
    let whole = patch(&git, &workspace, &base, &end, 10_000_000).unwrap();
    assert!(!whole.truncated);
    let text = String::from_utf8(whole.bytes).unwrap();
    assert!(text.contains("+password = [masked]\n") && !text.contains("correcthorse"));
    let cut = patch(&git, &workspace, &base, &end, 1_000).unwrap();
    assert!(cut.truncated && cut.bytes.len() <= 1_000 && cut.bytes.ends_with(b"\n"));
}
