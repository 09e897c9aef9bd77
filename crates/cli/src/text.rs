//! How answers read: tables that fit the terminal, times as people say them, sentences.

pub(crate) mod patch;
pub(crate) mod sentence;
pub(crate) mod session;
pub(crate) mod table;
pub(crate) mod time;

use amps_core::path::visible;

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
    let is_plain = |character: char| {
        character.is_alphanumeric() || "-_./:=@%+,".contains(character)
    };
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", visible(word).replace('\'', r"'\''"))
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
        text.push_str(&format!(" +{additions}"));
    }
    if deletions > 0 {
        text.push_str(&format!(" -{deletions}"));
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
    fn command_lines_can_be_told_apart_from_their_words() {
        let words = ["sh", "-c", "echo 'hi there'", ""].map(str::to_owned);
        assert_eq!(command_line(&words), r"sh -c 'echo '\''hi there'\''' ''");
    }
}
