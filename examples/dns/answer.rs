//! What is said to it.

use domain::base::MessageBuilder;
use domain::base::Rtype;
use domain::base::StaticCompressor;
use domain::base::iana::Class;
use domain::base::iana::Opcode;
use domain::base::iana::OptRcode;
use domain::base::message_builder::PushError;
use domain::base::name::ToName;

use super::query::Query;
use super::zone::Found;
use super::zone::TTL;
use super::zone::Zones;

/// What fits into a message of a client that says nothing of its size, and the most that is sent without risk of
/// fragments.
const PLAIN: u16 = 512;
const LARGE: u16 = 1232;

/// The length of an OPT record without options.
const OPT_LENGTH: usize = 11;

/// How an answer travels.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Carrier {
    Tcp,
    Udp,
}

impl Zones {
    /// The answer to a message. Every message gets one that has a header and is not an answer itself; what cannot be
    /// read gets FORMERR.
    pub fn answer(&self, message: &[u8], carrier: Carrier) -> Option<Vec<u8>> {
        let query = Query::read(message)?;
        let found = self.look_up(&query);
        let room = match (carrier, &query.edns) {
            (Carrier::Tcp, _) => u16::MAX,
            (Carrier::Udp, Some(edns)) => edns.size.clamp(PLAIN, LARGE),
            (Carrier::Udp, None) => PLAIN,
        };
        compose(&query, &found, room.into()).ok()
    }

    /// Why there are no records, the reasons that come first in the message first; or else what there is.
    fn look_up(&self, query: &Query<'_>) -> Result<Found<'_>, OptRcode> {
        if query.header.opcode() != Opcode::QUERY {
            return Err(OptRcode::NOTIMP);
        }
        if !query.is_well_formed {
            return Err(OptRcode::FORMERR);
        }
        if query.edns.as_ref().is_some_and(|edns| edns.version > 0) {
            return Err(OptRcode::BADVERS);
        }
        let question = query.question.as_ref().ok_or(OptRcode::FORMERR)?;
        if !matches!(question.qclass(), Class::IN | Class::ANY) || matches!(question.qtype(), Rtype::AXFR | Rtype::IXFR)
        {
            return Err(OptRcode::REFUSED);
        }
        self.find(&question.qname().to_name(), question.qtype()).ok_or(OptRcode::REFUSED)
    }
}

/// Writes an answer that is no longer than `room`; one that would be says that it is cut short, and the client asks again
/// by TCP.
fn compose(query: &Query<'_>, found: &Result<Found<'_>, OptRcode>, room: usize) -> Result<Vec<u8>, PushError> {
    let code = match found {
        Ok(Found { exists: true, .. }) => OptRcode::NOERROR,
        Ok(_) => OptRcode::NXDOMAIN,
        Err(code) => *code,
    };
    let mut message = MessageBuilder::from_target(StaticCompressor::new(Vec::new()))?;
    let header = message.header_mut();
    header.set_id(query.header.id());
    header.set_qr(true);
    header.set_opcode(query.header.opcode());
    header.set_aa(found.is_ok());
    header.set_rd(query.header.rd());
    header.set_rcode(code.rcode());
    // The builder stops one byte before its limit.
    message.set_push_limit(1 + query.edns.as_ref().map_or(room, |_| room - OPT_LENGTH));

    let mut questions = message.question();
    if let Some(question) = &query.question {
        questions.push(question)?;
    }
    let mut authority = questions.authority();
    if let (Ok(found), Some(question)) = (found, &query.question) {
        let mut answers = authority.answer();
        let all = found.records.iter().try_for_each(|data| answers.push((question.qname(), Class::IN, TTL, data)));
        authority = answers.authority();
        // RFC 2308, 3: how long it may be remembered that there is nothing.
        let nothing = (found.apex, Class::IN, TTL.min(found.soa.minimum()), found.soa);
        let soa = if found.records.is_empty() { authority.push(nothing) } else { Ok(()) };
        if all.and(soa).is_err() {
            authority = authority.answer().tc_rewind_into().authority();
        }
    }
    let mut additional = authority.additional();
    if let Some(edns) = &query.edns {
        additional.set_push_limit(1 + room);
        additional.opt(|opt| {
            opt.set_udp_payload_size(LARGE);
            opt.set_dnssec_ok(edns.dnssec_ok);
            opt.set_rcode(code);
            Ok(())
        })?;
    }
    Ok(additional.finish().into_target())
}
