//! The example `kv` answers as Redis does, to commands and to raw bytes.

#[path = "common/example.rs"]
mod example;
#[path = "common/redis.rs"]
mod redis;

use std::io::Read;
use std::io::Write;
use std::process::Command;
use std::time::Duration;
use std::time::Instant;

use example::Example;
use redis::PATIENCE;
use redis::Redis;
use redis::command;
use redis::connect;
use redis::conversation;
use redis::kv;

/// Commands and their answers; `|` is the end of a line. State goes from one to the next.
const ANSWERS: &[(&str, &str)] = &[
    ("PING", "+PONG|"),
    ("ping hi", "$2|hi|"),
    ("PING a b", "-ERR wrong number of arguments for \\'ping\\' command|"),
    ("ECHO hello", "$5|hello|"),
    ("ECHO", "-ERR wrong number of arguments for \\'echo\\' command|"),
    ("FLUSHALL", "+OK|"),
    ("GET k", "$-1|"),
    ("SET k v", "+OK|"),
    ("GET k", "$1|v|"),
    ("GET", "-ERR wrong number of arguments for \\'get\\' command|"),
    ("SET k w NX", "$-1|"),
    ("SET k w XX", "+OK|"),
    ("SET k x GET", "$1|w|"),
    ("SET nope x XX", "$-1|"),
    ("SET new x NX GET", "$-1|"),
    ("SET k v NX XX", "-ERR syntax error|"),
    ("SET k v EX", "-ERR syntax error|"),
    ("SET k v EX 10 PX 10", "-ERR syntax error|"),
    ("SET k v EX 0", "-ERR invalid expire time in \\'set\\' command|"),
    ("SET k v EX 9223372036854775807", "-ERR invalid expire time in \\'set\\' command|"),
    ("SET k v EX soon", "-ERR value is not an integer or out of range|"),
    // An option may be given again, and the last one counts; another of its kind may not stand beside it.
    ("SET k v EX 10 EX 20", "+OK|"),
    ("TTL k", ":20|"),
    ("SET k v PX 10000 px 30000", "+OK|"),
    ("TTL k", ":30|"),
    ("SET k v EXAT 1 EXAT 32503680000", "+OK|"),
    ("EXPIRE k 10 GT", ":0|"),
    ("SET k v PXAT 1 PXAT 32503680000000", "+OK|"),
    ("EXPIRE k 10 GT", ":0|"),
    ("SET k v EX soon EX 40", "+OK|"),
    ("TTL k", ":40|"),
    ("SET k v EX 10 EX soon", "-ERR value is not an integer or out of range|"),
    ("SET k v EX 10 EX", "-ERR syntax error|"),
    ("SET k v EX EX 10", "-ERR syntax error|"),
    ("SET k v EX 10 EXAT 32503680000", "-ERR syntax error|"),
    ("SET k v PX 10 PXAT 32503680000000", "-ERR syntax error|"),
    ("SET k v EX 10 KEEPTTL", "-ERR syntax error|"),
    ("SET k v KEEPTTL EX 10", "-ERR syntax error|"),
    ("SET k v KEEPTTL KEEPTTL", "+OK|"),
    ("TTL k", ":40|"),
    ("SET k w XX GET XX GET", "$1|v|"),
    ("SET k v NX GET NX", "$1|w|"),
    ("SET k v GET", "$1|w|"),
    ("SET k v XX NX", "-ERR syntax error|"),
    ("SET k v EXAT 1", "+OK|"),
    ("GET k", "$-1|"),
    ("SET k v", "+OK|"),
    ("TTL k", ":-1|"),
    ("TTL nope", ":-2|"),
    ("SET k v EX 100", "+OK|"),
    ("TTL k", ":100|"),
    ("SET k v KEEPTTL", "+OK|"),
    ("TTL k", ":100|"),
    ("EXPIRE k 50 GT", ":0|"),
    ("EXPIRE k 50 LT", ":1|"),
    ("EXPIRE k 50 NX XX", "-ERR NX and XX, GT or LT options at the same time are not compatible|"),
    ("EXPIRE k 50 FOO", "-ERR Unsupported option FOO|"),
    ("EXPIRE k 50 a\r\nb\r\n", "-ERR Unsupported option a  b|"),
    ("EXPIRE k 9223372036854775807", "-ERR invalid expire time in \\'expire\\' command|"),
    ("PERSIST k", ":1|"),
    ("PERSIST k", ":0|"),
    ("EXPIRE k -1", ":1|"),
    ("EXPIRE k 10", ":0|"),
    ("INCR n", ":1|"),
    ("INCRBY n 41", ":42|"),
    ("DECR n", ":41|"),
    ("GET n", "$2|41|"),
    ("INCRBY n 9223372036854775807", "-ERR increment or decrement would overflow|"),
    ("DECRBY n -9223372036854775808", "-ERR decrement would overflow|"),
    ("INCR new", "-ERR value is not an integer or out of range|"),
    ("MSET a 1 b 2", "+OK|"),
    ("MSET a", "-ERR wrong number of arguments for \\'mset\\' command|"),
    ("MSET a 1 b", "-ERR wrong number of arguments for \\'mset\\' command|"),
    ("MGET a nope b", "*3|$1|1|$-1|$1|2|"),
    ("EXISTS a a nope", ":2|"),
    ("DEL a nope b", ":2|"),
    ("DBSIZE", ":2|"),
    ("SELECT 0", "+OK|"),
    ("SELECT 99", "-ERR DB index is out of range|"),
    ("SELECT x", "-ERR value is not an integer or out of range|"),
    ("CONFIG GET save", "*2|$4|save|$0||"),
    ("CONFIG GET SAVE", "*2|$4|SAVE|$0||"),
    ("CONFIG GET SA?E save Save", "*2|$4|save|$0||"),
    ("CONFIG GET", "-ERR wrong number of arguments for \\'config|get\\' command|"),
    ("CONFIG FOO", "-ERR unknown subcommand \\'FOO\\'. Try CONFIG HELP.|"),
    ("COMMAND INFO nosuch", "*1|$-1|"),
    ("FLUSHALL NOW", "-ERR syntax error|"),
    ("FLUSHALL ASYNC", "+OK|"),
    ("DBSIZE", ":0|"),
    ("foo bar baz", "-ERR unknown command \\'foo\\', with args beginning with: \\'bar\\' \\'baz\\' |"),
    ("QUIT", "+OK|"),
];

/// Bytes that are not simply commands, and what comes back before the close.
const RAW: &[(&[u8], &str)] = &[
    (b"PING\r\nSET i \"a\\x41\\n b\"\nGET i\n\n  \nECHO 'it\\'s'\n", "+PONG|+OK|$5|aA\\n b|$4|it\\'s|"),
    (b"SET a \"b\nPING\n", "-ERR Protocol error: unbalanced quotes in request|"),
    (b"ECHO \"b\"c\n", "-ERR Protocol error: unbalanced quotes in request|"),
    (b"*0\r\n*-1\r\nPING\r\n", "+PONG|"),
    (b"PING\r\n*abc\r\nPING\r\n", "+PONG|-ERR Protocol error: invalid multibulk length|"),
    (b"*2147483648\r\n", "-ERR Protocol error: invalid multibulk length|"),
    (b"*01\r\n", "-ERR Protocol error: invalid multibulk length|"),
    (b"*1\r\n$-1\r\n", "-ERR Protocol error: invalid bulk length|"),
    (b"*1\r\n$536870913\r\n", "-ERR Protocol error: invalid bulk length|"),
    (b"*1\r\n$99999999999999999999\r\n", "-ERR Protocol error: invalid bulk length|"),
    (b"*1\r\n:4\r\n", "-ERR Protocol error: expected \\'$\\', got \\':\\'|"),
    (b"*1\r\n\xff\r\n", "-ERR Protocol error: expected \\'$\\', got \\'\\xff\\'|"),
    (b"*2\r\n$4\r\nECHO\r\n$0\r\n\r\n", "$0||"),
    (b"PING\r\n*2\r\n$4\r\nEC", "+PONG|"),
    // What is no text is repeated as it is, and the odd spaces are spaces only in front of a word.
    (b"CLIENT \x80\r\n", "-ERR unknown subcommand \\'\\x80\\'. Try CLIENT HELP.|"),
    (b"EXPIRE k 1 \xff\r\n", "-ERR Unsupported option \\xff|"),
    (b"HELLO 2 \xff\r\n", "-ERR Syntax error in HELLO option \\'\\xff\\'|"),
    (b"ECHO \x0b a\x0bb\r\nECHO \"a\"\x0c\n", "$3|a\\x0bb|$1|a|"),
    // A line is judged when it has ended.
    (b"*1\r\nfoo", ""),
    (b"*2\r\n$3\rING\r\n\r\na\r\n", "-ERR Protocol error: expected \\'$\\', got \\' \\'|"),
    (
        b"HOST\r\nPOST:\r\nPOS\r\n",
        "-ERR unknown command \\'HOST\\', with args beginning with: |-ERR unknown command \\'POST:\\', with args beginning with: |-ERR unknown command \\'POS\\', with args beginning with: |",
    ),
];

/// What a web page can make a browser send: closed without a word, and nothing behind it is run. What comes before it may
/// have been answered, if the turn of the connection was over in between.
const FROM_BROWSERS: &[(&[u8], &str)] = &[
    (b"POST / HTTP/1.1\r\nContent-Length: 21\r\n\r\nSET x 1\r\nECHO there\r\n", ""),
    (
        b"PUT / HTTP/1.1\r\nHost: 127.0.0.1:6379\r\n\r\nSET x 1\r\nECHO there\r\n",
        "-ERR unknown command \\'PUT\\', with args beginning with: \\'/\\' \\'HTTP/1.1\\' |",
    ),
    (b"PING\r\nhOST: a\r\nSET x 1\r\nPING\r\n", "+PONG|"),
    (b"*2\r\n$4\r\npOsT\r\n$1\r\n/\r\nSET x 1\r\nPING\r\n", ""),
    (b"\"post\"\r\nSET x 1\r\nPING\r\n", ""),
];

#[test]
fn answers_are_worded_as_redis_words_them() {
    for dispatch in ["sync", "threads", "pool"] {
        let server = kv(dispatch);
        let mut client = connect(&server.address);
        for (words, expected) in ANSWERS {
            client.write_all(&command(words)).expect("send");
            let mut answer = Vec::new();
            let whole =
                expected.replace('|', "\r\n").replace("\\'", "'").replace("config\r\nget", "config|get").into_bytes();
            answer.resize(whole.len(), 0);
            client.read_exact(&mut answer).unwrap_or_else(|error| panic!("{dispatch}: {words}: {error}"));
            assert_eq!(answer.escape_ascii().to_string(), whole.escape_ascii().to_string(), "{dispatch}: {words}");
        }
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).expect("the end");
        assert_eq!(rest, b"", "{dispatch}: more answers than commands");
        for (bytes, expected) in RAW {
            assert_eq!(conversation(&server.address, bytes), *expected, "{dispatch}: {}", bytes.escape_ascii());
        }
        for (bytes, before) in FROM_BROWSERS {
            let answer = conversation(&server.address, bytes);
            assert!(answer.is_empty() || answer == *before, "{dispatch}: {}: {answer}", bytes.escape_ascii());
        }
        assert_eq!(conversation(&server.address, b"GET x\r\n"), "$-1|", "{dispatch}");
    }
}

#[test]
fn lines_without_end_and_lengths_without_end_are_refused() {
    let server = kv("sync");
    let long = |first: &str| [first.as_bytes(), &[b'1'; 70_000]].concat();
    let answer = |first| conversation(&server.address, &long(first));
    assert_eq!(answer("x"), "-ERR Protocol error: too big inline request|");
    assert_eq!(answer("*"), "-ERR Protocol error: too big mbulk count string|");
    assert_eq!(answer("*1\r\n$"), "-ERR Protocol error: too big bulk count string|");
}

#[test]
fn a_pipeline_is_answered_in_order_however_it_is_cut() {
    let server = kv("pool");
    let mut bytes = Vec::new();
    let mut expected = String::new();
    for number in 1..=200 {
        bytes.extend(command(&format!("SET key:{number} value:{number}")));
        bytes.extend(command("INCR counter"));
        bytes.extend(command(&format!("GET key:{number}")));
        let value = format!("value:{number}");
        expected += &format!("+OK|:{number}|${}|{value}|", value.len());
    }
    assert_eq!(conversation(&server.address, &bytes), expected);
    let mut client = connect(&server.address);
    client.set_nodelay(true).expect("nodelay");
    for byte in command("GET key:7") {
        client.write_all(&[byte]).expect("send");
    }
    let mut answer = [0; 13];
    client.read_exact(&mut answer).expect("the answer");
    assert_eq!(answer, *b"$7\r\nvalue:7\r\n");
}

#[test]
fn values_of_megabytes_come_back_whole() {
    let server = kv("pool");
    let value = vec![b'x'; 5_000_000];
    let mut bytes = format!("*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n${}\r\n", value.len()).into_bytes();
    bytes.extend_from_slice(&value);
    bytes.extend_from_slice(b"\r\n");
    let mut client = connect(&server.address);
    client.write_all(&bytes).expect("send");
    let mut ok = [0; 5];
    client.read_exact(&mut ok).expect("the answer");
    assert_eq!(ok, *b"+OK\r\n");
    client.write_all(&command("GET big")).expect("send");
    let mut answer = vec![0; "$5000000\r\n\r\n".len() + value.len()];
    client.read_exact(&mut answer).expect("the value");
    assert!(answer.starts_with(b"$5000000\r\nxxx") && answer.ends_with(b"xxx\r\n"));
}

#[test]
fn keys_expire_whether_somebody_asks_for_them_or_not() {
    let server = kv("pool");
    let until = |words: &str, expected: &str| {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = conversation(&server.address, &command(words));
            if answer == expected {
                return;
            }
            assert!(Instant::now() < deadline, "{words} is still {answer}");
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    let _ = conversation(&server.address, &[command("SET asked v PX 30"), command("SET stays v")].concat());
    until("GET asked", "$-1|");
    until("TTL asked", ":-2|");
    let _ = conversation(&server.address, &command("SET unasked v PX 30"));
    // Nobody asks for it: it has to be looked for.
    until("DBSIZE", ":1|");
    assert_eq!(conversation(&server.address, &command("GET stays")), "$1|v|");
}

#[test]
fn clients_at_the_same_time_lose_no_increment() {
    let server = kv("pool");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| conversation(&server.address, &command("INCR n").repeat(1000)));
        }
    });
    assert_eq!(conversation(&server.address, &command("GET n")), "$4|4000|");
}

/// The kernel's row for the server's end of a connection; its timer is the sixth column, and `02:` is a probe to come.
#[cfg(target_os = "linux")]
#[test]
fn a_client_that_says_nothing_is_asked_whether_it_is_still_there() {
    for dispatch in ["sync", "threads", "pool"] {
        let server = kv(dispatch);
        let mut client = connect(&server.address);
        client.write_all(b"PING\r\n").expect("send");
        client.read_exact(&mut [0; 7]).expect("the answer");
        let port = |address: std::net::SocketAddr| format!(":{:04X}", address.port());
        let (near, far) = (port(server.socket_address()), port(client.local_addr().expect("an address")));
        let deadline = Instant::now() + PATIENCE;
        loop {
            let table = std::fs::read_to_string("/proc/net/tcp").expect("the kernel's table");
            let columns = |row: &str| row.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            let mut rows = table.lines().map(columns);
            let row = rows.find(|row| row[1].ends_with(&near) && row[2].ends_with(&far)).expect("the connection");
            if row[5].starts_with("02:") {
                break;
            }
            // Until the answer is acknowledged, the timer is that of its next transmission.
            assert!(Instant::now() < deadline, "{dispatch}: {row:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

#[test]
fn a_process_per_client_is_refused_with_the_reason() {
    let output = Command::new(example::program("kv")).args(["--dispatch", "fork"]).output().expect("it ends");
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("--dispatch fork: each client would write to the memory of its own process"), "{said}");
}

#[test]
fn a_signal_ends_it_with_a_report() {
    let server = kv("pool");
    assert_eq!(conversation(&server.address, &command("PING")), "+PONG|");
    let (status, report) = server.stop();
    assert!(status.success(), "{status}");
    assert!(report.contains("1 accepted"), "{report}");
}

#[test]
fn unix_sockets_serve_the_same() {
    let folder = std::env::temp_dir().join(format!("kv-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let path = folder.join("kv.sock");
    let server = Example::start("kv", &["--transport", "unix", "--listen", path.to_str().expect("a path of text")]);
    let mut client = std::os::unix::net::UnixStream::connect(&path).expect("connect");
    client.set_read_timeout(Some(PATIENCE)).expect("read timeout");
    client.write_all(b"PING\r\n").expect("send");
    let mut answer = [0; 7];
    client.read_exact(&mut answer).expect("the answer");
    assert_eq!(answer, *b"+PONG\r\n");
    let (status, _) = server.stop();
    assert!(status.success(), "{status}");
    std::fs::remove_dir_all(&folder).expect("an empty folder");
}

#[test]
#[ignore = "needs redis-server"]
fn redis_itself_answers_the_same() {
    let redis = Redis::start();
    let server = kv("sync");
    let all = ANSWERS.iter().map(|(words, _)| command(words));
    let mut differences = Vec::new();
    for bytes in all.chain(RAW.iter().map(|(bytes, _)| bytes.to_vec())) {
        let (theirs, ours) = (conversation(&redis.address, &bytes), conversation(&server.address, &bytes));
        if theirs != ours {
            differences.push(format!("{}: redis {theirs}, kv {ours}", bytes.escape_ascii()));
        }
    }
    assert_eq!(differences, [""; 0]);
}
