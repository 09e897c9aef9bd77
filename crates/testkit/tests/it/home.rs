//! Sealed homes and what their commands answer.

use std::time::Duration;

use amps_testkit::{Exit, Home, PATIENCE, Signal, process, wait};

#[test]
fn a_home_is_short_and_its_environment_is_its_own() {
    let home = Home::new();
    assert!(home.root().as_os_str().len() <= 12, "{:?}", home.root());
    let output = home.command("env", ["-0"]).run().ok();
    let text = output.stdout_text();
    let names: Vec<&str> = text
        .split('\0')
        .filter_map(|v| v.split('=').next())
        .collect();
    for name in ["HOME", "PATH", "AMPSM_CONFIG_DIR", "TERM", "LC_ALL", "TZ"] {
        assert!(names.contains(&name), "{name}");
    }
    assert!(!names.iter().any(|name| name.starts_with("CARGO")));
    assert!(text.contains(&format!("HOME={}/home\0", home.root().display())));
}

#[test]
fn the_whole_answer_is_one_text() {
    let home = Home::new();
    let script = "echo in $HOME; echo pid 4711 >&2; printf done; exit 3";
    let output = home.command("sh", ["-c", script]).run().code(3);
    insta::assert_snapshot!(output.text(), @"
    exit 3
    --- stdout
    in [ROOT]/home
    done(no newline)
    --- stderr
    pid PID0000
    ");
}

#[test]
fn json_and_input_pass() {
    let home = Home::new();
    let output = home.command("cat", ["-"]).stdin(r#"{"a": [1]}"#).run().ok();
    assert_eq!(output.json()["a"][0], 1);
}

#[test]
fn large_output_on_both_streams_and_unread_input_do_not_block() {
    let home = Home::new();
    let script = "head -c 300000 /dev/zero; head -c 300000 /dev/zero >&2";
    let output = home.command("sh", ["-c", script]);
    let output = output.stdin(vec![b'x'; 300_000]).run().ok();
    assert_eq!(
        (output.stdout.len(), output.stderr.len()),
        (300_000, 300_000)
    );
}

#[test]
fn an_end_by_signal_is_seen_as_one() {
    let home = Home::new();
    let output = home.command("sh", ["-c", "kill -TERM $$"]).run();
    assert_eq!(output.status, Exit::Signal(15));
    assert!(
        output
            .signal(Signal::TERM)
            .text()
            .starts_with("signal 15\n")
    );
}

#[test]
#[should_panic(expected = "keeps its stdout or stderr open")]
fn a_pipe_that_somebody_keeps_open_is_reported() {
    let home = Home::new();
    let output = home.fake_agent(["fork-child hang"]).run();
    drop(output);
}

#[test]
#[should_panic(expected = "did not end within")]
fn a_command_that_does_not_end_is_reported() {
    let home = Home::new();
    let command = home.fake_agent(["print waiting", "hang"]);
    drop(command.deadline(Duration::from_millis(300)).run());
}

#[test]
#[should_panic(expected = "processes were left behind")]
fn a_process_that_is_left_behind_is_reported() {
    let home = Home::new();
    drop(home.fake_agent(["setsid-child hang"]).run().ok());
}

#[test]
fn every_process_of_a_home_is_found_and_ended() {
    let home = Home::new();
    let ready = home.path("ready");
    let child = format!("touch {}\nhang", ready.display());
    let line = format!("setsid-child \"{}\"", child.replace('\n', "\\n"));
    drop(home.fake_agent([line]).run().ok());
    wait::for_file(&ready, PATIENCE);
    let ended = home.end_all();
    assert_eq!(ended.len(), 1, "{ended:?}");
    assert_eq!(ended[0].session, ended[0].pid);
    assert!(!process::is_alive(ended[0].pid));
    assert!(home.processes().is_empty());
}

#[test]
fn the_root_is_removed_even_if_parts_are_read_only() {
    let home = Home::new();
    let root = home.root().to_owned();
    let folder = home.folder("locked");
    std::fs::write(folder.join("file"), "x").unwrap();
    drop(home.command("chmod", ["0500"]).arg(&folder).run().ok());
    drop(home);
    assert!(!root.exists());
}

#[test]
fn a_running_command_is_ended_when_it_is_dropped() {
    let home = Home::new();
    let running = home.fake_agent(["hang"]).start();
    let pid = running.pid();
    assert!(process::is_alive(pid));
    drop(running);
    assert!(!process::is_alive(pid));
}

#[test]
fn commands_do_not_see_the_terminal_of_whoever_runs_the_tests() {
    let home = Home::new();
    let running = home.fake_agent(["hang"]).start();
    let stat = wait::until("its own session", PATIENCE, || {
        process::stat(running.pid()).filter(|stat| stat.session == stat.pid)
    });
    assert_eq!(stat.terminal, 0);
    drop(home.command("no-such-program", [""; 0]).run().code(127));
}

#[test]
fn a_process_with_little_environment_is_still_ours() {
    let home = Home::new();
    let config = format!("AMPSM_CONFIG_DIR={}", home.config_dir().display());
    let words = ["-i", &config, "sleep", "100"];
    let running = home.command("env", words).start();
    wait::until("sleep", PATIENCE, || {
        let mut found = home.processes().into_iter();
        found.find(|stat| stat.pid == running.pid() && stat.name == "sleep")
    });
    let shell = home.fake_agent(["chdir .", "hang"]).env_remove("HOME");
    let shell = shell
        .env_remove("AMPS_TEST_HOME")
        .env_remove("AMPSM_CONFIG_DIR")
        .start();
    assert!(home.processes().iter().all(|stat| stat.pid != shell.pid()));
}
