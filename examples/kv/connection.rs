//! The commands about the connection itself: greeting, names, and the end.

use socketserver::Flow;

use crate::commands::Call;
use crate::commands::Outcome;
use crate::commands::Refusal;
use crate::commands::SYNTAX;
use crate::commands::integer;
use crate::reply::Version;
use crate::resp::parse_integer;
use crate::server::REDIS_VERSION;

const WRONG_PASSWORD: Refusal = Refusal::Coded("WRONGPASS", "invalid username-password pair or user is disabled.");

/// `PING [word]`
pub fn ping(call: &mut Call<'_>) -> Outcome {
    match (call.args.next(), call.args.next()) {
        (None, _) => call.reply.status("PONG"),
        (Some(word), None) => call.reply.bulk(word),
        _ => return Err(Refusal::Arity),
    }
    Ok(())
}

/// `ECHO word`
pub fn echo(call: &mut Call<'_>) -> Outcome {
    let word = call.arg()?;
    call.reply.bulk(word);
    Ok(())
}

/// `SELECT number`
pub fn select(call: &mut Call<'_>) -> Outcome {
    match integer(call.arg()?)? {
        0 => call.ok(),
        _ => Err(Refusal::Text("DB index is out of range")),
    }
}

/// `HELLO [2|3 [AUTH user password] [SETNAME name]]`: the version of the protocol from here on.
pub fn hello(call: &mut Call<'_>) -> Outcome {
    let version = match call.args.next().map(parse_integer) {
        None => call.client.version,
        Some(Some(2)) => Version::Resp2,
        Some(Some(3)) => Version::Resp3,
        Some(Some(_)) => return Err(Refusal::Coded("NOPROTO", "unsupported protocol version")),
        Some(None) => return Err(Refusal::Text("Protocol version is not an integer or out of range")),
    };
    while let Some(option) = call.args.next() {
        if option.eq_ignore_ascii_case(b"auth") && call.args.len() >= 2 {
            let user = call.arg()?;
            let _password = call.arg()?;
            authenticate(user)?;
        } else if option.eq_ignore_ascii_case(b"setname") && call.args.len() >= 1 {
            let name = call.arg()?;
            call.client.name = name_of(name)?;
        } else {
            return Err(Refusal::Told([b"Syntax error in HELLO option '", option, b"'"].concat()));
        }
    }
    call.client.version = version;
    call.reply.version = version;
    call.reply.map(7);
    for (name, value) in [("server", "redis"), ("version", REDIS_VERSION)] {
        call.reply.bulk(name);
        call.reply.bulk(value);
    }
    for (name, value) in [("proto", version as i64), ("id", call.client.id as i64)] {
        call.reply.bulk(name);
        call.reply.integer(value);
    }
    for (name, value) in [("mode", "standalone"), ("role", "master")] {
        call.reply.bulk(name);
        call.reply.bulk(value);
    }
    call.reply.bulk("modules");
    call.reply.array(0);
    Ok(())
}

/// `AUTH [user] password`: there is one user, who needs no password.
pub fn auth(call: &mut Call<'_>) -> Outcome {
    let user = call.arg()?;
    match call.args.len() {
        0 => Err(Refusal::Text(
            "AUTH <password> called without any password configured for the default user. \
             Are you sure your configuration is correct?",
        )),
        1 => {
            authenticate(user)?;
            call.ok()
        }
        _ => Err(SYNTAX),
    }
}

fn authenticate(user: &[u8]) -> Outcome {
    if user == b"default" { Ok(()) } else { Err(WRONG_PASSWORD) }
}

/// `RESET`: as if it had just connected.
pub fn reset(call: &mut Call<'_>) -> Outcome {
    call.client.version = Version::default();
    call.client.name = Box::default();
    call.reply.status("RESET");
    Ok(())
}

/// `QUIT`
pub fn quit(call: &mut Call<'_>) -> Outcome {
    call.flow = Flow::Close;
    call.ok()
}

/// `CLIENT ID`
pub fn id(call: &mut Call<'_>) -> Outcome {
    call.reply.integer(call.client.id as i64);
    Ok(())
}

/// `CLIENT GETNAME`
pub fn get_name(call: &mut Call<'_>) -> Outcome {
    match &*call.client.name {
        "" => call.reply.nil(),
        name => call.reply.bulk(name),
    }
    Ok(())
}

/// `CLIENT SETNAME name`
pub fn set_name(call: &mut Call<'_>) -> Outcome {
    let name = call.arg()?;
    call.client.name = name_of(name)?;
    call.ok()
}

fn name_of(word: &[u8]) -> Result<Box<str>, Refusal> {
    visible(word).ok_or(Refusal::Text("Client names cannot contain spaces, newlines or special characters."))
}

/// `CLIENT SETINFO LIB-NAME|LIB-VER value`
pub fn set_info(call: &mut Call<'_>) -> Outcome {
    let (option, value) = (call.arg()?, call.arg()?);
    let (name, place) = match option.to_ascii_lowercase().as_slice() {
        b"lib-name" => ("lib-name", &mut call.client.library),
        b"lib-ver" => ("lib-ver", &mut call.client.library_version),
        _ => return Err(Refusal::Told([b"Unrecognized option '", option, b"'"].concat())),
    };
    let cannot = || Refusal::Told(format!("{name} cannot contain spaces, newlines or special characters.").into());
    *place = visible(value).ok_or_else(cannot)?;
    call.ok()
}

/// A word without spaces and control characters, so that lists of clients can be taken apart.
fn visible(word: &[u8]) -> Option<Box<str>> {
    let word = word.iter().all(u8::is_ascii_graphic).then(|| str::from_utf8(word))?;
    word.ok().map(Into::into)
}

/// `CLIENT INFO`: what there is to say of this client, without its address.
pub fn info(call: &mut Call<'_>) -> Outcome {
    let client = &*call.client;
    let text = format!(
        "id={} name={} db=0 user=default resp={} lib-name={} lib-ver={}\n",
        client.id, client.name, client.version as u8, client.library, client.library_version
    );
    call.reply.text(&text);
    Ok(())
}
