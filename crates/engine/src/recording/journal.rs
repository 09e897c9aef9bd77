//! Reading a journal: all segments in their order, past what is torn, damaged or gone.

use std::collections::BTreeMap;
use std::collections::btree_map;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use amps_core::exit::Exit;

use super::format::{self, HEAD, Head, Header, Kind, LONGEST, MAGIC, VERSION};
use crate::files::FileError;

/// The journal of one session. It may still be written meanwhile.
#[derive(Debug)]
pub struct Journal {
    /// The segments by their numbers.
    segments: BTreeMap<u32, PathBuf>,
    header: Header,
}

/// A journal cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// There is none.
    #[error("there is no recording in {}", folder.display())]
    Absent {
        /// Where it would be.
        folder: PathBuf,
    },
    /// Another version of this program wrote it.
    #[error("{} is of version {found}, this program reads version {VERSION}", path.display())]
    Version {
        /// The segment.
        path: PathBuf,
        /// Its version.
        found: String,
    },
    /// No segment has a beginning that can be read.
    #[error("nothing in {} can be read, it is damaged", folder.display())]
    Damaged {
        /// Where it is.
        folder: PathBuf,
    },
    /// A file or folder cannot be read.
    #[error(transparent)]
    File(FileError),
}

/// One thing that a journal tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// When it happened, since the recording began.
    pub at: Duration,
    /// What.
    pub entry: Entry,
}

/// What a journal tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// The agent wrote these bytes.
    Output(Vec<u8>),
    /// Draws the screen where what came before is missing. Not what the agent wrote.
    Keyframe(Vec<u8>),
    /// The terminal has this size from now on.
    Resized {
        /// Rows.
        rows: u16,
        /// Columns.
        cols: u16,
    },
    /// A mark with its label. The record of the session knows them, no journal does.
    Marked(String),
    /// As many bytes of output could not be recorded here.
    Lost(u64),
    /// A part of the journal is passed over.
    Skipped {
        /// The name of its file.
        segment: String,
        /// How many bytes; `None` where the whole file is missing.
        bytes: Option<u64>,
    },
    /// The recording ended, and so did the agent.
    Ended(Option<Exit>),
}

impl Journal {
    /// Opens the journal in a folder.
    pub fn open(folder: &Path) -> Result<Self, JournalError> {
        let absent = || JournalError::Absent {
            folder: folder.to_owned(),
        };
        let failed = |error| JournalError::File(FileError::new("read", folder, error));
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(absent()),
            entries => entries.map_err(failed)?,
        };
        let mut segments = BTreeMap::new();
        for entry in entries {
            let entry = entry.map_err(failed)?;
            let number = entry
                .file_name()
                .to_str()
                .and_then(format::parse_segment_name);
            segments.extend(number.map(|number| (number, entry.path())));
        }
        if segments.is_empty() {
            return Err(absent());
        }
        let mut header = None;
        for path in segments.values() {
            match SegmentReader::open(path) {
                Ok(mut segment) if header.is_none() => header = segment.header().map(|(_, it)| it),
                Err(Unreadable::Version(found)) => {
                    let path = path.clone();
                    return Err(JournalError::Version { path, found });
                }
                Err(Unreadable::File(error)) if error.kind() == io::ErrorKind::PermissionDenied => {
                    return Err(JournalError::File(FileError::new("read", path, error)));
                }
                Ok(_) | Err(Unreadable::File(_) | Unreadable::Torn) => {}
            }
        }
        let header = header.ok_or_else(|| JournalError::Damaged {
            folder: folder.to_owned(),
        })?;
        Ok(Self { segments, header })
    }

    /// Returns what the recording is of, with the size at the beginning of what is left.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Returns whether the beginning was dropped to keep the journal within its limit.
    pub fn is_cut(&self) -> bool {
        self.segments.keys().next().is_some_and(|first| *first > 1)
    }

    /// Returns everything that the journal tells, in order. The size at the beginning is in the
    /// [`header`](Self::header); a keyframe is told only where what came before it is not known.
    pub fn records(&self) -> Records<'_> {
        Records {
            segments: self.segments.iter(),
            next_number: 1,
            segment: None,
            at: Duration::ZERO,
            size: (self.header.rows, self.header.cols),
            screen: Screen::Known,
            ready: None,
        }
    }
}

/// What is known of the screen from the records so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Screen {
    Known,
    Unknown,
    /// A keyframe of several records is being told.
    Drawn,
}

/// Iterates over what a journal tells.
#[derive(Debug)]
pub struct Records<'a> {
    segments: btree_map::Iter<'a, u32, PathBuf>,
    next_number: u32,
    segment: Option<SegmentReader>,
    at: Duration,
    size: (u16, u16),
    screen: Screen,
    ready: Option<Record>,
}

impl Iterator for Records<'_> {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        loop {
            if let Some(ready) = self.ready.take() {
                return Some(ready);
            }
            let Some(segment) = &mut self.segment else {
                let (number, path) = self.segments.next()?;
                if let Some(told) = self.enter(*number, path) {
                    return Some(told);
                }
                continue;
            };
            match segment.next_record() {
                Ok(Some(raw)) => {
                    self.at += raw.since;
                    if let Some(entry) = self.entry(raw) {
                        return Some(self.record(entry));
                    }
                }
                Ok(None) => self.segment = None,
                Err(_) => {
                    let skipped = self.skip();
                    return Some(skipped);
                }
            }
        }
    }
}

impl Records<'_> {
    fn record(&self, entry: Entry) -> Record {
        Record { at: self.at, entry }
    }

    /// Begins a segment. Returns what is to be told before it.
    fn enter(&mut self, number: u32, path: &Path) -> Option<Record> {
        // Nothing is missing before the first one that is left: older ones made room.
        let is_missing = number != self.next_number && self.next_number > 1;
        if number != self.next_number {
            self.screen = Screen::Unknown;
        }
        let missing = is_missing.then(|| {
            self.record(Entry::Skipped {
                segment: format::segment_name(self.next_number),
                bytes: None,
            })
        });
        self.next_number = number + 1;
        let length = fs::metadata(path).map_or(0, |data| data.len());
        let begun = SegmentReader::open(path).ok().and_then(|mut segment| {
            let (since, header) = segment.header()?;
            Some((segment, since, header))
        });
        let Some((segment, since, header)) = begun else {
            self.screen = Screen::Unknown;
            let skipped = self.record(Entry::Skipped {
                segment: file_name(path),
                bytes: Some(length),
            });
            // A file that was only just made has nothing to be passed over.
            self.ready = (length > 0).then_some(skipped);
            return missing;
        };
        self.segment = Some(segment);
        self.at = self.at.max(since);
        let Header { rows, cols, .. } = header;
        if (rows, cols) != self.size {
            self.size = (rows, cols);
            self.ready = Some(self.record(Entry::Resized { rows, cols }));
        }
        missing
    }

    /// Leaves a segment whose next record cannot be read.
    fn skip(&mut self) -> Record {
        self.screen = Screen::Unknown;
        let (segment, bytes) = (self.segment.take())
            .map_or_else(Default::default, |segment| (segment.name, segment.left));
        self.record(Entry::Skipped {
            segment,
            bytes: Some(bytes),
        })
    }

    /// Returns what a record tells, unless that is known already.
    fn entry(&mut self, raw: RawRecord) -> Option<Entry> {
        let kind = Kind::of(raw.kind)?;
        if kind == Kind::Keyframe {
            if self.screen == Screen::Known {
                return None;
            }
            self.screen = Screen::Drawn;
            return Some(Entry::Keyframe(raw.payload));
        }
        if self.screen == Screen::Drawn {
            self.screen = Screen::Known;
        }
        match kind {
            Kind::Output => Some(Entry::Output(raw.payload)),
            Kind::Resized => {
                let (rows, cols) = format::parse_size(&raw.payload)?;
                let is_new = (rows, cols) != self.size;
                self.size = (rows, cols);
                is_new.then_some(Entry::Resized { rows, cols })
            }
            Kind::Lost => {
                self.screen = Screen::Unknown;
                let bytes = format::parse_lost(&raw.payload)?;
                (bytes > 0).then_some(Entry::Lost(bytes))
            }
            Kind::Ended => {
                let exit = serde_json::from_slice(&raw.payload).ok().flatten();
                Some(Entry::Ended(exit))
            }
            Kind::Header | Kind::Keyframe => None,
        }
    }
}

/// Why a segment, or the rest of it, cannot be read.
#[derive(Debug)]
enum Unreadable {
    Version(String),
    File(io::Error),
    Torn,
}

impl From<io::Error> for Unreadable {
    fn from(error: io::Error) -> Self {
        Self::File(error)
    }
}

#[derive(Debug)]
struct RawRecord {
    kind: u8,
    since: Duration,
    payload: Vec<u8>,
}

/// Reads one segment up to where it ended when it was opened.
#[derive(Debug)]
struct SegmentReader {
    name: String,
    file: BufReader<File>,
    /// Bytes that are not read yet, those of a record that cannot be read among them.
    left: u64,
}

impl SegmentReader {
    fn open(path: &Path) -> Result<Self, Unreadable> {
        let file = File::open(path)?;
        let left = file.metadata()?.len();
        let mut reader = Self {
            name: file_name(path),
            file: BufReader::new(file),
            left,
        };
        let mut line = Vec::new();
        let mut start = reader.file.by_ref().take(64);
        start.read_until(b'\n', &mut line)?;
        let text = str::from_utf8(&line).map_err(|_| Unreadable::Torn)?;
        let line = text.strip_suffix('\n').ok_or(Unreadable::Torn)?;
        let version = line.strip_prefix(MAGIC).ok_or(Unreadable::Torn)?;
        if version != VERSION.to_string() {
            return Err(Unreadable::Version(version.to_owned()));
        }
        reader.left = left.saturating_sub(text.len() as u64);
        Ok(reader)
    }

    /// Reads the header, which is the first record.
    fn header(&mut self) -> Option<(Duration, Header)> {
        let raw = self.next_record().ok().flatten()?;
        let is_header = Kind::of(raw.kind) == Some(Kind::Header);
        let header = serde_json::from_slice(&raw.payload).ok()?;
        is_header.then_some((raw.since, header))
    }

    fn next_record(&mut self) -> Result<Option<RawRecord>, Unreadable> {
        if self.left == 0 {
            return Ok(None);
        }
        let mut bytes = [0; HEAD];
        self.read(&mut bytes, HEAD)?;
        let head = Head::parse(&bytes);
        if head.length > LONGEST || (HEAD + head.length) as u64 > self.left {
            return Err(Unreadable::Torn);
        }
        let mut payload = vec![0; head.length];
        self.read(&mut payload, HEAD + head.length)?;
        if !head.fits(&bytes, &payload) {
            return Err(Unreadable::Torn);
        }
        self.left -= (HEAD + head.length) as u64;
        Ok(Some(RawRecord {
            kind: head.kind,
            since: head.since,
            payload,
        }))
    }

    /// Reads bytes of a record that would need `room` in all.
    fn read(&mut self, bytes: &mut [u8], room: usize) -> Result<(), Unreadable> {
        if room as u64 > self.left {
            return Err(Unreadable::Torn);
        }
        Ok(self.file.read_exact(bytes)?)
    }
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}
