//! A repository with worktrees of sessions, for the tests of worktrees.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use amps_core::capture::CaptureLimits;
use amps_core::ground::{CreationPlan, FurnishPolicy, RemovalPlan};
use amps_core::id::SessionId;
use amps_core::path::RawPath;
use amps_engine::git::{Call, Git};
use amps_engine::worktree::{
    CreationRequest, Furnished, Refusal, RemovalOutcome, Repository, SessionLock, WorktreeError,
    carry_out_creation, carry_out_removal, furnish, plan_creation, plan_removal,
};
use jiff::Timestamp;
use uuid::Uuid;

use super::capture_repo::{Repo, now};

pub(crate) const WAIT: Duration = Duration::from_secs(60);

pub(crate) fn session(number: u128) -> SessionId {
    SessionId::new(Uuid::from_u128((0x1_0000_0000 + number) << 96 | number))
}

pub(crate) fn native(path: &RawPath) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(path.as_bytes()))
}

pub(crate) fn noon() -> Timestamp {
    "2024-12-01T14:30:22Z".parse().unwrap()
}

/// What is asked for by most tests.
pub(crate) fn request(number: u128) -> CreationRequest<'static> {
    CreationRequest {
        session: session(number),
        name: "Add login",
        base: None,
        default_base: "main",
        worktree_dir: Path::new(".worktrees"),
        now: noon(),
    }
}

pub(crate) fn repository(repo: &Repo) -> Repository {
    Repository::find(&repo.engine_git(), &repo.root).unwrap()
}

pub(crate) fn plan(repo: &Repo, number: u128) -> CreationPlan {
    plan_creation(&repo.engine_git(), &repository(repo), &request(number)).unwrap()
}

pub(crate) fn lock(plan: &CreationPlan) -> SessionLock {
    SessionLock::take(&native(&plan.common_dir), plan.session, "a test", WAIT).unwrap()
}

pub(crate) fn create(repo: &Repo, number: u128) -> CreationPlan {
    let plan = plan(repo, number);
    carry_out_creation(&repo.engine_git(), &plan, &lock(&plan)).unwrap();
    plan
}

pub(crate) fn furnished(repo: &Repo, plan: &CreationPlan, policy: &FurnishPolicy) -> Furnished {
    furnish(&repo.engine_git(), plan, policy, &lock(plan)).unwrap()
}

pub(crate) fn planned_removal(repo: &Repo, plan: &CreationPlan) -> RemovalPlan {
    plan_removal(&repo.engine_git(), plan, noon()).unwrap()
}

pub(crate) fn try_remove(git: &Git, plan: &RemovalPlan) -> Result<RemovalOutcome, WorktreeError> {
    let lock = lock(&plan.ground);
    carry_out_removal(git, plan, &lock, now(), &CaptureLimits::default())
}

pub(crate) fn remove(repo: &Repo, plan: &CreationPlan) -> RemovalOutcome {
    try_remove(&repo.engine_git(), &planned_removal(repo, plan)).unwrap()
}

/// What was refused; any other error is a failure of the test.
pub(crate) fn refusal<T: std::fmt::Debug>(outcome: Result<T, WorktreeError>) -> Refusal {
    match outcome {
        Err(WorktreeError::Refused(refusal)) => refusal,
        other => unreachable!("{other:?}"),
    }
}

/// The repository as seen from a worktree, to act in it as the agent does.
pub(crate) fn git_in(repo: &Repo, folder: &Path, arguments: &[&str]) -> String {
    let output = repo
        .command(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout)
        .trim_end()
        .to_owned()
}

/// Writes a file in a worktree, and the folders above it.
pub(crate) fn write(folder: &Path, name: &str, content: impl AsRef<[u8]>) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// Commits everything in a worktree.
pub(crate) fn commit(repo: &Repo, folder: &Path, message: &str) -> String {
    git_in(repo, folder, &["add", "--all"]);
    git_in(repo, folder, &["commit", "-q", "-m", message]);
    git_in(repo, folder, &["rev-parse", "HEAD"])
}

/// Everything below a folder with kind, mode, size and content.
pub(crate) fn everything_below(folder: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut unread = vec![folder.to_owned()];
    while let Some(next) = unread.pop() {
        for entry in fs::read_dir(&next).into_iter().flatten() {
            let path = entry.unwrap().path();
            let data = fs::symlink_metadata(&path).unwrap();
            let content = if data.is_dir() {
                unread.push(path.clone());
                Vec::new()
            } else if data.is_symlink() {
                let target = fs::read_link(&path).unwrap();
                target.into_os_string().as_bytes().to_vec()
            } else {
                fs::read(&path).unwrap_or_default()
            };
            let mode = data.permissions().mode();
            let times = if data.is_dir() { 0 } else { data.mtime() };
            let state = format!("{mode:o} {times} {:?}", RawPath::new(content));
            found.insert(path.strip_prefix(folder).unwrap().to_owned(), state);
        }
    }
    found
}

/// Everything of the person's: the checkout without the folder of worktrees, and the git directory
/// without objects and what is ours.
pub(crate) fn persons(repo: &Repo) -> BTreeMap<PathBuf, String> {
    let mut all = repo.everything();
    let ours = [
        ".worktrees",
        ".git/amps",
        ".git/worktrees",
        ".git/refs/amps",
    ];
    let ours = ours.map(|name| repo.root.join(name));
    let branches = repo.root.join(".git/refs/heads/amp");
    let logs = repo.root.join(".git/logs/refs/heads/amp");
    all.retain(|path, _| {
        !ours
            .iter()
            .chain([&branches, &logs])
            .any(|own| path.starts_with(own))
    });
    if let Some(refs) = all.get_mut(Path::new("refs")) {
        let theirs = refs
            .lines()
            .filter(|line| !line.starts_with("refs/heads/amp/"));
        *refs = theirs.collect::<Vec<_>>().join("\n");
    }
    all
}

/// The branches of ours and the worktrees that git knows, with what is wrong in the repository.
pub(crate) fn leftovers(repo: &Repo) -> Vec<String> {
    let mut found = Vec::new();
    let branches = repo.git(["for-each-ref", "--format=%(refname)", "refs/heads/amp/"]);
    found.extend(branches.lines().map(str::to_owned));
    for folder in [".worktrees", ".git/worktrees", ".git/amps/names"] {
        let entries = fs::read_dir(repo.root.join(folder)).into_iter().flatten();
        found.extend(entries.map(|entry| {
            let name = entry.unwrap().file_name();
            format!("{folder}/{}", name.to_string_lossy())
        }));
    }
    let aside = fs::read_dir(repo.root.join(".git/amps"))
        .into_iter()
        .flatten();
    found.extend(
        aside
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .filter(|name| name.starts_with("new-")),
    );
    found
}

/// Returns whether the object can be reached from a reference.
pub(crate) fn is_reachable(repo: &Repo, object: &str) -> bool {
    let all = repo.git(["rev-list", "--objects", "--glob=refs/*"]);
    all.lines().any(|line| line.starts_with(object))
}

/// Asks git of the engine's something, to see that it works there.
pub(crate) fn engine_status(git: &Git, folder: &Path) -> Vec<u8> {
    git.run(&Call::alone_within(folder).args(["status", "--porcelain"]))
        .unwrap()
}
