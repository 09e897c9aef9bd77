//! Finding the daemon of a home, and starting one when there is none.

use std::ffi::OsString;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use amps_core::process::{Activity, Sighting};
use amps_engine::exec::{ExecError, start_detached};
use amps_engine::files::{FileError, Lock, LockState, lock_state, pause};
use amps_engine::home::Home;
use amps_engine::process;
use amps_proto::client::{Client, ClientError};
use amps_proto::request::Request;
use amps_proto::version::Hello;

use amps_engine::socket;

/// Between looks for a socket that is about to appear.
const LOOK: Duration = Duration::from_millis(2);

/// What a look for the daemon found.
#[derive(Debug)]
pub enum Probe {
    /// It listens. Whether it understands us shows with its first answer.
    Listening(UnixStream),
    /// Nobody listens: there is no socket, or one that a dead daemon left.
    Absent,
    /// It cannot be told.
    Unreachable(io::Error),
}

/// Starts a daemon on demand.
#[derive(Debug)]
pub struct Starter<'a> {
    /// Whose daemon.
    pub home: &'a Home,
    /// This program.
    pub program: PathBuf,
    /// The variables that the daemon is given.
    pub variables: Vec<(OsString, OsString)>,
    /// How long to wait for it.
    pub deadline: Duration,
}

/// There is no daemon to be had.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The home cannot be used.
    #[error(transparent)]
    Home(#[from] FileError),
    /// The program could not be started.
    #[error(transparent)]
    Exec(#[from] ExecError),
    /// It ended before it listened.
    #[error("the daemon ended at once; its log is {}", log.display())]
    Ended {
        /// The log.
        log: PathBuf,
    },
    /// It did not listen in time.
    #[error("the daemon did not listen within {} ms", deadline.as_millis())]
    Slow {
        /// How long it was waited for.
        deadline: Duration,
    },
    /// The socket cannot be reached.
    #[error("the socket of the daemon cannot be reached")]
    Socket(#[from] io::Error),
    /// Another version serves the home and does not stop.
    #[error("the daemon is version {} and does not stop for this one", .0.version)]
    Foreign(Hello),
}

/// Looks for the daemon of a home.
pub fn probe(home: &Home) -> Probe {
    match socket::connect(&home.socket()) {
        Ok(stream) => Probe::Listening(stream),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound
                    | io::ErrorKind::NotADirectory
                    | io::ErrorKind::ConnectionRefused
            ) =>
        {
            Probe::Absent
        }
        Err(error) => Probe::Unreachable(error),
    }
}

impl Starter<'_> {
    /// Connects to the daemon, starting one if there is none.
    pub fn connect_or_start(&self) -> Result<UnixStream, StartError> {
        match probe(self.home) {
            Probe::Listening(stream) => Ok(stream),
            Probe::Unreachable(error) => Err(error.into()),
            Probe::Absent => self.start(),
        }
    }

    /// Asks a daemon of another version to end, and starts this one in its place.
    pub fn replace(&self, foreign: Hello) -> Result<UnixStream, StartError> {
        let until = Instant::now() + self.deadline;
        if let Probe::Listening(stream) = probe(self.home) {
            let mut client = Client::new(stream, std::process::id()).map_err(io_error)?;
            client.tell(Request::Stop).map_err(io_error)?;
        }
        while Instant::now() < until {
            if let Probe::Absent = probe(self.home) {
                return self.start();
            }
            pause(LOOK);
        }
        Err(StartError::Foreign(foreign))
    }

    /// Starts a daemon under the start lock, so that many launchers at once start one, and waits
    /// until it listens.
    fn start(&self) -> Result<UnixStream, StartError> {
        self.home.create()?;
        let until = Instant::now() + self.deadline;
        let mut lock = None;
        let mut started = None;
        loop {
            // One that ended without listening may have found another daemon: the look comes
            // after the question.
            let ended = started.is_some_and(|pid| has_ended(process::sight(pid)));
            match probe(self.home) {
                Probe::Listening(stream) => return Ok(stream),
                Probe::Unreachable(error) => return Err(error.into()),
                Probe::Absent
                    if ended && lock_state(&self.home.daemon_lock()) == LockState::Held =>
                {
                    // Another daemon holds the home: it is about to listen, or about to end.
                    started = None;
                }
                Probe::Absent if ended => {
                    return Err(StartError::Ended {
                        log: self.home.log(),
                    });
                }
                Probe::Absent => {}
            }
            if Instant::now() >= until {
                return Err(StartError::Slow {
                    deadline: self.deadline,
                });
            }
            if lock.is_none() {
                // With the lock in hand the next look is the one that counts.
                lock = Lock::try_take(&self.home.start_lock())?;
                if lock.is_some() {
                    continue;
                }
            } else if started.is_none() {
                started = Some(self.spawn()?);
            }
            pause(LOOK);
        }
    }

    fn spawn(&self) -> Result<u32, StartError> {
        crate::log::rotate(&self.home.log());
        let messenger = ["daemon", "run", "--detached"];
        Ok(start_detached(
            &self.program,
            &messenger,
            &self.variables,
            &self.home.log(),
        )?)
    }
}

fn has_ended(sighting: Sighting) -> bool {
    match sighting {
        Sighting::Gone => true,
        Sighting::Present { activity, .. } => activity == Activity::Ended,
        Sighting::Unknown => false,
    }
}

fn io_error(error: ClientError) -> io::Error {
    io::Error::other(error)
}
