//! What an answer says, but for its records, in one line.

/// `NXDOMAIN aa rd 1/0/1/1 edns 0 1232 do`: the code, the flags (without `qr`, which every answer has), how many
/// questions, answers, authority and additional records there are, and the OPT record: version, size, flags, options.
pub fn summary(answer: &[u8]) -> String {
    let mut reader = Reader { bytes: answer, at: 0 };
    let [_, flags, counts @ ..] = [(); 6].map(|()| reader.u16());
    assert!(flags & 0x8000 != 0, "no answer: {answer:02x?}");
    let mut edns = String::new();
    let mut code = flags & 0xf;
    for _ in 0..counts[0] {
        reader.name();
        reader.at += 4;
    }
    for _ in 0..counts[1..].iter().sum() {
        let owner = reader.name();
        let (kind, class, high, low) = (reader.u16(), reader.u16(), reader.u16(), reader.u16());
        let length = usize::from(reader.u16());
        if kind == 41 {
            assert!(owner == 0 && edns.is_empty(), "one OPT, of the root");
            code |= high >> 8 << 4;
            edns = format!(" edns {} {class}", high & 0xff);
            let flag = if low & 0x8000 == 0 { "" } else { " do" };
            let rest = if low & 0x7fff == 0 { String::new() } else { format!(" z{:x}", low & 0x7fff) };
            let options = if length == 0 { "" } else { " options" };
            edns.extend([flag, &rest, options]);
        }
        reader.at += length;
    }
    assert_eq!(reader.at, answer.len(), "nothing behind the last record");
    let code = match code {
        0 => "NOERROR",
        1 => "FORMERR",
        2 => "SERVFAIL",
        3 => "NXDOMAIN",
        4 => "NOTIMP",
        5 => "REFUSED",
        9 => "NOTAUTH",
        16 => "BADVERS",
        _ => panic!("code {code}"),
    };
    let opcode = flags >> 11 & 0xf;
    let opcode = if opcode == 0 { String::new() } else { format!(" opcode {opcode}") };
    let names =
        [(0x400, " aa"), (0x200, " tc"), (0x100, " rd"), (0x80, " ra"), (0x40, " z"), (0x20, " ad"), (0x10, " cd")];
    let flags: String = names.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, name)| *name).collect();
    format!("{code}{opcode}{flags} {}/{}/{}/{}{edns}", counts[0], counts[1], counts[2], counts[3])
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn u16(&mut self) -> u16 {
        self.at += 2;
        u16::from_be_bytes([self.bytes[self.at - 2], self.bytes[self.at - 1]])
    }

    /// Skips a name; how many labels or pointers it has here.
    fn name(&mut self) -> usize {
        let mut labels = 0;
        loop {
            let length = self.bytes[self.at];
            self.at += 1;
            match length {
                0 => return labels,
                pointer if pointer >= 0xc0 => {
                    self.at += 1;
                    return labels + 1;
                }
                length => {
                    self.at += usize::from(length);
                    labels += 1;
                }
            }
        }
    }
}
