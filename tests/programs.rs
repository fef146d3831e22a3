//! What the example programs have in common: their flags, how they say what is wrong, their exit codes, and that neither
//! a signal at the wrong moment nor an output that takes nothing does them harm.

#![cfg(unix)]

mod common;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::ffi::OsString;
use std::fs::File;
#[cfg(target_os = "linux")]
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use common::TempDir;
use common::example::finish;
use common::example::program;
use common::example::wait;
use common::example::with_default_signals;
use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;

/// What a drain may take by default.
const DRAIN: Duration = Duration::from_secs(15);

/// A server example: its transports (the first is the default), its dispatches, and the flags that it cannot do without.
struct Server {
    name: &'static str,
    transports: &'static [&'static str],
    dispatches: &'static [&'static str],
    needs: &'static [&'static str],
}

const ALL: &[&str] = &["sync", "threads", "fork", "pool"];
const IN_ONE_PROCESS: &[&str] = &["sync", "threads", "pool"];

const SERVERS: &[Server] = &[
    Server { name: "chat", transports: &["tcp", "unix"], dispatches: IN_ONE_PROCESS, needs: &[] },
    // Both at once.
    Server { name: "dns", transports: &[], dispatches: IN_ONE_PROCESS, needs: &[] },
    Server { name: "echo", transports: &["tcp", "udp", "unix-stream", "unix-datagram"], dispatches: ALL, needs: &[] },
    Server { name: "exec", transports: &["tcp", "unix"], dispatches: &["fork"], needs: &["--run", "cat"] },
    Server { name: "http_files", transports: &["tcp", "unix"], dispatches: ALL, needs: &[] },
    Server { name: "kv", transports: &["tcp", "unix"], dispatches: IN_ONE_PROCESS, needs: &[] },
    Server { name: "smtp", transports: &["tcp", "unix"], dispatches: ALL, needs: &[] },
    Server { name: "socks", transports: &["tcp", "unix"], dispatches: ALL, needs: &[] },
    Server { name: "syslog", transports: &["udp", "unix"], dispatches: ALL, needs: &[] },
    Server { name: "upper", transports: &["tcp", "unix"], dispatches: ALL, needs: &[] },
];

impl Server {
    fn command(&self, program: &Path, flags: &[&str]) -> Command {
        let mut command = with_default_signals(program);
        command.args(flags).args(self.needs).stdin(Stdio::null());
        command
    }

    /// Whether there may be several of its processes on one listener: nothing of it is in the memory of one alone.
    fn serves_in_processes(&self) -> bool {
        self.dispatches == ALL
    }

    /// Calls `with` for each transport and dispatch, in one process and in several: with the program's flags for them, and the file of its socket.
    fn each_flavour(&self, mut with: impl FnMut(&Path, &[&str], Option<&Path>)) {
        let program = program(self.name);
        let folder = TempDir::new();
        for transport in self.transports.iter().copied().map(Some).chain(self.transports.is_empty().then_some(None)) {
            for dispatch in self.dispatches {
                let path = folder.join("socket");
                let is_path = transport.is_some_and(|transport| transport.starts_with("unix"));
                let listen = if is_path { path.to_str().expect("a path of text") } else { "127.0.0.1:0" };
                let mut flags = vec!["--listen", listen, "--dispatch", dispatch];
                flags.extend(transport.iter().flat_map(|transport| ["--transport", transport]));
                with(&program, &flags, is_path.then_some(path.as_path()));
                if self.serves_in_processes() {
                    flags.extend(["--processes", "2"]);
                    with(&program, &flags, is_path.then_some(path.as_path()));
                }
            }
        }
    }
}

fn terminate(child: &Child) {
    kill_process(Pid::from_child(child), Signal::TERM).expect("a signal");
}

/// The output takes nothing: the disk is full, or nobody reads any more, or it was never open.
fn outputs_that_take_nothing() -> [(&'static str, Option<Stdio>); 3] {
    let full = File::options().write(true).open("/dev/full").expect("a device");
    let (reader, unread) = std::io::pipe().expect("a pipe");
    drop(reader);
    [("full", Some(full.into())), ("unread", Some(unread.into())), ("closed", None)]
}

/// Its first line, which says where it listens.
fn first_line(child: &mut Child) -> String {
    let line = common::read_line(child.stdout.as_mut().expect("its output"));
    assert!(line.starts_with("listening on "), "{line}");
    line
}

#[test]
fn every_server_example_is_in_the_table() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let names: BTreeSet<String> = std::fs::read_dir(folder)
        .expect("the examples")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension() == Some(OsStr::new("rs")))
        .map(|path: PathBuf| path.file_stem().expect("a name").to_string_lossy().into_owned())
        // It is no server: it ends by itself.
        .filter(|name| name != "tour")
        .collect();
    assert_eq!(names, SERVERS.iter().map(|server| server.name.to_owned()).collect());
}

#[test]
fn a_wrong_command_line_is_said_in_words_and_exits_with_2() {
    for server in SERVERS {
        let program = program(server.name);
        let with_workers = if server.dispatches.contains(&"pool") { "pool" } else { "fork" };
        let wrong: [(&[&str], &str); 15] = [
            (&["--nonsense"], "--nonsense"),
            (&["--transport", "foo"], "--transport foo"),
            (&["--transport", "TCP"], "--transport TCP"),
            (&["--dispatch", "foo"], "--dispatch foo"),
            (&["--workers", "many"], "--workers many"),
            (&["--workers", "-1"], "--workers -1"),
            (&["--dispatch", with_workers, "--workers", "0"], "--workers 0: it must be a whole number, 1 or more"),
            (&["--max-connections", "x"], "--max-connections x: it must be a whole number, 1 or more"),
            (&["--workers"], "--workers"),
            (&["--processes", "two"], "--processes two"),
            (&["--listen"], "--listen"),
            (&["--listen", "no.port.here"], "no.port.here"),
            (&["--listen", "127.0.0.1:65536"], "127.0.0.1:65536"),
            (&["-x"], "-x"),
            (&["argument"], "argument"),
        ];
        let as_os = |flags: &[&str]| flags.iter().map(OsString::from).collect::<Vec<_>>();
        let mut wrong: Vec<_> = wrong.iter().map(|(flags, named)| (as_os(flags), (*named).to_owned())).collect();
        wrong.push((vec!["--listen".into(), OsString::from_vec(vec![0xff, 0xfe])], "--listen".to_owned()));
        for dispatch in ALL.iter().filter(|dispatch| !server.dispatches.contains(dispatch)) {
            wrong.push((as_os(&["--dispatch", dispatch]), format!("--dispatch {dispatch}")));
        }
        wrong.push((as_os(&["--processes", "0"]), "--processes 0: it must be a whole number, 1 or more".to_owned()));
        if !server.serves_in_processes() {
            wrong.push((as_os(&["--processes", "2"]), "--processes 2: ".to_owned()));
        }
        for (flags, named) in wrong {
            let needs = if flags.len() > 1 { server.needs } else { &[] };
            let ended = finish(Command::new(&program).args(&flags).args(needs));
            let said = format!("{} {flags:?}: {:?}, {}", server.name, ended.code, ended.errors);
            assert_eq!((ended.code, ended.output.as_str()), (Some(2), ""), "{said}");
            let (error, usage) = ended.errors.split_once('\n').expect("an error");
            assert!(error.starts_with(&format!("{}: ", server.name)) && error.contains(&named), "{said}");
            assert!(!error.contains("Error") && !error.contains("\\n"), "{said}");
            // Once, and then how it is right.
            assert!(usage.starts_with(&format!("usage: {}", server.name)), "{said}");
            assert_eq!((usage.matches("usage").count(), usage.matches(error).count()), (1, 0), "{said}");
        }
    }
}

#[test]
fn what_fails_later_is_said_in_one_line_and_exits_with_1() {
    for server in SERVERS {
        // An address that is in use, by TCP and by UDP.
        let (tcp, port) = loop {
            let tcp = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
            let port = tcp.local_addr().expect("its address");
            if let Ok(udp) = std::net::UdpSocket::bind(port) {
                break ((tcp, udp), port.to_string());
            }
        };
        let ended = finish(&mut server.command(&program(server.name), &["--listen", &port]));
        assert_eq!((ended.code, ended.output.as_str()), (Some(1), ""), "{}: {}", server.name, ended.errors);
        let expected = format!(
            "{}: cannot bind to {port}: Address already in use (os error 98); another socket is using it: choose another port, or 0 for a free one\n",
            server.name
        );
        let (expected, said) = (expected.replace(" (os error 98)", ""), ended.errors.replace(" (os error 98)", ""));
        assert_eq!(said, expected);
        drop(tcp);
    }
    let ended = finish(Command::new(program("http_files")).args(["--directory", "/nowhere/at/all"]));
    assert_eq!(ended.code, Some(1), "{}", ended.errors);
    assert!(ended.errors.starts_with("http_files: ") && ended.errors.contains("/nowhere/at/all"), "{}", ended.errors);
    assert_eq!(ended.errors.lines().count(), 1, "{}", ended.errors);
}

#[test]
fn help_is_printed_on_the_output_and_is_no_error() {
    for server in SERVERS {
        let ended = finish(Command::new(program(server.name)).arg("--help"));
        assert_eq!((ended.code, ended.errors.as_str()), (Some(0), ""), "{}", server.name);
        assert!(ended.output.starts_with(&format!("usage: {} ", server.name)), "{}", ended.output);
        // The flags that the table above passes are the flags that it tells of.
        for word in server.transports.iter().chain(server.dispatches) {
            assert!(ended.output.contains(word), "{word}: {}", ended.output);
        }
    }
}

#[test]
fn errors_that_cannot_be_printed_change_nothing() {
    for server in SERVERS {
        server.each_flavour(|program, flags, path| {
            for (how, errors) in outputs_that_take_nothing() {
                let mut command = match errors {
                    Some(errors) => {
                        let mut command = server.command(program, flags);
                        command.stderr(errors);
                        command
                    }
                    None => {
                        let mut command = Command::new("sh");
                        command.args(["-c", "exec \"$0\" \"$@\" 2>&-"]).arg(program).args(flags).args(server.needs);
                        command.stdin(Stdio::null());
                        command
                    }
                };
                let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
                first_line(&mut child);
                terminate(&child);
                let ended = wait(child, server.name);
                assert_eq!(ended.code, Some(0), "{how}: {} {flags:?}", server.name);
                assert!(path.is_none_or(|path| !path.exists()), "{how}: {} {flags:?}", server.name);
            }
        });
        // Where it cannot serve it says so by its exit code.
        for (how, errors) in outputs_that_take_nothing() {
            let Some(errors) = errors else { continue };
            let mut command = server.command(&program(server.name), &["--listen", "127.0.0.1:99999"]);
            let child = command.stderr(errors).spawn().expect("it starts");
            assert_eq!(wait(child, server.name).code, Some(2), "{how}: {}", server.name);
        }
    }
}

#[test]
fn an_output_that_takes_nothing_is_an_error_in_words() {
    for server in SERVERS {
        let program = program(server.name);
        for flags in [&["--listen", "127.0.0.1:0"][..], &["--help"]] {
            for (how, output) in outputs_that_take_nothing() {
                // Where it is closed, the standard library has opened /dev/null in its place.
                let Some(output) = output else { continue };
                let mut command = server.command(&program, flags);
                let child = command.stdout(output).stderr(Stdio::piped()).spawn().expect("it starts");
                let ended = wait(child, server.name);
                assert_eq!(ended.code, Some(1), "{how}: {} {flags:?}: {}", server.name, ended.errors);
                let expected = format!("{}: cannot write to standard output: ", server.name);
                assert!(ended.errors.starts_with(&expected), "{how}: {}", ended.errors);
                assert_eq!(ended.errors.lines().count(), 1, "{how}: {}", ended.errors);
            }
        }
    }
}

#[test]
fn the_tour_ends_with_an_error_in_words() {
    for (how, output) in outputs_that_take_nothing() {
        let Some(output) = output else { continue };
        let mut command = Command::new(program("tour"));
        let child = command.stdout(output).stderr(Stdio::piped()).spawn().expect("it starts");
        let ended = wait(child, "tour");
        assert_eq!(ended.code, Some(1), "{how}: {}", ended.errors);
        assert!(ended.errors.starts_with("tour: ") && ended.errors.lines().count() == 1, "{how}: {}", ended.errors);
    }
}

/// An example tells where it listens when it is ready for signals. This one cannot tell, as its output is a pipe that
/// is full: it has to be ready before.
#[cfg(target_os = "linux")]
#[test]
fn a_signal_is_heard_before_the_first_line_is_out() {
    for server in SERVERS {
        server.each_flavour(|program, flags, path| {
            let (mut reader, writer) = full_pipe();
            let mut command = server.command(program, flags);
            let child = command.stdout(writer).stderr(Stdio::piped()).spawn().expect("it starts");
            // The pipe's writing end is the child's alone.
            drop(command);
            common::eventually(&format!("{} {flags:?} catches signals", server.name), || {
                [Signal::TERM, Signal::INT].iter().all(|signal| catches(child.id(), *signal))
            });
            terminate(&child);
            let mut output = Vec::new();
            reader.read_to_end(&mut output).expect("its output");
            let line = String::from_utf8_lossy(&output).trim_start_matches('.').to_owned();
            let ended = wait(child, server.name);
            let said = format!("{} {flags:?}: {:?}, {}", server.name, ended.code, ended.errors);
            assert!(line.starts_with("listening on ") && line.ends_with('\n'), "{line:?} {said}");
            assert_eq!(ended.code, Some(0), "{} {flags:?}: {}", server.name, ended.errors);
            assert!(ended.errors.contains("0 accepted"), "its report: {}", ended.errors);
            assert!(path.is_none_or(|path| !path.exists()), "{} {flags:?}", server.name);
        });
    }
}

#[cfg(target_os = "linux")]
fn full_pipe() -> (File, OwnedFd) {
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).expect("a pipe");
    let flags = rustix::fs::fcntl_getfl(&writer).expect("its flags");
    rustix::fs::fcntl_setfl(&writer, flags | rustix::fs::OFlags::NONBLOCK).expect("a flag");
    while rustix::io::write(&writer, b".").is_ok() {}
    rustix::fs::fcntl_setfl(&writer, flags).expect("a flag");
    (reader.into(), writer)
}

/// Whether the process has a handler for the signal: proc_pid_status(5), `SigCgt`.
#[cfg(target_os = "linux")]
fn catches(pid: u32, signal: Signal) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).expect("signals");
    let caught = u64::from_str_radix(caught.trim(), 16).expect("a mask");
    caught & (1 << (signal.as_raw() - 1)) != 0
}

#[test]
fn a_second_signal_does_not_wait_for_the_drain() {
    let program = program("exec");
    for (first, second) in [(Signal::TERM, Signal::INT), (Signal::INT, Signal::TERM)] {
        let mut command = with_default_signals(&program);
        command.args(["--listen", "127.0.0.1:0", "--run", "sh", "-c", "echo busy; exec sleep 60"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let line = first_line(&mut child);
        let address = line.strip_prefix("listening on ").expect("an address").parse().expect("an address");
        let client = common::connect(address);
        assert_eq!(common::read_line(&client), "busy");
        let begun = Instant::now();
        // Pending together, they are still two: only signals of the same number merge.
        for signal in [first, second] {
            kill_process(Pid::from_child(&child), signal).expect("a signal");
        }
        let ended = wait(child, "exec");
        assert_eq!(ended.code, Some(0), "{}", ended.errors);
        assert!(ended.errors.contains("1 forced"), "{}", ended.errors);
        assert!(begun.elapsed() < DRAIN, "it was told twice: {}", ended.errors);
    }
}
