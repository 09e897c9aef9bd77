//! A sealed home: the folder and the environment in which the processes of one test live.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use crate::command::Cmd;
use crate::daemon::Daemon;
use crate::pause::PausePoint;
use crate::process::{self, Stat};
use crate::redact::Redactor;
use crate::repo::Repo;
use crate::shell::Shell;
use crate::{fake_agent, wait};

/// How long processes may take to end by themselves when a test is over.
const GRACE: Duration = Duration::from_secs(5);

/// A sealed home.
///
/// When it is dropped it stops its daemon, ends every process it started, and removes its folder.
/// A process other than the daemon that has to be ended then is a leak: the drop reports it by a
/// panic, unless [`end_all`](Self::end_all) was called before. `AMPS_TEST_KEEP=1` keeps the folder.
#[derive(Debug)]
pub struct Home {
    folder: Option<TempDir>,
    root: PathBuf,
    amps: Option<PathBuf>,
    redactor: Arc<Redactor>,
    env: Vec<(OsString, OsString)>,
}

impl Default for Home {
    fn default() -> Self {
        Self::new()
    }
}

impl Home {
    /// Makes a home without the product.
    pub fn new() -> Self {
        // The path is short because that of a socket ends at about 104 bytes.
        let folder = tempfile::Builder::new()
            .prefix("a")
            .rand_bytes(5)
            .tempdir_in("/tmp")
            .unwrap();
        let root = folder.path().canonicalize().unwrap();
        for name in ["home", "h", "bin", "run", "tmp", "pause"] {
            fs::create_dir(root.join(name)).unwrap();
        }
        for name in ["h", "run"] {
            fs::set_permissions(root.join(name), fs::Permissions::from_mode(0o700)).unwrap();
        }
        fs::write(root.join("home/.gitconfig"), GIT_CONFIG).unwrap();
        Self {
            folder: Some(folder),
            amps: None,
            redactor: Arc::new(Redactor::new(&root)),
            env: environment(&root),
            root,
        }
    }

    /// Makes a home for the product whose program lies at this path.
    pub fn with_amps(program: impl AsRef<Path>) -> Self {
        let mut home = Self::new();
        home.use_amps(program);
        home
    }

    /// Takes the program at this path for the product from now on.
    pub fn use_amps(&mut self, program: impl AsRef<Path>) {
        self.amps = Some(program.as_ref().to_owned());
    }

    /// Returns the folder of all, such as `/tmp/aXXXXX`.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns a path below the root.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.root.join(name)
    }

    /// Returns `HOME`.
    pub fn home_dir(&self) -> PathBuf {
        self.path("home")
    }

    /// Returns the folder of the product's record, `AMPSM_CONFIG_DIR`.
    pub fn config_dir(&self) -> PathBuf {
        self.path("h")
    }

    /// Returns the folder that comes first in `PATH`.
    pub fn bin_dir(&self) -> PathBuf {
        self.path("bin")
    }

    /// Sets a variable for all commands that are built from now on.
    pub fn set_env(&mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) {
        let name = name.as_ref().to_owned();
        self.env.retain(|(known, _)| *known != name);
        self.env.push((name, value.as_ref().to_owned()));
    }

    /// Returns the text with all replaced that differs between runs.
    pub fn redact(&self, text: &str) -> String {
        self.redactor.redact(text)
    }

    /// Builds a command of the product.
    #[track_caller]
    pub fn amps<I: IntoIterator<Item: AsRef<OsStr>>>(&self, args: I) -> Cmd {
        let Some(program) = &self.amps else {
            panic!("this home was made without the product");
        };
        self.command(program, args)
    }

    /// Builds a command of another program, looked up in the sealed `PATH`.
    pub fn command<I: IntoIterator<Item: AsRef<OsStr>>>(
        &self,
        program: impl AsRef<OsStr>,
        args: I,
    ) -> Cmd {
        let command = Cmd::new(&self.root, &self.redactor, program.as_ref());
        let command = self.env.iter().fold(command, |c, (n, v)| c.env(n, v));
        command.args(args)
    }

    /// Returns the path of the scripted agent.
    pub fn fake_agent_path(&self) -> &'static Path {
        fake_agent::path()
    }

    /// Builds a command of the scripted agent. See its source for the verbs.
    pub fn fake_agent<I: IntoIterator<Item: AsRef<OsStr>>>(&self, lines: I) -> Cmd {
        self.command(fake_agent::path(), lines)
    }

    /// Installs the scripted agent under a name such as `claude`. It follows the script whatever
    /// its arguments are, and answers `--version`.
    pub fn install_agent(&self, name: &str, lines: &[&str]) -> PathBuf {
        let program = self.bin_dir().join(name);
        fs::write(program.with_extension("script"), lines.join("\n")).unwrap();
        if !program.exists() && fs::hard_link(fake_agent::path(), &program).is_err() {
            let copy = self.command("cp", [fake_agent::path(), &program]);
            drop(copy.run().ok());
        }
        program
    }

    /// Installs a shell script into the folder that comes first in `PATH`.
    pub fn install_script(&self, name: &str, text: &str) -> PathBuf {
        let program = self.bin_dir().join(name);
        // Written by another process: while this one has it open for writing, so has for a moment
        // every child that another test starts, and a program that is open cannot be started.
        let write = ["-c", "cat > \"$0\" && chmod 755 \"$0\""];
        let write = self.command("sh", write).arg(&program);
        drop(write.stdin(format!("#!/bin/sh\n{text}\n")).run().ok());
        program
    }

    /// Makes a folder below the user's home.
    pub fn folder(&self, name: &str) -> PathBuf {
        let folder = self.home_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// Makes a git repository with one commit below the user's home.
    pub fn repo(&self, name: &str) -> Repo {
        let repo = Repo::init(self, &self.folder(name));
        repo.write("README.md", "one\n");
        repo.commit("first");
        repo
    }

    /// Makes a git repository without any commit below the user's home.
    pub fn empty_repo(&self, name: &str) -> Repo {
        Repo::init(self, &self.folder(name))
    }

    /// Returns the daemon of this home, running or not.
    pub fn daemon(&self) -> Daemon<'_> {
        Daemon::new(self)
    }

    /// Names a point at which a binary with the feature `testing` stops.
    pub fn pause_point(&self, name: &str) -> PausePoint {
        PausePoint::new(&self.path("pause"), name)
    }

    /// Starts an interactive shell on a terminal.
    #[track_caller]
    pub fn shell(&self, folder: impl AsRef<Path>) -> Shell {
        Shell::start(self, folder.as_ref())
    }

    /// Returns the living processes of this home.
    pub fn processes(&self) -> Vec<Stat> {
        process::of_home(&self.root)
    }

    /// Ends every process of this home by SIGKILL and returns what was ended.
    pub fn end_all(&self) -> Vec<Stat> {
        process::end_all(&self.root, |_| true)
    }

    fn stop_daemon(&self) {
        if self.amps.is_none() || !self.daemon().is_alive() {
            return;
        }
        // Its answer does not matter here: what still runs is found below.
        let stopping = self.amps(["daemon", "stop"]).start();
        process::open(stopping.pid()).map(|handle| process::ended_within(&handle, GRACE));
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        self.stop_daemon();
        let grace = if std::thread::panicking() {
            Duration::ZERO
        } else {
            GRACE
        };
        wait::within(grace, || self.processes().is_empty().then_some(()));
        let names: Vec<(i32, String)> = (self.processes().iter())
            .map(|stat| (stat.pid, process::command_line(stat.pid)))
            .collect();
        let leaked = self.end_all();
        if let Some(folder) = self.folder.take() {
            if std::env::var_os("AMPS_TEST_KEEP").is_some() {
                drop(folder.keep());
            } else if folder.close().is_err() {
                make_removable(&self.root);
                fs::remove_dir_all(&self.root).ok();
            }
        }
        assert!(
            leaked.is_empty() || std::thread::panicking(),
            "processes were left behind: {leaked:#?}\n{names:#?}"
        );
    }
}

/// Makes folders writable that a test made read-only.
fn make_removable(folder: &Path) {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).ok();
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            make_removable(&entry.path());
        }
    }
}

const GIT_CONFIG: &str = "\
[init]
	defaultBranch = main
[gc]
	auto = 0
[maintenance]
	auto = false
";

fn environment(root: &Path) -> Vec<(OsString, OsString)> {
    let home = root.join("home");
    let path = format!(
        "{}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        root.join("bin").display()
    );
    let mut env: Vec<(OsString, OsString)> = [
        ("PATH", path.as_str()),
        ("TERM", "xterm-256color"),
        ("LC_ALL", "C.UTF-8"),
        ("TZ", "UTC"),
        ("SHELL", "/bin/bash"),
        ("USER", "tester"),
        ("LOGNAME", "tester"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_ALLOW_PROTOCOL", "file"),
        ("GIT_TERMINAL_PROMPT", "0"),
        ("GIT_AUTHOR_NAME", "A Tester"),
        ("GIT_AUTHOR_EMAIL", "tester@example.com"),
        ("GIT_AUTHOR_DATE", "2001-02-03T04:05:06Z"),
        ("GIT_COMMITTER_NAME", "A Tester"),
        ("GIT_COMMITTER_EMAIL", "tester@example.com"),
        ("GIT_COMMITTER_DATE", "2001-02-03T04:05:06Z"),
        // On a loaded machine the usual hold ends before the base is taken, and records say so.
        ("AMPSM_CAPTURE_HOLD", "20s"),
    ]
    .map(|(name, value)| (name.into(), value.into()))
    .to_vec();
    let folders = [
        (process::MARK, root.to_owned()),
        ("AMPSM_CONFIG_DIR", root.join("h")),
        ("TMPDIR", root.join("tmp")),
        ("XDG_RUNTIME_DIR", root.join("run")),
        ("XDG_CACHE_HOME", home.join(".cache")),
        ("XDG_CONFIG_HOME", home.join(".config")),
        ("XDG_DATA_HOME", home.join(".local/share")),
        ("XDG_STATE_HOME", home.join(".local/state")),
        ("HOME", home),
    ];
    env.extend(folders.map(|(name, value)| (name.into(), value.into())));
    env
}
