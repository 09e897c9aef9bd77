//! Handing a branch on: as patches, or to another repository.

use std::path::{Path, PathBuf};

use amps_core::landing::Refusal;
use amps_core::path::visible;
use amps_core::snapshot::Oid;

use super::branch::{merge_base, require_commits};
use super::checkout::path;
use super::history::Line;
use super::{Ground, Hooks, LandingError};
use crate::files;
use crate::git::Git;

/// Where patches go.
#[derive(Clone, Copy, Debug)]
pub enum Patches<'a> {
    /// One new file with all of them, as `git am` reads it.
    File(&'a Path),
    /// A folder, one numbered file for each commit.
    Folder(&'a Path),
}

/// Writes the commits since the merge base as patches, and returns the files.
///
/// A patch cannot say what a merge did, so a branch with merges is [`Refusal::MergesAnother`];
/// squashed, it has none.
pub fn export_patch(
    git: &Git,
    ground: &Ground,
    patches: Patches<'_>,
) -> Result<Vec<PathBuf>, LandingError> {
    let tips = require_commits(git, ground, &[&ground.branch, &ground.base_ref])?;
    let (tip, base) = (&tips[0], &tips[1]);
    let foot = merge_base(git, ground, tip, base)?;
    let line = Line::read(git, ground, tip, base)?;
    if let Some(merge) = line.commits.iter().find(|commit| commit.parents.len() > 1) {
        return Err(Refusal::MergesAnother {
            merge: merge.oid.clone(),
            other: merge.parents[1].clone(),
        }
        .into());
    }
    if line.commits.is_empty() {
        return Err(Refusal::NothingToDo.into());
    }
    let call = ground.call().args([
        "format-patch",
        "--quiet",
        "--binary",
        "--full-index",
        "--no-ext-diff",
    ]);
    let range = format!("{foot}..{tip}");
    match patches {
        Patches::File(file) => {
            let answer = git.run(&call.args(["--stdout", &range]))?;
            let mut out = files::create_new(file)?;
            std::io::Write::write_all(&mut out, &answer)
                .map_err(|source| LandingError::io(file, source))?;
            Ok(vec![file.to_owned()])
        }
        Patches::Folder(folder) => {
            std::fs::create_dir_all(folder).map_err(|source| LandingError::io(folder, source))?;
            let folder = folder
                .canonicalize()
                .map_err(|source| LandingError::io(folder, source))?;
            // Without `--quiet` it names what it wrote.
            let call = ground
                .call()
                .args(["format-patch", "--binary", "--full-index", "--no-ext-diff"])
                .arg("--output-directory")
                .arg(&folder)
                .arg(&range);
            let answer = git.run(&call)?;
            let prefix = {
                use std::os::unix::ffi::OsStrExt as _;
                folder.as_os_str().as_bytes().len() + 1
            };
            // A folder may have a line break in its name; the names of patches have none.
            let mut found = Vec::new();
            let mut rest = &answer[..];
            while rest.len() > prefix {
                let end = rest[prefix..].iter().position(|byte| *byte == b'\n');
                let end = prefix + end.unwrap_or(rest.len() - prefix);
                found.push(path(&rest[..end]));
                rest = rest.get(end + 1..).unwrap_or_default();
            }
            Ok(found)
        }
    }
}

/// What is pushed, and where.
#[derive(Clone, Debug)]
pub struct Push {
    /// The remote, by name or address.
    pub remote: String,
    /// The full name of the local reference.
    pub source: String,
    /// The full name of the reference there.
    pub destination: String,
    /// What the reference there must name, if it may be overwritten; else it may only go forward.
    pub expected: Option<Oid>,
    /// Whether `pre-push` runs.
    pub hooks: Hooks,
}

/// Pushes one reference as the person would, with their credentials and protocols, unasked.
///
/// [`Refusal::Rejected`] is the other side's no. Any other failure leaves open whether it arrived.
pub fn push(git: &Git, ground: &Ground, push: &Push) -> Result<(), LandingError> {
    let tips = require_commits(git, ground, &[&push.source])?;
    let mut call = ground.call().as_person().args(["push", "--porcelain"]);
    if let Some(expected) = &push.expected {
        call = call.arg(format!(
            "--force-with-lease={}:{expected}",
            push.destination
        ));
    }
    if push.hooks == Hooks::Skip {
        call = call.arg("--no-verify");
    }
    let call = call
        .args(["--", &push.remote])
        .arg(format!("{}:{}", tips[0], push.destination));
    let output = git.output(&call)?;
    let Some(status) = output.status.filter(|status| !status.success()) else {
        return Ok(());
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let rejected: Vec<&str> = text.lines().filter(|line| line.starts_with('!')).collect();
    if rejected.is_empty() {
        return Err(output.into_error(&call, status).into());
    }
    Err(Refusal::Rejected {
        words: visible(&rejected.join("; ")),
    }
    .into())
}
