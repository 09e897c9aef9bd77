//! Agents run a turn without a person, and another one of the same conversation.

use std::ffi::{OsStr, OsString};
use std::io::{self, PipeReader, Write as _};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use amps_core::process::ProcessIdentity;
use amps_core::tool_call::ToolOutcome;
use amps_core::turn::{AgentEvent, TurnRecord};
use amps_core::usage::Usage;
use amps_engine::agent::{self, Hearing, TurnOrder};
use amps_engine::clock::Clock;
use amps_engine::exec::{
    Line, TurnCause, TurnCommand, TurnEnding, TurnListener, find_program, run_turn,
};
use amps_testkit::{Home, Repo, Running, wait};
use serde_json::Value;
use uuid::Uuid;

use crate::lab::{AGENT_PATIENCE, EDIT, EDITED, MORE, TOOL, WRITTEN, prepare, requests};

/// An agent, a model and a repository.
struct Desk {
    name: &'static str,
    further: Vec<String>,
    repo: Repo,
    variables: Vec<(OsString, OsString)>,
    /// Whether the agent told that it called a tool.
    has_called: AtomicBool,
    // Before the home, which wants to be left by all processes.
    _model: Running,
    home: Home,
}

/// Gives each line to the hearing, and tells that a tool was called.
struct Ear<'a> {
    hearing: Hearing,
    has_called: &'a AtomicBool,
}

impl TurnListener for Ear<'_> {
    fn started(&mut self, _process: &ProcessIdentity) {}

    fn line(&mut self, line: Line<'_>) {
        assert!(line.is_whole);
        let events = self.hearing.hear(line.bytes, line.at);
        let calls = |event: &AgentEvent| matches!(event, AgentEvent::ToolBegan { .. });
        if events.iter().any(calls) {
            self.has_called.store(true, Ordering::SeqCst);
        }
    }
}

impl Desk {
    fn new(name: &'static str, further: &[&str]) -> Self {
        let home = Home::new();
        let repo = home.repo("work");
        let (model, variables) = prepare(&home, name, &repo);
        let mut variables: Vec<(OsString, OsString)> = (variables.into_iter())
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        variables.push(("AMPS_TEST_HOME".into(), home.root().into()));
        Self {
            name,
            further: further.iter().map(|&word| word.to_owned()).collect(),
            repo,
            variables,
            has_called: AtomicBool::new(false),
            _model: model,
            home,
        }
    }

    /// Runs a turn that is stopped when this pipe can be read, and returns how it ended and what it
    /// told.
    #[track_caller]
    fn run(&self, order: &TurnOrder<'_>, stop: Option<&PipeReader>) -> (TurnEnding, TurnRecord) {
        let order = TurnOrder {
            further: &self.further,
            ..order.clone()
        };
        let agent = agent::named(self.name).unwrap();
        let path = self.variables.iter().find(|(name, _)| name == "PATH");
        let program = OsStr::new(agent.program());
        let invocation = agent.invocation(&order);
        let command = TurnCommand {
            program: &find_program(program, &path.unwrap().1, Path::new("/nonexistent")).unwrap(),
            name: program,
            invocation: &invocation,
            folder: self.repo.path(),
            environment: &self.variables,
            session: &self.home.root().display().to_string(),
            limit: Some(3 * AGENT_PATIENCE),
            grace: Duration::from_secs(5),
            stop: stop.map(PipeReader::as_fd),
        };
        let clock = Clock::default();
        let mut ear = Ear {
            hearing: Hearing::new(agent, &order),
            has_called: &self.has_called,
        };
        let ending = run_turn(&command, &clock, &mut ear).unwrap();
        let turn = ear.hearing.finish(ending.exit, clock.now());
        (ending, turn)
    }

    /// Runs a turn that succeeds.
    #[track_caller]
    fn succeed(&self, order: &TurnOrder<'_>) -> TurnRecord {
        let (ending, turn) = self.run(order, None);
        assert_eq!(
            ending.cause,
            TurnCause::Itself,
            "{turn:#?}\n{}",
            ending.stderr
        );
        assert!(turn.has_succeeded(), "{turn:#?}\n{}", ending.stderr);
        turn
    }
}

/// What the model said was used by the requests of a play. Without tools it is asked for titles, of
/// which nobody is told.
pub(crate) fn counted(requests: &[Value], play: &str) -> Usage {
    let of_play = requests.iter().filter(|request| {
        let tools = request["tools"].as_array();
        request["play"] == play && tools.is_some_and(|tools| !tools.is_empty())
    });
    let used = of_play.map(|request| {
        let count = |name: &str| request["usage"][name].as_u64().unwrap();
        Usage {
            input_tokens: count("input"),
            output_tokens: count("output"),
            cache_read_tokens: count("cache_read"),
            cache_write_tokens: count("cache_write"),
            reasoning_tokens: count("reasoning"),
            cost_usd: None,
        }
    });
    used.sum()
}

/// Returns the usage without its cost: the model tells none.
fn tokens(turn: &TurnRecord) -> Usage {
    Usage {
        cost_usd: None,
        ..turn.usage
    }
}

#[track_caller]
fn two_turns_are_one_conversation(name: &'static str, further: &[&str]) {
    let desk = Desk::new(name, further);
    let id = Uuid::from_u128(0x1111_2222_4333_8444_5555_6666_7777_8888);
    let first = desk.succeed(&TurnOrder {
        prompt: EDIT,
        new_thread: Some(id),
        ..TurnOrder::default()
    });
    assert_eq!(desk.repo.read("greeting.txt"), "hello\n");
    assert_eq!(desk.repo.read("README.md"), "two\n");
    assert_eq!(first.answer.as_deref(), Some(EDITED));
    assert_eq!(tokens(&first), counted(&requests(&desk.home), EDIT));
    assert_eq!(first.tool_calls.len(), 3, "{:#?}", first.tool_calls);
    let outcomes = first.tool_calls.iter().map(|call| call.outcome);
    assert!(
        outcomes.clone().all(|it| it == ToolOutcome::Succeeded),
        "{:#?}",
        first.tool_calls
    );
    assert!(first.tool_calls[0].arguments.contains("greeting.txt"));

    let thread = first.thread.clone().unwrap();
    if ["claude", "gemini"].contains(&name) {
        assert_eq!(thread.as_str(), id.to_string(), "the one that was chosen");
    }
    let second = desk.succeed(&TurnOrder {
        prompt: MORE,
        thread: Some(&thread),
        known: first.usage,
        ..TurnOrder::default()
    });
    assert_eq!(desk.repo.read("more.txt"), "more\n");
    assert_eq!(second.thread.as_ref(), Some(&thread));
    assert_eq!(second.answer.as_deref(), Some(WRITTEN));
    let requests = requests(&desk.home);
    assert_eq!(tokens(&second), counted(&requests, MORE), "not of both");
    let mut of_first = requests.iter().filter(|request| request["play"] == EDIT);
    let asked = requests
        .iter()
        .find(|request| request["play"] == MORE)
        .unwrap();
    let length = |request: &Value| request["items"].as_u64().unwrap();
    assert!(
        length(asked) > of_first.next_back().map_or(0, length),
        "it is told of the first turn too: {asked:#}"
    );
    let texts = asked["user_texts"].as_array().unwrap().iter();
    let texts: Vec<&str> = texts.filter_map(Value::as_str).collect();
    let prompt = texts.iter().find(|text| text.contains(MORE)).unwrap();
    assert!(
        !prompt.contains(&format!("\"{MORE}")),
        "as it was asked: {prompt:?}"
    );
    if name == "codex" {
        let variable = |name: &str| {
            let mut variables = desk.variables.iter();
            Some(variables.find(|(known, _)| known == name)?.1.clone())
        };
        let noted = agent::named(name).unwrap().noted_model(&thread, &variable);
        assert_eq!(noted.as_deref(), asked["model"].as_str());
    } else if name != "opencode" {
        assert_eq!(second.model.as_deref(), asked["model"].as_str());
    }
    if name == "claude" {
        let costs = [&first, &second].map(|turn| turn.usage.cost_usd.unwrap());
        assert!(costs[1] < costs[0], "its own alone: {costs:?}");
    }
}

#[track_caller]
fn a_tool_ends_with_a_turn_that_is_stopped(name: &'static str, further: &[&str]) {
    let desk = Desk::new(name, further);
    let (stop, mut asker) = io::pipe().unwrap();
    let begun = desk.repo.file("begun.txt");
    let (ending, turn) = thread::scope(|scope| {
        let has_called = &desk.has_called;
        scope.spawn(move || {
            wait::for_file(&begun, AGENT_PATIENCE);
            // A tool may begin before it is told; of those of opencode the end alone is.
            if name != "opencode" {
                let called = || has_called.load(Ordering::SeqCst).then_some(());
                wait::until("the call to be told", AGENT_PATIENCE, called);
            }
            asker.write_all(b"!").unwrap();
        });
        let order = TurnOrder {
            prompt: TOOL,
            ..TurnOrder::default()
        };
        desk.run(&order, Some(&stop))
    });
    assert_eq!(
        ending.cause,
        TurnCause::Stopped,
        "{turn:#?}\n{}",
        ending.stderr
    );
    assert_eq!(ending.unended, []);
    assert!(!turn.has_succeeded(), "{turn:#?}");
    if name == "opencode" {
        assert_eq!(
            turn.tool_calls,
            [],
            "it tells of a call when that has ended"
        );
    } else {
        assert!(turn.thread.is_some(), "{turn:#?}");
        let call = turn.tool_calls.last().unwrap();
        assert_ne!(call.outcome, ToolOutcome::Succeeded);
        assert!(call.arguments.contains("patient-tool"), "{call:#?}");
    }
    // Whatever were left would still write it, and be found when the home goes.
    desk.repo.write("go.txt", "");
    assert!(!desk.repo.file("late.txt").exists());
}

#[test]
#[ignore = "needs real agents: scripts/test-agents"]
fn two_turns_of_claude_are_one_conversation() {
    two_turns_are_one_conversation("claude", &[]);
}

#[test]
#[ignore = "needs real agents: scripts/test-agents"]
fn two_turns_of_codex_are_one_conversation() {
    two_turns_are_one_conversation("codex", &[]);
}

#[test]
#[ignore = "needs real agents: scripts/test-agents"]
fn two_turns_of_gemini_are_one_conversation() {
    two_turns_are_one_conversation("gemini", &[]);
}

#[test]
#[ignore = "needs real agents: scripts/test-agents"]
fn two_turns_of_opencode_are_one_conversation() {
    two_turns_are_one_conversation("opencode", &[]);
}

#[test]
#[ignore = "needs real agents: scripts/test-agents"]
fn a_tool_of_claude_ends_with_a_turn_that_is_stopped() {
    a_tool_ends_with_a_turn_that_is_stopped("claude", &[]);
}

#[test]
#[ignore = "needs real agents: scripts/test-agents"]
fn a_tool_of_codex_ends_with_a_turn_that_is_stopped() {
    a_tool_ends_with_a_turn_that_is_stopped("codex", &[]);
}

#[test]
#[ignore = "needs real agents: scripts/test-agents"]
fn a_tool_of_gemini_ends_with_a_turn_that_is_stopped() {
    a_tool_ends_with_a_turn_that_is_stopped("gemini", &["--approval-mode", "yolo"]);
}

#[test]
#[ignore = "needs real agents: scripts/test-agents"]
fn a_tool_of_opencode_ends_with_a_turn_that_is_stopped() {
    a_tool_ends_with_a_turn_that_is_stopped("opencode", &[]);
}

#[test]
#[ignore = "needs real agents: scripts/test-agents"]
fn two_turns_of_aider_are_one_conversation_and_no_commit() {
    let quiet = [
        "--edit-format=diff",
        "--analytics-disable",
        "--no-show-model-warnings",
        "--no-show-release-notes",
    ];
    let desk = Desk::new("aider", &quiet);
    let order = |prompt: &'static str| TurnOrder {
        prompt,
        model: Some("openai/mock-model"),
        ..TurnOrder::default()
    };
    let head = desk.repo.git(["rev-parse", "HEAD"]);
    let first = desk.succeed(&order(EDIT));
    assert_eq!(desk.repo.read("README.md"), "two\n");
    assert_eq!(first.thread, None);
    assert_eq!(first.model.as_deref(), Some("openai/mock-model"));
    let second = desk.succeed(&order(MORE));
    assert_eq!(desk.repo.read("more.txt"), "more\n");
    let requests = requests(&desk.home);
    for (turn, play) in [(&first, EDIT), (&second, MORE)] {
        let of_play = requests.iter().filter(|request| request["play"] == play);
        let count = u64::try_from(of_play.count()).unwrap();
        // Of caches it was told nothing: the model counts 200 of 1200 for them.
        let told = (turn.usage.input_tokens, turn.usage.output_tokens);
        assert_eq!(told, (1_200 * count, 50 * count), "{turn:#?}");
    }
    let last = requests
        .iter()
        .rfind(|request| request["play"] == MORE)
        .unwrap();
    assert!(last["user_texts"].to_string().contains(EDIT), "{last:#}");
    assert_eq!(
        desk.repo.git(["rev-parse", "HEAD"]),
        head,
        "it makes no commit"
    );
    let status = desk.repo.git(["status", "--porcelain", "-uall"]);
    let leavings = agent::named("aider").unwrap().leavings();
    assert_eq!(leavings, [".aider*"]);
    let mut names: Vec<&str> = status.lines().filter_map(|line| line.get(3..)).collect();
    names.sort_unstable();
    names.retain(|name| !name.starts_with(".aider"));
    assert_eq!(names, ["README.md", "more.txt"]);
}
