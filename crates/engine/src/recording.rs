//! Recordings of terminal sessions: a byte-exact journal, its reader, and its export.
//!
//! A [`Recorder`] is given every chunk of an agent's output before anybody sees it and writes it to
//! a journal: a folder of segments, each of which can be played alone. A [`Journal`] reads them back,
//! also when they are torn or damaged. [`export`] makes an asciicast of one, known secrets masked.
//! `docs/design/005-journal.md` says why it is so.

mod cast;
mod disk;
mod escape;
mod format;
mod journal;
mod masker;
mod page;
mod recorder;

pub use cast::{About, Exported, export};
pub use escape::{Scanner, Step};
pub use format::Header;
pub use journal::{Entry, Journal, JournalError, Record, Records};
pub use recorder::Recorder;
