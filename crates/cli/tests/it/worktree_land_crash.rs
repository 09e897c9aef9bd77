//! Landings that are killed anywhere, and many at once: either done or as before, and nothing lost.

#![cfg(feature = "testing")]

use amps_testkit::{PATIENCE, Running};
use serde_json::Value;

use crate::worktree_iterate::Scene;
use crate::worktree_land::{log, obedient, turn};

/// The points of every landing.
const POINTS: [&str; 6] = [
    "landing-begun",
    "landing-kept",
    "landing-gripped",
    "landing-brought",
    "landing-moved",
    "landing-carried-out",
];

/// Kills a command at a point; returns whether it came there.
#[track_caller]
fn kill_at(scene: &Scene, point: &str, words: &[&str]) {
    let pause = scene.home.pause_point(point);
    let run: Running = scene.amps(words).pause_at(&pause).start();
    let pid = pause.wait_reached(PATIENCE);
    pause.kill(pid);
    drop(run.wait(PATIENCE));
}

#[track_caller]
fn assert_calm(scene: &Scene, point: &str) {
    assert_eq!(scene.record()["operation"], Value::Null, "{point}");
    assert_eq!(scene.tree.git(["status", "--porcelain"]), "", "{point}");
    assert_eq!(scene.repo.git(["status", "--porcelain"]), "", "{point}");
    for repo in [&scene.repo, &scene.tree] {
        let lock = repo.git(["rev-parse", "--git-path", "index.lock"]);
        assert!(!repo.path().join(lock).exists(), "{point}");
    }
}

#[test]
fn a_merge_that_is_killed_anywhere_is_finished_by_the_next() {
    for point in POINTS
        .into_iter()
        .chain(["merge-planned", "landing-merged"])
    {
        let scene = obedient(&[]);
        scene.turn("echo 1 > one.txt");
        kill_at(&scene, point, &["merge", &scene.id]);
        scene.amps(&["merge", &scene.id]).run().ok();
        assert_eq!(scene.repo.read("one.txt"), "1\n", "{point}");
        assert_eq!(scene.repo.head(), scene.tree.head(), "{point}");
        assert_eq!(scene.record()["status_reason"], "merged", "{point}");
        assert_calm(&scene, point);
    }
}

#[test]
fn a_squash_that_is_killed_anywhere_is_finished_by_the_next_command() {
    // The tree stays the same, so no working tree has to be brought along.
    for point in POINTS
        .into_iter()
        .filter(|point| *point != "landing-gripped")
    {
        let scene = obedient(&[]);
        scene.turn("echo 1 > one.txt");
        scene.turn("echo 2 > two.txt");
        let tree = scene.tree.git(["rev-parse", "HEAD^{tree}"]);
        kill_at(&scene, point, &["squash", &scene.id, "-m", "One"]);
        scene.turn("echo 3 > three.txt");
        assert_eq!(
            scene.tree.git(["rev-parse", "HEAD~1^{tree}"]),
            tree,
            "{point}"
        );
        let subjects = log(&scene.tree, &scene.repo.head());
        assert_eq!(subjects, ["amp: echo 3 > three.txt", "One"], "{point}");
        assert_calm(&scene, point);
    }
}

#[test]
fn a_rebase_that_is_killed_anywhere_is_finished_by_the_next() {
    for point in POINTS {
        let scene = obedient(&[]);
        scene.turn("echo 1 > one.txt");
        scene.repo.write("upstream.txt", "upstream\n");
        let base = scene.repo.commit("upstream");
        kill_at(&scene, point, &["rebase", &scene.id]);
        scene.amps(&["rebase", &scene.id]).run().ok();
        assert_eq!(scene.tree.git(["rev-parse", "HEAD~1"]), base, "{point}");
        assert_eq!(scene.tree.read("upstream.txt"), "upstream\n", "{point}");
        assert_calm(&scene, point);
    }
}

#[test]
fn a_merge_that_is_killed_at_a_conflict_still_has_its_way_on() {
    for (point, words) in [
        ("landing-begun", "merge"),
        ("landing-conflict", "merge"),
        ("landing-gone-on", "continue-merge"),
        ("landing-resolved", "continue-merge"),
        ("landing-aborted", "abort-merge"),
    ] {
        let scene = obedient(&[]);
        scene.turn("echo agent > kept.txt");
        scene.repo.write("kept.txt", "person\n");
        scene.repo.commit("by a person");
        let id = scene.id.as_str();
        if words != "merge" {
            scene.amps(&["merge", id]).run().code(12);
            scene.tree.write("kept.txt", "both\n");
            scene.tree.git(["add", "kept.txt"]);
        }
        kill_at(&scene, point, &[words, id]);
        if words != "continue-merge" {
            // Begun and not started, or given up, it is as before; else it waits.
            let waits = point == "landing-conflict";
            scene
                .amps(&["merge", id])
                .run()
                .code(if waits { 13 } else { 12 });
            scene.tree.write("kept.txt", "both\n");
            scene.tree.git(["add", "kept.txt"]);
        }
        scene.amps(&["continue-merge", id]).run().ok();
        assert_eq!(scene.repo.read("kept.txt"), "both\n", "{point}");
        assert_calm(&scene, point);
    }
}

#[test]
fn a_plan_whose_base_moved_after_a_kill_is_void_and_made_again() {
    let scene = obedient(&[]);
    scene.turn("echo 1 > one.txt");
    kill_at(&scene, "landing-begun", &["merge", &scene.id]);
    scene.repo.write("upstream.txt", "upstream\n");
    scene.repo.commit("upstream");
    let merged = scene.amps(&["merge", &scene.id]).run().ok();
    assert!(merged.stderr_text().contains("void"), "{}", merged.text());
    assert_eq!(scene.repo.read("one.txt"), "1\n");
    assert_eq!(scene.repo.read("upstream.txt"), "upstream\n");
    assert_calm(&scene, "landing-begun");
}

#[test]
fn a_merge_that_was_killed_is_done_when_its_base_has_gone_on_since() {
    let scene = obedient(&[]);
    scene.turn("echo 1 > one.txt");
    kill_at(&scene, "landing-moved", &["merge", &scene.id]);
    let tree = ["commit-tree", "main^{tree}", "-p", "main", "-m", "on"];
    let on = scene.repo.git(tree);
    scene.repo.git(["update-ref", "refs/heads/main", &on]);
    let merged = scene.amps(&["merge", &scene.id]).run().ok();
    assert!(!merged.stderr_text().contains("void"), "{}", merged.text());
    assert_eq!(scene.repo.head(), on);
    assert_eq!(scene.repo.read("one.txt"), "1\n");
    assert_eq!(scene.record()["status_reason"], "merged");
    assert_calm(&scene, "landing-moved");
}

#[test]
fn a_merge_that_was_killed_is_finished_by_that_of_another_session() {
    let scene = obedient(&["--name", "one"]);
    let (two, _) = scene.another("two");
    scene.turn("echo 1 > one.txt");
    turn(&scene, &two, "echo 2 > two.txt");
    kill_at(&scene, "landing-brought", &["merge", &scene.id]);
    scene.amps(&["merge", &two]).run().ok();
    assert_eq!(scene.repo.read("one.txt"), "1\n");
    assert_eq!(scene.repo.read("two.txt"), "2\n");
    assert_calm(&scene, "landing-brought");
}

#[test]
fn twenty_sessions_are_created_iterated_and_merged_at_once() {
    const MANY: usize = 20;
    let scene = obedient(&["--name", "first"]);
    let before = scene.repo.head();
    let (home, folder) = (&scene.home, scene.repo.path());
    let ids: Vec<String> = std::thread::scope(|scope| {
        let one = |number: usize| {
            scope.spawn(move || {
                let amps = |words: &[&str]| home.amps(words).cwd(folder).run().ok();
                let name = format!("session {number}");
                let words = [
                    "new", "--prompt", "More", "--agent", "mine", "--json", "--name",
                ];
                let made = amps(&[&words[..], &[&name]].concat()).json();
                let id = made["session_id"].as_str().unwrap().to_owned();
                let prompt = format!("echo {number} > file-{number}.txt");
                amps(&["iterate", &id, "--prompt", &prompt]);
                amps(&["merge", &id, "--json"]).json();
                id
            })
        };
        let running: Vec<_> = (0..MANY).map(one).collect();
        running.into_iter().map(|one| one.join().unwrap()).collect()
    });
    for (number, id) in ids.iter().enumerate() {
        let text = scene.repo.read(format!("file-{number}.txt"));
        assert_eq!(text, format!("{number}\n"));
        let record = scene.amps(&["show", id, "--json"]).run().ok().json();
        assert_eq!(record["status_reason"], "merged", "{id}");
    }
    let commits = scene
        .repo
        .git(["log", "--format=%s", &format!("{before}..HEAD")]);
    let by_agents = commits
        .lines()
        .filter(|line| line.starts_with("amp: "))
        .count();
    assert_eq!(by_agents, MANY);
    assert_calm(&scene, "at once");
}
