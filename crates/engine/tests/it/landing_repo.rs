//! A sealed repository with a session's worktree: an agent and a person commit there, others to the
//! base.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use amps_core::id::SessionId;
use amps_core::landing::{Course, Manual, Refusal, SquashPlan};
use amps_core::snapshot::Oid;
use amps_engine::files::write_private;
use amps_engine::git::{Environment, Git};
use amps_engine::landing::{Ground, Hooks, LandingError, SquashRequest, carry_out, plan_squash};
use amps_engine::worktree::SessionLock;
use tempfile::TempDir;
use uuid::Uuid;

/// A repository `main` with a base of that name, and a linked worktree `tree` with a branch `work`.
pub(crate) struct Land {
    home: TempDir,
    pub(crate) main: PathBuf,
    pub(crate) tree: PathBuf,
    pub(crate) common_dir: PathBuf,
    /// Passed on to every git of the engine.
    pub(crate) passed: Vec<(OsString, OsString)>,
}

const CONFIG: &str = "\
[user]
	name = Person
	email = person@localhost
[init]
	defaultBranch = main
[gc]
	auto = 0
[protocol \"file\"]
	allow = always
";

/// A text of twenty lines, some of them replaced.
pub(crate) fn text(replaced: &[(usize, &str)]) -> String {
    let line = |number: usize| {
        let found = replaced.iter().find(|(place, _)| *place == number);
        found.map_or_else(|| number.to_string(), |(_, text)| (*text).to_owned())
    };
    (1..=20).map(|number| line(number) + "\n").collect()
}

impl Land {
    pub(crate) fn new() -> Self {
        Self::with(&[])
    }

    /// Makes a repository with options of `git init`.
    pub(crate) fn with(options: &[&str]) -> Self {
        Self::named(options, "main")
    }

    pub(crate) fn named(options: &[&str], name: &str) -> Self {
        let mut land = Self::bare_home(name);
        let mut init = vec!["init", "-q"];
        init.extend(options);
        land.git_in(&land.main, init);
        land.write_in(&land.main, "a", text(&[]));
        land.write_in(&land.main, "dir/b", text(&[]));
        land.git_in(&land.main, ["add", "."]);
        land.git_in(&land.main, ["commit", "-qm", "first"]);
        land.add_tree();
        land.common_dir = land.main.join(".git");
        land
    }

    /// Makes only the folders.
    pub(crate) fn bare_home(name: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().canonicalize().unwrap();
        let main = root.join(name);
        fs::create_dir(&main).unwrap();
        write_private(&root.join(".gitconfig"), CONFIG.as_bytes()).unwrap();
        Self {
            tree: root.join("elsewhere").join("tree"),
            common_dir: main.clone(),
            main,
            home,
            passed: Vec::new(),
        }
    }

    pub(crate) fn add_tree(&self) {
        let add = ["worktree", "add", "-q", "-b", "work"].map(OsString::from);
        let add = add.into_iter().chain([self.tree.clone().into()]);
        self.git_in(&self.main, add.collect::<Vec<_>>());
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.home.path().canonicalize().unwrap()
    }

    pub(crate) fn ground(&self) -> Ground {
        Ground {
            session: SessionId::new(Uuid::from_u128(7)),
            common_dir: self.common_dir.clone(),
            worktree: self.tree.clone(),
            branch: "refs/heads/work".to_owned(),
            base_ref: "refs/heads/main".to_owned(),
            prefix: "amp:".to_owned(),
            agent_commits: BTreeSet::new(),
        }
    }

    /// The lock of the session, which nobody else has.
    pub(crate) fn lock(&self) -> SessionLock {
        let wait = Duration::from_secs(5);
        SessionLock::take(&self.common_dir, self.ground().session, "a test", wait).unwrap()
    }

    /// The git of the engine, which sees this home and nothing else.
    pub(crate) fn engine_git(&self) -> Git {
        self.engine_git_at(std::env::var_os("PATH").unwrap())
    }

    pub(crate) fn engine_git_at(&self, path: OsString) -> Git {
        let mut passed = vec![("GIT_CONFIG_NOSYSTEM".into(), "1".into())];
        passed.extend(self.passed.iter().cloned());
        Git::find(Environment {
            path,
            home: Some(self.home()),
            xdg_config_home: None,
            passed,
        })
        .unwrap()
    }

    pub(crate) fn command(
        &self,
        folder: &Path,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Command {
        let mut command = Command::new("git");
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.home())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_EDITOR", "false")
            .current_dir(folder)
            .args(arguments);
        command
    }

    pub(crate) fn try_git(
        &self,
        folder: &Path,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Output {
        self.command(folder, arguments).output().unwrap()
    }

    #[track_caller]
    pub(crate) fn git_in(
        &self,
        folder: &Path,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> String {
        let output = self.try_git(folder, arguments);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout)
            .trim_end()
            .to_owned()
    }

    /// Runs git in the session's worktree.
    #[track_caller]
    pub(crate) fn git(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> String {
        self.git_in(&self.tree, arguments)
    }

    #[expect(clippy::unused_self, reason = "it reads like the others")]
    pub(crate) fn write_in(&self, folder: &Path, path: &str, content: impl AsRef<[u8]>) {
        let full = folder.join(path);
        fs::create_dir_all(full.parent().unwrap()).unwrap();
        write_private(&full, content.as_ref()).unwrap();
    }

    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        self.write_in(&self.tree, path, content);
    }

    pub(crate) fn read(&self, path: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.tree.join(path)).unwrap()).into_owned()
    }

    /// Commits all of a folder, as somebody at some time.
    #[track_caller]
    pub(crate) fn commit_in(&self, folder: &Path, who: &str, message: &str) -> String {
        self.git_in(folder, ["add", "--all"]);
        let commit = ["commit", "-q", "--allow-empty", "-m", message];
        let mut command = self.command(folder, commit);
        command
            .env("GIT_AUTHOR_NAME", who)
            .env("GIT_AUTHOR_EMAIL", format!("{who}@localhost"))
            .env("GIT_AUTHOR_DATE", "1700000000 +0130");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        self.git_in(folder, ["rev-parse", "HEAD"])
    }

    /// Commits in the worktree as the agent.
    #[track_caller]
    pub(crate) fn agent(&self, path: &str, content: impl AsRef<[u8]>) -> String {
        self.write(path, content);
        self.commit_in(&self.tree, "Agent", &format!("amp: change {path}"))
    }

    /// Commits in the worktree as another person.
    #[track_caller]
    pub(crate) fn manual(&self, path: &str, content: impl AsRef<[u8]>) -> String {
        self.write(path, content);
        self.commit_in(&self.tree, "Manual", &format!("mend {path}"))
    }

    /// Commits to the base.
    #[track_caller]
    pub(crate) fn base(&self, path: &str, content: impl AsRef<[u8]>) -> String {
        self.write_in(&self.main, path, content);
        self.commit_in(&self.main, "Other", &format!("base {path}"))
    }

    pub(crate) fn oid(&self, name: &str) -> Oid {
        Oid::parse(&self.git(["rev-parse", "--verify", name])).unwrap()
    }

    /// The commits of a range, newest last, as `author: subject`.
    pub(crate) fn log(&self, range: &str) -> Vec<String> {
        let format = "--format=%an: %s";
        let log = self.git(["log", "--reverse", "--topo-order", format, range]);
        log.lines().map(str::to_owned).collect()
    }

    /// All references, and what is in the index and the working tree of both folders.
    pub(crate) fn state(&self) -> Vec<String> {
        let mut state = vec![self.git(["for-each-ref", "--format=%(refname) %(objectname)"])];
        for folder in [&self.main, &self.tree] {
            let status = self.try_git(folder, ["status", "--porcelain=v2", "--branch"]);
            state.push(String::from_utf8_lossy(&status.stdout).into_owned());
            let staged = self.try_git(folder, ["ls-files", "--stage"]).stdout;
            state.push(String::from_utf8_lossy(&staged).into_owned());
        }
        state
    }

    pub(crate) fn squash(&self, manual: Manual) -> Result<SquashPlan, LandingError> {
        let request = SquashRequest {
            message: "Do all of it".to_owned(),
            manual,
            hooks: Hooks::Run,
        };
        plan_squash(&self.engine_git(), &self.ground(), &request)
    }

    pub(crate) fn carry_out(&self, course: &Course) -> Result<(), LandingError> {
        carry_out(&self.engine_git(), &self.ground(), course)
    }

    /// Every object that a commit of any reference reaches.
    pub(crate) fn reachable(&self) -> BTreeSet<String> {
        let all = self.git(["rev-list", "--objects", "--no-object-names", "--all"]);
        all.lines().map(str::to_owned).collect()
    }

    /// Asserts that both worktrees are clean and no lock or file of ours is left.
    #[track_caller]
    pub(crate) fn assert_calm(&self) {
        assert_eq!(self.git(["status", "--porcelain"]), "");
        self.git(["fsck", "--no-dangling", "--strict"]);
        let mut unread = vec![self.common_dir.clone()];
        while let Some(folder) = unread.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                assert!(
                    path.extension().is_none_or(|end| end != "lock")
                        && !path.ends_with("amps-landing"),
                    "{} is left",
                    path.display()
                );
                if path.is_dir() {
                    unread.push(path);
                }
            }
        }
    }
}

/// Returns why something was refused.
#[track_caller]
pub(crate) fn refusal<T: std::fmt::Debug>(result: Result<T, LandingError>) -> Refusal {
    let error = result.unwrap_err();
    assert!(error.refusal().is_some(), "{error:?}");
    error.refusal().unwrap().clone()
}
