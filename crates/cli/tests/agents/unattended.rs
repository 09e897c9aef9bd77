//! Agents run a turn without a person, and another one of the same conversation.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::time::Duration;

use amps_core::exit::Exit;
use amps_core::process::ProcessIdentity;
use amps_core::tool_call::ToolOutcome;
use amps_core::turn::TurnRecord;
use amps_core::usage::Usage;
use amps_engine::agent::{self, Hearing, TurnOrder};
use amps_engine::clock::Clock;
use amps_engine::exec::{Line, TurnCause, TurnCommand, TurnListener, find_program, run_turn};
use amps_testkit::{Home, Repo, Running};
use serde_json::Value;
use uuid::Uuid;

use crate::lab::{AGENT_PATIENCE, EDIT, EDITED, MORE, WRITTEN, prepare, requests};

/// An agent, a model and a repository.
struct Desk {
    name: &'static str,
    further: Vec<String>,
    repo: Repo,
    variables: Vec<(OsString, OsString)>,
    // Before the home, which wants to be left by all processes.
    _model: Running,
    home: Home,
}

/// Gives each line to the hearing.
struct Ear(Hearing);

impl TurnListener for Ear {
    fn started(&mut self, _process: &ProcessIdentity) {}

    fn line(&mut self, line: Line<'_>) {
        assert!(line.is_whole);
        self.0.hear(line.bytes, line.at);
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
            _model: model,
            home,
        }
    }

    /// Runs a turn, and returns what it told.
    #[track_caller]
    fn run(&self, order: &TurnOrder<'_>) -> TurnRecord {
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
            stop: None,
        };
        let clock = Clock::default();
        let mut ear = Ear(Hearing::new(agent, &order));
        let ending = run_turn(&command, &clock, &mut ear).unwrap();
        let turn = ear.0.finish(ending.exit, clock.now());
        assert_eq!(
            ending.cause,
            TurnCause::Itself,
            "{turn:#?}\n{}",
            ending.stderr
        );
        assert!(turn.has_succeeded(), "{turn:#?}\n{}", ending.stderr);
        assert_eq!(turn.exit, Some(Exit::Code(0)));
        turn
    }
}

/// What the model said was used by the requests of a play. Titles are asked for beside them.
fn counted(requests: &[Value], play: &str) -> Usage {
    let of_play = requests.iter().filter(|request| request["play"] == play);
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
    let first = desk.run(&TurnOrder {
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
    let second = desk.run(&TurnOrder {
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
    let last = requests
        .iter()
        .rfind(|request| request["play"] == MORE)
        .unwrap();
    assert!(
        last["user_texts"].to_string().contains(EDIT),
        "it knows of the first turn"
    );
    assert!(
        last["user_texts"]
            .to_string()
            .contains(&format!("{MORE}\"")),
        "as it was asked"
    );
    if name == "codex" {
        let variable = |name: &str| {
            let mut variables = desk.variables.iter();
            Some(variables.find(|(known, _)| known == name)?.1.clone())
        };
        let noted = agent::named(name).unwrap().noted_model(&thread, &variable);
        assert_eq!(noted.as_deref(), last["model"].as_str());
    } else if name != "opencode" {
        assert_eq!(second.model.as_deref(), last["model"].as_str());
    }
    if name == "claude" {
        let costs = [&first, &second].map(|turn| turn.usage.cost_usd.unwrap());
        assert!(costs[1] < costs[0], "its own alone: {costs:?}");
    }
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
