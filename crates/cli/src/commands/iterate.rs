//! `amps iterate`: one more turn of a worktree session, or several.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use amps_core::error::ErrorCode;
use amps_core::id::SessionId;
use amps_core::iteration::{Iteration, Verdict};
use amps_core::path::visible;
use amps_core::session::Status;
use amps_core::turn::AgentEvent;
use amps_engine::files::write_private;
use amps_proto::exit_code;
use amps_proto::fault::Fault;
use amps_proto::view::{IterationView, WorktreeView};
use signal_hook::consts::signal::SIGINT;

use crate::Outcome;
use crate::args::IterateArgs;
use crate::commands::show;
use crate::context::Context;
use crate::error::Failure;
use crate::iterate::{Entry, Following, Order, Told, follow, start};
use crate::output::{self, BAD, FAINT, GOOD};
use crate::text::worktree::{tail, used, verdict_word};
use crate::text::{brief, sentence};

/// The exit code after Ctrl-C.
const INTERRUPTED: u8 = 128 + 2;

/// Iterations at most where one goes on until the gate passes and no number is given.
const UNTIL_PASS: u32 = 10;

/// Runs iterations, or joins one that runs.
pub(crate) fn run(context: &Context, args: &IterateArgs) -> Outcome {
    if args
        .prompt
        .as_deref()
        .is_some_and(|prompt| prompt.trim().is_empty())
    {
        return Err(Fault::new(ErrorCode::BadArgument, "the prompt is empty")
            .hint("say what the agent is to do, or leave `--prompt` out to have it go on")
            .into());
    }
    if let Some(file) = &args.metrics_file {
        // Not found out when the work is done.
        write_metrics(&[], file)?;
    }
    let view = show::fetch_worktree(context, &args.session)?;
    let session = view.session.session_id;
    let number = begin_or_join(context, args, &view)?;
    if args.detach {
        return detached(&view, number, args.output.json);
    }
    let left = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(SIGINT, Arc::clone(&left))?;
    let following = Following {
        context,
        session,
        number,
        is_left: &left,
    };
    let mut teller = Teller {
        streams: args.stream || args.join,
        is_json: args.output.json,
        agent: view.session.agent,
        session,
        told: number.saturating_sub(1),
        last_call: None,
    };
    let Some(view) = follow(&following, &mut |number, entry| teller.tell(number, entry))? else {
        let id = session.short();
        output::say(&format!(
            "it goes on; `amps iterate {id} --join` shows it, `amps stop {id}` ends it"
        ));
        return Err(Failure::Launch(INTERRUPTED));
    };
    let ran = || {
        let all = view.iterations.iter();
        all.filter(|view| view.iteration.number >= number)
    };
    if let Some(file) = &args.metrics_file {
        write_metrics(&ran().collect::<Vec<_>>(), file)?;
    }
    if args.output.json {
        output::print_json(&view)?;
    }
    for shown in ran() {
        // Of one whose runner is gone nobody has told the end.
        teller.end(&shown.iteration);
    }
    let last = ran().next_back().and_then(|view| view.iteration.verdict);
    Ok(match last {
        Some(Verdict::Passed) => ExitCode::SUCCESS,
        Some(Verdict::GateFailed) => ExitCode::from(exit_code::GATE_FAILED),
        _ => ExitCode::from(exit_code::FAILED),
    })
}

/// Has an iteration begin, or finds the one that is under way. Returns its number.
fn begin_or_join(
    context: &Context,
    args: &IterateArgs,
    view: &WorktreeView,
) -> Result<u32, Failure> {
    let session = view.session.session_id;
    let is_active = view.session.status == Status::Active;
    let joins = args.join || is_active && args.stream && args.prompt.is_none();
    if joins {
        if !is_active {
            let id = session.short();
            let message = format!("no iteration of session {id} is under way");
            return Err(Fault::new(ErrorCode::NotAllowed, message)
                .hint(format!("`amps show {id}` tells how the last one ended"))
                .into());
        }
        let number = view.session.last_iteration;
        output::say(&format!("joining iteration {number}, which is under way"));
        return Ok(number);
    }
    let order = Order {
        session_id: session,
        prompt: args.prompt.clone(),
        notes: args.notes.clone(),
        model: args.model.clone(),
        count: args
            .count
            .unwrap_or(if args.until_pass { UNTIL_PASS } else { 1 }),
        until_pass: args.until_pass,
    };
    start(context, &order)
}

fn detached(view: &WorktreeView, number: u32, is_json: bool) -> Outcome {
    let id = view.session.session_id;
    if is_json {
        output::print_json(&serde_json::json!({ "session_id": id, "iteration": number }))?;
    } else {
        let short = id.short();
        output::print(&format!("iteration {number} of session {short}\n"))?;
        output::say(&format!(
            "`amps iterate {short} --join` shows it, `amps stop {short}` ends it"
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// Says what an iteration tells. The answer is on standard output, so all of this is talk where the
/// answer is JSON.
struct Teller {
    streams: bool,
    is_json: bool,
    agent: String,
    session: SessionId,
    /// The last iteration whose end was told.
    told: u32,
    /// The call of a tool that was told last: agents tell of one twice.
    last_call: Option<String>,
}

impl Teller {
    fn tell(&mut self, number: u32, entry: &Entry) {
        match &entry.told {
            Told::AgentStarted { .. } => {
                let agent = visible(&self.agent);
                faintly(&format!("iteration {number}: {agent} runs"));
            }
            Told::Agent { event } if self.streams => self.event(event),
            Told::GateBegan { command } => {
                faintly(&format!("iteration {number}: gate `{}`", visible(command)));
            }
            Told::Judged { iteration, .. } => self.end(iteration),
            Told::Agent { .. }
            | Told::Committed { .. }
            | Told::GateEnded { .. }
            | Told::Refused { .. } => {}
        }
    }

    /// Tells how an iteration ended, once.
    fn end(&mut self, iteration: &Iteration) {
        if iteration.number > self.told {
            self.told = iteration.number;
            self.show(summary(iteration, self.session).trim_end());
        }
    }

    fn event(&mut self, event: &AgentEvent) {
        match event {
            AgentEvent::Said { text } | AgentEvent::Wrote { text } => {
                self.show(&visible_lines(text));
            }
            AgentEvent::ToolBegan {
                call_id,
                name,
                arguments,
                ..
            } if self.last_call.as_ref() != Some(call_id) => {
                self.last_call = Some(call_id.clone());
                let arguments = brief(arguments, 160);
                self.show(&format!("{FAINT}  {} {arguments}{FAINT:#}", visible(name)));
            }
            AgentEvent::ToolEnded {
                error: Some(error), ..
            } => self.show(&format!("{BAD}  failed{BAD:#} {}", brief(error, 160))),
            AgentEvent::Failed { message } => {
                self.show(&format!("{BAD}error{BAD:#} {}", visible(message)));
            }
            AgentEvent::Warned { message } => {
                self.show(&format!("{FAINT}{}{FAINT:#}", visible(message)));
            }
            _ => {}
        }
    }

    fn show(&self, text: &str) {
        if self.is_json {
            output::say(text);
        } else {
            // Whoever reads it may leave; the iteration goes on.
            drop(output::print(&format!("{text}\n")));
        }
    }
}

fn faintly(text: &str) {
    output::say(&format!("{FAINT}{text}{FAINT:#}"));
}

fn visible_lines(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(visible).collect();
    lines.join("\n")
}

fn summary(iteration: &Iteration, session: SessionId) -> String {
    let (style, word) = verdict_word(iteration.verdict);
    let number = iteration.number;
    let mut text = format!("iteration {number}: {style}{word}{style:#}");
    if let Some(commit) = &iteration.commit {
        text.extend([format!(", commit {}", sentence::head(commit.as_str()))]);
    } else if iteration.agent_commits.is_empty() {
        text.push_str(", nothing changed");
    }
    let used = used(iteration.usage);
    if !used.is_empty() {
        text.extend([format!("  {FAINT}{used}{FAINT:#}")]);
    }
    text.push('\n');
    for error in &iteration.errors {
        text.extend([format!("  {BAD}!{BAD:#} {}\n", brief(error, 600))]);
    }
    if let Some(gate) = &iteration.gate {
        if gate.has_passed() {
            text.extend([format!(
                "  {GOOD}gate passed{GOOD:#} {}\n",
                visible(&gate.command)
            )]);
        } else {
            text.extend([format!("  {BAD}gate{BAD:#} {}\n", visible(&gate.command))]);
            text.push_str(&tail(&gate.log));
        }
    }
    if iteration.verdict == Some(Verdict::Passed) {
        let id = session.short();
        text.extend([format!(
            "  {FAINT}`amps diff {id}` shows the work{FAINT:#}\n"
        )]);
    }
    text
}

/// Writes what iterations used as JSON.
fn write_metrics(iterations: &[&IterationView], file: &Path) -> Result<(), Failure> {
    let mut text =
        serde_json::to_vec_pretty(iterations).expect("views have no failing serialisers");
    text.push(b'\n');
    write_private(file, &text).map_err(|error| Failure::of(ErrorCode::FileFailed, &error))
}
