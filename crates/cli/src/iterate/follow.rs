//! Following an iteration that runs elsewhere: what it tells, until it is over.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use amps_core::id::SessionId;
use amps_core::session::Status;
use amps_engine::files;
use amps_proto::view::WorktreeView;

use super::journal::{self, Entry, Told};
use crate::commands::show;
use crate::context::Context;
use crate::error::Failure;

/// Between two looks for what is new. Nothing tells of it: the journal may be on any file system.
const LOOK: Duration = Duration::from_millis(50);

/// So many looks in a row without anything new, and the daemon is asked whether it is over: of a
/// runner that was killed no last line comes.
const ASK: u32 = 40;

/// What is followed.
pub(crate) struct Following<'a> {
    pub(crate) context: &'a Context,
    pub(crate) session: SessionId,
    /// The first iteration that is of interest.
    pub(crate) number: u32,
    /// Becomes true when whoever follows wants to leave.
    pub(crate) is_left: &'a AtomicBool,
}

/// Hands on what an iteration, and those after it, tell, until none is under way. Returns the
/// session as it is then; `None` if whoever followed has left before.
pub(crate) fn follow(
    following: &Following<'_>,
    each: &mut dyn FnMut(u32, &Entry),
) -> Result<Option<WorktreeView>, Failure> {
    let home = following.context.home()?;
    let mut number = following.number;
    loop {
        let path = journal::path(&home, following.session, number);
        match follow_one(following, number, path, each)? {
            Over::All(view) => return Ok(Some(*view)),
            Over::Left => return Ok(None),
            Over::One => number += 1,
        }
    }
}

/// Why one iteration is not followed any more.
enum Over {
    /// Another one follows it.
    One,
    /// None is under way; the session as it is then.
    All(Box<WorktreeView>),
    /// Whoever followed has left.
    Left,
}

/// Follows one iteration to its end.
fn follow_one(
    following: &Following<'_>,
    number: u32,
    path: PathBuf,
    each: &mut dyn FnMut(u32, &Entry),
) -> Result<Over, Failure> {
    let mut lines = Lines {
        path,
        reader: None,
        torn: Vec::new(),
    };
    let mut quiet = 0;
    loop {
        let mut is_over = false;
        while let Some(entry) = lines.next() {
            quiet = 0;
            each(number, &entry);
            match entry.told {
                Told::Judged { goes_on: true, .. } => return Ok(Over::One),
                Told::Judged { goes_on: false, .. } => is_over = true,
                Told::Refused { fault } => return Err((*fault).into()),
                Told::AgentStarted { .. }
                | Told::Agent { .. }
                | Told::Committed { .. }
                | Told::GateBegan { .. }
                | Told::GateEnded { .. } => {}
            }
        }
        quiet += 1;
        if is_over || quiet >= ASK {
            quiet = 0;
            let view = show::fetch_worktree(following.context, &following.session.to_string())?;
            if view.session.status != Status::Active {
                // What came between the last look and this answer.
                while let Some(entry) = lines.next() {
                    each(number, &entry);
                }
                return Ok(Over::All(Box::new(view)));
            }
            if view.session.last_iteration > number {
                return Ok(Over::One);
            }
        }
        if following.is_left.load(Ordering::Relaxed) {
            return Ok(Over::Left);
        }
        files::pause(LOOK);
    }
}

/// Whole lines of a file that grows.
struct Lines {
    path: PathBuf,
    reader: Option<BufReader<File>>,
    torn: Vec<u8>,
}

impl Lines {
    /// Returns the next line that can be read; `None` if there is none yet.
    fn next(&mut self) -> Option<Entry> {
        if self.reader.is_none() {
            self.reader = File::open(&self.path).ok().map(BufReader::new);
        }
        let reader = self.reader.as_mut()?;
        loop {
            let read = reader.read_until(b'\n', &mut self.torn).ok()?;
            if read == 0 || !self.torn.ends_with(b"\n") {
                return None;
            }
            let line = std::mem::take(&mut self.torn);
            if let Ok(entry) = serde_json::from_slice(&line) {
                return Some(entry);
            }
        }
    }
}
