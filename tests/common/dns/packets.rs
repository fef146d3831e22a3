//! Packets, well-formed, odd and broken, each with what is to come back.

/// A packet under construction.
#[derive(Clone)]
pub struct Packet {
    id: u16,
    flags: u16,
    /// Questions, answers, authority records, additional records, as the header says.
    counts: [u16; 4],
    body: Vec<u8>,
    cut: Option<usize>,
}

/// The bits of the header.
pub const QR: u16 = 0x8000;
pub const AA: u16 = 0x400;
pub const TC: u16 = 0x200;
pub const RD: u16 = 0x100;
pub const RA: u16 = 0x80;
pub const Z: u16 = 0x40;
pub const AD: u16 = 0x20;
pub const CD: u16 = 0x10;
/// The bit of an OPT record's flags.
pub const DO: u16 = 0x8000;

pub const A: u16 = 1;
pub const SOA: u16 = 6;
pub const TXT: u16 = 16;
pub const AAAA: u16 = 28;
pub const OPT: u16 = 41;
pub const ANY: u16 = 255;

impl Packet {
    /// The ID of a question that is sent last, to see whether the one before it was answered.
    pub const LAST: u16 = 0xffff;

    pub fn empty() -> Self {
        Self { id: 4711, flags: 0, counts: [0; 4], body: Vec::new(), cut: None }
    }

    pub fn last() -> Self {
        Self { id: Self::LAST, ..query("example.test", SOA) }
    }

    pub fn flags(mut self, flags: u16) -> Self {
        self.flags |= flags;
        self
    }

    pub fn opcode(self, opcode: u16) -> Self {
        self.flags(opcode << 11)
    }

    /// What the header says, whatever is there.
    pub fn counts(mut self, counts: [u16; 4]) -> Self {
        self.counts = counts;
        self
    }

    pub fn question(mut self, name: &str, kind: u16, class: u16) -> Self {
        self.counts[0] += 1;
        self.raw(&wire_name(name)).raw(&kind.to_be_bytes()).raw(&class.to_be_bytes())
    }

    /// A record in the section of this number: 1 to 3.
    pub fn record(mut self, section: usize, name: &[u8], kind: u16, class: u16, ttl: u32, data: &[u8]) -> Self {
        self.counts[section] += 1;
        let length = u16::try_from(data.len()).expect("a length");
        let fields = [kind.to_be_bytes(), class.to_be_bytes()].concat();
        self.raw(name).raw(&fields).raw(&ttl.to_be_bytes()).raw(&length.to_be_bytes()).raw(data)
    }

    /// An OPT record: the size, the version, the flags and the options.
    pub fn edns(self, size: u16, version: u8, flags: u16, options: &[u8]) -> Self {
        self.record(3, &[0], OPT, size, u32::from(version) << 16 | u32::from(flags), options)
    }

    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.body.extend(bytes);
        self
    }

    /// Only the first bytes of it, the header's included.
    pub fn cut(mut self, length: usize) -> Self {
        self.cut = Some(length);
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = [self.id.to_be_bytes(), self.flags.to_be_bytes()].concat();
        bytes.extend(self.counts.iter().flat_map(|count| count.to_be_bytes()));
        bytes.extend(&self.body);
        bytes.truncate(self.cut.unwrap_or(usize::MAX));
        bytes
    }
}

/// A question of the class IN.
pub fn query(name: &str, kind: u16) -> Packet {
    Packet::empty().question(name, kind, 1)
}

/// An option of an OPT record.
pub fn option(code: u16, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).expect("a length");
    [&code.to_be_bytes(), &length.to_be_bytes(), data].concat()
}

/// Labels and their lengths; the empty name is the root.
pub fn wire_name(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        bytes.push(u8::try_from(label.len()).expect("a short label"));
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes
}
