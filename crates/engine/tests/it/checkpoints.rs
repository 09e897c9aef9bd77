//! What checkpoints cost a repository, and how they are let go.

use std::collections::BTreeMap;
use std::time::Duration;

use amps_core::checkpoint::{Cause, Checkpoint, Dated, thin};
use amps_core::facts::OpenFacts;
use amps_core::id::{LeaseId, RunId, SessionId};
use amps_core::path::RawPath;
use amps_core::process::{BootId, Place, ProcessIdentity};
use amps_core::run::Run;
use amps_core::session::Binding;
use amps_core::snapshot::Snapshot;
use amps_core::time::Moment;
use amps_engine::capture::{CaptureError, Cutoff, Memory, count_changes, keep_again, let_go};
use amps_engine::git::Environment;
use amps_engine::ledger::{Ledger as _, SqliteLedger};
use amps_engine::ops::capture_run::{FrozenSide, Site, Tools, freeze_base, keep_base};
use amps_engine::ops::checkpoint_run::{
    find_checkpoint, freeze_checkpoint, is_same_state, keep_checkpoint, let_go_checkpoint,
};
use amps_engine::ops::open_session::open_session;
use amps_engine::ops::store_capture::store_base;
use amps_engine::ops::store_checkpoint::{Intended, intend, store_checkpoint};
use uuid::Uuid;

use super::capture_repo::{Repo, let_pass, now};

/// An open session with a base.
struct Open {
    repo: Repo,
    tools: Tools,
    ledger: SqliteLedger,
    id: SessionId,
    base: u64,
}

impl Open {
    fn of(repo: Repo) -> Self {
        let environment = Environment {
            path: std::env::var_os("PATH").unwrap(),
            home: Some(repo.home().to_owned()),
            xdg_config_home: None,
            passed: vec![("GIT_CONFIG_NOSYSTEM".into(), "1".into())],
        };
        let tools = Tools {
            environment,
            folders: repo.folders_dir(),
            limits: repo.limits.clone(),
            memory: Memory::default(),
        };
        let mut ledger = SqliteLedger::in_memory().unwrap();
        let facts = facts(&repo);
        let id = facts.session_id;
        let run = open_session(&mut ledger, facts, Duration::from_secs(30), false)
            .unwrap()
            .run;
        let_pass(&repo, now());
        let frozen = freeze_base(&tools, &Site::from(&run), &Cutoff::open(now())).unwrap();
        let taken = keep_base(&tools, &run, &frozen).unwrap();
        store_base(&mut ledger, id, taken, now()).unwrap();
        frozen.remember(&tools, &run, "base");
        Self {
            repo,
            tools,
            ledger,
            id,
            base: frozen.mark(),
        }
    }

    fn record(&self) -> Run {
        self.ledger.session(self.id).unwrap().unwrap().1
    }

    fn freeze(&self) -> FrozenSide {
        let run = self.record();
        let workspace = run.workspace.clone().unwrap();
        let cutoff = Cutoff::ended(now());
        freeze_checkpoint(&self.tools, &run, &workspace, &cutoff).unwrap()
    }

    /// Takes a checkpoint of a state that is known to be the same as before, or is not.
    fn take(&mut self, frozen: &FrozenSide, is_same: bool) -> Checkpoint {
        let named = (Cause::Turn, None);
        let intended = intend(&mut self.ledger, self.id, named, now()).unwrap();
        let Intended { intent, before } = intended.unwrap();
        let run = self.record();
        let state = (frozen, is_same.then_some(&before));
        let snapshot = keep_checkpoint(&self.tools, &run, state, &intent).unwrap();
        let checkpoint = intent.kept(snapshot);
        let limits = (100, now());
        store_checkpoint(&mut self.ledger, self.id, &checkpoint, limits).unwrap();
        checkpoint
    }

    /// Counts the objects of the repository that keeps the snapshots.
    fn objects(&self) -> usize {
        let git_dir = self.record().workspace.unwrap().common_dir;
        let all = ["cat-file", "--batch-all-objects", "--batch-check"];
        let git_dir = format!("--git-dir={git_dir}");
        let arguments = [git_dir.as_str()].into_iter().chain(all);
        self.repo.git(arguments).lines().count()
    }

    fn reference(&self, number: u32) -> String {
        format!("refs/amps/sessions/{}/checkpoints/{number}", self.id)
    }
}

fn facts(repo: &Repo) -> OpenFacts {
    let owner = ProcessIdentity {
        pid: 1,
        start_ticks: 1,
        place: Place {
            host: "host".into(),
            boot_id: BootId::new("boot"),
            pid_namespace: 1,
        },
    };
    OpenFacts {
        session_id: SessionId::new(Uuid::from_u128(1)),
        run_id: RunId::new(Uuid::from_u128(2)),
        lease_id: LeaseId::new(Uuid::from_u128(3)),
        name: None,
        note: None,
        tags: Vec::new(),
        context_ids: Vec::new(),
        binding: Binding::Launcher,
        agent: "agent".to_owned(),
        agent_command: vec!["agent".to_owned()],
        cwd: RawPath::new(repo.root.to_str().unwrap()),
        environment: BTreeMap::new(),
        git_environment: BTreeMap::new(),
        owner,
        ttl: None,
        transcripts: None,
        at: now(),
    }
}

fn every_kind_of_repository() -> Vec<Repo> {
    let folder = Repo::folder();
    folder.write("a", "one\n");
    vec![
        Repo::new(),
        Repo::with(&["--object-format=sha256"]),
        Repo::with(&["--ref-format=reftable"]),
        Repo::unborn(&[]),
        folder,
    ]
}

#[test]
fn an_unchanged_state_costs_no_object() {
    for repo in every_kind_of_repository() {
        repo.write("new", "untracked\n");
        let mut open = Open::of(repo);
        let objects = open.objects();
        let unchanged = open.freeze();
        assert_eq!(unchanged.mark(), open.base);
        let first = open.take(&unchanged, true);
        assert_eq!(first.snapshot.commit, open.record().base.unwrap().commit);
        assert_eq!(open.objects(), objects, "one more name for the same");
        open.repo.write("new", "changed\n");
        let changed = open.freeze();
        assert_ne!(changed.mark(), unchanged.mark());
        let second = open.take(&changed, false);
        assert_ne!(second.snapshot.tree, first.snapshot.tree);
        let objects = open.objects();
        let again = open.freeze();
        assert_eq!(again.mark(), changed.mark());
        let third = open.take(&again, true);
        assert_eq!(third.snapshot.commit, second.snapshot.commit);
        assert_eq!(open.objects(), objects);
        assert_eq!(third.number, 3);
    }
}

#[test]
fn a_look_at_an_unchanged_tree_asks_git_nothing() {
    let mut open = Open::of(Repo::new());
    assert!(open.freeze().is_recalled(), "as the base");
    open.repo.append("a", "by the agent\n");
    let_pass(&open.repo, now());
    let changed = open.freeze();
    assert!(!changed.is_recalled());
    let taken = open.take(&changed, false);
    changed.remember(&open.tools, &open.record(), "checkpoints/1");
    let recalled = open.freeze();
    assert!(recalled.is_recalled(), "as the checkpoint");
    assert_eq!(recalled.mark(), changed.mark());
    // With its reference its contents may be gone.
    let state = (taken.number, &taken.snapshot);
    let_go_checkpoint(&open.tools, &open.record(), state).unwrap();
    assert!(!open.freeze().is_recalled());
}

#[test]
fn a_reference_is_deleted_only_while_it_names_the_checkpoint() {
    for repo in every_kind_of_repository() {
        let mut open = Open::of(repo);
        let (first, other) = ("one\n", "two\n");
        open.repo.write("new", first);
        let taken = open.take(&open.freeze(), false);
        open.repo.write("new", other);
        let another = open.take(&open.freeze(), false);
        let run = open.record();
        let workspace = run.workspace.clone().unwrap();
        let git = open.repo.engine_git();
        let commit = |checkpoint: &Checkpoint| checkpoint.snapshot.commit.clone().unwrap();
        let name = open.reference(1);
        let refused = let_go(&git, &workspace, &commit(&another), &name);
        assert!(
            matches!(refused, Err(CaptureError::Taken { .. })),
            "{refused:?}"
        );
        let refused = keep_again(&git, &workspace, &commit(&another), &name);
        assert!(
            matches!(refused, Err(CaptureError::Taken { .. })),
            "{refused:?}"
        );
        keep_again(&git, &workspace, &commit(&taken), &name).unwrap();
        for _ in 0..2 {
            let_go(&git, &workspace, &commit(&taken), &name).unwrap();
        }
        let found = |number| {
            let intent = amps_core::checkpoint::Intent {
                number,
                taken_at: now(),
                cause: Cause::Time,
                label: None,
            };
            find_checkpoint(&open.tools, &run, &intent).unwrap()
        };
        assert_eq!(found(1), None);
        assert_eq!(found(2), Some(another.snapshot));
        assert!(let_go(&git, &workspace, &commit(&taken), "refs/heads/main").is_err());
    }
}

#[test]
fn what_somebody_deleted_is_kept_anew() {
    let mut open = Open::of(Repo::new());
    open.repo.write("new", "one\n");
    let taken = open.take(&open.freeze(), false);
    let name = open.reference(1);
    open.repo.git(["update-ref", "-d", &name]);
    open.repo.git(["prune", "--expire=now"]);
    let again = open.take(&open.freeze(), true);
    assert!(is_same_state(&taken.snapshot, &again.snapshot));
    let shown = open
        .repo
        .git(["show", &format!("{}:new", open.reference(2))]);
    assert_eq!(shown, "one");
}

#[test]
fn what_is_gone_with_its_repository_is_let_go() {
    let mut open = Open::of(Repo::new());
    let taken = open.take(&open.freeze(), true);
    let run = open.record();
    std::fs::remove_dir_all(&open.repo.root).unwrap();
    let_go_checkpoint(&open.tools, &run, (1, &taken.snapshot)).unwrap();
}

#[test]
fn changes_are_counted_between_each_two() {
    let repo = Repo::new();
    let kept = |name: &str| -> Snapshot { repo.snapshot(amps_core::capture::Side::End, name) };
    let first = kept("first");
    repo.write("line\nbreak \"quoted\"", "x\n");
    repo.append("a", "more\n");
    let second = kept("second");
    repo.git(["mv", "b", "renamed"]);
    let third = kept("third");
    let (git, workspace) = (repo.engine_git(), repo.workspace());
    let trees = [
        &first.tree,
        &first.tree,
        &second.tree,
        &second.tree,
        &third.tree,
    ];
    let pairs: Vec<_> = trees.windows(2).map(|pair| (pair[0], pair[1])).collect();
    assert_eq!(
        count_changes(&git, &workspace, &pairs).unwrap(),
        [0, 2, 0, 1]
    );
    assert_eq!(count_changes(&git, &workspace, &[]).unwrap(), [0_u64; 0]);
}

#[test]
fn a_session_that_is_final_keeps_all_it_has() {
    let mut open = Open::of(Repo::new());
    let frozen = open.freeze();
    for _ in 0..3 {
        open.take(&frozen, true);
    }
    let (mut session, run) = open.ledger.session(open.id).unwrap().unwrap();
    session.status = amps_core::session::Status::Completed;
    let step = amps_engine::ledger::Transition::new(&session, &run, Vec::new(), now());
    open.ledger.advance(&step).unwrap();
    let days_later = Moment {
        uptime_ms: 1_000_000_000,
        ..now()
    };
    let mut last = open.ledger.checkpoints(open.id).unwrap().pop().unwrap();
    last.number = 4;
    let limits = (1, days_later);
    let gone = store_checkpoint(&mut open.ledger, open.id, &last, limits).unwrap();
    assert_eq!(gone, []);
    let kept = open.ledger.checkpoints(open.id).unwrap();
    assert_eq!(kept.len(), 4);
    let dated: Vec<Dated> = kept.iter().map(Dated::from).collect();
    assert_eq!(thin(&dated, days_later, 1).len(), 3, "while it was open");
}
