//! Reading what git prints. Pure: no call, no file.

use std::collections::BTreeMap;
use std::str::FromStr;

use amps_core::changeset::{Change, FileChange};
use amps_core::path::RawPath;
use amps_core::snapshot::Oid;
use jiff::Timestamp;

/// The mode of a submodule.
pub(crate) const GITLINK: u32 = 0o160_000;
/// The mode of a symbolic link.
pub(crate) const SYMLINK: u32 = 0o120_000;
/// The mode of an executable file.
pub(crate) const EXECUTABLE: u32 = 0o100_755;
/// The mode of any other file.
pub(crate) const REGULAR: u32 = 0o100_644;

/// What a tree or the index holds at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) mode: u32,
    pub(crate) oid: Oid,
}

/// The answer of `status --porcelain=v2 --branch -z`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) head: Option<Oid>,
    pub(crate) branch: Option<String>,
    pub(crate) changes: Vec<Changed>,
    /// Untracked paths; a folder that is a repository of its own ends with a slash.
    pub(crate) untracked: Vec<RawPath>,
}

/// A tracked path that differs between HEAD, index and working tree.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Changed {
    pub(crate) path: RawPath,
    pub(crate) head: Option<Version>,
    pub(crate) index: Option<Version>,
    /// The mode of what is in the working tree, as git takes it.
    pub(crate) mode: Option<u32>,
    /// Whether HEAD and index differ.
    pub(crate) staged: bool,
    /// Whether index and working tree differ.
    pub(crate) unstaged: bool,
}

/// Reads a whole `status`; the error is the part that is not understood.
pub(crate) fn parse_status(answer: &[u8]) -> Result<Status, String> {
    let mut status = Status::default();
    for record in records(answer) {
        let understood = match record.split_first() {
            Some((b'#', rest)) => read_header(&mut status, rest),
            Some((b'1', rest)) => read_changed(rest).map(|changed| status.changes.push(changed)),
            Some((b'u', rest)) => read_unmerged(rest).map(|changed| status.changes.push(changed)),
            Some((b'?', rest)) => rest
                .strip_prefix(b" ")
                .map(|path| status.untracked.push(RawPath::new(path))),
            Some((b'!', _)) => Some(()),
            _ => None,
        };
        understood.ok_or_else(|| shown(record))?;
    }
    Ok(status)
}

fn read_header(status: &mut Status, rest: &[u8]) -> Option<()> {
    let text = String::from_utf8_lossy(rest);
    if let Some(oid) = text.strip_prefix(" branch.oid ") {
        if oid != "(initial)" {
            status.head = Some(Oid::parse(oid)?);
        }
    } else if let Some(name) = text.strip_prefix(" branch.head ") {
        status.branch = (name != "(detached)").then(|| name.to_owned());
    }
    Some(())
}

/// ` XY sub mH mI mW hH hI path`
fn read_changed(rest: &[u8]) -> Option<Changed> {
    let mut fields = rest.splitn(9, |byte| *byte == b' ').skip(1);
    let codes = fields.next()?;
    let _submodule = fields.next()?;
    let (head, index, mode) = (
        octal(fields.next()?)?,
        octal(fields.next()?)?,
        octal(fields.next()?)?,
    );
    let head = version(head, fields.next()?)?;
    let index = version(index, fields.next()?)?;
    Some(Changed {
        path: RawPath::new(fields.next()?),
        head,
        index,
        mode: (mode != 0).then_some(mode),
        staged: *codes.first()? != b'.',
        unstaged: *codes.get(1)? != b'.',
    })
}

/// ` XY sub m1 m2 m3 mW h1 h2 h3 path`; the second stage is ours.
fn read_unmerged(rest: &[u8]) -> Option<Changed> {
    let mut fields = rest.splitn(11, |byte| *byte == b' ').skip(3);
    let _base = fields.next()?;
    let ours = octal(fields.next()?)?;
    let _theirs = fields.next()?;
    let mode = octal(fields.next()?)?;
    let _base = fields.next()?;
    let ours = version(ours, fields.next()?)?;
    let _theirs = fields.next()?;
    Some(Changed {
        path: RawPath::new(fields.next()?),
        head: ours.clone(),
        index: ours,
        mode: (mode != 0).then_some(mode),
        staged: false,
        unstaged: true,
    })
}

/// Reads `diff-tree -r -z --raw`, with or without `--numstat` behind it.
pub(crate) fn parse_diff(answer: &[u8]) -> Result<Vec<Differing>, String> {
    let mut files = Vec::new();
    let mut records = records(answer).peekable();
    while let Some(record) = records.next_if(|record| record.starts_with(b":")) {
        let file = read_raw(record, &mut records).ok_or_else(|| shown(record))?;
        files.push(file);
    }
    let mut counts = BTreeMap::new();
    while let Some(record) = records.next() {
        let (path, count) = read_count(record, &mut records).ok_or_else(|| shown(record))?;
        counts.insert(path, count);
    }
    for file in &mut files {
        file.lines = counts.get(&file.path).copied().flatten();
    }
    Ok(files)
}

/// One path that differs between two trees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Differing {
    pub(crate) path: RawPath,
    pub(crate) old_path: Option<RawPath>,
    pub(crate) old: Option<Version>,
    pub(crate) new: Option<Version>,
    pub(crate) change: Change,
    /// Lines added and deleted, where they were asked for and the file is text.
    pub(crate) lines: Option<(u64, u64)>,
}

impl Differing {
    /// Returns the difference seen from the other side. Renames have none.
    pub(crate) fn mirrored(self) -> Self {
        Self {
            old: self.new,
            new: self.old,
            change: match self.change {
                Change::Added => Change::Deleted,
                Change::Deleted => Change::Added,
                other => other,
            },
            lines: self.lines.map(|(added, deleted)| (deleted, added)),
            ..self
        }
    }

    /// Turns the difference into the form of the record.
    pub(crate) fn into_file(self, uncertain: bool) -> FileChange {
        let octal = |version: Version| format!("{:06o}", version.mode);
        FileChange {
            path: self.path,
            old_path: self.old_path,
            change: self.change,
            additions: self.lines.map(|(added, _)| added),
            deletions: self.lines.map(|(_, deleted)| deleted),
            old_mode: self.old.map(octal),
            new_mode: self.new.map(octal),
            uncertain,
        }
    }
}

/// `:mode mode oid oid X[score]`, then the path, or both paths of a rename.
fn read_raw<'a>(record: &[u8], records: &mut impl Iterator<Item = &'a [u8]>) -> Option<Differing> {
    let mut fields = record.strip_prefix(b":")?.split(|byte| *byte == b' ');
    let (old, new) = (octal(fields.next()?)?, octal(fields.next()?)?);
    let old = version(old, fields.next()?)?;
    let new = version(new, fields.next()?)?;
    let change = match fields.next()?.first()? {
        b'A' | b'C' => Change::Added,
        b'M' => Change::Modified,
        b'D' => Change::Deleted,
        b'R' => Change::Renamed,
        b'T' => Change::Typechange,
        _ => return None,
    };
    let mut path = RawPath::new(records.next()?);
    let mut old_path = None;
    if change == Change::Renamed {
        old_path = Some(path);
        path = RawPath::new(records.next()?);
    }
    Some(Differing {
        path,
        old_path,
        old,
        new,
        change,
        lines: None,
    })
}

/// `added TAB deleted TAB path`; a rename has an empty path and both paths behind.
fn read_count<'a>(
    record: &[u8],
    records: &mut impl Iterator<Item = &'a [u8]>,
) -> Option<(RawPath, Option<(u64, u64)>)> {
    let mut fields = record.splitn(3, |byte| *byte == b'\t');
    let (added, deleted, path) = (fields.next()?, fields.next()?, fields.next()?);
    let lines = match (added, deleted) {
        (b"-", b"-") => None,
        _ => Some((number(added)?, number(deleted)?)),
    };
    if path.is_empty() {
        let _old = records.next()?;
        return Some((RawPath::new(records.next()?), lines));
    }
    Some((RawPath::new(path), lines))
}

/// Reads `ls-tree -r -z`.
pub(crate) fn parse_tree(answer: &[u8]) -> Result<BTreeMap<RawPath, Version>, String> {
    let mut files = BTreeMap::new();
    for record in records(answer) {
        let (path, version) = read_entry(record).ok_or_else(|| shown(record))?;
        files.insert(path, version);
    }
    Ok(files)
}

fn read_entry(record: &[u8]) -> Option<(RawPath, Version)> {
    let tab = record.iter().position(|byte| *byte == b'\t')?;
    let mut fields = record[..tab].split(|byte| *byte == b' ');
    let mode = octal(fields.next()?)?;
    let _kind = fields.next()?;
    Some((
        RawPath::new(&record[tab + 1..]),
        version(mode, fields.next()?)??,
    ))
}

/// One line of HEAD's reflog.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct HeadMove {
    pub(crate) old: Option<Oid>,
    pub(crate) new: Option<Oid>,
    pub(crate) at: Timestamp,
}

/// Reads a reflog file, oldest first; lines cut off by a concurrent writer are passed over.
pub(crate) fn parse_head_log(file: &[u8]) -> Vec<HeadMove> {
    file.split(|byte| *byte == b'\n')
        .filter_map(|line| {
            let line = line.split(|byte| *byte == b'\t').next()?;
            let mut fields = line.splitn(3, |byte| *byte == b' ');
            let (old, new) = (fields.next()?, fields.next()?);
            let mut tail = fields.next()?.rsplitn(3, |byte| *byte == b' ');
            let _zone = tail.next()?;
            Some(HeadMove {
                old: oid_or_none(old)?,
                new: oid_or_none(new)?,
                at: Timestamp::from_second(number(tail.next()?)?).ok()?,
            })
        })
        .collect()
}

fn records(answer: &[u8]) -> impl Iterator<Item = &[u8]> {
    let body = answer.strip_suffix(b"\0").unwrap_or(answer);
    let none_at_all = body.is_empty();
    body.split(|byte| *byte == 0).skip(usize::from(none_at_all))
}

fn octal(digits: &[u8]) -> Option<u32> {
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()
}

fn number<T: FromStr>(digits: &[u8]) -> Option<T> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[expect(
    clippy::option_option,
    reason = "not understood, nothing there, and something there are three answers"
)]
/// A mode of zero means that the side has nothing there; a name of zeros that it is not known.
fn version(mode: u32, oid: &[u8]) -> Option<Option<Version>> {
    let oid = oid_or_none(oid)?;
    Some(oid.filter(|_| mode != 0).map(|oid| Version { mode, oid }))
}

#[expect(
    clippy::option_option,
    reason = "not understood, no name, and a name are three answers"
)]
fn oid_or_none(digits: &[u8]) -> Option<Option<Oid>> {
    let oid = Oid::parse(std::str::from_utf8(digits).ok()?)?;
    Some((!digits.iter().all(|digit| *digit == b'0')).then_some(oid))
}

fn shown(record: &[u8]) -> String {
    RawPath::new(&record[..record.len().min(200)]).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn oid(digit: &str) -> Oid {
        Oid::parse(&digit.repeat(40)).unwrap()
    }

    #[test]
    fn every_kind_of_status_record_is_read() {
        let (a, b, z) = ("a".repeat(40), "b".repeat(40), "0".repeat(40));
        let answer = format!(
            "# branch.oid {a}\0# branch.head main\0# stash 3\0\
             1 .M N... 100644 100644 100755 {a} {a} a b\n\0\
             1 D. N... 100644 000000 000000 {a} {z} gone\0\
             1 .A N... 000000 000000 100644 {z} {z} meant\0\
             u UU N... 100644 100644 100644 100644 {a} {b} {a} both\0\
             ? nested/\0! ignored\0"
        );
        let status = parse_status(answer.as_bytes()).unwrap();
        assert_eq!(status.head, Some(oid("a")));
        assert_eq!(status.branch.as_deref(), Some("main"));
        assert_eq!(status.untracked, [RawPath::new(*b"nested/")]);
        let [edited, gone, meant, both] = &status.changes[..] else {
            panic!("{status:?}");
        };
        assert_eq!(edited.path, RawPath::new(*b"a b\n"));
        assert_eq!((edited.mode, edited.unstaged), (Some(EXECUTABLE), true));
        assert_eq!((&gone.index, gone.mode, gone.staged), (&None, None, true));
        assert_eq!((&meant.head, &meant.index), (&None, &None));
        assert_eq!(both.index.as_ref().map(|v| &v.oid), Some(&oid("b")));
    }

    #[test]
    fn unborn_and_detached_heads_are_told() {
        let status = parse_status(b"# branch.oid (initial)\0# branch.head (detached)\0").unwrap();
        assert_eq!((status.head, status.branch), (None, None));
    }

    #[test]
    fn renames_and_counts_find_each_other() {
        let (a, b, z) = ("a".repeat(40), "b".repeat(40), "0".repeat(40));
        let answer = format!(
            ":100644 100644 {a} {b} R090\0old\0new\0:000000 120000 {z} {a} A\0link\0\
             1\t2\t\0old\0new\0-\t-\tlink\0"
        );
        let files = parse_diff(answer.as_bytes()).unwrap();
        assert_eq!(files[0].old_path, Some(RawPath::new(*b"old")));
        assert_eq!(files[0].lines, Some((1, 2)));
        assert_eq!((files[1].change, files[1].lines), (Change::Added, None));
        assert_eq!(files[1].old, None);
    }

    #[test]
    fn a_reflog_with_odd_names_and_a_torn_end_is_read() {
        let (a, b, z) = ("a".repeat(40), "b".repeat(40), "0".repeat(40));
        let log = format!(
            "{z} {a} A > B <a@b> 1700000000 +0100\tcommit (initial): x\n\
             {a} {b}  <> 1700000009 -0200\n{b} {a} torn"
        );
        let moves = parse_head_log(log.as_bytes());
        assert_eq!(moves.len(), 2);
        assert_eq!((&moves[0].old, &moves[0].new), (&None, &Some(oid("a"))));
        assert_eq!(moves[1].at.as_second(), 1_700_000_009);
    }

    proptest! {
        #[test]
        fn no_answer_breaks_a_parser(bytes: Vec<u8>) {
            let _status = parse_status(&bytes);
            let _diff = parse_diff(&bytes);
            let _tree = parse_tree(&bytes);
            let _log = parse_head_log(&bytes);
        }
    }
}
