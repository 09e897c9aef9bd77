//! What agents that read files are told in `AGENT_CONTEXT/`, before each iteration and after it.

use amps_core::iteration::Iteration;
use amps_core::mask::mask;
use amps_core::path::visible;
use amps_engine::iteration::{Ground, summary};
use amps_engine::worktree::{ContextFacts, write_context};
use amps_proto::view::WorktreeView;
use serde_json::json;

use crate::text::worktree::{short_branch, verdict_word};
use crate::text::{brief, sentence};

/// The most of a prompt, an answer or a gate's log that is told of an earlier iteration, in
/// characters.
const MOST: usize = 2_000;

/// Writes the files. `latest` is the iteration that is under way, or has just been judged. Returns
/// what kept them from being written: the iteration goes on without them.
pub(super) fn write(ground: Ground<'_>, view: &WorktreeView, latest: &Iteration) -> Option<String> {
    let session = mask(&about(view, latest)).into_owned();
    let changed = summary(ground, &view.session.base.commit);
    let changed = changed.ok().map(|text| mask(&text).into_owned());
    let told = iterations(view, latest);
    let log: String = told.iter().map(|iteration| entry(iteration)).collect();
    let log = mask(&format!("# Iterations\n\n{log}")).into_owned();
    let judged = told.iter().rfind(|iteration| iteration.verdict.is_some());
    let last = mask(&status(view, judged.copied())).into_owned();
    let facts = ContextFacts {
        session: Some(&session),
        diff_summary: changed.as_deref(),
        iteration_log: Some(&log),
        last_status: Some(&last),
        rebase_help: None,
    };
    let failed = write_context(ground.git, ground.worktree, &facts).err();
    let told = failed.map(|error| format!("AGENT_CONTEXT was not written: {error}"));
    // Once for an iteration is enough.
    told.filter(|told| !latest.errors.contains(told))
}

/// Returns all iterations, the latest as it is known here.
fn iterations<'a>(view: &'a WorktreeView, latest: &'a Iteration) -> Vec<&'a Iteration> {
    let earlier = view.iterations.iter().map(|view| &view.iteration);
    let earlier = earlier.filter(|iteration| iteration.number != latest.number);
    earlier.chain([latest]).collect()
}

fn about(view: &WorktreeView, latest: &Iteration) -> String {
    let session = &view.session;
    let base = sentence::head(session.base.commit.as_str());
    let base = match &session.base.reference {
        Some(name) => format!("{} at {base}", visible(short_branch(name))),
        None => base.to_owned(),
    };
    let mut text = format!(
        "# {}\n\nsession: {}\niteration: {}\nbranch: {}\nbase: {base}\n",
        visible(&session.name),
        session.session_id,
        latest.number,
        visible(short_branch(&session.branch)),
    );
    let mut line = |key: &str, value: String| {
        text.extend([format!("{key}: {value}\n")]);
    };
    if let Some(script) = &session.script {
        line("test command", visible(script));
    }
    if let Some((first, count)) = session.ports {
        let last = first.saturating_add(count.saturating_sub(1));
        line("ports", format!("{first} to {last}, in AMPSM_PORT too"));
    }
    text.extend([format!("\n## Task\n\n{}\n", session.prompt.trim())]);
    if latest.prompt.trim() != session.prompt.trim() {
        text.extend([format!("\n## Asked now\n\n{}\n", latest.prompt.trim())]);
    }
    if !view.notes.is_empty() {
        text.push_str("\n## Notes\n\n");
    }
    for note in &view.notes {
        text.extend([format!("- {}\n", brief(&note.text, MOST))]);
    }
    text.push_str(
        "\nWhat you change in this folder is committed for you. Leave the branch as it is, and \
         commit nothing in this folder of notes.\n",
    );
    text
}

fn entry(iteration: &Iteration) -> String {
    let (_, word) = verdict_word(iteration.verdict);
    let mut text = format!("## {}: {word}\n\n", iteration.number);
    let mut line = |key: &str, value: &str| {
        text.extend([format!("- {key}: {}\n", brief(value, MOST))]);
    };
    line("asked", &iteration.prompt);
    if let Some(commit) = &iteration.commit {
        line("commit", commit.as_str());
    }
    for commit in &iteration.agent_commits {
        line("commit by the agent", commit.as_str());
    }
    if let Some(notes) = &iteration.notes {
        line("notes", notes);
    }
    if let Some(answer) = &iteration.answer {
        line("answer", answer);
    }
    for error in &iteration.errors {
        line("error", error);
    }
    if let Some(gate) = &iteration.gate {
        let passed = if gate.has_passed() {
            "passed"
        } else {
            "did not pass"
        };
        line("test command", passed);
    }
    text.push('\n');
    text
}

/// Returns how the last iteration ended that has come to its end, as JSON.
fn status(view: &WorktreeView, last: Option<&Iteration>) -> String {
    let gate = last.and_then(|last| last.gate.as_ref());
    let value = json!({
        "session_id": view.session.session_id,
        "iteration": last.map(|last| last.number),
        "verdict": last.and_then(|last| last.verdict),
        "commit": last.and_then(|last| last.commit.as_ref()),
        "test_command": gate.map(|gate| json!({
            "command": gate.command,
            "exit": gate.exit,
            "log": gate.log,
        })),
        "errors": last.map(|last| last.errors.clone()).unwrap_or_default(),
    });
    format!("{value:#}\n")
}
