//! Reading many small files at once, for those that git would keep as they are.
//!
//! One loose object costs git half a millisecond on common file systems, an object in a pack a few
//! hundredths. So when many files changed, those that no filter and no line ending rule can touch
//! are read here and handed to the import that makes the commit.

use std::collections::{HashMap, HashSet};
use std::fs::OpenOptions;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::thread;

use amps_core::path::RawPath;
use amps_core::snapshot::Workspace;
use rustix::fs::OFlags;

use super::look::{Looker, native};
use crate::git::{Call, Git, GitError};

/// Up to this many files are left to `hash-object`.
const FEW: usize = 16;
const LARGEST: u64 = 256 * 1024;
const MOST_BYTES: usize = 32 * 1024 * 1024;

/// Returns the contents of those files that git would store unchanged; the others are left out.
pub(crate) fn read_plain(
    git: &Git,
    workspace: &Workspace,
    looker: &Looker,
    paths: &[&RawPath],
) -> Result<HashMap<RawPath, Vec<u8>>, GitError> {
    if paths.len() <= FEW {
        return Ok(HashMap::new());
    }
    thread::scope(|scope| {
        let filtered = scope.spawn(|| filtered(git, workspace, paths));
        let mut contents = HashMap::new();
        let mut room = MOST_BYTES;
        for path in paths {
            let Some(content) = read_small(&looker.full(path)) else {
                continue;
            };
            if room < content.len() {
                break;
            }
            if !may_be_converted(&content) {
                room -= content.len();
                contents.insert((*path).clone(), content);
            }
        }
        let filtered = filtered
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        contents.retain(|path, _| !filtered.contains(path));
        Ok(contents)
    })
}

/// Reads a small ordinary file; anything else is left to others.
fn read_small(full: &Path) -> Option<Vec<u8>> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let read = || -> io::Result<Option<Vec<u8>>> {
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(i32::try_from(flags.bits()).unwrap_or_default())
            .open(full)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() || metadata.len() > LARGEST {
            return Ok(None);
        }
        let mut content = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or_default());
        file.take(LARGEST + 1).read_to_end(&mut content)?;
        Ok((content.len() as u64 <= LARGEST).then_some(content))
    };
    read().ok().flatten()
}

/// Line endings are converted from CRLF only, and identifiers only where there is one.
fn may_be_converted(content: &[u8]) -> bool {
    content
        .iter()
        .enumerate()
        .filter(|(_, byte)| matches!(byte, b'\r' | b'$'))
        .any(|(place, _)| {
            content[place..].starts_with(b"\r\n") || content[place..].starts_with(b"$Id")
        })
}

/// Returns the files that a filter or an encoding applies to.
fn filtered(
    git: &Git,
    workspace: &Workspace,
    paths: &[&RawPath],
) -> Result<HashSet<RawPath>, GitError> {
    let mut list = Vec::new();
    for path in paths {
        list.extend_from_slice(path.as_bytes());
        list.push(0);
    }
    // Like `hash-object`, this needs no index, and a large one takes its time to read.
    let no_index = native(&workspace.git_dir).join("amps-no-index");
    let call = Call::at(workspace)
        .variable("GIT_INDEX_FILE", no_index)
        .args([
            "check-attr",
            "-z",
            "--stdin",
            "filter",
            "working-tree-encoding",
        ])
        .input(&list);
    let answer = git.run(&call)?;
    let mut fields = answer.split(|byte| *byte == 0);
    let mut filtered = HashSet::new();
    while let (Some(path), Some(_name), Some(value)) = (fields.next(), fields.next(), fields.next())
    {
        if !matches!(value, b"unspecified" | b"unset") {
            filtered.insert(RawPath::new(path));
        }
    }
    Ok(filtered)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_git_might_rewrite_is_left_to_git() {
        for plain in [&b"a\nb\n"[..], b"a\rb", b"$ Id", b"\0\xff", b"", b"\r"] {
            assert!(!may_be_converted(plain), "{plain:?}");
        }
        for converted in [&b"a\r\n"[..], b"x $Id$ y", b"$Id: 1 $"] {
            assert!(may_be_converted(converted), "{converted:?}");
        }
    }
}
