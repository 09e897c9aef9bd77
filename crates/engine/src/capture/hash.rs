//! Storing the contents of files as git would, filters included.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::thread;

use amps_core::path::RawPath;
use amps_core::snapshot::{Oid, Workspace};

use super::CaptureError;
use super::look::{Looker, Seen};
use crate::git::{Call, Git, GitError, quote};

/// From how many files on a second git process is worth its start.
const WORTH_SHARING: usize = 64;
const MOST_PROCESSES: usize = 4;

/// A file whose content is to be stored.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) path: RawPath,
    pub(crate) filter: Filter,
}

/// Whether the content goes through the filters and line ending rules of its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filter {
    Apply,
    Bypass,
}

/// Whether the contents are kept or only named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Storing {
    Keep,
    NameOnly,
}

/// What became of a wanted file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stored {
    Blob(Oid),
    /// It is gone.
    Vanished,
    /// It is there and may not be read.
    Unreadable,
}

/// Stores the contents of the files, in their order.
///
/// A file that cannot be stored never spoils the others.
pub(crate) fn store(
    git: &Git,
    workspace: &Workspace,
    wanted: &[Wanted],
    storing: Storing,
) -> Result<Vec<Stored>, CaptureError> {
    let processes = if wanted.len() < WORTH_SHARING {
        1
    } else {
        thread::available_parallelism()
            .map_or(1, usize::from)
            .min(MOST_PROCESSES)
    };
    let share = wanted.len().div_ceil(processes).max(1);
    let stored = thread::scope(|scope| {
        let mut shares = wanted.chunks(share);
        let own = shares.next();
        let others: Vec<_> = shares
            .map(|share| scope.spawn(move || store_share(git, workspace, share, storing)))
            .collect();
        let mut results = Vec::new();
        results.extend(own.map(|share| store_share(git, workspace, share, storing)));
        results.extend(others.into_iter().map(|other| {
            other
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        }));
        results
    });
    let mut all = Vec::with_capacity(wanted.len());
    for part in stored {
        all.extend(part?);
    }
    Ok(all)
}

fn store_share(
    git: &Git,
    workspace: &Workspace,
    wanted: &[Wanted],
    storing: Storing,
) -> Result<Vec<Stored>, CaptureError> {
    let mut stored = Vec::with_capacity(wanted.len());
    while let Some(next) = wanted.get(stored.len()) {
        let alike = wanted[stored.len()..]
            .iter()
            .take_while(|other| other.filter == next.filter);
        let batch: Vec<&RawPath> = alike.map(|wanted| &wanted.path).collect();
        let (names, error) = hash(git, workspace, &batch, next.filter, storing)?;
        stored.extend(names.into_iter().map(Stored::Blob));
        if let Some(error) = error
            && let Some(culprit) = wanted.get(stored.len())
        {
            stored.push(store_difficult(git, workspace, culprit, storing, error)?);
        }
    }
    Ok(stored)
}

/// Stores one file that git stumbled over.
fn store_difficult(
    git: &Git,
    workspace: &Workspace,
    wanted: &Wanted,
    storing: Storing,
    error: GitError,
) -> Result<Stored, CaptureError> {
    let mut looker = Looker::below(&workspace.root);
    match looker.look(&wanted.path) {
        Seen::Missing => return Ok(Stored::Vanished),
        Seen::There(metadata) if !metadata.is_file() => return Ok(Stored::Vanished),
        Seen::Unknown => return Ok(Stored::Unreadable),
        Seen::There(_) => {}
    }
    // A filter that fails must not cost the content: it is kept as it is.
    let (names, _again) = hash(git, workspace, &[&wanted.path], Filter::Bypass, storing)?;
    if let Some(oid) = names.into_iter().next() {
        return Ok(Stored::Blob(oid));
    }
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default())
        .open(looker.full(&wanted.path));
    match opened {
        Ok(_) => Err(error.into()),
        Err(error) if super::look::is_missing(&error) => Ok(Stored::Vanished),
        Err(_) => Ok(Stored::Unreadable),
    }
}

/// Hashes files until one fails; returns the names so far and the failure.
fn hash(
    git: &Git,
    workspace: &Workspace,
    paths: &[&RawPath],
    filter: Filter,
    storing: Storing,
) -> Result<(Vec<Oid>, Option<GitError>), GitError> {
    let mut list = String::new();
    for path in paths {
        list.push_str(&quote::quoted(path.as_bytes()));
        list.push('\n');
    }
    let mut call = Call::at(workspace).arg("hash-object");
    if storing == Storing::Keep {
        call = call.arg("-w");
    }
    if filter == Filter::Bypass {
        call = call.arg("--no-filters");
    }
    let call = call.arg("--stdin-paths").input(list.as_bytes());
    let output = git.output(&call)?;
    let names: Option<Vec<Oid>> = output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| Oid::parse(std::str::from_utf8(line).ok()?))
        .collect();
    let names = names.filter(|names| names.len() <= paths.len());
    let Some(names) = names else {
        return Err(GitError::Unexpected {
            arguments: call.shown(),
            found: String::from_utf8_lossy(&output.stdout).into_owned(),
        });
    };
    let error = match output.status {
        Some(status) if !status.success() || names.len() < paths.len() => {
            Some(output.into_error(&call, status))
        }
        _ => None,
    };
    Ok((names, error))
}
