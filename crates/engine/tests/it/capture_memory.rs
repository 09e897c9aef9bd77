//! Trees that still look as they did when they were last frozen.

use std::cell::Cell;
use std::fs::{self, File, FileTimes};

use amps_core::capture::Side;
use amps_core::snapshot::Snapshot;
use amps_engine::capture::{Beginning, Cutoff, Frozen, Memory, freeze, keep};
use amps_engine::git::{Environment, Git};

use super::capture_repo::{Repo, let_pass, now};

/// A repository whose state is remembered: changed, staged, untracked, ignored and missing files.
struct Known {
    repo: Repo,
    memory: Memory,
    times: Cell<u32>,
}

impl Known {
    fn new() -> Self {
        Self::of(Self::lived_in())
    }

    fn lived_in() -> Repo {
        let repo = Repo::new();
        repo.write(
            ".gitignore",
            "built/\n*.o\n!kept.o\n/tools/*\n!/tools/.gitignore\n",
        );
        repo.write("tools/.gitignore", "x\n");
        repo.write("built/tracked", "tracked where all else is ignored\n");
        repo.git(["add", ".gitignore", "tools/.gitignore"]);
        repo.git(["add", "--force", "built/tracked"]);
        repo.git(["commit", "-qm", "second"]);
        repo.write("extra/config", "[core]\n\tfileMode = true\n");
        repo.git(["config", "include.path", "../extra/config"]);
        repo.append("a", "changed\n");
        repo.append("b", "staged\n");
        repo.git(["add", "b"]);
        repo.remove("dir/c");
        repo.write("new/file", "untracked\n");
        repo.write("left.o", "ignored\n");
        repo.write("built/deep/er", "ignored\n");
        repo.link("a", "link");
        repo
    }

    /// Freezes a state and remembers it.
    fn of(repo: Repo) -> Self {
        let known = Self {
            repo,
            memory: Memory::default(),
            times: Cell::default(),
        };
        let_pass(&known.repo, now());
        known.remember(&Cutoff::open(now()));
        known
    }

    fn remember(&self, cutoff: &Cutoff) {
        self.remember_beside(cutoff, || {});
    }

    /// Remembers a state while somebody else does something.
    fn remember_beside(&self, cutoff: &Cutoff, meanwhile: impl FnOnce()) {
        let (git, workspace) = (self.git(), self.repo.workspace());
        let began = Beginning::now();
        meanwhile();
        let frozen = self.freeze(cutoff);
        self.times.set(self.times.get() + 1);
        let reference = format!("refs/amps/remembered-{}", self.times.get());
        keep(&git, &workspace, &frozen, &reference, None).unwrap();
        self.memory
            .keep((&git, &workspace), (&frozen, &reference), (began, cutoff));
    }

    /// Memory asks for a git that is not told where to look.
    fn git(&self) -> Git {
        Git::find(Environment {
            path: std::env::var_os("PATH").unwrap(),
            home: Some(self.repo.home().to_owned()),
            xdg_config_home: None,
            passed: vec![("GIT_CONFIG_NOSYSTEM".into(), "1".into())],
        })
        .unwrap()
    }

    fn freeze(&self, cutoff: &Cutoff) -> Frozen {
        let (workspace, limits) = (self.repo.workspace(), &self.repo.limits);
        freeze(&self.git(), &workspace, Side::Base, cutoff, limits).unwrap()
    }

    fn recall(&self, cutoff: &Cutoff) -> Option<Frozen> {
        self.memory
            .recall(&self.git(), &self.repo.workspace(), cutoff)
    }

    fn recalls(&self) -> bool {
        self.recall(&Cutoff::open(now())).is_some()
    }

    fn kept(&self, frozen: &Frozen, name: &str) -> Snapshot {
        let name = format!("refs/amps/{name}");
        keep(&self.git(), &self.repo.workspace(), frozen, &name, None).unwrap()
    }
}

#[test]
fn an_unchanged_tree_is_recalled_as_git_would_see_it() {
    let known = Known::new();
    let cutoff = Cutoff::open(now());
    let recalled = known.recall(&cutoff).expect("nothing has changed");
    let seen = known.freeze(&cutoff);
    assert_eq!(
        known.kept(&recalled, "recalled").tree,
        known.kept(&seen, "seen").tree
    );
    assert_eq!(recalled.taken_at(), seen.taken_at());
    assert_eq!(
        known
            .repo
            .git(["diff", "--name-only", "HEAD", "refs/amps/recalled"]),
        "a\nb\ndir/c\nextra/config\nlink\nnew/file"
    );
}

#[test]
fn whatever_is_ignored_may_change() {
    let known = Known::new();
    known.repo.write("built/deep/more", "ignored\n");
    known.repo.write("left.o", "ignored and changed\n");
    assert!(known.recalls());
}

/// What may change, and how.
type Change = (&'static str, fn(&Repo));

const CHANGES: [Change; 22] = [
    ("a changed file", |repo| repo.append("a", "more\n")),
    ("an unchanged file", |repo| {
        repo.append("dir/../b", "more\n");
    }),
    ("the same length and time", |repo| {
        let file = repo.full("a");
        let times = fs::metadata(&file).unwrap();
        let content = repo.read("a").to_uppercase();
        repo.write("a", content);
        let times = FileTimes::new().set_modified(times.modified().unwrap());
        File::open(&file).unwrap().set_times(times).unwrap();
    }),
    ("a mode", |repo| repo.chmod("a", 0o755)),
    ("a link", |repo| {
        repo.remove("link");
        repo.link("b", "link");
    }),
    ("an untracked file", |repo| {
        repo.append("new/file", "more\n");
    }),
    ("one more file", |repo| repo.write("new/second", "more\n")),
    ("one less file", |repo| repo.remove("new/file")),
    ("a missing file that is back", |repo| {
        repo.write("dir/c", "seven\neight\nnine\n");
    }),
    ("a folder that becomes a link", |repo| {
        fs::rename(repo.full("new"), repo.full("elsewhere")).unwrap();
        repo.link("elsewhere", "new");
    }),
    ("a tracked file in an ignored folder", |repo| {
        repo.append("built/tracked", "more\n");
    }),
    ("what is ignored", |repo| {
        repo.write(".gitignore", "built/\n");
    }),
    ("what is ignored, by an ignored file", |repo| {
        repo.write("tools/.gitignore", "y\n");
    }),
    ("what is ignored here alone", |repo| {
        repo.write(".git/info/exclude", "link\n");
    }),
    ("what the person ignores", |repo| {
        let file = repo.home().join(".config/git/ignore");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "link\n").unwrap();
    }),
    ("attributes", |repo| {
        repo.write(".git/info/attributes", "a text\n");
    }),
    ("the configuration", |repo| {
        repo.git(["config", "core.fileMode", "false"]);
    }),
    ("an included configuration", |repo| {
        repo.write("extra/config", "[core]\n\tfileMode = false\n");
    }),
    ("the person's configuration", |repo| {
        fs::write(
            repo.home().join(".gitconfig"),
            "[core]\n\tfileMode = false\n",
        )
        .unwrap();
    }),
    ("the index", |repo| drop(repo.git(["add", "new/file"]))),
    ("HEAD", |repo| {
        drop(repo.git(["symbolic-ref", "HEAD", "refs/heads/other"]));
    }),
    ("the branch", |repo| {
        drop(repo.git(["update-ref", "refs/heads/main", "HEAD^"]));
    }),
];

#[test]
fn every_change_is_noticed() {
    for (what, change) in CHANGES {
        let known = Known::new();
        assert!(known.recalls(), "before the change of {what}");
        change(&known.repo);
        assert!(!known.recalls(), "{what}");
    }
}

#[test]
fn contents_that_nothing_keeps_any_more_are_not_recalled() {
    let known = Known::new();
    known
        .repo
        .git(["update-ref", "-d", "refs/amps/remembered-1"]);
    assert!(!known.recalls());
}

#[test]
fn an_instant_before_the_look_is_not_answered_from_memory() {
    let instant = now();
    let known = Known::new();
    assert!(known.recall(&Cutoff::passed(instant)).is_none());
    assert!(known.recall(&Cutoff::passed(now())).is_some());
}

#[test]
fn what_changes_while_it_is_looked_at_is_not_remembered() {
    let known = Known::of(Known::lived_in());
    known.remember_beside(&Cutoff::open(now()), || {
        known.repo.append("a", "just now\n");
    });
    assert!(!known.recalls(), "the next change might bear the same time");
    let_pass(&known.repo, now());
    known.remember(&Cutoff::open(now()));
    assert!(known.recalls());
}

#[test]
fn a_state_of_the_past_is_not_remembered_for_today() {
    let known = Known::of(Known::lived_in());
    let ended = now();
    let_pass(&known.repo, ended);
    known.repo.write("after", "the end\n");
    let_pass(&known.repo, now());
    known.remember(&Cutoff::ended(ended));
    assert!(!known.recalls(), "the file was left out of the state");
}

#[test]
fn settings_behind_a_link_are_left_to_git() {
    let repo = Known::lived_in();
    let dotfiles = repo.home().join("dotfiles");
    fs::write(&dotfiles, "[core]\n\tfileMode = true\n").unwrap();
    std::os::unix::fs::symlink(&dotfiles, repo.home().join(".gitconfig")).unwrap();
    let known = Known::of(repo);
    assert!(!known.recalls(), "the file may change without the link");
}

#[test]
fn replaced_objects_are_left_to_git() {
    let repo = Known::lived_in();
    repo.git(["replace", "HEAD", "HEAD^"]);
    assert!(!Known::of(repo).recalls());
}

#[test]
fn attributes_of_a_tree_are_left_to_git() {
    let repo = Known::lived_in();
    repo.git(["config", "attr.tree", "HEAD"]);
    assert!(!Known::of(repo).recalls());
}

#[test]
fn repositories_inside_and_references_in_no_files_are_left_to_git() {
    let repo = Repo::new();
    repo.git(["init", "--quiet", "inner"]);
    assert!(!Known::of(repo).recalls());
    let repo = Repo::with(&["--ref-format=reftable"]);
    assert!(!Known::of(repo).recalls());
}

#[test]
fn a_folder_in_no_repository_is_remembered() {
    let repo = Repo::folder();
    repo.write("file", "content\n");
    let known = Known::of(repo);
    // Its own repository was made by the first look.
    let_pass(&known.repo, now());
    known.remember(&Cutoff::open(now()));
    assert!(known.recalls());
    known.repo.append("file", "more\n");
    assert!(!known.recalls());
}
