//! Worktrees on disks that are full or can only be read, in a mount namespace of the test's own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use amps_engine::worktree::{
    CreationRequest, RemovalOutcome, SessionLock, carry_out_creation, carry_out_restore,
    empty_trash, plan_creation, undo_creation,
};

use super::capture_repo::Repo;
use super::worktree_ground::{
    WAIT, create, everything_below, git_in, leftovers, lock, native, plan, planned_removal, remove,
    repository, request, try_remove, write,
};

/// Which of the stories below is told, in the process that has the mounts.
const STORY: &str = "AMPS_TEST_STORY";

/// Not a test by itself: what happens on the small disk, where temporary folders are.
#[test]
fn on_a_small_disk() {
    match std::env::var(STORY).as_deref() {
        Ok("create") => create_on_a_full_disk(),
        Ok("remove") => remove_on_a_full_disk(),
        Ok("elsewhere") => remove_on_another_file_system(),
        Ok("read-only") => remove_on_a_disk_that_can_only_be_read(),
        _ => {}
    }
}

/// Tells a story on a disk of its own.
fn tell(story: &str) {
    let disk = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o size=3m,nr_inodes=4k tmpfs \"$TMPDIR\" && exec \"$@\"";
    let output = Command::new("unshare")
        .args(["--mount", "--map-root-user", "sh", "-c", script, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "worktree_disk::on_a_small_disk"])
        .env("TMPDIR", disk.path())
        .env(STORY, story)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(said.contains("1 passed"), "{said}");
}

/// Fills the disk to the last byte.
fn fill(repo: &Repo) -> PathBuf {
    let path = repo.home().join("fill");
    let mut file = fs::File::create(&path).unwrap();
    while std::io::Write::write_all(&mut file, &[b'x'; 512]).is_ok() {}
    path
}

#[test]
fn a_creation_on_a_full_disk_is_undone_or_goes_on_when_there_is_space() {
    tell("create");
}

fn create_on_a_full_disk() {
    let repo = Repo::new();
    repo.write("large", vec![b'y'; 200_000]);
    repo.git(["add", "."]);
    repo.git(["commit", "-qm", "large"]);
    let git = repo.engine_git();
    let (first, second) = (plan(&repo, 1), plan(&repo, 2));
    let (one, two) = (lock(&first), lock(&second));
    let filled = fill(&repo);
    assert!(carry_out_creation(&git, &first, &one).is_err());
    assert!(carry_out_creation(&git, &second, &two).is_err());
    undo_creation(&git, &first, &one).unwrap();
    // There is space for the small things, and not for the files.
    fs::File::options()
        .write(true)
        .open(&filled)
        .unwrap()
        .set_len(2_000_000)
        .unwrap();
    let room = repo.home().join("room");
    fs::write(&room, vec![b'z'; 50_000]).unwrap();
    fill_up(&repo, &room);
    assert!(carry_out_creation(&git, &second, &two).is_err());
    fs::remove_file(filled).unwrap();
    fs::remove_file(repo.home().join("more")).unwrap();
    carry_out_creation(&git, &second, &two).unwrap();
    let folder = native(&second.worktree);
    assert_eq!(git_in(&repo, &folder, &["status", "--porcelain"]), "");
    assert_eq!(fs::read(folder.join("large")).unwrap().len(), 200_000);
    drop((one, two));
    assert_eq!(remove(&repo, &second), RemovalOutcome::Removed);
    assert_eq!(leftovers(&repo), Vec::<String>::new());
}

/// Fills the disk but for as much as the file takes, and removes that.
fn fill_up(repo: &Repo, room: &Path) {
    let mut file = fs::File::create(repo.home().join("more")).unwrap();
    while std::io::Write::write_all(&mut file, &[b'x'; 512]).is_ok() {}
    fs::remove_file(room).unwrap();
}

#[test]
fn a_removal_on_a_full_disk_changes_nothing_until_there_is_space() {
    tell("remove");
}

fn remove_on_a_full_disk() {
    let repo = Repo::new();
    let plan = create(&repo, 1);
    let folder = native(&plan.worktree);
    write(&folder, "untracked", vec![b'u'; 100_000]);
    let before = everything_below(&folder);
    let planned = planned_removal(&repo, &plan);
    drop(lock(&plan));
    let filled = fill(&repo);
    for _ in 0..2 {
        assert!(try_remove(&repo.engine_git(), &planned).is_err());
        assert_eq!(everything_below(&folder), before);
    }
    fs::remove_file(filled).unwrap();
    let outcome = try_remove(&repo.engine_git(), &planned).unwrap();
    assert!(matches!(outcome, RemovalOutcome::Trashed(_)));
    let common_dir = native(&plan.common_dir);
    carry_out_restore(&repo.engine_git(), &common_dir, &lock(&plan)).unwrap();
    assert_eq!(everything_below(&folder), before);
}

#[test]
fn a_worktree_on_another_file_system_has_its_trash_there() {
    tell("elsewhere");
}

fn remove_on_another_file_system() {
    let repo = Repo::new();
    let other = repo.home().join("other");
    fs::create_dir(&other).unwrap();
    let mut mount = Command::new("mount");
    let mount = mount.args(["-t", "tmpfs", "tmpfs"]).arg(&other);
    assert!(mount.status().unwrap().success());
    let asked = CreationRequest {
        worktree_dir: &other,
        ..request(1)
    };
    let git = repo.engine_git();
    let plan = plan_creation(&git, &repository(&repo), &asked).unwrap();
    carry_out_creation(&git, &plan, &lock(&plan)).unwrap();
    let folder = native(&plan.worktree);
    write(&folder, "untracked", "x\n");
    let before = everything_below(&folder);
    let RemovalOutcome::Trashed(entry) = remove(&repo, &plan) else {
        unreachable!("work went for good");
    };
    assert!(native(&entry.plan.trash).starts_with(&other));
    assert_eq!(everything_below(&native(&entry.plan.trash)), before);
    let common_dir = native(&plan.common_dir);
    carry_out_restore(&git, &common_dir, &lock(&plan)).unwrap();
    assert_eq!(everything_below(&folder), before);
    remove(&repo, &plan);
    assert_eq!(empty_trash(&git, &common_dir, |_| true).unwrap().len(), 1);
    assert_eq!(
        fs::read_dir(&other).unwrap().count(),
        0,
        "nothing is left there"
    );
}

#[test]
fn on_a_disk_that_can_only_be_read_everything_stays() {
    tell("read-only");
}

fn remove_on_a_disk_that_can_only_be_read() {
    let repo = Repo::new();
    let made = create(&repo, 1);
    write(&native(&made.worktree), "untracked", "x\n");
    let removal = planned_removal(&repo, &made);
    let creation = || plan_creation(&repo.engine_git(), &repository(&repo), &request(2));
    let locked = || SessionLock::take(&native(&made.common_dir), made.session, "a test", WAIT);
    let before = everything_below(repo.home());
    let remount = |how: &str| {
        let mut mount = Command::new("mount");
        let mount = mount.args(["-o", how, "tmpfs"]).arg(std::env::temp_dir());
        assert!(mount.status().unwrap().success());
    };
    remount("remount,ro");
    assert!(creation().is_err());
    assert!(locked().is_err());
    assert_eq!(everything_below(repo.home()), before);
    remount("remount,rw");
    assert!(creation().is_ok());
    let outcome = try_remove(&repo.engine_git(), &removal);
    assert!(matches!(outcome, Ok(RemovalOutcome::Trashed(_))));
}
