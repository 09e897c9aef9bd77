//! What a runner is asked for, and what it says of it.

use std::io::{BufRead as _, BufReader};

use amps_core::error::ErrorCode;
use amps_core::id::SessionId;
use amps_engine::exec::start_by_messenger;
use amps_proto::fault::Fault;
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::error::Failure;
use crate::{env, output};

/// The words by which this program starts a runner and leaves.
const START: [&str; 2] = ["iteration", "start"];

/// What a runner is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    /// The worktree session.
    pub(crate) session_id: SessionId,
    /// What the agent is asked; `None` for what follows from the session.
    pub(crate) prompt: Option<String>,
    /// What a person notes of it.
    pub(crate) notes: Option<String>,
    /// The model, instead of the session's.
    pub(crate) model: Option<String>,
    /// How many iterations at most.
    pub(crate) count: u32,
    /// Whether to go on until the gate passes, and no further.
    pub(crate) until_pass: bool,
}

/// What a runner says, once, when its first iteration has begun or cannot begin.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Report {
    /// It has begun.
    Begun {
        /// Its number.
        number: u32,
        /// What the person should know.
        warnings: Vec<String>,
    },
    /// It cannot begin.
    Refused {
        /// Why.
        fault: Fault,
    },
}

/// Starts a runner, and returns the number of its first iteration once that has begun.
pub(crate) fn start(context: &Context, order: &Order) -> Result<u32, Failure> {
    let home = context.home()?;
    home.create()
        .map_err(|error| Failure::of(ErrorCode::HomeNotWritable, &error))?;
    let order = serde_json::to_vec(order).expect("an order has no failing serialisers");
    let log = home.iterations_log();
    let said = start_by_messenger(&env::own_program(), &START, &order, &log)
        .map_err(|error| Failure::of(ErrorCode::Internal, &error))?;
    let mut line = String::new();
    let read = BufReader::new(said).read_line(&mut line);
    match read.ok().and_then(|_| serde_json::from_str(&line).ok()) {
        Some(Report::Begun { number, warnings }) => {
            for warning in warnings {
                output::say(&format!("amps: {warning}"));
            }
            Ok(number)
        }
        Some(Report::Refused { fault }) => Err(fault.into()),
        None => Err(
            Fault::new(ErrorCode::Internal, "what runs the iteration ended at once")
                .hint(format!("its log is {}", log.display()))
                .into(),
        ),
    }
}
