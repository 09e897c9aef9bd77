//! What clients say.

use std::time::{Duration, Instant};

use amps_core::error::ErrorCode;
use amps_proto::fault::Fault;
use amps_proto::hold::{
    DetachReason, HoldAnswer, HoldRequest, HostView, Role, TerminalModes, TerminalSize,
};
use amps_proto::version::Hello;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::Signal;

use super::Host;
use super::show::detached;
use super::wait::Ready;
use crate::chord::{Chord, Watch};
use crate::client::{Client, IdleWait, Read, Shown};

/// What begins and ends text that is pasted, for an agent that asked for such marks.
const PASTE: [&[u8]; 2] = [b"\x1b[200~", b"\x1b[201~"];

/// As much waits for an agent that does not read before no program types more.
const MOST_TYPED: usize = 1024 * 1024;

/// The longest that anybody waits; a client that means longer asks again.
const LONGEST_WAIT: Duration = Duration::from_secs(30 * 24 * 3_600);

impl Host {
    /// Something came from a client.
    pub(super) fn hear(&mut self, number: usize, ready: &Ready) {
        let Some(client) = self.clients.get_mut(number) else {
            return;
        };
        if ready.is_writable() && client.outbox.flush(&client.control).is_err() {
            client.is_gone = true;
        }
        if !ready.is_readable() && !ready.is_over() {
            return;
        }
        let read = client.read();
        while let Some(line) = self.clients.get_mut(number).and_then(Client::take_line) {
            self.hear_line(number, &line);
        }
        if let (Read::End, Some(client)) = (read, self.clients.get_mut(number)) {
            client.is_gone = true;
        }
    }

    fn hear_line(&mut self, number: usize, line: &[u8]) {
        let Some(client) = self.clients.get_mut(number) else {
            return;
        };
        if !client.has_greeted {
            client.has_greeted = true;
            let greeting = serde_json::from_slice::<Hello>(line);
            if !greeting.is_ok_and(|hello| hello.is_understood()) {
                client.refuse();
            }
            return;
        }
        let answer = match serde_json::from_slice::<HoldRequest>(line) {
            Ok(request) => self.answer(number, request),
            Err(error) => {
                let version = env!("CARGO_PKG_VERSION");
                let words = format!("this host ({version}) does not understand the request");
                let mut fault = Fault::new(ErrorCode::DaemonVersion, words);
                fault.causes.push(error.to_string());
                Some(HoldAnswer::Fault(fault.hint(
                    "a host keeps its version until its agent ends; use the program that started it",
                )))
            }
        };
        if let (Some(answer), Some(client)) = (answer, self.clients.get_mut(number)) {
            client.tell(&answer);
        }
    }

    /// Does what a client asks; `None` if it is answered later.
    fn answer(&mut self, number: usize, request: HoldRequest) -> Option<HoldAnswer> {
        match request {
            HoldRequest::Attach {
                role,
                takes_over,
                size,
                modes,
                chord,
            } => {
                let attached = Chord::read(chord.as_deref())
                    .map_err(|error| Fault::of(ErrorCode::BadArgument, &error))
                    .and_then(|chord| {
                        let watch = Watch::new(chord);
                        self.attach(number, (role, takes_over), (size, modes), watch)
                    });
                return Some(match attached {
                    Ok(()) => HoldAnswer::Attached,
                    Err(fault) => HoldAnswer::Fault(fault),
                });
            }
            HoldRequest::Detach => {
                let reason = DetachReason::Asked;
                self.part(number, detached(reason));
                return None;
            }
            HoldRequest::DetachAll => self.part_from_all(DetachReason::FromElsewhere),
            HoldRequest::Pause => {
                self.pause(number);
                return Some(HoldAnswer::Paused);
            }
            HoldRequest::Resize { size } => self.resize_client(number, size),
            HoldRequest::Resume => self.resume(number),
            HoldRequest::Screen { ansi } => return Some(self.screen(ansi)),
            HoldRequest::Signal { number } => {
                if let Some(signal) = Signal::from_named_raw(number) {
                    self.agent.signal(signal);
                }
            }
            HoldRequest::Status => return Some(HoldAnswer::Status(self.status())),
            HoldRequest::Type { base64, pasted } => return Some(self.type_for(&base64, pasted)),
            HoldRequest::WaitIdle { quiet_ms, wait_ms } => {
                let client = self.clients.get_mut(number)?;
                let within = |milliseconds| Duration::from_millis(milliseconds).min(LONGEST_WAIT);
                client.idle_wait = Some(IdleWait {
                    quiet: within(quiet_ms),
                    until: Instant::now() + within(wait_ms),
                });
                return None;
            }
        }
        Some(HoldAnswer::Done)
    }

    fn attach(
        &mut self,
        number: usize,
        (role, takes_over): (Role, bool),
        (size, modes): (TerminalSize, Option<TerminalModes>),
        watch: Watch,
    ) -> Result<(), Fault> {
        let refused = |words: &str| Fault::new(ErrorCode::BadArgument, words);
        let other = self.clients.iter().position(Client::is_typist);
        let other = other.filter(|other| role == Role::Typist && *other != number);
        if other.is_some() && !takes_over {
            let words = "somebody else types in this session";
            return Err(Fault::new(ErrorCode::KeyboardTaken, words)
                .hint("`--read-only` watches, `--take-over` has the other client leave"));
        }
        let client = self
            .clients
            .get_mut(number)
            .filter(|client| client.shown.is_none())
            .ok_or_else(|| refused("the client is attached already"))?;
        let terminal = client
            .take_descriptor()
            .ok_or_else(|| refused("no descriptor of a terminal came with the request"))?;
        let flags = fcntl_getfl(&terminal).map_err(|_| refused("the descriptor is of no use"))?;
        fcntl_setfl(&terminal, flags | OFlags::NONBLOCK)
            .map_err(|_| refused("the descriptor is of no use"))?;
        let stat = client.stat();
        client.shown = Some(Shown::new(terminal, (role, size, modes), watch, stat));
        if let Some(other) = other {
            self.part(other, detached(DetachReason::TakenOver));
        }
        if role == Role::Typist {
            self.resize(size);
        }
        Ok(())
    }

    fn resize_client(&mut self, number: usize, size: TerminalSize) {
        let client = self.clients.get_mut(number);
        let Some(shown) = client.and_then(|client| client.shown.as_mut()) else {
            return;
        };
        shown.size = size;
        if shown.role == Role::Typist {
            self.resize(size);
        } else {
            shown.outdate();
        }
    }

    fn screen(&self, ansi: bool) -> HoldAnswer {
        let screen = self.display.screen();
        HoldAnswer::Screen {
            text: if ansi { screen.ansi() } else { screen.text() },
            title: screen.title().map(str::to_owned),
        }
    }

    fn status(&self) -> HostView {
        let shown = || {
            self.clients
                .iter()
                .filter_map(|client| client.shown.as_ref())
        };
        let watchers = shown().filter(|shown| shown.role == Role::Watcher).count();
        HostView {
            session_id: self.hold.session_id,
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            size: self.size,
            has_typist: self.typist().is_some(),
            watchers: u32::try_from(watchers).unwrap_or(u32::MAX),
            quiet_ms: u64::try_from(self.last_output.elapsed().as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// Types what a program sent.
    fn type_for(&mut self, base64: &str, pasted: bool) -> HoldAnswer {
        let Ok(bytes) = STANDARD.decode(base64) else {
            return HoldAnswer::Fault(Fault::new(
                ErrorCode::BadArgument,
                "what is to be typed is not Base64",
            ));
        };
        if self.read_again.is_some() || self.to_agent.len() > MOST_TYPED {
            return HoldAnswer::Fault(
                Fault::new(
                    ErrorCode::NotAllowed,
                    "the agent does not read what is typed",
                )
                .hint("`amps screen` shows what it does; try again later"),
            );
        }
        let is_marked = pasted && self.display.screen().has_bracketed_paste();
        let [begin, end] = if is_marked { PASTE } else { [&[][..]; 2] };
        self.type_in(&[begin, &bytes, end].concat());
        HoldAnswer::Done
    }
}
