//! How everything looks that a frozen state depends on.

use std::collections::HashSet;
use std::ffi::{CStr, OsStr};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use amps_core::snapshot::{Workspace, WorkspaceKind};
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, open, openat, statat};
use rustix::io::Errno;

use super::sources;
use crate::capture::look::native;
use crate::git::Git;

/// Looking at more paths takes about as long as asking git.
const MAX_PATHS: usize = 20_000;

/// Paths, each with a mark of how it looked: kind, size, times and the number of its inode.
#[derive(Debug)]
pub(super) struct Footprint {
    root: PathBuf,
    /// Each ends with a zero byte. Those of the working tree are relative to its root.
    paths: Vec<u8>,
    marks: Vec<u64>,
}

/// Something changed too lately to be told apart from its next change, or cannot be looked at.
struct Unsteady;

impl Footprint {
    /// Looks at everything that decides what differs from HEAD, and at the reference that keeps
    /// the contents. Returns `None` if any of it changed at `settled` or later, in nanoseconds
    /// since 1970, or where looking is not enough.
    pub(super) fn of(
        git: &Git,
        workspace: &Workspace,
        reference: &str,
        settled: i128,
    ) -> Option<Self> {
        let tracked = sources::tracked(git, workspace, MAX_PATHS)?;
        let mut walk = Walk {
            footprint: Self {
                root: native(&workspace.root),
                paths: Vec::new(),
                marks: Vec::new(),
            },
            settled,
            ignored: sources::ignored(git, workspace, MAX_PATHS)?,
            seen: HashSet::new(),
        };
        let own_git_dir = workspace.kind == WorkspaceKind::Repository;
        let of_repository = sources::of_repository(workspace)?;
        for path in of_repository
            .iter()
            .chain(&sources::of_configuration(git, workspace)?)
        {
            walk.add_source(path.as_os_str().as_bytes()).ok()?;
        }
        for folder in [&workspace.git_dir, &workspace.common_dir] {
            walk.look(folder.as_bytes()).ok()?;
        }
        walk.folder(b"", own_git_dir).ok()?;
        for path in &tracked {
            walk.tracked(path).ok()?;
        }
        // Made just now, it keeps the contents for as long as it stands.
        walk.settled = i128::MAX;
        let kept = native(&workspace.common_dir).join(reference);
        walk.add(kept.as_os_str().as_bytes()).ok()?;
        walk.footprint.paths.shrink_to_fit();
        walk.footprint.marks.shrink_to_fit();
        Some(walk.footprint)
    }

    /// Returns whether everything still looks the same.
    pub(super) fn stands(&self) -> bool {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let Ok(root) = open(&self.root, flags, Mode::empty()) else {
            return false;
        };
        let mut rest = self.paths.as_slice();
        self.marks.iter().all(|mark| {
            let Ok(path) = CStr::from_bytes_until_nul(rest) else {
                return false;
            };
            rest = rest.get(path.count_bytes() + 1..).unwrap_or_default();
            let path = if path.is_empty() { c"." } else { path };
            match statat(&root, path, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => mark_of(Some(&stat)) == *mark,
                Err(error) => is_absent(error) && mark_of(None) == *mark,
            }
        })
    }
}

struct Walk {
    footprint: Footprint,
    settled: i128,
    ignored: HashSet<Vec<u8>>,
    /// The paths of the working tree that have their mark.
    seen: HashSet<Vec<u8>>,
}

impl Walk {
    fn full(&self, path: &[u8]) -> PathBuf {
        if path.is_empty() {
            return self.footprint.root.clone();
        }
        self.footprint.root.join(OsStr::from_bytes(path))
    }

    /// Looks at a path; what is absent has no time of its own.
    fn look(&self, path: &[u8]) -> Result<Option<Stat>, Unsteady> {
        match statat(CWD, self.full(path), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if latest(&stat) < self.settled => Ok(Some(stat)),
            Err(error) if is_absent(error) => Ok(None),
            Ok(_) | Err(_) => Err(Unsteady),
        }
    }

    fn add(&mut self, path: &[u8]) -> Result<(), Unsteady> {
        let mark = mark_of(self.look(path)?.as_ref());
        if self.footprint.marks.len() >= MAX_PATHS || path.contains(&0) {
            return Err(Unsteady);
        }
        self.footprint.paths.extend_from_slice(path);
        self.footprint.paths.push(0);
        self.footprint.marks.push(mark);
        Ok(())
    }

    /// Looks at a file that git reads. One that is reached by a link may change without the link.
    fn add_source(&mut self, path: &[u8]) -> Result<(), Unsteady> {
        match self.look(path)? {
            Some(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink => {
                Err(Unsteady)
            }
            Some(_) => self.add(path),
            None => {
                self.look_above(path)?;
                self.add(path)
            }
        }
    }

    /// What vanished just now has left its time with the folder that it was in.
    fn look_above(&self, path: &[u8]) -> Result<(), Unsteady> {
        for folder in self.full(path).ancestors().skip(1) {
            if self.look(folder.as_os_str().as_bytes())?.is_some() {
                return Ok(());
            }
        }
        Err(Unsteady)
    }

    fn add_once(&mut self, path: &[u8]) -> Result<(), Unsteady> {
        if self.seen.insert(path.to_owned()) {
            self.add(path)?;
        }
        Ok(())
    }

    /// Looks at a folder and at what is in it, as far as git does not ignore it.
    fn folder(&mut self, path: &[u8], own_git_dir: bool) -> Result<(), Unsteady> {
        self.add_once(path)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = openat(CWD, self.full(path), flags, Mode::empty()).map_err(|_| Unsteady)?;
        let mut below = path.to_owned();
        if !path.is_empty() {
            below.push(b'/');
        }
        for entry in Dir::new(opened).map_err(|_| Unsteady)? {
            let entry = entry.map_err(|_| Unsteady)?;
            let name = entry.file_name().to_bytes();
            match name {
                b"." | b".." => continue,
                b".git" if own_git_dir => continue,
                // What a repository inside stands for is not told by its folder.
                b".git" => return Err(Unsteady),
                _ => {}
            }
            let child = [&below, name].concat();
            match entry.file_type() {
                FileType::Unknown => return Err(Unsteady),
                FileType::Directory if self.is_ignored(&child, true) => {}
                FileType::Directory => self.folder(&child, false)?,
                // An ignored file may itself say what else is ignored.
                _ if decides(name) || !self.is_ignored(&child, false) => self.add_once(&child)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Looks at a tracked path that may lie where everything else is ignored.
    fn tracked(&mut self, path: &[u8]) -> Result<(), Unsteady> {
        self.add_once(path)?;
        for (place, byte) in path.iter().enumerate() {
            if *byte == b'/' {
                self.add_once(path.get(..place).unwrap_or_default())?;
            }
        }
        Ok(())
    }

    fn is_ignored(&self, path: &[u8], is_folder: bool) -> bool {
        if is_folder {
            self.ignored.contains(&[path, b"/"].concat())
        } else {
            self.ignored.contains(path)
        }
    }
}

fn decides(name: &[u8]) -> bool {
    matches!(name, b".gitignore" | b".gitattributes")
}

fn is_absent(error: Errno) -> bool {
    matches!(error, Errno::NOENT | Errno::NOTDIR)
}

/// Returns the latest time that the last change may have been made. Some file systems keep whole
/// seconds, or every other one.
fn latest(stat: &Stat) -> i128 {
    let time = |seconds: i128, nanoseconds: i128| {
        let cut_off = if nanoseconds == 0 { 2 } else { 0 };
        (seconds + cut_off) * 1_000_000_000 + nanoseconds
    };
    let changed = time(stat.st_ctime.into(), stat.st_ctime_nsec.into());
    changed.max(time(stat.st_mtime.into(), stat.st_mtime_nsec.into()))
}

fn mark_of(stat: Option<&Stat>) -> u64 {
    let mut hasher = DefaultHasher::new();
    stat.map(|stat| {
        (
            (stat.st_dev, stat.st_ino, stat.st_mode, stat.st_uid),
            (stat.st_size, stat.st_mtime, stat.st_mtime_nsec),
            (stat.st_ctime, stat.st_ctime_nsec),
        )
    })
    .hash(&mut hasher);
    hasher.finish()
}
