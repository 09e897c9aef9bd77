//! `diff` and `restore`: what a session changed, and the way back.

use amps_testkit::{Home, PATIENCE, Repo, TerminalOptions};

use crate::record::{AMPS, newest};

/// A home with one session, in a tree where a path exists at the top and in a folder.
fn recorded() -> (Home, Repo) {
    let home = Home::with_amps(AMPS);
    let repo = home.repo("work");
    for name in ["a.txt", "sub/a.txt", "sub/b.txt"] {
        repo.write(name, "before\n");
    }
    repo.commit("second");
    let script = "echo after > a.txt; echo after > sub/a.txt; rm sub/b.txt; echo made > sub/c.txt; \
                  printf '\\033[2J\\n' > 'e\tvil'";
    let run = home
        .amps(["run", "--", "sh", "-c", script])
        .cwd(repo.path());
    drop(run.run().ok());
    newest(&home);
    (home, repo)
}

#[test]
fn a_difference_on_a_pipe_can_be_applied() {
    let (home, repo) = recorded();
    let patch = home.amps(["diff"]).run().ok();
    repo.git(["stash", "--include-untracked", "--quiet"]);
    drop(repo.git_command(["apply"]).stdin(&patch.stdout).run().ok());
    assert_eq!(repo.read("sub/c.txt"), "made\n");
    assert_eq!(repo.read("a.txt"), "after\n");
    assert!(!repo.file("sub/b.txt").exists());
}

#[test]
fn a_difference_is_narrowed_to_paths() {
    let (home, repo) = recorded();
    insta::assert_snapshot!(home.amps(["diff", "--stat"]).run().ok().text(), @r"
    exit 0
    --- stdout
    M  +1 -1  a.txt
    A  +1 -0  e\u{9}vil
    M  +1 -1  sub/a.txt
    D  +0 -1  sub/b.txt
    A  +1 -0  sub/c.txt
    5 files +4 -3
    ");
    let names = |folder: &str, paths: &[&str]| {
        let diff = home.amps(["diff", "--name-only", "@", "--"]).args(paths);
        let output = diff.cwd(repo.file(folder)).run();
        (output.status.shell_code(), output.stdout_text())
    };
    assert_eq!(names("", &["sub/c.txt"]), (0, "sub/c.txt\n".to_owned()));
    assert_eq!(names("sub", &["c.txt"]), (0, "sub/c.txt\n".to_owned()));
    assert_eq!(names("sub", &["sub/c.txt"]), (0, "sub/c.txt\n".to_owned()));
    assert_eq!(names("sub", &["./a.txt"]), (0, "sub/a.txt\n".to_owned()));
    assert_eq!(names("sub", &[":/a.txt"]), (0, "a.txt\n".to_owned()));
    assert_eq!(names("", &["nothing"]), (0, String::new()));
    let ambiguous = home
        .amps(["diff", "@", "--", "a.txt"])
        .cwd(repo.file("sub"));
    insta::assert_snapshot!(ambiguous.run().text(), @"
    exit 2
    --- stderr
    error[E011]: `a.txt` may mean `sub/a.txt` or `a.txt`
      next: write `:/sub/a.txt` or `:/a.txt`, from the top of the tree
    ");
    let outside = home
        .amps(["diff", "@", "--", "../../x"])
        .cwd(repo.file("sub"));
    insta::assert_snapshot!(outside.run().text(), @"
    exit 2
    --- stderr
    error[E023]: `../../x` is not in the working tree [ROOT]/home/work
      next: write a path from the current folder, or `:/PATH` from the top of the tree
    ");
    let json = home
        .amps(["diff", "--json", "@", "--", ":/a.txt"])
        .run()
        .ok()
        .json();
    assert_eq!(json[0]["files"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_difference_on_a_terminal_is_coloured_and_harmless() {
    let (home, _repo) = recorded();
    let options = TerminalOptions {
        rows: 60,
        ..TerminalOptions::default()
    };
    let mut terminal = home.amps(["diff"]).terminal_with(options);
    assert_eq!(terminal.wait_exit(PATIENCE).code(), Some(0));
    let bytes = String::from_utf8_lossy(&terminal.bytes()).into_owned();
    assert!(bytes.contains("\u{1b}[32m"), "{bytes:?}");
    assert!(!bytes.contains("\u{1b}[2J"), "{bytes:?}");
    assert!(
        terminal.contents().contains("^[[2J"),
        "{}",
        terminal.contents()
    );
}

#[test]
fn without_its_repository_a_session_still_has_its_patch() {
    let (home, repo) = recorded();
    let id = newest(&home)["session_id"].as_str().unwrap().to_owned();
    std::fs::remove_dir_all(repo.path()).unwrap();
    let diff = home.amps(["diff", &id, "--", "sub/c.txt"]).run().ok();
    insta::assert_snapshot!(diff.text(), @"
    exit 0
    --- stdout
    diff --git a/sub/c.txt b/sub/c.txt
    new file mode 100644
    index OBJ0001xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx..OBJ0002xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
    --- /dev/null
    +++ b/sub/c.txt
    @@ -0,0 +1 @@
    +made
    --- stderr
    the repository or its snapshots are gone: this is the patch kept in the store, known secrets masked
    ");
    let restore = home.amps(["restore", &id]).run();
    insta::assert_snapshot!(restore.text(), @"
    exit 1
    --- stderr
    error[E001]: the working tree or the snapshots of session ID000001 are gone
      because: the files were in [ROOT]/home/work
      next: `amps diff ID000001 > session.patch` writes the patch kept in the store; `git apply -R` of it brings a copy of the tree back
    ");
}

#[test]
fn files_come_back_from_either_side() {
    let (home, repo) = recorded();
    let restore = home
        .amps(["restore", "@", "--dry-run"])
        .cwd(repo.path())
        .run();
    insta::assert_snapshot!(restore.text(), @r"
    exit 0
    --- stdout
    would write a.txt
    would write sub/a.txt
    would write sub/b.txt
    --- stderr
    would write 3 files as they were before session ID000001; 1 file already so
    left alone, since that state does not have them: e\u{9}vil, sub/c.txt
    ");
    assert_eq!(repo.read("a.txt"), "after\n");
    let restore = home
        .amps(["restore", "@", "b.txt", "./a.txt"])
        .cwd(repo.file("sub"));
    insta::assert_snapshot!(restore.run().text(), @"
    exit 0
    --- stdout
    wrote sub/a.txt
    wrote sub/b.txt
    --- stderr
    wrote 2 files as they were before session ID000001
    ");
    assert_eq!(repo.read("sub/b.txt"), "before\n");
    assert_eq!(
        (repo.read("a.txt"), repo.read("sub/a.txt")),
        ("after\n".into(), "before\n".into())
    );
    let restore = home
        .amps(["restore", "@", "--from", "after", "--json"])
        .cwd(repo.path());
    assert_eq!(
        restore.run().ok().json()["written"],
        serde_json::json!(["sub/a.txt"])
    );
}

#[test]
fn newer_work_is_never_overwritten_unasked() {
    let (home, repo) = recorded();
    repo.write("sub/a.txt", "newer\n");
    let before = repo.fingerprint();
    let restore = home.amps(["restore", "@"]).cwd(repo.path()).run();
    insta::assert_snapshot!(restore.text(), @"
    exit 12
    --- stderr
    error[E020]: 1 path would lose newer work; nothing was written
      because: sub/a.txt: it has content that no snapshot of the session holds
      next: name the paths to bring back, or `amps restore ID000001 --force` to keep that work in a snapshot first and overwrite it
    ");
    let restore = home
        .amps(["restore", "@", "--json"])
        .cwd(repo.path())
        .run()
        .code(12);
    assert_eq!(restore.stdout_text(), "");
    assert_eq!(repo.fingerprint(), before);
    assert_eq!(repo.read("a.txt"), "after\n");
}

#[test]
fn force_keeps_newer_work_and_tells_the_way_back() {
    let (home, repo) = recorded();
    repo.write("sub/a.txt", "newer\n");
    let restore = home
        .amps(["restore", "@", "--force"])
        .cwd(repo.path())
        .run()
        .ok();
    assert_eq!(repo.read("sub/a.txt"), "before\n");
    let talk = restore.stderr_text();
    let command = talk.lines().find(|line| line.contains("git -C")).unwrap();
    drop(home.command("sh", ["-c", command.trim()]).run().ok());
    assert_eq!(repo.read("sub/a.txt"), "newer\n");
}

#[test]
fn what_a_side_does_not_have_cannot_come_back_from_it() {
    let (home, repo) = recorded();
    let restore = home
        .amps(["restore", "@", "sub/c.txt", "a.txt"])
        .cwd(repo.path());
    insta::assert_snapshot!(restore.run().text(), @"
    exit 1
    --- stderr
    error[E019]: not in the state before the session: sub/c.txt
      next: what the session itself made comes back by `--from after`
    ");
    assert_eq!(repo.read("a.txt"), "after\n");
}

#[test]
fn what_lived_on_is_told_apart_from_the_session() {
    let home = Home::with_amps(AMPS);
    let repo = home.repo("work");
    let script = "echo own > own; \
                  (while ! test -e go; do sleep 0.01; done; echo late > late) > /dev/null 2>&1 &";
    let run = home.amps(["run", "--", "sh", "-c", script]);
    drop(run.cwd(repo.path()).run().ok());
    newest(&home);
    repo.write("go", "");
    home.daemon()
        .wait_for_session("@", "to have an amendment", PATIENCE, |record| {
            record["changesets"][1]["amendment"] == true
        });
    let stat = home.amps(["diff", "--stat"]).run().ok();
    insta::assert_snapshot!(stat.text(), @"
    exit 0
    --- stdout
    A  +1 -0  own
    1 file +1
    A         go  (uncertain)
    A  +1 -0  late  (uncertain)
    2 files +1, after the session had ended
    ");
    let patch = home.amps(["diff"]).run().ok().stdout_text();
    assert!(
        patch.contains("+own\n") && patch.contains("+late\n"),
        "{patch}"
    );
    let shown = home.amps(["show"]).run().ok().stdout_text();
    assert!(
        shown.contains("changed after the end, by what lived on"),
        "{shown}"
    );
    // Its work is known, so it is not newer work.
    repo.write("late", "late\n");
    let restore = home
        .amps(["restore", "@", "--from", "after"])
        .cwd(repo.path());
    drop(restore.run().ok());
}

#[test]
fn a_removed_worktree_still_has_its_difference_but_takes_no_files() {
    let home = Home::with_amps(AMPS);
    let repo = home.repo("work");
    repo.git(["worktree", "add", "--quiet", "../linked"]);
    let linked = home.home_dir().join("linked");
    let run = home.amps(["run", "--", "sh", "-c", "echo made > made"]);
    drop(run.cwd(&linked).run().ok());
    newest(&home);
    repo.git(["worktree", "remove", "--force", "../linked"]);
    let diff = home.amps(["diff"]).run().ok();
    assert!(diff.stdout_text().contains("+made\n"), "{}", diff.text());
    assert_eq!(diff.stderr_text(), "", "the patch of the store was taken");
    let restore = home.amps(["restore", "@"]).run().code(1);
    assert!(
        restore.stderr_text().starts_with("error[E001]"),
        "{}",
        restore.text()
    );
}
