//! The repositories that are measured in. They are made once with plain git, kept beside the
//! build, and verified before each use.

use std::{
    fs,
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
    process::Stdio,
};

use crate::{Outcome, home::Home};

/// A generated repository.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fixture {
    /// Its folder's name.
    pub(crate) name: &'static str,
    /// How many files it has.
    pub(crate) files: usize,
    /// How many lines each file has.
    lines: usize,
}

/// A small repository.
pub(crate) const SMALL: Fixture = Fixture {
    name: "small",
    files: 40,
    lines: 40,
};
/// A repository with many changes ahead.
pub(crate) const MEDIUM: Fixture = Fixture {
    name: "medium",
    files: 5_000,
    lines: 200,
};
/// A large repository.
pub(crate) const LARGE: Fixture = Fixture {
    name: "large",
    files: 78_000,
    lines: 10,
};

/// Raised when the generated content changes, so that old repositories are made anew.
const VERSION: u32 = 1;

impl Fixture {
    /// Returns the repository, made anew unless the one that is there is intact and clean.
    pub(crate) fn prepare(&self, home: &Home, cache: &Path) -> Outcome<PathBuf> {
        let dir = cache.join(self.name);
        if let Err(reason) = self.verify(home, &dir) {
            eprintln!("amps-bench: making {} ({reason})", dir.display());
            if dir.exists() {
                fs::remove_dir_all(&dir)?;
            }
            fs::create_dir_all(&dir)?;
            self.make(home, &dir)?;
            self.verify(home, &dir)?;
        }
        Ok(dir)
    }

    fn make(&self, home: &Home, dir: &Path) -> Outcome<()> {
        home.output(&["git", "init", "-q", "."], dir)?;
        let mut import = home
            .command("git")
            .args(["fast-import", "--quiet"])
            .current_dir(dir)
            .stdin(Stdio::piped())
            .spawn()?;
        let pipe = import.stdin.take().ok_or("no pipe to fast-import")?;
        let mut stream = BufWriter::with_capacity(1 << 20, pipe);
        stream.write_all(
            b"commit refs/heads/main\ncommitter Bench <bench@example.org> 1700000000 +0000\n\
              data 5\nfiles\n",
        )?;
        for number in 0..self.files {
            let content = self.content(number, None);
            let length = content.len();
            write!(stream, "M 644 inline {}\ndata {length}\n", path_of(number))?;
            stream.write_all(content.as_bytes())?;
            stream.write_all(b"\n")?;
        }
        stream.flush()?;
        drop(stream);
        if !import.wait()?.success() {
            return Err("git fast-import failed".into());
        }
        home.output(&["git", "reset", "-q", "--hard", "main"], dir)?;
        let head = head(home, dir)?;
        fs::write(mark(dir), format!("{VERSION} {head}\n"))?;
        Ok(())
    }

    fn verify(&self, home: &Home, dir: &Path) -> Outcome<()> {
        let marked = fs::read_to_string(mark(dir)).map_err(|_| "there is none yet")?;
        if marked != format!("{VERSION} {}\n", head(home, dir)?) {
            return Err("it is at another commit or of another version".into());
        }
        reset(home, dir)?;
        forget(home, dir)?;
        let listed = home.output(&["git", "ls-files", "-z"], dir)?;
        let count = listed.split(|byte| *byte == 0).count() - 1; // each name ends in a zero
        if count != self.files {
            return Err(format!("it has {count} files").into());
        }
        home.output(&["git", "update-index", "-q", "--refresh"], dir)?;
        let status = home.output(&["git", "status", "--porcelain"], dir)?;
        if !status.is_empty() {
            return Err("it is not clean".into());
        }
        Ok(())
    }

    /// Makes a fresh copy that a measure may spoil.
    pub(crate) fn copy(&self, home: &Home, cache: &Path, name: &str) -> Outcome<PathBuf> {
        let from = self.prepare(home, cache)?.display().to_string();
        let to = home.text(name);
        home.output(
            &["git", "clone", "-q", "--no-hardlinks", &from, &to],
            home.path(),
        )?;
        Ok(PathBuf::from(to))
    }

    fn content(&self, number: usize, round: Option<usize>) -> String {
        content(number, self.lines, round)
    }
}

/// Puts the working tree back.
pub(crate) fn reset(home: &Home, dir: &Path) -> Outcome<()> {
    home.output(&["git", "reset", "-q", "--hard", "main"], dir)?;
    home.output(&["git", "clean", "-qfdx"], dir)?;
    Ok(())
}

/// Removes what the product kept in the repository.
fn forget(home: &Home, dir: &Path) -> Outcome<()> {
    let format = "--format=%(refname)";
    let refs = home.output(&["git", "for-each-ref", format, "refs/amps"], dir)?;
    let refs = String::from_utf8(refs)?;
    for name in refs.lines() {
        home.output(&["git", "update-ref", "-d", name], dir)?;
    }
    if !refs.is_empty() {
        home.output(&["git", "prune", "--expire=now"], dir)?;
    }
    Ok(())
}

/// Changes the first `changed` of a repository's `files`, spread over it, in a way that differs
/// from round to round.
pub(crate) fn edit(dir: &Path, files: usize, changed: usize, round: usize) -> Outcome<()> {
    let lines = [SMALL, MEDIUM, LARGE]
        .iter()
        .find(|fixture| fixture.files == files)
        .map_or(10, |fixture| fixture.lines);
    let step = (files / changed.max(1)).max(1);
    for number in (0..files).step_by(step).take(changed) {
        fs::write(
            dir.join(path_of(number)),
            content(number, lines, Some(round)),
        )?;
    }
    Ok(())
}

/// Makes a clean repository dirty in all ways: staged, changed, new and deleted.
pub(crate) fn make_dirty(home: &Home, dir: &Path) -> Outcome<()> {
    fs::write(dir.join(path_of(1)), "staged\n")?;
    home.output(&["git", "add", &path_of(1)], dir)?;
    fs::write(dir.join(path_of(2)), "changed\n")?;
    fs::write(dir.join("new.txt"), "new\n")?;
    fs::remove_file(dir.join(path_of(3)))?;
    Ok(())
}

/// Returns the path of a file by its number: a hundred to a folder, thirty folders to a folder.
pub(crate) fn path_of(number: usize) -> String {
    format!("d{}/s{}/f{number}.txt", number / 3000, number / 100 % 30)
}

fn content(number: usize, lines: usize, round: Option<usize>) -> String {
    let mut text = String::with_capacity(lines * 42);
    for line in 0..lines {
        let mix = (number * 7919 + line * 104_729) % 999_983;
        match round {
            Some(round) if line % 20 == 5 => {
                text.push_str("changed in round ");
                text.push_str(&round.to_string());
            }
            _ => text.push_str("let value = compute"),
        }
        text.push_str("(0x");
        text.push_str(&mix.to_string());
        text.push_str(", file, line);\n");
    }
    text
}

fn head(home: &Home, dir: &Path) -> Outcome<String> {
    let head = home.output(&["git", "rev-parse", "HEAD"], dir)?;
    Ok(String::from_utf8(head)?.trim().to_owned())
}

fn mark(dir: &Path) -> PathBuf {
    dir.join(".git").join("bench-fixture")
}
