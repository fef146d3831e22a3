//! The server as a process of its own: starting it, pinning it, and reading what it uses.

use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Resource;
use rustix::process::Rlimit;
use rustix::process::Signal;
use rustix::process::getrlimit;
use rustix::process::set_parent_process_death_signal;
use rustix::process::setrlimit;
use rustix::thread::CpuSet;
use rustix::thread::sched_getaffinity;
use rustix::thread::sched_setaffinity;

use crate::certificate;
use crate::servers::Address;
use crate::servers::Does;
use crate::servers::Outcome;

/// Where `--serve` finds the CPU it is to stay on.
const CPU: &str = "SOCKETSERVER_BENCH_CPU";

/// A server that runs; dropping it kills it.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: Address,
    /// Whether its threads or children come and go, so that only the process knows of all of them.
    transient: bool,
}

impl Server {
    pub(crate) fn start(name: &str, does: Does, workers: usize, listen: &str, cpu: Option<usize>) -> Outcome<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--serve", name, listen, does.name(), &workers.to_string()]);
        command.stdout(Stdio::piped()).env_remove(CPU);
        if let Some(cpu) = cpu {
            command.env(CPU, cpu.to_string());
        }
        let scheme = listen.split(':').next().unwrap_or_default();
        if scheme == "tls" {
            certificate::pass_on(&mut command)?;
        }
        let mut child = command.spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut line)?;
        let Some(address) = line.trim_end().strip_prefix("listening on ") else {
            let _ = child.kill();
            return Err(format!("{name} ended with {}", child.wait()?).into());
        };
        Ok(Self { child, address: Address::parse(&format!("{scheme}:{address}"))?, transient: false })
    }

    /// For loads under which threads and processes end.
    pub(crate) fn with_transient_threads(mut self) -> Self {
        self.transient = true;
        self
    }

    /// The CPU time so far.
    pub(crate) fn usage(&self) -> Outcome<Usage> {
        let time = if self.transient { self.time_of_process()? } else { self.time_of_threads()? };
        Ok(Usage { time })
    }

    /// In nanoseconds, of the threads that there are.
    fn time_of_threads(&self) -> Outcome<Duration> {
        let mut sum = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let text = fs::read_to_string(task?.path().join("schedstat"))?;
            sum += text.split(' ').next().unwrap_or_default().parse::<u64>()?;
        }
        Ok(Duration::from_nanos(sum))
    }

    /// In ticks of 10 ms, with threads that have ended and children, also those that were waited for.
    fn time_of_process(&self) -> Outcome<Duration> {
        let process = self.child.id();
        let mut ticks = ticks_of(&process.to_string())?;
        // What children are made by is their server's first thread: `Fork` and `PreFork` have no other.
        for child in fs::read_to_string(format!("/proc/{process}/task/{process}/children"))?.split_whitespace() {
            // One that has ended meanwhile is in its parent's account next time.
            ticks += ticks_of(child).unwrap_or_default();
        }
        Ok(Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second()))
    }

    /// Resident memory, in bytes.
    pub(crate) fn resident(&self) -> Outcome<f64> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? * 1024.0)
    }
}

/// What a process has used, and those of its children that it has waited for.
fn ticks_of(process: &str) -> Outcome<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/stat"))?;
    let fields = text.rsplit(") ").next().unwrap_or_default();
    let mut ticks = 0;
    // utime, stime, cutime, cstime.
    for field in fields.split(' ').skip(11).take(4) {
        ticks += field.parse::<u64>()?;
    }
    Ok(ticks)
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Address::Unix(path) = &self.address {
            let _ = fs::remove_file(path);
        }
    }
}

/// What a server has used at one moment.
#[derive(Debug)]
pub(crate) struct Usage {
    time: Duration,
}

impl Usage {
    pub(crate) fn since(&self, before: &Self) -> Duration {
        self.time.saturating_sub(before.time)
    }
}

/// What a server's process does first: it stays on its CPU, and ends with its parent.
pub(crate) fn settle() -> Outcome {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if let Ok(cpu) = std::env::var(CPU) {
        pin(cpu.parse()?)?;
    }
    Ok(())
}

/// Two CPUs, one for the server and one for the load generator; `None` on a machine that has not two.
pub(crate) fn two_cpus() -> Outcome<Option<(usize, usize)>> {
    let allowed = sched_getaffinity(None)?;
    let mut cpus = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu));
    Ok(cpus.next().zip(cpus.next()))
}

/// This thread, and those it starts, run on `cpu` only.
pub(crate) fn pin(cpu: usize) -> Outcome {
    let mut set = CpuSet::new();
    set.set(cpu);
    Ok(sched_setaffinity(None, &set)?)
}

/// Opens as many descriptors to this process and the servers as the system lets it; returns how many.
pub(crate) fn raise_descriptors() -> u64 {
    const ENOUGH: u64 = 40_000;
    let limit = getrlimit(Resource::Nofile);
    let hard = limit.maximum.unwrap_or(u64::MAX);
    // Only a privileged process can raise the hard limit.
    let raised = Rlimit { current: Some(hard.max(ENOUGH)), maximum: Some(hard.max(ENOUGH)) };
    if setrlimit(Resource::Nofile, raised).is_err() {
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(hard), maximum: Some(hard) });
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}
