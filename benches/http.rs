//! What idle and slow clients cost the example `http_files`: `cargo bench --bench http`.
//!
//! The server runs under `Pool` with two workers on one CPU, the clients on the others. First 10,000 keep-alive
//! connections that have had an answer and say no more, then 5,000 that send a byte of a request's head once a second;
//! the question is how a normal request does beside.

#[cfg(target_os = "linux")]
mod linux {
    use std::error::Error;
    use std::fs;
    use std::io::BufRead;
    use std::io::BufReader;
    use std::io::Read;
    use std::io::Write;
    use std::net::TcpStream;
    use std::path::Path;
    use std::process::Child;
    use std::process::Command;
    use std::process::Stdio;
    use std::sync::atomic::AtomicBool;
    use std::sync::atomic::Ordering;
    use std::time::Duration;
    use std::time::Instant;

    use rustix::process::Resource;
    use rustix::process::Rlimit;
    use rustix::process::getrlimit;
    use rustix::process::setrlimit;
    use rustix::thread::CpuSet;
    use rustix::thread::sched_getaffinity;
    use rustix::thread::sched_setaffinity;

    type Outcome<T = ()> = Result<T, Box<dyn Error>>;

    const IDLE: usize = 10_000;
    const SLOW: usize = 5_000;
    /// How many requests a median is taken of.
    const REQUESTS: usize = 2_000;
    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

    /// The server; killed at the end.
    struct Server {
        child: Child,
        address: String,
    }

    impl Server {
        fn start() -> Outcome<Self> {
            // .../PROFILE/deps/http-1234
            let bench = std::env::current_exe()?;
            let profile = bench.ancestors().nth(2).ok_or("no folder of the profile")?;
            let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
            build.args(["build", "--quiet", "--release", "--example", "http_files", "--target-dir"]);
            build.arg(profile.parent().unwrap_or_else(|| Path::new("target"))).current_dir(env!("CARGO_MANIFEST_DIR"));
            if !build.status()?.success() {
                return Err("the example http_files does not compile".into());
            }
            let flags =
                ["--listen", "127.0.0.1:0", "--hello", "--dispatch", "pool", "--workers", "2", "--timeout", "300"];
            let mut child = on_first_cpu(|| {
                Command::new(profile.join("examples/http_files")).args(flags).stdout(Stdio::piped()).spawn()
            })??;
            let mut line = String::new();
            BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut line)?;
            let address = line.trim_end().strip_prefix("listening on ").ok_or("the server does not listen")?.to_owned();
            Ok(Self { child, address })
        }

        fn connect(&self) -> Outcome<TcpStream> {
            let client = TcpStream::connect(&self.address)?;
            client.set_nodelay(true)?;
            client.set_read_timeout(Some(Duration::from_secs(30)))?;
            Ok(client)
        }

        /// In bytes.
        fn resident(&self) -> Outcome<usize> {
            let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
            Ok(line.trim_end_matches("kB").trim().parse::<usize>()? * 1024)
        }
    }

    impl Drop for Server {
        fn drop(&mut self) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }

    /// Runs `start` on the first CPU, whose child stays there, and goes on on the others.
    fn on_first_cpu<T>(start: impl FnOnce() -> T) -> Outcome<T> {
        let allowed = sched_getaffinity(None)?;
        let cpus: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|&cpu| allowed.is_set(cpu)).collect();
        let set = |cpus: &[usize]| {
            let mut set = CpuSet::new();
            cpus.iter().for_each(|&cpu| set.set(cpu));
            sched_setaffinity(None, &set)
        };
        set(&cpus[..1])?;
        let outcome = start();
        set(if cpus.len() > 1 { &cpus[1..] } else { &cpus })?;
        Ok(outcome)
    }

    fn request(mut client: &TcpStream) -> Outcome<Duration> {
        let begun = Instant::now();
        client.write_all(REQUEST)?;
        let count = client.read(&mut [0; 1024])?;
        if count == 0 { Err("closed instead of an answer".into()) } else { Ok(begun.elapsed()) }
    }

    /// Half of the times are no longer than the first, 99 of 100 no longer than the second.
    fn ranks(mut times: Vec<Duration>) -> (Duration, Duration) {
        times.sort_unstable();
        (times[times.len() / 2], times[times.len() * 99 / 100])
    }

    /// On one connection, at a pace that does not load the server by itself.
    fn normal_requests(server: &Server) -> Outcome<(Duration, Duration)> {
        let client = server.connect()?;
        let times = (0..REQUESTS).map(|_| {
            std::thread::sleep(Duration::from_millis(1));
            request(&client)
        });
        Ok(ranks(times.collect::<Outcome<_>>()?))
    }

    fn row(what: &str, value: &str, bar: &str) {
        println!("| {what:<60} | {value:>12} | {bar:>10} |");
    }

    fn millis(time: Duration) -> String {
        format!("{:.3} ms", time.as_secs_f64() * 1e3)
    }

    fn idle(server: &Server) -> Outcome {
        let before = server.resident()?;
        let clients = (0..IDLE).map(|_| {
            let client = server.connect()?;
            request(&client)?;
            Ok(client)
        });
        let clients = clients.collect::<Outcome<Vec<_>>>()?;
        let resident = server.resident()?;
        let new = (0..200).map(|_| {
            let begun = Instant::now();
            request(&server.connect()?)?;
            Ok(begun.elapsed())
        });
        let mut new = new.collect::<Outcome<Vec<_>>>()?;
        new.sort_unstable();
        // They are still served.
        request(&clients[0])?;
        request(&clients[IDLE - 1])?;
        row("resident, 10,000 idle connections", &format!("{:.1} MiB", resident as f64 / (1 << 20) as f64), "30 MiB");
        let each = (resident - before) / IDLE;
        row("of that for each connection", &format!("{each} B"), "");
        row("connect and request beside them, median of 200", &millis(new[100]), "");
        row("longest", &millis(new[199]), "10 ms");
        Ok(())
    }

    fn slow(server: &Server) -> Outcome {
        let (alone, alone_late) = normal_requests(server)?;
        let head: Vec<u8> = [&b"GET / HTTP/1.1\r\nX-Slow: "[..], &[b'x'; 1000]].concat();
        let mut clients = (0..SLOW).map(|_| server.connect()).collect::<Outcome<Vec<_>>>()?;
        for client in &mut clients {
            client.write_all(&head[..1])?;
        }
        let done = AtomicBool::new(false);
        let measured = std::thread::scope(|scope| {
            let sender = scope.spawn(|| {
                // A thousandth of them each millisecond.
                let begun = Instant::now();
                for turn in 0.. {
                    for client in clients.iter_mut().skip(turn % 1000).step_by(1000) {
                        if client.write_all(&head[1 + turn / 1000..][..1]).is_err() {
                            return Err("a slow client was closed");
                        }
                    }
                    if done.load(Ordering::Relaxed) {
                        break;
                    }
                    let next = begun + Duration::from_millis(turn as u64 + 1);
                    std::thread::sleep(next.saturating_duration_since(Instant::now()));
                }
                Ok(())
            });
            let measured = normal_requests(server);
            done.store(true, Ordering::Relaxed);
            sender.join().map_err(|_| "the sender panicked")??;
            measured
        });
        let (beside, beside_late) = measured?;
        row("a request on a quiet server, median of 2,000", &millis(alone), "");
        row("99 of 100 within", &millis(alone_late), "");
        row("beside 5,000 that drip a byte of a head each second, median", &millis(beside), "");
        row("99 of 100 within", &millis(beside_late), "");
        let ratio = beside.as_secs_f64() / alone.as_secs_f64();
        row("ratio of the medians", &format!("{ratio:.2}"), "2");
        Ok(())
    }

    pub(crate) fn main() -> Outcome {
        let most = getrlimit(Resource::Nofile).maximum;
        setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most })?;
        if most.is_some_and(|most| most < IDLE as u64 + 100) {
            return Err(format!("{most:?} descriptors are too few for {IDLE} connections: raise `ulimit -Hn`").into());
        }
        row("http_files --hello, pool of 2 workers", "", "at most");
        println!("|{}|{}:|{}:|", "-".repeat(62), "-".repeat(13), "-".repeat(11));
        idle(&Server::start()?)?;
        slow(&Server::start()?)
    }
}

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("this needs Linux: CPU sets, and the accounts of processes in /proc");
}
