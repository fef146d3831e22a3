//! The records, and the answers to queries for them.

use std::collections::HashMap;

use simple_dns::CLASS;
use simple_dns::CharacterString;
use simple_dns::OPCODE;
use simple_dns::Packet;
use simple_dns::PacketFlag;
use simple_dns::QCLASS;
use simple_dns::QTYPE;
use simple_dns::RCODE;
use simple_dns::ResourceRecord;
use simple_dns::rdata::OPT;
use simple_dns::rdata::RData;
use simple_dns::rdata::TXT;

/// Seconds for which an answer may be kept.
const TTL: u32 = 60;

/// What fits into a message of a client that says nothing of its size, and the most that is sent without risk of
/// fragments.
const PLAIN: u16 = 512;
const LARGE: u16 = 1232;

/// How an answer travels.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Carrier {
    Tcp,
    Udp,
}

/// Names in lower case and their records; names that only stand above others have none.
#[derive(Debug, Default)]
pub struct Zone(HashMap<String, Vec<RData<'static>>>);

impl Zone {
    /// Adds `NAME TYPE VALUE`.
    pub fn add(&mut self, record: &str) -> Result<(), String> {
        let wrong = |what: &str| format!("'{record}': {what}; it is 'NAME A|AAAA|TXT VALUE'");
        let mut words = record.splitn(3, ' ');
        let (Some(name), Some(kind), Some(value)) = (words.next(), words.next(), words.next()) else {
            return Err(wrong("three words are needed"));
        };
        let data = match kind.to_ascii_uppercase().as_str() {
            "A" => RData::A(value.parse::<std::net::Ipv4Addr>().map_err(|_| wrong("no IPv4 address"))?.into()),
            "AAAA" => RData::AAAA(value.parse::<std::net::Ipv6Addr>().map_err(|_| wrong("no IPv6 address"))?.into()),
            "TXT" => {
                let mut text = TXT::new();
                // A string has at most 255 bytes; a longer text is several.
                for part in value.as_bytes().chunks(255) {
                    let part = CharacterString::new(part).map_err(|error| wrong(&error.to_string()))?;
                    text.add_char_string(part.into_owned());
                }
                RData::TXT(text)
            }
            _ => return Err(wrong("an unknown type")),
        };
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        simple_dns::Name::new(&name).map_err(|error| wrong(&error.to_string()))?;
        let mut above = name.as_str();
        while let Some((_, parent)) = above.split_once('.') {
            above = parent;
            self.0.entry(parent.to_owned()).or_default();
        }
        self.0.entry(name).or_default().push(data);
        Ok(())
    }

    /// The answer to a message; none to what is no query.
    pub fn answer(&self, message: &[u8], carrier: Carrier) -> Option<Vec<u8>> {
        let query = Packet::parse(message).ok()?;
        if query.has_flags(PacketFlag::RESPONSE) {
            return None;
        }
        let mut reply = Packet::new_reply(query.id());
        if query.has_flags(PacketFlag::RECURSION_DESIRED) {
            reply.set_flags(PacketFlag::RECURSION_DESIRED);
        }
        *reply.opcode_mut() = query.opcode();
        // The question goes back as it came, with its upper and lower case.
        reply.questions.clone_from(&query.questions);
        *reply.rcode_mut() = self.look_up(&query, &mut reply);
        if query.opt().is_some() {
            *reply.opt_mut() = Some(OPT { opt_codes: Vec::new(), udp_packet_size: LARGE, version: 0 });
        }
        let bytes = reply.build_bytes_vec_compressed().ok()?;
        let room = match (carrier, query.opt()) {
            (Carrier::Tcp, _) => u16::MAX,
            (Carrier::Udp, Some(opt)) => opt.udp_packet_size.clamp(PLAIN, LARGE),
            (Carrier::Udp, None) => PLAIN,
        };
        if bytes.len() <= room.into() {
            return Some(bytes);
        }
        // The client asks again by TCP.
        reply.answers.clear();
        reply.set_flags(PacketFlag::TRUNCATION);
        reply.build_bytes_vec_compressed().ok()
    }

    /// Adds the records that were asked for.
    fn look_up<'a>(&self, query: &Packet<'a>, reply: &mut Packet<'a>) -> RCODE {
        if query.opcode() != OPCODE::StandardQuery {
            return RCODE::NotImplemented;
        }
        let [question] = query.questions.as_slice() else { return RCODE::FormatError };
        if !matches!(question.qclass, QCLASS::ANY | QCLASS::CLASS(CLASS::IN)) {
            return RCODE::Refused;
        }
        if !matches!(question.qtype, QTYPE::ANY | QTYPE::TYPE(_)) {
            return RCODE::NotImplemented;
        }
        reply.set_flags(PacketFlag::AUTHORITATIVE_ANSWER);
        let Some(records) = self.0.get(&question.qname.to_string().to_ascii_lowercase()) else {
            return RCODE::NameError;
        };
        for data in records {
            let record = ResourceRecord::new(question.qname.clone(), CLASS::IN, TTL, data.clone());
            if record.match_qtype(question.qtype) {
                reply.answers.push(record);
            }
        }
        RCODE::NoError
    }
}
