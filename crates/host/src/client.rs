//! One client of a host: its connection, and its terminal while it is attached.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use amps_proto::codec;
use amps_proto::hold::{HoldAnswer, Role, TerminalModes, TerminalSize};
use amps_proto::version::Hello;
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg, sockopt::socket_peercred,
};
use serde::Serialize;

use crate::chord::Watch;
use crate::outbox::Outbox;
use crate::terminal;

/// The longest line that a client may send: as much as one types for a program.
const LONGEST_LINE: usize = 2 * 1024 * 1024;

/// How long a look at a client's process holds.
const MOMENT: Duration = Duration::from_millis(1);

/// A connection.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) control: UnixStream,
    inbox: Vec<u8>,
    pub(crate) outbox: Outbox,
    pub(crate) has_greeted: bool,
    /// A descriptor that came and was not asked for yet.
    descriptor: Option<OwnedFd>,
    /// Its terminal, while it is attached.
    pub(crate) shown: Option<Shown>,
    /// What it waits for.
    pub(crate) idle_wait: Option<IdleWait>,
    /// Whether the connection ends once the last answer is sent.
    pub(crate) is_leaving: bool,
    /// Whether the other end has gone.
    pub(crate) is_gone: bool,
}

/// Until when a client waits for the agent to be idle.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IdleWait {
    pub(crate) quiet: Duration,
    pub(crate) until: Instant,
}

/// The terminal of an attached client.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) terminal: OwnedFd,
    pub(crate) role: Role,
    pub(crate) size: TerminalSize,
    modes: Option<TerminalModes>,
    pub(crate) outbox: Outbox,
    pub(crate) watch: Watch,
    /// When the chord is given up that has begun to be typed.
    pub(crate) chord_until: Option<Instant>,
    pub(crate) state: State,
    /// When it is drawn anew at the earliest.
    pub(crate) draw_at: Instant,
    /// Where in the agent's output it began to be shown.
    pub(crate) joined: u64,
    /// Since when it has taken nothing of what waits for it.
    pub(crate) stuck_since: Option<Instant>,
    /// Whether it has been drawn before.
    pub(crate) was_drawn: bool,
    /// What the client is told when the terminal has taken all, and until when that is waited for.
    pub(crate) parting: Option<(HoldAnswer, Instant)>,
    /// The state of the client's process, proc(5).
    stat: Option<File>,
    /// Until when the client is taken to run.
    runs_until: Instant,
}

/// What a terminal shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// What the agent does.
    Current,
    /// Something else: it is to be drawn anew.
    Stale,
    /// Something else, and it takes nothing: it is to be drawn anew when it does.
    Stuck,
    /// Its shell has it, as the client is stopped.
    Paused,
}

/// How the process of a client is. Only of one that runs the terminal is to be used: one that is
/// stopped has given it back to its shell without a word, and so has one that was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// It runs, as far as can be told.
    Runs,
    /// It is stopped.
    Stopped,
    /// It has ended.
    Over,
}

/// What a read of a connection gave.
pub(crate) enum Read {
    /// Perhaps whole lines.
    Something,
    /// Nothing now.
    Nothing,
    /// The other end has gone.
    End,
}

impl Client {
    pub(crate) fn new(control: UnixStream) -> io::Result<Self> {
        control.set_nonblocking(true)?;
        let mut client = Self {
            control,
            inbox: Vec::new(),
            outbox: Outbox::default(),
            has_greeted: false,
            descriptor: None,
            shown: None,
            idle_wait: None,
            is_leaving: false,
            is_gone: false,
        };
        client.tell(&Hello::of_this_program(std::process::id()));
        Ok(client)
    }

    /// Sends a line. A client that does not take it is gone.
    pub(crate) fn tell<T: Serialize>(&mut self, message: &T) {
        let line = codec::encode(message);
        if self.outbox.send(&self.control, &line).is_err() {
            self.is_gone = true;
        }
    }

    /// Sends the last line.
    pub(crate) fn tell_last(&mut self, answer: &HoldAnswer) {
        self.tell(answer);
        self.is_leaving = true;
    }

    /// Reads what has come, and keeps a descriptor that came with it.
    pub(crate) fn read(&mut self) -> Read {
        let mut chunk = [0; 4096];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [IoSliceMut::new(&mut chunk)];
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        let length = match recvmsg(&self.control, &mut parts, &mut ancillary, flags) {
            Ok(message) => message.bytes,
            Err(Errno::AGAIN | Errno::INTR) => return Read::Nothing,
            Err(_) => return Read::End,
        };
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                self.descriptor = descriptors.last().or(self.descriptor.take());
            }
        }
        self.inbox
            .extend_from_slice(chunk.get(..length).unwrap_or_default());
        if length == 0 || self.inbox.len() > LONGEST_LINE {
            Read::End
        } else {
            Read::Something
        }
    }

    /// Takes the next line, if all of it has come.
    pub(crate) fn take_line(&mut self) -> Option<Vec<u8>> {
        let end = self.inbox.iter().position(|byte| *byte == b'\n')?;
        let rest = self.inbox.split_off(end + 1);
        let mut line = std::mem::replace(&mut self.inbox, rest);
        line.pop();
        Some(line)
    }

    /// Hears nothing more of a program that speaks another protocol.
    pub(crate) fn refuse(&mut self) {
        self.inbox.clear();
        self.is_gone = true;
    }

    /// Takes the descriptor that came last.
    pub(crate) fn take_descriptor(&mut self) -> Option<OwnedFd> {
        self.descriptor.take()
    }

    /// Returns a look at the state of the process at the other end, where it can be looked at.
    pub(crate) fn stat(&self) -> Option<File> {
        let pid = socket_peercred(&self.control).ok()?.pid;
        File::open(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()
    }

    /// Returns whether nothing more is to be said or heard.
    pub(crate) fn has_left(&self) -> bool {
        self.is_gone || self.is_leaving && self.outbox.is_empty()
    }

    /// Returns whether what is typed at its terminal goes to the agent. One that is being parted
    /// from types no more.
    pub(crate) fn is_typist(&self) -> bool {
        self.shown
            .as_ref()
            .is_some_and(|shown| shown.role == Role::Typist && shown.parting.is_none())
    }
}

impl Shown {
    pub(crate) fn new(
        terminal: OwnedFd,
        (role, size, modes): (Role, TerminalSize, Option<TerminalModes>),
        watch: Watch,
        stat: Option<File>,
    ) -> Self {
        Self {
            terminal,
            role,
            size,
            modes,
            outbox: Outbox::default(),
            watch,
            chord_until: None,
            state: State::Stale,
            draw_at: Instant::now(),
            joined: 0,
            stuck_since: None,
            was_drawn: false,
            parting: None,
            stat,
            runs_until: Instant::now(),
        }
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.terminal.as_fd()
    }

    /// Returns how the client's process is. What was seen a moment ago holds: a key and its echo
    /// come together.
    pub(crate) fn life(&mut self) -> Life {
        let now = Instant::now();
        if now < self.runs_until {
            return Life::Runs;
        }
        let life = self.look();
        if life == Life::Runs {
            self.runs_until = now + MOMENT;
        }
        life
    }

    fn look(&self) -> Life {
        let Some(stat) = &self.stat else {
            return Life::Runs;
        };
        let mut text = [0; 512];
        let Ok(length) = stat.read_at(&mut text, 0) else {
            // Reading says that the process has gone, proc(5).
            return Life::Over;
        };
        let text = text.get(..length).unwrap_or_default();
        let state = text
            .iter()
            .rposition(|byte| *byte == b')')
            .and_then(|end| text.get(end + 2));
        match state {
            Some(b'T') => Life::Stopped,
            Some(b'Z' | b'X' | b'x') => Life::Over,
            _ => Life::Runs,
        }
    }

    /// Brings the terminal's modes back in place of a client that died.
    pub(crate) fn restore_line(&self) {
        if let Some(modes) = &self.modes {
            // A terminal that has gone needs nothing.
            terminal::restore(&self.terminal, modes).ok();
        }
    }
}
