//! A sealed repository: its own home, its own configuration, a fixed identity.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use amps_core::capture::{CaptureLimits, Side};
use amps_core::changeset::Changeset;
use amps_core::id::{ChangesetId, RunId};
use amps_core::path::RawPath;
use amps_core::snapshot::{LeftOutReason, Snapshot, Workspace};
use amps_core::time::Moment;
use amps_engine::capture::{Comparison, Cutoff, compare, discover, freeze, keep};
use amps_engine::git::{Environment, Git};
use jiff::Timestamp;
use tempfile::TempDir;
use uuid::Uuid;

pub(crate) struct Repo {
    home: TempDir,
    pub(crate) root: PathBuf,
    pub(crate) limits: CaptureLimits,
}

pub(crate) fn now() -> Moment {
    Moment {
        at: Timestamp::now(),
        uptime_ms: 0,
    }
}

pub(crate) fn path(bytes: impl AsRef<[u8]>) -> RawPath {
    RawPath::new(bytes.as_ref())
}

/// Waits until the clock by which the kernel dates changes, less the slack, has passed `moment`.
pub(crate) fn let_pass(repo: &Repo, moment: Moment) {
    let deadline = Instant::now() + Duration::from_secs(10);
    let probe = repo.home().join("probe");
    loop {
        fs::write(&probe, "x").unwrap();
        let changed = fs::metadata(&probe).unwrap().modified().unwrap();
        let passed = changed
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_millis();
        if i128::try_from(passed).unwrap() > i128::from(moment.at.as_millisecond()) + 30 {
            return;
        }
        assert!(Instant::now() < deadline, "the clock stands still");
    }
}

impl Repo {
    /// An empty repository, before its first commit.
    pub(crate) fn unborn(options: &[&str]) -> Self {
        let repo = Self::folder();
        let mut arguments = vec!["init", "--quiet", "--initial-branch=main"];
        arguments.extend(options);
        repo.git(arguments);
        repo
    }

    /// A folder that is in no repository.
    pub(crate) fn folder() -> Self {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("work");
        fs::create_dir(&root).unwrap();
        Self {
            home,
            root: root.canonicalize().unwrap(),
            limits: CaptureLimits::default(),
        }
    }

    /// A repository with the files `a`, `b` and `dir/c`, each of three lines, committed.
    pub(crate) fn new() -> Self {
        Self::with(&[])
    }

    pub(crate) fn with(options: &[&str]) -> Self {
        let repo = Self::unborn(options);
        repo.write("a", "one\ntwo\nthree\n");
        repo.write("b", "four\nfive\nsix\n");
        repo.write("dir/c", "seven\neight\nnine\n");
        repo.git(["add", "."]);
        repo.git(["commit", "-qm", "first"]);
        repo
    }

    /// The same home, seen from another folder.
    pub(crate) fn elsewhere(self, root: PathBuf) -> Self {
        Self { root, ..self }
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    pub(crate) fn folders_dir(&self) -> PathBuf {
        self.home.path().join("folders")
    }

    fn search_path() -> OsString {
        std::env::var_os("PATH").unwrap()
    }

    pub(crate) fn engine_git(&self) -> Git {
        self.engine_git_with("GIT_CONFIG_NOSYSTEM", "1")
    }

    pub(crate) fn engine_git_with(&self, name: &str, value: &str) -> Git {
        Git::find(Environment {
            path: Self::search_path(),
            home: Some(self.home.path().to_owned()),
            xdg_config_home: None,
            passed: vec![
                (name.into(), value.into()),
                ("GIT_CONFIG_NOSYSTEM".into(), "1".into()),
                (
                    "GIT_CEILING_DIRECTORIES".into(),
                    self.home.path().parent().unwrap().into(),
                ),
            ],
        })
        .unwrap()
    }

    pub(crate) fn command(
        &self,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Command {
        let mut command = Command::new("git");
        command
            .env_clear()
            .env("PATH", Self::search_path())
            .env("HOME", self.home.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_AUTHOR_NAME", "person")
            .env("GIT_AUTHOR_EMAIL", "person@localhost")
            .env("GIT_COMMITTER_NAME", "person")
            .env("GIT_COMMITTER_EMAIL", "person@localhost")
            .env("GIT_ALLOW_PROTOCOL", "file")
            .current_dir(&self.root)
            .args(["-c", "protocol.file.allow=always", "-c", "gc.auto=0"])
            .args(arguments);
        command
    }

    pub(crate) fn try_git(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Output {
        self.command(arguments).output().unwrap()
    }

    pub(crate) fn git(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> String {
        let output = self.try_git(arguments);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout)
            .trim_end()
            .to_owned()
    }

    pub(crate) fn full(&self, path: impl AsRef<[u8]>) -> PathBuf {
        self.root.join(OsStr::from_bytes(path.as_ref()))
    }

    pub(crate) fn write(&self, path: impl AsRef<[u8]>, content: impl AsRef<[u8]>) {
        let full = self.full(path);
        fs::create_dir_all(full.parent().unwrap()).unwrap();
        fs::write(full, content).unwrap();
    }

    pub(crate) fn append(&self, path: &str, content: &str) {
        let mut whole = fs::read(self.full(path)).unwrap();
        whole.extend(content.bytes());
        self.write(path, whole);
    }

    pub(crate) fn read(&self, path: impl AsRef<[u8]>) -> String {
        String::from_utf8_lossy(&fs::read(self.full(path)).unwrap()).into_owned()
    }

    pub(crate) fn remove(&self, path: impl AsRef<[u8]>) {
        fs::remove_file(self.full(path)).unwrap();
    }

    pub(crate) fn link(&self, target: &str, path: &str) {
        std::os::unix::fs::symlink(target, self.full(path)).unwrap();
    }

    pub(crate) fn chmod(&self, path: &str, mode: u32) {
        fs::set_permissions(self.full(path), fs::Permissions::from_mode(mode)).unwrap();
    }

    pub(crate) fn workspace(&self) -> Workspace {
        discover(&self.engine_git(), &self.root, &self.folders_dir()).unwrap()
    }

    /// Takes a snapshot and checks that nothing of the person's was touched.
    pub(crate) fn snapshot(&self, side: Side, name: &str) -> Snapshot {
        self.snapshot_at(side, name, &Cutoff::open(now()))
    }

    pub(crate) fn snapshot_at(&self, side: Side, name: &str, cutoff: &Cutoff) -> Snapshot {
        let workspace = self.workspace();
        let before = self.everything();
        let git = self.engine_git();
        let frozen = freeze(&git, &workspace, side, cutoff, &self.limits).unwrap();
        let snapshot = keep(
            &git,
            &workspace,
            &frozen,
            &format!("refs/amps/{name}"),
            None,
        )
        .unwrap();
        let after = self.everything();
        for (path, state) in &before {
            assert_eq!(
                after.get(path),
                Some(state),
                "{} was touched",
                path.display()
            );
        }
        assert_eq!(before.len(), after.len(), "something was left behind");
        snapshot
    }

    pub(crate) fn base(&self) -> Snapshot {
        self.snapshot(Side::Base, "base")
    }

    pub(crate) fn end(&self) -> Snapshot {
        self.snapshot(Side::End, "end")
    }

    pub(crate) fn compare(&self, base: &Snapshot, end: &Snapshot) -> Changeset {
        let comparison = Comparison {
            base,
            end,
            started_at: base.taken_at.at,
            changeset_id: ChangesetId::new(Uuid::from_u128(1)),
            run_id: RunId::new(Uuid::from_u128(2)),
        };
        compare(&self.engine_git(), &self.workspace(), &comparison).unwrap()
    }

    /// Takes a snapshot, lets the agent act, takes another, and tells the difference.
    pub(crate) fn run(&self, agent: impl FnOnce(&Self)) -> Changeset {
        let base = self.base();
        agent(self);
        let end = self.end();
        self.compare(&base, &end)
    }

    /// Everything of the working tree and the git directory, but objects and references of ours.
    pub(crate) fn everything(&self) -> BTreeMap<PathBuf, String> {
        let mut all = BTreeMap::new();
        collect(&self.root, &mut all);
        let git_dir = self.try_git(["rev-parse", "--git-common-dir"]).stdout;
        if !git_dir.is_empty() {
            let refs = ["for-each-ref", "--format=%(refname) %(objectname)"];
            let refs: Vec<String> = self
                .git(refs)
                .lines()
                .filter(|line| !line.starts_with("refs/amps/"))
                .map(str::to_owned)
                .collect();
            all.insert("refs".into(), refs.join("\n"));
        }
        all
    }
}

fn collect(folder: &Path, all: &mut BTreeMap<PathBuf, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let full = entry.unwrap().path();
        let metadata = fs::symlink_metadata(&full).unwrap();
        let name = full.to_string_lossy();
        if name.ends_with(".git/objects") {
            let leftovers = temporary(&full);
            assert!(leftovers.is_empty(), "{leftovers:?}");
        } else if name.ends_with(".git/refs/amps") || name.ends_with(".git/reftable") {
            // Ours, or compared through git.
        } else if metadata.is_dir() {
            collect(&full, all);
        } else {
            let content = if metadata.is_file() {
                fs::read(&full).unwrap_or_default()
            } else if metadata.is_symlink() {
                fs::read_link(&full)
                    .unwrap()
                    .as_os_str()
                    .as_bytes()
                    .to_vec()
            } else {
                Vec::new()
            };
            // Git itself marks a shared index as used whenever it is read.
            let is_shared = name.contains("/sharedindex.");
            let state = format!(
                "{:o} {}.{} {:?}",
                metadata.mode(),
                if is_shared { 0 } else { metadata.mtime() },
                if is_shared { 0 } else { metadata.mtime_nsec() },
                path(content)
            );
            all.insert(full, state);
        }
    }
}

fn temporary(objects: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(objects).unwrap() {
        let full = entry.unwrap().path();
        if full.is_dir() {
            found.extend(temporary(&full));
        } else if full.to_string_lossy().contains("tmp_") {
            found.push(full);
        }
    }
    found
}

/// The files of a changeset as `letter path`, a rename as `R old -> new`.
pub(crate) fn listed(changeset: &Changeset) -> Vec<String> {
    let files = changeset.files.iter().map(|file| {
        let letter = file.change.letter();
        match &file.old_path {
            Some(old) => format!("{letter} {old} -> {}", file.path),
            None => format!("{letter} {}", file.path),
        }
    });
    files.collect()
}

/// What a snapshot left out, as `path: reason`.
pub(crate) fn left_out(snapshot: &Snapshot) -> Vec<(String, LeftOutReason)> {
    let left = snapshot.left_out.iter();
    left.map(|left| (left.path.to_string(), left.reason))
        .collect()
}
