//! Making commits: any number of them by one process, or one by one where they are signed.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use amps_core::landing::Refusal;
use amps_core::snapshot::Oid;

use super::branch::{oids, unexpected};
use super::history::Commit;
use super::{Ground, LandingError};
use crate::git::{Call, Git};

/// A commit to be made on top of the one before.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    pub(super) tree: Oid,
    /// Parents beside the one before.
    pub(super) others: Vec<Oid>,
    /// The commit that it stands for, if there is one; else the person's own is made.
    pub(super) original: Option<&'a Commit>,
    /// The message of a commit that stands for none.
    pub(super) message: Vec<u8>,
}

impl<'a> Draft<'a> {
    /// Says again what a commit said, with another tree.
    pub(super) fn again(original: &'a Commit, tree: Oid) -> Self {
        Self {
            tree,
            others: Vec::new(),
            original: Some(original),
            message: original.message.clone(),
        }
    }

    /// Returns the original if nothing of it has to change.
    fn unchanged(&self, parent: &Oid) -> Option<&'a Commit> {
        self.original
            .filter(|original| original.tree == self.tree && original.parents == [parent.clone()])
    }
}

/// Who makes the commits, as git would choose, and whether it signs them.
#[derive(Debug)]
pub(super) struct Person {
    author: Vec<u8>,
    committer: Vec<u8>,
    signs: bool,
}

impl Person {
    /// Asks git.
    pub(super) fn ask(git: &Git, ground: &Ground) -> Result<Self, LandingError> {
        let [author, committer] = ["GIT_AUTHOR_IDENT", "GIT_COMMITTER_IDENT"].map(|name| {
            let call = ground.call().as_person().args(["var", name]);
            let output = git.output(&call)?;
            match output.status {
                Some(status) if !status.success() => {
                    let words = output.into_error(&call, status).stderr().to_owned();
                    Err(LandingError::from(Refusal::NoIdentity { words }))
                }
                _ => Ok(output.stdout.trim_ascii_end().to_vec()),
            }
        });
        let call = ground
            .call()
            .as_person()
            .args(["config", "--type=bool", "--default=false"])
            .arg("commit.gpgSign");
        Ok(Self {
            author: author?,
            committer: committer?,
            signs: git.run(&call)?.trim_ascii() == b"true",
        })
    }

    /// Returns the person's own name and address.
    pub(super) fn own(&self) -> &[u8] {
        name_and_address(&self.author)
    }

    fn is_to_sign(&self, draft: &Draft<'_>) -> bool {
        self.signs || draft.original.is_some_and(|original| original.is_signed)
    }
}

/// Makes the commits, each on the one before and the first on `onto`; returns them in their order.
/// At the beginning, those that are there already as they should be are taken as they are.
pub(super) fn write_commits(
    git: &Git,
    ground: &Ground,
    person: &Person,
    onto: &Oid,
    drafts: &[Draft<'_>],
) -> Result<Vec<Oid>, LandingError> {
    let mut written: Vec<Oid> = Vec::new();
    let mut parent = onto;
    for draft in drafts {
        let Some(original) = draft.unchanged(parent) else {
            break;
        };
        written.push(original.oid.clone());
        parent = &original.oid;
    }
    let parent = parent.clone();
    let rest = &drafts[written.len()..];
    if rest.iter().any(|draft| person.is_to_sign(draft)) {
        written.extend(one_by_one(git, ground, person, parent, rest)?);
    } else if !rest.is_empty() {
        written.extend(all_at_once(git, ground, person, &parent, rest)?);
    }
    Ok(written)
}

fn one_by_one(
    git: &Git,
    ground: &Ground,
    person: &Person,
    onto: Oid,
    drafts: &[Draft<'_>],
) -> Result<Vec<Oid>, LandingError> {
    let mut written = Vec::new();
    let mut parent = onto;
    for draft in drafts {
        let call = commit_call(ground, person, &parent, draft);
        let output = git.output(&call)?;
        if let Some(status) = output.status
            && !status.success()
        {
            let error = output.into_error(&call, status);
            let words = error.stderr().to_owned();
            return Err(if person.is_to_sign(draft) {
                Refusal::CannotSign { words }.into()
            } else {
                error.into()
            });
        }
        let made = oids(&call, &output.stdout)?;
        parent = made
            .first()
            .cloned()
            .ok_or_else(|| unexpected(&call, &output.stdout))?;
        written.push(parent.clone());
    }
    Ok(written)
}

fn commit_call<'a>(
    ground: &Ground,
    person: &Person,
    parent: &Oid,
    draft: &'a Draft<'_>,
) -> Call<'a> {
    let mut call: Call<'a> = ground.call().as_person();
    if let Some(encoding) = draft
        .original
        .and_then(|original| original.encoding.as_ref())
    {
        let encoding = String::from_utf8_lossy(encoding);
        call = call
            .arg("-c")
            .arg(format!("i18n.commitEncoding={encoding}"));
    }
    call = call.args(["commit-tree", draft.tree.as_str()]);
    for parent in [parent].into_iter().chain(&draft.others) {
        call = call.args(["-p", parent.as_str()]);
    }
    let sign = if person.is_to_sign(draft) {
        "--gpg-sign"
    } else {
        "--no-gpg-sign"
    };
    if let Some(original) = draft.original {
        let (name, address, date) = split_ident(&original.author);
        call = call
            .variable("GIT_AUTHOR_NAME", std::ffi::OsStr::from_bytes(name))
            .variable("GIT_AUTHOR_EMAIL", std::ffi::OsStr::from_bytes(address))
            .variable(
                "GIT_AUTHOR_DATE",
                format!("@{}", String::from_utf8_lossy(date)),
            );
    }
    call.args([sign, "-F", "-"]).input(&draft.message)
}

/// Returns the name and address of an ident, as in a trailer.
pub(super) fn name_and_address(ident: &[u8]) -> &[u8] {
    let end = ident.iter().rposition(|byte| *byte == b'>');
    &ident[..end.map_or(0, |end| end + 1)]
}

/// Splits `Name <address> seconds zone`.
fn split_ident(ident: &[u8]) -> (&[u8], &[u8], &[u8]) {
    let open = ident.iter().position(|byte| *byte == b'<');
    let close = ident.iter().rposition(|byte| *byte == b'>');
    match (open, close) {
        (Some(open), Some(close)) if open < close => (
            ident[..open].trim_ascii_end(),
            &ident[open + 1..close],
            ident[close + 1..].trim_ascii(),
        ),
        _ => (ident, b"", b""),
    }
}

/// Names the branch of an import that exists nowhere but in its process.
const NOWHERE: &str = "refs/amps/new/landing";

fn all_at_once(
    git: &Git,
    ground: &Ground,
    person: &Person,
    onto: &Oid,
    drafts: &[Draft<'_>],
) -> Result<Vec<Oid>, LandingError> {
    let mut stream = Vec::new();
    for (place, draft) in drafts.iter().enumerate() {
        let parent = match place {
            0 => onto.to_string(),
            _ => format!(":{place}"),
        };
        write_draft(&mut stream, person, &parent, place + 1, draft);
    }
    // Deleted before the end, the branch never becomes a reference.
    let nothing = "0".repeat(onto.as_str().len());
    stream.extend(format!("reset {NOWHERE}\nfrom {nothing}\n\ndone\n").bytes());
    let call = ground
        .call()
        .args(["fast-import", "--quiet", "--done"])
        .arg("--date-format=raw-permissive")
        .input(&stream);
    let output = git.output(&call)?;
    if let Some(status) = output.status
        && !status.success()
    {
        // Its report on what it was doing would stay in the person's git directory.
        remove_report(git, ground, output.pid);
        return Err(output.into_error(&call, status).into());
    }
    let written = oids(&call, &output.stdout)?;
    if written.len() == drafts.len() {
        Ok(written)
    } else {
        Err(unexpected(&call, &output.stdout).into())
    }
}

fn remove_report(git: &Git, ground: &Ground, pid: u32) {
    let call = ground.call().args(["rev-parse", "--absolute-git-dir"]);
    if let Ok(answer) = git.run(&call) {
        let git_dir = answer.strip_suffix(b"\n").unwrap_or(&answer);
        let git_dir = Path::new(std::ffi::OsStr::from_bytes(git_dir));
        let _absent = fs::remove_file(git_dir.join(format!("fast_import_crash_{pid}")));
    }
}

fn write_draft(
    stream: &mut Vec<u8>,
    person: &Person,
    parent: &str,
    mark: usize,
    draft: &Draft<'_>,
) {
    let by = draft
        .original
        .map_or(&person.author, |original| &original.author);
    let mut line = |parts: &[&[u8]]| {
        for part in parts {
            stream.extend_from_slice(part);
        }
        stream.push(b'\n');
    };
    line(&[b"commit ", NOWHERE.as_bytes()]);
    line(&[b"mark :", mark.to_string().as_bytes()]);
    line(&[b"author ", by]);
    line(&[b"committer ", &person.committer]);
    if let Some(encoding) = draft
        .original
        .and_then(|original| original.encoding.as_ref())
    {
        line(&[b"encoding ", encoding]);
    }
    line(&[b"data ", draft.message.len().to_string().as_bytes()]);
    line(&[&draft.message]);
    line(&[b"from ", parent.as_bytes()]);
    for other in &draft.others {
        line(&[b"merge ", other.as_str().as_bytes()]);
    }
    line(&[b"M 040000 ", draft.tree.as_str().as_bytes(), b" "]);
    line(&[]);
    line(&[b"get-mark :", mark.to_string().as_bytes()]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_author_is_taken_apart() {
        let ident: &[u8] = b"A <B> C <a@b> 1 +0100";
        assert_eq!(name_and_address(ident), b"A <B> C <a@b>");
        let (name, address, date) = split_ident(b"A B <a@b> 1 +0100");
        assert_eq!(
            (name, address, date),
            (&b"A B"[..], &b"a@b"[..], &b"1 +0100"[..])
        );
        assert_eq!(split_ident(b"torn").0, b"torn");
    }
}
