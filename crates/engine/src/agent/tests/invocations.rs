//! How agents are started.

use amps_core::turn::ThreadId;
use uuid::Uuid;

use super::thread;
use crate::agent::{TurnOrder, named, names};

const PROMPT: &str = "--help is not an option; do it";

fn order<'a>(thread: Option<&'a ThreadId>, model: Option<&'a str>) -> TurnOrder<'a> {
    TurnOrder {
        prompt: PROMPT,
        thread,
        new_thread: Some(Uuid::from_u128(7)),
        model,
        ..TurnOrder::default()
    }
}

fn line(agent: &str, order: &TurnOrder<'_>) -> String {
    named(agent).unwrap().invocation(order).arguments.join(" ")
}

#[test]
fn each_agent_begins_a_conversation_in_its_own_way() {
    let new = order(None, Some("m1"));
    let id = "00000000-0000-0000-0000-000000000007";
    for (agent, expected) in [
        ("aider", "--no-auto-commits --no-dirty-commits --no-gitignore --restore-chat-history --no-check-update --no-pretty --no-stream --message-file /dev/stdin --model m1 --yes-always".to_owned()),
        ("amp", "--mode m1 --execute --stream-json".to_owned()),
        ("claude", format!("-p --output-format stream-json --verbose --session-id {id} --model m1 --permission-mode acceptEdits")),
        ("codex", "exec --json --model m1 -c sandbox_mode=workspace-write -".to_owned()),
        ("gemini", format!("--output-format stream-json --session-id {id} --model m1 --approval-mode auto_edit")),
        ("opencode", "run --format json --model m1".to_owned()),
    ] {
        assert_eq!(line(agent, &new), expected);
    }
}

#[test]
fn each_agent_continues_a_conversation_in_its_own_way() {
    let id = thread("t1");
    let resumed = order(Some(&id), None);
    for (agent, expected) in [
        ("amp", "threads continue t1 --execute --stream-json"),
        (
            "claude",
            "-p --output-format stream-json --verbose --resume t1 --permission-mode acceptEdits",
        ),
        (
            "codex",
            "exec resume --json -c sandbox_mode=workspace-write t1 -",
        ),
        (
            "gemini",
            "--output-format stream-json --resume t1 --approval-mode auto_edit",
        ),
        ("opencode", "run --format json --session t1"),
    ] {
        assert_eq!(line(agent, &resumed), expected);
    }
}

#[test]
fn each_agent_is_opened_by_a_person_in_its_own_way() {
    let id = thread("t1");
    for (agent, expected) in [
        (
            "aider",
            "--no-auto-commits --no-dirty-commits --no-gitignore --restore-chat-history --model m --x",
        ),
        ("amp", "threads continue t1 --mode m --x"),
        ("claude", "--resume t1 --model m --x"),
        ("codex", "resume t1 --model m --x"),
        ("gemini", "--resume t1 --model m --x"),
        ("opencode", "--session t1 --model m --x"),
    ] {
        let further = ["--x".to_owned()];
        let opened = named(agent)
            .unwrap()
            .interactive(Some(&id), Some("m"), &further);
        assert_eq!(opened.join(" "), expected);
        assert!(
            !named(agent)
                .unwrap()
                .interactive(None, None, &[])
                .contains(&"t1".to_owned())
        );
    }
}

#[test]
fn a_prompt_is_never_an_argument() {
    for agent in names() {
        let started = named(agent).unwrap().invocation(&order(None, None));
        assert_eq!(started.stdin.as_deref(), Some(PROMPT), "{agent}");
        assert!(
            !started.arguments.iter().any(|word| word.contains("do it")),
            "{agent}"
        );
    }
}

#[test]
fn further_arguments_take_the_place_of_the_permissions_of_ours() {
    for (agent, further, gone) in [
        ("aider", "--no-yes-always", "--yes-always"),
        ("claude", "--permission-mode=plan", "acceptEdits"),
        ("claude", "--dangerously-skip-permissions", "acceptEdits"),
        ("codex", "sandbox_mode=read-only", "workspace-write"),
        (
            "codex",
            "--dangerously-bypass-approvals-and-sandbox",
            "workspace-write",
        ),
        ("gemini", "--yolo", "auto_edit"),
    ] {
        let further = [further.to_owned()];
        let order = TurnOrder {
            further: &further,
            ..order(None, None)
        };
        let words = named(agent).unwrap().invocation(&order).arguments;
        assert!(words.contains(&further[0]), "{agent}: {words:?}");
        let stays = words
            .iter()
            .any(|word| *word == gone || word.ends_with(&format!("={gone}")));
        assert!(!stays, "{agent}: {words:?}");
    }
}

#[test]
fn one_process_of_gemini_hears_the_signals() {
    let started = named("gemini").unwrap().invocation(&order(None, None));
    assert_eq!(started.variables, [("GEMINI_CLI_NO_RELAUNCH", "true")]);
}

#[test]
fn only_some_conversations_can_be_continued_elsewhere() {
    let elsewhere = names().filter(|name| named(name).unwrap().continues_elsewhere());
    assert_eq!(elsewhere.collect::<Vec<_>>(), ["amp", "claude", "codex"]);
}
