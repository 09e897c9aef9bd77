//! `plain-launcher SOCKET BEAT -- CMD`: the yardstick of launching.
//!
//! Opens a lease with one line, starts CMD on the inherited terminal, waits, closes the lease
//! with one line and passes the code on. BEAT is the seconds between renewals, 0 for none.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::{net::UnixStream, process::ExitStatusExt as _},
    process::Command,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, pidfd_open},
};
use serde_json::json;

use crate::{Outcome, plain::daemon::Reply};

/// Runs the subcommand.
pub(crate) fn run(words: &[String]) -> Outcome<u8> {
    let [socket, beat, _, program, arguments @ ..] = words else {
        return Err("plain-launcher SOCKET BEAT -- CMD".into());
    };
    let beat: i64 = beat.parse()?;
    let mut lines = BufReader::new(UnixStream::connect(socket)?);
    let command = words.get(3..).unwrap_or_default().join(" ");
    let open = json!({"op": "open", "pid": std::process::id(), "command": command});
    let lease = ask(&mut lines, &open)?.lease;
    let mut child = Command::new(program).args(arguments).spawn()?;
    if beat > 0 {
        let pid = Pid::from_raw(i32::try_from(child.id())?).ok_or("process id 0")?;
        let exited = pidfd_open(pid, PidfdFlags::empty())?;
        let pause = Timespec {
            tv_sec: beat,
            tv_nsec: 0,
        };
        while poll(&mut [PollFd::new(&exited, PollFlags::IN)], Some(&pause)) == Ok(0) {
            ask(&mut lines, &json!({"op": "beat", "lease": lease}))?;
        }
    }
    let status = child.wait()?;
    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    ask(
        &mut lines,
        &json!({"op": "close", "lease": lease, "code": code}),
    )?;
    Ok(u8::try_from(code.unwrap_or(125)).unwrap_or(125))
}

fn ask(lines: &mut BufReader<UnixStream>, request: &serde_json::Value) -> Outcome<Reply> {
    lines
        .get_mut()
        .write_all(format!("{request}\n").as_bytes())?;
    let mut reply = String::new();
    lines.read_line(&mut reply)?;
    Ok(serde_json::from_str(&reply)?)
}
