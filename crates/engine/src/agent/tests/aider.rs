//! aider.

use amps_core::exit::Exit;
use amps_core::turn::TurnRecord;
use amps_core::usage::Usage;

use super::{TurnOrder, heard, heard_bytes, usage};

const HEADER: &str = "\
Warning: Input is not a terminal (fd=0).

Update git name with: git config user.name

HTTPSConnectionPool: no such host
Aider v0.86.2
Model: openai/some-model with diff edit format
Git repo: .git with 3 files
Repo-map: using 1024 tokens, auto refresh
";

fn turn(text: &str) -> TurnRecord {
    let text = format!("{HEADER}\n{text}");
    let lines: Vec<&str> = text.lines().collect();
    heard("aider", &TurnOrder::default(), &lines)
}

#[test]
fn its_text_is_the_answer_and_its_reports_add_up() {
    let turn = turn(
        "Both files are as wanted.\nlitellm.completion raises no Error: here.\n\nTokens: 2.5k sent, 85 received.\n\na.txt\nApplied edit to a.txt\n\
         Tokens: 12k sent, 1.2k received.\n",
    );
    assert!(turn.has_succeeded());
    assert_eq!(turn.model.as_deref(), Some("openai/some-model"));
    assert_eq!(turn.usage, usage(14_500, 0, 1_285, None));
    let answer = turn.answer.unwrap();
    assert!(answer.starts_with("Both files are as wanted."), "{answer}");
    assert!(
        !answer.contains("Update git")
            && !answer.contains("Repo-map")
            && !answer.contains("Tokens:"),
        "{answer}"
    );
}

#[test]
fn a_report_with_caches_and_costs_is_heard_however_it_is_broken() {
    let expected = Usage {
        cache_write_tokens: 1_000,
        ..usage(1_000, 500, 85, Some(0.25))
    };
    for report in [
        "Tokens: 2.5k sent, 1.0k cache write, 500 cache hit, 85 received. Cost: $0.25 message, $0.75 session.",
        "Tokens: 2.5k sent, 1.0k cache write, 500 cache hit, 85 received.\nCost: $0.25 message, $0.75 session.",
        "Tokens: 2.5k sent, 1.0k cache write, 500 cache hit, 85 received. Cost: $0.25\nmessage, $0.75 session.",
        "Tokens: 2.5k sent, 1.0k cache write, 500 cache hit, 85\nreceived. Cost: $0.25 message, $0.75 session.",
    ] {
        assert_eq!(turn(report).usage, expected, "{report}");
    }
}

#[test]
fn it_ends_with_0_after_an_error() {
    let turn = turn(
        "litellm.AuthenticationError: OpenAIException - \ninvalid api key\nCheck your key.\n\n",
    );
    let told = "litellm.AuthenticationError: OpenAIException - invalid api key Check your key.";
    assert_eq!(turn.errors, [told]);
    assert_eq!(turn.exit, Some(Exit::Code(0)));
    assert!(!turn.has_succeeded());
}

#[test]
fn an_error_after_which_it_tries_again_is_a_warning() {
    let again = "litellm.RateLimitError: slow down\nTry later.\nRetrying in 0.2 seconds...\n";
    let recovered = turn(&format!(
        "{again}Recovered.\n\nTokens: 10 sent, 5 received.\n"
    ));
    assert_eq!(
        recovered.warnings,
        ["litellm.RateLimitError: slow down Try later."]
    );
    assert!(recovered.has_succeeded());
    let given_up = turn(&format!(
        "{again}litellm.RateLimitError: slow down\nTry later."
    ));
    assert_eq!(
        given_up.errors,
        ["litellm.RateLimitError: slow down Try later."]
    );
}

#[test]
fn one_that_is_killed_has_not_finished() {
    let lines: Vec<&[u8]> = HEADER.lines().map(str::as_bytes).collect();
    let turn = heard_bytes("aider", &TurnOrder::default(), &lines, Exit::Signal(15));
    assert!(!turn.did_finish);
}
