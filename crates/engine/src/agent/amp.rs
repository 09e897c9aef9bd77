//! Amp. Its conversations are kept by its server.

use amps_core::turn::ThreadId;

use super::stream_json::StreamJson;
use super::words::Words;
use super::{Agent, Invocation, Reader, TurnOrder};

/// Amp.
#[derive(Debug)]
pub(super) struct Amp;

/// Begins a command line in a conversation or in a new one. It has modes in the place of models.
fn words(thread: Option<&ThreadId>, model: Option<&str>) -> Words {
    let words = match thread {
        Some(thread) => Words::of(&["threads", "continue", thread.as_str()]),
        None => Words::default(),
    };
    words.option("--mode", model)
}

impl Agent for Amp {
    fn name(&self) -> &'static str {
        "amp"
    }

    fn invocation(&self, order: &TurnOrder<'_>) -> Invocation {
        // It edits files without asking; the commands for which it asks are refused.
        let words = words(order.thread, order.model).and(&["--execute", "--stream-json"]);
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
        words(thread, model).further(further)
    }

    fn reader(&self, order: &TurnOrder<'_>) -> Box<dyn Reader> {
        Box::new(StreamJson::new(order))
    }

    fn continues_elsewhere(&self) -> bool {
        true
    }
}
