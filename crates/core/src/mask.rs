//! Known shapes of secrets, replaced before anything is stored.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

/// What stands in the place of a secret.
pub const MASK: &str = "[masked]";

/// One alternation, so that text is read once. Groups named `keep…` stay. Shapes as the issuers
/// publish them: provider prefixes, RFC 7519 tokens, RFC 7468 private keys, RFC 3986 user info.
static SECRETS: LazyLock<Regex> = LazyLock::new(|| {
    let shapes = [
        r"\bsk-ant-[A-Za-z0-9_-]{20,}",
        r"\bsk-(?:proj-|svcacct-|or-v1-)?[A-Za-z0-9_-]{20,}",
        r"\bgh[pousr]_[A-Za-z0-9]{36,}",
        r"\bgithub_pat_[A-Za-z0-9_]{22,}",
        r"\bglpat-[A-Za-z0-9_-]{20,}",
        r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
        r"\bAIza[0-9A-Za-z_-]{35}",
        r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}",
        r"\bhf_[A-Za-z0-9]{30,}",
        r"\bnpm_[A-Za-z0-9]{36}",
        r"\bpypi-[A-Za-z0-9_-]{50,}",
        r"\b[rs]k_live_[A-Za-z0-9]{20,}",
        r"\bsgamp_[A-Za-z0-9_]{20,}",
        r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}",
        r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\z)",
        r"(?P<keep_scheme>\b[a-z][a-z0-9+.-]*://[^\s/:@]*:)[^\s/@]+(?P<keep_at>@)",
        r"(?i)(?P<keep_bearer>\bauthorization:\s*(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}",
        r#"(?i)(?P<keep_name>[a-z0-9_-]*(?:api[_-]?key|secret|passwd|password|token)["']?\s*[=:]\s*["']?)[A-Za-z0-9._~+/=-]{12,}"#,
    ];
    Regex::new(&shapes.join("|")).expect("the shapes are constants that a test compiles")
});

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
/// such as `--password`.
pub fn mask_command(words: &[String]) -> Vec<String> {
    let mut after_flag = false;
    words
        .iter()
        .map(|word| {
            let is_value = after_flag && !word.starts_with('-');
            after_flag = SECRET_FLAG.is_match(word);
            if is_value {
                MASK.to_owned()
            } else {
                mask(word).into_owned()
            }
        })
        .collect()
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
