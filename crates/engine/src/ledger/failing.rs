//! Writes that fail at every point of a session's life: what is stored is the state before a
//! transition or after it, never one between.

#![cfg(test)]

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use amps_core::capture::CaptureState;
use amps_core::changeset::Changeset;
use amps_core::checkpoint::Checkpoint;
use amps_core::event::{Event, Fact};
use amps_core::id::{ChangesetId, SessionId};
use amps_core::run::Run;
use amps_core::session::{Session, Status};
use uuid::Uuid;

use super::conformance::{checkpoint, intent, launched, moment, sample, transition};
use super::{
    CheckpointStep, Ledger as _, LedgerError, OwedCheckpoint, SqliteLedger, StoredPatch, Transition,
};
use crate::exec::Foreground;
use crate::files;

/// The transitions of the life.
const STEPS: usize = 8;

/// What one page takes in the log.
const FRAME: usize = 24 + 4_096;

/// Takes one step of the life of session 2, beside session 1.
fn take(ledger: &mut SqliteLedger, step: usize) -> Result<(), LedgerError> {
    let (other, _) = sample(1);
    let (mut session, mut run) = sample(2);
    session.tags = vec!["tag".to_owned()];
    if step == 0 {
        return ledger.open(&transition(&session, &run)).map(drop);
    }
    run.lease.last_heartbeat = moment(20);
    if step == 1 {
        return ledger.save_heartbeats(&[(session.lease_id, run.lease.last_heartbeat)]);
    }
    session.started_at = Some(moment(3).at);
    run.started_at = session.started_at;
    if step >= 3 {
        session.status = Status::Completed;
        run.status = Status::Completed;
        run.capture.end = CaptureState::Owed;
    }
    let id = ChangesetId::new(Uuid::from_u128(1));
    let changeset = Changeset {
        changeset_id: id,
        run_id: run.run_id,
        partial: false,
        amendment: false,
        files: Vec::new(),
        additions: 5,
        deletions: 2,
        commits: Vec::new(),
        symbols: Vec::new(),
    };
    let patch = StoredPatch {
        zlib: vec![7; 20_000],
        truncated: false,
    };
    let (first, intended, taken) = (checkpoint(1), intent(2), checkpoint(2));
    let others = [other.session_id];
    let text = format!("step {step}").repeat(1_000);
    if step >= 4 {
        run.capture.end = CaptureState::Done;
        run.changeset_id = Some(id);
    }
    let mut next = Transition::new(&session, &run, vec![Fact::Noted { text }], moment(30));
    if step == 4 {
        next.changeset = Some(&changeset);
        next.overlaps = &others;
    } else if step == 5 {
        next.patch = Some((id, &patch));
    } else if step == 6 {
        next.checkpoint = Some(CheckpointStep::Intended(&intended));
    } else if step == 7 {
        let (checkpoint, thinned) = (&taken, &[1][..]);
        next.checkpoint = Some(CheckpointStep::Kept {
            checkpoint,
            thinned,
        });
    } else if step == 2 {
        let (checkpoint, thinned) = (&first, &[][..]);
        next.checkpoint = Some(CheckpointStep::Kept {
            checkpoint,
            thinned,
        });
    }
    ledger.advance(&next)
}

/// All that the store says of both sessions.
#[derive(Debug, PartialEq)]
struct Said {
    session: Option<(Session, Run)>,
    events: [Vec<Event>; 2],
    overlaps: [Vec<SessionId>; 2],
    changesets: Vec<Changeset>,
    patches: Vec<StoredPatch>,
    checkpoints: Vec<Checkpoint>,
    owed_checkpoints: Vec<(SessionId, OwedCheckpoint)>,
    open: usize,
    owing: usize,
    tagged: Vec<(u64, u64, u64)>,
}

fn said(ledger: &SqliteLedger) -> Said {
    let [first, second] = [1, 2].map(|number| sample(number).0.session_id);
    let query = super::PageQuery {
        tag: Some("tag".to_owned()),
        ..super::PageQuery::default()
    };
    let rows = ledger.page(&query).unwrap();
    Said {
        session: ledger.session(second).unwrap(),
        events: [first, second].map(|id| ledger.events(id).unwrap()),
        overlaps: [first, second].map(|id| ledger.overlaps(id).unwrap()),
        changesets: ledger.changesets(second).unwrap(),
        patches: ledger.patches(second).unwrap(),
        checkpoints: ledger.checkpoints(second).unwrap(),
        owed_checkpoints: ledger.owed_checkpoints().unwrap(),
        open: ledger.open_runs().unwrap().len(),
        owing: ledger.owing_runs().unwrap().len(),
        tagged: rows.iter().map(|row| launched(row).1).collect(),
    }
}

fn begin(ledger: &mut SqliteLedger) {
    let (other, run) = sample(1);
    assert!(ledger.open(&transition(&other, &run)).unwrap());
}

/// Returns what the store says before the first step and after each.
fn states() -> Vec<Said> {
    let mut ledger = SqliteLedger::in_memory().unwrap();
    begin(&mut ledger);
    let mut states = vec![said(&ledger)];
    for step in 0..STEPS {
        take(&mut ledger, step).unwrap();
        states.push(said(&ledger));
    }
    states
}

/// Lives in this folder, in a process that may make no file longer than `limit`, and returns how
/// many steps were told to be done.
fn live(folder: &Path, limit: usize) -> usize {
    // The signal of a file that is too long would end it; ignored, the write fails.
    let script = r#"cd "$0" && trap '' XFSZ && exec prlimit --fsize="$@" > told 2>&1"#;
    let mut arguments: Vec<OsString> = vec!["-c".into(), script.into(), folder.into()];
    arguments.push(limit.to_string().into());
    arguments.push(std::env::current_exe().unwrap().into());
    let test = "ledger::failing::the_life_in_a_process_of_its_own";
    arguments.extend([test, "--exact", "--ignored"].map(OsString::from));
    let process = Foreground {
        program: PathBuf::from("/bin/sh"),
        name: "sh".into(),
        arguments,
        variables: Vec::new(),
    };
    let status = process.start().unwrap().wait().unwrap();
    let told = fs::read_to_string(folder.join("told")).unwrap();
    assert!(status.success(), "{told}");
    let done = fs::read_to_string(folder.join("done")).unwrap();
    done.parse().unwrap()
}

#[test]
#[ignore = "the process that the test below starts, in a folder with a database"]
fn the_life_in_a_process_of_its_own() {
    let path = Path::new("sessions.db");
    if !path.exists() {
        return;
    }
    let mut ledger = SqliteLedger::open(path).unwrap();
    let done = (0..STEPS).take_while(|step| take(&mut ledger, *step).is_ok());
    let done = done.count().to_string();
    files::replace(Path::new("done"), done.as_bytes(), 0o600).unwrap();
}

#[test]
fn a_write_that_fails_leaves_the_state_before_its_transition() {
    let seed = tempfile::tempdir().unwrap();
    let seed = seed.path().join("sessions.db");
    // Kept open: its log is longer than the file for shared memory, so that only the log fails.
    let mut ledger = SqliteLedger::open(&seed).unwrap();
    begin(&mut ledger);
    let log = seed.with_extension("db-wal");
    let start = usize::try_from(log.metadata().unwrap().len()).unwrap();
    let states = states();
    let mut reached = [0; STEPS + 1];
    // Every second limit tears a page.
    for limit in (start..).step_by(FRAME / 2) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sessions.db");
        fs::copy(&seed, &path).unwrap();
        fs::copy(&log, folder.path().join("sessions.db-wal")).unwrap();
        let done = live(folder.path(), limit);
        reached[done] += 1;
        let mut ledger = SqliteLedger::open(&path).unwrap();
        assert_eq!(said(&ledger), states[done], "limit {limit}, {done} done");
        for step in done..STEPS {
            take(&mut ledger, step).unwrap();
        }
        assert_eq!(said(&ledger), states[STEPS], "gone on at limit {limit}");
        if done == STEPS {
            break;
        }
    }
    assert!(reached.iter().all(|times| *times > 0), "{reached:?}");
}
