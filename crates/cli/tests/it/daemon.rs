//! The daemon: on demand, one per home, replaced without loss, and what stands in its way.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixListener;
use std::path::Path;

use amps_testkit::{Home, PATIENCE, Signal, process, wait};

use crate::record::{AMPS, changes, home, ids, newest};

#[test]
fn it_starts_on_demand_tells_of_itself_and_stops() {
    let home = home();
    home.amps(["daemon", "status"]).run().code(1);
    home.amps(["daemon", "start"]).run().ok();
    let status = home.amps(["daemon", "status", "--json"]).run().ok().json();
    assert_eq!(status["running"], true);
    assert_eq!(status["daemon"]["pid"], home.daemon().pid().unwrap());
    assert_eq!(status["daemon"]["protocol"], 1);
    home.amps(["daemon", "stop"]).run().ok();
    assert!(!home.daemon().is_alive());
    assert!(!home.config_dir().join("ampd.sock").exists());
    home.amps(["daemon", "stop"]).run().ok();
}

#[test]
fn many_launchers_at_once_start_one_daemon() {
    let home = home();
    let folder = home.folder("plain");
    let runs = (0..8)
        .map(|_| home.amps(["run", "--", "true"]).cwd(&folder).start())
        .collect::<Vec<_>>();
    for run in runs {
        run.wait(PATIENCE).ok();
    }
    assert_eq!(ids(&home).len(), 8);
    let daemon = home.daemon().wait_alive(PATIENCE);
    let others = home.processes().into_iter().filter(|stat| {
        // A child of the daemon has its command line until it has become git.
        stat.pid != daemon
            && stat.parent != daemon
            && process::command_line(stat.pid).contains("daemon")
    });
    assert_eq!(others.count(), 0);
}

#[test]
fn a_second_daemon_of_one_home_is_refused() {
    let home = home();
    home.amps(["daemon", "start"]).run().ok();
    let first = home.daemon().pid();
    let refused = home.amps(["daemon", "run"]).run().code(13);
    assert!(
        refused
            .stderr_text()
            .contains("another daemon serves this home")
    );
    assert_eq!(home.daemon().pid(), first);
}

#[test]
fn a_socket_left_by_a_dead_daemon_is_no_obstacle() {
    let home = home();
    home.amps(["daemon", "start"]).run().ok();
    home.daemon().kill();
    assert!(home.config_dir().join("ampd.sock").exists());
    home.amps(["run", "--", "true"])
        .cwd(home.folder("plain"))
        .run()
        .ok();
    assert_eq!(newest(&home)["status"], "completed");
}

#[test]
fn what_a_shell_hands_down_is_for_the_agent_and_not_for_the_daemon() {
    let home = home();
    let folder = home.folder("plain");
    let script = r#"exec 9> held; flock 9; "$AMPS" run -- sh -c 'echo agent >&9'"#;
    home.command("sh", ["-c", script])
        .env("AMPS", AMPS)
        .cwd(&folder)
        .run()
        .ok();
    assert!(home.daemon().is_alive());
    let held = std::fs::read_to_string(folder.join("held")).unwrap();
    assert_eq!(held, "agent\n");
    let free = home.command("flock", ["--nonblock", "held", "true"]);
    free.cwd(&folder).run().ok();
}

/// Listens in the daemon's place and greets as another version. It ends when told to stop.
fn foreign_daemon(home: &Home) -> std::thread::JoinHandle<()> {
    let folder = home.config_dir();
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("ampd.sock");
    let listener = UnixListener::bind(&path).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            // The other side may be gone already: it only looked.
            drop(stream.write_all(b"{\"amps\":999,\"version\":\"9.9.9\",\"pid\":1}\n"));
            let lines = BufReader::new(stream).lines().map_while(Result::ok);
            if lines.into_iter().any(|line| line.contains("\"stop\"")) {
                break;
            }
        }
        std::fs::remove_file(&path).unwrap();
    })
}

#[test]
fn a_daemon_of_another_version_makes_room() {
    let home = home();
    let foreign = foreign_daemon(&home);
    let folder = home.folder("plain");
    let run = home
        .amps(["run", "--", "sh", "-c", "echo x > made"])
        .cwd(&folder)
        .run()
        .ok();
    assert_eq!(run.stderr_text(), "");
    foreign.join().unwrap();
    assert_eq!(changes(&newest(&home)), ["A made"]);
}

#[test]
fn a_daemon_of_another_version_is_not_asked_how_it_is() {
    let home = home();
    let foreign = foreign_daemon(&home);
    let refused = home.amps(["daemon", "status"]).run().code(75);
    let said = refused.stderr_text();
    assert!(
        said.contains("error[E017]") && said.contains("9.9.9"),
        "{said}"
    );
    home.amps(["daemon", "restart"]).run().ok();
    foreign.join().unwrap();
    home.amps(["daemon", "status"]).run().ok();
}

#[test]
fn without_a_daemon_the_agent_runs_and_is_recorded_later() {
    let home = home();
    let repo = home.repo("work");
    repo.write("mine.txt", "from before");
    // A folder where the socket should be: no daemon can listen there.
    let socket = home.config_dir().join("ampd.sock");
    std::fs::create_dir_all(socket.join("in-the-way")).unwrap();
    let run = home
        .amps(["run", "--", "sh", "-c", "echo x > made.txt; exit 4"])
        .cwd(repo.path())
        .run()
        .code(4);
    assert!(
        run.stderr_text()
            .contains("facts are kept and delivered later"),
        "{}",
        run.text()
    );
    repo.write("after.txt", "by a person, afterwards");
    std::fs::remove_dir_all(&socket).unwrap();
    let record = newest(&home);
    assert_eq!(record["status"], "aborted");
    assert_eq!(record["runs"][0]["exit_code"], 4);
    assert_eq!(changes(&record), ["A made.txt"]);
    let events = home.amps(["log", "--json"]).run().ok().json();
    let late = events
        .as_array()
        .unwrap()
        .iter()
        .any(|event| event["event"] == "delivered-late");
    assert!(late, "{events}");
}

#[test]
fn a_person_is_told_that_a_host_has_no_daemon() {
    let home = home();
    let folder = home.folder("plain");
    std::fs::create_dir_all(home.config_dir().join("ampd.sock/in-the-way")).unwrap();
    let told = "facts are kept and delivered later";
    let held = home.amps(["--detach", "true"]).cwd(&folder).run().ok();
    assert!(held.stderr_text().contains(told), "{}", held.text());
    for option in ["--hold", "--record"] {
        let mut terminal = home.amps([option, "true"]).cwd(&folder).terminal();
        terminal.wait_exit(PATIENCE);
        assert!(
            terminal.contents().contains(told),
            "{}",
            terminal.contents()
        );
    }
}

#[test]
fn a_damaged_database_is_kept_aside_and_reported() {
    let home = home();
    let folder = home.folder("plain");
    home.amps(["run", "--", "true"]).cwd(&folder).run().ok();
    newest(&home);
    home.amps(["daemon", "stop"]).run().ok();
    let database = home.config_dir().join("sessions.db");
    let mut bytes = std::fs::read(&database).unwrap();
    bytes[..100].fill(0x55);
    std::fs::File::create(&database)
        .unwrap()
        .write_all(&bytes)
        .unwrap();
    let started = home.amps(["daemon", "start"]).run().ok();
    assert!(started.stderr_text().contains("E003"), "{}", started.text());
    let names = std::fs::read_dir(home.config_dir()).unwrap();
    let kept = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("sessions.db.damaged-"))
        .count();
    assert!(kept >= 1);
    home.amps(["run", "--", "true"]).cwd(&folder).run().ok();
}

#[test]
fn a_home_that_cannot_be_written_does_not_keep_the_agent_from_running() {
    let mut home = home();
    let file = home.path("a-file");
    std::fs::File::create(&file).unwrap();
    home.set_env("AMPSM_CONFIG_DIR", file.join("home"));
    let folder = home.folder("plain");
    let run = home
        .amps(["run", "--", "sh", "-c", "echo out; exit 9"])
        .cwd(&folder)
        .run()
        .code(9);
    assert_eq!(run.stdout_text(), "out\n");
    assert!(
        run.stderr_text().contains("amps: no daemon"),
        "{}",
        run.text()
    );
    let list = home.amps(["list"]).run().code(1);
    assert!(
        list.stderr_text().contains("error[E014]"),
        "{}",
        list.text()
    );
}

#[test]
fn a_wrong_configuration_is_named_with_its_line_and_the_agent_runs() {
    let home = home();
    let config = home.config_dir().join("config.yaml");
    std::fs::create_dir_all(home.config_dir()).unwrap();
    std::fs::File::create(&config)
        .unwrap()
        .write_all(b"lease:\n  tll: 3s\n")
        .unwrap();
    let run = home.amps(["daemon", "run"]).run().code(1);
    let said = run.stderr_text();
    assert!(
        said.contains("error[E021]") && said.contains("line 2"),
        "{said}"
    );
    home.amps(["run", "--", "true"])
        .cwd(home.folder("plain"))
        .run()
        .ok();
}

#[test]
fn a_home_deeper_than_a_socket_path_may_be_works() {
    let mut home = home();
    let deep = home.path("d".repeat(90)).join("e".repeat(90));
    home.set_env("AMPSM_CONFIG_DIR", &deep);
    home.amps(["run", "--", "true"])
        .cwd(home.folder("plain"))
        .run()
        .ok();
    wait::until("the session to be final", PATIENCE, || {
        let record = home.amps(["show", "--json"]).run().ok().json();
        (record["status"] == "completed").then_some(())
    });
    home.amps(["daemon", "stop"]).run().ok();
}

#[test]
fn a_daemon_whose_home_was_moved_away_leaves_the_next_one_alone() {
    let home = home();
    home.amps(["daemon", "start"]).run().ok();
    let first = home.daemon().wait_alive(PATIENCE);
    std::fs::rename(home.config_dir(), home.path("moved")).unwrap();
    home.amps(["daemon", "start"]).run().ok();
    let second = home.daemon().wait_alive(PATIENCE);
    assert_ne!(first, second);
    process::send(first, Signal::TERM);
    process::wait_gone(first, PATIENCE);
    assert_eq!(home.daemon().pid(), Some(second));
    let status = home.amps(["daemon", "status", "--json"]).run().ok().json();
    assert_eq!(status["daemon"]["pid"], second);
}

#[test]
fn a_log_that_has_grown_is_moved_aside_while_the_daemon_runs() {
    let home = home();
    home.amps(["daemon", "start"]).run().ok();
    let log = home.config_dir().join("ampd.log");
    let lines = "a line that was logged long ago\n".repeat(160 * 1024);
    let mut file = std::fs::File::options().append(true).open(&log).unwrap();
    file.write_all(lines.as_bytes()).unwrap();
    home.amps(["daemon", "stop"]).run().ok();
    let old = std::fs::read_to_string(log.with_extension("log.old")).unwrap();
    assert!(old.contains("serving") && old.ends_with("long ago\n"));
    let log = std::fs::read_to_string(&log).unwrap();
    assert!(log.contains("stopping") && log.len() < 1_000, "{log}");
}

#[test]
fn the_unit_for_the_service_manager_starts_this_home() {
    let mut home = home();
    // What means something in a unit stands in both paths.
    let folder = home.folder("a $HOME ${c} %h");
    let program = folder.join("amps");
    home.command("cp", [Path::new(AMPS), &program]).run().ok();
    home.use_amps(&program);
    home.set_env("AMPSM_CONFIG_DIR", folder.join(r#""b" \n"#));
    let unit = home
        .amps(["daemon", "install", "--print"])
        .run()
        .ok()
        .stdout_text();
    let escaped = home.home_dir().display().to_string() + "/a $HOME ${c} %%h";
    let program = format!("\nExecStart=:\"{escaped}/amps\" daemon run\n");
    let variable = format!(r#"Environment="AMPSM_CONFIG_DIR={escaped}/\"b\" \\n""#);
    assert!(unit.contains(&(program + &variable + "\n")), "{unit}");
    home.amps(["daemon", "install"]).run().ok();
    let written = home.home_dir().join(".config/systemd/user/ampd.service");
    assert_eq!(std::fs::read_to_string(written).unwrap(), unit);
    home.set_env("AMPSM_CONFIG_DIR", folder.join("b\nc"));
    let refused = home.amps(["daemon", "install"]).run().code(2);
    assert!(
        refused.stderr_text().contains("error[E023]"),
        "{}",
        refused.text()
    );
}

#[test]
fn a_unit_that_a_person_has_edited_is_kept() {
    let home = home();
    home.amps(["daemon", "install"]).run().ok();
    home.amps(["daemon", "install"]).run().ok();
    let path = home.home_dir().join(".config/systemd/user/ampd.service");
    let unit = std::fs::read_to_string(&path).unwrap();
    let edited = unit.clone() + "# Nice=10\n";
    let mut file = std::fs::File::create(&path).unwrap();
    file.write_all(edited.as_bytes()).unwrap();
    let refused = home.amps(["daemon", "install"]).run().code(12);
    assert!(
        refused.stderr_text().contains("error[E020]"),
        "{}",
        refused.text()
    );
    assert_eq!(std::fs::read_to_string(&path).unwrap(), edited);
    home.amps(["daemon", "install", "--force"]).run().ok();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), unit);
}
