//! The daemon's socket. The path of a Unix socket ends at about a hundred bytes, unix(7); a home
//! may lie deeper, so the socket is reached through its open folder.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::Mode;

/// Connects to the socket at `path`.
pub(crate) fn connect(path: &Path) -> io::Result<UnixStream> {
    let (_folder, short) = shortened(path)?;
    UnixStream::connect(short)
}

/// Binds a new socket at `path`, for this user only. A socket left by a dead daemon is replaced:
/// the caller holds the daemon's lock, so nobody listens there.
pub(crate) fn bind(path: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let (_folder, short) = shortened(path)?;
    let before = rustix::process::umask(Mode::from_raw_mode(0o077));
    let listener = UnixListener::bind(short);
    rustix::process::umask(before);
    listener
}

fn shortened(path: &Path) -> io::Result<(File, PathBuf)> {
    let name = path.file_name().unwrap_or_default();
    let folder = File::open(path.parent().unwrap_or(Path::new("/")))?;
    let short = Path::new("/proc/self/fd")
        .join(folder.as_raw_fd().to_string())
        .join(name);
    Ok((folder, short))
}
