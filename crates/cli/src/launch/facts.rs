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

/// Gathers the facts of an opening. The daemon masks secrets before it stores them and does not
/// rely on its clients; [`masked`] is for facts that go into the spool.
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
        name: options.name.clone(),
        note: options.note.clone(),
        tags: options.tags.clone(),
        context_ids: options.context_ids.clone(),
        binding,
        agent: agent.to_owned(),
        agent_command: command.iter().map(|word| shown(word)).collect(),
        cwd: RawPath::new(cwd.as_os_str().as_bytes()),
        environment: context.environment.allowed(),
        git_environment: context.environment.git(),
        owner,
        ttl: context.environment.lease_ttl(),
        transcripts: context.environment.transcripts(agent),
        at: context.clock.now(),
    }
}

/// Returns the facts with every known secret masked. Not on the way of a launch: compiling the
/// shapes of secrets takes as long as the rest of it.
pub(super) fn masked(facts: &OpenFacts) -> OpenFacts {
    let text = |text: &String| mask(text).into_owned();
    OpenFacts {
        name: facts.name.as_ref().map(text),
        note: facts.note.as_ref().map(text),
        tags: facts.tags.iter().map(text).collect(),
        context_ids: facts.context_ids.iter().map(text).collect(),
        agent_command: mask_command(&facts.agent_command),
        environment: environment::snapshot(facts.environment.clone()),
        ..facts.clone()
    }
}

/// Arguments are kept as text; what is not text is shown escaped.
fn shown(word: &std::ffi::OsStr) -> String {
    match word.to_str() {
        Some(text) => text.to_owned(),
        None => visible(&RawPath::new(word.as_bytes()).to_string()),
    }
}
