//! The host of one session: what the agent writes goes to those who see it, what is typed goes to
//! the agent, and neither waits for anything else.

mod answers;
mod hear;
mod show;
mod wait;

use std::io;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use amps_core::exit::Exit;
use amps_core::id::SessionId;
use amps_core::recording::Recording;
use amps_engine::exec::{ExecError, Foreground};
use amps_engine::files::{FileError, OwnFile};
use amps_engine::process::ignored_signals;
use amps_engine::recording::Recorder;
use amps_engine::socket;
use amps_proto::hold::{HoldAnswer, Role, TerminalSize};
use amps_screen::{Screen, Size};
use rustix::process::Signal;
use signal_hook::consts::signal as number;

use self::answers::Answers;
use self::wait::{Ready, Source};
use crate::client::{Client, Shown};
use crate::display::Display;
use crate::outbox::Outbox;
use crate::pty::{Agent, Life, Output};
use crate::screen_size;
use crate::signals::{PASSED_ON, Signals};

/// Room for what a read of the agent's terminal gives at most, and some more.
const CHUNK: usize = 16 * 1024;

/// As many parts of the agent's output are passed on before anything else is looked at.
const AT_ONCE: usize = 16;

/// What a shell has a command in the background ignore: the agent has a terminal of its own, where
/// they are typed.
const TYPED: [i32; 2] = [number::SIGINT, number::SIGQUIT];

/// A read of a terminal that gave as much may be followed by another: its buffer holds 4,095 bytes.
const FULL: usize = 4_095;

/// How long the last output of an agent that has ended may take to come: others may hold its
/// terminal open and write for ever.
const LAST_OUTPUT: Duration = Duration::from_millis(500);

/// Between looks at a terminal that nobody had open.
const REOPENED: Duration = Duration::from_secs(1);

/// How long no client is accepted when there was no room for one.
const CROWDED: Duration = Duration::from_secs(1);

/// How long an agent that has stopped itself may take to be continued by somebody.
const STOPPED: Duration = Duration::from_millis(100);

/// How long an agent has written nothing that is called quiet.
const QUIET: Duration = Duration::from_secs(2);

/// How long a client is awaited.
const AWAITED: Duration = Duration::from_secs(5);

/// How long clients have to take what was shown last.
const LEAVING: Duration = Duration::from_secs(2);

/// How a session is held.
#[derive(Debug)]
pub struct Hold {
    /// The session.
    pub session_id: SessionId,
    /// Where clients connect.
    pub listener: Listener,
    /// Where clients note how to bring their terminals back.
    pub terminals: PathBuf,
    /// The size of the agent's terminal at first.
    pub size: TerminalSize,
    /// Lines that are kept of what has left the screen.
    pub scrollback: usize,
    /// Whether somebody attaches at once, for whom the agent was started: then it is as if the agent
    /// had been started on that terminal.
    pub is_awaited: bool,
    /// Whether the agent is hung up on when the terminal of its typist is closed.
    pub ends_with_terminal: bool,
}

/// The session cannot be held.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The agent could not be started.
    #[error(transparent)]
    Agent(#[from] ExecError),
    /// The socket could not be made.
    #[error("cannot listen on {}", path.display())]
    Socket {
        /// Its path.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A file could not be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// The system refused something else.
    #[error("the system refused what a host needs")]
    System(#[from] io::Error),
}

/// How the agent ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgentEnd {
    /// Its exit.
    pub exit: Exit,
    /// Whether it was hung up on before, because its terminal was closed.
    pub was_hung_up: bool,
}

/// Where the clients of a host connect. It is gone with its host.
#[derive(Debug)]
pub struct Listener {
    socket: UnixListener,
    _file: OwnFile,
}

impl Listener {
    /// Listens at a path, on which nobody else does.
    pub fn at(path: &Path) -> Result<Self, HostError> {
        let failed = |source| HostError::Socket {
            path: path.to_owned(),
            source,
        };
        let socket = socket::bind(path).map_err(failed)?;
        let file = OwnFile::at(path)?;
        socket.set_nonblocking(true).map_err(failed)?;
        Ok(Self {
            socket,
            _file: file,
        })
    }
}

/// The process that holds a session.
#[derive(Debug)]
pub struct Host {
    hold: Hold,
    agent: Agent,
    signals: Signals,
    clients: Vec<Client>,
    display: Display,
    recorder: Option<Recorder>,
    answers: Answers,
    to_agent: Outbox,
    size: TerminalSize,
    /// When the agent last wrote something.
    last_output: Instant,
    /// When to read again what said that nobody can write any more.
    read_again: Option<Instant>,
    was_hung_up: bool,
    /// When to accept clients again, after there was no room for one.
    accept_at: Option<Instant>,
    /// When to continue an agent that has stopped itself where nobody else would.
    continue_at: Option<Instant>,
    /// Whether the agent has stopped, and its typist with it.
    is_stopped: bool,
    /// Whether the system told of news of the agent.
    has_news: bool,
    /// When somebody last typed something.
    last_typed: Instant,
    /// When the screen gives back what a quiet agent does not need.
    compacts_at: Option<Instant>,
    /// What the agent has written, until the client has come that is awaited.
    opening: Option<Vec<u8>>,
    /// Until when it is awaited.
    awaited_until: Instant,
    chunk: Vec<u8>,
}

impl Host {
    /// Starts the agent, whose terminal is recorded if there is a recorder.
    pub fn start(
        hold: Hold,
        command: &Foreground,
        recorder: Option<Recorder>,
    ) -> Result<Self, HostError> {
        let ignored = ignored_signals();
        // What was ignored from the start, as under `nohup`, is for the agent to inherit.
        let passed_on = |signal: &i32| TYPED.contains(signal) || !ignored.contains(signal);
        let heard: Vec<i32> = PASSED_ON.into_iter().filter(passed_on).collect();
        let signals = Signals::listen(&[&heard[..], &[number::SIGCHLD]].concat())?;
        let screen = Screen::new(screen_size(hold.size), hold.scrollback);
        let shown = screen.size();
        let size = TerminalSize {
            rows: shown.rows,
            cols: shown.cols,
        };
        let agent = Agent::start(command, size)?;
        Ok(Self {
            agent,
            signals,
            clients: Vec::new(),
            display: Display::new(screen),
            recorder,
            answers: Answers::default(),
            to_agent: Outbox::default(),
            size,
            last_output: Instant::now(),
            read_again: None,
            was_hung_up: false,
            accept_at: None,
            continue_at: None,
            is_stopped: false,
            has_news: true,
            last_typed: Instant::now(),
            compacts_at: None,
            opening: hold.is_awaited.then(Vec::new),
            awaited_until: Instant::now() + AWAITED,
            chunk: vec![0; CHUNK],
            hold,
        })
    }

    /// Returns the pid of the agent.
    pub fn agent(&self) -> u32 {
        self.agent.pid()
    }

    /// Holds the session until the agent has ended and its last output has been read.
    pub fn serve(&mut self) -> io::Result<AgentEnd> {
        let mut over_at: Option<Instant> = None;
        loop {
            let life = self.news();
            if life == Life::Stopped {
                self.continue_at = Some(Instant::now() + STOPPED);
            }
            if let Life::Ended(exit) = life {
                let now = Instant::now();
                // While a terminal is behind, what it has not taken is not read.
                let over_at = match over_at {
                    Some(at) if self.has_room() => at,
                    _ => *over_at.insert(now + LAST_OUTPUT),
                };
                if self.read_again.is_some() || now >= over_at {
                    return Ok(AgentEnd {
                        exit,
                        was_hung_up: self.was_hung_up,
                    });
                }
            }
            let ready = self.wait(over_at)?;
            self.act(&ready);
            self.tend();
        }
    }

    /// Returns what is new of the agent; it is asked only when something has told of news.
    fn news(&mut self) -> Life {
        if std::mem::take(&mut self.has_news) || !self.agent.tells_of_end() {
            self.agent.look()
        } else {
            self.agent.known()
        }
    }

    /// Tells every client that the agent has ended, once its terminal has taken what was shown
    /// last, and leaves. Returns how much has been recorded, once that is on the disk.
    pub fn leave(mut self, end: AgentEnd) -> io::Result<Option<Recording>> {
        let mut until = Instant::now() + LEAVING;
        if self.opening.is_some() {
            until = until.max(self.awaited_until);
        }
        let exit = end.exit;
        let end = HoldAnswer::Ended {
            exit,
            is_tidy: true,
        };
        while Instant::now() < until {
            // Who was awaited may come only now.
            for number in 0..self.clients.len() {
                let client = self.clients.get(number);
                let waits = client
                    .is_some_and(|client| client.shown.is_some() || client.idle_wait.is_some());
                if self.opening.is_none() && waits {
                    self.part(number, end.clone());
                }
            }
            self.tend();
            if self.opening.is_none() && self.clients.is_empty() {
                break;
            }
            let ready = self.wait(Some(until))?;
            self.act(&ready);
            self.tend();
        }
        Ok(self
            .recorder
            .take()
            .map(|recorder| recorder.finish(Some(exit))))
    }

    /// Does what has come to be done.
    fn act(&mut self, ready: &[Ready]) {
        for ready in ready {
            match ready.source {
                Source::Signals => {
                    self.has_news = true;
                    self.hear_signals();
                }
                Source::AgentEnd => self.has_news = true,
                Source::Listener => self.accept(),
                Source::Control(number) => self.hear(number, ready),
                Source::Terminal(number) => self.see(number, ready),
                Source::Agent => {
                    if ready.is_writable() {
                        self.type_in(&[]);
                    }
                    if ready.is_readable() || ready.is_over() {
                        self.pass_on();
                    }
                }
            }
        }
    }

    fn hear_signals(&mut self) {
        for signal in self.signals.take() {
            if let Some(signal) =
                Signal::from_named_raw(signal).filter(|_| signal != number::SIGCHLD)
            {
                self.agent.signal(signal);
            }
        }
    }

    fn accept(&mut self) {
        loop {
            let stream = match self.hold.listener.socket.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => {
                    // Out of descriptors: the next one may fit when others have left.
                    self.accept_at = Some(Instant::now() + CROWDED);
                    return;
                }
            };
            let same_user = rustix::net::sockopt::socket_peercred(&stream)
                .is_ok_and(|peer| peer.uid == rustix::process::geteuid());
            if let Some(client) = same_user.then(|| Client::new(stream).ok()).flatten() {
                self.clients.push(client);
            }
        }
    }

    /// Passes on what the agent wrote, each part before the next is read: the agent writes and the
    /// terminals take beside each other, not in turns.
    fn pass_on(&mut self) {
        let mut chunk = std::mem::take(&mut self.chunk);
        for _ in 0..AT_ONCE {
            let length = match self.agent.read(&mut chunk) {
                Output::Bytes(length) => length,
                Output::Nothing => break,
                Output::End => {
                    self.read_again = Some(Instant::now() + REOPENED);
                    // Nobody is there to read it.
                    self.to_agent.clear();
                    break;
                }
            };
            self.read_again = None;
            self.pass_on_part(chunk.get(..length).unwrap_or_default());
            if length < FULL || !self.has_room() {
                break;
            }
        }
        self.chunk = chunk;
    }

    fn pass_on_part(&mut self, bytes: &[u8]) {
        self.last_output = Instant::now();
        self.compacts_at = Some(self.last_output + QUIET);
        self.record(bytes);
        self.display.take(bytes);
        if let Some(opening) = &mut self.opening {
            opening.extend_from_slice(bytes);
        }
        self.show(bytes);
    }

    /// Records output before it is shown. What is on the screen by then begins the next part of a
    /// recording.
    fn record(&mut self, bytes: &[u8]) {
        let Some(recorder) = &mut self.recorder else {
            return;
        };
        if recorder.wants_keyframe() {
            recorder.keyframe(&self.display.screen().redraw());
        }
        recorder.output(bytes);
    }

    /// Types for the agent.
    fn type_in(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.last_typed = Instant::now();
        }
        let sent = match self.agent.terminal() {
            Some(terminal) => self.to_agent.send(terminal, bytes).is_ok(),
            None => false,
        };
        if !sent {
            // Nobody has the terminal open.
            self.to_agent.clear();
        }
    }

    /// Gives the agent's terminal another size.
    fn resize(&mut self, size: TerminalSize) {
        let mut screen = self.display.screen();
        screen.resize(screen_size(size));
        let Size { rows, cols } = screen.size();
        drop(screen);
        let size = TerminalSize { rows, cols };
        if size == self.size {
            return;
        }
        self.size = size;
        self.agent.resize(size);
        if let Some(recorder) = &mut self.recorder {
            recorder.resized(size.rows, size.cols);
        }
        for shown in self
            .clients
            .iter_mut()
            .filter_map(|client| client.shown.as_mut())
        {
            // The typist's terminal has its new size already, and the agent draws it anew.
            if shown.role == Role::Watcher {
                shown.outdate();
            }
        }
    }

    fn typist(&self) -> Option<&Shown> {
        let typist = self.clients.iter().find(|client| client.is_typist());
        typist.and_then(|client| client.shown.as_ref())
    }
}
