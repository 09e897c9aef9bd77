//! What changes while a snapshot is being taken.

use amps_core::capture::Side;
use amps_engine::capture::Cutoff;

use super::capture_repo::{Repo, let_pass, listed, now, path};

fn passed_now(repo: &Repo) -> Cutoff {
    let_pass(repo, now());
    let instant = now();
    let_pass(repo, instant);
    Cutoff::passed(instant)
}

#[test]
fn what_the_agent_did_before_the_look_is_not_in_the_base() {
    let repo = Repo::new();
    repo.append("b", "from before\n");
    repo.write("old", "from before\n");
    let launch = passed_now(&repo);
    repo.append("a", "by the agent\n");
    repo.write("new", "by the agent\n");
    repo.write(".env", "by the agent\n");
    repo.remove("dir/c");
    let base = repo.snapshot_at(Side::Base, "base", &launch);
    let names = repo.git(["ls-tree", "-r", "--name-only", "refs/amps/base"]);
    assert_eq!(names, "a\nb\ndir/c\nold");
    assert!(
        repo.git(["show", "refs/amps/base:b"])
            .ends_with("from before")
    );
    assert_eq!(base.uncertain, [path("a"), path("dir/c")]);
    let changeset = repo.compare(&base, &repo.end());
    assert_eq!(listed(&changeset), ["M a", "D dir/c", "A new"]);
    assert!(changeset.partial && changeset.files[0].uncertain && !changeset.files[2].uncertain);
}

#[test]
fn an_old_untracked_file_edited_since_is_uncertain() {
    let repo = Repo::new();
    repo.write("old", "from before\n");
    let launch = passed_now(&repo);
    repo.append("old", "by the agent\n");
    let base = repo.snapshot_at(Side::Base, "base", &launch);
    assert_eq!(base.uncertain, [path("old")]);
}

#[test]
fn what_the_agent_staged_or_committed_before_the_look_is_not_in_the_base() {
    let repo = Repo::new();
    let head = repo.git(["rev-parse", "HEAD"]);
    let launch = passed_now(&repo);
    repo.write("staged", "by the agent\n");
    repo.append("b", "staged by the agent\n");
    repo.git(["add", "staged", "b"]);
    repo.append("a", "committed by the agent\n");
    repo.write("committed", "by the agent\n");
    repo.git(["add", "committed"]);
    repo.git(["commit", "-qm", "by the agent", "a", "committed"]);
    let base = repo.snapshot_at(Side::Base, "base", &launch);
    assert_eq!(base.head.as_ref().unwrap().as_str(), head);
    let changeset = repo.compare(&base, &repo.end());
    assert_eq!(
        listed(&changeset),
        ["M a", "M b", "A committed", "A staged"]
    );
    assert_eq!(changeset.commits.len(), 1);
}

#[test]
fn what_the_person_committed_just_before_is_in_the_base() {
    let repo = Repo::new();
    repo.append("a", "by the person\n");
    repo.git(["commit", "-qam", "by the person"]);
    let launch = passed_now(&repo);
    repo.append("b", "by the agent\n");
    repo.git(["commit", "-qam", "by the agent"]);
    let base = repo.snapshot_at(Side::Base, "base", &launch);
    let changeset = repo.compare(&base, &repo.end());
    assert_eq!(listed(&changeset), ["M b"]);
    let subjects: Vec<_> = changeset
        .commits
        .iter()
        .map(|made| &made.subject[..])
        .collect();
    assert_eq!(subjects, ["by the agent"]);
}

#[test]
fn the_last_act_of_an_agent_is_in_the_end() {
    let repo = Repo::new();
    let base = repo.base();
    repo.write("last", "by the agent\n");
    repo.append("a", "by the agent\n");
    repo.git(["commit", "-qam", "by the agent"]);
    let end = Cutoff::ended(now());
    let end = repo.snapshot_at(Side::End, "end", &end);
    let changeset = repo.compare(&base, &end);
    assert_eq!(listed(&changeset), ["M a", "A last"]);
    assert_eq!(changeset.commits.len(), 1);
    assert!(!changeset.partial);
}

#[test]
fn what_came_after_the_end_is_told_apart() {
    let repo = Repo::new();
    let base = repo.base();
    repo.append("a", "by the agent\n");
    let end = passed_now(&repo);
    repo.append("a", "by the person\n");
    repo.write("later", "by the person\n");
    repo.append("b", "by the person\n");
    repo.git(["commit", "-qm", "by the person", "b"]);
    let end = repo.snapshot_at(Side::End, "end", &end);
    assert_eq!(end.head, base.head);
    let changeset = repo.compare(&base, &end);
    assert_eq!(listed(&changeset), ["M a", "M b"]);
    assert!(changeset.partial && changeset.files.iter().all(|file| file.uncertain));
    assert!(changeset.commits.is_empty());
}

#[test]
fn an_open_instant_doubts_nothing() {
    let repo = Repo::new();
    repo.append("a", "just now\n");
    let base = repo.base();
    assert!(base.uncertain.is_empty());
    assert!(repo.git(["show", "refs/amps/base:a"]).ends_with("just now"));
}
