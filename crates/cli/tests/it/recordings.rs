//! Playing and exporting recordings, made here beside sessions as a host makes them.

use std::fs;
use std::path::PathBuf;

use amps_core::exit::Exit as AgentExit;
use amps_core::recording::RecordLimits;
use amps_engine::clock::Clock;
use amps_engine::recording::{Header, Recorder};
use amps_testkit::{Exit, Home, PATIENCE, Signal, Terminal, ctrl};
use serde_json::Value;

use crate::record::{AMPS, home, ids, newest};

/// A session of a home with a recording on its way.
struct Recording {
    folder: PathBuf,
    clock: PathBuf,
    recorder: Recorder,
    elapsed_ms: u64,
}

impl Recording {
    /// Records a session, and begins a recording of it with a terminal of this size.
    fn begin(home: &Home, rows: u16, cols: u16) -> Self {
        let repo = home.repo("work");
        drop(
            home.amps(["run", "--name", "r", "true"])
                .cwd(repo.path())
                .run()
                .ok(),
        );
        newest(home);
        let id = ids(home).remove(0);
        let folder = home.config_dir().join("recordings").join(id);
        let clock = home.path("clock");
        let header = Header {
            rows,
            cols,
            command: vec!["agent".to_owned(), "--fast".to_owned()],
            started_at: "2026-01-02T03:04:05Z".parse().unwrap(),
            started_uptime_ms: None,
            term: Some("xterm-256color".to_owned()),
        };
        let limits = RecordLimits::default();
        let offsets = Some(clock.clone());
        let recorder = Recorder::create(&folder, &header, &limits, Clock { offsets }).unwrap();
        Self {
            folder,
            clock,
            recorder,
            elapsed_ms: 0,
        }
    }

    fn output(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.recorder.output(bytes.as_ref());
        self
    }

    /// Lets time pass.
    fn after(mut self, seconds: u64) -> Self {
        self.elapsed_ms += seconds * 1_000;
        let offsets = serde_json::json!({"uptime_ms": self.elapsed_ms}).to_string();
        amps_engine::files::replace(&self.clock, offsets.as_bytes(), 0o600).unwrap();
        self
    }

    fn end(self) -> PathBuf {
        self.recorder.finish(Some(AgentExit::Code(0)));
        self.folder
    }
}

fn play(home: &Home, args: &[&str]) -> Terminal {
    home.amps(["play"]).args(args).terminal()
}

#[test]
fn a_recording_goes_byte_for_byte_where_no_terminal_is() {
    let home = home();
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let recording = Recording::begin(&home, 24, 80).output(&bytes[..70_001]);
    recording.after(3_600).output(&bytes[70_001..]).end();
    let output = home.amps(["play"]).run().ok();
    assert!(output.stdout == bytes);
    assert_eq!(output.stderr_text(), "");
    let until = home.amps(["play", "r", "--until", "30m"]).run().ok();
    assert!(until.stdout == bytes[..70_001]);
    let script = "\"$AMPS\" play r | head -c 3; exit ${PIPESTATUS[0]}";
    let shell = home.command("bash", ["-c", script]).env("AMPS", AMPS);
    assert_eq!(shell.run().code(141).stdout, &bytes[..3]);
}

#[test]
fn a_recording_plays_with_its_times_and_keys_change_them() {
    let home = home();
    Recording::begin(&home, 24, 80)
        .output("first\r\n")
        .after(3_600)
        .output("second\r\n")
        .end();
    let mut terminal = play(&home, &["--max-idle", "3600"]);
    terminal.wait_for_text("first");
    // An answer of a terminal is no key, although there is a `q` in it.
    terminal.send("\x1bP>|quick(1)\x1b\\\x1b[1;1R");
    terminal.send("q");
    assert_eq!(terminal.wait_exit(PATIENCE), Exit::Code(0));
    assert!(!terminal.contents().contains("second"));

    let mut terminal = play(&home, &["--max-idle", "3600"]);
    terminal.wait_for_text("first");
    terminal.send("\x1bP>|quick(1)\x1b\\ ");
    terminal.send("+".repeat(30));
    assert!(terminal.is_running(), "it pauses");
    terminal.send(" ");
    terminal.wait_for_text("second");
    assert_eq!(terminal.wait_exit(PATIENCE), Exit::Code(0));

    let mut terminal = play(&home, &["--max-idle", "0.1"]);
    terminal.wait_for_text("second");
    assert_eq!(terminal.wait_exit(PATIENCE), Exit::Code(0));

    let mut terminal = play(&home, &["--max-idle", "3600", "--speed", "0.5"]);
    terminal.wait_for_text("first");
    terminal.send(ctrl('c'));
    assert_eq!(terminal.wait_exit(PATIENCE), Exit::Code(0));
}

#[test]
fn the_terminal_is_as_before_however_playing_ends() {
    let home = home();
    Recording::begin(&home, 24, 80)
        .output("\x1b[?1049h\x1b[?25l\x1b[?2004h\x1b[?1000h\x1b[?1h\x1b[31;5;10rfull\x1b]0;to")
        .after(3_600)
        .output("rn")
        .end();
    for (send, signal, exit) in [("q", None, 0), ("", Some(Signal::TERM), 143)] {
        let script = "stty -a > before; \"$AMPS\" play --max-idle 3600; code=$?; stty -a > after; \
                      cmp before after && echo same; exit $code";
        let command = home.command("bash", ["-c", script]).env("AMPS", AMPS);
        let mut terminal = command.terminal();
        terminal.wait_for_text("full");
        terminal.send(send);
        if let Some(signal) = signal {
            let of_player = |stat: &amps_testkit::process::Stat| {
                let line = amps_testkit::process::command_line(stat.pid);
                line.contains("play --max-idle") && !line.contains("bash")
            };
            let player = home.processes().into_iter().find(of_player).unwrap();
            amps_testkit::process::send(player.pid, signal);
        }
        terminal.wait_for_text("same");
        assert_eq!(terminal.wait_exit(PATIENCE), Exit::Code(exit));
        terminal.screen(|screen| {
            assert!(!screen.alternate_screen() && !screen.hide_cursor());
            assert!(!screen.bracketed_paste() && !screen.application_cursor());
            let mouse = screen.mouse_protocol_mode();
            assert_eq!(mouse, amps_testkit::vt100::MouseProtocolMode::None);
        });
    }
}

#[test]
fn what_the_terminal_answers_does_not_reach_the_shell() {
    let home = home();
    Recording::begin(&home, 24, 80)
        .output("asks\x1b]11;?\x07")
        .end();
    let script = "stty -echo; \"$AMPS\" play; stty raw; read -t 0 && echo dirty || echo clean";
    let shell = home.command("bash", ["-c", script]).env("AMPS", AMPS);
    let mut terminal = shell.terminal();
    // A terminal far away answers late: the question that is answered last is the player's own.
    terminal.wait_for_bytes("\x1b[c", PATIENCE);
    terminal.send("\x1b]11;rgb:0000/0000/0000\x07");
    terminal.send("\x1b[?62;22c");
    terminal.wait_for_text("clean");
    assert_eq!(terminal.wait_exit(PATIENCE), Exit::Code(0));
}

#[test]
fn a_terminal_that_is_too_small_is_told() {
    let home = home();
    Recording::begin(&home, 50, 132).output("wide\r\n").end();
    let mut terminal = play(&home, &[]);
    terminal.wait_for_text("recorded on 132 columns and 50 rows, this terminal has 80 and 24");
    terminal.wait_for_text("wide");
    assert_eq!(terminal.wait_exit(PATIENCE), Exit::Code(0));
}

#[test]
fn an_export_is_a_cast_without_secrets() {
    let home = home();
    let folder = Recording::begin(&home, 30, 100)
        .output("key sk-ant-A1b2\x1b[31mC3d4E5f6")
        .output("G7h8I9j0\x1b[m.\r\n")
        .end();
    let journal = fs::read(folder.join("000001.journal")).unwrap();
    let has = |text: &[u8]| journal.windows(text.len()).any(|part| part == text);
    assert!(has(b"sk-ant-A1b2"), "the journal is what came");
    let cast = home.amps(["export-cast"]).run().ok().stdout_text();
    let lines: Vec<Value> = cast
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines[0]["version"], 3);
    assert_eq!(lines[0]["term"]["cols"], 100);
    assert_eq!(lines[0]["command"], "agent --fast");
    assert_eq!(lines[0]["title"], "r");
    assert_eq!(lines[0]["env"]["SHELL"], "/bin/bash");
    assert_eq!(lines[1][2], "key [masked]\u{1b}[31m");
    assert_eq!(lines[2][2], "\u{1b}[m.\r\n");
    assert_eq!(lines[3][1], "x");
    assert_eq!(lines[3][2], "0");
    let told = home
        .amps(["export-cast", "r", "--out", "r.cast", "--json"])
        .run()
        .ok()
        .json();
    assert_eq!(told["masked"], 1);
    assert_eq!(told["exit_code"], 0);
    assert_eq!(told["whole"], true);
    assert_eq!(
        fs::read_to_string(home.home_dir().join("r.cast")).unwrap(),
        cast
    );
    insta::assert_snapshot!(home.amps(["export-cast", "--out", "r.cast"]).run().text(), @"
    exit 12
    --- stderr
    error[E020]: r.cast is there already
      next: choose another name, or remove it first
    ");
}

#[test]
fn what_is_missing_of_a_recording_is_told_and_the_rest_is_there() {
    let home = home();
    let mut recording = Recording::begin(&home, 24, 80).output("one ").after(3_600);
    recording.recorder.keyframe(b"SCREEN ");
    let folder = recording.output("two").end();
    let first = folder.join("000001.journal");
    let mut bytes = fs::read(&first).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    amps_engine::files::replace(&first, &bytes, 0o600).unwrap();
    insta::assert_snapshot!(home.amps(["play"]).run().text(), @"
    exit 0
    --- stdout
    SCREEN two(no newline)
    --- stderr
    amps: 21 bytes of 000001.journal are torn or damaged and were passed over
    ");
    fs::remove_file(&first).unwrap();
    insta::assert_snapshot!(home.amps(["play"]).run().text(), @"
    exit 0
    --- stdout
    SCREEN two(no newline)
    --- stderr
    amps: the beginning was dropped at `record.max_size`: this starts with the screen as it was then
    ");
    let told = home
        .amps(["export-cast", "--out", "r.cast", "--json"])
        .run()
        .ok()
        .json();
    assert_eq!(told["cut"], true);
    let duration = told["duration"].as_f64().unwrap();
    assert!(
        duration < 3_600.0,
        "what was dropped is not waited for: {duration}"
    );
}

#[test]
fn a_recording_that_cannot_be_played_is_told_by_its_reason() {
    let home = home();
    let folder = Recording::begin(&home, 24, 80).output("x").end();
    insta::assert_snapshot!(home.amps(["play", "nobody"]).run().text(), @"
    exit 1
    --- stderr
    error[E010]: there is no session `nobody`
      next: `amps list` shows what there is; `@` means the newest
    ");
    insta::assert_snapshot!(home.amps(["play", "--speed", "0"]).run().text(), @"
    exit 2
    --- stderr
    error[E023]: `0` is not a speed
      next: write a number from 0.01 to 1000, such as 2 or 0.5
    ");
    let soon = home
        .amps(["play", "--until", "soon"])
        .run()
        .code(2)
        .stderr_text();
    assert!(
        soon.starts_with("error[E023]: `soon` is not a time for --until\n"),
        "{soon}"
    );
    let segment = folder.join("000001.journal");
    let put = |text: &str| amps_engine::files::replace(&segment, text.as_bytes(), 0o600).unwrap();
    put("amps journal 2\n...");
    let newer = home.amps(["play"]).run().code(1).stderr_text();
    assert!(newer.starts_with("error[E024]: "), "{newer}");
    assert!(
        newer.contains("is of version 2, this program reads version 1"),
        "{newer}"
    );
    put("garbage");
    for command in ["play", "export-cast"] {
        let damaged = home.amps([command]).run().code(1).stderr_text();
        assert!(damaged.starts_with("error[E025]: "), "{damaged}");
    }
    fs::remove_dir_all(&folder).unwrap();
    for command in ["play", "export-cast"] {
        let none = home.amps([command]).run().code(1).stderr_text();
        assert!(none.starts_with("error[E019]: "), "{none}");
        assert!(
            none.contains("has no recording\n  next: `--record` before"),
            "{none}"
        );
    }
}
