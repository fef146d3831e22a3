//! The example `kv` speaks the version of the Redis protocol that a client asks for.

#[path = "common/example.rs"]
mod example;
#[path = "common/redis.rs"]
mod redis;

use std::io::Read;
use std::io::Write;

use redis::Redis;
use redis::command;
use redis::connect;
use redis::conversation;
use redis::kv;

/// Commands and their answers in RESP3; `|` is the end of a line. State goes from one to the next.
const ANSWERS: &[(&str, &str)] = &[
    ("PING", "+PONG|"),
    ("FLUSHALL", "+OK|"),
    ("GET nope", "_|"),
    ("SET k v", "+OK|"),
    ("GET k", "$1|v|"),
    ("SET k w NX", "_|"),
    ("SET k w XX GET", "$1|v|"),
    ("SET new w NX GET", "_|"),
    ("MGET k nope new", "*3|$1|w|_|$1|w|"),
    ("INCR n", ":1|"),
    ("TTL nope", ":-2|"),
    ("CONFIG GET save", "%1|$4|save|$0||"),
    ("CONFIG GET nosuch", "%0|"),
    ("COMMAND DOCS nosuch", "%0|"),
    ("COMMAND INFO nosuch", "*1|_|"),
    ("INFO nosuch", "=4|txt:|"),
    ("NOSUCH", "-ERR unknown command \\'NOSUCH\\', with args beginning with: |"),
    ("GET", "-ERR wrong number of arguments for \\'get\\' command|"),
    ("HELLO 4", "-NOPROTO unsupported protocol version|"),
    ("HELLO 1", "-NOPROTO unsupported protocol version|"),
    ("HELLO three", "-ERR Protocol version is not an integer or out of range|"),
    ("HELLO 3 FOO", "-ERR Syntax error in HELLO option \\'FOO\\'|"),
    ("HELLO 3 SETNAME", "-ERR Syntax error in HELLO option \\'SETNAME\\'|"),
    ("HELLO 3 AUTH default", "-ERR Syntax error in HELLO option \\'AUTH\\'|"),
    ("HELLO 3 AUTH nobody secret", "-WRONGPASS invalid username-password pair or user is disabled.|"),
    ("HELLO 3 SETNAME caf\u{e9}", "-ERR Client names cannot contain spaces, newlines or special characters.|"),
    ("AUTH default any", "+OK|"),
    ("AUTH nobody any", "-WRONGPASS invalid username-password pair or user is disabled.|"),
    (
        "AUTH any",
        "-ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?|",
    ),
    ("AUTH a b c", "-ERR syntax error|"),
    ("AUTH", "-ERR wrong number of arguments for \\'auth\\' command|"),
    ("CLIENT", "-ERR wrong number of arguments for \\'client\\' command|"),
    ("CLIENT FOO", "-ERR unknown subcommand \\'FOO\\'. Try CLIENT HELP.|"),
    ("CLIENT ID x", "-ERR wrong number of arguments for \\'client|id\\' command|"),
    ("CLIENT SETNAME a b", "-ERR wrong number of arguments for \\'client|setname\\' command|"),
    ("CLIENT SETNAME caf\u{e9}", "-ERR Client names cannot contain spaces, newlines or special characters.|"),
    ("CLIENT SETNAME me", "+OK|"),
    ("CLIENT SETNAME ", "+OK|"),
    ("SELECT 0", "+OK|"),
    ("SELECT 99", "-ERR DB index is out of range|"),
    ("COMMAND COUNT x", "-ERR wrong number of arguments for \\'command|count\\' command|"),
    ("COMMAND LIST x", "-ERR syntax error|"),
    ("RESET", "+RESET|"),
    ("RESET x", "-ERR wrong number of arguments for \\'reset\\' command|"),
];

/// The map that answers HELLO, as RESP2 or RESP3 has it.
fn greeting(version: u32, id: &str) -> String {
    let head = if version == 3 { "%7|" } else { "*14|" };
    format!(
        "{head}$6|server|$5|redis|$7|version|$5|7.0.0|$5|proto|:{version}|$2|id|{id}|$4|mode|$10|standalone|$4|role|$6|master|$7|modules|*0|"
    )
}

/// Sends a command for each of `words`; all that comes back.
fn session(address: &str, words: &[&str]) -> String {
    conversation(address, &words.iter().flat_map(|words| command(words)).collect::<Vec<_>>())
}

/// What comes back behind the greeting of RESP3.
fn behind_greeting(address: &str, words: &str) -> String {
    let said = session(address, &["HELLO 3", words]);
    let (greeting, answer) = said.split_once("$7|modules|*0|").unwrap_or_else(|| panic!("no greeting: {said}"));
    assert!(greeting.starts_with("%7|$6|server|$5|redis|"), "{greeting}");
    answer.to_owned()
}

#[test]
fn a_client_that_says_hello_3_is_answered_in_resp3() {
    for dispatch in ["sync", "threads", "pool"] {
        let server = kv(dispatch);
        for (words, expected) in ANSWERS {
            assert_eq!(behind_greeting(&server.address, words), expected.replace('\u{e9}', "\\xc3\\xa9"), "{words}");
        }
    }
}

#[test]
fn the_version_holds_from_its_greeting_to_the_next() {
    let server = kv("pool");
    let id = |said: &str| said.split_once('|').expect("an answer").0.to_owned();
    let said = session(&server.address, &["CLIENT ID", "HELLO", "GET nope", "HELLO 3", "GET nope", "HELLO", "HELLO 2"]);
    let id = id(&said);
    let (two, three) = (greeting(2, &id), greeting(3, &id));
    assert_eq!(said, format!("{id}|{two}$-1|{three}_|{three}{two}"));
    // What is refused changes nothing, and a reset goes back.
    let refused = session(&server.address, &["HELLO 3 FOO", "GET nope", "HELLO 4", "GET nope"]);
    assert_eq!(refused.matches("|$-1|").count(), 2, "{refused}");
    let reset = session(&server.address, &["HELLO 3", "RESET", "GET nope"]);
    assert!(reset.ends_with("+RESET|$-1|"), "{reset}");
    // Another client has not asked for anything.
    assert_eq!(session(&server.address, &["GET nope"]), "$-1|");
}

#[test]
fn clients_have_numbers_and_names_of_their_own() {
    let server = kv("pool");
    let (mut one, mut other) = (connect(&server.address), connect(&server.address));
    let ask = |client: &mut std::net::TcpStream, words: &str, expected: &str| {
        client.write_all(&command(words)).expect("send");
        let mut answer = vec![0; expected.len()];
        client.read_exact(&mut answer).expect("the answer");
        assert_eq!(answer.escape_ascii().to_string(), expected.as_bytes().escape_ascii().to_string(), "{words}");
    };
    ask(&mut one, "CLIENT ID", ":1\r\n");
    ask(&mut other, "CLIENT ID", ":2\r\n");
    ask(&mut one, "CLIENT GETNAME", "$-1\r\n");
    ask(&mut one, "CLIENT SETNAME one", "+OK\r\n");
    ask(&mut other, "HELLO 2 AUTH default x SETNAME other", &greeting(2, ":2").replace('|', "\r\n"));
    ask(&mut one, "CLIENT GETNAME", "$3\r\none\r\n");
    ask(&mut other, "CLIENT GETNAME", "$5\r\nother\r\n");
    ask(&mut one, "CLIENT SETINFO lib-name redis-py", "+OK\r\n");
    ask(&mut one, "CLIENT SETINFO LIB-VER 8.1.0", "+OK\r\n");
    let info = "id=1 name=one db=0 user=default resp=2 lib-name=redis-py lib-ver=8.1.0\n";
    ask(&mut one, "CLIENT INFO", &format!("${}\r\n{info}\r\n", info.len()));
    ask(
        &mut one,
        "CLIENT SETINFO LIB-VER a\nb",
        "-ERR lib-ver cannot contain spaces, newlines or special characters.\r\n",
    );
    ask(&mut one, "CLIENT SETINFO LIB-AGE 1", "-ERR Unrecognized option 'LIB-AGE'\r\n");
    ask(&mut one, "RESET", "+RESET\r\n");
    ask(&mut one, "CLIENT GETNAME", "$-1\r\n");
    ask(&mut one, "CLIENT ID", ":1\r\n");
}

#[test]
#[ignore = "needs redis-server"]
fn redis_itself_answers_the_same() {
    let (redis, server) = (Redis::start(), kv("sync"));
    let mut differences = Vec::new();
    for (words, _) in ANSWERS {
        let (theirs, ours) = (behind_greeting(&redis.address, words), behind_greeting(&server.address, words));
        if theirs != ours {
            differences.push(format!("{words}: redis {theirs}, kv {ours}"));
        }
    }
    assert_eq!(differences, [""; 0]);
    for words in ["HELLO 3", "HELLO 2"] {
        // All but the version and the number of the client.
        let told = |address: &str| {
            let said = session(address, &[words]);
            let cut = |said: &str, from: &str, to: &str| {
                let (before, behind) = said.split_once(from).expect("the name");
                format!("{before}{}", behind.split_once(to).expect("the value").1)
            };
            cut(&cut(&said, "$7|version|", "$5|proto|"), "$2|id|", "$4|mode|")
        };
        assert_eq!(told(&redis.address), told(&server.address), "{words}");
    }
}
