//! A name server for a handful of names, over UDP and TCP: two servers in one process, on one port.
//!
//! ```text
//! cargo run --example dns -- --record 'www.example.test A 192.0.2.1' --record 'example.test TXT hello there'
//! dig @127.0.0.1 -p 5300 www.example.test A
//! dig @127.0.0.1 -p 5300 +tcp example.test TXT
//! ```

#![allow(unreachable_pub, reason = "the parts of a program need no finer distinction")]

mod common;
#[path = "dns/zone.rs"]
mod zone;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use lexopt::ValueExt;
use socketserver::Builder;
use socketserver::Datagram;
use socketserver::Flow;
use socketserver::Pool;
use socketserver::Sync;
use socketserver::Tcp;
use socketserver::ThreadPerRequest;
use socketserver::Udp;
use socketserver::frames;
use socketserver::frames::LengthDelimitedCodec;
use socketserver::frames::LengthField;
use socketserver::handler::function;
use zone::Carrier;
use zone::Zone;

const USAGE: &str =
    "usage: dns [--listen ADDR] [--dispatch sync|threads|pool] [--workers N] [--record 'NAME A|AAAA|TXT VALUE' ...]";

/// Serves UDP on this thread until a signal comes, and TCP on the same port beside it.
macro_rules! serve_both {
    ($dispatch:ty, $value:expr, $listen:expr, $zone:expr) => {{
        let bind = || -> common::Outcome<_> {
            let (udp_zone, tcp_zone): (Arc<Zone>, Arc<Zone>) = (Arc::clone(&$zone), Arc::clone(&$zone));
            let messages = function(move |request: &mut Datagram<SocketAddr>| {
                if let Some(answer) = udp_zone.answer(request.payload(), Carrier::Udp) {
                    request.reply_owned(answer)?;
                }
                Ok(Flow::Close)
            });
            // RFC 1035, 4.2.2: two bytes of length before each message.
            let codec = LengthDelimitedCodec::new().length_field(LengthField::U16);
            let connections = frames::function(codec, move |query, replies| {
                if let Some(answer) = tcp_zone.answer(query, Carrier::Tcp) {
                    replies.send(answer)?;
                }
                Ok(Flow::Continue)
            });
            let udp = Builder::<Udp, $dispatch, _>::new(messages).dispatch($value).bind($listen.as_str())?;
            let tcp = Builder::<Tcp, $dispatch, _>::new(connections).dispatch($value).bind(udp.local_addr())?;
            Ok((udp, tcp))
        };
        let mut bound = bind();
        for _ in 0..10 {
            if bound.is_ok() || !$listen.ends_with(":0") {
                break;
            }
            // A port that is free for UDP may be taken for TCP.
            bound = bind();
        }
        let (udp, tcp) = bound?;
        let tcp = tcp.serve_in_background()?;
        // Both hear the signals.
        #[cfg(unix)]
        let _signals = socketserver::signals::stop_on_signals(tcp.stop_handle())?;
        common::serve_until_signal(udp)?;
        common::complain(tcp.shutdown()?);
        Ok(())
    }};
}

fn main() -> ExitCode {
    common::run(USAGE, serve)
}

fn serve() -> common::Outcome {
    let mut zone = Zone::default();
    let mut given = false;
    let flags = common::Flags::parse(USAGE, |name, parser| {
        if name == "record" {
            zone.add(&parser.value()?.string()?)?;
            given = true;
        }
        Ok(name == "record")
    })?;
    if !given {
        for record in ["example.test A 192.0.2.1", "example.test AAAA 2001:db8::1", "example.test TXT it works"] {
            zone.add(record)?;
        }
    }
    if let Some(transport) = flags.transport {
        return Err(common::wrong_usage(format!("--transport {transport}: both are served, udp and tcp, on one port")));
    }
    let zone = Arc::new(zone);
    let listen = flags.listen_or("127.0.0.1:5300");
    match flags.dispatch.as_deref().unwrap_or("sync") {
        "sync" => serve_both!(Sync, Sync, listen, zone),
        "threads" => serve_both!(ThreadPerRequest, ThreadPerRequest::default(), listen, zone),
        "pool" => {
            let pool = flags.workers.map_or_else(Pool::default, Pool::new);
            serve_both!(Pool, pool.clone(), listen, zone)
        }
        "fork" => Err(common::wrong_usage(
            "--dispatch fork: the two servers are threads of one process, and such a process must not fork",
        )),
        other => Err(common::wrong_usage(format!("--dispatch {other}: choose sync, threads or pool"))),
    }
}
