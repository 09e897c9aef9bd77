//! Making the worktree of a session.
//!
//! `git worktree add` is not used: it lets every other git in the repository see a worktree that
//! is half made, upon which a `git fetch` or another `git worktree add` of the person fails, and
//! one that is killed leaves pieces. Instead the few files that gitrepository-layout(5) names are
//! made ready aside and appear by one rename, locked as git itself locks a new worktree. Then the
//! files are checked out; when the lock goes, the worktree is complete.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use amps_core::ground::{CreationPlan, Source, slug};
use amps_core::id::SessionId;
use amps_core::snapshot::Oid;
use jiff::Timestamp;

use super::refs::{self, Change};
use super::repository::{Ours, Repository};
use super::survey::Seat;
use super::{CONTEXT_FOLDER, Refusal, SessionLock, WorktreeError, checkout, exclude, names};
use crate::capture::look::{is_missing, native, raw};
use crate::files::{self, FileError};
use crate::git::{Call, Git, GitError};
use crate::testing::point;

/// Why git finds a new worktree locked.
const BEING_MADE: &str = "being made by amps";

/// What is asked of a new worktree.
#[derive(Clone, Copy, Debug)]
pub struct CreationRequest<'a> {
    /// The session.
    pub session: SessionId,
    /// Its name, of which the branch has a part.
    pub name: &'a str,
    /// The branch, reference or commit to begin from; without one the person's current branch.
    pub base: Option<&'a str>,
    /// The branch to begin from where the person is on none.
    pub default_base: &'a str,
    /// The folder for worktrees, seen from the top of the repository.
    pub worktree_dir: &'a Path,
    /// Now.
    pub now: Timestamp,
}

/// Decides how the worktree is to be made. The name of the branch is reserved; nothing else is
/// changed.
pub fn plan_creation(
    git: &Git,
    repository: &Repository,
    request: &CreationRequest<'_>,
) -> Result<CreationPlan, WorktreeError> {
    let (base_ref, base) = find_base(git, repository, request)?;
    let folder = repository.top.join(request.worktree_dir);
    let (worktree, admin) = find_place(repository, &folder, request.session)?;
    // Without a slash at its end it is also for what is no folder: an agent may make it a link.
    let mut excludes = vec![format!("/{CONTEXT_FOLDER}")];
    if let Ok(inside) = folder.strip_prefix(&repository.top)
        && !inside.as_os_str().is_empty()
        && repository.top != repository.common_dir
    {
        excludes.insert(0, format!("/{}/", inside.to_string_lossy()));
    }
    let branch = names::reserve(
        git,
        &repository.common_dir,
        request.session,
        &slug(request.name),
        request.now,
    )?;
    Ok(CreationPlan {
        session: request.session,
        common_dir: raw(&repository.common_dir),
        source: repository.here.as_deref().map(|top| Source {
            top: raw(top),
            git_dir: raw(&repository.git_dir),
        }),
        worktree: raw(&worktree),
        admin,
        branch,
        base_ref,
        base,
        excludes,
        planned_at: request.now,
    })
}

/// Finds the commit to begin from, and the reference that names it.
fn find_base(
    git: &Git,
    repository: &Repository,
    request: &CreationRequest<'_>,
) -> Result<(Option<String>, Oid), WorktreeError> {
    let folder = repository.here.as_deref();
    let folder = folder.unwrap_or(&repository.common_dir);
    let commit = |name: &str| -> Result<Option<Oid>, GitError> {
        let call = Call::within(folder)
            .args(["rev-parse", "--verify", "--quiet", "--end-of-options"])
            .arg(format!("{name}^{{commit}}"));
        let answer = git.output(&call)?.stdout;
        Ok(Oid::parse(String::from_utf8_lossy(&answer).trim_end()))
    };
    let full_name = |name: &str| -> Result<Option<String>, GitError> {
        let call = Call::within(folder)
            .args(["rev-parse", "--verify", "--quiet", "--symbolic-full-name"])
            .args(["--end-of-options", name]);
        let answer = git.output(&call)?.stdout;
        let answer = String::from_utf8_lossy(&answer);
        let name = answer.lines().find(|line| line.starts_with("refs/"));
        Ok(name.map(str::to_owned))
    };
    if let Some(name) = request.base {
        let branch = format!("refs/heads/{name}");
        if let Some(found) = commit(&branch)? {
            return Ok((Some(branch), found));
        }
        return match commit(name)? {
            Some(found) => Ok((full_name(name)?, found)),
            None => Err(Refusal::NoCommit {
                name: name.to_owned(),
            }
            .into()),
        };
    }
    let default = format!("refs/heads/{}", request.default_base);
    for name in current_branch(git, repository)?
        .into_iter()
        .chain([default])
    {
        if let Some(found) = commit(&name)? {
            return Ok((Some(name), found));
        }
    }
    match commit("HEAD")? {
        Some(found) => Ok((None, found)),
        None => Err(Refusal::NoCommit {
            name: "HEAD".to_owned(),
        }
        .into()),
    }
}

/// Returns the branch that the person is on; in the middle of a rebase the one that is rebased.
fn current_branch(git: &Git, repository: &Repository) -> Result<Option<String>, GitError> {
    let rebased = ["rebase-merge/head-name", "rebase-apply/head-name"];
    for file in rebased.map(|file| repository.git_dir.join(file)) {
        if let Ok(name) = fs::read_to_string(file)
            && name.starts_with("refs/heads/")
        {
            return Ok(Some(name.trim_end().to_owned()));
        }
    }
    let folder = repository.here.as_deref();
    let call = Call::within(folder.unwrap_or(&repository.common_dir));
    let answer = git.output(&call.args(["symbolic-ref", "--quiet", "HEAD"]))?;
    let name = String::from_utf8_lossy(&answer.stdout);
    let name = name.trim_end();
    Ok(name.starts_with("refs/heads/").then(|| name.to_owned()))
}

/// Finds a folder that nobody has: named by the short id, or by the whole one.
fn find_place(
    repository: &Repository,
    folder: &Path,
    session: SessionId,
) -> Result<(PathBuf, String), WorktreeError> {
    let is_free = |path: &Path| fs::symlink_metadata(path).is_err_and(|error| is_missing(&error));
    if fs::symlink_metadata(folder).is_ok_and(|data| !data.is_dir()) {
        return Err(Refusal::InTheWay { path: raw(folder) }.into());
    }
    let ours = Ours::at(&repository.common_dir);
    for name in [session.short(), session.to_string()] {
        let path = folder.join(&name);
        if is_free(&path) && is_free(&ours.registered(&name)) {
            return Ok((path, name));
        }
    }
    Err(Refusal::InTheWay {
        path: raw(&folder.join(session.to_string())),
    }
    .into())
}

/// Makes the worktree. Done again it goes on where it was interrupted.
pub fn carry_out_creation(
    git: &Git,
    plan: &CreationPlan,
    lock: &SessionLock,
) -> Result<(), WorktreeError> {
    let place = Place::of(plan);
    if place.is_complete() {
        return Ok(());
    }
    exclude::ensure(place.ours.common_dir(), &plan.excludes)?;
    point("worktree-excluded");
    make_branch(git, plan, &place, lock)?;
    point("worktree-branch");
    place.make_folder()?;
    point("worktree-folder");
    place.register(git, plan)?;
    point("worktree-registered");
    if !checkout::is_complete(&place.admin) {
        place.check_out(git, lock)?;
    }
    point("worktree-checked-out");
    Ok(files::remove(&place.locked())?)
}

/// Takes back what was made of a worktree that is not complete: as before, but for its reservation
/// in the past and the line in `info/exclude`. Refused where somebody has worked in it: then it can
/// only be completed.
pub fn undo_creation(
    git: &Git,
    plan: &CreationPlan,
    lock: &SessionLock,
) -> Result<(), WorktreeError> {
    let place = Place::of(plan);
    if place.is_complete() {
        return Err(Refusal::Complete.into());
    }
    place.require_own()?;
    checkout::require_unworked(git, plan, place.seat(), lock)?;
    place.remove_folder()?;
    point("worktree-undo-folder");
    place.unregister()?;
    point("worktree-undo-registered");
    let common_dir = place.ours.common_dir();
    let delete = Change::Delete { commit: &plan.base };
    // One that names something else has become somebody's.
    refs::change(git, common_dir, &plan.branch, delete, lock.file())?;
    names::release(&place.ours, plan.session, &plan.branch)?;
    Ok(lock.retire()?)
}

fn make_branch(
    git: &Git,
    plan: &CreationPlan,
    place: &Place,
    lock: &SessionLock,
) -> Result<(), WorktreeError> {
    let from = plan.base_ref.as_deref().unwrap_or(plan.base.as_str());
    let message = format!("branch: Created from {from}");
    let create = Change::Create {
        commit: &plan.base,
        message: &message,
    };
    let common_dir = native(&plan.common_dir);
    let is_made = refs::change(git, &common_dir, &plan.branch, create, lock.file())?;
    // It moves when somebody works in the worktree before this goes on, and stays the session's.
    if is_made || place.is_being_made() {
        return Ok(());
    }
    Err(Refusal::BranchTaken {
        name: plan.branch.clone(),
    }
    .into())
}

/// Where the parts of a worktree lie.
pub(super) struct Place {
    ours: Ours,
    worktree: PathBuf,
    admin: PathBuf,
    aside: PathBuf,
}

impl Place {
    fn of(plan: &CreationPlan) -> Self {
        let ours = Ours::of(&plan.common_dir);
        Self::at(&ours, &plan.admin, &native(&plan.worktree))
    }

    pub(super) fn at(ours: &Ours, admin: &str, worktree: &Path) -> Self {
        Self {
            worktree: worktree.to_owned(),
            admin: ours.registered(admin),
            aside: ours.unregistered(admin),
            ours: ours.clone(),
        }
    }

    /// Makes the files of a worktree that git knows.
    pub(super) fn make_again(&self, git: &Git, lock: &SessionLock) -> Result<(), WorktreeError> {
        self.make_folder()?;
        self.check_out(git, lock)
    }

    fn locked(&self) -> PathBuf {
        self.admin.join("locked")
    }

    /// Returns whether git has the worktree, and it is not being made any more.
    fn is_complete(&self) -> bool {
        self.admin.join("gitdir").exists() && !self.is_being_made()
    }

    /// Returns whether git has the worktree, locked for the time until it is complete.
    fn is_being_made(&self) -> bool {
        let reason = fs::read_to_string(self.locked());
        reason.is_ok_and(|reason| reason.trim_end() == BEING_MADE)
    }

    /// The file in the worktree that leads git to its repository.
    fn pointer(&self) -> Vec<u8> {
        [b"gitdir: ", self.admin.as_os_str().as_bytes(), b"\n"].concat()
    }

    /// Makes the folder appear with the file in it that leads git to its repository.
    fn make_folder(&self) -> Result<(), WorktreeError> {
        if self.is_own() {
            return Ok(());
        }
        let failed = |source| FileError::new("create", &self.worktree, source);
        let aside = self.folder_aside();
        remove_tree(&aside)?;
        fs::create_dir_all(&aside).map_err(failed)?;
        files::replace(&aside.join(".git"), &self.pointer(), 0o644)?;
        match fs::rename(&aside, &self.worktree) {
            Ok(()) => Ok(()),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::DirectoryNotEmpty
                        | io::ErrorKind::AlreadyExists
                        | io::ErrorKind::NotADirectory
                ) =>
            {
                remove_tree(&aside)?;
                Err(self.in_the_way().into())
            }
            Err(error) => Err(failed(error).into()),
        }
    }

    fn folder_aside(&self) -> PathBuf {
        let mut name = OsString::from(".new-");
        name.push(self.worktree.file_name().unwrap_or_default());
        self.worktree.with_file_name(name)
    }

    /// Returns whether the folder is one that a creation has made.
    fn is_own(&self) -> bool {
        fs::read(self.worktree.join(".git")).is_ok_and(|it| it == self.pointer())
    }

    fn in_the_way(&self) -> Refusal {
        Refusal::InTheWay {
            path: raw(&self.worktree),
        }
    }

    /// Makes git see the worktree, with everything that it needs to know.
    fn register(&self, git: &Git, plan: &CreationPlan) -> Result<(), WorktreeError> {
        if self.admin.exists() {
            return Ok(());
        }
        let failed = |source| FileError::new("create", &self.aside, source);
        remove_tree(&self.aside)?;
        fs::create_dir_all(self.aside.join("refs")).map_err(failed)?;
        let back = self.worktree.join(".git");
        let back = [back.as_os_str().as_bytes(), b"\n"].concat();
        let is_reftable = self.ours.common_dir().join("reftable").is_dir();
        let head = if is_reftable {
            "ref: refs/heads/.invalid\n".to_owned()
        } else {
            format!("ref: {}\n", plan.branch)
        };
        let locked = format!("{BEING_MADE}\n");
        for (name, content) in [
            ("HEAD", head.as_bytes()),
            ("commondir", b"../..\n"),
            ("gitdir", &back),
            ("locked", locked.as_bytes()),
        ] {
            files::replace(&self.aside.join(name), content, 0o644)?;
        }
        if is_reftable {
            let stack = self.aside.join("reftable");
            fs::create_dir(&stack).map_err(failed)?;
            files::replace(&stack.join("tables.list"), b"", 0o644)?;
            let call = refs::at(&self.aside).args(["symbolic-ref", "HEAD", &plan.branch]);
            git.run(&call)?;
        }
        self.inherit(git, plan)?;
        let worktrees = self.ours.common_dir().join("worktrees");
        fs::create_dir_all(&worktrees)
            .and_then(|()| fs::rename(&self.aside, &self.admin))
            .map_err(failed)?;
        Ok(())
    }

    /// Gives the worktree what belongs to the one it was asked for in: which part of the tree is
    /// wanted, and its settings, as `git worktree add` does.
    fn inherit(&self, git: &Git, plan: &CreationPlan) -> Result<(), WorktreeError> {
        let Some(source) = &plan.source else {
            return Ok(());
        };
        let git_dir = native(&source.git_dir);
        for name in ["info/sparse-checkout", "config.worktree"] {
            let (from, to) = (git_dir.join(name), self.aside.join(name));
            match fs::read(&from) {
                Ok(content) => {
                    let failed = |source| FileError::new("create", &to, source);
                    fs::create_dir_all(to.parent().unwrap_or(&to)).map_err(failed)?;
                    files::replace(&to, &content, 0o644)?;
                }
                Err(error) if is_missing(&error) => {}
                Err(error) => return Err(FileError::new("read", &from, error).into()),
            }
        }
        let settings = self.aside.join("config.worktree");
        if settings.exists() {
            // They would say of this worktree that it is bare, or lies where the other does.
            for key in ["core.bare", "core.worktree"] {
                let call = refs::at(self.ours.common_dir()).args(["config", "--file"]);
                git.output(&call.arg(&settings).args(["--unset-all", key]))?;
            }
        }
        Ok(())
    }

    fn check_out(&self, git: &Git, lock: &SessionLock) -> Result<(), WorktreeError> {
        checkout::check_out(git, &self.ours, self.seat(), lock)
    }

    fn seat(&self) -> Seat<'_> {
        Seat {
            root: &self.worktree,
            admin: &self.admin,
        }
    }

    /// Fails where the folder is somebody else's.
    fn require_own(&self) -> Result<(), Refusal> {
        let is_absent = fs::symlink_metadata(&self.worktree).is_err_and(|error| is_missing(&error));
        if is_absent || self.is_own() {
            Ok(())
        } else {
            Err(self.in_the_way())
        }
    }

    /// Removes the folder of a worktree that is not complete, in which nobody has worked.
    fn remove_folder(&self) -> Result<(), FileError> {
        remove_tree(&self.folder_aside())?;
        if fs::symlink_metadata(&self.worktree).is_err_and(|error| is_missing(&error)) {
            return Ok(());
        }
        // As a whole, lest a death in between leaves a part that looks like a person's.
        let aside = self.folder_aside();
        fs::rename(&self.worktree, &aside)
            .map_err(|source| FileError::new("remove", &self.worktree, source))?;
        remove_tree(&aside)
    }

    /// Removes what git knows of the worktree, first as a whole from where git looks.
    fn unregister(&self) -> Result<(), FileError> {
        if self.admin.exists() {
            remove_tree(&self.aside)?;
            fs::rename(&self.admin, &self.aside)
                .map_err(|source| FileError::new("remove", &self.admin, source))?;
        }
        remove_tree(&self.aside)
    }
}

/// Removes a folder with all that is in it; one that is not there is as good.
pub(super) fn remove_tree(folder: &Path) -> Result<(), FileError> {
    match fs::remove_dir_all(folder) {
        Err(error) if !is_missing(&error) => Err(FileError::new("remove", folder, error)),
        _ => Ok(()),
    }
}
