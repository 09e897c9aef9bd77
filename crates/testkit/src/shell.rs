//! An interactive shell on a terminal, for job control.

use std::path::Path;

use crate::home::Home;
use crate::terminal::{Terminal, TerminalOptions, ctrl};

const PROMPT: &str = "$ ";

/// Interactive bash with the prompt `$ ` and without any start-up files or line editing.
#[derive(Debug)]
pub struct Shell {
    terminal: Terminal,
    /// Where the output of the last line begins.
    mark: usize,
}

impl Shell {
    #[track_caller]
    pub(crate) fn start(home: &Home, folder: &Path) -> Self {
        let words = ["--norc", "--noprofile", "--noediting", "-i"];
        let bash = home.command("bash", words).cwd(folder);
        let bash = bash.env("PS1", PROMPT).env("HISTFILE", "");
        // Wide, so that no line that is typed wraps.
        let options = TerminalOptions {
            rows: 50,
            cols: 200,
            answers: false,
        };
        let mut shell = Self {
            terminal: bash.terminal_with(options),
            mark: 0,
        };
        shell.wait_prompt();
        shell
    }

    /// Returns the terminal.
    pub fn terminal(&mut self) -> &mut Terminal {
        &mut self.terminal
    }

    /// Types a line and waits for the next prompt; returns what came between.
    #[track_caller]
    pub fn line(&mut self, line: &str) -> String {
        self.start_line(line);
        self.wait_prompt()
    }

    /// Types a line and waits only until the shell has taken it.
    #[track_caller]
    pub fn start_line(&mut self, line: &str) {
        let mark = self.terminal.mark();
        self.terminal.send(format!("{line}\n"));
        let echo = format!("{line}\r\n");
        let wanted = crate::PATIENCE;
        self.mark = self.terminal.wait_for_bytes_after(mark, echo, wanted);
    }

    /// Waits for the prompt; returns what came before it since the last line was typed.
    #[track_caller]
    pub fn wait_prompt(&mut self) -> String {
        let pid = self.terminal.pid();
        let output = self.terminal.wait_after(self.mark, "the prompt", |bytes| {
            let before = bytes.strip_suffix(PROMPT.as_bytes())?;
            let at_start = before.is_empty() || before.ends_with(b"\n");
            // A job in front may write the same characters.
            let stat = crate::process::stat(pid)?;
            (at_start && stat.front == pid).then(|| before.to_vec())
        });
        self.mark = self.terminal.mark();
        String::from_utf8_lossy(&output).replace("\r\n", "\n")
    }

    /// Waits until a job has the terminal and returns its process group.
    #[track_caller]
    pub fn wait_job(&mut self) -> i32 {
        let shell = self.terminal.pid();
        crate::wait::until("a job in front", crate::PATIENCE, || {
            Some(self.terminal.front()).filter(|front| *front != shell)
        })
    }

    /// Types Ctrl-Z and waits for the prompt.
    #[track_caller]
    pub fn suspend(&mut self) -> String {
        self.terminal.send(ctrl('z'));
        self.wait_prompt()
    }

    /// Types Ctrl-C and waits for the prompt.
    #[track_caller]
    pub fn interrupt(&mut self) -> String {
        self.terminal.send(ctrl('c'));
        self.wait_prompt()
    }

    /// Returns the status of the last line, `$?`.
    #[track_caller]
    pub fn status(&mut self) -> i32 {
        let text = self.line("echo $?");
        match text.trim().parse() {
            Ok(status) => status,
            Err(error) => panic!("{text:?} is no status: {error}"),
        }
    }

    /// Returns what `jobs` says.
    #[track_caller]
    pub fn jobs(&mut self) -> String {
        self.line("jobs")
    }
}
