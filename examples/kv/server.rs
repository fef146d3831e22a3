//! The commands about the server itself, as far as clients ask for them: INFO, COMMAND, CONFIG GET.

use std::fmt::Write;
use std::sync::OnceLock;
use std::time::Instant;

use crate::commands::COMMANDS;
use crate::commands::Call;
use crate::commands::Outcome;
use crate::commands::SYNTAX;
use crate::commands::Spec;
use crate::commands::find;
use crate::reply::Reply;

/// The Redis that clients may take this for: its commands, as far as there are any, are those of this version.
pub const REDIS_VERSION: &str = "7.0.0";

/// Settings that clients look at; here they are facts.
const SETTINGS: &[(&str, &str)] =
    &[("appendonly", "no"), ("databases", "1"), ("maxmemory", "0"), ("maxmemory-policy", "noeviction"), ("save", "")];

/// When the server began.
pub static STARTED: OnceLock<Instant> = OnceLock::new();

/// `INFO [section ...]`
pub fn info(call: &mut Call<'_>) -> Outcome {
    let asked: Vec<_> = call.args.by_ref().map(<[u8]>::to_ascii_lowercase).collect();
    let all = asked.is_empty()
        || asked.iter().any(|section| matches!(section.as_slice(), b"all" | b"default" | b"everything"));
    let (keys, expires) = call.client.store.all().count();
    let seconds = STARTED.get_or_init(Instant::now).elapsed().as_secs();
    let keyspace = if keys == 0 { String::new() } else { format!("db0:keys={keys},expires={expires},avg_ttl=0\r\n") };
    let server = format!(
        "redis_version:{REDIS_VERSION}\r\nredis_mode:standalone\r\nserver_name:kv\r\nprocess_id:{}\r\nuptime_in_seconds:{seconds}\r\n",
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
    call.reply.text(&text);
    Ok(())
}

/// `COMMAND`
pub fn describe_all(call: &mut Call<'_>) -> Outcome {
    call.reply.array(COMMANDS.len());
    COMMANDS.iter().for_each(|spec| describe_one(spec, &mut call.reply));
    Ok(())
}

/// `COMMAND INFO [name ...]`
pub fn describe(call: &mut Call<'_>) -> Outcome {
    if call.args.len() == 0 {
        return describe_all(call);
    }
    call.reply.array(call.args.len());
    for name in call.args.by_ref() {
        match find(name) {
            Some(spec) => describe_one(spec, &mut call.reply),
            None => call.reply.nil(),
        }
    }
    Ok(())
}

/// Name, arity, flags and keys; three lists that are empty here; and what belongs to it.
fn describe_one(spec: &Spec, reply: &mut Reply<'_>) {
    reply.array(10);
    reply.bulk(spec.name);
    reply.integer(spec.arity.into());
    reply.set(spec.flags.len());
    spec.flags.iter().for_each(|flag| reply.status(flag));
    for place in [spec.keys.0, spec.keys.1, spec.keys.2] {
        reply.integer(place);
    }
    for _ in 0..3 {
        reply.set(0);
    }
    reply.array(spec.subcommands.len());
    spec.subcommands.iter().for_each(|spec| describe_one(spec, reply));
}

/// `COMMAND COUNT`
pub fn count(call: &mut Call<'_>) -> Outcome {
    call.reply.integer(COMMANDS.len() as i64);
    Ok(())
}

/// `COMMAND DOCS [name ...]`: there are none here.
pub fn docs(call: &mut Call<'_>) -> Outcome {
    call.reply.map(0);
    Ok(())
}

/// `COMMAND LIST`
pub fn list(call: &mut Call<'_>) -> Outcome {
    if call.args.len() > 0 {
        return Err(SYNTAX);
    }
    let names = || COMMANDS.iter().flat_map(|spec| std::iter::once(spec).chain(spec.subcommands));
    call.reply.array(names().count());
    names().for_each(|spec| call.reply.bulk(spec.name));
    Ok(())
}

/// `CONFIG GET pattern ...`: a name is answered as it was written, a pattern with the names that it fits.
pub fn settings(call: &mut Call<'_>) -> Outcome {
    let mut found: Vec<(&[u8], &(&str, &str))> = Vec::new();
    for pattern in call.args.by_ref() {
        let is_name = !pattern.iter().any(|byte| b"*?[".contains(byte));
        for setting in SETTINGS {
            let name = setting.0.as_bytes();
            if matches(&pattern.to_ascii_lowercase(), name) && found.iter().all(|(_, other)| other.0 != setting.0) {
                found.push((if is_name { pattern } else { name }, setting));
            }
        }
    }
    call.reply.map(found.len());
    for (name, (_, value)) in found {
        call.reply.bulk(name);
        call.reply.bulk(value);
    }
    Ok(())
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
