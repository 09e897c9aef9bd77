//! Exit codes as documented constants: scripts and orchestrators act on them.

use amps_core::error::ErrorCode;

macro_rules! codes {
    ($(#[doc = $doc:literal] $name:ident = $code:literal;)*) => {
        $(#[doc = $doc] pub const $name: u8 = $code;)*

        /// All codes with what each means, in the order of their numbers.
        pub const ALL: &[(u8, &str)] = &[$(($code, $doc)),*];
    };
}

codes! {
    /// Done. Since 0.1.
    DONE = 0;
    /// Understood, but it could not be done; the error code tells why. Since 0.1.
    FAILED = 1;
    /// Wrong usage. Since 0.1.
    USAGE = 2;
    /// Another one was first: a lease or a claim is lost. Since 0.1.
    LOST = 10;
    /// The gate did not pass, or judged something else than what is to be merged. Since 0.1.
    GATE_FAILED = 11;
    /// It would overwrite or contradict other work. Since 0.1.
    CONFLICT = 12;
    /// Not allowed in this state. Since 0.1.
    NOT_ALLOWED = 13;
    /// A defect of amps. Since 0.1.
    INTERNAL = 70;
    /// Try again: the daemon cannot be reached or the store is busy. Since 0.1.
    TRY_AGAIN = 75;
    /// Launcher only: amps failed before the agent ran. Since 0.1.
    LAUNCH_FAILED = 125;
    /// Launcher only: the agent's file cannot be executed. Since 0.1.
    NOT_EXECUTABLE = 126;
    /// Launcher only: the agent was not found. Since 0.1.
    NOT_FOUND = 127;
}

/// Returns the exit code that an error ends a command with.
pub fn of(code: ErrorCode) -> u8 {
    match code {
        ErrorCode::AgentNotFound => NOT_FOUND,
        ErrorCode::AgentNotExecutable => NOT_EXECUTABLE,
        ErrorCode::BadArgument | ErrorCode::Ambiguous => USAGE,
        ErrorCode::NotAllowed => NOT_ALLOWED,
        ErrorCode::GateNotPassed => GATE_FAILED,
        ErrorCode::WouldOverwrite | ErrorCode::Conflict => CONFLICT,
        ErrorCode::DaemonUnreachable | ErrorCode::DaemonVersion | ErrorCode::HostUnreachable => {
            TRY_AGAIN
        }
        ErrorCode::KeyboardTaken | ErrorCode::Held => LOST,
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
        | ErrorCode::FileFailed
        | ErrorCode::ProcessUnfit
        | ErrorCode::WorktreeFailed => FAILED,
    }
}
