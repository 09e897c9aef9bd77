//! Whatever is killed while a plan is carried out, at whatever call of git: carried out again, it is
//! done, or void with everything as before. Nothing that ever was in a worktree is lost.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use amps_core::landing::{Course, Manual, Refusal};
use amps_engine::files::write_private;
use amps_engine::git::{Environment, Git};
use amps_engine::landing::{Ground, Hooks, MergeRequest, carry_out, plan_merge, plan_rebase};
use serde_json::json;

use super::landing_repo::{Land, refusal, text};

/// Stands before git: counts its calls, and at one of them kills git's parent: before git
/// does what it is asked, after it has, or so that it goes on alone.
const COUNTING_GIT: &str = r#"#!/bin/sh
n=$(($(cat "$AMPS_TEST_COUNT") + 1)); echo $n > "$AMPS_TEST_COUNT"
[ "$AMPS_TEST_KILL" = "before $n" ] && kill -9 $PPID && exit 1
[ "$AMPS_TEST_KILL" = "beside $n" ] && kill -9 $PPID
"$AMPS_TEST_GIT" "$@"
s=$?
[ "$AMPS_TEST_KILL" = "after $n" ] && kill -9 $PPID
exit $s
"#;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Squash,
    Rebase,
    Merge,
}

/// A branch and a base with changes of all kinds, and a plan.
fn planned(what: What) -> (Land, Course) {
    let land = Land::new();
    land.agent("a", text(&[(3, "x")]));
    land.manual("name with\nbreak", "by hand\n");
    fs::remove_file(land.tree.join("dir/b")).unwrap();
    land.agent("dir/b/now/deep", "made\n");
    if what == What::Rebase {
        land.base("a", text(&[(18, "base")]));
        land.base("folder/new", "base\n".repeat(1000));
        land.base("other", "base\n");
    }
    let git = land.engine_git();
    let course = match what {
        What::Squash => land.squash(Manual::Preserve).unwrap().course,
        What::Rebase => {
            let plan = plan_rebase(&git, &land.ground(), None, Hooks::Run);
            plan.unwrap().course
        }
        What::Merge => {
            let plan = plan_merge(&git, &land.ground(), &MergeRequest::default());
            plan.unwrap().course
        }
    };
    (land, course)
}

/// The product's half, in a process of its own that can be killed. Only with the variable that names
/// its case does it do anything.
#[test]
fn a_process_of_its_own_carries_out() {
    let Some(case) = std::env::var_os("AMPS_TEST_CASE") else {
        return;
    };
    let case: serde_json::Value = serde_json::from_slice(&fs::read(case).unwrap()).unwrap();
    let text = |name: &str| case[name].as_str().unwrap().to_owned();
    let ground = Ground {
        session: text("session").parse().unwrap(),
        common_dir: text("common_dir").into(),
        worktree: text("worktree").into(),
        branch: text("branch"),
        base_ref: text("base_ref"),
        prefix: "amp:".to_owned(),
        agent_commits: BTreeSet::new(),
    };
    let passed = ["AMPS_TEST_COUNT", "AMPS_TEST_KILL", "AMPS_TEST_GIT"];
    let passed = passed
        .iter()
        .filter_map(|name| Some((name.into(), std::env::var_os(name)?)));
    let git = Git::new(
        text("git").into(),
        Environment {
            path: std::env::var_os("PATH").unwrap(),
            home: Some(text("home").into()),
            xdg_config_home: None,
            passed: passed
                .chain([("GIT_CONFIG_NOSYSTEM".into(), "1".into())])
                .collect(),
        },
    );
    let course: Course = serde_json::from_value(case["course"].clone()).unwrap();
    carry_out(&git, &ground, &course).unwrap();
}

fn real_git() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    let mut folders = std::env::split_paths(&path);
    folders
        .find_map(|folder| Some(folder.join("git")).filter(|git| git.is_file()))
        .unwrap()
}

/// Carries out in a process of its own, which is killed at the call; returns how it ended and how
/// many calls there were.
fn killed(land: &Land, course: &Course, kill: &str) -> (ExitStatus, u32) {
    let wrapper = land.home().join("counting-git");
    write_private(&wrapper, COUNTING_GIT.as_bytes()).unwrap();
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).unwrap();
    let count = land.home().join("count");
    write_private(&count, b"0").unwrap();
    let status = apart(land, course, &wrapper, |child| {
        child
            .env("AMPS_TEST_COUNT", &count)
            .env("AMPS_TEST_KILL", kill)
            .env("AMPS_TEST_GIT", real_git())
    });
    let count = fs::read_to_string(count).unwrap().trim().parse().unwrap();
    (status, count)
}

/// Carries out in a process of its own with this git.
fn apart(
    land: &Land,
    course: &Course,
    git: &Path,
    set: impl FnOnce(&mut Command) -> &mut Command,
) -> ExitStatus {
    let ground = land.ground();
    let case = land.home().join("case");
    let facts = json!({
        "session": ground.session.to_string(),
        "common_dir": ground.common_dir,
        "worktree": ground.worktree,
        "branch": ground.branch,
        "base_ref": ground.base_ref,
        "git": git,
        "home": land.home(),
        "course": course,
    });
    write_private(&case, facts.to_string().as_bytes()).unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap());
    child
        .args(["--exact", "landing_crash::a_process_of_its_own_carries_out"])
        .env("AMPS_TEST_CASE", &case);
    set(&mut child).output().unwrap().status
}

/// Every content in the working trees and what every reference reaches.
fn contents(land: &Land) -> BTreeSet<String> {
    let mut all = land.reachable();
    for folder in [&land.main, &land.tree] {
        let staged = land.git_in(folder, ["ls-files", "--stage", "-z"]);
        let oids = staged.split('\0').filter_map(|line| line.split(' ').nth(1));
        all.extend(oids.map(str::to_owned));
    }
    all
}

#[track_caller]
fn assert_done(land: &Land, course: &Course, before: &BTreeSet<String>) {
    let moved = &course.moves[0];
    assert_eq!(land.oid(&moved.reference), moved.to);
    for folder in [&land.main, &land.tree] {
        assert_eq!(land.git_in(folder, ["status", "--porcelain"]), "");
    }
    land.assert_calm();
    let lost: Vec<_> = before.difference(&land.reachable()).cloned().collect();
    assert!(lost.is_empty(), "{lost:?}");
}

/// Every way to be killed at every call, of which there are so many.
fn kills(calls: u32) -> impl Iterator<Item = String> {
    let ways = ["before", "beside", "after"];
    (1..=calls).flat_map(move |call| ways.map(|way| format!("{way} {call}")))
}

/// Brings everything back to where it was before the plan was carried out.
fn start_over(land: &Land, course: &Course) {
    let moved = &course.moves[0];
    let is_base = moved.reference == "refs/heads/main";
    let folder = if is_base { &land.main } else { &land.tree };
    land.git_in(folder, ["reset", "-q", "--hard", moved.from.as_str()]);
    land.git(["update-ref", "-d", &course.backups[0].reference]);
}

fn killed_everywhere(land: &Land, course: &Course) {
    let before = contents(land);
    let (status, calls) = killed(land, course, "never");
    assert!(status.success(), "{status}");
    assert!(calls > 3, "{calls}");
    for kill in kills(calls) {
        start_over(land, course);
        let (status, _) = killed(land, course, &kill);
        assert!(!status.success(), "{kill}: it was not killed");
        let missing: Vec<_> = before.difference(&contents(land)).cloned().collect();
        assert!(missing.is_empty(), "{kill}: {missing:?}");
        let again = land.carry_out(course);
        assert!(again.is_ok(), "{kill}: {again:?}");
        assert_done(land, course, &before);
    }
}

#[test]
fn a_squash_that_is_killed_at_any_call_is_finished() {
    let (land, course) = planned(What::Squash);
    killed_everywhere(&land, &course);
}

#[test]
fn a_rebase_that_is_killed_at_any_call_is_finished() {
    let (land, course) = planned(What::Rebase);
    killed_everywhere(&land, &course);
}

#[test]
fn a_merge_that_is_killed_at_any_call_is_finished() {
    let (land, course) = planned(What::Merge);
    killed_everywhere(&land, &course);
}

#[test]
fn a_folder_that_becomes_a_link_is_not_reached_through_it() {
    let land = Land::new();
    land.agent("a", text(&[(3, "x")]));
    fs::rename(land.main.join("dir"), land.main.join("moved")).unwrap();
    symlink("moved", land.main.join("dir")).unwrap();
    land.write_in(&land.main, "moved/b", text(&[(9, "moved")]));
    land.commit_in(&land.main, "Other", "a link for a folder");
    let plan = plan_rebase(&land.engine_git(), &land.ground(), None, Hooks::Run);
    killed_everywhere(&land, &plan.unwrap().course);
    assert_eq!(land.read("moved/b"), text(&[(9, "moved")]));
}

/// Kills before the reference moves, when the working tree was brought along already.
fn kill_between(land: &Land, course: &Course) {
    let (_, calls) = killed(land, course, "never");
    for call in (1..=calls).rev() {
        start_over(land, course);
        killed(land, course, &format!("before {call}"));
        if land.oid(&course.moves[0].reference) == course.moves[0].from {
            return;
        }
        land.carry_out(course).unwrap();
    }
}

fn between(what: What) -> (Land, Course) {
    let (land, course) = planned(what);
    kill_between(&land, &course);
    (land, course)
}

#[test]
fn taking_back_may_be_killed_at_any_call_too() {
    let (land, course) = between(What::Rebase);
    let from = course.moves[0].from.as_str();
    let elsewhere = land.git([
        "commit-tree",
        "-m",
        "moved",
        "-p",
        from,
        &format!("{from}^{{tree}}"),
    ]);
    let move_away = || land.git(["update-ref", "refs/heads/work", &elsewhere]);
    move_away();
    // It fails by itself when it has taken all back: the plan is void.
    let (_, calls) = killed(&land, &course, "never");
    assert!(calls > 3, "{calls}");
    land.assert_calm();
    for kill in kills(calls) {
        land.git(["update-ref", "refs/heads/work", from]);
        land.git(["update-ref", "-d", &course.backups[0].reference]);
        land.carry_out(&course).unwrap();
        kill_between(&land, &course);
        move_away();
        killed(&land, &course, &kill);
        let refused = refusal(land.carry_out(&course));
        assert!(
            matches!(refused, Refusal::Moved { .. }),
            "{kill}: {refused:?}"
        );
        assert_eq!(land.oid("work").as_str(), elsewhere, "{kill}");
        land.assert_calm();
    }
}

#[test]
fn a_plan_that_became_void_after_a_kill_takes_back_what_it_did() {
    let (land, course) = between(What::Rebase);
    assert_ne!(land.git(["status", "--porcelain"]), "");
    let elsewhere = land.git(["commit-tree", "-m", "moved", "-p", "work", "work^{tree}"]);
    land.git(["update-ref", "refs/heads/work", &elsewhere]);
    let refused = refusal(land.carry_out(&course));
    assert!(matches!(refused, Refusal::Moved { .. }), "{refused:?}");
    assert_eq!(land.oid("work").as_str(), elsewhere);
    land.assert_calm();
}

/// Kills at the last call of git: the reference has moved and its working tree is still held.
fn kill_behind(land: &Land, course: &Course) {
    let (_, calls) = killed(land, course, "never");
    start_over(land, course);
    killed(land, course, &format!("after {calls}"));
    let moved = &course.moves[0];
    assert_eq!(land.oid(&moved.reference), moved.to);
    assert!(land.common_dir.join("index.lock").exists());
}

#[test]
fn a_reference_that_went_on_after_a_kill_has_arrived_and_its_files_stay() {
    let (land, course) = planned(What::Merge);
    kill_behind(&land, &course);
    let on = land.git(["commit-tree", "-m", "on", "-p", "main", "main^{tree}"]);
    land.git(["update-ref", "refs/heads/main", &on]);
    land.carry_out(&course).unwrap();
    assert_eq!(land.oid("main").as_str(), on);
    assert_eq!(land.git_in(&land.main, ["status", "--porcelain"]), "");
    land.assert_calm();
}

#[test]
fn a_kill_leaves_the_index_locked_so_that_nobody_commits_in_between() {
    let (land, course) = between(What::Merge);
    let commit = ["commit", "-q", "--allow-empty", "-m", "in between"];
    assert!(!land.try_git(&land.main, commit).status.success());
    land.carry_out(&course).unwrap();
    land.assert_calm();
}

#[test]
fn an_edit_after_a_kill_is_not_overwritten() {
    let (land, course) = between(What::Rebase);
    land.write("a", "edited\n");
    let Refusal::Dirty { paths, .. } = refusal(land.carry_out(&course)) else {
        panic!("not refused");
    };
    assert_eq!(
        (paths[0].to_string().as_str(), land.read("a").as_str()),
        ("a", "edited\n")
    );
    fs::remove_file(land.tree.join("a")).unwrap();
    land.carry_out(&course).unwrap();
    assert_eq!(land.read("a"), text(&[(3, "x"), (18, "base")]));
    land.assert_calm();
}

/// Has a filter kill the git that writes files, in the middle of one of them.
fn dies_while_writing(land: &Land, also_us: bool) {
    let target = if also_us {
        "kill -9 $(cut -d' ' -f4 /proc/$PPID/stat); kill -9 $PPID"
    } else {
        "kill -9 $PPID"
    };
    let filter = land.home().join("filter");
    let script = format!(
        "#!/bin/sh\nif [ -f {armed} ]; then rm {armed}; {target}; fi\ncat\n",
        armed = land.home().join("armed").display(),
    );
    write_private(&filter, script.as_bytes()).unwrap();
    fs::set_permissions(&filter, fs::Permissions::from_mode(0o755)).unwrap();
    write_private(&land.home().join("armed"), b"").unwrap();
    land.git(["config", "filter.dies.smudge", filter.to_str().unwrap()]);
    land.git(["config", "filter.dies.clean", "cat"]);
    let attributes = land.common_dir.join("info/attributes");
    fs::create_dir_all(attributes.parent().unwrap()).unwrap();
    write_private(&attributes, b"folder/new filter=dies\n").unwrap();
}

#[test]
fn a_git_that_dies_while_it_writes_leaves_all_as_before() {
    let (land, course) = planned(What::Rebase);
    let before = contents(&land);
    dies_while_writing(&land, false);
    let failed = land.carry_out(&course).unwrap_err();
    assert!(failed.refusal().is_none(), "{failed:?}");
    assert_eq!(land.oid("work"), course.moves[0].from);
    land.assert_calm();
    land.carry_out(&course).unwrap();
    assert_done(&land, &course, &before);
}

#[test]
fn killed_with_its_git_in_the_middle_of_a_file_it_is_finished() {
    let (land, course) = planned(What::Rebase);
    let before = contents(&land);
    dies_while_writing(&land, true);
    // Without the wrapper: the parent of git is the process that carries out.
    let status = apart(&land, &course, &real_git(), |child| child);
    assert!(!status.success());
    // As a git leaves it that dies between two blocks of a large file.
    land.write("folder/new", "base\n".repeat(10) + "ba");
    land.carry_out(&course).unwrap();
    assert_done(&land, &course, &before);
}
