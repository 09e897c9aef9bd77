//! Merges and rebases that wait for a person: going on with them, and giving them up.

use amps_core::error::ErrorCode;
use amps_core::worktree::OperationKind;
use amps_engine::capture::Cutoff;
use amps_engine::git::Git;
use amps_engine::landing::{abort, go_on};
use amps_engine::testing::point;
use amps_engine::worktree::SessionLock;
use amps_proto::fault::Fault;
use amps_proto::view::WorktreeView;

use super::answer::{Answer, Asked, Came};
use super::operation::{Ended, Plan, Resolve, Work, read};
use super::{Locked, landing};
use crate::Outcome;
use crate::context::Context;
use crate::error::Failure;
use crate::text::sentence::head;

/// What waits in the worktree of a session, which is locked.
pub(crate) struct Waiting {
    pub(crate) git: Git,
    locked: Locked,
    resolve: Resolve,
}

impl Waiting {
    /// Finds what waits for a person, and is of this kind.
    pub(crate) fn find(
        context: &Context,
        (reference, purpose): (&str, &str),
        kind: OperationKind,
    ) -> Result<Self, Failure> {
        let git = super::git(context)?;
        let mut locked = super::take(context, reference, purpose)?;
        let operation = locked.view.session.operation.as_ref();
        let waits = operation.filter(|operation| operation.kind == kind);
        if let Some(operation) = waits
            && let Plan::Resolve(resolve) = read(operation)?
        {
            return Ok(Self {
                git,
                locked,
                resolve,
            });
        }
        super::operation::finish(context, &git, &mut locked)?;
        let id = locked.view.session.session_id.short();
        let what = match kind {
            OperationKind::Rebase => "rebase",
            _ => "merge",
        };
        let message = format!("no {what} that amps started waits in session {id}");
        Err(Fault::new(ErrorCode::NotAllowed, message)
            .hint(format!("`amps status {id}` shows how it stands"))
            .into())
    }

    pub(crate) fn view(&self) -> &WorktreeView {
        &self.locked.view
    }

    pub(crate) fn lock(&self) -> &SessionLock {
        &self.locked.lock
    }

    pub(crate) fn resolve(&self) -> &Resolve {
        &self.resolve
    }

    /// Goes on once a person has resolved all.
    pub(crate) fn go_on(&self, context: &Context, no_verify: bool) -> Result<Ended, Failure> {
        let ground = landing::ground(self.view());
        let hooks = landing::hooks(no_verify);
        let progress = go_on(
            &self.git,
            &ground,
            &self.resolve.started,
            hooks,
            self.lock(),
        )?;
        point("landing-gone-on");
        let work = Work {
            context,
            git: &self.git,
            view: self.view(),
            lock: self.lock(),
        };
        work.progress(&self.resolve, progress)
    }

    /// Gives it up; what is in the worktree then is kept first.
    pub(crate) fn abort(&self, context: &Context, is_json: bool) -> Outcome {
        let (_, config) = context.configured()?;
        let ground = landing::ground(self.view());
        let cutoff = Cutoff::ended(context.clock.now());
        let started = &self.resolve.started;
        let kept = abort(
            &self.git,
            &ground,
            started,
            self.lock(),
            (&cutoff, &config.capture),
        )?;
        point("landing-aborted");
        let commit = kept.and_then(|snapshot| snapshot.commit);
        let kept = commit.map(|commit| {
            let commit = head(commit.as_str());
            format!("; what was in the worktree is kept in {commit}")
        });
        let detail = format!("{} given up{}", started.operation, kept.unwrap_or_default());
        let work = Work {
            context,
            git: &self.git,
            view: self.view(),
            lock: self.lock(),
        };
        let view = work.given_up(&self.resolve, &detail)?;
        let kind = Plan::Resolve(self.resolve.clone()).kind();
        Answer::new(&view, kind, (Came::Aborted, &detail)).print(is_json)
    }

    /// Returns who asked.
    pub(crate) fn asked(&self, is_json: bool) -> Asked<'_> {
        Asked {
            git: &self.git,
            view: self.view(),
            kind: Plan::Resolve(self.resolve.clone()).kind(),
            is_json,
        }
    }
}
