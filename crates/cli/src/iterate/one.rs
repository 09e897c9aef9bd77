//! One iteration: what a person left is committed, the agent runs, its work is committed, the gate
//! judges it. Whatever happens, the record says how far it came, and no change is lost: what could
//! not be committed is still in the files.

use std::ffi::{OsStr, OsString};
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::time::Duration;

use amps_core::error::ErrorCode;
use amps_core::exit::Exit;
use amps_core::facts::{OpenFacts, StartFacts};
use amps_core::id::SessionId;
use amps_core::iteration::{Iteration, Verdict};
use amps_core::mask::{mask, mask_command};
use amps_core::path::RawPath;
use amps_core::process::ProcessIdentity;
use amps_core::session::{Binding, Ending};
use amps_core::time::Moment;
use amps_core::tool_call::ToolCall;
use amps_core::turn::TurnRecord;
use amps_core::usage::Usage;
use amps_core::worktree::Step;
use amps_engine::agent::{Hearing, Invocation, TurnOrder};
use amps_engine::config::{Config, Configured};
use amps_engine::exec::{Line, TurnCause, TurnCommand, TurnEnding, TurnListener, run_turn};
use amps_engine::git::Git;
use amps_engine::home::Home;
use amps_engine::iteration::{
    self, Committed, GateCommand, Ground, REFLOG_ACTION, agent_commits, changes, commit_all,
};
use amps_engine::ops::step_worktree::masked;
use amps_engine::process::{self, SESSION_VARIABLE};
use amps_engine::testing::point;
use amps_engine::worktree::SessionLock;
use amps_proto::fault::Fault;
use amps_proto::view::WorktreeView;
use uuid::Uuid;

use super::journal::{self, Journal, Told};
use super::order::Order;
use super::{context as notes, prompt};
use crate::args::LaunchOptions;
use crate::context::Context;
use crate::error::Failure;
use crate::launch::facts;
use crate::launch::link::Link;
use crate::text::brief;
use crate::worktree;
use crate::worktree::Locked;

/// The longest subject of a commit, in characters.
const SUBJECT: usize = 72;

/// Runs one iteration, and returns whether another one follows. `begun` hears its number once it has begun; until
/// then a failure means that nothing was done. `goes_on` says so of a verdict.
pub(super) fn iterate(
    context: &Context,
    (order, prompt): (&Order, Option<String>),
    stop: BorrowedFd<'_>,
    begun: &mut dyn FnMut(u32),
    goes_on: &dyn Fn(Verdict) -> bool,
) -> Result<bool, Failure> {
    let mut prepared = Prepared::new(context, order, prompt.as_deref(), stop)?;
    let mut journal = Journal::begin(&journal::path(
        &prepared.home,
        order.session_id,
        prepared.iteration.number,
    ));
    worktree::tell(
        context,
        order.session_id,
        Step::Iterate {
            iteration: Box::new(prepared.iteration.clone()),
        },
    )?;
    point("iteration-begun");
    begun(prepared.iteration.number);
    let trouble = notes::write(prepared.ground(), &prepared.view, &prepared.iteration);
    prepared.iteration.errors.extend(trouble);
    let mut done = prepared.run_agent(&mut journal);
    point("iteration-agent-ended");
    prepared.commit(&mut done);
    point("iteration-committed");
    let told = Told::Committed {
        iteration: Box::new(masked(&done.iteration)),
    };
    journal.tell(context.clock.now().at, told);
    if done.verdict == Verdict::Passed {
        prepared.ask_gate(&mut done, &mut journal);
    }
    let goes_on = goes_on(done.verdict);
    prepared.judge(done, &mut journal, goes_on);
    Ok(goes_on)
}

/// All that an iteration needs.
struct Prepared<'a> {
    context: &'a Context,
    stop: BorrowedFd<'a>,
    home: Home,
    config: Config,
    git: Git,
    view: WorktreeView,
    worktree: PathBuf,
    agent: Configured,
    program: PathBuf,
    limit: Duration,
    /// What a person asked for this time, if anything.
    asked: Option<String>,
    /// The prompt as the agent gets it, with the secrets in it.
    prompt: String,
    iteration: Iteration,
    /// Held as long as the iteration.
    _lock: SessionLock,
}

/// How far an iteration has come.
struct Done {
    iteration: Iteration,
    tool_calls: Vec<ToolCall>,
    verdict: Verdict,
}

impl<'a> Prepared<'a> {
    fn new(
        context: &'a Context,
        order: &Order,
        prompt: Option<&str>,
        stop: BorrowedFd<'a>,
    ) -> Result<Self, Failure> {
        let (home, config) = context.configured()?;
        let git = worktree::git(context)?;
        let reference = order.session_id.to_string();
        let Locked { lock, view, .. } = worktree::lock(context, &reference, "amps iterate")?;
        let session = &view.session;
        worktree::refuse_final(&view)?;
        let agent = worktree::agent(&config, &session.agent)?;
        let program = worktree::program(context, &agent)?;
        let worktree = worktree::native(&session.worktree);
        let ground = worktree::ground(&git, &worktree, &view);
        let number = session.last_iteration + 1;
        let committed = commit_left(ground, &agent, number)?;
        let runner = process::identity(std::process::id(), &context.clock);
        let runner =
            runner.ok_or_else(|| Fault::new(ErrorCode::Internal, "/proc cannot be read"))?;
        let is_continued = session.thread_id.is_some();
        let asked = prompt.map(str::to_owned);
        let prompt = prompt::prompt(&view, prompt, is_continued);
        worktree::refuse_survivors(context, &view)?;
        let model = order.model.clone().or_else(|| session.model.clone());
        let iteration = Iteration {
            number,
            run: SessionId::new(Uuid::new_v4()),
            runner,
            prompt: prompt.asked,
            notes: order.notes.clone(),
            agent: session.agent.clone(),
            model: model.or_else(|| agent.model.clone()),
            thread_id: session.thread_id.clone(),
            started_at: context.clock.now().at,
            ended_at: None,
            head: committed.head,
            manual_commit: committed.commit,
            agent_commits: Vec::new(),
            commit: None,
            verdict: None,
            gate: None,
            usage: Usage::default(),
            answer: None,
            errors: Vec::new(),
        };
        let limit = session.timeout.unwrap_or(config.agents.timeout);
        Ok(Self {
            context,
            stop,
            home,
            limit,
            git,
            worktree,
            agent,
            program,
            asked,
            prompt: prompt.whole,
            iteration,
            config,
            view,
            _lock: lock,
        })
    }

    fn ground(&self) -> Ground<'_> {
        worktree::ground(&self.git, &self.worktree, &self.view)
    }

    /// Returns what earlier iterations of the same conversation used.
    fn known(&self) -> Usage {
        let thread = &self.iteration.thread_id;
        let earlier = self.view.iterations.iter().map(|view| &view.iteration);
        earlier
            .filter(|iteration| thread.is_some() && iteration.thread_id == *thread)
            .map(|iteration| iteration.usage)
            .sum()
    }

    fn run_agent(&self, journal: &mut Journal) -> Done {
        let order = TurnOrder {
            prompt: &self.prompt,
            thread: self.iteration.thread_id.as_ref(),
            new_thread: Some(Uuid::new_v4()),
            known: self.known(),
            model: self.iteration.model.as_deref(),
            further: &self.agent.further,
        };
        let invocation = self.agent.agent().invocation(&order);
        let command = self.command_line(&invocation);
        let link = Link::open(self.context, Some(self.facts(&command)), &|| {});
        let now = self.context.clock.now();
        journal.tell(
            now.at,
            Told::AgentStarted {
                command: mask_command(&shown(&command)),
            },
        );
        let mut heard = Heard {
            link,
            launched_at: now,
            run: self.iteration.run,
            hearing: Hearing::new(self.agent.agent(), &order),
            journal,
        };
        let environment = self.environment();
        let turn = TurnCommand {
            program: &self.program,
            name: OsStr::new(&self.agent.program),
            invocation: &invocation,
            folder: &self.worktree,
            environment: &environment,
            session: &self.iteration.run.to_string(),
            limit: Some(self.limit),
            grace: self.config.agents.grace,
            stop: Some(self.stop),
        };
        let ran = run_turn(&turn, &self.context.clock, &mut heard);
        let Heard {
            mut link, hearing, ..
        } = heard;
        let (record, verdict) = match ran {
            Ok(ending) => {
                tell_end(&mut link, &ending);
                let record = hearing.finish(ending.exit, ending.ended_at);
                let verdict = judge_turn(&ending, &record);
                (with_complaints(record, &ending, verdict), verdict)
            }
            Err(error) => {
                let detail = format!("the agent could not be started: {error}");
                let now = self.context.clock.now();
                link.end(Ending::NotStarted, now, detail.clone());
                let mut record = hearing.finish(None, now);
                record.errors.push(detail);
                (record, Verdict::AgentFailed)
            }
        };
        let mut iteration = self.iteration.clone();
        let variable = |name: &str| self.context.environment.variable(name);
        let agent = self.agent.agent();
        let noted = record.thread.as_ref();
        let noted = noted.and_then(|thread| agent.noted_model(thread, &variable));
        iteration.thread_id = record.thread.or(iteration.thread_id);
        iteration.model = noted.or(record.model).or(iteration.model);
        iteration.usage = record.usage;
        iteration.answer = record.answer;
        iteration.errors.extend(record.errors);
        iteration.errors.extend(record.warnings);
        Done {
            iteration,
            tool_calls: record.tool_calls,
            verdict,
        }
    }

    fn command_line(&self, invocation: &Invocation) -> Vec<OsString> {
        let program = [OsString::from(&self.agent.program)].into_iter();
        program
            .chain(invocation.arguments.iter().map(OsString::from))
            .collect()
    }

    /// Returns what is told of the run.
    fn facts(&self, command: &[OsString]) -> OpenFacts {
        let agent = self.agent.agent().name();
        let options = LaunchOptions {
            context_ids: self.view.session.context_ids.clone(),
            ..LaunchOptions::default()
        };
        let owner = (Binding::Launcher, self.iteration.runner.clone());
        let mut facts = facts::opening(self.context, &options, agent, command, owner);
        facts.session_id = self.iteration.run;
        facts.cwd = RawPath::new(self.worktree.as_os_str().as_bytes());
        facts.git_environment.clear();
        facts
    }

    /// Returns the variables of the agent and the gate.
    fn environment(&self) -> Vec<(OsString, OsString)> {
        let mut variables = self.context.environment.for_iteration();
        let number = self.iteration.number;
        let mut set = |name: &str, value: String| variables.push((name.into(), value.into()));
        set("GIT_REFLOG_ACTION", format!("{REFLOG_ACTION} {number}"));
        set(
            "AMPSM_WORKTREE_SESSION",
            self.view.session.session_id.to_string(),
        );
        if let Some((first, count)) = self.view.session.ports {
            set("AMPSM_PORT", first.to_string());
            set("AMPSM_PORT_BASE", first.to_string());
            set("AMPSM_PORT_COUNT", count.to_string());
        }
        variables
    }

    /// Commits what the agent changed.
    fn commit(&self, done: &mut Done) {
        let iteration = &mut done.iteration;
        let session = &self.view.session;
        let gist = self.asked.as_deref().unwrap_or(&session.prompt);
        let message = message(session.session_id, iteration.number, gist);
        match commit_all(self.ground(), &message, self.agent.agent().leavings()) {
            Ok(committed) => note_commits(self.ground(), iteration, committed),
            Err(error) => {
                iteration.errors.push(chain(&error));
                done.verdict = Verdict::NotCommitted;
            }
        }
    }

    fn ask_gate(&self, done: &mut Done, journal: &mut Journal) {
        let Some(script) = &self.view.session.script else {
            return;
        };
        let clock = &self.context.clock;
        journal.tell(
            clock.now().at,
            Told::GateBegan {
                command: mask(script).into_owned(),
            },
        );
        let log = journal::gate_log(
            &self.home,
            self.view.session.session_id,
            self.iteration.number,
        );
        let run = self.iteration.run.to_string();
        let mut environment = self.environment();
        environment.push((SESSION_VARIABLE.into(), run.clone().into()));
        let command = GateCommand {
            script,
            folder: &self.worktree,
            environment: &environment,
            session: &run,
            limit: Some(self.limit),
            grace: self.config.agents.grace,
            stop: Some(self.stop),
        };
        match iteration::judge(&command, journal::create(&log).ok(), clock) {
            Ok((gate, cause)) => {
                done.verdict = match cause {
                    TurnCause::Stopped => Verdict::Stopped,
                    TurnCause::TimeLimit => Verdict::TimedOut,
                    TurnCause::Itself if gate.has_passed() => Verdict::Passed,
                    TurnCause::Itself => Verdict::GateFailed,
                };
                journal.tell(clock.now().at, Told::GateEnded { gate: gate.clone() });
                done.iteration.gate = Some(gate);
            }
            Err(error) => {
                let error = chain(&error);
                done.iteration
                    .errors
                    .push(format!("the gate could not be started: {error}"));
                done.verdict = Verdict::GateFailed;
            }
        }
    }

    /// Tells how the iteration ended. Without a daemon that is spooled.
    fn judge(&self, done: Done, journal: &mut Journal, goes_on: bool) {
        let Done {
            mut iteration,
            tool_calls,
            verdict,
        } = done;
        let ground = self.ground();
        let now = self.context.clock.now().at;
        iteration.verdict = Some(verdict);
        iteration.ended_at = Some(now);
        let trouble = notes::write(ground, &self.view, &iteration);
        iteration.errors.extend(trouble);
        let head = ground.head().ok();
        let base = worktree::base_name(&self.view);
        let changes = head.and_then(|head| changes(ground, base, &head).ok());
        let step = Step::Judge {
            iteration: Box::new(iteration.clone()),
            tool_calls,
            changes,
        };
        let id = self.view.session.session_id;
        worktree::tell_surely(self.context, &self.home, id, step);
        let iteration = Box::new(masked(&iteration));
        journal.tell(now, Told::Judged { iteration, goes_on });
    }
}

/// Commits what a person left in the worktree.
pub(super) fn commit_left(
    ground: Ground<'_>,
    agent: &Configured,
    number: u32,
) -> Result<Committed, Failure> {
    let left = "What was changed and not committed before an agent went on.";
    let manual = format!("manual: changes before iteration {number}\n\n{left}\n");
    commit_all(ground, &manual, agent.agent().leavings())
        .map_err(|error| worktree::not_committed(&error))
}

/// Notes what was committed of an iteration, by us and by its agent.
pub(super) fn note_commits(ground: Ground<'_>, iteration: &mut Iteration, committed: Committed) {
    let Committed { head, commit, left } = committed;
    iteration.errors.extend(left);
    match agent_commits(ground, &iteration.head, &head) {
        Ok(made) => iteration.agent_commits = made,
        Err(error) => iteration.errors.push(chain(&error)),
    }
    iteration.commit = commit;
}

/// Hears the agent.
struct Heard<'a> {
    link: Link<'a>,
    launched_at: Moment,
    run: SessionId,
    hearing: Hearing,
    journal: &'a mut Journal,
}

impl TurnListener for Heard<'_> {
    fn started(&mut self, process: &ProcessIdentity) {
        self.link.started(StartFacts {
            session_id: self.run,
            launched_at: self.launched_at,
            agent: Some(process.clone()),
        });
    }

    fn line(&mut self, line: Line<'_>) {
        for event in self.hearing.hear(line.bytes, line.at) {
            self.journal.tell(line.at.at, Told::Agent { event });
        }
    }
}

fn tell_end(link: &mut Link<'_>, ending: &TurnEnding) {
    let exit = ending.exit.unwrap_or(Exit::Signal(9));
    let why = match ending.cause {
        TurnCause::Itself => "the runner waited for the agent",
        TurnCause::TimeLimit => "the agent took too long and was ended",
        TurnCause::Stopped => "the agent was ended, as a person asked for it",
    };
    link.end(
        Ending::Exited(exit),
        ending.ended_at,
        format!("{why}: {exit}"),
    );
}

fn judge_turn(ending: &TurnEnding, record: &TurnRecord) -> Verdict {
    match ending.cause {
        TurnCause::TimeLimit => Verdict::TimedOut,
        TurnCause::Stopped => Verdict::Stopped,
        TurnCause::Itself if record.has_succeeded() => Verdict::Passed,
        TurnCause::Itself => Verdict::AgentFailed,
    }
}

/// Adds what only the agent's process tells to what the agent told.
fn with_complaints(mut record: TurnRecord, ending: &TurnEnding, verdict: Verdict) -> TurnRecord {
    if verdict == Verdict::AgentFailed && record.errors.is_empty() {
        let exit = ending.exit.map_or_else(
            || "in a way that nobody saw".to_owned(),
            |exit| format!("with {exit}"),
        );
        record.errors.push(if record.did_finish {
            format!("the agent ended {exit}")
        } else {
            format!("the agent ended {exit} before it told that its turn was over")
        });
        let complaint = ending.stderr.trim();
        if !complaint.is_empty() {
            record.errors.push(brief(complaint, 2_000));
        }
    }
    if !ending.survivors.is_empty() {
        let count = ending.survivors.len();
        record.warnings.push(format!(
            "{count} processes outlived the agent and were ended"
        ));
    }
    if !ending.unended.is_empty() {
        let pids: Vec<String> = ending
            .unended
            .iter()
            .map(|process| process.pid.to_string())
            .collect();
        record.warnings.push(format!(
            "processes could not be ended: pid {}",
            pids.join(", ")
        ));
    }
    record
}

/// Returns the message of the commit of an iteration. `gist` is what was asked, by a person.
pub(super) fn message(session: SessionId, number: u32, gist: &str) -> String {
    let mut lines = gist.lines().map(str::trim);
    let first = lines.find(|line| !line.is_empty());
    // Masked before it is cut: half of a secret is not known for one.
    let first = mask(first.unwrap_or("an iteration"));
    let subject = brief(&first, SUBJECT - "amp: ".len());
    format!("amp: {subject}\n\nAmps-Session: {session}\nAmps-Iteration: {number}\n")
}

fn shown(command: &[OsString]) -> Vec<String> {
    command
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect()
}

pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let fault = Fault::of(ErrorCode::Internal, error);
    [vec![fault.message], fault.causes].concat().join(": ")
}
