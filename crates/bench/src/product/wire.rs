//! What a launcher says to the daemon, as far as leases need it.

use std::path::{Path, PathBuf};

use amps_core::facts::OpenFacts;
use amps_core::id::{LeaseId, RunId, SessionId};
use amps_core::path::RawPath;
use amps_core::process::ProcessIdentity;
use amps_core::session::Binding;
use amps_engine::{clock::Clock, process};
use amps_proto::codec::{self, encode};
use amps_proto::request::{Envelope, Request};
use amps_proto::response::{Answer, Outcome as Said, Response};
use amps_proto::version::Hello;
use serde::Serialize;

use crate::Outcome;
use crate::leases::LeaseProtocol;

/// Leases that this process holds, in a folder that is never captured, so that nothing but leases
/// is weighed.
#[derive(Debug)]
pub(crate) struct Wire {
    socket: PathBuf,
    owner: ProcessIdentity,
    clock: Clock,
}

impl Wire {
    /// Returns `None` where this process cannot name itself.
    pub(crate) fn new(home: &Path) -> Option<Self> {
        let clock = Clock::default();
        let owner = process::identity(std::process::id(), &clock)?;
        Some(Self {
            socket: home.join("ampd.sock"),
            owner,
            clock,
        })
    }

    fn line<T: Serialize>(message: &T) -> String {
        String::from_utf8_lossy(&encode(message))
            .trim_end()
            .to_owned()
    }
}

/// Returns an id that is unlike the others in all its parts.
fn id(number: usize, kind: u32) -> String {
    let spread = (number as u64).wrapping_mul(2_654_435_761) & 0xffff_ffff;
    format!("{spread:08x}-0000-4000-800{kind}-{number:012x}")
}

fn parsed<T: std::str::FromStr>(number: usize, kind: u32) -> T {
    let Ok(id) = id(number, kind).parse() else {
        unreachable!("the form is that of an id")
    };
    id
}

impl LeaseProtocol for Wire {
    fn socket(&self) -> PathBuf {
        self.socket.clone()
    }

    fn greeting(&self) -> Option<String> {
        Some(Self::line(&Hello::of_this_program(std::process::id())))
    }

    fn open(&self, number: usize) -> String {
        let request = Request::Open(Box::new(OpenFacts {
            session_id: parsed::<SessionId>(number, 0),
            run_id: parsed::<RunId>(number, 1),
            lease_id: parsed::<LeaseId>(number, 2),
            name: None,
            note: None,
            tags: Vec::new(),
            context_ids: Vec::new(),
            binding: Binding::Launcher,
            agent: "bench".to_owned(),
            agent_command: vec!["bench".to_owned()],
            cwd: RawPath::new(*b"/"),
            environment: std::collections::BTreeMap::new(),
            git_environment: std::collections::BTreeMap::new(),
            owner: self.owner.clone(),
            ttl: None,
            transcripts: None,
            at: self.clock.now(),
        }));
        Self::line(&Envelope {
            id: number as u64,
            request,
        })
    }

    fn lease_of(&self, reply: &str) -> Outcome<String> {
        let answer: Answer = codec::read(&mut reply.as_bytes(), codec::MAX_RESPONSE)?;
        match answer.outcome {
            Said::Ok(Response::Opened { generation, .. }) => {
                Ok(format!("{} {generation}", answer.id))
            }
            other => Err(format!("not opened: {other:?}").into()),
        }
    }

    fn beat(&self, lease: &str) -> String {
        let mut parts = lease.split(' ').map(str::parse::<u64>);
        let mut next = || parts.next().and_then(Result::ok).unwrap_or_default();
        let (number, generation) = (next(), next());
        let place = usize::try_from(number).unwrap_or_default();
        let request = Request::Renew {
            session_id: parsed(place, 0),
            lease_id: parsed(place, 2),
            generation,
            at: self.clock.now(),
        };
        Self::line(&Envelope {
            id: number,
            request,
        })
    }
}
