//! Worktree sessions: an agent's turn, its commit, its gate, and every way in which a turn may end.

use std::path::PathBuf;

use amps_engine::files::write_private;
use amps_testkit::{Home, PATIENCE, Repo, Signal, process, wait};
use serde_json::Value;

use crate::record::home;

/// A home with agents of the person's own, a repository, and a worktree session in it.
pub(crate) struct Scene {
    pub(crate) home: Home,
    pub(crate) repo: Repo,
    pub(crate) id: String,
    pub(crate) tree: Repo,
}

/// Makes a session whose agent is a shell script that is given the prompt on standard input.
pub(crate) fn scene(agent: &str, more: &[&str]) -> Scene {
    let home = home();
    let config = "agents:\n  mine:\n    program: mine\n    command: ['turn']\n";
    write_private(&home.config_dir().join("config.yaml"), config.as_bytes()).unwrap();
    home.install_script("mine", &format!("#!/bin/sh\n{agent}\n"));
    let repo = home.repo("work");
    repo.write("kept.txt", "kept\n");
    repo.commit("kept");
    let words = [
        "new",
        "--prompt",
        "Make it better",
        "--agent",
        "mine",
        "--json",
    ];
    let made = home.amps(words.iter().chain(more)).cwd(repo.path()).run();
    let made = made.ok().json();
    let id = made["session_id"].as_str().unwrap().to_owned();
    let tree = Repo::at(&home, &PathBuf::from(made["worktree"].as_str().unwrap()));
    Scene {
        home,
        repo,
        id,
        tree,
    }
}

impl Scene {
    pub(crate) fn record(&self) -> Value {
        self.home
            .amps(["show", &self.id, "--json"])
            .run()
            .ok()
            .json()
    }

    pub(crate) fn last(&self) -> Value {
        let record = self.record();
        record["iterations"]
            .as_array()
            .unwrap()
            .last()
            .unwrap()
            .clone()
    }

    /// Waits until no iteration is under way.
    #[track_caller]
    pub(crate) fn settle(&self) -> Value {
        self.home
            .amps(["wait", &self.id, "--json"])
            .run()
            .ok()
            .json()
    }

    /// Returns the subjects of the commits of its branch, the newest first.
    pub(crate) fn subjects(&self) -> Vec<String> {
        let range = format!("{}..HEAD", self.repo.head());
        let log = self.tree.git(["log", "--format=%s", &range]);
        log.lines().map(str::to_owned).collect()
    }
}

#[test]
fn a_prompt_becomes_a_commit_on_a_branch_of_its_own() {
    let scene = scene("cat > asked.txt", &["--script", "test -f asked.txt"]);
    let own = |scene: &Scene| {
        let index = std::fs::read(scene.repo.file(".git/index")).unwrap();
        let told = scene.repo.git(["status", "--porcelain=v2", "--branch"]);
        (
            index,
            told,
            scene.repo.git(["reflog"]),
            scene.repo.git(["config", "--list", "--local"]),
        )
    };
    let before = own(&scene);
    scene.home.amps(["iterate", &scene.id]).run().ok();
    assert_eq!(scene.tree.read("asked.txt").trim(), "Make it better");
    assert_eq!(scene.subjects(), ["amp: Make it better"]);
    assert_eq!(scene.tree.git(["status", "--porcelain"]), "");
    let record = scene.record();
    assert_eq!(record["status"], "idle");
    assert_eq!(record["kind"], "worktree");
    assert_eq!(record["changes"]["files"], 1);
    let iteration = &record["iterations"][0];
    assert_eq!(iteration["verdict"], "passed");
    assert_eq!(iteration["commit"].as_str().unwrap(), scene.tree.head());
    assert_eq!(iteration["gate"]["exit"]["code"], 0);
    assert_eq!(record["runs"].as_array().unwrap().len(), 1);
    assert_eq!(record["runs"][0]["status"], "completed");
    let branch = record["branch"].as_str().unwrap();
    assert!(
        branch.starts_with("refs/heads/amp/make-it-better/"),
        "{branch}"
    );
    // The person's own checkout has seen nothing of it.
    assert_eq!(own(&scene), before);
    let listed = scene.home.amps(["list", "--json"]).run().ok().json();
    assert_eq!(
        listed.as_array().unwrap().len(),
        1,
        "a run is not listed: {listed}"
    );
}

#[test]
fn a_gate_that_does_not_pass_awaits_input_and_the_agent_is_told_why() {
    let scene = scene(
        "cat > asked.txt",
        &["--script", "echo 'two of them fail'; exit 3"],
    );
    let output = scene.home.amps(["iterate", &scene.id]).run().code(11);
    assert!(
        output.stdout_text().contains("two of them fail"),
        "{}",
        output.text()
    );
    let record = scene.record();
    assert_eq!(record["status"], "awaiting-input");
    assert_eq!(record["status_reason"], "gate-failed");
    assert_eq!(record["iterations"][0]["gate"]["exit"]["code"], 3);
    // What did not pass is committed all the same.
    assert_eq!(scene.subjects(), ["amp: Make it better"]);
    scene.home.amps(["iterate", &scene.id]).run().code(11);
    assert!(scene.tree.read("asked.txt").contains("two of them fail"));
}

#[test]
fn where_nothing_changed_nothing_is_committed() {
    let scene = scene("cat > /dev/null; echo thinking", &[]);
    scene.home.amps(["iterate", &scene.id]).run().ok();
    assert_eq!(scene.subjects(), [""; 0]);
    let last = scene.last();
    assert_eq!(last["commit"], Value::Null);
    assert_eq!(last["answer"], "thinking");
}

#[test]
fn what_a_person_left_is_a_commit_of_its_own() {
    let scene = scene("cat > asked.txt", &[]);
    scene.tree.write("kept.txt", "kept\nand more\n");
    scene.tree.write("mine.txt", "by hand\n");
    scene.home.amps(["iterate", &scene.id]).run().ok();
    assert_eq!(
        scene.subjects(),
        ["amp: Make it better", "manual: changes before iteration 1"]
    );
    let files = scene
        .tree
        .git(["show", "--format=", "--name-only", "HEAD~1"]);
    assert_eq!(files, "kept.txt\nmine.txt");
    let files = scene.tree.git(["show", "--format=", "--name-only", "HEAD"]);
    assert_eq!(files, "asked.txt");
    assert_ne!(scene.last()["manual_commit"], Value::Null);
}

#[test]
fn commits_of_the_agent_are_told_from_those_of_a_person() {
    let agent = "cat > asked.txt; git add asked.txt; git commit -qm 'by the agent'; touch ready; \
                 while [ ! -e go ]; do sleep 0.01; done; rm go ready";
    let scene = scene(agent, &[]);
    let run = scene.home.amps(["iterate", &scene.id]).start();
    wait::for_file(&scene.tree.file("ready"), PATIENCE);
    scene.tree.write("hand.txt", "by hand\n");
    scene.tree.git(["add", "hand.txt"]);
    scene
        .tree
        .git(["commit", "-qm", "by hand", "--", "hand.txt"]);
    scene.tree.write("go", "");
    drop(run.wait(PATIENCE).ok());
    let by_agent = scene
        .tree
        .git(["log", "--format=%H", "--grep=by the agent"]);
    let last = scene.last();
    assert_eq!(last["agent_commits"], serde_json::json!([by_agent.trim()]));
}

#[test]
fn what_looks_like_a_credential_is_named_and_not_committed() {
    let scene = scene("cat > asked.txt; echo k > id_rsa; git init -q inner", &[]);
    scene.home.amps(["iterate", &scene.id]).run().ok();
    assert_eq!(
        scene.tree.git(["ls-files"]),
        "README.md\nasked.txt\nkept.txt"
    );
    let errors = scene.last()["errors"].to_string();
    assert!(errors.contains("id_rsa was not committed"), "{errors}");
    assert!(errors.contains("inner/ was not committed"), "{errors}");
    assert_eq!(scene.tree.read("id_rsa"), "k\n");
}

#[test]
fn an_agent_that_fails_ends_the_iteration_with_what_it_did() {
    let scene = scene(
        "cat > asked.txt; echo 'no key' >&2; exit 9",
        &["--script", "exit 0"],
    );
    scene.home.amps(["iterate", &scene.id]).run().code(1);
    let last = scene.last();
    assert_eq!(last["verdict"], "agent-failed");
    assert!(last["errors"].to_string().contains("no key"), "{last}");
    assert_eq!(last["gate"], Value::Null, "nobody asks the gate then");
    assert_eq!(scene.subjects(), ["amp: Make it better"]);
    assert_eq!(scene.record()["runs"][0]["exit_code"], 9);
}

#[test]
fn an_agent_that_takes_too_long_is_ended_with_all_it_started() {
    let agent = "cat > asked.txt; trap '' TERM; setsid sleep 600 & echo $! > child; sleep 600";
    let scene = scene(agent, &["--timeout", "1s"]);
    let run = scene
        .home
        .amps(["iterate", &scene.id])
        .env("AMPSM_AGENT_GRACE", "500ms");
    run.run().code(1);
    assert_eq!(scene.last()["verdict"], "timed-out");
    let child: i32 = scene.tree.read("child").trim().parse().unwrap();
    process::wait_gone(child, PATIENCE);
    assert_eq!(scene.subjects(), ["amp: Make it better"]);
}

/// An agent that works until it is told to go on.
pub(crate) const WAITS: &str =
    "cat > asked.txt; touch ready; while [ ! -e go ]; do sleep 0.01; done; rm -f go ready";

#[test]
fn an_iteration_outlives_its_command_and_the_daemon_and_can_be_joined() {
    let scene = scene(WAITS, &["--script", "echo fine"]);
    let run = scene.home.amps(["iterate", &scene.id]).start();
    wait::for_file(&scene.tree.file("ready"), PATIENCE);
    run.signal(Signal::KILL);
    drop(run.wait(PATIENCE));
    scene.home.daemon().kill();
    let joined = scene.home.amps(["iterate", &scene.id, "--stream"]).start();
    assert_eq!(scene.record()["status"], "active");
    scene.tree.write("go", "");
    drop(joined.wait(PATIENCE).ok());
    let last = scene.last();
    assert_eq!(last["verdict"], "passed");
    assert_eq!(last["gate"]["log"], "fine\n");
}

#[test]
fn a_runner_that_is_killed_has_lost_its_iteration_and_nothing_else() {
    let scene = scene(WAITS, &[]);
    let run = scene.home.amps(["iterate", &scene.id]).start();
    wait::for_file(&scene.tree.file("ready"), PATIENCE);
    let runner = scene.last()["runner"]["pid"].as_i64().unwrap();
    process::send(i32::try_from(runner).unwrap(), Signal::KILL);
    let record = scene.settle();
    drop(run.wait(PATIENCE).code(1));
    assert_eq!(record["status"], "awaiting-input");
    assert_eq!(record["status_reason"], "owner-vanished");
    assert_eq!(scene.last()["verdict"], "lost");
    assert_eq!(scene.subjects(), [""; 0]);
    // The agent goes on without anybody; what it did is committed before the next one begins.
    scene.tree.write("go", "");
    wait::until("the agent to end", PATIENCE, || {
        (!scene.tree.file("ready").exists()).then_some(())
    });
    scene
        .home
        .install_script("mine", "#!/bin/sh\ncat > second.txt\n");
    scene.home.amps(["iterate", &scene.id]).run().ok();
    assert_eq!(
        scene.subjects(),
        ["amp: Make it better", "manual: changes before iteration 2"]
    );
}

#[test]
fn a_person_stops_an_iteration_and_its_work_is_kept() {
    let scene = scene(WAITS, &["--script", "exit 0"]);
    let run = scene.home.amps(["iterate", &scene.id]).start();
    wait::for_file(&scene.tree.file("ready"), PATIENCE);
    let stopped = scene.home.amps(["stop", &scene.id]).run().ok();
    assert_eq!(stopped.stdout_text(), "awaiting-input\n");
    drop(run.wait(PATIENCE).code(1));
    let last = scene.last();
    assert_eq!(last["verdict"], "stopped");
    assert_ne!(last["commit"], Value::Null);
    scene.home.amps(["stop", &scene.id]).run().code(13);
}

#[test]
fn two_commands_on_one_session_are_never_at_it_together() {
    let scene = scene(WAITS, &[]);
    let run = scene.home.amps(["iterate", &scene.id]).start();
    wait::for_file(&scene.tree.file("ready"), PATIENCE);
    let second = scene
        .home
        .amps(["iterate", &scene.id, "--prompt", "More"])
        .run()
        .code(10);
    assert!(
        second
            .stderr_text()
            .contains("error[E029]: held by `amps iterate`"),
        "{}",
        second.text()
    );
    scene.tree.write("go", "");
    drop(run.wait(PATIENCE).ok());
    assert_eq!(scene.record()["iterations"].as_array().unwrap().len(), 1);
}

#[test]
fn it_goes_on_until_the_gate_passes_or_for_as_long_as_it_does() {
    let agent = "cat > /dev/null; echo x >> tries";
    let scene = scene(agent, &["--script", "test $(wc -l < tries) -ge 3"]);
    scene
        .home
        .amps(["iterate", &scene.id, "--until-pass"])
        .run()
        .ok();
    assert_eq!(scene.record()["iterations"].as_array().unwrap().len(), 3);
    scene
        .home
        .amps(["iterate", &scene.id, "--count", "2"])
        .run()
        .ok();
    assert_eq!(scene.record()["iterations"].as_array().unwrap().len(), 5);
}

#[test]
fn an_agent_that_is_launched_in_a_worktree_is_a_run_of_its_session() {
    let scene = scene("cat > asked.txt", &[]);
    let folder = scene.tree.path().to_owned();
    scene
        .home
        .amps(["run", "--", "touch", "by-hand"])
        .cwd(&folder)
        .run()
        .ok();
    let record = scene.record();
    assert_eq!(record["runs"].as_array().unwrap().len(), 1);
    assert_eq!(record["iterations"].as_array().unwrap().len(), 0);
    // Elsewhere it is not.
    scene
        .home
        .amps(["run", "--", "true"])
        .cwd(scene.repo.path())
        .run()
        .ok();
    assert_eq!(scene.record()["runs"].as_array().unwrap().len(), 1);
}

#[test]
fn a_branch_that_was_switched_is_left_alone() {
    let scene = scene("cat > asked.txt; git checkout -qb elsewhere", &[]);
    scene.home.amps(["iterate", &scene.id]).run().code(1);
    assert_eq!(scene.last()["verdict"], "not-committed");
    assert_eq!(scene.subjects(), [""; 0]);
    assert!(scene.tree.file("asked.txt").exists());
    let refused = scene.home.amps(["iterate", &scene.id]).run().code(13);
    assert!(
        refused.stderr_text().contains("elsewhere"),
        "{}",
        refused.text()
    );
}

#[cfg(feature = "testing")]
#[test]
fn wherever_a_runner_is_killed_its_iteration_is_over_and_no_change_is_lost() {
    for (point, commits) in [
        ("iteration-begun", 0),
        ("iteration-agent-ended", 0),
        ("iteration-committed", 1),
    ] {
        let scene = scene("cat > asked.txt", &[]);
        let pause = scene.home.pause_point(point);
        let run = scene
            .home
            .amps(["iterate", &scene.id])
            .pause_at(&pause)
            .start();
        let pid = pause.wait_reached(PATIENCE);
        pause.kill(pid);
        let record = scene.settle();
        drop(run.wait(PATIENCE));
        assert_eq!(record["status"], "awaiting-input", "{point}");
        assert_eq!(record["iterations"][0]["verdict"], "lost", "{point}");
        assert_eq!(scene.subjects().len(), commits, "{point}");
        scene.home.amps(["iterate", &scene.id]).run().ok();
        assert_eq!(scene.tree.git(["status", "--porcelain"]), "", "{point}");
        assert_eq!(scene.record()["status"], "idle", "{point}");
    }
}

#[test]
fn where_a_session_stands_is_explained_by_its_last_iteration() {
    let scene = scene("cat > asked.txt", &["--script", "echo 'it is red'; exit 1"]);
    scene.home.amps(["iterate", &scene.id]).run().code(11);
    let told = scene
        .home
        .amps(["explain", &scene.id])
        .run()
        .ok()
        .stdout_text();
    assert!(
        told.contains("awaiting-input: its gate did not pass"),
        "{told}"
    );
    assert!(told.contains("it is red"), "{told}");
    assert!(told.contains("iteration 1 gate failed"), "{told}");
    let told = scene
        .home
        .amps(["explain", &scene.id, "--json"])
        .run()
        .ok()
        .json();
    assert_eq!(told["status_reason"], "gate-failed");
    assert_eq!(told["iteration"]["verdict"], "gate-failed");
    assert_eq!(told["heard"].as_array().unwrap().len(), 2);
}

#[test]
fn what_cannot_be_begun_changes_nothing_and_says_why() {
    let home = home();
    let empty = home.empty_repo("empty");
    let new = |folder: &std::path::Path, more: &[&str]| {
        let words = ["new", "--agent", "claude"];
        home.amps(words.iter().chain(more)).cwd(folder).run()
    };
    let refused = new(empty.path(), &["--prompt", "x"]).code(1);
    assert!(
        refused.stderr_text().contains("[E004]"),
        "{}",
        refused.text()
    );
    let repo = home.repo("work");
    let before = repo.fingerprint();
    let refused = new(repo.path(), &["--prompt", "x", "--base", "nowhere"]).code(1);
    assert!(refused.stderr_text().contains("nowhere names no commit"));
    new(repo.path(), &["--prompt", "  "]).code(2);
    new(repo.path(), &["--prompt", "x", "--timeout", "soon"]).code(2);
    new(&home.folder("plain"), &["--prompt", "x"]).code(1);
    let unknown = ["new", "--prompt", "x", "--agent", "nobody"];
    home.amps(unknown).cwd(repo.path()).run().code(127);
    before.assert_same(&repo.fingerprint());
    let listed = home.amps(["list", "--json"]).run().ok().json();
    assert_eq!(listed, serde_json::json!([]));
    home.amps(["iterate", "nobody"]).run().code(1);
    home.amps(["run", "true"]).run().ok();
    home.amps(["iterate", "@"]).run().code(13);
}
