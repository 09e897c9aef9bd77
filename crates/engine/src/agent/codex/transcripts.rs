//! The transcripts of Codex: one folder for each day, one file for each thread, to which a resumed one appends.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use amps_core::path::RawPath;
use amps_core::turn::ThreadId;
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

/// Returns the model that answered last in a thread, by its transcript.
pub(super) fn last_model(folder: &Path, thread: &ThreadId) -> Option<String> {
    let end = format!("-{thread}.jsonl");
    let file = File::open(find(folder, Codex.depth(), &end)?).ok()?;
    let lines = BufReader::new(file).split(b'\n').map_while(Result::ok);
    let models = lines.filter_map(|line| {
        let text = std::str::from_utf8(&line).ok()?;
        if !mentions(text, &["turn_context"]) {
            return None;
        }
        let Line { kind, payload } = serde_json::from_str(text).ok()?;
        payload.model.filter(|_| kind == "turn_context")
    });
    models.last()
}

/// Finds the file whose name ends like this, so many folders below: the newest days come first.
fn find(folder: &Path, depth: usize, end: &str) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).ok()?;
    let mut paths: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    paths.sort();
    let mut paths = paths.into_iter().rev();
    if depth > 0 {
        return paths.find_map(|path| find(&path, depth - 1, end));
    }
    paths.find(|path| {
        let name = path.file_name().unwrap_or_default();
        Codex.is_transcript(name) && name.as_bytes().ends_with(end.as_bytes())
    })
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
    model: Option<String>,
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
    use crate::files::write_private;

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

    #[test]
    fn the_model_of_a_thread_is_that_of_its_last_turn() {
        let root = tempfile::tempdir().unwrap();
        let turn = |model: &str| {
            format!("{{\"type\":\"turn_context\",\"payload\":{{\"model\":\"{model}\"}}}}\n")
        };
        for (path, text) in [
            (
                "2025/12/31/rollout-1-a-b.jsonl",
                format!("{BEGUN}\n{}", turn("old")),
            ),
            ("2026/01/02/rollout-2-a-c.jsonl", turn("another")),
            (
                "2026/01/31/rollout-3-a-b.jsonl",
                format!(
                    "{}no JSON: turn_context\n{}{ENDED}\n",
                    turn("first"),
                    turn("last")
                ),
            ),
        ] {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            write_private(&path, text.as_bytes()).unwrap();
        }
        let model = |id: &str| last_model(root.path(), &ThreadId::new(id).unwrap());
        assert_eq!(model("a-b").as_deref(), Some("last"));
        assert_eq!(model("a-c").as_deref(), Some("another"));
        assert_eq!(model("a-d"), None);
    }
}
