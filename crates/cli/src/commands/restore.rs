//! `amps restore`: files as they were before, during or after a session.

use std::os::unix::ffi::OsStrExt as _;
use std::process::ExitCode;

use amps_core::error::ErrorCode;
use amps_core::path::RawPath;
use amps_core::snapshot::{Snapshot, Workspace, WorkspaceKind};
use amps_engine::capture::{
    self, Cutoff, RefusedPath, Restore, RestorePolicy, RestoreRefusal, RestoreReport, Selection,
};
use amps_engine::git::Git;
use amps_engine::ops::capture_run::reference;
use amps_proto::fault::Fault;
use amps_proto::view::{RunView, SessionView};
use serde_json::json;

use crate::args::{Moment, RestoreArgs};
use crate::commands::diff::not_captured;
use crate::commands::{checkpoints, show};
use crate::context::Context;
use crate::error::Failure;
use crate::output::GOOD;
use crate::text::{counted, quoted};
use crate::{Outcome, connect, env, output, tree_path};

/// The most paths that one message lists.
const MOST: usize = 20;

/// How many of the known snapshots are read first.
const FIRST_KNOWN: usize = 4;

/// Brings files back.
pub(crate) fn run(context: &Context, args: &RestoreArgs) -> Outcome {
    let view = show::fetch_settled(context, &args.session)?;
    let run = view.runs.last().ok_or_else(connect::unexpected)?;
    let id = view.session.session_id.short();
    let checkpoints = match view.checkpoints {
        0 if args.at.is_none() => Vec::new(),
        _ => checkpoints::fetch(context, &view)?,
    };
    let (snapshot, which) = match (args.at, args.from) {
        (Some(number), _) => {
            let found = checkpoints::find(&view, &checkpoints, number)?;
            (Some(found), Which::Checkpoint(number))
        }
        (None, Moment::Before) => (run.base.as_ref(), Which::Before),
        (None, Moment::After) => (run.end.as_ref(), Which::After),
    };
    let Some(snapshot) = snapshot else {
        return Err(not_captured(&view, run, which.word()));
    };
    let git = Git::find(context.git_environment()).map_err(capture::CaptureError::from)?;
    let workspace = workspace(&git, &view, run, snapshot)?;
    let amendment = reference(view.session.session_id, "amendment");
    let amendment = capture::adopt(&git, &workspace, &amendment, context.clock.now())?;
    let ends = [&run.base, &run.end, &amendment].into_iter().flatten();
    let newest_first = checkpoints.iter().rev().map(|one| &one.snapshot);
    let known: Vec<&Snapshot> = ends.chain(newest_first).collect();
    let job = Job {
        context,
        args,
        git: &git,
        workspace: &workspace,
        snapshot,
        which,
        known: &known,
    };
    let selection = job.selection()?;
    let milliseconds = context.clock.now().at.as_millisecond();
    let safety = reference(view.session.session_id, &format!("safety-{milliseconds}"));
    let report = job.restore(&selection, &job.policy(&safety)?)?;
    let state = State { id, which, safety };
    refuse(&report, &state, args)?;
    if args.output.json {
        output::print_json(&json(&view, args, &report, &state))?;
    } else {
        tell(args, &report, &workspace, &state)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Which state of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    Before,
    After,
    Checkpoint(u32),
}

impl Which {
    fn word(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
            Self::Checkpoint(_) => "at",
        }
    }

    /// Returns the instant, in words that a session follows.
    fn when(self) -> String {
        match self {
            Self::Before | Self::After => self.word().to_owned(),
            Self::Checkpoint(number) => format!("at checkpoint {number} of"),
        }
    }

    /// Returns the option by which it is chosen, behind a blank; the first needs none.
    fn option(self) -> String {
        match self {
            Self::Before => String::new(),
            Self::After => " --from after".to_owned(),
            Self::Checkpoint(number) => format!(" --at {number}"),
        }
    }
}

/// Which state of which session, in words.
struct State {
    id: String,
    which: Which,
    /// The reference that keeps what was there before, if that had to be kept.
    safety: String,
}

/// Returns where to write; fails when that is gone.
fn workspace(
    git: &Git,
    view: &SessionView,
    run: &RunView,
    snapshot: &Snapshot,
) -> Result<Workspace, Failure> {
    let id = view.session.session_id.short();
    let recorded = run.workspace.as_ref().ok_or_else(connect::unexpected)?;
    let reached = capture::reach(git, recorded, &[&snapshot.tree]);
    if let Some(workspace) = reached.filter(|reached| reached.root == recorded.root) {
        return Ok(workspace);
    }
    let message = format!("the working tree or the snapshots of session {id} are gone");
    let mut fault = Fault::new(ErrorCode::RepositoryInvalid, message);
    fault
        .causes
        .push(format!("the files were in {}", recorded.root));
    let hint = format!(
        "`amps diff {id} > session.patch` writes the patch kept in the store; `git apply -R` of it \
         brings a copy of the tree back"
    );
    Err(fault.hint(hint).into())
}

/// All that a restore works with.
struct Job<'a> {
    context: &'a Context,
    args: &'a RestoreArgs,
    git: &'a Git,
    workspace: &'a Workspace,
    snapshot: &'a Snapshot,
    which: Which,
    /// The most likely ones to hold what is there now come first.
    known: &'a [&'a Snapshot],
}

impl Job<'_> {
    /// Brings back what is selected. To read every checkpoint takes long where there are many files:
    /// that is done only if something is in the way that the others do not hold.
    fn restore(
        &self,
        selection: &Selection,
        policy: &RestorePolicy,
    ) -> Result<RestoreReport, Failure> {
        let attempt = |known| {
            let restore = Restore {
                snapshot: self.snapshot,
                known,
                selection: selection.clone(),
                policy: policy.clone(),
            };
            capture::restore(self.git, self.workspace, &restore)
        };
        let some = self.known.get(..FIRST_KNOWN).unwrap_or(self.known);
        if !matches!(policy, RestorePolicy::Force { .. }) && some.len() < self.known.len() {
            let report = attempt(some)?;
            let is_newer = |refused: &RefusedPath| refused.reason == RestoreRefusal::Newer;
            if !report.refused.iter().any(is_newer) {
                return Ok(report);
            }
        }
        Ok(attempt(self.known)?)
    }

    fn policy(&self, safety: &str) -> Result<RestorePolicy, Failure> {
        if self.args.dry_run {
            return Ok(RestorePolicy::DryRun);
        }
        if !self.args.force {
            return Ok(RestorePolicy::Careful);
        }
        Ok(RestorePolicy::Force {
            safety: safety.to_owned(),
            cutoff: Cutoff::open(self.context.clock.now()),
            limits: self.context.configured()?.1.capture,
        })
    }

    /// Returns the paths that are meant; each must be in the snapshot.
    fn selection(&self) -> Result<Selection, Failure> {
        if self.args.paths.is_empty() {
            return Ok(Selection::All);
        }
        let root = &self.workspace.root;
        let cwd = env::current_folder().map(|folder| RawPath::new(folder.as_os_str().as_bytes()));
        let all = tree_path::read_all(&self.args.paths, root, cwd.as_ref())?;
        let candidates: Vec<RawPath> = all
            .iter()
            .flat_map(|meant| meant.candidates().iter().cloned())
            .collect();
        let look = Selection::Paths(candidates);
        let missing = self.restore(&look, &RestorePolicy::DryRun)?.not_found;
        let mut chosen = Vec::new();
        let mut unknown = Vec::new();
        for meant in all {
            let path =
                meant.choose(|path| path.as_bytes().is_empty() || !missing.contains(path))?;
            if path.as_bytes().is_empty() {
                return Ok(Selection::All);
            }
            if missing.contains(&path) {
                unknown.push(path.clone());
            }
            chosen.push(path);
        }
        if unknown.is_empty() {
            return Ok(Selection::Paths(chosen));
        }
        let hint = match self.which {
            Which::Before => "what the session itself made comes back by `--from after`",
            Which::After => "what was there before comes back by `--from before`",
            Which::Checkpoint(_) => "another checkpoint may have it: `amps checkpoints`",
        };
        let when = self.which.when();
        let message = format!("not in the state {when} the session: {}", listed(&unknown));
        Err(Fault::new(ErrorCode::NotCaptured, message)
            .hint(hint)
            .into())
    }
}

/// Turns refused paths into a failure.
fn refuse(report: &RestoreReport, state: &State, args: &RestoreArgs) -> Result<(), Failure> {
    let Some(first) = report.refused.first() else {
        return Ok(());
    };
    let State { id, which, .. } = state;
    let number = u64::try_from(report.refused.len()).unwrap_or(u64::MAX);
    let paths = counted(number, "path");
    let message = if report.written.is_empty() {
        format!("{paths} would lose newer work; nothing was written")
    } else {
        let written = counted(
            u64::try_from(report.written.len()).unwrap_or(u64::MAX),
            "file",
        );
        format!("{paths} changed while {written} were being brought back")
    };
    let mut fault = Fault::new(ErrorCode::WouldOverwrite, message);
    for RefusedPath { path, reason } in report.refused.iter().take(MOST) {
        let why = match reason {
            RestoreRefusal::Newer => "it has content that no snapshot of the session holds",
            RestoreRefusal::NotKept => "its content cannot be kept in a snapshot first",
            RestoreRefusal::Changing => "it changed at this moment and was left",
        };
        fault.causes.push(format!("{path}: {why}"));
    }
    if report.refused.len() > MOST {
        let more = u64::try_from(report.refused.len() - MOST).unwrap_or(u64::MAX);
        fault
            .causes
            .push(format!("and {}", counted(more, "more path")));
    }
    let from = which.option();
    let hint = match first.reason {
        RestoreRefusal::Newer => format!(
            "name the paths to bring back, or `amps restore {id}{from} --force` to keep that work \
             in a snapshot first and overwrite it"
        ),
        RestoreRefusal::NotKept => "move these paths out of the way by hand".to_owned(),
        RestoreRefusal::Changing => "run the same command again".to_owned(),
    };
    let hint = if args.force && first.reason == RestoreRefusal::Newer {
        "run the same command again".to_owned()
    } else {
        hint
    };
    Err(fault.hint(hint).into())
}

fn listed(paths: &[RawPath]) -> String {
    let shown: Vec<String> = paths.iter().take(MOST).map(RawPath::to_string).collect();
    let mut text = shown.join(", ");
    if paths.len() > MOST {
        text.extend([format!(" and {} more", paths.len() - MOST)]);
    }
    text
}

fn json(
    view: &SessionView,
    args: &RestoreArgs,
    report: &RestoreReport,
    state: &State,
) -> serde_json::Value {
    let safety = report.safety.as_ref().map(|_| &state.safety);
    json!({
        "session_id": view.session.session_id,
        "from": match state.which {
            Which::Before | Which::After => Some(state.which.word()),
            Which::Checkpoint(_) => None,
        },
        "at": args.at,
        "dry_run": args.dry_run,
        "written": report.written,
        "unchanged": report.unchanged,
        "left_alone": report.left_alone,
        "submodules": report.submodules,
        "safety_ref": safety,
    })
}

/// Says what was done: the paths on standard output, the rest beside it.
fn tell(
    args: &RestoreArgs,
    report: &RestoreReport,
    workspace: &Workspace,
    state: &State,
) -> Result<(), Failure> {
    let State { id, which, safety } = state;
    let did = if args.dry_run { "would write" } else { "wrote" };
    let mut text = String::new();
    for path in &report.written {
        text.extend([format!("{GOOD}{did}{GOOD:#} {path}\n")]);
    }
    output::print(&text)?;
    let count = |paths: &[RawPath]| u64::try_from(paths.len()).unwrap_or(u64::MAX);
    let written = counted(count(&report.written), "file");
    let same = match count(&report.unchanged) {
        0 => String::new(),
        same => format!("; {} already so", counted(same, "file")),
    };
    let they_were = if report.written.len() == 1 {
        "it was"
    } else {
        "they were"
    };
    output::say(&format!(
        "{did} {written} as {they_were} {} session {id}{same}",
        which.when()
    ));
    if !report.left_alone.is_empty() {
        let paths = listed(&report.left_alone);
        output::say(&format!(
            "left alone, since that state does not have them: {paths}"
        ));
    }
    if !report.submodules.is_empty() {
        let paths = listed(&report.submodules);
        output::say(&format!("submodules are not brought back: {paths}"));
    }
    if report.safety.is_some() {
        let root = quoted(&workspace.root.to_string());
        let git = match workspace.kind {
            WorkspaceKind::Repository => format!("git -C {root}"),
            WorkspaceKind::Folder => format!(
                "git --git-dir={} --work-tree={root}",
                quoted(&workspace.git_dir.to_string())
            ),
        };
        output::say(&format!(
            "what was there is kept in {safety}; this brings it back:\n  \
             {git} restore --source={safety} --worktree -- {root}"
        ));
    }
    Ok(())
}
