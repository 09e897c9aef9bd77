//! Reading JSON that others wrote, and keeping a bounded piece of it.

use amps_core::mask::mask;
use amps_core::turn::bounded;
use serde_json::{Map, Value};

/// The most bytes of one value of the arguments of a tool.
const LONGEST_VALUE: usize = 1_000;
/// The most values in one list, and the most levels.
const MOST_VALUES: usize = 100;
const MOST_LEVELS: usize = 16;
/// The most bytes of all arguments together.
const LONGEST_ARGUMENTS: usize = 8 * 1024;

/// Reads a line that is a JSON object. Bytes that are no text, and halves of characters such as are
/// left where a text was cut, stand for themselves: the rest of the line is worth hearing.
pub(super) fn parse(line: &[u8]) -> Option<Value> {
    let line = line.trim_ascii();
    if !line.starts_with(b"{") {
        return None;
    }
    let text = String::from_utf8_lossy(line);
    let value: Value = serde_json::from_str(&text)
        .or_else(|_| serde_json::from_str(&without_halves(&text)))
        .ok()?;
    value.is_object().then_some(value)
}

/// Replaces the escapes of halves of characters that have no other half.
fn without_halves(text: &str) -> String {
    let mut whole = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(place) = rest.find('\\') {
        let (before, escape) = rest.split_at(place);
        whole.push_str(before);
        let (taken, kept) = match (half(escape), half(escape.get(6..).unwrap_or_default())) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => (12, escape.get(..12)),
            (Some(_), _) => (6, Some("\\ufffd")),
            // The escape and what is escaped, which may be a backslash too.
            _ => {
                let length = escape.chars().take(2).map(char::len_utf8).sum();
                (length, escape.get(..length))
            }
        };
        whole.push_str(kept.unwrap_or_default());
        rest = escape.get(taken..).unwrap_or_default();
    }
    whole.push_str(rest);
    whole
}

/// Returns the half of a character that an escape at the start of a text stands for.
fn half(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    let unit = u32::from_str_radix(digits, 16).ok()?;
    (0xd800..=0xdfff).contains(&unit).then_some(unit)
}

/// Returns the text at a place, such as `/message/id`.
pub(super) fn text<'a>(value: &'a Value, place: &str) -> Option<&'a str> {
    value.pointer(place)?.as_str()
}

/// Returns the list at a place; of anything else an empty one.
pub(super) fn list<'a>(value: &'a Value, place: &str) -> &'a [Value] {
    let list = value.pointer(place).and_then(Value::as_array);
    list.map(Vec::as_slice).unwrap_or_default()
}

/// Returns the count at a place, 0 if there is none.
pub(super) fn count(value: &Value, place: &str) -> u64 {
    let number = value.pointer(place);
    number.and_then(Value::as_u64).unwrap_or_default()
}

/// Returns the exit code at a place.
pub(super) fn code(value: &Value, place: &str) -> Option<i32> {
    i32::try_from(value.pointer(place)?.as_i64()?).ok()
}

/// Returns an error as people read it: a text, the message of an object, or of JSON in a text.
pub(super) fn message(error: &Value) -> Option<String> {
    let places = [
        "/error/message",
        "/data/message",
        "/message",
        "/error",
        "/name",
        "/type",
    ];
    match error {
        Value::String(text) => {
            let inner = parse(text.as_bytes()).and_then(|value| message(&value));
            inner.or_else(|| (!text.is_empty()).then(|| text.clone()))
        }
        Value::Object(_) => places
            .iter()
            .find_map(|place| message(error.pointer(place)?)),
        _ => None,
    }
}

/// Returns what a tool was given, as JSON: long values are cut, known secrets masked.
pub(super) fn arguments(value: &Value) -> String {
    let text = shortened(None, value, MOST_LEVELS).to_string();
    if text.len() <= LONGEST_ARGUMENTS {
        return text;
    }
    Value::String(bounded(&text, LONGEST_ARGUMENTS)).to_string()
}

fn shortened(name: Option<&str>, value: &Value, levels: usize) -> Value {
    let Some(below) = levels.checked_sub(1) else {
        return Value::from("…");
    };
    match value {
        Value::String(text) => Value::from(shortened_text(name, text)),
        Value::Array(all) => {
            let kept = all.iter().take(MOST_VALUES);
            kept.map(|one| shortened(name, one, below)).collect()
        }
        Value::Object(all) => {
            let kept = all.iter().take(MOST_VALUES);
            let short = |(name, value): (&String, &Value)| {
                let key = bounded(name, LONGEST_VALUE);
                (key, shortened(Some(name), value, below))
            };
            Value::Object(kept.map(short).collect::<Map<_, _>>())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// The name of a value may tell that it is a secret.
fn shortened_text(name: Option<&str>, text: &str) -> String {
    let short = bounded(text, LONGEST_VALUE);
    let Some(name) = name else {
        return short;
    };
    let label = format!("{name}=");
    let labelled = format!("{label}{short}");
    match mask(&labelled).strip_prefix(&label) {
        Some(masked) => masked.to_owned(),
        None => short,
    }
}

#[cfg(test)]
mod tests {
    use amps_core::mask::MASK;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_no_text_stands_for_itself() {
        let value = parse(b" {\"a\": \"x\xffy\", \"b\": 1}\r").unwrap();
        assert_eq!(value, json!({"a": "x\u{fffd}y", "b": 1}));
        for line in ["", "no JSON", "[1]", "{\"torn\": ", "12", "{}}", "\u{feff}"] {
            assert_eq!(parse(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn halves_of_characters_do_not_spoil_a_line() {
        for (escaped, read) in [
            (r"cut \ud83d", "cut \u{fffd}"),
            (r"\ude00 cut", "\u{fffd} cut"),
            (r"\ud83d\ud83d\ude00", "\u{fffd}😀"),
            (r"\\ud83d \ud83d", "\\ud83d \u{fffd}"),
            (r"é \u00e9 \n \ud83d!", "é é \n \u{fffd}!"),
        ] {
            let line = format!("{{\"text\":\"{escaped}\"}}");
            assert_eq!(
                parse(line.as_bytes()),
                Some(json!({"text": read})),
                "{line}"
            );
        }
    }

    #[test]
    fn arguments_are_always_json_and_bounded() {
        let big = json!({
            "text": "é".repeat(100_000),
            "list": vec!["x".repeat(900); 5_000],
            "map": {"path": "a"},
        });
        let short = arguments(&big);
        assert!(short.len() < LONGEST_ARGUMENTS * 2, "{}", short.len());
        assert!(serde_json::from_str::<Value>(&short).is_ok());
        let mut deep = json!(1);
        for _ in 0..100 {
            deep = json!([deep]);
        }
        assert!(arguments(&deep).contains('…'));
        let plain = json!({"command": "ls -la", "timeout": 5, "all": true, "none": null});
        assert_eq!(
            serde_json::from_str::<Value>(&arguments(&plain)).unwrap(),
            plain
        );
    }

    #[test]
    fn secrets_in_arguments_are_masked_by_their_shape_and_by_their_name() {
        let given = json!({
            "command": "curl -H 'Authorization: Bearer abcdefghijkl'",
            "password": "correcthorsebattery",
            "options": [{"api_key": "correcthorsebattery"}],
            "url": "https://me:", "other": "hunter2@host",
            "key": "-----BEGIN RSA PRIVATE KEY-----\nMII",
        });
        let kept: Value = serde_json::from_str(&arguments(&given)).unwrap();
        assert_eq!(kept["password"], MASK);
        assert_eq!(kept["options"][0]["api_key"], MASK);
        assert_eq!(kept["key"], MASK);
        assert_eq!(kept["other"], "hunter2@host");
        assert!(!kept["command"].to_string().contains("abcdef"));
    }

    #[test]
    fn the_message_of_an_error_is_found_where_agents_put_it() {
        for (error, told) in [
            (json!("plain"), Some("plain")),
            (json!({"message": "one"}), Some("one")),
            (
                json!({"name": "APIError", "data": {"message": "two"}}),
                Some("two"),
            ),
            (
                json!("{\"error\": {\"message\": \"three\", \"type\": \"x\"}}"),
                Some("three"),
            ),
            (json!({"error": "four"}), Some("four")),
            (json!({"name": "Five"}), Some("Five")),
            (json!(""), None),
            (json!(null), None),
            (json!({}), None),
        ] {
            assert_eq!(message(&error).as_deref(), told, "{error}");
        }
    }
}
