//! Notes of terminals that are gone. Who shows an agent on a terminal notes how to bring it back, in
//! a file named by the number of its device; without the terminal nobody will.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use amps_core::process::{Place, ProcessIdentity, Verdict, judge};
use amps_engine::files;
use amps_engine::home::Home;
use amps_engine::process;
use rustix::fs::{major, minor};
use serde_json::Value;

/// The major number of pseudo-terminals, which alone can go; their minor numbers name them, pts(4).
const PSEUDO: u32 = 136;

/// Removes the notes of dead clients on terminals that are gone.
pub(crate) fn forget_gone(home: &Home, place: &Place) {
    let Ok(entries) = fs::read_dir(home.terminals()) else {
        return;
    };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        if terminal(&path).is_some_and(|terminal| is_gone(&terminal)) && is_of_dead(&path, place) {
            // What stays is looked at again.
            files::remove(&path).ok();
        }
    }
}

/// Returns the terminal that a note is of, if it is one that can go.
fn terminal(note: &Path) -> Option<PathBuf> {
    let device = u64::from_str_radix(note.file_stem()?.to_str()?, 16).ok()?;
    let number = minor(device);
    (major(device) == PSEUDO).then(|| Path::new("/dev/pts").join(number.to_string()))
}

fn is_gone(terminal: &Path) -> bool {
    fs::symlink_metadata(terminal).is_err_and(|error| error.kind() == ErrorKind::NotFound)
}

fn is_of_dead(note: &Path, place: &Place) -> bool {
    client(note).is_some_and(|client| {
        let sighting = process::sight(client.pid);
        matches!(judge(&client, place, sighting), Verdict::Dead(_))
    })
}

/// Returns the client that made a note.
fn client(note: &Path) -> Option<ProcessIdentity> {
    let mut note: Value = serde_json::from_slice(&fs::read(note).ok()?).ok()?;
    serde_json::from_value(note.get_mut("client")?.take()).ok()
}
