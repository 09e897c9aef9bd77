//! Random histories: whatever agents, persons and others did, a squash, a rebase and a merge lose
//! nothing of it. Plain git is asked what there was and what there is.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use amps_core::landing::{Course, Manual, Refusal};
use amps_engine::landing::{
    FastForward, Hooks, LandingError, MergeRequest, plan_merge, plan_rebase,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::landing_repo::Land;

/// Something that is done to a file before a commit.
#[derive(Clone, Debug)]
enum Deed {
    /// A line of its own goes in at a place.
    Insert(usize, usize),
    /// A line is taken out.
    Delete(usize, usize),
    Remove(usize),
    Rename(usize, usize),
    Executable(usize),
    Binary(usize),
}

/// Who commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Agent,
    Manual,
    Base,
    /// The person merges the base into the branch, if that goes without conflict.
    MergeBase,
}

const FILES: usize = 4;

fn deed() -> impl Strategy<Value = Deed> {
    let file = 0..FILES;
    prop_oneof![
        6 => (file.clone(), 0_usize..30).prop_map(|(file, place)| Deed::Insert(file, place)),
        2 => (file.clone(), 0_usize..30).prop_map(|(file, place)| Deed::Delete(file, place)),
        1 => file.clone().prop_map(Deed::Remove),
        1 => (file.clone(), 0..FILES).prop_map(|(from, to)| Deed::Rename(from, to)),
        1 => file.clone().prop_map(Deed::Executable),
        1 => file.prop_map(Deed::Binary),
    ]
}

fn history() -> impl Strategy<Value = Vec<(Who, Vec<Deed>)>> {
    let who = prop_oneof![
        4 => Just(Who::Agent),
        3 => Just(Who::Manual),
        2 => Just(Who::Base),
        1 => Just(Who::MergeBase),
    ];
    proptest::collection::vec((who, proptest::collection::vec(deed(), 1..3)), 2..9)
}

/// Applies a deed; `unique` makes a line that nobody else writes.
fn apply(land: &Land, who: Who, deed: &Deed, unique: &str) {
    let folder = if who == Who::Base {
        &land.main
    } else {
        &land.tree
    };
    let name = |file: usize| format!("folder {}/file{file}", file % 2);
    let full = |file: usize| folder.join(name(file));
    let lines = |file: usize| -> Option<Vec<String>> {
        let text = fs::read_to_string(full(file)).ok()?;
        Some(text.lines().map(str::to_owned).collect())
    };
    let write = |file: usize, lines: &[String]| {
        land.write_in(folder, &name(file), lines.join("\n") + "\n");
    };
    match *deed {
        Deed::Insert(file, place) => {
            let mut lines = lines(file).unwrap_or_default();
            lines.insert(place.min(lines.len()), unique.to_owned());
            write(file, &lines);
        }
        Deed::Delete(file, place) => {
            if let Some(mut lines) = lines(file).filter(|lines| lines.len() > 1) {
                lines.remove(place.min(lines.len() - 1));
                write(file, &lines);
            }
        }
        Deed::Remove(file) => drop(fs::remove_file(full(file))),
        Deed::Rename(from, to) => {
            if full(from).exists() && !full(to).exists() {
                fs::create_dir_all(full(to).parent().unwrap()).unwrap();
                fs::rename(full(from), full(to)).unwrap();
            }
        }
        Deed::Executable(file) => {
            if full(file).exists() {
                fs::set_permissions(full(file), fs::Permissions::from_mode(0o755)).unwrap();
            }
        }
        Deed::Binary(file) => {
            let name = format!("{}.bin", name(file));
            land.write_in(folder, &name, [unique.as_bytes(), &[0, 159, 10]].concat());
        }
    }
}

fn make(history: &[(Who, Vec<Deed>)]) -> Land {
    let land = Land::new();
    for file in 0..FILES {
        let lines: Vec<String> = (1..=30).map(|line| format!("{file} {line}\n")).collect();
        land.write_in(
            &land.main,
            &format!("folder {}/file{file}", file % 2),
            lines.concat(),
        );
    }
    land.commit_in(&land.main, "Other", "files");
    land.git(["merge", "-q", "--ff-only", "main"]);
    for (number, (who, deeds)) in history.iter().enumerate() {
        if *who == Who::MergeBase {
            let merge = ["merge", "-q", "--no-edit", "main"];
            if !land.try_git(&land.tree, merge).status.success() {
                land.git(["merge", "--abort"]);
            }
            continue;
        }
        for (place, deed) in deeds.iter().enumerate() {
            apply(&land, *who, deed, &format!("{who:?} {number} {place}"));
        }
        let (folder, message) = match who {
            Who::Agent => (&land.tree, format!("amp: step {number}")),
            Who::Manual => (&land.tree, format!("by hand {number}")),
            Who::Base | Who::MergeBase => (&land.main, format!("base {number}")),
        };
        land.commit_in(folder, &format!("{who:?}"), &message);
    }
    land
}

/// All lines of all files of a commit.
fn lines(land: &Land, commit: &str) -> BTreeSet<String> {
    let names = land.git(["ls-tree", "-r", "--name-only", "-z", commit]);
    let names = names.split('\0').filter(|name| !name.is_empty());
    names
        .flat_map(|name| {
            let text = land.git(["show", &format!("{commit}:{name}")]);
            text.lines().map(str::to_owned).collect::<Vec<_>>()
        })
        .collect()
}

/// The commits of persons in a range, by author and message.
fn manual(land: &Land, range: &str) -> Vec<String> {
    let mut log = land.log(range);
    log.retain(|line| line.starts_with("Manual:"));
    log
}

/// Carries out what was planned. A conflict and nothing to do are answers too, if nothing changed.
fn carried_out(land: &Land, planned: Result<Course, LandingError>, before: &[String]) -> bool {
    match planned {
        Ok(course) => {
            land.carry_out(&course).unwrap();
            land.assert_calm();
            true
        }
        Err(error) => {
            let expected = matches!(
                error.refusal(),
                Some(
                    Refusal::Conflict { .. } | Refusal::NothingToDo | Refusal::MergesAnother { .. }
                )
            );
            assert!(expected, "{error:?}");
            assert_eq!(land.state(), before);
            false
        }
    }
}

fn check(history: &[(Who, Vec<Deed>)]) {
    let land = make(history);
    let git = land.engine_git();
    let (tree, by_hand) = (land.oid("work^{tree}"), manual(&land, "main..work"));
    let squash = land.squash(Manual::Preserve).map(|plan| plan.course);
    let is_squashed = carried_out(&land, squash, &land.state());
    assert_eq!(land.oid("work^{tree}"), tree, "a squash changed the tree");
    assert_eq!(manual(&land, "main..work"), by_hand);
    if is_squashed {
        let agents = land.log("main..work");
        let agents = agents.iter().filter(|line| line.contains("amp:"));
        assert_eq!(agents.count(), 0, "a commit of the agent is left");
    }

    // A line that is in a side at its end, and that the other side did not take out, must stay.
    let foot = land.git(["merge-base", "main", "work"]);
    let [at_foot, ours, theirs] = [&foot, "main", "work"].map(|name| lines(&land, name));
    let must: BTreeSet<String> = ours
        .union(&theirs)
        .filter(|line| !at_foot.contains(*line) || (ours.contains(*line) && theirs.contains(*line)))
        .cloned()
        .collect();
    let rebase = plan_rebase(&git, &land.ground(), None, Hooks::Run).map(|plan| plan.course);
    if carried_out(&land, rebase, &land.state()) {
        let lost: Vec<_> = must.difference(&lines(&land, "work")).cloned().collect();
        assert!(lost.is_empty(), "a rebase lost {lost:?}");
        let kept = manual(&land, "main..work");
        assert!(kept.iter().all(|line| by_hand.contains(line)), "{kept:?}");
    }
    let request = MergeRequest {
        fast_forward: FastForward::Never,
        ..MergeRequest::default()
    };
    let merge = plan_merge(&git, &land.ground(), &request).map(|plan| plan.course);
    if carried_out(&land, merge, &land.state()) {
        let lost: Vec<_> = must.difference(&lines(&land, "main")).cloned().collect();
        assert!(lost.is_empty(), "a merge lost {lost:?}");
        assert_eq!(land.git_in(&land.main, ["status", "--porcelain"]), "");
    }
}

#[test]
fn nothing_that_anybody_wrote_is_lost_in_any_history() {
    let config = Config {
        cases: 24,
        failure_persistence: None,
        max_shrink_iters: 40,
        ..Config::default()
    };
    let mut runner = TestRunner::new(config);
    runner
        .run(&history(), |history| {
            check(&history);
            Ok(())
        })
        .unwrap();
}
