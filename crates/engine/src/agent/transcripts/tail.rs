//! The end of a transcript that grows: only what has been appended is read.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::{Listener, Transcripts, Turn};

/// The longest line that is heard. Longer ones hold pictures, not ends of turns.
const LONGEST_LINE: usize = 8 * 1024 * 1024;

/// Bytes read at a time.
const PIECE: usize = 64 * 1024;

/// The end of one transcript.
#[derive(Debug)]
pub struct Tail {
    /// Which file it is: another may be put in its place.
    file: Option<(u64, u64)>,
    offset: u64,
    /// A line that has not been written to its end.
    torn: Vec<u8>,
    /// Whether the rest of the line is passed over.
    skips: bool,
    listener: Box<dyn Listener>,
}

impl Tail {
    /// Hears a transcript from its beginning.
    pub fn whole(transcripts: &dyn Transcripts) -> Self {
        Self {
            file: None,
            offset: 0,
            torn: Vec::new(),
            skips: false,
            listener: transcripts.listener(),
        }
    }

    /// Hears what will be appended to a transcript from now on.
    pub fn from_now(transcripts: &dyn Transcripts, path: &Path) -> Self {
        let mut tail = Self::whole(transcripts);
        if let Ok(data) = path.metadata() {
            tail.begin_at_end((data.dev(), data.ino()), data.len());
        }
        tail
    }

    /// Returns the turns that have ended since. What was cut off, or put in the place of another
    /// file, is heard from its end on: what it had before was heard before.
    pub fn hear(&mut self, path: &Path) -> io::Result<Vec<Turn>> {
        let mut file = File::open(path)?;
        let data = file.metadata()?;
        let identity = (data.dev(), data.ino());
        if self.file.is_some_and(|known| known != identity) || data.len() < self.offset {
            self.begin_at_end(identity, data.len());
        }
        self.file = Some(identity);
        file.seek(SeekFrom::Start(self.offset))?;
        let mut piece = vec![0; PIECE];
        let mut turns = Vec::new();
        loop {
            let count = file.read(&mut piece)?;
            let read = piece.get(..count).unwrap_or_default();
            if read.is_empty() {
                return Ok(turns);
            }
            self.offset += u64::try_from(count).unwrap_or_default();
            self.take(read, &mut turns);
        }
    }

    fn begin_at_end(&mut self, identity: (u64, u64), end: u64) {
        self.file = Some(identity);
        self.offset = end;
        self.torn = Vec::new();
        self.skips = false;
    }

    fn take(&mut self, read: &[u8], turns: &mut Vec<Turn>) {
        for line in read.split_inclusive(|byte| *byte == b'\n') {
            if !self.skips {
                self.torn.extend_from_slice(line);
            }
            if line.ends_with(b"\n") {
                turns.extend(self.listener.hear(&self.torn));
                self.torn.clear();
                self.torn.shrink_to(PIECE);
                self.skips = false;
            } else if self.torn.len() > LONGEST_LINE {
                self.torn = Vec::new();
                self.skips = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::agent::named;
    use crate::files;

    const TURN: &str = "{\"type\":\"event_msg\",\"payload\":{\"type\":\"task_complete\"}}\n";

    fn append(path: &Path, bytes: impl AsRef<[u8]>) {
        let mut file = files::open_to_append(path).unwrap();
        file.write_all(bytes.as_ref()).unwrap();
    }

    fn in_a_folder(test: impl FnOnce(&Path, &'static dyn Transcripts)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rollout-x.jsonl");
        append(&path, TURN);
        test(&path, named("codex").unwrap().transcripts().unwrap());
    }

    #[test]
    fn only_what_is_appended_is_heard_and_a_torn_line_waits() {
        in_a_folder(|path, agent| {
            let mut tail = Tail::from_now(agent, path);
            let mut heard = || tail.hear(path).unwrap().len();
            assert_eq!(heard(), 0);
            append(path, TURN.repeat(3));
            assert_eq!(heard(), 3);
            let (begun, rest) = TURN.split_at(30);
            append(path, begun);
            assert_eq!(heard(), 0);
            append(path, rest);
            assert_eq!(heard(), 1);
            assert_eq!(heard(), 0);
            assert_eq!(Tail::whole(agent).hear(path).unwrap().len(), 5);
        });
    }

    #[test]
    fn what_is_cut_off_or_replaced_is_not_heard_again() {
        in_a_folder(|path, agent| {
            let mut tail = Tail::whole(agent);
            append(path, TURN);
            assert_eq!(tail.hear(path).unwrap().len(), 2);
            File::options()
                .write(true)
                .open(path)
                .unwrap()
                .set_len(0)
                .unwrap();
            assert_eq!(tail.hear(path).unwrap().len(), 0);
            append(path, TURN);
            assert_eq!(tail.hear(path).unwrap().len(), 1);
            files::replace(path, TURN.repeat(4).as_bytes(), 0o600).unwrap();
            assert_eq!(tail.hear(path).unwrap().len(), 0);
            append(path, TURN);
            assert_eq!(tail.hear(path).unwrap().len(), 1);
        });
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over() {
        in_a_folder(|path, agent| {
            let mut tail = Tail::from_now(agent, path);
            append(path, "x".repeat(LONGEST_LINE + PIECE));
            assert_eq!(tail.hear(path).unwrap().len(), 0);
            assert!(tail.torn.is_empty(), "it is not kept");
            append(path, TURN);
            assert_eq!(tail.hear(path).unwrap().len(), 0, "the same line");
            append(path, TURN);
            assert_eq!(tail.hear(path).unwrap().len(), 1);
        });
    }
}
