//! aider. It has one conversation a folder, without an id, kept in a file there; it writes plain text,
//! and ends with 0 whatever happened.

use amps_core::exit::Exit;
use amps_core::turn::{AgentEvent, ThreadId};
use amps_core::usage::{Usage, Usd};

use super::words::Words;
use super::{Agent, Invocation, Reader, TurnOrder};

/// aider.
#[derive(Debug)]
pub(super) struct Aider;

/// Commits are ours to make, and the files of the person stay as they are.
const HANDS_OFF: [&str; 3] = ["--no-auto-commits", "--no-dirty-commits", "--no-gitignore"];

impl Agent for Aider {
    fn name(&self) -> &'static str {
        "aider"
    }

    fn invocation(&self, order: &TurnOrder<'_>) -> Invocation {
        let words = Words::of(&HANDS_OFF)
            .and(&["--restore-chat-history", "--no-check-update"])
            .and(&["--no-pretty", "--no-stream"])
            .and(&["--message-file", "/dev/stdin"])
            .option("--model", order.model)
            .unless(
                &["--yes-always", "--no-yes-always"],
                order.further,
                &["--yes-always"],
            );
        Invocation {
            arguments: words.further(order.further),
            variables: Vec::new(),
            stdin: Some(order.prompt.to_owned()),
        }
    }

    fn interactive(
        &self,
        _thread: Option<&ThreadId>,
        model: Option<&str>,
        further: &[String],
    ) -> Vec<String> {
        Words::of(&HANDS_OFF)
            .and(&["--restore-chat-history"])
            .option("--model", model)
            .further(further)
    }

    fn reader(&self, _order: &TurnOrder<'_>) -> Box<dyn Reader> {
        Box::new(Lines::default())
    }

    fn leavings(&self) -> &'static [&'static str] {
        &[".aider*"]
    }
}

/// How it begins to speak of itself.
const HEADER: &str = "Aider v";
/// What it says when it tries again after an error.
const AGAIN: &str = "Retrying in ";

/// Where it is in what it writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Part {
    /// What others say before it.
    #[default]
    Before,
    /// What it says of itself, until a line that is empty.
    Itself,
    /// Its turn.
    Turn,
}

/// Hears what aider writes. Long lines may be broken anywhere between words.
#[derive(Debug, Default)]
struct Lines {
    part: Part,
    /// A report of what was used, not known to be whole.
    report: Option<String>,
    /// An error that it has not said to try again after.
    error: Option<String>,
}

impl Lines {
    fn settle(&mut self, events: &mut Vec<AgentEvent>) {
        let usage = self.report.take().and_then(|report| usage_of(&report));
        events.extend(usage.map(|usage| AgentEvent::Used { usage }));
    }
}

impl Reader for Lines {
    fn hear(&mut self, line: &[u8], events: &mut Vec<AgentEvent>) {
        let text = String::from_utf8_lossy(line);
        let text = text.trim_end();
        if let Some(report) = &mut self.report {
            // Broken behind a word, it goes on in the next line.
            let goes_on = !report.ends_with('.') || text.starts_with("Cost: ");
            if goes_on && !text.is_empty() && report.len() < 400 {
                report.push(' ');
                report.push_str(text);
                return;
            }
            self.settle(events);
        }
        if text.starts_with("Tokens: ") {
            self.report = Some(text.to_owned());
        } else if is_error(text) {
            self.error = Some(text.to_owned());
        } else if text.starts_with(AGAIN) {
            let message = self.error.take();
            events.extend(message.map(|message| AgentEvent::Warned { message }));
        } else if let Some(error) = &mut self.error {
            // What follows explains it, until a line that is empty.
            if text.is_empty() {
                let message = self.error.take().unwrap_or_default();
                events.push(AgentEvent::Failed { message });
            } else if error.len() < 2_000 {
                error.push(' ');
                error.push_str(text);
            }
        } else if self.part == Part::Turn {
            events.push(AgentEvent::Wrote {
                text: text.to_owned(),
            });
        } else if text.starts_with(HEADER) {
            self.part = Part::Itself;
        } else if self.part == Part::Itself {
            let model = named_model(text);
            events.extend(model.map(|model| AgentEvent::Model { model }));
            if text.is_empty() {
                self.part = Part::Turn;
            }
        }
    }

    fn end(&mut self, exit: Option<Exit>, events: &mut Vec<AgentEvent>) {
        self.settle(events);
        let message = self.error.take();
        events.extend(message.map(|message| AgentEvent::Failed { message }));
        // It says nothing when it is done.
        if exit == Some(Exit::Code(0)) {
            events.push(AgentEvent::TurnEnded);
        }
    }
}

/// Whether the library that speaks to models tells of an error: `litellm.RateLimitError: ...`.
fn is_error(line: &str) -> bool {
    let name = line
        .strip_prefix("litellm.")
        .and_then(|rest| rest.split_once(':'));
    name.is_some_and(|(name, _)| name.ends_with("Error") && !name.contains(char::is_whitespace))
}

/// Reads `Model: NAME with diff edit format` or `Main model: NAME with ...`.
fn named_model(line: &str) -> Option<String> {
    let rest = line
        .strip_prefix("Model: ")
        .or_else(|| line.strip_prefix("Main model: "))?;
    rest.split_whitespace().next().map(str::to_owned)
}

/// Reads `Tokens: 2.5k sent, 1.1k cache hit, 85 received. Cost: $0.01 message, $0.02 session.`: what
/// it sent counts the caches, and the message is what was not reported before.
fn usage_of(report: &str) -> Option<Usage> {
    let (tokens, cost) = report.split_once(" received.")?;
    let (sent, parts) = tokens.strip_prefix("Tokens: ")?.split_once(" sent")?;
    let of = |name: &str| {
        let part = parts.split(", ").find_map(|part| part.strip_suffix(name));
        part.and_then(|number| rounded(number.trim()))
            .unwrap_or_default()
    };
    let (read, write) = (of("cache hit"), of("cache write"));
    let received = parts.rsplit(", ").next()?;
    let cost = cost.split_once("Cost: $").and_then(|(_, cost)| {
        let (dollars, _) = cost.split_once(" message")?;
        Usd::from_dollars(dollars.parse().ok()?)
    });
    let sent = rounded(sent)?;
    Some(Usage {
        input_tokens: sent.saturating_sub(read).saturating_sub(write),
        output_tokens: rounded(received)?,
        cache_read_tokens: read,
        cache_write_tokens: write,
        reasoning_tokens: 0,
        cost_usd: cost,
    })
}

/// Reads a number that it may have rounded to thousands: `850`, `2.5k`, `12k`, `1.2M`.
fn rounded(text: &str) -> Option<u64> {
    let (digits, scale) = match (text.strip_suffix('k'), text.strip_suffix('M')) {
        (Some(digits), _) => (digits, 1_000),
        (_, Some(digits)) => (digits, 1_000_000),
        _ => (text, 1),
    };
    let (whole, tenths) = digits.split_once('.').unwrap_or((digits, "0"));
    let (whole, tenths): (u64, u64) = (whole.parse().ok()?, tenths.get(..1)?.parse().ok()?);
    whole.checked_mul(scale)?.checked_add(tenths * scale / 10)
}
