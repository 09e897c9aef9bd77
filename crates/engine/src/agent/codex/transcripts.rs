//! The transcripts of Codex: one folder for each day, one file for each thread, to which a resumed one appends.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use amps_core::path::RawPath;
use serde::Deserialize;
use serde_json::Value;

use super::Codex;
use crate::agent::transcripts::{Listener, Transcripts, Turn, folder_of, is_jsonl, mentions};

impl Transcripts for Codex {
    fn folder(&self, variable: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
        Some(folder_of(variable, "CODEX_HOME", ".codex")?.join("sessions"))
    }

    fn depth(&self) -> usize {
        3
    }

    fn leads(&self, _cwd: &RawPath, _depth: usize, name: &OsStr) -> bool {
        !name.is_empty() && name.as_bytes().iter().all(u8::is_ascii_digit)
    }

    fn is_transcript(&self, name: &OsStr) -> bool {
        name.as_bytes().starts_with(b"rollout-") && is_jsonl(name)
    }

    fn is_of(&self, turn: &Turn, cwd: &RawPath) -> bool {
        turn.cwd.as_ref() == Some(cwd)
    }

    fn listener(&self) -> Box<dyn Listener> {
        Box::new(Thread::default())
    }
}

/// One thread. Each turn begins by saying in which folder it works, so that nothing before it has to
/// be known.
#[derive(Debug, Default)]
struct Thread {
    cwd: Option<RawPath>,
    /// Whether another thread started it: its turns are part of that one's.
    is_inner: bool,
}

#[derive(Deserialize)]
struct Line {
    #[serde(rename = "type")]
    kind: String,
    payload: Payload,
}

#[derive(Deserialize)]
struct Payload {
    #[serde(rename = "type")]
    kind: Option<Value>,
    cwd: Option<String>,
    source: Option<Value>,
}

impl Listener for Thread {
    fn hear(&mut self, line: &[u8]) -> Option<Turn> {
        let text = std::str::from_utf8(line).ok()?;
        let words = [
            "session_meta",
            "turn_context",
            "task_complete",
            "turn_complete",
        ];
        if !mentions(text, &words) {
            return None;
        }
        let Line { kind, payload } = serde_json::from_str(text).ok()?;
        match kind.as_str() {
            "session_meta" | "turn_context" => {
                self.cwd = payload.cwd.map(RawPath::new);
                self.is_inner |= payload.source.is_some_and(|source| source.is_object());
                None
            }
            "event_msg" => {
                let kind = payload.kind?;
                let ends = kind == "task_complete" || kind == "turn_complete";
                (ends && !self.is_inner).then(|| Turn {
                    cwd: self.cwd.clone(),
                })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(lines: &[&str]) -> Vec<Turn> {
        let mut thread = Thread::default();
        let turns = lines.iter().filter_map(|line| thread.hear(line.as_bytes()));
        turns.collect()
    }

    const BEGUN: &str =
        r#"{"type":"session_meta","payload":{"id":"t","cwd":"/src/app","source":"cli"}}"#;
    const CONTEXT: &str = r#"{"ordinal":5,"type":"turn_context","payload":{"cwd":"/src/other"}}"#;
    const ENDED: &str = r#"{"type":"event_msg","payload":{"type":"task_complete","turn_id":"1"}}"#;

    #[test]
    fn a_turn_ends_when_its_task_is_complete() {
        let turn = |cwd: &str| Turn {
            cwd: Some(RawPath::new(cwd)),
        };
        assert_eq!(heard(&[BEGUN, ENDED]), [turn("/src/app")]);
        assert_eq!(heard(&[BEGUN, CONTEXT, ENDED]), [turn("/src/other")]);
        assert_eq!(heard(&[CONTEXT, ENDED, ENDED]).len(), 2);
        let said =
            r#"{"type":"response_item","payload":{"type":"message","content":"task_complete"}}"#;
        assert_eq!(heard(&[BEGUN, said, "task_complete", "{"]), []);
    }

    #[test]
    fn the_turns_of_an_inner_thread_are_not_counted() {
        let inner = r#"{"type":"session_meta","payload":{"cwd":"/src/app","source":{"subagent":"review"}}}"#;
        assert_eq!(heard(&[inner, CONTEXT, ENDED]), []);
    }

    #[test]
    fn its_folders_are_days() {
        let leads = |name: &str| Codex.leads(&RawPath::new("/src"), 0, OsStr::new(name));
        assert!(leads("2026") && leads("01"));
        assert!(!leads("") && !leads("archive"));
        assert!(Codex.is_transcript(OsStr::new("rollout-2026-01-31T10-00-00-x.jsonl")));
        assert!(!Codex.is_transcript(OsStr::new("rollout-x.jsonl.zst")));
    }
}
