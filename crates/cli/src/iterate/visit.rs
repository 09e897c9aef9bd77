//! An iteration with a person: the agent of a worktree session on a terminal, held by a host.
//!
//! The host is its runner. It has the session's lock for as long as the agent runs, so that nothing
//! else begins meanwhile, and commits what was changed when the agent has ended.

use std::path::PathBuf;

use amps_core::exit::Exit;
use amps_core::facts::OpenFacts;
use amps_core::ground::PortRange;
use amps_core::id::SessionId;
use amps_core::iteration::{Iteration, Verdict};
use amps_core::usage::Usage;
use amps_core::worktree::Step;
use amps_engine::config::Configured;
use amps_engine::git::Git;
use amps_engine::home::Home;
use amps_engine::iteration::{Ground, REFLOG_ACTION, changes, commit_all};
use amps_engine::ops::step_worktree::masked;
use amps_engine::testing::point;
use amps_engine::worktree::SessionLock;
use amps_proto::view::WorktreeView;

use super::journal::{self, Journal, Told};
use super::{context as notes, one};
use crate::context::Context;
use crate::error::Failure;
use crate::worktree::{self, Locked};

/// An iteration that a person has with an agent.
pub(crate) struct Visit<'a> {
    context: &'a Context,
    home: Home,
    git: Git,
    view: WorktreeView,
    worktree: PathBuf,
    agent: Configured,
    iteration: Iteration,
    journal: Journal,
    /// Held as long as the agent runs.
    _lock: SessionLock,
}

impl<'a> Visit<'a> {
    /// Begins an iteration whose run is about to be opened with these facts.
    pub(crate) fn begin(
        context: &'a Context,
        session: SessionId,
        facts: &OpenFacts,
    ) -> Result<Self, Failure> {
        let (home, config) = context.configured()?;
        let git = worktree::git(context)?;
        let reference = session.to_string();
        let Locked { lock, view, .. } = worktree::lock(context, &reference, "amps interactive")?;
        worktree::refuse_final(&view)?;
        worktree::refuse_survivors(context, &view)?;
        let agent = worktree::agent(&config, &view.session.agent)?;
        let worktree = worktree::native(&view.session.worktree);
        let number = view.session.last_iteration + 1;
        let ground = worktree::ground(&git, &worktree, &view);
        let committed = one::commit_left(ground, &agent, number)?;
        let iteration = Iteration {
            number,
            run: facts.session_id,
            runner: facts.owner.clone(),
            prompt: "A person works with the agent on a terminal.".to_owned(),
            notes: None,
            agent: view.session.agent.clone(),
            model: view.session.model.clone().or_else(|| agent.model.clone()),
            thread_id: view.session.thread_id.clone(),
            started_at: context.clock.now().at,
            ended_at: None,
            head: committed.head,
            manual_commit: committed.commit,
            agent_commits: Vec::new(),
            commit: None,
            verdict: None,
            gate: None,
            usage: Usage::default(),
            answer: None,
            errors: Vec::new(),
        };
        let journal = Journal::begin(&journal::path(&home, session, number));
        let step = Step::Iterate {
            iteration: Box::new(iteration.clone()),
        };
        worktree::tell(context, session, step)?;
        point("visit-begun");
        let mut visit = Self {
            context,
            home,
            git,
            view,
            worktree,
            agent,
            iteration,
            journal,
            _lock: lock,
        };
        let trouble = notes::write(visit.ground(), &visit.view, &visit.iteration);
        visit.iteration.errors.extend(trouble);
        Ok(visit)
    }

    fn ground(&self) -> Ground<'_> {
        worktree::ground(&self.git, &self.worktree, &self.view)
    }

    /// Returns what the agent's environment has more than that of the person.
    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        let session = &self.view.session;
        let action = format!("{REFLOG_ACTION} {}", self.iteration.number);
        let ports = session
            .ports
            .map(|(first, count)| PortRange { first, count });
        let ports = ports.map(PortRange::variables).into_iter().flatten();
        let mut variables = vec![
            ("GIT_REFLOG_ACTION".to_owned(), action),
            (
                "AMPSM_WORKTREE_SESSION".to_owned(),
                session.session_id.to_string(),
            ),
        ];
        variables.extend(ports.map(|(name, value)| (name.to_owned(), value)));
        variables
    }

    /// Commits what was changed, and tells how the iteration ended: with which exit of the agent,
    /// or `None` if it could not be started. Without a daemon that is spooled.
    pub(crate) fn end(mut self, exit: Option<Exit>) {
        point("visit-agent-ended");
        let mut verdict = match exit {
            // Whatever the code says: a person was there.
            Some(Exit::Code(_)) => Verdict::Passed,
            Some(Exit::Signal(_)) => Verdict::Stopped,
            None => Verdict::AgentFailed,
        };
        let id = self.view.session.session_id;
        let gist = format!("interactive, {}", self.view.session.prompt);
        let message = one::message(id, self.iteration.number, &gist);
        let committed = commit_all(self.ground(), &message, self.agent.agent().leavings());
        let mut iteration = self.iteration.clone();
        match committed {
            Ok(committed) => one::note_commits(self.ground(), &mut iteration, committed),
            Err(error) => {
                iteration.errors.push(one::chain(&error));
                verdict = Verdict::NotCommitted;
            }
        }
        point("visit-committed");
        let now = self.context.clock.now().at;
        iteration.verdict = Some(verdict);
        iteration.ended_at = Some(now);
        let trouble = notes::write(self.ground(), &self.view, &iteration);
        iteration.errors.extend(trouble);
        let head = self.ground().head().ok();
        let base = worktree::base_name(&self.view);
        let changes = head.and_then(|head| changes(self.ground(), base, &head).ok());
        let step = Step::Judge {
            iteration: Box::new(iteration.clone()),
            tool_calls: Vec::new(),
            changes,
        };
        worktree::tell_surely(self.context, &self.home, id, step);
        let told = Told::Judged {
            iteration: Box::new(masked(&iteration)),
            goes_on: false,
        };
        self.journal.tell(now, told);
    }
}
