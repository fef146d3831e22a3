//! The records, and what is known of a name.

use std::collections::HashMap;

use domain::base::Name as AnyName;
use domain::base::NameBuilder;
use domain::base::RecordData;
use domain::base::Rtype;
use domain::base::Serial;
use domain::base::Ttl;
use domain::rdata::A;
use domain::rdata::Aaaa;
use domain::rdata::Soa;
use domain::rdata::Txt;
use domain::rdata::ZoneRecordData;

pub type Name = AnyName<Vec<u8>>;
pub type Data = ZoneRecordData<Vec<u8>, Name>;

/// How long an answer may be kept.
pub const TTL: Ttl = Ttl::from_secs(60);

/// Names, which are the same in upper and lower case, and their records; names that only stand above others have none.
///
/// A name with an SOA record is the apex of a zone, to which the names below it belong.
#[derive(Debug, Default)]
pub struct Zones(HashMap<Name, Vec<Data>>);

/// What is known of a name in one of the zones.
pub struct Found<'a> {
    pub exists: bool,
    /// Those that were asked for.
    pub records: Vec<&'a Data>,
    /// Of the zone, for answers without records.
    pub apex: &'a Name,
    pub soa: &'a Soa<Name>,
}

impl Zones {
    /// Adds `NAME TYPE VALUE`.
    pub fn add(&mut self, record: &str) -> Result<(), String> {
        let wrong = |what: &str| format!("'{record}': {what}; it is 'NAME A|AAAA|TXT|SOA VALUE'");
        let mut words = record.splitn(3, ' ');
        let (Some(name), Some(kind), Some(value)) = (words.next(), words.next(), words.next()) else {
            return Err(wrong("three words are needed"));
        };
        let to_name = |name: &str| name.parse::<Name>().map_err(|error| wrong(&format!("{name}: {error}")));
        let name = to_name(name)?;
        let data = match kind.to_ascii_uppercase().as_str() {
            "A" => Data::A(A::new(value.parse().map_err(|_| wrong("no IPv4 address"))?)),
            "AAAA" => Data::Aaaa(Aaaa::new(value.parse().map_err(|_| wrong("no IPv6 address"))?)),
            // A string has at most 255 bytes; a longer text is several.
            "TXT" => Data::Txt(Txt::build_from_slice(value.as_bytes()).map_err(|error| wrong(&error.to_string()))?),
            "SOA" if self.soa(&name).is_some() => return Err(wrong("there is an SOA for this name already")),
            "SOA" => {
                let values: Vec<&str> = value.split_whitespace().collect();
                let [server, mailbox, numbers @ ..] = values.as_slice() else {
                    return Err(wrong("an SOA begins with two names"));
                };
                let numbers: Result<Vec<u32>, _> = numbers.iter().map(|number| number.parse()).collect();
                let Ok([serial, refresh, retry, expire, minimum]) = numbers.as_deref() else {
                    return Err(wrong("an SOA has two names and five numbers"));
                };
                let [refresh, retry, expire, minimum] =
                    [refresh, retry, expire, minimum].map(|time| Ttl::from_secs(*time));
                let (server, mailbox) = (to_name(server)?, to_name(mailbox)?);
                Data::Soa(Soa::new(server, mailbox, Serial(*serial), refresh, retry, expire, minimum))
            }
            _ => return Err(wrong("an unknown type")),
        };
        let records = self.0.entry(name).or_default();
        if !records.contains(&data) {
            records.push(data);
        }
        Ok(())
    }

    /// Makes zones of the records: each must have an SOA, and there are no gaps between its names.
    ///
    /// A record that is in no zone yet gets one of the last two labels of its name: `www.example.test` makes the zone
    /// `example.test`, with an SOA as RFC 6303 has it for zones that are not delegated.
    pub fn complete(&mut self) {
        let mut names: Vec<Name> = self.0.keys().cloned().collect();
        // Those above first: a zone that is made up for one of them is there for the names below it.
        names.sort_by_key(Name::label_count);
        for name in names {
            if self.apex(&name).is_none() {
                // The root is a label, too.
                let beyond = name.label_count().saturating_sub(3).max(name.first().is_wildcard().into());
                let apex = owned(&name.iter_suffixes().nth(beyond).expect("it has so many"));
                let nobody = "nobody.invalid".parse().expect("a name");
                let [hour, week] = [3600, 604_800].map(Ttl::from_secs);
                let soa = Soa::new(apex.clone(), nobody, Serial(1), hour, hour, week, TTL);
                self.0.entry(apex).or_default().push(Data::Soa(soa));
            }
            let apex = owned(&self.apex(&name).expect("there is one now"));
            for above in name.iter_suffixes().take_while(|above| *above != apex) {
                self.0.entry(owned(&above)).or_default();
            }
        }
    }

    /// What is known of `name`; `None` if it is in no zone.
    pub fn find(&self, name: &Name, kind: Rtype) -> Option<Found<'_>> {
        let (apex, _) = self.0.get_key_value(self.apex(name)?.for_slice())?;
        let records = self.0.get(name).or_else(|| self.asterisk(name));
        let is_asked_for = |data: &&Data| kind == Rtype::ANY || kind == data.rtype();
        Some(Found {
            exists: records.is_some(),
            records: records.into_iter().flatten().filter(is_asked_for).collect(),
            apex,
            soa: self.soa(apex)?,
        })
    }

    /// The records that stand for all names that are not there: RFC 4592. They are looked for beneath the nearest name
    /// above `name` that is there, and nowhere else.
    fn asterisk(&self, name: &Name) -> Option<&Vec<Data>> {
        let above = name.iter_suffixes().find(|above| self.0.contains_key(above.for_slice()))?;
        let mut asterisk = NameBuilder::new_vec();
        asterisk.append_label(b"*").ok()?;
        self.0.get(&asterisk.append_origin(&above).ok()?)
    }

    /// The apex of the zone that `name` is in.
    fn apex<'a>(&self, name: &'a Name) -> Option<AnyName<&'a [u8]>> {
        name.iter_suffixes().find(|above| self.soa(above).is_some())
    }

    fn soa<O: AsRef<[u8]>>(&self, name: &AnyName<O>) -> Option<&Soa<Name>> {
        self.0.get(name.for_slice())?.iter().find_map(|data| match data {
            Data::Soa(soa) => Some(soa),
            _ => None,
        })
    }
}

fn owned(name: &AnyName<&[u8]>) -> Name {
    Name::from_octets(name.as_slice().to_vec()).expect("it is a name")
}
