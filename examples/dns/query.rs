//! What a message asks.

use domain::base::Header;
use domain::base::Message;
use domain::base::ParsedName;
use domain::base::Question;
use domain::base::Rtype;
use domain::base::message::RecordSection;
use domain::base::opt::Opt;
use domain::base::wire::ParseError;

/// A message that is to be answered.
pub struct Query<'a> {
    pub header: Header,
    /// The first question, if it can be read. It goes back as it came, with its upper and lower case.
    pub question: Option<Question<ParsedName<&'a [u8]>>>,
    pub edns: Option<Edns>,
    /// Whether there is one question (RFC 9619), and all of the message can be read.
    pub is_well_formed: bool,
}

/// What the fixed part of an OPT record says: RFC 6891, 6.1.2.
pub struct Edns {
    /// The longest answer that the client can take over UDP.
    pub size: u16,
    pub version: u8,
    pub dnssec_ok: bool,
}

impl<'a> Query<'a> {
    /// Reads as far as that is possible. `None` for what is not to be answered: an answer, or what has no ID.
    pub fn read(message: &'a [u8]) -> Option<Self> {
        let message = Message::from_slice(message).ok()?;
        let header = message.header();
        if header.qr() {
            return None;
        }
        let mut query = Self { header, question: message.first_question(), edns: None, is_well_formed: false };
        let end = query.read_records(message);
        query.is_well_formed = message.header_counts().qdcount() == 1 && end == Ok(message.as_slice().len());
        Some(query)
    }

    /// Goes through the records for the sake of one, the OPT record; returns where they end.
    fn read_records(&mut self, message: &'a Message<[u8]>) -> Result<usize, ParseError> {
        let mut section = message.answer()?;
        self.read_section(&mut section, false)?;
        for is_additional in [false, true] {
            section = section.next_section()?.expect("there are three");
            self.read_section(&mut section, is_additional)?;
        }
        Ok(section.pos())
    }

    fn read_section(&mut self, section: &mut RecordSection<'a, [u8]>, is_additional: bool) -> Result<(), ParseError> {
        for record in section {
            let record = record?;
            if record.rtype() != Rtype::OPT {
                continue;
            }
            if !is_additional || self.edns.is_some() {
                return Err(ParseError::form_error("one OPT record, in the additional section"));
            }
            let [_, version, flags, _] = record.ttl().as_secs().to_be_bytes();
            self.edns = Some(Edns { size: record.class().to_int(), version, dnssec_ok: flags & 0x80 != 0 });
            // What the options are does not matter here, but they have to be some.
            record.to_record::<Opt<_>>()?;
            if !record.owner().is_root() {
                return Err(ParseError::form_error("an OPT record belongs to the root"));
            }
        }
        Ok(())
    }
}
