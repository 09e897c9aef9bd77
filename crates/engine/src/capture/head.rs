//! Where HEAD was, from its reflog.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::time::UNIX_EPOCH;

use amps_core::snapshot::{Oid, Workspace};
use amps_core::time::Moment;

use super::CaptureError;
use super::look::{changed_at, native};
use crate::git::parse::{HeadMove, parse_head_log};
use crate::git::{Call, Git, GitError};

/// As much of a reflog as one run can have written.
const LOG_READ: u64 = 4 * 1024 * 1024;

/// Returns the moves of this working tree's HEAD, oldest first; none where no reflog is kept.
pub(crate) fn moves(git: &Git, workspace: &Workspace) -> Result<Vec<HeadMove>, CaptureError> {
    let git_dir = native(&workspace.git_dir);
    let log = git_dir.join("logs/HEAD");
    match read_end(&log) {
        Ok(bytes) => Ok(parse_head_log(&bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if git_dir.join("reftable").is_dir() {
                Ok(ask_moves(git, workspace)?)
            } else {
                Ok(Vec::new())
            }
        }
        Err(error) => Err(CaptureError::io(log, error)),
    }
}

fn read_end(log: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(log)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_READ)))?;
    let mut bytes = Vec::new();
    file.take(LOG_READ).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Asks git, for a reflog that is no file: each line gives only the new name, newest first.
fn ask_moves(git: &Git, workspace: &Workspace) -> Result<Vec<HeadMove>, GitError> {
    let call = Call::at(workspace).args([
        "log",
        "--walk-reflogs",
        "--no-show-signature",
        "--date=unix",
        "--format=%H %gd",
        "--max-count=20000",
        "HEAD",
        "--",
    ]);
    let output = git.output(&call)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut lines: Vec<(Oid, i64)> = text
        .lines()
        .filter_map(|line| {
            let (oid, selector) = line.split_once(' ')?;
            let seconds = selector.strip_prefix("HEAD@{")?.strip_suffix('}')?;
            Some((Oid::parse(oid)?, seconds.parse().ok()?))
        })
        .collect();
    lines.reverse();
    let mut old = None;
    Ok(lines
        .into_iter()
        .filter_map(|(new, seconds)| {
            let at = jiff::Timestamp::from_second(seconds).ok()?;
            Some(HeadMove {
                old: old.replace(new.clone()),
                new: Some(new),
                at,
            })
        })
        .collect())
}

/// Returns the commit that HEAD named at an instant, given what it names now.
///
/// A reflog counts whole seconds. Within the second of the instant, a move to a commit that came
/// into being after the instant is a later one; so is the last move, if the log itself changed
/// since.
pub(crate) fn at(
    git: &Git,
    workspace: &Workspace,
    later_from: i128,
    instant: Moment,
    now: Option<&Oid>,
) -> Result<Option<Oid>, CaptureError> {
    let git_dir = native(&workspace.git_dir);
    let log = ["logs/HEAD", "reftable/tables.list"]
        .iter()
        .find_map(|name| fs::metadata(git_dir.join(name)).ok());
    if log.is_none_or(|log| changed_at(&log) < later_from) {
        return Ok(now.cloned());
    }
    let moves = moves(git, workspace)?;
    let objects = native(&workspace.common_dir).join("objects");
    let is_later = |place: usize, moved: &HeadMove| {
        let (at, second) = (moved.at.as_second(), instant.at.as_second());
        at > second
            || at == second
                && (place + 1 == moves.len()
                    || moved
                        .new
                        .as_ref()
                        .is_some_and(|new| is_born_since(&objects, new, later_from)))
    };
    let first_later = moves
        .iter()
        .enumerate()
        .find(|(place, moved)| is_later(*place, moved));
    Ok(match first_later {
        Some((_, moved)) => moved.old.clone(),
        None => now.cloned(),
    })
}

fn is_born_since(objects: &Path, oid: &Oid, later_from: i128) -> bool {
    let (folder, rest) = oid.as_str().split_at(2);
    let born = fs::metadata(objects.join(folder).join(rest))
        .and_then(|metadata| metadata.created())
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .and_then(|time| i128::try_from(time.as_nanos()).ok());
    born.is_some_and(|born| born >= later_from)
}
