//! The command line, the rounds, and what is printed and written at the end.

use std::env;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::Arg;
use lexopt::ValueExt;

use crate::churn;
use crate::load;
use crate::measure::Measurement;
use crate::plot::Line;
use crate::plot::Plot;
use crate::plot::Point;
use crate::process;
use crate::process::Server;
use crate::rows;
use crate::rows::Contender;
use crate::rows::Listen;
use crate::rows::Load;
use crate::rows::Row;
use crate::rows::SIZE;
use crate::servers;
use crate::servers::Does;
use crate::servers::Outcome;
use crate::table;
use crate::table::Figure;
use crate::table::Rounds;
use crate::udp;

const USAGE: &str = "usage: cargo bench --bench peers -- [--rounds N] [--seconds S] [--only ROW]... [--quick]

    --rounds N    how often every server of a row has its turn; 5
    --seconds S   how long it is measured each time; 1
    --only ROW    rows whose name begins so, and no others; may be given several times
    --quick       one round of 0.3 s, 1,000 connections at most: to see that everything works, not for figures";

/// With `--quick`.
const FEW: usize = 1_000;

struct Options {
    rounds: usize,
    time: Duration,
    only: Vec<String>,
    quick: bool,
}

pub(crate) fn main() -> Outcome {
    let mut options = Options { rounds: 5, time: Duration::from_secs(1), only: Vec::new(), quick: false };
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("serve") => {
                let mut value = || -> Outcome<String> { Ok(parser.value()?.string()?) };
                let (name, address, does, workers) = (value()?, value()?, value()?, value()?);
                process::settle()?;
                return servers::serve(&name, &address, &does, &workers);
            }
            Arg::Long("rounds") => options.rounds = parser.value()?.parse()?,
            Arg::Long("seconds") => options.time = Duration::try_from_secs_f64(parser.value()?.parse()?)?,
            Arg::Long("only") => options.only.push(parser.value()?.string()?),
            Arg::Long("quick") => {
                options = Options { rounds: 1, time: Duration::from_millis(300), quick: true, only: options.only };
            }
            // What cargo passes to every bench.
            Arg::Long("bench") => {}
            Arg::Long("help") => {
                println!("{USAGE}");
                return Ok(());
            }
            other => return Err(format!("{}\n{USAGE}", other.unexpected()).into()),
        }
    }
    compare(&options)
}

fn compare(options: &Options) -> Outcome {
    let wanted = |row: &Row| options.only.is_empty() || options.only.iter().any(|only| row.name.starts_with(only));
    let mut rows: Vec<Row> = rows::all().into_iter().filter(wanted).collect();
    if rows.is_empty() {
        return Err(format!("no row has such a name: {}", options.only.join(", ")).into());
    }
    for row in rows.iter_mut().filter(|_| options.quick) {
        if let Load::Echo(load) = &mut row.load
            && load.connections > FEW
        {
            row.what += &format!("; here {FEW}");
            (load.connections, load.active) = (FEW, load.active.min(FEW));
        }
    }
    let descriptors = process::raise_descriptors();
    let cpus = process::two_cpus()?;
    let head = format!(
        "{} rounds of {} s; {}\n",
        options.rounds,
        options.time.as_secs_f64(),
        match cpus {
            Some((server, generator)) => format!("server on CPU {server}, load generator on CPU {generator}"),
            None => "server and load generator share the only CPU: these figures say little".to_owned(),
        }
    );
    println!("{head}");
    let mut report = head + "\n";
    let mut failures = 0;
    let mut measured = Vec::new();
    for row in rows {
        if let Load::Echo(load) = row.load
            && (load.connections as u64 + 100) > descriptors / 4 * 3
        {
            failures += 1;
            eprintln!("{}: {descriptors} descriptors are too few", row.name);
            continue;
        }
        let mut results: Vec<Rounds> = vec![Vec::new(); row.contenders.len()];
        for round in 0..options.rounds {
            for (contender, rounds) in row.contenders.iter().zip(&mut results) {
                let outcome = measure(&row, contender, options.time, cpus);
                if let Err(error) = &outcome {
                    failures += 1;
                    eprintln!("{}, {}, round {}: {error}", row.name, contender.label, round + 1);
                }
                rounds.push(outcome.ok());
            }
        }
        let table = table::markdown(&row, &results);
        println!("{table}");
        report += &(table + "\n");
        measured.push((row, results));
    }
    write(&report, &measured)?;
    if failures > 0 {
        return Err(format!("{failures} measurements failed").into());
    }
    Ok(())
}

/// Starts the server of a contender, lets the load go at it for a time, and ends it.
fn measure(row: &Row, contender: &Contender, time: Duration, cpus: Option<(usize, usize)>) -> Outcome<Measurement> {
    let listen = match row.listen {
        Listen::Tcp => "tcp:127.0.0.1:0".to_owned(),
        Listen::Tls => "tls:127.0.0.1:0".to_owned(),
        Listen::Udp => "udp:127.0.0.1:0".to_owned(),
        Listen::Unix => {
            let name = format!("socketserver-bench-{}.sock", std::process::id());
            format!("unix:{}", env::temp_dir().join(name).display())
        }
    };
    let server_cpu = cpus.filter(|_| row.pinned).map(|(server, _)| server);
    let server = Server::start(contender.server, contender.does, row.workers, &listen, server_cpu)?;
    let upper = contender.does == Does::Lines;
    let run = move || match row.load {
        Load::Echo(load) => {
            let many_threads = load.connections > 100 && matches!(contender.server, "std" | "threads");
            let server = if many_threads { server.with_transient_threads() } else { server };
            load::run(&server, &load, upper, time)
        }
        Load::Churn { at_once } => {
            let first = servers::first_words(contender.server);
            churn::run(&server.with_transient_threads(), at_once, first, SIZE, upper, time)
        }
        Load::Udp { sockets, in_flight } => udp::run(&server, sockets, in_flight, SIZE, time),
    };
    // On a thread of its own, whose CPU is not that of the next row.
    std::thread::scope(|scope| {
        let generator = scope.spawn(move || {
            if let Some((_, cpu)) = cpus.filter(|_| row.pinned) {
                process::pin(cpu)?;
            }
            run()
        });
        generator.join().unwrap_or_else(|_| Err("the load generator panicked".into()))
    })
}

/// What is drawn of the rounds of a server and of those of the first one: the median, and from the least to the most.
type Values<'a> = dyn Fn(&Rounds, &Rounds) -> Vec<f64> + 'a;

/// The table, and the plots for which there are rows, into the target folder.
fn write(report: &str, measured: &[(Row, Vec<Rounds>)]) -> Outcome {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    let folder = target.join("bench");
    fs::create_dir_all(&folder)?;
    let mut out = std::io::stdout().lock();
    let mut save = |name: &str, text: &str| -> Outcome {
        let path = folder.join(name);
        fs::write(&path, text)?;
        writeln!(out, "written: {}", path.display())?;
        Ok(())
    };
    save("peers.md", report)?;
    let each = |rounds: &Rounds, figure: Figure| rounds.iter().flatten().map(figure).collect();
    let plots: [(&str, Plot, &Values<'_>); 3] = [
        (
            "throughput.svg",
            plot("Throughput: 64 bytes there and back", "requests, of the bare loop's", false),
            &|rounds, base| table::ratios(rounds, base, |m| m.rate),
        ),
        ("latency.svg", plot("Latency: the median of a round trip", "microseconds", true), &|rounds, _| {
            each(rounds, |m| m.p50)
        }),
        ("memory.svg", plot("Memory: resident, all connections idle", "MiB", true), &|rounds, _| {
            each(rounds, |m| m.resident / f64::from(1 << 20))
        }),
    ];
    for (name, mut plot, values) in plots {
        plot.lines = lines(measured, values);
        if let Some(svg) = plot.svg() {
            save(name, &svg)?;
        }
    }
    Ok(())
}

fn plot(title: &'static str, y_label: &'static str, log_y: bool) -> Plot {
    Plot { title, x_label: "connections", y_label, log_y, lines: Vec::new() }
}

/// A line for each server that echoes, over the rows that differ in nothing but the number of connections.
fn lines(measured: &[(Row, Vec<Rounds>)], values: &Values<'_>) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for (row, results) in measured.iter().filter(|(row, _)| row.name.starts_with("echo-")) {
        let Load::Echo(load) = row.load else { continue };
        for (contender, rounds) in row.contenders.iter().zip(results) {
            // The base is drawn as it was the second time, which shows the noise; the lines' handlers are in the table.
            let label = match contender.label.split_once(", ") {
                Some((label, "again")) => label,
                None if contender.label != row.contenders[0].label => contender.label,
                _ => continue,
            };
            let mut values = values(rounds, &results[0]);
            values.sort_by(f64::total_cmp);
            let (Some(&least), Some(&most)) = (values.first(), values.last()) else { continue };
            let Some(median) = table::median(values) else { continue };
            let point = Point { x: load.connections as f64, median, least, most };
            if let Some(line) = lines.iter_mut().find(|line| line.label == label) {
                line.points.push(point);
            } else {
                let dashed = matches!(contender.server, "epoll" | "std" | "tokio");
                lines.push(Line { label: label.to_owned(), colour: lines.len(), dashed, points: vec![point] });
            }
        }
    }
    lines
}
