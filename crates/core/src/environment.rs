//! Which variables of the environment a record keeps.

use std::collections::BTreeMap;

use crate::mask::mask;

/// The names that are kept. Everything else may hold a secret and stays out.
pub const ALLOWED: [&str; 24] = [
    "CI",
    "COLORTERM",
    "CONDA_DEFAULT_ENV",
    "EDITOR",
    "GIT_DIR",
    "GIT_WORK_TREE",
    "HOME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "LOGNAME",
    "NODE_ENV",
    "PAGER",
    "PATH",
    "RUSTUP_TOOLCHAIN",
    "SHELL",
    "TERM",
    "TERM_PROGRAM",
    "TERM_PROGRAM_VERSION",
    "TMUX_PANE",
    "TZ",
    "USER",
    "VIRTUAL_ENV",
    "VISUAL",
];

/// Returns the allowed variables, known secrets masked.
pub fn snapshot(variables: impl IntoIterator<Item = (String, String)>) -> BTreeMap<String, String> {
    variables
        .into_iter()
        .filter(|(name, _)| ALLOWED.binary_search(&name.as_str()).is_ok())
        .map(|(name, value)| (name, mask(&value).into_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_allowed_names_are_kept() {
        let kept = snapshot(
            [
                ("SHELL", "/bin/sh"),
                ("ANTHROPIC_API_KEY", "k"),
                ("HOMEX", "x"),
                ("CI", "true"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        assert_eq!(kept.keys().collect::<Vec<_>>(), ["CI", "SHELL"]);
    }

    #[test]
    fn the_list_is_sorted_for_its_search() {
        assert!(ALLOWED.is_sorted());
    }
}
