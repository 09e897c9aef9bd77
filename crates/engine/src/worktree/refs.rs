//! References, moved from what they are expected to name.

use std::fs::File;
use std::path::Path;

use amps_core::ground::Tip;
use amps_core::snapshot::Oid;

use crate::git::{Call, Git, GitError};

/// What becomes of a reference.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change<'a> {
    /// It comes to be, with a line in its reflog that says why.
    Create { commit: &'a Oid, message: &'a str },
    /// It goes, if it names this.
    Delete { commit: &'a Oid },
}

/// Changes one reference. Returns whether it is now as it is to be; somebody else may have moved
/// it, and then it stays.
pub(super) fn change(
    git: &Git,
    common_dir: &Path,
    name: &str,
    change: Change<'_>,
    lock: &File,
) -> Result<bool, GitError> {
    let call = at(common_dir).arg("update-ref").input_file(lock);
    let (call, wanted) = match change {
        Change::Create { commit, message } => {
            // An empty old value: it must not exist.
            let call = call.args(["--create-reflog", "-m", message, name, commit.as_str(), ""]);
            (call, Some(commit))
        }
        Change::Delete { commit } => (call.args(["-d", name, commit.as_str()]), None),
    };
    let Err(error) = git.run(&call) else {
        return Ok(true);
    };
    let present = read(git, common_dir, name)?;
    if present.as_ref() == wanted {
        return Ok(true);
    }
    match present {
        // It is as it was before: it was not refused, it failed.
        None => Err(error),
        Some(_) if matches!(change, Change::Delete { commit } if present.as_ref() == Some(commit)) => {
            Err(error)
        }
        Some(_) => Ok(false),
    }
}

/// Returns the commit that a reference names.
pub(super) fn read(git: &Git, common_dir: &Path, name: &str) -> Result<Option<Oid>, GitError> {
    let call = at(common_dir).args(["for-each-ref", "--format=%(refname) %(objectname)", name]);
    let answer = String::from_utf8_lossy(&git.run(&call)?).into_owned();
    // The name is a pattern, too: it also finds what lies below.
    Ok(answer.lines().find_map(|line| {
        let (found, commit) = line.split_once(' ')?;
        Oid::parse(commit).filter(|_| found == name)
    }))
}

/// Returns the references below a folder, ending with a slash.
pub(super) fn below(git: &Git, common_dir: &Path, folder: &str) -> Result<Vec<Tip>, GitError> {
    let call = at(common_dir).args(["for-each-ref", "--format=%(refname) %(objectname)", folder]);
    let answer = String::from_utf8_lossy(&git.run(&call)?).into_owned();
    let tips = answer.lines().filter_map(|line| {
        let (name, commit) = line.split_once(' ')?;
        Some(Tip {
            name: name.to_owned(),
            commit: Oid::parse(commit)?,
        })
    });
    Ok(tips.collect())
}

/// Makes several references of ours at once; those that name the same already stay.
pub(super) fn keep_all(git: &Git, common_dir: &Path, tips: &[Tip]) -> Result<(), GitError> {
    if tips.is_empty() {
        return Ok(());
    }
    let lines = tips
        .iter()
        .map(|tip| format!("update {} {}\n", tip.name, tip.commit));
    let lines: String = lines.collect();
    let call = at(common_dir)
        .args(["update-ref", "--stdin"])
        .input(lines.as_bytes());
    git.run(&call).map(drop)
}

/// Asks the repository itself, whatever the variables of the person name.
pub(super) fn at(common_dir: &Path) -> Call<'static> {
    Call::alone_within(common_dir).variable("GIT_DIR", common_dir)
}
