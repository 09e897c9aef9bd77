//! A place of its own beside the login session, asked for where systemd rules: a program stands in
//! for `busctl`, a file for the manager's socket.

use amps_testkit::{Home, Output, PATIENCE};

use crate::record::{AMPS, home, settled};

/// Makes a home of a person whose service manager listens, and a `busctl` that does as told. It
/// tells what it was called with, and whether an agent had been started by then.
fn managed(busctl: &str) -> Home {
    let home = home();
    let listens =
        "mkdir -p \"$XDG_RUNTIME_DIR/systemd\" && touch \"$XDG_RUNTIME_DIR/systemd/private\"";
    home.command("sh", ["-c", listens]).run().ok();
    let script = format!(
        "test -e \"$HOME/ran\" && echo the agent came first >> \"$HOME/told\"\n\
         printf '%s\\n' \"$@\" >> \"$HOME/told\"\n{busctl}"
    );
    home.install_script("busctl", &script);
    home
}

/// Holds an agent, asserts that it ran to its end, and returns what was said of it and its session.
#[track_caller]
fn run_held(home: &Home) -> (Output, String) {
    let agent = ["--detach", "sh", "-c", "touch ran; exit 4"];
    let output = home.amps(agent).run().ok();
    let id = output.stdout_text().trim().to_owned();
    let record = settled(home, &id);
    assert_eq!(record["runs"][0]["exit_code"], 4, "{record:#}");
    (output, id)
}

#[track_caller]
fn told(home: &Home) -> String {
    std::fs::read_to_string(home.home_dir().join("told")).unwrap_or_default()
}

#[test]
fn a_manager_is_asked_for_a_scope_of_the_host_before_the_agent_starts() {
    let home = managed("exit 0");
    let (_, id) = run_held(&home);
    let record = home.amps(["show", "--json", &id]).run().ok().json();
    let host = record["runs"][0]["lease"]["owner_pid"].to_string();
    let told = told(&home).replace(&id, "ID").replace(&host, "HOST");
    insta::assert_snapshot!(told, @r"
    --user
    --timeout=1
    call
    org.freedesktop.systemd1
    /org/freedesktop/systemd1
    org.freedesktop.systemd1.Manager
    StartTransientUnit
    ssa(sv)a(sa(sv))
    amps-ID.scope
    fail
    3
    PIDs
    au
    1
    HOST
    Description
    s
    An agent held by amps
    CollectMode
    s
    inactive-or-failed
    0
    ");
}

#[test]
fn a_manager_that_gives_no_scope_keeps_no_agent_from_running() {
    for (busctl, why) in [
        ("exit 1", "busctl ended with exit status: 1"),
        (
            "exec tail -f /dev/null",
            "the service manager did not answer in time",
        ),
        (
            "exit 0",
            "the service manager did not move the process in time",
        ),
    ] {
        let home = managed(busctl);
        let (output, _) = run_held(&home);
        let warning = format!(
            "amps: when you log out, systemd may end this session: it has no scope of its own ({why})\n"
        );
        let said = output.stderr_text();
        assert!(said.starts_with(&warning), "{busctl}: {said}");
    }
}

#[test]
fn without_busctl_an_agent_is_held_with_a_warning() {
    let mut home = managed("exit 0");
    std::fs::remove_file(home.bin_dir().join("busctl")).unwrap();
    let link = "for name in git sh touch; do ln -s \"$(command -v $name)\" \"$0/$name\"; done";
    home.command("sh", ["-c", link])
        .arg(home.bin_dir())
        .run()
        .ok();
    let path = home.bin_dir();
    home.set_env("PATH", path);
    let (output, _) = run_held(&home);
    let said = output.stderr_text();
    assert!(
        said.contains("no scope of its own (busctl: No such file or directory"),
        "{said}"
    );
}

#[test]
fn without_a_manager_and_for_agents_of_this_terminal_alone_nobody_is_asked() {
    let home = managed("exit 1");
    let mut terminal = home.amps(["--record", "sh", "-c", "touch ran"]).terminal();
    terminal.wait_exit(PATIENCE);
    assert!(
        !terminal.contents().contains("scope"),
        "{}",
        terminal.contents()
    );
    std::fs::remove_dir_all(home.path("run/systemd")).unwrap();
    let (output, _) = run_held(&home);
    assert!(
        !output.stderr_text().contains("scope"),
        "{}",
        output.stderr_text()
    );
    assert_eq!(told(&home), "");
}

#[test]
fn who_does_not_linger_is_told_that_logging_out_ends_the_session() {
    // What the kernel tells of the host's place is what the manager would have made of it.
    let moved = "for word in \"$@\"; do case $word in amps-*) unit=$word;; esac; done\n\
                 echo \"0::/user.slice/$unit\" > \"$HOME/cgroup\"\n\
                 mount --bind \"$HOME/cgroup\" /proc/$PPID/cgroup";
    for lingers in [false, true] {
        let home = managed(moved);
        let linger = if lingers {
            "mkdir -p /var/lib/systemd/linger/tester"
        } else {
            ":"
        };
        let script = format!(
            "mount -t tmpfs tmpfs /var/lib && {linger} && \
             {AMPS} --name mine --detach sh -c 'touch ran; exit 4'; \
             {AMPS} wait mine; {AMPS} daemon stop"
        );
        let words = ["--mount", "--map-root-user", "sh", "-c", &script];
        let output = home.command("unshare", words).run().ok();
        let said = output.stderr_text();
        let warning =
            "when you log out, systemd ends this session; `loginctl enable-linger` keeps it";
        assert_eq!(said.contains(warning), !lingers, "{}", output.text());
        assert!(!said.contains("no scope"), "{}", output.text());
        assert!(home.home_dir().join("ran").exists());
    }
}
