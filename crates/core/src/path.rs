//! Paths as the file system has them: bytes, not text.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// A path of any bytes but NUL.
///
/// Serialised as text when it is UTF-8; otherwise as an object of an escaped `path` and the exact
/// `path_base64`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "Wire", into = "Wire")]
pub struct RawPath(Vec<u8>);

impl RawPath {
    /// Takes the bytes of a path.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// Returns the exact bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the exact bytes in Base64 when the path is not UTF-8.
    pub fn base64_if_needed(&self) -> Option<String> {
        std::str::from_utf8(&self.0)
            .is_err()
            .then(|| STANDARD.encode(&self.0))
    }

    /// Returns the last component.
    pub fn file_name(&self) -> &[u8] {
        self.0
            .rsplit(|byte| *byte == b'/')
            .next()
            .unwrap_or_default()
    }

    /// Returns whether this path is `folder` or lies below it.
    pub fn is_within(&self, folder: &Self) -> bool {
        let folder = folder.0.strip_suffix(b"/").unwrap_or(&folder.0);
        self.0
            .strip_prefix(folder)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    }

    /// Reads a path back from its two text forms, the exact one first.
    pub fn from_text(path: &str, base64: Option<&str>) -> Self {
        let exact = base64.and_then(|text| STANDARD.decode(text).ok());
        Self(exact.unwrap_or_else(|| path.as_bytes().to_vec()))
    }
}

/// Shows the path on one line: bytes that are not UTF-8 and control characters become escapes, so
/// that a hostile name cannot move the cursor or fake a line.
impl fmt::Display for RawPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            write_visible(f, chunk.valid())?;
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02X}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for RawPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

/// Returns the text with control characters replaced by escapes, fit for a terminal.
pub fn visible(text: &str) -> String {
    struct Visible<'a>(&'a str);
    impl fmt::Display for Visible<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write_visible(f, self.0)
        }
    }
    Visible(text).to_string()
}

fn write_visible(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    use fmt::Write as _;
    for character in text.chars() {
        if character.is_control() || is_bidirectional_control(character) {
            write!(f, "{}", character.escape_unicode())?;
        } else {
            f.write_char(character)?;
        }
    }
    Ok(())
}

/// Characters that reorder what a reader sees; see Unicode Technical Report 36, section 3.
fn is_bidirectional_control(character: char) -> bool {
    matches!(character, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{200E}' | '\u{200F}')
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Wire {
    Text(String),
    Exact { path: String, path_base64: String },
}

impl From<Wire> for RawPath {
    fn from(wire: Wire) -> Self {
        match wire {
            Wire::Text(path) => Self::from_text(&path, None),
            Wire::Exact { path, path_base64 } => Self::from_text(&path, Some(&path_base64)),
        }
    }
}

impl From<RawPath> for Wire {
    fn from(path: RawPath) -> Self {
        match String::from_utf8(path.0) {
            Ok(text) => Self::Text(text),
            Err(bytes) => {
                let path = RawPath(bytes.into_bytes());
                Self::Exact {
                    path: path.to_string(),
                    path_base64: STANDARD.encode(&path.0),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_survive_the_wire(bytes: Vec<u8>) {
            let path = RawPath::new(bytes);
            let text = serde_json::to_string(&path).unwrap();
            prop_assert_eq!(serde_json::from_str::<RawPath>(&text).unwrap(), path);
        }

        #[test]
        fn nothing_shown_controls_the_terminal(bytes: Vec<u8>) {
            let shown = RawPath::new(bytes).to_string();
            prop_assert!(!shown.chars().any(char::is_control));
        }
    }

    #[test]
    fn bytes_that_are_not_utf8_show_as_escapes() {
        assert_eq!(RawPath::new(*b"caf\xE9.txt").to_string(), "caf\\xE9.txt");
        assert_eq!(
            RawPath::new(*b"a\x1b[2J\n").to_string(),
            "a\\u{1b}[2J\\u{a}"
        );
    }

    #[test]
    fn within_means_a_whole_component() {
        let folder = RawPath::new(*b"/srv/app");
        assert!(RawPath::new(*b"/srv/app").is_within(&folder));
        assert!(RawPath::new(*b"/srv/app/src").is_within(&folder));
        assert!(!RawPath::new(*b"/srv/apple").is_within(&folder));
        assert!(RawPath::new(*b"/srv").is_within(&RawPath::new(*b"/")));
    }
}
