//! PROXY headers are read as the specification says, wherever they are cut, and nothing else is taken for one.

mod common;

use std::net::SocketAddr;

use common::proxy_headers::CRC32C;
use common::proxy_headers::LOCAL;
use common::proxy_headers::NOOP;
use common::proxy_headers::PROXY;
use common::proxy_headers::tlv;
use common::proxy_headers::v1;
use common::proxy_headers::v2;
use common::proxy_headers::v2_from;
use common::proxy_headers::with_checksum;
use proptest::prelude::*;
use proxy_header::ProxiedAddress;
use proxy_header::ProxyHeader;
use proxy_header::SslInfo;
use proxy_header::Tlv;
use socketserver::transport::proxy::Endpoints;
use socketserver::transport::proxy::Header;
use socketserver::transport::proxy::HeaderError;

/// The whole of a header, with what follows it left alone; every part of it asks for more.
#[track_caller]
fn parse(bytes: &[u8]) -> Header {
    for length in 0..bytes.len() {
        assert_eq!(Header::parse(&bytes[..length]), Ok(None), "{length} bytes of {}", bytes.escape_ascii());
    }
    let more = [bytes, b"GET / HTTP/1.1\r\n\r\n"].concat();
    let (header, length) = Header::parse(&more).unwrap().unwrap();
    assert_eq!(length, bytes.len());
    assert_eq!(Header::parse(bytes), Ok(Some((header.clone(), length))));
    header
}

/// What is wrong; from the byte on that shows it, and whatever follows.
#[track_caller]
fn refused(bytes: &[u8]) -> String {
    let error = Header::parse(bytes).unwrap_err();
    for length in 0..bytes.len() {
        if let Err(early) = Header::parse(&bytes[..length]) {
            // What begins is shown as far as it is there.
            let is_same =
                early == error || matches!((&early, &error), (HeaderError::None { .. }, HeaderError::None { .. }));
            assert!(is_same, "{early}: {error}");
        }
    }
    assert!(Header::parse(&[bytes, b"\r\n"].concat()).is_err());
    error.to_string()
}

fn inet(header: &Header) -> (String, String) {
    let Endpoints::Inet { source, destination } = header.endpoints() else { panic!("{header:?}") };
    (source.to_string(), destination.to_string())
}

#[test]
fn a_line_has_addresses_and_ports() {
    let header = parse(b"PROXY TCP4 192.0.2.1 192.0.2.9 56324 443\r\n");
    assert_eq!(inet(&header), ("192.0.2.1:56324".into(), "192.0.2.9:443".into()));
    assert_eq!((header.version(), header.is_local(), header.tlvs().count()), (1, false, 0));
    parse(b"PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n");
    let header = parse(b"PROXY TCP6 2001:DB8::1 ::ffff:192.0.2.9 1 2\r\n");
    assert_eq!(inet(&header), ("[2001:db8::1]:1".into(), "[::ffff:192.0.2.9]:2".into()));
    let longest = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
    let header = parse(format!("PROXY TCP6 {longest} {longest} 65535 65535\r\n").as_bytes());
    assert_eq!(inet(&header).0, format!("[{longest}]:65535"));
}

#[test]
fn an_unknown_line_says_nothing() {
    let longest = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
    let worst = format!("PROXY UNKNOWN {longest} {longest} 65535 65535\r\n").into_bytes();
    assert_eq!(worst.len(), 107);
    for line in [
        b"PROXY UNKNOWN\r\n",
        b"PROXY UNKNOWN \r\n".as_slice(),
        b"PROXY UNKNOWN anything\xff \x01\n\r at all\r\n",
        &worst,
    ] {
        let header = parse(line);
        assert_eq!((header.endpoints(), header.is_local()), (&Endpoints::Unspecified, false));
    }
}

#[test]
fn lines_that_are_none() {
    let cases: &[(&[u8], &str)] = &[
        (b"PROXY TCP4 192.0.2.1 192.0.2.9 56324 443\n", "a line has text and ends with CRLF"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.9 56324 443\rG", "a line has text and ends with CRLF"),
        (b"PROXY TCP4 \0", "a line has text and ends with CRLF"),
        (b"PROXY TCP5 ", "the protocol is not TCP4, TCP6 or UNKNOWN"),
        (b"PROXY tcp4 ", "the protocol is not TCP4, TCP6 or UNKNOWN"),
        (b"PROXY  TCP4 ", "the protocol is not TCP4, TCP6 or UNKNOWN"),
        (b"PROXY \r\n", "the protocol is not TCP4, TCP6 or UNKNOWN"),
        (b"PROXY TCP4\r\n", "the protocol is not TCP4, TCP6 or UNKNOWN"),
        (b"PROXY UNKNOWNS\r\n", "the protocol is not TCP4, TCP6 or UNKNOWN"),
        (b"PROXY TCP4 \r\n", "an address is none of the protocol's family"),
        (b"PROXY TCP4 192.0.2.1\r\n", "two addresses and two ports belong into it"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.9 1\r\n", "two addresses and two ports belong into it"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.9 1 2 3\r\n", "something stands behind the ports"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.9 1 2 \r\n", "something stands behind the ports"),
        (b"PROXY TCP4 192.0.2.1  192.0.2.9 1 2\r\n", "an address is none of the protocol's family"),
        (b"PROXY TCP4 192.0.2.01 192.0.2.9 1 2\r\n", "an address is none of the protocol's family"),
        (b"PROXY TCP4 192.0.2 192.0.2.9 1 2\r\n", "an address is none of the protocol's family"),
        (b"PROXY TCP4 192.0.2.256 192.0.2.9 1 2\r\n", "an address is none of the protocol's family"),
        (b"PROXY TCP4 ::1 ::1 1 2\r\n", "an address is none of the protocol's family"),
        (b"PROXY TCP6 192.0.2.1 192.0.2.9 1 2\r\n", "an address is none of the protocol's family"),
        (b"PROXY TCP6 [::1] ::1 1 2\r\n", "an address is none of the protocol's family"),
        (b"PROXY TCP6 fe80::1%1 ::1 1 2\r\n", "an address is none of the protocol's family"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.9 65536 2\r\n", "a port is not a number up to 65535"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.9 -1 2\r\n", "a port is not a number up to 65535"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.9 x 2\r\n", "a port is not a number up to 65535"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.9 +1 2\r\n", "a port has a sign or zeros before it"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.9 1 02\r\n", "a port has a sign or zeros before it"),
    ];
    for (bytes, reason) in cases {
        assert_eq!(refused(bytes), format!("invalid PROXY header (version 1): {reason}"));
    }
    let endless = [b"PROXY UNKNOWN ".as_slice(), &[b'x'; 200]].concat();
    assert_eq!(Header::parse(&endless[..106]), Ok(None));
    assert!(Header::parse(&endless[..107]).unwrap_err().to_string().ends_with("no CRLF in the first 107 bytes"));
    assert!(refused(&[&endless[..106], b"\r\n"].concat()).ends_with("no CRLF in the first 107 bytes"));
}

#[test]
fn what_is_spoken_instead_is_shown() {
    for (bytes, shown) in [
        (b"GET / HTTP/1.1\r\nHost: here\r\n".as_slice(), r#"GET / HTTP/1.1\r\n"#),
        (b"\x16\x03\x01", r"\x16\x03\x01"),
        (b"\r\n\r\n\0\r\nQUIX", r"\r\n\r\n\x00\r\nQUIX"),
        (b"PROXZ", "PROXZ"),
        (b"\n", r"\n"),
    ] {
        let error = refused(bytes);
        assert!(error.starts_with(&format!("no PROXY header but \"{shown}\": ")), "{error}");
    }
}

#[test]
fn a_block_has_addresses() {
    let header = parse(&v2_from([192, 0, 2, 1], 56324, &[]));
    assert_eq!(inet(&header), ("192.0.2.1:56324".into(), "192.0.2.9:443".into()));
    assert_eq!((header.version(), header.is_local(), header.tlvs().count()), (2, false, 0));
    let mut addresses = [0; 36];
    (addresses[0], addresses[15], addresses[31]) = (0xfe, 1, 2);
    (addresses[33], addresses[35]) = (7, 9);
    for family in [0x21, 0x22] {
        let header = parse(&v2(PROXY, family, &addresses, &[]));
        assert_eq!(inet(&header), ("[fe00::1]:7".into(), "[::2]:9".into()));
    }
    let header = parse(&v2(PROXY, 0x12, &[1, 2, 3, 4, 5, 6, 7, 8, 0, 1, 0, 2], &[]));
    assert_eq!(inet(&header), ("1.2.3.4:1".into(), "5.6.7.8:2".into()));
}

#[test]
fn a_block_has_paths() {
    let paths = |source: &[u8], destination: &[u8]| {
        let mut addresses = [0; 216];
        addresses[..source.len()].copy_from_slice(source);
        addresses[108..108 + destination.len()].copy_from_slice(destination);
        let header = parse(&v2(PROXY, 0x31, &addresses, &tlv(2, b"name")));
        assert_eq!(header.authority(), Some(b"name".as_slice()));
        let Endpoints::Unix { source, destination } = header.endpoints() else { panic!("{header:?}") };
        (source.to_vec(), destination.to_vec())
    };
    assert_eq!(paths(b"", b"/run/proxy"), (Vec::new(), b"/run/proxy".to_vec()));
    assert_eq!(paths(b"/a\0rest", &[b'x'; 108]), (b"/a".to_vec(), vec![b'x'; 108]));
    assert_eq!(paths(b"\0abstract", b"\0a\0b").1, b"\0a\0b");
}

#[test]
fn a_block_may_say_nothing() {
    for bytes in [
        v2(LOCAL, 0, &[], &[]),
        // Of a local connection everything else is ignored, also what is wrong.
        v2(LOCAL, 0x11, &[9; 12], &[]),
        v2(LOCAL, 0xff, &[9; 3], &[]),
        v2(PROXY, 0, &[], &[]),
        v2(PROXY, 0, &[9; 200], &[]),
        v2(PROXY, 0x01, &[9; 3], &[]),
        v2(PROXY, 0x10, &[9; 12], &[]),
    ] {
        let header = parse(&bytes);
        assert_eq!((header.endpoints(), header.is_local()), (&Endpoints::Unspecified, bytes[12] == LOCAL));
    }
    let header = parse(&v2(PROXY, 0, &[], &tlv(5, b"id")));
    assert_eq!(header.unique_id(), Some(b"id".as_slice()));
}

#[test]
fn blocks_that_are_none() {
    let block = |reason: &str| format!("invalid PROXY header (version 2): {reason}");
    let cut = |bytes: Vec<u8>, length: usize| bytes[..length].to_vec();
    for (bytes, reason) in [
        (cut(v2(0x11, 0x11, &[0; 12], &[]), 13), "the version is not 2"),
        (cut(v2(0x31, 0x11, &[0; 12], &[]), 13), "the version is not 2"),
        (cut(v2(0x22, 0x11, &[0; 12], &[]), 13), "the command is neither LOCAL nor PROXY"),
        (cut(v2(PROXY, 0x41, &[0; 12], &[]), 14), "the family is none of INET, INET6, UNIX and UNSPEC"),
        (cut(v2(PROXY, 0x13, &[0; 12], &[]), 14), "the protocol is neither STREAM nor DGRAM nor UNSPEC"),
        (v2(PROXY, 0x11, &[0; 11], &[]), "it is shorter than its addresses"),
        (v2(PROXY, 0x21, &[0; 35], &[]), "it is shorter than its addresses"),
        (v2(PROXY, 0x31, &[0; 215], &[]), "it is shorter than its addresses"),
        (v2_from([0; 4], 0, &[1]), "a TLV is longer than the header"),
        (v2_from([0; 4], 0, &[1, 0]), "a TLV is longer than the header"),
        (v2_from([0; 4], 0, &[1, 0, 1]), "a TLV is longer than the header"),
        (v2_from([0; 4], 0, &[&tlv(2, b"a")[..], &[1, 255, 255, 0]].concat()), "a TLV is longer than the header"),
        (v2_from([0; 4], 0, &tlv(CRC32C, b"abc")), "a checksum has four bytes"),
        (v2_from([0; 4], 0, &[tlv(CRC32C, b"abcd"), tlv(CRC32C, b"abcd")].concat()), "it has two checksums"),
    ] {
        assert_eq!(refused(&bytes), block(reason));
    }
}

#[test]
fn a_checksum_is_checked() {
    let build = |sum: &[u8]| v2_from([192, 0, 2, 1], 1, &[&tlv(2, b"name")[..], sum, &tlv(NOOP, b"...")].concat());
    let bytes = with_checksum(build);
    parse(&bytes);
    // Over a header without addresses, too.
    parse(&with_checksum(|sum| v2(LOCAL, 0, &[], sum)));
    for at in 16..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            // Not where a TLV of another type or length comes of it.
            let outcome = Header::parse(&changed);
            let is_noticed = matches!(outcome, Err(HeaderError::Checksum | HeaderError::Block { .. }));
            assert!(is_noticed || at == 16 + 12 + 7, "byte {at}: {outcome:?}");
        }
    }
}

#[test]
fn a_header_is_as_long_as_is_accepted() {
    let longest = v2_from([192, 0, 2, 1], 1, &tlv(0xe0, &vec![0; 65535 - 12 - 3]));
    assert_eq!(longest.len(), 16 + 65535);
    let (header, length) = Header::parse(&longest).unwrap().unwrap();
    assert_eq!((length, header.tlv(0xe0).unwrap().len()), (65551, 65520));
    assert_eq!(Header::parse_within(&longest, 65550), Err(HeaderError::TooLong { length: 65551, most: 65550 }));
    // As soon as it is told.
    assert_eq!(Header::parse_within(&longest[..15], 100), Ok(None));
    assert!(Header::parse_within(&longest[..16], 100).is_err());
    assert!(Header::parse_within(&v1("192.0.2.1", 1), 100).unwrap().is_some());
}

#[test]
fn tlvs_are_readable() {
    let ssl =
        [&[0x05, 0, 0, 0, 0][..], &tlv(0x21, b"TLSv1.3"), &tlv(0x22, b"example.com"), &tlv(0x23, b"AES")].concat();
    let tlvs = [
        tlv(1, b"h2"),
        tlv(NOOP, b""),
        tlv(2, b"example.org"),
        tlv(5, b"\0\x01"),
        tlv(0x20, &ssl),
        tlv(0xe0, b""),
        tlv(1, b"later"),
    ];
    let header = parse(&v2_from([192, 0, 2, 1], 1, &tlvs.concat()));
    assert_eq!(header.alpn(), Some(b"h2".as_slice()));
    assert_eq!(header.authority(), Some(b"example.org".as_slice()));
    assert_eq!(header.unique_id(), Some(b"\0\x01".as_slice()));
    assert_eq!((header.tlv(0xe0), header.tlv(0xe1)), (Some(b"".as_slice()), None));
    let kinds: Vec<u8> = header.tlvs().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, [1, 2, 5, 0x20, 0xe0, 1]);
    let ssl = header.ssl().unwrap();
    assert!(ssl.is_tls() && ssl.has_certificate() && ssl.is_verified());
    assert_eq!(ssl.version(), Some(b"TLSv1.3".as_slice()));
    assert_eq!(ssl.common_name(), Some(b"example.com".as_slice()));
    assert_eq!((ssl.cipher(), ssl.tlvs().count()), (Some(b"AES".as_slice()), 3));
    for (value, verified) in [([1, 0, 0, 0, 0], false), ([3, 0, 0, 0, 0], true), ([3, 0, 0, 0, 1], false)] {
        let header = parse(&v2_from([192, 0, 2, 1], 1, &tlv(0x20, &value)));
        assert_eq!(header.ssl().unwrap().is_verified(), verified, "{value:?}");
    }
    // Too short to be one.
    assert!(parse(&v2_from([192, 0, 2, 1], 1, &tlv(0x20, b"1234"))).ssl().is_none());
}

fn addresses() -> impl Strategy<Value = (SocketAddr, SocketAddr)> {
    let ports = (any::<u16>(), any::<u16>());
    prop_oneof![
        (any::<[[u8; 4]; 2]>(), ports).prop_map(|([a, b], (c, d))| ((a, c).into(), (b, d).into())),
        (any::<[[u8; 16]; 2]>(), ports).prop_map(|([a, b], (c, d))| ((a, c).into(), (b, d).into())),
    ]
}

fn values() -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
    // Neither a checksum nor padding nor what the other crate would read as text.
    proptest::collection::vec((0xe0..=0xef_u8, proptest::collection::vec(any::<u8>(), 0..300)), 0..8)
}

proptest! {
    #[test]
    fn what_another_writes_is_read((source, destination) in addresses(), values in values(), datagram: bool) {
        let address = if datagram {
            ProxiedAddress::datagram(source, destination)
        } else {
            ProxiedAddress::stream(source, destination)
        };
        let mut header = ProxyHeader::with_address(address.clone());
        let mut ssl = SslInfo::new(true, true, false, 0);
        ssl.append_tlv(Tlv::SslCn("example.com".into()));
        header.append_tlv(Tlv::Ssl(ssl));
        for (kind, value) in &values {
            header.append_tlv(Tlv::Custom(*kind, value.as_slice().into()));
        }
        let mut bytes = Vec::new();
        header.encode_v2(&mut bytes).unwrap();
        let read = parse(&bytes);
        prop_assert_eq!(read.endpoints(), &Endpoints::Inet { source, destination });
        let mut found = read.tlvs();
        prop_assert_eq!(found.next().map(|(kind, _)| kind), Some(0x20));
        let found: Vec<_> = found.map(|(kind, value)| (kind, value.to_vec())).collect();
        prop_assert_eq!(found, values);
        prop_assert_eq!(read.ssl().unwrap().common_name(), Some(b"example.com".as_slice()));
        if !datagram {
            bytes.clear();
            ProxyHeader::with_address(address).encode_v1(&mut bytes).unwrap();
            let read = parse(&bytes);
            prop_assert_eq!(read.endpoints(), &Endpoints::Inet { source, destination });
        }
    }
}
