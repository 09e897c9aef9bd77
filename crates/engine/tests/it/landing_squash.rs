//! All commits of the agent become one; the person's stay theirs; the tree stays as it is.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use amps_core::landing::{Manual, Refusal};
use amps_engine::files::write_private;
use amps_engine::landing::{Hooks, SquashRequest, plan_squash};

use super::landing_repo::{Land, refusal, text};

#[test]
fn the_agents_commits_become_one_and_the_tree_stays() {
    let land = Land::new();
    land.agent("a", text(&[(3, "x")]));
    land.agent("new", "made\n");
    land.base("dir/b", text(&[(1, "base")]));
    let (tip, tree) = (land.oid("work"), land.oid("work^{tree}"));
    let plan = land.squash(Manual::Preserve).unwrap();
    assert_eq!(land.oid("work"), tip, "a plan moves nothing");
    land.carry_out(&plan.course).unwrap();
    assert_eq!(land.oid("work^{tree}"), tree);
    assert_eq!(land.log("main..work"), ["Person: Do all of it"]);
    assert_eq!(land.oid("work^"), land.oid("main^"), "on the merge base");
    assert_eq!(
        land.git(["log", "-1", "--format=%(trailers)", "work"]),
        format!("Amps-Session: {}", land.ground().session)
    );
    assert_eq!(land.oid(&plan.course.backups[0].reference), tip);
    assert_eq!((plan.folded.len(), &plan.commit), (2, &land.oid("work")));
    let reflog = land.git(["reflog", "-1", "--format=%gs", "work"]);
    assert!(reflog.starts_with("amps squash: 2 commits"), "{reflog}");
    land.carry_out(&plan.course).unwrap();
    assert_eq!(land.oid("work"), plan.commit);
    land.assert_calm();
}

#[test]
fn a_persons_commits_stay_their_own_after_the_agents() {
    let land = Land::new();
    land.agent("a", text(&[(3, "x")]));
    land.manual("a", text(&[(3, "x, mended")]));
    land.agent("new", "made\n");
    land.manual("dir/b", text(&[(20, "by hand")]));
    let tree = land.oid("work^{tree}");
    let plan = land.squash(Manual::Preserve).unwrap();
    land.carry_out(&plan.course).unwrap();
    assert_eq!(land.oid("work^{tree}"), tree);
    assert_eq!(
        land.log("main..work"),
        [
            "Person: Do all of it",
            "Manual: mend a",
            "Manual: mend dir/b"
        ]
    );
    let format = "--format=%an <%ae> %ad %B";
    assert_eq!(
        land.git(["log", "-1", "--date=raw", format, "work"]),
        "Manual <Manual@localhost> 1700000000 +0130 mend dir/b"
    );
    assert_eq!(land.git(["show", "work~2:a"]), text(&[(3, "x")]).trim_end());
    assert_eq!(plan.manual.len(), 2);
    land.assert_calm();
}

#[test]
fn a_persons_commit_that_the_agent_built_upon_stands_before() {
    let land = Land::new();
    land.agent("new", "made\n");
    let kept = land.manual("a", text(&[(3, "by hand")]));
    land.agent("a", text(&[(3, "by hand, and more")]));
    land.manual("dir/b", text(&[(1, "at the end")]));
    let tree = land.oid("work^{tree}");
    let plan = land.squash(Manual::Preserve).unwrap();
    land.carry_out(&plan.course).unwrap();
    assert_eq!(land.oid("work^{tree}"), tree);
    assert_eq!(
        land.log("main..work"),
        [
            "Manual: mend a",
            "Person: Do all of it",
            "Manual: mend dir/b"
        ]
    );
    assert_ne!(land.oid("work~2").as_str(), kept);
    land.assert_calm();
}

#[test]
fn a_persons_commit_that_is_in_its_place_is_not_made_again() {
    let land = Land::new();
    let kept = land.manual("a", text(&[(3, "by hand")]));
    land.agent("a", text(&[(3, "by hand, and more")]));
    let plan = land.squash(Manual::Preserve).unwrap();
    land.carry_out(&plan.course).unwrap();
    assert_eq!(land.oid("work^").as_str(), kept);
}

#[test]
fn what_can_stand_nowhere_is_a_conflict_with_a_way_on() {
    let land = Land::new();
    let added = land.agent("new", text(&[]));
    let mended = land.manual("new", text(&[(5, "by hand")]));
    let again = land.agent("new", text(&[(5, "by hand, and more")]));
    let before = land.state();
    let Refusal::Conflict { commit, paths } = refusal(land.squash(Manual::Preserve)) else {
        panic!("no conflict");
    };
    assert_eq!(commit.unwrap().oid.as_str(), mended);
    let [path] = &paths[..] else {
        panic!("{paths:?}");
    };
    assert_eq!(path.path.to_string(), "new");
    let ours: Vec<&str> = path.ours.iter().map(|one| one.oid.as_str()).collect();
    assert_eq!(ours, [&again, &added]);
    assert_eq!(path.theirs[0].subject, "mend new");
    assert_eq!(land.state(), before);

    let plan = land.squash(Manual::Include).unwrap();
    land.carry_out(&plan.course).unwrap();
    assert_eq!(land.log("main..work"), ["Person: Do all of it"]);
    assert_eq!(land.read("new"), text(&[(5, "by hand, and more")]));
    let trailers = land.git(["log", "-1", "--format=%(trailers)", "work"]);
    assert!(
        trailers.contains("Co-authored-by: Manual <Manual@localhost>"),
        "{trailers}"
    );
}

#[test]
fn a_base_that_was_merged_in_is_not_reverted() {
    let land = Land::new();
    land.agent("a", text(&[(3, "x")]));
    land.manual("dir/b", text(&[(9, "by hand")]));
    land.base("a", text(&[(18, "base")]));
    land.git(["merge", "-q", "--no-edit", "main"]);
    land.agent("a", text(&[(3, "y"), (18, "base")]));
    land.base("a", text(&[(18, "base again")]));
    let tree = land.oid("work^{tree}");
    let plan = land.squash(Manual::Preserve).unwrap();
    land.carry_out(&plan.course).unwrap();
    assert_eq!(land.oid("work^{tree}"), tree);
    assert_eq!(land.oid("work~2"), land.oid("main^"));
    let diff = land.git(["diff", "--numstat", "main^", "work"]);
    assert_eq!(diff, "1\t1\ta\n1\t1\tdir/b");
}

#[test]
fn another_branch_that_was_merged_in_stays_a_parent_with_its_commits() {
    let land = Land::new();
    land.agent("a", text(&[(3, "x")]));
    land.git(["checkout", "-q", "-b", "side", "main"]);
    land.write("side", "side\n");
    let side = land.commit_in(&land.tree, "Side", "from the side");
    land.git(["checkout", "-q", "work"]);
    land.git(["merge", "-q", "--no-edit", "side"]);
    land.agent("new", "made\n");
    land.manual("dir/b", text(&[(9, "by hand")]));
    let tree = land.oid("work^{tree}");
    let plan = land.squash(Manual::Preserve).unwrap();
    land.carry_out(&plan.course).unwrap();
    assert_eq!(land.oid("work^{tree}"), tree);
    assert_eq!(land.oid("work^^2").as_str(), side);
    assert_eq!(
        land.log("main..work^").last().unwrap(),
        "Person: Do all of it"
    );
    assert_eq!(land.git(["log", "-1", "--format=%an", "work^^2"]), "Side");
}

#[test]
fn a_side_of_the_branch_that_was_merged_back_is_squashed_with_it() {
    let land = Land::new();
    land.agent("a", text(&[(3, "x")]));
    land.git(["checkout", "-q", "-b", "side"]);
    land.agent("side", "side\n");
    land.manual("a", text(&[(3, "x, mended")]));
    land.git(["checkout", "-q", "work"]);
    land.agent("dir/b", text(&[(3, "x")]));
    land.git(["merge", "-q", "--no-edit", "side"]);
    let tree = land.oid("work^{tree}");
    let plan = land.squash(Manual::Preserve).unwrap();
    assert_eq!(plan.folded.len(), 4);
    land.carry_out(&plan.course).unwrap();
    assert_eq!(land.oid("work^{tree}"), tree);
    assert_eq!(
        land.log("main..work"),
        ["Person: Do all of it", "Manual: mend a"]
    );
}

#[test]
fn uncommitted_work_and_what_others_are_at_is_refused() {
    let land = Land::new();
    land.agent("a", text(&[(3, "x")]));
    land.write("untracked", "x\n");
    let Refusal::Dirty { paths, .. } = refusal(land.squash(Manual::Preserve)) else {
        panic!("not dirty");
    };
    assert_eq!(paths[0].to_string(), "untracked");
    fs::remove_file(land.tree.join("untracked")).unwrap();
    land.git(["checkout", "-q", "-b", "side", "main"]);
    land.manual("a", text(&[(3, "y")]));
    land.git(["checkout", "-q", "work"]);
    assert!(!land.try_git(&land.tree, ["merge", "side"]).status.success());
    let refused = refusal(land.squash(Manual::Preserve));
    assert!(matches!(refused, Refusal::UnderWay { .. }), "{refused:?}");
    land.git(["merge", "--abort"]);
    assert!(
        !land
            .try_git(&land.tree, ["rebase", "side"])
            .status
            .success()
    );
    let refused = refusal(land.squash(Manual::Preserve));
    assert!(matches!(refused, Refusal::UnderWay { .. }), "{refused:?}");
}

#[test]
fn without_a_commit_of_the_agent_there_is_nothing_to_do() {
    let land = Land::new();
    assert_eq!(refusal(land.squash(Manual::Include)), Refusal::NothingToDo);
    land.manual("a", text(&[(3, "x")]));
    assert_eq!(refusal(land.squash(Manual::Preserve)), Refusal::NothingToDo);
}

#[test]
fn a_branch_that_somebody_moved_meanwhile_is_left_alone() {
    let land = Land::new();
    land.agent("a", text(&[(3, "x")]));
    let plan = land.squash(Manual::Preserve).unwrap();
    let later = land.manual("a", text(&[(3, "y")]));
    let Refusal::Moved { found, .. } = refusal(land.carry_out(&plan.course)) else {
        panic!("not void");
    };
    assert_eq!(found.unwrap().as_str(), later);
    assert_eq!(land.oid("work").as_str(), later);
}

fn hook(land: &Land, name: &str, script: &str) {
    let path = land.common_dir.join("hooks").join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    write_private(&path, format!("#!/bin/sh\n{script}\n").as_bytes()).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn hooks_have_their_say_unless_they_are_skipped() {
    let land = Land::new();
    land.agent("a", text(&[(3, "x")]));
    hook(
        &land,
        "commit-msg",
        "echo 'Ticket: 7' >> \"$1\"; pwd > ../where",
    );
    let plan = land.squash(Manual::Preserve).unwrap();
    let body = land.git(["log", "-1", "--format=%B", plan.commit.as_str()]);
    assert!(body.ends_with("Ticket: 7"), "{body}");
    let place = fs::read_to_string(land.tree.join("../where")).unwrap();
    assert_eq!(place.trim_end(), land.tree.to_str().unwrap());
    hook(&land, "pre-commit", "echo not so >&2; exit 1");
    let Refusal::Hook { name, words } = refusal(land.squash(Manual::Preserve)) else {
        panic!("not refused");
    };
    assert_eq!(
        (name.as_str(), words.contains("not so")),
        ("pre-commit", true)
    );
    let request = SquashRequest {
        message: "m".to_owned(),
        manual: Manual::Preserve,
        hooks: Hooks::Skip,
    };
    let plan = plan_squash(&land.engine_git(), &land.ground(), &request).unwrap();
    hook(
        &land,
        "reference-transaction",
        "[ \"$1\" = prepared ] && cat | grep -q heads && exit 1; exit 0",
    );
    land.carry_out(&plan.course).unwrap_err();
    assert_eq!(land.oid("work"), plan.course.moves[0].from);
}

#[test]
fn a_hook_that_changes_files_leaves_them_to_be_committed() {
    let land = Land::new();
    land.agent("a", text(&[(3, "x")]));
    hook(&land, "pre-commit", "echo formatted >> a");
    let refused = refusal(land.squash(Manual::Preserve));
    assert!(matches!(refused, Refusal::Dirty { .. }), "{refused:?}");
}

/// Has git sign with a key that this makes.
pub(crate) fn sign(land: &Land) {
    let key = land.home().join("key");
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "person", "-f"])
        .arg(&key)
        .status();
    assert!(made.unwrap().success());
    let public = fs::read_to_string(key.with_extension("pub")).unwrap();
    let signers = land.home().join("signers");
    write_private(&signers, format!("person@localhost {public}").as_bytes()).unwrap();
    for (name, value) in [
        ("gpg.format", "ssh"),
        ("user.signingKey", key.to_str().unwrap()),
        ("gpg.ssh.allowedSignersFile", signers.to_str().unwrap()),
        ("commit.gpgSign", "true"),
    ] {
        land.git(["config", "--global", name, value]);
    }
}

#[test]
fn commits_are_signed_as_the_person_signs() {
    let land = Land::new();
    sign(&land);
    land.agent("a", text(&[(3, "x")]));
    land.manual("a", text(&[(3, "y")]));
    land.git(["config", "--global", "commit.gpgSign", "false"]);
    land.manual("dir/b", text(&[(3, "y")]));
    let plan = land.squash(Manual::Preserve).unwrap();
    let states = land.git([
        "log",
        "--format=%G?",
        "-3",
        plan.course.moves[0].to.as_str(),
    ]);
    // A commit that was signed is signed again; one that was not is not, nor is the new one.
    assert_eq!(states, "N\nG\nN");
    land.git(["config", "--global", "commit.gpgSign", "true"]);
    let plan = land.squash(Manual::Preserve).unwrap();
    let states = land.git([
        "log",
        "--format=%G?",
        "-3",
        plan.course.moves[0].to.as_str(),
    ]);
    assert_eq!(states, "G\nG\nG");
    fs::remove_file(land.home().join("key")).unwrap();
    let refused = refusal(land.squash(Manual::Preserve));
    assert!(matches!(refused, Refusal::CannotSign { .. }), "{refused:?}");
}

#[test]
fn without_an_identity_nothing_is_made() {
    let land = Land::new();
    land.agent("a", text(&[(3, "x")]));
    land.git(["config", "--global", "user.useConfigOnly", "true"]);
    land.git(["config", "--global", "--unset", "user.email"]);
    let refused = refusal(land.squash(Manual::Preserve));
    assert!(matches!(refused, Refusal::NoIdentity { .. }), "{refused:?}");
}
