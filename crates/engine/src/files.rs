//! Writing files: private folders, whole replacement, kernel locks.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;

/// A file or folder could not be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}", path.display())]
pub struct FileError {
    /// What was tried.
    pub action: &'static str,
    /// On what.
    pub path: PathBuf,
    /// Why not.
    #[source]
    pub source: io::Error,
}

impl FileError {
    /// Names what was tried and on what.
    pub fn new(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self {
            action,
            path: path.to_owned(),
            source,
        }
    }

    /// Returns whether the disk or quota is full.
    pub fn is_full(&self) -> bool {
        matches!(
            self.source.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        )
    }
}

/// Makes a folder that only its owner can enter, with its parents. An existing one stays.
pub fn create_private_folder(path: &Path) -> Result<(), FileError> {
    match DirBuilder::new().recursive(true).mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists || !path.is_dir() => {
            Err(FileError::new("create", path, error))
        }
        _ => Ok(()),
    }
}

/// Returns the path without links, `.` and `..`.
pub fn canonical(path: &Path) -> Result<PathBuf, FileError> {
    fs::canonicalize(path).map_err(|source| FileError::new("find", path, source))
}

/// Replaces a file as a whole: a reader sees the old content or the new one.
pub fn replace(path: &Path, content: &[u8], mode: u32) -> Result<(), FileError> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let write = || -> io::Result<()> {
        let mut file = tempfile::Builder::new()
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))
            .tempfile_in(folder)?;
        file.write_all(content)?;
        file.as_file().sync_data()?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    write().map_err(|source| FileError::new("write", path, source))
}

/// Writes a private file of which nothing is asked after a loss of power.
pub fn write_private(path: &Path, content: &[u8]) -> Result<(), FileError> {
    let write = || -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.create(true).truncate(true).write(true).mode(0o600);
        options.open(path)?.write_all(content)
    };
    write().map_err(|source| FileError::new("write", path, source))
}

/// Makes a file for a person; one that is there is not overwritten.
pub fn create_new(path: &Path) -> Result<File, FileError> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .map_err(|source| FileError::new("create", path, source))
}

/// Opens a private file to be appended to, and makes it when it is missing.
pub fn open_to_append(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
}

/// Appends one line to a private file and brings it to the disk. A torn line before it, as a full
/// disk leaves one, does not run into it.
pub fn append_line(path: &Path, line: &str) -> Result<(), FileError> {
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .read(true)
            .mode(0o600)
            .open(path)?;
        let torn = match file.seek(SeekFrom::End(-1)) {
            Ok(_) => {
                let mut last = [0];
                file.read_exact(&mut last)?;
                last != *b"\n"
            }
            // The file is empty.
            Err(_) => false,
        };
        let start = if torn { "\n" } else { "" };
        file.write_all(format!("{start}{line}\n").as_bytes())?;
        file.sync_data()
    };
    write().map_err(|source| FileError::new("write", path, source))
}

/// A file that this process made, told from any other that lies at its path later: a person may
/// move a whole folder away and have another made in its place. It is removed when this is
/// dropped, unless another has taken its place.
#[derive(Debug)]
pub struct OwnFile {
    path: PathBuf,
    /// A mere handle, which a socket allows too. Held, its number is not given to another file.
    handle: File,
}

impl OwnFile {
    /// Takes what lies at the path for this process's own.
    pub fn at(path: &Path) -> Result<Self, FileError> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle = rustix::fs::open(path, flags, Mode::empty())
            .map_err(|errno| FileError::new("open", path, errno.into()))?;
        Ok(Self {
            path: path.to_owned(),
            handle: File::from(handle),
        })
    }
}

impl Drop for OwnFile {
    fn drop(&mut self) {
        if is_at(&self.handle, &self.path) {
            drop(remove(&self.path));
        }
    }
}

/// Removes a file; one that is gone already is as good.
pub fn remove(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(FileError::new("remove", path, error))
        }
        _ => Ok(()),
    }
}

/// How often a lock that is held is tried.
const LOOKS: u32 = 5;

/// A lock that the kernel releases when its holder dies, however it dies.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

/// Whether a kernel lock is held by somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockState {
    /// Somebody holds it.
    Held,
    /// Nobody holds it.
    Free,
    /// There is no such file, or the file system does not tell.
    Unknown,
}

impl Lock {
    /// Takes the lock, or returns `None` when another process holds it. Somebody who only looks at
    /// it holds it for an instant, so it is tried for a few milliseconds.
    pub fn try_take(path: &Path) -> Result<Option<Self>, FileError> {
        let mut file = open_lock(path)?;
        for _ in 0..LOOKS {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) if is_at(&file, path) => return Ok(Some(Self { file })),
                // It was removed between opening and locking: the lock has no name any more.
                Ok(()) => file = open_lock(path)?,
                Err(Errno::WOULDBLOCK) => pause(std::time::Duration::from_millis(1)),
                Err(errno) => return Err(FileError::new("lock", path, errno.into())),
            }
        }
        Ok(None)
    }

    /// Takes the lock if nobody so much as looks at it.
    pub fn try_take_now(path: &Path) -> Result<Option<Self>, FileError> {
        let file = open_lock(path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(is_at(&file, path).then_some(Self { file })),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(FileError::new("lock", path, errno.into())),
        }
    }

    /// Takes the lock, and waits as long as another process holds it.
    pub fn take(path: &Path) -> Result<Self, FileError> {
        loop {
            let file = open_lock(path)?;
            match flock(&file, FlockOperation::LockExclusive) {
                Ok(()) if is_at(&file, path) => return Ok(Self { file }),
                // It was removed meanwhile, or a signal came: once more.
                Ok(()) | Err(Errno::INTR) => {}
                Err(errno) => return Err(FileError::new("lock", path, errno.into())),
            }
        }
    }

    /// Writes the holder's pid into the lock file, for people.
    pub fn write_pid(&mut self, pid: u32) -> io::Result<()> {
        self.write(&pid.to_string())
    }

    /// Writes a line into the lock file, for people.
    pub fn write(&mut self, line: &str) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        writeln!(self.file, "{line}")
    }

    /// Returns the open file. Whoever inherits it shares the lock, which is held until all have
    /// closed it.
    pub fn file(&self) -> &File {
        &self.file
    }
}

/// Removes a lock that nobody holds. Returns whether it is gone.
pub fn remove_free_lock(path: &Path) -> bool {
    let Ok(file) = File::open(path) else {
        return false;
    };
    // Held while it is removed, it cannot be taken by somebody who opened it before.
    flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() && remove(path).is_ok()
}

/// Returns whether an open file is the one that lies at the path.
pub fn is_at(file: &File, path: &Path) -> bool {
    let same = |here: fs::Metadata, there: fs::Metadata| {
        (here.dev(), here.ino()) == (there.dev(), there.ino())
    };
    match (file.metadata(), path.metadata()) {
        (Ok(here), Ok(there)) => same(here, there),
        _ => false,
    }
}

/// Looks whether somebody holds the lock, without taking it for longer than the look.
pub fn lock_state(path: &Path) -> LockState {
    let Ok(file) = File::open(path) else {
        return LockState::Unknown;
    };
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => LockState::Free,
        Err(Errno::WOULDBLOCK) => LockState::Held,
        Err(_) => LockState::Unknown,
    }
}

fn open_lock(path: &Path) -> Result<File, FileError> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(0o600)
        .open(path)
        .map_err(|source| FileError::new("open", path, source))
}

/// Waits until nobody holds the lock, at most `limit`. Returns whether it is free.
pub fn wait_for_lock(path: &Path, limit: std::time::Duration) -> bool {
    let until = std::time::Instant::now() + limit;
    while lock_state(path) == LockState::Held {
        if std::time::Instant::now() >= until {
            return false;
        }
        pause(std::time::Duration::from_millis(2));
    }
    true
}

/// Waits between two looks at something that tells nobody when it changes.
pub fn pause(time: std::time::Duration) {
    let wait = rustix::event::Timespec {
        tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(time.subsec_nanos()),
    };
    let nothing: &mut [rustix::event::PollFd<'_>] = &mut [];
    // An interrupted wait is only a shorter one.
    rustix::event::poll(nothing, Some(&wait)).ok();
}
