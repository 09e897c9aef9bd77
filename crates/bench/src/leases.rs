//! Many leases held by one process, to weigh a daemon without the weight of as many launchers.
//!
//! A protocol is reduced to the lines it sends: implement [`LeaseProtocol`] for a daemon and its
//! memory and beats can be measured.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::UnixStream,
    path::PathBuf,
    time::Duration,
};

use crate::{Outcome, clock};

/// The lines with which a launcher speaks to a daemon; one line of reply follows each.
pub(crate) trait LeaseProtocol {
    /// Returns where the daemon listens.
    fn socket(&self) -> PathBuf;
    /// Returns the first line of a connection, if there is one.
    fn greeting(&self) -> Option<String>;
    /// Returns the line that opens lease number `number`.
    fn open(&self, number: usize) -> String;
    /// Finds the lease in the reply to [`LeaseProtocol::open`].
    fn lease_of(&self, reply: &str) -> Outcome<String>;
    /// Returns the line that renews a lease.
    fn beat(&self, lease: &str) -> String;
}

/// One open lease and its connection.
#[derive(Debug)]
struct Held {
    lines: BufReader<UnixStream>,
    lease: String,
}

/// Leases that stay open until this is dropped.
#[derive(Debug)]
pub(crate) struct Leases {
    held: Vec<Held>,
}

/// Opens leases number `numbers`, each on a connection of its own.
pub(crate) fn open_leases(
    protocol: &dyn LeaseProtocol,
    numbers: std::ops::Range<usize>,
) -> Outcome<Leases> {
    let mut held = Vec::with_capacity(numbers.len());
    for number in numbers {
        let stream = UnixStream::connect(protocol.socket())?;
        let mut lines = BufReader::with_capacity(512, stream);
        if let Some(greeting) = protocol.greeting() {
            ask(&mut lines, &greeting)?;
        }
        let reply = ask(&mut lines, &protocol.open(number))?;
        let lease = protocol.lease_of(&reply)?;
        held.push(Held { lines, lease });
    }
    Ok(Leases { held })
}

impl Leases {
    /// Renews every lease once a second, evenly spread, and returns the number of beats.
    pub(crate) fn beat_for(
        &mut self,
        protocol: &dyn LeaseProtocol,
        seconds: u64,
    ) -> Outcome<usize> {
        let started = clock::now();
        let between = 1_000_000_000 / u64::try_from(self.held.len().max(1))?;
        let mut due = started;
        let mut beats = 0;
        for held in std::iter::repeat_n((), usize::try_from(seconds)?)
            .flat_map(|()| 0..self.held.len())
            .collect::<Vec<_>>()
        {
            let early = due.saturating_sub(clock::now());
            if early > 200_000 {
                std::thread::sleep(Duration::from_nanos(early));
            }
            due += between;
            let held = self.held.get_mut(held).ok_or("no such lease")?;
            let line = protocol.beat(&held.lease);
            ask(&mut held.lines, &line)?;
            beats += 1;
        }
        Ok(beats)
    }
}

fn ask(lines: &mut BufReader<UnixStream>, line: &str) -> Outcome<String> {
    lines.get_mut().write_all(format!("{line}\n").as_bytes())?;
    let mut reply = String::new();
    if lines.read_line(&mut reply)? == 0 {
        return Err(format!("the daemon hung up on {line}").into());
    }
    Ok(reply)
}
