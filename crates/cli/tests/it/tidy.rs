//! Rules about the tree as a test: who may depend on whom, who may print, start programs, read the
//! environment and write files, and that what is generated is up to date.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use amps_testkit::Home;

use crate::record::AMPS;

/// Which crate may use which; development only where it says so. A new line here is a design
/// decision.
const EDGES: [(&str, &[&str]); 10] = [
    (
        "bench",
        &["cli", "core", "daemon", "engine", "proto", "testkit"],
    ),
    (
        "cli",
        &[
            "core",
            "daemon",
            "engine",
            "host",
            "proto",
            "tui",
            "testkit (dev)",
        ],
    ),
    ("core", &[]),
    ("daemon", &["core", "engine", "proto", "testkit (dev)"]),
    ("engine", &["core", "testkit (dev)"]),
    (
        "host",
        &["core", "engine", "proto", "screen", "testkit (dev)"],
    ),
    ("proto", &["core", "testkit (dev)"]),
    ("screen", &[]),
    ("testkit", &["core", "proto"]),
    ("tui", &["core", "proto", "testkit (dev)"]),
];

/// What only some files may do, with the files and folders that may.
const ALLOWED: [(&str, &[&str]); 8] = [
    (
        "Command::new(",
        &[
            "engine/src/exec.rs",
            "engine/src/exec/contained.rs",
            "engine/src/exec/scope.rs",
            "engine/src/git/command.rs",
        ],
    ),
    ("println!(", &[]),
    ("print!(", &[]),
    // The launcher looks at them and writes nothing. A player sets the modes of the terminal.
    (
        "io::stdout()",
        &[
            "cli/src/output.rs",
            "cli/src/launch/wait.rs",
            // It hands the terminal over.
            "host/src/attach.rs",
            "cli/src/commands/play/terminal.rs",
        ],
    ),
    (
        "io::stderr()",
        &[
            "cli/src/output.rs",
            "cli/src/launch/wait.rs",
            "daemon/src/log.rs",
        ],
    ),
    ("env::var", &["cli/src/env.rs", "engine/src/testing.rs"]),
    ("fs::write(", &["engine/src/testing.rs"]),
    ("process::exit(", &[]),
];

/// Files of more than 600 lines, with the reason. The list only shrinks.
const LONG: [(&str, &str); 0] = [];

/// Codes that no test provokes yet, with the reason. The list only shrinks.
const UNPROVOKED: [(&str, &str); 1] = [("E070", "needs a defect")];

const MOST_LINES: usize = 600;

fn crates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Returns all Rust sources of ours, by their path below `crates`, with their text.
fn sources() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut unread = vec![crates()];
    while let Some(folder) = unread.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                if !path.ends_with("target") {
                    unread.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(crates()).unwrap();
                let text = fs::read_to_string(&path).unwrap();
                found.insert(name.to_str().unwrap().to_owned(), text);
            }
        }
    }
    assert!(
        found.len() > 100,
        "the sources are not where they should be"
    );
    found
}

/// Returns the part of a source that is no test.
fn product(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap_or_default()
}

#[test]
fn crates_use_each_other_in_one_direction() {
    for entry in fs::read_dir(crates()).unwrap() {
        let folder = entry.unwrap();
        let name = folder.file_name().into_string().unwrap();
        let manifest = fs::read_to_string(folder.path().join("Cargo.toml")).unwrap();
        let allowed = EDGES.iter().find(|(one, _)| *one == name);
        let (_, allowed) = allowed.unwrap_or_else(|| panic!("{name} is not in the table"));
        let mut section = "";
        for line in manifest.lines() {
            if line.starts_with('[') {
                section = line;
            }
            let Some(used) = line.strip_prefix("amps-") else {
                continue;
            };
            let used = used.split(['.', ' ', '=']).next().unwrap_or_default();
            let edge = match section {
                "[dependencies]" => used.to_owned(),
                _ => format!("{used} (dev)"),
            };
            let fits = allowed.contains(&edge.as_str()) || allowed.contains(&used);
            assert!(fits, "{name} must not use {edge}");
        }
    }
}

#[test]
fn rooms_use_no_crate_of_another_room() {
    for (room, foreign) in [
        ("core", &["tokio", "rusqlite", "clap", "rustix"][..]),
        ("proto", &["tokio", "rusqlite", "clap", "axum"]),
        ("engine", &["tokio", "clap", "anstream", "axum"]),
        ("daemon", &["clap", "anstream"]),
        ("host", &["tokio", "rusqlite", "clap", "anstream"]),
        ("cli", &["rusqlite", "tokio", "axum"]),
        ("screen", &["tokio", "rustix", "clap"]),
    ] {
        let manifest = fs::read_to_string(crates().join(room).join("Cargo.toml")).unwrap();
        let product = manifest.split("[dev-dependencies]").next().unwrap();
        for name in foreign {
            assert!(
                !product.contains(&format!("\n{name}")),
                "{room} must not use {name}"
            );
        }
    }
}

#[test]
fn only_some_files_touch_the_outside() {
    for (name, text) in sources() {
        if !name.contains("/src/") || name.starts_with("testkit/") || name.starts_with("bench/") {
            continue;
        }
        for (what, files) in ALLOWED {
            let allowed = files.iter().any(|file| name == *file);
            let does = product(&text).lines().any(|line| {
                let line = line.trim_start();
                let line = line.replace("clap::Command::new(", "");
                line.contains(what) && !line.starts_with("//")
            });
            assert!(!does || allowed, "{name} must not use `{what}`");
        }
    }
}

#[test]
fn every_file_says_what_it_is_for_and_stays_small() {
    for (name, text) in sources() {
        assert!(text.starts_with("//! "), "{name} does not begin with `//!`");
        let lines = text.lines().count();
        let is_listed = LONG.iter().any(|(file, _)| *file == name);
        assert!(lines <= MOST_LINES || is_listed, "{name} has {lines} lines");
    }
}

#[test]
fn no_source_or_page_names_a_machine() {
    let patterns = [
        concat!("/ro", "ot/"),
        concat!("/Us", "ers/"),
        concat!("/ho", "me/"),
        concat!("index.", "crates.io"),
        concat!("/wo", "rk/"),
    ];
    let mut texts = sources();
    for folder in ["errors", "reference"] {
        for (name, text) in pages(folder) {
            texts.insert(format!("docs/{folder}/{name}"), text);
        }
    }
    for (name, text) in texts {
        for pattern in patterns {
            let place = text.lines().position(|line| names(line, pattern));
            assert_eq!(place, None, "{name} names `{pattern}`");
        }
    }
}

/// Returns whether the line has a path of a machine: one that does not go on from something else.
fn names(line: &str, pattern: &str) -> bool {
    line.match_indices(pattern).any(|(place, _)| {
        let before = line.get(..place).unwrap_or_default().chars().next_back();
        !before.is_some_and(|before| before.is_alphanumeric() || "]})~.".contains(before))
    })
}

fn pages(folder: &str) -> BTreeMap<String, String> {
    let folder = crates().join("../docs").join(folder);
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read_to_string(entry.path()).unwrap())
        })
        .collect()
}

/// Returns the numbers of all error codes, as the reference lists them.
fn codes() -> BTreeSet<String> {
    let page = pages("reference").remove("errors.md").unwrap();
    let codes = page.lines().filter_map(|line| line.strip_prefix("| ["));
    codes.map(|rest| rest[..4].to_owned()).collect()
}

#[test]
fn every_error_code_has_a_page_and_is_provoked_by_a_test() {
    let pages: BTreeSet<String> = (pages("errors").keys())
        .map(|name| name.trim_end_matches(".md").to_owned())
        .collect();
    assert_eq!(pages, codes());
    let tests: String = sources()
        .into_iter()
        .filter(|(name, _)| name.contains("/tests/it/") && !name.ends_with("tidy.rs"))
        .map(|(_, text)| text)
        .collect();
    for code in codes() {
        let is_listed = UNPROVOKED.iter().any(|(listed, _)| *listed == code);
        assert_ne!(
            provokes(&tests, &code),
            is_listed,
            "{code}: provoke it in a test, or take it off the list"
        );
    }
}

/// Returns whether a code stands alone in a test: in brackets as in a message, or in quotes.
fn provokes(tests: &str, code: &str) -> bool {
    tests.contains(&format!("[{code}]")) || tests.contains(&format!("\"{code}\""))
}

#[test]
fn the_reference_is_up_to_date() {
    let home = Home::with_amps(AMPS);
    drop(home.amps(["reference", "--out", "reference"]).run().ok());
    let folder = home.home_dir().join("reference");
    let mut written = BTreeSet::new();
    for (name, text) in pages("reference") {
        let fresh = fs::read_to_string(folder.join(&name)).unwrap_or_default();
        assert!(
            text == fresh,
            "docs/reference/{name} is out of date: run `amps reference` at the top of the tree"
        );
        written.insert(name);
    }
    assert_eq!(written.len(), fs::read_dir(folder).unwrap().count());
}

#[test]
fn no_test_file_is_forgotten() {
    for entry in fs::read_dir(crates()).unwrap() {
        let tests = entry.unwrap().path().join("tests/it");
        let Ok(main) = fs::read_to_string(tests.join("main.rs")) else {
            continue;
        };
        for file in fs::read_dir(&tests).unwrap() {
            let name = file.unwrap().file_name().into_string().unwrap();
            let Some(module) = name.strip_suffix(".rs") else {
                continue;
            };
            let is_named = main.contains(&format!("mod {module};")) || module == "main";
            assert!(is_named, "{} is not in main.rs", tests.join(name).display());
        }
    }
}
