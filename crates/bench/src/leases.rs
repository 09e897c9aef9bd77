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

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::{Outcome, clock, terminal::PATIENCE};

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
    /// Whether the answer to its last beat has not been read.
    unread: bool,
}

/// Leases that stay open until this is dropped.
#[derive(Debug)]
pub(crate) struct Leases {
    held: Vec<Held>,
}

/// Makes room for so many descriptors, or as many as are allowed, in this process and in those
/// that it starts from now on. Returns how many that are.
pub(crate) fn make_room(descriptors: u64) -> u64 {
    let allowed = getrlimit(Resource::Nofile).maximum.unwrap_or(descriptors);
    [descriptors.max(allowed), allowed]
        .into_iter()
        .find(|room| {
            let limit = Rlimit {
                current: Some(*room),
                maximum: Some(*room),
            };
            setrlimit(Resource::Nofile, limit).is_ok()
        })
        .unwrap_or_default()
}

/// Opens leases number `numbers`, each on a connection of its own.
pub(crate) fn open_leases(
    protocol: &dyn LeaseProtocol,
    numbers: std::ops::Range<usize>,
) -> Outcome<Leases> {
    let mut held = Vec::with_capacity(numbers.len());
    for number in numbers {
        let stream = UnixStream::connect(protocol.socket())?;
        // A daemon that is out of descriptors accepts nobody and says nothing.
        stream.set_read_timeout(Some(Duration::from_nanos(PATIENCE)))?;
        let mut lines = BufReader::with_capacity(512, stream);
        if let Some(greeting) = protocol.greeting() {
            ask(&mut lines, &greeting)?;
        }
        let reply = ask(&mut lines, &protocol.open(number))?;
        let lease = protocol.lease_of(&reply)?;
        held.push(Held {
            lines,
            lease,
            unread: false,
        });
    }
    Ok(Leases { held })
}

impl Leases {
    /// Renews every lease once a second, evenly spread, and returns the number of beats. As many
    /// launchers would, none waits for the answers to the others; each has read its last answer
    /// before it beats again.
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
            held.read_answer()?;
            send(&mut held.lines, &protocol.beat(&held.lease))?;
            held.unread = true;
            beats += 1;
        }
        for held in &mut self.held {
            held.read_answer()?;
        }
        Ok(beats)
    }
}

impl Held {
    fn read_answer(&mut self) -> Outcome<()> {
        if std::mem::take(&mut self.unread) {
            hear(&mut self.lines)?;
        }
        Ok(())
    }
}

fn ask(lines: &mut BufReader<UnixStream>, line: &str) -> Outcome<String> {
    send(lines, line)?;
    hear(lines)
}

fn send(lines: &mut BufReader<UnixStream>, line: &str) -> Outcome<()> {
    Ok(lines.get_mut().write_all(format!("{line}\n").as_bytes())?)
}

fn hear(lines: &mut BufReader<UnixStream>) -> Outcome<String> {
    let mut reply = String::new();
    if lines.read_line(&mut reply)? == 0 {
        return Err("the daemon hung up".into());
    }
    Ok(reply)
}
