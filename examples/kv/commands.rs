//! The commands: what they do, and what they answer, in the words of Redis 7.

use std::sync::Arc;

use socketserver::Flow;
use socketserver::HandlerResult;
use socketserver::Socket;
use socketserver::frames::FrameHandler;
use socketserver::frames::Replies;

use crate::info;
use crate::resp::Args;
use crate::resp::Command;
use crate::resp::Digits;
use crate::resp::Resp;
use crate::resp::RespError;
use crate::resp::parse_integer;
use crate::resp::put_array;
use crate::resp::put_bulk;
use crate::resp::put_error;
use crate::resp::put_integer;
use crate::resp::put_nil;
use crate::resp::put_ok;
use crate::store::Expiry;
use crate::store::Store;
use crate::store::now;

/// One client.
pub struct Client {
    store: Arc<Store>,
}

impl Client {
    pub fn new(store: &Arc<Store>) -> Self {
        Self { store: Arc::clone(store) }
    }
}

impl<S: Socket> FrameHandler<Resp, S> for Client {
    fn message(&mut self, command: Command<'_>, replies: &mut Replies<'_, Resp>) -> HandlerResult {
        Ok(run(&self.store, command.args(), replies.bytes()))
    }

    fn error(&mut self, error: RespError, replies: &mut Replies<'_, Resp>) -> HandlerResult {
        if let RespError::Protocol(what) = error {
            put_error(replies.bytes(), &[b"Protocol error: ", &what[..]].concat());
        }
        Ok(Flow::Close)
    }
}

/// What is known of a command beside what it does.
pub struct Spec {
    pub name: &'static str,
    /// With the name; negative for at least so many.
    pub arity: i32,
    pub flags: &'static [&'static str],
    /// Which arguments are keys: the first, the last, and the step from one to the next.
    pub keys: (i64, i64, i64),
    run: fn(&mut Call<'_>) -> Outcome,
}

/// A command that is being run.
pub struct Call<'a> {
    pub store: &'a Store,
    /// Behind the name.
    pub args: Args<'a>,
    pub output: &'a mut Vec<u8>,
    pub spec: &'static Spec,
}

/// What a command says when it cannot be done.
pub enum Refusal {
    /// The wrong number of arguments, for the command or `command|subcommand`.
    Arity(Option<&'static str>),
    Text(&'static str),
    Told(String),
}

type Outcome = Result<(), Refusal>;

const NOT_AN_INTEGER: Refusal = Refusal::Text("value is not an integer or out of range");
const SYNTAX: Refusal = Refusal::Text("syntax error");

const KEY: (i64, i64, i64) = (1, 1, 1);
const KEYS: (i64, i64, i64) = (1, -1, 1);
const NO_KEYS: (i64, i64, i64) = (0, 0, 0);

/// The busiest first.
pub static COMMANDS: &[Spec] = &[
    Spec { name: "get", arity: 2, flags: &["readonly", "fast"], keys: KEY, run: get },
    Spec { name: "set", arity: -3, flags: &["write", "denyoom"], keys: KEY, run: set },
    Spec { name: "incr", arity: 2, flags: &["write", "denyoom", "fast"], keys: KEY, run: |call| add(call, 1) },
    Spec { name: "del", arity: -2, flags: &["write"], keys: KEYS, run: del },
    Spec { name: "exists", arity: -2, flags: &["readonly", "fast"], keys: KEYS, run: exists },
    Spec { name: "mget", arity: -2, flags: &["readonly", "fast"], keys: KEYS, run: mget },
    Spec { name: "mset", arity: -3, flags: &["write", "denyoom"], keys: (1, -1, 2), run: mset },
    Spec { name: "ping", arity: -1, flags: &["fast"], keys: NO_KEYS, run: ping },
    Spec { name: "echo", arity: 2, flags: &["fast"], keys: NO_KEYS, run: echo },
    Spec { name: "expire", arity: -3, flags: &["write", "fast"], keys: KEY, run: |call| expire(call, 1000) },
    Spec { name: "pexpire", arity: -3, flags: &["write", "fast"], keys: KEY, run: |call| expire(call, 1) },
    Spec { name: "ttl", arity: 2, flags: &["readonly", "fast"], keys: KEY, run: |call| ttl(call, 1000) },
    Spec { name: "pttl", arity: 2, flags: &["readonly", "fast"], keys: KEY, run: |call| ttl(call, 1) },
    Spec { name: "persist", arity: 2, flags: &["write", "fast"], keys: KEY, run: persist },
    Spec { name: "decr", arity: 2, flags: &["write", "denyoom", "fast"], keys: KEY, run: |call| add(call, -1) },
    Spec { name: "incrby", arity: 3, flags: &["write", "denyoom", "fast"], keys: KEY, run: incrby },
    Spec { name: "decrby", arity: 3, flags: &["write", "denyoom", "fast"], keys: KEY, run: decrby },
    Spec { name: "dbsize", arity: 1, flags: &["readonly", "fast"], keys: NO_KEYS, run: dbsize },
    Spec { name: "flushall", arity: -1, flags: &["write"], keys: NO_KEYS, run: flush },
    Spec { name: "flushdb", arity: -1, flags: &["write"], keys: NO_KEYS, run: flush },
    Spec { name: "info", arity: -1, flags: &["loading", "stale"], keys: NO_KEYS, run: info::info },
    Spec { name: "command", arity: -1, flags: &["loading", "stale"], keys: NO_KEYS, run: info::command },
    Spec { name: "config", arity: -2, flags: &["admin", "loading", "stale"], keys: NO_KEYS, run: info::config },
    Spec { name: "select", arity: 2, flags: &["loading", "stale", "fast"], keys: NO_KEYS, run: select },
    Spec { name: "quit", arity: -1, flags: &["loading", "stale", "fast"], keys: NO_KEYS, run: |call| ok(call) },
];

/// Runs a command and adds its answer.
pub fn run(store: &Store, mut args: Args<'_>, output: &mut Vec<u8>) -> Flow {
    let count = args.len() as i32;
    let Some(name) = args.next() else { return Flow::Continue };
    let Some(spec) = find(name) else {
        if is_http(name) {
            // As Redis does: what was answered before it and has not left yet goes with it.
            output.clear();
            return Flow::Close;
        }
        put_error(output, &unknown(name, args));
        return Flow::Continue;
    };
    let fits = if spec.arity < 0 { count >= -spec.arity } else { count == spec.arity };
    let mut call = Call { store, args, output, spec };
    match if fits { (spec.run)(&mut call) } else { Err(Refusal::Arity(None)) } {
        Ok(()) => {}
        Err(Refusal::Arity(subcommand)) => {
            let bar = if subcommand.is_some() { "|" } else { "" };
            let name = format!("{}{bar}{}", spec.name, subcommand.unwrap_or_default());
            put_error(output, format!("wrong number of arguments for '{name}' command").as_bytes());
        }
        Err(Refusal::Text(text)) => put_error(output, text.as_bytes()),
        Err(Refusal::Told(text)) => put_error(output, text.as_bytes()),
    }
    if spec.name == "quit" { Flow::Close } else { Flow::Continue }
}

/// Whether it is a line of an HTTP request, which a web page can make a browser send to any port: its body would be run
/// as commands, with the rights of the browser's user.
fn is_http(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"post") || name.eq_ignore_ascii_case(b"host:")
}

pub fn find(name: &[u8]) -> Option<&'static Spec> {
    COMMANDS.iter().find(|spec| name.eq_ignore_ascii_case(spec.name.as_bytes()))
}

fn unknown(name: &[u8], args: Args<'_>) -> Vec<u8> {
    const SHOWN: usize = 128;
    let mut shown = Vec::new();
    for arg in args {
        if shown.len() >= SHOWN {
            break;
        }
        let room = SHOWN - shown.len();
        shown.push(b'\'');
        shown.extend_from_slice(&arg[..arg.len().min(room)]);
        shown.extend_from_slice(b"' ");
    }
    let name = &name[..name.len().min(SHOWN)];
    [b"unknown command '", name, b"', with args beginning with: ", &shown[..]].concat()
}

fn integer(arg: &[u8]) -> Result<i64, Refusal> {
    parse_integer(arg).ok_or(NOT_AN_INTEGER)
}

impl<'a> Call<'a> {
    /// An argument that the arity promises.
    fn arg(&mut self) -> Result<&'a [u8], Refusal> {
        self.args.next().ok_or(Refusal::Arity(None))
    }
}

fn ok(call: &mut Call<'_>) -> Outcome {
    put_ok(call.output);
    Ok(())
}

fn ping(call: &mut Call<'_>) -> Outcome {
    match (call.args.next(), call.args.next()) {
        (None, _) => call.output.extend_from_slice(b"+PONG\r\n"),
        (Some(word), None) => put_bulk(call.output, word),
        _ => return Err(Refusal::Arity(None)),
    }
    Ok(())
}

fn echo(call: &mut Call<'_>) -> Outcome {
    let word = call.arg()?;
    put_bulk(call.output, word);
    Ok(())
}

fn get(call: &mut Call<'_>) -> Outcome {
    let key = call.arg()?;
    match call.store.shard(key).get(key) {
        Some(value) => put_bulk(call.output, value),
        None => put_nil(call.output),
    }
    Ok(())
}

fn set(call: &mut Call<'_>) -> Outcome {
    let (key, value) = (call.arg()?, call.arg()?);
    let (mut time, mut keep, mut only, mut answer_old) = (None, false, None, false);
    while let Some(option) = call.args.next() {
        let is = |name: &str| option.eq_ignore_ascii_case(name.as_bytes());
        if (is("nx") || is("xx")) && only.is_none_or(|exists| exists == is("xx")) {
            only = Some(is("xx"));
        } else if is("get") {
            answer_old = true;
        } else if is("keepttl") && time.is_none() {
            keep = true;
        } else if let Some(way) = TimeOption::named(option)
            && time.is_none_or(|(before, _)| before == way)
            && !keep
        {
            // Given again, the last one counts, and those before are not looked at.
            time = Some((way, call.args.next().ok_or(SYNTAX)?));
        } else {
            return Err(SYNTAX);
        }
    }
    let expiry = match time {
        Some((way, time)) => {
            Expiry::At(way.at(integer(time)?).ok_or(Refusal::Text("invalid expire time in 'set' command"))?)
        }
        None if keep => Expiry::Keep,
        None => Expiry::Never,
    };
    let mut shard = call.store.shard(key);
    let old = if answer_old || only.is_some() { shard.get(key) } else { None };
    let done = only.is_none_or(|exists| exists == old.is_some());
    match old {
        Some(old) if answer_old => put_bulk(call.output, old),
        None if answer_old => put_nil(call.output),
        _ if done => put_ok(call.output),
        _ => put_nil(call.output),
    }
    if done {
        shard.set(key, value, expiry);
    }
    Ok(())
}

/// How the time at which a key expires is given.
#[derive(Clone, Copy, Eq, PartialEq)]
struct TimeOption {
    /// In milliseconds.
    unit: i64,
    /// From now on, not from 1970.
    relative: bool,
}

impl TimeOption {
    fn named(option: &[u8]) -> Option<Self> {
        let is = |name: &str| option.eq_ignore_ascii_case(name.as_bytes());
        let (unit, relative) = match () {
            () if is("ex") => (1000, true),
            () if is("px") => (1, true),
            () if is("exat") => (1000, false),
            () if is("pxat") => (1, false),
            () => return None,
        };
        Some(Self { unit, relative })
    }

    /// In milliseconds since 1970; `None` for times that do not exist.
    fn at(self, time: i64) -> Option<u64> {
        let from = if self.relative { now() } else { 0 };
        let at = time.checked_mul(self.unit).filter(|time| *time > 0)?.checked_add_unsigned(from)?;
        u64::try_from(at).ok()
    }
}

fn del(call: &mut Call<'_>) -> Outcome {
    let count = if call.args.len() == 1 {
        let key = call.arg()?;
        call.store.shard(key).remove(key).into()
    } else {
        let mut shards = call.store.all();
        call.args.by_ref().filter(|key| shards.of(key).remove(key)).count() as i64
    };
    put_integer(call.output, count);
    Ok(())
}

fn exists(call: &mut Call<'_>) -> Outcome {
    let mut shards = call.store.all();
    let count = call.args.by_ref().filter(|key| shards.of(key).get(key).is_some()).count();
    put_integer(call.output, count as i64);
    Ok(())
}

fn mget(call: &mut Call<'_>) -> Outcome {
    let mut shards = call.store.all();
    put_array(call.output, call.args.len());
    for key in call.args.by_ref() {
        match shards.of(key).get(key) {
            Some(value) => put_bulk(call.output, value),
            None => put_nil(call.output),
        }
    }
    Ok(())
}

fn mset(call: &mut Call<'_>) -> Outcome {
    if call.args.len() % 2 == 1 {
        return Err(Refusal::Arity(None));
    }
    let mut shards = call.store.all();
    while let (Some(key), Some(value)) = (call.args.next(), call.args.next()) {
        shards.of(key).set(key, value, Expiry::Never);
    }
    ok(call)
}

fn add(call: &mut Call<'_>, amount: i64) -> Outcome {
    let key = call.arg()?;
    let mut digits = Digits::default();
    let mut shard = call.store.shard(key);
    let sum = match shard.get_mut(key) {
        Some(value) => {
            let sum = integer(value)?.checked_add(amount);
            let sum = sum.ok_or(Refusal::Text("increment or decrement would overflow"))?;
            value.clear();
            value.extend_from_slice(digits.of(sum));
            sum
        }
        None => {
            shard.set(key, digits.of(amount), Expiry::Never);
            amount
        }
    };
    put_integer(call.output, sum);
    Ok(())
}

fn incrby(call: &mut Call<'_>) -> Outcome {
    let amount = call.args.clone().nth(1).ok_or(Refusal::Arity(None))?;
    add(call, integer(amount)?)
}

fn decrby(call: &mut Call<'_>) -> Outcome {
    let amount = integer(call.args.clone().nth(1).ok_or(Refusal::Arity(None))?)?;
    add(call, amount.checked_neg().ok_or(Refusal::Text("decrement would overflow"))?)
}

fn expire(call: &mut Call<'_>, unit: i64) -> Outcome {
    let (key, time) = (call.arg()?, call.arg()?);
    let [mut nx, mut xx, mut gt, mut lt] = [false; 4];
    for option in call.args.by_ref() {
        match option.to_ascii_lowercase().as_slice() {
            b"nx" => nx = true,
            b"xx" => xx = true,
            b"gt" => gt = true,
            b"lt" => lt = true,
            _ => return Err(Refusal::Told(format!("Unsupported option {}", String::from_utf8_lossy(option)))),
        }
    }
    if nx && (xx || gt || lt) {
        return Err(Refusal::Text("NX and XX, GT or LT options at the same time are not compatible"));
    }
    if gt && lt {
        return Err(Refusal::Text("GT and LT options at the same time are not compatible"));
    }
    let at = integer(time)?.checked_mul(unit).and_then(|time| time.checked_add(now() as i64));
    let at = at.ok_or_else(|| Refusal::Told(format!("invalid expire time in '{}' command", call.spec.name)))?;
    let mut shard = call.store.shard(key);
    let there = shard.get(key).is_some();
    let before = shard.expires(key).map(|at| at as i64);
    // A key that does not expire lives longest.
    let changes = there
        && !(nx && before.is_some() || xx && before.is_none())
        && !(gt && before.is_none_or(|before| at <= before) || lt && before.is_some_and(|before| at >= before));
    if changes && at <= now() as i64 {
        shard.remove(key);
    } else if changes {
        shard.expire(key, Some(at as u64));
    }
    put_integer(call.output, changes.into());
    Ok(())
}

fn ttl(call: &mut Call<'_>, unit: u64) -> Outcome {
    let key = call.arg()?;
    let shard = call.store.shard(key);
    let left = match (shard.get(key), shard.expires(key)) {
        (None, _) => -2,
        (Some(_), None) => -1,
        (Some(_), Some(at)) => ((at.saturating_sub(now()) + unit / 2) / unit) as i64,
    };
    put_integer(call.output, left);
    Ok(())
}

fn persist(call: &mut Call<'_>) -> Outcome {
    let key = call.arg()?;
    let mut shard = call.store.shard(key);
    let expires = shard.expires(key).is_some();
    if expires {
        shard.expire(key, None);
    }
    put_integer(call.output, expires.into());
    Ok(())
}

fn dbsize(call: &mut Call<'_>) -> Outcome {
    put_integer(call.output, call.store.all().count().0 as i64);
    Ok(())
}

fn flush(call: &mut Call<'_>) -> Outcome {
    let how = call.args.next();
    let known = how.is_none_or(|how| how.eq_ignore_ascii_case(b"sync") || how.eq_ignore_ascii_case(b"async"));
    if !known || call.args.next().is_some() {
        return Err(SYNTAX);
    }
    call.store.all().clear();
    ok(call)
}

fn select(call: &mut Call<'_>) -> Outcome {
    match integer(call.arg()?)? {
        0 => ok(call),
        _ => Err(Refusal::Text("DB index is out of range")),
    }
}
