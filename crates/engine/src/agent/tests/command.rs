//! A command of the configuration.

use amps_core::exit::Exit;
use amps_core::time::Moment;
use jiff::Timestamp;

use super::thread;
use crate::agent::{Agent as _, CommandAgent, Hearing, TurnOrder};

fn agent(arguments: &[&str]) -> CommandAgent {
    CommandAgent {
        name: "mine".to_owned(),
        program: "my-agent".to_owned(),
        arguments: arguments.iter().map(|&word| word.to_owned()).collect(),
        interactive: ["--model={model}", "--resume={thread}"]
            .map(str::to_owned)
            .to_vec(),
    }
}

#[test]
fn what_its_arguments_name_is_filled_in_once() {
    let id = thread("t-1");
    let further = ["--fast".to_owned()];
    let order = TurnOrder {
        prompt: "say {model} and {x}",
        thread: Some(&id),
        further: &further,
        ..TurnOrder::default()
    };
    let agent = agent(&[
        "run",
        "--thread={thread}",
        "--model={model}",
        "{prompt}",
        "{}",
    ]);
    let started = agent.invocation(&order);
    let expected = ["run", "--thread=t-1", "say {model} and {x}", "{}", "--fast"];
    assert_eq!(started.arguments, expected, "without what there is not");
    assert_eq!(started.stdin, None);
    let opened = agent.interactive(Some(&id), Some("m"), &[]);
    assert_eq!(opened, ["--model=m", "--resume=t-1"]);
}

#[test]
fn a_prompt_that_no_argument_names_is_read() {
    let order = TurnOrder {
        prompt: "do it",
        ..TurnOrder::default()
    };
    assert_eq!(
        agent(&["run"]).invocation(&order).stdin.as_deref(),
        Some("do it")
    );
}

#[test]
fn all_it_writes_is_its_answer_and_its_exit_is_its_end() {
    let agent = agent(&[]);
    let now = Moment {
        at: Timestamp::UNIX_EPOCH,
        uptime_ms: 0,
    };
    for (exit, has_succeeded) in [(Exit::Code(0), true), (Exit::Code(3), false)] {
        let mut hearing = Hearing::new(&agent, &TurnOrder::default());
        for line in [&b"one"[..], b"", b"two \xff\r"] {
            hearing.hear(line, now);
        }
        let turn = hearing.finish(Some(exit), now);
        assert_eq!(turn.answer.as_deref(), Some("one\n\ntwo \u{fffd}"));
        assert_eq!(turn.has_succeeded(), has_succeeded);
    }
}
