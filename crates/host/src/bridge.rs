//! A stand-in for a terminal that cannot be handed over, as it belongs to another user.

use std::fs::File;
use std::io;
use std::net::Shutdown;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

/// How long a terminal has to take what was shown last.
const LAST: Duration = Duration::from_secs(1);

/// Two threads that copy between a terminal and a pair of sockets, for as long as this process
/// lives.
#[derive(Debug)]
pub(crate) struct Bridge {
    near: UnixStream,
    /// Hung up on when all has been shown.
    shown: Receiver<()>,
}

impl Bridge {
    /// Begins to copy, and returns the end for the host as well.
    pub(crate) fn to(line: BorrowedFd<'static>) -> io::Result<(Self, OwnedFd)> {
        let (near, far) = UnixStream::pair()?;
        let mut typed = near.try_clone()?;
        let mut input = File::from(line.try_clone_to_owned()?);
        thread::spawn(move || io::copy(&mut input, &mut typed).unwrap_or_default());
        let (showing, shown) = channel::<()>();
        let mut written = near.try_clone()?;
        let mut output = File::from(line.try_clone_to_owned()?);
        thread::spawn(move || {
            io::copy(&mut written, &mut output).unwrap_or_default();
            drop(showing);
        });
        Ok((Self { near, shown }, far.into()))
    }

    /// Waits until the terminal has taken all that the host has written.
    pub(crate) fn finish(&self) {
        // What lies in the socket can be read all the same, and then comes its end.
        self.near.shutdown(Shutdown::Read).ok();
        // A terminal that takes nothing is left as it is.
        self.shown.recv_timeout(LAST).ok();
    }
}
