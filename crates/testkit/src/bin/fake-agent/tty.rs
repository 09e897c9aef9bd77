//! Verbs that speak to the terminal, or to whatever stdin and stdout are.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout, stdin};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

use super::script::{self, Line};
use super::{Done, Next, files, signals};

/// How long `query` waits for a terminal that says nothing.
const ANSWER: Duration = Duration::from_secs(2);
/// How long `read-until` waits.
const PATIENCE: Duration = Duration::from_secs(60);

/// Performs one of these verbs.
pub(crate) fn perform(line: &Line) -> Done {
    match line.verb.as_str() {
        "print" => print(&[line.joined(0).as_slice(), b"\n"].concat())?,
        "eprint" => {
            io::stderr().write_all(&line.joined(0))?;
            io::stderr().write_all(b"\n")?;
        }
        "hex" => print(&script::hex(line.rest(0).join(OsStr::new("")).as_bytes())?)?,
        "flood" => flood(line.word(0)?.parse()?)?,
        "raw" => set(Termios::make_raw)?,
        "cooked" => set(cook)?,
        "altscreen" => mode(line, "1049")?,
        "mouse" => mode(line, "1000;1002;1006")?,
        "paste" => mode(line, "2004")?,
        "cursor" => mode(line, "25")?,
        "kitty" => print(if on(line)? { b"\x1b[>1u" } else { b"\x1b[<u" })?,
        "query" => query(&line.path(0)?, line)?,
        "read-until" => read_until(line.bytes(0)?, line.path(1).ok().as_deref())?,
        "close-stdio" => close()?,
        verb => return Err(format!("no verb of terminals: {verb}").into()),
    }
    Ok(Next::Continue)
}

/// Writes to stdout at once. As in other programs a closed pipe is the end, by SIGPIPE.
fn print(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout();
    let written = out.write_all(bytes).and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => signals::die_of_closed_pipe(),
        other => other,
    }
}

fn flood(length: usize) -> io::Result<()> {
    const LINE: &[u8] = b"the quick brown fox jumps over the lazy dog 0123456789\n";
    let mut left = length;
    let block = LINE.repeat(512);
    while left > 0 {
        let now = left.min(block.len());
        print(&block[..now])?;
        left -= now;
    }
    Ok(())
}

fn on(line: &Line) -> Result<bool, String> {
    match line.word(0)? {
        "on" => Ok(true),
        "off" => Ok(false),
        other => Err(format!("neither on nor off: {other}")),
    }
}

fn mode(line: &Line, numbers: &str) -> Result<(), Box<dyn std::error::Error>> {
    let end = if on(line)? { 'h' } else { 'l' };
    Ok(print(format!("\x1b[?{numbers}{end}").as_bytes())?)
}

fn set(change: impl FnOnce(&mut Termios)) -> io::Result<()> {
    let mut termios = tcgetattr(stdin())?;
    change(&mut termios);
    Ok(tcsetattr(stdin(), OptionalActions::Drain, &termios)?)
}

fn cook(termios: &mut Termios) {
    use rustix::termios::{InputModes, LocalModes, OutputModes};
    termios.input_modes |= InputModes::ICRNL | InputModes::IXON;
    termios.output_modes |= OutputModes::OPOST;
    termios.local_modes |=
        LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG | LocalModes::IEXTEN;
}

/// Reads what is there, at most until `end`. `None`: nothing came. `Some(0)` bytes: end of input.
fn read_some(end: Instant) -> io::Result<Option<Vec<u8>>> {
    let left = end.saturating_duration_since(Instant::now());
    let left = Timespec::try_from(left).map_err(|_| io::ErrorKind::InvalidInput)?;
    let input = stdin();
    let mut fds = [PollFd::new(&input, PollFlags::IN)];
    if rustix::io::retry_on_intr(|| poll(&mut fds, Some(&left)))? == 0 {
        return Ok(None);
    }
    let mut buffer = [0; 4096];
    let length = rustix::io::retry_on_intr(|| rustix::io::read(stdin(), &mut buffer))?;
    Ok(Some(buffer[..length].to_vec()))
}

fn query(path: &Path, line: &Line) -> Result<(), Box<dyn std::error::Error>> {
    let before = tcgetattr(stdin())?;
    set(Termios::make_raw)?;
    let mut names = line.rest(1);
    if names.is_empty() {
        names = ["osc11", "kitty", "da1"].map(Into::into).to_vec();
    }
    let mut reply = Vec::new();
    for name in names {
        let (question, end): (&[u8], &[u8]) = match name.to_str() {
            Some("da1") => (b"\x1b[c", b"c"),
            Some("osc10") => (b"\x1b]10;?\x1b\\", b"\\"),
            Some("osc11") => (b"\x1b]11;?\x1b\\", b"\\"),
            Some("kitty") => (b"\x1b[?u", b"u"),
            Some("cpr") => (b"\x1b[6n", b"R"),
            _ => return Err("an unknown query".into()),
        };
        print(question)?;
        let mut answer = Vec::new();
        let deadline = Instant::now() + ANSWER;
        while !answer.ends_with(end) {
            match read_some(deadline)? {
                None => break,
                Some(bytes) if bytes.is_empty() => break,
                Some(bytes) => answer.extend(bytes),
            }
        }
        reply.extend(answer);
    }
    tcsetattr(stdin(), OptionalActions::Drain, &before)?;
    Ok(files::record(path, &reply)?)
}

fn read_until(text: &[u8], into: Option<&Path>) -> Result<(), Box<dyn std::error::Error>> {
    let deadline = Instant::now() + PATIENCE;
    let mut seen = Vec::new();
    while !seen.windows(text.len()).any(|window| window == text) {
        match read_some(deadline)? {
            None => return Err("the text did not come".into()),
            Some(bytes) if bytes.is_empty() => break,
            Some(bytes) => seen.extend(bytes),
        }
    }
    match into {
        Some(path) => Ok(files::record(path, &seen)?),
        None => Ok(()),
    }
}

/// Lets go of the terminal or the pipes. The null device takes their place, because the numbers
/// 0 to 2 must not fall to the next file that is opened.
fn close() -> io::Result<()> {
    let null = File::options().read(true).write(true).open("/dev/null")?;
    dup2_stdin(&null)?;
    dup2_stdout(&null)?;
    dup2_stderr(&null)?;
    Ok(())
}
