//! Paths in a working tree as a person types them.
//!
//! A path is looked for from the current folder and from the top of the tree, since both are in
//! front of a person: the first on the command line, the second in every answer of ours. `./x` and
//! `../x` are always from the current folder and `:/x` is always from the top, as for git.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

use amps_core::error::ErrorCode;
use amps_core::path::RawPath;
use amps_proto::fault::Fault;

/// What a typed path may mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Meant {
    /// What was typed.
    typed: RawPath,
    /// Its meanings, relative to the top; the empty path is the top itself.
    candidates: Vec<RawPath>,
}

impl Meant {
    /// Returns all that the typed path may mean.
    pub(crate) fn candidates(&self) -> &[RawPath] {
        &self.candidates
    }

    /// Returns the one meaning that something is at, or the first if nothing is at any.
    pub(crate) fn choose(self, exists: impl Fn(&RawPath) -> bool) -> Result<RawPath, Fault> {
        let mut found = self.candidates.iter().filter(|path| exists(path));
        match (found.next(), found.next()) {
            (Some(one), Some(other)) => Err(Fault::new(
                ErrorCode::Ambiguous,
                format!("`{}` may mean `{one}` or `{other}`", self.typed),
            )
            .hint(format!(
                "write `:/{one}` or `:/{other}`, from the top of the tree"
            ))),
            (Some(path), None) => Ok(path.clone()),
            (None, _) => Ok(self.candidates[0].clone()),
        }
    }
}

/// Reads a path that was typed in the folder `cwd`, for the tree at `root`.
pub(crate) fn read(typed: &OsStr, root: &RawPath, cwd: Option<&RawPath>) -> Result<Meant, Fault> {
    let raw = RawPath::new(typed.as_bytes());
    let bytes = raw.as_bytes();
    let refused = |why: &str| {
        Fault::new(ErrorCode::BadArgument, format!("`{raw}` {why}"))
            .hint("write a path from the current folder, or `:/PATH` from the top of the tree")
    };
    if bytes.is_empty() {
        return Err(refused("is no path"));
    }
    let here = cwd.and_then(|cwd| below(cwd.as_bytes(), root.as_bytes()));
    let mut candidates = Vec::new();
    if let Some(rest) = bytes.strip_prefix(b":/") {
        candidates.extend(normal(b"", rest));
    } else if bytes.starts_with(b"/") {
        let folded = normal(b"", bytes).unwrap_or_default();
        let absolute = [b"/", folded.as_slice()].concat();
        candidates.extend(below(&absolute, root.as_bytes()));
    } else {
        candidates.extend(here.as_deref().and_then(|here| normal(here, bytes)));
        let is_from_here = [&b"./"[..], b"../"]
            .iter()
            .any(|start| bytes.starts_with(start))
            || matches!(bytes, b"." | b"..");
        if !is_from_here || here.is_none() {
            candidates.extend(normal(b"", bytes));
        }
    }
    candidates.dedup();
    if candidates.is_empty() {
        return Err(refused(&format!("is not in the working tree {root}")));
    }
    Ok(Meant {
        typed: raw,
        candidates: candidates.into_iter().map(RawPath::new).collect(),
    })
}

/// Reads several typed paths.
pub(crate) fn read_all(
    typed: &[OsString],
    root: &RawPath,
    cwd: Option<&RawPath>,
) -> Result<Vec<Meant>, Fault> {
    typed.iter().map(|path| read(path, root, cwd)).collect()
}

/// Returns the path relative to a folder that it lies in.
fn below(path: &[u8], folder: &[u8]) -> Option<Vec<u8>> {
    if !RawPath::new(path).is_within(&RawPath::new(folder)) {
        return None;
    }
    let rest = path.get(folder.len()..)?;
    Some(rest.strip_prefix(b"/").unwrap_or(rest).to_vec())
}

/// Joins and resolves `.` and `..`; `None` when that leads out of the top.
fn normal(folder: &[u8], path: &[u8]) -> Option<Vec<u8>> {
    let mut parts: Vec<&[u8]> = Vec::new();
    let all = folder.split(|byte| *byte == b'/');
    for part in all.chain(path.split(|byte| *byte == b'/')) {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop()?;
            }
            _ => parts.push(part),
        }
    }
    Some(parts.join(&b'/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(typed: &str, cwd: &str) -> Option<Vec<String>> {
        let root = RawPath::new(*b"/srv/app");
        let cwd = RawPath::new(cwd.as_bytes());
        let meant = read(OsStr::new(typed), &root, Some(&cwd)).ok()?;
        Some(meant.candidates().iter().map(RawPath::to_string).collect())
    }

    #[test]
    fn a_path_is_looked_for_from_here_and_from_the_top() {
        for (typed, cwd, meant) in [
            ("a", "/srv/app", Some(vec!["a"])),
            ("a", "/srv/app/sub", Some(vec!["sub/a", "a"])),
            ("./a", "/srv/app/sub", Some(vec!["sub/a"])),
            ("../a", "/srv/app/sub", Some(vec!["a"])),
            ("../../a", "/srv/app/sub", None),
            (":/a/", "/srv/app/sub", Some(vec!["a"])),
            ("/srv/app/x/../a", "/", Some(vec!["a"])),
            ("/srv/apple", "/srv/app", None),
            (".", "/srv/app/sub", Some(vec!["sub"])),
            (".", "/srv/app", Some(vec![""])),
            ("a", "/elsewhere", Some(vec!["a"])),
            ("", "/srv/app", None),
        ] {
            let meant = meant.map(|all| all.into_iter().map(str::to_owned).collect::<Vec<_>>());
            assert_eq!(candidates(typed, cwd), meant, "{typed} in {cwd}");
        }
    }

    #[test]
    fn two_meanings_are_asked_about() {
        let root = RawPath::new(*b"/srv/app");
        let cwd = RawPath::new(*b"/srv/app/sub");
        let meant = read(OsStr::new("a"), &root, Some(&cwd)).unwrap();
        let top = RawPath::new(*b"a");
        assert_eq!(meant.clone().choose(|path| *path == top).unwrap(), top);
        assert_eq!(
            meant.clone().choose(|_| true).unwrap_err().code,
            ErrorCode::Ambiguous
        );
        assert_eq!(meant.choose(|_| false).unwrap(), RawPath::new(*b"sub/a"));
    }
}
