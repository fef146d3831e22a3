//! Figures of a process, from `/proc`.

use std::time::Duration;

/// Descriptors and threads of this process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Held {
    pub descriptors: usize,
    pub threads: usize,
}

impl Held {
    pub fn now() -> Self {
        Self { descriptors: descriptors(), threads: threads() }
    }
}

/// The open descriptors of this process.
pub fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("/proc/self/fd").count()
}

/// The threads of this process.
pub fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").expect("/proc/self/task").count()
}

/// What a process (its ID, or `self`) has in memory, in bytes.
pub fn resident(process: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("status");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
    line.split_whitespace().nth(1).and_then(|kibibytes| kibibytes.parse::<u64>().ok()).expect("a number") << 10
}

/// The time on a processor that a process has used so far.
pub fn processor_time(pid: u32) -> Duration {
    let [own, _] = processor_times(pid).expect("a process");
    own
}

/// As [`processor_time`], with the children of the process, those that have ended and those that run.
pub fn processor_time_with_children(pid: u32) -> Duration {
    let running = children(pid).into_iter().filter_map(|(child, _)| processor_times(child)).map(|[own, _]| own);
    let running: Duration = running.sum();
    // Read last: a child that has ended meanwhile is counted twice, not lost.
    let [own, ended] = processor_times(pid).expect("a process");
    own + ended + running
}

/// The time of a process, and that of the children it has collected; `None` for one that is gone.
fn processor_times(pid: u32) -> Option<[Duration; 2]> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<u64> =
        stat.rsplit(") ").next()?.split(' ').map(|field| field.parse().unwrap_or_default()).collect();
    // utime, stime, cutime and cstime are the 14th to 17th field of proc_pid_stat(5), counted in hundredths of a
    // second.
    Some([fields[11] + fields[12], fields[13] + fields[14]].map(|ticks| Duration::from_millis(ticks * 10)))
}

/// The children of a process, each with its state (`Z` for a zombie).
pub fn children(pid: u32) -> Vec<(u32, char)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
        let Some(child) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // One that ends meanwhile is gone.
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{child}/stat")) else { continue };
        let Some(rest) = stat.rsplit(") ").next() else { continue };
        let mut fields = rest.split(' ');
        let state = fields.next().and_then(|state| state.chars().next()).unwrap_or('?');
        if fields.next().and_then(|parent| parent.parse().ok()) == Some(pid) {
            found.push((child, state));
        }
    }
    found
}
