//! Bad input and other mishaps: one clear block with a code and the next step, nothing on stdout.

use std::ffi::OsStr;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::unix::ffi::OsStrExt as _;

use amps_testkit::{Exit, Home};

use crate::record::{AMPS, ids, newest};

#[test]
fn no_reference_breaks_a_command() {
    let home = Home::with_amps(AMPS);
    let repo = home.repo("work");
    drop(home.amps(["run", "true"]).cwd(repo.path()).run().ok());
    newest(&home);
    let long = "x".repeat(10_000);
    for bad in [
        "zzz",
        "../../etc/passwd",
        "a\u{1b}[2J\nb",
        &long,
        "",
        "@9",
        "@x",
        "--",
        "%",
        "'",
    ] {
        for command in ["show", "diff", "log", "explain", "restore"] {
            let mut args = vec![command];
            if bad != "--" {
                args.push(bad);
            }
            if bad == "--" {
                args.push("%");
            }
            let output = home.amps(&args).run();
            let text = output.stderr_text();
            assert!(
                matches!(output.status, Exit::Code(1 | 2)),
                "{args:?}: {text}"
            );
            assert!(text.starts_with("error[E0"), "{args:?}: {text}");
            assert!(text.contains("\n  next: "), "{args:?}: {text}");
            assert!(
                text.len() < 400 && !text.contains('\u{1b}'),
                "{args:?}: {text:?}"
            );
            assert_eq!(output.stdout_text(), "", "{args:?}");
        }
    }
}

#[test]
fn each_kind_of_bad_reference_is_told_apart() {
    let home = Home::with_amps(AMPS);
    insta::assert_snapshot!(home.amps(["show"]).run().text(), @"
    exit 1
    --- stderr
    error[E010]: there is no session yet
      next: `amps run -- CMD` or `amps AGENT` records one
    ");
    for _ in 0..2 {
        drop(home.amps(["run", "--name", "twin", "true"]).run().ok());
    }
    newest(&home);
    insta::assert_snapshot!(home.amps(["show", "zzz"]).run().text(), @"
    exit 1
    --- stderr
    error[E010]: there is no session `zzz`
      next: `amps list` shows what there is; `@` means the newest
    ");
    insta::assert_snapshot!(home.amps(["show", ""]).run().text(), @"
    exit 2
    --- stderr
    error[E023]: the session is empty text
      next: `amps list` shows what there is; `@` means the newest
    ");
    let ambiguous = home.amps(["show", "twin"]).run().code(2).stderr_text();
    assert!(
        ambiguous.starts_with("error[E011]: `twin` means several sessions: "),
        "{ambiguous}"
    );
    for id in ids(&home) {
        assert!(ambiguous.contains(&id[..8]), "{ambiguous}");
        let shown = home.amps(["show", "--json", &id[..12]]).run().ok().json();
        assert_eq!(shown["session_id"], id.as_str());
    }
}

#[test]
fn arguments_that_are_no_text_are_named() {
    let home = Home::with_amps(AMPS);
    let bytes = OsStr::from_bytes(b"caf\xe9");
    insta::assert_snapshot!(home.amps(["show"]).arg(bytes).run().text(), @"
    exit 2
    --- stderr
    error[E023]: an argument is not UTF-8 text
      next: only paths and the command of an agent may be; `amps --help` shows which
    ");
    insta::assert_snapshot!(home.amps(["list", "--since", "soon"]).run().text(), @"
    exit 2
    --- stderr
    error[E023]: `soon` is not a time
      next: write how long ago (`2h`, `7d`), a day (`YYYY-MM-DD`) or a full time
    ");
    insta::assert_snapshot!(home.amps(["list", "--project", ""]).run().text(), @"
    exit 2
    --- stderr
    error[E023]: the project is empty
      next: write its folder, the folder's name, or `.` for the current one
    ");
    drop(home.amps(["list", "--status", "open"]).run().code(2));
}

#[test]
fn error_codes_are_explained() {
    let home = Home::with_amps(AMPS);
    let page = home.amps(["explain", "E010"]).run().ok().stdout_text();
    assert!(page.starts_with("# E010: no such record\n"), "{page}");
    assert_eq!(
        home.amps(["explain", "e010"]).run().ok().stdout_text(),
        page
    );
    let json = home.amps(["explain", "E020", "--json"]).run().ok().json();
    assert_eq!(json["code"], "E020");
    insta::assert_snapshot!(home.amps(["explain", "E999"]).run().text(), @"
    exit 1
    --- stderr
    error[E010]: `E999` is no error code and no session
      next: the codes are E001 E003 E004 E010 E011 E012 E013 E014 E015 E016 E017 E018 E019 E020 E021 E022 E023 E024 E025 E026 E027 E028 E029 E030 E031 E070
    ");
}

#[test]
fn a_reader_that_leaves_ends_a_command_quietly() {
    let home = Home::with_amps(AMPS);
    let repo = home.repo("work");
    let script = "seq 1 100000 > many";
    drop(
        home.amps(["run", "sh", "-c", script])
            .cwd(repo.path())
            .run()
            .ok(),
    );
    newest(&home);
    for command in [
        "list",
        "show --json",
        "diff",
        "log",
        "explain E010",
        "completions bash",
    ] {
        // `true` has ended, and closed the pipe, before anything is written.
        let script =
            format!("exec 3> >(true); wait $!; {AMPS} {command} >&3 2>err; echo $?; cat err");
        let output = home.command("bash", ["-c", &script]).run().ok();
        assert_eq!(output.stdout_text(), "141\n", "{command}");
    }
}

#[test]
fn a_capture_that_was_given_up_is_told_with_its_reason() {
    let home = Home::with_amps(AMPS);
    // The home folder itself is never captured.
    drop(home.amps(["run", "true"]).run().ok());
    newest(&home);
    insta::assert_snapshot!(home.amps(["diff"]).run().text(), @r#"
    exit 1
    --- stderr
    error[E019]: the state before session ID000001 is not captured
      because: "[ROOT]/home" is not captured: it is the home folder
      next: `amps explain ID000001` tells what is owed and why
    "#);
    insta::assert_snapshot!(home.amps(["explain"]).run().ok().text(), @r#"
    exit 0
    --- stdout
    session ID000001-xxxx-xxxx-xxxx-xxxxxxxxxxxx
    completed: the agent exited by itself

    evidence  wait_status
      The launcher waited for the agent and was told its exit by the kernel.
      Observed: the launcher waited for the agent: exit code 0.

    when
      observed             YYYY-MM-DDTHH:MM:SSZ
      recorded as the end  YYYY-MM-DDTHH:MM:SSZ
      It was observed as it happened.

    also heard
      YYYY-MM-DDTHH:MM:SSZ
        capture failed (1 attempt), given up: "[ROOT]/home" is not captured: it is the home folder

    the state before the agent is given up after 1 attempt: "[ROOT]/home" is not captured: it is the home folder
    "#);
    let restore = home.amps(["restore", "@"]).run();
    assert!(
        restore.stderr_text().starts_with("error[E019]"),
        "{}",
        restore.text()
    );
}

#[test]
fn without_git_the_stored_patch_is_shown_and_nothing_is_restored() {
    let home = Home::with_amps(AMPS);
    let repo = home.repo("work");
    drop(
        home.amps(["run", "sh", "-c", "echo x > x"])
            .cwd(repo.path())
            .run()
            .ok(),
    );
    newest(&home);
    let nowhere = home.folder("empty");
    let diff = home.amps(["diff"]).env("PATH", &nowhere).run().ok();
    assert!(diff.stdout_text().contains("+x"), "{}", diff.text());
    let restore = home.amps(["restore", "@"]).env("PATH", &nowhere).run();
    insta::assert_snapshot!(restore.text(), @r#"
    exit 1
    --- stderr
    error[E022]: the repository could not be asked
      because: no git program on the search path "[ROOT]/home/empty"
      next: install git, or add its folder to PATH
    "#);
}

#[test]
fn a_daemon_that_cannot_start_is_told_with_the_reason() {
    let home = Home::with_amps(AMPS);
    // Where the socket should be, something lies that cannot be removed by mistake.
    std::fs::create_dir_all(home.config_dir().join("ampd.sock/full")).unwrap();
    let note = home.amps(["note", "@", "text"]).run();
    insta::assert_snapshot!(note.text(), @"
    exit 75
    --- stderr
    error[E016]: the daemon ended at once; its log is [ROOT]/h/ampd.log
      next: `amps daemon run` shows what keeps it from starting
    ");
    // What only reads is answered from the file all the same.
    assert_eq!(
        home.amps(["list", "--json"]).run().ok().stdout_text(),
        "[]\n"
    );
}

#[test]
fn a_store_of_a_newer_version_is_left_alone() {
    let home = Home::with_amps(AMPS);
    drop(home.amps(["run", "true"]).run().ok());
    drop(home.amps(["daemon", "stop"]).run().ok());
    let database = home.config_dir().join("sessions.db");
    let mut file = std::fs::File::options()
        .write(true)
        .open(&database)
        .unwrap();
    // The format is kept in bytes 60 to 63 of the header: sqlite.org/fileformat.html, 1.3.
    file.seek(SeekFrom::Start(60)).unwrap();
    file.write_all(&99_u32.to_be_bytes()).unwrap();
    drop(file);
    let serve = home.amps(["daemon", "run"]).run();
    insta::assert_snapshot!(serve.text(), @"
    exit 1
    --- stderr
    error[E024]: the store cannot be opened
      because: the database has format 99, this program knows formats up to 4
      next: `amps explain E024` tells what to do for each cause
    ");
}

#[test]
fn a_file_that_cannot_be_written_is_named() {
    let home = Home::with_amps(AMPS);
    let man = home.amps(["man", "--out", ".gitconfig/man"]).run();
    insta::assert_snapshot!(man.text(), @"
    exit 1
    --- stderr
    error[E025]: cannot write the man pages to .gitconfig/man
      because: Not a directory (os error 20)
    ");
}
