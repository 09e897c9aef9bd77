//! Bytes on their way to a descriptor that does not always take them.

use std::io;
use std::os::fd::AsFd;

use rustix::io::Errno;

/// Bytes that a descriptor has not taken yet.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    bytes: Vec<u8>,
    sent: usize,
}

/// A buffer that was once long is given back rather than kept for a quiet session.
const KEPT: usize = 64 * 1024;

impl Outbox {
    /// Returns how many bytes wait.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.sent
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets what waits.
    pub(crate) fn clear(&mut self) {
        self.bytes = Vec::new();
        self.sent = 0;
    }

    /// Adds bytes without trying to send them.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Sends bytes behind those that wait; keeps what is not taken.
    pub(crate) fn send(&mut self, to: impl AsFd, bytes: &[u8]) -> io::Result<()> {
        if !self.is_empty() {
            self.push(bytes);
            return self.flush(to).map(drop);
        }
        let taken = write_all(to, bytes)?;
        self.push(bytes.get(taken..).unwrap_or_default());
        Ok(())
    }

    /// Sends what waits. Returns how many bytes were taken.
    pub(crate) fn flush(&mut self, to: impl AsFd) -> io::Result<usize> {
        let taken = write_all(to, self.bytes.get(self.sent..).unwrap_or_default())?;
        self.sent += taken;
        if self.sent > KEPT {
            // A flood may never leave it empty.
            self.bytes.drain(..self.sent);
            self.sent = 0;
        }
        if self.is_empty() {
            self.bytes.clear();
            self.bytes.shrink_to(KEPT);
            self.sent = 0;
        }
        Ok(taken)
    }
}

/// Writes until all is taken or no more is; returns how much was.
fn write_all(to: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    let mut taken = 0;
    while let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty()) {
        match rustix::io::write(&to, rest) {
            Ok(0) | Err(Errno::AGAIN) => break,
            Ok(length) => taken += length,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn what_was_sent_is_not_kept_although_something_always_waits() {
        let (near, mut far) = UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        let mut outbox = Outbox::default();
        let mut read = vec![0; 64 * 1024];
        outbox.push(&vec![0; 1_000_000]);
        let chunk = vec![1; 64 * 1024];
        for _ in 0..300 {
            outbox.send(&near, &chunk).unwrap();
            far.read_exact(&mut read).unwrap();
            assert!(!outbox.is_empty());
        }
        assert!(
            outbox.bytes.capacity() < 4_000_000,
            "{}",
            outbox.bytes.capacity()
        );
    }

    #[test]
    fn what_is_not_taken_at_once_is_sent_later_in_order() {
        let (near, mut far) = UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        let bytes: Vec<u8> = (0..=255).cycle().take(3_000_000).collect();
        let mut outbox = Outbox::default();
        outbox.send(&near, &bytes).unwrap();
        outbox.send(&near, b"end").unwrap();
        assert!(!outbox.is_empty());
        let mut read = vec![0; bytes.len() + 3];
        let mut filled = 0;
        while filled < read.len() {
            filled += far.read(&mut read[filled..]).unwrap();
            outbox.flush(&near).unwrap();
        }
        assert_eq!(&read[..bytes.len()], bytes);
        assert_eq!(&read[bytes.len()..], b"end");
        assert!(outbox.is_empty());
    }
}
