//! Commands of a sealed home: built, then run, started or put on a terminal.

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use amps_core::exit::Exit;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::Signal;

use crate::output::Output;
use crate::pause::PausePoint;
use crate::redact::Redactor;
use crate::terminal::{Terminal, TerminalOptions};
use crate::wait::{self, PATIENCE};
use crate::{fake_agent, process};

/// How long the pipes of a command may stay open after it has ended.
const PIPES_CLOSE: Duration = Duration::from_secs(5);

/// A command of a [`Home`](crate::Home), to be changed and then run.
#[derive(Clone, Debug)]
#[must_use]
pub struct Cmd {
    pub(crate) root: PathBuf,
    pub(crate) redactor: Arc<Redactor>,
    program: OsString,
    args: Vec<OsString>,
    folder: PathBuf,
    env: Vec<(OsString, OsString)>,
    input: Option<Vec<u8>>,
    deadline: Duration,
}

impl Cmd {
    pub(crate) fn new(root: &Path, redactor: &Arc<Redactor>, program: &OsStr) -> Self {
        Self {
            root: root.to_owned(),
            redactor: Arc::clone(redactor),
            program: program.to_owned(),
            args: Vec::new(),
            folder: root.join("home"),
            env: Vec::new(),
            input: None,
            deadline: PATIENCE,
        }
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    pub fn args<I: IntoIterator<Item: AsRef<OsStr>>>(mut self, args: I) -> Self {
        let args = args.into_iter().map(|arg| arg.as_ref().to_owned());
        self.args.extend(args);
        self
    }

    /// Starts it in this folder instead of the user's home.
    pub fn cwd(mut self, folder: impl AsRef<Path>) -> Self {
        folder.as_ref().clone_into(&mut self.folder);
        self
    }

    /// Sets a variable on top of the sealed environment.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.unset(name.as_ref());
        self.env
            .push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Leaves a variable of the sealed environment out.
    pub fn env_remove(mut self, name: impl AsRef<OsStr>) -> Self {
        self.unset(name.as_ref());
        self
    }

    fn unset(&mut self, name: &OsStr) {
        self.env.retain(|(known, _)| known != name);
    }

    /// Gives it these bytes on stdin, which is the null device otherwise.
    pub fn stdin(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.input = Some(bytes.as_ref().to_vec());
        self
    }

    /// Gives it more or less time than [`PATIENCE`] before [`run`](Self::run) panics.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Stops it at a named point. Only a binary with the feature `testing` knows such points.
    pub fn pause_at(mut self, point: &PausePoint) -> Self {
        for (name, value) in point.env() {
            self = self.env(name, value);
        }
        self
    }

    /// Runs it to its end. Panics if that takes too long.
    #[track_caller]
    #[must_use]
    pub fn run(self) -> Output {
        let deadline = self.deadline;
        self.start().wait(deadline)
    }

    /// Starts it with pipes as stdout and stderr, in a session without a terminal. A program that
    /// cannot be found ends with code 127.
    #[track_caller]
    pub fn start(self) -> Running {
        // Away from the terminal of whoever runs the tests.
        let mut command = self.led_by("--without-terminal");
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.stdin(if self.input.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        });
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => panic!("{self} cannot be started: {error}"),
        };
        if let (Some(bytes), Some(mut pipe)) = (self.input.clone(), child.stdin.take()) {
            // Not joined: a command may end without reading its input.
            std::thread::spawn(move || pipe.write_all(&bytes).is_ok());
        }
        Running {
            stdout: child.stdout.take(),
            stderr: child.stderr.take(),
            child,
            command: self,
            status: None,
        }
    }

    /// Puts it on a terminal of 24 rows and 80 columns that answers no queries.
    #[track_caller]
    pub fn terminal(self) -> Terminal {
        self.terminal_with(TerminalOptions::default())
    }

    /// Puts it on a terminal of the given kind.
    #[track_caller]
    pub fn terminal_with(self, options: TerminalOptions) -> Terminal {
        Terminal::spawn(self, options)
    }

    /// Returns the command that makes a process lead a session and then become this command.
    pub(crate) fn led_by(&self, mode: &str) -> Command {
        let mut command = Command::new(fake_agent::path());
        command.arg(mode).arg(&self.program).args(&self.args);
        command.env_clear().current_dir(&self.folder);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }
}

impl std::fmt::Display for Cmd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}", self.program.display())?;
        for arg in &self.args {
            write!(f, " {}", arg.display())?;
        }
        f.write_str("`")
    }
}

/// Turns what the system says about an end into [`Exit`].
pub(crate) fn exit_of(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => panic!("neither a code nor a signal: {status}"),
    }
}

/// A started command. If it still runs when this is dropped, it is ended by SIGKILL.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    command: Cmd,
    status: Option<Exit>,
}

impl Running {
    /// Returns its process id.
    pub fn pid(&self) -> i32 {
        self.child.id().try_into().unwrap()
    }

    /// Sends it a signal.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        process::send(self.pid(), signal);
    }

    /// Waits for its end and returns all it wrote. Panics at the deadline, or if somebody else
    /// keeps its stdout or stderr open after that.
    #[track_caller]
    #[must_use]
    pub fn wait(mut self, deadline: Duration) -> Output {
        let handle = process::open(self.pid()).unwrap();
        let mut written = [Vec::new(), Vec::new()];
        let mut end = Instant::now() + deadline;
        while self.status.is_none() || self.stdout.is_some() || self.stderr.is_some() {
            let mut fds = Vec::new();
            let mut from = Vec::new();
            if self.status.is_none() {
                fds.push(PollFd::new(&handle, PollFlags::IN));
                from.push(2);
            }
            if let Some(pipe) = &self.stdout {
                fds.push(PollFd::new(pipe, PollFlags::IN));
                from.push(0);
            }
            if let Some(pipe) = &self.stderr {
                fds.push(PollFd::new(pipe, PollFlags::IN));
                from.push(1);
            }
            let ready = poll(&mut fds, Some(&wait::left_until(end))).unwrap_or(1);
            assert!(ready > 0, "{}", self.lateness(deadline, &written));
            let ready: Vec<usize> = (fds.iter().zip(from))
                .filter(|(fd, _)| !fd.revents().is_empty())
                .map(|(_, source)| source)
                .collect();
            for source in ready {
                if source == 2 {
                    self.status = Some(exit_of(self.child.wait().unwrap()));
                    end = Instant::now() + PIPES_CLOSE;
                } else {
                    self.read(source, &mut written[source]);
                }
            }
        }
        let [stdout, stderr] = written;
        Output {
            status: self.status.unwrap(),
            stdout,
            stderr,
            command: self.command.to_string(),
            redactor: Arc::clone(&self.command.redactor),
        }
    }

    fn read(&mut self, source: usize, into: &mut Vec<u8>) {
        let pipe = match (source, &self.stdout, &self.stderr) {
            (0, Some(pipe), _) => pipe.as_fd(),
            (1, _, Some(pipe)) => pipe.as_fd(),
            _ => return,
        };
        let mut buffer = vec![0; 65536];
        let length = rustix::io::retry_on_intr(|| rustix::io::read(pipe, &mut buffer)).unwrap();
        into.extend_from_slice(&buffer[..length]);
        if length == 0 && source == 0 {
            self.stdout = None;
        } else if length == 0 {
            self.stderr = None;
        }
    }

    fn lateness(&self, deadline: Duration, written: &[Vec<u8>; 2]) -> String {
        let what = match self.status {
            None => format!("did not end within {deadline:?}"),
            Some(_) => "ended, but somebody keeps its stdout or stderr open".to_owned(),
        };
        let processes = process::of_home(&self.command.root);
        let processes: Vec<String> = (processes.iter())
            .map(|stat| format!("{} {}", stat.pid, process::command_line(stat.pid)))
            .collect();
        format!(
            "{} {what}\n--- stdout\n{}\n--- stderr\n{}\n--- processes of the home\n{}",
            self.command,
            String::from_utf8_lossy(&written[0]),
            String::from_utf8_lossy(&written[1]),
            processes.join("\n")
        )
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.status.is_none() && self.child.kill().is_ok() {
            self.child.wait().ok();
        }
    }
}
