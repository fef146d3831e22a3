//! A server's [events](crate::Event) for the tools that many programs have already: spans and events of the `tracing`
//! crate, counters of the `metrics` crate.
//!
//! Each has a feature of its own: `tracing` gives [`HandlerFactoryExt::traced`](crate::HandlerFactoryExt::traced) and
//! [`Builder::traced`](crate::Builder::traced), `metrics` gives
//! [`HandlerFactoryExt::measured`](crate::HandlerFactoryExt::measured) and
//! [`Builder::measured`](crate::Builder::measured). They can be used together, and beside custom observers. The
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
