//! What can be chosen of a limit by source.

use std::time::Duration;

use super::rate::Rate;
use super::table::Limits;
use crate::error::BindError;
use crate::transport::Offers;

/// The longest period of a rate: anything longer is a matter for a firewall.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// More connections than that are more than a server accepts.
const SHORTEST_SHARE: Duration = Duration::from_micros(1);

/// The options of a [`PerSource`](super::PerSource) over a transport with the options `O`.
#[derive(Clone, Debug)]
pub struct PerSourceOptions<O> {
    pub(super) inner: O,
    pub(super) limits: Limits,
}

impl<O: Default> PerSourceOptions<O> {
    /// Every option at its default.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl<O: Default> Default for PerSourceOptions<O> {
    fn default() -> Self {
        let limits = Limits { most: 64, rate: None, max_sources: 65_536, prefix_v4: 32, prefix_v6: 64 };
        Self { inner: O::default(), limits }
    }
}

impl<O> PerSourceOptions<O> {
    /// The maximum number of concurrent connections of one source; the limit is exact. Default 64. With `usize::MAX`
    /// there is no limit and nothing is counted, for programs whose configuration says whether there is one.
    #[must_use]
    pub fn most(mut self, connections: usize) -> Self {
        self.limits.most = connections;
        self
    }

    /// The maximum number of new connections of one source within a period: this many at once, then one whenever its
    /// share of the period has passed. Refused ones ([`Refusal::SourceRate`](crate::Refusal::SourceRate)) do not count.
    /// Default: no limit, except [`most`](Self::most).
    ///
    /// ```
    /// use std::time::Duration;
    /// use socketserver::transport::{PerSource, PerSourceOptions};
    /// use socketserver::{Builder, Flow, Pool, Tcp};
    ///
    /// // Twenty at once, and then one every half second.
    /// let options = PerSourceOptions::new().new_connections(20, Duration::from_secs(10));
    /// let handler = socketserver::handler::function(|_: &mut _| Ok(Flow::Close));
    /// let server = Builder::<PerSource<Tcp>, Pool, _>::new(handler).transport_options(options).bind("127.0.0.1:0")?;
    /// # Ok::<(), socketserver::BindError>(())
    /// ```
    #[must_use]
    pub fn new_connections(mut self, connections: u32, per: Duration) -> Self {
        self.limits.rate = Some(Rate { connections, per });
        self
    }

    /// The maximum number of sources with connections. Default 65 536, more than a server has connections by default.
    /// When the table is full, connections of sources that are not in it are refused
    /// ([`Refusal::SourcesFull`](crate::Refusal::SourcesFull)); sources in it are counted as usual. With a
    /// [rate](Self::new_connections), the table also keeps sources that have had connections, until their rate has
    /// recovered; they give way to new sources.
    #[must_use]
    pub fn max_sources(mut self, sources: usize) -> Self {
        self.limits.max_sources = sources;
        self
    }

    /// The prefix length, in bits, that distinguishes IPv4 sources. Default 32: each address is a source.
    #[must_use]
    pub fn prefix_v4(mut self, bits: u8) -> Self {
        self.limits.prefix_v4 = bits;
        self
    }

    /// The prefix length, in bits, that distinguishes IPv6 sources. Default 64, the network of one customer, who can
    /// use any address of it. IPv4-mapped IPv6 addresses count as the IPv4 addresses.
    #[must_use]
    pub fn prefix_v6(mut self, bits: u8) -> Self {
        self.limits.prefix_v6 = bits;
        self
    }

    /// The options of the inner transport.
    #[must_use]
    pub fn inner(mut self, options: O) -> Self {
        self.inner = options;
        self
    }

    pub(super) fn check(&self) -> Result<(), BindError> {
        let wrong =
            |option, value: String, reason: &str| Err(BindError::Option { option, value, reason: reason.to_owned() });
        let Limits { most, rate, max_sources, prefix_v4, prefix_v6 } = self.limits;
        if most == 0 {
            return wrong("most", "0".to_owned(), "no source could connect; it must be at least 1");
        }
        if let Some(Rate { connections, per }) = rate {
            if connections == 0 {
                return wrong("new_connections", "0".to_owned(), "no source could connect; it must be at least 1");
            }
            if per > LONGEST || per / connections < SHORTEST_SHARE {
                let reason = "the time must be a day at most, and a microsecond for each connection at least";
                return wrong("new_connections", format!("{connections} in {per:?}"), reason);
            }
        }
        if max_sources == 0 {
            return wrong("max_sources", "0".to_owned(), "no source could connect; it must be at least 1");
        }
        if prefix_v4 > 32 {
            return wrong("prefix_v4", prefix_v4.to_string(), "an IPv4 address has 32 bits");
        }
        if prefix_v6 > 128 {
            return wrong("prefix_v6", prefix_v6.to_string(), "an IPv6 address has 128 bits");
        }
        Ok(())
    }
}

impl<X, O: Offers<X>> Offers<X> for PerSourceOptions<O> {
    fn set(&mut self, option: X) {
        self.inner.set(option);
    }
}
