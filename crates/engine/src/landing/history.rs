//! The commits of a branch, read whole, and which commits touched a path.

use std::collections::{BTreeMap, HashMap, HashSet};

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
    /// Its place among those that were read with it.
    place: usize,
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
    /// The commits of sides that left the line and were merged back into it, oldest first.
    pub(super) sides: Vec<Commit>,
    /// The merges that took in what the base has not.
    pub(super) joins: Vec<Join>,
}

/// A merge that took in what the base has not.
#[derive(Debug)]
pub(super) struct Join {
    pub(super) merge: Oid,
    pub(super) other: Oid,
    /// Whether it is another branch, and not a side of this one.
    pub(super) is_foreign: bool,
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

/// The commits that are looked at, with their parents.
type Parents = HashMap<Oid, Vec<Oid>>;

impl Line {
    /// Reads the line from `tip` down to what `excluded` reaches.
    pub(super) fn read(
        git: &Git,
        ground: &Ground,
        tip: &Oid,
        excluded: &Oid,
    ) -> Result<Self, LandingError> {
        let (order, parents) = reached(git, ground, tip, excluded)?;
        let mut line = HashSet::new();
        let mut pairs = Vec::new();
        let mut next = Some(tip);
        while let Some(oid) = next
            && let Some(above) = parents.get(oid)
        {
            let others = above.iter().skip(1);
            let others = others.filter(|other| parents.contains_key(other));
            pairs.extend(others.map(|other| (oid, other)));
            next = above.first();
            line.insert(oid.clone());
        }
        let mut sides = HashSet::new();
        let mut joins = Vec::new();
        for (merge, other) in pairs.into_iter().rev() {
            let side = side(&parents, &line, other);
            joins.push(Join {
                merge: merge.clone(),
                other: other.clone(),
                is_foreign: side.is_none(),
            });
            sides.extend(side.into_iter().flatten());
        }
        let own: Vec<Oid> = order
            .into_iter()
            .filter(|oid| line.contains(oid) || sides.contains(oid))
            .collect();
        let commits = read_with_trees(git, ground, &own)?;
        let (commits, sides) = commits.into_iter().partition(|one| line.contains(&one.oid));
        Ok(Self {
            commits,
            sides,
            joins,
        })
    }

    /// Returns the commits of the line and its sides, parents first.
    pub(super) fn all(&self) -> Vec<&Commit> {
        let mut all: Vec<&Commit> = self.commits.iter().chain(&self.sides).collect();
        all.sort_by_key(|commit| commit.place);
        all
    }

    /// Returns what was taken in of other branches.
    pub(super) fn foreign(&self) -> Vec<Oid> {
        let joins = self.joins.iter().filter(|join| join.is_foreign);
        joins.map(|join| join.other.clone()).collect()
    }

    /// Refuses merges that took in what the base has not.
    pub(super) fn require_no_join(&self) -> Result<(), Refusal> {
        match self.joins.first() {
            None => Ok(()),
            Some(Join { merge, other, .. }) => Err(Refusal::MergesAnother {
                merge: merge.clone(),
                other: other.clone(),
            }),
        }
    }
}

/// Returns what `tip` reaches and `excluded` does not, parents first.
fn reached(
    git: &Git,
    ground: &Ground,
    tip: &Oid,
    excluded: &Oid,
) -> Result<(Vec<Oid>, Parents), GitError> {
    let call = ground
        .call()
        .args(["rev-list", "--topo-order", "--reverse", "--parents"])
        .arg(tip.as_str())
        .arg(format!("^{excluded}"));
    let answer = git.run(&call)?;
    let text = String::from_utf8_lossy(&answer);
    let mut order = Vec::new();
    let mut parents = Parents::new();
    for line in text.lines() {
        let names: Option<Vec<Oid>> = line.split(' ').map(Oid::parse).collect();
        let mut names = names.ok_or_else(|| unexpected(&call, line.as_bytes()))?;
        let oid = names.remove(0);
        order.push(oid.clone());
        parents.insert(oid, names);
    }
    Ok((order, parents))
}

/// Returns the commits from `tip` down to the line; `None` if it never was on the line.
fn side(parents: &Parents, line: &HashSet<Oid>, tip: &Oid) -> Option<HashSet<Oid>> {
    let mut seen = HashSet::new();
    let mut unseen = vec![tip];
    let mut left_the_line = false;
    while let Some(oid) = unseen.pop() {
        if line.contains(oid) {
            left_the_line = true;
        } else if let Some(above) = parents.get(oid)
            && seen.insert(oid.clone())
        {
            unseen.extend(above);
        }
    }
    left_the_line.then_some(seen)
}

/// Reads commits, each with the tree of its first parent.
fn read_with_trees(git: &Git, ground: &Ground, own: &[Oid]) -> Result<Vec<Commit>, GitError> {
    let mut commits = read_commits(git, ground, own)?;
    let known: HashSet<&Oid> = own.iter().collect();
    let below: Vec<Oid> = commits
        .iter()
        .filter_map(|commit| commit.parents.first())
        .filter(|parent| !known.contains(parent))
        .cloned()
        .collect();
    let below = read_commits(git, ground, &below)?;
    let trees: HashMap<Oid, Oid> = commits
        .iter()
        .chain(&below)
        .map(|commit| (commit.oid.clone(), commit.tree.clone()))
        .collect();
    for commit in &mut commits {
        let before = commit.parents.first().and_then(|parent| trees.get(parent));
        if let Some(before) = before {
            commit.before = before.clone();
        }
    }
    Ok(commits)
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
        commits.push(parse_commit(oid, commits.len(), content)?);
        rest = rest.get(end + size + 2..)?;
    }
    Some(commits)
}

fn parse_commit(oid: Oid, place: usize, content: &[u8]) -> Option<Commit> {
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
        place,
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
