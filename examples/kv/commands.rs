//! The commands: which there are, what is known of them, and how one is run.

use socketserver::Flow;

use crate::client::Client;
use crate::connection;
use crate::keys;
use crate::reply::Reply;
use crate::resp::Args;
use crate::resp::parse_integer;
use crate::server;
use crate::strings;

/// What is known of a command beside what it does.
pub struct Spec {
    /// `get`, or with what it belongs to: `config|get`.
    pub name: &'static str,
    /// With the name; negative for at least this many.
    pub arity: i32,
    pub flags: &'static [&'static str],
    /// Which arguments are keys: the first, the last, and the step from one to the next.
    pub keys: (i64, i64, i64),
    pub subcommands: &'static [Self],
    run: fn(&mut Call<'_>) -> Outcome,
}

/// A command that is being run.
pub struct Call<'a> {
    pub client: &'a mut Client,
    /// Behind the name.
    pub args: Args<'a>,
    pub reply: Reply<'a>,
    pub spec: &'static Spec,
    /// What becomes of the connection.
    pub flow: Flow,
}

/// What a command says when it cannot be done.
pub enum Refusal {
    /// The wrong number of arguments.
    Arity,
    Text(&'static str),
    Told(Vec<u8>),
    /// With a code in place of the usual `ERR`.
    Coded(&'static str, &'static str),
}

pub type Outcome = Result<(), Refusal>;

pub const SYNTAX: Refusal = Refusal::Text("syntax error");

const KEY: (i64, i64, i64) = (1, 1, 1);
const KEYS: (i64, i64, i64) = (1, -1, 1);
const NO_KEYS: (i64, i64, i64) = (0, 0, 0);

const READ: &[&str] = &["readonly", "fast"];
const WRITE: &[&str] = &["write", "denyoom", "fast"];
const ALWAYS: &[&str] = &["loading", "stale"];
const SESSION: &[&str] = &["noscript", "loading", "stale"];
const FIRST: &[&str] = &["noscript", "loading", "stale", "fast", "no_auth", "allow_busy"];

/// The busiest first.
#[rustfmt::skip]
pub static COMMANDS: &[Spec] = &[
    Spec::of_keys("get", 2, READ, KEY, strings::get),
    Spec::of_keys("set", -3, &["write", "denyoom"], KEY, strings::set),
    Spec::of_keys("incr", 2, WRITE, KEY, |call| strings::add(call, 1)),
    Spec::of_keys("del", -2, &["write"], KEYS, keys::del),
    Spec::of_keys("exists", -2, READ, KEYS, keys::exists),
    Spec::of_keys("mget", -2, READ, KEYS, strings::mget),
    Spec::of_keys("mset", -3, &["write", "denyoom"], (1, -1, 2), strings::mset),
    Spec::new("ping", -1, &["fast"], connection::ping),
    Spec::new("echo", 2, &["loading", "stale", "fast"], connection::echo),
    Spec::of_keys("expire", -3, &["write", "fast"], KEY, |call| keys::expire(call, 1000)),
    Spec::of_keys("pexpire", -3, &["write", "fast"], KEY, |call| keys::expire(call, 1)),
    Spec::of_keys("ttl", 2, READ, KEY, |call| keys::ttl(call, 1000)),
    Spec::of_keys("pttl", 2, READ, KEY, |call| keys::ttl(call, 1)),
    Spec::of_keys("persist", 2, &["write", "fast"], KEY, keys::persist),
    Spec::of_keys("decr", 2, WRITE, KEY, |call| strings::add(call, -1)),
    Spec::of_keys("incrby", 3, WRITE, KEY, strings::incrby),
    Spec::of_keys("decrby", 3, WRITE, KEY, strings::decrby),
    Spec::new("dbsize", 1, READ, keys::dbsize),
    Spec::new("flushall", -1, &["write"], keys::flush),
    Spec::new("flushdb", -1, &["write"], keys::flush),
    Spec::new("select", 2, &["loading", "stale", "fast"], connection::select),
    Spec::new("hello", -1, FIRST, connection::hello),
    Spec::new("auth", -2, FIRST, connection::auth),
    Spec::new("reset", 1, FIRST, connection::reset),
    Spec::new("quit", -1, FIRST, connection::quit),
    Spec::holding("client", -2, &[], &[
        Spec::new("client|id", 2, SESSION, connection::id),
        Spec::new("client|info", 2, SESSION, connection::info),
        Spec::new("client|getname", 2, SESSION, connection::get_name),
        Spec::new("client|setname", 3, SESSION, connection::set_name),
        Spec::new("client|setinfo", 4, SESSION, connection::set_info),
    ]),
    Spec::new("info", -1, ALWAYS, server::info),
    Spec {
        run: server::describe_all,
        ..Spec::holding("command", -1, ALWAYS, &[
            Spec::new("command|count", 2, ALWAYS, server::count),
            Spec::new("command|docs", -2, ALWAYS, server::docs),
            Spec::new("command|list", -2, ALWAYS, server::list),
            Spec::new("command|info", -2, ALWAYS, server::describe),
        ])
    },
    Spec::holding("config", -2, &[], &[
        Spec::new("config|get", -3, &["admin", "noscript", "loading", "stale"], server::settings),
    ]),
];

impl Spec {
    const fn new(
        name: &'static str,
        arity: i32,
        flags: &'static [&'static str],
        run: fn(&mut Call<'_>) -> Outcome,
    ) -> Self {
        Self { name, arity, flags, keys: NO_KEYS, subcommands: &[], run }
    }

    const fn of_keys(
        name: &'static str,
        arity: i32,
        flags: &'static [&'static str],
        keys: (i64, i64, i64),
        run: fn(&mut Call<'_>) -> Outcome,
    ) -> Self {
        Self { keys, ..Self::new(name, arity, flags, run) }
    }

    /// One whose first argument says which of others it is.
    const fn holding(
        name: &'static str,
        arity: i32,
        flags: &'static [&'static str],
        subcommands: &'static [Self],
    ) -> Self {
        Self { subcommands, ..Self::new(name, arity, flags, |_| Err(Refusal::Arity)) }
    }
}

/// Runs a command and adds its answer.
pub fn run(client: &mut Client, mut args: Args<'_>, output: &mut Vec<u8>) -> Flow {
    let mut reply = Reply { bytes: output, version: client.version };
    let count = args.len() as i32;
    let Some(name) = args.next() else { return Flow::Continue };
    let Some(mut spec) = find(name) else {
        if is_http(name) {
            // As Redis does: what was answered before it and has not left yet goes with it.
            reply.bytes.clear();
            return Flow::Close;
        }
        reply.error("ERR", &unknown(name, args));
        return Flow::Continue;
    };
    if !spec.subcommands.is_empty()
        && let Some(word) = args.next()
    {
        let Some(subcommand) = spec.subcommand(word) else {
            let help = format!("'. Try {} HELP.", spec.name.to_uppercase());
            reply.error("ERR", &[b"unknown subcommand '", shown(word), help.as_bytes()].concat());
            return Flow::Continue;
        };
        spec = subcommand;
    }
    let fits = if spec.arity < 0 { count >= -spec.arity } else { count == spec.arity };
    let mut call = Call { client, args, reply, spec, flow: Flow::Continue };
    match if fits { (spec.run)(&mut call) } else { Err(Refusal::Arity) } {
        Ok(()) => {}
        Err(Refusal::Arity) => {
            call.reply.error("ERR", format!("wrong number of arguments for '{}' command", spec.name).as_bytes());
        }
        Err(Refusal::Text(text)) => call.reply.error("ERR", text.as_bytes()),
        Err(Refusal::Told(text)) => call.reply.error("ERR", &text),
        Err(Refusal::Coded(code, text)) => call.reply.error(code, text.as_bytes()),
    }
    call.flow
}

/// The command of a name, which may be that of a subcommand.
pub fn find(name: &[u8]) -> Option<&'static Spec> {
    COMMANDS.iter().find(|spec| name.eq_ignore_ascii_case(spec.name.as_bytes()))
}

impl Spec {
    fn subcommand(&self, word: &[u8]) -> Option<&'static Self> {
        self.subcommands.iter().find(|spec| word.eq_ignore_ascii_case(&spec.name.as_bytes()[self.name.len() + 1..]))
    }
}

/// Whether it is a line of an HTTP request, which a web page can make a browser send to any port: its body would be run
/// as commands, with the rights of the browser's user.
fn is_http(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"post") || name.eq_ignore_ascii_case(b"host:")
}

/// This much of what a client has sent is repeated to it.
const SHOWN: usize = 128;

fn shown(word: &[u8]) -> &[u8] {
    &word[..word.len().min(SHOWN)]
}

fn unknown(name: &[u8], args: Args<'_>) -> Vec<u8> {
    let mut list = Vec::new();
    for arg in args {
        if list.len() >= SHOWN {
            break;
        }
        let room = SHOWN - list.len();
        list.push(b'\'');
        list.extend_from_slice(&arg[..arg.len().min(room)]);
        list.extend_from_slice(b"' ");
    }
    [b"unknown command '", shown(name), b"', with args beginning with: ", &list[..]].concat()
}

pub fn integer(arg: &[u8]) -> Result<i64, Refusal> {
    parse_integer(arg).ok_or(Refusal::Text("value is not an integer or out of range"))
}

impl<'a> Call<'a> {
    /// An argument that the arity promises.
    pub fn arg(&mut self) -> Result<&'a [u8], Refusal> {
        self.args.next().ok_or(Refusal::Arity)
    }

    pub fn ok(&mut self) -> Outcome {
        self.reply.ok();
        Ok(())
    }
}
