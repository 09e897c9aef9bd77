//! A snapshot that is there already: taken before a crash, or by a launcher without a daemon.

use amps_core::path::RawPath;
use amps_core::snapshot::{LeftOut, Oid, Snapshot, Workspace};
use amps_core::time::Moment;
use serde::{Deserialize, Serialize};

use super::CaptureError;
use super::freeze::Frozen;
use super::keep::SUBJECT;
use crate::git::{Call, Git, GitError};

/// What the commit of a snapshot says of itself, beside its tree.
#[derive(Serialize, Deserialize)]
pub(super) struct Particulars {
    head: Option<Oid>,
    branch: Option<String>,
    taken_at: Moment,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    left_out: Vec<LeftOut>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    uncertain: Vec<RawPath>,
}

impl Particulars {
    /// Returns the text that goes into the commit's message.
    pub(super) fn of(frozen: &Frozen) -> String {
        let particulars = Self {
            head: frozen.head.clone(),
            branch: frozen.branch.clone(),
            taken_at: frozen.taken_at,
            left_out: frozen.left_out.clone(),
            uncertain: frozen.uncertain.clone(),
        };
        serde_json::to_string(&particulars).expect("particulars have no failing serialisers")
    }
}

/// Reads the snapshot that a reference of ours names; `None` when there is no such reference. A
/// commit that is not ours is HEAD's own of a time when nothing differed from it; nobody noted
/// when that was, so `taken_at` stands.
pub fn adopt(
    git: &Git,
    workspace: &Workspace,
    name: &str,
    taken_at: Moment,
) -> Result<Option<Snapshot>, CaptureError> {
    let format = "--format=%(objectname)%0a%(tree)%0a%(contents)";
    let call = Call::at(workspace).args(["for-each-ref", format, name]);
    let answer = String::from_utf8_lossy(&git.run(&call)?).into_owned();
    if answer.is_empty() {
        return Ok(None);
    }
    let mut lines = answer.splitn(3, '\n');
    let mut oid = || lines.next().and_then(Oid::parse);
    let (Some(commit), Some(tree)) = (oid(), oid()) else {
        return Err(GitError::Unexpected {
            arguments: call.shown(),
            found: answer,
        }
        .into());
    };
    let message = lines.next().unwrap_or_default();
    let own = message
        .strip_prefix(SUBJECT)
        .and_then(|rest| serde_json::from_str::<Particulars>(rest.trim()).ok());
    Ok(Some(match own {
        Some(own) => Snapshot {
            head: own.head,
            branch: own.branch,
            commit: Some(commit),
            tree,
            taken_at: own.taken_at,
            left_out: own.left_out,
            uncertain: own.uncertain,
        },
        None => Snapshot {
            head: Some(commit.clone()),
            branch: None,
            commit: Some(commit),
            tree,
            taken_at,
            left_out: Vec::new(),
            uncertain: Vec::new(),
        },
    }))
}
