//! Facts that no daemon has taken yet: one file a session, one fact a line.
//!
//! The lines are opaque here. A file is removed only after every line of it has been delivered;
//! facts may be delivered twice.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::files::{self, FileError};

/// The spooled facts of one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spooled {
    /// Where they lie.
    pub path: PathBuf,
    /// The lines, oldest first. A torn last line is left out.
    pub lines: Vec<String>,
}

/// Reads all spooled facts, oldest file first.
pub fn read(folder: &Path) -> Result<Vec<Spooled>, FileError> {
    let failed = |source| FileError::new("read", folder, source);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        if path
            .extension()
            .is_none_or(|extension| extension != "jsonl")
        {
            continue;
        }
        // What another user left, or what is no file, must not keep the others from being heard.
        let Ok(text) = fs::read(&path) else { continue };
        let age = path.metadata().and_then(|data| data.modified()).ok();
        found.push((
            age,
            Spooled {
                lines: whole_lines(&text),
                path,
            },
        ));
    }
    found.sort_by_key(|(age, _)| *age);
    Ok(found.into_iter().map(|(_, spooled)| spooled).collect())
}

/// Removes facts that have been delivered, unless more were added meanwhile.
pub fn discard(spooled: &Spooled) -> Result<(), FileError> {
    let now =
        fs::read(&spooled.path).map_err(|source| FileError::new("read", &spooled.path, source))?;
    if whole_lines(&now) == spooled.lines {
        files::remove(&spooled.path)?;
    }
    Ok(())
}

/// Sets facts aside that can never be delivered: they are kept, under another name.
pub fn set_aside(spooled: &Spooled) -> Result<(), FileError> {
    fs::rename(&spooled.path, spooled.path.with_extension("rejected"))
        .map_err(|source| FileError::new("rename", &spooled.path, source))
}

fn whole_lines(bytes: &[u8]) -> Vec<String> {
    let whole = bytes
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |end| end + 1);
    String::from_utf8_lossy(bytes.get(..whole).unwrap_or_default())
        .lines()
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}
