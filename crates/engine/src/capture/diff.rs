//! The difference between two snapshots as git shows it, for people and for `git apply`.

use std::ops::ControlFlow;
use std::path::Path;

use amps_core::path::RawPath;
use amps_core::snapshot::{Oid, Workspace};

use super::CaptureError;
use super::look::native;
use crate::git::{Call, Git};

/// Which difference is wanted, and in which form.
#[derive(Clone, Copy, Debug)]
pub struct Difference<'a> {
    /// The tree before.
    pub from: &'a Oid,
    /// The tree after.
    pub to: &'a Oid,
    /// Only these files and folders, relative to the top of the tree; all when empty.
    pub paths: &'a [RawPath],
    /// Who reads it.
    pub form: DifferenceForm,
}

/// Who reads a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DifferenceForm {
    /// A person: binary files are only named.
    Shown {
        /// Whether in colour.
        in_colour: bool,
    },
    /// `git apply`: everything is in it.
    Whole,
}

/// Hands the difference to a listener piece by piece, until it has heard enough.
pub fn diff(
    git: &Git,
    workspace: &Workspace,
    difference: &Difference<'_>,
    listener: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
) -> Result<(), CaptureError> {
    let form: &[&str] = match difference.form {
        DifferenceForm::Shown { in_colour: true } => &["--color=always"],
        DifferenceForm::Shown { in_colour: false } => &["--color=never"],
        DifferenceForm::Whole => &["--color=never", "--binary", "--full-index"],
    };
    let paths = difference.paths.iter().map(native);
    let call = Call::at(workspace)
        .args(["diff-tree", "-r", "-p", "-M"])
        .args(["--no-ext-diff", "--no-textconv", "--no-relative"])
        .args(["--submodule=short", "--ignore-submodules=none"])
        .args(["--src-prefix=a/", "--dst-prefix=b/"])
        .args(form)
        .args([difference.from.as_str(), difference.to.as_str(), "--"])
        .args(paths);
    let output = git.stream(&call, listener)?;
    match output.status {
        Some(status) if !status.success() => Err(output.into_error(&call, status).into()),
        _ => Ok(()),
    }
}

/// Returns a workspace in which these trees can be compared: the recorded one, or just its
/// repository where the working tree is gone; `None` when the repository or the trees are.
pub fn reach(git: &Git, workspace: &Workspace, trees: &[&Oid]) -> Option<Workspace> {
    let is_folder = |path: &RawPath| Path::new(&native(path)).is_dir();
    let reached = if is_folder(&workspace.root) && is_folder(&workspace.git_dir) {
        workspace.clone()
    } else if is_folder(&workspace.common_dir) {
        Workspace {
            root: workspace.common_dir.clone(),
            git_dir: workspace.common_dir.clone(),
            ..workspace.clone()
        }
    } else {
        return None;
    };
    let has = |tree: &&Oid| {
        let call = Call::at(&reached).args(["cat-file", "-e", tree.as_str()]);
        git.run(&call).is_ok()
    };
    trees.iter().all(has).then_some(reached)
}
