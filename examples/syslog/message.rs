//! What is in a syslog message: RFC 5424, RFC 3164, and what programs send that have read neither.

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

/// RFC 3164: `Mmm dd hh:mm:ss HOST TAG[PID]: TEXT`. Local programs leave the host out, some leave out everything.
fn traditional<'a>(rest: &'a str, named: Message<'a>) -> Message<'a> {
    let (time, rest) = timestamp(rest).unwrap_or(("", rest));
    let (host, rest) = match rest.split_once(' ') {
        Some((host, behind)) if !time.is_empty() && tag(rest).is_none() && tag(behind).is_some() => (host, behind),
        _ => ("", rest),
    };
    let (app, pid, text) = tag(rest).unwrap_or(("", "", rest));
    Message { time, host, app, pid, text, ..named }
}

/// `Nov 21 04:15:06 `
fn timestamp(rest: &str) -> Option<(&str, &str)> {
    let (time, behind) = rest.split_at_checked(15)?;
    let bytes = time.as_bytes();
    let shaped = MONTHS.contains(&time.get(..3)?) && bytes[6] == b' ' && bytes[9] == b':' && bytes[12] == b':';
    shaped.then_some((time, behind.strip_prefix(' ')?))
}

/// `app[123]: text` or `app: text`
fn tag(rest: &str) -> Option<(&str, &str, &str)> {
    let end = rest.find(|letter: char| !(letter.is_alphanumeric() || "-_./".contains(letter)))?;
    let (app, behind) = rest.split_at(end);
    let (pid, behind) = match behind.strip_prefix('[') {
        Some(behind) => behind.split_once(']')?,
        None => ("", behind),
    };
    let text = behind.strip_prefix(':')?;
    (!app.is_empty()).then_some((app, pid, text.strip_prefix(' ').unwrap_or(text)))
}
