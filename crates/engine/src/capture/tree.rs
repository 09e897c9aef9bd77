//! Questions about trees.

use std::collections::{BTreeMap, HashSet};

use amps_core::path::RawPath;
use amps_core::snapshot::{Oid, Workspace};

use crate::git::parse::{Differing, Version, parse_diff, parse_tree};
use crate::git::{Call, Git, GitError};

/// The name of the tree without files, in the two formats of object names.
const EMPTY: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";
const EMPTY_SHA256: &str = "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321";

/// Returns the name of the tree without files in the format of another name.
pub(crate) fn empty_like(other: &Oid) -> &'static str {
    if other.as_str().len() == EMPTY.len() {
        EMPTY
    } else {
        EMPTY_SHA256
    }
}

/// Returns the paths that differ between two commits, of which one may not exist.
pub(crate) fn differences(
    git: &Git,
    workspace: &Workspace,
    old: Option<&Oid>,
    new: Option<&Oid>,
) -> Result<Vec<Differing>, GitError> {
    let Some(any) = old.or(new) else {
        return Ok(Vec::new());
    };
    let name = |side: Option<&Oid>| side.map_or(empty_like(any), Oid::as_str).to_owned();
    let call = Call::at(workspace)
        .args([
            "diff-tree",
            "-r",
            "-z",
            "--raw",
            "--no-renames",
            "--no-abbrev",
        ])
        .args([name(old), name(new)]);
    let answer = git.run(&call)?;
    parse_diff(&answer).map_err(|found| GitError::Unexpected {
        arguments: call.shown(),
        found,
    })
}

/// Returns every file of a tree.
pub(crate) fn files(
    git: &Git,
    workspace: &Workspace,
    tree: &str,
) -> Result<BTreeMap<RawPath, Version>, GitError> {
    let call = Call::at(workspace).args(["ls-tree", "-r", "-z", "--full-tree", tree]);
    let answer = git.run(&call)?;
    parse_tree(&answer).map_err(|found| GitError::Unexpected {
        arguments: call.shown(),
        found,
    })
}

/// Returns the paths that a sparse checkout keeps out of the working tree.
pub(crate) fn sparse(git: &Git, workspace: &Workspace) -> Result<HashSet<RawPath>, GitError> {
    let call = Call::at(workspace).args(["ls-files", "-z", "-t", "--cached"]);
    let answer = git.run(&call)?;
    let records = answer.split(|byte| *byte == 0);
    Ok(records
        .filter_map(|record| record.strip_prefix(b"S "))
        .map(RawPath::new)
        .collect())
}
