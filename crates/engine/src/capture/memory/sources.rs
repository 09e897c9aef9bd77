//! What git reads when it is asked what differs.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use amps_core::snapshot::{Oid, Workspace};

use crate::capture::look::native;
use crate::git::{Call, Git};

/// Returns the paths in the index; `None` when there are more than `most`.
pub(super) fn tracked(git: &Git, workspace: &Workspace, most: usize) -> Option<Vec<Vec<u8>>> {
    let listed = listed(git, &Call::at(workspace).args(["ls-files", "-z"]), most)?;
    Some(words(&listed).map(<[u8]>::to_vec).collect())
}

/// Returns what is ignored: folders with a slash at their end, and files that lie in folders which
/// are not ignored themselves. `None` when that are more than `most`.
pub(super) fn ignored(git: &Git, workspace: &Workspace, most: usize) -> Option<HashSet<Vec<u8>>> {
    // `ls-files --directory` would also fold folders that merely hold nothing but ignored files.
    let call = Call::at(workspace).args([
        "status",
        "--porcelain",
        "-z",
        "--no-renames",
        "--untracked-files=all",
        "--ignored=matching",
        "--ignore-submodules=all",
    ]);
    let listed = listed(git, &call, most)?;
    Some(
        words(&listed)
            .filter_map(|line| line.strip_prefix(b"!! "))
            .map(<[u8]>::to_vec)
            .collect(),
    )
}

/// Returns a list of git's, unless it has more than `most` words.
fn listed(git: &Git, call: &Call<'_>, most: usize) -> Option<Vec<u8>> {
    let (mut listed, mut count) = (Vec::new(), 0);
    let output = git.stream(call, &mut |piece| {
        listed.extend_from_slice(piece);
        count += piece.split(|byte| *byte == 0).count() - 1;
        if count > most {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    let whole = output.ok()?.status.is_some_and(|status| status.success());
    whole.then_some(listed)
}

/// Returns the files of a repository that say what HEAD, the index and its own settings are, see
/// gitrepository-layout(5). `None` where references are no files.
pub(super) fn of_repository(workspace: &Workspace) -> Option<Vec<PathBuf>> {
    let (git_dir, common_dir) = (native(&workspace.git_dir), native(&workspace.common_dir));
    if common_dir.join("reftable").exists() || replaces_objects(&common_dir) {
        return None;
    }
    let head = fs::read(git_dir.join("HEAD")).ok()?;
    let head = head.strip_suffix(b"\n").unwrap_or(&head);
    let mut paths = vec![
        git_dir.join("HEAD"),
        git_dir.join("index"),
        git_dir.join("config.worktree"),
        git_dir.join("info/sparse-checkout"),
        common_dir.join("packed-refs"),
        common_dir.join("config"),
        common_dir.join("info/exclude"),
        common_dir.join("info/attributes"),
    ];
    if let Some(branch) = head.strip_prefix(b"ref: ") {
        let branch = common_dir.join(OsStr::from_bytes(branch));
        let names_a_commit = fs::read(&branch).is_ok_and(|name| is_oid(&name));
        if branch.exists() && !names_a_commit {
            return None;
        }
        paths.push(branch);
    } else if !is_oid(head) {
        return None;
    }
    Some(paths)
}

/// Returns whether references stand in for objects, git-replace(1): then HEAD may mean another
/// tree without having moved.
fn replaces_objects(common_dir: &Path) -> bool {
    let name = b"refs/replace/".as_slice();
    common_dir.join("refs/replace").exists()
        || fs::read(common_dir.join("packed-refs"))
            .is_ok_and(|packed| packed.windows(name.len()).any(|part| part == name))
}

/// Returns the files of git's configuration, present or not, and those that it names.
pub(super) fn of_configuration(git: &Git, workspace: &Workspace) -> Option<Vec<PathBuf>> {
    let call = Call::at(workspace).args(["config", "--list", "--show-origin", "--includes", "-z"]);
    let listed = git.run(&call).ok()?;
    let root = native(&workspace.root);
    let mut paths = git.configuration_files();
    for (variable, usual) in [
        ("GIT_CONFIG_SYSTEM", "/etc/gitconfig"),
        ("GIT_ATTR_SYSTEM", "/etc/gitattributes"),
    ] {
        // An older git does not tell.
        let told = git.run(&Call::at(workspace).args(["var", variable]));
        let told = told.unwrap_or_default();
        let told = told.strip_suffix(b"\n").unwrap_or(&told);
        let told = if told.is_empty() {
            usual.as_bytes()
        } else {
            told
        };
        paths.push(OsStr::from_bytes(told).into());
    }
    let mut words = words(&listed);
    while let (Some(origin), Some(setting)) = (words.next(), words.next()) {
        // What was given with the call is the same at the next one.
        let Some(file) = origin.strip_prefix(b"file:") else {
            continue;
        };
        let file = root.join(OsStr::from_bytes(file));
        let mut parts = setting.splitn(2, |byte| *byte == b'\n');
        let key = parts.next().unwrap_or_default();
        let value = parts.next().unwrap_or_default();
        if key == b"attr.tree" {
            return None;
        }
        if matches!(key, b"core.excludesfile" | b"core.attributesfile") {
            paths.push(named(git, &root, value)?);
        } else if key.starts_with(b"include") && key.ends_with(b".path") {
            paths.push(named(git, file.parent()?, value)?);
        }
        paths.push(file);
    }
    paths.sort();
    paths.dedup();
    Some(paths)
}

/// Returns the path that a setting means; `None` where only git can say.
fn named(git: &Git, folder: &Path, value: &[u8]) -> Option<PathBuf> {
    if let Some(rest) = value.strip_prefix(b"~/") {
        return Some(git.home()?.join(OsStr::from_bytes(rest)));
    }
    if value.starts_with(b"~") || value.starts_with(b"%") {
        return None;
    }
    Some(folder.join(OsStr::from_bytes(value)))
}

fn is_oid(name: &[u8]) -> bool {
    std::str::from_utf8(name).is_ok_and(|name| Oid::parse(name.trim_end()).is_some())
}

fn words(listed: &[u8]) -> impl Iterator<Item = &[u8]> {
    listed
        .split(|byte| *byte == 0)
        .filter(|word| !word.is_empty())
}
