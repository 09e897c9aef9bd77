//! The scripted agent, without a terminal.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use amps_testkit::{Home, PATIENCE, Signal, process, wait};

#[test]
fn it_changes_files_as_told() {
    let home = Home::new();
    let script = [
        "# a comment",
        "write a.txt one two",
        r#"append a.txt "\n three\x41\n""#,
        "mkdir d/e",
        r#"write "d/e/b c" x"#,
        r"write \xff.txt y",
        "rename a.txt d/a.txt",
        "chmod 755 d/a.txt",
        "symlink d/a.txt link",
        "touch gone",
        "delete gone",
        "chdir d",
        "record-cwd cwd",
    ];
    let folder = home.folder("w");
    drop(home.fake_agent(script).cwd(&folder).run().ok());
    assert_eq!(
        fs::read(folder.join("d/a.txt")).unwrap(),
        b"one two\n threeA\n"
    );
    assert_eq!(fs::read(folder.join("d/e/b c")).unwrap(), b"x");
    let mode = fs::metadata(folder.join("d/a.txt")).unwrap().permissions();
    assert_eq!(mode.mode() & 0o777, 0o755);
    assert_eq!(
        fs::read(folder.join("link")).unwrap(),
        b"one two\n threeA\n"
    );
    assert!(!folder.join("gone").exists());
    let cwd = fs::read_to_string(folder.join("d/cwd")).unwrap();
    assert_eq!(cwd, folder.join("d").to_str().unwrap());
    let listed = home.command("ls", ["-b"]).arg(&folder).run().ok();
    assert!(listed.stdout_text().contains("\\377.txt"));
}

#[test]
fn it_writes_floods_and_exits_with_any_code() {
    let home = Home::new();
    let output = home.fake_agent(["print hi", "hex 1b5b 6d", "eprint no", "exit 42"]);
    let output = output.run().code(42);
    assert_eq!(output.stdout, b"hi\n\x1b[m");
    assert_eq!(output.stderr, b"no\n");
    let output = home.fake_agent(["flood 100001"]).run().ok();
    assert_eq!(output.stdout.len(), 100_001);
}

#[test]
fn it_says_which_line_failed() {
    let home = Home::new();
    let output = home.fake_agent(["delete nowhere", "exit 0"]).run().code(99);
    insta::assert_snapshot!(output.text(), @"
    exit 99
    --- stderr
    fake-agent: delete nowhere: No such file or directory (os error 2)
    ");
    let output = home.fake_agent(["dance"]).run().code(98);
    assert_eq!(output.stderr, b"fake-agent: unknown verb: dance\n");
}

#[test]
fn it_ends_by_the_signal_it_was_told() {
    let home = Home::new();
    for (name, signal) in [
        ("KILL", Signal::KILL),
        ("SEGV", Signal::SEGV),
        ("SIGTERM", Signal::TERM),
    ] {
        drop(
            home.fake_agent([format!("kill-self {name}")])
                .run()
                .signal(signal),
        );
    }
}

#[test]
fn a_closed_pipe_ends_it_as_it_ends_any_filter() {
    let home = Home::new();
    let script = "set -o pipefail; \"$0\" 'flood 10000000' | head -c 1 >/dev/null; exit $?";
    let bash = home.command("bash", ["-c", script]);
    drop(bash.arg(home.fake_agent_path()).run().code(128 + 13));
}

#[test]
fn signals_can_be_ignored_and_recorded() {
    let home = Home::new();
    let script = [
        "ignore TERM",
        "trap INT seen",
        "touch ready",
        "wait-for go",
        "exit 5",
    ];
    let running = home.fake_agent(script).start();
    wait::for_file(&home.path("home/ready"), PATIENCE);
    running.signal(Signal::TERM);
    running.signal(Signal::INT);
    wait::for_text(&home.path("home/seen"), "INT\n", PATIENCE);
    assert!(process::is_alive(running.pid()));
    fs::write(home.path("home/go"), "").unwrap();
    drop(running.wait(PATIENCE).code(5));
}

#[test]
fn it_stops_itself_and_goes_on() {
    let home = Home::new();
    let running = home.fake_agent(["stop-self", "exit 6"]).start();
    process::wait_stopped(running.pid(), PATIENCE);
    running.signal(Signal::CONT);
    drop(running.wait(PATIENCE).code(6));
}

#[test]
fn children_stand_where_they_should() {
    let home = Home::new();
    let script = [
        "record-ids own",
        r#"fork-child "record-ids near""#,
        r#"setsid-child "record-ids far""#,
        "wait-for near",
    ];
    drop(home.fake_agent(script).run().ok());
    let ids = |name: &str| {
        let text = wait::for_file(&home.path("home").join(name), PATIENCE);
        let number = |line: &str| line.split(' ').nth(1)?.parse().ok();
        text.lines().filter_map(number).collect::<Vec<i32>>()
    };
    let (own, near, far) = (ids("own"), ids("near"), ids("far"));
    assert_eq!(near[1], own[0], "the parent of the child");
    assert_eq!(near[2..4], own[2..4], "its group and session");
    assert_ne!(far[1], own[0], "who was left behind is nobody's child");
    assert_eq!(
        (far[2], far[3]),
        (far[0], far[0]),
        "and leads its own session"
    );
}

#[test]
fn it_lets_go_of_its_pipes_and_its_folder() {
    let home = Home::new();
    let folder = home.folder("w");
    let script = [
        "fork-child \"close-stdio\\nwait-for ../go\\ntouch ../late\"",
        "print done",
    ];
    let output = home.fake_agent(script).cwd(&folder).run().ok();
    assert_eq!(output.stdout, b"done\n");
    fs::write(home.path("home/go"), "").unwrap();
    wait::for_file(&home.path("home/late"), PATIENCE);
    drop(home.fake_agent(["delete-cwd"]).cwd(&folder).run().ok());
    assert!(!folder.exists());
}

#[test]
fn it_becomes_and_runs_other_programs() {
    let home = Home::new();
    let repo = home.repo("work");
    let script = [
        "run true",
        "write f x",
        "git add f",
        "git commit -qm second",
        "exec sh -c \"exit 9\"",
    ];
    drop(home.fake_agent(script).cwd(repo.path()).run().code(9));
    assert_eq!(repo.git(["log", "-1", "--format=%s"]), "second");
    drop(home.fake_agent(["run false"]).run().code(99));
}

#[test]
fn installed_under_a_name_it_follows_its_script() {
    let home = Home::new();
    home.install_agent(
        "claude",
        &["record-args args", "record-env env HOME", "exit 4"],
    );
    drop(home.command("claude", ["-p", "a b"]).run().code(4));
    assert_eq!(
        wait::for_file(&home.path("home/args"), PATIENCE),
        "-p\na b\n"
    );
    let env = wait::for_file(&home.path("home/env"), PATIENCE);
    assert_eq!(env, format!("HOME={}\n", home.home_dir().display()));
    let output = home.command("claude", ["--version"]).run().ok();
    assert_eq!(output.stdout, b"0.0.0 (fake agent)\n");
    home.install_agent("claude", &["exit 6"]);
    drop(home.command("claude", ["x"]).run().code(6));
}
