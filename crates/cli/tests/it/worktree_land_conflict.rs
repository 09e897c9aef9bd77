//! Conflicts of worktree sessions: who wrote either side, the way on, and the way back.

use amps_engine::files::write_private;
use amps_testkit::{Exit, PATIENCE, Signal, wait};
use serde_json::Value;

use crate::worktree_iterate::Scene;
use crate::worktree_land::{obedient, turn};

/// A session that does not go together with its base.
fn at_odds() -> Scene {
    let scene = obedient(&[]);
    scene.turn("echo agent > kept.txt");
    scene.repo.write("kept.txt", "person\n");
    scene.repo.commit("by a person");
    scene
}

fn ask(scene: &Scene, words: &[&str], code: i32) -> Value {
    scene.amps(words).arg("--json").run().code(code).json()
}

#[track_caller]
fn assert_waits(scene: &Scene) {
    let record = scene.record();
    assert_eq!(record["status"], "awaiting-input");
    assert_eq!(record["status_reason"], "conflict");
}

#[test]
fn a_merge_that_conflicts_waits_in_the_worktree_and_goes_on() {
    let scene = at_odds();
    let base = scene.repo.head();
    let id = scene.id.as_str();
    let answer = ask(&scene, &["merge", id, "--no-ff", "-m", "Both"], 12);
    assert_eq!(answer["outcome"], "conflict");
    assert_eq!(answer["waiting"], true);
    let conflict = &answer["conflicts"][0];
    assert_eq!(conflict["path"], "kept.txt");
    let [of_base, of_branch] = [&conflict["sides"][0], &conflict["sides"][1]];
    assert_eq!(of_base["of"], "base");
    assert_eq!(of_base["commits"][0]["subject"], "by a person");
    assert_eq!(of_base["commits"][0]["session_id"], Value::Null);
    assert_eq!(of_branch["of"], "branch");
    assert_eq!(of_branch["commits"][0]["session_id"], id);
    assert_eq!(of_branch["commits"][0]["iteration"], 1);
    assert_waits(&scene);
    assert_eq!(scene.repo.head(), base);
    // Nothing else is done to it meanwhile.
    for words in [
        &["squash", id, "-m", "x"][..],
        &["iterate", id],
        &["merge", id],
    ] {
        let refused = scene.amps(words).run().code(13);
        assert!(
            refused.stderr_text().contains("continue-merge"),
            "{}",
            refused.text()
        );
    }
    let unresolved = scene.amps(&["continue-merge", id]).run().code(12);
    assert!(
        unresolved.stderr_text().contains("kept.txt"),
        "{}",
        unresolved.text()
    );
    scene.tree.write("kept.txt", "both\n");
    scene.tree.git(["add", "kept.txt"]);
    let answer = ask(&scene, &["continue-merge", id], 0);
    assert_eq!(answer["outcome"], "done", "{answer}");
    assert_eq!(scene.repo.read("kept.txt"), "both\n");
    assert_eq!(scene.repo.git(["log", "-1", "--format=%s"]), "Both");
    assert_eq!(scene.record()["status"], "completed");
}

#[test]
fn a_merge_that_is_given_up_leaves_all_as_it_was() {
    let scene = at_odds();
    let (base, head) = (scene.repo.head(), scene.tree.head());
    let told = scene.amps(&["merge", &scene.id]).run().code(12);
    let text = told.stdout_text();
    assert!(text.contains("iteration 1 of session"), "{}", told.text());
    assert!(told.stderr_text().contains("E030"), "{}", told.text());
    scene.tree.write("kept.txt", "half\n");
    let answer = ask(&scene, &["abort-merge", &scene.id], 0);
    assert_eq!(answer["outcome"], "aborted");
    // What was in the worktree is kept all the same.
    let detail = answer["detail"].as_str().unwrap();
    let kept = detail.rsplit(' ').next().unwrap();
    assert_eq!(
        scene.tree.git(["show", &format!("{kept}:kept.txt")]),
        "half"
    );
    assert_eq!((scene.repo.head(), scene.tree.head()), (base, head));
    assert_eq!(scene.tree.read("kept.txt"), "agent\n");
    let record = scene.record();
    assert_eq!(record["status"], "idle");
    assert_eq!(record["operation"], Value::Null);
    scene.amps(&["abort-merge", &scene.id]).run().code(13);
    scene.amps(&["continue-merge", &scene.id]).run().code(13);
}

#[test]
fn a_rebase_that_conflicts_goes_on_without_an_editor_or_is_given_up() {
    let scene = at_odds();
    scene.turn("echo more > more.txt");
    let head = scene.tree.head();
    let id = scene.id.as_str();
    let answer = ask(&scene, &["rebase", id], 12);
    assert_eq!(
        answer["conflicts"][0]["sides"][1]["commits"][0]["iteration"],
        1
    );
    assert_waits(&scene);
    scene.amps(&["rebase", id, "--abort"]).run().ok();
    assert_eq!(scene.tree.head(), head);
    assert_eq!(scene.record()["status"], "idle");
    scene.amps(&["rebase", id]).run().code(12);
    scene.tree.write("kept.txt", "both\n");
    scene.tree.git(["add", "kept.txt"]);
    let rebase = ["rebase", id, "--continue"];
    let answer = scene
        .amps(&rebase)
        .arg("--json")
        .env("GIT_EDITOR", "false")
        .run()
        .ok()
        .json();
    assert_eq!(answer["outcome"], "done", "{answer}");
    assert_eq!(
        scene.tree.git(["merge-base", "HEAD", "main"]),
        scene.repo.head()
    );
    let record = scene.record();
    assert_eq!(
        (&record["status"], &record["changes"]["files"]),
        (&"idle".into(), &2.into())
    );
}

#[test]
fn what_a_person_ended_by_hand_is_seen() {
    let scene = at_odds();
    scene.amps(&["rebase", &scene.id]).run().code(12);
    scene.tree.git(["rebase", "--abort"]);
    scene.turn("echo 2 > two.txt");
    let log = scene.amps(&["log", &scene.id]).run().ok().stdout_text();
    assert!(log.contains("under way no more"), "{log}");
    scene.amps(&["merge", &scene.id]).run().code(12);
    scene.tree.write("kept.txt", "both\n");
    scene.tree.git(["add", "kept.txt"]);
    scene.tree.git(["commit", "-qm", "Resolved by hand"]);
    scene.amps(&["continue-merge", &scene.id]).run().ok();
    assert_eq!(scene.repo.read("kept.txt"), "both\n");
}

#[test]
fn what_somebody_else_has_started_is_left_alone() {
    let scene = at_odds();
    let rebase = scene.tree.git_command(["rebase", "main"]).run();
    assert!(rebase.code(1).stdout_text().contains("kept.txt"));
    let state = scene.tree.git(["rev-parse", "--git-path", "rebase-merge"]);
    let state = scene.tree.path().join(state);
    for words in [
        &["rebase", &scene.id, "--abort"][..],
        &["rebase", &scene.id, "--continue"],
        &["abort-merge", &scene.id],
        &["continue-merge", &scene.id],
        &["squash", &scene.id, "-m", "x"],
        &["merge", &scene.id],
    ] {
        scene.amps(words).run().code(13);
        assert!(state.is_dir(), "{words:?}");
    }
    scene.tree.git(["rebase", "--abort"]);
}

#[test]
fn a_squash_that_cannot_keep_a_persons_commit_changes_nothing_and_says_how() {
    let scene = obedient(&[]);
    scene.turn("echo agent > file.txt");
    scene.tree.write("file.txt", "agent, by hand\n");
    scene.tree.commit("by hand");
    scene.turn("echo 'agent, by hand, again' > file.txt");
    let head = scene.tree.head();
    let answer = ask(&scene, &["squash", &scene.id, "-m", "All"], 12);
    assert_eq!(answer["outcome"], "conflict");
    assert_eq!(answer["waiting"], false);
    assert_eq!(
        answer["conflicts"][0]["sides"][1]["commits"][0]["subject"],
        "by hand"
    );
    assert_eq!(scene.tree.head(), head);
    assert_eq!(scene.record()["status"], "idle");
    let words = ["squash", &scene.id, "-m", "All", "--manual", "include"];
    scene.amps(&words).run().ok();
    assert_eq!(scene.tree.read("file.txt"), "agent, by hand, again\n");
}

#[test]
fn sessions_that_do_not_go_together_are_told_with_an_order_to_merge_in() {
    let scene = obedient(&["--name", "one"]);
    let (two, _) = scene.another("two");
    let (three, _) = scene.another("three");
    scene.turn("echo one > kept.txt");
    turn(&scene, &two, "echo two > kept.txt");
    turn(&scene, &three, "echo three > three.txt");
    let matrix = ask(&scene, &["conflicts"], 0);
    assert_eq!(matrix["pairs"].as_array().unwrap().len(), 1, "{matrix}");
    assert_eq!(matrix["pairs"][0]["paths"][0], "kept.txt");
    assert_eq!(matrix["order"][0], three.as_str());
    let text = scene.amps(&["conflicts"]).run().ok().stdout_text();
    assert!(text.contains("do not go together"), "{text}");
    let known = ask(&scene, &["preflight", &scene.id], 0);
    let sibling = &known["siblings"][0];
    assert_eq!(sibling["session_id"], two.as_str());
    let written = &sibling["conflicts"][0]["sides"][1]["commits"][0];
    assert_eq!(
        (&written["session_id"], &written["iteration"]),
        (&two.as_str().into(), &1.into())
    );
    // In that order all of them land, the last after somebody has resolved it.
    scene.amps(&["merge", &three]).run().ok();
    scene.amps(&["merge", &scene.id]).run().ok();
    let answer = ask(&scene, &["merge", &two], 12);
    let theirs = &answer["conflicts"][0]["sides"][0]["commits"][0];
    assert_eq!(theirs["session_id"], scene.id.as_str(), "{answer}");
}

#[test]
fn a_landing_waits_for_an_iteration_that_is_under_way() {
    let scene = obedient(&[]);
    let agent = "touch ready; while [ ! -e go ]; do sleep 0.01; done; rm -f go ready";
    let run = scene
        .amps(&["iterate", &scene.id, "--prompt", agent])
        .start();
    wait::for_file(&scene.tree.file("ready"), PATIENCE);
    let refused = scene.amps(&["squash", &scene.id, "-m", "x"]).run().code(10);
    assert!(
        refused.stderr_text().contains("amps iterate"),
        "{}",
        refused.text()
    );
    scene.tree.write("go", "");
    drop(run.wait(PATIENCE).ok());
}

#[test]
fn a_git_that_outlives_its_command_keeps_others_from_the_session() {
    let scene = at_odds();
    let hook =
        "#!/bin/sh\ntouch \"$HOME/ready\"; while [ ! -e \"$HOME/go\" ]; do sleep 0.01; done\n";
    scene.repo.write(".git/hooks/post-checkout", hook);
    scene.repo.chmod(".git/hooks/post-checkout", 0o755);
    let run = scene.amps(&["rebase", &scene.id]).start();
    wait::for_file(&scene.home.home_dir().join("ready"), PATIENCE);
    run.signal(Signal::KILL);
    drop(run.wait(PATIENCE));
    let refused = scene.amps(&["rebase", &scene.id, "--abort"]).run().code(10);
    assert!(
        refused.stderr_text().contains("a git left by"),
        "{}",
        refused.text()
    );
    write_private(&scene.home.home_dir().join("go"), b"").unwrap();
    wait::until("git to stop at the conflict", PATIENCE, || {
        let aborted = scene.amps(&["rebase", &scene.id, "--abort"]).run();
        (aborted.status == Exit::Code(0)).then_some(())
    });
    assert_eq!(scene.tree.read("kept.txt"), "agent\n");
    assert_eq!(scene.record()["status"], "idle");
}
