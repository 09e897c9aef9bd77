//! `agent KIND …`: the programs that are launched and watched. Each is as small as it can be, so
//! that a difference belongs to whatever stands between it and the terminal.

use std::{
    fs,
    io::{Read as _, Write as _},
    path::Path,
    time::Duration,
};

use rustix::{
    io::Errno,
    process::getppid,
    stdio::{stdin, stdout},
    termios::{OptionalActions, tcgetattr, tcsetattr},
};

use crate::{Outcome, clock, fixtures};

/// What an agent prints once it is ready to be told to go on.
pub(crate) const READY: &[u8] = b"READY";
/// What `flood` prints last.
pub(crate) const END: &[u8] = b"<<";
/// Ends the agents that read single keys.
pub(crate) const QUIT: u8 = 4;

/// Runs the subcommand.
pub(crate) fn run(words: &[String]) -> Outcome<u8> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["hold", ..] => hold()?,
        ["stamp", ..] => stamp()?,
        ["echo"] => echo()?,
        ["flood", bytes] => flood(bytes.parse()?)?,
        ["payload", seed, length] => send_payload(seed.parse()?, length.parse()?)?,
        ["screenful", file] => screenful(Path::new(file))?,
        ["edit", files, changed, round, ..] => {
            hold()?;
            fixtures::edit(
                Path::new("."),
                files.parse()?,
                changed.parse()?,
                round.parse()?,
            )?;
            stamp()?;
        }
        ["linger", file, ..] => linger(Path::new(file))?,
        _ => return Err(format!("agent: unknown kind {words:?}").into()),
    }
    Ok(0)
}

/// Prints the marker and waits for one byte or for the terminal's end.
fn hold() -> Outcome<()> {
    say(READY)?;
    wait_for_key()
}

/// Prints the present instant as its last act.
fn stamp() -> Outcome<()> {
    say(format!("STAMP {}\n", clock::now()).as_bytes())
}

/// Finds the instant that [`stamp`] printed.
pub(crate) fn parse_stamp(seen: &[u8]) -> Outcome<u64> {
    let text = String::from_utf8_lossy(seen);
    let stamp = text
        .rsplit_once("STAMP ")
        .ok_or("no stamp in the output")?
        .1;
    let digits: String = stamp.chars().take_while(char::is_ascii_digit).collect();
    Ok(digits.parse()?)
}

/// Sends back every key at once, as a raw-mode editor would.
fn echo() -> Outcome<()> {
    raw_mode()?;
    say(READY)?;
    let mut buffer = [0; 1024];
    while let Ok(count @ 1..) = rustix::io::read(stdin(), &mut buffer) {
        let keys = buffer.get(..count).unwrap_or_default();
        if keys.contains(&QUIT) {
            break;
        }
        say(keys)?;
    }
    Ok(())
}

/// Fills a screen with text, says so by a file, as nobody may see the screen, and idles.
fn screenful(file: &Path) -> Outcome<()> {
    let text = "all work and no play makes a terminal dull ".repeat(2);
    for row in 1..24 {
        say(format!("{row:3} {text:.75}\n").as_bytes())?;
    }
    say(READY)?;
    fs::write(file, "")?;
    wait_for_key()
}

/// Once told to, writes lines as fast as they are taken.
fn flood(bytes: usize) -> Outcome<()> {
    raw_mode()?;
    say(READY)?;
    wait_for_key()?;
    let line = [b"abcdefghijklmnopqrstuvwxyz".repeat(3).as_slice(), b"\r\n"].concat();
    let block = line.repeat(65536 / line.len());
    let mut left = bytes;
    while left > 0 {
        let part = block.get(..left.min(block.len())).unwrap_or_default();
        say(part)?;
        left -= part.len();
    }
    say(END)?;
    say(END)?;
    wait_for_key()
}

/// Writes arbitrary bytes and exits at once, which is when relays lose the end.
fn send_payload(seed: u64, length: usize) -> Outcome<()> {
    raw_mode()?;
    say(&payload(seed, length))
}

/// Returns arbitrary bytes that depend on the seed only.
pub(crate) fn payload(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(0x9E37_79B9_7F4A_7C15);
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        })
        .collect()
}

/// Outlives its parent, then changes a file and exits.
fn linger(file: &Path) -> Outcome<()> {
    let parent = getppid();
    say(READY)?;
    while getppid() == parent {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(300));
    fs::write(file, "written after the launcher was gone\n")?;
    Ok(())
}

/// Waits for one byte or for the terminal's end.
fn wait_for_key() -> Outcome<()> {
    match std::io::stdin().read(&mut [0]) {
        Ok(_) => Ok(()),
        Err(error) if error.raw_os_error() == Some(Errno::IO.raw_os_error()) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn raw_mode() -> Outcome<()> {
    let mut mode = tcgetattr(stdin())?;
    mode.make_raw();
    Ok(tcsetattr(stdin(), OptionalActions::Now, &mode)?)
}

fn say(bytes: &[u8]) -> Outcome<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let written = rustix::io::write(stdout(), rest)?;
        rest = rest.get(written..).unwrap_or_default();
    }
    std::io::stdout().flush()?;
    Ok(())
}
