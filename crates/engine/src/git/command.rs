//! Starting git and listening to it: never deadlocked, never longer than allowed.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write as _};
use std::ops::ControlFlow;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use amps_core::snapshot::{Workspace, WorkspaceKind};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::{Pid, Signal, kill_process_group};

use super::GitError;
use super::settings::{MEMORY, PERSON_SETTINGS, QUIET, SETTINGS, TIES, UNASKED};

/// How often a child whose pipes are silent is asked whether it has ended. A helper that git left
/// behind may keep the pipes open after git itself is gone.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
const DEADLINE: Duration = Duration::from_secs(600);
const STDERR_KEPT: usize = 16 * 1024;

/// The variables that git is given; nothing else is inherited.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// `PATH`: where git and the filters it starts are looked for.
    pub path: OsString,
    /// `HOME`.
    pub home: Option<PathBuf>,
    /// `XDG_CONFIG_HOME`.
    pub xdg_config_home: Option<PathBuf>,
    /// Further variables by name, such as `GIT_DIR` or `GIT_CONFIG_GLOBAL`, that the person had set.
    pub passed: Vec<(OsString, OsString)>,
}

/// The git program and what it is given to run with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Git {
    program: PathBuf,
    environment: Environment,
    deadline: Duration,
}

/// One question to git.
#[derive(Debug)]
pub struct Call<'a> {
    folder: PathBuf,
    arguments: Vec<OsString>,
    variables: Vec<(&'static str, OsString)>,
    input: Input<'a>,
    alone: bool,
    manner: Manner,
}

/// Whose settings a call goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// Ours: nothing of the person's runs.
    Quiet,
    /// The person's.
    Person,
}

#[derive(Debug)]
enum Input<'a> {
    None,
    Bytes(&'a [u8]),
    File(&'a File),
}

/// What git answered.
#[derive(Debug)]
pub struct Output {
    /// How it ended; `None` when the listener had heard enough and it was killed.
    pub status: Option<ExitStatus>,
    /// What it printed.
    pub stdout: Vec<u8>,
    /// The beginning of what it complained about.
    pub stderr: Vec<u8>,
    /// The number its process had.
    pub(crate) pid: u32,
}

impl<'a> Call<'a> {
    /// Asks in a folder; git finds the repository by itself.
    pub fn within(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            arguments: Vec::new(),
            variables: Vec::new(),
            input: Input::None,
            alone: false,
            manner: Manner::Quiet,
        }
    }

    /// Asks in a folder whose repository is not the one that the person's variables name.
    pub fn alone_within(folder: &Path) -> Self {
        Self {
            alone: true,
            ..Self::within(folder)
        }
    }

    /// Asks about a workspace: its repository, from the top of its working tree.
    pub fn at(workspace: &Workspace) -> Self {
        let root = OsStr::from_bytes(workspace.root.as_bytes());
        let git_dir = OsStr::from_bytes(workspace.git_dir.as_bytes());
        let call = match workspace.kind {
            WorkspaceKind::Repository => Self::within(Path::new(root)),
            WorkspaceKind::Folder => Self::alone_within(Path::new(root)),
        };
        call.variable("GIT_DIR", git_dir)
            .variable("GIT_WORK_TREE", root)
    }

    /// Asks in the manner of the person: with their hooks, identity, signing key, credentials and
    /// protocols, and a reflog, as if they had typed it. Only for what they asked for by name.
    ///
    /// Still no pager, no editor and no prompt opens, nothing goes on behind it, and submodules
    /// are left alone.
    #[must_use]
    pub fn as_person(mut self) -> Self {
        self.manner = Manner::Person;
        self
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<T: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = T>) -> Self {
        let arguments = arguments.into_iter().map(|a| a.as_ref().to_owned());
        self.arguments.extend(arguments);
        self
    }

    /// Sets a variable of git for this call.
    #[must_use]
    pub fn variable(mut self, name: &'static str, value: impl AsRef<OsStr>) -> Self {
        self.variables.push((name, value.as_ref().to_owned()));
        self
    }

    /// Gives bytes on the standard input.
    #[must_use]
    pub fn input(mut self, bytes: &'a [u8]) -> Self {
        self.input = Input::Bytes(bytes);
        self
    }

    /// Gives an open file as the standard input, so that it is read to its end whatever becomes of
    /// this process.
    #[must_use]
    pub fn input_file(mut self, file: &'a File) -> Self {
        self.input = Input::File(file);
        self
    }

    /// Returns the arguments as one line, for messages.
    pub(crate) fn shown(&self) -> String {
        let arguments: Vec<_> = self
            .arguments
            .iter()
            .map(|argument| argument.to_string_lossy())
            .collect();
        let mut line = arguments.join(" ");
        if let Some((end, _)) = line.char_indices().nth(300) {
            line.truncate(end);
        }
        line
    }
}

impl Git {
    /// Takes this program.
    pub fn new(program: PathBuf, environment: Environment) -> Self {
        Self {
            program,
            environment,
            deadline: DEADLINE,
        }
    }

    /// Looks for the program on the search path of the environment.
    ///
    /// An absolute program matters: only with one can a process that has grown start git cheaply.
    pub fn find(environment: Environment) -> Result<Self, GitError> {
        let found = std::env::split_paths(&environment.path)
            .filter(|folder| folder.is_absolute())
            .map(|folder| folder.join("git"))
            .find(|program| {
                rustix::fs::access(program, rustix::fs::Access::EXEC_OK).is_ok()
                    && program.is_file()
            });
        match found {
            Some(program) => Ok(Self::new(program, environment)),
            None => Err(GitError::NotFound {
                path: environment.path,
            }),
        }
    }

    /// Allows each call this much time.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Returns a git that is not told where the repository is by the person's variables.
    #[must_use]
    pub(crate) fn alone(&self) -> Self {
        let mut alone = self.clone();
        let passed = &mut alone.environment.passed;
        passed.retain(|(name, _)| TIES.iter().all(|tie| name.as_os_str() != *tie));
        alone
    }

    /// Returns whether variables tell where the repository is, so that only git can say.
    pub(crate) fn is_told_where(&self) -> bool {
        const WHERE: [&str; 6] = [
            "GIT_CEILING_DIRECTORIES",
            "GIT_COMMON_DIR",
            "GIT_DIR",
            "GIT_DISCOVERY_ACROSS_FILESYSTEM",
            "GIT_OBJECT_DIRECTORY",
            "GIT_WORK_TREE",
        ];
        self.environment
            .passed
            .iter()
            .any(|(name, _)| WHERE.iter().any(|known| name == known))
    }

    /// Returns the person's home folder.
    pub fn home(&self) -> Option<&Path> {
        self.environment.home.as_deref()
    }

    /// Returns the files of the person where git looks for settings, ignored names and attributes
    /// by itself, present or not: git-config(1), gitignore(5), gitattributes(5).
    pub(crate) fn configuration_files(&self) -> Vec<PathBuf> {
        let environment = &self.environment;
        let mut files = Vec::new();
        if let Some(home) = &environment.home {
            files.push(home.join(".gitconfig"));
        }
        let xdg_default = || environment.home.as_ref().map(|home| home.join(".config"));
        let xdg_home = environment.xdg_config_home.clone().or_else(xdg_default);
        for name in ["config", "ignore", "attributes"] {
            files.extend(xdg_home.as_ref().map(|home| home.join("git").join(name)));
        }
        let named = environment
            .passed
            .iter()
            .filter(|(name, _)| name == "GIT_CONFIG_GLOBAL");
        files.extend(named.map(|(_, file)| PathBuf::from(file)));
        files
    }

    /// Asks, and returns what was printed; any exit status but 0 is an error.
    pub fn run(&self, call: &Call<'_>) -> Result<Vec<u8>, GitError> {
        let output = self.output(call)?;
        match output.status {
            Some(status) if !status.success() => Err(output.into_error(call, status)),
            _ => Ok(output.stdout),
        }
    }

    /// Asks, and returns the answer whatever the exit status.
    pub fn output(&self, call: &Call<'_>) -> Result<Output, GitError> {
        let mut stdout = Vec::new();
        let mut output = self.stream(call, &mut |bytes| {
            stdout.extend_from_slice(bytes);
            ControlFlow::Continue(())
        })?;
        output.stdout = stdout;
        Ok(output)
    }

    /// Asks, and hands on what is printed piece by piece until the listener has heard enough.
    pub fn stream(
        &self,
        call: &Call<'_>,
        listener: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<Output, GitError> {
        let mut child = self.start(call)?;
        let heard = converse(&mut child, call, self.deadline, listener);
        if !matches!(
            heard,
            Ok(Heard {
                status: Some(_),
                ..
            })
        ) {
            end(&mut child);
        }
        let heard = heard.map_err(|source| match source.kind() {
            io::ErrorKind::TimedOut => GitError::TooSlow {
                arguments: call.shown(),
                limit: self.deadline,
            },
            _ => GitError::Pipe {
                arguments: call.shown(),
                source,
            },
        })?;
        Ok(Output {
            status: heard.status,
            stdout: Vec::new(),
            stderr: heard.stderr,
            pid: child.id(),
        })
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this room is the one that starts git"
    )]
    fn start(&self, call: &Call<'_>) -> Result<Child, GitError> {
        let mut command = Command::new(&self.program);
        let passed = self.environment.passed.iter();
        let passed = passed
            .filter(|(name, _)| !call.alone || TIES.iter().all(|tie| name.as_os_str() != *tie));
        command
            .env_clear()
            .env("PATH", &self.environment.path)
            .envs(self.environment.home.as_ref().map(|home| ("HOME", home)))
            .envs(
                self.environment
                    .xdg_config_home
                    .as_ref()
                    .map(|home| ("XDG_CONFIG_HOME", home)),
            )
            .envs(passed.map(|(name, value)| (name, value)))
            .envs(MEMORY)
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_TERMINAL_PROMPT", "0");
        let (settings, variables) = match call.manner {
            Manner::Quiet => (&SETTINGS[..], &QUIET[..]),
            Manner::Person => (&PERSON_SETTINGS[..], &UNASKED[..]),
        };
        command
            .envs(variables.iter().copied())
            .envs(call.variables.iter().map(|(name, value)| (name, value)))
            .args(["--no-pager", "--no-optional-locks"]);
        for setting in settings {
            command.args(["-c", setting]);
        }
        let stdin = match call.input {
            Input::None => Ok(Stdio::null()),
            Input::Bytes(_) => Ok(Stdio::piped()),
            Input::File(file) => file.try_clone().map(Stdio::from),
        };
        stdin
            .and_then(|stdin| {
                command
                    .args(&call.arguments)
                    .current_dir(&call.folder)
                    .stdin(stdin)
                    .stdout(Stdio::piped())
                    .stderr(Stdio::piped())
                    // The person's Ctrl-C is meant for the agent, not for us.
                    .process_group(0)
                    .spawn()
            })
            .map_err(|source| GitError::Start {
                program: self.program.clone(),
                folder: call.folder.clone(),
                source,
            })
    }
}

impl Output {
    /// Turns an answer that ended badly into an error.
    pub(crate) fn into_error(self, call: &Call<'_>, status: ExitStatus) -> GitError {
        let text = String::from_utf8_lossy(&self.stderr);
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        GitError::Failed {
            arguments: call.shown(),
            status,
            stderr: amps_core::path::visible(&lines.join("; ")),
        }
    }
}

struct Heard {
    status: Option<ExitStatus>,
    stderr: Vec<u8>,
}

/// Feeds and hears the child on one thread until it has ended and said everything.
fn converse(
    child: &mut Child,
    call: &Call<'_>,
    limit: Duration,
    listener: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
) -> io::Result<Heard> {
    let started = Instant::now();
    let mut stdin = child.stdin.take();
    let mut stdout = child.stdout.take();
    let mut stderr = child.stderr.take();
    let mut unsent: &[u8] = match call.input {
        Input::Bytes(bytes) => bytes,
        Input::None | Input::File(_) => &[],
    };
    for pipe in [
        stdin.as_ref().map(ChildStdin::as_fd),
        stdout.as_ref().map(|pipe| pipe.as_fd()),
        stderr.as_ref().map(|pipe| pipe.as_fd()),
    ] {
        pipe.map_or(Ok(()), never_block)?;
    }
    let mut complaints = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    let mut status = None;
    while stdout.is_some() || stderr.is_some() {
        if unsent.is_empty() {
            stdin = None;
        }
        let left = limit
            .checked_sub(started.elapsed())
            .ok_or(io::ErrorKind::TimedOut)?;
        let quiet = wait(
            [
                stdin.as_ref().map(|pipe| (pipe.as_fd(), PollFlags::OUT)),
                stdout.as_ref().map(|pipe| (pipe.as_fd(), PollFlags::IN)),
                stderr.as_ref().map(|pipe| (pipe.as_fd(), PollFlags::IN)),
            ],
            left.min(LOOK_INTERVAL),
        )?;
        if quiet && status.is_some() {
            break;
        }
        if quiet {
            status = child.try_wait()?;
        }
        send(&mut stdin, &mut unsent)?;
        let mut stop = false;
        hear(&mut stdout, &mut buffer, |bytes| {
            stop |= listener(bytes).is_break();
        })?;
        hear(&mut stderr, &mut buffer, |bytes| {
            let room = STDERR_KEPT.saturating_sub(complaints.len());
            complaints.extend_from_slice(&bytes[..bytes.len().min(room)]);
        })?;
        if stop {
            return Ok(Heard {
                status: None,
                stderr: complaints,
            });
        }
    }
    Ok(Heard {
        status: Some(match status {
            Some(status) => status,
            None => child.wait()?,
        }),
        stderr: complaints,
    })
}

fn never_block(pipe: BorrowedFd<'_>) -> io::Result<()> {
    let flags = fcntl_getfl(pipe)?;
    Ok(fcntl_setfl(pipe, flags | OFlags::NONBLOCK)?)
}

/// Waits for any of the pipes; returns whether the time passed without an event.
fn wait(pipes: [Option<(BorrowedFd<'_>, PollFlags)>; 3], time: Duration) -> io::Result<bool> {
    let mut fds: Vec<PollFd<'_>> = pipes
        .iter()
        .flatten()
        .map(|(fd, flags)| PollFd::from_borrowed_fd(*fd, *flags))
        .collect();
    let time = Timespec::try_from(time).map_err(|_| io::ErrorKind::InvalidInput)?;
    match poll(&mut fds, Some(&time)) {
        Ok(events) => Ok(events == 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Sends what fits; a child that has stopped reading says why on its standard error.
fn send(stdin: &mut Option<ChildStdin>, unsent: &mut &[u8]) -> io::Result<()> {
    let Some(pipe) = stdin else { return Ok(()) };
    match pipe.write(unsent) {
        Ok(sent) => *unsent = &unsent[sent..],
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => *stdin = None,
        Err(error) if is_for_later(&error) => {}
        Err(error) => return Err(error),
    }
    Ok(())
}

fn hear<R: io::Read>(
    pipe: &mut Option<R>,
    buffer: &mut [u8],
    mut each: impl FnMut(&[u8]),
) -> io::Result<()> {
    let Some(open) = pipe else { return Ok(()) };
    match open.read(buffer) {
        Ok(0) => *pipe = None,
        Ok(heard) => each(&buffer[..heard]),
        Err(error) if is_for_later(&error) => {}
        Err(error) => return Err(error),
    }
    Ok(())
}

fn is_for_later(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

/// Kills the child with everything it started and takes its end.
fn end(child: &mut Child) {
    if let Ok(None) = child.try_wait() {
        if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
            let _gone = kill_process_group(group, Signal::KILL);
        }
        let _ended = child.kill().and_then(|()| child.wait());
    }
}
