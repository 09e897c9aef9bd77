//! A home of our own for everything a benchmark starts: no setting of the person who runs it is
//! read, nothing of theirs is written, and what still runs at the end is ended.

use std::{
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::Outcome;

/// Names this home in the environment of everything started in it.
const MARK: &str = "AMPS_BENCH_HOME";

/// A temporary home; dropping it ends all that was started in it and removes it.
#[derive(Debug)]
pub(crate) struct Home {
    dir: TempDir,
    search: OsString,
    program: PathBuf,
}

impl Home {
    /// Makes a home with a git identity and a quiet tmux.
    pub(crate) fn new() -> Outcome<Self> {
        let dir = tempfile::Builder::new().prefix("ab-").tempdir_in("/tmp")?;
        for name in ["run", "plain", "tmux", ".ampsm"] {
            fs::create_dir(dir.path().join(name))?;
        }
        restrict(&dir.path().join("run"))?;
        restrict(&dir.path().join(".ampsm"))?;
        fs::write(
            dir.path().join(".gitconfig"),
            "[user]\n\tname = Bench\n\temail = bench@example.org\n[init]\n\tdefaultBranch = main\n\
             [gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n[advice]\n\tdetachedHead = false\n",
        )?;
        fs::write(
            dir.path().join("tmux.conf"),
            "set -g status off\nset -s escape-time 0\n",
        )?;
        Ok(Self {
            dir,
            search: std::env::var_os("PATH").unwrap_or_default(),
            program: std::env::current_exe()?,
        })
    }

    /// Returns the folder.
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Returns a path inside as text; the folder's own name is plain ASCII.
    pub(crate) fn text(&self, name: &str) -> String {
        self.path().join(name).display().to_string()
    }

    /// Returns a command with this home's environment and no other.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", &self.search)
            .env("HOME", self.path())
            .env("AMPSM_CONFIG_DIR", self.path().join(".ampsm"))
            .env("XDG_RUNTIME_DIR", self.path().join("run"))
            .env("TMUX_TMPDIR", self.path().join("tmux"))
            .env(MARK, self.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_PAGER", "cat")
            .env("LANG", "C.UTF-8")
            .env("SHELL", "/bin/sh")
            .env("TERM", "xterm");
        command
    }

    /// Returns a command that starts `argv` through `stage`, which stamps the instant of its start.
    pub(crate) fn staged(&self, argv: &[String]) -> Command {
        let mut command = self.command(&self.program.display().to_string());
        command.args(["stage", "--stamp", "--"]).args(argv);
        command
    }

    /// Runs a program to its end and returns its output; fails when it fails.
    pub(crate) fn output(&self, argv: &[&str], dir: &Path) -> Outcome<Vec<u8>> {
        let (program, arguments) = argv.split_first().ok_or("no program")?;
        let output = self
            .command(program)
            .args(arguments)
            .current_dir(dir)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("{program}: {error}"))?;
        if output.status.success() {
            Ok(output.stdout)
        } else {
            let text = String::from_utf8_lossy(&output.stderr);
            Err(format!("{argv:?}: {}: {}", output.status, text.trim()).into())
        }
    }

    /// Tells whether a program is on the search path.
    pub(crate) fn finds(&self, program: &str) -> bool {
        std::env::split_paths(&self.search).any(|dir| dir.join(program).is_file())
    }

    /// Returns the processes that carry this home's mark: ours, whoever their parent is now.
    pub(crate) fn processes(&self) -> Vec<Pid> {
        let mark = format!("{MARK}={}", self.path().display());
        let own = std::process::id();
        let Ok(entries) = fs::read_dir("/proc") else {
            return Vec::new();
        };
        entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
            .filter(|pid| u32::try_from(*pid) != Ok(own))
            .filter(|pid| {
                fs::read(format!("/proc/{pid}/environ"))
                    .is_ok_and(|text| text.split(|byte| *byte == 0).any(|v| v == mark.as_bytes()))
            })
            .filter_map(Pid::from_raw)
            .collect()
    }

    /// Returns those of [`Home::processes`] that run a program, which is known by its file's name.
    pub(crate) fn running(&self, program: &OsStr) -> Vec<Pid> {
        let runs = |pid: &Pid| {
            let file = fs::read_link(format!("/proc/{}/exe", pid.as_raw_nonzero()));
            file.is_ok_and(|file| file.file_name() == Some(program))
        };
        self.processes().into_iter().filter(runs).collect()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        for _ in 0..20 {
            let left = self.processes();
            if left.is_empty() {
                return;
            }
            for pid in left {
                kill_process(pid, Signal::KILL).ok(); // it may have ended meanwhile
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

fn restrict(dir: &Path) -> Outcome<()> {
    use std::os::unix::fs::PermissionsExt as _;

    Ok(fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_in_a_home_is_known_by_its_program() {
        let home = Home::new().unwrap();
        let argv = ["hash-object", "--stdin"];
        let started = |home: &Home| {
            let mut command = home.command("git");
            command.args(argv).stdin(Stdio::piped());
            command.stdout(Stdio::null()).spawn().unwrap()
        };
        let elsewhere = Home::new().unwrap();
        let mut children = [started(&home), started(&elsewhere)];

        let found = home.running("git".as_ref());
        let none = home.running("dtach".as_ref());

        for child in &mut children {
            drop(child.stdin.take());
            child.wait().unwrap();
        }
        let ours = children[0].id().cast_signed();
        assert_eq!(found, [Pid::from_raw(ours).unwrap()]);
        assert_eq!(none, []);
    }
}
