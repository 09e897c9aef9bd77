//! `amps reference`: the pages of `docs/reference`, made of what the program itself goes by.

use std::process::ExitCode;
use std::time::Duration;

use amps_core::error::ErrorCode;
use amps_engine::config::{Config, GroundsConfig, VARIABLES};
use amps_engine::files;
use amps_proto::exit_code;
use clap::{Arg, ArgAction, Command, CommandFactory as _};

use crate::Outcome;
use crate::args::{Cli, ReferenceArgs};
use crate::env::NAMES;
use crate::error::Failure;
use crate::output;

const NOTICE: &str = "<!-- Written by `amps reference`; a test compares it. -->\n\n";

/// Writes the pages.
pub(crate) fn run(args: &ReferenceArgs) -> Outcome {
    let failed = |error| Failure::of(ErrorCode::FileFailed, &error);
    std::fs::create_dir_all(&args.out)?;
    for (name, text) in [
        ("commands.md", commands()),
        ("configuration.md", configuration()),
        ("environment.md", environment()),
        ("errors.md", errors()),
        ("exit-codes.md", exit_codes()),
    ] {
        files::replace(&args.out.join(name), text.as_bytes(), 0o644).map_err(failed)?;
    }
    output::say(&format!("reference written to {}", args.out.display()));
    Ok(ExitCode::SUCCESS)
}

fn commands() -> String {
    let mut root = Cli::command();
    root.build();
    let mut text = format!("# Commands\n\n{NOTICE}");
    describe(&root, &mut Vec::new(), &mut text);
    text
}

fn describe(command: &Command, above: &mut Vec<String>, text: &mut String) {
    above.push(command.get_name().to_owned());
    let name = above.join(" ");
    if above.len() > 1 {
        text.extend([format!("\n## `{name}`\n\n")]);
    }
    let about = command.get_long_about().or(command.get_about());
    if let Some(about) = about {
        let about = about.to_string();
        text.extend([about.trim_end_matches('.'), ".\n"]);
    }
    let usage = command.clone().render_usage().to_string();
    let usage: Vec<&str> = usage
        .lines()
        .map(|line| line.trim_start_matches("Usage:").trim())
        .collect();
    text.extend([format!("\n```text\n{}\n```\n", usage.join("\n"))]);
    let arguments: Vec<&Arg> = command
        .get_arguments()
        .filter(|arg| !arg.is_hide_set() && !matches!(arg.get_id().as_str(), "help" | "version"))
        .collect();
    if !arguments.is_empty() {
        text.push_str("\n| argument | meaning |\n|---|---|\n");
    }
    for argument in arguments {
        text.extend([format!(
            "| `{}` | {} |\n",
            form(argument),
            meaning(argument)
        )]);
    }
    if let Some(after) = command.get_after_help() {
        text.extend([format!("\n{after}\n")]);
    }
    for inner in command
        .get_subcommands()
        .filter(|inner| !inner.is_hide_set())
    {
        describe(inner, above, text);
    }
    above.pop();
}

fn form(argument: &Arg) -> String {
    let values: Vec<String> = argument
        .get_value_names()
        .unwrap_or_default()
        .iter()
        .map(|value| value.as_str().replace('|', "\\|"))
        .collect();
    let value = values.join(" ");
    let takes_value = matches!(argument.get_action(), ArgAction::Set | ArgAction::Append);
    let long = argument.get_long().map(|long| format!("--{long}"));
    let short = argument.get_short().map(|short| format!("-{short}"));
    let names: Vec<String> = short.into_iter().chain(long).collect();
    match (names.is_empty(), takes_value) {
        (true, _) => value,
        (false, true) => format!("{} {value}", names.join(", ")),
        (false, false) => names.join(", "),
    }
}

fn meaning(argument: &Arg) -> String {
    let help = argument.get_long_help().or(argument.get_help());
    let mut text = help.map(ToString::to_string).unwrap_or_default();
    let takes_value = matches!(argument.get_action(), ArgAction::Set | ArgAction::Append);
    let possible: Vec<String> = argument
        .get_possible_values()
        .iter()
        .map(|value| format!("`{}`", value.get_name()))
        .collect();
    if takes_value && !possible.is_empty() {
        text.extend([format!("; one of {}", possible.join(", "))]);
    }
    let defaults: Vec<String> = argument
        .get_default_values()
        .iter()
        .map(|value| format!("`{}`", value.to_string_lossy()))
        .collect();
    if takes_value && !defaults.is_empty() {
        text.extend([format!("; default {}", defaults.join(", "))]);
    }
    text.replace('\n', " ").replace('|', "\\|")
}

fn configuration() -> String {
    let mut text = format!(
        "# Configuration\n\n{NOTICE}`config.yaml` in the home (`~/.ampsm`, or the folder that \
         `AMPSM_CONFIG_DIR` names) sets these keys. The variable of the environment that stands for \
         a key overrides the file. Durations are written `500ms`, `30s`, `5m`, `2h`; sizes `64KiB`, \
         `4MiB`.\n\n| key | variable | default | meaning |\n|---|---|---|---|\n"
    );
    for (variable, key) in VARIABLES {
        let (default, meaning) = key_meaning(key);
        text.extend([format!(
            "| `{key}` | `{variable}` | {default} | {meaning} |\n"
        )]);
    }
    text.push_str(
        "\n```yaml\nlease:\n  ttl: 30s\ncapture:\n  max_file_size: 64MiB\nworktree:\n  copy: ['*.env']\n  \
         link: [node_modules]\n  setup: [make deps]\n```\n\n`worktree.copy` and `worktree.link` are \
         lists of patterns, as in `.gitignore`, of ignored files that a new worktree gets from the one \
         it was asked for in; `worktree.setup` and `worktree.teardown` are lists of commands.\n\nAn unknown key in \
         these sections and a value of the wrong form are errors (`E021`) that name their line.\n",
    );
    text
}

/// Returns the default of a key, read from the program, and what it does.
fn key_meaning(key: &str) -> (String, &'static str) {
    let config = Config::default();
    let (limits, hold) = (&config.capture, &config.hold);
    let (default, meaning) = match key {
        "database.path" => (
            "`sessions.db` in the home".to_owned(),
            "where the database lies",
        ),
        "lease.ttl" => (
            duration(config.lease_ttl),
            "the time without a sign of life after which a session is given up whose owner cannot \
             be looked at",
        ),
        "capture.hold" => (
            duration(limits.hold),
            "how long the launch of an agent may wait for the snapshot before it",
        ),
        "capture.exit_hold" => (
            duration(limits.exit_hold),
            "how long the prompt may wait for the snapshot after it",
        ),
        "capture.max_file_size" => (
            size(limits.max_file_size),
            "larger untracked files are named and not kept",
        ),
        "capture.max_folder_files" => (
            format!("`{}`", limits.max_folder_files),
            "a folder in no repository with more files than this is not captured",
        ),
        "capture.max_patch_size" => (
            size(u64::try_from(limits.max_patch_size).unwrap_or(u64::MAX)),
            "how much of the patch is kept in the store, before compression",
        ),
        "hold.detach" => (
            format!("`{}`", hold.detach.as_deref().unwrap_or_default()),
            "the keys that detach from a held session; `none` for none",
        ),
        "hold.scrollback" => (
            format!("`{}`", hold.scrollback),
            "how many lines a held session keeps of what has left the screen",
        ),
        "record.mode" => (
            "`never`".to_owned(),
            "`always` records every session that passes through us; `record: always` is short for it",
        ),
        "record.max_size" => (
            size(config.record.limits.max_size),
            "the most that one recording takes on the disk; at its limit the oldest part goes",
        ),
        "agent.default" => (
            "the first that is installed".to_owned(),
            "the agent that iterates if none is named",
        ),
        "agent.timeout" => (
            duration(config.agents.timeout),
            "how long an agent, or a gate, may take",
        ),
        "agent.grace" => (
            duration(config.agents.grace),
            "how long one may take to end when it is told to, before it is killed",
        ),
        "checkpoint.every" => (
            config.checkpoint.every.map_or_else(String::new, duration),
            "how often the tree of an open session is looked at for a checkpoint; `off` for never. \
             A look that takes long is followed by a hundred times as long without one",
        ),
        "checkpoint.max" => (
            format!("`{}`", config.checkpoint.most),
            "the most checkpoints that one session keeps",
        ),
        _ => return ground_meaning(&config.grounds, key),
    };
    (default, meaning)
}

/// Returns the same for the keys about worktrees.
fn ground_meaning(grounds: &GroundsConfig, key: &str) -> (String, &'static str) {
    let furnish = &grounds.furnish;
    match key {
        "git.worktree_dir" => (
            format!("`{}`", grounds.worktree_dir.display()),
            "where worktrees are made, seen from the top of the repository; in a bare one beside its \
             references",
        ),
        "git.default_base_branch" => (
            format!("`{}`", grounds.default_base),
            "the branch to begin from where you are on none",
        ),
        "worktree.max_copy" => (
            size(furnish.max_copy),
            "the most that is copied into a new worktree; what the file system can share does not count",
        ),
        "worktree.timeout" => (
            duration(furnish.timeout),
            "how long each command of setup and teardown may take",
        ),
        "worktree.ports" => (
            format!("`{}`", furnish.ports),
            "how many ports each session has for itself; `0` for none",
        ),
        "worktree.first_port" => (
            format!("`{}`", furnish.first_port),
            "the port from which they are given out",
        ),
        "trash.keep" => (
            format!("`{}d`", grounds.trash_keep.as_secs() / 86_400),
            "how long a worktree stays in the trash",
        ),
        _ => (String::new(), ""),
    }
}

fn duration(duration: Duration) -> String {
    match duration.subsec_millis() {
        0 => format!("`{}s`", duration.as_secs()),
        _ => format!("`{}ms`", duration.as_millis()),
    }
}

fn size(bytes: u64) -> String {
    format!("`{}MiB`", bytes >> 20)
}

fn environment() -> String {
    let mut text = format!(
        "# Environment variables\n\n{NOTICE}A variable that is empty counts as not set.\n\n\
         | variable | meaning |\n|---|---|\n"
    );
    for (name, meaning) in NAMES {
        text.extend([format!("| `{name}` | {meaning} |\n")]);
    }
    text.extend([format!(
        "\nThe launcher sets `{}` for an agent: the id of its session.\n",
        amps_engine::process::SESSION_VARIABLE
    )]);
    text
}

fn errors() -> String {
    let mut text = format!(
        "# Errors\n\n{NOTICE}Every error that a person can meet has a code that never changes its \
         meaning. `amps explain E010` prints its page.\n\n| code | error | exit code |\n|---|---|---|\n"
    );
    for code in ErrorCode::ALL {
        text.extend([format!(
            "| [{code}](../errors/{code}.md) | {} | {} |\n",
            code.title(),
            exit_code::of(*code)
        )]);
    }
    text
}

fn exit_codes() -> String {
    let mut text = format!("# Exit codes\n\n{NOTICE}| exit | meaning |\n|---|---|\n");
    for (code, meaning) in exit_code::ALL {
        text.extend([format!("| {code} | {} |\n", meaning.trim())]);
    }
    text.push_str(
        "| 128 + n | ended by signal n; 141 when the reader of the output has left |\n\
         | other | launcher only: the agent's own code, unchanged |\n",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_and_every_variable_is_described() {
        for (variable, key) in VARIABLES {
            assert!(!key_meaning(key).1.is_empty(), "{key}");
            assert!(
                NAMES.iter().any(|(name, _)| *name == variable),
                "{variable}"
            );
        }
    }
}
