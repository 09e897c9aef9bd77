//! Landings beside others: an agent at work in the session, or in the one that it is merged into.

use std::path::PathBuf;

use amps_testkit::{PATIENCE, Repo, wait};

use crate::worktree_land::{obedient, turn};

const WAITS: &str = "touch ready; while [ ! -e go ]; do sleep 0.01; done; rm -f go ready";

#[test]
fn a_session_is_not_merged_into_another_one_while_that_iterates() {
    let scene = obedient(&["--name", "outer"]);
    scene.turn("echo 1 > one.txt");
    let branch = scene.tree.git(["rev-parse", "--abbrev-ref", "HEAD"]);
    let words = ["new", "--prompt", "More", "--agent", "mine", "--json"];
    let made = scene.amps(&words).args(["--name", "inner"]);
    let made = made.args(["--base", &branch]).run().ok().json();
    let inner = made["session_id"].as_str().unwrap().to_owned();
    let tree = Repo::at(
        &scene.home,
        &PathBuf::from(made["worktree"].as_str().unwrap()),
    );
    turn(&scene, &inner, "echo 2 > two.txt");
    let run = scene
        .amps(&["iterate", &scene.id, "--prompt", WAITS])
        .start();
    wait::for_file(&scene.tree.file("ready"), PATIENCE);
    let before = scene.tree.head();
    let refused = scene.amps(&["merge", &inner]).run().code(10);
    let said = refused.stderr_text();
    assert!(
        said.contains("amps iterate") && said.contains(&branch),
        "{}",
        refused.text()
    );
    assert_eq!(scene.tree.head(), before);
    assert!(!scene.tree.file("two.txt").exists());
    scene.tree.write("go", "");
    drop(run.wait(PATIENCE).ok());
    scene.amps(&["merge", &inner]).run().ok();
    assert_eq!(scene.tree.head(), tree.head());
    assert_eq!(scene.tree.read("two.txt"), "2\n");
}

#[test]
fn a_session_in_whose_worktree_an_agent_runs_is_neither_rebased_nor_merged() {
    let scene = obedient(&[]);
    scene.turn("echo 1 > one.txt");
    scene.repo.write("upstream.txt", "upstream\n");
    scene.repo.commit("upstream");
    let before = scene.tree.head();
    let ready = scene.home.path("ready");
    let go = scene.home.path("go");
    let script = format!(
        "#!/bin/sh\ntouch {}; while [ ! -e {} ]; do sleep 0.01; done\n",
        ready.display(),
        go.display()
    );
    scene.home.install_script("claude", &script);
    let run = scene.home.amps(["claude"]).cwd(scene.tree.path()).start();
    wait::for_file(&ready, PATIENCE);
    for word in ["rebase", "merge"] {
        let refused = scene.amps(&[word, &scene.id]).run().code(13);
        let said = refused.stderr_text();
        assert!(said.contains("run 2 of session"), "{}", refused.text());
    }
    assert_eq!(scene.tree.head(), before);
    assert!(!scene.repo.file("one.txt").exists());
    amps_engine::files::write_private(&go, b"").unwrap();
    drop(run.wait(PATIENCE).ok());
    scene.amps(&["merge", &scene.id]).run().ok();
}
