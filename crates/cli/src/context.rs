//! What every command needs to know of the world.

use amps_core::error::ErrorCode;
use amps_engine::capture::Memory;
use amps_engine::clock::Clock;
use amps_engine::config::{Config, HoldConfig, RecordConfig};
use amps_engine::git::Environment as GitEnvironment;
use amps_engine::home::Home;
use amps_engine::ops::capture_run::Tools;
use amps_host::{Chord, InvalidChord};
use amps_proto::fault::Fault;

use crate::env::Environment;
use crate::error::Failure;

/// The environment and the clocks of this process.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) environment: Environment,
    pub(crate) clock: Clock,
}

impl Context {
    pub(crate) fn new(environment: Environment) -> Self {
        let clock = environment.clock();
        Self { environment, clock }
    }

    /// Returns the home; its database may be elsewhere by the configuration.
    pub(crate) fn home(&self) -> Result<Home, Failure> {
        let folder = self.environment.home().ok_or_else(|| {
            Fault::new(ErrorCode::HomeNotWritable, "there is no home folder")
                .hint("set HOME, or AMPSM_CONFIG_DIR to a folder of its own")
        })?;
        Ok(Home::new(folder, None))
    }

    /// Returns the home and what a person has set in it.
    pub(crate) fn configured(&self) -> Result<(Home, Config), Failure> {
        let home = self.home()?;
        let config = Config::load(&home.config(), &self.environment.overrides())
            .map_err(|error| Failure::of(ErrorCode::ConfigInvalid, &error))?;
        let home = Home::new(home.folder().to_owned(), config.database.clone());
        Ok((home, config))
    }

    /// Returns how a host holds and records its session. What is wrong with the configuration keeps
    /// no agent from running; who started the host has said it.
    pub(crate) fn hold_config(&self) -> (HoldConfig, RecordConfig) {
        self.configured()
            .map(|(_, config)| (config.hold, config.record))
            .unwrap_or_default()
    }

    /// Returns the keys that detach.
    pub(crate) fn chord(&self) -> Result<Option<Chord>, Failure> {
        let (_, config) = self.configured()?;
        let chord = config.hold.detach.as_deref().map(str::parse).transpose();
        chord.map_err(|error: InvalidChord| {
            let mut fault = Fault::new(ErrorCode::ConfigInvalid, "`hold.detach` names no keys");
            fault.causes.push(error.to_string());
            fault
                .hint("write keys such as `ctrl-a d`, or `none`")
                .into()
        })
    }

    /// Returns what git is given to run with.
    pub(crate) fn git_environment(&self) -> GitEnvironment {
        GitEnvironment {
            path: self.environment.path(),
            home: self.environment.user_home(),
            xdg_config_home: self.environment.xdg_config_home(),
            passed: self.environment.git_configuration(),
        }
    }

    /// Returns what captures in this process need.
    pub(crate) fn capture_tools(&self) -> Result<Tools, Failure> {
        let (home, config) = self.configured()?;
        Ok(Tools {
            environment: self.git_environment(),
            folders: home.folders(),
            limits: config.capture,
            memory: Memory::default(),
        })
    }
}
