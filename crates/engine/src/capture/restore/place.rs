//! Writing: everything is laid out beside the working tree first, then renamed into its place.
//!
//! Places are reached folder by folder from an open root, never through a symbolic link, so that
//! no link can lead a restore out of the working tree.

use std::ffi::OsStr;
use std::fs;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use amps_core::path::RawPath;
use amps_core::snapshot::{Snapshot, Workspace};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, mkdirat, openat, renameat, unlinkat};
use rustix::io::Errno;
use tempfile::TempDir;

use super::plan::Plan;
use crate::capture::CaptureError;
use crate::capture::look::native;
use crate::git::{Call, Git};

/// What was written.
pub(super) struct Placed {
    pub(super) written: Vec<RawPath>,
    /// The path at which something changed meanwhile; everything behind it was left as it was.
    pub(super) changing: Vec<RawPath>,
}

/// Writes what the plan wants.
pub(super) fn place(
    git: &Git,
    workspace: &Workspace,
    snapshot: &Snapshot,
    plan: &Plan,
) -> Result<Placed, CaptureError> {
    let mut placed = Placed {
        written: Vec::new(),
        changing: Vec::new(),
    };
    if plan.wanted().next().is_none() {
        return Ok(placed);
    }
    let layout = lay_out(git, workspace, snapshot, plan)?;
    let root = native(&workspace.root);
    let top = open_folder(CWD, &root).map_err(|error| CaptureError::io(&root, error.into()))?;
    let everything = plan.in_the_way.keys().chain(plan.wanted());
    placed.changing = everything
        .filter(|path| !plan.still_holds(path))
        .cloned()
        .collect();
    if !placed.changing.is_empty() {
        return Ok(placed);
    }
    for path in plan.in_the_way.keys().filter(|path| !plan.has(path)) {
        if !plan.still_holds(path) {
            placed.changing.push(path.clone());
            return Ok(placed);
        }
        remove(&top, path, AtFlags::empty())
            .map_err(|error| CaptureError::io(plan.full(path), error.into()))?;
    }
    for folder in &plan.folders_in_the_way {
        match remove(&top, folder, AtFlags::REMOVEDIR) {
            Ok(()) => {}
            Err(Errno::NOTEMPTY | Errno::EXIST) => {
                placed.changing.push(folder.clone());
                return Ok(placed);
            }
            Err(error) => return Err(CaptureError::io(plan.full(folder), error.into())),
        }
    }
    for path in plan.wanted() {
        if !plan.still_holds(path) {
            placed.changing.push(path.clone());
            return Ok(placed);
        }
        let from = layout.files.join(OsStr::from_bytes(path.as_bytes()));
        put(&top, path, &from).map_err(|error| CaptureError::io(plan.full(path), error.into()))?;
        placed.written.push(path.clone());
    }
    Ok(placed)
}

/// The wanted files, smudged and with their modes, in a folder of their own.
struct Layout {
    files: PathBuf,
    _folder: TempDir,
}

fn lay_out(
    git: &Git,
    workspace: &Workspace,
    snapshot: &Snapshot,
    plan: &Plan,
) -> Result<Layout, CaptureError> {
    let root = native(&workspace.root);
    let git_dir = native(&workspace.git_dir);
    // Only within one file system can a finished file be renamed into its place.
    let device = |path: &Path| fs::metadata(path).map(|metadata| metadata.dev()).ok();
    let beside = if device(&git_dir) == device(&root) {
        &git_dir
    } else {
        &root
    };
    let folder = tempfile::Builder::new()
        .prefix(".amps-restore-")
        .tempdir_in(beside)
        .map_err(|source| CaptureError::io(beside, source))?;
    let index = folder.path().join("index");
    let files = folder.path().join("files");
    let read = Call::at(workspace)
        .variable("GIT_INDEX_FILE", &index)
        .args([
            "-c",
            "core.sparseCheckout=false",
            "-c",
            "index.sparse=false",
        ])
        .args(["-c", "core.splitIndex=false"])
        .args(["read-tree", snapshot.tree.as_str()]);
    git.run(&read)?;
    let mut list = Vec::new();
    for path in plan.wanted() {
        list.extend_from_slice(path.as_bytes());
        list.push(0);
    }
    let mut prefix = files.clone().into_os_string();
    prefix.push("/");
    let mut option = std::ffi::OsString::from("--prefix=");
    option.push(prefix);
    let write = Call::at(workspace)
        .variable("GIT_INDEX_FILE", &index)
        .args(["checkout-index", "--force", "-z", "--stdin"])
        .arg(option)
        .input(&list);
    git.run(&write)?;
    for path in plan.wanted() {
        let file = files.join(OsStr::from_bytes(path.as_bytes()));
        fs::symlink_metadata(&file).map_err(|source| CaptureError::io(&file, source))?;
    }
    Ok(Layout {
        files,
        _folder: folder,
    })
}

fn open_folder(at: impl std::os::fd::AsFd, name: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(at, name, flags, Mode::empty())
}

/// Opens the folder of a path from the top down; makes what is missing on the way.
fn open_parent(top: &OwnedFd, path: &RawPath, make: bool) -> Result<OwnedFd, Errno> {
    let mut folder = top.try_clone().map_err(|_| Errno::MFILE)?;
    let path = Path::new(OsStr::from_bytes(path.as_bytes()));
    for name in path.parent().into_iter().flat_map(Path::iter) {
        let name = Path::new(name);
        folder = match open_folder(folder.as_fd(), name) {
            Err(Errno::NOENT) if make => {
                match mkdirat(&folder, name, Mode::from_bits_truncate(0o777)) {
                    Ok(()) | Err(Errno::EXIST) => open_folder(folder.as_fd(), name)?,
                    Err(error) => return Err(error),
                }
            }
            opened => opened?,
        };
    }
    Ok(folder)
}

fn remove(top: &OwnedFd, path: &RawPath, flags: AtFlags) -> Result<(), Errno> {
    let name = OsStr::from_bytes(path.file_name());
    match open_parent(top, path, false).and_then(|folder| unlinkat(&folder, name, flags)) {
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(()),
        other => other,
    }
}

fn put(top: &OwnedFd, path: &RawPath, from: &Path) -> Result<(), Errno> {
    let folder = open_parent(top, path, true)?;
    renameat(CWD, from, &folder, OsStr::from_bytes(path.file_name()))
}
