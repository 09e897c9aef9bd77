//! Putting fixed text in the place of what differs from one test run to the next.
//!
//! The only place where this is done. Ids keep their width and are numbered in the order in which
//! they are first seen in a home, so that a snapshot shows which of them are the same.

use std::path::Path;
use std::sync::{LazyLock, Mutex, PoisonError};

use regex::{Captures, Regex};

/// Redacts the texts of one home.
#[derive(Debug)]
pub struct Redactor {
    root: String,
    host: String,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// The first eight characters of each id.
    ids: Vec<String>,
    /// Full names of commits and other git objects.
    objects: Vec<String>,
}

/// A regular expression that is compiled once.
macro_rules! pattern {
    ($text:literal) => {{
        static PATTERN: LazyLock<Regex> = LazyLock::new(|| Regex::new($text).unwrap());
        &*PATTERN
    }};
}

impl Redactor {
    /// Makes the redactor of a home.
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.to_string_lossy().into_owned(),
            host: rustix::system::uname().nodename().to_string_lossy().into(),
            seen: Mutex::default(),
        }
    }

    /// Returns the text with all that differs between runs replaced:
    ///
    /// | what | becomes |
    /// |---|---|
    /// | root of the home | `[ROOT]` |
    /// | an id, or its first 8 characters | `ID000001-xxxx-xxxx-xxxx-xxxxxxxxxxxx`, `ID000001` |
    /// | full name of a git object | `OBJ0001xx...`, as long as it was |
    /// | 7 to 12 first characters of one that was shown in full | `OBJ0001` and so on |
    /// | RFC 3339 time, in whatever zone and precision | `YYYY-MM-DDTHH:MM:SSZ` |
    /// | day and time, day, time | `YYYY-MM-DD HH:MM:SS`, `YYYY-MM-DD`, `HH:MM:SS`, `HH:MM` |
    /// | process ids after `pid` | `PID0000` |
    /// | durations under ten seconds, or in ms | `N.Ns` |
    /// | how long ago | `N ago` |
    /// | name of the host, and what a pid is `on` | `[HOST]` |
    pub fn redact(&self, text: &str) -> String {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = text.replace(&self.root, "[ROOT]");
        for (pattern, with) in times() {
            text = pattern.replace_all(&text, with).into_owned();
        }
        let pid = pattern!(r#"(\b[Pp][Ii][Dd]s?"?[ :=]+|_[Pp][Ii][Dd]"?[ :=]+|\bpid\()\d+\b"#);
        text = pid.replace_all(&text, "${1}PID0000").into_owned();
        let host = pattern!(r"(PID0000 on )\S+");
        text = host.replace_all(&text, "${1}[HOST]").into_owned();
        let object = pattern!(r"\b(?:[0-9a-f]{64}|[0-9a-f]{40})\b");
        text = object
            .replace_all(&text, |found: &Captures<'_>| {
                let number = number(&mut seen.objects, &found[0]);
                format!("{:x<1$}", format!("OBJ{number:04}"), found[0].len())
            })
            .into_owned();
        let id = pattern!(
            r"\b([0-9a-f]{8})(-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b|\b)|\b[0-9a-f]{7,12}\b"
        );
        text = id
            .replace_all(&text, |found: &Captures<'_>| seen.short(found))
            .into_owned();
        if self.host.len() > 2 {
            let host = Regex::new(&format!(r"\b{}\b", regex::escape(&self.host))).unwrap();
            text = host.replace_all(&text, "[HOST]").into_owned();
        }
        text
    }
}

impl Seen {
    fn short(&mut self, found: &Captures<'_>) -> String {
        let whole = &found[0];
        let place = self.objects.iter().position(|o| o.starts_with(whole));
        if let Some(place) = place {
            return format!("{:x<1$}", format!("OBJ{:04}", place + 1), whole.len());
        }
        let Some(short) = found.get(1) else {
            return whole.to_owned();
        };
        let number = number(&mut self.ids, short.as_str());
        let rest = if found[2].is_empty() {
            ""
        } else {
            "-xxxx-xxxx-xxxx-xxxxxxxxxxxx"
        };
        format!("ID{number:06}{rest}")
    }
}

fn number(seen: &mut Vec<String>, text: &str) -> usize {
    let place = seen.iter().position(|known| known == text);
    let place = place.unwrap_or_else(|| {
        seen.push(text.to_owned());
        seen.len() - 1
    });
    place + 1
}

fn times() -> [(&'static Regex, &'static str); 8] {
    [
        (
            pattern!(
                r"\b\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]\b|[+-]\d\d:?\d\d\b)(?:\[[^\]\s]+\])?"
            ),
            "YYYY-MM-DDTHH:MM:SSZ",
        ),
        (
            pattern!(r"\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?\b"),
            "YYYY-MM-DD HH:MM:SS",
        ),
        (pattern!(r"\b\d{4}-[01]\d-[0-3]\d\b"), "YYYY-MM-DD"),
        (
            pattern!(r"\b[0-2]\d:[0-5]\d:[0-5]\d(?:\.\d+)?\b"),
            "HH:MM:SS",
        ),
        (pattern!(r"\b[0-2]\d:[0-5]\d\b"), "HH:MM"),
        (
            pattern!(r"\b(?:just now|\d+(?:\.\d+)?\s?[a-z]+ ago)\b"),
            "N ago",
        ),
        (pattern!(r"\b\d+(?:\.\d+)?\s?(?:ms|µs|us)\b"), "N.Ns"),
        (pattern!(r"\b\d(?:\.\d+)?\s?s\b"), "N.Ns"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_replaced_and_what_is_equal_stays_equal() {
        let redactor = Redactor::new(Path::new("/tmp/aXXXXX"));
        let text = "\
1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed 12345678 1b9d6bcd\n\
/tmp/aXXXXX/h/ampd.pid owner_pid: 4711 pid 9\n\
2026-11-21T10:08:01.123456Z 2026-11-21 2026-11-21 10:08:01 23:59\n\
9fceb02d0ae598e95dc970b74767f19372d61af8 9fceb02d0 facade 30s 0.4s 12ms 3s ago defaced\n";
        let redacted = redactor.redact(text);
        insta::assert_snapshot!(redacted, @r"
        ID000001-xxxx-xxxx-xxxx-xxxxxxxxxxxx ID000002 ID000001
        [ROOT]/h/ampd.pid owner_pid: PID0000 pid PID0000
        YYYY-MM-DDTHH:MM:SSZ YYYY-MM-DD YYYY-MM-DD HH:MM:SS HH:MM
        OBJ0001xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx OBJ0001xx facade 30s N.Ns N.Ns N ago defaced
        ");
        assert_eq!(redactor.redact(text), redacted);
    }

    #[test]
    fn json_keeps_its_quotes() {
        let redactor = Redactor::new(Path::new("/tmp/aXXXXX"));
        assert_eq!(
            redactor.redact(r#"{"owner_pid": 17, "pid":18}"#),
            r#"{"owner_pid": PID0000, "pid":PID0000}"#
        );
    }
}
