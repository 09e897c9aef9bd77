//! What every ledger must do for worktree sessions.

use amps_core::event::Fact;
use amps_core::ground::CreationPlan;
use amps_core::id::SessionId;
use amps_core::iteration::{Iteration, Verdict};
use amps_core::path::RawPath;
use amps_core::session::{SessionKind, Status};
use amps_core::snapshot::Oid;
use amps_core::usage::Usage;
use amps_core::worktree::{Base, Changes, Operation, OperationKind, Step, WorktreeSession};
use uuid::Uuid;

use super::super::{Ledger, PageQuery, PageRow, Resolved};
use super::{Case, launched, moment, sample, transition};
use crate::ops::step_worktree::{open_worktree, step_worktree};

pub(super) const CASES: [Case; 4] = [
    ("worktree_steps", each_step_is_stored_with_its_facts_once),
    (
        "worktree_pages",
        a_page_has_worktree_sessions_and_not_their_runs,
    ),
    (
        "worktree_live",
        a_folder_belongs_to_the_innermost_live_worktree,
    ),
    (
        "worktree_iterations",
        iterations_and_their_calls_come_in_order,
    ),
];

fn oid(digit: char) -> Oid {
    Oid::parse(&digit.to_string().repeat(40)).unwrap()
}

/// Makes the worktree session of this number, created so many seconds after the start.
fn worktree(number: u32) -> WorktreeSession {
    let id = SessionId::new(Uuid::from_u128((u128::from(number) << 96) | 9));
    WorktreeSession {
        session_id: id,
        name: format!("work-{number}"),
        kind: SessionKind::Worktree,
        status: Status::Created,
        status_reason: None,
        project_id: None,
        project_root: RawPath::new(*b"/repo"),
        common_dir: RawPath::new(*b"/repo/.git"),
        worktree: RawPath::new(format!("/repo/.worktrees/{number}")),
        branch: format!("refs/heads/amp/work/{number}"),
        base: Base {
            reference: Some("refs/heads/main".to_owned()),
            commit: oid('a'),
        },
        prompt: "do it".to_owned(),
        agent: "claude".to_owned(),
        model: None,
        script: None,
        timeout: None,
        thread_id: None,
        ports: None,
        created_at: moment(number).at,
        started_at: None,
        ended_at: None,
        last_iteration: 0,
        changes: Changes::default(),
        tags: vec!["tag".to_owned()],
        context_ids: Vec::new(),
        removed_at: None,
        operation: Some(Operation {
            kind: OperationKind::Create,
            begun_at: moment(number).at,
            plan: "{}".to_owned(),
        }),
        ground: CreationPlan {
            session: id,
            common_dir: RawPath::new(*b"/repo/.git"),
            source: None,
            worktree: RawPath::new(format!("/repo/.worktrees/{number}")),
            admin: number.to_string(),
            branch: format!("refs/heads/amp/work/{number}"),
            base_ref: Some("refs/heads/main".to_owned()),
            base: oid('a'),
            excludes: Vec::new(),
            planned_at: moment(number).at,
        },
    }
}

fn iteration(number: u32) -> Iteration {
    let (session, run) = sample(number + 100);
    Iteration {
        number,
        run: session.session_id,
        runner: run.lease.owner(),
        prompt: "go on with ghp_012345678901234567890123456789012345".to_owned(),
        notes: None,
        agent: "claude".to_owned(),
        model: Some("model".to_owned()),
        thread_id: None,
        started_at: moment(number).at,
        ended_at: None,
        head: oid('a'),
        manual_commit: None,
        agent_commits: Vec::new(),
        commit: None,
        verdict: None,
        gate: None,
        usage: Usage::default(),
        answer: None,
        errors: Vec::new(),
    }
}

fn created(ledger: &mut dyn Ledger, number: u32) -> WorktreeSession {
    let session = open_worktree(ledger, worktree(number), moment(number)).unwrap();
    let done = Step::Done {
        operation: OperationKind::Create,
        detail: "created".to_owned(),
        changes: None,
    };
    step_worktree(ledger, session.session_id, &done, moment(number)).unwrap()
}

fn facts(ledger: &dyn Ledger, id: SessionId) -> Vec<Fact> {
    let events = ledger.events(id).unwrap();
    events.into_iter().map(|event| event.fact).collect()
}

fn each_step_is_stored_with_its_facts_once(ledger: &mut dyn Ledger) {
    let session = created(ledger, 1);
    let id = session.session_id;
    open_worktree(ledger, worktree(1), moment(9)).unwrap();
    let iterate = Step::Iterate {
        iteration: Box::new(iteration(1)),
    };
    let mut judged = iteration(1);
    judged.verdict = Some(Verdict::GateFailed);
    judged.commit = Some(oid('b'));
    let judge = Step::Judge {
        iteration: Box::new(judged),
        tool_calls: Vec::new(),
        changes: Some(Changes {
            files: 1,
            additions: 2,
            deletions: 3,
        }),
    };
    for step in [&iterate, &iterate, &judge, &judge, &iterate] {
        step_worktree(ledger, id, step, moment(2)).unwrap();
    }
    let stored = ledger.worktree_session(id).unwrap().unwrap();
    assert_eq!(stored.status, Status::AwaitingInput);
    assert_eq!(stored.changes.deletions, 3);
    let told = facts(ledger, id);
    assert_eq!(told.len(), 5, "{told:?}");
    assert!(matches!(told[4], Fact::IterationJudged { number: 1, .. }));
    assert_eq!(ledger.resolve("work-1").unwrap(), Resolved::One(id));
    assert_eq!(ledger.session(id).unwrap(), None);
}

fn a_page_has_worktree_sessions_and_not_their_runs(ledger: &mut dyn Ledger) {
    let parent = created(ledger, 1);
    let (mut run_of_it, run) = sample(2);
    run_of_it.worktree_session_id = Some(parent.session_id);
    ledger.open(&transition(&run_of_it, &run)).unwrap();
    let (other, run) = sample(3);
    ledger.open(&transition(&other, &run)).unwrap();
    let rows = ledger.page(&PageQuery::default()).unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(launched(&rows[0]).0.session_id, other.session_id);
    let PageRow::Worktree(listed) = &rows[1] else {
        panic!("{rows:?}");
    };
    assert_eq!(**listed, parent);
    assert_eq!(
        ledger.resolve("@2").unwrap(),
        Resolved::One(parent.session_id)
    );
    let runs = ledger.runs_of_worktree(parent.session_id).unwrap();
    assert_eq!(runs.len(), 1);
    assert_eq!(runs[0].0.session_id, run_of_it.session_id);
}

fn a_folder_belongs_to_the_innermost_live_worktree(ledger: &mut dyn Ledger) {
    let first = created(ledger, 1);
    let mut inner = worktree(2);
    inner.worktree = RawPath::new(*b"/repo/.worktrees/1/.worktrees/2");
    let inner = open_worktree(ledger, inner, moment(2)).unwrap();
    let around = |ledger: &dyn Ledger, folder: &str| {
        ledger
            .worktree_session_around(&RawPath::new(folder))
            .unwrap()
    };
    assert_eq!(
        around(ledger, "/repo/.worktrees/1/src/a"),
        Some(first.session_id)
    );
    assert_eq!(
        around(ledger, "/repo/.worktrees/1/.worktrees/2"),
        Some(inner.session_id)
    );
    assert_eq!(around(ledger, "/repo/.worktrees/10"), None);
    assert_eq!(around(ledger, "/repo"), None);
    let merge = Step::Merge {
        into: "refs/heads/main".to_owned(),
        commit: oid('c'),
    };
    for _ in 0..2 {
        step_worktree(ledger, first.session_id, &merge, moment(3)).unwrap();
    }
    assert_eq!(around(ledger, "/repo/.worktrees/1/src"), None);
    // Something is still being done to the other.
    let live = ledger.live_worktree_sessions().unwrap();
    assert_eq!(live, [inner]);
    // What is final may still have its worktree, until that is removed.
    let grounded = |ledger: &dyn Ledger| ledger.grounded_worktree_sessions().unwrap().len();
    assert_eq!(grounded(ledger), 2);
    let remove = Operation {
        kind: OperationKind::Remove,
        begun_at: moment(4).at,
        plan: String::new(),
    };
    let removed = Step::Done {
        operation: OperationKind::Remove,
        detail: String::new(),
        changes: None,
    };
    for step in [Step::Begin { operation: remove }, removed] {
        step_worktree(ledger, first.session_id, &step, moment(4)).unwrap();
    }
    assert_eq!(grounded(ledger), 1);
}

fn iterations_and_their_calls_come_in_order(ledger: &mut dyn Ledger) {
    let id = created(ledger, 1).session_id;
    for number in 1..=3 {
        let begun = Step::Iterate {
            iteration: Box::new(iteration(number)),
        };
        step_worktree(ledger, id, &begun, moment(number)).unwrap();
        let mut judged = iteration(number);
        judged.verdict = Some(Verdict::Passed);
        let judge = Step::Judge {
            iteration: Box::new(judged),
            tool_calls: Vec::new(),
            changes: None,
        };
        step_worktree(ledger, id, &judge, moment(number)).unwrap();
    }
    let stored = ledger.iterations(id).unwrap();
    let numbers: Vec<u32> = stored.iter().map(|iteration| iteration.number).collect();
    assert_eq!(numbers, [1, 2, 3]);
    assert!(
        stored
            .iter()
            .all(|iteration| iteration.verdict == Some(Verdict::Passed))
    );
    assert!(
        stored
            .iter()
            .all(|iteration| !iteration.prompt.contains("ghp_"))
    );
    assert!(ledger.tool_calls(id).unwrap().is_empty());
}
