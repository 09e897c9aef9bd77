//! One client's connection: greeting, then requests answered in order.
//!
//! Thousands of launchers hold a connection for hours and say little, so an idle one owns next to
//! no memory: the buffer is given back after each line.

use std::io;
use std::sync::Arc;

use amps_core::error::ErrorCode;
use amps_core::id::SessionId;
use amps_core::session::Binding;
use amps_proto::codec::{self, MAX_REQUEST};
use amps_proto::fault::Fault;
use amps_proto::request::{Envelope, Request};
use amps_proto::response::{Answer, Outcome};
use amps_proto::version::Hello;
use tokio::net::UnixStream;

use crate::daemon::Daemon;
use crate::dispatch;

/// Read at once; most lines are shorter.
const CHUNK: usize = 4 * 1024;

/// Serves one client until it leaves.
pub(crate) async fn serve(daemon: Arc<Daemon>, stream: UnixStream) {
    let mut lines = Lines {
        stream,
        pending: Vec::new(),
    };
    let mut holds = None;
    if let Err(error) = converse(&daemon, &mut lines, &mut holds).await {
        tracing::debug!(%error, "a connection ended");
    }
    if let Some(session) = holds {
        daemon.leases.disconnect(session);
    }
}

/// Answers line by line. A client that leaves without reading its answers may still have facts on
/// the way: what it sent is read to the end.
async fn converse(
    daemon: &Arc<Daemon>,
    lines: &mut Lines,
    holds: &mut Option<SessionId>,
) -> io::Result<()> {
    let Some(line) = lines.next().await? else {
        return Ok(());
    };
    let greeting = serde_json::from_slice::<Hello>(&line);
    let understood = greeting.is_ok_and(|hello| hello.is_understood());
    let own = Hello::of_this_program(std::process::id());
    let mut listens = lines.write(&codec::encode(&own)).await.is_ok();
    while let Some(line) = lines.next().await? {
        let answer = Box::pin(answer(daemon, &line, understood, holds)).await;
        if listens {
            listens = lines.write(&codec::encode(&answer)).await.is_ok();
        }
    }
    Ok(())
}

async fn answer(
    daemon: &Arc<Daemon>,
    line: &[u8],
    understood: bool,
    holds: &mut Option<SessionId>,
) -> Answer {
    let envelope = match serde_json::from_slice::<Envelope>(line) {
        Ok(envelope) => envelope,
        Err(error) => {
            let fault = Fault::new(
                ErrorCode::DaemonVersion,
                format!(
                    "this daemon ({}) does not understand the request",
                    env!("CARGO_PKG_VERSION")
                ),
            );
            let fault = Fault {
                causes: vec![error.to_string()],
                ..fault
            };
            return Answer {
                id: id_of(line),
                outcome: Outcome::Fault(fault.hint(RESTART)),
            };
        }
    };
    let id = envelope.id;
    if !understood && envelope.request != Request::Stop {
        let fault = Fault::new(
            ErrorCode::DaemonVersion,
            "the client speaks another protocol",
        );
        return Answer {
            id,
            outcome: Outcome::Fault(fault.hint(RESTART)),
        };
    }
    let opens = match &envelope.request {
        Request::Open(facts) if facts.binding == Binding::Launcher => Some(facts.session_id),
        _ => None,
    };
    // The work goes on when the client leaves in the middle, and a panic in it ends only itself.
    let work = Arc::clone(daemon);
    let work = tokio::spawn(async move { dispatch::answer(&work, envelope.request).await });
    let outcome = match work.await {
        Ok(Ok(response)) => Outcome::Ok(response),
        Ok(Err(fault)) => Outcome::Fault(fault),
        Err(error) => {
            // What was asked may hold secrets; the panic has its own place in the log.
            tracing::error!(%error, id, "a request failed");
            Outcome::Fault(Fault::new(
                ErrorCode::Internal,
                "the daemon failed in this request",
            ))
        }
    };
    if let (Some(session), Outcome::Ok(_)) = (opens, &outcome) {
        // A connection counts once, however often its session is opened over it.
        if let Some(before) = holds.replace(session) {
            daemon.leases.disconnect(before);
        }
    }
    Answer { id, outcome }
}

const RESTART: &str = "`amps daemon restart` starts the installed version";

/// Returns the id of a request that is otherwise not understood.
fn id_of(line: &[u8]) -> u64 {
    serde_json::from_slice::<serde_json::Value>(line)
        .ok()
        .and_then(|value| value.get("id")?.as_u64())
        .unwrap_or_default()
}

/// A socket read line by line.
struct Lines {
    stream: UnixStream,
    pending: Vec<u8>,
}

impl Lines {
    /// Returns the next line without its end, or `None` when the client has left.
    async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut searched = 0;
        loop {
            let found = self
                .pending
                .iter()
                .skip(searched)
                .position(|byte| *byte == b'\n');
            if let Some(end) = found.map(|place| place + searched) {
                let rest = self.pending.split_off(end + 1);
                let mut line = std::mem::replace(&mut self.pending, rest);
                line.pop();
                return Ok(Some(line));
            }
            searched = self.pending.len();
            if searched > MAX_REQUEST {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "the line is too long",
                ));
            }
            if searched == 0 {
                self.pending = Vec::new();
            }
            self.stream.readable().await?;
            self.pending.reserve(CHUNK);
            match self.stream.try_read_buf(&mut self.pending) {
                Ok(0) => return Ok(None),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if searched == 0 {
                        self.pending = Vec::new();
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        use tokio::io::AsyncWriteExt as _;
        self.stream.write_all(bytes).await
    }
}
