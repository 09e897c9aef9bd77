//! A client's connection to the host of a session.

use std::io::{self, BufReader, IoSlice, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use amps_engine::socket;
use amps_proto::codec::{self, CodecError, MAX_RESPONSE};
use amps_proto::hold::{HoldAnswer, HoldRequest};
use amps_proto::version::Hello;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

/// How long a host may take to answer what it can answer at once.
const ANSWER: Duration = Duration::from_secs(10);

/// A connection to a host.
#[derive(Debug)]
pub struct Connection(BufReader<UnixStream>);

/// A host could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// Nobody listens.
    #[error("no host listens there")]
    Absent(#[source] io::Error),
    /// The connection failed, or the host ended.
    #[error("the connection to the host was lost")]
    Lost(#[from] CodecError),
    /// The host speaks a protocol that this program does not.
    #[error("the host is version {} and speaks protocol {}", .0.version, .0.amps)]
    Foreign(Hello),
}

impl From<io::Error> for ConnectionError {
    fn from(error: io::Error) -> Self {
        Self::Lost(CodecError::Io(error))
    }
}

impl Connection {
    /// Connects to the host that listens at a path.
    pub fn open(path: &Path) -> Result<Self, ConnectionError> {
        let stream = socket::connect(path).map_err(ConnectionError::Absent)?;
        stream.set_write_timeout(Some(ANSWER))?;
        stream.set_read_timeout(Some(ANSWER))?;
        let mut connection = Self(BufReader::new(stream));
        let hello = codec::encode(&Hello::of_this_program(std::process::id()));
        connection.0.get_mut().write_all(&hello)?;
        let hello: Hello = codec::read(&mut connection.0, MAX_RESPONSE)?;
        if hello.is_understood() {
            Ok(connection)
        } else {
            Err(ConnectionError::Foreign(hello))
        }
    }

    /// Asks, and waits for the answer; `patience` is added to the time it may take.
    pub fn ask(
        &mut self,
        request: &HoldRequest,
        patience: Duration,
    ) -> Result<HoldAnswer, ConnectionError> {
        self.tell(request)?;
        self.0.get_ref().set_read_timeout(Some(ANSWER + patience))?;
        self.next()
    }

    /// Sends a request without waiting for its answer.
    pub(crate) fn tell(&mut self, request: &HoldRequest) -> io::Result<()> {
        self.0.get_mut().write_all(&codec::encode(request))
    }

    /// Sends a request with a descriptor.
    pub(crate) fn hand_over(
        &mut self,
        request: &HoldRequest,
        descriptor: BorrowedFd<'_>,
    ) -> io::Result<()> {
        let line = codec::encode(request);
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let descriptors = [descriptor];
        ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
        let socket = self.0.get_ref();
        let sent = sendmsg(
            socket.as_fd(),
            &[IoSlice::new(&line)],
            &mut ancillary,
            SendFlags::NOSIGNAL,
        )?;
        self.0
            .get_mut()
            .write_all(line.get(sent..).unwrap_or_default())
    }

    /// Waits for the next line.
    pub(crate) fn next(&mut self) -> Result<HoldAnswer, ConnectionError> {
        Ok(codec::read(&mut self.0, MAX_RESPONSE)?)
    }

    /// Returns whether a line has been read already that nobody took yet.
    pub(crate) fn has_next(&self) -> bool {
        self.0.buffer().contains(&b'\n')
    }

    pub(crate) fn socket(&self) -> BorrowedFd<'_> {
        self.0.get_ref().as_fd()
    }
}
