//! `plain-daemon SOCKET STORE`: the yardstick of keeping leases.
//!
//! One thread, one `epoll`. A lease that opens is one row (WAL, synchronous NORMAL), a lease that
//! closes or whose connection ends is one update, a beat is one number in memory. Ends when its
//! standard input does, so it never outlives the benchmark.

use std::{
    collections::HashMap,
    io::{ErrorKind, Read as _, Write as _},
    os::unix::net::{UnixListener, UnixStream},
};

use rusqlite::{Connection, params};
use rustix::{
    buffer::spare_capacity,
    event::epoll::{self, CreateFlags, EventData, EventFlags},
    io::Errno,
    stdio::stdin,
};
use serde::{Deserialize, Serialize};

use crate::{Outcome, clock};

const LISTENER: u64 = 0;
const TETHER: u64 = 1;
const FIRST: u64 = 2;

/// A line from a launcher.
#[derive(Debug, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
enum Request {
    Open { pid: u64, command: String },
    Beat { lease: i64 },
    Close { lease: i64, code: Option<i64> },
}

/// The line that answers it.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Reply {
    /// The lease that was opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lease: Option<i64>,
}

#[derive(Debug)]
struct Client {
    stream: UnixStream,
    pending: Vec<u8>,
    lease: Option<i64>,
}

#[derive(Debug)]
struct Daemon {
    store: Connection,
    beats: HashMap<i64, u64>,
}

/// Runs the subcommand.
pub(crate) fn run(words: &[String]) -> Outcome<u8> {
    let [socket, store] = words else {
        return Err("plain-daemon SOCKET STORE".into());
    };
    let mut daemon = Daemon {
        store: open_store(store)?,
        beats: HashMap::new(),
    };
    let listener = UnixListener::bind(socket)?;
    let poll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(
        &poll,
        &listener,
        EventData::new_u64(LISTENER),
        EventFlags::IN,
    )?;
    epoll::add(&poll, stdin(), EventData::new_u64(TETHER), EventFlags::IN)?;
    let mut clients = HashMap::new();
    let mut next = FIRST;
    let mut events = Vec::with_capacity(256);
    loop {
        events.clear();
        match epoll::wait(&poll, spare_capacity(&mut events), None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in &events {
            match event.data.u64() {
                TETHER => return Ok(0),
                LISTENER => {
                    let (stream, _) = listener.accept()?;
                    stream.set_nonblocking(true)?;
                    epoll::add(&poll, &stream, EventData::new_u64(next), EventFlags::IN)?;
                    clients.insert(
                        next,
                        Client {
                            stream,
                            pending: Vec::new(),
                            lease: None,
                        },
                    );
                    next += 1;
                }
                id => {
                    let open = clients.get_mut(&id).map(|client| daemon.serve(client));
                    if !open.transpose()?.unwrap_or(false) {
                        clients.remove(&id);
                    }
                }
            }
        }
    }
}

fn open_store(path: &str) -> Outcome<Connection> {
    let store = Connection::open(path)?;
    store.pragma_update(None, "journal_mode", "WAL")?;
    store.pragma_update(None, "synchronous", "NORMAL")?;
    store.execute_batch(
        "CREATE TABLE leases (id INTEGER PRIMARY KEY, pid INTEGER NOT NULL, command TEXT NOT NULL,
         opened INTEGER NOT NULL, closed INTEGER, code INTEGER) STRICT",
    )?;
    Ok(store)
}

impl Daemon {
    /// Reads what a client wrote and answers; false when it is gone.
    fn serve(&mut self, client: &mut Client) -> Outcome<bool> {
        let mut buffer = [0; 4096];
        let count = match client.stream.read(&mut buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
            Err(_) => 0,
        };
        if count == 0 {
            if let Some(lease) = client.lease.take() {
                self.close(lease, None)?;
            }
            return Ok(false);
        }
        client
            .pending
            .extend(buffer.get(..count).unwrap_or_default());
        while let Some(end) = client.pending.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = client.pending.drain(..=end).collect();
            let reply = self.answer(serde_json::from_slice(&line)?, &mut client.lease)?;
            let mut reply = serde_json::to_vec(&reply)?;
            reply.push(b'\n');
            if client.stream.write_all(&reply).is_err() {
                return Ok(true); // the end of the connection is read next
            }
        }
        if client.pending.is_empty() {
            client.pending = Vec::new(); // an idle client holds no buffer
        }
        Ok(true)
    }

    fn answer(&mut self, request: Request, held: &mut Option<i64>) -> Outcome<Reply> {
        let now = i64::try_from(clock::now())?;
        let lease = match request {
            Request::Open { pid, command } => {
                self.store
                    .prepare_cached("INSERT INTO leases (pid, command, opened) VALUES (?, ?, ?)")?
                    .execute(params![i64::try_from(pid)?, command, now])?;
                let lease = self.store.last_insert_rowid();
                self.beats.insert(lease, clock::now());
                *held = Some(lease);
                Some(lease)
            }
            Request::Beat { lease } => {
                self.beats.insert(lease, clock::now());
                None
            }
            Request::Close { lease, code } => {
                self.close(lease, code)?;
                *held = None;
                None
            }
        };
        Ok(Reply { lease })
    }

    fn close(&mut self, lease: i64, code: Option<i64>) -> Outcome<()> {
        self.beats.remove(&lease);
        let now = i64::try_from(clock::now())?;
        self.store
            .prepare_cached("UPDATE leases SET closed = ?, code = ? WHERE id = ?")?
            .execute(params![now, code, lease])?;
        Ok(())
    }
}
