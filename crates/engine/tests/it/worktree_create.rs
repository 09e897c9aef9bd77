//! Worktrees are made beside the person's work, many at once, in repositories of any kind.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::thread;

use amps_engine::worktree::{
    CreationRequest, Refusal, Repository, WorktreeError, carry_out_creation, plan_creation,
    undo_creation,
};

use super::capture_repo::Repo;
use super::worktree_ground::{
    commit, create, engine_status, git_in, leftovers, lock, native, noon, persons, plan, refusal,
    repository, request, session, write,
};

fn planned(
    repo: &Repo,
    change: impl FnOnce(&mut CreationRequest<'static>),
) -> Result<amps_core::ground::CreationPlan, WorktreeError> {
    let mut request = request(1);
    change(&mut request);
    plan_creation(&repo.engine_git(), &repository(repo), &request)
}

#[test]
fn a_worktree_is_made_on_a_branch_of_its_own() {
    let repo = Repo::new();
    let plan = create(&repo, 1);
    let folder = native(&plan.worktree);
    assert_eq!(
        folder,
        repo.root.join(".worktrees").join(session(1).short())
    );
    assert_eq!(plan.branch, "refs/heads/amp/add-login/20241201-143022");
    assert_eq!(plan.base_ref.as_deref(), Some("refs/heads/main"));
    let inside = |arguments: &[&str]| git_in(&repo, &folder, arguments);
    assert_eq!(inside(&["symbolic-ref", "HEAD"]), plan.branch);
    assert_eq!(inside(&["rev-parse", "HEAD"]), plan.base.as_str());
    assert_eq!(inside(&["status", "--porcelain"]), "");
    assert_eq!(
        fs::read_to_string(folder.join("dir/c")).unwrap(),
        "seven\neight\nnine\n"
    );
    assert_eq!(repo.git(["status", "--porcelain"]), "", "it is excluded");
    let listed = repo.git(["worktree", "list", "--porcelain"]);
    assert!(
        listed.contains("/.worktrees/") && !listed.contains("locked"),
        "{listed}"
    );
    assert_eq!(repo.git(["worktree", "prune", "--verbose"]), "");
    repo.git(["fsck", "--strict"]);
}

#[test]
fn the_persons_checkout_index_branch_and_settings_stay_as_they_were() {
    let repo = Repo::new();
    repo.append("a", "staged\n");
    repo.git(["add", "a"]);
    repo.append("a", "not staged\n");
    repo.write("untracked", "x\n");
    repo.git(["stash", "push", "-q", "--keep-index"]);
    let before = persons(&repo);
    let exclude = fs::read(repo.root.join(".git/info/exclude")).unwrap();
    create(&repo, 1);
    create(&repo, 2);
    let mut after = persons(&repo);
    let name = repo.root.join(".git/info/exclude");
    let mut before = before;
    before.remove(&name);
    after.remove(&name);
    assert_eq!(before, after);
    let excluded = fs::read(name).unwrap();
    let added = excluded.strip_prefix(&exclude[..]).unwrap();
    assert_eq!(
        String::from_utf8_lossy(added),
        "/.worktrees/\n/AGENT_CONTEXT\n"
    );
}

#[test]
fn excludes_of_the_person_are_kept_with_a_last_line_that_has_no_end() {
    let repo = Repo::new();
    fs::write(repo.root.join(".git/info/exclude"), "mine\n*.o").unwrap();
    create(&repo, 1);
    let text = fs::read_to_string(repo.root.join(".git/info/exclude")).unwrap();
    assert_eq!(text, "mine\n*.o\n/.worktrees/\n/AGENT_CONTEXT\n");
}

#[test]
fn twenty_of_one_name_in_one_second_are_made_at_once() {
    let repo = Repo::new();
    for number in 0..200 {
        repo.write(format!("many/{number}"), format!("{number}\n"));
    }
    repo.git(["add", "."]);
    repo.git(["commit", "-qm", "many"]);
    let (git, repository) = (repo.engine_git(), repository(&repo));
    let barrier = Barrier::new(20);
    let plans: Vec<_> = thread::scope(|scope| {
        let makers: Vec<_> = (1..=20)
            .map(|number| {
                let (git, repository, barrier) = (&git, &repository, &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    let plan = plan_creation(git, repository, &request(number)).unwrap();
                    carry_out_creation(git, &plan, &lock(&plan)).unwrap();
                    plan
                })
            })
            .collect();
        makers
            .into_iter()
            .map(|maker| maker.join().unwrap())
            .collect()
    });
    let mut branches: Vec<_> = plans.iter().map(|plan| &plan.branch).collect();
    branches.sort();
    branches.dedup();
    assert_eq!(branches.len(), 20);
    for plan in &plans {
        let folder = native(&plan.worktree);
        assert_eq!(
            git_in(&repo, &folder, &["symbolic-ref", "HEAD"]),
            plan.branch
        );
        assert_eq!(engine_status(&git, &folder), b"");
    }
    assert_eq!(repo.git(["worktree", "list"]).lines().count(), 21);
    let excluded = fs::read_to_string(repo.root.join(".git/info/exclude")).unwrap();
    assert_eq!(excluded.matches("/.worktrees/").count(), 1);
}

#[test]
fn a_fetch_of_the_person_never_meets_a_worktree_that_is_half_made() {
    let repo = Repo::new();
    let origin = repo.home().join("origin.git");
    repo.git(["clone", "-q", "--bare", ".", origin.to_str().unwrap()]);
    repo.git(["remote", "add", "origin", origin.to_str().unwrap()]);
    thread::scope(|scope| {
        let maker = scope.spawn(|| {
            for number in 1..=10 {
                create(&repo, number);
            }
        });
        while !maker.is_finished() {
            repo.git(["fetch", "-q", "origin"]);
            repo.git(["worktree", "list"]);
        }
    });
}

#[test]
fn the_base_is_what_was_named_then_the_branch_of_the_person_then_the_default() {
    let repo = Repo::new();
    let first = repo.git(["rev-parse", "HEAD"]);
    repo.git(["tag", "-a", "-m", "v", "v1"]);
    repo.git(["checkout", "-qb", "other"]);
    repo.write("other", "x\n");
    repo.git(["add", "."]);
    repo.git(["commit", "-qm", "other"]);
    let second = repo.git(["rev-parse", "HEAD"]);
    let base = |named: Option<&'static str>| {
        let plan = planned(&repo, |request| request.base = named).unwrap();
        (plan.base_ref, plan.base.as_str().to_owned())
    };
    let name = |name: &str| Some(format!("refs/{name}"));
    assert_eq!(base(None), (name("heads/other"), second.clone()));
    assert_eq!(base(Some("main")), (name("heads/main"), first.clone()));
    assert_eq!(base(Some("v1")), (name("tags/v1"), first.clone()));
    assert_eq!(base(Some("HEAD~1")), (None, first.clone()));
    repo.git(["checkout", "-q", "--detach", "other"]);
    assert_eq!(base(None), (name("heads/main"), first));
    repo.git(["branch", "-qm", "main", "trunk"]);
    assert_eq!(base(None), (None, second));
    for hostile in ["--output=x", "nothing", "", "main\nother", "@{upstream}"] {
        let error = planned(&repo, |request| request.base = Some(hostile));
        assert!(
            matches!(refusal(error), Refusal::NoCommit { .. }),
            "{hostile:?}"
        );
    }
}

#[test]
fn in_the_middle_of_a_rebase_the_branch_being_rebased_is_the_base() {
    let repo = Repo::new();
    repo.git(["checkout", "-qb", "feature"]);
    repo.append("a", "feature\n");
    repo.git(["commit", "-qam", "feature"]);
    let feature = repo.git(["rev-parse", "HEAD"]);
    repo.git(["checkout", "-q", "main"]);
    repo.append("a", "main\n");
    repo.git(["commit", "-qam", "main"]);
    repo.git(["checkout", "-q", "feature"]);
    assert!(!repo.try_git(["rebase", "main"]).status.success());
    let before = persons(&repo);
    let plan = create(&repo, 1);
    assert_eq!(plan.base_ref.as_deref(), Some("refs/heads/feature"));
    assert_eq!(plan.base.as_str(), feature);
    let mut after = persons(&repo);
    let exclude = repo.root.join(".git/info/exclude");
    after.insert(exclude.clone(), before[&exclude].clone());
    assert_eq!(before, after, "the rebase goes on as if nothing had been");
    repo.git(["rebase", "--abort"]);
}

#[test]
fn a_branch_in_the_way_makes_for_another_name() {
    let repo = Repo::new();
    repo.git(["branch", "amp"]);
    assert_eq!(
        plan(&repo, 1).branch,
        "refs/heads/amps/add-login/20241201-143022"
    );
    repo.git(["branch", "-qm", "amp", "AMP/add-login"]);
    let made = create(&repo, 2);
    assert_eq!(made.branch, "refs/heads/amp/add-login-2/20241201-143022");
    assert_eq!(
        plan(&repo, 3).branch,
        "refs/heads/amp/add-login-2/20241201-143022-2"
    );
}

#[test]
fn a_name_taken_by_the_person_after_it_was_planned_is_left_to_the_person() {
    let repo = Repo::new();
    let plan = plan(&repo, 1);
    repo.git(["commit", "-q", "--allow-empty", "-m", "newer"]);
    let newer = repo.git(["rev-parse", "HEAD"]);
    repo.git(["update-ref", &plan.branch, "HEAD"]);
    let git = repo.engine_git();
    let error = carry_out_creation(&git, &plan, &lock(&plan));
    assert!(matches!(refusal(error), Refusal::BranchTaken { .. }));
    undo_creation(&git, &plan, &lock(&plan)).unwrap();
    assert_eq!(leftovers(&repo), std::slice::from_ref(&plan.branch));
    assert_eq!(repo.git(["rev-parse", &plan.branch]), newer);
}

#[test]
fn files_of_the_person_where_the_worktree_was_to_be_stay() {
    let repo = Repo::new();
    let plan = plan(&repo, 1);
    let folder = native(&plan.worktree);
    write(&folder, "notes", "mine");
    let git = repo.engine_git();
    for _ in 0..2 {
        let error = carry_out_creation(&git, &plan, &lock(&plan));
        assert!(matches!(refusal(error), Refusal::InTheWay { .. }));
    }
    let error = undo_creation(&git, &plan, &lock(&plan));
    assert!(matches!(refusal(error), Refusal::InTheWay { .. }));
    assert_eq!(fs::read_to_string(folder.join("notes")).unwrap(), "mine");
    fs::remove_dir_all(&folder).unwrap();
    undo_creation(&git, &plan, &lock(&plan)).unwrap();
    assert_eq!(leftovers(&repo), Vec::<String>::new());
}

#[test]
fn a_link_instead_of_the_folder_of_worktrees_is_not_followed() {
    let repo = Repo::new();
    fs::create_dir(repo.home().join("elsewhere")).unwrap();
    repo.link("../elsewhere", ".worktrees");
    let error = planned(&repo, |_| {});
    assert!(matches!(refusal(error), Refusal::InTheWay { .. }));
}

#[test]
fn a_repository_without_a_commit_and_a_folder_without_a_repository_are_refused() {
    let repo = Repo::unborn(&[]);
    let error = planned(&repo, |_| {});
    assert_eq!(refusal(error).to_string(), "HEAD names no commit");
    let nowhere = Repo::folder();
    let error = Repository::find(&nowhere.engine_git(), &nowhere.root);
    assert!(matches!(refusal(error), Refusal::NoRepository { .. }));
}

#[test]
fn a_finished_worktree_is_made_only_once_and_never_undone() {
    let repo = Repo::new();
    let plan = create(&repo, 1);
    let folder = native(&plan.worktree);
    write(&folder, "a", "work of the agent");
    write(&folder, "new", "more of it");
    let git = repo.engine_git();
    carry_out_creation(&git, &plan, &lock(&plan)).unwrap();
    assert_eq!(
        fs::read_to_string(folder.join("a")).unwrap(),
        "work of the agent"
    );
    let error = undo_creation(&git, &plan, &lock(&plan));
    assert_eq!(refusal(error), Refusal::Complete);
    assert!(folder.join("new").exists());
}

/// The kinds of repositories that a worktree is made in, each as it is found by a person.
fn kinds() -> Vec<(&'static str, Repo)> {
    let odd = Repo::new();
    let root = odd.home().join("a b\nc \u{e9}'\"");
    fs::rename(&odd.root, &root).unwrap();
    let mut kinds = vec![
        ("plain", Repo::new()),
        ("sha256", Repo::with(&["--object-format=sha256"])),
        ("reftable", Repo::with(&["--ref-format=reftable"])),
        ("odd names", odd.elsewhere(root)),
    ];
    let linked = Repo::new();
    let other = linked.home().join("linked");
    linked.git([
        "worktree",
        "add",
        "-q",
        "-b",
        "side",
        other.to_str().unwrap(),
    ]);
    kinds.push(("linked", linked.elsewhere(other)));
    let bare = Repo::new();
    let root = bare.home().join("bare.git");
    bare.git(["clone", "-q", "--bare", ".", root.to_str().unwrap()]);
    kinds.push(("bare", bare.elsewhere(root)));
    kinds
}

#[test]
fn repositories_of_every_kind_have_worktrees_that_work() {
    for (kind, repo) in kinds() {
        let plan = create(&repo, 1);
        let folder = native(&plan.worktree);
        write(&folder, "made", "x\n");
        let made = commit(&repo, &folder, "made");
        assert_eq!(repo.git(["rev-parse", &plan.branch]), made, "{kind}");
        assert_eq!(
            git_in(&repo, &folder, &["status", "--porcelain"]),
            "",
            "{kind}"
        );
        let listed = repo.git(["worktree", "list", "--porcelain", "-z"]);
        assert!(listed.contains(&plan.branch), "{kind}: {listed}");
        let from_within = Repository::find(&repo.engine_git(), &folder).unwrap();
        assert_eq!(from_within.top, repository(&repo).top, "{kind}");
    }
}

#[test]
fn worktrees_of_a_bare_repository_lie_beside_its_references() {
    let (_, repo) = kinds().pop().unwrap();
    let plan = create(&repo, 1);
    assert_eq!(
        native(&plan.worktree),
        repo.root
            .canonicalize()
            .unwrap()
            .join(".worktrees")
            .join(&plan.admin)
    );
}

#[test]
fn a_sparse_checkout_stays_sparse() {
    let repo = Repo::new();
    repo.git(["sparse-checkout", "set", "--cone", "other"]);
    assert!(!repo.full("dir").exists());
    let plan = create(&repo, 1);
    let folder = native(&plan.worktree);
    assert!(folder.join("a").exists() && !folder.join("dir").exists());
    assert_eq!(git_in(&repo, &folder, &["status", "--porcelain"]), "");
    assert_eq!(
        git_in(&repo, &folder, &["rev-parse", "--show-toplevel"]),
        folder.to_str().unwrap()
    );
}

#[test]
fn a_folder_that_cannot_be_written_leaves_nothing_when_it_is_undone() {
    // The superuser may write everywhere, but not into what is no folder.
    let repo = Repo::new();
    let git = repo.engine_git();
    let plan = plan_creation(
        &git,
        &repository(&repo),
        &CreationRequest {
            worktree_dir: Path::new("trees"),
            now: noon(),
            ..request(1)
        },
    )
    .unwrap();
    repo.write("trees", "a file\n");
    assert!(carry_out_creation(&git, &plan, &lock(&plan)).is_err());
    repo.remove("trees");
    undo_creation(&git, &plan, &lock(&plan)).unwrap();
    assert_eq!(leftovers(&repo), Vec::<String>::new());
}

#[test]
fn a_worktree_may_lie_outside_of_the_repository() {
    let repo = Repo::new();
    let elsewhere: PathBuf = repo.home().join("elsewhere");
    let plan = plan_creation(
        &repo.engine_git(),
        &repository(&repo),
        &CreationRequest {
            worktree_dir: &elsewhere,
            ..request(1)
        },
    )
    .unwrap();
    assert_eq!(plan.excludes, ["/AGENT_CONTEXT"]);
    carry_out_creation(&repo.engine_git(), &plan, &lock(&plan)).unwrap();
    assert!(elsewhere.join(&plan.admin).join("dir/c").exists());
}
