//! What a client wants to be true before it is given something: RFC 9110, 13.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use entity_tag::EntityTag;

use super::dates;
use super::head::tokens;

/// The fields of a request that make it depend on what the client has.
#[derive(Debug, Default)]
pub struct Conditions<'a> {
    /// Lists, which may come in several fields; empty without one.
    if_match: Vec<&'a [u8]>,
    if_none_match: Vec<&'a [u8]>,
    if_modified_since: Option<&'a [u8]>,
    if_unmodified_since: Option<&'a [u8]>,
    if_range: Option<&'a [u8]>,
    range: Option<&'a [u8]>,
}

/// What tells one version of a file from another. What is no file has none.
#[derive(Debug, Default)]
pub struct Validators {
    tag: Option<EntityTag<'static>>,
    /// In whole seconds, as HTTP has them.
    modified: Option<SystemTime>,
}

impl Validators {
    pub fn of(metadata: &Metadata) -> Self {
        let tag = format!("{:x}-{:x}-{:x}", metadata.mtime(), metadata.mtime_nsec(), metadata.len());
        Self { tag: EntityTag::with_string(false, tag).ok(), modified: modified(metadata) }
    }

    /// The fields of an answer that tell them.
    pub fn fields(&self) -> String {
        let mut fields = String::new();
        if let Some(tag) = &self.tag {
            fields += &format!("ETag: {tag}\r\n");
        }
        if let Some(date) = self.modified.and_then(dates::written) {
            fields += &format!("Last-Modified: {date}\r\n");
        }
        fields
    }
}

/// The second in which a file has changed; now, if that is still to come.
fn modified(metadata: &Metadata) -> Option<SystemTime> {
    let since = UNIX_EPOCH.elapsed().ok()?.as_secs().min(metadata.mtime().try_into().ok()?);
    Some(UNIX_EPOCH + Duration::from_secs(since))
}

impl<'a> Conditions<'a> {
    /// Takes a field of the request, if it is one of these.
    pub fn take(&mut self, name: &str, value: &'a [u8]) {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        match name.len() {
            5 if is("range") => once(&mut self.range, value),
            8 if is("if-match") => self.if_match.push(value),
            8 if is("if-range") => once(&mut self.if_range, value),
            13 if is("if-none-match") => self.if_none_match.push(value),
            17 if is("if-modified-since") => once(&mut self.if_modified_since, value),
            19 if is("if-unmodified-since") => once(&mut self.if_unmodified_since, value),
            _ => {}
        }
    }

    /// The status to answer with instead of what is asked for; `None` to go on. Steps 1 to 4 of 13.2.2.
    pub fn refusal(&self, is: &Validators) -> Option<u16> {
        if !self.if_match.is_empty() {
            if !names(&self.if_match, is, EntityTag::strong_eq) {
                return Some(412);
            }
        } else if let Some((date, modified)) = date(self.if_unmodified_since).zip(is.modified)
            && modified > date
        {
            return Some(412);
        }
        if !self.if_none_match.is_empty() {
            return names(&self.if_none_match, is, EntityTag::weak_eq).then_some(304);
        }
        let (date, modified) = date(self.if_modified_since).zip(is.modified)?;
        (modified <= date).then_some(304)
    }

    /// Which part is asked for, unless the client has another version of the rest. Step 5 of 13.2.2.
    pub fn range(&self, is: &Validators) -> Option<&'a [u8]> {
        let fits = self.if_range.is_none_or(|value| match tag(value) {
            Some(has) => is.tag.as_ref().is_some_and(|tag| tag.strong_eq(&has)),
            // A later date is not the date of this version.
            None => date(Some(value)).is_some_and(|date| is.modified == Some(date)),
        });
        self.range.filter(|_| fits)
    }
}

/// A field that may come once: one that comes twice is as good as one that cannot be read, and is ignored.
fn once<'a>(field: &mut Option<&'a [u8]>, value: &'a [u8]) {
    *field = Some(if field.is_some() { b"" } else { value });
}

/// Whether a list names the version there is; an asterisk alone is any. A comma inside a tag cuts it into parts that are
/// no tags, and no tag of ours has one.
fn names(lists: &[&[u8]], is: &Validators, eq: fn(&EntityTag<'static>, &EntityTag<'_>) -> bool) -> bool {
    if *lists == [b"*"] {
        return true;
    }
    let Some(is) = &is.tag else { return false };
    lists.iter().flat_map(|list| tokens(list)).filter_map(tag).any(|named| eq(is, &named))
}

fn tag(value: &[u8]) -> Option<EntityTag<'_>> {
    EntityTag::from_str(std::str::from_utf8(value).ok()?).ok()
}

fn date(value: Option<&[u8]>) -> Option<SystemTime> {
    value.and_then(dates::read)
}
