//! The ground of a worktree session: how its folder and its branch are named, and the plans by
//! which they come, go to the trash, and come back.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::id::SessionId;
use crate::path::RawPath;
use crate::snapshot::{Oid, Snapshot};

/// The longest slug, in characters: branch names are typed by people.
const LONGEST_SLUG: usize = 40;
/// The slug of a name without a letter or digit of ASCII.
const NAMELESS: &str = "session";
/// What branches of ours begin with, the later ones where a person has a branch of that name.
const PREFIXES: [&str; 3] = ["amp", "amps", "amp-sessions"];
/// Where branches live.
const HEADS: &str = "refs/heads/";

/// Returns a name in the form that fits into branches and folders on any file system: lower-case
/// letters and digits of ASCII, with single dashes for all that lies between.
pub fn slug(name: &str) -> String {
    let mut slug = String::new();
    for character in name.chars() {
        if character.is_ascii_alphanumeric() {
            slug.push(character.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    if let Some((cut, _)) = slug.char_indices().nth(LONGEST_SLUG) {
        let inside_word = !slug[cut..].starts_with('-');
        slug.truncate(cut);
        let dash = slug.rfind('-').filter(|place| *place > LONGEST_SLUG / 2);
        if let Some(dash) = dash.filter(|_| inside_word) {
            slug.truncate(dash);
        }
    }
    let slug = slug.trim_matches('-');
    if slug.is_empty() { NAMELESS } else { slug }.to_owned()
}

/// Returns the full names of branches for a session, the best first:
/// `refs/heads/amp/<slug>/<yyyymmdd-HHMMSS>`, with a number where that is taken.
pub fn branch_names(slug: &str, at: Timestamp) -> impl Iterator<Item = String> {
    let second = at.to_zoned(TimeZone::UTC).strftime("%Y%m%d-%H%M%S");
    let second = second.to_string();
    let slug = slug.to_owned();
    let numbered = |text: &str, number: u32| match number {
        1 => text.to_owned(),
        _ => format!("{text}-{number}"),
    };
    PREFIXES.into_iter().flat_map(move |prefix| {
        let (slug, second) = (slug.clone(), second.clone());
        (1..=9_u32).flat_map(move |place| {
            let folder = format!("{HEADS}{prefix}/{}", numbered(&slug, place));
            let second = second.clone();
            (1..=99).map(move |number| format!("{folder}/{}", numbered(&second, number)))
        })
    })
}

/// The references of a repository, to see which further names it can hold.
#[derive(Clone, Debug, Default)]
pub struct TakenNames(BTreeSet<String>);

impl TakenNames {
    /// Takes the full names of all references.
    pub fn new(names: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let names = names.into_iter();
        Self(names.map(|name| name.as_ref().to_lowercase()).collect())
    }

    /// Returns whether a reference of this name cannot be: it is there, on some file systems in
    /// other letters, or one of the two would have to be a folder of the other.
    pub fn clash_with(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        let folder = format!("{name}/");
        let is_folder = self
            .0
            .range(folder.clone()..)
            .next()
            .is_some_and(|next| next.starts_with(&folder));
        let above = name.match_indices('/');
        let below_one = above
            .filter_map(|(place, _)| name.get(..place))
            .any(|part| self.0.contains(part));
        is_folder || below_one || self.0.contains(&name)
    }
}

/// How the worktree of a session is to be made. Nothing in it is decided again while it is carried
/// out; afterwards it tells where the session works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreationPlan {
    /// The session.
    pub session: SessionId,
    /// The git directory that all working trees of the repository share.
    pub common_dir: RawPath,
    /// The working tree in which the worktree was asked for; `None` in a bare repository.
    pub source: Option<Source>,
    /// The folder of the worktree.
    pub worktree: RawPath,
    /// The name of the worktree in git: that of its folder below `worktrees` in the common
    /// directory.
    pub admin: String,
    /// The full name of the branch.
    pub branch: String,
    /// The full name of the branch or other reference that it begins from; `None` when a commit
    /// was named.
    pub base_ref: Option<String>,
    /// The commit that it begins from.
    pub base: Oid,
    /// Patterns for `info/exclude` that have to be there.
    pub excludes: Vec<String>,
    /// When it was planned.
    pub planned_at: Timestamp,
}

/// A working tree of the person, from which a worktree gets what is not tracked, and its settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Its top.
    pub top: RawPath,
    /// Its git directory.
    pub git_dir: RawPath,
}

/// How a worktree is to be removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovalPlan {
    /// How the worktree was made.
    pub ground: CreationPlan,
    /// The folder of the worktree, where it is now; `None` when it is gone.
    pub worktree: Option<RawPath>,
    /// Whether git knows the worktree.
    pub registered: bool,
    /// The branch of the session; `None` when it is gone, or is not the session's alone.
    pub branch: Option<Tip>,
    /// What exists nowhere else. Nothing: all of it is removed for good. Else it goes to the trash.
    pub findings: Vec<Finding>,
    /// Commits that have to be kept by references, lest git collects them.
    pub keep: Vec<Oid>,
    /// The folder that takes the files, on the same file system as the worktree.
    pub trash: RawPath,
    /// When it was planned.
    pub planned_at: Timestamp,
}

impl RemovalPlan {
    /// Returns whether all of it was proven to exist elsewhere.
    pub fn is_proven(&self) -> bool {
        self.findings.is_empty()
    }

    /// Returns whether the files of the folder have to be kept. Commits and stash entries are kept
    /// by references alone.
    pub fn keeps_files(&self) -> bool {
        let in_refs =
            |finding: &Finding| matches!(finding, Finding::Commits { .. } | Finding::Stash { .. });
        !self.findings.iter().all(in_refs)
    }
}

/// A reference and the commit that it names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tip {
    /// The full name.
    pub name: String,
    /// The commit.
    pub commit: Oid,
}

/// Something of a worktree that is not known to exist elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Finding {
    /// Tracked files that differ from the last commit, or that git is told not to look at.
    Uncommitted {
        /// Some of them.
        paths: Vec<RawPath>,
        /// How many there are.
        count: usize,
    },
    /// Files that git does not track.
    Untracked {
        /// Some of them.
        paths: Vec<RawPath>,
        /// How many there are.
        count: usize,
    },
    /// Ignored files that were not brought along, or were changed since.
    Ignored {
        /// Some of them.
        paths: Vec<RawPath>,
        /// How many there are.
        count: usize,
    },
    /// Commits that no other reference leads to.
    Commits {
        /// How many there are.
        count: usize,
        /// Whether the base has the content of the branch all the same, by other commits.
        equivalent: bool,
    },
    /// Stash entries made on its branch.
    Stash {
        /// How many there are.
        count: usize,
    },
    /// A rebase, merge or the like that has not come to its end.
    Operation {
        /// Its name in git.
        name: String,
    },
    /// A submodule with work of its own.
    Submodule {
        /// Its path.
        path: RawPath,
    },
    /// Git does not know the folder any more, so it cannot tell what is in it.
    Unregistered,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uncommitted { count, .. } => write!(f, "{count} uncommitted"),
            Self::Untracked { count, .. } => write!(f, "{count} untracked"),
            Self::Ignored { count, .. } => write!(f, "{count} ignored and nowhere else"),
            Self::Commits {
                count,
                equivalent: false,
            } => write!(f, "{count} commits on no other branch"),
            Self::Commits { count, .. } => {
                write!(f, "{count} commits whose changes are in the base")
            }
            Self::Stash { count } => write!(f, "{count} stash entries"),
            Self::Operation { name } => write!(f, "a {name} in progress"),
            Self::Submodule { path } => write!(f, "work in the submodule {path}"),
            Self::Unregistered => f.write_str("a folder that git does not know any more"),
        }
    }
}

/// A worktree in the trash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrashEntry {
    /// How it came there.
    pub plan: RemovalPlan,
    /// When.
    pub trashed_at: Timestamp,
    /// Uncommitted and untracked files, as a commit.
    pub snapshot: Option<Snapshot>,
    /// The references that keep its commits.
    pub refs: Vec<Tip>,
    /// How far it has come.
    pub stage: TrashStage,
}

impl TrashEntry {
    /// Returns whether it has been kept for as long as it has to be.
    pub fn is_past(&self, keep: Duration, now: Timestamp) -> bool {
        let age = Duration::try_from(now.duration_since(self.trashed_at));
        age.is_ok_and(|age| age >= keep)
    }
}

/// How far an entry of the trash has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrashStage {
    /// Its parts are being moved to the trash.
    Going,
    /// All of it is there.
    Kept,
    /// Its parts are being moved back.
    Returning,
    /// It is being deleted.
    Purging,
}

/// A difference between what git has and the sessions that are known. It is reported, never acted
/// upon: what looks left over may be somebody's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Orphan {
    /// A worktree on a branch of ours, or where ours are made, that belongs to no known session.
    Worktree {
        /// The folder.
        path: RawPath,
        /// Its branch.
        branch: Option<String>,
    },
    /// A branch named like ours that belongs to no known session.
    Branch {
        /// The branch and its commit.
        tip: Tip,
    },
    /// A session whose folder is gone.
    FolderGone {
        /// The session.
        session: SessionId,
    },
    /// A session whose worktree git does not know any more.
    Unregistered {
        /// The session.
        session: SessionId,
    },
    /// A session whose worktree lies elsewhere now.
    Moved {
        /// The session.
        session: SessionId,
        /// Where to.
        path: RawPath,
    },
    /// A session whose branch is gone.
    BranchGone {
        /// The session.
        session: SessionId,
    },
    /// A session in whose worktree another branch, or none, is checked out.
    OtherBranch {
        /// The session.
        session: SessionId,
        /// That branch.
        branch: Option<String>,
    },
}

/// The ports of one session, on the loopback interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortRange {
    /// The first.
    pub first: u16,
    /// How many.
    pub count: u16,
}

impl PortRange {
    /// Returns whether the two have a port in common.
    pub fn overlaps(self, other: Self) -> bool {
        let end = |range: Self| u32::from(range.first) + u32::from(range.count);
        u32::from(self.first) < end(other) && u32::from(other.first) < end(self)
    }

    /// Returns the ports.
    pub fn ports(self) -> impl Iterator<Item = u16> {
        (0..self.count).filter_map(move |place| self.first.checked_add(place))
    }

    /// Returns the variables that tell a session its ports.
    pub fn variables(self) -> [(&'static str, String); 3] {
        [
            ("AMPSM_PORT", self.first.to_string()),
            ("AMPSM_PORT_BASE", self.first.to_string()),
            ("AMPSM_PORT_COUNT", self.count.to_string()),
        ]
    }
}

/// What a new worktree is given beside its tracked files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FurnishPolicy {
    /// Patterns, as in `.gitignore`, of ignored files that are copied.
    pub copy: Vec<String>,
    /// Patterns of ignored files and folders to which a link is made.
    pub link: Vec<String>,
    /// The most bytes that are copied; a file that does not fit any more is left out.
    pub max_copy: u64,
    /// Commands to run in a new worktree.
    pub setup: Vec<String>,
    /// Commands to run before it is removed.
    pub teardown: Vec<String>,
    /// The time that each command may take.
    pub timeout: Duration,
    /// The number of ports of a session; none for 0.
    pub ports: u16,
    /// The port from which ranges are given out.
    pub first_port: u16,
}

impl Default for FurnishPolicy {
    fn default() -> Self {
        Self {
            copy: Vec::new(),
            link: Vec::new(),
            max_copy: 4 << 30,
            setup: Vec::new(),
            teardown: Vec::new(),
            timeout: Duration::from_secs(600),
            ports: 20,
            first_port: 40_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn slugs_are_short_words() {
        for (name, expected) in [
            ("Add login", "add-login"),
            ("  --Fix: the (parser)!! ", "fix-the-parser"),
            ("../../etc/passwd", "etc-passwd"),
            ("a.lock", "a-lock"),
            ("日本語", "session"),
            ("", "session"),
            ("Größe 2", "gr-e-2"),
            (
                "a rather long name that goes on and on for ever",
                "a-rather-long-name-that-goes-on-and-on",
            ),
        ] {
            assert_eq!(slug(name), expected, "{name}");
        }
    }

    proptest! {
        #[test]
        fn every_slug_is_fit_for_a_branch_and_its_own_slug(name in ".*") {
            let made = slug(&name);
            prop_assert!((1..=LONGEST_SLUG).contains(&made.len()));
            prop_assert!(made.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));
            prop_assert!(!made.starts_with('-') && !made.ends_with('-'));
            prop_assert_eq!(slug(&made), made);
        }
    }

    #[test]
    fn branches_are_named_by_slug_and_second_and_then_by_number() {
        let at: Timestamp = "2024-12-01T14:30:22.9Z".parse().unwrap();
        let names: Vec<String> = branch_names("auth-feature", at).take(2).collect();
        assert_eq!(
            names,
            [
                "refs/heads/amp/auth-feature/20241201-143022",
                "refs/heads/amp/auth-feature/20241201-143022-2"
            ]
        );
    }

    #[test]
    fn a_name_clashes_with_itself_its_folders_and_what_is_in_it() {
        let at: Timestamp = "2024-12-01T14:30:22Z".parse().unwrap();
        let first_free = |taken: &[&str]| {
            let taken = TakenNames::new(taken);
            branch_names("x", at).find(|name| !taken.clash_with(name))
        };
        for (taken, expected) in [
            (&[][..], "amp/x/20241201-143022"),
            (
                &["refs/heads/ampere", "refs/heads/amp/xy"],
                "amp/x/20241201-143022",
            ),
            (
                &["refs/heads/AMP/x/20241201-143022"],
                "amp/x/20241201-143022-2",
            ),
            (&["refs/heads/amp/x"], "amp/x-2/20241201-143022"),
            (&["refs/heads/Amp"], "amps/x/20241201-143022"),
            (
                &["refs/heads/amp/x/20241201-143022/y"],
                "amp/x/20241201-143022-2",
            ),
        ] {
            let expected = format!("refs/heads/{expected}");
            assert_eq!(first_free(taken), Some(expected), "{taken:?}");
        }
    }

    #[test]
    fn ranges_that_touch_do_not_overlap() {
        let range = |first, count| PortRange { first, count };
        assert!(!range(40_000, 20).overlaps(range(40_020, 20)));
        assert!(range(40_000, 21).overlaps(range(40_020, 20)));
        assert_eq!(range(65_530, 20).ports().count(), 6);
    }

    #[test]
    fn plans_survive_their_stored_form() {
        let ground = CreationPlan {
            session: "7b2c3d4e-0000-4000-8000-000000000001".parse().unwrap(),
            common_dir: RawPath::new(*b"/r/.git"),
            source: None,
            worktree: RawPath::new(*b"/r/.worktrees/7b2c3d4e"),
            admin: "7b2c3d4e".to_owned(),
            branch: "refs/heads/amp/x/1".to_owned(),
            base_ref: None,
            base: Oid::parse(&"b".repeat(40)).unwrap(),
            excludes: Vec::new(),
            planned_at: Timestamp::UNIX_EPOCH,
        };
        let plan = RemovalPlan {
            ground,
            worktree: Some(RawPath::new(*b"/r/a\nb\xff")),
            registered: false,
            branch: None,
            findings: vec![Finding::Unregistered, Finding::Stash { count: 1 }],
            keep: vec![Oid::parse(&"a".repeat(64)).unwrap()],
            trash: RawPath::new(*b"/r/.git/amps/trash/x"),
            planned_at: Timestamp::UNIX_EPOCH,
        };
        let text = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<RemovalPlan>(&text).unwrap(), plan);
    }
}
