//! The second half of a snapshot: one commit under a reference of ours.
//!
//! The commit is made by one `fast-import`, on top of HEAD's tree, so that only folders with
//! changes are written. It is fed from a file: if this process dies, git still reads the whole of
//! it. The commit depends on nothing but the frozen state, so doing it again gives the same one.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufWriter, Seek as _, SeekFrom, Write};
use std::thread;

use amps_core::path::RawPath;
use amps_core::snapshot::{Oid, Snapshot, Workspace};

use super::CaptureError;
use super::adopt::Particulars;
use super::freeze::{Body, Data, Frozen};
use super::look::{is_missing, native};
use crate::git::{Call, Git, GitError, Output, quote};

/// Where references of ours live.
const OURS: &str = "refs/amps/";
const IDENTITY: &str = "amps <amps@localhost>";
/// The first line of the message of a snapshot's commit.
pub(super) const SUBJECT: &str = "amps: working tree";

/// Makes a frozen state durable under `name` (below `refs/amps/`) and returns its snapshot.
///
/// The reference must not exist yet, or must name the same snapshot, unless `replaces` tells what
/// it names; anything else is [`CaptureError::Taken`], and nothing has changed.
pub fn keep(
    git: &Git,
    workspace: &Workspace,
    frozen: &Frozen,
    name: &str,
    replaces: Option<&Oid>,
) -> Result<Snapshot, CaptureError> {
    require_ours(name)?;
    let (commit, tree) = match &frozen.head {
        Some(head) if frozen.is_head() => keep_head(git, workspace, head, name, replaces)?,
        _ => keep_commit(git, workspace, frozen, name, replaces)?,
    };
    Ok(Snapshot {
        head: frozen.head.clone(),
        branch: frozen.branch.clone(),
        commit: Some(commit),
        tree,
        taken_at: frozen.taken_at,
        left_out: frozen.left_out.clone(),
        uncertain: frozen.uncertain.clone(),
    })
}

/// Makes a commit that is kept already durable under one more name, which must not exist yet or must
/// name the same.
pub fn keep_again(
    git: &Git,
    workspace: &Workspace,
    commit: &Oid,
    name: &str,
) -> Result<(), CaptureError> {
    require_ours(name)?;
    move_ref(git, workspace, name, commit, None)
}

/// Deletes a reference of ours that names this commit. One that is not there is as good as deleted;
/// one that names anything else stays, and is [`CaptureError::Taken`].
pub fn let_go(
    git: &Git,
    workspace: &Workspace,
    commit: &Oid,
    name: &str,
) -> Result<(), CaptureError> {
    require_ours(name)?;
    let Err(error) = drop_ref(git, workspace, name, commit) else {
        return Ok(());
    };
    match held(git, workspace, name)? {
        None => Ok(()),
        Some(holds) if holds == *commit => Err(error.into()),
        holds => Err(CaptureError::Taken {
            name: name.to_owned(),
            holds,
        }),
    }
}

fn require_ours(name: &str) -> Result<(), CaptureError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'/');
    let fits = name.strip_prefix(OURS).is_some_and(|rest| {
        rest.bytes().all(plain) && rest.split('/').all(|part| !part.is_empty())
    });
    if fits {
        Ok(())
    } else {
        Err(CaptureError::BadName {
            text: name.to_owned(),
        })
    }
}

/// Nothing differs: the reference names HEAD's own commit.
fn keep_head(
    git: &Git,
    workspace: &Workspace,
    head: &Oid,
    name: &str,
    replaces: Option<&Oid>,
) -> Result<(Oid, Oid), CaptureError> {
    thread::scope(|scope| {
        let tree = scope.spawn(|| tree_of(git, workspace, head.as_str()));
        move_ref(git, workspace, name, head, replaces)?;
        let tree = tree
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok((head.clone(), tree))
    })
}

/// Returns the tree of a commit.
pub(crate) fn tree_of(git: &Git, workspace: &Workspace, commit: &str) -> Result<Oid, GitError> {
    let call = Call::at(workspace)
        .args(["rev-parse", "--verify", "--end-of-options"])
        .arg(format!("{commit}^{{tree}}"));
    one_oid(&call, &git.run(&call)?)
}

fn one_oid(call: &Call<'_>, answer: &[u8]) -> Result<Oid, GitError> {
    std::str::from_utf8(answer)
        .ok()
        .and_then(|text| Oid::parse(text.trim_end()))
        .ok_or_else(|| GitError::Unexpected {
            arguments: call.shown(),
            found: String::from_utf8_lossy(answer).into_owned(),
        })
}

/// Makes the reference name a commit, from what it is expected to name.
fn move_ref(
    git: &Git,
    workspace: &Workspace,
    name: &str,
    new: &Oid,
    replaces: Option<&Oid>,
) -> Result<(), CaptureError> {
    let command = match replaces {
        None => format!("create {name} {new}\n"),
        Some(old) => format!("update {name} {new} {old}\n"),
    };
    let call = Call::at(workspace)
        .args(["update-ref", "--no-deref", "--stdin"])
        .input(command.as_bytes());
    let output = git.output(&call)?;
    match output.status {
        Some(status) if !status.success() => {
            accept_same(git, workspace, name, new, output.into_error(&call, status))
        }
        _ => Ok(()),
    }
}

/// After a refused move: the reference may name the same commit already, as after a crash.
fn accept_same(
    git: &Git,
    workspace: &Workspace,
    name: &str,
    new: &Oid,
    error: GitError,
) -> Result<(), CaptureError> {
    match held(git, workspace, name)? {
        Some(holds) if holds == *new => Ok(()),
        None => Err(error.into()),
        holds => Err(CaptureError::Taken {
            name: name.to_owned(),
            holds,
        }),
    }
}

/// Returns what a reference names.
fn held(git: &Git, workspace: &Workspace, name: &str) -> Result<Option<Oid>, GitError> {
    let call = Call::at(workspace).args(["for-each-ref", "--format=%(objectname)", name]);
    let answer = git.run(&call)?;
    if answer.is_empty() {
        return Ok(None);
    }
    one_oid(&call, &answer).map(Some)
}

fn keep_commit(
    git: &Git,
    workspace: &Workspace,
    frozen: &Frozen,
    name: &str,
    replaces: Option<&Oid>,
) -> Result<(Oid, Oid), CaptureError> {
    // Fast-import moves a reference forward without being asked, so one that may exist already is
    // moved by itself, from what it is expected to name.
    let is_new = replaces.is_none() && is_absent(workspace, name);
    let made_under = if is_new {
        name.to_owned()
    } else {
        format!(
            "{OURS}new/{}-{}",
            std::process::id(),
            name.replace('/', "-")
        )
    };
    let output = import(git, workspace, frozen, &made_under)?;
    let ImportedCommit {
        commit,
        tree,
        moved,
    } = read_import(workspace, output)?;
    if !is_new {
        let moved = move_ref(git, workspace, name, &commit, replaces);
        drop_ref(git, workspace, &made_under, &commit)?;
        moved?;
    } else if let Err(error) = moved {
        accept_same(git, workspace, name, &commit, error)?;
    }
    Ok((commit, tree))
}

/// Returns whether a reference does not exist, where that can be told without asking git.
fn is_absent(workspace: &Workspace, name: &str) -> bool {
    let common_dir = native(&workspace.common_dir);
    let packed = match fs::read(common_dir.join("packed-refs")) {
        Ok(packed) => packed,
        Err(error) if is_missing(&error) => Vec::new(),
        Err(_) => return false,
    };
    let is_packed = || {
        packed
            .split(|byte| *byte == b'\n')
            .any(|line| line.ends_with(name.as_bytes()))
    };
    fs::symlink_metadata(common_dir.join(name)).is_err_and(|error| is_missing(&error))
        && fs::symlink_metadata(common_dir.join("reftable")).is_err_and(|error| is_missing(&error))
        && !is_packed()
}

fn drop_ref(git: &Git, workspace: &Workspace, name: &str, old: &Oid) -> Result<(), GitError> {
    let call = Call::at(workspace).args(["update-ref", "--no-deref", "-d", name, old.as_str()]);
    git.run(&call).map(|_| ())
}

fn import(
    git: &Git,
    workspace: &Workspace,
    frozen: &Frozen,
    name: &str,
) -> Result<Output, CaptureError> {
    let unwritable = |source| CaptureError::io(std::env::temp_dir(), source);
    let mut file = tempfile::tempfile().map_err(unwritable)?;
    let mut out = BufWriter::new(&mut file);
    write_stream(&mut out, frozen, name)
        .and_then(|()| out.flush())
        .map_err(unwritable)?;
    drop(out);
    file.seek(SeekFrom::Start(0)).map_err(unwritable)?;
    Ok(git.output(&import_call(workspace).input_file(&file))?)
}

fn import_call(workspace: &Workspace) -> Call<'static> {
    Call::at(workspace).args(["fast-import", "--quiet", "--done", "--depth=0"])
}

struct ImportedCommit {
    commit: Oid,
    tree: Oid,
    moved: Result<(), GitError>,
}

/// Reads the commit and its tree; a refused reference is told apart from a failed import.
fn read_import(workspace: &Workspace, output: Output) -> Result<ImportedCommit, CaptureError> {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut lines = text.lines();
    let commit = lines.next().and_then(Oid::parse);
    let tree = lines
        .next()
        .and_then(|line| line.strip_prefix("040000 tree "))
        .and_then(|line| Oid::parse(line.split('\t').next()?));
    let call = import_call(workspace);
    let failed = output.status.filter(|status| !status.success());
    match (commit, tree, failed) {
        (Some(commit), Some(tree), failed) => Ok(ImportedCommit {
            commit,
            tree,
            moved: failed.map_or(Ok(()), |status| Err(output.into_error(&call, status))),
        }),
        (_, _, Some(status)) => {
            // Its report on what it was doing would stay in the person's git directory.
            let report = format!("fast_import_crash_{}", output.pid);
            let _absent = fs::remove_file(native(&workspace.git_dir).join(report));
            Err(output.into_error(&call, status).into())
        }
        (_, _, None) => Err(CaptureError::Git(GitError::Unexpected {
            arguments: call.shown(),
            found: text,
        })),
    }
}

/// Writes the commands that make the commit: HEAD and, when something is staged, the index are its
/// parents.
fn write_stream(out: &mut impl Write, frozen: &Frozen, name: &str) -> io::Result<()> {
    let index = (!frozen.staged.is_empty()).then_some(&frozen.staged);
    if let Some(staged) = index {
        write_commit(out, frozen, name, ":1", "amps: index")?;
        write_edits(out, staged)?;
        if frozen.head.is_none() {
            writeln!(out, "\nreset {name}")?;
        }
        writeln!(out)?;
    }
    let message = format!("{SUBJECT}\n\n{}", Particulars::of(frozen));
    write_commit(out, frozen, name, ":2", &message)?;
    if index.is_some() {
        writeln!(out, "merge :1")?;
    }
    write_edits(out, &frozen.edits)?;
    writeln!(out, "\nget-mark :2\nls :2 \"\"\ndone")
}

fn write_commit(
    out: &mut impl Write,
    frozen: &Frozen,
    name: &str,
    mark: &str,
    message: &str,
) -> io::Result<()> {
    let seconds = frozen.taken_at.at.as_second().max(0);
    writeln!(out, "commit {name}\nmark {mark}")?;
    writeln!(out, "committer {IDENTITY} {seconds} +0000")?;
    writeln!(out, "data {}\n{message}", message.len())?;
    match &frozen.head {
        Some(head) => writeln!(out, "from {head}"),
        None => Ok(()),
    }
}

/// Writes deletions first, so that a folder can stand where a file was.
fn write_edits(out: &mut impl Write, edits: &BTreeMap<RawPath, Option<Body>>) -> io::Result<()> {
    for (path, _) in edits.iter().filter(|(_, body)| body.is_none()) {
        writeln!(out, "D {}", quote::quoted(path.as_bytes()))?;
    }
    for (path, body) in edits {
        let Some(Body { mode, data }) = body else {
            continue;
        };
        let path = quote::quoted(path.as_bytes());
        match data {
            Data::Stored(oid) => writeln!(out, "M {mode:06o} {oid} {path}")?,
            Data::Inline(bytes) => {
                writeln!(out, "M {mode:06o} inline {path}\ndata {}", bytes.len())?;
                out.write_all(bytes)?;
                writeln!(out)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_ours_are_written() {
        for name in ["refs/amps/run/1-a/base", "refs/amps/x"] {
            assert!(require_ours(name).is_ok(), "{name}");
        }
        for name in [
            "refs/heads/main",
            "refs/amps/",
            "refs/amps/a//b",
            "refs/amps/../heads/main",
            "refs/amps/a b",
            "refs/amps/a\nreset refs/heads/main",
        ] {
            assert!(require_ours(name).is_err(), "{name}");
        }
    }
}
