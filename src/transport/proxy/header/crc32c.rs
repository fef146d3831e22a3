//! CRC32C, as RFC 4960, appendix B, has it for SCTP.

/// Of the bytes of all `parts`, one behind the other.
pub(super) fn checksum<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u32 {
    let step = |crc: u32, byte: &u8| (crc >> 8) ^ TABLE[usize::from(crc.to_le_bytes()[0] ^ byte)];
    !parts.into_iter().flatten().fold(u32::MAX, step)
}

const TABLE: [u32; 256] = {
    /// Castagnoli's polynomial, its bits in reverse.
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3720, appendix B.4.
    #[test]
    fn known_checksums() {
        assert_eq!(checksum([[0; 32].as_slice()]), 0x8a91_36aa);
        assert_eq!(checksum([[0xff; 32].as_slice()]), 0x62a8_ab43);
        let ascending: Vec<u8> = (0..32).collect();
        assert_eq!(checksum([ascending.as_slice()]), 0x46dd_794e);
        assert_eq!(checksum([&ascending[..7], &ascending[7..]]), 0x46dd_794e);
        assert_eq!(checksum([b"123456789".as_slice()]), 0xe306_9283);
    }
}
