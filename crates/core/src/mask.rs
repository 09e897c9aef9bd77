//! Known shapes of secrets, replaced before anything is stored.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use regex::{Captures, Regex};

/// What stands in the place of a secret.
pub const MASK: &str = "[masked]";

/// Groups named `keep…` stay. Shapes as the issuers publish them: provider prefixes, RFC 7519
/// tokens, RFC 7468 private keys, RFC 3986 user info. The edges of words are those of ASCII: they
/// are found several times as fast in text that is not, and a secret behind a letter of another
/// script is one.
const SHAPES: [&str; 18] = [
    r"(?-u:\b)sk-ant-[A-Za-z0-9_-]{20,}",
    r"(?-u:\b)sk-(?:proj-|svcacct-|or-v1-)?[A-Za-z0-9_-]{20,}",
    r"(?-u:\b)gh[pousr]_[A-Za-z0-9]{36,}",
    r"(?-u:\b)github_pat_[A-Za-z0-9_]{22,}",
    r"(?-u:\b)glpat-[A-Za-z0-9_-]{20,}",
    r"(?-u:\b)(?:AKIA|ASIA)[0-9A-Z]{16}(?-u:\b)",
    r"(?-u:\b)AIza[0-9A-Za-z_-]{35}",
    r"(?-u:\b)xox[abeoprs]-[A-Za-z0-9-]{10,}",
    r"(?-u:\b)hf_[A-Za-z0-9]{30,}",
    r"(?-u:\b)npm_[A-Za-z0-9]{36}",
    r"(?-u:\b)pypi-[A-Za-z0-9_-]{50,}",
    r"(?-u:\b)[rs]k_live_[A-Za-z0-9]{20,}",
    r"(?-u:\b)sgamp_[A-Za-z0-9_]{20,}",
    r"(?-u:\b)eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}",
    r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\z)",
    r"(?P<keep_scheme>(?-u:\b)[a-z][a-z0-9+.-]*://[^\s/:@]*:)[^\s/@]+(?P<keep_at>@)",
    r"(?i)(?P<keep_bearer>(?-u:\b)authorization:\s*(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}",
    r#"(?i)(?P<keep_name>[a-z0-9_-]*(?:api[_-]?key|secret|passwd|password|token)["']?\s*[=:]\s*["']?)[A-Za-z0-9._~+/=-]{12,}"#,
];

/// One alternation, so that text is read once.
static SECRETS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(&SHAPES.join("|")).expect("the shapes are constants that a test compiles")
});

/// The same, only where the text begins.
static SECRET_AT_START: LazyLock<Regex> = LazyLock::new(|| {
    let shapes = format!(r"\A(?:{})", SHAPES.join("|"));
    Regex::new(&shapes).expect("the shapes are constants that a test compiles")
});

/// What the shapes begin with, only where the text begins. It is looked for in few bytes, so that
/// most places where a text might begin cost next to nothing.
static OPENING_AT_START: LazyLock<Regex> = LazyLock::new(|| {
    let openings = [
        r"\A(?:sk-|gh[pousr]_|github_pat_|glpat-|AKIA|ASIA|AIza|xox[abeoprs]-|hf_|npm_|pypi-",
        r"|[rs]k_live_|sgamp_|eyJ|-----BEGIN |[a-z][a-z0-9+.-]*://|(?i:authorization:)",
        r"|(?i:[a-z0-9_-]*(?:api[_-]?key|secret|passwd|password|token)))",
    ];
    Regex::new(&openings.concat()).expect("the openings are constants that a test compiles")
});

/// Text in small letters that holds none of these holds no shape.
const SIGNS: [&str; 24] = [
    "sk-",
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "akia",
    "asia",
    "aiza",
    "xox",
    "hf_",
    "npm_",
    "pypi-",
    "k_live_",
    "sgamp_",
    "eyj",
    "key",
    "://",
    "authorization:",
    "secret",
    "passw",
    "token",
];

/// How far an opening reaches: a longer scheme or name is none.
const LONGEST_OPENING: usize = 64;

/// The groups of the shapes that stand before the secret itself.
const KEPT_BEFORE: [&str; 3] = ["keep_scheme", "keep_bearer", "keep_name"];
/// The groups of the shapes that stand behind it.
const KEPT_BEHIND: [&str; 1] = ["keep_at"];

/// Where a known shape of a secret stands in a text, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    /// All that the shape matches, with the words that tell that it is one.
    pub shape: Range<usize>,
    /// What [`mask`] replaces.
    pub secret: Range<usize>,
}

/// Returns where the secrets of a text stand, in order. A shape that is longer than `longest` bytes,
/// such as a private key without its end, ends there, and the search goes on behind it.
pub fn secrets(text: &str, longest: usize) -> Vec<Secret> {
    let mut found: Vec<Secret> = Vec::new();
    let next = |found: &[Secret]| found.last().map_or(0, |last| last.shape.end);
    while let Some(captures) = SECRETS.captures_at(text, next(&found)) {
        found.push(located(text, &captures, longest));
    }
    found
}

/// Returns the secret that a text begins with, by the first `longest` bytes of it. That costs little
/// where there is none, however long the text is.
pub fn secret_at_start(text: &str, longest: usize) -> Option<Secret> {
    if !OPENING_AT_START.is_match(beginning(text, longest.min(LONGEST_OPENING))) {
        return None;
    }
    let text = beginning(text, longest);
    let captures = SECRET_AT_START.captures(text)?;
    Some(located(text, &captures, longest))
}

/// Returns the whole characters among the first bytes of a text.
fn beginning(text: &str, length: usize) -> &str {
    let mut ends = (0..=length.min(text.len())).rev();
    ends.find_map(|end| text.get(..end)).unwrap_or_default()
}

fn located(text: &str, captures: &Captures<'_>, longest: usize) -> Secret {
    let whole = captures.get_match();
    let end = whole.end().min(whole.start() + longest);
    // A shape begins with a whole character, so this ends behind one.
    let end = (end..text.len())
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(text.len());
    let kept = |names: &[&str]| names.iter().find_map(|name| captures.name(name));
    let from = kept(&KEPT_BEFORE).map_or(whole.start(), |kept| kept.end());
    let upto = kept(&KEPT_BEHIND).map_or(whole.end(), |kept| kept.start());
    Secret {
        shape: whole.start()..end,
        secret: from.min(end)..upto.min(end),
    }
}

/// Returns the text with every known shape of a secret replaced by [`MASK`].
pub fn mask(text: &str) -> Cow<'_, str> {
    SECRETS.replace_all(
        text,
        "${keep_scheme}${keep_bearer}${keep_name}[masked]${keep_at}",
    )
}

/// A flag whose value is a secret by its name.
static SECRET_FLAG: LazyLock<Regex> = LazyLock::new(|| {
    let names = "(?i)^--?[a-z0-9_-]*(?:api[_-]?key|secret|passwd|password|token)$";
    Regex::new(names).expect("the shape is a constant that a test compiles")
});

/// Returns a command line with every known shape of a secret masked, and the word after a flag
/// such as `--password`. The shapes are compiled only for a word that may hold one: a process that
/// masks nothing else is spared what they take of its memory.
pub fn mask_command(words: &[String]) -> Vec<String> {
    let mut after_flag = false;
    words
        .iter()
        .map(|word| {
            let is_value = after_flag && !word.starts_with('-');
            let is_suspect = may_hold_secret(word);
            after_flag = is_suspect && SECRET_FLAG.is_match(word);
            if is_value {
                MASK.to_owned()
            } else if is_suspect {
                mask(word).into_owned()
            } else {
                word.clone()
            }
        })
        .collect()
}

/// Returns whether a word is worth a search for secrets and for flags that precede them.
fn may_hold_secret(word: &str) -> bool {
    // Some letters of other scripts are small forms of ASCII ones.
    let lower = word.to_ascii_lowercase();
    !word.is_ascii() || SIGNS.iter().any(|sign| lower.contains(sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_shapes_are_masked() {
        let body = "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8S9t0";
        for (text, masked) in [
            (format!("--key=sk-ant-{body}"), "--key=[masked]"),
            (format!("x ghp_{body} y"), "x [masked] y"),
            ("AKIAABCDEFGHIJKLMNOP".to_owned(), "[masked]"),
            (
                "https://me:hunter2@host/p".to_owned(),
                "https://me:[masked]@host/p",
            ),
            (
                "Authorization: Bearer abcdefghijkl".to_owned(),
                "Authorization: Bearer [masked]",
            ),
            (
                "DB_PASSWORD=correcthorsebattery".to_owned(),
                "DB_PASSWORD=[masked]",
            ),
            (
                "-----BEGIN RSA PRIVATE KEY-----\nMII\n".to_owned(),
                "[masked]",
            ),
        ] {
            assert_eq!(mask(&text), masked);
        }
    }

    #[test]
    fn the_word_after_a_secret_flag_is_masked() {
        let words = ["run", "--api-key", "abc", "--token", "--json", "token", "x"];
        let masked = mask_command(&words.map(str::to_owned));
        assert_eq!(
            masked,
            ["run", "--api-key", MASK, "--token", "--json", "token", "x"]
        );
    }

    #[test]
    fn no_flag_or_opening_of_a_secret_is_taken_for_an_ordinary_word() {
        let openings = "sk- ghp_ gho_ ghu_ ghs_ ghr_ github_pat_ glpat- AKIA ASIA AIza xoxa- xoxs- hf_ \
            npm_ pypi- rk_live_ sk_live_ sgamp_ eyJ a:// AUTHORIZATION: --api-key --APIKEY --secret \
            -passwd --my_password --to\u{212a}en";
        for opening in openings.split(' ').filter(|word| !word.is_empty()) {
            let begins = OPENING_AT_START.is_match(opening) || SECRET_FLAG.is_match(opening);
            assert!(begins, "{opening}");
            assert!(may_hold_secret(opening), "{opening}");
        }
        assert!(!may_hold_secret("--resume=notes"));
    }

    #[test]
    fn secrets_stand_where_they_are_masked() {
        let key = "sk-ant-A1b2C3d4E5f6G7h8I9j0";
        let text = format!("é {key} DB_PASSWORD=correcthorsebattery https://me:hunter2@host/p");
        let mut masked = text.clone();
        for found in secrets(&text, 1 << 10).into_iter().rev() {
            masked.replace_range(found.secret, MASK);
        }
        assert_eq!(masked, mask(&text));
        let at_start = secret_at_start(key, 1 << 10).map(|found| found.secret);
        assert_eq!(at_start, Some(0..key.len()));
        assert_eq!(secret_at_start(&text, 1 << 10), None);
    }

    #[test]
    fn every_shape_is_found_where_a_text_begins() {
        let body = "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8S9t0A1b2C3d4E5f6G7h8I9j0";
        let samples: [String; SHAPES.len()] = [
            format!("sk-ant-{body}"),
            format!("sk-proj-{body}"),
            format!("ghs_{body}"),
            format!("github_pat_{body}"),
            format!("glpat-{body}"),
            "ASIAABCDEFGHIJKLMNOP".to_owned(),
            format!("AIza{body}"),
            format!("xoxb-{body}"),
            format!("hf_{body}"),
            format!("npm_{body}"),
            format!("pypi-{body}"),
            format!("rk_live_{body}"),
            format!("sgamp_{body}"),
            format!("eyJ{body}.eyJ{body}.{body}"),
            format!("-----BEGIN EC PRIVATE KEY-----\n{body}"),
            "git+ssh://me:hunter2@host/p".to_owned(),
            format!("Authorization: Basic {body}"),
            format!("My_Api-Key: {body}"),
        ];
        for (shape, sample) in SHAPES.iter().zip(samples) {
            assert!(Regex::new(shape).unwrap().is_match(&sample), "{sample}");
            assert!(may_hold_secret(&sample), "{sample}");
            let found = secrets(&sample, 1 << 10);
            assert_eq!(found.len(), 1, "{sample}");
            assert_eq!(
                secret_at_start(&sample, 1 << 10).as_ref(),
                found.first(),
                "{sample}"
            );
        }
    }

    #[test]
    fn a_secret_is_found_behind_a_letter_of_any_script() {
        assert_eq!(mask("é中AKIAABCDEFGHIJKLMNOPé"), "é中[masked]é");
    }

    #[test]
    fn a_key_without_its_end_is_masked_only_so_far() {
        let text = format!("-----BEGIN RSA PRIVATE KEY-----{}", "é".repeat(100));
        let ends: Vec<_> = secrets(&text, 64)
            .into_iter()
            .map(|it| it.shape.end)
            .collect();
        assert_eq!(ends, [65], "not in the middle of a character");
    }

    #[test]
    fn ordinary_text_is_borrowed_unchanged() {
        for text in [
            "fix the parser",
            "sk-short",
            "token = next_token()",
            "https://host/a:b@c",
        ] {
            assert!(
                matches!(mask(text), Cow::Borrowed(same) if same == text),
                "{text}"
            );
        }
    }
}
