//! The agent of a worktree session on a terminal: opened, left, come back to, and what it changed.

use amps_engine::files::write_private;
use amps_testkit::{Exit, PATIENCE, Terminal, wait};
use serde_json::{Value, json};

use crate::held::CHORD;
use crate::worktree_iterate::{Scene, scene};

/// A session whose agent, on a terminal, writes each line that it is told into a file until it is
/// told to end.
fn chatty() -> Scene {
    let agent = "[ \"$1\" = talk ] || { cat > turn.txt; exit 0; }; echo ready in $PWD; \
                 while read line; do [ \"$line\" = end ] && exit 3; \
                 echo $line >> told.txt; echo heard $line; done";
    let scene = scene(agent, &[]);
    let config = "agents:\n  mine:\n    program: mine\n    command: ['turn']\n    \
                  interactive: ['talk']\n";
    let file = scene.home.config_dir().join("config.yaml");
    write_private(&file, config.as_bytes()).unwrap();
    scene
}

fn open(scene: &Scene) -> Terminal {
    scene.home.amps(["interactive", &scene.id]).terminal()
}

#[test]
fn it_is_opened_left_come_back_to_and_its_work_is_committed() {
    let scene = chatty();
    scene.tree.write("mine.txt", "by hand\n");
    let mut terminal = open(&scene);
    terminal.wait_for_text("ready in");
    terminal.send("one\r");
    terminal.wait_for_text("heard one");
    terminal.send(CHORD);
    assert_eq!(terminal.wait_exit(PATIENCE), Exit::Code(0));
    let record = scene.record();
    assert_eq!(record["status"], "active");
    assert_eq!(record["runs"].as_array().unwrap().len(), 1);
    // Nothing else begins meanwhile.
    let refused = scene.home.amps(["iterate", &scene.id]).run().code(10);
    assert!(
        refused.stderr_text().contains("amps interactive"),
        "{}",
        refused.text()
    );
    let words = ["cleanup", &scene.id, "--give-up", "x"];
    scene.home.amps(words).run().code(10);
    let mut terminal = open(&scene);
    terminal.wait_for_text("heard one");
    terminal.send("two\r");
    terminal.wait_for_text("heard two");
    terminal.send("end\r");
    assert_eq!(terminal.wait_exit(PATIENCE), Exit::Code(3));
    assert_eq!(
        scene.subjects(),
        [
            "amp: interactive, Make it better",
            "manual: changes before iteration 1"
        ]
    );
    assert_eq!(scene.tree.git(["show", "HEAD:told.txt"]), "one\ntwo");
    let record = scene.record();
    assert_eq!(record["status"], "idle");
    assert_eq!(record["iterations"][0]["verdict"], "passed");
    assert_eq!(record["runs"][0]["exit_code"], 3);
    // The next iteration finds nothing of a person.
    scene.home.amps(["iterate", &scene.id]).run().ok();
    assert_eq!(scene.last()["manual_commit"], Value::Null);
}

#[test]
fn who_opened_it_is_told_what_was_committed() {
    let scene = chatty();
    let mut terminal = open(&scene);
    terminal.wait_for_text("ready in");
    terminal.send("one\rend\r");
    assert_eq!(terminal.wait_exit(PATIENCE), Exit::Code(3));
    let head = scene.tree.head();
    let shown = terminal.contents();
    assert!(
        shown.contains(&format!("[committed as {}", &head[..7])),
        "{shown}"
    );
}

#[test]
fn without_a_terminal_it_says_what_does_without_one() {
    let scene = chatty();
    let refused = scene.home.amps(["interactive", &scene.id]).run().code(13);
    assert!(
        refused.stderr_text().contains("amps iterate"),
        "{}",
        refused.text()
    );
    assert_eq!(scene.record()["iterations"], json!([]));
}

#[test]
fn an_agent_that_is_not_there_begins_nothing() {
    let scene = chatty();
    std::fs::remove_file(scene.home.bin_dir().join("mine")).unwrap();
    let mut terminal = open(&scene);
    assert_eq!(terminal.wait_exit(PATIENCE), Exit::Code(127));
    assert_eq!(scene.record()["status"], "created");
}

#[test]
fn a_person_stops_it_and_its_work_is_kept() {
    let scene = chatty();
    let mut terminal = open(&scene);
    terminal.wait_for_text("ready in");
    terminal.send("one\r");
    terminal.wait_for_text("heard one");
    scene.home.amps(["stop", &scene.id]).run().ok();
    terminal.wait_exit(PATIENCE);
    assert_eq!(scene.last()["verdict"], "stopped");
    assert_eq!(scene.tree.git(["show", "HEAD:told.txt"]), "one");
}

#[test]
fn a_host_that_is_killed_has_lost_the_iteration_and_no_change() {
    let scene = chatty();
    let mut terminal = open(&scene);
    terminal.wait_for_text("ready in");
    terminal.send("one\r");
    terminal.wait_for_text("heard one");
    let runner = scene.last()["runner"]["pid"].as_i64().unwrap();
    amps_testkit::process::send(i32::try_from(runner).unwrap(), amps_testkit::Signal::KILL);
    let record = scene.settle();
    terminal.wait_exit(PATIENCE);
    assert_eq!(record["status_reason"], "owner-vanished");
    assert_eq!(scene.tree.read("told.txt"), "one\n");
    wait::until("the agent to end", PATIENCE, || {
        let status = &scene.record()["runs"][0]["status"];
        (status != "active").then_some(())
    });
    scene.home.amps(["iterate", &scene.id]).run().ok();
    assert_eq!(scene.tree.git(["show", "HEAD:told.txt"]), "one");
}
