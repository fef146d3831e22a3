//! PROXY headers as proxies write them.

pub const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

pub const LOCAL: u8 = 0x20;
pub const PROXY: u8 = 0x21;

pub const CRC32C: u8 = 3;
pub const NOOP: u8 = 4;

/// A header of version 1 from one IPv4 address to another.
pub fn v1(source: &str, port: u16) -> Vec<u8> {
    format!("PROXY TCP4 {source} 192.0.2.9 {port} 443\r\n").into_bytes()
}

/// A header of version 2: command, family, addresses and whatever follows.
pub fn v2(command: u8, family: u8, addresses: &[u8], tlvs: &[u8]) -> Vec<u8> {
    let length = u16::try_from(addresses.len() + tlvs.len()).expect("16 bits");
    [&SIGNATURE[..], &[command, family], &length.to_be_bytes(), addresses, tlvs].concat()
}

/// A header of version 2 from one IPv4 address to another.
pub fn v2_from(source: [u8; 4], port: u16, tlvs: &[u8]) -> Vec<u8> {
    let addresses = [&source[..], &[192, 0, 2, 9], &port.to_be_bytes(), &443_u16.to_be_bytes()].concat();
    v2(PROXY, 0x11, &addresses, tlvs)
}

/// A type, a length and a value.
pub fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).expect("16 bits");
    [&[kind], &length.to_be_bytes()[..], value].concat()
}

/// Bit by bit, as the specification of the checksum has it.
pub fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    !crc
}

/// A header that ends with the checksum of all of it.
pub fn with_checksum(build: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let sum = crc32c(&build(&tlv(CRC32C, &[0; 4])));
    build(&tlv(CRC32C, &sum.to_be_bytes()))
}
