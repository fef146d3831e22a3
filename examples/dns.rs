//! A name server for a few names, over UDP and TCP: two servers in one process, on one port.
//!
//! ```text
//! cargo run --example dns -- --record 'www.example.test A 192.0.2.1' --record 'example.test TXT hello there'
//! dig @127.0.0.1 -p 5300 www.example.test A
//! dig @127.0.0.1 -p 5300 +tcp example.test TXT
//! ```
//!
//! Records are `NAME A|AAAA|TXT|SOA VALUE`; a name that begins with `*.` is a wildcard. An SOA makes a zone of its name
//! and all names below it: `example.test SOA ns.example.test hostmaster.example.test 1 3600 900 604800 60`. For a
//! record in none of these zones, a zone is made from the last two labels of its name, with an SOA that is made up.
//! Queries for names in no zone are refused.
//!
//! Every message with a header gets a response, unless it is a response itself, even if its type, class or operation is
//! unknown (RFC 3597, RFC 8906). Responses over UDP have up to 1232 bytes, if the client accepts that (EDNS, RFC 6891);
//! longer ones need TCP.
//!
//! `query` parses a message, `zone` has the records, `answer` builds the response.

#![allow(unreachable_pub, reason = "the parts of a program need no finer distinction")]

#[path = "dns/answer.rs"]
mod answer;
mod common;
#[path = "dns/query.rs"]
mod query;
#[path = "dns/zone.rs"]
mod zone;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use answer::Carrier;
use common::front::Front;
use lexopt::ValueExt;
use socketserver::Builder;
use socketserver::Datagram;
use socketserver::Flow;
use socketserver::Pool;
use socketserver::Sync;
use socketserver::Tcp;
use socketserver::ThreadPerRequest;
use socketserver::Udp;
use socketserver::deploy::Restart;
use socketserver::deploy::Sockets;
use socketserver::frames;
use socketserver::frames::LengthDelimitedCodec;
use socketserver::frames::LengthField;
use socketserver::handler::function;
use socketserver::transport::Addresses;
use socketserver::transport::InetAddress;
use socketserver::transport::Many;
use zone::Zones;

const USAGE: &str = "usage: dns [--listen ADDR] [--dispatch sync|threads|pool] [--workers N] [--record 'NAME A|AAAA|TXT|SOA VALUE' ...]";

/// Serves UDP on this thread until a signal comes, and TCP on the same port beside it.
macro_rules! serve_both {
    ($dispatch:ty, $value:expr, $flags:expr, $listen:expr, $zones:expr) => {{
        let mut restart = Restart::new(Sockets::take()?);
        let mut bind = || -> common::Outcome<_> {
            let (udp_zones, tcp_zones): (Arc<Zones>, Arc<Zones>) = (Arc::clone(&$zones), Arc::clone(&$zones));
            let messages = function(move |request: &mut Datagram<SocketAddr>| {
                if let Some(answer) = udp_zones.answer(request.payload(), Carrier::Udp) {
                    request.reply_owned(answer)?;
                }
                Ok(Flow::Close)
            });
            // RFC 1035, 4.2.2: two bytes of length before each message.
            let codec = LengthDelimitedCodec::new().length_field(LengthField::U16);
            let connections = frames::function(codec, move |query, replies| {
                if let Some(answer) = tcp_zones.answer(query, Carrier::Tcp) {
                    replies.send(answer)?;
                }
                Ok(Flow::Continue)
            });
            let tell = common::deployed::tell;
            let mut udp = Builder::<Many<Udp>, $dispatch, _>::new(messages).dispatch($value).on_event(tell);
            let mut tcp = Builder::<Front<Tcp>, $dispatch, _>::new(connections).dispatch($value).on_event(tell);
            tcp = tcp.transport_options($flags.front()?);
            if let Some(most) = $listen.max_connections {
                (udp, tcp) = (udp.max_connections(most), tcp.max_connections(most));
            }
            if let (Some(messages), Some(clients)) = (restart.inherited("udp")?, restart.inherited("tcp")?) {
                return Ok((udp.adopt(messages)?, tcp.adopt(clients)?));
            }
            if let Some(names) = common::deployed::passed_names(&$listen)? {
                let sockets = restart.sockets();
                let messages = common::deployed::take_passed(sockets, &names)?;
                let clients = common::deployed::take_passed(sockets, &names)?;
                sockets.finish()?;
                return Ok((udp.adopt(messages)?, tcp.adopt(clients)?));
            }
            let udp = udp.bind(common::deployed::addresses::<Addresses<InetAddress>>(&$listen))?;
            let tcp = tcp.bind(&*udp.local_addr())?;
            Ok((udp, tcp))
        };
        let mut bound = bind();
        for _ in 0..10 {
            if bound.is_ok() || !$listen.addresses.iter().any(|address| address.ends_with(":0")) {
                break;
            }
            // A port that is free for UDP may be taken for TCP.
            bound = bind();
        }
        let (udp, tcp) = bound?;
        restart.serve("udp", &udp)?;
        restart.serve("tcp", &tcp)?;
        let tcp = tcp.serve_in_background()?;
        common::serve_until_signal(udp, &restart, &[tcp.stop_handle()])?;
        common::complain(tcp.join()?);
        Ok(())
    }};
}

fn main() -> ExitCode {
    common::run(USAGE, serve)
}

fn serve() -> common::Outcome {
    let mut zones = Zones::default();
    let mut given = false;
    let flags = common::Flags::parse(USAGE, |name, parser| {
        if name == "record" {
            zones.add(&parser.value()?.string()?)?;
            given = true;
        }
        Ok(name == "record")
    })?;
    if !given {
        for record in ["example.test A 192.0.2.1", "example.test AAAA 2001:db8::1", "example.test TXT it works"] {
            zones.add(record)?;
        }
    }
    flags.refuse_processes("the two servers are threads of one process, which must not fork")?;
    if let Some(transport) = &flags.transport {
        return Err(common::wrong_usage(format!("--transport {transport}: both udp and tcp are served, on one port")));
    }
    flags
        .tls
        .refuse("what is too long for UDP is asked for by TCP on the same port, and those clients speak no TLS")?;
    let why = "the UDP server on the same port hears the clients themselves, and is not behind the proxy";
    flags.front.refuse_proxies(why)?;
    zones.complete();
    let zones = Arc::new(zones);
    let listen = flags.listen_or("127.0.0.1:5300");
    match flags.dispatch_or("sync")? {
        "sync" => serve_both!(Sync, Sync, flags, listen, zones),
        "threads" => serve_both!(ThreadPerRequest, ThreadPerRequest::default(), flags, listen, zones),
        "pool" => {
            serve_both!(Pool, flags.pool(), flags, listen, zones)
        }
        "fork" => {
            Err(common::wrong_usage("--dispatch fork: the two servers are threads of one process, which must not fork"))
        }
        other => Err(common::wrong_usage(format!("--dispatch {other}: choose sync, threads or pool"))),
    }
}
