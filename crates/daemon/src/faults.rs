//! Errors of the rooms below as faults: which code each has and what to do next.

use amps_core::error::ErrorCode;
use amps_engine::ledger::LedgerError;
use amps_proto::fault::Fault;

use crate::writer::NoAnswer;

/// Returns the fault of a failed store.
pub(crate) fn of_ledger(error: &LedgerError) -> Fault {
    let (code, hint) = match error {
        LedgerError::Damaged(_) => (
            ErrorCode::StoreDamaged,
            "run `amps daemon restart`: the damaged file is kept and what can be read is recovered",
        ),
        LedgerError::Full(_) => (
            ErrorCode::DiskFull,
            "free some space; what is owed is tried again by itself",
        ),
        LedgerError::Busy(_) => (
            ErrorCode::StoreFailed,
            "close the program that holds the database and try again",
        ),
        LedgerError::Newer { .. } => (
            ErrorCode::StoreFailed,
            "install the newer version of amps that wrote this database",
        ),
        LedgerError::Unknown(_) => (ErrorCode::NotFound, "`amps list` shows what there is"),
        LedgerError::Sqlite(_) | LedgerError::Record { .. } => (
            ErrorCode::StoreFailed,
            "the daemon's log tells more: `amps daemon status`",
        ),
    };
    Fault::of(code, error).hint(hint)
}

/// Returns the fault of a store that gave no answer.
pub(crate) fn of_no_answer(error: NoAnswer) -> Fault {
    Fault::of(ErrorCode::Internal, &error).hint("the daemon's log tells more: `amps daemon status`")
}
