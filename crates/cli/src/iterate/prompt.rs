//! What an agent is asked in an iteration for which nobody wrote a prompt.

use amps_core::iteration::Verdict;
use amps_proto::view::{IterationView, WorktreeView};

/// As much of the end of a gate's log is given to the agent, in bytes.
const LOG_GIVEN: usize = 6 * 1024;

/// What an agent is asked.
pub(super) struct Prompt {
    /// What is new in it: for the record.
    pub(super) asked: String,
    /// All of it: for the agent.
    pub(super) whole: String,
}

/// Returns what the agent is asked. `is_continued` tells whether it still knows what it was asked
/// before.
pub(super) fn prompt(view: &WorktreeView, given: Option<&str>, is_continued: bool) -> Prompt {
    let task = view.session.prompt.as_str();
    let Some(last) = view.iterations.last() else {
        let asked = given.unwrap_or(task).to_owned();
        return Prompt {
            whole: asked.clone(),
            asked,
        };
    };
    let Some(given) = given else {
        let words = go_on(last);
        // What the gate printed is in the record already.
        let asked = words.lines().next().unwrap_or_default().to_owned();
        let whole = if is_continued {
            words
        } else {
            format!(
                "The task is this:\n\n{task}\n\nSome of it has been done in this folder already. \
                 {words}"
            )
        };
        return Prompt { asked, whole };
    };
    // A person who asks for something says all that is to be said.
    Prompt {
        asked: given.to_owned(),
        whole: given.to_owned(),
    }
}

/// What follows from how the last iteration ended.
fn go_on(last: &IterationView) -> String {
    let iteration = &last.iteration;
    let failed = iteration
        .gate
        .as_ref()
        .filter(|_| iteration.verdict == Some(Verdict::GateFailed));
    match failed {
        Some(gate) => format!(
            "The test command `{}` did not pass. Find out why and mend it. The end of what it \
             printed:\n\n{}",
            gate.command,
            end_of(&gate.log)
        ),
        None => "Go on with the task until it is complete.".to_owned(),
    }
}

fn end_of(log: &str) -> &str {
    let from = log.len().saturating_sub(LOG_GIVEN);
    let from = (from..=log.len()).find(|place| log.is_char_boundary(*place));
    from.and_then(|from| log.get(from..)).unwrap_or(log)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_log_is_cut_between_characters() {
        let log = "é".repeat(LOG_GIVEN);
        let end = end_of(&log);
        assert!(end.len() <= LOG_GIVEN);
        assert!(end.chars().all(|character| character == 'é'));
        assert_eq!(end_of("short"), "short");
    }
}
