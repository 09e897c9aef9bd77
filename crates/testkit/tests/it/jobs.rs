//! Job control in an interactive shell.

use amps_testkit::{Home, PATIENCE, process};

#[test]
fn lines_give_their_output_and_status() {
    let home = Home::new();
    let mut shell = home.shell(home.home_dir());
    assert_eq!(shell.line("echo one; echo two"), "one\ntwo\n");
    assert_eq!(shell.line("(exit 3)"), "");
    assert_eq!(shell.status(), 3);
    assert_eq!(
        shell.line("pwd"),
        format!("{}\n", home.home_dir().display())
    );
}

#[test]
fn a_job_is_suspended_and_brought_back() {
    let home = Home::new();
    let mut shell = home.shell(home.home_dir());
    shell.start_line("cat");
    let bash = shell.terminal().pid();
    shell.terminal().send("one\n");
    shell.terminal().wait_for_bytes("one\r\none\r\n", PATIENCE);
    let cat = shell.wait_job();
    assert_ne!(cat, bash);
    let output = shell.suspend();
    assert!(output.contains("Stopped"), "{output:?}");
    assert_eq!(shell.status(), 128 + 20);
    assert!(process::stat(cat).unwrap().is_stopped());
    assert!(shell.jobs().contains("Stopped"));

    shell.start_line("fg");
    shell.terminal().wait_for_text("fg\ncat");
    shell.terminal().send("two\n");
    shell.terminal().wait_for_bytes("two\r\ntwo\r\n", PATIENCE);
    assert_eq!(shell.terminal().front(), cat);
    shell.interrupt();
    assert_eq!(shell.status(), 128 + 2);
    assert_eq!(shell.jobs(), "");
}

#[test]
fn a_group_is_stopped_as_a_whole() {
    let home = Home::new();
    let mut shell = home.shell(home.home_dir());
    home.install_agent(
        "agent",
        &[
            "fork-child \"print child\\nwait-for go\\ntouch went\"",
            "wait-for went",
            "exit 8",
        ],
    );
    shell.start_line("agent");
    shell.terminal().wait_for_text("child");
    let group = shell.terminal().front();
    shell.suspend();
    let members: Vec<_> = home
        .processes()
        .into_iter()
        .filter(|stat| stat.group == group)
        .collect();
    assert_eq!(members.len(), 2);
    for member in members {
        process::wait_stopped(member.pid, PATIENCE);
    }
    std::fs::write(home.path("home/go"), "").unwrap();
    shell.line("fg");
    assert_eq!(shell.status(), 8);
}

#[test]
fn a_closed_window_ends_shell_and_stopped_jobs() {
    let home = Home::new();
    let mut shell = home.shell(home.home_dir());
    shell.start_line("cat");
    shell.terminal().send("x\n");
    shell.terminal().wait_for_bytes("x\r\nx\r\n", PATIENCE);
    let cat = shell.terminal().front();
    shell.suspend();
    shell.terminal().close();
    shell.terminal().wait_exit(PATIENCE);
    process::wait_gone(cat, PATIENCE);
}
