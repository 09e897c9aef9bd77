//! The commits of a branch, read whole, and which commits touched a path.

use std::collections::{BTreeMap, HashMap};

use amps_core::changeset::CommitMade;
use amps_core::landing::Refusal;
use amps_core::mask::mask;
use amps_core::path::RawPath;
use amps_core::snapshot::Oid;

use super::branch::unexpected;
use super::{Ground, LandingError};
use crate::git::{Git, GitError};

/// A commit as git stores it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Commit {
    pub(super) oid: Oid,
    pub(super) tree: Oid,
    /// The tree of the first parent; of a commit without parents, its own.
    pub(super) before: Oid,
    pub(super) parents: Vec<Oid>,
    /// Name, address and date, as they stand in the object.
    pub(super) author: Vec<u8>,
    pub(super) encoding: Option<Vec<u8>>,
    pub(super) is_signed: bool,
    pub(super) message: Vec<u8>,
}

/// The line of a branch from where it left its base: the first parent of each is the one before.
#[derive(Debug)]
pub(super) struct Line {
    /// Oldest first.
    pub(super) commits: Vec<Commit>,
    /// The merges that took in what the base has not, each with what it took in.
    pub(super) foreign: Vec<(Oid, Oid)>,
}

impl Commit {
    /// Returns the first line of the message.
    pub(super) fn subject(&self) -> String {
        let text = String::from_utf8_lossy(&self.message);
        text.trim_start()
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned()
    }

    /// Returns what is told of it.
    pub(super) fn told(&self) -> CommitMade {
        CommitMade {
            oid: self.oid.clone(),
            subject: mask(&self.subject()).into_owned(),
        }
    }
}

impl Line {
    /// Reads the line from `tip` down to what `excluded` reaches.
    pub(super) fn read(
        git: &Git,
        ground: &Ground,
        tip: &Oid,
        excluded: &Oid,
    ) -> Result<Self, LandingError> {
        let call = ground
            .call()
            .args(["rev-list", "--parents", tip.as_str()])
            .arg(format!("^{excluded}"));
        let answer = git.run(&call)?;
        let text = String::from_utf8_lossy(&answer);
        let mut parents: HashMap<Oid, Vec<Oid>> = HashMap::new();
        for line in text.lines() {
            let names: Option<Vec<Oid>> = line.split(' ').map(Oid::parse).collect();
            let mut names = names.ok_or_else(|| unexpected(&call, line.as_bytes()))?;
            parents.insert(names.remove(0), names);
        }
        let mut names = Vec::new();
        let mut foreign = Vec::new();
        let mut next = Some(tip.clone());
        while let Some(oid) = next
            && let Some(above) = parents.get(&oid)
        {
            let others = above
                .iter()
                .skip(1)
                .filter(|other| parents.contains_key(other));
            foreign.extend(others.map(|other| (oid.clone(), other.clone())));
            next = above.first().cloned();
            names.push(oid);
        }
        // The first commit that is not of the line is read for its tree.
        let below = names.last().and_then(|oid| parents.get(oid)?.first());
        names.extend(below.cloned());
        names.reverse();
        foreign.reverse();
        let mut commits = read_commits(git, ground, &names)?;
        for place in 1..commits.len() {
            commits[place].before = commits[place - 1].tree.clone();
        }
        commits.retain(|commit| parents.contains_key(&commit.oid));
        Ok(Self { commits, foreign })
    }

    /// Refuses merges that took in another branch.
    pub(super) fn require_own(&self) -> Result<(), Refusal> {
        match self.foreign.first() {
            None => Ok(()),
            Some((merge, other)) => Err(Refusal::MergesAnother {
                merge: merge.clone(),
                other: other.clone(),
            }),
        }
    }
}

pub(super) fn read_commits(
    git: &Git,
    ground: &Ground,
    names: &[Oid],
) -> Result<Vec<Commit>, GitError> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let lines = names.iter().map(|oid| format!("{oid}\n"));
    let questions = lines.collect::<Vec<_>>().concat();
    let call = ground
        .call()
        .args(["cat-file", "--batch", "--buffer"])
        .input(questions.as_bytes());
    let answer = git.run(&call)?;
    let commits = parse_batch(&answer).filter(|commits| commits.len() == names.len());
    commits.ok_or_else(|| unexpected(&call, &answer))
}

/// Reads `cat-file --batch`: a head `oid type size`, the content, a line break.
fn parse_batch(mut rest: &[u8]) -> Option<Vec<Commit>> {
    let mut commits = Vec::new();
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        let head = std::str::from_utf8(&rest[..end]).ok()?;
        let mut fields = head.split(' ');
        let oid = Oid::parse(fields.next()?)?;
        let _type = fields.next().filter(|kind| *kind == "commit")?;
        let size: usize = fields.next()?.parse().ok()?;
        let content = rest.get(end + 1..end + 1 + size)?;
        commits.push(parse_commit(oid, content)?);
        rest = rest.get(end + size + 2..)?;
    }
    Some(commits)
}

fn parse_commit(oid: Oid, content: &[u8]) -> Option<Commit> {
    let mut rest = content;
    let mut tree = None;
    let mut parents = Vec::new();
    let mut author = None;
    let mut encoding = None;
    let mut is_signed = false;
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        let (line, tail) = (&rest[..end], &rest[end + 1..]);
        rest = tail;
        if line.is_empty() {
            break;
        }
        let space = line.iter().position(|byte| *byte == b' ');
        let (key, value) = line.split_at(space.unwrap_or(line.len()));
        let value = value.strip_prefix(b" ").unwrap_or_default();
        let named = || Oid::parse(std::str::from_utf8(value).ok()?);
        match key {
            b"tree" => tree = Some(named()?),
            b"parent" => parents.push(named()?),
            b"author" => author = Some(value.to_vec()),
            b"encoding" => encoding = Some(value.to_vec()),
            b"gpgsig" | b"gpgsig-sha256" => is_signed = true,
            _ => {}
        }
    }
    let tree = tree?;
    Some(Commit {
        oid,
        before: tree.clone(),
        tree,
        parents,
        author: author?,
        encoding,
        is_signed,
        message: rest.to_vec(),
    })
}

/// Which commits touched each path, newest first.
#[derive(Debug, Default)]
pub(super) struct Touches(BTreeMap<RawPath, Vec<CommitMade>>);

impl Touches {
    /// Looks through what `tip` reaches and `excluded` does not.
    pub(super) fn between(
        git: &Git,
        ground: &Ground,
        tip: &Oid,
        excluded: &Oid,
    ) -> Result<Self, GitError> {
        Self::read(git, ground, &[tip.as_str(), &format!("^{excluded}")])
    }

    /// Looks at one commit.
    pub(super) fn of_one(git: &Git, ground: &Ground, commit: &Oid) -> Result<Self, GitError> {
        Self::read(git, ground, &["--max-count=1", commit.as_str()])
    }

    fn read(git: &Git, ground: &Ground, range: &[&str]) -> Result<Self, GitError> {
        let call = ground
            .call()
            .args(["log", "-z", "--format=%H %s", "--encoding=UTF-8", "--raw"])
            .args([
                "--no-renames",
                "--no-abbrev",
                "--no-show-signature",
                "--no-mailmap",
            ])
            .arg("--diff-merges=first-parent")
            .args(range)
            .arg("--");
        let answer = git.run(&call)?;
        parse_log(&answer).ok_or_else(|| unexpected(&call, &answer))
    }

    /// Returns the commits that touched a path, or a file below it.
    pub(super) fn of(&self, path: &RawPath) -> Vec<CommitMade> {
        let mut found: Vec<CommitMade> = Vec::new();
        for (touched, commits) in &self.0 {
            if touched == path || touched.is_within(path) || path.is_within(touched) {
                let new = commits.iter().filter(|commit| !found.contains(commit));
                let new: Vec<_> = new.cloned().collect();
                found.extend(new);
            }
        }
        found
    }
}

/// Reads fields that end with NUL: `oid subject` of a commit, then `:modes names letter` and path
/// of each file.
fn parse_log(answer: &[u8]) -> Option<Touches> {
    let mut touches = Touches::default();
    let mut commit: Option<CommitMade> = None;
    let mut fields = answer.split(|byte| *byte == 0);
    while let Some(field) = fields.next() {
        let field = field.strip_prefix(b"\n").unwrap_or(field);
        if field.is_empty() {
            continue;
        }
        if field.starts_with(b":") {
            let path = RawPath::new(fields.next()?);
            touches.0.entry(path).or_default().push(commit.clone()?);
        } else {
            let text = String::from_utf8_lossy(field);
            let (oid, subject) = text.split_once(' ')?;
            commit = Some(CommitMade {
                oid: Oid::parse(oid)?,
                subject: mask(subject).into_owned(),
            });
        }
    }
    Some(touches)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_signed_commit_in_another_encoding_is_read_whole() {
        let (a, b) = ("a".repeat(40), "b".repeat(40));
        let content = format!(
            "tree {a}\nparent {a}\nparent {b}\nauthor A B <a@b> 1 +0100\ncommitter C <c> 2 +0000\n\
             encoding ISO-8859-1\ngpgsig -----BEGIN\n text\n\n\nsubject\n\nbody\n"
        );
        // A line of a signature begins with a space, so the empty one ends the head.
        let content = content.replace("text\n\n\n", "text\n \n\n");
        let answer = format!("{b} commit {}\n{content}\n", content.len());
        let [commit] = &parse_batch(answer.as_bytes()).unwrap()[..] else {
            panic!("{answer}");
        };
        assert_eq!(commit.parents.len(), 2);
        assert_eq!(commit.author, b"A B <a@b> 1 +0100");
        assert_eq!(commit.encoding.as_deref(), Some(&b"ISO-8859-1"[..]));
        assert!(commit.is_signed);
        assert_eq!(commit.message, b"subject\n\nbody\n");
    }

    proptest! {
        #[test]
        fn no_answer_breaks_the_parsers(bytes: Vec<u8>) {
            let _commits = parse_batch(&bytes);
            let _touches = parse_log(&bytes);
        }
    }
}
