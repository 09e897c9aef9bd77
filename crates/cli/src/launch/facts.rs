//! What is told of a session when it is opened.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;

use amps_core::environment;
use amps_core::facts::OpenFacts;
use amps_core::id::{LeaseId, RunId, SessionId};
use amps_core::mask::{mask, mask_command};
use amps_core::path::{RawPath, visible};
use amps_core::process::ProcessIdentity;
use amps_core::session::Binding;
use uuid::Uuid;

use crate::args::LaunchOptions;
use crate::context::Context;
use crate::env;

/// Gathers the facts of an opening. Secrets are masked here, for the spool, and once more by the
/// daemon, which does not rely on its clients.
pub(crate) fn opening(
    context: &Context,
    options: &LaunchOptions,
    agent: &str,
    command: &[OsString],
    (binding, owner): (Binding, ProcessIdentity),
) -> OpenFacts {
    let cwd = env::current_folder().unwrap_or_default();
    OpenFacts {
        session_id: SessionId::new(Uuid::new_v4()),
        run_id: RunId::new(Uuid::new_v4()),
        lease_id: LeaseId::new(Uuid::new_v4()),
        name: options.name.as_deref().map(masked),
        note: options.note.as_deref().map(masked),
        tags: options.tags.iter().map(|tag| masked(tag)).collect(),
        context_ids: options.context_ids.iter().map(|id| masked(id)).collect(),
        binding,
        agent: agent.to_owned(),
        agent_command: mask_command(&command.iter().map(|word| shown(word)).collect::<Vec<_>>()),
        cwd: RawPath::new(cwd.as_os_str().as_bytes()),
        environment: environment::snapshot(context.environment.allowed()),
        git_environment: context.environment.git(),
        owner,
        ttl: context.environment.lease_ttl(),
        at: context.clock.now(),
    }
}

fn masked(text: &str) -> String {
    mask(text).into_owned()
}

/// Arguments are kept as text; what is not text is shown escaped.
fn shown(word: &std::ffi::OsStr) -> String {
    match word.to_str() {
        Some(text) => text.to_owned(),
        None => visible(&RawPath::new(word.as_bytes()).to_string()),
    }
}
