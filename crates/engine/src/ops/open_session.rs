//! Opens a session with its run and lease, before the agent starts.

use std::time::Duration;

use amps_core::capture::Capture;
use amps_core::environment;
use amps_core::event::Fact;
use amps_core::facts::OpenFacts;
use amps_core::id::SessionId;
use amps_core::lease::Lease;
use amps_core::mask::{mask, mask_command};
use amps_core::run::Run;
use amps_core::session::{Binding, Session, SessionKind, Status};

use crate::ledger::{Ledger, LedgerError, Transition};

/// What became of the facts.
#[derive(Clone, Debug)]
pub struct Opened {
    /// The session, as told now or as it was told before.
    pub session: Session,
    /// Its run.
    pub run: Run,
    /// Whether it was new.
    pub is_new: bool,
}

/// Returns the open session that has the process already which is to be given one: as its agent, or
/// as the process that keeps it open.
pub fn session_of_process(
    ledger: &dyn Ledger,
    facts: &OpenFacts,
) -> Result<Option<SessionId>, LedgerError> {
    if facts.binding != Binding::Process {
        return Ok(None);
    }
    let process = &facts.owner;
    let taken = ledger.open_runs()?.into_iter().find(|(session, run)| {
        let has_it = run.lease.owner() == *process || run.agent_process.as_ref() == Some(process);
        has_it && session.session_id != facts.session_id
    });
    Ok(taken.map(|(session, _)| session.session_id))
}

/// Stores the session. Told again, it changes nothing and returns what is stored.
pub fn open_session(
    ledger: &mut dyn Ledger,
    facts: OpenFacts,
    default_ttl: Duration,
    is_late: bool,
) -> Result<Opened, LedgerError> {
    let id = facts.session_id;
    let owner = facts.owner.clone();
    let at = facts.at;
    let note = facts.note.clone();
    let worktree = ledger.worktree_session_around(&facts.cwd)?;
    let (mut session, run) = records(facts, default_ttl);
    session.worktree_session_id = worktree;
    let mut told = vec![Fact::Opened { owner }];
    if is_late {
        told.push(Fact::DeliveredLate);
    }
    if let Some(text) = note {
        told.push(Fact::Noted {
            text: mask(&text).into_owned(),
        });
    }
    if ledger.open(&Transition::new(&session, &run, told, at))? {
        return Ok(Opened {
            session,
            run,
            is_new: true,
        });
    }
    let (session, run) = ledger.session(id)?.ok_or(LedgerError::Unknown(id))?;
    Ok(Opened {
        session,
        run,
        is_new: false,
    })
}

fn records(facts: OpenFacts, default_ttl: Duration) -> (Session, Run) {
    let masked = |words: Vec<String>| -> Vec<String> {
        words.iter().map(|word| mask(word).into_owned()).collect()
    };
    let agent_command = mask_command(&facts.agent_command);
    let session = Session {
        session_id: facts.session_id,
        name: facts.name.map(|name| mask(&name).into_owned()),
        kind: SessionKind::Launched,
        worktree_session_id: None,
        binding: facts.binding,
        status: Status::Created,
        status_reason: None,
        evidence: None,
        project_id: None,
        project_root: None,
        cwd: facts.cwd.clone(),
        created_at: facts.at.at,
        started_at: None,
        ended_at: None,
        agent: facts.agent.clone(),
        agent_command: agent_command.clone(),
        environment_snapshot: environment::snapshot(facts.environment),
        lease_id: facts.lease_id,
        run_id: facts.run_id,
        tags: masked(facts.tags),
    };
    let run = Run {
        run_id: facts.run_id,
        session_id: facts.session_id,
        number: 1,
        status: Status::Created,
        agent: facts.agent,
        agent_command,
        opened_at: facts.at,
        launched_at: None,
        started_at: None,
        ended_at: None,
        duration: None,
        exit: None,
        agent_process: None,
        cwd: facts.cwd,
        git_environment: facts.git_environment,
        lease: Lease {
            lease_id: facts.lease_id,
            owner_pid: facts.owner.pid,
            owner_start_ticks: facts.owner.start_ticks,
            place: facts.owner.place,
            ttl: facts.ttl.unwrap_or(default_ttl),
            last_heartbeat: facts.at,
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
        context_ids: masked(facts.context_ids),
        transcripts: facts.transcripts,
        turns: 0,
    };
    (session, run)
}
