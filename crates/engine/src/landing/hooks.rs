//! The hooks of a repository, and the message that passes through them.

use std::ffi::OsStr;

use amps_core::landing::Refusal;

use super::{Ground, Hooks, LandingError};
use crate::files;
use crate::git::Git;

/// Runs a hook in the session's worktree, if the repository has it; it may say no.
pub(super) fn run_hook(
    git: &Git,
    ground: &Ground,
    name: &str,
    arguments: &[&OsStr],
) -> Result<(), LandingError> {
    let call = ground
        .call()
        .as_person()
        .args(["hook", "run", "--ignore-missing", name, "--"])
        .args(arguments);
    let output = git.output(&call)?;
    match output.status {
        Some(status) if !status.success() => Err(Refusal::Hook {
            name: name.to_owned(),
            words: output.into_error(&call, status).stderr().to_owned(),
        }
        .into()),
        _ => Ok(()),
    }
}

/// Cleans a message as git does and lets the hooks have their say about it.
pub(super) fn settle_message(
    git: &Git,
    ground: &Ground,
    message: &str,
    source: &str,
    hooks: Hooks,
) -> Result<Vec<u8>, LandingError> {
    let mut message = cleaned(message.as_bytes());
    if hooks == Hooks::Run {
        let folder = tempfile::tempdir()
            .map_err(|source| LandingError::io(&std::env::temp_dir(), source))?;
        let file = folder.path().join("MESSAGE");
        files::write_private(&file, &message)?;
        run_hook(
            git,
            ground,
            "prepare-commit-msg",
            &[file.as_os_str(), source.as_ref()],
        )?;
        run_hook(git, ground, "commit-msg", &[file.as_os_str()])?;
        let edited = std::fs::read(&file).map_err(|source| LandingError::io(&file, source))?;
        message = cleaned(&edited);
    }
    if message.is_empty() {
        return Err(Refusal::EmptyMessage.into());
    }
    Ok(message)
}

/// Takes away spaces at the ends of lines, and lines without text at both ends and beside another.
fn cleaned(message: &[u8]) -> Vec<u8> {
    let mut clean: Vec<u8> = Vec::new();
    let mut gap = false;
    for line in message.split(|byte| *byte == b'\n') {
        let line = line.trim_ascii_end();
        if line.is_empty() {
            gap = !clean.is_empty();
            continue;
        }
        if gap {
            clean.push(b'\n');
            gap = false;
        }
        clean.extend_from_slice(line);
        clean.push(b'\n');
    }
    clean
}

/// Adds trailers to a message, into the block of trailers that it has or below all.
pub(super) fn with_trailers(
    git: &Git,
    ground: &Ground,
    message: &str,
    trailers: &[String],
) -> Result<String, LandingError> {
    let message = String::from_utf8_lossy(&cleaned(message.as_bytes())).into_owned();
    if message.is_empty() {
        return Err(Refusal::EmptyMessage.into());
    }
    let mut call = ground
        .call()
        .args([
            "interpret-trailers",
            "--no-divider",
            "--if-exists=addIfDifferent",
        ])
        .input(message.as_bytes());
    for trailer in trailers {
        call = call.arg("--trailer").arg(trailer);
    }
    let answer = git.run(&call)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_cleaned_as_git_does() {
        assert_eq!(cleaned(b"\n\n a  \n\n\n# b\t\n\n"), b" a\n\n# b\n");
        assert_eq!(cleaned(b" \n\t\n"), b"");
    }
}
