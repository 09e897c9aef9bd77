//! Reading records in tests.

use std::path::Path;

use amps_testkit::{Home, PATIENCE};
use serde_json::Value;

pub(crate) const AMPS: &str = env!("CARGO_BIN_EXE_amps");

/// Returns the newest session's record once its capture is settled.
#[track_caller]
pub(crate) fn newest(home: &Home) -> Value {
    settled(home, "@")
}

/// Returns a session's record once it is final and owes nothing.
#[track_caller]
pub(crate) fn settled(home: &Home, reference: &str) -> Value {
    home.daemon()
        .wait_for_session(reference, "to be final and captured", PATIENCE, |record| {
            is_final(record) && record["runs"][0]["capture"]["end"] != "owed"
        })
}

pub(crate) fn is_final(record: &Value) -> bool {
    ["completed", "aborted", "disconnected"]
        .iter()
        .any(|status| record["status"] == *status)
}

/// Returns the paths of a session's changeset with their letters, such as `A made.txt`.
pub(crate) fn changes(record: &Value) -> Vec<String> {
    let of = |changeset: &Value| -> Vec<String> {
        let files = changeset["files"].as_array().unwrap();
        files
            .iter()
            .map(|file| {
                let letter = match file["change"].as_str().unwrap() {
                    "added" => 'A',
                    "deleted" => 'D',
                    "modified" => 'M',
                    "renamed" => 'R',
                    other => panic!("{other}"),
                };
                format!("{letter} {}", file["path"].as_str().unwrap())
            })
            .collect()
    };
    let sets = record["changesets"].as_array().unwrap();
    sets.iter()
        .filter(|set| set["amendment"] == false)
        .flat_map(of)
        .collect()
}

/// Returns the ids of all sessions, the newest first.
#[track_caller]
pub(crate) fn ids(home: &Home) -> Vec<String> {
    let listed = home.amps(["list", "--json"]).run().ok().json();
    let rows = listed.as_array().unwrap();
    rows.iter()
        .map(|row| row["session_id"].as_str().unwrap().to_owned())
        .collect()
}

/// Makes a home that knows the program.
pub(crate) fn home() -> Home {
    Home::with_amps(Path::new(AMPS))
}
