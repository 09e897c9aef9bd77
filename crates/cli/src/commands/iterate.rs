//! `amps iterate`: one more turn of a worktree session, or several.

use std::process::ExitCode;

use amps_core::iteration::{Iteration, Verdict};
use amps_core::path::visible;
use amps_core::session::Status;
use amps_core::turn::AgentEvent;
use amps_proto::exit_code;
use amps_proto::view::WorktreeView;

use crate::Outcome;
use crate::args::IterateArgs;
use crate::commands::show;
use crate::context::Context;
use crate::error::Failure;
use crate::iterate::{Entry, Following, Order, Told, follow, start};
use crate::output::{self, BAD, FAINT, GOOD};
use crate::text::worktree::{tail, used, verdict_word};
use crate::text::{brief, sentence};

/// Iterations at most where one goes on until the gate passes and no number is given.
const UNTIL_PASS: u32 = 10;

/// Runs iterations, or joins one that runs.
pub(crate) fn run(context: &Context, args: &IterateArgs) -> Outcome {
    let view = show::fetch_worktree(context, &args.session)?;
    let session = view.session.session_id;
    let joins = view.session.status == Status::Active && args.stream && args.prompt.is_none();
    let number = if joins {
        let number = view.session.last_iteration;
        output::say(&format!("joining iteration {number}, which is under way"));
        number
    } else {
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
        start(context, &order)?
    };
    if args.detach {
        return detached(&view, number, args.output.json);
    }
    let following = Following {
        context,
        session,
        number,
    };
    let is_json = args.output.json;
    let mut teller = Teller {
        streams: args.stream,
        is_json,
    };
    let view = follow(&following, &mut |number, entry| teller.tell(number, entry))?;
    if let Some(file) = &args.metrics_file {
        write_metrics(&view, number, file)?;
    }
    finish(&view, number, is_json)
}

fn detached(view: &WorktreeView, number: u32, is_json: bool) -> Outcome {
    let id = view.session.session_id;
    if is_json {
        output::print_json(&serde_json::json!({ "session_id": id, "iteration": number }))?;
    } else {
        let short = id.short();
        output::print(&format!("iteration {number} of session {short}\n"))?;
        output::say(&format!(
            "`amps iterate {short} --stream` shows it, `amps stop {short}` ends it"
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// Says what an iteration tells. The answer is on standard output, so all of this is talk where the
/// answer is JSON.
struct Teller {
    streams: bool,
    is_json: bool,
}

impl Teller {
    fn tell(&mut self, number: u32, entry: &Entry) {
        match &entry.told {
            Told::AgentStarted { command } => {
                let program = command.first().map_or("the agent", String::as_str);
                faintly(&format!("iteration {number}: {} runs", visible(program)));
            }
            Told::Agent { event } if self.streams => self.event(event),
            Told::GateBegan { command } => {
                faintly(&format!("iteration {number}: gate `{}`", visible(command)));
            }
            Told::Agent { .. }
            | Told::Committed { .. }
            | Told::GateEnded { .. }
            | Told::Judged { .. } => {}
        }
    }

    fn event(&self, event: &AgentEvent) {
        match event {
            AgentEvent::Said { text } | AgentEvent::Wrote { text } => {
                self.show(&visible_lines(text));
            }
            AgentEvent::ToolBegan {
                name, arguments, ..
            } => {
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

/// Shows how the iterations ended, and returns the exit code of the last.
fn finish(view: &WorktreeView, first: u32, is_json: bool) -> Outcome {
    let of_interest = || {
        let all = view.iterations.iter();
        all.filter(move |view| view.iteration.number >= first)
    };
    let last = of_interest().next_back().map(|view| &view.iteration);
    if is_json {
        output::print_json(view)?;
    } else {
        for shown in of_interest() {
            output::print(&summary(&shown.iteration, view))?;
        }
    }
    let verdict = last.and_then(|iteration| iteration.verdict);
    Ok(match verdict {
        Some(Verdict::Passed) => ExitCode::SUCCESS,
        Some(Verdict::GateFailed) => ExitCode::from(exit_code::GATE_FAILED),
        _ => ExitCode::from(exit_code::FAILED),
    })
}

fn summary(iteration: &Iteration, view: &WorktreeView) -> String {
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
        let id = view.session.session_id.short();
        text.extend([format!(
            "  {FAINT}`amps diff {id}` shows the work{FAINT:#}\n"
        )]);
    }
    text
}

/// Writes what the iterations used as JSON.
fn write_metrics(view: &WorktreeView, first: u32, file: &std::path::Path) -> Result<(), Failure> {
    let iterations: Vec<_> = view
        .iterations
        .iter()
        .filter(|view| view.iteration.number >= first)
        .collect();
    let mut text =
        serde_json::to_vec_pretty(&iterations).expect("views have no failing serialisers");
    text.push(b'\n');
    amps_engine::files::write_private(file, &text)
        .map_err(|error| Failure::of(amps_core::error::ErrorCode::FileFailed, &error))
}
