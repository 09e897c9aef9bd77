//! Names of branches, each reserved for one session.
//!
//! A branch that exists does not tell whose it is. A reservation does: it is made when the name is
//! chosen, so that two sessions of one second never take one name, and a creation that was
//! interrupted knows its own branch again.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use amps_core::ground::{TakenNames, branch_names};
use amps_core::id::SessionId;
use jiff::Timestamp;

use super::repository::Ours;
use super::{Refusal, WorktreeError};
use crate::files::{self, FileError};
use crate::git::{Call, Git};

/// Chooses and reserves the name of a branch; returns the full one.
pub(super) fn reserve(
    git: &Git,
    common_dir: &Path,
    session: SessionId,
    slug: &str,
    at: Timestamp,
) -> Result<String, WorktreeError> {
    let call = Call::alone_within(common_dir)
        .variable("GIT_DIR", common_dir)
        .args(["for-each-ref", "--format=%(refname)", "refs/heads/"]);
    let taken = git.run(&call)?;
    let taken = TakenNames::new(String::from_utf8_lossy(&taken).lines());
    let folder = Ours::at(common_dir).folder("names")?;
    for name in branch_names(slug, at).filter(|name| !taken.clash_with(name)) {
        if claim(&folder.join(file_name(&name)), session)? {
            return Ok(name);
        }
    }
    Err(Refusal::NoFreeName {
        name: slug.to_owned(),
    }
    .into())
}

/// Gives a name back, if it is the session's.
pub(super) fn release(ours: &Ours, session: SessionId, name: &str) -> Result<(), FileError> {
    let file = ours.path("names").join(file_name(name));
    if fs::read_to_string(&file).is_ok_and(|text| text.trim() == session.to_string()) {
        files::remove(&file)?;
    }
    Ok(())
}

/// Makes the file with its content at once, unless it is there.
fn claim(file: &Path, session: SessionId) -> Result<bool, FileError> {
    let failed = |source| FileError::new("create", file, source);
    let folder = file.parent().unwrap_or(file);
    let mut made = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    writeln!(made, "{session}").map_err(failed)?;
    match made.persist_noclobber(file) {
        Ok(_) => Ok(true),
        Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(failed(error.error)),
    }
}

fn file_name(branch: &str) -> PathBuf {
    let name = branch.strip_prefix("refs/heads/").unwrap_or(branch);
    PathBuf::from(name.replace('/', "+"))
}
