//! Verbs of signals, and the limit of this program's own life.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, Signal, getpid, kill_process, setrlimit};
use rustix::stdio::{stdin, stdout};
use rustix::termios::tcgetwinsize;
use signal_hook::consts::{SIGPIPE, SIGWINCH};
use signal_hook::iterator::Signals;

use super::script::Line;
use super::{Done, Next, files};

/// Performs one of these verbs.
pub(crate) fn perform(line: &Line) -> Done {
    match line.verb.as_str() {
        // A handler that does nothing: unlike SIG_IGN it ends with an exec.
        "ignore" => {
            let unread = Arc::new(AtomicBool::new(false));
            signal_hook::flag::register(signal(line.word(0)?)?.as_raw(), unread)?;
        }
        "trap" => {
            let name = bare_name(line.word(0)?);
            let file = line.path(1)?;
            on(signal(&name)?.as_raw(), move || {
                files::append(&file, format!("{name}\n").as_bytes())
            })?;
        }
        "winsize-on-winch" => {
            let file: PathBuf = line.path(0)?;
            on(SIGWINCH, move || {
                let size = tcgetwinsize(stdin()).or_else(|_| tcgetwinsize(stdout()))?;
                let size = format!("{}x{}\n", size.ws_row, size.ws_col);
                files::append(&file, size.as_bytes())
            })?;
        }
        "kill-self" => {
            let no_dump = Rlimit {
                current: Some(0),
                maximum: Some(0),
            };
            setrlimit(Resource::Core, no_dump)?;
            let signal = signal(line.word(0)?)?;
            kill_process(getpid(), signal)?;
            // The first one only removes the handler with which Rust looks for a full stack.
            if signal == Signal::SEGV {
                kill_process(getpid(), signal)?;
            }
        }
        "stop-self" => kill_process(getpid(), Signal::STOP)?,
        "hang" => loop {
            thread::park();
        },
        verb => return Err(format!("no verb of signals: {verb}").into()),
    }
    Ok(Next::Continue)
}

/// Ends this process by SIGKILL when its time is over.
pub(crate) fn limit_lifetime(limit: Duration) {
    thread::spawn(move || {
        thread::sleep(limit);
        kill_process(getpid(), Signal::KILL)
    });
}

/// Ends this process the way a program ends that writes to a closed pipe.
pub(crate) fn die_of_closed_pipe() -> io::Result<()> {
    signal_hook::low_level::emulate_default_handler(SIGPIPE)
}

fn on(signal: i32, mut act: impl FnMut() -> io::Result<()> + Send + 'static) -> io::Result<()> {
    let mut signals = Signals::new([signal])?;
    thread::spawn(move || {
        for _ in signals.forever() {
            if act().is_err() {
                break;
            }
        }
    });
    Ok(())
}

fn bare_name(name: &str) -> String {
    name.strip_prefix("SIG").unwrap_or(name).to_owned()
}

fn signal(name: &str) -> Result<Signal, String> {
    Ok(match bare_name(name).as_str() {
        "ABRT" => Signal::ABORT,
        "ALRM" => Signal::ALARM,
        "CHLD" => Signal::CHILD,
        "CONT" => Signal::CONT,
        "HUP" => Signal::HUP,
        "INT" => Signal::INT,
        "KILL" => Signal::KILL,
        "PIPE" => Signal::PIPE,
        "QUIT" => Signal::QUIT,
        "SEGV" => Signal::SEGV,
        "STOP" => Signal::STOP,
        "TERM" => Signal::TERM,
        "TSTP" => Signal::TSTP,
        "TTIN" => Signal::TTIN,
        "TTOU" => Signal::TTOU,
        "USR1" => Signal::USR1,
        "USR2" => Signal::USR2,
        "WINCH" => Signal::WINCH,
        _ => return Err(format!("unknown signal {name}")),
    })
}
