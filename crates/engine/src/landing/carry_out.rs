//! The second half of every plan: working trees are brought along, then the references move.
//!
//! The order is backups, index locks, working trees, references, and the locks are let go last. So
//! whatever a kill leaves is found again by the locks, and until then nobody commits in between.

use amps_core::landing::{Backup, Course, Move, Refusal};
use amps_core::path::RawPath;
use amps_core::snapshot::Oid;

use super::branch::commits_of;
use super::checkout::{Checkout, checkouts, differing, require_not_rebased};
use super::grip::{Grip, Hold};
use super::merge::is_ancestor;
use super::{Ground, LandingError};
use crate::files;
use crate::git::parse::Differing;
use crate::git::{Git, GitError};
use crate::testing;

/// Moves what a plan moves. Called again after a kill, it finishes; called again after it is done,
/// it changes nothing.
///
/// [`Refusal::Moved`] says that the plan is void, because somebody else moved a reference. Nothing
/// has changed then, and a working tree that was brought along before a kill is back.
pub fn carry_out(git: &Git, ground: &Ground, course: &Course) -> Result<(), LandingError> {
    let turn = &take_turn(ground)?;
    let steps = steps(git, ground, course)?;
    match standing(git, ground, course)? {
        Standing::Void(refusal) => {
            for step in steps {
                step.undo(git, turn)?;
            }
            return Err(refusal.into());
        }
        Standing::Arrived => {
            return steps
                .into_iter()
                .try_for_each(|step| step.finish(git, turn));
        }
        Standing::Waiting => {}
    }
    for one in &course.moves {
        require_not_rebased(ground, &one.reference)?;
    }
    keep(git, ground, course, turn)?;
    testing::point("landing-kept");
    let mut held = Vec::new();
    let brought = steps
        .into_iter()
        .try_for_each(|step| step.bring(git, turn, &mut held));
    testing::point("landing-brought");
    let moved = brought.and_then(|()| move_all(git, ground, course, turn));
    testing::point("landing-moved");
    if let Err(error) = moved {
        // A killed or failed git may have moved it all the same.
        match standing(git, ground, course)? {
            Standing::Arrived => {}
            Standing::Waiting => return undo(git, turn, held).and(Err(error)),
            Standing::Void(refusal) => return undo(git, turn, held).and(Err(refusal.into())),
        }
    }
    held.into_iter().try_for_each(|(_, grip)| grip.release())
}

/// Brings back what a carrying out that was killed has begun, where no reference has moved yet.
/// Nothing is done, and nothing is amiss, where it has not begun.
///
/// [`Refusal::NothingToDo`] says that the references have moved: there it is too late.
pub fn take_back(git: &Git, ground: &Ground, course: &Course) -> Result<(), LandingError> {
    let turn = &take_turn(ground)?;
    if matches!(standing(git, ground, course)?, Standing::Arrived) {
        return Err(Refusal::NothingToDo.into());
    }
    for step in steps(git, ground, course)? {
        step.undo(git, turn)?;
    }
    Ok(())
}

/// Waits until no other landing is carried out in the repository.
///
/// A git that writes is given the lock as its standard input. So a kill lets the next one in, but
/// not while a git that was left behind is still at work.
pub(super) fn take_turn(ground: &Ground) -> Result<files::Lock, LandingError> {
    let path = ground.common_dir.join("amps-landing.turn");
    let mut lock = files::Lock::take(&path)?;
    lock.write_pid(std::process::id())
        .map_err(|source| LandingError::io(&path, source))?;
    Ok(lock)
}

/// Where the references of a course stand.
enum Standing {
    /// Some are still to move.
    Waiting,
    /// All have moved, and perhaps further since.
    Arrived,
    /// One is where nobody expects it.
    Void(Refusal),
}

fn standing(git: &Git, ground: &Ground, course: &Course) -> Result<Standing, LandingError> {
    let names: Vec<&str> = course
        .moves
        .iter()
        .map(|one| one.reference.as_str())
        .collect();
    let found = commits_of(git, ground, &names)?;
    let mut standing = Standing::Arrived;
    for (one, found) in course.moves.iter().zip(found) {
        if has_arrived(git, ground, one, found.as_ref())? {
            continue;
        }
        if found.as_ref() != Some(&one.from) {
            return Ok(Standing::Void(Refusal::Moved {
                reference: one.reference.clone(),
                expected: one.from.clone(),
                found,
            }));
        }
        standing = Standing::Waiting;
    }
    Ok(standing)
}

/// Returns whether a reference has made its move. It may have gone on since: then the move is part of
/// what it names, and its working tree may not be taken back behind it.
fn has_arrived(
    git: &Git,
    ground: &Ground,
    one: &Move,
    found: Option<&Oid>,
) -> Result<bool, LandingError> {
    match found {
        Some(found) if *found == one.to => Ok(true),
        // A move back, to what was there before, cannot be told from one that was not made.
        Some(found) if *found != one.from => Ok(is_ancestor(git, ground, &one.to, found)?
            && !is_ancestor(git, ground, &one.to, &one.from)?),
        _ => Ok(false),
    }
}

/// A working tree that goes along with a reference.
struct Step {
    from: Oid,
    to: Oid,
    differing: Vec<Differing>,
    checkout: Checkout,
}

fn steps(git: &Git, ground: &Ground, course: &Course) -> Result<Vec<Step>, LandingError> {
    let mut steps = Vec::new();
    for Move {
        reference,
        from,
        to,
    } in &course.moves
    {
        let checkouts = checkouts(git, ground, reference)?;
        if checkouts.is_empty() {
            continue;
        }
        let differing = differing(git, ground, from, to)?;
        // The same tree: nothing in the working tree has to change.
        if differing.is_empty() {
            continue;
        }
        steps.extend(checkouts.into_iter().map(|checkout| Step {
            from: from.clone(),
            to: to.clone(),
            differing: differing.clone(),
            checkout,
        }));
    }
    Ok(steps)
}

impl Step {
    fn bring(
        self,
        git: &Git,
        turn: &files::Lock,
        held: &mut Vec<(Self, Grip)>,
    ) -> Result<(), LandingError> {
        let grip = Grip::take(self.checkout.clone(), &self.from, &self.to)?;
        testing::point("landing-gripped");
        let brought = grip.bring(git, turn, &self.differing, [&self.from, &self.to]);
        match &brought {
            // Refused at the first look, nothing has changed. Refused after a kill, it stays held
            // until the working tree is as it was left.
            Err(LandingError::Refused(_)) if grip.is_resumed() => {}
            Err(LandingError::Refused(_)) => grip.release()?,
            _ => held.push((self, grip)),
        }
        brought
    }

    /// Undoes what was begun, if anything was.
    fn undo(self, git: &Git, turn: &files::Lock) -> Result<(), LandingError> {
        match Grip::find(self.checkout.clone(), &self.from, &self.to)? {
            Hold::Untouched => Ok(()),
            Hold::Held(grip) => self.take_back(git, turn, grip),
        }
    }

    fn take_back(self, git: &Git, turn: &files::Lock, grip: Grip) -> Result<(), LandingError> {
        let mirrored: Vec<Differing> = self
            .differing
            .into_iter()
            .map(Differing::mirrored)
            .collect();
        grip.bring(git, turn, &mirrored, [&self.to, &self.from])?;
        grip.release()
    }

    /// Ends what was begun, if anything was.
    fn finish(self, git: &Git, turn: &files::Lock) -> Result<(), LandingError> {
        match Grip::find(self.checkout, &self.from, &self.to)? {
            Hold::Untouched => Ok(()),
            Hold::Held(grip) => {
                grip.bring(git, turn, &self.differing, [&self.from, &self.to])?;
                grip.release()
            }
        }
    }
}

fn undo(git: &Git, turn: &files::Lock, held: Vec<(Step, Grip)>) -> Result<(), LandingError> {
    held.into_iter()
        .try_for_each(|(step, grip)| step.take_back(git, turn, grip.resumed()))
}

/// Keeps what the references name now.
fn keep(
    git: &Git,
    ground: &Ground,
    course: &Course,
    turn: &files::Lock,
) -> Result<(), LandingError> {
    let backups = course.backups.iter();
    let names: Vec<&str> = backups.map(|one| one.reference.as_str()).collect();
    let found = commits_of(git, ground, &names)?;
    for (backup, found) in course.backups.iter().zip(found) {
        let Backup { reference, commit } = backup;
        match found {
            None => {
                // An empty old value: it must not be there.
                let call = ground
                    .call()
                    .args(["update-ref", "--no-deref", reference, commit.as_str(), ""])
                    .input_file(turn.file());
                git.run(&call).map_err(locked)?;
            }
            Some(found) if found == *commit => {}
            found => {
                return Err(Refusal::Moved {
                    reference: reference.clone(),
                    expected: commit.clone(),
                    found,
                }
                .into());
            }
        }
    }
    Ok(())
}

/// Moves the references as the person would: with a reflog, and asking the hook
/// `reference-transaction`.
fn move_all(
    git: &Git,
    ground: &Ground,
    course: &Course,
    turn: &files::Lock,
) -> Result<(), LandingError> {
    let moves = course.moves.iter();
    let names: Vec<&str> = moves.map(|one| one.reference.as_str()).collect();
    let found = commits_of(git, ground, &names)?;
    for (one, found) in course.moves.iter().zip(found) {
        if has_arrived(git, ground, one, found.as_ref())? {
            continue;
        }
        let call = ground
            .call()
            .as_person()
            .args(["update-ref", "-m", &course.purpose, &one.reference])
            .args([one.to.as_str(), one.from.as_str()])
            .input_file(turn.file());
        git.run(&call).map_err(locked)?;
    }
    Ok(())
}

/// Tells a lock of git that is in the way from other failures.
fn locked(error: GitError) -> LandingError {
    let words = error.stderr();
    let file = words
        .split_once("Unable to create '")
        .and_then(|(_, rest)| rest.split_once("': File exists"));
    match file {
        Some((file, _)) => Refusal::Locked {
            file: RawPath::new(file),
        }
        .into(),
        None => error.into(),
    }
}
