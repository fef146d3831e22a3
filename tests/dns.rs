//! The example `dns` answers by UDP and TCP on one port, says what is not there, and ignores what is no query.

#[path = "common/example.rs"]
mod example;

use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::net::UdpSocket;
use std::process::Command;
use std::time::Duration;

use example::Example;
use simple_dns::CLASS;
use simple_dns::Name;
use simple_dns::Packet;
use simple_dns::PacketFlag;
use simple_dns::Question;
use simple_dns::RCODE;
use simple_dns::TYPE;
use simple_dns::rdata::OPT;
use simple_dns::rdata::RData;

/// A safety net: no test waits so long unless it fails.
const PATIENCE: Duration = Duration::from_secs(30);

fn dns(dispatch: &str) -> Example {
    let long = format!("long.example.test TXT {}", "x".repeat(1000));
    let longer = format!("longer.example.test TXT {}", "y".repeat(3000));
    let records = ["www.example.test A 192.0.2.1", "www.example.test A 192.0.2.2", "www.example.test AAAA 2001:db8::1"];
    let mut flags = vec!["--listen", "127.0.0.1:0", "--dispatch", dispatch];
    for record in records.into_iter().chain([long.as_str(), longer.as_str(), "example.test TXT hello there"]) {
        flags.extend(["--record", record]);
    }
    Example::start("dns", &flags)
}

fn query(name: &str, kind: TYPE) -> Packet<'_> {
    let mut packet = Packet::new_query(4711);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    packet.questions.push(Question::new(Name::new_unchecked(name), kind.into(), CLASS::IN.into(), false));
    packet
}

fn udp(server: &Example, message: &[u8]) -> Vec<u8> {
    let client = UdpSocket::bind("127.0.0.1:0").expect("bind");
    client.set_read_timeout(Some(PATIENCE)).expect("read timeout");
    client.send_to(message, &server.address).expect("send");
    let mut answer = vec![0; 65_535];
    let length = client.recv(&mut answer).expect("an answer");
    answer.truncate(length);
    answer
}

fn ask(server: &Example, query: &Packet<'_>) -> Packet<'static> {
    let answer = udp(server, &query.build_bytes_vec().expect("a query"));
    let parsed = Packet::parse(answer.leak()).expect("a message");
    assert_eq!(parsed.id(), 4711);
    assert!(parsed.has_flags(PacketFlag::RESPONSE | PacketFlag::RECURSION_DESIRED));
    parsed
}

#[test]
fn addresses_and_texts_are_found_under_every_dispatch() {
    for dispatch in ["sync", "threads", "pool"] {
        let server = dns(dispatch);
        let found = ask(&server, &query("www.example.test", TYPE::A));
        let addresses: Vec<_> = found.answers.iter().map(|record| record.rdata.clone()).collect();
        let expected = ["192.0.2.1", "192.0.2.2"]
            .map(|address| RData::A(address.parse::<std::net::Ipv4Addr>().expect("an address").into()));
        assert_eq!(addresses, expected, "{dispatch}");
        assert!(found.has_flags(PacketFlag::AUTHORITATIVE_ANSWER));
        let found = ask(&server, &query("WWW.Example.TEST", TYPE::AAAA));
        assert_eq!(found.answers.len(), 1, "{dispatch}: upper and lower case are the same");
        assert_eq!(found.questions[0].qname.to_string(), "WWW.Example.TEST", "as it was asked");
        let (status, report) = server.stop();
        assert!(status.success(), "{dispatch}: {report}");
    }
}

#[test]
fn what_is_not_there_is_said() {
    let server = dns("sync");
    assert_eq!(ask(&server, &query("nope.example.test", TYPE::A)).rcode(), RCODE::NameError);
    for (name, kind) in [("www.example.test", TYPE::TXT), ("test", TYPE::A)] {
        let nothing = ask(&server, &query(name, kind));
        assert_eq!(
            (nothing.rcode(), nothing.answers.len()),
            (RCODE::NoError, 0),
            "{name} is there, but has none of these"
        );
    }
}

#[test]
fn a_long_answer_is_cut_short_by_udp_and_whole_by_tcp() {
    let server = dns("pool");
    let mut question = query("long.example.test", TYPE::TXT);
    let cut = ask(&server, &question);
    assert!(cut.has_flags(PacketFlag::TRUNCATION) && cut.answers.is_empty());
    *question.opt_mut() = Some(OPT { opt_codes: Vec::new(), udp_packet_size: 4096, version: 0 });
    let whole = ask(&server, &question);
    assert!(!whole.has_flags(PacketFlag::TRUNCATION) && whole.answers.len() == 1, "a client that takes more gets more");

    // Two queries at once, the second cut in the middle.
    let mut bytes = Vec::new();
    for name in ["longer.example.test", "example.test"] {
        let message = query(name, TYPE::TXT).build_bytes_vec().expect("a query");
        bytes.extend((message.len() as u16).to_be_bytes());
        bytes.extend(message);
    }
    let mut client = TcpStream::connect(&server.address).expect("connect");
    client.set_read_timeout(Some(PATIENCE)).expect("read timeout");
    let (first, second) = bytes.split_at(bytes.len() - 10);
    client.write_all(first).expect("send");
    let mut lengths = Vec::new();
    for rest in [second, &[]] {
        let mut length = [0; 2];
        client.read_exact(&mut length).expect("a length");
        let mut answer = vec![0; u16::from_be_bytes(length).into()];
        client.read_exact(&mut answer).expect("an answer");
        assert_eq!(Packet::parse(&answer).expect("a message").answers.len(), 1);
        lengths.push(answer.len());
        client.write_all(rest).expect("send");
    }
    assert!(lengths[0] > 3000 && lengths[1] < 100, "{lengths:?}");
}

#[test]
fn garbage_is_ignored() {
    let server = dns("sync");
    let client = UdpSocket::bind("127.0.0.1:0").expect("bind");
    client.set_read_timeout(Some(PATIENCE)).expect("read timeout");
    let mut answer_itself = query("www.example.test", TYPE::A).build_bytes_vec().expect("a query");
    answer_itself[2] |= 0x80;
    for garbage in [&b""[..], b"\0", b"not a message at all", &[0xff; 600], &answer_itself] {
        client.send_to(garbage, &server.address).expect("send");
    }
    client.send_to(&query("nope", TYPE::A).build_bytes_vec().expect("a query"), &server.address).expect("send");
    let mut answer = [0; 600];
    let length = client.recv(&mut answer).expect("an answer");
    // Messages are answered in their order: nothing came back for the others.
    assert_eq!(Packet::parse(&answer[..length]).expect("a message").rcode(), RCODE::NameError);
}

#[test]
fn a_record_that_is_none_is_refused_with_the_reason() {
    let output = Command::new(example::program("dns"))
        .args(["--record", "www.example.test A not.an.address"])
        .output()
        .expect("it ends");
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("no IPv4 address"), "{said}");
}

#[test]
#[ignore = "needs dig"]
fn dig_finds_what_is_there() {
    let server = dns("pool");
    let dig = |args: &[&str]| {
        let output = Command::new("dig")
            .args(["@127.0.0.1", "-p", server.port(), "+time=10", "+tries=1"])
            .args(args)
            .output()
            .expect("dig: install bind9-dnsutils");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert_eq!(dig(&["+short", "www.example.test", "A"]), "192.0.2.1\n192.0.2.2\n");
    assert_eq!(dig(&["+short", "+tcp", "WWW.example.test", "AAAA"]), "2001:db8::1\n");
    assert_eq!(dig(&["+short", "example.test", "TXT"]), "\"hello there\"\n");
    assert!(dig(&["nope.example.test", "A"]).contains("status: NXDOMAIN"));
    let long = dig(&["longer.example.test", "TXT"]);
    assert!(long.contains("retrying in TCP mode") && long.contains("yyyy"), "{long}");
}

/// Every query is answered, over UDP and over TCP, under each dispatch, with a hundred of them on their way at a time.
#[test]
#[ignore = "needs dnsperf"]
fn dnsperf_loses_nothing() {
    const ROUNDS: &str = "2000";
    let queries = std::env::temp_dir().join(format!("queries-{}", std::process::id()));
    let names = ["www.example.test A", "WWW.example.test AAAA", "example.test TXT", "nope.example.test A"];
    std::fs::write(&queries, names.join("\n") + "\n").expect("a file of queries");
    for dispatch in ["sync", "threads", "pool"] {
        let server = dns(dispatch);
        for mode in ["udp", "tcp"] {
            let output = Command::new("dnsperf")
                .args(["-s", "127.0.0.1", "-p", server.port(), "-m", mode, "-c", "4", "-t", "10", "-n", ROUNDS, "-d"])
                .arg(&queries)
                .output()
                .expect("dnsperf: install dnsperf");
            let said = String::from_utf8_lossy(&output.stdout);
            let report = said.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(report.contains("Queries completed: 8000 (100.00%)"), "{dispatch} {mode}: {said}");
            assert!(report.contains("Response codes: NOERROR 6000 (75.00%), NXDOMAIN 2000 (25.00%)"), "{said}");
        }
        assert!(server.stop().0.success());
    }
    let _ = std::fs::remove_file(&queries);
}
