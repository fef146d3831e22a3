//! Random commands, as the example `kv` and Redis both know them, and how they are written.

#![allow(unreachable_pub, reason = "a module of a test")]

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

pub type Word = Vec<u8>;

/// The words of a command, its name first.
pub type Words = Vec<Word>;

fn word(text: &'static str) -> BoxedStrategy<Word> {
    Just(text.as_bytes().to_vec()).boxed()
}

pub fn words(texts: &'static [&'static str]) -> BoxedStrategy<Word> {
    select(texts).prop_map(|text| text.as_bytes().to_vec()).boxed()
}

/// A text in letters of any case.
fn any_case(texts: &'static [&'static str]) -> BoxedStrategy<Word> {
    let mixed = |(text, big): (&str, u32)| {
        let letter = |(at, letter): (usize, u8)| {
            if big >> at & 1 == 1 { letter.to_ascii_uppercase() } else { letter.to_ascii_lowercase() }
        };
        text.bytes().enumerate().map(letter).collect()
    };
    (select(texts), any::<u32>()).prop_map(mixed).boxed()
}

/// Few, so that commands meet.
pub fn key() -> BoxedStrategy<Word> {
    prop_oneof![8 => words(&["a", "b", "c"]), 1 => word(""), 1 => word("k\r\n\0\u{ff}")].boxed()
}

/// Numbers, and what looks like one.
fn number() -> BoxedStrategy<Word> {
    prop_oneof![
        6 => any::<i16>().prop_map(|number| number.to_string().into_bytes()),
        1 => any::<i64>().prop_map(|number| number.to_string().into_bytes()),
        3 => words(&[
            "0", "-0", "+1", "01", "", "-", "1 ", " 1", "1.0", "1e3", "x",
            "9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809",
            "18446744073709551616", "00000000000000000000000",
        ]),
    ]
    .boxed()
}

fn value() -> BoxedStrategy<Word> {
    prop_oneof![
        4 => number(),
        4 => vec(any::<u8>(), 0..20),
        1 => vec(any::<u8>(), 1000..3000),
    ]
    .boxed()
}

/// How long a key stays, far from any moment at which it could matter how quick a server is.
fn time(unit: u32) -> BoxedStrategy<Word> {
    prop_oneof![
        6 => (100..100_000_u32).prop_map(move |time| (time * unit).to_string().into_bytes()),
        2 => words(&[
            "0", "-1", "-1000000", "x", "", "9223372036854775807", "-9223372036854775808", "9223372036854775",
            "-9223372036854776", "9223372036854775808",
        ]),
    ]
    .boxed()
}

/// A time since 1970: long ago, or far ahead.
fn date(unit: u64) -> BoxedStrategy<Word> {
    let ahead = (32_503_680_000..40_000_000_000_u64).prop_map(move |time| (time * unit).to_string().into_bytes());
    prop_oneof![4 => ahead, 1 => word("1"), 1 => word("0"), 1 => word("-1"), 1 => word("9223372036854775807")].boxed()
}

/// One of `names`, and what `arguments` makes of it.
pub fn command(
    names: &'static [&'static str],
    arguments: impl Strategy<Value = Words> + 'static,
) -> BoxedStrategy<Words> {
    (any_case(names), arguments).prop_map(|(name, arguments)| [vec![name], arguments].concat()).boxed()
}

pub fn set() -> BoxedStrategy<Words> {
    let pair = |name, time: BoxedStrategy<Word>| (any_case(name), time).prop_map(|(name, time)| vec![name, time]);
    let option = prop_oneof![
        5 => any_case(&["nx", "xx", "get", "get", "keepttl", "nope", "persist"]).prop_map(|option| vec![option]),
        2 => pair(&["ex"], time(1)),
        2 => pair(&["px"], time(1000)),
        1 => pair(&["exat"], date(1)),
        1 => pair(&["pxat"], date(1000)),
    ];
    let options = prop_oneof![2 => Just(Vec::new()), 3 => vec(option, 1..4).prop_map(|options| options.concat())];
    let arguments = (key(), value(), options);
    command(&["set"], arguments.prop_map(|(key, value, options)| [vec![key, value], options].concat()))
}

fn expire(name: &'static [&'static str], time: BoxedStrategy<Word>) -> BoxedStrategy<Words> {
    let options = vec(any_case(&["nx", "xx", "gt", "lt", "gt", "lt", "no\r\npe\r\n"]), 0..3);
    let options = prop_oneof![Just(Vec::new()), options];
    command(name, (key(), time, options).prop_map(|(key, time, options)| [vec![key, time], options].concat()))
}

/// Commands about the connection.
pub fn session() -> BoxedStrategy<Words> {
    let name = || words(&["me", "a b", "", "caf\u{e9}", "x\n"]);
    let hello = prop_oneof![
        4 => words(&["2", "3"]),
        1 => words(&["1", "4", "x", "", "03"]),
    ];
    let option = prop_oneof![
        (any_case(&["setname"]), name()).prop_map(|(option, name)| vec![option, name]),
        (any_case(&["auth"]), words(&["default", "Default", "x"]), name())
            .prop_map(|(o, user, word)| vec![o, user, word]),
        words(&["auth", "setname", "foo\r\n", "\r\n"]).prop_map(|option| vec![option]),
    ];
    let hello = (hello, vec(option, 0..3)).prop_map(|(version, options)| [vec![version], options.concat()].concat());
    prop_oneof![
        3 => command(&["hello"], prop_oneof![1 => Just(Vec::new()), 5 => hello]),
        1 => command(&["auth"], vec(words(&["default", "x", ""]), 0..4)),
        1 => command(&["select"], vec(words(&["0", "-1", "99", "x", ""]), 1..2)),
        1 => command(&["reset"], Just(Vec::new())),
        2 => command(&["client"], (any_case(&["setname"]), name()).prop_map(|(sub, name)| vec![sub, name])),
        2 => command(&["client"], any_case(&["getname", "nope", "", "id\r\n"]).prop_map(|sub| vec![sub])),
    ]
    .boxed()
}

/// Commands about the server.
fn server() -> BoxedStrategy<Words> {
    let setting = words(&["save", "appendonly", "maxmemory", "maxmemory-policy", "nosuch", "Save", "sav?", "s?ve"]);
    prop_oneof![
        command(
            &["config"],
            (any_case(&["get", "get", "get", "nope"]), setting).prop_map(|(sub, name)| vec![sub, name])
        ),
        command(&["config"], Just(vec![b"get".to_vec()])),
        command(&["command"], any_case(&["nope", "c\r\nount"]).prop_map(|sub| vec![sub])),
        command(&["command"], Just(vec![b"info".to_vec(), b"nosuch".to_vec(), b"".to_vec(), b"get|x".to_vec()])),
        command(&["command"], Just(vec![b"docs".to_vec(), b"nosuch".to_vec()])),
        command(&["command"], Just(vec![b"list".to_vec(), b"nosuch".to_vec()])),
        command(&["info"], vec(words(&["nosuch", "", "\r\n"]), 1..3)),
        command(&["flushall", "flushdb"], vec(any_case(&["async", "sync", "now"]), 0..2)),
        command(
            &["nosuch", "getx", "", "se", "\u{ff}\r\n"],
            vec(words(&["word", "", "line\r\nline", "\u{e9}"]), 0..60)
        ),
    ]
    .boxed()
}

/// A command of any kind, which is wrong now and then.
pub fn any_command() -> BoxedStrategy<Words> {
    let right = prop_oneof![
        8 => set(),
        4 => command(&["get"], vec(key(), 1..2)),
        2 => command(&["mget", "exists", "del"], vec(key(), 1..5)),
        2 => command(&["mset"], vec((key(), value()).prop_map(|(key, value)| vec![key, value]), 1..4).prop_map(|pairs| pairs.concat())),
        2 => command(&["incr", "decr"], vec(key(), 1..2)),
        3 => command(&["incrby", "decrby"], (key(), number()).prop_map(|(key, number)| vec![key, number])),
        2 => expire(&["expire"], time(1)),
        2 => expire(&["pexpire"], time(1000)),
        3 => command(&["ttl", "pttl", "persist"], vec(key(), 1..2)),
        1 => command(&["dbsize"], Just(Vec::new())),
        1 => command(&["ping"], vec(value(), 0..3)),
        1 => command(&["echo"], vec(value(), 1..2)),
        3 => session(),
        2 => server(),
    ];
    (right, 0..40_u8)
        .prop_map(|(mut words, luck)| {
            // They would list everything that there is.
            let lists = words[0].eq_ignore_ascii_case(b"command") || words[0].eq_ignore_ascii_case(b"info");
            match luck {
                _ if lists => {}
                0 => drop(words.pop()),
                1 => words.push(b"more".to_vec()),
                2 => words.truncate(1),
                _ => {}
            }
            if words.is_empty() { vec![b"ping".to_vec()] } else { words }
        })
        .boxed()
}

/// As an array, or as a plain line where that can be.
pub fn written(words: &Words, plain: bool) -> Vec<u8> {
    if plain && !words[0].is_empty() && words.iter().all(|word| !word.contains(&0)) {
        let mut line = Vec::new();
        for word in words {
            line.push(b'"');
            for &byte in word {
                match byte {
                    b'"' | b'\\' | b'\n' | b'\r' => line.extend_from_slice(format!("\\x{byte:02x}").as_bytes()),
                    byte => line.push(byte),
                }
            }
            line.extend_from_slice(b"\" ");
        }
        return [&line[..], b"\r\n"].concat();
    }
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}
