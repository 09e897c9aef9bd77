//! What makes a project the same project in another place.

use amps_core::snapshot::{Oid, Workspace};

use super::CaptureError;
use crate::git::{Call, Git};

/// Returns the root commits of the history of HEAD, sorted; none before the first commit.
///
/// In a shallow clone they are the commits at its edge.
pub fn root_commits(git: &Git, workspace: &Workspace) -> Result<Vec<Oid>, CaptureError> {
    let head = Call::at(workspace).args(["rev-parse", "--verify", "--quiet", "HEAD"]);
    if git.output(&head)?.stdout.is_empty() {
        return Ok(Vec::new());
    }
    let call = Call::at(workspace).args(["rev-list", "--max-parents=0", "HEAD", "--"]);
    let answer = git.run(&call)?;
    let text = String::from_utf8_lossy(&answer);
    let mut roots: Vec<Oid> = text.lines().filter_map(Oid::parse).collect();
    roots.sort_by(|one, other| one.as_str().cmp(other.as_str()));
    Ok(roots)
}
