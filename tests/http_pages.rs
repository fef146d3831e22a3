//! The example `http_files` sends the pages of large folders piece by piece, and holds no thread for a client that does
//! not read them.

mod common;

use std::fs::File;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::TcpStream;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::sync::mpsc;

use common::connect;
use common::example::Example;
use common::read_rest;
use common::resident;
use common::site::Site;
use common::site::assert_status;
use common::site::body;
use common::site::exchange;
use common::site::field;
use common::site::get;

const PAGE: &str = "GET /many/ HTTP/1.1\r\nHost: here\r\n\r\n";
const LAST: &str = "GET /a.txt HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n";

/// A page of 4 MB, more than the kernel takes in for a client that does not read.
const MANY: usize = 20_000;

fn name(number: usize) -> String {
    format!("a-file-with-a-name-of-some-length-{number:06}.txt")
}

/// With a folder of so many files.
fn site(count: usize) -> Site {
    let site = Site::new();
    std::fs::create_dir(site.path("many")).expect("a folder");
    for number in 0..count {
        File::create(site.path(&format!("many/{}", name(number)))).expect("a file");
    }
    site
}

/// The body of the first answer in pieces that tell their lengths, and what is behind it.
fn pieces(answers: &str) -> (String, &str) {
    assert_status(answers, 200);
    assert_eq!((field(answers, "Transfer-Encoding"), field(answers, "Content-Length")), (Some("chunked"), None));
    let (mut whole, mut rest) = (String::new(), body(answers));
    loop {
        let size = httparse::parse_chunk_size(rest.as_bytes()).expect("a size");
        let httparse::Status::Complete((at, length)) = size else { panic!("cut: {rest:.100}") };
        let (piece, behind) = rest[at..].split_at(usize::try_from(length).expect("a length"));
        rest = behind.strip_prefix("\r\n").expect("the end of a piece");
        if length == 0 {
            return (whole, rest);
        }
        whole.push_str(piece);
    }
}

/// All of the names, and nothing twice.
fn assert_whole(page: &str, count: usize) {
    // Behind the links to the root, to the folder itself and to the one above.
    let found: Vec<&str> = page.split("<a href=\"").skip(4).filter_map(|link| link.split('"').next()).collect();
    assert_eq!(found.len(), count);
    assert!(found.iter().enumerate().all(|(number, found)| *found == name(number)));
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"), "{page:.100}");
}

/// A client that has asked for pages and a file behind them, and reads nothing.
fn ask_and_read_nothing(server: &Example, pages: usize) -> TcpStream {
    let mut client = connect(server.socket_address());
    client.write_all((PAGE.repeat(pages) + LAST).as_bytes()).unwrap();
    client
}

#[test]
fn a_client_that_does_not_read_its_pages_holds_no_thread() {
    const PAGES: usize = 4;
    let site = site(MANY);
    for (dispatch, deaf) in [("sync", 1), ("threads", 1), ("fork", 1), ("pool", 3)] {
        let server = site.serve(&["--dispatch", dispatch]);
        let deaf: Vec<TcpStream> = (0..deaf).map(|_| ask_and_read_nothing(&server, PAGES)).collect();
        for _ in 0..20 {
            assert_eq!(body(&get(&server, "/a.txt", "")), "0123456789", "{dispatch}");
        }
        // Nor is it sent away meanwhile.
        for client in deaf {
            let answers = String::from_utf8(read_rest(client)).expect("text");
            let mut rest = &answers[..];
            for _ in 0..PAGES {
                let (page, behind) = pieces(rest);
                assert_whole(&page, MANY);
                rest = behind;
            }
            assert_eq!(body(rest), "0123456789", "{dispatch}");
        }
        assert!(server.stop().0.success());
    }
}

/// The page of a folder costs its server milliseconds, and many may be asked for at once.
#[test]
fn others_have_their_turn_between_pages_that_were_asked_for_at_once() {
    const PAGES: usize = 500;
    let site = site(50);
    let server = site.serve(&["--dispatch", "sync"]);
    let mut greedy = connect(server.socket_address());
    let mut other = connect(server.socket_address());
    let read = AtomicUsize::new(0);
    let before = std::thread::scope(|scope| {
        let mut asking = greedy.try_clone().unwrap();
        scope.spawn(move || asking.write_all((PAGE.repeat(PAGES) + LAST).as_bytes()).unwrap());
        let (read, begun) = (&read, mpsc::channel());
        // As quick as it can: where an answer waits for its client, others have their turn in any case.
        scope.spawn(move || {
            let mut answers = vec![0; 1 << 20];
            loop {
                let count = greedy.read(&mut answers).unwrap();
                if count == 0 {
                    break;
                }
                read.fetch_add(count, Ordering::Relaxed);
                let _ = begun.0.send(());
            }
        });
        begun.1.recv().unwrap();
        other.write_all(b"GET /a.txt HTTP/1.1\r\nHost: here\r\n\r\n").unwrap();
        let mut answer = [0; 16];
        other.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 OK\r");
        read.load(Ordering::Relaxed)
    });
    let all = read.into_inner();
    assert!(before < all / 10 * 9, "answered behind {before} of {all} bytes");
    assert!(server.stop().0.success());
}

/// The names of a page wait for its client. Those of one folder wait once.
#[test]
fn clients_that_do_not_read_their_pages_share_the_names() {
    const DEAF: usize = 30;
    let site = site(MANY);
    let server = site.serve(&["--dispatch", "sync"]);
    // A folder that has just changed may change again within a tick of its clock: its names are not shared yet.
    let change = File::open(site.path("many")).unwrap();
    change.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(60)).unwrap();
    let first = ask_and_read_nothing(&server, 1);
    assert_eq!(body(&get(&server, "/a.txt", "")), "0123456789");
    let before = resident(&server.pid().to_string());
    let deaf: Vec<TcpStream> = (0..DEAF).map(|_| ask_and_read_nothing(&server, 1)).collect();
    assert_eq!(body(&get(&server, "/a.txt", "")), "0123456789");
    let taken = resident(&server.pid().to_string()) - before;
    // The names alone would be 50 bytes each.
    assert!(taken < (DEAF * MANY * 50 / 2) as u64, "{taken} bytes");
    drop(deaf);
    let answers = String::from_utf8(read_rest(first)).unwrap();
    assert_whole(&pieces(&answers).0, MANY);
    assert!(server.stop().0.success());
}

#[test]
fn many_small_answers_are_no_different() {
    let site = Site::new();
    for dispatch in ["sync", "pool"] {
        let server = site.serve(&["--dispatch", dispatch]);
        let one = "GET /nothing HTTP/1.1\r\nHost: here\r\n\r\n";
        const COUNT: usize = 100_000;
        let mut deaf = connect(server.socket_address());
        std::thread::scope(|scope| {
            let mut asking = deaf.try_clone().unwrap();
            // It is taken in only as far as it is answered.
            scope.spawn(move || asking.write_all((one.repeat(COUNT) + LAST).as_bytes()).unwrap());
            for _ in 0..20 {
                assert_eq!(body(&get(&server, "/a.txt", "")), "0123456789", "{dispatch}");
            }
            let mut answers = String::new();
            deaf.read_to_string(&mut answers).unwrap();
            assert_eq!(answers.matches("HTTP/1.1 404 ").count(), COUNT);
            assert!(answers.ends_with("0123456789"));
        });
        assert!(server.stop().0.success());
    }
}

#[test]
fn pages_of_all_sizes() {
    let site = site(0);
    let server = site.serve(&[]);
    for count in 0..500 {
        let (page, rest) = {
            let answer = exchange(&server, PAGE.to_owned() + LAST);
            let (page, rest) = pieces(&answer);
            (page, body(rest).to_owned())
        };
        assert_whole(&page, count);
        assert_eq!(rest, "0123456789");
        File::create(site.path(&format!("many/{}", name(count)))).expect("a file");
    }
    assert!(server.stop().0.success());
}

/// HTTP/1.0 does not know of pieces.
#[test]
fn the_end_of_the_connection_is_that_of_the_page() {
    let site = site(1_000);
    let server = site.serve(&[]);
    for connection in ["", "Connection: keep-alive\r\n"] {
        let answer = exchange(&server, format!("GET /many/ HTTP/1.0\r\n{connection}\r\n{LAST}"));
        assert_status(&answer, 200);
        for name in ["Transfer-Encoding", "Content-Length"] {
            assert_eq!(field(&answer, name), None);
        }
        assert_eq!(field(&answer, "Connection"), Some("close"));
        assert_whole(body(&answer), 1_000);
    }
    assert!(server.stop().0.success());
}

#[test]
fn head_of_a_page() {
    let site = site(1_000);
    let server = site.serve(&[]);
    for version in ["1.0", "1.1"] {
        let ask = |method| {
            exchange(&server, format!("{method} /many/ HTTP/{version}\r\nHost: h\r\nConnection: close\r\n\r\n"))
        };
        let (head, get) = (ask("HEAD"), ask("GET"));
        let without_date = |answer: &str| -> Vec<String> {
            let head = answer.split("\r\n\r\n").next().expect("a head");
            head.lines().filter(|line| !line.starts_with("Date: ")).map(str::to_owned).collect()
        };
        assert_eq!(without_date(&head), without_date(&get));
        assert_eq!(body(&head), "");
    }
    assert!(server.stop().0.success());
}

#[test]
fn a_page_is_sent_to_its_end_though_the_server_stops() {
    let site = site(MANY);
    for dispatch in ["sync", "threads", "fork", "pool"] {
        let server = site.serve(&["--dispatch", dispatch]);
        let mut client = ask_and_read_nothing(&server, 2);
        let mut first = [0; 1000];
        client.read_exact(&mut first).unwrap();
        let reading = std::thread::spawn(move || read_rest(client));
        let (status, report) = server.stop();
        let answers = [&first[..], &reading.join().expect("it reads")].concat();
        let (page, rest) = pieces(std::str::from_utf8(&answers).expect("text"));
        assert_whole(&page, MANY);
        assert!(rest.len() < answers.len() / 3, "{dispatch}: the next is not begun");
        assert!(status.success() && report.contains(" 0 forced"), "{dispatch}: {report}");
    }
}

/// What a page keeps for its client is bounded: so are the names that it shows.
#[test]
fn a_folder_that_is_too_large_for_a_page() {
    let site = site(0);
    let long = "x".repeat(240);
    for number in 0..20_000 {
        File::create(site.path(&format!("many/{long}{number:06}"))).expect("a file");
    }
    let server = site.serve(&[]);
    let answer = exchange(&server, PAGE.to_owned() + LAST);
    let (page, rest) = pieces(&answer);
    let rows = page.matches(&long).count() / 2;
    assert!((10_000..20_000).contains(&rows), "{rows}");
    assert!(page.contains("<p>There is more in this folder than a page can show.</p>"));
    assert_eq!(body(rest), "0123456789");
    assert!(server.stop().0.success());
}

/// Its row is drawn when its turn comes.
#[test]
fn what_has_gone_meanwhile_has_no_row() {
    let site = site(MANY);
    let server = site.serve(&["--dispatch", "sync"]);
    let mut client = connect(server.socket_address());
    client.write_all(PAGE.as_bytes()).unwrap();
    let mut first = [0; 1];
    client.read_exact(&mut first).unwrap();
    // The kernel has not taken in so much yet.
    std::fs::remove_file(site.path(&format!("many/{}", name(MANY - 1)))).expect("it is there");
    client.shutdown(Shutdown::Write).unwrap();
    let answer = String::from_utf8([&first[..], &read_rest(client)].concat()).expect("text");
    assert_whole(&pieces(&answer).0, MANY - 1);
    assert!(server.stop().0.success());
}
