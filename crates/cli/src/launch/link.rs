//! The launcher's side of a session: facts told to the daemon, told again after it was lost, or
//! spooled when there is none. Nothing here may keep the agent from running.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::{Duration, Instant};

use amps_core::facts::{EndFacts, OpenFacts, RecordFacts, StartFacts};
use amps_core::id::SessionId;
use amps_core::recording::Recording;
use amps_core::session::Ending;
use amps_core::time::Moment;
use amps_daemon::{Probe, probe};
use amps_engine::files::{self, Lock};
use amps_engine::home::Home;
use amps_engine::testing::point;
use amps_proto::client::{Client, ClientError};
use amps_proto::codec;
use amps_proto::request::{OPEN_DEADLINE, Request};
use amps_proto::response::Response;

use super::facts;
use super::local::Local;
use crate::connect;
use crate::context::Context;
use crate::output;

/// How long the launch may wait for a daemon that has to be started.
const START: Duration = Duration::from_secs(3);

/// How long a sign of life may wait for its answer.
const BEAT_ANSWER: Duration = Duration::from_millis(500);

/// How long the prompt may wait for the last answer.
const END: Duration = Duration::from_secs(2);

/// How long a daemon that was lost has to be followed by another.
const RETRY: Duration = Duration::from_secs(1);

/// Between two further tries to find a daemon again.
const SEARCH: Duration = Duration::from_secs(10);

/// Until the next sign of life where nobody is there to hear it.
const UNHEARD: Duration = Duration::from_secs(3_600);

/// The connection of one launch with the record.
pub(crate) struct Link<'a> {
    context: &'a Context,
    /// `None` when this process could not even be named: then nothing is recorded.
    record: Option<Record>,
    /// What the person should know before the agent starts, until it is taken.
    warning: Option<String>,
}

struct Record {
    home: Home,
    open: OpenFacts,
    started: Option<StartFacts>,
    client: Option<Client>,
    generation: u64,
    beat: Duration,
    /// Facts that are in the spool.
    spooled: usize,
    /// Captures by this process, when there is no daemon.
    local: Option<Local>,
    /// Keeps the kernel lock of the lease for as long as this process lives.
    _lock: Option<Lock>,
}

impl<'a> Link<'a> {
    /// Opens the session. Whatever fails is for [`take_warning`](Self::take_warning) to tell.
    /// `meanwhile` is called while the daemon works on its answer, if it is asked.
    pub(crate) fn open(
        context: &'a Context,
        facts: Option<OpenFacts>,
        meanwhile: &dyn Fn(),
    ) -> Self {
        let mut warning = None;
        let record = match (facts, context.home()) {
            (Some(open), Ok(home)) => {
                Some(Record::open((context, home), open, meanwhile, &mut warning))
            }
            (Some(_), Err(failure)) => {
                let why = failure.reason();
                warning = Some(format!("this run is not recorded: {why}"));
                None
            }
            (None, _) => {
                warning = Some("/proc cannot be read; this run is not recorded".to_owned());
                None
            }
        };
        Self {
            context,
            record,
            warning,
        }
    }

    /// Takes what the person should know before the agent starts.
    pub(crate) fn take_warning(&mut self) -> Option<String> {
        self.warning.take()
    }

    /// Returns the session, if there is one.
    pub(crate) fn session_id(&self) -> Option<SessionId> {
        self.record.as_ref().map(|record| record.open.session_id)
    }

    /// Tells that the agent has been started.
    pub(crate) fn started(&mut self, facts: StartFacts) {
        let Some(record) = &mut self.record else {
            return;
        };
        record.started = Some(facts.clone());
        record.tell_or_spool(&Request::Started(facts));
    }

    /// Tells that the agent's terminal is recorded.
    pub(crate) fn recorded(&mut self, recording: Recording) {
        let at = self.context.clock.now();
        if let Some(record) = &mut self.record {
            let session_id = record.open.session_id;
            record.tell_or_spool(&Request::Recorded(RecordFacts {
                session_id,
                recording,
                at,
            }));
        }
    }

    /// Returns what hangs up when the daemon goes away.
    pub(crate) fn socket(&self) -> Option<BorrowedFd<'_>> {
        let client = self.record.as_ref()?.client.as_ref()?;
        Some(client.socket().as_fd())
    }

    /// Returns when the first sign of life is due.
    pub(crate) fn first_beat(&self) -> Instant {
        Instant::now() + self.record.as_ref().map_or(RETRY, |record| record.beat)
    }

    /// Gives a sign of life and returns when the next one is due.
    pub(crate) fn beat(&mut self) -> Instant {
        let Some(record) = &mut self.record else {
            return Instant::now() + UNHEARD;
        };
        let at = self.context.clock.now();
        Instant::now() + record.renew(at)
    }

    /// Tells how the session ended. Without a daemon the end is captured here and spooled.
    pub(crate) fn end(&mut self, ending: Ending, at: Moment, detail: String) {
        let Some(mut record) = self.record.take() else {
            return;
        };
        let session_id = record.open.session_id;
        let facts = EndFacts {
            session_id,
            ending,
            at,
            detail,
        };
        if record.client.is_none() && record.local.is_none() {
            record.reconnect_or_start(self.context);
        }
        if record.deliver(&Request::End(facts.clone()), END) {
            // The base that was begun here is nearer to the launch than any that is taken now.
            if let Some(local) = record.local.take() {
                local.finish_base();
            }
            return;
        }
        record.spool(Some(&Request::End(facts)));
        if let Some(local) = record.local.take().or_else(|| Local::new(self.context)) {
            local.end(&record.open, record.started.as_ref(), at);
        }
        if record.spooled == 0 {
            output::say("amps: this run could not be recorded: no daemon and no spool");
        }
    }
}

impl Record {
    fn open(
        (context, home): (&Context, Home),
        open: OpenFacts,
        meanwhile: &dyn Fn(),
        warning: &mut Option<String>,
    ) -> Self {
        let lock = take_lock(&home, &open);
        point("before-open");
        let mut record = Self {
            home,
            open,
            started: None,
            client: None,
            generation: 1,
            beat: RETRY,
            spooled: 0,
            local: None,
            _lock: lock,
        };
        let outcome = record.find_daemon(context, meanwhile);
        if let Err(reason) = outcome {
            *warning = Some(record.open_alone(context, &reason));
        }
        point("after-open");
        record
    }

    /// Opens the session with the daemon, starting one if need be. A daemon of another version is
    /// asked to make room.
    fn find_daemon(&mut self, context: &Context, meanwhile: &dyn Fn()) -> Result<(), String> {
        let home = self.home.clone();
        let starter = connect::starter(context, &home, START);
        let stream = starter
            .connect_or_start()
            .map_err(|error| error.to_string())?;
        let stream = match self.greet(stream, OPEN_DEADLINE, meanwhile) {
            Err(ClientError::Foreign(foreign)) => starter
                .replace(foreign)
                .map_err(|error| error.to_string())?,
            greeted => return greeted.map_err(|error| error.to_string()),
        };
        self.greet(stream, OPEN_DEADLINE, meanwhile)
            .map_err(|error| error.to_string())
    }

    /// There is no daemon: the facts go into the spool and this process takes the base. Returns what
    /// the person should know.
    fn open_alone(&mut self, context: &Context, reason: &str) -> String {
        self.spool(None);
        let whence = if self.spooled > 0 {
            "facts are kept and delivered later"
        } else {
            "and its home cannot be written: this run may go unrecorded"
        };
        self.local = Local::new(context);
        if let Some(local) = &mut self.local {
            local.begin(&self.open);
        }
        format!("no daemon ({reason}); {whence}")
    }

    /// Opens the session with a daemon that listens; told before, it is told again.
    fn greet(
        &mut self,
        stream: std::os::unix::net::UnixStream,
        deadline: Duration,
        meanwhile: &dyn Fn(),
    ) -> Result<(), ClientError> {
        let mut client = Client::new(stream, std::process::id())?;
        if self.spooled > 0 {
            // The daemon reads the spool first: what was told late must not pass for news.
            client.call(Request::DaemonStatus, deadline)?;
        }
        let asked = client.send(Request::Open(Box::new(self.open.clone())))?;
        meanwhile();
        let answer = client.answer(asked, deadline)?;
        if let Response::Opened {
            generation, beat, ..
        } = answer
        {
            self.generation = generation;
            self.beat = beat;
        }
        if let Some(started) = &self.started {
            client.tell(Request::Started(started.clone()))?;
        }
        self.client = Some(client);
        Ok(())
    }

    fn reconnect(&mut self) {
        if let Probe::Listening(stream) = probe(&self.home) {
            // Refused or lost again: the next beat tries again.
            drop(self.greet(stream, BEAT_ANSWER, &|| {}));
        }
    }

    fn reconnect_or_start(&mut self, context: &Context) {
        let home = self.home.clone();
        if let Ok(stream) = connect::starter(context, &home, START).connect_or_start() {
            drop(self.greet(stream, END, &|| {}));
        }
    }

    /// Renews the lease and returns how long until the next time.
    fn renew(&mut self, at: Moment) -> Duration {
        let request = Request::Renew {
            session_id: self.open.session_id,
            lease_id: self.open.lease_id,
            generation: self.generation,
            at,
        };
        let Some(client) = &mut self.client else {
            // A run that is captured here is told to a daemon when it has ended.
            if self.local.is_some() {
                return UNHEARD;
            }
            self.reconnect();
            return if self.client.is_some() {
                self.beat
            } else {
                SEARCH
            };
        };
        match client.call(request, BEAT_ANSWER) {
            // Refused, the lease is lost; the session's own history tells why.
            Ok(_) | Err(ClientError::Fault(_)) => self.beat,
            Err(ClientError::Codec(_) | ClientError::Foreign(_)) => {
                self.client = None;
                RETRY
            }
        }
    }

    fn tell_or_spool(&mut self, request: &Request) {
        let told = self
            .client
            .as_mut()
            .is_some_and(|client| client.tell(request.clone()).is_ok());
        if !told {
            self.client = None;
            if self.spooled > 0 {
                self.spool(Some(request));
            }
        }
    }

    /// Tells a fact and waits for the answer. Returns whether it was heard.
    fn deliver(&mut self, request: &Request, deadline: Duration) -> bool {
        for _ in 0..2 {
            if self.client.is_none() {
                self.reconnect();
            }
            let Some(client) = &mut self.client else {
                return false;
            };
            match client.call(request.clone(), deadline) {
                Ok(_) => return true,
                Err(ClientError::Fault(_) | ClientError::Foreign(_)) => return false,
                Err(ClientError::Codec(_)) => self.client = None,
            }
        }
        false
    }

    /// Keeps a fact for the next daemon, and every fact before it: a file in the spool tells the
    /// whole story.
    fn spool(&mut self, request: Option<&Request>) {
        let mut story = Vec::new();
        if self.spooled == 0 {
            story.push(Request::Open(Box::new(facts::masked(&self.open))));
            story.extend(self.started.clone().map(Request::Started));
        }
        story.extend(request.filter(|request| !story.contains(request)).cloned());
        let path = self.home.spool_of(self.open.session_id);
        drop(files::create_private_folder(&self.home.spool()));
        for fact in story {
            let line = String::from_utf8_lossy(&codec::encode(&fact)).into_owned();
            match files::append_line(&path, line.trim_end()) {
                Ok(()) => self.spooled += 1,
                Err(_) => return,
            }
        }
    }
}

/// Takes the lock that tells everybody on this host that this process lives. Its folder is made
/// when it is missing; a home that cannot be written leaves the lease without a lock.
fn take_lock(home: &Home, open: &OpenFacts) -> Option<Lock> {
    let path = home.lease_lock(open.lease_id);
    Lock::try_take(&path)
        .or_else(|_| {
            home.create()?;
            Lock::try_take(&path)
        })
        .ok()
        .flatten()
}
