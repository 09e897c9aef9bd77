//! Bringing along what git does not track: settings, keys, installed packages.
//!
//! `.worktreeinclude` names files in the syntax of `.gitignore`, as other programs have it; so do
//! the configured patterns. Git itself says which files they name. Only files that git ignores in
//! the new worktree are brought, so that nobody commits them by accident; nothing that is there
//! is overwritten, and no link is followed.

use std::collections::BTreeSet;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, BufRead as _, BufReader};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, symlink};
use std::path::{Path, PathBuf};

use amps_core::ground::{CreationPlan, FurnishPolicy};
use amps_core::path::RawPath;
use rustix::fs::{AtFlags, CWD, OFlags, RenameFlags, Timespec, Timestamps};
use serde::{Deserialize, Serialize};

use super::repository::Ours;
use super::{SessionLock, WorktreeError};
use crate::capture::look::{Kind, changed_at, is_missing, kind, native};
use crate::files::{self, FileError};
use crate::git::{Call, Git, GitError};
use crate::testing::point;

/// The file of patterns at the top of a working tree.
const INCLUDE: &str = ".worktreeinclude";

/// What a worktree was furnished with. It is kept, so that a removal knows what is nobody's work.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Furnished {
    /// Files and links that were brought along.
    pub brought: Vec<Brought>,
    /// What was named and not brought.
    pub left: Vec<LeftBehind>,
}

/// Something that was brought along.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brought {
    /// The path, relative to the top of both working trees.
    pub path: RawPath,
    /// Its size in bytes.
    pub size: u64,
    /// Whether it is a link to the original.
    pub linked: bool,
    /// What the original looked like.
    pub(super) from: Stamp,
    /// What the copy looked like.
    pub(super) to: Stamp,
}

/// Something that was named and not brought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftBehind {
    /// The path.
    pub path: RawPath,
    /// Why, in words.
    pub reason: String,
}

/// What tells that a file is still the one that it was; no program can set it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    changed: i64,
    nanoseconds: i64,
    inode: u64,
    size: u64,
}

impl Stamp {
    pub(super) fn of(data: &Metadata) -> Self {
        debug_assert!(changed_at(data) != 0, "nothing is dated 1970");
        Self {
            changed: data.ctime(),
            nanoseconds: data.ctime_nsec(),
            inode: data.ino(),
            size: data.size(),
        }
    }
}

/// Furnishes a worktree from the one it was asked for in. Done again, it brings what is missing.
pub fn furnish(
    git: &Git,
    plan: &CreationPlan,
    policy: &FurnishPolicy,
    lock: &SessionLock,
) -> Result<Furnished, WorktreeError> {
    debug_assert_eq!(
        lock.session(),
        plan.session,
        "the lock is another session's"
    );
    let ours = Ours::of(&plan.common_dir);
    let mut mover = Mover {
        furnished: load(&ours, plan),
        from: PathBuf::new(),
        to: native(&plan.worktree),
        room: policy.max_copy,
    };
    let Some(source) = &plan.source else {
        return Ok(mover.furnished);
    };
    mover.from = native(&source.top);
    mover.furnished.left.clear();
    let linked = named(git, &mover.from, &policy.link, Form::Whole)?;
    let copied = named(git, &mover.from, &policy.copy, Form::Files)?;
    let own: Vec<RawPath> = plan
        .excludes
        .iter()
        .map(|it| RawPath::new(it.trim_matches('/')))
        .collect();
    let is_foreign = |path: &RawPath| !own.iter().any(|own| path.is_within(own));
    let linked: Vec<RawPath> = linked.into_iter().filter(is_foreign).collect();
    let is_new = |path: &RawPath| !linked.iter().any(|linked| path.is_within(linked));
    let copied: Vec<RawPath> = copied
        .into_iter()
        .filter(|path| is_foreign(path) && is_new(path))
        .collect();
    let (reachable, beyond): (Vec<_>, Vec<_>) = linked
        .iter()
        .chain(&copied)
        .partition(|path| has_real_parents(&mover.to, &native(path)));
    for path in beyond {
        mover.leave(path, "a folder above it is none in the new worktree");
    }
    let ignored = ignored(git, &mover.to, reachable.iter().copied())?;
    for path in reachable {
        if !ignored.contains(path) {
            mover.leave(path, "git does not ignore it in the new worktree");
            continue;
        }
        if let Err(error) = mover.bring(path, linked.contains(path)) {
            mover.leave(path, &format!("it could not be copied: {}", error.source));
        }
        point("worktree-brought");
    }
    save(&ours, plan, &mover.furnished)?;
    Ok(mover.furnished)
}

/// Returns what a worktree was furnished with.
pub(super) fn load(ours: &Ours, plan: &CreationPlan) -> Furnished {
    let text = fs::read(ours.furnished(plan.session)).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

fn save(ours: &Ours, plan: &CreationPlan, furnished: &Furnished) -> Result<(), FileError> {
    ours.folder("furnished")?;
    let text = serde_json::to_vec(furnished).unwrap_or_default();
    files::replace(&ours.furnished(plan.session), &text, 0o600)
}

/// Whether a folder all of whose files are named stands for them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Files,
    Whole,
}

/// Asks which untracked paths the patterns name.
fn named(git: &Git, top: &Path, patterns: &[String], form: Form) -> Result<Vec<RawPath>, GitError> {
    let mut call = Call::alone_within(top).args(["ls-files", "-z", "--others", "--ignored"]);
    let include = top.join(INCLUDE);
    let has_file =
        form == Form::Files && fs::symlink_metadata(&include).is_ok_and(|data| data.is_file());
    if patterns.is_empty() && !has_file {
        return Ok(Vec::new());
    }
    if has_file {
        call = call.arg("--exclude-from").arg(include);
    }
    for pattern in patterns {
        call = call.arg("--exclude").arg(pattern);
    }
    if form == Form::Whole {
        call = call.arg("--directory");
    }
    let answer = git.run(&call)?;
    let paths = answer.split(|byte| *byte == 0).filter(|it| !it.is_empty());
    Ok(paths
        .map(|path| match form {
            // A folder that is a repository of its own; only a link can bring it.
            Form::Files => RawPath::new(path),
            Form::Whole => RawPath::new(path.strip_suffix(b"/").unwrap_or(path)),
        })
        .collect())
}

/// Asks which of the paths git ignores there.
fn ignored<'a>(
    git: &Git,
    top: &Path,
    paths: impl Iterator<Item = &'a RawPath>,
) -> Result<BTreeSet<RawPath>, GitError> {
    let mut input = Vec::new();
    for path in paths {
        // Nothing that begins so is taken for anything but a path.
        input.extend_from_slice(b"./");
        input.extend_from_slice(path.as_bytes());
        input.push(0);
    }
    if input.is_empty() {
        return Ok(BTreeSet::new());
    }
    let call = Call::alone_within(top)
        .args(["--no-literal-pathspecs", "check-ignore", "-z", "--stdin"])
        .input(&input);
    let output = git.output(&call)?;
    match output.status {
        // 1: none of them.
        Some(status) if !matches!(status.code(), Some(0 | 1)) => {
            return Err(output.into_error(&call, status));
        }
        _ => {}
    }
    let paths = output.stdout.split(|byte| *byte == 0);
    let paths = paths.filter_map(|path| path.strip_prefix(b"./"));
    Ok(paths.map(RawPath::new).collect())
}

struct Mover {
    furnished: Furnished,
    from: PathBuf,
    to: PathBuf,
    /// Bytes that may still be copied.
    room: u64,
}

impl Mover {
    fn leave(&mut self, path: &RawPath, reason: &str) {
        self.furnished.left.push(LeftBehind {
            path: path.clone(),
            reason: reason.to_owned(),
        });
    }

    fn bring(&mut self, path: &RawPath, is_link: bool) -> Result<(), FileError> {
        let relative = native(path);
        let (from, to) = (self.from.join(&relative), self.to.join(&relative));
        let data = match fs::symlink_metadata(&from) {
            Ok(data) => data,
            Err(error) if is_missing(&error) => return Ok(()),
            Err(source) => return Err(FileError::new("read", &from, source)),
        };
        let failed = |source| FileError::new("create", &to, source);
        make_parents(&to).map_err(failed)?;
        if let Ok(present) = fs::symlink_metadata(&to) {
            // What is there stays. It may have been brought just before an interruption.
            let is_noted = self.furnished.brought.iter().any(|it| it.path == *path);
            let is_link = is_link && present.is_symlink();
            if !is_noted && (is_link || is_same(&from, &to).map_err(failed)?) {
                self.note(path, is_link, &data, &present);
            }
            return Ok(());
        }
        let made = match kind(data.file_type()) {
            _ if is_link => place(&to, |aside| symlink(&from, aside)),
            Kind::Link => {
                fs::read_link(&from).and_then(|target| place(&to, |aside| symlink(&target, aside)))
            }
            Kind::File => match self.copy(&from, &to, &data) {
                Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                    self.leave(path, "it is larger than what may be copied");
                    return Ok(());
                }
                made => made,
            },
            Kind::Folder | Kind::Special => {
                self.leave(path, "it is neither a file nor a link");
                return Ok(());
            }
        };
        made.map_err(failed)?;
        let made = fs::symlink_metadata(&to).map_err(failed)?;
        self.note(path, is_link, &data, &made);
        Ok(())
    }

    fn note(&mut self, path: &RawPath, linked: bool, original: &Metadata, made: &Metadata) {
        self.furnished.brought.push(Brought {
            path: path.clone(),
            size: original.size(),
            linked,
            from: Stamp::of(original),
            to: Stamp::of(made),
        });
    }

    /// Copies a file, without copying its bytes where the file system can share them.
    fn copy(&mut self, from: &Path, to: &Path, data: &Metadata) -> io::Result<()> {
        let no_follow = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default();
        let mut options = OpenOptions::new();
        let mut source = options.read(true).custom_flags(no_follow).open(from)?;
        place(to, |aside| {
            let mut options = OpenOptions::new();
            options.create(true).truncate(true).write(true).mode(0o600);
            let mut copy = options.open(aside)?;
            if rustix::fs::ioctl_ficlone(&copy, &source).is_err() {
                let room = self.room.checked_sub(data.size());
                self.room = room.ok_or(io::ErrorKind::FileTooLarge)?;
                io::copy(&mut source, &mut copy)?;
            }
            finish(&copy, data)
        })
    }
}

/// Returns whether two paths hold the same file or link.
fn is_same(one: &Path, other: &Path) -> io::Result<bool> {
    let (here, there) = (fs::symlink_metadata(one)?, fs::symlink_metadata(other)?);
    let alike = (here.mode(), here.size()) == (there.mode(), there.size());
    match kind(here.file_type()) {
        _ if !alike => Ok(false),
        Kind::Link => Ok(fs::read_link(one)? == fs::read_link(other)?),
        Kind::File => same_bytes(File::open(one)?, File::open(other)?),
        Kind::Folder | Kind::Special => Ok(false),
    }
}

fn same_bytes(one: File, other: File) -> io::Result<bool> {
    let (mut one, mut other) = (BufReader::new(one), BufReader::new(other));
    loop {
        let (here, there) = (one.fill_buf()?, other.fill_buf()?);
        let length = here.len().min(there.len());
        if here[..length] != there[..length] {
            return Ok(false);
        }
        if length == 0 {
            return Ok(here.len() == there.len());
        }
        one.consume(length);
        other.consume(length);
    }
}

/// Gives a copy the mode and the time of the original.
fn finish(copy: &File, data: &Metadata) -> io::Result<()> {
    let time = |seconds, nanoseconds| Timespec {
        tv_sec: seconds,
        tv_nsec: nanoseconds,
    };
    let times = Timestamps {
        last_access: time(data.atime(), data.atime_nsec()),
        last_modification: time(data.mtime(), data.mtime_nsec()),
    };
    copy.set_permissions(data.permissions())?;
    Ok(rustix::fs::futimens(copy, &times)?)
}

/// Makes something beside its place and lets it appear there as a whole.
fn place(to: &Path, make: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let mut name = std::ffi::OsString::from(".new-");
    name.push(to.file_name().unwrap_or_default());
    let aside = to.with_file_name(name);
    match fs::remove_file(&aside) {
        Err(error) if !is_missing(&error) => return Err(error),
        _ => {}
    }
    let placed = make(&aside).and_then(|()| {
        rustix::fs::renameat_with(CWD, &aside, CWD, to, RenameFlags::NOREPLACE)?;
        Ok(())
    });
    if placed.is_err() {
        rustix::fs::unlinkat(CWD, &aside, AtFlags::empty()).ok();
    }
    placed
}

/// Returns whether what lies above a path is folders, as far as there is something, and no links.
fn has_real_parents(top: &Path, relative: &Path) -> bool {
    let parents = relative.ancestors().skip(1).map(|part| top.join(part));
    let data = parents.filter_map(|folder| fs::symlink_metadata(folder).ok());
    data.into_iter().all(|data| data.is_dir())
}

fn make_parents(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path.parent().unwrap_or(path))
}
