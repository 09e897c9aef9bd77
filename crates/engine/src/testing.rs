//! Named points at which tests stop a process to end it there. Without the feature `testing` a
//! point is nothing.

/// Stops here when a test asked for the point of this name, until the test lets go.
#[cfg(not(feature = "testing"))]
#[inline]
pub fn point(_name: &str) {}

/// Stops here when a test asked for the point of this name, until the test lets go.
#[cfg(feature = "testing")]
#[expect(clippy::disallowed_methods, reason = "compiled for tests only")]
pub fn point(name: &str) {
    use std::path::PathBuf;
    use std::time::Duration;

    let Ok(points) = std::env::var("AMPSM_TEST_PAUSE") else {
        return;
    };
    let Some(folder) = std::env::var_os("AMPSM_TEST_PAUSE_DIR").map(PathBuf::from) else {
        return;
    };
    if !points.split(',').any(|point| point == name) {
        return;
    }
    let reached = folder.join(format!("{name}.reached"));
    let go = folder.join(format!("{name}.go"));
    let staged = folder.join(format!("{name}.{}", std::process::id()));
    if std::fs::write(&staged, std::process::id().to_string()).is_ok() {
        drop(std::fs::rename(&staged, &reached));
    }
    while !go.exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
}
