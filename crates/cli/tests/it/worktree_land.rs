//! Landing a worktree session: squashed, rebased, merged, handed on, and what is known before.

use std::path::PathBuf;

use amps_testkit::{Cmd, Repo};
use serde_json::{Value, json};

use crate::worktree_iterate::{Scene, scene};

/// A session whose agent does what the prompt says, as a shell would.
pub(crate) fn obedient(more: &[&str]) -> Scene {
    // Before the prompt of a later turn it is told what the task was.
    let scene = scene("tail -n 1 | sed 's/^Some of .* already. //' | sh", more);
    scene.repo.git(["config", "user.name", "Person"]);
    scene.repo.git(["config", "user.email", "person@localhost"]);
    scene
}

impl Scene {
    /// Runs a command of ours in the repository.
    pub(crate) fn amps(&self, words: &[&str]) -> Cmd {
        self.home.amps(words).cwd(self.repo.path())
    }

    /// Has the agent do something in an iteration of its own.
    #[track_caller]
    pub(crate) fn turn(&self, commands: &str) {
        turn(self, &self.id, commands);
    }

    /// Begins another session in the repository.
    #[track_caller]
    pub(crate) fn another(&self, name: &str) -> (String, Repo) {
        let words = ["new", "--prompt", "More", "--agent", "mine", "--json"];
        let made = self.amps(&words).args(["--name", name]).run().ok().json();
        let tree = PathBuf::from(made["worktree"].as_str().unwrap());
        let id = made["session_id"].as_str().unwrap().to_owned();
        (id, Repo::at(&self.home, &tree))
    }
}

/// Returns the subjects of the commits of a branch down to another commit, newest first.
pub(crate) fn log(tree: &Repo, since: &str) -> Vec<String> {
    let range = format!("{since}..HEAD");
    let log = tree.git(["log", "--first-parent", "--format=%s", &range]);
    log.lines().map(str::to_owned).collect()
}

#[track_caller]
pub(crate) fn turn(scene: &Scene, id: &str, commands: &str) {
    let words = ["iterate", id, "--prompt", commands];
    scene.amps(&words).run().ok();
}

#[test]
fn a_session_goes_the_way_of_the_document() {
    let scene = obedient(&[
        "--model",
        "gpt-5",
        "--name",
        "feature-auth",
        "--script",
        "test -f auth.txt",
    ]);
    let before = scene.repo.head();
    let id = scene.id.as_str();
    let words = ["iterate", id, "--stream", "--prompt", "echo jwt > auth.txt"];
    scene.amps(&words).run().ok();
    scene.turn("echo refresh >> auth.txt");
    scene.amps(&["status", id]).run().ok();
    scene.amps(&["diff", id, "--staged"]).run().ok();
    let subject = "feat: add JWT authentication system";
    scene.amps(&["squash", id, "--message", subject]).run().ok();
    scene.amps(&["rebase", id, "--onto", "main"]).run().ok();
    let merged = scene.amps(&["merge", id]).run().ok();
    assert!(
        merged.stdout_text().contains("merged into main"),
        "{}",
        merged.text()
    );
    assert_eq!(log(&scene.repo, &before), [subject]);
    assert_eq!(scene.repo.read("auth.txt"), "jwt\nrefresh\n");
    assert_eq!(scene.repo.git(["status", "--porcelain"]), "");
    let record = scene.record();
    assert_eq!(record["status"], "completed");
    assert_eq!(record["status_reason"], "merged");
    assert_eq!(record["operation"], Value::Null);
    // It is over, and says so.
    scene.amps(&["merge", id]).run().code(13);
    let diff = scene.amps(&["diff", id, "--name-only"]).run().ok();
    assert_eq!(diff.stdout_text(), "auth.txt\n");
}

#[test]
fn a_squash_folds_what_the_agent_made_and_keeps_what_a_person_made() {
    let scene = obedient(&[]);
    scene.turn("echo 1 > one.txt");
    scene.tree.write("hand.txt", "by hand\n");
    scene.tree.commit("by hand");
    // The base moves meanwhile, and what it has got stays out of the branch.
    scene.repo.write("upstream.txt", "upstream\n");
    scene.repo.commit("upstream");
    scene.turn(
        "echo 2 > two.txt; git add two.txt; git commit -qm 'by the agent'; echo 3 > three.txt",
    );
    let tree_before = scene.tree.git(["rev-parse", "HEAD^{tree}"]);
    let head_before = scene.tree.head();
    let base = scene.tree.git(["merge-base", "HEAD", "main"]);
    // Rebased, the agent's own commit has another name and is its commit all the same.
    scene.amps(&["rebase", &scene.id]).run().ok();
    scene.tree.git(["reset", "-q", "--hard", &head_before]);
    scene.tree.git(["rebase", "-q", "--force-rebase", &base]);
    let words = ["squash", &scene.id, "--message", "All of it", "--json"];
    let answer = scene.amps(&words).run().ok().json();
    assert_eq!(answer["outcome"], "done", "{answer}");
    assert_eq!(
        answer["plan"]["folded"].as_array().unwrap().len(),
        3,
        "{answer}"
    );
    let mut subjects = log(&scene.tree, &base);
    subjects.sort();
    assert_eq!(subjects, ["All of it", "by hand"]);
    assert_eq!(scene.tree.git(["rev-parse", "HEAD^{tree}"]), tree_before);
    let author = scene
        .tree
        .git(["log", "-1", "--format=%an", "--grep=by hand"]);
    assert!(!author.is_empty());
    let again = scene
        .amps(&["squash", &scene.id, "--message", "Again"])
        .run();
    assert!(again.ok().stdout_text().contains("no commit of the agent"));
}

#[test]
fn a_base_that_is_checked_out_with_local_edits_is_left_alone() {
    let scene = obedient(&[]);
    scene.turn("echo 1 > kept.txt");
    let head = scene.repo.head();
    scene.repo.write("kept.txt", "mine\n");
    let refused = scene.amps(&["merge", &scene.id]).run().code(13);
    assert!(
        refused.stderr_text().contains("kept.txt"),
        "{}",
        refused.text()
    );
    assert_eq!(scene.repo.head(), head);
    assert_eq!(scene.repo.read("kept.txt"), "mine\n");
    let record = scene.record();
    assert_eq!(record["operation"], Value::Null);
    assert_eq!(record["status"], "idle");
    let known = scene
        .amps(&["preflight", &scene.id, "--json"])
        .run()
        .code(13)
        .json();
    assert_eq!(known["base_refusals"][0]["refusal"], "dirty", "{known}");
}

#[test]
fn work_that_is_not_committed_is_not_forgotten_by_a_merge() {
    let scene = obedient(&["--script", "true"]);
    scene.turn("echo 1 > one.txt");
    let known = scene
        .amps(&["preflight", &scene.id, "--json"])
        .run()
        .ok()
        .json();
    assert_eq!(known["ready"], true, "{known}");
    assert_eq!((&known["ahead"], &known["behind"]), (&json!(1), &json!(0)));
    assert_eq!(known["gate"]["verdict"], "passed");
    scene.tree.write("left.txt", "left\n");
    let known = scene
        .amps(&["preflight", &scene.id, "--json"])
        .run()
        .code(13)
        .json();
    assert_eq!(known["untracked"], json!(["left.txt"]));
    let refused = scene.amps(&["merge", &scene.id]).run().code(13);
    assert!(
        refused.stderr_text().contains("left.txt"),
        "{}",
        refused.text()
    );
    scene
        .amps(&["merge", &scene.id, "--leave-uncommitted"])
        .run()
        .ok();
    assert_eq!(scene.repo.read("one.txt"), "1\n");
    assert!(!scene.repo.file("left.txt").exists());
    assert_eq!(scene.tree.read("left.txt"), "left\n");
}

#[test]
fn a_diff_is_of_all_that_branch_and_worktree_changed() {
    let scene = obedient(&[]);
    scene.turn("echo 1 > one.txt");
    scene.turn("echo 2 > two.txt");
    scene.repo.write("upstream.txt", "upstream\n");
    scene.repo.commit("upstream");
    scene.tree.write("kept.txt", "kept\nedited\n");
    scene.tree.write("new.txt", "new\n");
    scene.tree.write("id_rsa", "secret\n");
    let index = std::fs::read(scene.tree.file(".git")).unwrap();
    let status = scene.tree.git(["status", "--porcelain"]);
    let names = |more: &[&str]| {
        let words = ["diff", &scene.id, "--name-only"];
        scene.amps(&words).args(more).run().ok().stdout_text()
    };
    assert_eq!(names(&[]), "kept.txt\nnew.txt\none.txt\ntwo.txt\n");
    assert_eq!(names(&["--turn", "2"]), "two.txt\n");
    assert_eq!(names(&["--base", "HEAD~1"]), "kept.txt\nnew.txt\ntwo.txt\n");
    scene.tree.git(["add", "new.txt"]);
    assert_eq!(names(&["--staged"]), "new.txt\n");
    scene.tree.git(["reset", "-q"]);
    assert_eq!(scene.tree.git(["status", "--porcelain"]), status);
    assert_eq!(std::fs::read(scene.tree.file(".git")).unwrap(), index);
    let told = scene.amps(&["diff", &scene.id, "--json"]).run().ok().json();
    assert_eq!(told["additions"], 4, "{told}");
    let patch = scene.amps(&["diff", &scene.id]).run().ok().stdout_text();
    assert!(
        patch.contains("+edited") && !patch.contains("secret"),
        "{patch}"
    );
    let stat = scene
        .amps(&["diff", &scene.id, "--stat"])
        .run()
        .ok()
        .stdout_text();
    assert!(stat.contains("4 files"), "{stat}");
    scene
        .amps(&["diff", &scene.id, "--turn", "9"])
        .run()
        .code(1);
    scene.amps(&["diff", &scene.id, "--at", "1"]).run().code(2);
}

#[test]
fn a_merge_is_pushed_where_that_is_asked_for() {
    let scene = obedient(&[]);
    scene.turn("echo 1 > one.txt");
    let refused = scene.amps(&["merge", &scene.id, "--push"]).run().code(13);
    assert!(
        refused.stderr_text().contains("no remote"),
        "{}",
        refused.text()
    );
    let bare = scene.home.folder("far.git");
    scene
        .repo
        .git(["init", "-q", "--bare", bare.to_str().unwrap()]);
    scene
        .repo
        .git(["remote", "add", "origin", bare.to_str().unwrap()]);
    scene.repo.git(["push", "-q", "origin", "main"]);
    let words = [
        "merge",
        &scene.id,
        "--push",
        "--no-ff",
        "-m",
        "Take it in",
        "--json",
    ];
    let answer = scene.amps(&words).run().ok().json();
    assert_eq!(answer["outcome"], "done");
    let far = Repo::at(&scene.home, &bare);
    assert_eq!(far.git(["log", "-1", "--format=%s", "main"]), "Take it in");
    assert_eq!(answer["commit"], far.git(["rev-parse", "main"]).as_str());
}

#[test]
fn a_pull_request_is_opened_by_the_tool_of_the_forge() {
    let scene = obedient(&["--name", "parser"]);
    scene.turn("echo 1 > one.txt");
    let bare = scene.home.folder("github-far.git");
    scene
        .repo
        .git(["init", "-q", "--bare", bare.to_str().unwrap()]);
    scene
        .repo
        .git(["remote", "add", "origin", bare.to_str().unwrap()]);
    let refused = scene.amps(&["pr", &scene.id]).run().code(13);
    assert!(
        refused.stderr_text().contains("--export-patch"),
        "{}",
        refused.text()
    );
    let file = scene.home.path("all.patch");
    let words = [
        "merge",
        &scene.id,
        "--export-patch",
        file.to_str().unwrap(),
        "--json",
    ];
    let answer = scene.amps(&words).run().ok().json();
    assert_eq!(answer["patches"], json!([file.to_str().unwrap()]));
    assert!(std::fs::read_to_string(&file).unwrap().contains("+1"));
    let tool = "#!/bin/sh\nprintf '%s\\n' \"$@\" > \"$HOME/asked\"\necho https://forge/pr/7\n";
    scene.home.install_script("gh", tool);
    let answer = scene.amps(&["pr", &scene.id, "--json"]).run().ok().json();
    assert_eq!(answer["url"], "https://forge/pr/7");
    let asked = std::fs::read_to_string(scene.home.home_dir().join("asked")).unwrap();
    assert!(asked.contains("--title\nparser\n"), "{asked}");
    let branch = scene.tree.git(["rev-parse", "--abbrev-ref", "HEAD"]);
    let far = Repo::at(&scene.home, &bare);
    assert_eq!(far.git(["rev-parse", &branch]), scene.tree.head());
    // Squashed, it is pushed over what was pushed before.
    scene.turn("echo 2 > two.txt");
    scene.amps(&["squash", &scene.id, "-m", "One"]).run().ok();
    scene.amps(&["pr", &scene.id]).run().ok();
    assert_eq!(far.git(["rev-parse", &branch]), scene.tree.head());
    assert_eq!(scene.record()["status"], "idle");
}

#[test]
fn hooks_have_their_say_and_can_be_passed() {
    let scene = obedient(&[]);
    scene.turn("echo 1 > one.txt");
    let hook = scene.repo.file(".git/hooks/commit-msg");
    scene.repo.write(
        ".git/hooks/commit-msg",
        "#!/bin/sh\necho 'no such message'\nexit 1\n",
    );
    scene.repo.chmod(&hook, 0o755);
    let head = scene.tree.head();
    let refused = scene
        .amps(&["squash", &scene.id, "-m", "One"])
        .run()
        .code(13);
    assert!(
        refused.stderr_text().contains("--no-verify"),
        "{}",
        refused.text()
    );
    assert_eq!(scene.tree.head(), head);
    scene
        .amps(&["squash", &scene.id, "-m", "One", "--no-verify"])
        .run()
        .ok();
    assert_ne!(scene.tree.head(), head);
}

#[test]
fn what_somebody_merged_by_hand_is_known_to_be_merged() {
    let scene = obedient(&[]);
    let refused = scene.amps(&["merge", &scene.id]).run().code(13);
    assert!(
        refused.stderr_text().contains("no work"),
        "{}",
        refused.text()
    );
    scene.turn("echo 1 > one.txt");
    let branch = scene.tree.git(["rev-parse", "--abbrev-ref", "HEAD"]);
    scene.repo.git(["merge", "-q", &branch]);
    let answer = scene
        .amps(&["merge", &scene.id, "--json"])
        .run()
        .ok()
        .json();
    assert_eq!(answer["outcome"], "unchanged");
    assert_eq!(scene.record()["status_reason"], "merged");
}

#[test]
fn it_is_never_merged_into_another_branch_than_the_one_that_is_meant() {
    let scene = obedient(&[]);
    scene.turn("echo 1 > one.txt");
    scene.repo.git(["checkout", "-qb", "elsewhere"]);
    scene.repo.git(["branch", "release"]);
    let before = scene.repo.git(["rev-parse", "main"]);
    scene
        .amps(&["merge", &scene.id, "--onto", "release"])
        .run()
        .ok();
    assert_eq!(
        scene.repo.git(["rev-parse", "main", "elsewhere"]),
        format!("{before}\n{before}")
    );
    assert_eq!(scene.repo.git(["rev-parse", "release"]), scene.tree.head());
    scene
        .amps(&["squash", &scene.id, "-m", "Late"])
        .run()
        .code(13);
}
