//! Which content stands for each path when the instant of the snapshot has passed meanwhile.

use amps_core::capture::{Content, Look, Side, When, content_at};
use amps_core::snapshot::{Oid, Workspace};

use super::{Body, Item, Items, Now};
use crate::capture::look::{Looker, changed_at, native};
use crate::capture::{CaptureError, Cutoff, head, tree};
use crate::git::Git;

/// What is needed to tell what was there at the instant.
pub(super) struct Judge<'a> {
    pub(super) git: &'a Git,
    pub(super) workspace: &'a Workspace,
    pub(super) side: Side,
    pub(super) cutoff: &'a Cutoff,
}

impl Judge<'_> {
    /// Looks at every item again, now that its content is stored, and returns the commit that HEAD
    /// named at the instant.
    ///
    /// A content that was stored before the look and whose change time is before the instant was
    /// there at the instant.
    pub(super) fn judge(
        &self,
        head_now: Option<Oid>,
        items: &mut Items,
        looker: &mut Looker,
    ) -> Result<Option<Oid>, CaptureError> {
        let Self {
            git,
            workspace,
            side,
            cutoff,
        } = *self;
        let Some(instant) = cutoff.nanoseconds() else {
            return Ok(head_now);
        };
        let head = head::at(
            git,
            workspace,
            instant,
            cutoff.taken_at().at,
            head_now.as_ref(),
        )?;
        if head != head_now {
            look_back(git, workspace, head.as_ref(), head_now.as_ref(), items)?;
        }
        let index = std::fs::metadata(native(&workspace.git_dir).join("index"));
        let index_changed = index.is_ok_and(|index| changed_at(&index) >= instant);
        for (path, item) in items {
            // What was staged after the instant says nothing of what was there at it.
            let known = if index_changed || head != head_now {
                &item.head
            } else {
                &item.index
            };
            let changed = looker.changed(path);
            let look = Look {
                changed: changed.map_or(When::After, |changed| cutoff.when(changed.at)),
                born: changed
                    .and_then(|changed| changed.born)
                    .map(|born| cutoff.when(born)),
                tracked: known.is_some(),
            };
            let known = known.clone();
            settle(item, content_at(side, look), known.map(Body::from));
        }
        Ok(head)
    }
}

fn settle(item: &mut Item, content: Content, known: Option<Body>) {
    match content {
        Content::AsSeen => {}
        Content::FromIndex => {
            // Nobody can know whether it already differed from the index.
            item.doubtful = true;
            if matches!(item.now, Now::Is(_)) {
                item.now = Now::Is(known);
            }
        }
        Content::Absent => item.now = Now::Is(None),
        Content::Uncertain => item.doubtful = true,
    }
}

/// Makes the items tell the difference to the commit that HEAD named at the instant, instead of
/// the one that it names now.
fn look_back(
    git: &Git,
    workspace: &Workspace,
    then: Option<&Oid>,
    now: Option<&Oid>,
    items: &mut Items,
) -> Result<(), CaptureError> {
    for moved in tree::differences(git, workspace, then, now)? {
        match items.get_mut(&moved.path) {
            Some(item) => item.head = moved.old,
            None => {
                items.insert(
                    moved.path,
                    Item {
                        head: moved.old,
                        index: moved.new.clone(),
                        now: Now::Is(moved.new.map(Body::from)),
                        doubtful: false,
                    },
                );
            }
        }
    }
    Ok(())
}
