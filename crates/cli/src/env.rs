//! The only reader of the environment. Every variable that amps knows is in [`NAMES`].

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::time::Duration;

use amps_core::environment::ALLOWED;
use amps_core::path::RawPath;
use amps_core::time::parse_duration;
use amps_engine::agent;
use amps_engine::config::VARIABLES;

/// Moves the home.
pub(crate) const CONFIG_DIR: &str = "AMPSM_CONFIG_DIR";
/// Moves the database.
const DB_PATH: &str = "AMPSM_DB_PATH";
/// How much the daemon logs.
pub(crate) const LOG_LEVEL: &str = "AMPSM_LOG_LEVEL";

/// The variables that tell git where the repository is.
const GIT: [&str; 4] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_COMMON_DIR",
    "GIT_CEILING_DIRECTORIES",
];

/// What a daemon is given of its starter's environment: nothing that could hold a secret.
const DAEMON: [&str; 12] = [
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_NOSYSTEM",
    "GIT_EXEC_PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "LOGNAME",
    "PATH",
    "TMPDIR",
    "USER",
    "XDG_CONFIG_HOME",
    "XDG_RUNTIME_DIR",
];

/// The variables that amps reads, with what each does; the reference is made of this.
pub(crate) const NAMES: [(&str, &str); 25] = [
    (CONFIG_DIR, "the home, instead of `~/.ampsm`"),
    (
        LOG_LEVEL,
        "how much the daemon logs: error, warn, info, debug, trace",
    ),
    (
        "AMPSM_DB_PATH",
        "the database, instead of `sessions.db` in the home",
    ),
    ("AMPSM_LEASE_TTL", "overrides `lease.ttl`"),
    ("AMPSM_CAPTURE_HOLD", "overrides `capture.hold`"),
    ("AMPSM_CAPTURE_EXIT_HOLD", "overrides `capture.exit_hold`"),
    (
        "AMPSM_CAPTURE_MAX_FILE_SIZE",
        "overrides `capture.max_file_size`",
    ),
    (
        "AMPSM_CAPTURE_MAX_FOLDER_FILES",
        "overrides `capture.max_folder_files`",
    ),
    (
        "AMPSM_CAPTURE_MAX_PATCH_SIZE",
        "overrides `capture.max_patch_size`",
    ),
    ("AMPSM_HOLD_DETACH", "overrides `hold.detach`"),
    ("AMPSM_HOLD_SCROLLBACK", "overrides `hold.scrollback`"),
    ("AMPSM_RECORD", "overrides `record`: `always` or `never`"),
    ("AMPSM_RECORD_MAX_SIZE", "overrides `record.max_size`"),
    ("AMPSM_CHECKPOINT_EVERY", "overrides `checkpoint.every`"),
    ("AMPSM_CHECKPOINT_MAX", "overrides `checkpoint.max`"),
    ("AMPSM_AGENT", "overrides `agent.default`"),
    ("AMPSM_AGENT_TIMEOUT", "overrides `agent.timeout`"),
    ("AMPSM_AGENT_GRACE", "overrides `agent.grace`"),
    ("AMPSM_GIT_WORKTREE_DIR", "overrides `git.worktree_dir`"),
    (
        "AMPSM_GIT_DEFAULT_BASE_BRANCH",
        "overrides `git.default_base_branch`",
    ),
    ("AMPSM_WORKTREE_MAX_COPY", "overrides `worktree.max_copy`"),
    ("AMPSM_WORKTREE_TIMEOUT", "overrides `worktree.timeout`"),
    ("AMPSM_WORKTREE_PORTS", "overrides `worktree.ports`"),
    (
        "AMPSM_WORKTREE_FIRST_PORT",
        "overrides `worktree.first_port`",
    ),
    ("AMPSM_TRASH_KEEP", "overrides `trash.keep`"),
];

/// Returns whether a variable ties git to one repository.
fn is_tie_of_git(name: &OsStr) -> bool {
    const TIES: [&str; 6] = [
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_INDEX_FILE",
        "GIT_NAMESPACE",
        "GIT_OBJECT_DIRECTORY",
        "GIT_PREFIX",
        "GIT_REFLOG_ACTION",
    ];
    GIT.iter().chain(&TIES).any(|tie| name == *tie)
}

/// The environment of this process, read once.
#[derive(Debug)]
pub(crate) struct Environment {
    variables: BTreeMap<OsString, OsString>,
}

impl Environment {
    #[expect(
        clippy::disallowed_methods,
        reason = "this file is the reader of the environment"
    )]
    pub(crate) fn read() -> Self {
        Self {
            variables: std::env::vars_os().collect(),
        }
    }

    /// Takes the environment that another process was started with: entries with a zero byte
    /// between.
    pub(crate) fn of_process(entries: &[u8]) -> Self {
        let split = |entry: &[u8]| {
            let equals = entry.iter().position(|byte| *byte == b'=')?;
            let (name, value) = (entry.get(..equals)?, entry.get(equals + 1..)?);
            let owned = |bytes: &[u8]| OsStr::from_bytes(bytes).to_owned();
            Some((owned(name), owned(value)))
        };
        Self {
            variables: entries.split(|byte| *byte == 0).filter_map(split).collect(),
        }
    }

    fn text(&self, name: &str) -> Option<String> {
        self.os(name)?.to_str().map(str::to_owned)
    }

    fn os(&self, name: &str) -> Option<&OsStr> {
        self.variables
            .get(OsStr::new(name))
            .map(OsString::as_os_str)
            .filter(|v| !v.is_empty())
    }

    /// Returns the folder of the home, if the environment tells one.
    pub(crate) fn home(&self) -> Option<PathBuf> {
        if let Some(folder) = self.os(CONFIG_DIR) {
            return std::path::absolute(folder).ok();
        }
        self.user_home().map(|home| home.join(".ampsm"))
    }

    /// Returns the person's home folder.
    pub(crate) fn user_home(&self) -> Option<PathBuf> {
        self.os("HOME").map(PathBuf::from)
    }

    /// Returns the folder for a person's own configuration of other programs.
    pub(crate) fn xdg_config_home(&self) -> Option<PathBuf> {
        self.os("XDG_CONFIG_HOME").map(PathBuf::from)
    }

    /// Returns where programs are looked for.
    pub(crate) fn path(&self) -> OsString {
        self.os("PATH")
            .map_or_else(|| OsString::from("/usr/bin:/bin"), OsStr::to_owned)
    }

    /// Returns how much the daemon logs.
    pub(crate) fn log_level(&self) -> Option<String> {
        self.text(LOG_LEVEL)
    }

    /// Returns the ttl for a lease of this process; a value that is wrong is the daemon's to name.
    pub(crate) fn lease_ttl(&self) -> Option<Duration> {
        parse_duration(&self.text("AMPSM_LEASE_TTL")?).filter(|ttl| *ttl >= Duration::from_secs(1))
    }

    /// Returns the variables that override the configuration.
    pub(crate) fn overrides(&self) -> BTreeMap<String, String> {
        VARIABLES
            .iter()
            .filter_map(|(name, _)| Some(((*name).to_owned(), self.text(name)?)))
            .collect()
    }

    /// Returns the variables that a record may keep.
    pub(crate) fn allowed(&self) -> BTreeMap<String, String> {
        ALLOWED
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), self.text(name)?)))
            .collect()
    }

    /// Returns the session that this process runs in.
    pub(crate) fn session(&self) -> Option<String> {
        self.text(amps_engine::process::SESSION_VARIABLE)
    }

    /// Returns where an agent that is known keeps its transcripts.
    pub(crate) fn transcripts(&self, agent: &str) -> Option<RawPath> {
        let variable = |name: &str| self.os(name).map(OsStr::to_owned);
        let folder = agent::named(agent)?.transcripts()?.folder(&variable)?;
        let folder = std::path::absolute(folder).ok()?;
        Some(RawPath::new(folder.as_os_str().as_bytes()))
    }

    /// Returns the variables that tell git where the repository is.
    pub(crate) fn git(&self) -> BTreeMap<String, String> {
        GIT.iter()
            .filter_map(|name| Some(((*name).to_owned(), self.text(name)?)))
            .collect()
    }

    /// Returns the variables that select git's own configuration.
    pub(crate) fn git_configuration(&self) -> Vec<(OsString, OsString)> {
        ["GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM", "GIT_EXEC_PATH"]
            .iter()
            .filter_map(|name| Some((OsString::from(name), self.os(name)?.to_owned())))
            .collect()
    }

    /// Returns the folder in which services of this person listen.
    pub(crate) fn runtime_folder(&self) -> Option<PathBuf> {
        self.os("XDG_RUNTIME_DIR").map(PathBuf::from)
    }

    /// Returns the person's name.
    pub(crate) fn user(&self) -> Option<OsString> {
        self.os("USER").map(OsStr::to_owned)
    }

    /// Returns what kind of terminal there is, if it is one that can do something.
    pub(crate) fn terminal_kind(&self) -> Option<String> {
        self.text("TERM").filter(|kind| kind != "dumb")
    }

    /// Returns a variable that an agent is started with.
    pub(crate) fn variable(&self, name: &str) -> Option<OsString> {
        self.os(name).map(OsStr::to_owned)
    }

    /// Returns what the agent of an iteration is given, and its gate: everything but what says that
    /// the repository is another, or that the session is.
    pub(crate) fn for_iteration(&self) -> Vec<(OsString, OsString)> {
        let is_of_another =
            |name: &OsStr| name == amps_engine::process::SESSION_VARIABLE || is_tie_of_git(name);
        let own = self.variables.iter();
        own.filter(|(name, _)| !is_of_another(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }

    /// Returns what a daemon is started with.
    pub(crate) fn for_daemon(&self) -> Vec<(OsString, OsString)> {
        let ours = self.variables.iter().filter(|(name, _)| {
            name.to_str().is_some_and(|name| {
                name.starts_with("AMPSM_") && name != amps_engine::process::SESSION_VARIABLE
                    || DAEMON.contains(&name)
            })
        });
        // The daemon works in the root folder: what is relative means nothing there.
        let whole = |name: &OsString, value: &OsString| {
            let is_path = [CONFIG_DIR, DB_PATH].iter().any(|path| name == path);
            let path = is_path.then(|| std::path::absolute(value).ok()).flatten();
            path.map_or_else(|| value.clone(), PathBuf::into_os_string)
        };
        ours.map(|(name, value)| (name.clone(), whole(name, value)))
            .collect()
    }

    /// Returns the clocks: the machine's, or those that a test has set.
    #[cfg_attr(
        not(feature = "testing"),
        expect(
            clippy::unused_self,
            reason = "only tests set clocks by the environment"
        )
    )]
    pub(crate) fn clock(&self) -> amps_engine::clock::Clock {
        amps_engine::clock::Clock {
            #[cfg(feature = "testing")]
            offsets: self.os("AMPSM_TEST_CLOCK").map(PathBuf::from),
        }
    }
}

/// Returns the command line.
pub(crate) fn arguments() -> Vec<OsString> {
    std::env::args_os().collect()
}

/// Returns this program's own file.
pub(crate) fn own_program() -> PathBuf {
    std::env::current_exe().unwrap_or_else(|_| PathBuf::from("/proc/self/exe"))
}

/// Returns the folder that this process works in, as far as it can be told.
pub(crate) fn current_folder() -> Option<PathBuf> {
    std::env::current_dir().ok()
}
