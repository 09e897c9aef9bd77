//! What the kernel says about a process: its memory and its processor time.

use std::fs;

use crate::Outcome;

/// Memory of a process, in KiB.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// Its proportional share.
    pub(crate) pss: f64,
    /// All that is resident.
    pub(crate) rss: f64,
    /// What it has written to and shares with nobody: what one more such process adds at least.
    pub(crate) private_dirty: f64,
}

/// Reads the memory of a process.
pub(crate) fn memory(pid: u32) -> Outcome<Memory> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let field = |name: &str| -> Outcome<f64> {
        let line = text.lines().find(|line| line.starts_with(name));
        let value = line.and_then(|line| line.split_whitespace().nth(1));
        Ok(value
            .ok_or_else(|| format!("no {name} for {pid}"))?
            .parse()?)
    };
    Ok(Memory {
        pss: field("Pss:")?,
        rss: field("Rss:")?,
        private_dirty: field("Private_Dirty:")?,
    })
}

/// Returns the processor time of a process's living threads in nanoseconds, as exact as the
/// scheduler keeps it. Threads that ended are not counted: right for idle processes.
pub(crate) fn thread_time(pid: u32) -> Outcome<u64> {
    let mut total = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else {
            continue;
        };
        let first = text.split_whitespace().next().unwrap_or("0");
        total += first.parse::<u64>()?;
    }
    Ok(total)
}

/// Returns the processor time of a process with its ended threads in milliseconds, in steps of
/// ten: right for busy processes.
pub(crate) fn process_time(pid: u32) -> Outcome<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after = text.rsplit_once(')').ok_or("malformed stat")?.1;
    let fields: Vec<&str> = after.split_whitespace().collect();
    let ticks = |at: usize| -> Outcome<f64> { Ok(fields.get(at).ok_or("short stat")?.parse()?) };
    let per_second = rustix::param::clock_ticks_per_second() as f64;
    Ok((ticks(11)? + ticks(12)?) * 1000.0 / per_second)
}
