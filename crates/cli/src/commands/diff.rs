//! `amps diff`: what a session changed.

mod at;
mod worktree;

use std::io::{Read as _, Write as _};
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt as _;
use std::process::ExitCode;
use std::time::Duration;

use amps_core::changeset::{Changeset, FileChange};
use amps_core::error::ErrorCode;
use amps_core::path::RawPath;
use amps_core::snapshot::{Oid, Snapshot, Workspace};
use amps_engine::capture::{self, Difference, DifferenceForm};
use amps_engine::git::Git;
use amps_engine::ops::capture_run::reference;
use amps_proto::fault::Fault;
use amps_proto::request::Request;
use amps_proto::response::{PatchView, Response};
use amps_proto::view::{RunView, SessionView};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::ZlibDecoder;

use crate::args::DiffArgs;
use crate::commands::show;
use crate::context::Context;
use crate::error::Failure;
use crate::output::FAINT;
use crate::text::patch::{Pretty, of_files};
use crate::text::session::file_cells;
use crate::text::table::Table;
use crate::text::{amount, brief};
use crate::{Outcome, connect, env, output, tree_path};

/// How long git may take: a person may read the answer page by page.
const PATIENCE: Duration = Duration::from_secs(24 * 3_600);

/// Shows what a session changed.
pub(crate) fn run(context: &Context, args: &DiffArgs) -> Outcome {
    let view = match show::ask_settled(context, &args.session)? {
        Response::Session(view) => *view,
        Response::Worktree(view) => return worktree::run(context, args, &view),
        _ => return Err(connect::unexpected()),
    };
    if args.staged || args.turn.is_some() || args.base.is_some() {
        let words = "--staged, --turn and --base belong to worktree sessions";
        return Err(Fault::new(ErrorCode::BadArgument, words)
            .hint("`--at N` shows what had been changed at a checkpoint")
            .into());
    }
    let run = view.runs.last().ok_or_else(connect::unexpected)?;
    if let Some(between) = args.at {
        return at::run(context, args, between, (&view, run));
    }
    let (base, end) = both_ends(&view, run)?;
    let paths = paths(&view.changesets, root_of(run), args)?;
    let mut changesets = view.changesets.clone();
    for changeset in &mut changesets {
        only(changeset, &paths);
    }
    if args.output.json {
        output::print_json(&changesets)?;
    } else if !print_briefly(context, args, (&changesets, &paths))? {
        print_patch(context, (&view, run), (base, end), (&changesets, &paths))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints what needs no patch: that there is nothing, names, or amounts. Returns whether that was
/// what is wanted.
fn print_briefly(
    context: &Context,
    args: &DiffArgs,
    (changesets, paths): (&[Changeset], &[RawPath]),
) -> Result<bool, Failure> {
    if changesets.iter().all(|set| set.files.is_empty()) {
        output::say(if paths.is_empty() {
            "nothing was changed"
        } else {
            "nothing was changed there"
        });
    } else if args.name_only {
        output::print(&names(changesets))?;
    } else if args.stat {
        output::print(&stat(context, changesets))?;
    } else {
        return Ok(false);
    }
    Ok(true)
}

/// Returns the snapshots at both ends of a run, or why there are none.
fn both_ends<'a>(
    view: &SessionView,
    run: &'a RunView,
) -> Result<(&'a Snapshot, &'a Snapshot), Failure> {
    match (&run.base, &run.end) {
        (Some(base), Some(end)) => Ok((base, end)),
        (None, _) => Err(not_captured(view, run, "before")),
        (Some(_), None) => Err(not_captured(view, run, "after")),
    }
}

/// Returns the failure of a snapshot that is missing.
pub(crate) fn not_captured(view: &SessionView, run: &RunView, which: &str) -> Failure {
    let id = view.session.session_id.short();
    if !view.session.status.is_final() && which == "after" {
        let message = format!(
            "session {id} is {}: its end is not captured yet",
            run.status
        );
        return Fault::new(ErrorCode::NotCaptured, message)
            .hint("it is captured once the agent has ended; `git diff` shows the present")
            .into();
    }
    let message = format!("the state {which} session {id} is not captured");
    let mut fault = Fault::new(ErrorCode::NotCaptured, message);
    if let Some(reason) = &run.capture.reason {
        fault.causes.push(brief(reason, 600));
    }
    fault
        .hint(format!("`amps explain {id}` tells what is owed and why"))
        .into()
}

/// Returns the paths that are asked for; none for all.
fn paths(
    changesets: &[Changeset],
    root: Option<&RawPath>,
    args: &DiffArgs,
) -> Result<Vec<RawPath>, Failure> {
    let Some(root) = root else {
        return Ok(Vec::new());
    };
    let cwd = env::current_folder().map(|folder| RawPath::new(folder.as_os_str().as_bytes()));
    let mut paths = Vec::new();
    for meant in tree_path::read_all(&args.paths, root, cwd.as_ref())? {
        let files = || changesets.iter().flat_map(|set| &set.files);
        let path = meant.choose(|path| files().any(|file| concerns(file, path)))?;
        if path.as_bytes().is_empty() {
            return Ok(Vec::new());
        }
        paths.push(path);
    }
    Ok(paths)
}

/// Returns the top of the working tree of a run.
fn root_of(run: &RunView) -> Option<&RawPath> {
    run.workspace.as_ref().map(|workspace| &workspace.root)
}

fn concerns(file: &FileChange, path: &RawPath) -> bool {
    let is_old = |old: &RawPath| old.is_within(path);
    path.as_bytes().is_empty()
        || file.path.is_within(path)
        || file.old_path.as_ref().is_some_and(is_old)
}

fn only(changeset: &mut Changeset, paths: &[RawPath]) {
    if paths.is_empty() {
        return;
    }
    changeset
        .files
        .retain(|file| paths.iter().any(|path| concerns(file, path)));
    let sum =
        |count: fn(&FileChange) -> Option<u64>| changeset.files.iter().filter_map(count).sum();
    let (additions, deletions) = (sum(|file| file.additions), sum(|file| file.deletions));
    changeset.additions = additions;
    changeset.deletions = deletions;
}

fn names(changesets: &[Changeset]) -> String {
    let files = changesets.iter().flat_map(|changeset| &changeset.files);
    let mut names: Vec<String> = files.map(|file| format!("{}\n", file.path)).collect();
    names.sort();
    names.dedup();
    names.concat()
}

fn stat(context: &Context, changesets: &[Changeset]) -> String {
    let reader = output::reader(context);
    let mut text = String::new();
    for changeset in changesets.iter().filter(|set| !set.files.is_empty()) {
        let mut table = Table::new(&["", "", ""]);
        for file in &changeset.files {
            table.row(file_cells(file));
        }
        text.push_str(&table.text("", reader.width));
        let files = u64::try_from(changeset.files.len()).unwrap_or(u64::MAX);
        let amount = amount(files, changeset.additions, changeset.deletions);
        let when = if changeset.amendment {
            ", after the session had ended"
        } else {
            ""
        };
        text.extend([format!("{FAINT}{amount}{when}{FAINT:#}\n")]);
    }
    text
}

fn print_patch(
    context: &Context,
    (view, run): (&SessionView, &RunView),
    (base, end): (&Snapshot, &Snapshot),
    (changesets, paths): (&[Changeset], &[RawPath]),
) -> Result<(), Failure> {
    let workspace = run.workspace.as_ref();
    let git = Git::find(context.git_environment()).map(|git| git.with_deadline(PATIENCE));
    let trees = [&base.tree, &end.tree];
    let reached = match (&git, workspace) {
        (Ok(git), Some(workspace)) => {
            capture::reach(git, workspace, &trees).map(|workspace| (git, workspace))
        }
        _ => None,
    };
    let Some((git, workspace)) = reached else {
        return print_stored(context, view, (changesets, paths));
    };
    let mut later: Option<Oid> = None;
    if changesets.iter().any(|changeset| changeset.amendment) {
        let name = reference(view.session.session_id, "amendment");
        later = capture::adopt(git, &workspace, &name, context.clock.now())?
            .map(|snapshot| snapshot.tree);
    }
    let mut pairs = vec![(&base.tree, &end.tree)];
    pairs.extend(later.iter().map(|later| (&end.tree, later)));
    print_pairs(context, (git, &workspace), &pairs, paths)
}

/// Prints the difference between the two trees of each pair.
fn print_pairs(
    context: &Context,
    (git, workspace): (&Git, &Workspace),
    pairs: &[(&Oid, &Oid)],
    paths: &[RawPath],
) -> Result<(), Failure> {
    let width = output::reader(context).width;
    let in_colour = output::in_colour();
    let form = match width {
        Some(_) => DifferenceForm::Shown { in_colour },
        None => DifferenceForm::Whole,
    };
    let mut out = Printer::new(width.is_some(), false);
    for (from, to) in pairs {
        let difference = Difference {
            from,
            to,
            paths,
            form,
        };
        let mut failed = None;
        let mut print = |bytes: &[u8]| match out.write(bytes) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        };
        capture::diff(git, workspace, &difference, &mut print)?;
        if let Some(error) = failed {
            return Err(error.into());
        }
    }
    Ok(out.finish()?)
}

/// Prints the patch that is kept in the store.
fn print_stored(
    context: &Context,
    view: &SessionView,
    (changesets, paths): (&[Changeset], &[RawPath]),
) -> Result<(), Failure> {
    let request = Request::Patch {
        reference: view.session.session_id.to_string(),
    };
    let Response::Patches { patches } = connect::ask(context, request)? else {
        return Err(connect::unexpected());
    };
    output::say(
        "the repository or its snapshots are gone: this is the patch kept in the store, known \
         secrets masked",
    );
    let is_terminal = output::reader(context).width.is_some();
    let mut out = Printer::new(is_terminal, output::in_colour());
    for patch in patches {
        let bytes = unpacked(&patch)?;
        let wanted = changesets.iter().flat_map(|changeset| &changeset.files);
        let bytes = if paths.is_empty() {
            bytes
        } else {
            of_files(&bytes, wanted)
        };
        out.write(&bytes)?;
        if patch.truncated {
            output::say("its end is missing: it was longer than `capture.max_patch_size`");
        }
    }
    Ok(out.finish()?)
}

fn unpacked(patch: &PatchView) -> Result<Vec<u8>, Failure> {
    let damaged = |why: String| {
        let mut fault = Fault::new(ErrorCode::StoreDamaged, "the stored patch cannot be read");
        fault.causes.push(why);
        fault.hint("`amps show` lists the files that were changed")
    };
    let zlib = STANDARD
        .decode(&patch.zlib_base64)
        .map_err(|error| damaged(error.to_string()))?;
    let mut bytes = Vec::new();
    ZlibDecoder::new(zlib.as_slice())
        .read_to_end(&mut bytes)
        .map_err(|error| damaged(error.to_string()))?;
    Ok(bytes)
}

/// Prints a patch: as it is for a program, fit for the screen for a person.
struct Printer {
    pretty: Option<Pretty>,
}

impl Printer {
    fn new(is_terminal: bool, adds_colour: bool) -> Self {
        Self {
            pretty: is_terminal.then(|| Pretty::new(adds_colour)),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match &mut self.pretty {
            None => output::raw_answer().write_all(bytes),
            Some(pretty) => output::raw_answer().write_all(pretty.text(bytes).as_bytes()),
        }
    }

    fn finish(mut self) -> std::io::Result<()> {
        let rest = self.pretty.as_mut().map(Pretty::rest).unwrap_or_default();
        let mut out = output::raw_answer();
        out.write_all(rest.as_bytes())?;
        out.flush()
    }
}
