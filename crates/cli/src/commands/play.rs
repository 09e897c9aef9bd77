//! `amps play`: shows a recording as it was.

mod terminal;

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use amps_core::error::ErrorCode;
use amps_core::time::parse_duration;
use amps_engine::recording::{Entry, Journal, JournalError};
use amps_proto::fault::Fault;
use amps_proto::view::SessionView;

use self::terminal::{News, Terminal};
use crate::args::PlayArgs;
use crate::commands::show;
use crate::context::Context;
use crate::error::Failure;
use crate::{Outcome, output};

/// Plays a recording in the terminal, or writes its bytes where there is none.
pub(crate) fn run(context: &Context, args: &PlayArgs) -> Outcome {
    let speed = factor(&args.speed)?;
    let max_idle = time("--max-idle", &args.max_idle)?;
    let until = match &args.until {
        Some(text) => time("--until", text)?,
        None => Duration::MAX,
    };
    let (_, journal) = recorded(context, &args.session)?;
    let mut missing = Missing::of(&journal);
    let code = if terminal::is_shown() {
        play(&journal, (speed, max_idle, until), &mut missing)?
    } else {
        write(&journal, until, &mut missing)?;
        ExitCode::SUCCESS
    };
    missing.tell();
    Ok(code)
}

fn factor(text: &str) -> Result<f64, Failure> {
    let speed = text.parse().ok();
    let speed = speed.filter(|speed: &f64| (0.01..=1_000.0).contains(speed));
    speed.ok_or_else(|| {
        Fault::new(ErrorCode::BadArgument, format!("`{text}` is not a speed"))
            .hint("write a number from 0.01 to 1000, such as 2 or 0.5")
            .into()
    })
}

fn time(flag: &str, text: &str) -> Result<Duration, Failure> {
    parse_duration(text).ok_or_else(|| {
        let message = format!("`{text}` is not a time for {flag}");
        Fault::new(ErrorCode::BadArgument, message)
            .hint("write seconds, or a time such as `500ms`, `90s` or `5m`")
            .into()
    })
}

/// Returns a session and its recording.
pub(super) fn recorded(
    context: &Context,
    reference: &str,
) -> Result<(SessionView, Journal), Failure> {
    let view = show::fetch_now(context, reference)?;
    let id = view.session.session_id;
    let journal = Journal::open(&context.home()?.recording_of(id)).map_err(|error| {
        let short = id.short();
        let fault = |code| Fault::of(code, &error);
        Failure::from(match &error {
            JournalError::Absent { .. } => {
                let message = format!("session {short} has no recording");
                Fault::new(ErrorCode::NotCaptured, message)
                    .hint("`--record` before the agent's name, or `record: always` in config.yaml")
            }
            JournalError::Version { .. } => {
                fault(ErrorCode::StoreFailed).hint("install the version of amps that wrote it")
            }
            JournalError::Damaged { .. } => fault(ErrorCode::FileFailed)
                .hint("nothing can be played; the rest of the record is not affected"),
            JournalError::File(_) => fault(ErrorCode::FileFailed)
                .hint("check its permissions, and that its disk is there"),
        })
    })?;
    Ok((view, journal))
}

/// What a recording does not have.
#[derive(Debug, Default)]
pub(super) struct Missing {
    is_cut: bool,
    lost: u64,
    skipped: Vec<(String, Option<u64>)>,
}

impl Missing {
    pub(super) fn of(journal: &Journal) -> Self {
        Self {
            is_cut: journal.is_cut(),
            ..Self::default()
        }
    }

    /// Adds what was lost while it was recorded, and what cannot be read.
    pub(super) fn and(mut self, lost: u64, skipped: &[(String, Option<u64>)]) -> Self {
        self.lost += lost;
        self.skipped.extend_from_slice(skipped);
        self
    }

    fn note(&mut self, entry: &Entry) {
        match entry {
            Entry::Lost(bytes) => self.lost += bytes,
            Entry::Skipped { segment, bytes } => self.skipped.push((segment.clone(), *bytes)),
            _ => {}
        }
    }

    /// Says it, unless there is nothing to say.
    pub(super) fn tell(&self) {
        if self.is_cut {
            output::say(
                "amps: the beginning was dropped at `record.max_size`: this starts with the \
                 screen as it was then",
            );
        }
        if self.lost > 0 {
            let lost = self.lost;
            output::say(&format!("amps: {lost} bytes could not be recorded"));
        }
        for (segment, bytes) in &self.skipped {
            let told = match bytes {
                Some(bytes) => format!("{bytes} bytes of {segment} are torn or damaged"),
                None => format!("{segment} is missing"),
            };
            output::say(&format!("amps: {told} and were passed over"));
        }
    }
}

/// Writes the bytes of a recording as they are.
fn write(journal: &Journal, until: Duration, missing: &mut Missing) -> Result<(), Failure> {
    let mut out = output::raw_answer();
    for record in journal.records().take_while(|record| record.at <= until) {
        missing.note(&record.entry);
        if let Entry::Output(bytes) | Entry::Keyframe(bytes) = record.entry {
            out.write_all(&bytes)?;
        }
    }
    Ok(out.flush()?)
}

/// Plays a recording with its times.
fn play(
    journal: &Journal,
    (speed, max_idle, until): (f64, Duration, Duration),
    missing: &mut Missing,
) -> Outcome {
    let header = journal.header();
    if let Some((rows, cols)) = terminal::size()
        && (rows < header.rows || cols < header.cols)
    {
        output::say(&format!(
            "amps: recorded on {} columns and {} rows, this terminal has {cols} and {rows}: it will \
             not look the same",
            header.cols, header.rows
        ));
    }
    let mut terminal = Terminal::open(speed)?;
    let mut news = News::Due;
    let mut last = Duration::ZERO;
    for record in journal.records().take_while(|record| record.at <= until) {
        let idle = record.at.saturating_sub(last).min(max_idle);
        last = record.at;
        news = terminal.wait(idle)?;
        if news != News::Due {
            break;
        }
        missing.note(&record.entry);
        if let Entry::Output(bytes) | Entry::Keyframe(bytes) = record.entry {
            terminal::show(&bytes)?;
        }
    }
    terminal.close()?;
    Ok(match news {
        News::Due | News::Left => ExitCode::SUCCESS,
        News::Signal(signal) => ExitCode::from(u8::try_from(128 + signal).unwrap_or(128)),
    })
}
