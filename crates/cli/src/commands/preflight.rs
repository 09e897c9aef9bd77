//! `amps preflight`: what stands in the way of merging a session. Nothing is changed, and nothing runs.

use std::process::ExitCode;

use amps_core::id::SessionId;
use amps_core::landing::{Operation, Preflight, Refusal};
use amps_core::path::{RawPath, visible};
use amps_core::snapshot::Oid;
use amps_core::worktree::WorktreeSession;
use amps_engine::git::Git;
use amps_engine::landing::preflight;
use amps_proto::exit_code;
use amps_proto::view::WorktreeView;
use serde::Serialize;

use crate::Outcome;
use crate::args::PreflightArgs;
use crate::commands::show;
use crate::context::Context;
use crate::error::Failure;
use crate::output::{self, BAD, GOOD, HEADING, NOTABLE};
use crate::text::worktree::short_branch;
use crate::text::{counted, sentence::head};
use crate::worktree::conflict::{self, Conflict};
use crate::worktree::gate::{GateStanding, gate};
use crate::worktree::{self, landing};

/// The most paths that are named.
const MOST: usize = 20;

/// What is known before a merge.
#[derive(Debug, Serialize)]
struct Known {
    session_id: SessionId,
    /// Whether nothing stands in the way.
    ready: bool,
    branch: String,
    head: Oid,
    base: String,
    base_head: Oid,
    ahead: u64,
    behind: u64,
    uncommitted: Vec<RawPath>,
    untracked: Vec<RawPath>,
    under_way: Option<Operation>,
    gate: GateStanding,
    /// Whether the gate has judged what the base would have: not, if that has moved on.
    is_judged: bool,
    conflicts: Vec<Conflict>,
    base_refusals: Vec<Refusal>,
    siblings: Vec<Sibling>,
}

/// Another live session that does not go together with this one.
#[derive(Debug, Serialize)]
struct Sibling {
    session_id: SessionId,
    name: String,
    branch: String,
    conflicts: Vec<Conflict>,
}

/// Tells what stands in the way of merging a session.
pub(crate) fn run(context: &Context, args: &PreflightArgs) -> Outcome {
    let git = worktree::git(context)?;
    let view = show::fetch_worktree(context, &args.session)?;
    worktree::refuse_final(&view)?;
    let known = look(context, &git, &view)?;
    if args.output.json {
        output::print_json(&known)?;
    } else {
        output::print(&text(&known))?;
    }
    Ok(ExitCode::from(known.exit_code()))
}

fn look(context: &Context, git: &Git, view: &WorktreeView) -> Result<Known, Failure> {
    let own = &view.session;
    let mut others = worktree::live(context)?;
    others.retain(|session| is_sibling(own, session));
    let branches: Vec<String> = others.iter().map(|one| one.branch.clone()).collect();
    let ground = landing::ground(view);
    let Preflight {
        branch,
        base,
        ahead,
        behind,
        uncommitted,
        untracked,
        under_way,
        merged_tree,
        conflicts,
        base_refusals,
        siblings,
    } = preflight(git, &ground, &branches)?;
    let told = |paths: &[_], name: &str, views: &[&WorktreeView]| {
        conflict::told(git, (&ground, views), (paths, ["branch", name]))
    };
    let mut with_siblings = Vec::new();
    for sibling in siblings {
        let Some(other) = others.iter().find(|one| one.branch == sibling.branch) else {
            continue;
        };
        let id = other.session_id;
        let other_view = show::fetch_worktree(context, &id.to_string())?;
        with_siblings.push(Sibling {
            session_id: id,
            name: other.name.clone(),
            branch: sibling.branch,
            conflicts: told(&sibling.paths, &id.short(), &[view, &other_view])?,
        });
    }
    let gate = gate(git, view)?;
    let mut known = Known {
        session_id: own.session_id,
        ready: false,
        branch: own.branch.clone(),
        head: branch,
        base: ground.base_ref.clone(),
        base_head: base,
        ahead,
        behind,
        uncommitted,
        untracked,
        under_way,
        is_judged: gate.has_judged(merged_tree.as_ref()),
        gate,
        conflicts: told(&conflicts, "base", &[view])?,
        base_refusals,
        siblings: with_siblings,
    };
    known.ready = known.exit_code() == exit_code::DONE;
    Ok(known)
}

/// Returns whether another session is one that is merged after this one.
fn is_sibling(own: &WorktreeSession, other: &WorktreeSession) -> bool {
    other.session_id != own.session_id
        && other.common_dir == own.common_dir
        && !other.status.is_final()
}

impl Known {
    /// The gravest of what stands in the way.
    fn exit_code(&self) -> u8 {
        if !self.conflicts.is_empty() {
            exit_code::CONFLICT
        } else if !self.gate.passes() || !self.is_judged {
            exit_code::GATE_FAILED
        } else if !self.is_committed() || !self.base_refusals.is_empty() {
            exit_code::NOT_ALLOWED
        } else {
            exit_code::DONE
        }
    }

    fn is_committed(&self) -> bool {
        self.uncommitted.is_empty() && self.untracked.is_empty() && self.under_way.is_none()
    }
}

fn text(known: &Known) -> String {
    let branch = visible(short_branch(&known.branch));
    let base = visible(short_branch(&known.base));
    let mut text = format!(
        "{HEADING}{branch}{HEADING:#}  {} of its own, {} of {base} missing\n",
        counted(known.ahead, "commit"),
        known.behind
    );
    text.extend([format!("gate  {}\n", known.gate.text())]);
    if known.gate.passes() && !known.is_judged && known.conflicts.is_empty() {
        text.extend([format!(
            "{BAD}not judged{BAD:#} together with what {base} has got since\n"
        )]);
    }
    if let Some(operation) = known.under_way {
        text.extend([format!(
            "{BAD}a {operation} is under way{BAD:#} in its worktree\n"
        )]);
    }
    for (title, paths) in [
        ("not committed", &known.uncommitted),
        ("not tracked", &known.untracked),
    ] {
        if !paths.is_empty() {
            text.extend([format!("\n{HEADING}{title}{HEADING:#}\n")]);
        }
        for path in paths.iter().take(MOST) {
            text.extend([format!("  {path}\n")]);
        }
        if paths.len() > MOST {
            text.extend([format!("  and {} more\n", paths.len() - MOST)]);
        }
    }
    for refusal in &known.base_refusals {
        text.extend([format!("\n{BAD}{base} cannot move{BAD:#}: {refusal}\n")]);
    }
    if !known.conflicts.is_empty() {
        text.extend([format!("\n{HEADING}with {base}{HEADING:#}\n")]);
        text.push_str(&conflict::text(&known.conflicts));
    }
    for sibling in &known.siblings {
        let id = sibling.session_id.short();
        let name = visible(&sibling.name);
        text.extend([format!("\n{HEADING}with session {id}{HEADING:#}  {name}\n")]);
        text.push_str(&conflict::text(&sibling.conflicts));
    }
    if known.ready {
        let head = head(known.head.as_str());
        text.extend([format!("{GOOD}ready{GOOD:#} to be merged at {head}\n")]);
    } else {
        text.extend([format!("\n{NOTABLE}not ready{NOTABLE:#} to be merged\n")]);
    }
    text
}
