//! What the answering commands say of sessions: whole output, on a pipe and on a terminal.

use amps_testkit::{Home, PATIENCE, Repo, TerminalOptions};

use crate::record::{AMPS, newest};

/// A home with one session that added, changed, renamed and committed.
fn recorded() -> (Home, Repo) {
    let home = Home::with_amps(AMPS);
    let repo = home.repo("work");
    let lines: Vec<String> = (1..=20).map(|line| format!("line {line}\n")).collect();
    repo.write("sub/old.txt", lines.concat());
    repo.commit("second");
    let script = "echo two >> README.md; git mv sub/old.txt sub/new.txt; \
                  git commit -qam 'rename it'; printf 'a\\0b' > bin; echo TOKEN=1 > .env";
    let run = home.amps([
        "--name",
        "first try",
        "--tag",
        "demo",
        "run",
        "--",
        "sh",
        "-c",
        script,
    ]);
    drop(run.cwd(repo.path()).run().ok());
    newest(&home);
    (home, repo)
}

#[test]
fn a_list_is_plain_and_whole_on_a_pipe() {
    let (home, repo) = recorded();
    drop(
        home.amps(["run", "--", "sh", "-c", "exit 3"])
            .cwd(repo.path())
            .run()
            .code(3),
    );
    newest(&home);
    let list = home.amps(["list"]).run().ok();
    // How wide a column is depends on how long the runs took.
    let mut text = list.text();
    while text.contains("   ") {
        text = text.replace("   ", "  ");
    }
    insta::assert_snapshot!(text, @r"
    exit 0
    --- stdout
    ID  STATUS  AGENT  WHEN  TOOK  CHANGED  SESSION
    ID000001  aborted  sh  YYYY-MM-DDTHH:MM:SSZ  N.Ns  nothing  sh -c 'exit 3'
    ID000002  completed  sh  YYYY-MM-DDTHH:MM:SSZ  N.Ns  3 files +1  first try  sh -c 'echo two >> README.md; git mv sub/old.txt sub/new.txt; git commit -qam '\''rename it'\''; printf '\''a\0b'\'' > bin; echo TOKEN=1 > .env'
    ");
}

#[test]
fn a_list_is_narrowed_by_what_is_asked_for() {
    let (home, repo) = recorded();
    let other = home.repo("other");
    drop(
        home.amps(["run", "--", "sh", "-c", "exit 3"])
            .cwd(other.path())
            .run()
            .code(3),
    );
    newest(&home);
    let count = |args: &[&str]| {
        let list = home
            .amps(["list", "--json"])
            .args(args)
            .cwd(repo.file("sub"));
        list.run().ok().json().as_array().map(Vec::len)
    };
    for (args, expected) in [
        (&[][..], 2),
        (&["--status", "aborted"], 1),
        (&["--status", "aborted", "--status", "completed"], 2),
        (&["--disconnected"], 0),
        (&["--project", "."], 1),
        (&["--project", "../../other"], 1),
        (&["--project", "other"], 1),
        (&["--agent", "sh"], 2),
        (&["--agent", "claude"], 0),
        (&["--tag", "demo"], 1),
        (&["--since", "1h"], 2),
        (&["--since", "2100-01-01"], 0),
        (&["--impact"], 1),
        (&["--limit", "1"], 1),
    ] {
        assert_eq!(count(args), Some(expected), "{args:?}");
    }
}

#[test]
fn an_empty_list_says_so_beside_the_answer() {
    let home = Home::with_amps(AMPS);
    insta::assert_snapshot!(home.amps(["list"]).run().text(), @"
    exit 0
    --- stderr
    no sessions yet; `amps run -- CMD` or `amps AGENT` records one
    ");
    assert_eq!(
        home.amps(["list", "--json"]).run().ok().stdout_text(),
        "[]\n"
    );
    insta::assert_snapshot!(home.amps(["list", "--disconnected"]).run().text(), @"
    exit 0
    --- stderr
    no session matches
    ");
}

#[test]
fn a_list_fits_the_terminal() {
    let (home, repo) = recorded();
    let long = "日本語 ".repeat(60);
    let run = home.amps(["run", "--", "true", &long, "\u{1b}[2J"]);
    drop(run.cwd(repo.path()).run().ok());
    newest(&home);
    for cols in [40, 80, 140] {
        let options = TerminalOptions {
            cols,
            ..TerminalOptions::default()
        };
        let mut terminal = home.amps(["list"]).terminal_with(options);
        assert_eq!(terminal.wait_exit(PATIENCE).code(), Some(0));
        let screen = terminal.contents();
        assert_eq!(screen.lines().count(), 3, "{cols}:\n{screen}");
        assert!(
            screen.contains("ago") || screen.contains("just now"),
            "{screen}"
        );
        let bytes = String::from_utf8_lossy(&terminal.bytes()).into_owned();
        assert!(!bytes.contains("\u{1b}[2J"), "{bytes:?}");
        assert!(bytes.contains("\u{1b}[32m"), "{bytes:?}");
    }
}

#[test]
fn a_session_is_shown_with_all_there_is_to_say() {
    let (home, _repo) = recorded();
    drop(home.amps(["note", "first try", "looks", "good"]).run().ok());
    let shown = home.amps(["show", "first try"]).run().ok();
    insta::assert_snapshot!(shown.text(), @r"
    exit 0
    --- stdout
    session ID000001-xxxx-xxxx-xxxx-xxxxxxxxxxxx  first try
    completed: the agent exited by itself

    command  sh -c 'echo two >> README.md; git mv sub/old.txt sub/new.txt; git commit -qam '\''rename it'\''; printf '\''a\0b'\'' > bin; echo TOKEN=1 > .env'
    project  [ROOT]/home/work
    started  YYYY-MM-DDTHH:MM:SSZ
    ended    YYYY-MM-DDTHH:MM:SSZ
    took     N.Ns
    exit     code 0
    tags     demo

    changed  3 files +1  (not complete)
      M  +1 -0   README.md
      A  binary  bin
      R          sub/old.txt => sub/new.txt

    left out of the record
      .env  looks like a credential

    notes
      YYYY-MM-DDTHH:MM:SSZ
        looks good
    ");
}

#[test]
fn a_session_that_could_not_start_is_shown_as_such() {
    let home = Home::with_amps(AMPS);
    let repo = home.repo("work");
    home.install_script("broken", "");
    std::fs::File::options()
        .write(true)
        .truncate(true)
        .open(home.bin_dir().join("broken"))
        .and_then(|mut file| std::io::Write::write_all(&mut file, b"#!/no/such/program\n"))
        .unwrap();
    let run = home.amps(["broken"]).cwd(repo.path()).run();
    assert_ne!(run.status.shell_code(), 0);
    newest(&home);
    let shown = home.amps(["show"]).run().ok();
    assert!(
        shown.stdout_text().contains("could not be started"),
        "{}",
        shown.text()
    );
}

#[test]
fn a_log_is_one_sentence_an_event() {
    let home = Home::with_amps(AMPS);
    let repo = home.repo("work");
    // An agent may be gone before the state before it is captured; this one is not.
    let script = "while ! test -e go; do sleep 0.01; done";
    let agent = home.amps(["run", "--", "sh", "-c", script]);
    let agent = agent.cwd(repo.path()).start();
    home.daemon()
        .wait_for_session("@", "to have its base", PATIENCE, |record| {
            record["status"] == "active" && record["runs"][0]["capture"]["base"] == "done"
        });
    repo.write("go", "");
    drop(agent.wait(PATIENCE).ok());
    newest(&home);
    let log = home.amps(["log"]).run().ok().text();
    // The start and the base may be stored in either order.
    let mut lines: Vec<&str> = log.lines().collect();
    lines.sort_unstable();
    insta::assert_snapshot!(lines.join("\n"), @"
    --- stdout
    YYYY-MM-DDTHH:MM:SSZ  agent started as pid PID0000 on [HOST]
    YYYY-MM-DDTHH:MM:SSZ  completed (exited), as wait_status proved: the launcher waited for the agent: exit code 0
    YYYY-MM-DDTHH:MM:SSZ  opened; kept open by pid PID0000 on [HOST]
    YYYY-MM-DDTHH:MM:SSZ  state after the agent captured: tree d162e5879c; changeset ID000001
    YYYY-MM-DDTHH:MM:SSZ  state before the agent captured: tree 76e42febe3
    exit 0
    ");
    let events = home.amps(["log", "--json"]).run().ok().json();
    assert_eq!(events[0]["event"], "opened");
}

#[test]
fn an_end_is_explained_by_its_evidence() {
    let (home, _repo) = recorded();
    insta::assert_snapshot!(home.amps(["explain"]).run().ok().text(), @"
    exit 0
    --- stdout
    session ID000001-xxxx-xxxx-xxxx-xxxxxxxxxxxx  first try
    completed: the agent exited by itself

    evidence  wait_status
      The launcher waited for the agent and was told its exit by the kernel.
      Observed: the launcher waited for the agent: exit code 0.

    when
      observed             YYYY-MM-DDTHH:MM:SSZ
      recorded as the end  YYYY-MM-DDTHH:MM:SSZ
      It was observed as it happened.
    ");
    let json = home.amps(["explain", "--json"]).run().ok().json();
    assert_eq!(json["evidence"]["kind"], "wait_status");
    assert_eq!(json["interval"]["seconds"], 0.0);
}

#[test]
fn an_open_session_is_explained_by_its_lease() {
    let home = Home::with_amps(AMPS);
    let repo = home.repo("work");
    let agent = home
        .amps(["run", "--", "sleep", "100"])
        .cwd(repo.path())
        .start();
    home.daemon()
        .wait_for_session("@", "to be active", PATIENCE, |record| {
            record["status"] == "active"
        });
    insta::assert_snapshot!(home.amps(["explain"]).run().ok().text(), @"
    exit 0
    --- stdout
    session ID000001-xxxx-xxxx-xxxx-xxxxxxxxxxxx
    active: the agent is running

    kept open by  pid PID0000 on [HOST]
      last sign of life  YYYY-MM-DDTHH:MM:SSZ
      its lease of 30s is renewed as long as that process lives
    ");
    insta::assert_snapshot!(home.amps(["diff"]).run().text(), @"
    exit 1
    --- stderr
    error[E019]: session ID000001 is active: its end is not captured yet
      next: it is captured once the agent has ended; `git diff` shows the present
    ");
    agent.signal(amps_testkit::Signal::TERM);
    drop(agent.wait(PATIENCE));
}

#[test]
fn notes_come_as_words_or_on_standard_input() {
    let (home, _repo) = recorded();
    drop(home.amps(["note", "@", "in", "words"]).run().ok());
    let piped = home
        .amps(["note", "@", "-", "--json"])
        .stdin("two\nlines\n");
    assert_eq!(piped.run().ok().json()["noted"], true);
    let notes = &home.amps(["show", "--json"]).run().ok().json()["notes"];
    assert_eq!(notes[0]["text"], "in words");
    assert_eq!(notes[1]["text"], "two\nlines");
    let empty = home.amps(["note", "@"]).stdin(" \n").run();
    insta::assert_snapshot!(empty.text(), @"
    exit 2
    --- stderr
    error[E023]: the note is empty
      next: `amps note SESSION TEXT`, or the text on standard input
    ");
    let bytes = home.amps(["note", "@"]).stdin(b"caf\xe9").run();
    insta::assert_snapshot!(bytes.text(), @"
    exit 2
    --- stderr
    error[E023]: the note is not UTF-8 text
      next: convert it first, as `iconv -t UTF-8` does
    ");
}

#[test]
fn completions_and_man_pages_come_from_the_same_definitions() {
    let home = Home::with_amps(AMPS);
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = home.amps(["completions", shell]).run().ok().stdout_text();
        assert!(script.contains("explain"), "{shell}");
        assert!(
            !script.contains("reference pages"),
            "{shell}: a hidden command is completed"
        );
    }
    drop(home.amps(["man", "--out", "pages/man1"]).run().ok());
    let folder = home.home_dir().join("pages/man1");
    for page in std::fs::read_dir(folder).unwrap() {
        let page = page.unwrap().path();
        let text = std::fs::read_to_string(&page).unwrap();
        assert!(text.contains(".SH NAME"), "{page:?}");
    }
}
