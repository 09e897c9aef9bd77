//! From git's list of differing paths to what is to be done about each.

use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use amps_core::capture::CaptureLimits;
use amps_core::credential::looks_like_credential;
use amps_core::path::RawPath;
use amps_core::snapshot::{LeftOut, LeftOutReason, Oid, Workspace};

use super::{Body, Data, Item, Items, Now};
use crate::capture::CaptureError;
use crate::capture::look::{Kind, Looker, Seen, is_missing, kind, native, stamp};
use crate::git::parse::{Changed, EXECUTABLE, GITLINK, REGULAR, SYMLINK, Status};
use crate::git::{Call, Git};

struct Classifier<'a> {
    git: &'a Git,
    looker: &'a mut Looker,
    largest: u64,
    trust_mode: bool,
}

/// Decides for each differing path what stands there, as far as no content must be stored for it.
pub(super) fn classify(
    git: &Git,
    workspace: &Workspace,
    status: &Status,
    looker: &mut Looker,
    limits: &CaptureLimits,
) -> Result<Items, CaptureError> {
    let mut classifier = Classifier {
        git,
        looker,
        largest: limits.max_file_size,
        trust_mode: trusts_mode(workspace),
    };
    let mut items = Items::new();
    for change in &status.changes {
        let now = if change.unstaged {
            classifier.changed(change)?
        } else {
            Now::Is(change.index.clone().map(Body::from))
        };
        items.insert(
            change.path.clone(),
            Item {
                head: change.head.clone(),
                index: change.index.clone(),
                now,
                doubtful: false,
            },
        );
    }
    for path in &status.untracked {
        let now = classifier.untracked(path);
        let path = RawPath::new(
            path.as_bytes()
                .strip_suffix(b"/")
                .unwrap_or(path.as_bytes()),
        );
        // A path that was only taken out of the index is both a change and untracked.
        let before = items.remove(&path);
        items.insert(
            path,
            Item {
                head: before.and_then(|item| item.head),
                index: None,
                now,
                doubtful: false,
            },
        );
    }
    Ok(items)
}

impl Classifier<'_> {
    fn changed(&mut self, change: &Changed) -> Result<Now, CaptureError> {
        let metadata = match self.looker.look(&change.path) {
            Seen::There(metadata) => metadata,
            Seen::Missing => return Ok(Now::Is(None)),
            Seen::Unknown => return Ok(left_out(LeftOutReason::Unreadable, String::new())),
        };
        let is_submodule = [&change.head, &change.index]
            .iter()
            .any(|version| version.as_ref().is_some_and(|it| it.mode == GITLINK));
        if kind(metadata.file_type()) == Kind::Folder {
            return if is_submodule {
                self.submodule(change)
            } else if change.mode == Some(GITLINK) {
                let stamp = self.nested_stamp(&change.path, &metadata);
                Ok(left_out(LeftOutReason::NestedRepository, stamp))
            } else {
                Ok(Now::Is(None))
            };
        }
        let known = change.index.as_ref().or(change.head.as_ref());
        let mode = match change.mode {
            // Without symbolic links in the file system, git keeps them as files.
            Some(SYMLINK) => SYMLINK,
            _ if self.trust_mode => mode_of(&metadata),
            _ => known.map_or(REGULAR, |known| known.mode),
        };
        Ok(self.content(&change.path, &metadata, mode))
    }

    fn untracked(&mut self, path: &RawPath) -> Now {
        let nested = path.as_bytes().ends_with(b"/");
        let metadata = match self.looker.look(path) {
            Seen::There(metadata) => metadata,
            Seen::Missing => return Now::Is(None),
            Seen::Unknown => return left_out(LeftOutReason::Unreadable, String::new()),
        };
        if nested || metadata.is_dir() {
            let stamp = self.nested_stamp(path, &metadata);
            return left_out(LeftOutReason::NestedRepository, stamp);
        }
        if looks_like_credential(path.file_name()) {
            return left_out(LeftOutReason::Credential, stamp(&metadata));
        }
        let mode = if self.trust_mode {
            mode_of(&metadata)
        } else {
            REGULAR
        };
        self.content(path, &metadata, mode)
    }

    fn content(&self, path: &RawPath, metadata: &Metadata, mode: u32) -> Now {
        match kind(metadata.file_type()) {
            Kind::Link => match fs::read_link(self.looker.full(path)) {
                Ok(target) => Now::Is(Some(Body::link(target.into_os_string().into_vec()))),
                Err(error) if is_missing(&error) => Now::Is(None),
                Err(_) => left_out(LeftOutReason::Unreadable, stamp(metadata)),
            },
            Kind::File if metadata.size() > self.largest => {
                left_out(LeftOutReason::TooLarge, stamp(metadata))
            }
            Kind::File => Now::File { mode },
            Kind::Folder | Kind::Special => left_out(LeftOutReason::Unreadable, stamp(metadata)),
        }
    }

    /// A submodule stands for the commit that is checked out in it.
    fn submodule(&self, change: &Changed) -> Result<Now, CaptureError> {
        let folder = self.looker.full(&change.path);
        let call = Call::alone_within(&folder).args(["rev-parse", "--verify", "--quiet", "HEAD"]);
        let output = self.git.output(&call)?;
        let name = std::str::from_utf8(&output.stdout).unwrap_or_default();
        Ok(match Oid::parse(name.trim_end()) {
            Some(oid) => Now::Is(Some(Body {
                mode: GITLINK,
                data: Data::Stored(oid),
            })),
            None => left_out(LeftOutReason::Unreadable, String::new()),
        })
    }

    /// A repository inside changed when its HEAD or what HEAD names did.
    fn nested_stamp(&self, path: &RawPath, metadata: &Metadata) -> String {
        let folder = self.looker.full(path);
        let inside = [".git/HEAD", ".git/logs/HEAD"]
            .iter()
            .filter_map(|name| fs::symlink_metadata(folder.join(name)).ok());
        let stamps: Vec<String> = std::iter::once(stamp(metadata))
            .chain(inside.map(|metadata| stamp(&metadata)))
            .collect();
        stamps.join(" ")
    }
}

fn left_out(reason: LeftOutReason, stamp: String) -> Now {
    Now::LeftOut { reason, stamp }
}

fn mode_of(metadata: &Metadata) -> u32 {
    if metadata.permissions().mode() & 0o100 == 0 {
        REGULAR
    } else {
        EXECUTABLE
    }
}

/// Whether the file system keeps the executable bit, which `git init` finds out and writes down.
fn trusts_mode(workspace: &Workspace) -> bool {
    let config = fs::read(native(&workspace.common_dir).join("config")).unwrap_or_default();
    let text = String::from_utf8_lossy(&config).to_ascii_lowercase();
    !text.lines().any(|line| {
        let mut words = line.split(['=', ' ', '\t']).filter(|word| !word.is_empty());
        words.next() == Some("filemode") && words.next() == Some("false")
    })
}

/// Reads the warnings of `status` about folders that it could not open.
pub(super) fn parse_unread(complaints: &[u8]) -> Vec<RawPath> {
    complaints
        .split(|byte| *byte == b'\n')
        .filter_map(|line| {
            let rest = line.strip_prefix(b"warning: could not open directory '")?;
            let end = rest.windows(3).rposition(|part| part == b"': ")?;
            let path = rest[..end].strip_suffix(b"/").unwrap_or(&rest[..end]);
            Some(RawPath::new(path))
        })
        .collect()
}

pub(super) fn unread_folders(looker: &mut Looker, folders: Vec<RawPath>) -> Vec<LeftOut> {
    folders
        .into_iter()
        .map(|path| LeftOut {
            stamp: match looker.look(&path) {
                Seen::There(metadata) => stamp(&metadata),
                Seen::Missing | Seen::Unknown => String::new(),
            },
            path,
            reason: LeftOutReason::Unreadable,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_that_cannot_be_opened_are_named() {
        let words = b"warning: could not open directory 'a b': c/': Permission denied\nhint: x\n";
        assert_eq!(parse_unread(words), [RawPath::new(*b"a b': c")]);
    }
}
