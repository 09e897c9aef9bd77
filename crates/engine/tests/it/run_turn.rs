//! Turns of programs that do what agents should not do.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use amps_core::exit::Exit;
use amps_core::process::{Activity, ProcessIdentity, Sighting};
use amps_engine::agent::Invocation;
use amps_engine::clock::Clock;
use amps_engine::exec::{
    ExecError, Line, TurnCause, TurnCommand, TurnEnding, TurnListener, run_turn,
};
use amps_engine::files::open_to_append;
use amps_engine::process::sight;
use amps_testkit::{Home, PATIENCE, Signal, process, wait};

/// How long what is told to end may take, in tests that expect it to take all of it.
const GRACE: Duration = Duration::from_millis(200);
/// A number of seconds that no test waits for.
const LONG: u64 = 100;

/// What was heard of a turn.
#[derive(Default)]
struct Heard {
    agent: Option<ProcessIdentity>,
    lines: Vec<(Vec<u8>, bool)>,
    /// Done at the first line.
    at_first: Option<Box<dyn FnOnce()>>,
}

impl TurnListener for Heard {
    fn started(&mut self, process: &ProcessIdentity) {
        self.agent = Some(process.clone());
    }

    fn line(&mut self, line: Line<'_>) {
        assert!(self.agent.is_some(), "it is told of first");
        self.lines.push((line.bytes.to_vec(), line.is_whole));
        if let Some(act) = self.at_first.take() {
            act();
        }
    }
}

impl Heard {
    fn texts(&self) -> Vec<String> {
        let texts = self
            .lines
            .iter()
            .map(|(bytes, _)| String::from_utf8_lossy(bytes));
        texts.map(Cow::into_owned).collect()
    }
}

/// One test's turn.
struct Turn<'a> {
    home: &'a Home,
    invocation: Invocation,
    limit: Option<Duration>,
    grace: Duration,
    stop: Option<&'a io::PipeReader>,
}

impl<'a> Turn<'a> {
    fn of(home: &'a Home, script: &str) -> Self {
        let invocation = Invocation {
            arguments: ["-c", script].map(str::to_owned).to_vec(),
            variables: vec![("OF_THE_AGENT", "yes")],
            stdin: None,
        };
        Self {
            home,
            invocation,
            limit: Some(PATIENCE),
            grace: PATIENCE,
            stop: None,
        }
    }

    fn reads(mut self, prompt: impl Into<String>) -> Self {
        self.invocation.stdin = Some(prompt.into());
        self
    }

    fn run(self, heard: &mut Heard) -> TurnEnding {
        self.run_program(Path::new("/bin/sh"), heard).unwrap()
    }

    fn run_program(self, program: &Path, heard: &mut Heard) -> Result<TurnEnding, ExecError> {
        let path = std::env::var_os("PATH").unwrap();
        let mark = self.home.root().as_os_str().to_owned();
        // What is left behind is found by it when the home goes.
        let environment: [(OsString, OsString); 2] =
            [("PATH".into(), path), ("AMPS_TEST_HOME".into(), mark)];
        let folder = self.home.home_dir();
        let command = TurnCommand {
            program,
            name: OsStr::new("an-agent"),
            invocation: &self.invocation,
            folder: &folder,
            environment: &environment,
            // Its own, as sessions have.
            session: &self.home.root().display().to_string(),
            limit: self.limit,
            grace: self.grace,
            stop: self.stop.map(io::PipeReader::as_fd),
        };
        run_turn(&command, &Clock::default(), heard)
    }
}

/// Whether it has ended; whoever is its parent now may not have asked for its exit.
fn is_gone(process: &ProcessIdentity) -> bool {
    !matches!(
        sight(process.pid),
        Sighting::Present { start_ticks, activity: Activity::Live | Activity::Stopped }
            if start_ticks == process.start_ticks
    )
}

#[test]
fn an_agent_runs_in_its_folder_with_its_variables_and_nothing_to_read() {
    let home = Home::new();
    let mut heard = Heard::default();
    let script = "cat; pwd; echo $OF_THE_AGENT $AMPSM_SESSION_ID $HOME; echo of stderr >&2; exit 3";
    let ending = Turn::of(&home, script).run(&mut heard);
    let session = home.root().display();
    let expected = [
        home.home_dir().display().to_string(),
        format!("yes {session}"),
    ];
    assert_eq!(
        heard.texts(),
        expected,
        "without the variables of whoever starts it"
    );
    assert_eq!(ending.exit, Some(Exit::Code(3)));
    assert_eq!(ending.cause, TurnCause::Itself);
    assert_eq!(ending.stderr, "of stderr");
    assert_eq!((ending.survivors, ending.unended), (Vec::new(), Vec::new()));
}

#[test]
fn rubbish_is_heard_as_it_is() {
    let home = Home::new();
    let mut heard = Heard::default();
    Turn::of(&home, r"printf '\377\000\n\n{\r\nno end'").run(&mut heard);
    let expected = [&b"\xff\0"[..], b"", b"{\r", b"no end"].map(|line| (line.to_vec(), true));
    assert_eq!(heard.lines, expected);
}

#[test]
fn a_prompt_larger_than_a_pipe_is_read_whole_while_the_agent_writes() {
    let home = Home::new();
    let mut heard = Heard::default();
    let prompt = "a line of the prompt\n".repeat(100_000);
    let ending = Turn::of(&home, "cat").reads(prompt.clone()).run(&mut heard);
    assert_eq!(ending.exit, Some(Exit::Code(0)));
    assert!(heard.texts().iter().eq(prompt.lines()));
}

#[test]
fn a_prompt_that_nobody_reads_holds_nothing_up() {
    let home = Home::new();
    let prompt = "x".repeat(1 << 20);
    for script in ["exit 4", "exec 0<&-; echo closed; exit 4"] {
        let ending = Turn::of(&home, script)
            .reads(&prompt)
            .run(&mut Heard::default());
        assert_eq!(ending.exit, Some(Exit::Code(4)), "{script}");
    }
}

#[test]
fn an_agent_that_dies_has_ended_by_itself() {
    let home = Home::new();
    let mut heard = Heard::default();
    let ending = Turn::of(&home, "echo begun; kill -9 $$").run(&mut heard);
    assert_eq!(ending.exit, Some(Exit::Signal(9)));
    assert_eq!(ending.cause, TurnCause::Itself);
    assert_eq!(heard.texts(), ["begun"]);
}

#[test]
fn an_agent_that_hangs_and_hears_no_signal_is_killed_at_its_limit() {
    let home = Home::new();
    let mut heard = Heard::default();
    let script = format!("trap '' TERM; echo begun; sleep {LONG}; sleep {LONG}");
    let turn = Turn {
        limit: Some(GRACE),
        grace: GRACE,
        ..Turn::of(&home, &script)
    };
    let ending = turn.run(&mut heard);
    assert_eq!(ending.exit, Some(Exit::Signal(9)));
    assert_eq!(ending.cause, TurnCause::TimeLimit);
    assert!(is_gone(&heard.agent.unwrap()));
}

#[test]
fn an_agent_is_told_to_end_when_somebody_asks_for_it() {
    let home = Home::new();
    let (stop, mut asker) = io::pipe().unwrap();
    let mut heard = Heard {
        at_first: Some(Box::new(move || asker.write_all(b"!").unwrap())),
        ..Heard::default()
    };
    let script = format!("trap 'echo heard it; exit 5' TERM; echo begun; sleep {LONG} & wait");
    let turn = Turn {
        stop: Some(&stop),
        ..Turn::of(&home, &script)
    };
    let ending = turn.run(&mut heard);
    assert_eq!(ending.exit, Some(Exit::Code(5)));
    assert_eq!(ending.cause, TurnCause::Stopped);
    assert_eq!(heard.texts(), ["begun", "heard it"], "its last words too");
}

#[test]
fn an_agent_that_floods_is_stopped_all_the_same() {
    let home = Home::new();
    let (stop, asker) = io::pipe().unwrap();
    let mut heard = Heard {
        // Whoever would ask is gone: that stops it too.
        at_first: Some(Box::new(move || drop(asker))),
        ..Heard::default()
    };
    let turn = Turn {
        stop: Some(&stop),
        limit: None,
        ..Turn::of(&home, "yes; yes")
    };
    let ending = turn.run(&mut heard);
    assert_eq!(ending.cause, TurnCause::Stopped);
    assert_eq!(ending.exit, Some(Exit::Signal(15)));
}

#[test]
fn what_an_agent_leaves_in_another_session_is_ended_though_it_holds_stdout() {
    let home = Home::new();
    let mut heard = Heard::default();
    let script = format!("setsid sleep {LONG} & echo $!");
    let before = Instant::now();
    let ending = Turn::of(&home, &script).run(&mut heard);
    assert!(before.elapsed() < Duration::from_secs(LONG / 2));
    assert_eq!(ending.cause, TurnCause::Itself);
    assert_eq!(ending.exit, Some(Exit::Code(0)));
    let pids: Vec<String> = ending
        .survivors
        .iter()
        .map(|one| one.pid.to_string())
        .collect();
    assert_eq!(pids, heard.texts());
    assert!(ending.survivors.iter().all(is_gone));
    assert_eq!(ending.unended, []);
}

#[test]
fn what_hears_no_signal_and_writes_for_ever_is_killed_after_the_grace() {
    let home = Home::new();
    let file = home.path("left");
    let forever = format!("trap '' TERM; echo $$ > {}; yes", file.display());
    let script = format!(
        "setsid sh -c \"{}\" & until [ -s {} ]; do :; done; exit 6",
        forever.replace('$', "\\$"),
        file.display()
    );
    let turn = Turn {
        grace: GRACE,
        ..Turn::of(&home, &script)
    };
    let ending = turn.run(&mut Heard::default());
    assert_eq!(ending.exit, Some(Exit::Code(6)));
    assert_eq!(ending.survivors.len(), 2, "the shell and what it runs");
    assert!(ending.survivors.iter().all(is_gone));
}

#[test]
fn what_has_lost_the_variable_is_found_by_its_group() {
    let home = Home::new();
    let mark = format!("AMPS_TEST_HOME={}", home.root().display());
    let script = format!("env -i {mark} /bin/sleep {LONG} & echo $!");
    let mut heard = Heard::default();
    let ending = Turn::of(&home, &script).run(&mut heard);
    let pids: Vec<String> = ending
        .survivors
        .iter()
        .map(|one| one.pid.to_string())
        .collect();
    assert_eq!(pids, heard.texts());
}

#[test]
fn tools_in_other_sessions_end_with_an_agent_that_is_stopped() {
    let home = Home::new();
    let (stop, mut asker) = io::pipe().unwrap();
    let mut heard = Heard {
        at_first: Some(Box::new(move || asker.write_all(b"!").unwrap())),
        ..Heard::default()
    };
    let script = format!("setsid sh -c 'echo begun; exec sleep {LONG}' & wait");
    let turn = Turn {
        stop: Some(&stop),
        ..Turn::of(&home, &script)
    };
    let ending = turn.run(&mut heard);
    assert_eq!(ending.exit, Some(Exit::Signal(15)));
    assert_eq!(ending.survivors.len(), 1);
    assert!(ending.survivors.iter().all(is_gone));
}

#[test]
fn a_line_of_50_megabytes_is_heard_in_part_and_the_next_one_whole() {
    let home = Home::new();
    let mut heard = Heard::default();
    let ending = Turn::of(&home, "head -c 50000000 /dev/zero; echo; echo next").run(&mut heard);
    assert_eq!(ending.exit, Some(Exit::Code(0)));
    let lengths: Vec<_> = heard
        .lines
        .iter()
        .map(|(bytes, whole)| (bytes.len(), *whole))
        .collect();
    assert_eq!(lengths, [(8 << 20, false), (4, true)]);
}

#[test]
fn nothing_of_a_quick_agent_is_lost() {
    let home = Home::new();
    for _ in 0..20 {
        let mut heard = Heard::default();
        let ending = Turn::of(&home, "seq 1000; echo end >&2").run(&mut heard);
        assert_eq!(heard.lines.len(), 1_000);
        assert_eq!(ending.stderr, "end");
    }
}

#[test]
fn the_end_of_stderr_is_kept_without_secrets() {
    let home = Home::new();
    let script = "seq 100000 >&2; echo TOKEN=abcdefghijklmnop >&2";
    let ending = Turn::of(&home, script).run(&mut Heard::default());
    assert!(ending.stderr.ends_with("100000\nTOKEN=[masked]"));
    assert!(ending.stderr.len() < 32 * 1024);
}

#[test]
fn a_program_that_is_not_there_is_told() {
    let home = Home::new();
    let turn = Turn::of(&home, "");
    let told = turn.run_program(Path::new("/nonexistent/agent"), &mut Heard::default());
    assert!(
        matches!(told, Err(ExecError::NotExecutable { .. })),
        "{told:?}"
    );
}

#[test]
fn an_agent_does_not_go_on_when_nobody_can_hear_it() {
    let home = Home::new();
    let begun = home.path("begun");
    let script = format!("echo $$ > {}; echo begun; sleep {LONG}", begun.display());
    let deaf = thread::scope(|scope| {
        let listening = scope.spawn(|| {
            let mut heard = Heard {
                at_first: Some(Box::new(|| panic!("it does not hear"))),
                ..Heard::default()
            };
            Turn::of(&home, &script).run(&mut heard)
        });
        listening.join()
    });
    assert!(deaf.is_err());
    let pid: u32 = wait::for_file(&begun, PATIENCE).trim().parse().unwrap();
    wait::until("the end of the agent", PATIENCE, || {
        let seen = sight(pid);
        let ended = matches!(
            seen,
            Sighting::Gone
                | Sighting::Present {
                    activity: Activity::Ended,
                    ..
                }
        );
        ended.then_some(())
    });
}

#[test]
fn what_was_there_before_the_agent_is_left_alone() {
    let home = Home::new();
    let session = home.root().display().to_string();
    let before = home.command("sleep", [LONG.to_string()]);
    let before = before.env("AMPSM_SESSION_ID", session).start();
    let ending = Turn::of(&home, "exit 0").run(&mut Heard::default());
    assert_eq!(ending.survivors, []);
    assert!(!process::stat(before.pid()).unwrap().has_ended());
    before.signal(Signal::TERM);
    drop(before.wait(PATIENCE));
}

#[test]
fn turns_beside_each_other_end_only_what_is_their_own() {
    let homes = [Home::new(), Home::new()];
    let [one, other] = &homes;
    let (begun, fifo) = (other.path("begun"), other.path("fifo"));
    drop(other.command("mkfifo", [&fifo]).run().ok());
    let script = format!(
        "setsid sleep {LONG} & touch {}; read line < {}; kill -0 $! && echo alive",
        begun.display(),
        fifo.display()
    );
    thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let mut heard = Heard::default();
            let ending = Turn::of(other, &script).run(&mut heard);
            (heard.texts(), ending.survivors.len())
        });
        wait::for_file(&begun, PATIENCE);
        let leaves = format!("setsid sleep {LONG} & exit 0");
        let ending = Turn::of(one, &leaves).run(&mut Heard::default());
        assert_eq!(ending.survivors.len(), 1);
        open_to_append(&fifo).unwrap().write_all(b"go\n").unwrap();
        assert_eq!(waiting.join().unwrap(), (vec!["alive".to_owned()], 1));
    });
}
