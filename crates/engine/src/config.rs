//! `config.yaml` and the variables that override it, merged into one plain value.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use amps_core::capture::CaptureLimits;
use amps_core::checkpoint::CheckpointPolicy;
use amps_core::lease::DEFAULT_TTL;
use amps_core::recording::RecordLimits;
use amps_core::time::parse_duration;
use serde::Deserialize;

pub use self::agents::{AgentConfig, AgentsConfig, Configured};
pub use self::grounds::GroundsConfig;
use self::grounds::{GitSection, TrashSection, WorktreeSection};
use self::record::RecordSection;

mod agents;
mod grounds;
mod record;

/// What a person can set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The time without a sign of life after which an owner that cannot be looked at is given up.
    pub lease_ttl: Duration,
    /// Limits of a capture.
    pub capture: CaptureLimits,
    /// How sessions are held.
    pub hold: HoldConfig,
    /// What is recorded of terminals.
    pub record: RecordConfig,
    /// When checkpoints are taken, and how many are kept.
    pub checkpoint: CheckpointPolicy,
    /// How agents iterate.
    pub agents: AgentsConfig,
    /// How the worktrees of sessions come and go.
    pub grounds: GroundsConfig,
    /// Where the database lies, if not in the home.
    pub database: Option<PathBuf>,
}

/// What is recorded of terminals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordConfig {
    /// Whether every session is recorded whose output passes through us, without being asked.
    pub always: bool,
    /// The bounds of each recording.
    pub limits: RecordLimits,
}

/// The smallest limit of a recording: a screen full of colours has to fit into a part of it.
const LEAST_RECORDING: u64 = 4 << 20;

impl Default for Config {
    fn default() -> Self {
        Self {
            lease_ttl: DEFAULT_TTL,
            capture: CaptureLimits::default(),
            hold: HoldConfig::default(),
            record: RecordConfig::default(),
            checkpoint: CheckpointPolicy::default(),
            agents: AgentsConfig::default(),
            grounds: GroundsConfig::default(),
            database: None,
        }
    }
}

/// How sessions are held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldConfig {
    /// The keys that detach; `None` for none.
    pub detach: Option<String>,
    /// Lines that are kept of what has left the screen.
    pub scrollback: usize,
}

impl Default for HoldConfig {
    fn default() -> Self {
        Self {
            detach: Some("ctrl-\\ d".to_owned()),
            scrollback: 2_000,
        }
    }
}

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The file is not what it should be; the text names the line.
    #[error("{}: {problem}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong, with its line.
        problem: String,
    },
    /// A value is of the wrong form.
    #[error("{key} is {value:?}, expected {expected}")]
    Value {
        /// The key or variable.
        key: String,
        /// The value.
        value: String,
        /// The form that is expected.
        expected: &'static str,
    },
}

/// The variables that override the file, with the keys that they stand for.
pub const VARIABLES: [(&str, &str); 23] = [
    ("AMPSM_DB_PATH", "database.path"),
    ("AMPSM_LEASE_TTL", "lease.ttl"),
    ("AMPSM_CAPTURE_HOLD", "capture.hold"),
    ("AMPSM_CAPTURE_EXIT_HOLD", "capture.exit_hold"),
    ("AMPSM_CAPTURE_MAX_FILE_SIZE", "capture.max_file_size"),
    ("AMPSM_CAPTURE_MAX_FOLDER_FILES", "capture.max_folder_files"),
    ("AMPSM_CAPTURE_MAX_PATCH_SIZE", "capture.max_patch_size"),
    ("AMPSM_HOLD_DETACH", "hold.detach"),
    ("AMPSM_HOLD_SCROLLBACK", "hold.scrollback"),
    ("AMPSM_RECORD", "record.mode"),
    ("AMPSM_RECORD_MAX_SIZE", "record.max_size"),
    ("AMPSM_CHECKPOINT_EVERY", "checkpoint.every"),
    ("AMPSM_CHECKPOINT_MAX", "checkpoint.max"),
    ("AMPSM_AGENT", "agent.default"),
    ("AMPSM_AGENT_TIMEOUT", "agent.timeout"),
    ("AMPSM_AGENT_GRACE", "agent.grace"),
    ("AMPSM_GIT_WORKTREE_DIR", "git.worktree_dir"),
    ("AMPSM_GIT_DEFAULT_BASE_BRANCH", "git.default_base_branch"),
    ("AMPSM_WORKTREE_MAX_COPY", "worktree.max_copy"),
    ("AMPSM_WORKTREE_TIMEOUT", "worktree.timeout"),
    ("AMPSM_WORKTREE_PORTS", "worktree.ports"),
    ("AMPSM_WORKTREE_FIRST_PORT", "worktree.first_port"),
    ("AMPSM_TRASH_KEEP", "trash.keep"),
];

/// The keys of the file that this program acts on. Sections of other features are passed over.
#[derive(Default, Deserialize)]
#[serde(default)]
struct File {
    database: DatabaseSection,
    lease: LeaseSection,
    capture: CaptureSection,
    hold: HoldSection,
    record: RecordSection,
    checkpoint: CheckpointSection,
    agent: AgentSection,
    agents: BTreeMap<String, AgentConfig>,
    git: GitSection,
    worktree: WorktreeSection,
    trash: TrashSection,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct DatabaseSection {
    path: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct LeaseSection {
    ttl: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct CaptureSection {
    hold: Option<String>,
    exit_hold: Option<String>,
    max_file_size: Option<String>,
    max_folder_files: Option<String>,
    max_patch_size: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct HoldSection {
    detach: Option<String>,
    scrollback: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct CheckpointSection {
    every: Option<String>,
    max: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct AgentSection {
    default: Option<String>,
    timeout: Option<String>,
    grace: Option<String>,
}

impl Config {
    /// Reads the file, if there is one, and lets the variables override it.
    pub fn load(path: &Path, variables: &BTreeMap<String, String>) -> Result<Self, ConfigError> {
        let file = read(path)?;
        let values = [
            ("database.path", file.database.path),
            ("lease.ttl", file.lease.ttl),
            ("capture.hold", file.capture.hold),
            ("capture.exit_hold", file.capture.exit_hold),
            ("capture.max_file_size", file.capture.max_file_size),
            ("capture.max_folder_files", file.capture.max_folder_files),
            ("capture.max_patch_size", file.capture.max_patch_size),
            ("hold.detach", file.hold.detach),
            ("hold.scrollback", file.hold.scrollback),
            ("record.mode", file.record.mode),
            ("record.max_size", file.record.max_size),
            ("checkpoint.every", file.checkpoint.every),
            ("checkpoint.max", file.checkpoint.max),
            ("agent.default", file.agent.default),
            ("agent.timeout", file.agent.timeout),
            ("agent.grace", file.agent.grace),
        ];
        let mut config = Self::default();
        config.agents.each = file.agents;
        let sections = (file.git, file.worktree, file.trash);
        let grounds = config.grounds.take(sections);
        for (key, value) in values.into_iter().chain(grounds) {
            let variable = VARIABLES
                .iter()
                .find(|(_, stands_for)| *stands_for == key)
                .and_then(|(name, _)| Some((*name, variables.get(*name)?.clone())));
            let set = variable.or_else(|| value.map(|value| (key, value)));
            if let Some((named, value)) = set {
                config.set(key, named, &value)?;
            }
        }
        Ok(config)
    }

    fn set(&mut self, key: &str, named: &str, value: &str) -> Result<(), ConfigError> {
        let wrong = |expected| ConfigError::Value {
            key: named.to_owned(),
            value: value.to_owned(),
            expected,
        };
        let duration =
            || parse_duration(value).ok_or_else(|| wrong("a duration such as 30s or 500ms"));
        let size = || parse_size(value).ok_or_else(|| wrong("a size such as 4MiB"));
        if let Some(set) = self.grounds.set(key, value) {
            return set.map_err(wrong);
        }
        match key {
            "database.path" => self.database = Some(PathBuf::from(value)),
            "lease.ttl" => {
                self.lease_ttl = duration()?;
                if self.lease_ttl < Duration::from_secs(1) {
                    return Err(wrong("at least one second"));
                }
            }
            "agent.default" => self.agents.default = Some(value.trim().to_owned()),
            "agent.timeout" => self.agents.timeout = duration()?,
            "agent.grace" => self.agents.grace = duration()?,
            "capture.hold" => self.capture.hold = duration()?,
            "capture.exit_hold" => self.capture.exit_hold = duration()?,
            "capture.max_file_size" => self.capture.max_file_size = size()?,
            "capture.max_folder_files" => {
                let expected = "a number of files";
                self.capture.max_folder_files = value.parse().map_err(|_| wrong(expected))?;
            }
            "hold.detach" => {
                let keys = value.trim();
                self.hold.detach = (keys != "none").then(|| keys.to_owned());
            }
            "hold.scrollback" => {
                let expected = "a number of lines";
                self.hold.scrollback = value.parse().map_err(|_| wrong(expected))?;
            }
            "record.mode" => {
                self.record.always = match value {
                    "always" => true,
                    "never" => false,
                    _ => return Err(wrong("`always` or `never`")),
                };
            }
            "record.max_size" => {
                self.record.limits.max_size = size()?;
                if self.record.limits.max_size < LEAST_RECORDING {
                    return Err(wrong("at least 4MiB"));
                }
            }
            "checkpoint.every" if value.trim() == "off" => self.checkpoint.every = None,
            "checkpoint.every" => {
                let every =
                    parse_duration(value).ok_or_else(|| wrong("a duration such as 5m, or off"))?;
                self.checkpoint.every = Some(every).filter(|every| !every.is_zero());
            }
            "checkpoint.max" => {
                let most = value.parse().ok().filter(|most| *most > 0);
                self.checkpoint.most = most.ok_or_else(|| wrong("a number from 1"))?;
            }
            _ => {
                let bytes = usize::try_from(size()?).map_err(|_| wrong("a smaller size"))?;
                self.capture.max_patch_size = bytes;
            }
        }
        Ok(())
    }
}

fn read(path: &Path) -> Result<File, ConfigError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        // Below something that is no folder there is no file either.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(File::default());
        }
        Err(source) => {
            return Err(ConfigError::Read {
                path: path.to_owned(),
                source,
            });
        }
    };
    if text.trim().is_empty() {
        return Ok(File::default());
    }
    serde_saphyr::from_str(&text).map_err(|error| ConfigError::Malformed {
        path: path.to_owned(),
        problem: error.to_string(),
    })
}

/// Reads a number of bytes: `4096`, `64KiB`, `4MiB`, `1GiB`.
fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let scale = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.yaml");
        crate::files::replace(&path, text.as_bytes(), 0o644).unwrap();
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Config::load(&path, &variables)
    }

    #[test]
    fn no_file_and_an_empty_file_are_the_defaults() {
        let nowhere = Path::new("/nonexistent/config.yaml");
        assert_eq!(
            Config::load(nowhere, &BTreeMap::new()).unwrap(),
            Config::default()
        );
        assert_eq!(load("\n", &[]).unwrap(), Config::default());
    }

    #[test]
    fn a_variable_overrides_the_file_and_foreign_sections_are_passed_over() {
        let text = "lease:\n  ttl: 10s\ncapture:\n  max_file_size: 1MiB\n  max_folder_files: 500\nui:\n  theme: gruvbox\n";
        let config = load(text, &[("AMPSM_LEASE_TTL", "90s")]).unwrap();
        assert_eq!(config.lease_ttl, Duration::from_secs(90));
        assert_eq!(config.capture.max_file_size, 1 << 20);
        assert_eq!(config.capture.max_folder_files, 500);
    }

    #[test]
    fn what_is_recorded_is_one_word_or_a_section() {
        assert!(!load("", &[]).unwrap().record.always);
        assert!(load("record: always\n", &[]).unwrap().record.always);
        let text = "record:\n  mode: always\n  max_size: 8MiB\n";
        let record = load(text, &[]).unwrap().record;
        assert!(record.always);
        assert_eq!(record.limits.max_size, 8 << 20);
        let never = load("record: always\n", &[("AMPSM_RECORD", "never")]);
        assert!(!never.unwrap().record.always);
        for (text, told) in [
            ("record: sometimes\n", "record.mode"),
            ("record:\n  max_size: 1MiB\n", "at least 4MiB"),
            ("record:\n  mod: always\n", "line 2"),
            ("record: [always]\n", "line 1"),
        ] {
            let error = load(text, &[]).unwrap_err().to_string();
            assert!(error.contains(told), "{text:?}: {error}");
        }
    }

    #[test]
    fn checkpoints_by_time_can_be_turned_off() {
        let every = |text: &str| load("", &[("AMPSM_CHECKPOINT_EVERY", text)]);
        for off in ["off", "0", "0s"] {
            assert_eq!(every(off).unwrap().checkpoint.every, None, "{off}");
        }
        let minute = Some(Duration::from_secs(60));
        assert_eq!(every("1m").unwrap().checkpoint.every, minute);
        assert!(every("never").is_err());
        let config = load("checkpoint:\n  every: off\n  max: 7\n", &[]).unwrap();
        assert_eq!(config.checkpoint.every, None);
        assert_eq!(config.checkpoint.most, 7);
        assert!(load("checkpoint:\n  max: 0\n", &[]).is_err());
    }

    #[test]
    fn where_worktrees_are_and_what_they_get_is_set() {
        let text = "git:\n  worktree_dir: trees/mine\n  commit_prefix: 'x:'\nworktree:\n  ports: 5\n  \
                    copy: ['*.env']\n  setup: [make]\ntrash:\n  keep: 7d\n";
        let grounds = load(text, &[("AMPSM_WORKTREE_PORTS", "0")])
            .unwrap()
            .grounds;
        assert_eq!(grounds.worktree_dir, Path::new("trees/mine"));
        assert_eq!(grounds.furnish.ports, 0);
        assert_eq!(grounds.furnish.copy, ["*.env"]);
        assert_eq!(grounds.trash_keep, Duration::from_secs(7 * 86_400));
        for (text, told) in [
            ("git:\n  worktree_dir: ../out\n", "git.worktree_dir"),
            ("git:\n  worktree_dir: ''\n", "git.worktree_dir"),
            ("worktree:\n  first_port: 80\n", "from 1024"),
            ("worktree:\n  port: 80\n", "line 2"),
        ] {
            let error = load(text, &[]).unwrap_err().to_string();
            assert!(error.contains(told), "{text:?}: {error}");
        }
    }

    #[test]
    fn mistakes_name_their_place() {
        let unknown = load("lease:\n  tll: 10s\n", &[]).unwrap_err().to_string();
        assert!(
            unknown.contains("line 2") && unknown.contains("tll"),
            "{unknown}"
        );
        let value = load("", &[("AMPSM_LEASE_TTL", "soon")])
            .unwrap_err()
            .to_string();
        assert!(
            value.contains("AMPSM_LEASE_TTL") && value.contains("soon"),
            "{value}"
        );
        assert!(load("lease: [", &[]).is_err());
        assert!(load("lease:\n  ttl: 1ms\n", &[]).is_err());
    }
}
