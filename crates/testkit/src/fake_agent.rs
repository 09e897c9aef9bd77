//! Finding the scripted agent, and building it when cargo has not.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;

/// Returns the path of the scripted agent, built from the sources as they are.
///
/// Cargo tells a test only of the programs of its own package, so the tests of another package
/// look for this one where test programs lie, and build it if it is missing or out of date.
pub(crate) fn path() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let test = std::env::current_exe().unwrap();
        let mut folder = test.parent().unwrap();
        while folder.ends_with("deps") || folder.ends_with("examples") {
            folder = folder.parent().unwrap();
        }
        let program = folder.join("fake-agent");
        if built(&program) < newest(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bin")) {
            build(folder);
        }
        program
    })
}

fn built(program: &Path) -> SystemTime {
    let modified = program.metadata().and_then(|metadata| metadata.modified());
    modified.unwrap_or(SystemTime::UNIX_EPOCH)
}

fn newest(folder: &Path) -> SystemTime {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let times = entries.map(|entry| {
        let path = entry.path();
        if path.is_dir() {
            newest(&path)
        } else {
            built(&path)
        }
    });
    times.max().unwrap_or(SystemTime::UNIX_EPOCH)
}

fn build(folder: &Path) {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--package", "amps-testkit"]);
    command.args(["--bin", "fake-agent", "--manifest-path"]);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
    command.arg("--target-dir").arg(folder.parent().unwrap());
    if folder.ends_with("release") {
        command.arg("--release");
    }
    let status = command.status().unwrap();
    assert!(
        status.success(),
        "the scripted agent cannot be built: {status}"
    );
}
