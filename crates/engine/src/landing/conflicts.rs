//! Which of many branches do not go together: all pairs by one process.

use amps_core::landing::{ConflictMatrix, ConflictPair, merge_order};
use amps_core::snapshot::Oid;

use super::branch::require_commits;
use super::merging::{Merged, try_merges};
use super::{Ground, LandingError};
use crate::git::Git;

/// Merges every pair of branches, given by full names, keeping nothing of it, and tells which do not
/// go together and in which order to merge them.
pub fn conflicts(
    git: &Git,
    ground: &Ground,
    branches: &[String],
) -> Result<ConflictMatrix, LandingError> {
    let names: Vec<&str> = branches.iter().map(String::as_str).collect();
    let tips = require_commits(git, ground, &names)?;
    let places: Vec<(usize, usize)> = (0..tips.len())
        .flat_map(|one| (one + 1..tips.len()).map(move |other| (one, other)))
        .collect();
    let commits: Vec<(&Oid, &Oid)> = places
        .iter()
        .map(|(one, other)| (&tips[*one], &tips[*other]))
        .collect();
    let merged = try_merges(git, ground, &commits)?;
    let pairs: Vec<ConflictPair> = places
        .into_iter()
        .zip(merged)
        .filter_map(|((one, other), merged)| match merged {
            Merged::Clean(_) => None,
            Merged::Conflict(clashes) => Some(ConflictPair {
                one,
                other,
                paths: clashes.into_iter().map(|clash| clash.path).collect(),
            }),
        })
        .collect();
    Ok(ConflictMatrix {
        branches: branches.to_vec(),
        order: merge_order(branches.len(), &pairs),
        pairs,
    })
}
