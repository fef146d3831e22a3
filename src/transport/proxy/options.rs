//! Who may send a header, and what it may be.

use super::Networks;
use super::header::LONGEST;
use crate::error::BindError;
use crate::transport::Offers;
use crate::transport::Peer;

/// The options of a [`ProxyProtocol`](super::ProxyProtocol) over a transport with the options `O`.
///
/// By default no peer is trusted, which is an error of `bind`: the proxies have to be named.
#[derive(Clone, Debug)]
pub struct ProxyOptions<O> {
    pub(super) inner: O,
    pub(super) rules: Rules,
}

/// What holds for every connection.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    networks: Networks,
    trusts_unix: bool,
    /// Whether connections begin with a header.
    pub(super) has_headers: bool,
    pub(super) max_header: usize,
}

impl<O: Default> ProxyOptions<O> {
    /// Every option at its default.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl<O: Default> Default for ProxyOptions<O> {
    fn default() -> Self {
        let rules = Rules { networks: Networks::default(), trusts_unix: false, has_headers: true, max_header: 4096 };
        Self { inner: O::default(), rules }
    }
}

impl<O> ProxyOptions<O> {
    /// Also trusts peers in these networks: they are proxies, and each of their connections begins with a header. Other
    /// peers are refused.
    #[must_use]
    pub fn trust(mut self, networks: Networks) -> Self {
        self.rules.networks.extend([networks]);
        self
    }

    /// Trusts peers without an IP address, such as those of a Unix-domain socket. Its [`mode`](crate::Builder::mode)
    /// and its directory determine who can connect.
    #[must_use]
    pub fn trust_unix(mut self) -> Self {
        self.rules.trusts_unix = true;
        self
    }

    /// Expects no headers: connections are served as if there were no [`ProxyProtocol`](super::ProxyProtocol), for
    /// programs whose configuration says whether there are proxies. It is an error to trust a peer as well.
    #[must_use]
    pub fn without_headers(mut self) -> Self {
        self.rules.has_headers = false;
        self
    }

    /// The maximum length of a version 2 header, in bytes. Default 4096, enough for everything that proxies send,
    /// including a client certificate; addresses alone take up to 232 bytes, and the protocol allows 65 551. A version
    /// 1 header has at most 107 bytes.
    #[must_use]
    pub fn max_header(mut self, bytes: usize) -> Self {
        self.rules.max_header = bytes;
        self
    }

    /// The options of the inner transport.
    #[must_use]
    pub fn inner(mut self, options: O) -> Self {
        self.inner = options;
        self
    }

    pub(super) fn check(&self) -> Result<(), BindError> {
        /// Those of Unix-domain sockets are the longest.
        const WITH_ADDRESSES: usize = 232;
        let wrong = |option, value: String, reason: String| Err(BindError::Option { option, value, reason });
        let Rules { networks, trusts_unix, has_headers, max_header } = &self.rules;
        let trusts_nobody = networks.is_empty() && !trusts_unix;
        if trusts_nobody && *has_headers {
            let reason = "every connection would be refused; name the networks that proxies connect from, such as \
                          10.0.0.0/8, or trust the peers of a Unix-domain socket with trust_unix";
            return wrong("trust", "nobody".to_owned(), reason.to_owned());
        }
        if !trusts_nobody && !has_headers {
            let reason = "without_headers was called, too: trust the proxies, or expect no header";
            return wrong("trust", "given".to_owned(), reason.to_owned());
        }
        if !(WITH_ADDRESSES..=LONGEST).contains(max_header) {
            let reason = format!("addresses take up to {WITH_ADDRESSES} bytes, and no header has more than {LONGEST}");
            return wrong("max_header", max_header.to_string(), reason);
        }
        Ok(())
    }
}

impl Rules {
    /// Whether this peer is served: all are where no peer announces another, and else those that may.
    pub(super) fn admit<A: Peer>(&self, peer: Option<&A>) -> bool {
        !self.has_headers
            || peer.is_some_and(|peer| peer.ip().map_or(self.trusts_unix, |address| self.networks.contains(address)))
    }
}

impl<X, O: Offers<X>> Offers<X> for ProxyOptions<O> {
    fn set(&mut self, option: X) {
        self.inner.set(option);
    }
}
