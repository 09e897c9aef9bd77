//! The helpers of the daemon and of pause points, with a script in the place of the product.

use std::fs;
use std::time::Duration;

use amps_testkit::{Home, PATIENCE, process, wait};

/// Stands for `amps`: knows `daemon stop`, `show`, and a command that becomes a daemon.
const PRODUCT: &str = r#"
case "$1 $2" in
"daemon stop") kill -TERM "$(cat "$AMPSM_CONFIG_DIR/ampd.pid")" ;;
"show one") echo '{"status": "'"$(cat "$AMPSM_CONFIG_DIR/status")"'"}' ;;
"serve now") echo $$ > "$AMPSM_CONFIG_DIR/ampd.pid"; exec sleep 100 >/dev/null 2>&1 ;;
"pause now")
    echo $$ > "$AMPSM_TEST_PAUSE_DIR/.x" && mv "$AMPSM_TEST_PAUSE_DIR/.x" "$AMPSM_TEST_PAUSE_DIR/$AMPSM_TEST_PAUSE.reached"
    while ! test -e "$AMPSM_TEST_PAUSE_DIR/$AMPSM_TEST_PAUSE.go"; do sleep 0.01; done ;;
*) exit 2 ;;
esac"#;

fn home() -> Home {
    let mut home = Home::new();
    let program = home.install_script("amps", PRODUCT);
    home.use_amps(program);
    home
}

#[test]
fn a_daemon_is_seen_killed_and_stopped() {
    let home = home();
    let daemon = home.daemon();
    assert!(!daemon.is_alive());
    let serving = home.amps(["serve", "now"]).start();
    assert_eq!(daemon.wait_alive(PATIENCE), serving.pid());
    daemon.kill();
    assert_eq!(daemon.pid(), Some(serving.pid()));
    assert!(!daemon.is_alive());

    let detached = home.fake_agent(["setsid-child \"exec amps serve now\""]);
    drop(detached.run().ok());
    let pid = daemon.wait_alive(PATIENCE);
    drop(home);
    assert!(!process::is_alive(pid), "the home stops its daemon");
}

#[test]
fn a_number_that_is_not_ours_is_no_daemon() {
    let home = home();
    fs::write(home.path("h/ampd.pid"), std::process::id().to_string()).unwrap();
    assert!(home.daemon().pid().is_some());
    assert!(!home.daemon().is_alive());
}

#[test]
fn a_session_is_waited_for() {
    let home = home();
    fs::write(home.path("h/status"), "completed").unwrap();
    let found = home
        .daemon()
        .wait_for_session("one", "to end", PATIENCE, |record| {
            record["status"] == "completed"
        });
    assert_eq!(found["status"], "completed");
}

#[test]
#[should_panic(expected = "for session one to fly; last seen:")]
fn a_session_waited_for_in_vain_is_shown() {
    let home = home();
    fs::write(home.path("h/status"), "active").unwrap();
    let soon = Duration::from_millis(100);
    home.daemon()
        .wait_for_session("one", "to fly", soon, |_| false);
}

#[test]
fn a_pause_point_holds_releases_and_kills() {
    let home = home();
    let point = home.pause_point("before-store");
    let running = home.amps(["pause", "now"]).pause_at(&point).start();
    assert_eq!(point.wait_reached(PATIENCE), running.pid());
    point.release();
    drop(running.wait(PATIENCE).ok());

    point.reset();
    let running = home.amps(["pause", "now"]).pause_at(&point).start();
    let pid = point.wait_reached(PATIENCE);
    point.kill(pid);
    drop(running.wait(PATIENCE).signal(amps_testkit::Signal::KILL));
    wait::until("no process", PATIENCE, || {
        home.processes().is_empty().then_some(())
    });
}
