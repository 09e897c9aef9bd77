//! Submodules of a worktree: made from what the main checkout has, without network, and looked
//! into before they are removed.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use amps_core::ground::CreationPlan;
use amps_core::path::RawPath;

use super::furnish::LeftBehind;
use super::survey::Seat;
use super::{SessionLock, WorktreeError, refs};
use crate::capture::look::native;
use crate::git::{Call, Git, GitError};

/// Makes those submodules of a worktree that the main checkout has. Returns those that could not
/// be made from there, such as at a commit that it does not have.
pub fn init_submodules(
    git: &Git,
    plan: &CreationPlan,
    lock: &SessionLock,
) -> Result<Vec<LeftBehind>, WorktreeError> {
    let root = native(&plan.worktree);
    let common_dir = native(&plan.common_dir);
    let mut left = Vec::new();
    for (path, name) in named(git, &root)? {
        let module = common_dir.join("modules").join(&name);
        if !module.is_dir() || root.join(native(&path)).join(".git").exists() {
            continue;
        }
        if let Err(error) = make(git, &root, &path, (&name, &module), lock) {
            left.push(LeftBehind {
                path,
                reason: amps_core::path::visible(error.stderr()),
            });
        }
    }
    Ok(left)
}

fn make(
    git: &Git,
    root: &Path,
    path: &RawPath,
    (name, module): (&str, &Path),
    lock: &SessionLock,
) -> Result<(), GitError> {
    let setting = |key: &str| {
        let key = format!("submodule.{name}.{key}");
        let call = Call::alone_within(root).args(["config", "--null", "--get", &key]);
        let value = git.output(&call)?.stdout;
        Ok::<_, GitError>(value.strip_suffix(b"\0").map(<[u8]>::to_vec))
    };
    let Some(url) = setting("url")? else {
        // The person does not want it.
        return Ok(());
    };
    let mut from_here = format!("submodule.{name}.url=").into_bytes();
    from_here.extend(module.as_os_str().as_bytes());
    let call = Call::alone_within(root)
        .args(["-c", "protocol.file.allow=always", "-c"])
        .arg(OsStr::from_bytes(&from_here))
        .args(["submodule", "--quiet", "update", "--checkout", "--"])
        .arg(native(path))
        .input_file(lock.file());
    git.run(&call)?;
    // Its origin is where everybody else's is, not this machine's other checkout.
    let call = Call::alone_within(&root.join(native(path)))
        .args(["config", "remote.origin.url"])
        .arg(OsStr::from_bytes(&url));
    git.run(&call).map(drop)
}

/// Returns the submodules that `.gitmodules` names, by path.
fn named(git: &Git, root: &Path) -> Result<BTreeMap<RawPath, String>, GitError> {
    if !root.join(".gitmodules").is_file() {
        return Ok(BTreeMap::new());
    }
    let call = Call::alone_within(root)
        .args(["config", "--file", ".gitmodules", "--null"])
        .args(["--get-regexp", r"^submodule\..*\.path$"]);
    let answer = git.output(&call)?.stdout;
    let entries = answer.split(|byte| *byte == 0).filter_map(|entry| {
        let place = entry.iter().position(|byte| *byte == b'\n')?;
        let (key, path) = entry.split_at(place);
        let name = std::str::from_utf8(key).ok()?;
        let name = name.strip_prefix("submodule.")?.strip_suffix(".path")?;
        // A name is a path below `modules`, so it must not lead out of there.
        let is_inside = !name.split('/').any(|part| part == ".." || part.is_empty());
        is_inside.then(|| (RawPath::new(&path[1..]), name.to_owned()))
    });
    Ok(entries.collect())
}

/// Returns the submodules that hold something which the main checkout's do not.
pub(super) fn with_work(
    git: &Git,
    plan: &CreationPlan,
    seat: Seat<'_>,
) -> Result<Vec<RawPath>, WorktreeError> {
    let answer = git.run(&seat.call().args(["ls-files", "--stage", "-z"]))?;
    let links = answer
        .split(|byte| *byte == 0)
        .filter(|record| record.starts_with(b"160000 "));
    let mut found = Vec::new();
    for record in links {
        let path = record.splitn(2, |byte| *byte == b'\t').nth(1);
        let path = RawPath::new(path.unwrap_or_default());
        let folder = seat.root.join(native(&path));
        if folder.join(".git").exists() && !is_elsewhere(git, plan, seat, &folder)? {
            found.push(path);
        }
    }
    Ok(found)
}

/// Returns whether a submodule is clean, and its commits are in that of the main checkout.
fn is_elsewhere(
    git: &Git,
    plan: &CreationPlan,
    seat: Seat<'_>,
    folder: &Path,
) -> Result<bool, GitError> {
    let ask = |arguments: &[&str]| {
        let output = git.output(&Call::alone_within(folder).args(arguments))?;
        let is_answer = output.status.is_some_and(|status| status.success());
        Ok::<_, GitError>(is_answer.then_some(output.stdout))
    };
    let status = [
        "status",
        "--porcelain",
        "-z",
        "--untracked-files=all",
        "--ignored",
    ];
    if ask(&status)?.is_none_or(|answer| !answer.is_empty()) {
        return Ok(false);
    }
    let Some(git_dir) = ask(&["rev-parse", "--absolute-git-dir"])? else {
        return Ok(false);
    };
    let git_dir = PathBuf::from(OsStr::from_bytes(git_dir.trim_ascii_end()));
    let Ok(name) = git_dir.strip_prefix(seat.admin.join("modules")) else {
        return Ok(false);
    };
    let main = native(&plan.common_dir).join("modules").join(name);
    let Some(commits) = ask(&["rev-list", "--no-walk", "--all", "--reflog", "HEAD"])? else {
        return Ok(false);
    };
    if !main.is_dir() {
        return Ok(false);
    }
    let input = [&commits[..], b"--not\n--all\n"].concat();
    let call = refs::at(&main)
        .args(["rev-list", "--max-count=1", "--stdin"])
        .input(&input);
    let output = git.output(&call)?;
    let is_answer = output.status.is_some_and(|status| status.success());
    Ok(is_answer && output.stdout.is_empty())
}
