//! Adapters from a server's [events](crate::Event) to the `tracing` and `metrics` crates.
//!
//! Each has its own feature: `tracing` adds [`HandlerFactoryExt::traced`](crate::HandlerFactoryExt::traced) and
//! [`Builder::traced`](crate::Builder::traced), `metrics` adds
//! [`HandlerFactoryExt::measured`](crate::HandlerFactoryExt::measured) and
//! [`Builder::measured`](crate::Builder::measured). They can be combined with each other and with custom observers. The
//! names of spans, events and metrics are stable: they change only with the major version. The
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
