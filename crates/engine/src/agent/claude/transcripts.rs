//! The transcripts of Claude Code: one folder for each folder that it was started in, one file for each conversation.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use amps_core::path::RawPath;
use serde::Deserialize;

use super::Claude;
use crate::agent::transcripts::{Listener, Transcripts, Turn, folder_of, is_jsonl, mentions};

impl Transcripts for Claude {
    fn folder(&self, variable: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
        let folder = folder_of(variable, "CLAUDE_CONFIG_DIR", ".claude")?;
        Some(folder.join("projects"))
    }

    fn depth(&self) -> usize {
        1
    }

    fn leads(&self, cwd: &RawPath, depth: usize, name: &OsStr) -> bool {
        // It counts UTF-16 units: a path that is not ASCII may give more than one for a character.
        let text = String::from_utf8_lossy(cwd.as_bytes());
        let dashed = text.encode_utf16().map(|unit| match u8::try_from(unit) {
            Ok(byte) if byte.is_ascii_alphanumeric() => byte,
            _ => b'-',
        });
        depth == 0 && dashed.eq(name.as_bytes().iter().copied())
    }

    fn is_transcript(&self, name: &OsStr) -> bool {
        is_jsonl(name)
    }

    fn is_of(&self, turn: &Turn, cwd: &RawPath) -> bool {
        // Different folders may have the same name here. Its shell may have gone further down.
        turn.cwd.as_ref().is_none_or(|seen| seen.is_within(cwd))
    }

    fn listener(&self) -> Box<dyn Listener> {
        Box::new(Conversation::default())
    }
}

/// One conversation. Each part of an answer is a line of its own, and all of one answer say how it
/// ended.
#[derive(Debug, Default)]
struct Conversation {
    ended: Option<String>,
}

#[derive(Deserialize)]
struct Line {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default, rename = "isSidechain")]
    is_sidechain: bool,
    cwd: Option<String>,
    message: Option<Message>,
}

#[derive(Deserialize)]
struct Message {
    id: Option<String>,
    stop_reason: Option<String>,
}

impl Listener for Conversation {
    fn hear(&mut self, line: &[u8]) -> Option<Turn> {
        let text = std::str::from_utf8(line).ok()?;
        if !mentions(text, &["\"end_turn\""]) {
            return None;
        }
        let line: Line = serde_json::from_str(text).ok()?;
        let message = line.message?;
        let ends = message.stop_reason.as_deref() == Some("end_turn");
        if line.kind != "assistant" || line.is_sidechain || !ends {
            return None;
        }
        if message.id.is_some() && message.id == self.ended {
            return None;
        }
        self.ended = message.id;
        Some(Turn {
            cwd: line.cwd.map(RawPath::new),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(id: &str, stop_reason: &str, is_sidechain: bool) -> String {
        let message = format!(
            r#"{{"content":[{{"type":"text","text":"..."}}],"id":"{id}","stop_reason":"{stop_reason}"}}"#
        );
        format!(
            r#"{{"isSidechain":{is_sidechain},"message":{message},"cwd":"/src/app","type":"assistant"}}"#
        )
    }

    #[test]
    fn a_turn_ends_once_with_its_last_answer() {
        let mut conversation = Conversation::default();
        let turn = Some(Turn {
            cwd: Some(RawPath::new("/src/app")),
        });
        for (line, heard) in [
            (
                r#"{"type":"user","cwd":"/src/app","message":{"role":"user","content":"say \"end_turn\""}}"#.to_owned(),
                None,
            ),
            (answer("m1", "tool_use", false), None),
            (answer("m2", "end_turn", false), turn.clone()),
            (answer("m2", "end_turn", false), None),
            (answer("m3", "end_turn", true), None),
            (answer("m4", "end_turn", false), turn),
            (answer("m5", "end_turn", false).replace("\"assistant\"}", "\""), None),
            ("no JSON: \"end_turn\"".to_owned(), None),
        ] {
            assert_eq!(conversation.hear(line.as_bytes()), heard, "{line}");
        }
    }

    #[test]
    fn its_folder_is_the_path_with_dashes() {
        let leads = |cwd: &str, depth, name: &str| {
            Claude.leads(&RawPath::new(cwd), depth, OsStr::new(name))
        };
        assert!(leads("/src/my_app v2.0", 0, "-src-my-app-v2-0"));
        assert!(!leads("/src/my_app", 0, "-src-my-app2"));
        assert!(!leads("/src/my_app", 1, "-src-my-app"));
        let turn = |cwd: &str| Turn {
            cwd: Some(RawPath::new(cwd)),
        };
        let app = RawPath::new("/src/my-app");
        assert!(Claude.is_of(&turn("/src/my-app/deep"), &app));
        assert!(!Claude.is_of(&turn("/src/my/app"), &app));
        assert!(Claude.is_of(&Turn { cwd: None }, &app));
    }
}
