//! The crash matrix: agent, launcher and daemon killed alone and together at every named point
//! between launch and final capture. After each, the record is final with the right status and
//! evidence, the changeset holds what the agent did, the tree is as the agent left it, and no
//! process is left.

#![cfg(feature = "testing")]

use std::collections::BTreeSet;

use amps_testkit::{Home, PATIENCE, Repo, Running, Signal, process, wait};
use serde_json::Value;

use crate::record::{changes, home, ids, settled};

/// Who is killed at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Victims {
    agent: bool,
    launcher: bool,
    daemon: bool,
}

/// Where in the life of a run a point lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The agent has not been started.
    Opening,
    /// The agent runs, or has just ended, and the end has not been told.
    Running,
    /// The end is stored.
    Ended,
}

fn combinations(phase: Phase) -> Vec<Victims> {
    let mut all = Vec::new();
    for bits in 1_u8..8 {
        let victims = Victims {
            agent: bits & 1 != 0,
            launcher: bits & 2 != 0,
            daemon: bits & 4 != 0,
        };
        if victims.agent && phase != Phase::Running {
            continue;
        }
        all.push(victims);
    }
    all
}

/// What the record must say in the end.
fn expected(phase: Phase, victims: Victims, agent_ended: bool) -> BTreeSet<&'static str> {
    let statuses: &[&str] = match phase {
        // A launcher that died before it had opened its session leaves none.
        Phase::Opening if victims.launcher => &["disconnected", "none"],
        Phase::Opening => &["completed"],
        Phase::Running if victims.launcher => &["disconnected"],
        Phase::Running if victims.agent && !agent_ended => &["aborted"],
        Phase::Running | Phase::Ended => &["completed"],
    };
    statuses.iter().copied().collect()
}

struct Case {
    home: Home,
    repo: Repo,
    run: Running,
}

/// Starts a run that will stop at the point, and waits until it has.
fn reach(point: &str, phase: Phase) -> (Case, amps_testkit::PausePoint) {
    let home = home();
    let repo = home.repo("work");
    repo.write("mine.txt", "from before");
    let script: &[&str] = match phase {
        Phase::Running if point != "agent-ended" => &[
            "write made.txt made",
            "touch ready",
            "wait-for go",
            "write late.txt late",
        ],
        _ => &["write made.txt made", "touch ready"],
    };
    home.install_agent("agent", script);
    let pause = home.pause_point(point);
    let run = home
        .amps(["agent"])
        .cwd(repo.path())
        .pause_at(&pause)
        .start();
    pause.wait_reached(PATIENCE);
    (Case { home, repo, run }, pause)
}

fn agent_of(case: &Case, phase: Phase, point: &str) -> Option<i32> {
    (phase == Phase::Running && point != "agent-ended").then(|| {
        wait::for_file(&case.repo.file("ready"), PATIENCE);
        wait::until("the agent as a child", PATIENCE, || {
            process::children(case.run.pid())
                .first()
                .map(|child| child.pid)
        })
    })
}

fn strike(point: &str, phase: Phase, victims: Victims) {
    let what = format!("{point}, {victims:?}");
    let (case, pause) = reach(point, phase);
    let agent = agent_of(&case, phase, point);
    if let (true, Some(agent)) = (victims.agent, agent) {
        if victims.launcher {
            // Where only the daemon stands still, it could tell of the agent's end before its own.
            case.run.signal(Signal::STOP);
            process::wait_stopped(case.run.pid(), PATIENCE);
        }
        process::send(agent, Signal::KILL);
    }
    if victims.launcher {
        case.run.signal(Signal::KILL);
        process::wait_gone(case.run.pid(), PATIENCE);
    }
    if victims.daemon && case.home.daemon().is_alive() {
        case.home.daemon().kill();
    }
    let survives = match agent {
        Some(_) => !victims.agent,
        None => false,
    };
    // Also for the daemon that takes the place of a killed one.
    pause.release();
    let before_go = survives && victims.launcher;
    if !before_go && phase == Phase::Running {
        case.repo.write("go", "");
    }
    finish(&what, case, (phase, victims, agent.is_none()), before_go);
}

/// Lets everybody left come to an end, and judges the record.
fn finish(
    what: &str,
    case: Case,
    (phase, victims, agent_ended): (Phase, Victims, bool),
    late: bool,
) {
    let Case { home, repo, run } = case;
    if !victims.launcher {
        process::wait_gone(run.pid(), PATIENCE);
    }
    let sessions = ids(&home);
    let allowed = expected(phase, victims, agent_ended);
    let Some(id) = sessions.first() else {
        assert!(allowed.contains("none"), "{what}: nothing was recorded");
        return;
    };
    assert_eq!(sessions.len(), 1, "{what}: one run is one session");
    let record = settled(&home, id);
    let status = record["status"].as_str().unwrap();
    assert!(
        allowed.contains(status),
        "{what}: {status}, expected {allowed:?}\n{record:#}"
    );
    judge_changes(what, &record, phase, victims);
    if late {
        repo.write("go", "");
        wait::for_file(&repo.file("late.txt"), PATIENCE);
        home.daemon()
            .wait_for_session(id, "to be amended", PATIENCE, |record| {
                record["changesets"]
                    .as_array()
                    .is_some_and(|sets| sets.len() == 2)
            });
    }
    assert_eq!(repo.read("mine.txt"), "from before", "{what}");
    let leases = std::fs::read_dir(home.config_dir().join("leases")).unwrap();
    assert_eq!(leases.count(), 0, "{what}: a lease lock stayed");
    let spool = std::fs::read_dir(home.config_dir().join("spool")).unwrap();
    assert_eq!(spool.count(), 0, "{what}: facts stayed in the spool");
    drop(run);
}

fn judge_changes(what: &str, record: &Value, phase: Phase, victims: Victims) {
    let found = changes(record);
    assert!(
        !found.contains(&"A mine.txt".to_owned()),
        "{what}: {found:?}"
    );
    let ran = phase != Phase::Opening || !victims.launcher;
    assert_eq!(
        found.contains(&"A made.txt".to_owned()),
        ran,
        "{what}: {found:?}\n{record:#}"
    );
    let kind = record["evidence"]["kind"].as_str().unwrap();
    let told = ["wait_status"].contains(&kind);
    assert_eq!(told, record["status"] != "disconnected", "{what}: {kind}");
}

fn matrix(point: &str, phase: Phase) {
    for victims in combinations(phase) {
        strike(point, phase, victims);
    }
}

macro_rules! points {
    ($($name:ident: $point:literal, $phase:ident;)*) => {
        $(#[test] fn $name() { matrix($point, Phase::$phase); })*
    };
}

points! {
    before_the_session_is_opened: "before-open", Opening;
    after_the_session_is_stored: "open-stored", Opening;
    before_the_base_is_taken: "base-begun", Opening;
    after_the_base_is_frozen: "base-frozen", Opening;
    after_the_session_is_opened: "after-open", Opening;
    before_the_agent_is_spawned: "before-spawn", Opening;
    after_the_agent_is_spawned: "after-spawn", Running;
    after_the_start_is_told: "started-told", Running;
    after_the_start_is_stored: "start-stored", Running;
    after_the_agent_has_ended: "agent-ended", Running;
    after_the_end_is_stored: "end-stored", Ended;
    after_the_end_is_frozen: "end-frozen", Ended;
    after_the_end_is_kept: "end-kept", Ended;
    after_the_end_is_captured: "end-captured", Ended;
    after_the_end_is_told: "end-told", Ended;
}
