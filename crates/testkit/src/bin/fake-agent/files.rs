//! Verbs that touch files and folders, and those that record what the agent was given.

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

use super::script::Line;
use super::{Done, Next};

/// How long `wait-for` waits.
const PATIENCE: Duration = Duration::from_secs(60);

/// Performs one of these verbs.
pub(crate) fn perform(line: &Line) -> Done {
    match line.verb.as_str() {
        "write" => fs::write(line.path(0)?, line.joined(1))?,
        "append" => append(&line.path(0)?, &line.joined(1))?,
        "delete" => delete(&line.path(0)?)?,
        "mkdir" => fs::create_dir_all(line.path(0)?)?,
        "rename" => fs::rename(line.path(0)?, line.path(1)?)?,
        "chmod" => {
            let mode = u32::from_str_radix(line.word(0)?, 8)?;
            fs::set_permissions(line.path(1)?, fs::Permissions::from_mode(mode))?;
        }
        "symlink" => symlink(line.path(0)?, line.path(1)?)?,
        "touch" => append(&line.path(0)?, b"")?,
        "wait-for" => wait_for(&line.path(0)?)?,
        "chdir" => std::env::set_current_dir(line.path(0)?)?,
        "delete-cwd" => fs::remove_dir_all(std::env::current_dir()?)?,
        "record-args" => record_args(&line.path(0)?)?,
        "record-env" => record_env(&line.path(0)?, &line.rest(1))?,
        "record-cwd" => {
            let folder = std::env::current_dir()?;
            record(&line.path(0)?, folder.as_os_str().as_bytes())?;
        }
        verb => return Err(format!("no verb of files: {verb}").into()),
    }
    Ok(Next::Continue)
}

/// Appends bytes to a file, which is made if it is missing.
pub(crate) fn append(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)?;
    file.write_all(bytes)
}

/// Writes a file that is complete as soon as it can be seen.
pub(crate) fn record(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}", std::process::id()));
    let unfinished = path.with_file_name(name);
    fs::write(&unfinished, bytes)?;
    fs::rename(&unfinished, path)
}

fn delete(path: &Path) -> std::io::Result<()> {
    if fs::symlink_metadata(path)?.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    }
}

fn wait_for(path: &Path) -> Result<(), String> {
    let start = Instant::now();
    while fs::symlink_metadata(path).is_err() {
        if start.elapsed() > PATIENCE {
            return Err(format!("{} did not appear", path.display()));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn record_args(path: &Path) -> std::io::Result<()> {
    let mut text = Vec::new();
    for argument in std::env::args_os().skip(1) {
        text.extend_from_slice(argument.as_bytes());
        text.push(b'\n');
    }
    record(path, &text)
}

fn record_env(path: &Path, names: &[impl AsRef<OsStr>]) -> std::io::Result<()> {
    let wanted = |name: &OsStr| names.is_empty() || names.iter().any(|n| n.as_ref() == name);
    let mut lines: Vec<Vec<u8>> = std::env::vars_os()
        .filter(|(name, _)| wanted(name))
        .map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes(), b"\n"].concat())
        .collect();
    lines.sort();
    record(path, &lines.concat())
}
