//! The patch between two snapshots, bounded and without known secrets.

use std::ops::ControlFlow;

use amps_core::mask::mask;
use amps_core::snapshot::{Snapshot, Workspace};

use super::CaptureError;
use crate::git::{Call, Git};

/// A patch as it is stored beside the record, so that it outlives the repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredPatch {
    /// The patch, known secrets masked in its text.
    pub bytes: Vec<u8>,
    /// Whether its end is missing.
    pub truncated: bool,
}

/// Returns the patch from one snapshot to another, of at most `max_bytes` before masking.
pub fn patch(
    git: &Git,
    workspace: &Workspace,
    base: &Snapshot,
    end: &Snapshot,
    max_bytes: usize,
) -> Result<StoredPatch, CaptureError> {
    if base.tree == end.tree {
        return Ok(StoredPatch::default());
    }
    let call = Call::at(workspace)
        .args([
            "diff-tree",
            "-r",
            "-p",
            "-M",
            "--binary",
            "--full-index",
            "--no-color",
        ])
        .args(["--no-ext-diff", "--no-textconv", "--no-relative"])
        .args(["--submodule=short", "--ignore-submodules=none"])
        .args(["--src-prefix=a/", "--dst-prefix=b/"])
        .args([base.tree.as_str(), end.tree.as_str()]);
    let mut bytes = Vec::new();
    let mut truncated = false;
    let output = git.stream(&call, &mut |piece| {
        let room = max_bytes - bytes.len();
        bytes.extend_from_slice(&piece[..piece.len().min(room)]);
        truncated = piece.len() > room;
        if truncated {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })?;
    if let Some(status) = output.status
        && !status.success()
    {
        return Err(output.into_error(&call, status).into());
    }
    if truncated {
        // Half a line could be half a secret that its shape no longer tells.
        let whole = bytes.iter().rposition(|byte| *byte == b'\n');
        bytes.truncate(whole.map_or(0, |end| end + 1));
    }
    Ok(StoredPatch {
        bytes: masked(&bytes),
        truncated,
    })
}

/// Masks the text of a patch and leaves the encoded content of binary files alone.
fn masked(patch: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(patch.len());
    let mut text_from = 0;
    let mut binary = false;
    let mut place = 0;
    for line in patch.split_inclusive(|byte| *byte == b'\n') {
        if line == b"GIT binary patch\n" {
            mask_text(&patch[text_from..place], &mut out);
            text_from = place;
            binary = true;
        } else if binary && line.starts_with(b"diff --git ") {
            out.extend_from_slice(&patch[text_from..place]);
            text_from = place;
            binary = false;
        }
        place += line.len();
    }
    if binary {
        out.extend_from_slice(&patch[text_from..]);
    } else {
        mask_text(&patch[text_from..], &mut out);
    }
    out
}

fn mask_text(bytes: &[u8], out: &mut Vec<u8>) {
    for chunk in bytes.utf8_chunks() {
        out.extend(mask(chunk.valid()).bytes());
        out.extend_from_slice(chunk.invalid());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_in_text_and_binary_content_stays() {
        let key = "AKIAABCDEFGHIJKLMNOP";
        let patch = format!(
            "diff --git a/x b/x\n+{key}\n\u{e9}\ndiff --git a/y b/y\nGIT binary patch\n\
             literal 3\n{key}\n\ndiff --git a/z b/z\n-{key}\n"
        );
        let expected = format!(
            "diff --git a/x b/x\n+[masked]\n\u{e9}\ndiff --git a/y b/y\nGIT binary patch\n\
             literal 3\n{key}\n\ndiff --git a/z b/z\n-[masked]\n"
        );
        assert_eq!(
            String::from_utf8(masked(patch.as_bytes())).unwrap(),
            expected
        );
    }

    #[test]
    fn bytes_that_are_no_text_stay_beside_masked_ones() {
        assert_eq!(
            masked(b"+\xff AKIAABCDEFGHIJKLMNOP \xfe"),
            b"+\xff [masked] \xfe"
        );
    }
}
