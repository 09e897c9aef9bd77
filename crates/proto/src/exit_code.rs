//! Exit codes as documented constants: scripts and orchestrators act on them.

use amps_core::error::ErrorCode;

/// Done. Since 0.1.
pub const DONE: u8 = 0;
/// Understood, but it could not be done; the error code tells why. Since 0.1.
pub const FAILED: u8 = 1;
/// Wrong usage. Since 0.1.
pub const USAGE: u8 = 2;
/// Another one was first: a lease or a claim is lost. Since 0.1.
pub const LOST: u8 = 10;
/// It would overwrite or contradict other work. Since 0.1.
pub const CONFLICT: u8 = 12;
/// Not allowed in this state. Since 0.1.
pub const NOT_ALLOWED: u8 = 13;
/// A defect of amps. Since 0.1.
pub const INTERNAL: u8 = 70;
/// Try again: the daemon cannot be reached or the store is busy. Since 0.1.
pub const TRY_AGAIN: u8 = 75;
/// Launcher only: amps failed before the agent ran. Since 0.1.
pub const LAUNCH_FAILED: u8 = 125;
/// Launcher only: the agent's file cannot be executed. Since 0.1.
pub const NOT_EXECUTABLE: u8 = 126;
/// Launcher only: the agent was not found. Since 0.1.
pub const NOT_FOUND: u8 = 127;

/// Returns the exit code that an error ends a command with.
pub fn of(code: ErrorCode) -> u8 {
    match code {
        ErrorCode::AgentNotFound => NOT_FOUND,
        ErrorCode::AgentNotExecutable => NOT_EXECUTABLE,
        ErrorCode::BadArgument | ErrorCode::Ambiguous => USAGE,
        ErrorCode::NotAllowed => NOT_ALLOWED,
        ErrorCode::WouldOverwrite => CONFLICT,
        ErrorCode::DaemonUnreachable | ErrorCode::DaemonVersion => TRY_AGAIN,
        ErrorCode::Internal => INTERNAL,
        ErrorCode::RepositoryInvalid
        | ErrorCode::StoreDamaged
        | ErrorCode::NotFound
        | ErrorCode::HomeNotWritable
        | ErrorCode::DiskFull
        | ErrorCode::NotCaptured
        | ErrorCode::ConfigInvalid
        | ErrorCode::GitFailed
        | ErrorCode::StoreFailed
        | ErrorCode::FileFailed => FAILED,
    }
}
