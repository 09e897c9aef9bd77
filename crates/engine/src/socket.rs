//! Sockets in a home. The path of a Unix socket ends at about a hundred bytes, unix(7); a home may
//! lie deeper, so a socket is reached through its open folder.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::Mode;
use rustix::net::sockopt::{self, Timeout};
use rustix::net::{self, AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

/// How long a server that does not accept may hold up a client.
const CONNECT: Duration = Duration::from_secs(1);

/// Connects to the socket at `path`. With many clients waiting before a daemon that is stopped,
/// connecting would block for ever, unix(7): it gives up in time.
pub fn connect(path: &Path) -> io::Result<UnixStream> {
    let (_folder, short) = shortened(path)?;
    let socket = net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    sockopt::set_socket_timeout(&socket, Timeout::Send, Some(CONNECT))?;
    net::connect(&socket, &SocketAddrUnix::new(&short)?)?;
    Ok(UnixStream::from(socket))
}

/// Binds a new socket at `path`, for this user only. A socket left by a dead server is replaced:
/// the caller knows that nobody listens there. It is there only once somebody listens.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let unfinished = path.with_file_name(name);
    remove_if_there(&unfinished)?;
    let (_folder, short) = shortened(&unfinished)?;
    let before = rustix::process::umask(Mode::from_raw_mode(0o077));
    let listener = UnixListener::bind(short);
    rustix::process::umask(before);
    let listener = listener?;
    std::fs::rename(&unfinished, path)?;
    Ok(listener)
}

/// Removes a socket whose server has died. One on which somebody listens stays.
pub fn remove_dead(path: &Path) -> io::Result<()> {
    match connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => remove_if_there(path),
        _ => Ok(()),
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn shortened(path: &Path) -> io::Result<(File, PathBuf)> {
    let name = path.file_name().unwrap_or_default();
    let folder = File::open(path.parent().unwrap_or(Path::new("/")))?;
    let short = Path::new("/proc/self/fd")
        .join(folder.as_raw_fd().to_string())
        .join(name);
    Ok((folder, short))
}
