//! `amps send`: typing for the agent of a held session.

use std::io::Read as _;
use std::process::ExitCode;
use std::time::Duration;

use amps_core::error::ErrorCode;
use amps_engine::files;
use amps_proto::fault::Fault;
use amps_proto::hold::HoldRequest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::args::SendArgs;
use crate::context::Context;
use crate::{Outcome, held, output};

/// The most that is typed at once, in bytes.
const MOST: usize = 1024 * 1024;

/// Between the text and the keys after it.
const BETWEEN: Duration = Duration::from_millis(100);

/// Keys that have names of their own, with what they send.
const NAMED: [(&str, &[u8]); 29] = [
    ("backspace", b"\x7f"),
    ("delete", b"\x1b[3~"),
    ("down", b"\x1b[B"),
    ("end", b"\x1b[F"),
    ("enter", b"\r"),
    ("escape", b"\x1b"),
    // As xterm sends them, ctlseqs "PC-Style Function Keys".
    ("f1", b"\x1bOP"),
    ("f10", b"\x1b[21~"),
    ("f11", b"\x1b[23~"),
    ("f12", b"\x1b[24~"),
    ("f2", b"\x1bOQ"),
    ("f3", b"\x1bOR"),
    ("f4", b"\x1bOS"),
    ("f5", b"\x1b[15~"),
    ("f6", b"\x1b[17~"),
    ("f7", b"\x1b[18~"),
    ("f8", b"\x1b[19~"),
    ("f9", b"\x1b[20~"),
    ("home", b"\x1b[H"),
    ("insert", b"\x1b[2~"),
    ("left", b"\x1b[D"),
    ("pagedown", b"\x1b[6~"),
    ("pageup", b"\x1b[5~"),
    ("return", b"\r"),
    ("right", b"\x1b[C"),
    ("shift-tab", b"\x1b[Z"),
    ("space", b" "),
    ("tab", b"\t"),
    ("up", b"\x1b[A"),
];

/// Types text and keys.
pub(crate) fn run(context: &Context, args: &SendArgs) -> Outcome {
    let text = text(args)?;
    let mut keys = Vec::new();
    for key in &args.keys {
        keys.extend(bytes_of(key)?);
    }
    if args.enter {
        keys.push(b'\r');
    }
    let mut held = held::find(context, Some(&args.session))?;
    for (bytes, pasted) in [(&text, args.paste), (&keys, false)] {
        if !bytes.is_empty() {
            if bytes == &keys && !text.is_empty() {
                // Agents take a burst for something pasted, and an enter key in it for a new line.
                files::pause(BETWEEN);
            }
            let base64 = STANDARD.encode(bytes);
            held.ask(&HoldRequest::Type { base64, pasted }, Duration::ZERO)?;
        }
    }
    if args.output.json {
        let sent = text.len() + keys.len();
        output::print_json(&json!({ "session_id": held.session_id, "bytes": sent }))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn text(args: &SendArgs) -> Result<Vec<u8>, crate::error::Failure> {
    let only_keys = args.enter || !args.keys.is_empty();
    let text = match args.text.as_deref() {
        Some("-") => None,
        None if !only_keys => None,
        given => Some(given.unwrap_or_default().as_bytes().to_vec()),
    };
    let text = if let Some(text) = text {
        text
    } else {
        let mut bytes = Vec::new();
        let most = u64::try_from(MOST).unwrap_or(u64::MAX) + 1;
        std::io::stdin().take(most).read_to_end(&mut bytes)?;
        bytes
    };
    if text.len() > MOST {
        let message = format!("more than {MOST} bytes at once");
        return Err(Fault::new(ErrorCode::BadArgument, message)
            .hint("send it in parts, or have the agent read a file")
            .into());
    }
    Ok(text)
}

/// Returns what a key sends.
fn bytes_of(key: &str) -> Result<Vec<u8>, Fault> {
    let lower = key.to_ascii_lowercase();
    if let Some((_, bytes)) = NAMED.iter().find(|(name, _)| *name == lower) {
        return Ok(bytes.to_vec());
    }
    if let Some(rest) = lower.strip_prefix("ctrl-")
        && let [letter @ (b'@'..=b'_' | b'a'..=b'z')] = rest.as_bytes()
    {
        return Ok(vec![letter.to_ascii_uppercase() & 0x1f]);
    }
    if let Some(rest) = key.get(..4).filter(|alt| alt.eq_ignore_ascii_case("alt-"))
        && let Some(letter) = key.get(rest.len()..).filter(|letter| letter.len() == 1)
    {
        return Ok([b"\x1b", letter.as_bytes()].concat());
    }
    if key.chars().count() == 1 {
        return Ok(key.as_bytes().to_vec());
    }
    let names: Vec<&str> = NAMED.iter().map(|(name, _)| *name).collect();
    Err(
        Fault::new(ErrorCode::BadArgument, format!("`{key}` is no key")).hint(format!(
            "a key is one character, ctrl-X, alt-X, or one of {}",
            names.join(", ")
        )),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_send_what_terminals_send() {
        for (key, bytes) in [
            ("ctrl-c", &b"\x03"[..]),
            ("Ctrl-\\", b"\x1c"),
            ("alt-x", b"\x1bx"),
            ("enter", b"\r"),
            ("F1", b"\x1bOP"),
            ("f12", b"\x1b[24~"),
            ("é", "é".as_bytes()),
        ] {
            assert_eq!(bytes_of(key).unwrap(), bytes, "{key}");
        }
        for key in ["", "hyper-x", "ctrl-", "ctrl-1", "alt-", "F77"] {
            assert!(bytes_of(key).is_err(), "{key}");
        }
    }
}
