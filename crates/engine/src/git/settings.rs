//! What git is started with besides its arguments: settings and variables of a quiet call, and of
//! one in the manner of the person.

/// Settings that outrank every configuration file: nothing of the person's may run, lock or fetch.
pub(super) const SETTINGS: [&str; 16] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.logAllRefUpdates=false",
    "core.quotePath=true",
    "core.safecrlf=false",
    "core.pager=cat",
    "core.askPass=",
    "credential.helper=",
    "gc.auto=0",
    "maintenance.auto=false",
    "submodule.recurse=false",
    "protocol.allow=never",
    "diff.renameLimit=1000",
    "core.looseCompression=1",
    "pack.compression=0",
    "advice.graftFileDeprecated=false",
];

/// What a call in the manner of the person is still denied: a pager, maintenance that goes on
/// behind it, and a reach into submodules.
pub(super) const PERSON_SETTINGS: [&str; 4] = [
    "core.pager=cat",
    "gc.auto=0",
    "maintenance.auto=false",
    "submodule.recurse=false",
];

/// Keeps whatever a call in the manner of the person starts from asking anybody: no editor opens,
/// and a password that no agent or helper knows is a failure.
pub(super) const UNASKED: [(&str, &str); 8] = [
    ("GCM_INTERACTIVE", "never"),
    ("GIT_ASKPASS", "false"),
    ("GIT_EDITOR", ":"),
    ("GIT_MERGE_AUTOEDIT", "no"),
    ("GIT_SEQUENCE_EDITOR", ":"),
    ("LC_ALL", "C.UTF-8"),
    ("SSH_ASKPASS", "false"),
    ("SSH_ASKPASS_REQUIRE", "force"),
];

/// What only a quiet call is given. A pathspec of a hook means what it says there.
pub(super) const QUIET: [(&str, &str); 3] = [
    ("GIT_LITERAL_PATHSPECS", "1"),
    ("GIT_NO_LAZY_FETCH", "1"),
    ("LC_ALL", "C"),
];

/// Git frees and takes again a quarter of a megabyte for every object that it packs, and the C
/// library gives it back to the system each time: half of the time of an import. Others ignore it.
pub(super) const MEMORY: [(&str, &str); 2] = [
    ("MALLOC_TOP_PAD_", "8388608"),
    ("MALLOC_TRIM_THRESHOLD_", "268435456"),
];

/// Variables that tie git to one repository.
pub(super) const TIES: [&str; 8] = [
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_WORK_TREE",
];
