//! Real git repositories in a sealed home.

use std::cell::Cell;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::command::Cmd;
use crate::fingerprint::Fingerprint;
use crate::home::Home;

/// A git repository. Its commits are a minute apart, so the same steps give the same commits.
#[derive(Debug)]
pub struct Repo {
    folder: PathBuf,
    git: Cmd,
    minutes: Cell<u32>,
}

impl Repo {
    pub(crate) fn init(home: &Home, folder: &Path) -> Self {
        let repo = Self::at(home, folder);
        repo.git(["init", "--quiet"]);
        repo
    }

    /// Takes a repository or a linked worktree that exists already.
    pub fn at(home: &Home, folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            git: home.command("git", ["-C"]).arg(folder),
            minutes: Cell::new(0),
        }
    }

    /// Returns its folder.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// Returns the path of a file of it.
    pub fn file(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.join(name)
    }

    /// Writes a file, and the folders above it.
    pub fn write(&self, name: impl AsRef<Path>, text: impl AsRef<[u8]>) {
        let path = self.file(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Returns the text of a file.
    #[track_caller]
    pub fn read(&self, name: impl AsRef<Path>) -> String {
        match fs::read(self.file(&name)) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) => panic!("{}: {error}", name.as_ref().display()),
        }
    }

    /// Sets the mode of a file.
    pub fn chmod(&self, name: impl AsRef<Path>, mode: u32) {
        fs::set_permissions(self.file(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Runs git in it, which must succeed, and returns what it wrote without the last newline.
    #[track_caller]
    pub fn git<I: IntoIterator<Item: AsRef<OsStr>>>(&self, args: I) -> String {
        let output = self.git.clone().args(args).run().ok();
        output.stdout_text().trim_end_matches('\n').to_owned()
    }

    /// Builds a git command in it, for one that may fail or needs more.
    pub fn git_command<I: IntoIterator<Item: AsRef<OsStr>>>(&self, args: I) -> Cmd {
        self.git.clone().args(args)
    }

    /// Commits everything there is and returns the commit.
    #[track_caller]
    pub fn commit(&self, message: &str) -> String {
        let minutes = self.minutes.get();
        self.minutes.set(minutes + 1);
        let date = format!("2001-02-03T{:02}:{:02}:00Z", 5 + minutes / 60, minutes % 60);
        self.git(["add", "--all"]);
        let commit = self.git_command(["commit", "--quiet", "--allow-empty", "-m", message]);
        let commit = commit
            .env("GIT_AUTHOR_DATE", &date)
            .env("GIT_COMMITTER_DATE", &date);
        drop(commit.run().ok());
        self.head()
    }

    /// Returns the commit of HEAD.
    #[track_caller]
    pub fn head(&self) -> String {
        self.git(["rev-parse", "HEAD"])
    }

    /// Takes down everything that belongs to the user, so that it can be compared later.
    #[track_caller]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.folder)
    }
}
