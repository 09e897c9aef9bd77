//! Checkpoints: asked for, told as turns, by time; what they show and bring back.

use std::path::Path;
use std::time::{Duration, Instant};

use amps_testkit::{Home, PATIENCE, Repo, Running, Signal, process, wait};
use serde_json::Value;

use crate::record::{AMPS, changes, home, newest, settled};

/// Returns the checkpoints of a session, counted by nobody but git.
#[track_caller]
pub(crate) fn listed(home: &Home, session: &str) -> Vec<Value> {
    let listed = home.amps(["checkpoints", session, "--json"]).run().ok();
    listed.json().as_array().unwrap().clone()
}

/// Waits until a session has so many checkpoints, and returns them.
#[track_caller]
pub(crate) fn wait_for(home: &Home, session: &str, count: usize) -> Vec<Value> {
    let what = format!("{count} checkpoints of {session}");
    wait::until(what, PATIENCE, || {
        let listed = home.amps(["checkpoints", session, "--json"]).run();
        let listed = serde_json::from_slice::<Vec<Value>>(&listed.stdout).ok()?;
        (listed.len() >= count).then_some(listed)
    })
}

/// Asserts that git has exactly the references that the records name.
#[track_caller]
pub(crate) fn assert_consistent(home: &Home, repo: &Repo) {
    let shown = home.amps(["show", "--no-wait", "--json"]).run().ok().json();
    let session = shown["session_id"].as_str().unwrap();
    let folder = format!("refs/amps/sessions/{session}/checkpoints/");
    let named = || {
        let named = listed(home, session).into_iter().map(|one| {
            let commit = one["snapshot"]["commit"].as_str().unwrap();
            format!("{commit} {folder}{}", one["number"])
        });
        sorted(named)
    };
    let there = || {
        let format = "--format=%(objectname) %(refname)";
        let there = repo.git(["for-each-ref", format, &folder]);
        sorted(there.lines().map(str::to_owned))
    };
    let same = wait::within(PATIENCE, || (there() == named()).then_some(()));
    assert!(
        same.is_some(),
        "git has {:#?}\nthe records name {:#?}",
        there(),
        named()
    );
}

fn sorted(lines: impl Iterator<Item = String>) -> Vec<String> {
    let mut lines: Vec<String> = lines.collect();
    lines.sort();
    lines
}

/// A home with a finished session: two turns told from inside, and one checkpoint asked for of a
/// state that was kept already.
fn recorded() -> (Home, Repo) {
    let home = home();
    let repo = home.repo("work");
    repo.write("mine.txt", "from before\n");
    repo.git(["add", "mine.txt"]);
    repo.write("mine.txt", "on top\n");
    let before = repo.fingerprint();
    let taken = [home.path("first taken"), home.path("second taken")];
    let goes_on = |taken: &Path| format!("wait-for \"{}\"", taken.display());
    let script = [
        "write a.txt one".to_owned(),
        format!("run {AMPS} checkpoint --turn"),
        goes_on(&taken[0]),
        "write a.txt two".to_owned(),
        "write b.txt two".to_owned(),
        format!("run {AMPS} checkpoint --turn --label \"the second\""),
        goes_on(&taken[1]),
        format!("run {AMPS} checkpoint"),
        "write a.txt three".to_owned(),
        "delete b.txt".to_owned(),
    ];
    home.install_agent("agent", &script.each_ref().map(String::as_str));
    let run = home.amps(["agent"]).cwd(repo.path()).start();
    for (count, taken) in (1..).zip(&taken) {
        wait_for(&home, "@", count);
        amps_engine::files::write_private(taken.as_ref(), b"").unwrap();
    }
    let run = run.wait(PATIENCE).ok();
    assert_eq!(run.stdout_text(), "checkpoint 3\n", "a turn prints nothing");
    assert_eq!(changes(&newest(&home)), ["A a.txt"]);
    let differences = before.differences(&repo.fingerprint());
    let differences: Vec<&String> = differences
        .iter()
        .filter(|line| !line.starts_with("changed: .; ") && **line != "new: a.txt")
        .collect();
    assert_eq!(
        differences,
        Vec::<&String>::new(),
        "index, HEAD, stash, refs"
    );
    (home, repo)
}

#[test]
fn an_agent_tells_its_turns_from_inside() {
    let (home, repo) = recorded();
    insta::assert_snapshot!(home.amps(["checkpoints"]).run().ok().text(), @"
    exit 0
    --- stdout
    NUMBER  TAKEN                     CAUSE  FILES  LABEL
    1       YYYY-MM-DDTHH:MM:SSZ  turn   1
    2       YYYY-MM-DDTHH:MM:SSZ  turn   2      the second
    3       YYYY-MM-DDTHH:MM:SSZ  asked  0
    ");
    let found = listed(&home, "@");
    let commit = |place: usize| found[place]["snapshot"]["commit"].as_str().unwrap();
    assert_eq!(commit(1), commit(2), "the same state is the same commit");
    assert_ne!(commit(0), commit(1));
    assert_consistent(&home, &repo);
    let log = home.amps(["log", "--json"]).run().ok().json();
    let events = log.as_array().unwrap().iter().filter_map(|event| {
        let event_name = event["event"].as_str().unwrap();
        let is_ours = ["checkpoint-taken", "turn-ended"].contains(&event_name);
        is_ours.then(|| format!("{event_name} {}", event["number"]))
    });
    assert_eq!(
        events.collect::<Vec<_>>(),
        [
            "turn-ended 1",
            "checkpoint-taken 1",
            "turn-ended 2",
            "checkpoint-taken 2",
            "checkpoint-taken 3"
        ]
    );
    let shown = home.amps(["show"]).run().ok().stdout_text();
    assert!(shown.contains("checkpoints  3\n"), "{shown}");
}

#[test]
fn a_difference_is_shown_at_a_checkpoint_and_between_two() {
    let (home, repo) = recorded();
    let names = |args: &[&str]| {
        let diff = home.amps(["diff", "@", "--name-only"]).args(args);
        let output = diff.cwd(repo.path()).run().ok();
        output.stdout_text() + &output.stderr_text()
    };
    assert_eq!(names(&["--at", "1"]), "a.txt\n");
    assert_eq!(names(&["--at", "2"]), "a.txt\nb.txt\n");
    assert_eq!(names(&["--at", "1..2"]), "a.txt\nb.txt\n");
    assert_eq!(names(&["--at", "2..3"]), "nothing was changed\n");
    assert_eq!(names(&["--at", "2", "--", "b.txt"]), "b.txt\n");
    let patch = home.amps(["diff", "--at", "1"]).run().ok().stdout_text();
    assert!(patch.contains("+one"), "{patch}");
    insta::assert_snapshot!(home.amps(["diff", "--stat", "--at", "1..2"]).run().ok().text(), @"
    exit 0
    --- stdout
    M  +1 -1  a.txt
    A  +1 -0  b.txt
    2 files +2 -1
    ");
    let json = home.amps(["diff", "--json", "--at", "1"]).run().ok().json();
    assert_eq!(json["files"][0]["path"], "a.txt");
    assert_eq!(
        (json["from"].as_u64(), json["at"].as_u64()),
        (None, Some(1))
    );
}

#[test]
fn a_state_in_the_middle_comes_back() {
    let (home, repo) = recorded();
    let restore = home.amps(["restore", "@", "--at", "2"]).cwd(repo.path());
    insta::assert_snapshot!(restore.run().text(), @"
    exit 0
    --- stdout
    wrote a.txt
    wrote b.txt
    --- stderr
    wrote 2 files as they were at checkpoint 2 of session ID000001; 2 files already so
    ");
    assert_eq!(
        (repo.read("a.txt"), repo.read("b.txt")),
        ("two".into(), "two".into())
    );
    // What is there now is in a checkpoint, so it is not newer work.
    let restore = home.amps(["restore", "@", "--at", "1", "a.txt", "--json"]);
    let json = restore.cwd(repo.path()).run().ok().json();
    assert_eq!(
        (json["at"].as_u64(), json["from"].as_str()),
        (Some(1), None)
    );
    assert_eq!(
        (repo.read("a.txt"), repo.read("b.txt")),
        ("one".into(), "two".into())
    );
    let restore = home.amps(["restore", "@", "--from", "after", "a.txt"]);
    drop(restore.cwd(repo.path()).run().ok());
    assert_eq!(repo.read("a.txt"), "three");
    repo.write("a.txt", "newer");
    let restore = home.amps(["restore", "@", "--at", "2"]).cwd(repo.path());
    insta::assert_snapshot!(restore.run().text(), @"
    exit 12
    --- stderr
    error[E020]: 1 path would lose newer work; nothing was written
      because: a.txt: it has content that no snapshot of the session holds
      next: name the paths to bring back, or `amps restore ID000001 --at 2 --force` to keep that work in a snapshot first and overwrite it
    ");
    let restore = home.amps(["restore", "@", "--at", "1", "b.txt"]);
    insta::assert_snapshot!(restore.cwd(repo.path()).run().text(), @"
    exit 1
    --- stderr
    error[E019]: not in the state at checkpoint 1 of the session: b.txt
      next: another checkpoint may have it: `amps checkpoints`
    ");
}

#[test]
fn what_is_not_there_is_named() {
    let (home, repo) = recorded();
    insta::assert_snapshot!(home.amps(["diff", "--at", "9"]).run().text(), @"
    exit 1
    --- stderr
    error[E010]: session ID000001 has no checkpoint 9
      next: it has 1, 2, 3; `amps checkpoints ID000001` lists them
    ");
    insta::assert_snapshot!(home.amps(["restore", "@", "--at", "0"]).run().text(), @"
    exit 1
    --- stderr
    error[E010]: session ID000001 has no checkpoint 0
      next: it has 1, 2, 3; `amps checkpoints ID000001` lists them
    ");
    insta::assert_snapshot!(home.amps(["diff", "--at", "two"]).run().code(2).stderr_text(), @"
    error: invalid value 'two' for '--at <N>': the number of a checkpoint, or two as in 2..5

    For more information, try '--help'.
    ");
    let both = ["restore", "@", "--at", "1", "--from", "after"];
    drop(home.amps(both).run().code(2));
    insta::assert_snapshot!(home.amps(["checkpoint", "@"]).run().text(), @"
    exit 13
    --- stderr
    error[E018]: session ID000001 has ended
      next: checkpoints are taken while a session is open; `amps list --status active` shows which
    ");
    drop(home.amps(["run", "--", "true"]).cwd(repo.path()).run().ok());
    newest(&home);
    insta::assert_snapshot!(home.amps(["checkpoints"]).run().ok().text(), @"
    exit 0
    --- stderr
    no checkpoint was taken
    ");
    insta::assert_snapshot!(home.amps(["diff", "--at", "1"]).run().text(), @"
    exit 1
    --- stderr
    error[E010]: session ID000002 has no checkpoint 1
      next: it has none; `amps diff` shows all that a session changed
    ");
    std::fs::remove_dir_all(repo.path()).unwrap();
    insta::assert_snapshot!(home.amps(["diff", "@2", "--at", "1"]).run().text(), @"
    exit 1
    --- stderr
    error[E001]: the repository or the checkpoints of session ID000001 are gone
      because: the files were in [ROOT]/home/work
      next: `amps diff ID000001` shows what the store kept of the whole session
    ");
    let files = &listed(&home, "@2")[0]["files"];
    assert!(files.is_null(), "{files}");
}

#[test]
fn without_a_base_there_is_none() {
    let home = home();
    home.install_agent("agent", &["wait-for go"]);
    let run = home.amps(["agent"]).cwd(home.home_dir()).start();
    home.daemon()
        .wait_for_session("@", "to be given up", PATIENCE, |record| {
            record["runs"][0]["capture"]["base"] == "given-up"
        });
    insta::assert_snapshot!(home.amps(["checkpoint", "@"]).run().text(), @"
    exit 1
    --- stderr
    error[E019]: the state before session ID000001 is not captured
      next: `amps explain ID000001` tells what is owed and why
    ");
    Repo::at(&home, &home.home_dir()).write("go", "");
    run.wait(PATIENCE).ok();
}

#[test]
fn thinned_ones_are_gone_from_git_and_named() {
    let mut home = home();
    home.set_env("AMPSM_CHECKPOINT_MAX", "2");
    let repo = home.repo("work");
    let mut script = Vec::new();
    for number in 1..=4 {
        script.push(format!("write a.txt {number}"));
        script.push(format!("run {AMPS} checkpoint --label {number}"));
    }
    let script: Vec<&str> = script.iter().map(String::as_str).collect();
    home.install_agent("agent", &script);
    home.amps(["agent"]).cwd(repo.path()).run().ok();
    let numbers: Vec<u64> = listed(&home, "@")
        .iter()
        .map(|one| one["number"].as_u64().unwrap())
        .collect();
    assert_eq!(
        (numbers.len(), numbers.last()),
        (2, Some(&4)),
        "{numbers:?}"
    );
    assert_consistent(&home, &repo);
    let gone = (1..4).find(|number| !numbers.contains(number)).unwrap();
    let diff = home.amps(["diff", "--at", &gone.to_string()]).run().code(1);
    let said = diff.stderr_text();
    assert!(said.starts_with("error[E010]: checkpoint"), "{said}");
    assert!(said.contains("is not kept any more"), "{said}");
    let restore = home.amps(["restore", "@", "--at", "4"]).cwd(repo.path());
    drop(restore.run().ok());
    assert_eq!(repo.read("a.txt"), "4");
}

/// Starts an agent that lives until `go` exists, and writes `a.txt` when `write` does.
fn patient(home: &Home, repo: &Repo) -> Running {
    home.install_agent(
        "agent",
        &["wait-for write", "write a.txt one", "wait-for go"],
    );
    home.amps(["agent"]).cwd(repo.path()).start()
}

#[test]
fn a_shell_and_a_folder_have_checkpoints_too() {
    let home = home();
    let folder = home.folder("plain");
    let plain = Repo::at(&home, &folder);
    plain.write("a", "one");
    let script = "\"$AMPS\" session start 2> /dev/null; echo two > a; \"$AMPS\" checkpoint; \
                  \"$AMPS\" session end > /dev/null";
    let shell = home
        .command("sh", ["-c", script])
        .env("AMPS", AMPS)
        .cwd(&folder);
    let said = shell.run().ok().stdout_text();
    assert!(said.ends_with("\ncheckpoint 1\n"), "{said}");
    settled(&home, "@");
    plain.write("a", "two\n");
    let patch = home.amps(["diff", "--at", "1"]).run().ok().stdout_text();
    assert!(patch.contains("+two"), "{patch}");
}

#[test]
fn the_hook_of_an_agent_that_is_in_no_session_does_nothing() {
    let home = home();
    let repo = home.repo("work");
    let run = patient(&home, &repo);
    home.daemon()
        .wait_for_session("@", "to run", PATIENCE, |record| {
            record["runs"][0]["capture"]["base"] == "done"
        });
    let hook = home
        .amps(["checkpoint", "--turn"])
        .cwd(repo.path())
        .run()
        .ok();
    assert_eq!(hook.stdout_text() + &hook.stderr_text(), "");
    assert_eq!(listed(&home, "@"), Vec::<Value>::new());
    let asked = home.amps(["checkpoint"]).cwd(repo.path()).run().ok();
    assert_eq!(asked.stdout_text(), "checkpoint 1\n", "the newest");
    let restore = home.amps(["diff", "--at", "1"]).run().ok();
    assert_eq!(
        restore.stderr_text(),
        "nothing was changed\n",
        "of one that is open"
    );
    for file in ["write", "go"] {
        repo.write(file, "");
    }
    run.wait(PATIENCE).ok();
}

/// Runs the hook of a turn as the agent of a session, and asserts that it tells nobody anything.
#[track_caller]
fn turn_of(home: &Home, session: &str) {
    let hook = home.amps(["checkpoint", "--turn"]);
    let hook = hook.env("AMPSM_SESSION_ID", session).run().ok();
    assert_eq!(hook.stdout_text() + &hook.stderr_text(), "", "{session}");
}

#[test]
fn a_hook_is_not_held_up_by_a_daemon_that_is_stopped_and_its_turn_is_not_lost() {
    let home = home();
    let repo = home.repo("work");
    let run = patient(&home, &repo);
    let record = home
        .daemon()
        .wait_for_session("@", "to run", PATIENCE, |record| {
            record["runs"][0]["capture"]["base"] == "done"
        });
    let session = record["session_id"].as_str().unwrap();
    let daemon = home.daemon().wait_alive(PATIENCE);
    process::send(daemon, Signal::STOP);
    let begun = Instant::now();
    turn_of(&home, session);
    drop(home.amps(["checkpoint", "--turn"]).run().ok());
    // What is waited for is two times 150 ms; the rest is for a machine that has other work.
    assert!(begun.elapsed() < Duration::from_secs(5));
    process::send(daemon, Signal::CONT);
    assert_eq!(wait_for(&home, session, 1)[0]["cause"], "turn");
    for file in ["write", "go"] {
        repo.write(file, "");
    }
    run.wait(PATIENCE).ok();
}

#[test]
fn a_hook_says_nothing_of_a_session_that_has_ended_or_never_was_or_where_no_daemon_runs() {
    let home = home();
    let repo = home.repo("work");
    home.amps(["run", "--", "true"]).cwd(repo.path()).run().ok();
    let ended = newest(&home)["session_id"].clone();
    turn_of(&home, ended.as_str().unwrap());
    turn_of(&home, "00000000-0000-7000-8000-000000000000");
    home.amps(["daemon", "stop"]).run().ok();
    turn_of(&home, ended.as_str().unwrap());
    assert!(!home.daemon().is_alive(), "nothing is started for a hook");
}
