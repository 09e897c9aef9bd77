//! Repositories of every kind: what lands in one lands in all.

use std::fs;
use std::path::Path;

use amps_core::landing::Manual;
use amps_core::path::RawPath;
use amps_engine::landing::{Hooks, MergeRequest, conflicts, plan_merge, plan_rebase, preflight};

use super::landing_repo::{Land, text};

/// Squashes, rebases onto a base that moved, and merges; all that anybody changed must be there.
fn land_all(land: &Land, base: &dyn Fn(&str, &str)) {
    land.agent("a", text(&[(3, "x")]));
    land.manual("a", text(&[(3, "x, mended")]));
    land.agent("made here", "made\n");
    base("dir/b", &text(&[(3, "base")]));
    let git = land.engine_git();
    let tree = land.oid("work^{tree}");
    let squash = land.squash(Manual::Preserve).unwrap();
    land.carry_out(&squash.course).unwrap();
    assert_eq!(land.oid("work^{tree}"), tree);
    assert_eq!(
        land.log("main..work"),
        ["Person: Do all of it", "Manual: mend a"]
    );
    let rebase = plan_rebase(&git, &land.ground(), None, Hooks::Run).unwrap();
    land.carry_out(&rebase.course).unwrap();
    assert_eq!(land.oid("work~2"), land.oid("main"));
    let found = preflight(&git, &land.ground(), &["refs/heads/main".to_owned()]).unwrap();
    assert!(found.conflicts.is_empty() && found.siblings.is_empty());
    assert_eq!((found.ahead, found.behind), (2, 0));
    let merge = plan_merge(&git, &land.ground(), &MergeRequest::default()).unwrap();
    land.carry_out(&merge.course).unwrap();
    assert_eq!(land.oid("main"), land.oid("work"));
    for (path, content) in [
        ("a", text(&[(3, "x, mended")])),
        ("made here", "made\n".to_owned()),
        ("dir/b", text(&[(3, "base")])),
    ] {
        assert_eq!(
            land.git(["show", &format!("main:{path}")]),
            content.trim_end()
        );
        assert_eq!(land.read(path), content);
    }
    land.assert_calm();
}

fn land_with_main(land: &Land) {
    land_all(land, &|path, content| {
        land.base(path, content);
    });
    assert_eq!(land.git_in(&land.main, ["status", "--porcelain"]), "");
}

#[test]
fn objects_of_sha256_and_references_in_tables_are_landed() {
    land_with_main(&Land::with(&["--object-format=sha256"]));
    land_with_main(&Land::with(&["--ref-format=reftable"]));
}

#[test]
fn names_with_spaces_colons_and_line_breaks_are_landed() {
    let land = Land::named(&[], "main \"of\": a\nproject");
    fs::create_dir(land.main.join("a folder\nhere")).unwrap();
    land.base("with space\nand: break\t\"x\"", "by hand\n");
    land_with_main(&land);
    let land = Land::new();
    let name = "odd\nname\\ \"";
    land.agent(name, "x\n");
    land.git(["checkout", "-q", "-b", "other", "main"]);
    land.agent(name, "y\n");
    let branches = ["refs/heads/work", "refs/heads/other"].map(str::to_owned);
    let matrix = conflicts(&land.engine_git(), &land.ground(), &branches).unwrap();
    assert_eq!(matrix.pairs[0].paths, [RawPath::new(name)]);
}

#[test]
fn a_bare_main_repository_with_worktrees_elsewhere_is_landed() {
    let source = Land::new();
    let mut land = Land::bare_home("main.git");
    let url = source.main.to_str().unwrap().to_owned();
    land.git_in(&land.home(), ["clone", "-q", "--bare", &url, "main.git"]);
    land.git_in(&land.main, ["branch", "-qD", "work"]);
    land.add_tree();
    land.common_dir = land.main.clone();
    let other = land.home().join("other");
    let add = ["worktree", "add", "-q", other.to_str().unwrap(), "main"];
    land.git_in(&land.main, add);
    land_all(&land, &|path, content| {
        land.write_in(&other, path, content);
        land.commit_in(&other, "Other", "base");
    });
    assert_eq!(land.git_in(&other, ["status", "--porcelain"]), "");
    assert_eq!(
        fs::read_to_string(other.join("made here")).unwrap(),
        "made\n"
    );
}

#[test]
fn submodules_go_along_as_links_and_are_left_alone() {
    let inner = Land::new();
    let land = Land::new();
    let url = inner.main.to_str().unwrap().to_owned();
    let add = |folder: &Path, name: &str| {
        let add = [
            "-c",
            "protocol.file.allow=always",
            "submodule",
            "--quiet",
            "add",
        ];
        land.git_in(folder, add.into_iter().chain([url.as_str(), name]));
    };
    add(&land.tree, "sub");
    land.commit_in(&land.tree, "Manual", "a submodule");
    land.git_in(
        &land.tree.join("sub"),
        ["commit", "-q", "--allow-empty", "-m", "inner"],
    );
    land.commit_in(&land.tree, "Agent", "amp: move the submodule");
    let inner_head = land.git_in(&land.tree.join("sub"), ["rev-parse", "HEAD"]);
    land.write("sub/untracked", "inside\n");
    land.agent("a", text(&[(3, "x")]));
    land.base("dir/b", text(&[(3, "base")]));
    let squash = land.squash(Manual::Preserve).unwrap();
    land.carry_out(&squash.course).unwrap();
    let git = land.engine_git();
    let rebase = plan_rebase(&git, &land.ground(), None, Hooks::Run).unwrap();
    land.carry_out(&rebase.course).unwrap();
    assert_eq!(land.git(["rev-parse", "work:sub"]), inner_head);
    assert_eq!(land.read("sub/untracked"), "inside\n");
    let merge = plan_merge(&git, &land.ground(), &MergeRequest::default()).unwrap();
    land.carry_out(&merge.course).unwrap();
    assert_eq!(
        land.git_in(&land.main, ["rev-parse", "HEAD:sub"]),
        inner_head
    );
}

#[test]
fn what_a_sparse_checkout_leaves_out_stays_out_and_is_landed() {
    let land = Land::new();
    land.git(["sparse-checkout", "set", "--cone", "elsewhere"]);
    assert!(!land.tree.join("dir").exists());
    land.agent("a", text(&[(3, "x")]));
    land.manual("a", text(&[(3, "y")]));
    land.base("dir/b", text(&[(3, "base")]));
    land.base("dir/new", "base\n");
    land.base("elsewhere/new", "base\n");
    let squash = land.squash(Manual::Preserve).unwrap();
    land.carry_out(&squash.course).unwrap();
    let git = land.engine_git();
    let rebase = plan_rebase(&git, &land.ground(), None, Hooks::Run).unwrap();
    land.carry_out(&rebase.course).unwrap();
    assert!(!land.tree.join("dir").exists());
    assert_eq!(land.read("elsewhere/new"), "base\n");
    assert_eq!(land.git(["show", "work:dir/new"]), "base");
    land.assert_calm();
    let merge = plan_merge(&git, &land.ground(), &MergeRequest::default()).unwrap();
    land.carry_out(&merge.course).unwrap();
    let read = fs::read_to_string(land.main.join("a")).unwrap();
    assert_eq!(read, text(&[(3, "y")]));
}

#[test]
fn files_behind_a_filter_are_written_as_the_filter_says() {
    let land = Land::new();
    // Like a store of large files: a short text in git, the content in the working tree.
    land.git(["config", "filter.store.clean", "sed s/content/pointer/"]);
    land.git(["config", "filter.store.smudge", "sed s/pointer/content/"]);
    land.base(
        ".gitattributes",
        "*.bin filter=store\n*.crlf text eol=crlf\n",
    );
    land.git(["merge", "-q", "--ff-only", "main"]);
    land.agent("large.bin", "content 1\n");
    land.manual("large.bin", "content 2\n");
    land.base("base.bin", "content 3\n");
    land.base("base.crlf", "one\r\ntwo\r\n");
    let squash = land.squash(Manual::Preserve).unwrap();
    land.carry_out(&squash.course).unwrap();
    let git = land.engine_git();
    let rebase = plan_rebase(&git, &land.ground(), None, Hooks::Run).unwrap();
    land.carry_out(&rebase.course).unwrap();
    assert_eq!(land.git(["show", "work:large.bin"]), "pointer 2");
    assert_eq!(land.git(["show", "work:base.bin"]), "pointer 3");
    assert_eq!(land.read("base.bin"), "content 3\n");
    assert_eq!(land.read("base.crlf"), "one\r\ntwo\r\n");
    land.assert_calm();
}

#[test]
fn a_worktree_that_is_gone_does_not_keep_its_branch_from_landing() {
    let land = Land::new();
    land.agent("a", text(&[(3, "x")]));
    land.manual("made", "by hand\n");
    fs::remove_dir_all(&land.tree).unwrap();
    let squash = land.squash(Manual::Preserve).unwrap();
    land.carry_out(&squash.course).unwrap();
    let merge = plan_merge(&land.engine_git(), &land.ground(), &MergeRequest::default()).unwrap();
    land.carry_out(&merge.course).unwrap();
    let read = fs::read_to_string(land.main.join("made")).unwrap();
    assert_eq!(read, "by hand\n");
}
