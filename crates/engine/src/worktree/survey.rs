//! What of a worktree exists nowhere else.
//!
//! Whatever cannot be told counts as existing only here.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use amps_core::ground::{CreationPlan, Finding};
use amps_core::path::RawPath;
use amps_core::snapshot::Oid;

use super::context::is_context_file;
use super::furnish::{Furnished, Stamp};
use super::repository::Ours;
use super::{WorktreeError, furnish, refs, submodules};
use crate::capture::look::native;
use crate::git::{Call, Git, GitError};

/// As many paths of a kind as a finding names.
const NAMED: usize = 20;
/// The largest file of git's own that is searched for names of commits.
const LARGEST_NOTE: u64 = 8 << 20;

/// What git calls the operations that take several steps, by the file that each leaves.
const OPERATIONS: [(&str, &str); 6] = [
    ("rebase-merge", "rebase"),
    ("rebase-apply", "rebase"),
    ("MERGE_HEAD", "merge"),
    ("CHERRY_PICK_HEAD", "cherry-pick"),
    ("REVERT_HEAD", "revert"),
    ("BISECT_LOG", "bisect"),
];

/// A worktree that git knows: its files, and what git keeps of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seat<'a> {
    pub(super) root: &'a Path,
    pub(super) admin: &'a Path,
}

impl Seat<'_> {
    /// Asks git about this worktree, wherever its files are just now.
    pub(super) fn call(&self) -> Call<'static> {
        Call::alone_within(self.root)
            .variable("GIT_DIR", self.admin)
            .variable("GIT_WORK_TREE", self.root)
    }
}

/// Finds what is in the files of a worktree and nowhere else.
pub(super) fn files(
    git: &Git,
    plan: &CreationPlan,
    seat: Seat<'_>,
    submodules: Submodules,
) -> Result<Vec<Finding>, WorktreeError> {
    let status = seat.call().args([
        "status",
        "--porcelain=v2",
        "-z",
        "--untracked-files=all",
        "--ignored=traditional",
        "--no-renames",
        submodules.ignored(),
    ]);
    let status = git.run(&status)?;
    let furnished = furnish::load(&Ours::of(&plan.common_dir), plan);
    let mut uncommitted = BTreeSet::new();
    let mut untracked = BTreeSet::new();
    let mut ignored = BTreeSet::new();
    for record in status.split(|byte| *byte == 0) {
        let path = |fields| {
            RawPath::new(
                record
                    .splitn(fields, |byte| *byte == b' ')
                    .last()
                    .unwrap_or_default(),
            )
        };
        match record.first() {
            Some(b'1') => drop(uncommitted.insert(path(9))),
            Some(b'u') => drop(uncommitted.insert(path(11))),
            Some(b'?') => drop(untracked.insert(path(2))),
            Some(b'!') if !is_known(plan, seat, &furnished, &path(2)) => {
                ignored.insert(path(2));
            }
            _ => {}
        }
    }
    uncommitted.extend(hidden(git, seat)?);
    let mut findings = Vec::new();
    let mut add = |paths: BTreeSet<RawPath>, finding: fn(Vec<RawPath>, usize) -> Finding| {
        if !paths.is_empty() {
            let count = paths.len();
            findings.push(finding(paths.into_iter().take(NAMED).collect(), count));
        }
    };
    add(uncommitted, |paths, count| Finding::Uncommitted {
        paths,
        count,
    });
    add(untracked, |paths, count| Finding::Untracked {
        paths,
        count,
    });
    add(ignored, |paths, count| Finding::Ignored { paths, count });
    if let Submodules::Look = submodules {
        let found = submodules::with_work(git, plan, seat)?;
        findings.extend(found.into_iter().map(|path| Finding::Submodule { path }));
    }
    for (file, name) in OPERATIONS {
        if seat.admin.join(file).exists() {
            let name = name.to_owned();
            findings.push(Finding::Operation { name });
        }
    }
    Ok(findings)
}

/// Whether submodules are looked into, which needs them to be in their place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Submodules {
    Look,
    PassOver,
}

impl Submodules {
    fn ignored(self) -> &'static str {
        match self {
            Self::Look => "--ignore-submodules=none",
            Self::PassOver => "--ignore-submodules=all",
        }
    }
}

/// Returns whether an ignored file is ours, or was brought along and is the same here and there.
fn is_known(plan: &CreationPlan, seat: Seat<'_>, furnished: &Furnished, path: &RawPath) -> bool {
    if is_context_file(path) {
        return true;
    }
    let Some(brought) = furnished.brought.iter().find(|it| it.path == *path) else {
        return false;
    };
    let looks = |top: &Path, stamp: Stamp| {
        let data = fs::symlink_metadata(top.join(native(path)));
        data.is_ok_and(|data| Stamp::of(&data) == stamp)
    };
    let is_there = || {
        let source = plan.source.as_ref();
        source.is_some_and(|source| looks(&native(&source.top), brought.from))
    };
    looks(seat.root, brought.to) && (brought.linked || is_there())
}

/// Returns tracked files that git is told not to look at, and that are there.
fn hidden(git: &Git, seat: Seat<'_>) -> Result<Vec<RawPath>, GitError> {
    let answer = git.run(&seat.call().args(["ls-files", "-v", "-z"]))?;
    let hidden = answer.split(|byte| *byte == 0).filter_map(|record| {
        let (tag, path) = (record.first()?, record.get(2..)?);
        let path = RawPath::new(path);
        let is_there = || fs::symlink_metadata(seat.root.join(native(&path))).is_ok();
        let is_hidden = tag.is_ascii_lowercase() || *tag == b'S';
        (is_hidden && is_there()).then_some(path)
    });
    Ok(hidden.collect())
}

/// Commits of a worktree that no reference of the person leads to.
#[derive(Debug, Default)]
pub(super) struct Unique {
    pub(super) finding: Option<Finding>,
    /// Those that lead to all others.
    pub(super) tips: Vec<Oid>,
}

/// Finds the commits of the branch, and those that the worktree has been at, that exist nowhere
/// else. References of ours do not count: they are let go some day.
pub(super) fn commits(
    git: &Git,
    plan: &CreationPlan,
    branch: Option<&Oid>,
    admin: Option<&Path>,
) -> Result<Unique, WorktreeError> {
    let common_dir = native(&plan.common_dir);
    let mut roots: BTreeSet<Oid> = branch.into_iter().cloned().collect();
    if let Some(admin) = admin {
        roots.extend(noted(git, admin, plan)?);
    }
    let log = common_dir.join("logs").join(&plan.branch);
    roots.extend(names_in(&fs::read(log).unwrap_or_default()));
    let roots = existing(git, &common_dir, &roots)?;
    if roots.is_empty() {
        return Ok(Unique::default());
    }
    let mut input = lines_of(&roots);
    for tip in refs::below(git, &common_dir, "refs/")? {
        if tip.name != plan.branch && !tip.name.starts_with("refs/amps/") {
            input.push('^');
            input.push_str(tip.commit.as_str());
            input.push('\n');
        }
    }
    let call = refs::at(&common_dir)
        .args(["rev-list", "--parents", "--stdin"])
        .input(input.as_bytes());
    let answer = String::from_utf8_lossy(&git.run(&call)?).into_owned();
    let mut unique = BTreeSet::new();
    let mut inner = BTreeSet::new();
    for line in answer.lines() {
        let mut names = line.split(' ').filter_map(Oid::parse);
        unique.extend(names.next());
        inner.extend(names);
    }
    if unique.is_empty() {
        return Ok(Unique::default());
    }
    let equivalent = match branch {
        Some(tip) if unique.contains(tip) => is_in_base(git, plan, tip)?,
        _ => true,
    };
    let count = unique.len();
    Ok(Unique {
        finding: Some(Finding::Commits { count, equivalent }),
        tips: unique.difference(&inner).cloned().collect(),
    })
}

/// Returns whether the base has the content of a commit: each of its changes is there by itself,
/// or merging it would change nothing.
fn is_in_base(git: &Git, plan: &CreationPlan, tip: &Oid) -> Result<bool, GitError> {
    let common_dir = native(&plan.common_dir);
    let Some(base) = &plan.base_ref else {
        return Ok(false);
    };
    let ask = |arguments: &[&str]| -> Result<Option<String>, GitError> {
        let output = git.output(&refs::at(&common_dir).args(arguments))?;
        let is_answer = output.status.is_some_and(|status| status.success());
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(is_answer.then_some(text))
    };
    let cherry = ask(&["cherry", base, tip.as_str()])?;
    if cherry.is_some_and(|lines| lines.lines().all(|line| line.starts_with('-'))) {
        return Ok(true);
    }
    let merged = ask(&["merge-tree", "--write-tree", base, tip.as_str()])?;
    let tree = ask(&["rev-parse", "--verify", &format!("{base}^{{tree}}")])?;
    Ok(merged.is_some() && merged == tree)
}

/// Counts the stash entries that were made on a branch.
pub(super) fn stashes(git: &Git, plan: &CreationPlan) -> Result<usize, GitError> {
    let call = refs::at(&native(&plan.common_dir)).args([
        "log",
        "--walk-reflogs",
        "--format=%gs",
        "refs/stash",
        "--",
    ]);
    let name = plan.branch.trim_start_matches("refs/heads/");
    let (plain, named) = (format!("WIP on {name}:"), format!("On {name}:"));
    let answer = String::from_utf8_lossy(&git.output(&call)?.stdout).into_owned();
    let is_of_branch = |line: &&str| line.starts_with(&plain) || line.starts_with(&named);
    Ok(answer.lines().filter(is_of_branch).count())
}

/// Returns all names that git noted of a worktree: where its HEAD was, and what operations that
/// are in progress need.
fn noted(git: &Git, admin: &Path, plan: &CreationPlan) -> Result<BTreeSet<Oid>, GitError> {
    let mut found = BTreeSet::new();
    let mut unread = vec![admin.to_owned()];
    while let Some(folder) = unread.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let Ok(data) = entry.metadata() else { continue };
            // Modules have commits of their own repositories.
            if data.is_dir() && !path.ends_with("modules") {
                unread.push(path);
            } else if data.is_file() && data.len() <= LARGEST_NOTE && !path.ends_with("index") {
                found.extend(names_in(&fs::read(&path).unwrap_or_default()));
            }
        }
    }
    if admin.join("reftable").is_dir() {
        // It may lie in the trash, where what it says of its repository leads nowhere.
        let at = || refs::at(admin).variable("GIT_COMMON_DIR", native(&plan.common_dir));
        for name in ["HEAD", &plan.branch] {
            let call = at().args(["log", "--walk-reflogs", "--format=%H", name, "--"]);
            found.extend(names_in(&git.output(&call)?.stdout));
        }
        let call = at().args(["rev-parse", "--verify", "--quiet", "HEAD"]);
        found.extend(names_in(&git.output(&call)?.stdout));
    }
    Ok(found)
}

/// Returns the object names in a text.
fn names_in(text: &[u8]) -> Vec<Oid> {
    let words = text.split(|byte| !byte.is_ascii_hexdigit());
    let words = words.filter_map(|word| Oid::parse(std::str::from_utf8(word).ok()?));
    words
        .filter(|oid| !oid.as_str().bytes().all(|byte| byte == b'0'))
        .collect()
}

fn lines_of<'a>(names: impl IntoIterator<Item = &'a Oid>) -> String {
    names.into_iter().fold(String::new(), |mut lines, name| {
        lines.push_str(name.as_str());
        lines.push('\n');
        lines
    })
}

/// Returns those that are commits of the repository.
fn existing(git: &Git, common_dir: &Path, names: &BTreeSet<Oid>) -> Result<Vec<Oid>, GitError> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let input = lines_of(names);
    let call = refs::at(common_dir)
        .args(["cat-file", "--batch-check=%(objectname) %(objecttype)"])
        .input(input.as_bytes());
    let answer = String::from_utf8_lossy(&git.run(&call)?).into_owned();
    let commits = answer
        .lines()
        .filter_map(|line| line.strip_suffix(" commit"));
    Ok(commits.filter_map(Oid::parse).collect())
}

/// Returns the folder of a worktree as git noted it.
pub(super) fn noted_root(admin: &Path) -> Option<std::path::PathBuf> {
    let text = fs::read(admin.join("gitdir")).ok()?;
    let text = text.strip_suffix(b"\n").unwrap_or(&text);
    let file = admin.join(std::ffi::OsStr::from_bytes(text));
    file.parent().map(Path::to_owned)
}
