//! Whatever happens to a tree, a changeset names exactly the paths that a plain reader of the files
//! sees changed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use amps_core::path::RawPath;
use proptest::prelude::*;

use super::capture_repo::{Repo, path};

#[derive(Clone, Debug)]
enum Act {
    Write(usize, u8),
    Append(usize),
    Remove(usize),
    Link(usize, u8),
    Mode(usize),
    Rename(usize, usize),
    Stage,
    StageOne(usize),
    Unstage,
    Commit,
}

/// Some are folders of others, so that files and folders trade places.
const NAMES: [&str; 8] = [
    "a",
    "b",
    "dir",
    "dir/c",
    "dir/deep/d",
    "a/x",
    "odd \"n\u{e9}\n",
    "z",
];

fn act() -> impl Strategy<Value = Act> {
    let name = 0..NAMES.len();
    prop_oneof![
        4 => (name.clone(), any::<u8>()).prop_map(|(name, byte)| Act::Write(name, byte % 4)),
        2 => name.clone().prop_map(Act::Append),
        2 => name.clone().prop_map(Act::Remove),
        1 => (name.clone(), any::<u8>()).prop_map(|(name, byte)| Act::Link(name, byte % 2)),
        1 => name.clone().prop_map(Act::Mode),
        1 => (name.clone(), name.clone()).prop_map(|(from, to)| Act::Rename(from, to)),
        1 => Just(Act::Stage),
        1 => name.prop_map(Act::StageOne),
        1 => Just(Act::Unstage),
        1 => Just(Act::Commit),
    ]
}

/// Acts as far as the tree allows it; what is impossible is left undone.
fn perform(repo: &Repo, act: &Act) {
    let clear = |full: &Path| {
        let _absent = fs::remove_file(full);
        let _absent = fs::remove_dir_all(full);
        for parent in full.ancestors().skip(1).take_while(|it| *it != repo.root) {
            if fs::symlink_metadata(parent).is_ok_and(|metadata| !metadata.is_dir()) {
                let _absent = fs::remove_file(parent);
            }
        }
        fs::create_dir_all(full.parent().unwrap()).unwrap();
    };
    match act {
        Act::Write(name, byte) => {
            let full = repo.full(NAMES[*name]);
            clear(&full);
            fs::write(full, format!("line\n{byte}\n")).unwrap();
        }
        Act::Append(name) => {
            if fs::symlink_metadata(repo.full(NAMES[*name])).is_ok_and(|it| it.is_file()) {
                repo.append(NAMES[*name], "more\n");
            }
        }
        Act::Remove(name) => {
            let _absent = fs::remove_file(repo.full(NAMES[*name]));
        }
        Act::Link(name, byte) => {
            clear(&repo.full(NAMES[*name]));
            repo.link(&format!("nowhere {byte}"), NAMES[*name]);
        }
        Act::Mode(name) => {
            let full = repo.full(NAMES[*name]);
            if let Ok(metadata) = fs::symlink_metadata(&full)
                && metadata.is_file()
            {
                let mode = metadata.permissions().mode() ^ 0o111;
                fs::set_permissions(full, fs::Permissions::from_mode(mode)).unwrap();
            }
        }
        Act::Rename(from, to) => {
            let (from, to) = (repo.full(NAMES[*from]), repo.full(NAMES[*to]));
            if fs::symlink_metadata(&from).is_ok_and(|it| !it.is_dir())
                && !from.starts_with(&to)
                && !to.starts_with(&from)
            {
                clear(&to);
                let _gone = fs::rename(from, to);
            }
        }
        Act::Stage => drop(repo.git(["add", "-A"])),
        Act::StageOne(name) => drop(repo.try_git(["add", "--", NAMES[*name]])),
        Act::Unstage => drop(repo.git(["read-tree", "HEAD"])),
        Act::Commit => drop(repo.git(["commit", "-q", "--allow-empty", "-m", "x"])),
    }
}

/// Reads every file: its mode as far as git knows modes, and its bytes.
fn read_all(folder: &Path, root: &Path, all: &mut BTreeMap<RawPath, (u32, Vec<u8>)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let full = entry.unwrap().path();
        let metadata = fs::symlink_metadata(&full).unwrap();
        if full.ends_with(".git") {
            continue;
        }
        if metadata.is_dir() {
            read_all(&full, root, all);
            continue;
        }
        let relative = full.strip_prefix(root).unwrap();
        let relative = path(relative.as_os_str().as_encoded_bytes());
        let what = if metadata.is_symlink() {
            (
                1,
                fs::read_link(&full)
                    .unwrap()
                    .into_os_string()
                    .into_encoded_bytes(),
            )
        } else {
            (
                metadata.permissions().mode() & 0o100,
                fs::read(&full).unwrap(),
            )
        };
        all.insert(relative, what);
    }
}

fn seen(repo: &Repo) -> BTreeMap<RawPath, (u32, Vec<u8>)> {
    let mut all = BTreeMap::new();
    read_all(&repo.root, &repo.root, &mut all);
    all
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 40,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_changeset_names_what_a_plain_reader_sees(
        before in prop::collection::vec(act(), 0..8),
        during in prop::collection::vec(act(), 0..8),
    ) {
        let repo = Repo::new();
        for act in &before {
            perform(&repo, act);
        }
        let old = seen(&repo);
        let changeset = repo.run(|repo| during.iter().for_each(|act| perform(repo, act)));
        let new = seen(&repo);
        let names: BTreeSet<&RawPath> = old.keys().chain(new.keys()).collect();
        let expected: BTreeSet<&RawPath> = names
            .into_iter()
            .filter(|name| old.get(name) != new.get(name))
            .collect();
        let found: BTreeSet<&RawPath> = changeset
            .files
            .iter()
            .flat_map(|file| [Some(&file.path), file.old_path.as_ref()])
            .flatten()
            .collect();
        prop_assert_eq!(found, expected);
        prop_assert!(!changeset.partial);
    }
}
