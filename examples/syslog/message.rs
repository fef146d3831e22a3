//! What is in a syslog message: RFC 5424, RFC 3164, and what programs send that have read neither.

use std::net::IpAddr;

/// The parts of a message, borrowed from it; those that it does not have are empty.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Message<'a> {
    pub facility: &'static str,
    pub severity: &'static str,
    pub time: &'a str,
    pub host: &'a str,
    pub app: &'a str,
    pub pid: &'a str,
    pub id: &'a str,
    /// Structured data as it was sent: `[name key="value"]`.
    pub data: &'a str,
    pub text: &'a str,
}

const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp",
    "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];

const SEVERITIES: [&str; 8] = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Any text is a message: what is not understood is its text.
pub fn parse(bytes: &str) -> Message<'_> {
    let bytes = bytes.trim_end_matches(['\n', '\r', '\0']);
    // RFC 3164, 4.3.3: what comes without a priority is user.notice.
    let (priority, rest) = priority(bytes).unwrap_or((13, bytes));
    let named =
        Message { facility: FACILITIES[priority / 8], severity: SEVERITIES[priority % 8], ..Message::default() };
    match rest.strip_prefix("1 ").and_then(|rest| modern(rest, named)) {
        Some(message) => message,
        None => traditional(rest, named),
    }
}

/// `<34>`: eight times the facility, and the severity.
fn priority(bytes: &str) -> Option<(usize, &str)> {
    let (digits, rest) = bytes.strip_prefix('<')?.split_once('>')?;
    let good = (1..=3).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    let priority = digits.parse().ok().filter(|priority| good && *priority < FACILITIES.len() * 8)?;
    Some((priority, rest))
}

/// RFC 5424: `TIME HOST APP PID ID DATA TEXT`, each `-` where there is none.
fn modern<'a>(rest: &'a str, named: Message<'a>) -> Option<Message<'a>> {
    let mut rest = rest;
    let mut field = || {
        let (field, behind) = rest.split_once(' ')?;
        rest = behind;
        Some(if field == "-" { "" } else { field })
    };
    let (time, host, app, pid, id) = (field()?, field()?, field()?, field()?, field()?);
    let end = data_end(rest)?;
    let data = if end == 1 && rest.starts_with('-') { "" } else { &rest[..end] };
    let text = &rest[end..];
    let text = text.strip_prefix(' ').unwrap_or(text);
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    Some(Message { time, host, app, pid, id, data, text, ..named })
}

/// Where structured data ends: `-`, or elements in brackets, in whose quoted values a bracket is escaped.
fn data_end(rest: &str) -> Option<usize> {
    if rest == "-" || rest.starts_with("- ") {
        return Some(1);
    }
    let (mut quoted, mut escaped, mut inside) = (false, false, false);
    for (at, byte) in rest.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' if inside => quoted = !quoted,
            b']' if inside && !quoted => inside = false,
            b'[' if !inside => inside = true,
            b' ' if !inside => return Some(at),
            _ if !inside => return None,
            _ => {}
        }
    }
    (!inside && !rest.is_empty()).then_some(rest.len())
}

/// RFC 3164: `TIME HOST TAG[PID]: TEXT`. Local programs leave the host out, some leave out everything; forwarders write
/// the time as RFC 5424 has it.
fn traditional<'a>(rest: &'a str, named: Message<'a>) -> Message<'a> {
    let Some((time, rest)) = timestamp(rest) else {
        // It could be any text: `http://` is from no program `http`.
        let tag = tag(rest).filter(|(.., text)| text.is_empty() || text.starts_with(' '));
        let (app, pid, text) = tag.map_or(("", "", rest), without_space);
        return Message { app, pid, text, ..named };
    };
    let (host, rest) = match rest.split_once(' ') {
        Some((word, behind)) if is_address(word) => (word, behind),
        // A forwarder knows the host; other messages have one if a tag follows it.
        Some((word, behind)) if tag(rest).is_none() && (is_modern(time) || tag(behind).is_some()) => (word, behind),
        _ => ("", rest),
    };
    let (app, pid, text) = tag(rest).map_or(("", "", rest), without_space);
    Message { time, host, app, pid, text, ..named }
}

/// Whether a timestamp is one of RFC 5424.
fn is_modern(time: &str) -> bool {
    time.starts_with(|first: char| first.is_ascii_digit())
}

/// A tag's space belongs to neither the tag nor the text.
fn without_space<'a>((app, pid, text): (&'a str, &'a str, &'a str)) -> (&'a str, &'a str, &'a str) {
    (app, pid, text.strip_prefix(' ').unwrap_or(text))
}

/// An address of IPv4 or IPv6, which may name an interface: `fe80::1%eth0`.
fn is_address(word: &str) -> bool {
    word.split_once('%').map_or(word, |(address, _)| address).parse::<IpAddr>().is_ok()
}

/// The time in front, and what follows the space behind it: `Nov 21 04:15:06`, also with a year before the hour, or
/// `2003-10-11T22:14:15Z`, also with another zone or none; both with fractions of the second or without.
fn timestamp(rest: &str) -> Option<(&str, &str)> {
    let modern = after(rest, "0000-00-00T00:00:00").map(|behind| without_zone(without_fraction(behind)));
    let month = || MONTHS.iter().find_map(|month| rest.strip_prefix(month));
    let day = || month().and_then(|behind| after(behind, "  0 ").or_else(|| after(behind, " 00 ")));
    let hour = |behind| after(after(behind, "0000 ").unwrap_or(behind), "00:00:00");
    let behind = modern.or_else(|| day().and_then(hour).map(without_fraction))?;
    let time = &rest[..rest.len() - behind.len()];
    Some((time, behind.strip_prefix(' ')?))
}

/// What follows text of a shape, in which `0` stands for any digit.
fn after<'a>(text: &'a str, shape: &str) -> Option<&'a str> {
    let (head, behind) = text.split_at_checked(shape.len())?;
    let fits = |(byte, shape): (u8, u8)| if shape == b'0' { byte.is_ascii_digit() } else { byte == shape };
    head.bytes().zip(shape.bytes()).all(fits).then_some(behind)
}

/// What follows `.003`, if that is there.
fn without_fraction(text: &str) -> &str {
    let Some(digits) = text.strip_prefix('.') else { return text };
    let behind = digits.trim_start_matches(|digit: char| digit.is_ascii_digit());
    if behind.len() < digits.len() { behind } else { text }
}

/// What follows `Z` or `+02:00`, if that is there.
fn without_zone(text: &str) -> &str {
    let zone = ["Z", "+00:00", "-00:00"].iter().find_map(|zone| after(text, zone));
    zone.unwrap_or(text)
}

/// `app[123]:` or `app:`, and what follows.
fn tag(rest: &str) -> Option<(&str, &str, &str)> {
    let end = rest.find(|letter: char| !(letter.is_alphanumeric() || "-_./()@+".contains(letter)))?;
    let (app, behind) = rest.split_at(end);
    let (pid, behind) = match behind.strip_prefix('[') {
        Some(behind) => behind.split_once(']')?,
        None => ("", behind),
    };
    let text = behind.strip_prefix(':')?;
    (!app.is_empty()).then_some((app, pid, text))
}
