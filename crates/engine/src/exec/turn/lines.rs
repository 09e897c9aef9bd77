//! What a program writes: lines of one stream, the end of another. Both bounded.

use amps_core::mask::mask;
use amps_core::time::Moment;

use super::{Line, TurnListener};

/// The most bytes of a line that are heard. Longer ones hold pictures.
const LONGEST_LINE: usize = 8 * 1024 * 1024;
/// The most bytes of the end of a stream that are kept.
const LONGEST_TAIL: usize = 16 * 1024;
/// What stays allotted between lines.
const USUAL_LINE: usize = 64 * 1024;

/// Takes a stream apart into lines.
#[derive(Debug, Default)]
pub(super) struct Lines {
    torn: Vec<u8>,
    /// Whether the rest of the line is passed over: its beginning has been heard.
    skips: bool,
}

impl Lines {
    /// Takes the next bytes.
    pub(super) fn take(&mut self, read: &[u8], at: Moment, listener: &mut dyn TurnListener) {
        for piece in read.split_inclusive(|byte| *byte == b'\n') {
            let (piece, ends) = match piece.split_last() {
                Some((b'\n', piece)) => (piece, true),
                _ => (piece, false),
            };
            if !self.skips {
                let room = LONGEST_LINE - self.torn.len();
                let fits = piece.get(..room).unwrap_or(piece);
                self.torn.extend_from_slice(fits);
                let is_whole = fits.len() == piece.len();
                if ends || !is_whole {
                    self.tell(at, is_whole, listener);
                    self.skips = !is_whole;
                }
            }
            if ends {
                self.skips = false;
            }
        }
    }

    /// Takes the end: the last line may have none of its own.
    pub(super) fn finish(&mut self, at: Moment, listener: &mut dyn TurnListener) {
        if !self.torn.is_empty() {
            self.tell(at, true, listener);
        }
    }

    fn tell(&mut self, at: Moment, is_whole: bool, listener: &mut dyn TurnListener) {
        listener.line(Line {
            bytes: &self.torn,
            at,
            is_whole,
        });
        self.torn.clear();
        self.torn.shrink_to(USUAL_LINE);
    }
}

/// Keeps the end of a stream.
#[derive(Debug, Default)]
pub(super) struct Tail {
    kept: Vec<u8>,
    is_cut: bool,
}

impl Tail {
    /// Takes the next bytes.
    pub(super) fn take(&mut self, read: &[u8]) {
        self.kept.extend_from_slice(read);
        if self.kept.len() > 2 * LONGEST_TAIL {
            self.cut();
        }
    }

    fn cut(&mut self) {
        let beyond = self.kept.len().saturating_sub(LONGEST_TAIL);
        self.is_cut |= beyond > 0;
        self.kept.drain(..beyond);
    }

    /// Returns the end as text, known secrets masked.
    pub(super) fn text(&mut self) -> String {
        self.cut();
        let text = String::from_utf8_lossy(&self.kept);
        // A secret that lost its beginning has no shape: the line that was cut goes, if it ends.
        let whole = match text.split_once('\n') {
            Some((_, rest)) if self.is_cut => rest,
            _ => &text,
        };
        mask(whole.trim_end()).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use amps_core::process::ProcessIdentity;
    use jiff::Timestamp;

    use super::*;

    #[derive(Default)]
    struct Heard(Vec<(Vec<u8>, bool)>);

    impl TurnListener for Heard {
        fn started(&mut self, _process: &ProcessIdentity) {}

        fn line(&mut self, line: Line<'_>) {
            self.0.push((line.bytes.to_vec(), line.is_whole));
        }
    }

    fn heard<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<(Vec<u8>, bool)> {
        let now = Moment {
            at: Timestamp::UNIX_EPOCH,
            uptime_ms: 0,
        };
        let (mut lines, mut heard) = (Lines::default(), Heard::default());
        for piece in pieces {
            lines.take(piece, now, &mut heard);
        }
        lines.finish(now, &mut heard);
        heard.0
    }

    #[test]
    fn lines_are_the_same_however_they_are_read() {
        let text = b"one\n\ntwo \xff\r\nlast";
        let expected = [&b"one"[..], b"", b"two \xff\r", b"last"].map(|line| (line.to_vec(), true));
        assert_eq!(heard([&text[..]]), expected);
        assert_eq!(heard(text.chunks(1)), expected);
        assert_eq!(heard([&b"one\n"[..]]), expected[..1]);
    }

    #[test]
    fn of_a_line_that_is_too_long_the_beginning_is_heard_once() {
        let long = [
            vec![b'x'; LONGEST_LINE + 3 * USUAL_LINE],
            b"\nnext\n".to_vec(),
        ]
        .concat();
        for size in [USUAL_LINE, long.len()] {
            let heard = heard(long.chunks(size));
            assert_eq!(heard.len(), 2);
            assert_eq!((heard[0].0.len(), heard[0].1), (LONGEST_LINE, false));
            assert_eq!(heard[1], (b"next".to_vec(), true));
        }
        let exact = [vec![b'x'; LONGEST_LINE], b"\n".to_vec()].concat();
        assert_eq!(
            heard([&exact[..]]),
            [(exact[..LONGEST_LINE].to_vec(), true)]
        );
    }

    #[test]
    fn the_end_of_a_stream_is_kept_from_a_whole_line_on_and_masked() {
        let mut tail = Tail::default();
        for number in 0..10_000 {
            tail.take(format!("line {number}\n").as_bytes());
        }
        tail.take(b"TOKEN=abcdefghijklmnop\n");
        let text = tail.text();
        assert!(
            text.len() <= LONGEST_TAIL && text.starts_with("line "),
            "{text}"
        );
        assert!(text.ends_with("line 9999\nTOKEN=[masked]"), "{text}");
        let mut short = Tail::default();
        short.take(b"one\ntwo \xff");
        assert_eq!(short.text(), "one\ntwo \u{fffd}");
    }
}
