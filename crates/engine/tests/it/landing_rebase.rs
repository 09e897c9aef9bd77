//! The branch goes onto its base: without a working tree where all goes together, for real and by
//! a person's hand where it does not.

use std::fs;

use amps_core::capture::CaptureLimits;
use amps_core::landing::{Operation, Progress, Refusal, Started};
use amps_engine::capture::Cutoff;
use amps_engine::landing::{Hooks, abort, go_on, plan_rebase, plan_start, start};

use super::capture_repo::now;
use super::landing_repo::{Land, refusal, text};

#[test]
fn the_branch_stands_on_the_base_with_all_that_either_changed() {
    let land = Land::new();
    land.agent("a", text(&[(3, "x")]));
    land.manual("made", "by hand\n");
    land.base("a", text(&[(18, "base")]));
    land.base("new", "base\n");
    land.git(["mv", "dir/b", "moved"]);
    land.commit_in(&land.tree, "Agent", "amp: move");
    land.base("dir/b", text(&[(9, "base")]));
    let tip = land.oid("work");
    let plan = plan_rebase(&land.engine_git(), &land.ground(), None, Hooks::Run).unwrap();
    assert_eq!((land.oid("work"), plan.commits.len()), (tip.clone(), 3));
    land.carry_out(&plan.course).unwrap();
    assert_eq!(land.oid("work~3"), land.oid("main"));
    assert_eq!(
        land.log("main..work"),
        [
            "Agent: amp: change a",
            "Manual: mend made",
            "Agent: amp: move"
        ]
    );
    assert_eq!(land.read("a"), text(&[(3, "x"), (18, "base")]));
    assert_eq!(land.read("moved"), text(&[(9, "base")]));
    assert_eq!(land.read("new"), "base\n");
    assert!(!land.tree.join("dir/b").exists());
    assert_eq!(land.oid(&plan.course.backups[0].reference), tip);
    land.assert_calm();
    let again = plan_rebase(&land.engine_git(), &land.ground(), None, Hooks::Run);
    assert_eq!(refusal(again), Refusal::NothingToDo);
}

#[test]
fn what_the_base_has_already_is_dropped_and_an_empty_commit_is_not() {
    let land = Land::new();
    let same = land.agent("a", text(&[(3, "x")]));
    land.git(["commit", "-q", "--allow-empty", "-m", "empty"]);
    land.base("a", text(&[(3, "x")]));
    let plan = plan_rebase(&land.engine_git(), &land.ground(), None, Hooks::Run).unwrap();
    assert_eq!(plan.dropped[0].as_str(), same);
    land.carry_out(&plan.course).unwrap();
    assert_eq!(land.log("main..work"), ["Person: empty"]);
}

#[test]
fn the_branch_goes_onto_another_commit_when_asked() {
    let land = Land::new();
    land.git_in(&land.main, ["branch", "other"]);
    land.base("new", "base\n");
    land.git(["merge", "-q", "--ff-only", "main"]);
    land.agent("a", text(&[(3, "x")]));
    let onto = Some("refs/heads/other");
    let plan = plan_rebase(&land.engine_git(), &land.ground(), onto, Hooks::Run).unwrap();
    land.carry_out(&plan.course).unwrap();
    assert_eq!(land.oid("work^"), land.oid("other"));
    assert!(!land.tree.join("new").exists());
    land.assert_calm();
}

#[test]
fn a_merge_of_the_base_is_replayed_as_what_it_left() {
    let land = Land::new();
    land.agent("a", text(&[(3, "x")]));
    land.base("dir/b", text(&[(3, "base")]));
    land.git(["merge", "-q", "--no-commit", "main"]);
    land.write("made", "while merging\n");
    land.commit_in(&land.tree, "Manual", "merge, and more");
    land.base("new", "base\n");
    let plan = plan_rebase(&land.engine_git(), &land.ground(), None, Hooks::Run).unwrap();
    land.carry_out(&plan.course).unwrap();
    assert_eq!(
        land.log("main..work"),
        ["Agent: amp: change a", "Manual: merge, and more"]
    );
    assert_eq!(land.read("made"), "while merging\n");
}

#[test]
fn a_file_that_git_does_not_track_is_not_overwritten_even_if_it_is_ignored() {
    let land = Land::new();
    land.agent(".gitignore", "kept/\n");
    land.write("kept/mine", "mine\n");
    land.base("kept/mine", "base\n");
    let before = land.state();
    let plan = plan_rebase(&land.engine_git(), &land.ground(), None, Hooks::Run);
    let Refusal::InTheWay { paths, .. } = refusal(plan) else {
        panic!("not refused");
    };
    assert_eq!(paths[0].to_string(), "kept/mine");
    assert_eq!(
        (land.read("kept/mine").as_str(), land.state()),
        ("mine\n", before)
    );
    fs::remove_dir_all(land.tree.join("kept")).unwrap();
    let plan = plan_rebase(&land.engine_git(), &land.ground(), None, Hooks::Run).unwrap();
    land.write("kept", "a file where a folder comes\n");
    refusal(land.carry_out(&plan.course));
    assert_eq!(land.read("kept"), "a file where a folder comes\n");
    assert_eq!(land.oid("work"), plan.course.moves[0].from);
    land.git(["clean", "-fdxq"]);
    land.assert_calm();
}

fn conflicting(land: &Land) -> [String; 2] {
    let ours = land.base("a", text(&[(3, "base")]));
    let theirs = land.agent("a", text(&[(3, "x")]));
    land.agent("new", "made\n");
    [ours, theirs]
}

#[test]
fn a_conflict_names_both_sides_and_changes_nothing() {
    let land = Land::new();
    let [ours, theirs] = conflicting(&land);
    let before = land.state();
    let plan = plan_rebase(&land.engine_git(), &land.ground(), None, Hooks::Run);
    let Refusal::Conflict { commit, paths } = refusal(plan) else {
        panic!("no conflict");
    };
    assert_eq!(commit.unwrap().oid.as_str(), theirs);
    assert_eq!(paths[0].path.to_string(), "a");
    assert_eq!(paths[0].kinds, ["CONFLICT (contents)"]);
    assert_eq!(paths[0].ours[0].oid.as_str(), ours);
    assert_eq!(paths[0].theirs[0].oid.as_str(), theirs);
    assert_eq!(land.state(), before);
}

fn begin(land: &Land) -> Started {
    let git = land.engine_git();
    let started = plan_start(&git, &land.ground(), Operation::Rebase, None).unwrap();
    let progress = start(&git, &land.ground(), &started, Hooks::Run, &land.lock()).unwrap();
    assert!(
        matches!(&progress, Progress::Conflict { paths } if paths[0].to_string() == "a"),
        "{progress:?}"
    );
    let again = start(&git, &land.ground(), &started, Hooks::Run, &land.lock()).unwrap();
    assert_eq!(again, progress, "started twice, it only tells");
    started
}

#[test]
fn a_person_resolves_and_it_goes_on_without_an_editor() {
    let land = Land::new();
    conflicting(&land);
    let started = begin(&land);
    let refused = refusal(go_on(
        &land.engine_git(),
        &land.ground(),
        &started,
        Hooks::Run,
        &land.lock(),
    ));
    assert!(matches!(refused, Refusal::Unresolved { .. }), "{refused:?}");
    land.write("a", text(&[(3, "base and x")]));
    land.git(["add", "a"]);
    let progress = go_on(
        &land.engine_git(),
        &land.ground(),
        &started,
        Hooks::Run,
        &land.lock(),
    )
    .unwrap();
    let to = land.oid("work");
    assert_eq!(progress, Progress::Done { to });
    assert_eq!(land.oid("work~2"), land.oid("main"));
    assert_eq!(land.read("a"), text(&[(3, "base and x")]));
    let again = go_on(
        &land.engine_git(),
        &land.ground(),
        &started,
        Hooks::Run,
        &land.lock(),
    )
    .unwrap();
    assert_eq!(again, progress);
    land.assert_calm();
}

#[test]
fn given_up_all_is_as_before_and_what_was_resolved_is_kept() {
    let land = Land::new();
    conflicting(&land);
    let tip = land.oid("work");
    let started = begin(&land);
    land.write("a", text(&[(3, "half resolved")]));
    let give_up = || {
        let cutoff = Cutoff::open(now());
        let limits = CaptureLimits::default();
        abort(
            &land.engine_git(),
            &land.ground(),
            &started,
            &land.lock(),
            (&cutoff, &limits),
        )
    };
    let kept = give_up().unwrap().unwrap().commit.unwrap();
    assert_eq!(
        land.git(["show", &format!("{kept}:a")]),
        text(&[(3, "half resolved")]).trim_end()
    );
    assert_eq!(land.oid("work"), tip);
    assert_eq!(give_up().unwrap(), None);
    land.assert_calm();
}

#[test]
fn what_somebody_else_started_is_never_touched() {
    let land = Land::new();
    conflicting(&land);
    let git = land.engine_git();
    let started = plan_start(&git, &land.ground(), Operation::Rebase, None).unwrap();
    // The person rebases onto something else than we would have.
    land.git(["checkout", "-q", "-b", "other", "main"]);
    land.manual("a", text(&[(3, "another")]));
    land.git(["checkout", "-q", "work"]);
    assert!(
        !land
            .try_git(&land.tree, ["rebase", "other"])
            .status
            .success()
    );
    let before = land.state();
    let lock = land.lock();
    for refused in [
        refusal(start(&git, &land.ground(), &started, Hooks::Run, &lock)),
        refusal(go_on(&git, &land.ground(), &started, Hooks::Run, &lock)),
        refusal(abort(
            &git,
            &land.ground(),
            &started,
            &lock,
            (&Cutoff::open(now()), &CaptureLimits::default()),
        )),
    ] {
        assert!(matches!(refused, Refusal::NotOurs { .. }), "{refused:?}");
    }
    assert_eq!(land.state(), before);
    land.git(["rebase", "--abort"]);
    let refused = refusal(go_on(&git, &land.ground(), &started, Hooks::Run, &lock));
    assert!(
        matches!(refused, Refusal::NotUnderWay { .. }),
        "{refused:?}"
    );
}
