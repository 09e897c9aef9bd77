//! Writing a journal: every chunk of output before it is shown, by one write that waits for no sync.
//!
//! A write that fails is a gap: its bytes are counted, and at most once a second another write is
//! tried, which begins by saying how much is missing. Nothing here waits until
//! the disk has something but [`Recorder::finish`], and nothing returns an error once the recording
//! has begun. The write itself takes as long as the kernel lets it: one that owes its disks too much
//! makes writers wait.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use amps_core::exit::Exit;
use amps_core::mask::mask_command;
use amps_core::recording::{RecordLimits, Recording};

use super::disk::{Disk, Sync};
use super::format::{self, Header, Kind};
use crate::clock::Clock;
use crate::files::{self, FileError};

/// How long nothing is tried after a write has failed.
const PAUSE: Duration = Duration::from_secs(1);

/// How long [`Recorder::finish`] waits for the disk.
const LAST_SYNC: Duration = Duration::from_secs(2);

/// Writes the journal of one session.
#[derive(Debug)]
pub struct Recorder {
    folder: PathBuf,
    /// What the next segment begins with: the size is the present one.
    header: Header,
    limits: RecordLimits,
    clock: Clock,
    /// When the recording began, since boot.
    began: Duration,
    /// When the last record was written, since the recording began.
    last: Duration,
    /// The segments on the disk, the oldest first and the one that is written last.
    segments: VecDeque<Segment>,
    file: Arc<File>,
    /// One record on its way; kept for its room.
    buffer: Vec<u8>,
    gap: Option<Gap>,
    /// Output is missing since the last keyframe, so nobody can know the screen.
    is_broken: bool,
    /// Bytes of output that were written, that were lost, and that went with old segments.
    written: u64,
    lost: u64,
    dropped: u64,
    disk: Disk,
}

#[derive(Debug)]
struct Segment {
    number: u32,
    length: u64,
    /// How long it was when it began, with its keyframe.
    opening: u64,
    /// Bytes of output in it.
    output: u64,
}

/// A time in which nothing could be written.
#[derive(Clone, Copy, Debug, Default)]
struct Gap {
    bytes: u64,
    try_at: Duration,
}

impl Recorder {
    /// Makes the folder and the first segment. Known secrets in the command line are masked.
    pub fn create(
        folder: &Path,
        header: &Header,
        limits: &RecordLimits,
        clock: Clock,
    ) -> Result<Self, FileError> {
        Self::create_with(folder, header, *limits, clock, File::sync_data)
    }

    fn create_with(
        folder: &Path,
        header: &Header,
        limits: RecordLimits,
        clock: Clock,
        sync: Sync,
    ) -> Result<Self, FileError> {
        let failed = |source| FileError::new("record in", folder, source);
        files::create_private_folder(folder)?;
        let file = Arc::new(create_segment(folder, 1).map_err(failed)?);
        let mut recorder = Self {
            folder: folder.to_owned(),
            header: Header {
                command: mask_command(&header.command),
                ..header.clone()
            },
            limits,
            began: clock.uptime(),
            clock,
            last: Duration::ZERO,
            segments: VecDeque::new(),
            file,
            buffer: Vec::new(),
            gap: None,
            is_broken: false,
            written: 0,
            lost: 0,
            dropped: 0,
            disk: Disk::start(sync).map_err(failed)?,
        };
        recorder.fill_opening(Duration::ZERO);
        let opening = recorder.file.write_all_at(&recorder.buffer, 0);
        opening.map_err(failed)?;
        recorder.begin_segment(1);
        recorder.written_at(Duration::ZERO, 0);
        // The names of the folder and of its first file have to reach the disk as well.
        for named_in in folder.parent().into_iter().chain([folder]) {
            let named_in = Arc::new(File::open(named_in).map_err(failed)?);
            recorder.disk.owe(&named_in, 0, 0);
        }
        Ok(recorder)
    }

    /// Records output. To be called before it is shown: what was shown survives the end of this
    /// process.
    pub fn output(&mut self, bytes: &[u8]) {
        let length = bytes.len() as u64;
        if bytes.is_empty() {
            return;
        }
        if self.append(Kind::Output, bytes, length) {
            return;
        }
        if let Some(gap) = &mut self.gap {
            gap.bytes += length;
        }
    }

    /// Records that the terminal has another size.
    pub fn resized(&mut self, rows: u16, cols: u16) {
        (self.header.rows, self.header.cols) = (rows, cols);
        self.append(Kind::Resized, &format::size_payload(rows, cols), 0);
    }

    /// Returns whether [`keyframe`](Self::keyframe) should be called: the segment is full, or output
    /// was lost. To be asked after each output. Without keyframes a journal does not grow beyond
    /// its limit either, but records nothing more.
    pub fn wants_keyframe(&self) -> bool {
        let is_full = self
            .segments
            .back()
            .is_some_and(|segment| segment.length - segment.opening >= self.limits.segment_size());
        self.gap.is_none() && (is_full || self.is_broken)
    }

    /// Begins a new segment with what draws the screen as it is, the modes of the terminal
    /// included, after all output that was recorded. Best between two escape sequences: who begins
    /// to read here has not seen the first half of one.
    pub fn keyframe(&mut self, redraw: &[u8]) {
        let now = self.elapsed();
        if self.gap.is_some_and(|gap| now < gap.try_at) {
            return;
        }
        self.fill_opening(now);
        self.push_gap(Duration::ZERO);
        format::push_record(&mut self.buffer, Kind::Keyframe, Duration::ZERO, redraw);
        let number = self.segments.back().map_or(1, |segment| segment.number + 1);
        match self.write_segment(number) {
            Ok(file) => {
                self.file = Arc::new(file);
                self.begin_segment(number);
                self.written_at(now, 0);
                self.is_broken = false;
            }
            Err(_) => self.fail(now),
        }
    }

    /// Ends the recording and waits for the disk, at most two seconds.
    pub fn finish(mut self, exit: Option<Exit>) -> Recording {
        if let Some(gap) = &mut self.gap {
            gap.try_at = Duration::ZERO;
        }
        self.append(Kind::Ended, &format::end_payload(exit), 0);
        self.disk.settle(LAST_SYNC);
        self.recording()
    }

    /// Returns what has been recorded so far.
    pub fn recording(&self) -> Recording {
        let disk = self.disk.progress();
        Recording {
            bytes: (disk.reached - disk.failed).saturating_sub(self.dropped),
            lost: self.lost + disk.failed + self.gap.map_or(0, |gap| gap.bytes),
            cut: self.segments.front().is_none_or(|oldest| oldest.number > 1),
        }
    }

    fn elapsed(&self) -> Duration {
        self.clock
            .uptime()
            .saturating_sub(self.began)
            .max(self.last)
    }

    /// Appends a record to the segment. Returns whether that could be done.
    fn append(&mut self, kind: Kind, payload: &[u8], output: u64) -> bool {
        let now = self.elapsed();
        if self.gap.is_some_and(|gap| now < gap.try_at) {
            return false;
        }
        self.buffer.clear();
        let mut since = now.saturating_sub(self.last);
        if self.gap.is_some() {
            self.push_gap(since);
            since = Duration::ZERO;
        }
        format::push_record(&mut self.buffer, kind, since, payload);
        let is_written = self.make_room().is_ok()
            && self.segments.back().is_some_and(|segment| {
                let written = self.file.write_all_at(&self.buffer, segment.length);
                if written.is_err() {
                    // A part of it may be there. Where it cannot be cut off it is written over, or
                    // a reader finds it torn.
                    self.file.set_len(segment.length).ok();
                }
                written.is_ok()
            });
        if is_written {
            if let Some(segment) = self.segments.back_mut() {
                segment.length += self.buffer.len() as u64;
                segment.output += output;
            }
            self.written_at(now, output);
        } else {
            self.fail(now);
        }
        is_written
    }

    /// Says in the buffer what is missing, and what the size is after it.
    fn push_gap(&mut self, since: Duration) {
        let Some(gap) = self.gap else { return };
        let Header { rows, cols, .. } = self.header;
        format::push_record(
            &mut self.buffer,
            Kind::Lost,
            since,
            &gap.bytes.to_le_bytes(),
        );
        let size = format::size_payload(rows, cols);
        format::push_record(&mut self.buffer, Kind::Resized, Duration::ZERO, &size);
    }

    /// Fills the buffer with what every segment begins with.
    fn fill_opening(&mut self, now: Duration) {
        let header = serde_json::to_vec(&self.header).expect("a header has no failing serialiser");
        self.buffer.clear();
        format::push_magic(&mut self.buffer);
        format::push_record(&mut self.buffer, Kind::Header, now, &header);
    }

    /// Makes a file of the buffer, or leaves none.
    fn write_segment(&mut self, number: u32) -> io::Result<File> {
        self.make_room()?;
        let file = create_segment(&self.folder, number)?;
        let written = file.write_all_at(&self.buffer, 0);
        if written.is_err() {
            files::remove(&self.folder.join(format::segment_name(number))).ok();
        }
        written.map(|()| file)
    }

    /// Counts the segment that was just written.
    fn begin_segment(&mut self, number: u32) {
        let length = self.buffer.len() as u64;
        self.segments.push_back(Segment {
            number,
            length,
            opening: length,
            output: 0,
        });
    }

    fn written_at(&mut self, now: Duration, output: u64) {
        self.last = now;
        self.written += output;
        if let Some(gap) = self.gap.take() {
            self.lost += gap.bytes;
            self.is_broken = true;
        }
        self.disk.owe(&self.file, self.buffer.len(), self.written);
    }

    fn fail(&mut self, now: Duration) {
        self.gap.get_or_insert_default().try_at = now + PAUSE;
    }

    /// Removes the oldest segments until the buffer has room within the limit.
    fn make_room(&mut self) -> io::Result<()> {
        let mut length: u64 = self.segments.iter().map(|segment| segment.length).sum();
        length += self.buffer.len() as u64;
        while length > self.limits.max_size {
            let oldest = match self.segments.front() {
                Some(oldest) if self.segments.len() > 1 => oldest,
                _ => return Err(io::ErrorKind::QuotaExceeded.into()),
            };
            let path = self.folder.join(format::segment_name(oldest.number));
            files::remove(&path).map_err(|error| error.source)?;
            length -= oldest.length;
            self.dropped += oldest.output;
            self.segments.pop_front();
        }
        Ok(())
    }
}

fn create_segment(folder: &Path, number: u32) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(folder.join(format::segment_name(number)))
}

#[cfg(test)]
mod tests;
