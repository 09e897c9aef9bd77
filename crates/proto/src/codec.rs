//! One JSON object a line, with a limit on the line.

use std::io::{self, BufRead, Read as _};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The longest line that a server reads, in bytes.
pub const MAX_REQUEST: usize = 8 * 1024 * 1024;

/// The longest line that a client reads, in bytes: a changeset of some hundred thousand files.
pub const MAX_RESPONSE: usize = 256 * 1024 * 1024;

/// Why a line could not be read or understood.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The connection failed.
    #[error("cannot read from the socket")]
    Io(#[from] io::Error),
    /// The other side closed the connection.
    #[error("the other side closed the connection")]
    Closed,
    /// The line is longer than allowed.
    #[error("a line is longer than {limit} bytes")]
    TooLong {
        /// The limit.
        limit: usize,
    },
    /// The line is not what was expected.
    #[error("a line is not a valid message")]
    Malformed(#[from] serde_json::Error),
}

/// Returns the message as one line with its end.
pub fn encode<T: Serialize>(message: &T) -> Vec<u8> {
    let mut line = serde_json::to_vec(message)
        .expect("our messages have string keys and no failing serialisers");
    line.push(b'\n');
    line
}

/// Reads one line and decodes it.
///
/// # Errors
/// A line that ends without a line feed is a torn message and counts as closed.
pub fn read<T: DeserializeOwned>(from: &mut impl BufRead, limit: usize) -> Result<T, CodecError> {
    let mut line = Vec::new();
    let bound = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    from.by_ref().take(bound).read_until(b'\n', &mut line)?;
    if line.last() != Some(&b'\n') {
        return Err(if line.len() > limit {
            CodecError::TooLong { limit }
        } else {
            CodecError::Closed
        });
    }
    Ok(serde_json::from_slice(&line)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::version::Hello;

    #[test]
    fn a_message_survives_the_line() {
        let hello = Hello::of_this_program(7);
        let line = encode(&hello);
        assert_eq!(read::<Hello>(&mut line.as_slice(), 1_000).unwrap(), hello);
    }

    #[test]
    fn torn_and_long_and_foreign_lines_are_told_apart() {
        let torn = br#"{"amps":1,"#;
        assert!(matches!(
            read::<Hello>(&mut torn.as_slice(), 1_000),
            Err(CodecError::Closed)
        ));
        assert!(matches!(
            read::<Hello>(&mut [b'a'; 50].as_slice(), 10),
            Err(CodecError::TooLong { limit: 10 })
        ));
        assert!(matches!(
            read::<Hello>(&mut b"GET /\n".as_slice(), 99),
            Err(CodecError::Malformed(_))
        ));
    }
}
