//! One agent in a sealed home, beside a model that follows a script.

#![expect(
    clippy::disallowed_methods,
    reason = "the folders of the harness and of the agents are named by the environment"
)]

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use amps_testkit::{Cmd, Home, PATIENCE, Repo, Running, Terminal, TerminalOptions, wait};
use serde_json::{Value, json};

use crate::agent::Agent;
use crate::record::AMPS;

/// How long an agent may take for what takes it a few seconds alone on a machine.
pub(crate) const AGENT_PATIENCE: Duration = Duration::from_secs(60);

/// A terminal as people have it.
pub(crate) const SCREEN: TerminalOptions = TerminalOptions {
    rows: 40,
    cols: 120,
    answers: true,
};

/// Makes the agent write a file, read another and edit it.
pub(crate) const EDIT: &str = "PLAY:edit, please";
/// What the agent says when it is done with that.
pub(crate) const EDITED: &str = "Both files are as wanted.";
/// What the edits come to.
pub(crate) const EDITS: [&str; 2] = ["M README.md", "A greeting.txt"];

/// Makes the agent write another file, `more.txt`.
pub(crate) const MORE: &str = "PLAY:more, please";
/// What the agent says when it is done with that.
pub(crate) const WRITTEN: &str = "There is one more file.";

/// Makes the agent run a tool that writes `begun.txt`, waits for `go.txt` and writes `late.txt`.
pub(crate) const TOOL: &str = "PLAY:tool, please";

/// Whether the program stands between the terminal and the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Under {
    Amps,
    Nothing,
}

/// What one test works with.
pub(crate) struct Lab {
    pub(crate) agent: Agent,
    pub(crate) repo: Repo,
    // Before the home, which wants to be left by all processes.
    _model: Running,
    pub(crate) home: Home,
}

impl Lab {
    /// Prepares an agent, and a repository in which somebody has already changed a file.
    #[track_caller]
    pub(crate) fn new(agent: Agent) -> Self {
        let mut home = Home::with_amps(AMPS);
        let repo = home.repo("work");
        repo.write("mine.txt", "not of the agent\n");
        let (model, variables) = prepare(&home, agent.name(), &repo);
        for (name, value) in variables {
            home.set_env(name, value);
        }
        Self {
            agent,
            repo,
            _model: model,
            home,
        }
    }

    /// Builds a command of the agent.
    pub(crate) fn command(&self, under: Under, args: &[&str]) -> Cmd {
        let name = self.agent.name();
        let command = match under {
            Under::Amps => self.home.amps([name]).args(args),
            Under::Nothing => self.home.command(name, args),
        };
        command.cwd(self.repo.path()).deadline(AGENT_PATIENCE)
    }

    /// Opens the agent in its full-screen form and waits until it can be talked to.
    #[track_caller]
    pub(crate) fn open(&self, under: Under) -> Terminal {
        let command = self.command(under, self.agent.screen_args());
        let terminal = command.terminal_with(SCREEN);
        self.wait_ready(&terminal);
        terminal
    }

    /// Waits until the agent can be talked to.
    #[track_caller]
    pub(crate) fn wait_ready(&self, terminal: &Terminal) {
        wait_for_text(terminal, self.agent.ready());
    }

    /// Makes the agent do the edits in its full-screen form and come to rest.
    #[track_caller]
    pub(crate) fn edit(&self, terminal: &mut Terminal) {
        ask(terminal, EDIT);
        wait_for_text(terminal, EDITED);
        wait_for_text(terminal, self.agent.done());
        assert_eq!(self.repo.read("greeting.txt"), "hello\n");
        assert_eq!(self.repo.read("README.md"), "two\n");
    }

    /// Makes the agent run the tool in its full-screen form, and waits until the tool runs.
    #[track_caller]
    pub(crate) fn start_tool(&self, terminal: &mut Terminal) {
        ask(terminal, TOOL);
        wait::for_file(&self.repo.file("begun.txt"), AGENT_PATIENCE);
    }
}

/// Pastes a prompt and sends it off. Typed that fast, its end would be taken for a new line.
#[track_caller]
pub(crate) fn ask(terminal: &mut Terminal, prompt: &str) {
    terminal.send(format!("\x1b[200~{prompt}\x1b[201~"));
    wait_for_text(terminal, prompt);
    terminal.send("\r");
}

#[track_caller]
pub(crate) fn wait_for_text(terminal: &Terminal, text: &str) {
    let what = format!("{text:?} on the screen");
    terminal.wait_for_screen(&what, AGENT_PATIENCE, |screen| {
        screen.contents().contains(text)
    });
}

/// What the model has the agents do.
fn plays(tool: &str) -> Value {
    json!({
        "usage": {"input": 1000, "output": 50},
        "otherwise": "ok",
        "plays": [
            {"match": EDIT, "steps": [
                {"do": [{"write": "greeting.txt", "content": "hello\n"}]},
                {"do": [{"read": "README.md"}]},
                {"do": [{"edit": "README.md", "old": "one", "new": "two"}]},
                {"say": EDITED},
            ]},
            {"match": MORE, "steps": [
                {"do": [{"write": "more.txt", "content": "more\n"}]},
                {"say": WRITTEN},
            ]},
            {"match": TOOL, "steps": [
                // Two commands, so that a shell waits for the tool: some agents tell the shell to
                // end with them, and only that.
                {"do": [{"shell": format!("{tool} && echo ended")}]},
                {"say": "The tool has ended."},
            ]},
        ],
    })
}

/// Starts a model, fills the home for an agent that asks it, and returns the variables that the agent
/// is to run with.
#[track_caller]
pub(crate) fn prepare(home: &Home, agent: &str, repo: &Repo) -> (Running, Vec<(String, String)>) {
    let tool = [
        "write begun.txt one",
        "wait-for go.txt",
        "write late.txt two",
    ];
    let tool = home.install_agent("patient-tool", &tool);
    let (model, url) = start_model(home, &plays(&tool.display().to_string()));
    let variables = environment(home, agent, repo, &url);
    (model, variables)
}

/// Returns what the model of this home was asked and what it said was used.
#[track_caller]
pub(crate) fn requests(home: &Home) -> Vec<Value> {
    let log = fs::read_to_string(home.path(REQUESTS)).unwrap();
    let lines = log.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The file in which the model notes what it is asked.
const REQUESTS: &str = "requests.jsonl";

/// Starts a model on a free port of the loopback interface and returns its address.
#[track_caller]
fn start_model(home: &Home, plays: &Value) -> (Running, String) {
    let (script, port) = (home.path("plays.json"), home.path("port"));
    fs::write(&script, plays.to_string()).unwrap();
    let command = home.command(harness().join("mock-llm"), ["--port", "0"]);
    let command = command.arg("--scenario").arg(&script);
    let command = command.arg("--log").arg(home.path(REQUESTS));
    let model = command.arg("--port-file").arg(&port).start();
    let port = wait::for_file(&port, PATIENCE);
    (model, format!("http://127.0.0.1:{}", port.trim()))
}

/// Has the harness fill the home for an agent, and returns the variables it is to run with.
#[track_caller]
fn environment(home: &Home, agent: &str, repo: &Repo, url: &str) -> Vec<(String, String)> {
    let command = home.command(harness().join("run-agent.sh"), [agent, "env"]);
    let command = command.arg(repo.path()).env("LAB", lab());
    let command = command.env("AGENT_HOME", home.home_dir());
    let printed = command.env("MOCK_URL", url).run().ok().stdout_text();
    let variables = printed.lines().filter_map(|line| line.split_once('='));
    variables
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Returns the folder of `run-agent.sh` and `mock-llm`.
#[track_caller]
fn harness() -> PathBuf {
    let folder = std::env::var_os("AMPS_AGENTS").map(PathBuf::from);
    folder.expect("AMPS_AGENTS should name the harness; scripts/test-agents sets it")
}

/// Returns the folder into which the agents are installed.
fn lab() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    let named = std::env::var_os("LAB").map(PathBuf::from);
    named.unwrap_or_else(|| home().join(".cache/agents-lab"))
}
