//! How answers read: tables that fit the terminal, times as people say them, sentences.

pub(crate) mod patch;
pub(crate) mod sentence;
pub(crate) mod session;
pub(crate) mod table;
pub(crate) mod time;
pub(crate) mod worktree;

use amps_core::path::visible;
use unicode_width::UnicodeWidthStr as _;

/// Returns the text without styles on one line, at most `most` characters long.
pub(crate) fn brief(text: &str, most: usize) -> String {
    let mut shown = visible(text);
    if let Some((end, _)) = shown.char_indices().nth(most.saturating_sub(1))
        && shown.chars().nth(most).is_some()
    {
        shown.truncate(end);
        shown.push('…');
    }
    shown
}

/// Returns a command line as one would type it, for people.
pub(crate) fn command_line(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    words.join(" ")
}

/// Quotes a word that a shell would take apart.
pub(crate) fn quoted(word: &str) -> String {
    let is_plain =
        |character: char| character.is_alphanumeric() || "-_./:=@%+,".contains(character);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", visible(word).replace('\'', r"'\''"))
}

/// Returns the text behind an indent, broken between words to fit a terminal of this width; as it
/// is where there is none.
pub(crate) fn wrapped(text: &str, indent: &str, width: Option<usize>) -> String {
    let Some(width) = width else {
        return format!("{indent}{text}\n");
    };
    let room = width.saturating_sub(indent.width()).max(20);
    let mut out = indent.to_owned();
    let mut used = 0;
    for word in text.split(' ') {
        let needed = word.width();
        if used > 0 && used + 1 + needed > room {
            out.push('\n');
            out.push_str(indent);
            used = 0;
        }
        if used > 0 {
            out.push(' ');
            used += 1;
        }
        out.push_str(word);
        used += needed;
    }
    out.push('\n');
    out
}

/// Returns a number with its noun: `1 file`, `2 files`.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        _ => format!("{number} {noun}s"),
    }
}

/// Returns how much changed: `2 files +10 -3`.
pub(crate) fn amount(files: u64, additions: u64, deletions: u64) -> String {
    let mut text = counted(files, "file");
    if additions > 0 {
        text.extend([format!(" +{additions}")]);
    }
    if deletions > 0 {
        text.extend([format!(" -{deletions}")]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_and_hostile_text_becomes_short_and_harmless() {
        assert_eq!(brief("abc", 3), "abc");
        assert_eq!(brief("abcd", 3), "ab…");
        assert_eq!(brief("a\u{1b}[2J", 20), "a\\u{1b}[2J");
    }

    #[test]
    fn sentences_break_between_words() {
        let text = "one two three four five six";
        assert_eq!(
            wrapped(text, "  ", Some(22)),
            "  one two three four\n  five six\n"
        );
        assert_eq!(wrapped(text, "  ", None), "  one two three four five six\n");
    }

    #[test]
    fn command_lines_can_be_told_apart_from_their_words() {
        let words = ["sh", "-c", "echo 'hi there'", ""].map(str::to_owned);
        assert_eq!(command_line(&words), r"sh -c 'echo '\''hi there'\''' ''");
    }
}
