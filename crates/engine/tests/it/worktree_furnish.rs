//! A new worktree has what it needs to work in, and no more than that.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use amps_core::ground::FurnishPolicy;
use amps_engine::worktree::{
    Approvals, Commands, Furnished, Refusal, SETUP_FILE, WorktreeError, free_ports, lease_ports,
    leased_ports, repository_commands, run_commands,
};

use super::capture_repo::{Repo, now};
use super::worktree_ground::{create, furnished, git_in, native, session, write};

fn brought(furnished: &Furnished) -> Vec<String> {
    let brought = furnished.brought.iter();
    brought.map(|brought| brought.path.to_string()).collect()
}

fn left(furnished: &Furnished) -> Vec<(String, String)> {
    let left = furnished.left.iter();
    left.map(|left| (left.path.to_string(), left.reason.clone()))
        .collect()
}

fn policy(copy: &[&str], link: &[&str]) -> FurnishPolicy {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    FurnishPolicy {
        copy: owned(copy),
        link: owned(link),
        ..FurnishPolicy::default()
    }
}

fn repo() -> Repo {
    let repo = Repo::new();
    repo.write(".gitignore", "*.env\n/modules\n/cache/\nkeep\n");
    repo.git(["add", "."]);
    repo.git(["commit", "-qm", "ignore"]);
    repo
}

#[test]
fn files_that_the_include_file_names_are_brought_as_they_are() {
    let repo = repo();
    repo.write(
        ".worktreeinclude",
        "# settings\n*.env\n!no.env\n/modules/deep/\n",
    );
    repo.write("x.env", "KEY=1\n");
    repo.write("no.env", "no\n");
    repo.write("dir/y \n.env", "KEY=2\n");
    repo.write("modules/deep/run", "#!/bin/sh\n");
    repo.write("modules/other", "no\n");
    repo.write("cache/z", "no\n");
    repo.chmod("modules/deep/run", 0o755);
    repo.link("../../../../etc", "modules/deep/out");
    let plan = create(&repo, 1);
    let furnished = furnished(&repo, &plan, &FurnishPolicy::default());
    assert_eq!(
        brought(&furnished),
        [
            "dir/y \\u{a}.env",
            "modules/deep/out",
            "modules/deep/run",
            "x.env"
        ]
    );
    assert_eq!(left(&furnished), []);
    let folder = native(&plan.worktree);
    let same = |name: &str| {
        let (here, there) = (folder.join(name), repo.full(name));
        let (here, there) = (
            fs::symlink_metadata(here).unwrap(),
            fs::symlink_metadata(there).unwrap(),
        );
        assert_eq!(
            (here.mode(), here.size()),
            (there.mode(), there.size()),
            "{name}"
        );
        assert!(
            here.is_symlink() || here.mtime_nsec() == there.mtime_nsec(),
            "{name}"
        );
    };
    for name in [
        "x.env",
        "dir/y \n.env",
        "modules/deep/run",
        "modules/deep/out",
    ] {
        same(name);
    }
    assert_eq!(git_in(&repo, &folder, &["status", "--porcelain"]), "");
}

#[test]
fn what_git_would_commit_is_not_brought_and_nothing_is_overwritten() {
    let repo = repo();
    repo.write("plain", "untracked\n");
    repo.write("x.env", "KEY=1\n");
    repo.write("cache/z", "z\n");
    let plan = create(&repo, 1);
    let folder = native(&plan.worktree);
    write(&folder, "x.env", "of the agent\n");
    let all = policy(&["plain", "*.env"], &["cache", "a"]);
    let furnished = furnished(&repo, &plan, &all);
    assert_eq!(brought(&furnished), Vec::<String>::new());
    let reason = "git does not ignore it in the new worktree".to_owned();
    assert_eq!(
        left(&furnished),
        [
            ("cache".to_owned(), reason.clone()),
            ("plain".to_owned(), reason)
        ],
        "a link is no folder, and the pattern is for folders only"
    );
    assert_eq!(
        fs::read_to_string(folder.join("x.env")).unwrap(),
        "of the agent\n"
    );
}

#[test]
fn whole_folders_are_linked_and_what_is_too_much_is_said() {
    let repo = repo();
    repo.write("modules/one/a", "1\n");
    repo.write("keep", vec![b'x'; 5000]);
    repo.write("x.env", "KEY=1\n");
    let plan = create(&repo, 1);
    let mut policy = policy(&["keep", "modules", "*.env"], &["modules"]);
    policy.max_copy = 1000;
    let first = furnished(&repo, &plan, &policy);
    assert_eq!(brought(&first), ["modules", "x.env"]);
    let folder = native(&plan.worktree);
    assert_eq!(
        fs::read_link(folder.join("modules")).unwrap(),
        repo.full("modules")
    );
    assert_eq!(
        left(&first),
        [(
            "keep".to_owned(),
            "it is larger than what may be copied".to_owned()
        )]
    );
    policy.max_copy = 100_000;
    let second = furnished(&repo, &plan, &policy);
    assert_eq!(
        brought(&second),
        ["modules", "x.env", "keep"],
        "only what was missing"
    );
    assert_eq!(git_in(&repo, &folder, &["status", "--porcelain"]), "");
}

#[test]
fn a_link_in_the_new_tree_does_not_lead_files_out_of_it() {
    let repo = repo();
    fs::create_dir(repo.home().join("outside")).unwrap();
    repo.link("../outside", "place");
    repo.git(["add", "."]);
    repo.git(["commit", "-qm", "a link"]);
    let plan = create(&repo, 1);
    repo.remove("place");
    repo.write("place/x.env", "KEY=1\n");
    let furnished = furnished(&repo, &plan, &policy(&["*.env"], &[]));
    assert_eq!(brought(&furnished), Vec::<String>::new());
    assert_eq!(furnished.left.len(), 1, "{furnished:?}");
    assert_eq!(
        fs::read_dir(repo.home().join("outside")).unwrap().count(),
        0
    );
}

fn variables() -> Vec<(String, String)> {
    let path = std::env::var("PATH").unwrap();
    vec![
        ("PATH".to_owned(), path),
        ("AMPSM_PORT".to_owned(), "40000".to_owned()),
    ]
}

#[test]
fn commands_of_a_repository_run_only_as_they_were_approved() {
    let repo = Repo::new();
    repo.write(
        SETUP_FILE,
        "setup:\n  - echo \"$AMPSM_PORT$HOME\" > made\nteardown: [rm made]\n",
    );
    repo.git(["add", "."]);
    repo.git(["commit", "-qm", "setup"]);
    let plan = create(&repo, 1);
    let (folder, common_dir) = (native(&plan.worktree), native(&plan.common_dir));
    let approvals = Approvals::new(repo.home().join("approvals.jsonl"));
    let text = repository_commands(&folder).unwrap().unwrap();
    let error = Commands::approved(&text, &common_dir, &approvals).unwrap_err();
    assert!(matches!(
        error,
        WorktreeError::Refused(Refusal::NotApproved { .. })
    ));
    approvals.approve(&common_dir, &text, now().at).unwrap();
    let commands = Commands::approved(&text, &common_dir, &approvals).unwrap();
    let log = repo.home().join("setup.log");
    let run = |commands: &[String]| {
        run_commands(
            commands,
            &folder,
            &variables(),
            Duration::from_secs(30),
            &log,
        )
    };
    assert_eq!(run(&commands.setup).unwrap().len(), 1);
    assert_eq!(fs::read_to_string(folder.join("made")).unwrap(), "40000\n");
    run(&commands.teardown).unwrap();
    assert!(!folder.join("made").exists());
    let changed = format!("{text}  - true\n");
    assert!(Commands::approved(&changed, &common_dir, &approvals).is_err());
    let odd = "setup: 3\n";
    approvals.approve(&common_dir, odd, now().at).unwrap();
    let error = Commands::approved(odd, &common_dir, &approvals).unwrap_err();
    assert!(error.to_string().starts_with(SETUP_FILE), "{error}");
}

#[test]
fn a_command_that_fails_or_hangs_ends_the_setup_and_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let run = |commands: &[&str], limit| {
        let commands: Vec<String> = commands.iter().map(|it| (*it).to_owned()).collect();
        run_commands(&commands, folder.path(), &variables(), limit, &log)
    };
    let patient = Duration::from_secs(30);
    let error = run(&["echo one", "echo two >&2; exit 3", "echo three"], patient).unwrap_err();
    assert_eq!(error.to_string(), "`echo two >&2; exit 3` exited with 3");
    assert_eq!(fs::read_to_string(&log).unwrap(), "one\ntwo\n");
    let started = Instant::now();
    let hang = "trap '' TERM; mkfifo pipe; (trap '' TERM; cat pipe; touch survived) & wait";
    let error = run(&[hang], Duration::from_millis(200)).unwrap_err();
    assert!(error.to_string().ends_with("took too long"), "{error}");
    assert!(started.elapsed() < patient);
    // Nobody reads it any more.
    let flags = rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::NONBLOCK;
    let pipe = rustix::fs::open(folder.path().join("pipe"), flags, rustix::fs::Mode::empty());
    assert!(pipe.is_err(), "what it started is gone, too");
}

#[test]
fn every_session_has_ports_of_its_own_that_were_free() {
    let folder = tempfile::tempdir().unwrap();
    let policy = FurnishPolicy {
        first_port: 42_000,
        ports: 4,
        ..FurnishPolicy::default()
    };
    let lease = |number| {
        lease_ports(folder.path(), session(number), &policy)
            .unwrap()
            .unwrap()
    };
    let busy = TcpListener::bind(("127.0.0.1", 42_001)).unwrap();
    let ranges: Vec<_> = thread::scope(|scope| {
        let takers: Vec<_> = (1..=12)
            .map(|number| scope.spawn(move || lease(number)))
            .collect();
        takers
            .into_iter()
            .map(|taker| taker.join().unwrap())
            .collect()
    });
    for (place, range) in ranges.iter().enumerate() {
        assert!(
            range
                .ports()
                .all(|port| port != busy.local_addr().unwrap().port())
        );
        assert!(
            !ranges[..place].iter().any(|other| other.overlaps(*range)),
            "{ranges:?}"
        );
    }
    assert_eq!(lease(3), ranges[2], "a session keeps its range");
    free_ports(folder.path(), session(3)).unwrap();
    assert_eq!(leased_ports(folder.path(), session(3)).unwrap(), None);
    assert_eq!(
        lease(13),
        ranges[2],
        "a range that was given back is leased again"
    );
    let none = FurnishPolicy {
        ports: 0,
        ..policy.clone()
    };
    assert_eq!(
        lease_ports(folder.path(), session(20), &none).unwrap(),
        None
    );
    assert!(!Path::new(&folder.path().join(session(20).to_string())).exists());
}

#[test]
fn what_cannot_be_brought_is_said_and_the_rest_is_brought() {
    let repo = repo();
    repo.write("x.env", "KEY=1\n");
    repo.write("y.env", "KEY=2\n");
    let plan = create(&repo, 1);
    let folder = native(&plan.worktree);
    fs::create_dir(folder.join(".new-x.env")).unwrap();
    let furnished = furnished(&repo, &plan, &policy(&["*.env"], &[]));
    assert_eq!(brought(&furnished), ["y.env"]);
    let (path, reason) = &left(&furnished)[0];
    assert_eq!(path, "x.env");
    assert!(reason.starts_with("it could not be copied: "), "{reason}");
}
