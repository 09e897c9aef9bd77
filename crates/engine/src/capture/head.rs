//! Where HEAD was, from its reflog.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::time::UNIX_EPOCH;

use amps_core::snapshot::{Oid, Workspace};
use jiff::Timestamp;

use super::CaptureError;
use super::look::{changed_at, native};
use crate::git::parse::{HeadMove, parse_head_log};
use crate::git::{Call, Git, GitError};

/// As much of a reflog as one run can have written.
const LOG_READ: u64 = 4 * 1024 * 1024;

/// Returns the moves of this working tree's HEAD, oldest first; none where no reflog is kept.
fn moves(git: &Git, workspace: &Workspace) -> Result<Vec<HeadMove>, CaptureError> {
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
            let at = Timestamp::from_second(seconds).ok()?;
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
/// Moves that the kernel's clock dates `later_from` or later, in nanoseconds since 1970, came after
/// the instant.
pub(crate) fn at(
    git: &Git,
    workspace: &Workspace,
    later_from: i128,
    instant: Timestamp,
    now: Option<&Oid>,
) -> Result<Option<Oid>, CaptureError> {
    if !changed_since(workspace, later_from) {
        return Ok(now.cloned());
    }
    let moves = moves(git, workspace)?;
    let later = first_later(workspace, &moves, later_from, instant);
    Ok(match moves.into_iter().nth(later) {
        Some(moved) => moved.old,
        None => now.cloned(),
    })
}

/// Returns the moves up to an instant, oldest first.
pub(crate) fn moves_until(
    git: &Git,
    workspace: &Workspace,
    instant: Timestamp,
) -> Result<Vec<HeadMove>, CaptureError> {
    let later_from = instant.as_nanosecond();
    let mut moves = moves(git, workspace)?;
    if changed_since(workspace, later_from) {
        let later = first_later(workspace, &moves, later_from, instant);
        moves.truncate(later);
    }
    Ok(moves)
}

fn changed_since(workspace: &Workspace, later_from: i128) -> bool {
    let git_dir = native(&workspace.git_dir);
    ["logs/HEAD", "reftable/tables.list"]
        .iter()
        .find_map(|name| fs::metadata(git_dir.join(name)).ok())
        .is_some_and(|log| changed_at(&log) >= later_from)
}

/// Returns the place of the first move after an instant, in a log that changed after it.
///
/// A reflog counts whole seconds. Within the second of the instant, a move to a commit that came
/// into being after the instant is a later one; so is the last move of all.
fn first_later(
    workspace: &Workspace,
    moves: &[HeadMove],
    later_from: i128,
    instant: Timestamp,
) -> usize {
    let last = moves.len().saturating_sub(1);
    let is_later = |(place, moved): (usize, &HeadMove)| {
        let (at, second) = (moved.at.as_second(), instant.as_second());
        let born = || {
            let born = moved.new.as_ref().and_then(|new| born(workspace, new));
            born.is_some_and(|born| born >= later_from)
        };
        at > second || at == second && (place == last || born())
    };
    moves
        .iter()
        .enumerate()
        .position(is_later)
        .unwrap_or(moves.len())
}

/// Returns when an object came into being, in nanoseconds since 1970, where that can be known.
pub(crate) fn born(workspace: &Workspace, oid: &Oid) -> Option<i128> {
    let (folder, rest) = oid.as_str().split_at(2);
    let objects = native(&workspace.common_dir).join("objects");
    let born = fs::metadata(objects.join(folder).join(rest))
        .ok()?
        .created()
        .ok()?;
    i128::try_from(born.duration_since(UNIX_EPOCH).ok()?.as_nanos()).ok()
}
