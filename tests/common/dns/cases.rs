//! The table: packets, and the answers to them.

use super::packets::*;

/// One packet, its answer in the words of [`summary`](super::summary::summary), and where another server differs.
pub struct Case {
    pub what: String,
    pub packet: Vec<u8>,
    pub by_tcp: bool,
    pub answer: &'static str,
    /// What knot answers instead, and why that is as good, or not.
    pub knot: Option<(&'static str, &'static str)>,
}

impl Case {
    fn tcp(mut self) -> Self {
        self.by_tcp = true;
        self
    }

    fn knot(mut self, answer: &'static str, why: &'static str) -> Self {
        self.knot = Some((answer, why));
        self
    }
}

pub const SILENCE: &str = "silence";

const ANY_ONE: &str = "it gives one kind of records, as RFC 8482 allows";
const CLOSES: &str = "it closes a connection after an error; an answer leaves it open";
const NO_OPT: &str = "its FORMERR is that of a server without EDNS; RFC 6891, 6.1.1: an OPT is answered with one";
const NO_QUESTION: &str = "it drops what has no question that can be read; RFC 1035, 4.1.1: FORMERR";
const TRANSFER: &str = "it knows zone transfer, which this client is not allowed";

fn case(what: impl Into<String>, packet: &Packet, answer: &'static str) -> Case {
    Case { what: what.into(), packet: packet.bytes(), by_tcp: false, answer, knot: None }
}

pub fn cases() -> Vec<Case> {
    [lookups(), types(), classes(), opcodes(), header_flags(), edns(), broken_edns(), counts(), broken(), sizes()]
        .into_iter()
        .flatten()
        .collect()
}

const WWW: &str = "www.example.test";

fn lookups() -> Vec<Case> {
    vec![
        case("addresses", &query(WWW, A), "NOERROR aa 1/2/0/0"),
        case("another case", &query("WWW.eXample.TEST", AAAA), "NOERROR aa 1/1/0/0"),
        case("a text", &query("example.test", TXT), "NOERROR aa 1/1/0/0"),
        case("the SOA", &query("example.test", SOA), "NOERROR aa 1/1/0/0"),
        case("none of this type", &query(WWW, TXT), "NOERROR aa 1/0/1/0"),
        case("no such name", &query("nope.example.test", A), "NXDOMAIN aa 1/0/1/0"),
        case("below a name", &query("below.www.example.test", A), "NXDOMAIN aa 1/0/1/0"),
        case("above a name", &query("b.c.example.test", A), "NOERROR aa 1/0/1/0"),
        case("beside a name that is above one", &query("x.b.c.example.test", A), "NXDOMAIN aa 1/0/1/0"),
        case("an asterisk's", &query("any.wild.example.test", A), "NOERROR aa 1/1/0/0"),
        case("an asterisk's, further below", &query("a.b.wild.example.test", A), "NOERROR aa 1/1/0/0"),
        case("an asterisk's, another type", &query("any.wild.example.test", TXT), "NOERROR aa 1/0/1/0"),
        case("the asterisk itself", &query("*.wild.example.test", A), "NOERROR aa 1/1/0/0"),
        case("above the asterisk", &query("wild.example.test", A), "NOERROR aa 1/0/1/0"),
        case("beside the asterisk", &query("there.wild.example.test", A), "NOERROR aa 1/0/1/0"),
        case("below what is beside the asterisk", &query("x.there.wild.example.test", A), "NXDOMAIN aa 1/0/1/0"),
        case("another zone", &query("example.org", A), "REFUSED 1/0/0/0"),
        case("above the zone", &query("test", SOA), "REFUSED 1/0/0/0"),
        case("the end of the name is the zone's, but not the label", &query("anexample.test", A), "REFUSED 1/0/0/0"),
        case("the root", &query("", SOA), "REFUSED 1/0/0/0"),
        case("the longest label", &query(&format!("{}.example.test", "l".repeat(63)), A), "NXDOMAIN aa 1/0/1/0"),
        case(
            "the longest name",
            &query(&format!("{0}.{0}.{0}.{1}.example.test", "l".repeat(63), "l".repeat(48)), A),
            "NXDOMAIN aa 1/0/1/0",
        ),
    ]
}

fn types() -> Vec<Case> {
    let mut cases: Vec<Case> = [
        (2, "NS"),
        (5, "CNAME"),
        (15, "MX"),
        (43, "DS"),
        (46, "RRSIG"),
        (47, "NSEC"),
        (52, "TLSA"),
        (65, "HTTPS"),
        (99, "SPF"),
        (128, "NXNAME"),
        (256, "URI"),
        (1000, "TYPE1000"),
        (65_280, "TYPE65280"),
        (65_535, "TYPE65535"),
        (253, "MAILB"),
        (254, "MAILA"),
        (41, "OPT"),
        (249, "TKEY"),
        (250, "TSIG"),
    ]
    .into_iter()
    .map(|(kind, name)| case(format!("type {name}"), &query(WWW, kind), "NOERROR aa 1/0/1/0"))
    .collect();
    cases.extend([
        case("type TYPE0", &query(WWW, 0), "NOERROR aa 1/0/1/0")
            .knot("NOTIMP 1/0/0/0", "it takes it for no type; RFC 3597: unknown types are treated alike"),
        case("type DNSKEY", &query("example.test", 48), "NOERROR aa 1/0/1/0"),
        case("type DS of the zone itself", &query("example.test", 43), "NOERROR aa 1/0/1/0"),
        case("type TYPE65280, no such name", &query("nope.example.test", 65_280), "NXDOMAIN aa 1/0/1/0"),
        case("type TYPE65280 by TCP", &query(WWW, 65_280), "NOERROR aa 1/0/1/0").tcp(),
        case("type TYPE65280, another zone", &query("example.org", 65_280), "REFUSED 1/0/0/0"),
        case("type ANY", &query(WWW, ANY), "NOERROR aa 1/3/0/0").knot("NOERROR aa 1/2/0/0", ANY_ONE),
        case("type ANY by TCP", &query(WWW, ANY), "NOERROR aa 1/3/0/0").tcp().knot("NOERROR aa 1/2/0/0", ANY_ONE),
        case("type ANY, no such name", &query("nope.example.test", ANY), "NXDOMAIN aa 1/0/1/0"),
        case("type ANY, above a name", &query("b.c.example.test", ANY), "NOERROR aa 1/0/1/0"),
        case("type AXFR by UDP", &query("example.test", 252), "REFUSED 1/0/0/0").knot("NOTIMP 1/0/0/0", TRANSFER),
        case("type AXFR", &query("example.test", 252), "REFUSED 1/0/0/0").tcp().knot("NOTAUTH 1/0/0/0", TRANSFER),
        case("type IXFR by UDP", &query("example.test", 251), "REFUSED 1/0/0/0").knot("NOTAUTH 1/0/0/0", TRANSFER),
        case("type IXFR", &query("example.test", 251), "REFUSED 1/0/0/0").tcp().knot("NOTAUTH 1/0/0/0", TRANSFER),
    ]);
    cases
}

fn classes() -> Vec<Case> {
    let of = |class| Packet::empty().question(WWW, A, class);
    vec![
        case("class 42", &of(42), "REFUSED 1/0/0/0"),
        case("class 0", &of(0), "REFUSED 1/0/0/0"),
        case("class CH", &of(3), "REFUSED 1/0/0/0"),
        case("class HS", &of(4), "REFUSED 1/0/0/0"),
        case("class NONE", &of(254), "REFUSED 1/0/0/0"),
        case("class ANY", &of(255), "NOERROR aa 1/2/0/0"),
        case("version.bind", &Packet::empty().question("version.bind", TXT, 3), "REFUSED 1/0/0/0")
            .knot("NOERROR 1/1/0/0", "it tells its version"),
        case("class 42 with EDNS", &of(42).edns(1232, 0, DO, &[]), "REFUSED 1/0/0/1 edns 0 1232 do"),
    ]
}

fn opcodes() -> Vec<Case> {
    let mut cases: Vec<Case> = (1..16)
        .filter(|opcode| ![4, 5].contains(opcode))
        .map(|opcode| {
            const ANSWERS: [&str; 16] = [
                "",
                "NOTIMP opcode 1 1/0/0/0",
                "NOTIMP opcode 2 1/0/0/0",
                "NOTIMP opcode 3 1/0/0/0",
                "NOTIMP opcode 4 1/0/0/0",
                "NOTIMP opcode 5 1/0/0/0",
                "NOTIMP opcode 6 1/0/0/0",
                "NOTIMP opcode 7 1/0/0/0",
                "NOTIMP opcode 8 1/0/0/0",
                "NOTIMP opcode 9 1/0/0/0",
                "NOTIMP opcode 10 1/0/0/0",
                "NOTIMP opcode 11 1/0/0/0",
                "NOTIMP opcode 12 1/0/0/0",
                "NOTIMP opcode 13 1/0/0/0",
                "NOTIMP opcode 14 1/0/0/0",
                "NOTIMP opcode 15 1/0/0/0",
            ];
            case(format!("opcode {opcode}"), &query(WWW, A).opcode(opcode), ANSWERS[usize::from(opcode)])
        })
        .collect();
    cases.extend([
        case("NOTIFY", &query("example.test", SOA).opcode(4).flags(AA), "NOTIMP opcode 4 1/0/0/0")
            .knot("NOTAUTH opcode 4 1/0/0/0", "it can be a secondary, but not of this zone"),
        case("UPDATE", &query("example.test", SOA).opcode(5), "NOTIMP opcode 5 1/0/0/0")
            .knot("NOTAUTH opcode 5 1/0/0/0", "it can be updated, but not by this client"),
        case("opcode 15, only a header", &Packet::empty().opcode(15), "NOTIMP opcode 15 0/0/0/0"),
        case(
            "opcode 15, every flag",
            &Packet::empty().opcode(15).flags(AA | TC | RD | RA | Z | AD | CD),
            "NOTIMP opcode 15 rd 0/0/0/0",
        ),
        case(
            "opcode 15 with EDNS",
            &query(WWW, A).opcode(15).edns(4096, 0, 0, &[]),
            "NOTIMP opcode 15 1/0/0/1 edns 0 1232",
        ),
        case("opcode 15, cut", &query(WWW, A).opcode(15).cut(20), "NOTIMP opcode 15 0/0/0/0")
            .knot(SILENCE, NO_QUESTION),
        case("opcode 15 by TCP", &query(WWW, A).opcode(15), "NOTIMP opcode 15 1/0/0/0").tcp(),
    ]);
    cases
}

fn header_flags() -> Vec<Case> {
    let with = |flags| query(WWW, A).flags(flags);
    vec![
        case("flag RD", &with(RD), "NOERROR aa rd 1/2/0/0"),
        case("flag AD", &with(AD), "NOERROR aa 1/2/0/0"),
        case("flag CD", &with(CD), "NOERROR aa 1/2/0/0"),
        case("flag Z", &with(Z), "NOERROR aa 1/2/0/0"),
        case("flag AA", &with(AA), "NOERROR aa 1/2/0/0"),
        case("flag TC", &with(TC), "NOERROR aa 1/2/0/0"),
        case("flag RA", &with(RA), "NOERROR aa 1/2/0/0"),
        case("every flag", &with(AA | TC | RD | RA | Z | AD | CD), "NOERROR aa rd 1/2/0/0"),
        case("a code of an answer", &with(3), "NOERROR aa 1/2/0/0"),
        case("every flag, no such name", &query("nope.example.test", A).flags(RD | Z | CD), "NXDOMAIN aa rd 1/0/1/0"),
        case("every flag, another zone", &query("example.org", A).flags(RD | Z | CD), "REFUSED rd 1/0/0/0"),
        case("an answer", &with(QR), SILENCE),
        case("an answer by TCP", &with(QR), SILENCE).tcp(),
        case("an answer that is cut", &with(QR).cut(15), SILENCE),
        case("an answer with opcode 15", &with(QR).opcode(15), SILENCE),
    ]
}

fn edns() -> Vec<Case> {
    let with = |version, flags, options: &[u8]| query(WWW, A).edns(1232, version, flags, options);
    let cookie = option(10, &[7; 8]);
    vec![
        case("EDNS", &with(0, 0, &[]), "NOERROR aa 1/2/0/1 edns 0 1232"),
        case("EDNS by TCP", &with(0, 0, &[]), "NOERROR aa 1/2/0/1 edns 0 1232").tcp(),
        case("DO", &with(0, DO, &[]), "NOERROR aa 1/2/0/1 edns 0 1232 do"),
        case("unknown EDNS flags", &with(0, 0x40, &[]), "NOERROR aa 1/2/0/1 edns 0 1232"),
        case("every EDNS flag", &with(0, 0xffff, &[]), "NOERROR aa 1/2/0/1 edns 0 1232 do"),
        case("an unknown option", &with(0, 0, &option(100, b"data")), "NOERROR aa 1/2/0/1 edns 0 1232"),
        case("an unknown option that is empty", &with(0, 0, &option(100, b"")), "NOERROR aa 1/2/0/1 edns 0 1232"),
        case("a cookie", &with(0, 0, &cookie), "NOERROR aa 1/2/0/1 edns 0 1232"),
        case(
            "a cookie and padding",
            &with(0, 0, &[cookie, option(12, &[0; 50])].concat()),
            "NOERROR aa 1/2/0/1 edns 0 1232",
        ),
        case("NSID", &with(0, 0, &option(3, b"")), "NOERROR aa 1/2/0/1 edns 0 1232"),
        case("keepalive by TCP", &with(0, 0, &option(11, b"")), "NOERROR aa 1/2/0/1 edns 0 1232").tcp(),
        case("EDNS version 1", &with(1, 0, &[]), "BADVERS 1/0/0/1 edns 0 1232"),
        case("EDNS version 255", &with(255, 0, &[]), "BADVERS 1/0/0/1 edns 0 1232"),
        case("EDNS version 1 with DO", &with(1, DO, &[]), "BADVERS 1/0/0/1 edns 0 1232 do"),
        case("EDNS version 1 with unknown flags", &with(1, 0x40, &[]), "BADVERS 1/0/0/1 edns 0 1232"),
        case("EDNS version 1 with an option", &with(1, 0, &option(100, b"")), "BADVERS 1/0/0/1 edns 0 1232"),
        case("EDNS version 1 by TCP", &with(1, 0, &[]), "BADVERS 1/0/0/1 edns 0 1232").tcp(),
        case("EDNS version 1, RD", &with(1, 0, &[]).flags(RD), "BADVERS rd 1/0/0/1 edns 0 1232"),
        case(
            "EDNS version 1, another zone",
            &query("example.org", A).edns(1232, 1, 0, &[]),
            "BADVERS 1/0/0/1 edns 0 1232",
        ),
        case("EDNS size 0", &query(WWW, A).edns(0, 0, 0, &[]), "NOERROR aa 1/2/0/1 edns 0 1232"),
        case(
            "EDNS with a code",
            &query(WWW, A).record(3, &[0], OPT, 1232, 0x0500_0000, b""),
            "NOERROR aa 1/2/0/1 edns 0 1232",
        ),
        case(
            "EDNS, no such name",
            &query("nope.example.test", A).edns(1232, 0, DO, &[]),
            "NXDOMAIN aa 1/0/1/1 edns 0 1232 do",
        ),
        case("EDNS, another zone", &query("example.org", A).edns(1232, 0, DO, &[]), "REFUSED 1/0/0/1 edns 0 1232 do")
            .knot("REFUSED 1/0/0/1 edns 0 1232 do options", "it adds an extended error, RFC 8914"),
        case("EDNS, an unknown type", &query(WWW, 65_280).edns(1232, 0, DO, &[]), "NOERROR aa 1/0/1/1 edns 0 1232 do"),
        case("a signature with an unknown key", &signed(), "NOERROR aa 1/2/0/0")
            .knot("NOTAUTH 1/0/0/1", "it knows TSIG, but not the key; a server without TSIG does not look at it"),
        case(
            "EDNS behind another record",
            &query(WWW, A).record(3, &[0], A, 1, 0, &[1; 4]).edns(1232, 0, DO, &[]),
            "NOERROR aa 1/2/0/1 edns 0 1232 do",
        ),
    ]
}

/// RFC 8945, 4.2.
fn signed() -> Packet {
    let algorithm = wire_name("hmac-sha256");
    let data = [&algorithm[..], &[0; 6], &[1, 44], &[0, 32], &[7; 32], &4711_u16.to_be_bytes(), &[0; 4]].concat();
    query(WWW, A).record(3, &wire_name("key"), 250, 255, 0, &data)
}

fn broken_edns() -> Vec<Case> {
    let opt = |name: &[u8], section| query(WWW, A).record(section, name, OPT, 1232, 0, b"");
    vec![
        case("two OPT", &query(WWW, A).edns(1232, 0, 0, &[]).edns(1232, 0, 0, &[]), "FORMERR 1/0/0/1 edns 0 1232")
            .knot("FORMERR 1/0/0/0", NO_OPT),
        case(
            "two OPT, the second of version 1",
            &query(WWW, A).edns(1232, 0, 0, &[]).edns(1232, 1, 0, &[]),
            "FORMERR 1/0/0/1 edns 0 1232",
        )
        .knot("FORMERR 1/0/0/0", NO_OPT),
        case(
            "two OPT, another zone",
            &query("example.org", A).edns(1232, 0, 0, &[]).edns(1232, 0, 0, &[]),
            "FORMERR 1/0/0/1 edns 0 1232",
        )
        .knot("FORMERR 1/0/0/0", NO_OPT),
        case("an OPT with a name", &opt(&wire_name("example.test"), 3), "FORMERR 1/0/0/1 edns 0 1232").knot(
            "NOERROR aa 1/2/0/1 edns 0 1232",
            "it does not look at the name; RFC 6891, 6.1.2: it must be the root's",
        ),
        case("an OPT among the answers", &opt(&[0], 1), "FORMERR 1/0/0/0"),
        case("an OPT in the authority section", &opt(&[0], 2), "FORMERR 1/0/0/0"),
        case(
            "an option that is longer than the OPT",
            &query(WWW, A).edns(1232, 0, 0, &[0, 100, 0, 5, 1]),
            "FORMERR 1/0/0/1 edns 0 1232",
        )
        .knot("FORMERR 1/0/0/0", NO_OPT),
        case(
            "an option without a length",
            &query(WWW, A).edns(1232, 0, 0, &[0, 100, 0]),
            "FORMERR 1/0/0/1 edns 0 1232",
        )
        .knot("FORMERR 1/0/0/0", NO_OPT),
        case("an OPT that is cut", &query(WWW, A).edns(1232, 0, 0, &option(100, b"data")).cut(51), "FORMERR 1/0/0/0"),
    ]
}

fn counts() -> Vec<Case> {
    let record = |section| query(WWW, A).record(section, &wire_name("example.test"), A, 1, 0, &[192, 0, 2, 9]);
    vec![
        case("no question", &Packet::empty(), "FORMERR 0/0/0/0"),
        case("no question with EDNS", &Packet::empty().edns(1232, 0, 0, &[]), "FORMERR 0/0/0/1 edns 0 1232"),
        case("two questions", &query(WWW, A).question(WWW, AAAA, 1), "FORMERR 1/0/0/0")
            .knot(SILENCE, "it drops them; RFC 9619: FORMERR"),
        case("two questions, one is there", &query(WWW, A).counts([2, 0, 0, 0]), "FORMERR 1/0/0/0")
            .knot(SILENCE, NO_QUESTION),
        case("65535 questions", &query(WWW, A).counts([65_535, 0, 0, 0]), "FORMERR 1/0/0/0").knot(SILENCE, NO_QUESTION),
        case("a question that is not counted", &query(WWW, A).counts([0, 0, 0, 0]), "FORMERR 0/0/0/0")
            .knot(SILENCE, NO_QUESTION),
        case("a record among the answers", &record(1), "NOERROR aa 1/2/0/0"),
        case("a record in the authority section", &record(2), "NOERROR aa 1/2/0/0"),
        case("an additional record", &record(3), "NOERROR aa 1/2/0/0"),
        case("an answer that is not there", &query(WWW, A).counts([1, 1, 0, 0]), "FORMERR 1/0/0/0"),
        case("an authority record that is not there", &query(WWW, A).counts([1, 0, 1, 0]), "FORMERR 1/0/0/0"),
        case("an additional record that is not there", &query(WWW, A).counts([1, 0, 0, 1]), "FORMERR 1/0/0/0"),
        case("it is not there, by TCP", &query(WWW, A).counts([1, 0, 0, 1]), "FORMERR 1/0/0/0")
            .tcp()
            .knot("FORMERR 1/0/0/0, closes", CLOSES),
        case(
            "one of two additional records",
            &query(WWW, A).edns(1232, 0, 0, &[]).counts([1, 0, 0, 2]),
            "FORMERR 1/0/0/1 edns 0 1232",
        )
        .knot("FORMERR 1/0/0/0", NO_OPT),
        case("65535 additional records", &query(WWW, A).counts([1, 0, 0, 65_535]), "FORMERR 1/0/0/0"),
        case("a byte behind the end", &query(WWW, A).raw(&[0]), "FORMERR 1/0/0/0"),
        case("a question behind the end", &query(WWW, A).raw(&query(WWW, AAAA).bytes()[12..]), "FORMERR 1/0/0/0"),
    ]
}

fn broken() -> Vec<Case> {
    let question = |name: &[u8]| Packet::empty().counts([1, 0, 0, 0]).raw(name).raw(&[0, 1, 0, 1]);
    let mut cases = vec![
        case("nothing", &Packet::empty().cut(0), SILENCE),
        case("one byte", &Packet::empty().cut(1), SILENCE),
        case("almost a header", &query(WWW, A).cut(11), SILENCE),
        case("nothing by TCP", &Packet::empty().cut(0), SILENCE).tcp().knot("silence, closes", CLOSES),
        case("almost a header by TCP", &query(WWW, A).cut(11), SILENCE).tcp().knot("silence, closes", CLOSES),
        case("cut behind the header", &query(WWW, A).cut(12), "FORMERR 0/0/0/0").knot(SILENCE, NO_QUESTION),
        case("cut in the name", &query(WWW, A).cut(20), "FORMERR 0/0/0/0").knot(SILENCE, NO_QUESTION),
        case("cut behind the name", &query(WWW, A).cut(30), "FORMERR 0/0/0/0").knot(SILENCE, NO_QUESTION),
        case("cut in the class", &query(WWW, A).cut(33), "FORMERR 0/0/0/0").knot(SILENCE, NO_QUESTION),
        case("cut in the class, RD", &query(WWW, A).flags(RD | CD | Z).cut(33), "FORMERR rd 0/0/0/0")
            .knot(SILENCE, NO_QUESTION),
        case("cut in the class by TCP", &query(WWW, A).cut(33), "FORMERR 0/0/0/0")
            .tcp()
            .knot("silence, closes", CLOSES),
        case("a pointer to itself", &question(&[0xc0, 12]), "FORMERR 0/0/0/0").knot(SILENCE, NO_QUESTION),
        case("a pointer to what follows", &question(&[0xc0, 14]), "FORMERR 0/0/0/0").knot(SILENCE, NO_QUESTION),
        case("a pointer into the header", &question(&[0xc0, 4]), "REFUSED 1/0/0/0").knot(SILENCE, NO_QUESTION),
        case("a pointer past the end", &question(&[0xff, 0xff]), "FORMERR 0/0/0/0").knot(SILENCE, NO_QUESTION),
        case("two pointers to each other", &question(&[0xc0, 14, 0xc0, 12]), "FORMERR 0/0/0/0")
            .knot(SILENCE, NO_QUESTION),
        case("a label of the type 01", &question(&[0x41, b'a', 0]), "FORMERR 0/0/0/0").knot(SILENCE, NO_QUESTION),
        case("a label of the type 10", &question(&[0x81, b'a', 0]), "FORMERR 0/0/0/0").knot(SILENCE, NO_QUESTION),
        case(
            "a name of 256 bytes",
            &question(&wire_name(&format!("{0}.{0}.{0}.{1}", "l".repeat(63), "l".repeat(62)))),
            "FORMERR 0/0/0/0",
        )
        .knot(SILENCE, NO_QUESTION),
        case(
            "labels of zeros, dots and 255",
            &question(&[&[3, 0, b'.', 255][..], &wire_name("example.test")].concat()),
            "NXDOMAIN aa 1/0/1/0",
        ),
    ];
    let bytes = query(WWW, A).record(3, &[0xc0, 12], A, 1, 60, &[1; 4]).bytes();
    cases.extend([35, 36, 40, 45, bytes.len() - 1].map(|length| {
        let packet = query(WWW, A).record(3, &[0xc0, 12], A, 1, 60, &[1; 4]).cut(length);
        case(format!("cut {} bytes behind the question", length - 34), &packet, "FORMERR 1/0/0/0")
    }));
    cases
}

fn sizes() -> Vec<Case> {
    let many = |size| query("many.example.test", A).edns(size, 0, 0, &[]);
    let long = |size| query("long.example.test", TXT).edns(size, 0, 0, &[]);
    vec![
        case("1000 bytes of text", &query("long.example.test", TXT), "NOERROR aa tc 1/0/0/0"),
        case("1000 bytes of text for 512", &long(512), "NOERROR aa tc 1/0/0/1 edns 0 1232"),
        case("1000 bytes of text for less than is allowed", &long(100), "NOERROR aa tc 1/0/0/1 edns 0 1232"),
        case("1000 bytes of text for 1000", &long(1000), "NOERROR aa tc 1/0/0/1 edns 0 1232"),
        case("1000 bytes of text for 1061", &long(1061), "NOERROR aa tc 1/0/0/1 edns 0 1232"),
        case("1000 bytes of text for 1062", &long(1062), "NOERROR aa 1/1/0/1 edns 0 1232"),
        case("1000 bytes of text for 1232", &long(1232), "NOERROR aa 1/1/0/1 edns 0 1232"),
        case("1000 bytes of text for 65535", &long(65_535), "NOERROR aa 1/1/0/1 edns 0 1232"),
        case("1000 bytes of text by TCP", &query("long.example.test", TXT), "NOERROR aa 1/1/0/0").tcp(),
        case("1000 bytes of text by TCP for 512", &long(512), "NOERROR aa 1/1/0/1 edns 0 1232").tcp(),
        case(
            "3000 bytes of text for 65535",
            &query("longer.example.test", TXT).edns(65_535, 0, 0, &[]),
            "NOERROR aa tc 1/0/0/1 edns 0 1232",
        ),
        case("100 addresses", &query("many.example.test", A), "NOERROR aa tc 1/0/0/0"),
        case("100 addresses for 4096", &many(4096), "NOERROR aa tc 1/0/0/1 edns 0 1232"),
        case("100 addresses by TCP", &query("many.example.test", A), "NOERROR aa 1/100/0/0").tcp(),
        case("100 addresses by TCP with EDNS", &many(512), "NOERROR aa 1/100/0/1 edns 0 1232").tcp(),
        case("every record of a name by UDP", &query("many.example.test", ANY), "NOERROR aa tc 1/0/0/0"),
    ]
}
