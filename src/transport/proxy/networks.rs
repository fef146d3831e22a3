//! Networks, such as `10.0.0.0/8` and `2001:db8::/32`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::transport::peer::network_of;

/// A list of networks; see [`ProxyOptions::trust`](super::ProxyOptions::trust).
///
/// As text, it is a comma-separated list: `10.0.0.0/8, 2001:db8::/32, 192.0.2.1`. An address without a prefix length
/// stands for itself. IPv4-mapped IPv6 addresses count as the IPv4 addresses.
///
/// ```
/// use socketserver::transport::Networks;
///
/// let networks: Networks = "10.0.0.0/8,2001:db8::/32".parse()?;
/// assert!(networks.contains("10.1.2.3".parse()?));
/// assert!(networks.contains("::ffff:10.1.2.3".parse()?));
/// assert!(!networks.contains("11.1.2.3".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Networks(Vec<Network>);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Network {
    /// Without bits behind the prefix.
    address: IpAddr,
    prefix: u8,
}

/// Why text is not a list of networks.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{text:?} is not a network: {reason}")]
pub struct NetworkError {
    text: String,
    reason: String,
}

impl Networks {
    /// Whether one of the networks contains `address`.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(address))
    }

    /// Whether the list is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Extend<Self> for Networks {
    fn extend<I: IntoIterator<Item = Self>>(&mut self, more: I) {
        self.0.extend(more.into_iter().flat_map(|networks| networks.0));
    }
}

impl From<IpAddr> for Networks {
    fn from(address: IpAddr) -> Self {
        Self(vec![Network::of(address, bits(address))])
    }
}

impl FromStr for Networks {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        text.split(',').map(|text| text.trim().parse()).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Networks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Network { address, prefix }) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{address}/{prefix}")?;
        }
        Ok(())
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let wrong = |reason: String| Err(NetworkError { text: text.to_owned(), reason });
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let Ok(address) = address.parse::<IpAddr>() else {
            return wrong("write an address and a length, such as 10.0.0.0/8 or 2001:db8::/32".to_owned());
        };
        let most = bits(address);
        let prefix = match prefix.map(str::parse::<u8>) {
            None => most,
            Some(Ok(prefix)) if prefix <= most => prefix,
            Some(_) => return wrong(format!("its length is not a number from 0 to {most}")),
        };
        if address.is_ipv6() && address.to_canonical().is_ipv4() && prefix < MAPPED {
            return wrong(format!("the length of an IPv4-mapped network is at least {MAPPED}"));
        }
        let network = Self::of(address, prefix);
        if network.address != address.to_canonical() {
            return wrong(format!("it has bits set beyond its length; write {}/{}", network.address, network.prefix));
        }
        Ok(network)
    }
}

/// This many bits of a mapped address say that it is one.
const MAPPED: u8 = 96;

impl Network {
    fn of(address: IpAddr, prefix: u8) -> Self {
        let canonical = address.to_canonical();
        let prefix = if canonical.is_ipv4() && address.is_ipv6() { prefix.saturating_sub(MAPPED) } else { prefix };
        Self { address: network_of(canonical, prefix), prefix }
    }

    fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.address.is_ipv4() && network_of(address, self.prefix) == self.address
    }
}

fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(text: &str) -> Networks {
        text.parse().unwrap()
    }

    fn contains(networks: &str, address: &str) -> bool {
        networks.parse::<Networks>().unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn an_address_is_in_a_network_or_not() {
        assert!(contains("0.0.0.0/0", "255.255.255.255") && !contains("0.0.0.0/0", "::1"));
        assert!(contains("::/0", "ffff::1") && !contains("::/0", "10.0.0.1"));
        assert!(contains("10.0.0.0/8", "10.255.255.255") && !contains("10.0.0.0/8", "11.0.0.0"));
        assert!(contains("192.0.2.4/30", "192.0.2.7") && !contains("192.0.2.4/30", "192.0.2.8"));
        assert!(contains("192.0.2.1", "192.0.2.1") && !contains("192.0.2.1/32", "192.0.2.2"));
        assert!(contains("2001:db8::/32", "2001:db8:ffff::") && !contains("2001:db8::/32", "2001:db9::"));
        assert!(contains("::1", "::1") && !contains("::1/128", "::2"));
        assert!(contains("10.0.0.0/8, ::1", "::1") && contains("10.0.0.0/8,::1", "10.0.0.1"));
        assert!(!Networks::default().contains("127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn a_mapped_address_is_the_ipv4_address() {
        assert!(contains("10.0.0.0/8", "::ffff:10.1.2.3"));
        assert_eq!(networks("::ffff:10.0.0.0/104"), networks("10.0.0.0/8"));
        assert_eq!(networks("::ffff:10.0.0.1"), networks("10.0.0.1"));
        assert_eq!(networks("::ffff:0.0.0.0/96"), networks("0.0.0.0/0"));
    }

    #[test]
    fn text_that_is_no_network_is_told() {
        for (text, reason) in [
            ("", "write an address and a length"),
            ("10.0.0.0/8,", "write an address and a length"),
            ("10.0.0/8", "write an address and a length"),
            ("localhost", "write an address and a length"),
            ("10.0.0.0/33", "its length is not a number from 0 to 32"),
            ("::/129", "its length is not a number from 0 to 128"),
            ("::/", "its length is not a number"),
            ("::/x", "its length is not a number"),
            ("::/-1", "its length is not a number"),
            ("10.0.0.1/8", "it has bits set beyond its length; write 10.0.0.0/8"),
            ("2001:db8::1/32", "it has bits set beyond its length; write 2001:db8::/32"),
            ("::ffff:10.0.0.0/8", "the length of an IPv4-mapped network is at least 96"),
        ] {
            let error = text.parse::<Networks>().unwrap_err().to_string();
            assert!(error.contains(" is not a network: ") && error.contains(reason), "{error}");
        }
    }

    #[test]
    fn text_and_back() {
        for text in ["10.0.0.0/8", "10.0.0.0/8,2001:db8::/32", "0.0.0.0/0,::/0", "192.0.2.1/32"] {
            assert_eq!(networks(text).to_string(), text);
        }
        assert_eq!(Networks::from("192.0.2.1".parse::<IpAddr>().unwrap()).to_string(), "192.0.2.1/32");
    }
}
