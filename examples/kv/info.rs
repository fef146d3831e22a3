//! The commands about the server itself, as far as clients ask for them: INFO, COMMAND, CONFIG GET.

use std::fmt::Write;
use std::sync::OnceLock;
use std::time::Instant;

use crate::commands::COMMANDS;
use crate::commands::Call;
use crate::commands::Refusal;
use crate::commands::Spec;
use crate::commands::find;
use crate::resp::put_array;
use crate::resp::put_bulk;
use crate::resp::put_integer;
use crate::resp::put_nil;

/// Settings that clients look at; here they are facts.
const SETTINGS: &[(&str, &str)] =
    &[("appendonly", "no"), ("databases", "1"), ("maxmemory", "0"), ("maxmemory-policy", "noeviction"), ("save", "")];

/// When the server began.
pub static STARTED: OnceLock<Instant> = OnceLock::new();

/// `INFO [section ...]`
pub fn info(call: &mut Call<'_>) -> Result<(), Refusal> {
    let asked: Vec<_> = call.args.by_ref().map(<[u8]>::to_ascii_lowercase).collect();
    let all = asked.is_empty()
        || asked.iter().any(|section| matches!(section.as_slice(), b"all" | b"default" | b"everything"));
    let (keys, expires) = call.store.all().count();
    let seconds = STARTED.get_or_init(Instant::now).elapsed().as_secs();
    let keyspace = if keys == 0 { String::new() } else { format!("db0:keys={keys},expires={expires},avg_ttl=0\r\n") };
    let server = format!(
        "redis_version:7.0.0\r\nredis_mode:standalone\r\nserver_name:kv\r\nprocess_id:{}\r\nuptime_in_seconds:{seconds}\r\n",
        std::process::id()
    );
    let mut text = String::new();
    for (section, body) in [("Server", server), ("Keyspace", keyspace)] {
        if all || asked.iter().any(|asked| asked.eq_ignore_ascii_case(section.as_bytes())) {
            let gap = if text.is_empty() { "" } else { "\r\n" };
            // Writing to a string does not fail.
            let _ = write!(text, "{gap}# {section}\r\n{body}");
        }
    }
    put_bulk(call.output, text.as_bytes());
    Ok(())
}

/// `COMMAND [COUNT | DOCS | LIST | INFO name ...]`
pub fn command(call: &mut Call<'_>) -> Result<(), Refusal> {
    let what = call.args.next().unwrap_or(b"info");
    match what.to_ascii_lowercase().as_slice() {
        b"count" if call.args.len() > 0 => return Err(Refusal::Arity(Some("count"))),
        b"count" => put_integer(call.output, COMMANDS.len() as i64),
        b"docs" => put_array(call.output, 0),
        b"list" => {
            put_array(call.output, COMMANDS.len());
            for spec in COMMANDS {
                put_bulk(call.output, spec.name.as_bytes());
            }
        }
        b"info" if call.args.len() == 0 => {
            put_array(call.output, COMMANDS.len());
            for spec in COMMANDS {
                describe(spec, call.output);
            }
        }
        b"info" => {
            put_array(call.output, call.args.len());
            for name in call.args.by_ref() {
                match find(name) {
                    Some(spec) => describe(spec, call.output),
                    None => put_nil(call.output),
                }
            }
        }
        _ => return Err(unknown_subcommand(what, call.spec)),
    }
    Ok(())
}

/// Name, arity, flags, keys; and four lists that are empty here.
fn describe(spec: &Spec, output: &mut Vec<u8>) {
    put_array(output, 10);
    put_bulk(output, spec.name.as_bytes());
    put_integer(output, spec.arity.into());
    put_array(output, spec.flags.len());
    for flag in spec.flags {
        output.extend_from_slice(format!("+{flag}\r\n").as_bytes());
    }
    for place in [spec.keys.0, spec.keys.1, spec.keys.2] {
        put_integer(output, place);
    }
    for _ in 0..4 {
        put_array(output, 0);
    }
}

/// `CONFIG GET pattern ...`
pub fn config(call: &mut Call<'_>) -> Result<(), Refusal> {
    let what = call.args.next().unwrap_or_default();
    if !what.eq_ignore_ascii_case(b"get") {
        return Err(unknown_subcommand(what, call.spec));
    }
    if call.args.len() == 0 {
        return Err(Refusal::Arity(Some("get")));
    }
    let patterns: Vec<_> = call.args.by_ref().map(<[u8]>::to_ascii_lowercase).collect();
    let asked = |name: &str| patterns.iter().any(|pattern| matches(pattern, name.as_bytes()));
    let found: Vec<_> = SETTINGS.iter().filter(|(name, _)| asked(name)).collect();
    put_array(call.output, found.len() * 2);
    for (name, value) in found {
        put_bulk(call.output, name.as_bytes());
        put_bulk(call.output, value.as_bytes());
    }
    Ok(())
}

fn unknown_subcommand(what: &[u8], spec: &Spec) -> Refusal {
    let what = String::from_utf8_lossy(what);
    Refusal::Told(format!("unknown subcommand '{what}'. Try {} HELP.", spec.name.to_uppercase()))
}

/// Whether `name` is what `pattern` says: `*` stands for any bytes, `?` for one.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    // Where to go on if the bytes behind the last `*` do not fit: one byte further.
    let (mut star, mut p, mut n) = (None, 0, 0);
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&byte) if byte == b'?' || byte == name[n] => {
                p += 1;
                n += 1;
            }
            _ => {
                let Some((at, from)) = star else { return false };
                star = Some((at, from + 1));
                p = at + 1;
                n = from + 1;
            }
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}
