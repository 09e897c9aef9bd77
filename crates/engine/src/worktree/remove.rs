//! Removing a worktree: for good where all of it is proven to exist elsewhere, else to the trash.
//!
//! The folder, and what git keeps of the worktree, are moved by a rename each, so that both are
//! always whole in one place. Nothing is deleted before it lies in the trash and has been looked
//! at there once more. A removal that goes on looks again, too: days may have passed.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use amps_core::capture::{CaptureLimits, Side};
use amps_core::ground::{CreationPlan, Finding, RemovalPlan, Tip, TrashEntry, TrashStage};
use amps_core::snapshot::{Snapshot, Workspace, WorkspaceKind};
use amps_core::time::Moment;
use jiff::Timestamp;

use super::refs::{self, Change};
use super::repository::Ours;
use super::survey::{self, Seat, Submodules};
use super::{
    Refusal, RepositoryLock, SessionLock, WorktreeError, listing, names, occupants, trash,
};
use crate::capture::look::{is_missing, native, raw};
use crate::capture::{Cutoff, adopt, freeze, keep};
use crate::files::FileError;
use crate::git::Git;
use crate::testing::point;

/// How long other removals may take to let go of their branches.
const WAIT: Duration = Duration::from_secs(60);

/// What became of a worktree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RemovalOutcome {
    /// All of it existed elsewhere, and it is gone.
    Removed,
    /// It can be brought back from the trash.
    Trashed(Box<TrashEntry>),
}

/// Finds out what of a worktree exists nowhere else. Refused while somebody works in it, or has
/// locked it.
pub fn plan_removal(
    git: &Git,
    ground: &CreationPlan,
    now: Timestamp,
) -> Result<RemovalPlan, WorktreeError> {
    let ours = Ours::of(&ground.common_dir);
    let admin = ours.registered(&ground.admin);
    let is_registered = admin.join("gitdir").exists();
    let noted = is_registered.then(|| survey::noted_root(&admin)).flatten();
    let root = noted.unwrap_or_else(|| native(&ground.worktree));
    let root = is_folder(&root)?.then_some(root);
    if is_registered {
        require_unlocked(&admin)?;
    }
    if let Some(root) = &root {
        occupants::require_none(root)?;
        require_no_other(git, ground, root)?;
    }
    let branch = own_branch(git, ground, &admin)?;
    let mut findings = Vec::new();
    match &root {
        Some(root) if is_registered => {
            let admin = &admin;
            findings = survey::files(git, ground, Seat { root, admin }, Submodules::Look)?;
        }
        Some(_) => findings.push(Finding::Unregistered),
        None => {}
    }
    let count = survey::stashes(git, ground)?;
    if count > 0 {
        findings.push(Finding::Stash { count });
    }
    let tip = branch.as_ref().map(|branch| &branch.commit);
    let noted_in = is_registered.then_some(&admin);
    let unique = survey::commits(git, ground, tip, noted_in.map(PathBuf::as_path))?;
    findings.extend(unique.finding);
    Ok(RemovalPlan {
        ground: ground.clone(),
        trash: raw(&trash_folder(&ours, ground, root.as_deref())),
        worktree: root.as_deref().map(raw),
        registered: is_registered,
        branch,
        findings,
        keep: unique.tips,
        planned_at: now,
    })
}

fn is_folder(path: &Path) -> Result<bool, FileError> {
    match fs::symlink_metadata(path) {
        Ok(data) => Ok(data.is_dir()),
        Err(error) if is_missing(&error) => Ok(false),
        Err(source) => Err(FileError::new("read", path, source)),
    }
}

fn require_unlocked(admin: &Path) -> Result<(), WorktreeError> {
    let path = admin.join("locked");
    match fs::read_to_string(&path) {
        Ok(reason) => {
            let reason = amps_core::path::visible(reason.trim());
            Err(Refusal::LockedByGit { reason }.into())
        }
        Err(error) if is_missing(&error) => Ok(()),
        Err(source) => Err(FileError::new("read", &path, source).into()),
    }
}

/// Fails where another worktree lies in the folder: it would go with it.
fn require_no_other(git: &Git, ground: &CreationPlan, root: &Path) -> Result<(), WorktreeError> {
    let Ok(root) = fs::canonicalize(root) else {
        return Ok(());
    };
    for listed in listing::list(git, &native(&ground.common_dir))? {
        let is_inside = fs::canonicalize(native(&listed.path))
            .is_ok_and(|path| path != root && path.starts_with(&root));
        if is_inside {
            return Err(Refusal::Holds { path: listed.path }.into());
        }
    }
    Ok(())
}

/// Returns the branch of the session, unless another worktree has it checked out.
fn own_branch(
    git: &Git,
    ground: &CreationPlan,
    admin: &Path,
) -> Result<Option<Tip>, WorktreeError> {
    let common_dir = native(&ground.common_dir);
    let Some(commit) = refs::read(git, &common_dir, &ground.branch)? else {
        return Ok(None);
    };
    let own = survey::noted_root(admin).map(|root| raw(&root));
    let is_used = listing::list(git, &common_dir)?.iter().any(|listed| {
        listed.branch.as_deref() == Some(&ground.branch) && Some(&listed.path) != own.as_ref()
    });
    let name = ground.branch.clone();
    Ok((!is_used).then_some(Tip { name, commit }))
}

/// Returns the folder for the files: below our own, or beside the worktree where that is another
/// file system.
fn trash_folder(ours: &Ours, ground: &CreationPlan, root: Option<&Path>) -> PathBuf {
    let device = |path: &Path| fs::metadata(path).map(|data| data.dev()).ok();
    let parent = root.and_then(Path::parent);
    match parent {
        Some(parent) if device(parent) != device(ours.common_dir()) => {
            parent.join(format!(".trash-{}", ground.session))
        }
        _ => ours.trash(ground.session).join("files"),
    }
}

/// Removes the worktree as planned. Done again it goes on where it was interrupted.
pub fn carry_out_removal(
    git: &Git,
    plan: &RemovalPlan,
    lock: &SessionLock,
    now: Moment,
    limits: &CaptureLimits,
) -> Result<RemovalOutcome, WorktreeError> {
    let mut removal = Removal::of(git, plan, lock, now)?;
    if removal.entry.stage == TrashStage::Going {
        removal.keep_commits()?;
        point("removal-commits-kept");
        removal.keep_files(limits)?;
        point("removal-files-kept");
        removal.move_files()?;
        point("removal-files-moved");
        removal.look_again()?;
        removal.move_admin()?;
        point("removal-unregistered");
        removal.delete_branch()?;
        point("removal-branch-deleted");
        removal.settle()?;
        point("removal-settled");
    }
    removal.end()
}

struct Removal<'a> {
    git: &'a Git,
    lock: &'a SessionLock,
    ours: Ours,
    admin: PathBuf,
    now: Moment,
    entry: TrashEntry,
}

impl<'a> Removal<'a> {
    /// Takes up a removal that was begun, or begins one that is as it was planned.
    fn of(
        git: &'a Git,
        plan: &RemovalPlan,
        lock: &'a SessionLock,
        now: Moment,
    ) -> Result<Self, WorktreeError> {
        let ours = Ours::of(&plan.ground.common_dir);
        let session = plan.ground.session;
        let begun = trash::load(&ours, session)?;
        let entry = match begun {
            Some(entry) if entry.plan.planned_at == plan.planned_at => {
                if is_all_in_place(&ours, &entry)?
                    && let Err(error) = look_before(git, plan)
                {
                    if let WorktreeError::Refused(_) = error {
                        trash::forget(git, &ours, &entry, lock)?;
                    }
                    return Err(error);
                }
                entry
            }
            Some(_) => {
                let path = raw(&ours.trash(session));
                return Err(Refusal::InTheWay { path }.into());
            }
            None => {
                let stage = look_before(git, plan)?;
                let entry = TrashEntry {
                    refs: trash::tips(plan),
                    plan: plan.clone(),
                    trashed_at: now.at,
                    snapshot: None,
                    stage,
                };
                trash::save(&ours, &entry)?;
                entry
            }
        };
        Ok(Self {
            git,
            lock,
            admin: ours.registered(&plan.ground.admin),
            ours,
            now,
            entry,
        })
    }

    fn keep_commits(&self) -> Result<(), WorktreeError> {
        Ok(refs::keep_all(
            self.git,
            self.ours.common_dir(),
            &self.entry.refs,
        )?)
    }

    /// Keeps what is not committed as a commit, too: it is there when the folder is not.
    fn keep_files(&mut self, limits: &CaptureLimits) -> Result<(), WorktreeError> {
        let plan = &self.entry.plan;
        let root = plan.worktree.clone().filter(|_| plan.registered);
        let Some(root) = root.filter(|_| plan.keeps_files() && self.entry.snapshot.is_none())
        else {
            return Ok(());
        };
        if is_folder(&native(&root))? {
            let workspace = Workspace {
                kind: WorkspaceKind::Repository,
                root,
                git_dir: raw(&self.admin),
                common_dir: plan.ground.common_dir.clone(),
            };
            self.entry.snapshot = Some(self.snapshot(&workspace, limits)?);
            trash::save(&self.ours, &self.entry)?;
        }
        Ok(())
    }

    fn snapshot(
        &self,
        workspace: &Workspace,
        limits: &CaptureLimits,
    ) -> Result<Snapshot, WorktreeError> {
        let git = self.git.alone();
        let name = trash::snapshot_name(self.entry.plan.ground.session);
        if let Some(snapshot) = adopt(&git, workspace, &name, self.now)? {
            return Ok(snapshot);
        }
        let cutoff = Cutoff::open(self.now);
        let frozen = freeze(&git, workspace, Side::End, &cutoff, limits)?;
        Ok(keep(&git, workspace, &frozen, &name, None)?)
    }

    fn move_files(&self) -> Result<(), WorktreeError> {
        let plan = &self.entry.plan;
        let trash = native(&plan.trash);
        let Some(root) = plan.worktree.as_ref().map(native) else {
            return Ok(());
        };
        if is_folder(&root)? && !is_folder(&trash)? {
            fs::rename(&root, &trash).map_err(|source| FileError::new("move", &root, source))?;
        }
        Ok(())
    }

    /// Looks at the files where nobody finds them any more: something may have been written
    /// between the last look and the move.
    fn look_again(&mut self) -> Result<(), WorktreeError> {
        let plan = &self.entry.plan;
        let root = native(&plan.trash);
        if plan.keeps_files() || !self.admin.exists() || !is_folder(&root)? {
            return Ok(());
        }
        let seat = Seat {
            root: &root,
            admin: &self.admin,
        };
        let found = survey::files(self.git, &plan.ground, seat, Submodules::PassOver)?;
        if !found.is_empty() {
            self.entry.plan.findings.extend(found);
            trash::save(&self.ours, &self.entry)?;
        }
        Ok(())
    }

    fn move_admin(&self) -> Result<(), WorktreeError> {
        let to = trash::admin(&self.ours, self.entry.plan.ground.session);
        if self.entry.plan.registered && self.admin.exists() && !to.exists() {
            fs::rename(&self.admin, &to)
                .map_err(|source| FileError::new("move", &self.admin, source))?;
        }
        Ok(())
    }

    /// Looks whether commits that were elsewhere are so no more, and keeps them.
    fn look_at_commits(&mut self) -> Result<(), WorktreeError> {
        let plan = &self.entry.plan;
        let moved = trash::admin(&self.ours, plan.ground.session);
        let admin = plan.registered.then_some(moved).filter(|it| it.exists());
        let tip = plan.branch.as_ref().map(|branch| &branch.commit);
        let unique = survey::commits(self.git, &plan.ground, tip, admin.as_deref())?;
        let mut new = unique.tips;
        new.retain(|tip| !plan.keep.contains(tip));
        if new.is_empty() {
            return Ok(());
        }
        let plan = &mut self.entry.plan;
        plan.keep.extend(new);
        plan.findings
            .retain(|finding| !matches!(finding, Finding::Commits { .. }));
        plan.findings.extend(unique.finding);
        self.entry.refs = trash::tips(plan);
        trash::save(&self.ours, &self.entry)?;
        self.keep_commits()
    }

    /// Keeps others from removing what the last look found elsewhere. A refusal would say that
    /// nothing was done.
    fn alone(&self) -> Result<RepositoryLock, WorktreeError> {
        let common_dir = self.ours.common_dir();
        RepositoryLock::take(common_dir, "amps cleanup", WAIT).map_err(|error| match error {
            WorktreeError::Refused(_) => {
                FileError::new("lock", common_dir, io::ErrorKind::TimedOut.into()).into()
            }
            other => other,
        })
    }

    fn delete_branch(&mut self) -> Result<(), WorktreeError> {
        let _alone = self.alone()?;
        self.look_at_commits()?;
        point("removal-commits-looked-at");
        if let Some(Tip { name, commit }) = &self.entry.plan.branch {
            let delete = Change::Delete { commit };
            let common_dir = self.ours.common_dir();
            // One that names something else by now has become somebody's.
            refs::change(self.git, common_dir, name, delete, self.lock.file())?;
        }
        Ok(())
    }

    fn settle(&mut self) -> Result<(), WorktreeError> {
        let ground = &self.entry.plan.ground;
        names::release(&self.ours, ground.session, &ground.branch)?;
        self.entry.stage = if self.entry.plan.is_proven() {
            TrashStage::Purging
        } else {
            TrashStage::Kept
        };
        Ok(trash::save(&self.ours, &self.entry)?)
    }

    fn end(self) -> Result<RemovalOutcome, WorktreeError> {
        if self.entry.stage == TrashStage::Purging {
            trash::purge(self.git, &self.ours, &self.entry, self.lock)?;
            self.lock.retire()?;
            return Ok(RemovalOutcome::Removed);
        }
        if !self.entry.plan.keeps_files() {
            super::create::remove_tree(&native(&self.entry.plan.trash))?;
        }
        Ok(RemovalOutcome::Trashed(Box::new(self.entry)))
    }
}

/// Returns whether nothing has been moved yet of a removal that was begun.
fn is_all_in_place(ours: &Ours, entry: &TrashEntry) -> Result<bool, FileError> {
    let plan = &entry.plan;
    let root = plan.worktree.as_ref().map(native);
    Ok(entry.stage == TrashStage::Going
        && root.as_deref().map_or(Ok(false), is_folder)?
        && !is_folder(&native(&plan.trash))?
        && !is_folder(&trash::admin(ours, plan.ground.session))?)
}

/// Looks whether all is as it was planned for. What is gone already has only to be forgotten.
fn look_before(git: &Git, plan: &RemovalPlan) -> Result<TrashStage, WorktreeError> {
    let now = plan_removal(git, &plan.ground, plan.planned_at)?;
    let is_gone = now.worktree.is_none() && !now.registered && now.branch.is_none();
    if is_gone && plan.is_proven() {
        return Ok(TrashStage::Purging);
    }
    let what = if now.branch != plan.branch {
        "the branch"
    } else if now.worktree != plan.worktree || now.registered != plan.registered {
        "the place of the worktree"
    } else if now.findings != plan.findings || now.keep != plan.keep {
        "what is in the worktree"
    } else {
        return Ok(TrashStage::Going);
    };
    Err(Refusal::Changed { what }.into())
}
