//! Sessions bound to a shell.

use amps_testkit::{PATIENCE, Signal, process};

use crate::record::{AMPS, changes, home, is_final, newest};

#[test]
fn a_session_of_a_shell_records_what_is_done_between_start_and_end() {
    let home = home();
    let repo = home.repo("work");
    let mut shell = home.shell(repo.path());
    let said = shell.line(&format!("{AMPS} session start --agent claude --name s"));
    assert!(said.contains("recording until"), "{said}");
    shell.line("echo x > made.txt");
    let again = shell.line(&format!("{AMPS} session start"));
    assert!(again.contains("error[E018]"), "{again}");
    assert_eq!(shell.status(), 13);
    shell.line(&format!("{AMPS} session status --json > /dev/null"));
    assert_eq!(shell.status(), 0);
    shell.line(&format!("{AMPS} session end --status aborted --note why"));
    assert_eq!(shell.status(), 0);
    let record = newest(&home);
    assert_eq!(record["status"], "aborted");
    assert_eq!(record["status_reason"], "ended-by-user");
    assert_eq!(record["evidence"]["kind"], "user_command");
    assert_eq!(record["agent"], "claude");
    assert_eq!(record["notes"][0]["text"], "why");
    assert_eq!(changes(&record), ["A made.txt"]);
    shell.line(&format!("{AMPS} session end"));
    assert_eq!(shell.status(), 13, "there is none any more");
}

#[test]
fn a_shell_that_becomes_the_last_command_still_ends_its_session() {
    let home = home();
    let repo = home.repo("work");
    let script = "\"$AMPS\" session start; echo x > made.txt; \"$AMPS\" session end";
    home.command("bash", ["-c", script])
        .env("AMPS", AMPS)
        .cwd(repo.path())
        .run()
        .ok();
    let record = newest(&home);
    assert_eq!(record["status"], "completed");
    assert_eq!(changes(&record), ["A made.txt"]);
}

#[test]
fn a_forgotten_session_ends_with_its_shell() {
    let home = home();
    let repo = home.repo("work");
    let mut shell = home.shell(repo.path());
    shell.line(&format!("{AMPS} session start"));
    shell.line("echo x > made.txt");
    let pid = shell.terminal().pid();
    shell.terminal().send("exit\n");
    process::wait_gone(pid, PATIENCE);
    let record = newest(&home);
    assert_eq!(record["status"], "disconnected");
    assert_eq!(record["status_reason"], "shell-ended");
    assert_eq!(record["evidence"]["kind"], "pidfd_exit");
    assert_eq!(changes(&record), ["A made.txt"]);
}

#[test]
fn a_killed_shell_ends_its_session_even_while_no_daemon_runs() {
    let home = home();
    let repo = home.repo("work");
    let mut shell = home.shell(repo.path());
    shell.line(&format!("{AMPS} session start"));
    home.daemon().kill();
    let pid = shell.terminal().pid();
    process::send(pid, Signal::KILL);
    process::wait_gone(pid, PATIENCE);
    let record = home
        .daemon()
        .wait_for_session("@", "to be final", PATIENCE, is_final);
    assert_eq!(record["status"], "disconnected");
    assert_eq!(record["evidence"]["kind"], "process_gone");
}

#[test]
fn two_runs_in_one_tree_are_marked_on_both() {
    let home = home();
    let repo = home.repo("work");
    home.install_agent("agent", &["touch ready", "wait-for go"]);
    let first = home
        .amps(["--name", "first", "agent"])
        .cwd(repo.path())
        .start();
    amps_testkit::wait::for_file(&repo.file("ready"), PATIENCE);
    home.amps(["--name", "second", "run", "--", "true"])
        .cwd(repo.path())
        .run()
        .ok();
    repo.write("go", "");
    first.wait(PATIENCE).ok();
    let first = crate::record::settled(&home, "first");
    let second = crate::record::settled(&home, "second");
    assert_eq!(first["links"][0]["kind"], "overlaps");
    assert_eq!(first["links"][0]["session_id"], second["session_id"]);
    assert_eq!(second["links"][0]["session_id"], first["session_id"]);
}
