//! A server's [events](crate::Event) for the tools that many programs have already: spans and events of the `tracing`
//! crate, counters of the `metrics` crate.
//!
//! Each has a feature of its own: `tracing` gives [`HandlerFactoryExt::traced`](crate::HandlerFactoryExt::traced) and
//! [`Builder::traced`](crate::Builder::traced), `metrics` gives
//! [`HandlerFactoryExt::measured`](crate::HandlerFactoryExt::measured) and
//! [`Builder::measured`](crate::Builder::measured). They can be used together, and beside observers of one's own. The
//! names of everything they tell are a promise: they change only with the major version. The
//! [guide](crate::guide::events) has an example.

#[cfg(feature = "metrics")]
mod metrics;
#[cfg(feature = "tracing")]
mod tracing;

#[cfg(feature = "metrics")]
pub use self::metrics::Measurements;
#[cfg(feature = "tracing")]
pub use self::tracing::Traced;
#[cfg(feature = "tracing")]
pub use self::tracing::TracedHandler;

use crate::event::Refusal;
use crate::handler::End;

/// The word for an end in fields and labels.
fn end_name(end: End) -> &'static str {
    match end {
        End::Detached => "detached",
        End::Drained => "drained",
        End::Failed => "failed",
        End::Forced => "forced",
        End::HandlerClosed => "handler_closed",
        End::IdleTimeout => "idle_timeout",
        End::Panicked => "panicked",
        End::PeerClosed => "peer_closed",
        End::Refused => "refused",
        End::Shed => "shed",
        End::TimedOut => "timed_out",
    }
}

/// The word for a refusal in fields and labels.
fn refusal_name(reason: Refusal) -> &'static str {
    match reason {
        Refusal::AtLimit => "at_limit",
        Refusal::Rejected => "rejected",
        Refusal::Stopping => "stopping",
        Refusal::Unverified => "unverified",
    }
}
