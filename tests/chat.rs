//! The example `chat`: everybody hears everybody, in one order; who does not read has to leave; the world's own clients
//! can talk.

mod common;

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::Child;
use std::process::ChildStdin;
use std::process::ChildStdout;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use common::PATIENCE;
use common::TempDir;
use common::connect_unix;
use common::example::Example;
use common::example::program;

/// Somebody who chats, through whatever there is to read from and to write to.
struct Guest<R, W> {
    hears: BufReader<R>,
    says: W,
}

impl<R: Read, W: Write> Guest<R, W> {
    fn new(hears: R, says: W) -> Self {
        let mut guest = Self { hears: BufReader::new(hears), says };
        guest.hears("* welcome! what is your name?");
        guest
    }

    /// With a name; all `others` see it come.
    fn join(mut self, name: &str, others: &mut [&mut Self]) -> Self {
        self.says(name);
        self.hears(&format!("* you are {name}"));
        for other in others {
            other.hears(&format!("* {name} is here"));
        }
        self
    }

    fn says(&mut self, line: &str) {
        self.says.write_all(format!("{line}\n").as_bytes()).expect("say");
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.hears.read_line(&mut line).expect("a line");
        line.strip_suffix('\n').map(str::to_owned).unwrap_or(line)
    }

    #[track_caller]
    fn hears(&mut self, expected: &str) {
        assert_eq!(self.line(), expected);
    }
}

fn room(dispatch: &str) -> Example {
    Example::start("chat", &["--listen", "127.0.0.1:0", "--dispatch", dispatch])
}

fn enter(room: &Example) -> Guest<TcpStream, TcpStream> {
    let client = common::connect(room.socket_address());
    Guest::new(client.try_clone().expect("the same client"), client)
}

const DISPATCHES: [&str; 3] = ["sync", "threads", "pool"];

#[test]
fn a_conversation_of_three() {
    for dispatch in DISPATCHES {
        let room = room(dispatch);
        let mut ann = enter(&room).join("ann", &mut []);
        let mut bob = enter(&room).join("bob", &mut [&mut ann]);
        let mut eve = enter(&room).join("eve", &mut [&mut ann, &mut bob]);
        ann.says("hello, all");
        bob.hears("ann: hello, all");
        eve.hears("ann: hello, all");
        bob.says("hello \u{1b}[31mann\r");
        ann.hears("bob: hello  [31mann");
        eve.hears("bob: hello  [31mann");
        eve.says("/who");
        eve.hears("* here: ann, bob, eve");
        eve.says("/nick bob");
        eve.hears("* bob is here already: choose another name");
        eve.says("/nick e v e");
        eve.hears("* a name has 1 to 20 letters and digits (a to z, 0 to 9)");
        eve.says("/nick mallory");
        eve.hears("* you are mallory");
        for other in [&mut ann, &mut bob] {
            other.hears("* eve is mallory now");
        }
        eve.says("/shout");
        eve.hears("* commands: /who, /nick NAME, /quit");
        eve.says(&"x".repeat(2000));
        eve.hears("* nobody has heard that: frame longer than 1000 bytes");
        eve.says("still here");
        ann.hears("mallory: still here");
        bob.hears("mallory: still here");
        bob.says("/quit");
        bob.hears("* goodbye");
        assert_eq!(bob.line(), "", "{dispatch}: the end");
        for other in [&mut ann, &mut eve] {
            other.hears("* bob has left");
        }
        // The name is free again, and one who goes without a word is missed, too.
        drop(enter(&room).join("bob", &mut [&mut ann, &mut eve]));
        ann.hears("* bob has left");
        ann.says("/who");
        ann.hears("* here: ann, mallory");
        let (status, report) = room.stop();
        assert!(status.success() && report.contains("4 accepted"), "{dispatch}: {status}: {report}");
        ann.hears("* the room closes: goodbye");
    }
}

/// With the longest names, in a line that is no longer than one may be.
#[test]
fn a_list_of_many_names_is_cut() {
    let room = room("pool");
    let name = |number| format!("{number:020}");
    let mut guests = vec![enter(&room).join("ann", &mut [])];
    for number in 0..42 {
        let mut others: Vec<_> = guests.iter_mut().collect();
        let guest = enter(&room).join(&name(number), &mut others);
        guests.push(guest);
    }
    let list = |count| (0..count).map(name).collect::<Vec<_>>().join(", ");
    guests[0].says("/who");
    guests[0].hears(&format!("* here: {} and 3 others", list(40)));
    for (left, others) in [(42, " and 2 others"), (41, " and 1 other"), (40, "")] {
        drop(guests.pop());
        for guest in &mut guests {
            guest.hears(&format!("* {} has left", name(left - 1)));
        }
        let ann = &mut guests[0];
        ann.says("/who");
        let expected = if left == 40 { list(39) + ", ann" } else { list(40) + others };
        ann.hears(&format!("* here: {expected}"));
    }
}

#[test]
fn all_hear_the_lines_of_all_in_the_same_order() {
    const LINES: usize = 100;
    for dispatch in DISPATCHES {
        let room = room(dispatch);
        let mut listener = enter(&room).join("listener", &mut []);
        let mut second = enter(&room).join("second", &mut [&mut listener]);
        let mut talkers = Vec::new();
        for name in ["a", "b", "c"] {
            let mut others: Vec<_> = [&mut listener, &mut second].into_iter().chain(&mut talkers).collect();
            let talker = enter(&room).join(name, &mut others);
            talkers.push(talker);
        }
        let heard: Vec<Vec<String>> = std::thread::scope(|scope| {
            for talker in &mut talkers {
                scope.spawn(|| (0..LINES).for_each(|number| talker.says(&format!("line {number}"))));
            }
            let listening = [listener, second]
                .map(|mut guest| scope.spawn(move || (0..3 * LINES).map(|_| guest.line()).collect::<Vec<_>>()));
            listening.map(|listening| listening.join().expect("everything")).into()
        });
        assert_eq!(heard[0], heard[1], "{dispatch}");
        for name in ["a", "b", "c"] {
            let said: Vec<_> = heard[0].iter().filter_map(|line| line.strip_prefix(&format!("{name}: "))).collect();
            let expected: Vec<_> = (0..LINES).map(|number| format!("line {number}")).collect();
            assert_eq!(said, expected, "{dispatch}: {name}");
        }
    }
}

#[test]
fn who_does_not_read_has_to_leave_and_nobody_waits() {
    for dispatch in DISPATCHES {
        let folder = TempDir::new();
        let path = folder.join("chat.sock");
        let path_text = path.to_str().expect("text");
        let flags = ["--transport", "unix", "--listen", path_text, "--dispatch", dispatch, "--timeout", "1"];
        let _room = Example::start("chat", &flags);
        let enter = || {
            let client: UnixStream = connect_unix(&path);
            Guest::new(client.try_clone().expect("the same client"), client)
        };
        let mut ann = enter().join("ann", &mut []);
        let mut slow = enter().join("slow", &mut [&mut ann]);
        let mut bob = enter().join("bob", &mut [&mut ann, &mut slow]);
        let line = "x".repeat(900);
        let until = Instant::now() + PATIENCE;
        // One line after the other, so that only the one who does not read has anything waiting.
        let notice = loop {
            bob.says(&line);
            let heard = ann.line();
            if heard != format!("bob: {line}") {
                break heard;
            }
            assert!(Instant::now() < until, "{dispatch}: it stays for ever");
        };
        assert_eq!(notice, "* slow does not read and had to leave", "{dispatch}");
        ann.hears(&format!("bob: {line}"));
        bob.hears("* slow does not read and had to leave");
        // The kernel has some of what was said, and no part of it is missing or twice.
        let mut heard = Vec::new();
        slow.hears.read_to_end(&mut heard).expect("the end");
        let said = format!("bob: {line}\n").into_bytes();
        assert!(heard.len() > 10 * said.len(), "{dispatch}: {} bytes", heard.len());
        assert!(heard.chunks(said.len()).all(|part| said.starts_with(part)), "{dispatch}");
        bob.says("/who");
        bob.hears("* here: ann, bob");
    }
}

/// However much the others say at once: what there is no room for is missed, and told.
#[test]
fn who_reads_stays() {
    const LINES: usize = 2_000;
    for dispatch in DISPATCHES {
        let room = room(dispatch);
        let mut listener = enter(&room).join("listener", &mut []);
        let talkers = ["a", "b", "c"].map(|name| enter(&room).join(name, &mut []));
        let heard: Vec<String> = std::thread::scope(|scope| {
            let talking = talkers.map(|Guest { mut hears, mut says }| {
                // One that does not read is not listened to.
                scope.spawn(move || std::io::copy(&mut hears, &mut std::io::sink()));
                scope.spawn(move || {
                    let fill = "x".repeat(900);
                    let lines: String = (0..LINES).map(|number| format!("{number} {fill}\n")).collect();
                    says.write_all(lines.as_bytes()).expect("all of it");
                    says
                })
            });
            let listening = scope.spawn(move || {
                let (mut lines, mut ends) = (Vec::new(), Vec::new());
                while ends.len() < 3 {
                    let line = listener.line();
                    if !line.ends_with(": the end") {
                        lines.push(line);
                    } else if !ends.contains(&line) {
                        ends.push(line);
                    }
                }
                lines
            });
            let mut talkers = talking.map(|talker| talker.join().expect("it has said all"));
            // Again and again until there is room for it.
            while !listening.is_finished() {
                for talker in &mut talkers {
                    talker.write_all(b"the end\n").expect("say");
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            for talker in &mut talkers {
                talker.write_all(b"/quit\n").expect("say");
            }
            listening.join().expect("it has heard all")
        });
        let (mut missed, mut from) = (0, [Vec::new(), Vec::new(), Vec::new()]);
        for line in &heard {
            let (who, rest) = line.split_once(' ').expect("a line of somebody");
            match who {
                "a:" => &mut from[0],
                "b:" => &mut from[1],
                "c:" => &mut from[2],
                "*" => {
                    if let Some(count) = rest.strip_prefix("you read too slowly and missed ") {
                        missed += count.trim_end_matches(" lines").parse::<usize>().expect("a number");
                    } else {
                        assert!(rest.ends_with(" is here"), "{dispatch}: {line}");
                    }
                    continue;
                }
                _ => panic!("{dispatch}: {line}"),
            }
            .push(rest.split(' ').next().and_then(|number| number.parse::<usize>().ok()).expect("a number"));
        }
        assert!(from.iter().all(|numbers| numbers.is_sorted_by(|one, next| one < next)), "{dispatch}: in order");
        let whole = from.iter().map(Vec::len).sum::<usize>() + missed;
        assert!(whole >= 3 * LINES, "{dispatch}: {whole} heard or missed");
    }
}

#[test]
fn a_process_per_guest_is_refused_with_the_reason() {
    let output = Command::new(program("chat")).args(["--dispatch", "fork"]).output().expect("it ends");
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("--dispatch fork: each guest would be in its own process"), "{said}");
}

/// A client from somebody else's package, with its program, so that it can be waited for.
fn run(client: &str, args: &[&str]) -> (Guest<ChildStdout, ChildStdin>, Child) {
    let mut child = Command::new(client)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{client}: {error}: install it"));
    let (hears, says) = (child.stdout.take().expect("its output"), child.stdin.take().expect("its input"));
    (Guest::new(hears, says), child)
}

#[test]
#[ignore = "needs nc and socat"]
fn nc_and_socat_chat() {
    let room = room("pool");
    let (nc, mut nc_itself) = run("nc", &["127.0.0.1", room.port()]);
    let (socat, mut socat_itself) = run("socat", &["-", &format!("TCP:{}", room.address)]);
    let mut nc = nc.join("nc", &mut []);
    let mut socat = socat.join("socat", &mut [&mut nc]);
    for number in 0..100 {
        nc.says(&format!("ping {number}"));
        socat.hears(&format!("nc: ping {number}"));
        socat.says(&format!("pong {number}"));
        nc.hears(&format!("socat: pong {number}"));
    }
    socat.says("/quit");
    socat.hears("* goodbye");
    assert!(socat_itself.wait().expect("its end").success());
    nc.hears("* socat has left");
    let (status, _) = room.stop();
    assert!(status.success(), "{status}");
    nc.hears("* the room closes: goodbye");
    // It stays for its own input to end, too.
    drop(nc.says);
    assert!(nc_itself.wait().expect("its end").success());
}

#[test]
fn half_a_line_at_the_end_is_heard() {
    let room = room("pool");
    let mut ann = enter(&room).join("ann", &mut []);
    let mut bob = enter(&room).join("bob", &mut [&mut ann]);
    bob.says.write_all(b"goodbye").expect("say");
    bob.says.shutdown(Shutdown::Write).expect("the end");
    ann.hears("bob: goodbye");
    ann.hears("* bob has left");
}
