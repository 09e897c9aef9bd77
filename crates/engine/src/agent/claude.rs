//! Claude Code.

mod transcripts;

use amps_core::turn::ThreadId;

use super::stream_json::StreamJson;
use super::transcripts::Transcripts;
use super::words::Words;
use super::{Agent, Invocation, Reader, TurnOrder};

/// Claude Code.
#[derive(Debug)]
pub(super) struct Claude;

/// The options that say what it may do without asking.
const PERMISSIONS: [&str; 2] = ["--permission-mode", "--dangerously-skip-permissions"];

impl Agent for Claude {
    fn name(&self) -> &'static str {
        "claude"
    }

    fn invocation(&self, order: &TurnOrder<'_>) -> Invocation {
        let new_thread = order.new_thread.filter(|_| order.thread.is_none());
        let new_thread = new_thread.map(|id| id.to_string());
        let words = Words::of(&["-p", "--output-format", "stream-json", "--verbose"])
            .option("--resume", order.thread.map(ThreadId::as_str))
            .option("--session-id", new_thread.as_deref())
            .option("--model", order.model)
            .unless(
                &PERMISSIONS,
                order.further,
                &["--permission-mode", "acceptEdits"],
            );
        Invocation {
            arguments: words.further(order.further),
            variables: Vec::new(),
            stdin: Some(order.prompt.to_owned()),
        }
    }

    fn interactive(
        &self,
        thread: Option<&ThreadId>,
        model: Option<&str>,
        further: &[String],
    ) -> Vec<String> {
        Words::default()
            .option("--resume", thread.map(ThreadId::as_str))
            .option("--model", model)
            .further(further)
    }

    fn reader(&self, order: &TurnOrder<'_>) -> Box<dyn Reader> {
        Box::new(StreamJson::new(order))
    }

    fn transcripts(&self) -> Option<&dyn Transcripts> {
        Some(self)
    }

    fn continues_elsewhere(&self) -> bool {
        true
    }
}
