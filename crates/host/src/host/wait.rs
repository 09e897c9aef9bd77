//! Waiting for whatever comes next.

use std::io;
use std::os::fd::AsFd as _;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::Host;
use super::show::ROOM;
use crate::client::State;
use crate::left_until;
use crate::outbox::Outbox;

/// As much may wait for an agent that does not read before no more is read for it.
const TYPED_AHEAD: usize = 256 * 1024;

/// What a host with one client waits for.
const USUAL: usize = 8;

/// What something came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// Signals of this process.
    Signals,
    /// The agent's process.
    AgentEnd,
    /// New clients.
    Listener,
    /// A client's connection.
    Control(usize),
    /// A client's terminal.
    Terminal(usize),
    /// The agent's terminal.
    Agent,
}

/// Something that came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ready {
    pub(super) source: Source,
    flags: PollFlags,
}

impl Ready {
    pub(super) fn is_readable(self) -> bool {
        self.flags.contains(PollFlags::IN)
    }

    pub(super) fn is_writable(self) -> bool {
        self.flags.contains(PollFlags::OUT)
    }

    pub(super) fn is_over(self) -> bool {
        self.flags
            .intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL)
    }
}

impl Host {
    /// Waits for news, at most until something is due. Connections come before terminals: nothing
    /// may be read for a client that has gone.
    pub(super) fn wait(&mut self, until: Option<Instant>) -> io::Result<Vec<Ready>> {
        let due = [until, self.due()].into_iter().flatten().min();
        let (sources, mut polled) = self.sources();
        match poll(&mut polled, due.map(left_until).as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let ready = sources.into_iter().zip(&polled);
        let ready = ready.map(|(source, polled)| Ready {
            source,
            flags: polled.revents(),
        });
        Ok(ready.filter(|ready| !ready.flags.is_empty()).collect())
    }

    /// Returns whether what the agent writes can be passed on.
    pub(super) fn has_room(&self) -> bool {
        let waits = |outbox: &Outbox| outbox.len() >= ROOM;
        let opening = self.opening.as_ref().map_or(0, Vec::len);
        opening < ROOM && !self.typist().is_some_and(|typist| waits(&typist.outbox))
    }

    /// Returns what is waited for, and in the same order how.
    fn sources(&self) -> (Vec<Source>, Vec<PollFd<'_>>) {
        let mut sources = Vec::with_capacity(USUAL);
        let mut polled = Vec::with_capacity(USUAL);
        let mut add = |source, descriptor, flags| {
            sources.push(source);
            polled.push(PollFd::from_borrowed_fd(descriptor, flags));
        };
        add(Source::Signals, self.signals.as_fd(), PollFlags::IN);
        if self.accept_at.is_none_or(|at| at <= Instant::now()) {
            let socket = self.hold.listener.socket.as_fd();
            add(Source::Listener, socket, PollFlags::IN);
        }
        if let Some(handle) = self.agent.handle() {
            add(Source::AgentEnd, handle, PollFlags::IN);
        }
        for (number, client) in self.clients.iter().enumerate() {
            let mut flags = PollFlags::IN;
            flags.set(PollFlags::OUT, !client.outbox.is_empty());
            add(Source::Control(number), client.control.as_fd(), flags);
        }
        for (number, client) in self.clients.iter().enumerate() {
            let Some(shown) = client
                .shown
                .as_ref()
                .filter(|shown| shown.state != State::Paused)
            else {
                continue;
            };
            let mut flags = PollFlags::empty();
            // Of a client that is leaving what is typed is for its shell.
            let reads = !client.is_gone && shown.parting.is_none();
            let has_room = self.to_agent.len() < TYPED_AHEAD;
            flags.set(PollFlags::IN, reads && has_room);
            flags.set(
                PollFlags::OUT,
                !shown.outbox.is_empty() || shown.state == State::Stuck,
            );
            add(Source::Terminal(number), shown.fd(), flags);
        }
        // That nobody has it open is told without end.
        let is_open = self.read_again.is_none_or(|again| again <= Instant::now());
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::IN, is_open && self.has_room());
        flags.set(PollFlags::OUT, is_open && !self.to_agent.is_empty());
        if let Some(terminal) = self.agent.terminal().filter(|_| !flags.is_empty()) {
            add(Source::Agent, terminal, flags);
        }
        (sources, polled)
    }
}
