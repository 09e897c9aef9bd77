//! Three-way merges of trees without a working tree.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use amps_core::landing::ConflictedPath;
use amps_core::path::RawPath;
use amps_core::snapshot::Oid;
use tempfile::TempDir;

use super::branch::unexpected;
use super::history::Touches;
use super::{Ground, LandingError};
use crate::git::{Call, Git, GitError};

/// What became of a merge.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Merged {
    /// The tree that holds both sides.
    Clean(Oid),
    /// The paths where they do not go together.
    Conflict(Vec<Clash>),
}

/// A path on which two sides do not go together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Clash {
    pub(super) path: RawPath,
    pub(super) kinds: Vec<String>,
}

impl Clash {
    /// Adds who touched the path on either side.
    pub(super) fn told(self, ours: &Touches, theirs: &Touches) -> ConflictedPath {
        ConflictedPath {
            ours: ours.of(&self.path),
            theirs: theirs.of(&self.path),
            path: self.path,
            kinds: self.kinds,
        }
    }
}

/// Brings to the tree `ours` what leads from the tree `base` to the tree `theirs`.
///
/// It is one process each: `merge-tree --stdin` keeps a clean answer back until it has more to say
/// (git 2.47), so it cannot be asked for one merge that needs another.
pub(super) fn merge_trees(
    git: &Git,
    ground: &Ground,
    base: &Oid,
    ours: &Oid,
    theirs: &Oid,
) -> Result<Merged, GitError> {
    if ours == base {
        return Ok(Merged::Clean(theirs.clone()));
    }
    if theirs == base || theirs == ours {
        return Ok(Merged::Clean(ours.clone()));
    }
    merge_one(git, ground, &format!("{base} -- {ours} {theirs}\n"))
}

/// Merges pairs of commits in one process, keeping nothing of what is made.
pub(super) fn try_merges(
    git: &Git,
    ground: &Ground,
    pairs: &[(&Oid, &Oid)],
) -> Result<Vec<Merged>, LandingError> {
    if pairs.is_empty() {
        return Ok(Vec::new());
    }
    let lines = pairs.iter().map(|(one, other)| format!("{one} {other}\n"));
    let questions = lines.collect::<Vec<_>>().concat();
    let aside = Aside::make(git, ground)?;
    let call = aside.apply(stdin_call(ground)).input(questions.as_bytes());
    let answer = git.run(&call)?;
    let merged = parse_merges(&answer).filter(|merged| merged.len() == pairs.len());
    Ok(merged.ok_or_else(|| unexpected(&call, &answer))?)
}

/// Merges two commits by all their merge bases, as git would.
pub(super) fn merge_commits(
    git: &Git,
    ground: &Ground,
    ours: &Oid,
    theirs: &Oid,
) -> Result<Merged, GitError> {
    merge_one(git, ground, &format!("{ours} {theirs}\n"))
}

fn merge_one(git: &Git, ground: &Ground, question: &str) -> Result<Merged, GitError> {
    let call = stdin_call(ground).input(question.as_bytes());
    let answer = git.run(&call)?;
    let merged = parse_merge(&answer).map(|(merged, _)| merged);
    merged.ok_or_else(|| unexpected(&call, &answer))
}

fn stdin_call(ground: &Ground) -> Call<'static> {
    // Branches without a common history have a merge all the same: that of two additions.
    ground
        .call()
        .args(["merge-tree", "--write-tree", "--stdin"])
        .arg("--allow-unrelated-histories")
}

/// Objects that are made beside the repository and go away with this.
struct Aside {
    folder: TempDir,
    objects: OsString,
}

impl Aside {
    fn make(git: &Git, ground: &Ground) -> Result<Self, LandingError> {
        let call = ground.call().args([
            "rev-parse",
            "--path-format=absolute",
            "--git-path",
            "objects",
        ]);
        let answer = git.run(&call)?;
        let objects = answer.strip_suffix(b"\n").unwrap_or(&answer);
        let folder = tempfile::tempdir()
            .map_err(|source| LandingError::io(&std::env::temp_dir(), source))?;
        Ok(Self {
            folder,
            objects: alternate(objects),
        })
    }

    fn apply<'a>(&self, call: Call<'a>) -> Call<'a> {
        call.variable("GIT_OBJECT_DIRECTORY", self.path())
            .variable("GIT_ALTERNATE_OBJECT_DIRECTORIES", &self.objects)
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Quotes a path for the list of alternates, where a colon separates and a leading quote is read.
fn alternate(path: &[u8]) -> OsString {
    use std::os::unix::ffi::OsStrExt as _;
    let is_plain = path
        .iter()
        .all(|byte| !matches!(byte, b':' | b'"' | b'\\' | b'\n'));
    if is_plain {
        PathBuf::from(OsStr::from_bytes(path)).into_os_string()
    } else {
        crate::git::quote::quoted(path).into()
    }
}

/// Reads one answer of `merge-tree --stdin`, and how long it is.
fn parse_merge(answer: &[u8]) -> Option<(Merged, usize)> {
    let mut fields = Fields { answer, read: 0 };
    let status = fields.next()?;
    let tree = Oid::parse(std::str::from_utf8(fields.next()?).ok()?)?;
    if status == b"1" {
        let _end = fields.next().filter(|field| field.is_empty())?;
        return Some((Merged::Clean(tree), fields.read));
    }
    let mut clashes: Vec<Clash> = Vec::new();
    loop {
        let field = fields.next()?;
        if field.is_empty() {
            break;
        }
        let tab = field.iter().position(|byte| *byte == b'\t')?;
        clash(&mut clashes, &field[tab + 1..]);
    }
    loop {
        let count = fields.next()?;
        if count.is_empty() {
            return Some((Merged::Conflict(clashes), fields.read));
        }
        let count: usize = std::str::from_utf8(count).ok()?.parse().ok()?;
        let mut paths = Vec::new();
        for _ in 0..count {
            paths.push(fields.next()?);
        }
        let kind = std::str::from_utf8(fields.next()?).ok()?;
        let _words = fields.next()?;
        // Further names of a message may be those of branches.
        if let (true, Some(first)) = (kind.starts_with("CONFLICT"), paths.first()) {
            let kinds = &mut clash(&mut clashes, first).kinds;
            if kinds.iter().all(|known| known != kind) {
                kinds.push(kind.to_owned());
            }
        }
    }
}

fn clash<'a>(clashes: &'a mut Vec<Clash>, path: &[u8]) -> &'a mut Clash {
    let place = clashes
        .iter()
        .position(|clash| clash.path.as_bytes() == path)
        .unwrap_or(clashes.len());
    if place == clashes.len() {
        clashes.push(Clash {
            path: RawPath::new(path),
            kinds: Vec::new(),
        });
    }
    &mut clashes[place]
}

fn parse_merges(mut answer: &[u8]) -> Option<Vec<Merged>> {
    let mut all = Vec::new();
    while !answer.is_empty() {
        let (merged, length) = parse_merge(answer)?;
        all.push(merged);
        answer = &answer[length..];
    }
    Some(all)
}

struct Fields<'a> {
    answer: &'a [u8],
    read: usize,
}

impl<'a> Fields<'a> {
    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.answer.get(self.read..)?;
        let end = rest.iter().position(|byte| *byte == 0)?;
        self.read += end + 1;
        Some(&rest[..end])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn answer() -> String {
        let a = "a".repeat(40);
        format!(
            "0\0{a}\x00100644 {a} 1\tf\n\x00100644 {a} 2\tf\n\0\0\
             1\0f\n\0Auto-merging\0Auto-merging f\n\0\
             2\0f\n\0main\0CONFLICT (contents)\0CONFLICT (content): f\n\0\0\
             1\0{a}\0\0"
        )
    }

    #[test]
    fn conflicts_and_clean_merges_are_told_apart() {
        let merged = parse_merges(answer().as_bytes()).unwrap();
        let clash = Clash {
            path: RawPath::new(*b"f\n"),
            kinds: vec!["CONFLICT (contents)".to_owned()],
        };
        let tree = Oid::parse(&"a".repeat(40)).unwrap();
        assert_eq!(merged, [Merged::Conflict(vec![clash]), Merged::Clean(tree)]);
    }

    proptest! {
        #[test]
        fn no_answer_breaks_the_parser(bytes: Vec<u8>) {
            let _merged = parse_merges(&bytes);
        }
    }
}
