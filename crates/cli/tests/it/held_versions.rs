//! Programs and hosts of different ages, and sockets whose hosts have died.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::thread;

use amps_testkit::{Exit, Home, PATIENCE, Signal, process, wait};
use serde_json::{Value, json};

use crate::held::{CHORD, attach, hold, host_of, wait_for_screen};
use crate::record::{home, settled};

fn socket_of(home: &Home, id: &str) -> PathBuf {
    home.config_dir().join("hosts").join(format!("{id}.sock"))
}

/// Returns the sockets that lie in a home.
fn sockets(home: &Home) -> Vec<PathBuf> {
    let entries = home.config_dir().join("hosts").read_dir().unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "sock")
        })
        .collect()
}

#[test]
fn a_host_of_another_protocol_is_told_from_one_that_is_gone() {
    let home = home();
    let folder = home.folder("work");
    let id = hold(&home, &folder, &["cat"]);
    let socket = socket_of(&home, &id);
    let aside = socket.with_extension("aside");
    std::fs::rename(&socket, &aside).unwrap();
    let listener = UnixListener::bind(&socket).unwrap();
    let stranger = thread::spawn(move || {
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().unwrap();
            let hello = json!({ "amps": 99, "version": "9.8.7", "pid": 1 });
            writeln!(stream, "{hello}").unwrap();
            // Until the other side has parted.
            BufReader::new(stream).lines().for_each(drop);
        }
    });
    let said = home.amps(["screen", &id]).run().code(75).stderr_text();
    let mut terminal = attach(&home, &[&id]);
    assert_eq!(terminal.wait_exit(PATIENCE), Exit::Code(75));
    stranger.join().unwrap();
    for said in [said, terminal.contents()] {
        assert!(said.contains("[E028]"), "{said}");
        assert!(
            said.contains("the host is version 9.8.7 and speaks protocol 99"),
            "{said}"
        );
    }
    std::fs::rename(&aside, &socket).unwrap();
    home.amps(["send", &id, "--key", "ctrl-d"]).run().ok();
    assert_eq!(settled(&home, &id)["status"], "completed");
}

/// Says something to a host as another program would, and returns its answers until it parts.
fn say(home: &Home, id: &str, greeting: &Value, request: &Value) -> Vec<Value> {
    let mut stream = UnixStream::connect(socket_of(home, id)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
        .write_all(format!("{greeting}\n{request}\n").as_bytes())
        .unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let lines = BufReader::new(stream).lines().map_while(Result::ok);
    lines
        .map(|line| serde_json::from_str(&line).unwrap())
        .collect()
}

#[test]
fn a_host_tells_a_newer_program_what_it_does_not_understand_and_goes_on() {
    let home = home();
    let folder = home.folder("work");
    let id = hold(&home, &folder, &["sh", "-c", "echo ready; exec cat"]);
    let hello = |protocol: u32| json!({ "amps": protocol, "version": "9.8.7", "pid": 1 });
    let answers = say(&home, &id, &hello(1), &json!({ "dance": { "steps": 3 } }));
    let [greeting, fault] = &answers[..] else {
        panic!("{answers:?}")
    };
    assert_eq!(greeting["amps"], 1);
    assert!(fault.to_string().contains("\"E017\""), "{fault}");
    let answers = say(&home, &id, &hello(99), &json!("status"));
    assert_eq!(answers.len(), 1, "it parts after its greeting: {answers:?}");
    wait_for_screen(&home, &id, "ready");
    let mut terminal = attach(&home, &[&id]);
    terminal.wait_for_text("ready");
    terminal.send(CHORD);
    assert_eq!(terminal.wait_exit(PATIENCE), Exit::Code(0));
    home.amps(["send", &id, "--key", "ctrl-d"]).run().ok();
    settled(&home, &id);
}

#[test]
fn the_socket_of_a_host_that_was_killed_is_removed_and_its_session_has_ended() {
    let home = home();
    let folder = home.folder("work");
    let [seen, unseen] = [(); 2].map(|()| hold(&home, &folder, &["cat"]));
    process::send(host_of(&home, &seen), Signal::KILL);
    assert_eq!(settled(&home, &seen)["status"], "disconnected");
    wait::until("the socket to be removed", PATIENCE, || {
        (sockets(&home) == [socket_of(&home, &unseen)]).then_some(())
    });
    // One that dies while there is no daemon is found by the next.
    let host = host_of(&home, &unseen);
    home.daemon().kill();
    process::send(host, Signal::KILL);
    process::wait_gone(host, PATIENCE);
    assert_eq!(sockets(&home).len(), 1, "nobody could remove it");
    assert_eq!(settled(&home, &unseen)["status"], "disconnected");
    wait::until("the socket to be removed", PATIENCE, || {
        sockets(&home).is_empty().then_some(())
    });
    for id in [seen, unseen] {
        let mut terminal = attach(&home, &[&id]);
        assert_eq!(terminal.wait_exit(PATIENCE), Exit::Code(13));
        terminal.wait_for_text("has ended: it is disconnected");
    }
}

#[test]
fn a_daemon_that_starts_leaves_the_sockets_of_living_hosts() {
    let home = home();
    let folder = home.folder("work");
    let id = hold(&home, &folder, &["sh", "-c", "echo ready; exec cat"]);
    wait_for_screen(&home, &id, "ready");
    home.daemon().kill();
    home.amps(["list"]).run().ok();
    wait_for_screen(&home, &id, "ready");
    home.amps(["send", &id, "--key", "ctrl-d"]).run().ok();
    assert_eq!(settled(&home, &id)["status"], "completed");
    wait::until("the host to remove its socket", PATIENCE, || {
        sockets(&home).is_empty().then_some(())
    });
}
