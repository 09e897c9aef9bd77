//! Held sessions: starting a host, and being one.
//!
//! A host is a launcher that owns the agent's terminal. It is started by a messenger, so that it is
//! nobody's child and lives in a session of its own; it tells by one line whether its agent runs.

use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::os::fd::AsFd as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use amps_core::error::ErrorCode;
use amps_core::facts::{OpenFacts, RecordFacts, StartFacts};
use amps_core::id::SessionId;
use amps_core::path::RawPath;
use amps_core::recording::{RecordLimits, Recording};
use amps_core::session::{Binding, Ending};
use amps_engine::exec::{ExecError, Foreground, start_and_pass_on, start_by_messenger};
use amps_engine::files::{self, FileError};
use amps_engine::home::Home;
use amps_engine::process::{self, SESSION_VARIABLE};
use amps_engine::recording::{Header, Recorder};
use amps_engine::testing::point;
use amps_host::{AgentEnd, Hold, Host, HostError, Listener, SignalsFor, has_terminal, terminal};
use amps_proto::codec;
use amps_proto::exit_code;
use amps_proto::fault::Fault;
use amps_proto::hold::{Role, TerminalSize};
use amps_proto::request::Request;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::{Deserialize, Serialize};

use super::link::Link;
use super::{agent_name, facts};
use crate::args::{HoldOptions, HostCommand, LaunchOptions};
use crate::context::Context;
use crate::error::Failure;
use crate::iterate::Visit;
use crate::{Outcome, apart, commands, connect, env, held, output};

/// The words by which this program is a host.
pub(crate) const HOST: [&str; 2] = ["host", "run"];

/// What kind of terminal an agent is told that it has if its host was started on none.
const TERM: &str = "xterm-256color";

/// What a host is to hold.
#[derive(Serialize, Deserialize)]
struct Order {
    name: Option<String>,
    note: Option<String>,
    tags: Vec<String>,
    context_ids: Vec<String>,
    program: RawPath,
    command: Vec<RawPath>,
    size: TerminalSize,
    way: Way,
    /// The worktree session of which it is an iteration.
    #[serde(default)]
    visited: Option<SessionId>,
}

/// How an agent is held.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Way {
    /// Whether it is shown here at once.
    is_shown: bool,
    /// Whether it outlives this terminal.
    outlives: bool,
    /// Whether its terminal is recorded.
    is_recorded: bool,
}

/// Returns how an agent is to be held; `None` if it is not, as it gets this terminal itself.
pub(super) fn way(context: &Context, options: HoldOptions) -> Option<Way> {
    let HoldOptions {
        detach,
        hold,
        record,
    } = options;
    if !detach && !hold && !has_terminal() {
        return None;
    }
    let always = match context.configured() {
        Ok((_, config)) => config.record.always,
        // It is said when the host is ordered, which is not without keys to leave by.
        Err(_) if !detach && (hold || record) => false,
        Err(failure) => {
            let what = if detach {
                "not configured"
            } else {
                "not recorded"
            };
            output::say(&format!("amps: {what}: {}", failure.reason()));
            false
        }
    };
    let is_recorded = record || always;
    (detach || hold || is_recorded).then_some(Way {
        is_shown: !detach,
        outlives: detach || hold,
        is_recorded,
    })
}

/// What a host says of its agent, once.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Report {
    /// It runs.
    Started {
        /// Under this session.
        session_id: SessionId,
        /// What the person should know.
        #[serde(default)]
        warnings: Vec<String>,
    },
    /// It could not be started.
    Failed {
        /// Why.
        fault: Fault,
        /// The exit code of the launch.
        code: u8,
    },
    /// The host lacks what it needs, and has not tried to start it.
    NoHost {
        /// What it lacks.
        fault: Fault,
    },
}

/// Why a session is not held.
enum NotHeld {
    /// No host can be had, and the agent has not been started.
    NoHost(Box<Fault>),
    /// All else; it has been said.
    Failed(u8),
}

impl NotHeld {
    fn no_host(code: ErrorCode, error: &dyn std::error::Error) -> Self {
        Self::NoHost(Box::new(Fault::of(code, error)))
    }
}

impl From<Failure> for NotHeld {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Fault(fault) => Self::NoHost(fault),
            Failure::Launch(code) => Self::Failed(code),
            Failure::BrokenPipe => Self::Failed(exit_code::LAUNCH_FAILED),
        }
    }
}

/// Starts a session that is held, and shows it here or leaves it. Returns `None` if no host can be
/// had for an agent that is to be shown: then it is for this terminal itself, which has been said.
pub(super) fn start(
    context: &Context,
    options: &LaunchOptions,
    (program, command): (&Path, &[OsString]),
    way: Way,
) -> Result<Option<ExitCode>, Failure> {
    if way.is_shown {
        // What a client left that was killed must not pass for how the terminal was. Where that
        // cannot be found out, the agent runs all the same.
        commands::terminal::restore(context).ok();
    }
    let (session_id, warnings) = match order(context, options, (program, command), (way, None)) {
        Ok(started) => started,
        Err(NotHeld::Failed(code)) => return Err(Failure::Launch(code)),
        Err(NotHeld::NoHost(fault)) if way.is_shown => {
            let what = if way.outlives { "held" } else { "recorded" };
            let why = Failure::Fault(fault).reason();
            output::say(&format!("amps: not {what}: {why}"));
            return Ok(None);
        }
        Err(NotHeld::NoHost(fault)) => {
            output::complain(&fault);
            return Err(Failure::Launch(exit_code::LAUNCH_FAILED));
        }
    };
    for warning in warnings {
        output::say(&format!("amps: {warning}"));
    }
    if way.is_shown {
        return show(context, session_id, way).map(Some);
    }
    output::print(&format!("{session_id}\n"))?;
    let id = session_id.short();
    let keys = context.chord().ok().flatten();
    let leaves = keys.map_or_else(String::new, |keys| format!(", {keys} leaves it again"));
    output::say(&format!("held; `amps attach {id}` shows it{leaves}"));
    Ok(Some(ExitCode::SUCCESS))
}

/// Starts the agent of a worktree session as an iteration of it, held, and shows it here. This
/// process works in the worktree.
pub(crate) fn visit(
    context: &Context,
    options: &LaunchOptions,
    (program, command): (&Path, &[OsString]),
    visited: SessionId,
) -> Outcome {
    let is_recorded = context.configured()?.1.record.always;
    let way = Way {
        is_shown: true,
        outlives: true,
        is_recorded,
    };
    let ordered = order(context, options, (program, command), (way, Some(visited)));
    let (session_id, warnings) = ordered.map_err(|not_held| match not_held {
        NotHeld::NoHost(fault) => Failure::Fault(fault),
        NotHeld::Failed(code) => Failure::Launch(code),
    })?;
    for warning in warnings {
        output::say(&format!("amps: {warning}"));
    }
    show(context, session_id, way)
}

/// Shows an agent on the terminal it was started for.
fn show(context: &Context, session_id: SessionId, way: Way) -> Outcome {
    let signals = if way.outlives {
        SignalsFor::LastingAgent
    } else {
        SignalsFor::Agent
    };
    match held::connect_to(context, session_id) {
        Ok(held) => commands::attach::show(context, held, (Role::Typist, false), signals),
        // It was shorter than this process took to come.
        Err(failure) => match held::exit_of(context, session_id) {
            Some(exit) => Ok(super::end_as_shown(exit)),
            None => Err(failure),
        },
    }
}

/// Has a host started for a command, and returns its session.
fn order(
    context: &Context,
    options: &LaunchOptions,
    (program, command): (&Path, &[OsString]),
    (way, visited): (Way, Option<SessionId>),
) -> Result<(SessionId, Vec<String>), NotHeld> {
    if way.is_shown {
        // Keys that are none must not be found out once the agent runs.
        context.chord()?;
    }
    let raw = |word: &OsStr| RawPath::new(word.as_bytes());
    let order = Order {
        name: options.name.clone(),
        note: options.note.clone(),
        tags: options.tags.clone(),
        context_ids: options.context_ids.clone(),
        program: raw(program.as_os_str()),
        command: command.iter().map(|word| raw(word)).collect(),
        size: terminal::size(rustix::stdio::stdin()),
        way,
        visited,
    };
    let home = context.home()?;
    home.create()
        .map_err(|error| NotHeld::no_host(ErrorCode::HomeNotWritable, &error))?;
    let order = serde_json::to_vec(&order).expect("an order has no failing serialisers");
    let said = start_by_messenger(
        &env::own_program(),
        &["host", "start"],
        &order,
        &home.host_log(),
    )
    .map_err(|error| NotHeld::no_host(ErrorCode::Internal, &error))?;
    let mut line = String::new();
    let read = BufReader::new(said).read_line(&mut line);
    let report = read.ok().and_then(|_| serde_json::from_str(&line).ok());
    let (fault, code) = match report {
        Some(Report::Started {
            session_id,
            warnings,
        }) => return Ok((session_id, warnings)),
        Some(Report::NoHost { fault }) => return Err(NotHeld::NoHost(Box::new(fault))),
        Some(Report::Failed { fault, code }) => (fault, code),
        None => {
            let fault = Fault::new(ErrorCode::Internal, "the host of the session ended at once")
                .hint(format!("its log is {}", home.host_log().display()));
            (fault, exit_code::LAUNCH_FAILED)
        }
    };
    output::complain(&fault);
    Err(NotHeld::Failed(code))
}

/// Does what hosts are started by.
pub(crate) fn host(context: &Context, command: &HostCommand) -> Outcome {
    match command {
        HostCommand::Start => {
            start_and_pass_on(&env::own_program(), &HOST)
                .map_err(|error| Failure::of(ErrorCode::Internal, &error))?;
            Ok(ExitCode::SUCCESS)
        }
        HostCommand::Run => be_host(context),
    }
}

/// Is the host of a session.
pub(crate) fn be_host(context: &Context) -> Outcome {
    let mut order = Vec::new();
    io::stdin().read_to_end(&mut order)?;
    let order: Order = serde_json::from_slice(&order)
        .map_err(|error| Failure::of(ErrorCode::BadArgument, &error))?;
    match order.prepare(context) {
        Err(Failure::Fault(fault)) => say(&Report::NoHost { fault: *fault }),
        prepared => hold(context, prepared?),
    }
}

/// What a host needs before it tells anybody of a session.
struct Prepared {
    facts: OpenFacts,
    foreground: Foreground,
    listener: Listener,
    size: TerminalSize,
    way: Way,
    visited: Option<SessionId>,
}

/// Holds a session until its agent has ended.
fn hold(context: &Context, prepared: Prepared) -> Outcome {
    let Prepared {
        facts,
        mut foreground,
        listener,
        size,
        way,
        visited,
    } = prepared;
    let home = context.home()?;
    let session_id = facts.session_id;
    let begun = visited.map(|visited| Visit::begin(context, visited, &facts));
    let visit = match begun.transpose() {
        Err(Failure::Fault(fault)) => return say(&Report::NoHost { fault: *fault }),
        begun => begun?,
    };
    let added = visit.as_ref().map(Visit::variables);
    foreground.variables.extend(added.unwrap_or_default());
    // One that ends with its terminal ends with its login too.
    let outlives = way.outlives;
    let unit = format!("amps-{session_id}.scope");
    let standing = outlives.then(|| apart::leave_login_session(context, &unit));
    let mut warnings: Vec<String> = standing.flatten().into_iter().collect();
    let (hold_config, record_config) = context.hold_config();
    let mut link = Link::open(context, Some(facts.clone()), &|| {});
    warnings.extend(link.take_warning());
    let hold = Hold {
        session_id,
        listener,
        terminals: home.terminals(),
        size,
        scrollback: hold_config.scrollback,
        is_awaited: way.is_shown,
        ends_with_terminal: !way.outlives,
    };
    let limits = way.is_recorded.then_some(record_config.limits);
    let recorder = limits.and_then(|limits| {
        let recorder = record((context, &home), &facts, size, limits);
        recorder
            .map_err(|error| warnings.push(format!("not recorded: {error}")))
            .ok()
    });
    let is_recorded = recorder.is_some();
    let launched_at = context.clock.now();
    point("before-spawn");
    let host = match Host::start(hold, &foreground, recorder) {
        Ok(host) => host,
        Err(error) => {
            let detail = format!("the agent could not be started: {error}");
            link.end(Ending::NotStarted, context.clock.now(), detail);
            if let Some(visit) = visit {
                visit.end(None);
            }
            return say(&refusal(&error));
        }
    };
    point("after-spawn");
    let agent = process::identity(host.agent(), &context.clock);
    link.started(StartFacts {
        session_id,
        launched_at,
        agent,
    });
    if is_recorded {
        link.recorded(Recording::default());
    }
    say(&Report::Started {
        session_id,
        warnings,
    })?;
    if let Some(recording) = serve(context, host, link, visit)? {
        tell_recorded(context, session_id, recording);
    }
    Ok(ExitCode::SUCCESS)
}

impl Order {
    /// Gets what is needed to hold the session.
    fn prepare(self, context: &Context) -> Result<Prepared, Failure> {
        let word = |raw: &RawPath| OsString::from_vec(raw.as_bytes().to_vec());
        let command: Vec<OsString> = self.command.iter().map(word).collect();
        let name = command.first().cloned().unwrap_or_default();
        let owner = process::identity(std::process::id(), &context.clock);
        let owner = owner.ok_or_else(|| Fault::new(ErrorCode::Internal, "/proc cannot be read"))?;
        let program = PathBuf::from(word(&self.program));
        let options = LaunchOptions {
            name: self.name,
            note: self.note,
            tags: self.tags,
            context_ids: self.context_ids,
        };
        let agent = agent_name(&name);
        let binding = (Binding::Host, owner);
        let facts = facts::opening(context, &options, &agent, &command, binding);
        let session_id = facts.session_id;
        let mark = (SESSION_VARIABLE.to_owned(), session_id.to_string());
        let kind = context.environment.terminal_kind();
        let term = ("TERM".to_owned(), TERM.to_owned());
        let foreground = Foreground {
            program,
            name,
            arguments: command.get(1..).unwrap_or_default().to_vec(),
            variables: [mark]
                .into_iter()
                .chain(kind.is_none().then_some(term))
                .collect(),
        };
        let socket = context.home()?.host_socket(session_id);
        let listener = Listener::at(&socket)
            .map_err(|error| Failure::of(ErrorCode::HomeNotWritable, &error))?;
        Ok(Prepared {
            facts,
            foreground,
            listener,
            size: self.size,
            way: self.way,
            visited: self.visited,
        })
    }
}

/// Begins to record.
fn record(
    (context, home): (&Context, &Home),
    facts: &OpenFacts,
    size: TerminalSize,
    limits: RecordLimits,
) -> Result<Recorder, FileError> {
    let now = context.clock.now();
    let header = Header {
        rows: size.rows,
        cols: size.cols,
        command: facts.agent_command.clone(),
        started_at: now.at,
        started_uptime_ms: Some(now.uptime_ms),
        term: context.environment.terminal_kind(),
    };
    let folder = home.recording_of(facts.session_id);
    Recorder::create(&folder, &header, &limits, context.clock.clone())
}

/// Says whether the agent runs, and lets go of who asked.
fn say(report: &Report) -> Outcome {
    apart::report(report)?;
    Ok(ExitCode::SUCCESS)
}

fn refusal(error: &HostError) -> Report {
    match error {
        HostError::Agent(
            error @ (ExecError::NotFound { .. } | ExecError::NotExecutable { .. }),
        ) => {
            let fault = super::refusal(error);
            let code = exit_code::of(fault.code);
            Report::Failed { fault, code }
        }
        _ => Report::NoHost {
            fault: Fault::of(ErrorCode::Internal, error),
        },
    }
}

/// Holds the session, and keeps its lease meanwhile: a daemon that does not answer must not hold
/// up what is typed and shown.
fn serve(
    context: &Context,
    mut host: Host,
    link: Link<'_>,
    visit: Option<Visit<'_>>,
) -> Result<Option<Recording>, Failure> {
    let (over, told) = UnixStream::pair()?;
    let (end, link) = std::thread::scope(|scope| {
        let keeping = scope.spawn(move || keep(link, &told));
        let end = host.serve();
        drop(over);
        let link = keeping.join();
        (end, link)
    });
    let end = end?;
    let mut link = link.map_err(|_| Fault::new(ErrorCode::Internal, "the lease was not kept"))?;
    let AgentEnd { exit, was_hung_up } = end;
    let ending = if was_hung_up {
        Ending::TerminalClosed(Some(exit))
    } else {
        Ending::Exited(exit)
    };
    let detail = if was_hung_up {
        format!("the terminal of a held session was closed; the agent ended with {exit}")
    } else {
        format!("the host waited for the agent: {exit}")
    };
    link.end(ending, context.clock.now(), detail);
    // Who sees the agent hears that it ended when its work is committed.
    if let Some(visit) = visit {
        visit.end(Some(exit));
    }
    Ok(host.leave(end)?)
}

/// Tells how much has been recorded, now that it is on the disk. A daemon that is not there reads
/// it in the spool.
fn tell_recorded(context: &Context, session_id: SessionId, recording: Recording) {
    let request = Request::Recorded(RecordFacts {
        session_id,
        recording,
        at: context.clock.now(),
    });
    let Ok(home) = context.home() else { return };
    if !matches!(connect::ask_running(&home, &request), Ok(Some(_))) {
        let line = String::from_utf8_lossy(&codec::encode(&request)).into_owned();
        // What cannot be written is known to the journal all the same.
        files::append_line(&home.spool_of(session_id), line.trim_end()).ok();
    }
}

/// Gives the signs of life that are due, until told that the session is over.
fn keep<'a>(mut link: Link<'a>, told: &UnixStream) -> Link<'a> {
    let mut next_beat = link.first_beat();
    loop {
        let left = next_beat.saturating_duration_since(Instant::now());
        let timeout = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(left.subsec_nanos()),
        };
        let over = PollFd::from_borrowed_fd(told.as_fd(), PollFlags::IN);
        let daemon = link
            .socket()
            .map(|daemon| PollFd::from_borrowed_fd(daemon, PollFlags::empty()));
        let mut sources: Vec<PollFd<'_>> = [over].into_iter().chain(daemon).collect();
        // An interrupted wait is only a shorter one.
        poll(&mut sources, Some(&timeout)).ok();
        let came: Vec<bool> = sources
            .iter()
            .map(|source| !source.revents().is_empty())
            .collect();
        if came.first() == Some(&true) {
            return link;
        }
        if came.get(1) == Some(&true) || Instant::now() >= next_beat {
            next_beat = link.beat();
        }
    }
}
