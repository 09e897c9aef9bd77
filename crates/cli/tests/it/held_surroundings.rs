//! What a held agent inherits: as much as if it had been started here, and nothing of how it is
//! held.

use std::collections::BTreeSet;
use std::path::Path;

use amps_testkit::{Home, PATIENCE, Signal, process, wait};

use crate::held::{host_of, wait_for_screen};
use crate::record::{AMPS, home, settled};

/// Tells in a file of this name what a process has inherited.
const REPORT: &str = r#"
    {
        echo "folder $(pwd) $(readlink /proc/$$/cwd)"
        echo "umask $(umask)"
        echo "nice $(nice)"
        cat /proc/$$/limits
        grep SigBlk /proc/self/status
        # Two signals above 31 belong to the C library.
        echo "ignored $(( 0x$(sed -n 's/^SigIgn:.*\(........\)$/\1/p' /proc/$$/status) & 0x7fffffff ))"
        env | sort
    } > "$0.new"
    ls /proc/self/fd > "$0.descriptors"
    mv "$0.new" "$0"
"#;

/// Makes this program what `before` says, starts the report in it, bare and held, and returns both.
fn reports(home: &Home, folder: &Path, before: &str) -> [BTreeSet<String>; 2] {
    let words = [
        ("bare", String::new()),
        ("held", format!("{AMPS} run --detach --")),
    ];
    words.map(|(name, amps)| {
        let script = format!(
            "{before}\nexec {amps} sh -c '{}' {name}",
            REPORT.replace('\'', "'\\''")
        );
        home.command("bash", ["-c", &script]).cwd(folder).run().ok();
        let report = wait::for_file(&folder.join(name), PATIENCE);
        report.lines().map(str::to_owned).collect()
    })
}

/// Returns the lines of one report that the other lacks.
fn beyond(one: &BTreeSet<String>, other: &BTreeSet<String>) -> Vec<String> {
    let names = one.difference(other);
    names
        .map(|line| match line.split_once('=') {
            Some((name @ "AMPSM_SESSION_ID", _)) => name.to_owned(),
            _ => line.clone(),
        })
        .collect()
}

#[test]
fn a_held_agent_inherits_what_one_does_that_is_started_here() {
    let home = home();
    let folder = home.folder("work");
    let before = "umask 0027; ulimit -n 300; ulimit -c 0; ulimit -s 4096; renice -n 5 $$ > /dev/null; \
                  export ODD=$'one\\ntwo=three' EMPTY= LINES=7 COLUMNS=9; \
                  trap '' HUP USR2; exec 7< /dev/null 9> descriptor";
    let [bare, held] = reports(&home, &folder, before);
    assert_eq!(beyond(&held, &bare), ["AMPSM_SESSION_ID"]);
    assert_eq!(beyond(&bare, &held), [""; 0]);
    assert!(
        held.contains("nice 5") && held.contains("umask 0027"),
        "{held:#?}"
    );
    assert!(held.contains("ignored 2049"), "HUP and USR2: {held:#?}");
    let descriptors = std::fs::read_to_string(folder.join("held.descriptors")).unwrap();
    // The last one is the folder that is looked at.
    assert_eq!(descriptors, "0\n1\n2\n3\n");
    settled(&home, "@");
}

#[test]
fn a_held_agent_is_told_a_kind_of_terminal_only_where_nobody_named_one() {
    let home = home();
    let folder = home.folder("work");
    let [bare, held] = reports(&home, &folder, "export TERM=odd-terminal");
    assert_eq!(beyond(&held, &bare), ["AMPSM_SESSION_ID"]);
    let [bare, held] = reports(&home, &folder, "rm -f bare held; unset TERM");
    assert_eq!(
        beyond(&held, &bare),
        ["AMPSM_SESSION_ID", "TERM=xterm-256color"]
    );
    assert_eq!(beyond(&bare, &held), [""; 0]);
    settled(&home, "@");
}

#[test]
fn an_agent_that_a_script_holds_in_the_background_can_be_interrupted_by_key() {
    let home = home();
    let folder = home.folder("work");
    // Such a shell has what it starts in the background ignore SIGINT and SIGQUIT.
    let script = format!("{AMPS} --name mine --detach sh -c 'echo ready; exec cat' & wait $!");
    home.command("sh", ["-c", &script]).cwd(&folder).run().ok();
    wait_for_screen(&home, "mine", "ready");
    home.amps(["send", "mine", "--key", "ctrl-c"]).run().ok();
    let record = settled(&home, "mine");
    assert_eq!(record["runs"][0]["exit_signal"], 2, "{record:#}");
}

#[test]
fn a_held_agent_under_nohup_outlives_a_hang_up() {
    let home = home();
    let folder = home.folder("work");
    home.command("nohup", [AMPS, "--name", "mine", "--detach", "cat"])
        .cwd(&folder)
        .run()
        .ok();
    // What reaches the host is for the agent.
    process::send(host_of(&home, "mine"), Signal::HUP);
    home.amps(["send", "mine", "on", "--enter"]).run().ok();
    wait_for_screen(&home, "mine", "on\non");
    home.amps(["send", "mine", "--key", "ctrl-d"]).run().ok();
    assert_eq!(settled(&home, "mine")["status"], "completed");
}
