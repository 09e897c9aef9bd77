//! The gate at a landing: only what it has judged is merged, unless a person says otherwise.

use serde_json::{Value, json};

use crate::worktree_iterate::Scene;
use crate::worktree_land::obedient;

#[track_caller]
fn preflight(scene: &Scene, code: i32) -> Value {
    let words = ["preflight", &scene.id, "--json"];
    let known = scene.amps(&words).run().code(code).json();
    assert_eq!(known["ready"], code == 0, "{known}");
    known
}

/// Asserts that neither a look nor a merge lets the session pass, and that nothing is merged.
#[track_caller]
fn assert_refused(scene: &Scene, why: &str) -> Value {
    let base = scene.repo.head();
    let known = preflight(scene, 11);
    let refused = scene.amps(&["merge", &scene.id]).run().code(11);
    let said = refused.stderr_text();
    assert!(
        said.contains("E031") && said.contains(why) && said.contains("--ignore-gate"),
        "{why}: {}",
        refused.text()
    );
    assert_eq!(scene.repo.head(), base, "{why}");
    assert_eq!(scene.record()["operation"], Value::Null, "{why}");
    known
}

#[test]
fn a_gate_that_did_not_pass_keeps_a_session_from_being_merged() {
    let scene = obedient(&["--script", "test -f wanted.txt"]);
    let words = ["iterate", &scene.id, "--prompt", "echo 1 > other.txt"];
    scene.amps(&words).run().code(11);
    let known = scene
        .amps(&["preflight", &scene.id, "--json"])
        .run()
        .code(11)
        .json();
    assert_eq!(known["gate"]["verdict"], "failed");
    assert_eq!(known["gate"]["is_current"], true);
    assert_eq!(known["ready"], false);
    let refused = scene.amps(&["merge", &scene.id]).run().code(11);
    assert!(
        refused.stderr_text().contains("--ignore-gate"),
        "{}",
        refused.text()
    );
    scene
        .amps(&["merge", &scene.id, "--ignore-gate"])
        .run()
        .ok();
    assert_eq!(scene.repo.read("other.txt"), "1\n");
}

#[test]
fn a_gate_that_never_ran_keeps_a_session_from_being_merged() {
    let scene = obedient(&["--script", "true"]);
    scene.tree.write("hand.txt", "by hand\n");
    scene.tree.commit("by hand");
    let known = assert_refused(&scene, "never ran");
    assert_eq!(known["gate"]["verdict"], "none");
    scene
        .amps(&["merge", &scene.id, "--ignore-gate"])
        .run()
        .ok();
}

#[test]
fn a_commit_behind_the_gate_has_to_be_judged_again() {
    let scene = obedient(&["--script", "test -f one.txt"]);
    scene.turn("echo 1 > one.txt");
    preflight(&scene, 0);
    std::fs::remove_file(scene.tree.file("one.txt")).unwrap();
    scene.tree.commit("by hand");
    let known = assert_refused(&scene, "not what its branch names now");
    assert_eq!(known["gate"]["verdict"], "passed");
    assert_eq!(known["gate"]["is_current"], false);
    // An iteration that changes nothing judges all the same.
    let words = ["iterate", &scene.id, "--prompt", "true"];
    scene.amps(&words).run().code(11);
    assert_refused(&scene, "did not pass");
}

#[test]
fn a_base_that_has_moved_is_judged_together_with_the_branch_before_it_takes_that_in() {
    let scene = obedient(&["--script", "test -f one.txt"]);
    scene.turn("echo 1 > one.txt");
    scene.repo.write("upstream.txt", "upstream\n");
    scene.repo.commit("upstream");
    let known = assert_refused(&scene, "nobody has judged the two together");
    assert_eq!(known["gate"]["is_current"], true);
    assert_eq!(known["is_judged"], false);
    scene.amps(&["rebase", &scene.id]).run().ok();
    assert_refused(&scene, "not what its branch names now");
    scene.turn("true");
    assert_eq!(preflight(&scene, 0)["is_judged"], true);
    scene.amps(&["merge", &scene.id]).run().ok();
    assert_eq!(scene.repo.read("one.txt"), "1\n");
}

#[test]
fn the_same_files_stay_judged_under_other_commits() {
    let scene = obedient(&["--script", "true"]);
    scene.turn("echo 1 > one.txt");
    scene.turn("echo 2 > two.txt");
    // The base moves, but none of its files.
    scene
        .repo
        .git(["commit", "-q", "--allow-empty", "-m", "empty"]);
    scene.amps(&["squash", &scene.id, "-m", "One"]).run().ok();
    preflight(&scene, 0);
    scene.amps(&["rebase", &scene.id]).run().ok();
    let known = preflight(&scene, 0);
    assert_eq!(known["gate"]["is_current"], json!(true));
    scene.amps(&["merge", &scene.id, "--no-ff"]).run().ok();
    assert_eq!(scene.repo.read("two.txt"), "2\n");
}

#[test]
fn a_conflict_that_a_person_resolved_has_to_be_judged() {
    for ignored in [false, true] {
        let scene = obedient(&["--script", "true"]);
        scene.turn("echo agent > kept.txt");
        scene.repo.write("kept.txt", "person\n");
        scene.repo.commit("by a person");
        let words = ["merge", &scene.id, "--ignore-gate"];
        let words = if ignored { &words[..] } else { &words[..2] };
        scene.amps(words).run().code(12);
        scene.tree.write("kept.txt", "both\n");
        scene.tree.git(["add", "kept.txt"]);
        let going_on = scene.amps(&["continue-merge", &scene.id]).run();
        if ignored {
            going_on.ok();
        } else {
            let refused = going_on.code(11);
            assert!(refused.stderr_text().contains("E031"), "{}", refused.text());
            assert_eq!(scene.record()["operation"], Value::Null);
            scene.turn("true");
            scene.amps(&["merge", &scene.id]).run().ok();
        }
        assert_eq!(scene.repo.read("kept.txt"), "both\n");
    }
}

#[test]
fn what_somebody_merged_by_hand_is_merged_whatever_the_gate_said() {
    let scene = obedient(&["--script", "false"]);
    let words = ["iterate", &scene.id, "--prompt", "echo 1 > one.txt"];
    scene.amps(&words).run().code(11);
    let branch = scene.tree.git(["rev-parse", "--abbrev-ref", "HEAD"]);
    scene.repo.git(["merge", "-q", &branch]);
    scene.amps(&["merge", &scene.id]).run().ok();
    assert_eq!(scene.record()["status_reason"], "merged");
}
