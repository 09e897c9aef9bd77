//! Worktree sessions from their first file to their last: made ready, told of to agents, removed.

use amps_engine::files::write_private;
use amps_testkit::{PATIENCE, wait};
use serde_json::{Value, json};

use crate::worktree_iterate::{Scene, WAITS, scene};

/// A session that has done one iteration, which made a file.
fn worked() -> Scene {
    let scene = scene("cat > asked.txt", &[]);
    scene.home.amps(["iterate", &scene.id]).run().ok();
    scene
}

fn give_up(scene: &Scene) -> Value {
    let words = ["cleanup", &scene.id, "--give-up", "not wanted", "--json"];
    scene.home.amps(words).run().ok().json()
}

/// Returns the branches of a repository.
fn branches(scene: &Scene) -> String {
    scene.repo.git(["branch", "--format=%(refname:short)"])
}

#[test]
fn what_is_neither_merged_nor_given_up_is_not_cleaned_up() {
    let scene = worked();
    let refused = scene.home.amps(["cleanup", &scene.id]).run().code(13);
    let told = refused.stderr_text();
    assert!(told.contains("neither merged nor given up"), "{told}");
    assert!(told.contains("--give-up"), "{told}");
    assert_eq!(scene.record()["status"], "idle");
    assert!(scene.tree.file("asked.txt").exists());
}

#[test]
fn what_exists_elsewhere_is_removed_for_good() {
    let scene = worked();
    scene
        .repo
        .git(["merge", "-q", "--ff-only", &scene.tree.head()]);
    let answer = give_up(&scene);
    assert_eq!(answer["removed"]["outcome"], "removed");
    assert_eq!(answer["removed"]["findings"], json!([]));
    assert_eq!(answer["status"], "abandoned");
    assert_ne!(answer["removed_at"], Value::Null);
    assert!(!scene.tree.path().exists());
    assert_eq!(branches(&scene), "main");
    let listed = scene.home.amps(["trash", "list", "--json"]);
    assert_eq!(listed.cwd(scene.repo.path()).run().ok().json(), json!([]));
    // Told again, it has nothing to do.
    let again = scene.home.amps(["cleanup", &scene.id, "--json"]).run();
    assert_eq!(again.ok().json()["removed"], Value::Null);
}

#[test]
fn what_is_nowhere_else_is_named_and_goes_to_the_trash() {
    let scene = worked();
    scene.tree.write("kept.txt", "changed\n");
    scene.tree.write("new.txt", "new\n");
    let answer = give_up(&scene);
    assert_eq!(answer["removed"]["outcome"], "trashed");
    assert_eq!(
        answer["removed"]["findings"],
        json!([
            "1 uncommitted",
            "1 untracked",
            "1 commits on no other branch"
        ])
    );
    assert!(!scene.tree.path().exists());
    assert_eq!(branches(&scene), "main");
}

#[test]
fn nothing_is_cleaned_up_while_somebody_works_there() {
    let scene = scene(WAITS, &[]);
    let run = scene.home.amps(["iterate", &scene.id]).start();
    wait::for_file(&scene.tree.file("ready"), PATIENCE);
    let words = ["cleanup", &scene.id, "--give-up", "x"];
    let refused = scene.home.amps(words).run().code(10);
    assert!(
        refused.stderr_text().contains("amps iterate"),
        "{}",
        refused.text()
    );
    scene.tree.write("go", "");
    drop(run.wait(PATIENCE).ok());
    // A process of the person is somebody, too; nothing is given up then.
    let sleeper = scene
        .home
        .command(
            "sh",
            ["-c", "touch ready; while [ ! -e go ]; do sleep 0.01; done"],
        )
        .cwd(scene.tree.path())
        .start();
    wait::for_file(&scene.tree.file("ready"), PATIENCE);
    let refused = scene.home.amps(words).run().code(13);
    assert!(
        refused.stderr_text().contains("works in it"),
        "{}",
        refused.text()
    );
    assert_eq!(scene.record()["status"], "idle");
    scene.tree.write("go", "");
    drop(sleeper.wait(PATIENCE).ok());
    assert!(scene.tree.file("asked.txt").exists());
}

#[test]
fn an_agent_that_still_runs_there_keeps_its_worktree() {
    let scene = worked();
    let run = scene
        .home
        .amps(["run", "--", "sh", "-c"])
        .arg("touch ready; cd /; while [ ! -e \"$0\" ]; do sleep 0.01; done")
        .arg(scene.repo.file("go"))
        .cwd(scene.tree.path())
        .start();
    wait::for_file(&scene.tree.file("ready"), PATIENCE);
    let words = ["cleanup", &scene.id, "--give-up", "x"];
    let refused = scene.home.amps(words).run().code(13);
    let told = refused.stderr_text();
    assert!(told.contains("sh still runs"), "{told}");
    scene.repo.write("go", "");
    drop(run.wait(PATIENCE).ok());
}

#[test]
fn a_repository_is_cleaned_of_what_is_over_and_of_nothing_else() {
    let scene = worked();
    let new = |name: &str| {
        let words = [
            "new", "--prompt", "x", "--agent", "mine", "--json", "--name",
        ];
        let made = scene.home.amps(words).arg(name).cwd(scene.repo.path());
        made.run().ok().json()
    };
    let (over, open) = (new("over"), new("open"));
    let over_id = over["session_id"].as_str().unwrap();
    let words = ["cleanup", over_id, "--give-up", "x"];
    scene.home.amps(words).run().ok();
    scene.home.amps(["trash", "restore", over_id]).run().code(1);
    // One that is over and still there, and two that nobody knows.
    let words = ["cleanup", &scene.id, "--give-up", "x"];
    scene.home.amps(words).run().ok();
    scene.home.amps(["trash", "restore", &scene.id]).run().ok();
    assert!(scene.tree.path().exists());
    scene.repo.git(["branch", "amp/stray/1"]);
    let clean = |more: &[&str]| {
        let words = scene.home.amps(["clean-environment", "--json"]).args(more);
        words.cwd(scene.repo.path()).run().ok().json()
    };
    let dry = clean(&["--dry-run"]);
    assert_eq!(dry["cleaned"][0]["session_id"], json!(scene.id));
    assert!(scene.tree.path().exists());
    let report = clean(&[]);
    assert_eq!(report["cleaned"], dry["cleaned"]);
    assert_eq!(report["cleaned"].as_array().unwrap().len(), 1, "{report}");
    assert_eq!(report["left"], json!([]));
    assert_eq!(report["orphans"].as_array().unwrap().len(), 1, "{report}");
    assert_eq!(
        report["orphans"][0]["tip"]["name"],
        "refs/heads/amp/stray/1"
    );
    assert_eq!(report["emptied"], json!([]));
    assert!(!scene.tree.path().exists());
    assert!(std::path::Path::new(open["worktree"].as_str().unwrap()).exists());
    assert!(branches(&scene).contains("amp/stray/1"));
    // What was kept for long enough is deleted.
    let words = scene.home.amps(["clean-environment", "--json"]);
    let words = words.env("AMPSM_TRASH_KEEP", "0s").cwd(scene.repo.path());
    let report = words.run().ok().json();
    assert_eq!(report["emptied"][0]["session_id"], json!(scene.id));
}

#[test]
fn a_new_worktree_is_made_as_it_is_configured() {
    let scene = scene("env > told.txt", &[]);
    let config = "agents:\n  mine:\n    program: mine\n    command: ['turn']\n\
                  git:\n  worktree_dir: trees\n  default_base_branch: stable\n\
                  worktree:\n  copy: ['*.env']\n  ports: 3\n  first_port: 45000\n\
                  \x20 setup: ['env > made.txt']\n  teardown: ['cp made.txt \"$HOME/torn.txt\"']\n";
    let file = scene.home.config_dir().join("config.yaml");
    write_private(&file, config.as_bytes()).unwrap();
    scene.repo.write(".gitignore", "*.env\nmade.txt\n");
    scene.repo.git(["add", ".gitignore"]);
    scene.repo.commit("ignore");
    scene.repo.write("local.env", "key\n");
    let words = ["new", "--prompt", "x", "--agent", "mine", "--json"];
    let made = scene.home.amps(words).cwd(scene.repo.path()).run();
    let made = made.ok().json();
    let folder = std::path::PathBuf::from(made["worktree"].as_str().unwrap());
    assert_eq!(folder.parent().unwrap(), scene.repo.file("trees"));
    assert_eq!(
        std::fs::read_to_string(folder.join("local.env")).unwrap(),
        "key\n"
    );
    let ports = made["ports"].as_array().unwrap();
    assert_eq!(ports[1], 3);
    let told = std::fs::read_to_string(folder.join("made.txt")).unwrap();
    assert!(
        told.contains(&format!("AMPSM_PORT={}\n", ports[0])),
        "{told}"
    );
    let id = made["session_id"].as_str().unwrap();
    scene
        .home
        .amps(["cleanup", id, "--give-up", "x"])
        .run()
        .ok();
    assert!(scene.home.home_dir().join("torn.txt").exists());
}

#[test]
fn a_setup_that_fails_is_told_and_the_session_can_be_mended() {
    let scene = scene("cat > asked.txt", &[]);
    let config = "agents:\n  mine:\n    program: mine\n    command: ['turn']\n\
                  worktree:\n  setup: ['echo no such tool; exit 3']\n";
    let file = scene.home.config_dir().join("config.yaml");
    write_private(&file, config.as_bytes()).unwrap();
    let words = ["new", "--prompt", "x", "--agent", "mine", "--json", "--run"];
    let made = scene.home.amps(words).cwd(scene.repo.path()).run().code(1);
    let told = made.stderr_text();
    assert!(told.contains("exited with 3"), "{told}");
    assert!(told.contains("setup.log"), "{told}");
    let id = made.json()["session_id"].as_str().unwrap().to_owned();
    let log = scene.home.config_dir().join("iterations").join(&id);
    let log = std::fs::read_to_string(log.join("setup.log")).unwrap();
    assert_eq!(log, "$ echo no such tool; exit 3\nno such tool\n");
    scene.home.amps(["iterate", &id]).run().ok();
}

#[test]
fn a_worktree_that_could_not_be_furnished_can_be_used() {
    let scene = scene("cat > asked.txt", &[]);
    let notes = scene.repo.file(".git/amps/furnished");
    std::fs::remove_dir_all(&notes).unwrap();
    write_private(&notes, b"in the way").unwrap();
    let words = ["new", "--prompt", "x", "--agent", "mine", "--json"];
    let made = scene.home.amps(words).cwd(scene.repo.path()).run().code(1);
    let told = made.stderr_text();
    assert!(told.contains("furnished"), "{told}");
    let id = made.json()["session_id"].as_str().unwrap().to_owned();
    scene.home.amps(["iterate", &id]).run().ok();
}

#[test]
fn an_agent_that_makes_the_folder_of_context_a_link_is_told_of_and_commits_nothing() {
    let agent = "rm -r AGENT_CONTEXT; ln -s /nowhere AGENT_CONTEXT; cat > asked.txt";
    let scene = scene(agent, &[]);
    scene.home.amps(["iterate", &scene.id]).run().ok();
    let files = ["log", "--format=", "--name-only", "main..HEAD"];
    assert_eq!(scene.tree.git(files), "asked.txt");
    let errors = scene.last()["errors"].to_string();
    let count = errors.matches("AGENT_CONTEXT was not written").count();
    assert_eq!(count, 1, "{errors}");
}

/// A repository with commands of its own.
fn with_commands() -> Scene {
    let scene = scene("cat > asked.txt", &[]);
    scene.repo.write(
        ".amps/worktree.yaml",
        "setup: ['touch ../../set-up']\nteardown: ['touch ../../torn-down']\n",
    );
    scene.repo.git(["add", ".amps"]);
    scene.repo.commit("commands");
    scene
}

#[test]
fn commands_of_a_repository_run_only_when_they_were_approved() {
    let scene = with_commands();
    let words = ["new", "--prompt", "x", "--agent", "mine", "--json"];
    let new = || scene.home.amps(words).cwd(scene.repo.path()).run().ok();
    let told = new().stderr_text();
    assert!(told.contains("are not approved and were not run"), "{told}");
    assert!(told.contains("amps approve --repo"), "{told}");
    assert!(!scene.repo.file("set-up").exists());
    let approve = |more: &[&str]| {
        let words = scene.home.amps(["approve"]).args(more);
        words.cwd(scene.repo.path()).run()
    };
    let refused = approve(&[]).code(13);
    assert!(
        refused.stderr_text().contains("--yes"),
        "{}",
        refused.text()
    );
    let approved = approve(&["--yes", "--json"]).ok().json();
    assert!(approved["text"].as_str().unwrap().contains("set-up"));
    let made = new();
    assert!(!made.stderr_text().contains("approve"), "{}", made.text());
    assert!(scene.repo.file("set-up").exists());
    let id = made.json()["session_id"].as_str().unwrap().to_owned();
    let words = ["cleanup", &id, "--give-up", "x"];
    scene.home.amps(words).run().ok();
    assert!(scene.repo.file("torn-down").exists());
    // Any other text is approved anew.
    scene
        .repo
        .write(".amps/worktree.yaml", "setup: ['touch ../../evil']\n");
    scene.repo.git(["add", ".amps"]);
    scene.repo.commit("other commands");
    let told = new().stderr_text();
    assert!(told.contains("were changed since"), "{told}");
    assert!(!scene.repo.file("evil").exists());
}

#[test]
fn a_person_at_a_terminal_is_asked_about_the_commands() {
    let scene = with_commands();
    let words = ["new", "--prompt", "x", "--agent", "mine"];
    let new = || scene.home.amps(words).cwd(scene.repo.path()).terminal();
    let mut terminal = new();
    terminal.wait_for_text("touch ../../set-up");
    terminal.wait_for_text("[y/N]");
    terminal.send("n\r");
    terminal.wait_exit(PATIENCE);
    assert!(!scene.repo.file("set-up").exists());
    let mut terminal = new();
    terminal.wait_for_text("[y/N]");
    terminal.send("y\r");
    terminal.wait_exit(PATIENCE);
    assert!(scene.repo.file("set-up").exists());
}

#[test]
fn agents_that_read_files_are_told_of_their_session() {
    let agent = "cat > asked.txt; cat AGENT_CONTEXT/SESSION.md > seen.txt; \
                 cat AGENT_CONTEXT/LAST_STATUS.json > last.txt";
    let scene = scene(agent, &["--script", "echo the gate says no; exit 3"]);
    scene.home.amps(["iterate", &scene.id]).run().code(11);
    assert!(scene.tree.read("seen.txt").contains("Make it better"));
    let first: Value = serde_json::from_str(&scene.tree.read("last.txt")).unwrap();
    assert_eq!(first["iteration"], Value::Null);
    let last = || -> Value {
        serde_json::from_str(&scene.tree.read("AGENT_CONTEXT/LAST_STATUS.json")).unwrap()
    };
    assert_eq!(last()["verdict"], "gate-failed");
    assert_eq!(last()["test_command"]["log"], "the gate says no\n");
    let summary = scene.tree.read("AGENT_CONTEXT/DIFF_SUMMARY.txt");
    assert!(summary.contains("asked.txt"), "{summary}");
    scene.home.amps(["iterate", &scene.id]).run().code(11);
    let second: Value = serde_json::from_str(&scene.tree.read("last.txt")).unwrap();
    assert_eq!(second["iteration"], 1);
    assert_eq!(last()["iteration"], 2);
    let log = scene.tree.read("AGENT_CONTEXT/ITERATION_LOG.md");
    assert!(
        log.contains("## 1: gate failed") && log.contains("## 2: gate failed"),
        "{log}"
    );
    // It is never committed, and nobody's work.
    let files = scene
        .tree
        .git(["log", "--format=", "--name-only", "main..HEAD"]);
    assert!(!files.contains("AGENT_CONTEXT"), "{files}");
    assert_eq!(scene.tree.git(["status", "--porcelain"]), "");
    let answer = give_up(&scene);
    let findings = answer["removed"]["findings"].to_string();
    assert!(!findings.contains("ignored"), "{findings}");
}

#[test]
fn no_key_is_printed_or_written_for_the_agent() {
    let key = "sk-ant-api03-abcdefghijklmnopqrstuvwxyz0123456789-ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let scene = scene("cat > asked.txt", &[]);
    let prompt = format!("Use {key}");
    let words = ["iterate", &scene.id, "--prompt", &prompt, "--stream"];
    let output = scene.home.amps(words).run().ok();
    assert!(!output.text().contains(key), "{}", output.text());
    for name in ["SESSION.md", "ITERATION_LOG.md", "LAST_STATUS.json"] {
        let text = scene.tree.read(format!("AGENT_CONTEXT/{name}"));
        assert!(!text.contains(key), "{name}: {text}");
    }
    assert!(
        scene.tree.read("asked.txt").contains(key),
        "the agent gets it"
    );
}
