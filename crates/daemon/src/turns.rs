//! The transcripts of agents that are known, listened to for the ends of turns.
//!
//! One event set of the kernel for all: it tells of new folders, new files and files that grow. A
//! transcript is known by where it lies, so two sessions of one agent in one folder share it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use amps_core::id::SessionId;
use amps_core::path::RawPath;
use amps_core::run::Run;
use amps_engine::agent;
use amps_engine::agent::transcripts::{Tail, Transcripts};
use amps_engine::testing::point;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;
use tokio::sync::{Mutex, Notify};
use tokio::task::spawn_blocking;

use crate::daemon::Daemon;
use crate::owners::readable;
use crate::{checkpoints, log};

/// The most folders of one level that are listened to for one session, the last by name first. Those
/// of an agent that makes one a day reach two months back.
const MOST_FOLDERS: usize = 64;

/// Room for the events that are taken at a time.
const EVENTS: usize = 16 * 1024;

/// The transcripts that are listened to.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    /// Held while files are being read: the event loop waits for it without standing still.
    followed: Arc<Mutex<Followed>>,
    /// Told when there is something to listen to.
    needed: Notify,
}

#[derive(Debug, Default)]
struct Followed {
    /// `None` as long as there is nothing to listen to.
    events: Option<Arc<OwnedFd>>,
    sessions: HashMap<SessionId, Source>,
    /// The folders, by the numbers that the kernel gave them.
    folders: HashMap<i32, PathBuf>,
    tails: HashMap<PathBuf, Tail>,
}

/// Where the transcript of a session is to be found.
#[derive(Clone, Debug)]
struct Source {
    transcripts: &'static dyn Transcripts,
    /// The folder of all of them.
    root: PathBuf,
    cwd: RawPath,
}

/// From where on the transcripts of a folder are heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    /// What is there was there before the agent.
    Now,
    /// The folder is new: all that is in it.
    Beginning,
}

impl Source {
    fn of(run: &Run) -> Option<Self> {
        let root = run.transcripts.as_ref()?;
        Some(Self {
            transcripts: agent::named(&run.agent)?.transcripts()?,
            root: PathBuf::from(OsStr::from_bytes(root.as_bytes())),
            cwd: run.cwd.clone(),
        })
    }

    /// Returns how far below the root a folder lies that leads to transcripts of this session.
    fn depth_of(&self, folder: &Path) -> Option<usize> {
        let below = folder.strip_prefix(&self.root).ok()?;
        let names = below.iter().enumerate();
        let mut leads = names.map(|(depth, name)| self.transcripts.leads(&self.cwd, depth, name));
        let depth = below.iter().count();
        (depth <= self.transcripts.depth() && leads.all(|leads| leads)).then_some(depth)
    }

    fn has(&self, transcript: &Path) -> bool {
        let folder = transcript.parent().and_then(|folder| self.depth_of(folder));
        let name = transcript.file_name().unwrap_or_default();
        folder == Some(self.transcripts.depth()) && self.transcripts.is_transcript(name)
    }

    fn needs(&self, folder: &Path) -> bool {
        self.depth_of(folder).is_some() || self.root.starts_with(folder)
    }
}

/// Returns whether a run's agent is one whose transcripts can be listened to.
pub(crate) fn has_transcript(run: &Run) -> bool {
    Source::of(run).is_some()
}

/// Listens to the transcripts of an open run from now on, if there are any.
pub(crate) fn follow(daemon: &Arc<Daemon>, run: &Run) {
    let Some(source) = Source::of(run) else {
        return;
    };
    let (id, work) = (run.session_id, Arc::clone(daemon));
    drop(spawn_blocking(move || {
        let followed = work.turns.followed.blocking_lock().follow(id, source);
        match followed {
            Ok(()) => work.turns.needed.notify_one(),
            Err(error) => {
                tracing::warn!(session = %id, error = %log::chain(&error), "turns are not heard");
            }
        }
        point("turns-followed");
        // It may have ended meanwhile.
        if !work.checkpoints.is_open(id) {
            leave(&work, id);
        }
    }));
}

/// Stops listening for a session.
pub(crate) fn leave(daemon: &Arc<Daemon>, id: SessionId) {
    let work = Arc::clone(daemon);
    drop(spawn_blocking(move || {
        if work.turns.followed.blocking_lock().leave(id) {
            work.turns.needed.notify_one();
        }
    }));
}

/// Listens for as long as the daemon lives. Without transcripts it sleeps.
pub(crate) async fn listen(daemon: Arc<Daemon>) {
    loop {
        let changed = daemon.turns.needed.notified();
        let Some(events) = daemon.turns.followed.lock().await.events.clone() else {
            changed.await;
            continue;
        };
        tokio::select! {
            () = changed => continue,
            heard = readable(&events) => if let Err(error) = heard {
                tracing::warn!(%error, "transcripts cannot be listened to");
                daemon.turns.needed.notified().await;
                continue;
            },
        }
        drop(events);
        let followed = Arc::clone(&daemon.turns.followed);
        let ended = spawn_blocking(move || {
            point("turns-told");
            followed.blocking_lock().take_events()
        });
        let ended = ended.await.unwrap_or_default();
        // Not before they were read: what the agent did until it wrote them is part of the turn.
        let at = daemon.clock.now();
        for id in ended {
            tokio::spawn(checkpoints::hear_turn(Arc::clone(&daemon), id, at));
        }
    }
}

impl Followed {
    fn follow(&mut self, id: SessionId, source: Source) -> io::Result<()> {
        if self.events.is_none() {
            let flags = CreateFlags::CLOEXEC | CreateFlags::NONBLOCK;
            self.events = Some(Arc::new(inotify::init(flags)?));
        }
        self.watch(&source, From::Now);
        self.sessions.insert(id, source);
        Ok(())
    }

    /// Returns whether the session was followed.
    fn leave(&mut self, id: SessionId) -> bool {
        let was_followed = self.sessions.remove(&id).is_some();
        if self.sessions.is_empty() {
            *self = Self::default();
            return was_followed;
        }
        let (sessions, events) = (&self.sessions, &self.events);
        self.folders.retain(|number, folder| {
            let stays = sessions.values().any(|source| source.needs(folder));
            if let (false, Some(events)) = (stays, events) {
                inotify::remove_watch(events, *number).ok();
            }
            stays
        });
        self.tails
            .retain(|path, _| sessions.values().any(|source| source.has(path)));
        was_followed
    }

    /// Has the kernel tell of all folders in which transcripts of a source lie or may come to lie.
    fn watch(&mut self, source: &Source, from: From) {
        // Until the folder is there, the nearest one above tells when another comes.
        let nearest = || source.root.ancestors().find(|folder| folder.is_dir());
        while let Some(above) = nearest().filter(|above| *above != source.root) {
            self.watch_folder(above, WatchFlags::empty());
            // More of them may have come meanwhile.
            if nearest() == Some(above) {
                return;
            }
        }
        let mut level = vec![source.root.clone()];
        for depth in 0..=source.transcripts.depth() {
            let mut below = Vec::new();
            for folder in &level {
                let grows = if depth == source.transcripts.depth() {
                    WatchFlags::MODIFY
                } else {
                    WatchFlags::empty()
                };
                let is_new = self.watch_folder(folder, grows);
                if depth < source.transcripts.depth() {
                    below.extend(led_to(source, depth, folder));
                } else if is_new {
                    self.note_transcripts(source, folder, from);
                }
            }
            below.sort();
            below.reverse();
            below.truncate(MOST_FOLDERS);
            level = below;
        }
    }

    /// Returns whether the folder was not listened to before.
    fn watch_folder(&mut self, folder: &Path, more: WatchFlags) -> bool {
        let Some(events) = &self.events else {
            return false;
        };
        let told = WatchFlags::CREATE
            | WatchFlags::MOVED_TO
            | WatchFlags::ONLYDIR
            | WatchFlags::MASK_ADD
            | more;
        match inotify::add_watch(events, folder, told) {
            Ok(number) => match self.folders.entry(number) {
                Entry::Occupied(_) => false,
                Entry::Vacant(entry) => {
                    entry.insert(folder.to_owned());
                    true
                }
            },
            Err(error) => {
                tracing::debug!(%error, folder = %folder.display(), "not listened to");
                false
            }
        }
    }

    fn note_transcripts(&mut self, source: &Source, folder: &Path, from: From) {
        for path in entries(folder).filter(|path| source.has(path)) {
            let tail = match from {
                From::Now => Tail::from_now(source.transcripts, &path),
                From::Beginning => Tail::whole(source.transcripts),
            };
            self.tails.entry(path).or_insert(tail);
        }
    }

    /// Takes what the kernel has to tell and returns whose turns have ended.
    fn take_events(&mut self) -> Vec<SessionId> {
        let Some(events) = self.events.clone() else {
            return Vec::new();
        };
        let mut room = [MaybeUninit::uninit(); EVENTS];
        let mut reader = Reader::new(&*events, &mut room);
        let (mut grown, mut has_new_folders) = (Vec::new(), false);
        loop {
            let event = match reader.next() {
                Ok(event) => event,
                Err(Errno::INTR) => continue,
                Err(_) => break,
            };
            let flags = event.events();
            if flags.contains(ReadFlags::IGNORED) {
                has_new_folders |= self.forget_folder(event.wd());
            } else if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
                has_new_folders = true;
                grown.extend(self.tails.keys().cloned());
            } else if flags.contains(ReadFlags::ISDIR) {
                has_new_folders = true;
            } else if let (Some(folder), Some(name)) =
                (self.folders.get(&event.wd()), event.file_name())
            {
                let path = folder.join(OsStr::from_bytes(name.to_bytes()));
                if flags.contains(ReadFlags::MOVED_TO) {
                    self.note_moved(&path);
                }
                grown.push(path);
            }
        }
        if has_new_folders {
            grown.extend(self.watch_again());
        }
        grown.sort();
        grown.dedup();
        grown.iter().flat_map(|path| self.hear(path)).collect()
    }

    /// Forgets a folder that is gone, with all that was in it. Returns whether it may come again.
    fn forget_folder(&mut self, number: i32) -> bool {
        let Some(folder) = self.folders.remove(&number) else {
            return false;
        };
        self.tails
            .retain(|path, _| path.parent() != Some(folder.as_path()));
        true
    }

    /// A transcript that comes from elsewhere has its past with it.
    fn note_moved(&mut self, path: &Path) {
        let source = self.sessions.values().find(|source| source.has(path));
        if let Some(source) = source {
            let tail = Tail::from_now(source.transcripts, path);
            self.tails.entry(path.to_owned()).or_insert(tail);
        }
    }

    /// Looks for folders that are new, and returns the transcripts in them.
    fn watch_again(&mut self) -> Vec<PathBuf> {
        let known: Vec<PathBuf> = self.tails.keys().cloned().collect();
        let sources: Vec<Source> = self.sessions.values().cloned().collect();
        for source in &sources {
            self.watch(source, From::Beginning);
        }
        let all = self.tails.keys();
        all.filter(|path| !known.contains(path)).cloned().collect()
    }

    /// Hears what has been appended to a transcript, and returns whose turns have ended by it.
    fn hear(&mut self, path: &Path) -> Vec<SessionId> {
        let Some(source) = self.sessions.values().find(|source| source.has(path)) else {
            return Vec::new();
        };
        let new = || Tail::whole(source.transcripts);
        let tail = self.tails.entry(path.to_owned()).or_insert_with(new);
        let turns = match tail.hear(path) {
            Ok(turns) => turns,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                tracing::debug!(%error, path = %path.display(), "a transcript cannot be read");
                Vec::new()
            }
        };
        let mut ended = Vec::new();
        for turn in turns {
            let of = self.sessions.iter().filter(|(_, source)| {
                source.has(path) && source.transcripts.is_of(&turn, &source.cwd)
            });
            ended.extend(of.map(|(id, _)| *id));
        }
        ended
    }
}

fn led_to(source: &Source, depth: usize, folder: &Path) -> Vec<PathBuf> {
    entries(folder)
        .filter(|path| {
            let name = path.file_name().unwrap_or_default();
            source.transcripts.leads(&source.cwd, depth, name) && path.is_dir()
        })
        .collect()
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path()))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use amps_engine::files::{self, open_to_append};
    use uuid::Uuid;

    use super::*;

    const CODEX: &str = "{\"type\":\"session_meta\",\"payload\":{\"cwd\":\"/src/app\"}}\n\
                         {\"type\":\"event_msg\",\"payload\":{\"type\":\"task_complete\"}}\n";

    fn claude(id: &str) -> String {
        format!(
            "{{\"type\":\"assistant\",\"cwd\":\"/src/app\",\"message\":{{\"id\":\"{id}\",\
             \"stop_reason\":\"end_turn\"}}}}\n"
        )
    }

    fn append(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut file = open_to_append(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn id(number: u128) -> SessionId {
        SessionId::new(Uuid::from_u128(number))
    }

    fn source(agent: &str, root: &Path, cwd: &str) -> Source {
        Source {
            transcripts: agent::named(agent).unwrap().transcripts().unwrap(),
            root: root.to_owned(),
            cwd: RawPath::new(cwd),
        }
    }

    fn heard(followed: &mut Followed) -> Vec<SessionId> {
        let mut heard = followed.take_events();
        heard.sort();
        heard
    }

    #[test]
    fn folders_that_come_later_are_heard_from_their_beginning() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("config/codex/sessions");
        let mut followed = Followed::default();
        let codex = source("codex", &root, "/src/app");
        followed.follow(id(1), codex).unwrap();
        assert_eq!(heard(&mut followed), []);
        // Not all at once: what is made in a new folder before it is watched is looked for.
        for folder in ["config", "config/codex", "config/codex/sessions/2026"] {
            fs::create_dir_all(home.path().join(folder)).unwrap();
            assert_eq!(heard(&mut followed), []);
        }
        let file = root.join("2026/01/31/rollout-x.jsonl");
        append(&file, CODEX);
        assert_eq!(heard(&mut followed), [id(1)]);
        append(&file, CODEX);
        assert_eq!(heard(&mut followed), [id(1)]);
        append(&root.join("2026/02/01/rollout-y.jsonl"), CODEX);
        append(&root.join("2026/02/01/notes.txt"), CODEX);
        assert_eq!(heard(&mut followed), [id(1)]);
        assert_eq!(heard(&mut followed), []);
    }

    #[test]
    fn what_was_there_before_is_not_heard() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("2025/12/31/rollout-x.jsonl");
        append(&file, CODEX);
        let mut followed = Followed::default();
        let codex = source("codex", root.path(), "/src/app");
        followed.follow(id(1), codex).unwrap();
        let elsewhere = root.path().join("moved.jsonl");
        append(&elsewhere, CODEX);
        fs::rename(&elsewhere, file.with_file_name("rollout-moved.jsonl")).unwrap();
        files::replace(&file, CODEX.repeat(2).as_bytes(), 0o600).unwrap();
        assert_eq!(heard(&mut followed), []);
        append(&file, CODEX);
        append(&file.with_file_name("rollout-moved.jsonl"), CODEX);
        assert_eq!(heard(&mut followed), [id(1), id(1)]);
    }

    #[test]
    fn a_turn_is_of_every_session_in_its_folder_and_of_no_other() {
        let root = tempfile::tempdir().unwrap();
        let mut followed = Followed::default();
        for (number, cwd) in [
            (1, "/src/app"),
            (2, "/src/app"),
            (3, "/src-app"),
            (4, "/src"),
        ] {
            let claude = source("claude", root.path(), cwd);
            followed.follow(id(number), claude).unwrap();
        }
        let file = root.path().join("-src-app/conversation.jsonl");
        append(&file, &claude("m1"));
        assert_eq!(heard(&mut followed), [id(1), id(2)]);
        append(&root.path().join("-src/conversation.jsonl"), &claude("m1"));
        assert_eq!(heard(&mut followed), [id(4)], "it went further down");
        followed.leave(id(1));
        append(&file, &claude("m2"));
        assert_eq!(heard(&mut followed), [id(2)]);
    }

    #[test]
    fn a_folder_that_is_deleted_and_made_again_is_heard_again() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("projects");
        let file = root.join("-src-app/conversation.jsonl");
        append(&file, &claude("m1"));
        let mut followed = Followed::default();
        let claude_code = source("claude", &root, "/src/app");
        followed.follow(id(1), claude_code).unwrap();
        fs::remove_dir_all(&root).unwrap();
        assert_eq!(heard(&mut followed), []);
        append(&file, &claude("m2"));
        assert_eq!(heard(&mut followed), [id(1)]);
        append(&file, &claude("m3"));
        assert_eq!(heard(&mut followed), [id(1)]);
    }

    #[test]
    fn nothing_is_listened_to_without_need() {
        let root = tempfile::tempdir().unwrap();
        let mut followed = Followed::default();
        for (number, cwd) in [(1, "/src/a"), (2, "/src/b")] {
            let file = root
                .path()
                .join(format!("{}/x.jsonl", cwd.replace('/', "-")));
            append(&file, &claude("m0"));
            let claude = source("claude", root.path(), cwd);
            followed.follow(id(number), claude).unwrap();
        }
        assert_eq!((followed.folders.len(), followed.tails.len()), (3, 2));
        assert!(followed.leave(id(1)));
        assert!(!followed.leave(id(1)));
        assert_eq!((followed.folders.len(), followed.tails.len()), (2, 1));
        assert!(followed.leave(id(2)));
        assert!(followed.events.is_none());
        assert_eq!((followed.folders.len(), followed.tails.len()), (0, 0));
        assert_eq!(heard(&mut followed), []);
    }
}
