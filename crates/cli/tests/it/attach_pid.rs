//! Programs that already run are given a session, which ends with them.

use std::fs;

use amps_testkit::{Home, Output, PATIENCE, Repo, Running, Signal, process, wait};
use serde_json::Value;

use crate::record::{AMPS, changes, home, ids, is_final, newest};

/// A program that was started without us, and has written one file.
struct Scene {
    home: Home,
    repo: Repo,
    agent: Running,
}

fn scene() -> Scene {
    scene_in(home())
}

fn scene_in(home: Home) -> Scene {
    let repo = home.repo("work");
    let script = [
        "write before.txt one",
        "touch ready",
        "wait-for go",
        "write made.txt two",
        "append before.txt more",
        "exit 3",
    ];
    home.install_agent("claude", &script);
    let agent = home.command("claude", ["--resume"]).env("CI", "yes");
    let agent = agent.cwd(repo.path()).start();
    wait::for_file(&repo.file("ready"), PATIENCE);
    Scene { home, repo, agent }
}

impl Scene {
    /// Gives the program a session, typed somewhere else.
    fn attach(&self) -> Output {
        attach(&self.home, self.agent.pid())
    }
}

fn attach(home: &Home, pid: i32) -> Output {
    home.amps(["attach-pid", &pid.to_string()]).run()
}

/// Waits for the end of a process, which its parent has not asked for.
fn wait_ended(pid: i32) {
    wait::until("the end", PATIENCE, || {
        process::stat(pid)
            .is_none_or(|stat| stat.has_ended())
            .then_some(())
    });
}

#[test]
fn a_program_that_runs_is_given_a_session_that_ends_with_it() {
    let scene = scene();
    let pid = scene.agent.pid().to_string();
    let words = ["attach-pid", &pid, "--name", "late", "--note", "why"];
    let more = ["--tag", "bug", "--context", "doc-1", "--json"];
    let opened = scene.home.amps(words).args(more).run().ok().json();
    assert_eq!(opened["status"], "active");
    scene.repo.write("go", "");
    let record = newest(&scene.home);
    assert_eq!(record["session_id"], opened["session_id"]);
    assert_eq!(record["binding"], "process");
    assert_eq!(record["status"], "aborted");
    assert_eq!(record["status_reason"], "exited-non-zero");
    assert_eq!(record["evidence"]["kind"], "pidfd_exit");
    assert_eq!(record["runs"][0]["exit_code"], 3);
    assert_eq!(
        changes(&record),
        ["M before.txt", "A go", "A made.txt"],
        "what was done before is in the base"
    );
    assert_eq!(record["agent"], "claude");
    assert_eq!(
        record["agent_command"],
        serde_json::json!(["claude", "--resume"])
    );
    assert_eq!(record["environment_snapshot"]["CI"], "yes");
    assert_eq!(
        record["environment_snapshot"]["GIT_AUTHOR_NAME"],
        Value::Null
    );
    assert_eq!(record["name"], "late");
    assert_eq!(record["notes"][0]["text"], "why");
    assert_eq!(record["tags"][0], "bug");
    assert_eq!(record["runs"][0]["context_ids"][0], "doc-1");
    let shown = scene.home.amps(["show"]).run().ok().stdout_text();
    let attached = format!("to pid {pid}, which had been running since ");
    assert!(shown.contains(&attached), "{shown}");
    let log = scene.home.amps(["log"]).run().ok().stdout_text();
    assert!(log.contains("attached to pid"), "{log}");
    let explained = scene.home.amps(["explain"]).run().ok().stdout_text();
    assert!(
        explained.contains("exited, and showed exit code 3"),
        "{explained}"
    );
    drop(scene.agent.wait(PATIENCE).code(3));
}

#[test]
fn a_success_completes_and_a_killed_program_is_aborted() {
    for (end, status, reason) in [
        ("exit 0", "completed", "exited"),
        ("kill-self KILL", "aborted", "killed-by-signal"),
    ] {
        let home = home();
        let folder = home.folder("plain");
        let agent = home.fake_agent(["touch ready", "wait-for go", end]);
        let agent = agent.cwd(&folder).start();
        wait::for_file(&folder.join("ready"), PATIENCE);
        attach(&home, agent.pid()).ok();
        home.command("touch", [folder.join("go")]).run().ok();
        let record = newest(&home);
        assert_eq!(record["status"], status);
        assert_eq!(record["status_reason"], reason);
        assert_eq!(changes(&record), ["A go"]);
        drop(agent);
    }
}

#[test]
fn an_exit_that_only_the_parent_was_told_is_not_guessed() {
    let scene = scene();
    scene.attach().ok();
    let daemon = scene.home.daemon().wait_alive(PATIENCE);
    process::send(daemon, Signal::STOP);
    process::wait_stopped(daemon, PATIENCE);
    scene.repo.write("go", "");
    drop(scene.agent.wait(PATIENCE).code(3));
    process::send(daemon, Signal::CONT);
    let record = newest(&scene.home);
    assert_eq!(record["status"], "disconnected");
    assert_eq!(record["status_reason"], "process-ended");
    assert_eq!(record["evidence"]["kind"], "pidfd_exit");
    assert_eq!(record["runs"][0]["exit_code"], Value::Null);
    assert!(changes(&record).contains(&"A made.txt".to_owned()));
    let explained = scene.home.amps(["explain"]).run().ok().stdout_text();
    assert!(
        explained.contains("only the parent was told how"),
        "{explained}"
    );
}

#[test]
fn a_restarted_daemon_goes_on_watching_the_process() {
    let scene = scene();
    scene.attach().ok();
    scene.home.amps(["daemon", "restart"]).run().ok();
    let show = scene.home.amps(["show", "--no-wait", "--json"]);
    assert_eq!(show.run().ok().json()["status"], "active");
    scene.agent.signal(Signal::KILL);
    let record = newest(&scene.home);
    assert_eq!(record["status"], "aborted");
    assert_eq!(record["evidence"]["kind"], "pidfd_exit");
    assert_eq!(record["runs"][0]["exit_signal"], 9);
}

#[test]
fn a_process_that_died_while_no_daemon_ran_is_found_dead() {
    let scene = scene();
    scene.attach().ok();
    scene.home.daemon().kill();
    scene.agent.signal(Signal::KILL);
    drop(scene.agent.wait(PATIENCE));
    let record = newest(&scene.home);
    assert_eq!(record["status"], "disconnected");
    assert_eq!(record["status_reason"], "process-ended");
    assert_eq!(record["evidence"]["kind"], "process_gone");
}

#[cfg(feature = "testing")]
#[test]
fn a_restart_of_the_machine_ends_the_session() {
    let mut home = home();
    let clock = home.path("clock");
    home.set_env("AMPSM_TEST_CLOCK", &clock);
    let scene = scene_in(home);
    scene.attach().ok();
    scene.home.daemon().kill();
    scene.agent.signal(Signal::KILL);
    let write = ["-c", r#"printf '{"boot_id": "another"}' > "$0""#];
    drop(scene.home.command("sh", write).arg(&clock).run().ok());
    let record = newest(&scene.home);
    assert_eq!(record["status"], "disconnected");
    assert_eq!(record["status_reason"], "machine-restarted");
    assert_eq!(record["evidence"]["kind"], "boot_id_changed");
}

#[cfg(feature = "testing")]
#[test]
fn a_process_that_ends_before_its_session_is_opened_leaves_a_final_one() {
    let scene = scene();
    let pause = scene.home.pause_point("portrayed");
    let pid = scene.agent.pid().to_string();
    let attaching = scene.home.amps(["attach-pid", &pid]).pause_at(&pause);
    let attaching = attaching.start();
    pause.wait_reached(PATIENCE);
    scene.agent.signal(Signal::KILL);
    drop(scene.agent.wait(PATIENCE));
    pause.release();
    attaching.wait(PATIENCE).ok();
    let record = newest(&scene.home);
    assert_eq!(record["status"], "disconnected");
    assert_eq!(record["status_reason"], "process-ended");
    assert_eq!(record["evidence"]["kind"], "process_gone");
    assert_eq!(record["changesets"], serde_json::json!([]));
}

#[cfg(feature = "testing")]
#[test]
fn a_process_that_ends_while_its_session_is_opened_ends_it_as_it_ended() {
    let scene = scene();
    let pause = scene.home.pause_point("attach-opened");
    let pid = scene.agent.pid().to_string();
    let attaching = scene.home.amps(["attach-pid", &pid]).pause_at(&pause);
    let attaching = attaching.start();
    pause.wait_reached(PATIENCE);
    scene.agent.signal(Signal::KILL);
    let record = newest(&scene.home);
    pause.release();
    attaching.wait(PATIENCE).ok();
    assert_eq!(record["status"], "aborted");
    assert_eq!(record["status_reason"], "killed-by-signal");
    assert_eq!(
        newest(&scene.home),
        record,
        "a start told late changes nothing"
    );
    let shown = scene.home.amps(["show"]).run().ok().stdout_text();
    assert!(shown.contains("nothing was changed"), "{shown}");
}

#[test]
fn a_process_has_one_session_at_a_time() {
    let scene = scene();
    let attaching: Vec<Running> = (0..4)
        .map(|_| {
            let pid = scene.agent.pid().to_string();
            scene.home.amps(["attach-pid", &pid]).start()
        })
        .collect();
    let outputs = attaching.into_iter().map(|one| one.wait(PATIENCE));
    let (done, refused): (Vec<Output>, Vec<Output>) =
        outputs.partition(|output| output.status.code() == Some(0));
    assert_eq!((done.len(), refused.len()), (1, 3));
    let id = done[0].stdout_text();
    let message = format!("error[E018]: session {} has this process already", &id[..8]);
    for output in refused {
        let text = output.code(13).stderr_text();
        assert!(text.starts_with(&message), "{text}");
    }
    assert_eq!(ids(&scene.home).len(), 1);
    scene.agent.signal(Signal::KILL);
    assert!(is_final(&newest(&scene.home)));
}

#[test]
fn an_agent_a_launcher_and_a_shell_of_a_session_have_theirs() {
    let home = home();
    let repo = home.repo("work");
    home.install_agent("agent", &["touch ready", "wait-for go"]);
    let launcher = home.amps(["agent"]).cwd(repo.path()).start();
    wait::for_file(&repo.file("ready"), PATIENCE);
    let agent = process::children(launcher.pid())[0].pid;
    let mut shell = home.shell(repo.path());
    shell.line(&format!("{AMPS} session start"));
    for pid in [agent, launcher.pid(), shell.terminal().pid()] {
        let refused = attach(&home, pid).code(13).stderr_text();
        assert!(refused.contains("has this process already"), "{refused}");
    }
    assert_eq!(ids(&home).len(), 2);
    repo.write("go", "");
    launcher.wait(PATIENCE).ok();
}

#[test]
fn whatever_is_no_process_to_attach_to_is_told_apart() {
    let scene = scene();
    let refused = |pid: &str, code| {
        let output = scene.home.amps(["attach-pid", pid]).run();
        let output = output.code(code);
        assert_eq!(output.stdout_text(), "", "{pid}");
        let text = output.stderr_text();
        assert!(text.contains("\n  next: "), "{text}");
        text
    };
    for pid in ["0", "-1", "-9999999999", "1.5", "x", "", "99999999999"] {
        let text = refused(pid, 2);
        assert!(
            text.contains("error[E023]") && text.contains("is not the id"),
            "{text}"
        );
    }
    let text = refused("4294967295", 1);
    assert!(
        text.starts_with("error[E026]: there is no process 4294967295\n"),
        "{text}"
    );
    let text = refused("1", 1);
    assert!(text.contains("process 1 is the first of all"), "{text}");
    let own = std::process::id().to_string();
    let threads = fs::read_dir("/proc/self/task").unwrap();
    let mut threads = threads.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let thread = threads.find(|thread| *thread != own).unwrap();
    let text = refused(&thread, 1);
    assert!(
        text.contains(&format!("{thread} is a thread of process {own}")),
        "{text}"
    );
    scene.agent.signal(Signal::KILL);
    wait_ended(scene.agent.pid());
    let text = refused(&scene.agent.pid().to_string(), 1);
    assert!(
        text.contains("has ended; only its parent has not asked"),
        "{text}"
    );
    assert!(
        !scene.home.daemon().is_alive(),
        "no daemon was needed to refuse"
    );
}

#[test]
fn the_shell_of_the_command_is_sent_to_session_start_and_an_agent_above_it_is_attached() {
    let home = home();
    let repo = home.repo("work");
    let mut shell = home.shell(repo.path());
    let text = shell.line(&format!("{AMPS} attach-pid $$"));
    assert!(
        text.contains("error[E026]") && text.contains("`amps session start`"),
        "{text}"
    );
    let words = ["-c", r#"exec "$AMPS" attach-pid $$"#];
    let itself = home.command("sh", words).env("AMPS", AMPS).run().code(1);
    let text = itself.stderr_text();
    assert!(text.contains("is this command itself"), "{text}");
    home.install_script("agent", r#""$AMPS" attach-pid $$; echo x > made.txt"#);
    let agent = home.command("agent", ["x"]).env("AMPS", AMPS);
    agent.cwd(repo.path()).run().ok();
    let record = newest(&home);
    assert_eq!(record["agent"], "agent");
    assert_eq!(changes(&record), ["A made.txt"]);
}

#[test]
fn a_process_of_a_container_is_refused() {
    let home = home();
    let folder = home.folder("plain");
    let words = ["--map-root-user", "--pid", "--fork", "--mount-proc"];
    let inside = home.command("unshare", words).arg(home.fake_agent_path());
    let inside = inside.args(["touch ready", "hang"]).cwd(&folder).start();
    wait::for_file(&folder.join("ready"), PATIENCE);
    let agent = process::children(inside.pid())[0].pid;
    let text = attach(&home, agent).code(1).stderr_text();
    assert!(text.contains("runs in a container"), "{text}");
    process::send(agent, Signal::KILL);
}

#[test]
fn a_process_that_the_daemon_cannot_look_at_is_refused() {
    let home = home();
    home.amps(["daemon", "start"]).run().ok();
    let words = ["--map-root-user", "--pid", "--fork", "--mount-proc"];
    let inside = home.command("unshare", words).env("AMPS", AMPS);
    let script = r#"sleep 100 & "$AMPS" attach-pid $!; code=$?; kill $!; exit $code"#;
    let refused = inside.args(["sh", "-c", script]).run().code(1);
    let text = refused.stderr_text();
    assert!(
        text.contains("error[E026]: the daemon runs in another pid namespace"),
        "{text}"
    );
    assert!(ids(&home).is_empty());
}

#[test]
fn a_process_of_another_user_is_refused() {
    let home = home();
    let probe = home.command("id", ["-u"]).run().ok().stdout_text();
    if probe.trim() != "0" {
        // Only root can be somebody else here.
        return;
    }
    let program = home.bin_dir().join("amps");
    fs::copy(AMPS, &program).unwrap();
    home.command("chmod", ["755"]).arg(home.root()).run().ok();
    let other = ["--reuid", "65534", "--clear-groups"];
    let own = std::process::id().to_string();
    let refused = home.command("setpriv", other).arg(&program);
    let refused = refused.args(["attach-pid", &own]).run().code(1);
    let text = refused.stderr_text();
    assert!(
        text.starts_with(&format!("error[E026]: process {own} belongs to user 0\n")),
        "{text}"
    );
}

/// Returns what `/proc` says of a process that somebody could have changed from outside.
fn untouched(pid: i32) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let fields = ["State", "TracerPid", "Threads", "Sig", "Shd"];
    let lines = status.lines();
    let kept = lines.filter(|line| fields.iter().any(|field| line.starts_with(field)));
    // That is the number of all signals that wait for processes of the user.
    let kept = kept.filter(|line| !line.starts_with("SigQ"));
    kept.collect::<Vec<_>>().join("\n")
}

#[test]
fn nothing_is_sent_to_the_process_and_a_stopped_one_stays_stopped() {
    let scene = scene();
    let pid = scene.agent.pid();
    scene.agent.signal(Signal::STOP);
    process::wait_stopped(pid, PATIENCE);
    let before = untouched(pid);
    scene.attach().ok();
    scene.home.amps(["daemon", "restart"]).run().ok();
    let show = scene.home.amps(["show", "--no-wait", "--json"]);
    assert_eq!(show.run().ok().json()["status"], "active");
    assert_eq!(untouched(pid), before);
    scene.home.amps(["daemon", "stop"]).run().ok();
    assert_eq!(untouched(pid), before);
    scene.agent.signal(Signal::CONT);
    scene.repo.write("go", "");
    drop(scene.agent.wait(PATIENCE).code(3));
}

#[test]
fn secrets_of_the_command_line_are_not_stored() {
    let home = home();
    let folder = home.folder("plain");
    let key = format!("sk-ant-{}", "a1B2c3D4e5".repeat(4));
    let agent = home.fake_agent(["touch ready", "wait-for go"]);
    let agent = agent.arg(format!("# {key}")).env("EDITOR", &key);
    let agent = agent.env("ANTHROPIC_API_KEY", &key).cwd(&folder).start();
    wait::for_file(&folder.join("ready"), PATIENCE);
    attach(&home, agent.pid()).ok();
    agent.signal(Signal::KILL);
    newest(&home);
    home.amps(["daemon", "stop"]).run().ok();
    let store = fs::read(home.config_dir().join("sessions.db")).unwrap();
    let text = String::from_utf8_lossy(&store);
    assert!(text.contains("[masked]") && !text.contains(&key));
}
