//! Where the work of a branch may be sent.

use amps_core::landing::Refusal;

use super::branch::{short, unexpected};
use super::{Ground, LandingError};
use crate::git::{Call, Git, GitError};

/// Another repository that this one knows by a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// The name.
    pub name: String,
    /// Where it is pushed to.
    pub address: String,
}

/// Finds a remote: the one of this name, or else the one that the base is pulled from, `origin`, or
/// the only one.
///
/// [`Refusal::NoRemote`] says that there is none, or several and none to prefer.
pub fn remote(git: &Git, ground: &Ground, name: Option<&str>) -> Result<Remote, LandingError> {
    let answer = git.run(&ground.call().arg("remote"))?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let names: Vec<&str> = answer.lines().collect();
    let found = match name {
        Some(name) => names.contains(&name).then_some(name.to_owned()),
        None => preferred(git, ground, &names)?,
    };
    let Some(found) = found else {
        let name = name.map(str::to_owned);
        return Err(Refusal::NoRemote { name }.into());
    };
    let call = as_person(ground).args(["remote", "get-url", "--push", &found]);
    let answer = git.run(&call)?;
    let address = std::str::from_utf8(&answer).map_err(|_| unexpected(&call, &answer))?;
    Ok(Remote {
        name: found,
        address: address.trim_end_matches('\n').to_owned(),
    })
}

fn preferred(git: &Git, ground: &Ground, names: &[&str]) -> Result<Option<String>, GitError> {
    let key = format!("branch.{}.remote", short(&ground.base_ref));
    let output = git.output(&as_person(ground).args(["config", "--get", &key]))?;
    let configured = String::from_utf8_lossy(&output.stdout);
    let wanted = [configured.trim_end_matches('\n'), "origin"];
    let wanted = wanted.into_iter().find(|name| names.contains(name));
    let only = || match names {
        [name] => Some(*name),
        _ => None,
    };
    Ok(wanted.or_else(only).map(str::to_owned))
}

/// Addresses may be rewritten by what the person has configured.
fn as_person(ground: &Ground) -> Call<'static> {
    ground.call().as_person()
}
