//! The runner: the process that runs the iterations of a worktree session, one after another.

use std::io::{self, Read as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use amps_core::error::ErrorCode;
use amps_core::iteration::Verdict;
use amps_engine::exec::start_and_pass_on;
use amps_proto::fault::Fault;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::signal::{SIGINT, SIGTERM};

use super::journal::{self, Journal, Told};
use super::one;
use super::order::{Order, Report};
use crate::context::Context;
use crate::error::Failure;
use crate::{Outcome, apart, env};

/// The words by which this program is a runner.
const RUN: [&str; 2] = ["iteration", "run"];

/// Starts a runner that is nobody's child, and leaves.
pub(crate) fn start_runner() -> Outcome {
    start_and_pass_on(&env::own_program(), &RUN)
        .map_err(|error| Failure::of(ErrorCode::Internal, &error))?;
    Ok(ExitCode::SUCCESS)
}

/// Runs the iterations that are asked for on standard input.
pub(crate) fn be_runner(context: &Context) -> Outcome {
    let mut order = Vec::new();
    io::stdin().read_to_end(&mut order)?;
    let order: Order = serde_json::from_slice(&order)
        .map_err(|error| Failure::of(ErrorCode::BadArgument, &error))?;
    let unit = format!(
        "amps-iteration-{}-{}.scope",
        order.session_id,
        std::process::id()
    );
    let warnings = apart::leave_login_session(context, &unit)
        .into_iter()
        .collect();
    let stop = match hear_stop() {
        Ok(stop) => stop,
        Err(error) => return refuse(Failure::of(ErrorCode::Internal, &error)),
    };
    let mut asker = Asker { warnings, last: 0 };
    let mut begun = |number| asker.tell(number);
    match run(context, &order, &stop, &mut begun) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(failure) if asker.last > 0 => tell_refusal(context, &order, asker.last, failure),
        Err(failure) => refuse(failure),
    }
}

/// Who waits until the first iteration has begun.
struct Asker {
    warnings: Vec<String>,
    /// The iteration that began last; 0 before the first.
    last: u32,
}

impl Asker {
    fn tell(&mut self, number: u32) {
        let is_first = self.last == 0;
        self.last = number;
        if is_first {
            let warnings = std::mem::take(&mut self.warnings);
            // Who asked may have left.
            apart::report(&Report::Begun { number, warnings }).ok();
        }
    }
}

/// Tells those who follow that the next iteration cannot begin.
fn tell_refusal(context: &Context, order: &Order, last: u32, failure: Failure) -> Outcome {
    let home = context.home()?;
    let fault = fault_of(failure);
    let mut journal = Journal::begin(&journal::path(&home, order.session_id, last + 1));
    let told = Told::Refused {
        fault: Box::new(fault.clone()),
    };
    journal.tell(context.clock.now().at, told);
    Err(fault.into())
}

fn fault_of(failure: Failure) -> Fault {
    match failure {
        Failure::Fault(fault) => *fault,
        Failure::Launch(_) | Failure::BrokenPipe => {
            Fault::new(ErrorCode::Internal, "the iteration could not begin")
        }
    }
}

fn refuse(failure: Failure) -> Outcome {
    let fault = fault_of(failure);
    apart::report(&Report::Refused { fault })?;
    Ok(ExitCode::SUCCESS)
}

/// Returns what becomes readable when somebody asks this process to end.
fn hear_stop() -> io::Result<UnixStream> {
    let (stop, told) = UnixStream::pair()?;
    for signal in [SIGINT, SIGTERM] {
        signal_hook::low_level::pipe::register(signal, told.try_clone()?)?;
    }
    Ok(stop)
}

fn run(
    context: &Context,
    order: &Order,
    stop: &UnixStream,
    begun: &mut dyn FnMut(u32),
) -> Result<(), Failure> {
    let mut prompt = order.prompt.clone();
    let most = order.count.max(1);
    for number in 1..=most {
        let goes_on = |verdict| number < most && follows(order, verdict) && !is_asked_to_end(stop);
        let order = (order, prompt.take());
        if !one::iterate(context, order, stop.as_fd(), begun, &goes_on)? {
            break;
        }
    }
    Ok(())
}

/// Returns whether somebody has asked this process to end.
fn is_asked_to_end(stop: &UnixStream) -> bool {
    let mut fds = [PollFd::new(stop, PollFlags::IN)];
    poll(&mut fds, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
}

/// Returns whether another iteration is wanted after one that ended so.
fn follows(order: &Order, verdict: Verdict) -> bool {
    match verdict {
        Verdict::Passed => !order.until_pass,
        Verdict::GateFailed => order.until_pass,
        Verdict::AgentFailed
        | Verdict::TimedOut
        | Verdict::Stopped
        | Verdict::Lost
        | Verdict::NotCommitted => false,
    }
}
