//! Files whose line endings git leaves alone because they were committed that way.
//!
//! With `text=auto` or `core.autocrlf`, git converts CRLF to LF unless the index already holds the
//! file with CRLF. `hash-object` reads no index and would convert, so that one edited line would
//! look like a whole file rewritten.

use std::collections::HashSet;
use std::fs::File;
use std::io::Read as _;

use amps_core::path::RawPath;
use amps_core::snapshot::Workspace;

use super::look::Looker;
use crate::git::{Call, Git, GitError};

const PATHS_PER_CALL: usize = 500;
const READ_AT_MOST: u64 = 64 * 1024;

/// Returns those of the tracked files that must not be converted.
pub(crate) fn kept_crlf<'a>(
    git: &Git,
    workspace: &Workspace,
    looker: &Looker,
    tracked: impl Iterator<Item = &'a RawPath>,
) -> Result<HashSet<RawPath>, GitError> {
    let suspects: Vec<&RawPath> = tracked.filter(|path| has_crlf(looker, path)).collect();
    let mut kept = HashSet::new();
    for paths in suspects.chunks(PATHS_PER_CALL) {
        let paths = paths
            .iter()
            .map(|path| std::os::unix::ffi::OsStrExt::from_bytes(path.as_bytes()));
        let call = Call::at(workspace)
            .args(["ls-files", "--eol", "-z", "--"])
            .args::<&std::ffi::OsStr>(paths);
        kept.extend(parse_kept(&git.run(&call)?));
    }
    Ok(kept)
}

fn has_crlf(looker: &Looker, path: &RawPath) -> bool {
    let mut start = Vec::new();
    File::open(looker.full(path))
        .and_then(|file| file.take(READ_AT_MOST).read_to_end(&mut start))
        .is_ok_and(|_| start.windows(2).any(|pair| pair == b"\r\n"))
}

/// Reads `i/<ending> w/<ending> attr/<attributes>` TAB `<path>` records.
fn parse_kept(answer: &[u8]) -> Vec<RawPath> {
    answer
        .split(|byte| *byte == 0)
        .filter_map(|record| {
            let tab = record.iter().position(|byte| *byte == b'\t')?;
            let facts = std::str::from_utf8(&record[..tab]).ok()?;
            let attributes = facts.split_once("attr/")?.1.trim();
            let in_index = facts.starts_with("i/crlf") || facts.starts_with("i/mixed");
            let automatic = attributes.is_empty() || attributes.starts_with("text=auto");
            (in_index && automatic).then(|| RawPath::new(&record[tab + 1..]))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_automatic_conversion_spares_files_committed_with_crlf() {
        let answer = b"i/crlf  w/crlf  attr/text=auto       \ta\0\
            i/lf    w/crlf  attr/text=auto       \tb\0\
            i/mixed w/crlf  attr/                \tc\0\
            i/crlf  w/crlf  attr/text            \td\0";
        assert_eq!(
            parse_kept(answer),
            [RawPath::new(*b"a"), RawPath::new(*b"c")]
        );
    }
}
