//! What every ledger must do, run on each implementation.

#![cfg(test)]

mod sqlite;
mod worktrees;

use std::collections::BTreeMap;
use std::time::Duration;

use amps_core::capture::{Capture, CaptureState};
use amps_core::changeset::Changeset;
use amps_core::checkpoint::{Cause, Checkpoint, Intent};
use amps_core::event::Fact;
use amps_core::id::{ChangesetId, LeaseId, ProjectId, RunId, SessionId};
use amps_core::lease::Lease;
use amps_core::path::RawPath;
use amps_core::process::{BootId, Place};
use amps_core::run::Run;
use amps_core::session::{Binding, Session, SessionKind, Status};
use amps_core::snapshot::{Oid, Snapshot, Workspace, WorkspaceKind};
use amps_core::time::Moment;
use jiff::Timestamp;
use uuid::Uuid;

use super::{
    CheckpointStep, Ledger, OwedCheckpoint, PageQuery, PageRow, ProjectSighting, Resolved,
    Transition,
};

pub(super) fn moment(second: u32) -> Moment {
    let at = Timestamp::from_second(i64::from(second)).unwrap();
    Moment {
        at,
        uptime_ms: u64::from(second) * 1_000,
    }
}

/// Makes the session and run of this number: each is opened one second after the one before.
pub(super) fn sample(number: u32) -> (Session, Run) {
    let uuid = |kind: u128| Uuid::from_u128((u128::from(number) << 96) | kind);
    let session_id = SessionId::new(uuid(1));
    let run_id = RunId::new(uuid(2));
    let lease_id = LeaseId::new(uuid(3));
    let opened_at = moment(number);
    let session = Session {
        session_id,
        name: None,
        kind: SessionKind::Launched,
        worktree_session_id: None,
        binding: Binding::Launcher,
        status: Status::Active,
        status_reason: None,
        evidence: None,
        project_id: None,
        project_root: None,
        cwd: RawPath::new(*b"/w"),
        created_at: opened_at.at,
        started_at: None,
        ended_at: None,
        agent: "agent".to_owned(),
        agent_command: vec!["agent".to_owned()],
        environment_snapshot: BTreeMap::new(),
        lease_id,
        run_id,
        tags: Vec::new(),
    };
    let run = Run {
        run_id,
        session_id,
        number: 1,
        status: Status::Active,
        agent: "agent".to_owned(),
        agent_command: vec!["agent".to_owned()],
        opened_at,
        launched_at: None,
        started_at: None,
        ended_at: None,
        duration: None,
        exit: None,
        agent_process: None,
        cwd: RawPath::new(*b"/w"),
        git_environment: BTreeMap::new(),
        lease: Lease {
            lease_id,
            owner_pid: 1,
            owner_start_ticks: 1,
            place: Place {
                host: "host".into(),
                boot_id: BootId::new("boot"),
                pid_namespace: 1,
            },
            ttl: Duration::from_secs(30),
            last_heartbeat: opened_at,
            generation: 1,
        },
        workspace: None,
        base: None,
        end: None,
        capture: Capture::default(),
        survivors: Vec::new(),
        recording: None,
        changeset_id: None,
        errors: Vec::new(),
        context_ids: Vec::new(),
        transcripts: None,
        turns: 0,
    };
    (session, run)
}

pub(super) fn transition<'a>(session: &'a Session, run: &'a Run) -> Transition<'a> {
    let noted = Fact::Noted {
        text: "opened".to_owned(),
    };
    Transition::new(session, run, vec![noted], run.opened_at)
}

/// Returns the session of a row, and its totals.
pub(super) fn launched(row: &PageRow) -> (&Session, (u64, u64, u64)) {
    match row {
        PageRow::Launched {
            session, totals, ..
        } => (session, *totals),
        PageRow::Worktree(_) => panic!("a worktree session"),
    }
}

/// Makes the intent of the checkpoint of this number, taken as many seconds after the start.
pub(super) fn intent(number: u32) -> Intent {
    Intent {
        number,
        taken_at: moment(number),
        cause: Cause::Turn,
        label: None,
    }
}

/// Makes the checkpoint of this number.
pub(super) fn checkpoint(number: u32) -> Checkpoint {
    let oid = Oid::parse(&format!("{number:040x}")).unwrap();
    intent(number).kept(Snapshot {
        head: None,
        branch: None,
        commit: Some(oid.clone()),
        tree: oid,
        taken_at: moment(number),
        left_out: Vec::new(),
        uncertain: Vec::new(),
    })
}

fn opened(ledger: &mut dyn Ledger, number: u32) -> (Session, Run) {
    let (session, run) = sample(number);
    assert!(ledger.open(&transition(&session, &run)).unwrap());
    (session, run)
}

fn opening_twice_changes_nothing(ledger: &mut dyn Ledger) {
    let (session, run) = opened(ledger, 1);
    let other = Session {
        agent: "other".to_owned(),
        ..session.clone()
    };
    assert!(!ledger.open(&transition(&other, &run)).unwrap());
    assert_eq!(
        ledger.session(session.session_id).unwrap(),
        Some((session.clone(), run))
    );
    assert_eq!(ledger.events(session.session_id).unwrap().len(), 1);
}

fn events_are_numbered_in_the_order_of_truth(ledger: &mut dyn Ledger) {
    let (session, run) = opened(ledger, 1);
    let facts = vec![
        Fact::DeliveredLate,
        Fact::Noted {
            text: "x".to_owned(),
        },
    ];
    ledger
        .advance(&Transition::new(&session, &run, facts, moment(0)))
        .unwrap();
    let events = ledger.events(session.session_id).unwrap();
    assert_eq!(
        events
            .iter()
            .map(|event| event.sequence)
            .collect::<Vec<_>>(),
        [1, 2, 3]
    );
    assert_eq!(events[1].fact, Fact::DeliveredLate);
}

fn references_mean_one_thing_or_say_so(ledger: &mut dyn Ledger) {
    let (mut first, run) = sample(0x1234_5678);
    first.name = Some("fix".to_owned());
    ledger.open(&transition(&first, &run)).unwrap();
    let (second, _) = opened(ledger, 0x1234_9999);
    let one = Resolved::One(first.session_id);
    assert_eq!(ledger.resolve("12345678").unwrap(), one);
    assert_eq!(ledger.resolve(&first.session_id.to_string()).unwrap(), one);
    assert_eq!(ledger.resolve("fix").unwrap(), one);
    assert_eq!(
        ledger.resolve("@").unwrap(),
        Resolved::One(second.session_id)
    );
    assert_eq!(ledger.resolve("@2").unwrap(), one);
    assert_eq!(ledger.resolve("@3").unwrap(), Resolved::Nothing);
    assert_eq!(ledger.resolve("fff").unwrap(), Resolved::Nothing);
    assert_eq!(ledger.resolve("' OR 1 --").unwrap(), Resolved::Nothing);
    assert!(matches!(ledger.resolve("1234").unwrap(), Resolved::Several(ids) if ids.len() == 2));
    // A name that is given again means the open session, while that is one.
    let (mut ended, run) = sample(0x1234_7777);
    ended.name = Some("fix".to_owned());
    ended.status = Status::Completed;
    ledger.open(&transition(&ended, &run)).unwrap();
    assert_eq!(ledger.resolve("fix").unwrap(), one);
    first.status = Status::Aborted;
    ledger
        .advance(&transition(&first, &run_of(&first)))
        .unwrap();
    assert!(matches!(
        ledger.resolve("fix").unwrap(),
        Resolved::Several(_)
    ));
}

fn run_of(session: &Session) -> Run {
    let (_, run) = sample(0x1234_5678);
    assert_eq!(run.session_id, session.session_id);
    run
}

/// Returns an ordinary repository at this place.
fn repository(root: &str) -> Workspace {
    let git_dir = RawPath::new(format!("{root}/.git"));
    Workspace {
        kind: WorkspaceKind::Repository,
        root: RawPath::new(root),
        git_dir: git_dir.clone(),
        common_dir: git_dir,
    }
}

fn checkpoints_are_numbered_kept_let_go_and_forgotten(ledger: &mut dyn Ledger) {
    let (session, run) = opened(ledger, 1);
    let (other, _) = opened(ledger, 2);
    let id = session.session_id;
    let take = |ledger: &mut dyn Ledger, step: CheckpointStep<'_>| {
        let mut next = Transition::new(&session, &run, Vec::new(), moment(9));
        next.checkpoint = Some(step);
        ledger.advance(&next).unwrap();
    };
    assert_eq!(ledger.next_checkpoint(id).unwrap(), 1);
    for number in 1..=3 {
        take(ledger, CheckpointStep::Intended(&intent(number)));
        let owed = OwedCheckpoint::Intended(intent(number));
        assert_eq!(ledger.owed_checkpoints().unwrap(), [(id, owed)]);
        assert_eq!(ledger.next_checkpoint(id).unwrap(), number + 1);
        let checkpoint = &checkpoint(number);
        let thinned: &[u32] = &[];
        take(
            ledger,
            CheckpointStep::Kept {
                checkpoint,
                thinned,
            },
        );
        assert_eq!(ledger.owed_checkpoints().unwrap(), []);
    }
    assert_eq!(ledger.checkpoints(id).unwrap(), [1, 2, 3].map(checkpoint));
    let newest = &checkpoint(4);
    take(
        ledger,
        CheckpointStep::Kept {
            checkpoint: newest,
            thinned: &[1, 3],
        },
    );
    assert_eq!(ledger.checkpoints(id).unwrap(), [2, 4].map(checkpoint));
    assert_eq!(ledger.newest_checkpoint(id).unwrap(), Some(checkpoint(4)));
    assert_eq!(ledger.count_checkpoints(id).unwrap(), 2);
    let owed = [1, 3].map(|number| (id, OwedCheckpoint::Thinned(checkpoint(number))));
    assert_eq!(ledger.owed_checkpoints().unwrap(), owed);
    for number in [1, 3, 4] {
        take(ledger, CheckpointStep::Forgotten(number));
    }
    assert_eq!(ledger.owed_checkpoints().unwrap(), []);
    assert_eq!(
        ledger.checkpoints(id).unwrap(),
        [2, 4].map(checkpoint),
        "what is kept is not forgotten"
    );
    assert_eq!(
        ledger.next_checkpoint(id).unwrap(),
        5,
        "never a number twice"
    );
    assert_eq!(ledger.checkpoints(other.session_id).unwrap(), []);
    assert_eq!(ledger.newest_checkpoint(other.session_id).unwrap(), None);
    assert_eq!(ledger.next_checkpoint(other.session_id).unwrap(), 1);
}

fn owed_work_is_a_query(ledger: &mut dyn Ledger) {
    let (mut session, mut run) = opened(ledger, 1);
    assert_eq!(ledger.open_runs().unwrap().len(), 1);
    assert_eq!(
        ledger.owing_runs().unwrap().len(),
        1,
        "a new run owes its base"
    );
    session.status = Status::Completed;
    run.status = Status::Completed;
    run.capture.base = CaptureState::Done;
    run.capture.end = CaptureState::Owed;
    ledger.advance(&transition(&session, &run)).unwrap();
    assert_eq!(ledger.open_runs().unwrap(), []);
    assert_eq!(
        ledger.owing_runs().unwrap(),
        [(session.clone(), run.clone())]
    );
    run.capture.end = CaptureState::Done;
    ledger.advance(&transition(&session, &run)).unwrap();
    assert_eq!(ledger.owing_runs().unwrap(), []);
    run.workspace = Some(repository("/w"));
    ledger.advance(&transition(&session, &run)).unwrap();
    assert_eq!(ledger.owing_runs().unwrap().len(), 1, "its project");
    session.project_id = Some(ProjectId::new(Uuid::from_u128(1)));
    ledger.advance(&transition(&session, &run)).unwrap();
    assert_eq!(ledger.owing_runs().unwrap(), []);
}

fn heartbeats_reach_open_runs_only(ledger: &mut dyn Ledger) {
    let (session, run) = opened(ledger, 1);
    let (mut ended, mut ended_run) = opened(ledger, 2);
    ended.status = Status::Aborted;
    ended_run.status = Status::Aborted;
    ledger.advance(&transition(&ended, &ended_run)).unwrap();
    let beats = [(session.lease_id, moment(50)), (ended.lease_id, moment(50))];
    ledger.save_heartbeats(&beats).unwrap();
    let beat = |id| ledger.session(id).unwrap().unwrap().1.lease.last_heartbeat;
    assert_eq!(beat(session.session_id), moment(50));
    assert_eq!(beat(ended.session_id), moment(2));
    drop(run);
}

/// Stores five sessions of two agents in two projects; the later, the fewer lines changed.
fn fill_for_pages(ledger: &mut dyn Ledger) {
    for number in 1..=5 {
        let (mut session, run) = sample(number);
        session.agent = if number % 2 == 0 { "claude" } else { "codex" }.to_owned();
        session.project_root = Some(RawPath::new(format!("/src/p{}", number % 2)));
        session.tags = vec![format!("t{number}")];
        ledger.open(&transition(&session, &run)).unwrap();
        let changeset = Changeset {
            changeset_id: ChangesetId::new(Uuid::from_u128(u128::from(number))),
            run_id: run.run_id,
            partial: false,
            amendment: false,
            files: Vec::new(),
            additions: u64::from(100 - number),
            deletions: 1,
            commits: Vec::new(),
            symbols: Vec::new(),
        };
        let mut step = transition(&session, &run);
        step.changeset = Some(&changeset);
        ledger.advance(&step).unwrap();
    }
}

fn pages_filter_and_order(ledger: &mut dyn Ledger) {
    fill_for_pages(ledger);
    let seconds = |query: PageQuery| {
        let rows = ledger.page(&query).unwrap();
        rows.iter()
            .map(|row| launched(row).0.created_at.as_second())
            .collect::<Vec<_>>()
    };
    let any = PageQuery::default;
    assert_eq!(seconds(any()), [5, 4, 3, 2, 1]);
    assert_eq!(seconds(PageQuery { limit: 2, ..any() }), [5, 4]);
    assert_eq!(
        seconds(PageQuery {
            by_impact: true,
            limit: 2,
            ..any()
        }),
        [1, 2]
    );
    assert_eq!(
        seconds(PageQuery {
            agent: Some("claude".into()),
            ..any()
        }),
        [4, 2]
    );
    assert_eq!(
        seconds(PageQuery {
            project: Some("p1".into()),
            ..any()
        }),
        [5, 3, 1]
    );
    assert_eq!(
        seconds(PageQuery {
            project: Some("/src/p0".into()),
            ..any()
        }),
        [4, 2]
    );
    assert_eq!(
        seconds(PageQuery {
            within: Some(RawPath::new("/src/p0/a/b")),
            ..any()
        }),
        [4, 2]
    );
    assert_eq!(
        seconds(PageQuery {
            tag: Some("t3".into()),
            ..any()
        }),
        [3]
    );
    assert_eq!(
        seconds(PageQuery {
            since: Some(moment(4).at),
            ..any()
        }),
        [5, 4]
    );
    assert_eq!(
        seconds(PageQuery {
            status: vec![Status::Completed],
            ..any()
        }),
        [0_i64; 0]
    );
    assert_eq!(launched(&ledger.page(&any()).unwrap()[0]).1, (0, 95, 1));
}

fn a_project_is_named_letter_by_letter(ledger: &mut dyn Ledger) {
    let roots = ["/src/my_app", "/src/my-app", "/src/100%", "/src/100", "/"];
    let id = |number: u8| ProjectId::new(Uuid::from_bytes([number; 16]));
    for (number, root) in (1_u8..).zip(roots) {
        let (mut session, run) = sample(number.into());
        session.project_root = Some(RawPath::new(root));
        session.project_id = Some(id(number));
        ledger.open(&transition(&session, &run)).unwrap();
    }
    for (name, found) in [
        ("my_app", &["/src/my_app"][..]),
        ("my-app/", &["/src/my-app"]),
        ("100%", &["/src/100%"]),
        ("src/100", &["/src/100"]),
        ("/src/100/", &["/src/100"]),
        ("/", &["/"]),
        ("app", &[]),
        ("%", &[]),
        ("_", &[]),
        ("0303", &["/src/100%"]),
        ("0_03", &[]),
    ] {
        let query = PageQuery {
            project: Some(name.to_owned()),
            ..PageQuery::default()
        };
        let rows = ledger.page(&query).unwrap();
        let rows = rows
            .iter()
            .filter_map(|row| launched(row).0.project_root.clone());
        let found = found.iter().map(|root| RawPath::new(*root));
        assert_eq!(
            rows.collect::<Vec<_>>(),
            found.collect::<Vec<_>>(),
            "{name}"
        );
    }
}

fn overlaps_are_told_on_both_sides_once(ledger: &mut dyn Ledger) {
    let (first, _) = opened(ledger, 1);
    let (second, run) = opened(ledger, 2);
    for _ in 0..2 {
        let mut step = transition(&second, &run);
        step.facts.clear();
        let others = [first.session_id];
        step.overlaps = &others;
        ledger.advance(&step).unwrap();
    }
    assert_eq!(
        ledger.overlaps(first.session_id).unwrap(),
        [second.session_id]
    );
    assert_eq!(
        ledger.overlaps(second.session_id).unwrap(),
        [first.session_id]
    );
    assert_eq!(ledger.events(first.session_id).unwrap().len(), 2);
}

fn runs_in_one_tree_are_found_by_time(ledger: &mut dyn Ledger) {
    let (session, mut run) = opened(ledger, 1);
    run.workspace = Some(repository("/w"));
    ledger.advance(&transition(&session, &run)).unwrap();
    let root = RawPath::new("/w");
    assert_eq!(
        ledger.runs_in(&root, moment(90).at).unwrap(),
        [session.session_id]
    );
    run.ended_at = Some(moment(50).at);
    ledger.advance(&transition(&session, &run)).unwrap();
    assert_eq!(
        ledger.runs_in(&root, moment(50).at).unwrap(),
        [session.session_id]
    );
    assert_eq!(ledger.runs_in(&root, moment(90).at).unwrap(), []);
    assert_eq!(
        ledger.runs_in(&RawPath::new("/x"), moment(0).at).unwrap(),
        []
    );
}

fn a_moved_checkout_stays_one_project_and_a_second_clone_is_another(ledger: &mut dyn Ledger) {
    let roots = vec![Oid::parse(&"a".repeat(40)).unwrap()];
    let mut seen = |id: u128, folder: &str, root_commits: &[Oid], gone: bool| {
        let sighting = ProjectSighting {
            fresh_id: ProjectId::new(Uuid::from_u128(id)),
            common_dir: RawPath::new(folder),
            root_commits: root_commits.to_vec(),
            at: moment(1).at,
        };
        ledger.project(&sighting, &|_| gone).unwrap()
    };
    let first = seen(1, "/a/.git", &roots, false);
    assert_eq!(
        seen(2, "/a/.git", &roots, false),
        first,
        "the same repository"
    );
    let clone = seen(3, "/b/.git", &roots, false);
    assert_ne!(clone, first, "a clone beside it");
    let moved = seen(4, "/c/.git", &roots, true);
    assert!(moved == first || moved == clone, "the old place is gone");
    let empty = seen(5, "/d/.git", &[], true);
    assert_ne!(
        empty,
        seen(6, "/e/.git", &[], true),
        "no commit, nothing in common"
    );
}

type Case = (&'static str, fn(&mut dyn Ledger));

const CASES: [Case; 11] = [
    ("opening_twice", opening_twice_changes_nothing),
    ("events", events_are_numbered_in_the_order_of_truth),
    ("references", references_mean_one_thing_or_say_so),
    (
        "checkpoints",
        checkpoints_are_numbered_kept_let_go_and_forgotten,
    ),
    ("owed", owed_work_is_a_query),
    ("heartbeats", heartbeats_reach_open_runs_only),
    ("pages", pages_filter_and_order),
    ("project_names", a_project_is_named_letter_by_letter),
    ("overlaps", overlaps_are_told_on_both_sides_once),
    ("runs_in", runs_in_one_tree_are_found_by_time),
    (
        "projects",
        a_moved_checkout_stays_one_project_and_a_second_clone_is_another,
    ),
];
