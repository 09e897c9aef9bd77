//! Killed at any step, a creation, a removal and a restore end in done or as before, and nothing
//! that ever was in the worktree is lost.
#![cfg(feature = "testing")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Instant;

use amps_core::ground::{CreationPlan, FurnishPolicy, RemovalPlan};
use amps_engine::git::{Environment, Git};
use amps_engine::worktree::{
    RemovalOutcome, carry_out_creation, carry_out_restore, empty_trash, furnish, list_trash,
    undo_creation,
};

use super::capture_repo::Repo;
use super::worktree_ground::{
    WAIT, commit, create, everything_below, git_in, is_reachable, leftovers, lock, native, persons,
    plan, planned_removal, try_remove, write,
};

const CREATION: [&str; 6] = [
    "worktree-excluded",
    "worktree-branch",
    "worktree-folder",
    "worktree-registered",
    "worktree-checkout",
    "worktree-checked-out",
];
const UNDO: [&str; 2] = ["worktree-undo-folder", "worktree-undo-registered"];
const REMOVAL: [&str; 7] = [
    "removal-commits-kept",
    "removal-files-kept",
    "removal-files-moved",
    "removal-unregistered",
    "removal-commits-looked-at",
    "removal-branch-deleted",
    "removal-settled",
];
const PURGE: [&str; 2] = ["purge-files", "trash-refs-deleted"];
const RESTORE: [&str; 5] = [
    "restore-begun",
    "restore-branch",
    "restore-registered",
    "restore-files",
    "trash-refs-deleted",
];

/// What the process that is killed does: the operation, and the file with its plan.
const TASK: &str = "AMPS_TEST_TASK";
const PLAN: &str = "AMPS_TEST_PLAN";
const HOME: &str = "AMPS_TEST_HOME";

/// Not a test by itself: the body of the process that the others kill.
#[test]
fn a_process_to_be_killed() {
    let Ok(task) = std::env::var(TASK) else {
        return;
    };
    let text = fs::read(std::env::var_os(PLAN).unwrap()).unwrap();
    let home = PathBuf::from(std::env::var_os(HOME).unwrap());
    let git = Git::find(Environment {
        path: std::env::var_os("PATH").unwrap(),
        home: Some(home),
        xdg_config_home: None,
        passed: vec![("GIT_CONFIG_NOSYSTEM".into(), "1".into())],
    })
    .unwrap();
    let creation = || serde_json::from_slice::<CreationPlan>(&text).unwrap();
    match task.as_str() {
        "create" => carry_out_creation(&git, &creation(), &lock(&creation())).unwrap(),
        "undo" => undo_creation(&git, &creation(), &lock(&creation())).unwrap(),
        "furnish" => {
            let policy = policy();
            drop(furnish(&git, &creation(), &policy, &lock(&creation())).unwrap());
        }
        "remove" => {
            let plan: RemovalPlan = serde_json::from_slice(&text).unwrap();
            drop(try_remove(&git, &plan).unwrap());
        }
        "restore" => {
            let plan = creation();
            carry_out_restore(&git, &native(&plan.common_dir), &lock(&plan)).unwrap();
        }
        "empty" => drop(empty_trash(&git, &native(&creation().common_dir), |_| true).unwrap()),
        other => panic!("{other}"),
    }
}

fn policy() -> FurnishPolicy {
    FurnishPolicy {
        copy: vec!["*.o".to_owned()],
        ..FurnishPolicy::default()
    }
}

/// Starts the task in a process of its own.
fn start(repo: &Repo, task: &str, plan: &impl serde::Serialize, point: Option<&str>) -> Child {
    let folder = repo.home().join("points");
    fs::create_dir_all(&folder).unwrap();
    let file = repo.home().join("plan.json");
    fs::write(&file, serde_json::to_vec(plan).unwrap()).unwrap();
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "worktree_killed::a_process_to_be_killed"])
        .env(TASK, task)
        .env(PLAN, file)
        .env(HOME, repo.home())
        .env("AMPSM_TEST_PAUSE", point.unwrap_or_default())
        .env("AMPSM_TEST_PAUSE_DIR", folder)
        .spawn()
        .unwrap()
}

/// Does the task until it comes to the point, and kills it there. Returns whether it came there.
pub(crate) fn kill_at(repo: &Repo, task: &str, plan: &impl serde::Serialize, point: &str) -> bool {
    look_and_kill_at(repo, task, plan, point, || ())
}

/// Also looks at something while the task waits at the point.
pub(crate) fn look_and_kill_at(
    repo: &Repo,
    task: &str,
    plan: &impl serde::Serialize,
    point: &str,
    look: impl FnOnce(),
) -> bool {
    let mut child = start(repo, task, plan, Some(point));
    let reached = repo.home().join("points").join(format!("{point}.reached"));
    let deadline = Instant::now() + WAIT;
    let came = loop {
        if reached.exists() {
            break true;
        }
        if child.try_wait().unwrap().is_some() {
            break false;
        }
        assert!(Instant::now() < deadline, "nobody came to {point}");
    };
    if came {
        look();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    fs::remove_file(reached).ok();
    came
}

fn repo() -> Repo {
    let repo = Repo::new();
    repo.write(".gitignore", "*.o\n");
    repo.git(["add", "."]);
    repo.git(["commit", "-qm", "ignore"]);
    repo
}

fn assert_made(repo: &Repo, plan: &CreationPlan, when: &str) {
    let folder = native(&plan.worktree);
    assert_eq!(
        git_in(repo, &folder, &["status", "--porcelain"]),
        "",
        "{when}"
    );
    assert_eq!(
        git_in(repo, &folder, &["symbolic-ref", "HEAD"]),
        plan.branch,
        "{when}"
    );
    assert_eq!(
        git_in(repo, &folder, &["rev-parse", "HEAD"]),
        plan.base.as_str(),
        "{when}"
    );
    let listed = repo.git(["worktree", "list", "--porcelain"]);
    assert!(
        !listed.contains("locked") && !listed.contains("prunable"),
        "{when}: {listed}"
    );
    let mut left = leftovers(repo);
    left.retain(|name| !name.contains("amp/") && !name.contains("names/"));
    assert_eq!(left.len(), 2, "{when}: {left:?}");
}

#[test]
fn a_creation_that_was_killed_goes_on_or_is_undone() {
    for point in CREATION {
        let repo = repo();
        let before = persons(&repo);
        let first = plan(&repo, 1);
        assert!(kill_at(&repo, "create", &first, point), "{point}");
        let git = repo.engine_git();
        carry_out_creation(&git, &first, &lock(&first)).unwrap();
        assert_made(&repo, &first, point);
        drop(try_remove(&git, &planned_removal(&repo, &first)).unwrap());

        let second = plan(&repo, 2);
        assert!(kill_at(&repo, "create", &second, point) || point == "worktree-excluded");
        undo_creation(&git, &second, &lock(&second)).unwrap();
        assert_eq!(leftovers(&repo), Vec::<String>::new(), "{point}");
        let mut after = persons(&repo);
        let exclude = repo.root.join(".git/info/exclude");
        after.insert(exclude.clone(), before[&exclude].clone());
        assert_eq!(after, before, "{point}");
    }
}

#[test]
fn an_undo_that_was_killed_goes_on() {
    for point in UNDO {
        let repo = repo();
        let plan = plan(&repo, 1);
        assert!(kill_at(&repo, "create", &plan, "worktree-checked-out"));
        assert!(kill_at(&repo, "undo", &plan, point), "{point}");
        undo_creation(&repo.engine_git(), &plan, &lock(&plan)).unwrap();
        assert_eq!(leftovers(&repo), Vec::<String>::new(), "{point}");
        assert_eq!(repo.git(["worktree", "list"]).lines().count(), 1);
    }
}

#[test]
fn a_checkout_whose_git_was_killed_goes_on() {
    let repo = repo();
    repo.write(".gitattributes", "b filter=deadly\n");
    repo.git(["add", "."]);
    repo.git(["commit", "-qm", "filter"]);
    let plan = plan(&repo, 1);
    repo.git(["config", "filter.deadly.smudge", "kill -9 $PPID"]);
    let git = repo.engine_git();
    for _ in 0..2 {
        let error = carry_out_creation(&git, &plan, &lock(&plan)).unwrap_err();
        assert_eq!(error.to_string(), "the repository could not be asked");
    }
    let admin = repo.root.join(".git/worktrees").join(&plan.admin);
    assert!(
        admin.join("index.lock").exists(),
        "git had no time to clean up"
    );
    repo.git(["config", "filter.deadly.smudge", "cat"]);
    carry_out_creation(&git, &plan, &lock(&plan)).unwrap();
    assert_made(&repo, &plan, "after the kill");
}

#[test]
fn a_git_that_outlives_us_keeps_the_lock() {
    let repo = repo();
    repo.write(".gitattributes", "b filter=slow\n");
    repo.git(["add", "."]);
    repo.git(["commit", "-qm", "filter"]);
    let plan = plan(&repo, 1);
    let (started, go) = (repo.home().join("started"), repo.home().join("go"));
    let slow = format!(
        "touch {0}; until test -e {1}; do :; done; cat",
        started.display(),
        go.display()
    );
    repo.git(["config", "filter.slow.smudge", &slow]);
    let mut child = start(&repo, "create", &plan, None);
    let deadline = Instant::now() + WAIT;
    while !started.exists() {
        assert!(Instant::now() < deadline, "no checkout began");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let common_dir = native(&plan.common_dir);
    let take = |wait| {
        amps_engine::worktree::SessionLock::take(&common_dir, plan.session, "amps new", wait)
    };
    let refused = take(std::time::Duration::ZERO).unwrap_err().to_string();
    assert!(
        refused.starts_with("held by a git left by `a test`"),
        "{refused}"
    );
    fs::write(&go, "").unwrap();
    let lock = take(WAIT).unwrap();
    carry_out_creation(&repo.engine_git(), &plan, &lock).unwrap();
    assert_made(&repo, &plan, "after the git that was left");
}

/// A git that dies at its n-th call, before or after it has done what it was asked.
fn mortal_git(repo: &Repo, call: usize, after: bool) -> Git {
    let real = repo.engine_git();
    let counter = repo.home().join("calls");
    fs::remove_file(&counter).ok();
    let program = repo.home().join("mortal-git");
    let path = std::env::var("PATH").unwrap();
    let git = std::env::split_paths(&path)
        .map(|folder| folder.join("git"))
        .find(|git| git.exists());
    let (git, counter) = (git.unwrap(), counter.display().to_string());
    let last = if after {
        format!("'{}' \"$@\"; ", git.display())
    } else {
        String::new()
    };
    let script = format!(
        "#!/bin/sh\necho x >> '{counter}'\n\
         if test \"$(wc -l < '{counter}')\" -eq {call}; then {last}kill -9 $$; fi\n\
         exec '{}' \"$@\"\n",
        git.display()
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    drop(real);
    Git::new(
        program,
        Environment {
            path: path.into(),
            home: Some(repo.home().to_owned()),
            xdg_config_home: None,
            passed: vec![("GIT_CONFIG_NOSYSTEM".into(), "1".into())],
        },
    )
}

/// Does something with a git that dies at each of its calls in turn, each time from the start.
/// Returns how many calls there were.
fn with_dying_git(after: bool, act: impl Fn(&Repo, &Git, &str)) -> usize {
    for call in 1.. {
        let repo = repo();
        let git = mortal_git(&repo, call, after);
        act(&repo, &git, &format!("call {call}, after it: {after}"));
        let calls = fs::read(repo.home().join("calls")).unwrap().len() / 2;
        if calls < call {
            return calls;
        }
    }
    unreachable!("there are not that many calls");
}

#[test]
fn a_creation_during_which_git_dies_is_done_when_it_is_done_again() {
    for after in [false, true] {
        let calls = with_dying_git(after, |repo, git, when| {
            let plan = plan(repo, 1);
            drop(carry_out_creation(git, &plan, &lock(&plan)));
            carry_out_creation(&repo.engine_git(), &plan, &lock(&plan)).unwrap();
            assert_made(repo, &plan, when);
        });
        assert!(calls >= 2, "{calls}");
    }
}

/// A worktree with work of every kind, and the objects that its work is in.
fn worked_in(repo: &Repo, number: u128) -> (CreationPlan, Vec<String>) {
    let plan = create(repo, number);
    let folder = native(&plan.worktree);
    write(&folder, "made", "amended away\n");
    let mut objects = vec![commit(repo, &folder, "amp: made")];
    write(&folder, "made", "kept\n");
    git_in(
        repo,
        &folder,
        &["commit", "-qa", "--amend", "-m", "amp: made"],
    );
    objects.push(git_in(repo, &folder, &["rev-parse", "HEAD"]));
    write(&folder, "a", "staged\n");
    git_in(repo, &folder, &["add", "a"]);
    objects.push(git_in(repo, &folder, &["rev-parse", ":a"]));
    write(&folder, "a", "edited\n");
    write(&folder, "untracked", "untracked\n");
    write(&folder, "ignored.o", "ignored\n");
    (plan, objects)
}

/// Fails unless everything of a worktree is where a person can get it: all files in one place, and
/// all objects reachable from references, reflogs or the index.
fn assert_nothing_lost(
    repo: &Repo,
    plan: &CreationPlan,
    (files, objects): (&BTreeMap<PathBuf, String>, &[String]),
    when: &str,
) {
    let places = [
        native(&plan.worktree),
        repo.root
            .join(".git/amps/trash")
            .join(plan.session.to_string())
            .join("files"),
    ];
    let whole = places
        .iter()
        .filter(|place| &everything_below(place) == files);
    assert_eq!(whole.count(), 1, "{when}: the files are whole in one place");
    let admin = repo.root.join(".git/worktrees").join(&plan.admin);
    let mut reachable = String::new();
    if admin.exists() {
        // As git itself reaches them as long as it knows the worktree.
        let known = [
            "rev-list",
            "--objects",
            "--all",
            "--reflog",
            "--indexed-objects",
        ];
        reachable = repo.git(known);
    }
    for object in objects {
        let kept = is_reachable(repo, object) || reachable.contains(object);
        assert!(kept, "{when}: {object}");
    }
}

#[test]
fn a_removal_that_was_killed_goes_on_and_loses_nothing() {
    for point in REMOVAL {
        let repo = repo();
        let (plan, objects) = worked_in(&repo, 1);
        let files = everything_below(&native(&plan.worktree));
        let removal = planned_removal(&repo, &plan);
        assert!(kill_at(&repo, "remove", &removal, point), "{point}");
        assert_nothing_lost(&repo, &plan, (&files, &objects), point);
        let outcome = try_remove(&repo.engine_git(), &removal).unwrap();
        assert!(matches!(outcome, RemovalOutcome::Trashed(_)), "{point}");
        assert_nothing_lost(&repo, &plan, (&files, &objects), point);
        assert_eq!(leftovers(&repo), Vec::<String>::new(), "{point}");
        let common_dir = native(&plan.common_dir);
        assert_eq!(list_trash(&common_dir).unwrap().len(), 1);
        carry_out_restore(&repo.engine_git(), &common_dir, &lock(&plan)).unwrap();
        assert_eq!(everything_below(&native(&plan.worktree)), files, "{point}");
    }
}

#[test]
fn a_removal_whose_git_died_before_it_acted_loses_nothing_and_can_be_done_again() {
    remove_with_dying_git(false);
}

#[test]
fn a_removal_whose_git_died_after_it_acted_loses_nothing_and_can_be_done_again() {
    remove_with_dying_git(true);
}

fn remove_with_dying_git(after: bool) {
    let calls = with_dying_git(after, |repo, git, when| {
        let (plan, objects) = worked_in(repo, 1);
        let files = everything_below(&native(&plan.worktree));
        let removal = planned_removal(repo, &plan);
        drop(try_remove(git, &removal));
        assert_nothing_lost(repo, &plan, (&files, &objects), when);
        drop(try_remove(&repo.engine_git(), &removal).unwrap());
        assert_nothing_lost(repo, &plan, (&files, &objects), when);
        assert_eq!(leftovers(repo), Vec::<String>::new(), "{when}");
    });
    assert!(calls >= 10, "{calls}");
}

#[test]
fn a_removal_of_what_exists_elsewhere_that_was_killed_leaves_nothing() {
    for point in REMOVAL.iter().chain(&PURGE) {
        let repo = repo();
        let plan = create(&repo, 1);
        let removal = planned_removal(&repo, &plan);
        assert!(kill_at(&repo, "remove", &removal, point), "{point}");
        let outcome = try_remove(&repo.engine_git(), &removal).unwrap();
        assert_eq!(outcome, RemovalOutcome::Removed, "{point}");
        assert_eq!(leftovers(&repo), Vec::<String>::new(), "{point}");
        assert_eq!(repo.git(["for-each-ref", "refs/amps"]), "", "{point}");
        assert_eq!(
            list_trash(&native(&plan.common_dir)).unwrap(),
            [],
            "{point}"
        );
    }
}

#[test]
fn a_restore_that_was_killed_goes_on_and_loses_nothing() {
    for point in RESTORE {
        let repo = repo();
        let (plan, objects) = worked_in(&repo, 1);
        let folder = native(&plan.worktree);
        let files = everything_below(&folder);
        drop(try_remove(&repo.engine_git(), &planned_removal(&repo, &plan)).unwrap());
        assert!(kill_at(&repo, "restore", &plan, point), "{point}");
        assert_nothing_lost(&repo, &plan, (&files, &objects), point);
        let common_dir = native(&plan.common_dir);
        carry_out_restore(&repo.engine_git(), &common_dir, &lock(&plan)).unwrap();
        assert_nothing_lost(&repo, &plan, (&files, &objects), point);
        assert_eq!(everything_below(&folder), files, "{point}");
        assert_eq!(repo.git(["for-each-ref", "refs/amps"]), "", "{point}");
        assert_eq!(
            git_in(&repo, &folder, &["symbolic-ref", "HEAD"]),
            plan.branch
        );
    }
}

#[test]
fn an_emptying_of_the_trash_that_was_killed_goes_on() {
    for point in ["purge-begun", "purge-files", "trash-refs-deleted"] {
        let repo = repo();
        let (plan, _) = worked_in(&repo, 1);
        drop(try_remove(&repo.engine_git(), &planned_removal(&repo, &plan)).unwrap());
        assert!(kill_at(&repo, "empty", &plan, point), "{point}");
        let common_dir = native(&plan.common_dir);
        let gone = empty_trash(&repo.engine_git(), &common_dir, |_| false).unwrap();
        assert_eq!(gone.len(), 1, "{point}: what was begun is ended");
        assert_eq!(list_trash(&common_dir).unwrap(), []);
        assert_eq!(repo.git(["for-each-ref", "refs/amps"]), "", "{point}");
    }
}

#[test]
fn furnishing_that_was_killed_goes_on() {
    let repo = repo();
    repo.write("x.o", "one\n");
    repo.write("y.o", "two\n");
    let plan = create(&repo, 1);
    assert!(kill_at(&repo, "furnish", &plan, "worktree-brought"));
    let furnished = furnish(&repo.engine_git(), &plan, &policy(), &lock(&plan)).unwrap();
    assert!(furnished.left.is_empty());
    let folder = native(&plan.worktree);
    for (name, text) in [("x.o", "one\n"), ("y.o", "two\n")] {
        assert_eq!(fs::read_to_string(folder.join(name)).unwrap(), text);
    }
    assert!(!Path::new(&folder.join(".new-y.o")).exists());
    let findings = planned_removal(&repo, &plan).findings;
    assert_eq!(findings, [], "all of it was brought along");
}
