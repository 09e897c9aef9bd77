//! The support of tests, tested against ordinary programs.

#![expect(
    clippy::disallowed_methods,
    reason = "tests write files and look at folders"
)]

mod agent;
mod daemon;
mod home;
mod jobs;
mod repo;
mod terminal;
mod vim;

/// Every file of this folder is a module above.
#[test]
fn no_file_is_forgotten() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it");
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let module = format!("mod {};", name.trim_end_matches(".rs"));
        assert!(
            name == "main.rs" || include_str!("main.rs").contains(&module),
            "{name}"
        );
    }
}
