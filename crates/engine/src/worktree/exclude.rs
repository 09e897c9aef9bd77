//! `info/exclude`: what no working tree of the repository is to show as untracked.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use super::{RepositoryLock, WorktreeError};
use crate::files::{self, FileError};

/// How long others that write it may take.
const WAIT: Duration = Duration::from_secs(30);

/// Makes sure that the patterns are in the file, and keeps all else that is in it.
pub(super) fn ensure(common_dir: &Path, patterns: &[String]) -> Result<(), WorktreeError> {
    let named = common_dir.join("info/exclude");
    if missing(&read(&named)?, patterns).is_empty() {
        return Ok(());
    }
    let _lock = RepositoryLock::take(common_dir, "amps new", WAIT)?;
    fs::create_dir_all(common_dir.join("info"))
        .map_err(|source| FileError::new("create", &named, source))?;
    // A link stays a link.
    let file = fs::canonicalize(&named).unwrap_or(named);
    let mut content = read(&file)?;
    let missing = missing(&content, patterns);
    if missing.is_empty() {
        return Ok(());
    }
    if !content.is_empty() && !content.ends_with(b"\n") {
        content.push(b'\n');
    }
    for pattern in missing {
        content.extend(pattern.bytes());
        content.push(b'\n');
    }
    let mode = fs::metadata(&file).map_or(0o644, |data| data.permissions().mode() & 0o7777);
    Ok(files::replace(&file, &content, mode)?)
}

fn read(file: &Path) -> Result<Vec<u8>, FileError> {
    match fs::read(file) {
        Ok(content) => Ok(content),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(FileError::new("read", file, source)),
    }
}

fn missing<'a>(content: &[u8], patterns: &'a [String]) -> Vec<&'a String> {
    let has = |pattern: &String| {
        let mut lines = content.split(|byte| *byte == b'\n');
        lines.any(|line| line.trim_ascii_end() == pattern.as_bytes())
    };
    patterns.iter().filter(|pattern| !has(pattern)).collect()
}
