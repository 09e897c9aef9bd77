//! The trash of worktree sessions: nothing is lost in it, wherever a command is killed.

use amps_testkit::{PATIENCE, Repo};
use serde_json::{Value, json};

use crate::worktree_iterate::{Scene, scene};

/// A session with all kinds of work that is nowhere else.
fn busy() -> Scene {
    let scene = scene("cat > asked.txt", &[]);
    scene.home.amps(["iterate", &scene.id]).run().ok();
    scene.tree.write("staged.txt", "staged\n");
    scene.tree.git(["add", "staged.txt"]);
    scene.tree.write("kept.txt", "changed\n");
    scene.tree.write("new.txt", "new\n");
    scene
}

/// Returns all that a person finds in a worktree.
fn state(tree: &Repo) -> [String; 4] {
    [
        tree.git(["status", "--porcelain=v2", "--branch"]),
        tree.read("kept.txt"),
        tree.read("new.txt"),
        tree.git(["show", ":staged.txt"]),
    ]
}

const CLEANUP: [&str; 3] = ["cleanup", "--give-up", "not wanted"];

#[test]
fn everything_comes_back_and_the_session_stays_what_it_is() {
    let scene = busy();
    let before = state(&scene.tree);
    scene.home.amps(CLEANUP).arg(&scene.id).run().ok();
    let listed = scene.home.amps(["trash", "list", "--json"]);
    let listed = listed.cwd(scene.repo.path()).run().ok().json();
    assert_eq!(listed[0]["session_id"], json!(scene.id));
    assert_eq!(listed[0]["stage"], "kept");
    assert_ne!(listed[0]["snapshot"], Value::Null);
    let words = ["trash", "restore", &scene.id, "--json"];
    let record = scene.home.amps(words).run().ok().json();
    assert_eq!(record["removed_at"], Value::Null);
    assert_eq!(record["status"], "abandoned");
    assert_eq!(state(&scene.tree), before);
    // What is final does not go on; another session does, from its branch.
    scene.home.amps(["iterate", &scene.id]).run().code(13);
    let branch = record["branch"].as_str().unwrap();
    let branch = branch.strip_prefix("refs/heads/").unwrap();
    let words = [
        "new", "--prompt", "x", "--agent", "mine", "--json", "--base",
    ];
    let next = scene.home.amps(words).arg(branch).cwd(scene.repo.path());
    let next = next.run().ok().json();
    let tree = Repo::at(
        &scene.home,
        std::path::Path::new(next["worktree"].as_str().unwrap()),
    );
    assert_eq!(tree.head(), scene.tree.head());
}

#[test]
fn what_is_in_the_way_is_never_overwritten() {
    let scene = busy();
    scene.home.amps(CLEANUP).arg(&scene.id).run().ok();
    std::fs::create_dir_all(scene.tree.path()).unwrap();
    let words = ["trash", "restore", &scene.id];
    let refused = scene.home.amps(words).run().code(12);
    assert!(
        refused.stderr_text().contains("in the way"),
        "{}",
        refused.text()
    );
    assert_ne!(scene.record()["removed_at"], Value::Null);
    std::fs::remove_dir(scene.tree.path()).unwrap();
    scene.home.amps(words).run().ok();
    assert_eq!(scene.tree.read("new.txt"), "new\n");
    // A second time there is nothing to bring back.
    scene.home.amps(words).run().code(1);
}

#[test]
fn the_trash_is_emptied_only_of_what_is_meant() {
    let scene = busy();
    scene.home.amps(CLEANUP).arg(&scene.id).run().ok();
    let empty = |more: &[&str]| {
        let words = scene.home.amps(["trash", "empty", "--json"]).args(more);
        words.cwd(scene.repo.path()).run().ok().json()
    };
    assert_eq!(empty(&[]), json!([]));
    assert_eq!(empty(&[&scene.id])[0]["session_id"], json!(scene.id));
    scene
        .home
        .amps(["trash", "restore", &scene.id])
        .run()
        .code(1);
    let refs = scene.repo.git(["for-each-ref", "refs/amps/trash"]);
    assert_eq!(refs, "");
}

/// Every point of a removal, in the command and in the steps that it carries out.
#[cfg(feature = "testing")]
const REMOVAL: [&str; 9] = [
    "cleanup-given-up",
    "cleanup-begun",
    "removal-commits-kept",
    "removal-files-kept",
    "removal-files-moved",
    "removal-unregistered",
    "removal-branch-deleted",
    "removal-settled",
    "cleanup-carried-out",
];

#[cfg(feature = "testing")]
#[test]
fn wherever_a_clean_up_is_killed_it_goes_on_and_loses_nothing() {
    for point in REMOVAL {
        let scene = busy();
        let before = state(&scene.tree);
        let pause = scene.home.pause_point(point);
        let run = scene.home.amps(CLEANUP).arg(&scene.id).pause_at(&pause);
        let run = run.start();
        pause.kill(pause.wait_reached(PATIENCE));
        drop(run.wait(PATIENCE));
        let words = ["cleanup", &scene.id, "--json"];
        let answer = scene.home.amps(words).run().ok().json();
        assert_eq!(answer["operation"], Value::Null, "{point}");
        assert_ne!(answer["removed_at"], Value::Null, "{point}");
        assert!(!scene.tree.path().exists(), "{point}");
        scene.home.amps(["trash", "restore", &scene.id]).run().ok();
        assert_eq!(state(&scene.tree), before, "{point}");
    }
}

#[cfg(feature = "testing")]
#[test]
fn wherever_a_restore_is_killed_it_goes_on_and_loses_nothing() {
    for point in [
        "restore-told",
        "restore-begun",
        "restore-branch",
        "restore-registered",
        "restore-files",
        "trash-refs-deleted",
        "restore-carried-out",
    ] {
        let scene = busy();
        let before = state(&scene.tree);
        scene.home.amps(CLEANUP).arg(&scene.id).run().ok();
        let pause = scene.home.pause_point(point);
        let words = ["trash", "restore", &scene.id];
        let run = scene.home.amps(words).pause_at(&pause).start();
        pause.kill(pause.wait_reached(PATIENCE));
        drop(run.wait(PATIENCE));
        scene.home.amps(words).run().ok();
        let record = scene.record();
        assert_eq!(record["operation"], Value::Null, "{point}");
        assert_eq!(record["removed_at"], Value::Null, "{point}");
        assert_eq!(state(&scene.tree), before, "{point}");
    }
}

#[cfg(feature = "testing")]
#[test]
fn cleaning_the_environment_brings_to_its_end_what_was_left() {
    let scene = busy();
    let before = state(&scene.tree);
    let pause = scene.home.pause_point("removal-files-moved");
    let run = scene.home.amps(CLEANUP).arg(&scene.id).pause_at(&pause);
    let run = run.start();
    pause.kill(pause.wait_reached(PATIENCE));
    drop(run.wait(PATIENCE));
    let words = scene.home.amps(["clean-environment", "--json"]);
    let report = words.cwd(scene.repo.path()).run().ok().json();
    assert_eq!(report["cleaned"][0]["session_id"], json!(scene.id));
    assert_eq!(report["cleaned"][0]["outcome"], "trashed");
    scene.home.amps(["trash", "restore", &scene.id]).run().ok();
    assert_eq!(state(&scene.tree), before);
}
