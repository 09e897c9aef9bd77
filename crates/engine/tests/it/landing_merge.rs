//! The base takes the branch in, moves from what it was, and is brought along where it is checked
//! out.

use std::fs;
use std::thread;

use amps_core::landing::{MergeKind, MergePlan, Operation, Progress, Refusal};
use amps_core::path::RawPath;
use amps_engine::landing::{
    FastForward, Hooks, LandingError, MergeRequest, Patches, Push, carry_out, conflicts,
    export_patch, go_on, plan_merge, plan_start, preflight, push, start,
};

use super::landing_repo::{Land, refusal, text};

fn merge(land: &Land, request: &MergeRequest) -> Result<MergePlan, LandingError> {
    plan_merge(&land.engine_git(), &land.ground(), request)
}

fn no_ff() -> MergeRequest {
    MergeRequest {
        fast_forward: FastForward::Never,
        ..MergeRequest::default()
    }
}

#[test]
fn a_base_that_is_checked_out_clean_goes_forward_with_its_files() {
    let land = Land::new();
    land.agent("a", text(&[(3, "x")]));
    fs::remove_file(land.tree.join("dir/b")).unwrap();
    land.agent("dir/b/now/deep", "made\n");
    land.write_in(&land.main, "untracked", "mine\n");
    let plan = merge(&land, &MergeRequest::default()).unwrap();
    assert_eq!(plan.kind, MergeKind::FastForward);
    land.carry_out(&plan.course).unwrap();
    assert_eq!(land.oid("main"), land.oid("work"));
    let status = land.git_in(&land.main, ["status", "--porcelain"]);
    assert_eq!(status, "?? untracked");
    let read = fs::read_to_string(land.main.join("a")).unwrap();
    assert_eq!(read, text(&[(3, "x")]));
    land.carry_out(&plan.course).unwrap();
    assert_eq!(refusal(merge(&land, &no_ff())), Refusal::NothingToDo);
    land.assert_calm();
}

#[test]
fn a_merge_commit_has_both_sides_and_the_message() {
    let land = Land::new();
    land.agent("a", text(&[(3, "x")]));
    land.base("dir/b", text(&[(3, "base")]));
    let [base, tip] = [land.oid("main"), land.oid("work")];
    let plan = merge(&land, &MergeRequest::default()).unwrap();
    assert_eq!(
        (plan.kind, land.oid("main")),
        (MergeKind::Commit, base.clone())
    );
    land.carry_out(&plan.course).unwrap();
    assert_eq!([land.oid("main^1"), land.oid("main^2")], [base, tip]);
    let subject = land.git(["log", "-1", "--format=%an: %s", "main"]);
    assert_eq!(subject, "Person: Merge branch 'work' into main");
    assert_eq!(land.git_in(&land.main, ["status", "--porcelain"]), "");
    land.assert_calm();
}

#[test]
fn another_base_is_taken_only_when_it_is_named() {
    let land = Land::new();
    land.git_in(&land.main, ["branch", "release"]);
    land.agent("a", text(&[(3, "x")]));
    let request = MergeRequest {
        onto: Some("refs/heads/release".to_owned()),
        message: Some("Take it".to_owned()),
        ..no_ff()
    };
    let main = land.oid("main");
    let plan = merge(&land, &request).unwrap();
    land.carry_out(&plan.course).unwrap();
    assert_eq!(
        (land.oid("main"), land.oid("release^1")),
        (main.clone(), main)
    );
    assert_eq!(land.git(["log", "-1", "--format=%s", "release"]), "Take it");
    let remote = MergeRequest {
        onto: Some("refs/remotes/origin/main".to_owned()),
        ..MergeRequest::default()
    };
    let refused = refusal(merge(&land, &remote));
    assert!(matches!(refused, Refusal::NotABranch { .. }), "{refused:?}");
}

#[test]
fn an_edit_that_git_was_told_not_to_look_at_is_seen_before_anything_is_locked() {
    for flag in ["--assume-unchanged", "--skip-worktree"] {
        let land = Land::new();
        land.agent("a", text(&[(3, "x")]));
        let planned = merge(&land, &MergeRequest::default()).unwrap();
        land.git_in(&land.main, ["update-index", flag, "a"]);
        land.write_in(&land.main, "a", "edited\n");
        for refused in [
            refusal(merge(&land, &MergeRequest::default())),
            refusal(land.carry_out(&planned.course)),
        ] {
            let Refusal::Dirty { paths, .. } = refused else {
                panic!("{flag}: {refused:?}");
            };
            assert_eq!(paths, [RawPath::new(*b"a")], "{flag}");
        }
        land.assert_calm();
        let read = fs::read_to_string(land.main.join("a")).unwrap();
        assert_eq!(read, "edited\n", "{flag}");
        // One that nobody touched goes along.
        let land = Land::new();
        land.agent("a", text(&[(3, "x")]));
        let planned = merge(&land, &MergeRequest::default()).unwrap();
        land.git_in(&land.main, ["update-index", flag, "a"]);
        land.carry_out(&planned.course).unwrap();
        let read = fs::read_to_string(land.main.join("a")).unwrap();
        assert_eq!(read, text(&[(3, "x")]), "{flag}");
    }
}

#[test]
fn a_base_with_local_edits_is_left_alone_and_the_answer_says_where() {
    let land = Land::new();
    land.agent("a", text(&[(3, "x")]));
    let planned = merge(&land, &MergeRequest::default()).unwrap();
    land.write_in(&land.main, "dir/b", "edited\n");
    let before = land.state();
    for refused in [
        refusal(merge(&land, &MergeRequest::default())),
        refusal(land.carry_out(&planned.course)),
    ] {
        let Refusal::Dirty { worktree, paths } = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(worktree.to_string(), land.main.to_str().unwrap());
        assert_eq!(paths, [RawPath::new(*b"dir/b")]);
    }
    let mut after = land.state();
    after[0] = after[0]
        .lines()
        .filter(|line| !line.contains("backup"))
        .collect::<Vec<_>>()
        .join("\n");
    assert_eq!(after, before);
    land.git_in(&land.main, ["checkout", "-q", "dir/b"]);
    land.write_in(&land.main, "new", "untracked\n");
    land.agent("new", "made\n");
    let refused = refusal(merge(&land, &MergeRequest::default()));
    assert!(matches!(refused, Refusal::InTheWay { .. }), "{refused:?}");
    fs::remove_file(land.main.join("new")).unwrap();
    land.git_in(&land.main, ["checkout", "-q", "-b", "side", "main~0"]);
    land.write_in(&land.main, "a", text(&[(3, "y")]));
    land.commit_in(&land.main, "Other", "side");
    land.git_in(&land.main, ["checkout", "-q", "main"]);
    land.base("a", text(&[(3, "z")]));
    land.git(["merge", "-q", "--no-edit", "-s", "ours", "main"]);
    assert!(
        !land
            .try_git(&land.main, ["rebase", "side"])
            .status
            .success()
    );
    let request = MergeRequest {
        onto: Some("refs/heads/main".to_owned()),
        ..MergeRequest::default()
    };
    let refused = refusal(merge(&land, &request));
    assert!(matches!(refused, Refusal::UnderWay { .. }), "{refused:?}");
}

#[test]
fn a_base_that_moved_meanwhile_is_not_set_back() {
    let land = Land::new();
    land.agent("a", text(&[(3, "x")]));
    let plan = merge(&land, &MergeRequest::default()).unwrap();
    let later = land.base("dir/b", text(&[(3, "base")]));
    let refused = refusal(land.carry_out(&plan.course));
    assert!(matches!(refused, Refusal::Moved { .. }), "{refused:?}");
    assert_eq!(land.oid("main").as_str(), later);
    assert_eq!(land.git_in(&land.main, ["status", "--porcelain"]), "");
    land.assert_calm();
}

#[test]
fn a_lock_of_a_living_git_is_not_taken() {
    let land = Land::new();
    land.agent("a", text(&[(3, "x")]));
    let plan = merge(&land, &MergeRequest::default()).unwrap();
    land.write_in(&land.main, ".git/index.lock", "");
    let refused = refusal(land.carry_out(&plan.course));
    assert!(matches!(refused, Refusal::Locked { .. }), "{refused:?}");
    fs::remove_file(land.main.join(".git/index.lock")).unwrap();
    land.write_in(&land.main, ".git/refs/heads/main.lock", "");
    let Refusal::Locked { file } = refusal(land.carry_out(&plan.course)) else {
        panic!("not locked");
    };
    assert!(file.to_string().ends_with("refs/heads/main.lock"), "{file}");
    assert_eq!(land.git_in(&land.main, ["status", "--porcelain"]), "");
    fs::remove_file(land.main.join(".git/refs/heads/main.lock")).unwrap();
    land.carry_out(&plan.course).unwrap();
    land.assert_calm();
}

#[test]
fn a_conflict_is_resolved_in_the_sessions_worktree_and_then_merged() {
    let land = Land::new();
    let theirs = land.agent("a", text(&[(3, "x")]));
    let ours = land.base("a", text(&[(3, "base")]));
    let before = land.state();
    let Refusal::Conflict { commit, paths } = refusal(merge(&land, &no_ff())) else {
        panic!("no conflict");
    };
    assert_eq!((commit, land.state()), (None, before));
    assert_eq!(paths[0].ours[0].oid.as_str(), ours);
    assert_eq!(paths[0].theirs[0].oid.as_str(), theirs);
    let git = land.engine_git();
    let started = plan_start(&git, &land.ground(), Operation::Merge, None).unwrap();
    let progress = start(&git, &land.ground(), &started, Hooks::Run, &land.lock()).unwrap();
    assert!(
        matches!(progress, Progress::Conflict { .. }),
        "{progress:?}"
    );
    land.write("a", text(&[(3, "base and x")]));
    land.git(["add", "a"]);
    let progress = go_on(&git, &land.ground(), &started, Hooks::Run, &land.lock()).unwrap();
    assert!(matches!(progress, Progress::Done { .. }), "{progress:?}");
    let plan = merge(&land, &MergeRequest::default()).unwrap();
    land.carry_out(&plan.course).unwrap();
    let read = fs::read_to_string(land.main.join("a")).unwrap();
    assert_eq!(read, text(&[(3, "base and x")]));
    land.assert_calm();
}

#[test]
fn many_sessions_merged_at_once_lose_nothing() {
    const SESSIONS: usize = 8;
    let land = Land::new();
    for number in 0..SESSIONS {
        land.git(["checkout", "-q", "-b", &format!("work{number}"), "main"]);
        land.agent(&format!("made{number}"), format!("{number}\n"));
    }
    land.git(["checkout", "-q", "work"]);
    thread::scope(|scope| {
        for number in 0..SESSIONS {
            let land = &land;
            scope.spawn(move || {
                let mut ground = land.ground();
                ground.branch = format!("refs/heads/work{number}");
                ground.worktree = land.home().join("gone");
                loop {
                    let git = land.engine_git();
                    let plan = plan_merge(&git, &ground, &MergeRequest::default()).unwrap();
                    match carry_out(&git, &ground, &plan.course) {
                        Ok(()) => break,
                        // Another one was first: the base is not what it was.
                        Err(LandingError::Refused(refusal)) => {
                            assert!(matches!(*refusal, Refusal::Moved { .. }), "{refusal:?}");
                        }
                        Err(error) => panic!("{error:?}"),
                    }
                }
            });
        }
    });
    for number in 0..SESSIONS {
        let path = land.main.join(format!("made{number}"));
        assert_eq!(fs::read_to_string(path).unwrap(), format!("{number}\n"));
    }
    assert_eq!(land.git_in(&land.main, ["status", "--porcelain"]), "");
    land.assert_calm();
}

#[test]
fn preflight_tells_what_is_in_the_way_and_writes_nothing() {
    let land = Land::new();
    let by_agent = land.agent("a", text(&[(3, "x")]));
    let by_base = land.base("a", text(&[(3, "base")]));
    land.git(["checkout", "-q", "-b", "side", "main~1"]);
    let by_side = land.manual("a", text(&[(3, "y")]));
    land.git(["checkout", "-q", "work"]);
    land.write("dir/b", "edited\n");
    land.write("untracked", "x\n");
    land.write_in(&land.main, "dir/b", "edited\n");
    let objects = land.git(["count-objects"]);
    let siblings = ["refs/heads/side".to_owned(), "refs/heads/gone".to_owned()];
    let found = preflight(&land.engine_git(), &land.ground(), &siblings).unwrap();
    assert_eq!((found.ahead, found.behind), (1, 1));
    assert_eq!(found.uncommitted, [RawPath::new(*b"dir/b")]);
    assert_eq!(found.untracked, [RawPath::new(*b"untracked")]);
    assert_eq!(found.conflicts[0].ours[0].oid.as_str(), by_agent);
    assert_eq!(found.conflicts[0].theirs[0].oid.as_str(), by_base);
    assert_eq!(found.siblings[0].branch, "refs/heads/side");
    assert_eq!(found.siblings[0].paths[0].theirs[0].oid.as_str(), by_side);
    let [Refusal::Dirty { .. }] = &found.base_refusals[..] else {
        panic!("{found:?}");
    };
    assert_eq!(land.git(["count-objects"]), objects);
}

#[test]
fn the_matrix_of_all_branches_gives_an_order() {
    let land = Land::new();
    let mut branches = Vec::new();
    for (name, path, line) in [
        ("one", "a", 3),
        ("two", "a", 3),
        ("three", "dir/b", 3),
        ("four", "a", 3),
    ] {
        land.git(["checkout", "-q", "-b", name, "main"]);
        land.agent(path, text(&[(line, name)]));
        branches.push(format!("refs/heads/{name}"));
    }
    let objects = land.git(["count-objects"]);
    let matrix = conflicts(&land.engine_git(), &land.ground(), &branches).unwrap();
    let pairs: Vec<_> = matrix
        .pairs
        .iter()
        .map(|pair| (pair.one, pair.other))
        .collect();
    assert_eq!(pairs, [(0, 1), (0, 3), (1, 3)]);
    assert_eq!(matrix.pairs[0].paths, [RawPath::new(*b"a")]);
    assert_eq!(matrix.order, [2, 0, 1, 3]);
    assert_eq!(land.git(["count-objects"]), objects);
}

#[test]
fn patches_bring_the_branch_to_another_repository() {
    let land = Land::new();
    land.agent("a", text(&[(3, "x")]));
    land.manual("binary", [0, 159, 146, 150, 10]);
    let git = land.engine_git();
    let folder = land.home().join("patches\nhere");
    let files = export_patch(&git, &land.ground(), Patches::Folder(&folder)).unwrap();
    assert_eq!(files.len(), 2);
    assert!(files.iter().all(|file| file.is_file()), "{files:?}");
    let file = land.home().join("all.patch");
    export_patch(&git, &land.ground(), Patches::File(&file)).unwrap();
    export_patch(&git, &land.ground(), Patches::File(&file)).unwrap_err();
    land.git_in(&land.main, ["am", "-q", file.to_str().unwrap()]);
    assert_eq!(land.oid("main^{tree}"), land.oid("work^{tree}"));
}

#[test]
fn a_push_goes_forward_and_overwrites_only_what_was_expected() {
    let land = Land::new();
    let remote = land.home().join("remote.git");
    land.git_in(&land.home(), ["init", "-q", "--bare", "remote.git"]);
    let first = land.agent("a", text(&[(3, "x")]));
    let mut request = Push {
        remote: remote.to_str().unwrap().to_owned(),
        source: "refs/heads/work".to_owned(),
        destination: "refs/heads/work".to_owned(),
        expected: None,
        hooks: Hooks::Run,
    };
    let git = land.engine_git();
    push(&git, &land.ground(), &request).unwrap();
    land.git(["commit", "-q", "--amend", "-m", "other"]);
    let refused = refusal(push(&git, &land.ground(), &request));
    assert!(matches!(refused, Refusal::Rejected { .. }), "{refused:?}");
    request.expected = Some(land.oid("main"));
    refusal(push(&git, &land.ground(), &request));
    request.expected = amps_core::snapshot::Oid::parse(&first);
    push(&git, &land.ground(), &request).unwrap();
    let there = land.git_in(&remote, ["rev-parse", "work"]);
    assert_eq!(there, land.oid("work").as_str());
    request.remote = land.home().join("nowhere").to_str().unwrap().to_owned();
    let lost = push(&git, &land.ground(), &request).unwrap_err();
    assert!(lost.refusal().is_none(), "{lost:?}");
}
