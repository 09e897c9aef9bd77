//! Child processes that are not git: the agent in the foreground, one turn of it on its own, the daemon
//! in the background.

mod contained;
mod scope;
mod turn;

use std::ffi::{OsStr, OsString};
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::io::Errno;

pub use contained::{Contained, ContainedEnd};
pub use scope::{Standing, enter_scope};
pub use turn::{
    Line, TurnCause, TurnCommand, TurnEnding, TurnListener, end_session_processes, run_turn,
};

use crate::files;

/// A program could not be found or started.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// No folder of PATH has it.
    #[error("{} is in no folder of PATH", name.to_string_lossy())]
    NotFound {
        /// The name that was looked for.
        name: OsString,
    },
    /// It is there and cannot be executed.
    #[error("{} cannot be executed", path.display())]
    NotExecutable {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It could not be started for another reason.
    #[error("cannot start {}", path.display())]
    Start {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// There is no terminal to start it on.
    #[error("no new terminal can be had")]
    Terminal(#[source] io::Error),
}

/// Finds the program that a shell would run for `name`, passing over every link to this program:
/// a person may call us by an agent's name.
pub fn find_program(name: &OsStr, path: &OsStr, own: &Path) -> Result<PathBuf, ExecError> {
    if name.as_encoded_bytes().contains(&b'/') {
        return check(PathBuf::from(name)).map_err(|error| match error {
            ExecError::NotExecutable { path, source }
                if source.kind() == io::ErrorKind::NotFound =>
            {
                ExecError::NotFound {
                    name: path.into_os_string(),
                }
            }
            error => error,
        });
    }
    let own = own.metadata().map(|data| (data.dev(), data.ino())).ok();
    let mut refused = None;
    for folder in std::env::split_paths(path) {
        let folder = if folder.as_os_str().is_empty() {
            PathBuf::from(".")
        } else {
            folder
        };
        let candidate = folder.join(name);
        let Ok(data) = candidate.metadata() else {
            continue;
        };
        if own == Some((data.dev(), data.ino())) {
            continue;
        }
        match check(candidate) {
            Ok(found) => return Ok(found),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    Err(refused.unwrap_or_else(|| ExecError::NotFound {
        name: name.to_owned(),
    }))
}

fn check(path: PathBuf) -> Result<PathBuf, ExecError> {
    let denied = |path, kind| {
        Err(ExecError::NotExecutable {
            path,
            source: io::Error::from(kind),
        })
    };
    match path.metadata() {
        Err(source) => Err(ExecError::NotExecutable { path, source }),
        Ok(data) if data.is_dir() => denied(path, io::ErrorKind::IsADirectory),
        Ok(data) if data.permissions().mode() & 0o111 == 0 => {
            denied(path, io::ErrorKind::PermissionDenied)
        }
        Ok(_) => Ok(path),
    }
}

/// A command line to run in the foreground.
#[derive(Clone, Debug)]
pub struct Foreground {
    /// The file to execute.
    pub program: PathBuf,
    /// The name under which it was called.
    pub name: OsString,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Variables added to the inherited ones.
    pub variables: Vec<(String, String)>,
}

impl Foreground {
    /// Starts it with everything inherited: terminal, process group, folder, signals' fates. A
    /// file without an interpreter line is run by `sh`, as a shell does.
    pub fn start(&self) -> Result<Child, ExecError> {
        self.start_by(|mut command| command.spawn())
    }

    /// Starts it as the leader of a session of its own on a new terminal, and returns our end of
    /// that. `prepare` may set the terminal up before.
    pub fn start_on_terminal(
        &self,
        prepare: impl Fn(BorrowedFd<'_>) -> io::Result<()>,
    ) -> Result<(Child, OwnedFd), ExecError> {
        let open = || -> io::Result<_> {
            let (ours, theirs) = pty_process::blocking::open().map_err(io_error)?;
            prepare(ours.as_fd())?;
            Ok((ours, theirs))
        };
        let mut opened = Some(open().map_err(ExecError::Terminal)?);
        let mut master = None;
        let child = self.start_by(|command| {
            // The second try of a script needs another one.
            let (ours, theirs) = opened.take().map_or_else(&open, Ok)?;
            let child = pty_process::blocking::Command::from(command)
                .spawn(theirs)
                .map_err(io_error)?;
            master = Some(OwnedFd::from(ours));
            Ok(child)
        })?;
        let master = master.expect("an agent that was started has a terminal");
        Ok((child, master))
    }

    fn start_by(
        &self,
        mut start: impl FnMut(Command) -> io::Result<Child>,
    ) -> Result<Child, ExecError> {
        let outcome = match start(self.command(&self.program, None)) {
            Err(error) if error.raw_os_error() == Some(Errno::NOEXEC.raw_os_error()) => {
                start(self.command(Path::new("/bin/sh"), Some(&self.program)))
            }
            outcome => outcome,
        };
        outcome.map_err(|source| {
            let path = self.program.clone();
            match source.kind() {
                // The machine gave no process; all else is told of the file and its arguments.
                io::ErrorKind::WouldBlock | io::ErrorKind::OutOfMemory => {
                    ExecError::Start { path, source }
                }
                _ => ExecError::NotExecutable { path, source },
            }
        })
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this is the room that starts programs"
    )]
    fn command(&self, program: &Path, leading: Option<&Path>) -> Command {
        let mut command = Command::new(program);
        command.args(leading).args(&self.arguments);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        if leading.is_none() {
            command.arg0(&self.name);
        }
        command
    }
}

fn io_error(error: pty_process::Error) -> io::Error {
    match error {
        pty_process::Error::Io(error) => error,
        pty_process::Error::Rustix(error) => error.into(),
    }
}

/// Starts a program that outlives this one and is nobody's child: nothing of the terminal is
/// inherited, and only the given variables. `messenger` are the arguments with which the program
/// starts itself once more by [`start_and_leave`]. Returns the pid of the one that stays.
pub fn start_detached(
    program: &Path,
    messenger: &[&str],
    variables: &[(OsString, OsString)],
    log: &Path,
) -> Result<u32, ExecError> {
    let mut command = messenger_of(program, messenger, log);
    command
        .env_clear()
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .current_dir("/")
        .stdin(Stdio::null());
    let output = command
        .output()
        .map_err(|error| unstarted(program, error))?;
    let pid = String::from_utf8_lossy(&output.stdout).trim().parse();
    pid.map_err(|_| unstarted(program, io::ErrorKind::UnexpectedEof.into()))
}

fn unstarted(program: &Path, source: io::Error) -> ExecError {
    ExecError::Start {
        path: program.to_owned(),
        source,
    }
}

fn messenger_of(program: &Path, arguments: &[&str], log: &Path) -> Command {
    let log = files::open_to_append(log).map_or_else(|_| Stdio::null(), Stdio::from);
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the room that starts programs"
    )]
    let mut command = Command::new(program);
    command.args(arguments).stderr(log);
    command
}

/// Starts this program once more as a messenger that starts a program by [`start_and_pass_on`] and
/// leaves, gives that one `input`, and returns what it says. Variables and folder are inherited;
/// nothing of the terminal is.
pub fn start_by_messenger(
    program: &Path,
    messenger: &[&str],
    input: &[u8],
    log: &Path,
) -> Result<ChildStdout, ExecError> {
    let failed = |source| unstarted(program, source);
    let mut command = messenger_of(program, messenger, log);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    let told = child.stdin.take().map(|mut stdin| stdin.write_all(input));
    let said = child.stdout.take();
    let status = child.wait().map_err(failed)?;
    match (told, said) {
        _ if !status.success() => {
            let ended = format!("its messenger ended with {status}");
            Err(failed(io::Error::other(ended)))
        }
        (Some(Ok(())), Some(said)) => Ok(said),
        (Some(Err(source)), _) => Err(failed(source)),
        _ => Err(failed(io::Error::from(io::ErrorKind::BrokenPipe))),
    }
}

/// Starts a program in a session of its own with this process's standard streams and no other
/// descriptor: when this process has ended it is nobody's child.
pub fn start_and_pass_on(program: &Path, arguments: &[&str]) -> Result<(), ExecError> {
    start_apart(program, arguments, Stdio::inherit).map(drop)
}

/// Starts a program in a session of its own, with this process's standard error and nothing else,
/// and returns its pid without waiting for it: when this process has ended it is nobody's child.
pub fn start_and_leave(program: &Path, arguments: &[&str]) -> Result<u32, ExecError> {
    start_apart(program, arguments, Stdio::null)
}

fn start_apart(
    program: &Path,
    arguments: &[&str],
    streams: fn() -> Stdio,
) -> Result<u32, ExecError> {
    // Away from the terminal of whoever asked. Refused only to the leader of a process group, which
    // a messenger is not.
    rustix::process::setsid().ok();
    // A shell may hand down descriptors of its own, such as a lock: they are for the agent. What
    // the new process kept of them would stay open long after everybody else has let go.
    close_fds::set_fds_cloexec(3, &[]);
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the room that starts programs"
    )]
    let mut command = Command::new(program);
    command.args(arguments).stdin(streams()).stdout(streams());
    let child = command.spawn().map_err(|error| unstarted(program, error))?;
    Ok(child.id())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn program(folder: &Path, name: &str, mode: u32) -> PathBuf {
        let path = folder.join(name);
        files::replace(&path, b"#!/bin/sh\nexit 7\n", mode).unwrap();
        path
    }

    #[test]
    fn our_own_links_are_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let (shims, real) = (folder.path().join("shims"), folder.path().join("real"));
        fs::create_dir_all(&shims).unwrap();
        fs::create_dir_all(&real).unwrap();
        let own = program(folder.path(), "amps", 0o755);
        symlink(&own, shims.join("agent")).unwrap();
        let path = std::env::join_paths([&shims, &real]).unwrap();
        let find = || find_program(OsStr::new("agent"), &path, &own);
        assert!(matches!(find(), Err(ExecError::NotFound { .. })));
        let agent = program(&real, "agent", 0o755);
        assert_eq!(find().unwrap(), agent);
    }

    #[test]
    fn what_cannot_be_executed_is_told_from_what_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let own = Path::new("/nonexistent");
        program(folder.path(), "plain", 0o644);
        fs::create_dir(folder.path().join("folder")).unwrap();
        let find = |name: &str| find_program(OsStr::new(name), folder.path().as_os_str(), own);
        assert!(matches!(
            find("plain"),
            Err(ExecError::NotExecutable { .. })
        ));
        assert!(matches!(
            find("folder"),
            Err(ExecError::NotExecutable { .. })
        ));
        assert!(matches!(find("absent"), Err(ExecError::NotFound { .. })));
        assert!(matches!(find("./absent"), Err(ExecError::NotFound { .. })));
    }

    #[test]
    fn a_script_without_an_interpreter_line_runs_as_in_a_shell() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("script");
        files::replace(&path, b"exit 9\n", 0o755).unwrap();
        let foreground = Foreground {
            program: path,
            name: OsString::from("script"),
            arguments: Vec::new(),
            variables: Vec::new(),
        };
        assert_eq!(foreground.start().unwrap().wait().unwrap().code(), Some(9));
    }
}
