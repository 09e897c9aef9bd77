//! The daemon's life: one per home, from its lock to its last written state.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use amps_engine::capture::Memory;
use amps_engine::clock::Clock;
use amps_engine::config::Config;
use amps_engine::files::{self, FileError, Lock, OwnFile};
use amps_engine::git::Environment;
use amps_engine::home::Home;
use amps_engine::ledger::LedgerError;
use amps_engine::ledger::damage::open_or_recover;
use amps_engine::ledger::log::LogKeeper;
use amps_engine::ops::capture_run::Tools;
use amps_engine::socket;
use amps_proto::fault::Fault;
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::daemon::{Daemon, Parts};
use crate::{checkpoints, connection, lease_clock, leases, log, recovery, turns};

/// How long captures that are under way may hold up the end of the daemon. What is not done by
/// then is owed to the next one.
const LAST_CAPTURES: Duration = Duration::from_secs(5);

/// What a daemon is started with.
#[derive(Debug)]
pub struct Settings {
    /// Its home.
    pub home: Home,
    /// What a person has set.
    pub config: Config,
    /// The clocks.
    pub clock: Clock,
    /// What git is given to run with.
    pub git_environment: Environment,
    /// How much is logged: `error`, `warn`, `info`, `debug` or `trace`.
    pub log_level: Option<String>,
}

/// The daemon could not be run.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// Another daemon serves this home.
    #[error("another daemon serves this home")]
    AlreadyRunning,
    /// The home cannot be used.
    #[error(transparent)]
    Home(#[from] FileError),
    /// The store cannot be used.
    #[error("the store cannot be opened")]
    Store(#[from] LedgerError),
    /// The socket cannot be made.
    #[error("cannot listen on {}", path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The machine gave no event loop.
    #[error("cannot start the event loop")]
    Loop(#[source] std::io::Error),
    /// What earlier daemons left could not be taken over.
    #[error("cannot take over what earlier daemons left")]
    Recovery(#[source] Fault),
}

/// Serves one home until it is told to stop. Returns when all that was under way is stored.
pub fn run(settings: Settings) -> Result<(), DaemonError> {
    let home = settings.home.clone();
    home.create()?;
    let mut lock = Lock::try_take(&home.daemon_lock())?.ok_or(DaemonError::AlreadyRunning)?;
    log::start(settings.log_level.as_deref(), home.log());
    let pid = std::process::id();
    drop(lock.write_pid(pid));
    files::replace(&home.daemon_pid(), format!("{pid}\n").as_bytes(), 0o600)?;
    let _pid_file = OwnFile::at(&home.daemon_pid())?;
    raise_file_limit();
    amps_engine::testing::point("daemon-locked");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(8)
        .thread_keep_alive(Duration::from_secs(2))
        .build()
        .map_err(DaemonError::Loop)?;
    let outcome = runtime.block_on(serve(settings));
    // A capture that is still under way is owed to the next daemon.
    runtime.shutdown_background();
    outcome
}

/// Every lease has a connection and a process handle.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // Refused, the daemon serves as many leases as it can.
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    )
    .ok();
}

async fn serve(settings: Settings) -> Result<(), DaemonError> {
    let home = settings.home;
    let (ledger, damage) = open_or_recover(&home.database(), settings.clock.now().at)?;
    let keeper = LogKeeper::of(&home.database());
    let writer = crate::writer::Writer::start(Box::new(ledger), keeper);
    let path = home.socket();
    let failed = |source| DaemonError::Socket {
        path: path.clone(),
        source,
    };
    let listener = socket::bind(&path).map_err(failed)?;
    let _socket_file = OwnFile::at(&path)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let listener = UnixListener::from_std(listener).map_err(failed)?;
    let warnings = damage.iter().map(ToString::to_string).collect::<Vec<_>>();
    for warning in &warnings {
        tracing::error!("{warning}");
    }
    let tools = Tools {
        environment: settings.git_environment,
        folders: home.folders(),
        limits: settings.config.capture.clone(),
        memory: Memory::default(),
    };
    let parts = Parts {
        home,
        config: settings.config,
        clock: settings.clock,
        writer,
        tools,
        warnings,
    };
    let daemon = Daemon::new(parts);
    recovery::recover(&daemon)
        .await
        .map_err(DaemonError::Recovery)?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "serving");
    tokio::spawn(leases::watch_owners(Arc::clone(&daemon)));
    tokio::spawn(lease_clock::keep_house(Arc::clone(&daemon)));
    tokio::spawn(lease_clock::judge_leases(Arc::clone(&daemon)));
    tokio::spawn(checkpoints::by_time(Arc::clone(&daemon)));
    tokio::spawn(turns::listen(Arc::clone(&daemon)));
    accept(&daemon, listener).await.map_err(failed)?;
    tracing::info!("stopping");
    daemon.captures.wait_all_settled(LAST_CAPTURES).await;
    lease_clock::save_heartbeats(&daemon).await;
    // Refused, the write-ahead log stays beside the database and is read at the next start.
    drop(daemon.store(|ledger| ledger.bring_together()).await);
    Ok(())
}

async fn accept(daemon: &Arc<Daemon>, listener: UnixListener) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    loop {
        let stream = tokio::select! {
            stream = listener.accept() => stream,
            () = daemon.stop.notified() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            // The daemon outlives the terminal that it was started from.
            _ = hangup.recv() => continue,
        };
        match stream {
            Ok((stream, _)) if is_same_user(&stream) => {
                tokio::spawn(connection::serve(Arc::clone(daemon), stream));
            }
            Ok(_) => tracing::warn!("a connection of another user was refused"),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                // Out of descriptors: the next one may fit when others have left.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

fn is_same_user(stream: &tokio::net::UnixStream) -> bool {
    let own = rustix::process::geteuid();
    stream
        .peer_cred()
        .is_ok_and(|peer| peer.uid() == own.as_raw())
}
