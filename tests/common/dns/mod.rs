//! DNS by hand: packets made byte by byte, so that they can be broken, and what comes back in a few words.

#![allow(dead_code, unreachable_pub, reason = "each test target uses what it needs")]

pub mod cases;
pub mod packets;
pub mod summary;

use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::net::UdpSocket;
use std::time::Duration;

use packets::Packet;

/// A safety net: no test waits so long unless it fails.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The zone of the tests, as `NAME TYPE VALUE`.
pub fn records() -> Vec<String> {
    let mut records: Vec<String> = [
        "example.test SOA ns.example.test hostmaster.example.test 7 3600 900 604800 30",
        "example.test TXT hello there",
        "www.example.test A 192.0.2.1",
        "www.example.test A 192.0.2.2",
        "www.example.test AAAA 2001:db8::1",
        "a.b.c.example.test A 192.0.2.3",
        "*.wild.example.test A 192.0.2.4",
        "there.wild.example.test TXT beside the asterisk",
    ]
    .map(str::to_owned)
    .to_vec();
    records.push(format!("long.example.test TXT {}", "x".repeat(1000)));
    records.push(format!("longer.example.test TXT {}", "y".repeat(3000)));
    records.extend((0..100).map(|number| format!("many.example.test A 192.0.2.{number}")));
    records
}

/// The same as the text of a zone file.
pub fn zone_file() -> String {
    let mut file = String::new();
    for record in records() {
        let mut words = record.splitn(3, ' ');
        let [name, kind, value] = [(); 3].map(|()| words.next().expect("a word"));
        let value = match kind {
            "SOA" => {
                let mut words = value.split(' ');
                let (server, mailbox) = (words.next().expect("a name"), words.next().expect("a name"));
                format!("{server}. {mailbox}. {}", words.collect::<Vec<_>>().join(" "))
            }
            "TXT" => {
                let parts = value.as_bytes().chunks(255).map(|part| std::str::from_utf8(part).expect("text"));
                parts.map(|part| format!("\"{part}\"")).collect::<Vec<_>>().join(" ")
            }
            _ => value.to_owned(),
        };
        file.push_str(&format!("{name}. 60 IN {kind} {value}\n"));
    }
    file
}

/// What comes back for a packet that has to be answered.
pub fn ask(server: SocketAddr, packet: &[u8]) -> Vec<u8> {
    let client = udp_client(server);
    client.send(packet).expect("send");
    receive(&client)
}

/// What comes back for a packet; `None` for silence.
///
/// A question that has to be answered is sent behind it from the same socket. The server has to answer in order: if the
/// answer to that question is the first, the packet has got none.
pub fn ask_by_udp(server: SocketAddr, packet: &[u8]) -> Option<Vec<u8>> {
    let client = udp_client(server);
    client.send(packet).expect("send");
    client.send(&Packet::last().bytes()).expect("send");
    let first = receive(&client);
    if is_last(&first) {
        return None;
    }
    assert!(is_last(&receive(&client)), "one answer for a packet");
    Some(first)
}

fn udp_client(server: SocketAddr) -> UdpSocket {
    let client = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    client.connect(server).expect("connect");
    client.set_read_timeout(Some(PATIENCE)).expect("read timeout");
    client
}

fn receive(client: &UdpSocket) -> Vec<u8> {
    let mut answer = vec![0; 65_535];
    let length = client.recv(&mut answer).expect("an answer");
    answer.truncate(length);
    answer
}

/// As [`ask_by_udp`], over a connection; and whether the server closes it before it answers the other question.
pub fn ask_by_tcp(server: SocketAddr, packet: &[u8]) -> (Option<Vec<u8>>, bool) {
    let mut client = TcpStream::connect(server).expect("connect");
    client.set_read_timeout(Some(PATIENCE)).expect("read timeout");
    let mut bytes = Vec::new();
    for message in [packet, &Packet::last().bytes()] {
        bytes.extend(u16::try_from(message.len()).expect("a length").to_be_bytes());
        bytes.extend(message);
    }
    client.write_all(&bytes).expect("send");
    let mut answers = std::iter::from_fn(|| {
        let mut length = [0; 2];
        client.read_exact(&mut length).ok()?;
        let mut answer = vec![0; u16::from_be_bytes(length).into()];
        client.read_exact(&mut answer).expect("a whole answer");
        Some(answer)
    });
    match answers.next() {
        Some(first) if is_last(&first) => (None, false),
        None => (None, true),
        first => {
            let second = answers.next();
            assert!(second.as_deref().is_none_or(is_last), "one answer for a packet");
            (first, second.is_none())
        }
    }
}

fn is_last(answer: &[u8]) -> bool {
    answer.starts_with(&Packet::LAST.to_be_bytes())
}

/// What a server answers to the packet of a case. Whether a datagram is answered at all can be told only of servers that
/// answer in order.
pub fn answer(server: SocketAddr, case: &cases::Case, in_order: bool) -> String {
    let (answer, closes) = match (case.by_tcp, in_order) {
        (true, _) => ask_by_tcp(server, &case.packet),
        (false, true) => (ask_by_udp(server, &case.packet), false),
        (false, false) => (Some(ask(server, &case.packet)), false),
    };
    let mut words = answer.map_or_else(
        || cases::SILENCE.to_owned(),
        |answer| {
            assert_eq!(answer[..2], case.packet[..2], "{}: the ID", case.what);
            summary::summary(&answer)
        },
    );
    if closes {
        words.push_str(", closes");
    }
    words
}
