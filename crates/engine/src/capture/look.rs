//! What the file system tells of a path, without opening it and without following a link.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, FileType, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use amps_core::path::RawPath;
use rustix::time::{ClockId, clock_gettime};

/// What is at a path.
#[derive(Debug)]
pub(crate) enum Seen {
    /// Nothing, or a parent is no folder.
    Missing,
    /// A thing of this kind.
    There(Metadata),
    /// The file system does not tell.
    Unknown,
}

/// The kinds of things that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Link,
    Folder,
    /// A pipe, socket or device: never opened.
    Special,
}

/// Looks at paths below one folder, remembering which of their parents are real folders.
#[derive(Debug)]
pub(crate) struct Looker {
    root: PathBuf,
    real: HashMap<PathBuf, bool>,
}

impl Looker {
    /// Looks below this folder.
    pub(crate) fn below(root: &RawPath) -> Self {
        Self {
            root: native(root),
            real: HashMap::new(),
        }
    }

    /// Returns the whole path.
    pub(crate) fn full(&self, path: &RawPath) -> PathBuf {
        self.root.join(OsStr::from_bytes(path.as_bytes()))
    }

    /// Looks at a path; what lies behind a symbolic link is missing, as it is for git.
    pub(crate) fn look(&mut self, path: &RawPath) -> Seen {
        let full = self.full(path);
        if let Some(parent) = full.parent()
            && !self.is_real(parent)
        {
            return Seen::Missing;
        }
        match fs::symlink_metadata(&full) {
            Ok(metadata) => Seen::There(metadata),
            Err(error) if is_missing(&error) => Seen::Missing,
            Err(_) => Seen::Unknown,
        }
    }

    fn is_real(&mut self, folder: &Path) -> bool {
        if folder == self.root || !folder.starts_with(&self.root) {
            return true;
        }
        if let Some(known) = self.real.get(folder) {
            return *known;
        }
        // A parent that cannot be looked at is left to the look at the path itself.
        let real = folder.parent().is_none_or(|parent| self.is_real(parent))
            && fs::symlink_metadata(folder)
                .map_or_else(|error| !is_missing(&error), |metadata| metadata.is_dir());
        self.real.insert(folder.to_owned(), real);
        real
    }

    /// Returns when the path last changed, in nanoseconds since 1970; for a missing path when the
    /// nearest thing above it did. `None` when the file system does not tell.
    pub(crate) fn changed(&mut self, path: &RawPath) -> Option<Changed> {
        if let Seen::There(metadata) = self.look(path) {
            let born = metadata.created().ok().and_then(|time| {
                let since = time.duration_since(UNIX_EPOCH).ok()?;
                i128::try_from(since.as_nanos()).ok()
            });
            return Some(Changed {
                at: changed_at(&metadata),
                born,
            });
        }
        let full = self.full(path);
        full.ancestors()
            .skip(1)
            .take_while(|folder| folder.starts_with(&self.root))
            .find_map(|folder| fs::symlink_metadata(folder).ok())
            .map(|metadata| Changed {
                at: changed_at(&metadata),
                born: None,
            })
    }
}

/// When something at a path changed and came into being, in nanoseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Changed {
    pub(crate) at: i128,
    pub(crate) born: Option<i128>,
}

/// Returns the kernel's change time, which no program can set back.
pub(crate) fn changed_at(metadata: &Metadata) -> i128 {
    i128::from(metadata.ctime()) * 1_000_000_000 + i128::from(metadata.ctime_nsec())
}

/// Returns what a change would be dated that is made now, in nanoseconds since 1970. This clock
/// ticks, so it lags behind the one that programs read; nothing is dated before it.
pub(crate) fn kernel_now() -> i128 {
    nanoseconds(ClockId::RealtimeCoarse)
}

/// Returns what a clock shows, in nanoseconds.
pub(crate) fn nanoseconds(clock: ClockId) -> i128 {
    let time = clock_gettime(clock);
    i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec)
}

/// Returns the kind of a thing.
pub(crate) fn kind(file_type: FileType) -> Kind {
    if file_type.is_file() {
        Kind::File
    } else if file_type.is_symlink() {
        Kind::Link
    } else if file_type.is_dir() {
        Kind::Folder
    } else {
        debug_assert!(
            file_type.is_fifo()
                || file_type.is_socket()
                || file_type.is_char_device()
                || file_type.is_block_device()
        );
        Kind::Special
    }
}

/// Returns size and modification time as one word.
pub(crate) fn stamp(metadata: &Metadata) -> String {
    format!(
        "{}-{}.{:09}",
        metadata.size(),
        metadata.mtime(),
        metadata.mtime_nsec()
    )
}

/// Returns whether the error means that nothing is there.
pub(crate) fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// Returns the path in the form of the standard library.
pub(crate) fn native(path: &RawPath) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(path.as_bytes()))
}

/// Returns the exact bytes of a path.
pub(crate) fn raw(path: &Path) -> RawPath {
    RawPath::new(path.as_os_str().as_bytes())
}
