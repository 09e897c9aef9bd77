//! One client's connection: greeting, then requests answered in order.
//!
//! Thousands of launchers hold a connection for hours and say little, so an idle one owns next to
//! no memory.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use amps_core::error::ErrorCode;
use amps_core::id::SessionId;
use amps_proto::codec::{self, MAX_REQUEST};
use amps_proto::fault::Fault;
use amps_proto::request::{Envelope, Request};
use amps_proto::response::{Answer, Outcome};
use amps_proto::version::Hello;
use tokio::io::{AsyncRead as _, AsyncWriteExt as _, ReadBuf};
use tokio::net::UnixStream;

use crate::daemon::Daemon;
use crate::dispatch;

/// Read at once; most lines are shorter.
const CHUNK: usize = 4 * 1024;

/// Serves one client until it leaves. One that leaves without reading its answers may still have
/// facts on the way: what it sent is read to the end.
pub(crate) fn serve(daemon: Arc<Daemon>, stream: UnixStream) -> impl Future<Output = ()> {
    let mut connection = Connection {
        stream,
        pending: Vec::new(),
        searched: 0,
        protocol: Protocol::Unknown,
        listens: true,
        opened: None,
    };
    async move {
        loop {
            while let Some(answering) = connection.serve_line(&daemon) {
                answering.await;
            }
            match poll_fn(|context| connection.poll_read(context)).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    tracing::debug!(%error, "a connection ended");
                    break;
                }
            }
        }
        if let Some(session) = connection.opened {
            daemon.leases.disconnect(session);
        }
    }
}

struct Connection {
    stream: UnixStream,
    /// What has been read of the next line.
    pending: Vec<u8>,
    /// How much of that is known to hold no end of a line.
    searched: usize,
    protocol: Protocol,
    /// Whether the client takes its answers.
    listens: bool,
    /// The session of the launcher at the other end.
    opened: Option<SessionId>,
}

/// What a client speaks.
#[derive(PartialEq, Eq)]
enum Protocol {
    /// It has not greeted yet.
    Unknown,
    Ours,
    Foreign,
}

impl Connection {
    /// Answers the next line, if there is one. Boxed, what that needs is not kept while there is
    /// nothing to answer.
    fn serve_line(&mut self, daemon: &Arc<Daemon>) -> Option<Pin<Box<impl Future<Output = ()>>>> {
        let line = self.take_line()?;
        Some(Box::pin(async move {
            let reply = if self.protocol == Protocol::Unknown {
                codec::encode(&self.greet(&line))
            } else {
                codec::encode(&self.answer(daemon, &line).await)
            };
            drop(line);
            self.write(&reply).await;
        }))
    }

    fn greet(&mut self, line: &[u8]) -> Hello {
        let greeting = serde_json::from_slice::<Hello>(line);
        self.protocol = if greeting.is_ok_and(|hello| hello.is_understood()) {
            Protocol::Ours
        } else {
            Protocol::Foreign
        };
        Hello::of_this_program(std::process::id())
    }

    async fn answer(&mut self, daemon: &Arc<Daemon>, line: &[u8]) -> Answer {
        let envelope = match serde_json::from_slice::<Envelope>(line) {
            Ok(envelope) => envelope,
            Err(error) => return not_understood(line, &error),
        };
        let id = envelope.id;
        if self.protocol != Protocol::Ours && envelope.request != Request::Stop {
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
            Request::Open(facts) if facts.binding.reports_exit() => Some(facts.session_id),
            _ => None,
        };
        let outcome = carry_out(daemon, envelope).await;
        if let (Some(session), Outcome::Ok(_)) = (opens, &outcome) {
            // A connection counts once, however often its session is opened over it.
            if let Some(before) = self.opened.replace(session) {
                daemon.leases.disconnect(before);
            }
        }
        Answer { id, outcome }
    }

    /// Takes the next line, without its end, if all of it has been read.
    fn take_line(&mut self) -> Option<Vec<u8>> {
        let unsearched = self.pending.get(self.searched..).unwrap_or_default();
        let Some(end) = unsearched.iter().position(|byte| *byte == b'\n') else {
            self.searched = self.pending.len();
            return None;
        };
        let rest = self.pending.split_off(self.searched + end + 1);
        let mut line = std::mem::replace(&mut self.pending, rest);
        line.pop();
        self.searched = 0;
        Some(line)
    }

    /// Reads what comes. Returns whether the client may send more.
    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if self.pending.len() > MAX_REQUEST {
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the line is too long",
            )));
        }
        let mut chunk = [0; CHUNK];
        let mut chunk = ReadBuf::new(&mut chunk);
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut chunk))?;
        self.pending.extend_from_slice(chunk.filled());
        Poll::Ready(Ok(!chunk.filled().is_empty()))
    }

    async fn write(&mut self, bytes: &[u8]) {
        if self.listens {
            self.listens = self.stream.write_all(bytes).await.is_ok();
        }
    }
}

/// Carries out a request. It goes on when the client leaves in the middle, and a panic in it ends
/// only itself.
async fn carry_out(daemon: &Arc<Daemon>, Envelope { id, request }: Envelope) -> Outcome {
    let work = Arc::clone(daemon);
    let work = tokio::spawn(async move { dispatch::answer(&work, request).await });
    match work.await {
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
    }
}

fn not_understood(line: &[u8], error: &serde_json::Error) -> Answer {
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
    Answer {
        id: id_of(line),
        outcome: Outcome::Fault(fault.hint(RESTART)),
    }
}

const RESTART: &str = "`amps daemon restart` starts the installed version";

/// Returns the id of a request that is otherwise not understood.
fn id_of(line: &[u8]) -> u64 {
    serde_json::from_slice::<serde_json::Value>(line)
        .ok()
        .and_then(|value| value.get("id")?.as_u64())
        .unwrap_or_default()
}
