//! Repositories and their fingerprints.

use std::fs;

use amps_testkit::{Home, Repo};

#[test]
fn the_same_steps_give_the_same_commits() {
    let commits = ["one", "two"].map(|_| {
        let home = Home::new();
        let repo = home.repo("work");
        repo.write("src/a.txt", "a\n");
        repo.commit("second")
    });
    assert_eq!(commits[0], commits[1]);
}

#[test]
fn looking_changes_nothing() {
    let home = Home::new();
    let repo = home.repo("work");
    repo.write("new", "x");
    let before = repo.fingerprint();
    before.assert_same(&repo.fingerprint());
}

#[test]
fn every_kind_of_change_is_seen() {
    let home = Home::new();
    let repo = home.repo("work");
    repo.write("file", "one");
    repo.commit("second");
    let seen = |what: &str, change: &dyn Fn()| {
        let before = repo.fingerprint();
        change();
        let lines = before.differences(&repo.fingerprint()).join("\n");
        assert!(lines.contains(what), "{what}: {lines}");
    };
    seen("changed: file; time of change; bytes", &|| {
        repo.write("file", "two");
    });
    seen("changed: file; mode", &|| repo.chmod("file", 0o755));
    seen("changed: file; time of change", &|| {
        drop(
            home.command("touch", ["-d", "2001-01-01"])
                .arg(repo.file("file"))
                .run()
                .ok(),
        );
    });
    seen("new: other", &|| repo.write("other", "x"));
    seen("changed: .git/index", &|| drop(repo.git(["add", "other"])));
    seen("new: .git/refs/stash", &|| {
        drop(repo.git(["stash", "--quiet"]));
    });
    seen("new: .git/refs/heads/branch", &|| {
        drop(repo.git(["branch", "branch"]));
    });
    seen("changed: .git/HEAD", &|| {
        drop(repo.git(["checkout", "--quiet", "branch"]));
    });
    seen("changed: .git/logs/HEAD", &|| {
        repo.commit("third");
    });
    seen("gone: file", &|| {
        fs::remove_file(repo.file("file")).unwrap();
    });
    seen("changed: .git/config", &|| {
        drop(repo.git(["config", "a.b", "c"]));
    });
}

#[test]
fn our_own_refs_are_not_the_users() {
    let home = Home::new();
    let repo = home.repo("work");
    repo.git(["pack-refs", "--all"]);
    let before = repo.fingerprint();
    repo.git(["update-ref", "refs/amps/one", "HEAD"]);
    before.assert_same(&repo.fingerprint());
    let head = repo.head();
    let packed = fs::read_to_string(repo.file(".git/packed-refs")).unwrap();
    let packed = format!("{packed}{head} refs/amps/two\n");
    fs::write(repo.file(".git/packed-refs"), packed).unwrap();
    before.assert_same(&repo.fingerprint());
}

#[test]
fn a_linked_worktree_has_its_own_and_the_common_state() {
    let home = Home::new();
    let repo = home.repo("work");
    let folder = home.path("home/linked");
    repo.git([
        "worktree",
        "add",
        "--quiet",
        "-b",
        "side",
        folder.to_str().unwrap(),
    ]);
    let linked = Repo::at(&home, &folder);
    let before = linked.fingerprint();
    before.assert_same(&linked.fingerprint());
    linked.write("x", "y");
    linked.git(["add", "x"]);
    linked.git(["branch", "other"]);
    let lines = before.differences(&linked.fingerprint()).join("\n");
    assert!(lines.contains("changed: (git)/index"), "{lines}");
    assert!(lines.contains("new: (common)/refs/heads/other"), "{lines}");
}

#[test]
fn only_files_are_a_transport() {
    let home = Home::new();
    let repo = home.repo("work");
    let output = repo
        .git_command(["ls-remote", "https://127.0.0.1:9/x"])
        .run()
        .code(128);
    assert!(
        output.stderr_text().contains("not allowed"),
        "{}",
        output.text()
    );
}
