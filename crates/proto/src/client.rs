//! A blocking client of the daemon.

use std::io::{self, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::codec::{self, CodecError};
use crate::fault::Fault;
use crate::request::{Envelope, Request};
use crate::response::{Answer, Outcome, Response};
use crate::version::Hello;

/// How long a daemon that does not read may hold up what is sent to it.
const WRITE: Duration = Duration::from_millis(500);

/// A connection to the daemon.
#[derive(Debug)]
pub struct Client {
    reader: BufReader<UnixStream>,
    /// What the daemon said of itself; `None` until the first answer has been read.
    greeting: Option<Hello>,
    next_id: u64,
}

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The connection failed or the deadline passed.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The daemon speaks a protocol that this program does not.
    #[error("the daemon is version {} and speaks protocol {}", .0.version, .0.amps)]
    Foreign(Hello),
    /// The daemon refused.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<io::Error> for ClientError {
    fn from(error: io::Error) -> Self {
        Self::Codec(CodecError::Io(error))
    }
}

impl Client {
    /// Greets the daemon at the other end of `stream`. No answer is awaited: the first request
    /// goes out behind the greeting, so opening a session costs one round trip.
    pub fn new(mut stream: UnixStream, pid: u32) -> Result<Self, ClientError> {
        stream.set_write_timeout(Some(WRITE))?;
        stream.write_all(&codec::encode(&Hello::of_this_program(pid)))?;
        Ok(Self {
            reader: BufReader::new(stream),
            greeting: None,
            next_id: 1,
        })
    }

    /// Sends a request and waits for its answer, at most `deadline` for each part of it.
    pub fn call(&mut self, request: Request, deadline: Duration) -> Result<Response, ClientError> {
        let id = self.send(request)?;
        self.answer(id, deadline)
    }

    /// Waits for the answer to a request that was sent, at most `deadline` for each part of it.
    /// Answers to earlier ones are passed over.
    pub fn answer(&mut self, id: u64, deadline: Duration) -> Result<Response, ClientError> {
        self.reader.get_ref().set_read_timeout(Some(deadline))?;
        self.greet()?;
        loop {
            let answer: Answer = codec::read(&mut self.reader, codec::MAX_RESPONSE)?;
            if answer.id < id {
                continue;
            }
            return match answer.outcome {
                Outcome::Ok(response) => Ok(response),
                Outcome::Fault(fault) => Err(ClientError::Fault(fault)),
            };
        }
    }

    /// Sends a request without waiting; its answer is passed over by the next [`Self::call`].
    pub fn tell(&mut self, request: Request) -> Result<(), ClientError> {
        self.send(request).map(drop)
    }

    /// Returns what the daemon said of itself.
    pub fn greet(&mut self) -> Result<&Hello, ClientError> {
        if self.greeting.is_none() {
            let hello: Hello = codec::read(&mut self.reader, codec::MAX_RESPONSE)?;
            self.greeting = Some(hello);
        }
        match self.greeting.as_ref() {
            Some(hello) if hello.is_understood() => Ok(hello),
            Some(hello) => Err(ClientError::Foreign(hello.clone())),
            None => Err(CodecError::Closed.into()),
        }
    }

    /// Returns the socket, to wait for it beside other things.
    pub fn socket(&self) -> &UnixStream {
        self.reader.get_ref()
    }

    /// Sends a request and returns its number, by which [`Self::answer`] knows the answer.
    pub fn send(&mut self, request: Request) -> Result<u64, ClientError> {
        let id = self.next_id;
        self.next_id += 1;
        let line = codec::encode(&Envelope { id, request });
        self.reader.get_mut().write_all(&line)?;
        Ok(id)
    }
}
