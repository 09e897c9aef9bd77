//! Patches: fit for a screen, and parts of one.

use std::collections::HashSet;

use amps_core::changeset::FileChange;
use anstyle::Style;

use crate::output::{GONE, GOOD, HEADING, LIVE};

/// Makes a patch fit for a screen, line by line: what is in the files must not move the cursor,
/// retitle the window or hide lines. Colours stay.
#[derive(Debug)]
pub(crate) struct Pretty {
    adds_colour: bool,
    unfinished: Vec<u8>,
}

impl Pretty {
    /// Makes the filter; `adds_colour` for a patch that has none of git's own.
    pub(crate) fn new(adds_colour: bool) -> Self {
        Self {
            adds_colour,
            unfinished: Vec::new(),
        }
    }

    /// Returns the lines that are whole by now.
    pub(crate) fn text(&mut self, bytes: &[u8]) -> String {
        self.unfinished.extend_from_slice(bytes);
        let whole = self.unfinished.iter().rposition(|byte| *byte == b'\n');
        let rest = self.unfinished.split_off(whole.map_or(0, |end| end + 1));
        let lines = std::mem::replace(&mut self.unfinished, rest);
        self.lines(&lines)
    }

    /// Returns what is left at the end.
    pub(crate) fn rest(&mut self) -> String {
        let rest = std::mem::take(&mut self.unfinished);
        self.lines(&rest)
    }

    fn lines(&self, bytes: &[u8]) -> String {
        let mut out = String::with_capacity(bytes.len());
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let style = if self.adds_colour {
                style(line)
            } else {
                Style::new()
            };
            let (line, end) = match line.strip_suffix(b"\n") {
                Some(line) => (line, "\n"),
                None => (line, ""),
            };
            out.extend([format!("{style}")]);
            push_harmless(&mut out, line);
            out.extend([format!("{style:#}{end}")]);
        }
        out
    }
}

fn style(line: &[u8]) -> Style {
    let starts = |with: &str| line.starts_with(with.as_bytes());
    if starts("diff --git ") || starts("+++ ") || starts("--- ") || starts("index ") {
        HEADING
    } else if starts("@@") {
        LIVE
    } else if starts("+") {
        GOOD
    } else if starts("-") {
        GONE
    } else {
        Style::new()
    }
}

fn push_harmless(out: &mut String, line: &[u8]) {
    for chunk in line.utf8_chunks() {
        let mut rest = chunk.valid();
        while let Some(character) = rest.chars().next() {
            let colour = colour(rest);
            if colour > 0 {
                out.push_str(&rest[..colour]);
                rest = &rest[colour..];
                continue;
            }
            match character {
                '\t' => out.push('\t'),
                '\u{0}'..='\u{1f}' | '\u{7f}' => {
                    out.push('^');
                    out.push(char::from(character as u8 ^ 0x40));
                }
                _ if character.is_control() => out.extend(character.escape_unicode()),
                _ => out.push(character),
            }
            rest = &rest[character.len_utf8()..];
        }
        for byte in chunk.invalid() {
            out.extend([format!("\\x{byte:02X}")]);
        }
    }
}

/// Returns the length of the colour sequence at the beginning, ECMA-48 8.3.117; 0 if there is none.
fn colour(text: &str) -> usize {
    let Some(parameters) = text.strip_prefix("\u{1b}[") else {
        return 0;
    };
    let length = parameters
        .find(|character: char| !character.is_ascii_digit() && character != ';')
        .unwrap_or(parameters.len());
    match parameters.as_bytes().get(length) {
        Some(b'm' | b'K') => 2 + length + 1,
        _ => 0,
    }
}

/// Returns the parts of a patch that concern these files.
pub(crate) fn of_files<'a>(patch: &[u8], files: impl Iterator<Item = &'a FileChange>) -> Vec<u8> {
    let wanted: HashSet<Vec<u8>> = files.map(header).collect();
    let mut out = Vec::new();
    let mut is_wanted = false;
    for line in patch.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b"diff --git ") {
            is_wanted = wanted.contains(line);
        }
        if is_wanted {
            out.extend_from_slice(line);
        }
    }
    out
}

/// Returns the line with which git begins the part of a file.
fn header(file: &FileChange) -> Vec<u8> {
    let old = file.old_path.as_ref().unwrap_or(&file.path);
    let mut line = b"diff --git ".to_vec();
    push_name(&mut line, &[b"a/", old.as_bytes()].concat());
    line.push(b' ');
    push_name(&mut line, &[b"b/", file.path.as_bytes()].concat());
    line.push(b'\n');
    line
}

/// Appends a name as git writes it with `core.quotePath`: in quotes only where something in it
/// needs an escape.
fn push_name(out: &mut Vec<u8>, name: &[u8]) {
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
    if name.iter().all(is_plain) {
        out.extend_from_slice(name);
        return;
    }
    out.push(b'"');
    for &byte in name {
        let short = match byte {
            b'"' | b'\\' => Some(byte),
            0x07 => Some(b'a'),
            0x08 => Some(b'b'),
            b'\t' => Some(b't'),
            b'\n' => Some(b'n'),
            0x0b => Some(b'v'),
            0x0c => Some(b'f'),
            b'\r' => Some(b'r'),
            _ => None,
        };
        match short {
            Some(letter) => out.extend([b'\\', letter]),
            None if matches!(byte, b' '..=b'~') => out.push(byte),
            None => out.extend(format!("\\{byte:03o}").bytes()),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use amps_core::changeset::Change;
    use amps_core::path::RawPath;

    use super::*;

    #[test]
    fn content_cannot_act_on_the_terminal_and_colours_stay() {
        let mut pretty = Pretty::new(false);
        let first = pretty.text(b"\x1b[32m+\x1b[m\x1b[2J\tx\r\n-a\xff");
        assert_eq!(first, "\u{1b}[32m+\u{1b}[m^[[2J\tx^M\n");
        assert_eq!(pretty.rest(), "-a\\xFF");
    }

    #[test]
    fn a_patch_is_cut_to_files_whatever_their_names() {
        let file = |path: &[u8], old: Option<&[u8]>| FileChange {
            path: RawPath::new(path),
            old_path: old.map(RawPath::new),
            change: Change::Modified,
            additions: None,
            deletions: None,
            old_mode: None,
            new_mode: None,
            uncertain: false,
        };
        let patch =
            b"diff --git a/a b/a\n+1\ndiff --git \"a/\\303\\251\\n\" \"b/\\303\\251\\n\"\n+2\n\
                      diff --git a/o x b/n x\n+3\n";
        let cut = |files: &[FileChange]| String::from_utf8(of_files(patch, files.iter())).unwrap();
        assert_eq!(cut(&[file(b"a", None)]), "diff --git a/a b/a\n+1\n");
        assert!(cut(&[file("é\n".as_bytes(), None)]).ends_with("+2\n"));
        assert_eq!(
            cut(&[file(b"n x", Some(b"o x"))]),
            "diff --git a/o x b/n x\n+3\n"
        );
        assert_eq!(cut(&[]), "");
    }
}
