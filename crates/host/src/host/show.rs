//! The terminals of attached clients: what the agent writes, and what is typed.

use std::ops::Range;
use std::time::{Duration, Instant};

use amps_proto::hold::{DetachReason, HoldAnswer, Role, TerminalSize};
use amps_screen::reset;
use rustix::process::Signal;

use super::wait::Ready;
use super::{Host, STOPPED};
use crate::client::{Client, Life, Shown, State};
use crate::notes;
use crate::screen_size;

/// The agent is held up, as by any terminal, while as much waits for the typist's.
pub(super) const ROOM: usize = 256 * 1024;

/// A watcher that is behind by as much is drawn anew instead.
const BEHIND: usize = 1024 * 1024;

/// How long the typist's terminal may take nothing before the agent goes on without it.
const STUCK: Duration = Duration::from_secs(2);

/// Between two drawings for a terminal of another size.
const VIEWS: Duration = Duration::from_millis(33);

/// How long the rest of a chord may take to be typed.
const CHORD: Duration = Duration::from_secs(1);

/// How long the terminal of a client that died has to take what brings it back.
const LAST_WORD: Duration = Duration::from_secs(10);

/// How long a terminal that is left has to take what waits for it.
const LAST: Duration = Duration::from_secs(1);

impl Host {
    /// Shows what the agent wrote.
    pub(super) fn show(&mut self, bytes: &[u8]) {
        for number in 0..self.clients.len() {
            let Some(shown) = shown_of(&mut self.clients, number) else {
                continue;
            };
            if shown.parting.is_some() || !shown.streams(self.size) {
                shown.outdate();
                continue;
            }
            if shown.life() != Life::Runs {
                self.leave_alone(number);
                continue;
            }
            let was_empty = shown.outbox.is_empty();
            if shown.outbox.send(&shown.terminal, bytes).is_err() {
                self.lose(number);
                continue;
            }
            if shown.outbox.is_empty() {
                shown.stuck_since = None;
            } else if was_empty {
                shown.stuck_since = Some(Instant::now());
            }
            if shown.role == Role::Watcher && shown.outbox.len() > BEHIND {
                shown.outbox.clear();
                shown.outdate();
            }
        }
    }

    /// Something came from or may go to a client's terminal.
    pub(super) fn see(&mut self, number: usize, ready: &Ready) {
        let Some(client) = self.clients.get_mut(number) else {
            return;
        };
        let is_gone = client.is_gone;
        let Some(shown) = client.shown.as_mut() else {
            return;
        };
        if ready.is_over() {
            self.lose(number);
            return;
        }
        if is_gone {
            // What brings the terminal back is still on its way.
            if shown.outbox.flush(&shown.terminal).is_err() {
                self.lose(number);
            }
            return;
        }
        if shown.life() != Life::Runs {
            self.leave_alone(number);
            return;
        }
        if ready.is_writable() {
            if shown.state == State::Stuck {
                shown.state = State::Stale;
            }
            match shown.outbox.flush(&shown.terminal) {
                Ok(0) => {}
                Ok(_) => shown.stuck_since = Some(Instant::now()),
                Err(_) => {
                    self.lose(number);
                    return;
                }
            }
        }
        if ready.is_readable() {
            self.read_typed(number);
        }
    }

    fn read_typed(&mut self, number: usize) {
        let mut typed = [0; 4096];
        let Some(shown) = shown_of(&mut self.clients, number) else {
            return;
        };
        let length = match rustix::io::read(&shown.terminal, &mut typed) {
            Ok(0) => {
                self.lose(number);
                return;
            }
            Ok(length) => length,
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => return,
            Err(_) => {
                self.lose(number);
                return;
            }
        };
        let typed = shown.watch.take(typed.get(..length).unwrap_or_default());
        shown.chord_until = shown.watch.is_waiting().then(|| Instant::now() + CHORD);
        if shown.role == Role::Typist {
            self.type_in(&typed.to_agent);
        }
        if typed.detach {
            let reason = DetachReason::Asked;
            self.part(number, detached(reason));
        }
    }

    /// Leaves the terminal alone of a client that does not run.
    fn leave_alone(&mut self, number: usize) {
        let life = shown_of(&mut self.clients, number).map(Shown::life);
        match (life, self.clients.get_mut(number)) {
            (Some(Life::Stopped), _) => self.set_aside(number),
            (Some(Life::Over), Some(client)) => client.is_gone = true,
            _ => {}
        }
    }

    /// Leaves the terminal of a client alone: its shell has it.
    fn set_aside(&mut self, number: usize) {
        self.note_seen(number);
        if let Some(shown) = shown_of(&mut self.clients, number) {
            shown.state = State::Paused;
            shown.outbox.clear();
        }
    }

    /// The client is being stopped, and has been told that its terminal is its own again.
    pub(super) fn pause(&mut self, number: usize) {
        self.tidy_up(number);
        self.set_aside(number);
    }

    /// The client goes on, and its terminal shows the agent again.
    pub(super) fn resume(&mut self, number: usize) {
        if let Some(shown) = shown_of(&mut self.clients, number) {
            shown.state = State::Stale;
        }
        if std::mem::take(&mut self.is_stopped) {
            self.agent.signal(Signal::CONT);
        }
    }

    /// Sees to an agent that has stopped itself. Where it ends with a terminal, the command stops that
    /// stands for it there, and a shell continues both. Otherwise there is nobody to continue it but
    /// the host.
    fn follow_stop(&mut self, now: Instant) {
        let typist = self.clients.iter().position(Client::is_typist);
        match typist.filter(|_| self.hold.ends_with_terminal) {
            Some(number) => {
                self.is_stopped = true;
                self.pause(number);
                if let Some(client) = self.clients.get_mut(number) {
                    client.tell(&HoldAnswer::Paused);
                }
            }
            // It is on its way.
            None if self.opening.is_some() => self.continue_at = Some(now + STOPPED),
            None => self.agent.signal(Signal::CONT),
        }
    }

    /// Parts from a client: its terminal is brought back to what a shell expects, and then the
    /// client is told why.
    pub(super) fn part(&mut self, number: usize, last: HoldAnswer) {
        let until = Instant::now() + LAST;
        self.note_seen(number);
        self.tidy_up(number);
        let below = match last {
            HoldAnswer::Detached { .. } => self.below(),
            _ => String::new(),
        };
        let Some(client) = self.clients.get_mut(number) else {
            return;
        };
        match &mut client.shown {
            Some(shown) if shown.parting.is_none() => {
                if shown.state != State::Paused {
                    // A terminal that does not take it is lost anyway.
                    shown.outbox.send(&shown.terminal, below.as_bytes()).ok();
                }
                shown.parting = Some((last, until));
            }
            Some(_) => {}
            None if client.idle_wait.take().is_some() => client.tell_last(&last),
            None => client.is_leaving = true,
        }
    }

    /// Returns what goes to a line below all that the agent shows.
    fn below(&self) -> String {
        if self.display.screen().is_alternate() {
            "\r\n".to_owned()
        } else {
            format!("\x1b[{};1H\r\n", self.size.rows)
        }
    }

    /// Parts from every client that sees the agent.
    pub(super) fn part_from_all(&mut self, reason: DetachReason) {
        for number in 0..self.clients.len() {
            if self
                .clients
                .get(number)
                .is_some_and(|client| client.shown.is_some())
            {
                self.part(number, detached(reason));
            }
        }
    }

    /// Writes what brings the modes of a client's terminal back.
    fn tidy_up(&mut self, number: usize) {
        let Some(shown) = shown_of(&mut self.clients, number) else {
            return;
        };
        if shown.state == State::Paused || shown.parting.is_some() {
            return;
        }
        if shown.life() == Life::Stopped {
            self.set_aside(number);
            return;
        }
        let bytes = if shown.streams(self.size) {
            self.display.screen().leave()
        } else {
            shown.outbox.clear();
            reset()
        };
        // A terminal that does not take it is lost anyway.
        shown.outbox.send(&shown.terminal, &bytes).ok();
    }

    /// The terminal of a client has gone.
    fn lose(&mut self, number: usize) {
        self.note_seen(number);
        let Some(client) = self.clients.get_mut(number) else {
            return;
        };
        let was_typist = client.is_typist();
        client.shown = None;
        let reason = DetachReason::TerminalGone;
        client.tell_last(&detached(reason));
        if self.hold.ends_with_terminal && was_typist {
            self.was_hung_up = true;
            self.agent.hang_up();
        }
    }

    /// Brings the terminal of a client back that died without a word: its modes at once, and what is
    /// to be written to it when it takes that.
    pub(super) fn bury(&mut self, number: usize) {
        self.note_seen(number);
        let Some(shown) = shown_of(&mut self.clients, number) else {
            return;
        };
        if shown.state == State::Paused {
            shown.outbox.clear();
            if let Some(client) = self.clients.get_mut(number) {
                client.shown = None;
            }
            return;
        }
        if shown.parting.is_some() {
            return;
        }
        shown.restore_line();
        if !shown.outbox.is_empty() {
            // Nobody knows what it has taken by now.
            shown.outdate();
        }
        self.tidy_up(number);
        if let Some(shown) = shown_of(&mut self.clients, number) {
            shown.parting = Some((HoldAnswer::Done, Instant::now() + LAST_WORD));
        }
    }

    /// Notes what a typist's terminal has seen before it stops seeing.
    fn note_seen(&mut self, number: usize) {
        let client = self.clients.get(number).filter(|client| client.is_typist());
        let shown = client.and_then(|client| client.shown.as_ref());
        if let Some(seen) = shown.and_then(|shown| self.seen(shown)) {
            self.answers.saw(seen);
        }
    }

    /// Returns which part of the output a terminal has seen as it was written.
    fn seen(&self, shown: &Shown) -> Option<Range<u64>> {
        let waiting = u64::try_from(shown.outbox.len()).unwrap_or_default();
        let until = self.display.taken().saturating_sub(waiting);
        shown
            .streams(self.size)
            .then(|| shown.joined..until.max(shown.joined))
    }

    /// Does what is due.
    pub(super) fn tend(&mut self) {
        for number in 0..self.clients.len() {
            if self
                .clients
                .get(number)
                .is_some_and(|client| client.is_gone)
            {
                self.bury(number);
            }
        }
        self.clients
            .retain(|client| client.shown.is_some() || !client.has_left());
        let now = Instant::now();
        if now >= self.awaited_until {
            self.opening = None;
        }
        self.accept_at = self.accept_at.filter(|at| now < *at);
        if self.continue_at.take_if(|at| now >= *at).is_some() {
            self.follow_stop(now);
        }
        if self.is_stopped && self.typist().is_none() {
            // Who stopped with it has gone, and nobody else continues it.
            self.is_stopped = false;
            self.agent.signal(Signal::CONT);
        }
        for number in 0..self.clients.len() {
            self.tend_terminal(number, now);
            self.tend_idle_wait(number, now);
        }
        self.settle_answers();
        if self.compacts_at.take_if(|at| now >= *at).is_some() {
            self.display.screen().compact();
        }
    }

    fn tend_terminal(&mut self, number: usize, now: Instant) {
        let Some(client) = self.clients.get_mut(number) else {
            return;
        };
        let Some(shown) = &mut client.shown else {
            return;
        };
        if let Some((last, until)) = &shown.parting {
            let is_tidy = shown.outbox.is_empty();
            if is_tidy || now >= *until || shown.state == State::Paused {
                let last = tidy(last.clone(), is_tidy);
                if client.is_gone && is_tidy {
                    notes::remove(&self.hold.terminals, &shown.terminal);
                }
                client.shown = None;
                client.tell_last(&last);
            }
            return;
        }
        if shown.chord_until.is_some_and(|until| now >= until) {
            shown.chord_until = None;
            let held = shown.watch.give_up();
            if shown.role == Role::Typist {
                self.type_in(&held);
            }
            return;
        }
        if shown.stuck_until().is_some_and(|until| now >= until) {
            self.note_seen(number);
            if let Some(shown) = shown_of(&mut self.clients, number) {
                shown.outbox.clear();
                shown.state = State::Stuck;
            }
            return;
        }
        if shown.draws_at().is_some_and(|at| now >= at) {
            self.draw(number, now);
        }
    }

    /// Draws all that the agent shows.
    fn draw(&mut self, number: usize, now: Instant) {
        let Some(shown) = shown_of(&mut self.clients, number) else {
            return;
        };
        if shown.life() != Life::Runs {
            self.leave_alone(number);
            return;
        }
        let mut screen = self.display.screen();
        let fits = shown.size == self.size;
        let opening = self.opening.take_if(|_| shown.role == Role::Typist);
        let opening = opening.filter(|_| fits);
        let from_start = opening.is_some();
        let bytes = match opening {
            Some(opening) => opening,
            None if !fits => {
                let begin = if shown.was_drawn { Vec::new() } else { reset() };
                [begin, screen.view(screen_size(shown.size))].concat()
            }
            None if shown.was_drawn => screen.redraw_without_scrollback(),
            None => screen.redraw(),
        };
        drop(screen);
        shown.was_drawn = true;
        shown.state = State::Current;
        shown.joined = if from_start { 0 } else { self.display.taken() };
        shown.draw_at = now + VIEWS;
        shown.stuck_since = Some(now);
        if shown.outbox.send(&shown.terminal, &bytes).is_err() {
            self.lose(number);
        }
    }

    fn settle_answers(&mut self) {
        let Some(answers) = self.display.catch_up() else {
            return;
        };
        self.answers.add(answers);
        if self.opening.is_some() {
            // The terminal that is awaited will be asked.
            return;
        }
        let taken = self.display.taken();
        let sees = self.typist().and_then(|typist| self.seen(typist));
        let own = self.answers.settle(sees.as_ref().map(|seen| (seen, taken)));
        if !own.is_empty() {
            self.type_in(&own);
        }
    }

    fn tend_idle_wait(&mut self, number: usize, now: Instant) {
        let last_active = self.last_output.max(self.last_typed);
        let Some(client) = self.clients.get_mut(number) else {
            return;
        };
        let Some(wait) = client.idle_wait else { return };
        let reached = now >= last_active + wait.quiet;
        if reached || now >= wait.until {
            client.idle_wait = None;
            client.tell(&HoldAnswer::Idle { reached });
        }
    }

    /// Returns when the next thing is due.
    pub(super) fn due(&self) -> Option<Instant> {
        let drawing = self.display.draws_at();
        let last_active = self.last_output.max(self.last_typed);
        // Where there is no room, nothing is read.
        let read_again = self.read_again.filter(|_| self.has_room());
        let clients = self.clients.iter().flat_map(|client| {
            let idle = client
                .idle_wait
                .map(|wait| wait.until.min(last_active + wait.quiet));
            let shown = client.shown.as_ref();
            idle.into_iter().chain(shown.and_then(Shown::due))
        });
        let awaited = self.opening.as_ref().map(|_| self.awaited_until);
        let later = [self.accept_at, self.continue_at, self.compacts_at];
        [drawing, awaited, read_again]
            .into_iter()
            .chain(later)
            .flatten()
            .chain(clients)
            .min()
    }
}

/// Returns the last word to a client that is detached.
pub(super) fn detached(reason: DetachReason) -> HoldAnswer {
    let is_tidy = true;
    HoldAnswer::Detached { reason, is_tidy }
}

/// Returns the last word to a client, with whether its terminal has taken what brings it back.
fn tidy(last: HoldAnswer, is_tidy: bool) -> HoldAnswer {
    match last {
        HoldAnswer::Detached { reason, .. } => HoldAnswer::Detached { reason, is_tidy },
        HoldAnswer::Ended { exit, .. } => HoldAnswer::Ended { exit, is_tidy },
        last => last,
    }
}

/// Returns the terminal of a client.
fn shown_of(clients: &mut [Client], number: usize) -> Option<&mut Shown> {
    clients.get_mut(number)?.shown.as_mut()
}

impl Shown {
    /// Returns whether what the agent writes is passed on as it is.
    pub(super) fn streams(&self, size: TerminalSize) -> bool {
        self.state == State::Current && self.size == size
    }

    /// The agent shows something else from now on.
    pub(super) fn outdate(&mut self) {
        if self.state == State::Current {
            self.state = State::Stale;
        }
    }

    /// Returns when it is drawn anew.
    fn draws_at(&self) -> Option<Instant> {
        let is_due = self.state == State::Stale && self.outbox.is_empty();
        is_due.then_some(self.draw_at)
    }

    /// Returns until when the agent is held up by a terminal that takes nothing.
    fn stuck_until(&self) -> Option<Instant> {
        let is_full = self.outbox.len() >= ROOM;
        self.stuck_since
            .filter(|_| is_full)
            .map(|since| since + STUCK)
    }

    fn due(&self) -> Option<Instant> {
        if let Some((_, until)) = &self.parting {
            return Some(*until);
        }
        if self.state == State::Paused {
            return None;
        }
        [self.chord_until, self.stuck_until(), self.draws_at()]
            .into_iter()
            .flatten()
            .min()
    }
}
