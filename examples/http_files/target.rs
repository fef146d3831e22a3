//! What a request is for: a host, and names that lead to a file or folder.

use fluent_uri::Uri;
use fluent_uri::UriRef;
use fluent_uri::component::Scheme;

/// Whether this is a host with or without a port, and nothing else; or nothing at all.
pub fn is_host(value: &[u8]) -> bool {
    if is_plain(value) {
        return true;
    }
    let Ok(value) = std::str::from_utf8(value) else { return false };
    let reference = format!("//{value}");
    let Ok(reference) = UriRef::parse(&*reference) else { return false };
    // The rest would have become a path, a query or a fragment.
    reference.authority().is_some_and(|authority| {
        authority.as_str() == value
            && authority.userinfo().is_none()
            && authority.port_to_u16().is_ok()
            && (value.is_empty() || !authority.host().is_empty())
    })
}

/// As most are, a name or an IPv4 address with or without a port: for these the parser is not asked, which costs as much
/// as the rest of a short request.
fn is_plain(value: &[u8]) -> bool {
    let end = value.iter().position(|&byte| byte == b':').unwrap_or(value.len());
    let (name, port) = value.split_at(end);
    !name.is_empty()
        && name.iter().all(|&byte| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-')
        && port.len() <= ":9999".len()
        && port.iter().skip(1).all(u8::is_ascii_digit)
}

/// The path of a target and its query, if it is a path or the whole address of something.
pub fn split(target: &str) -> Option<(&str, &str)> {
    const HTTP: &Scheme = Scheme::new_or_panic("http");
    // A fragment is for the client to keep.
    if target.contains('#') {
        return None;
    }
    let rest = if target.starts_with('/') {
        target
    } else {
        let uri = Uri::parse(target).ok()?;
        let authority = uri.authority()?.as_str();
        if uri.scheme() != HTTP || authority.is_empty() || !is_host(authority.as_bytes()) {
            return None;
        }
        target.get("http://".len() + authority.len()..)?
    };
    let (path, query) = rest.split_at(rest.find('?').unwrap_or(rest.len()));
    Some((if path.is_empty() { "/" } else { path }, query))
}

/// The names in a path, decoded; none of them leads upwards.
pub fn names(path: &str) -> Result<Vec<Vec<u8>>, u16> {
    let mut names = Vec::new();
    for part in path.split('/') {
        let well_formed = part.split('%').skip(1).all(|rest| {
            let bytes = rest.as_bytes();
            bytes.len() >= 2 && bytes[..2].iter().all(u8::is_ascii_hexdigit)
        });
        if !well_formed {
            return Err(400);
        }
        let name: Vec<u8> = percent_encoding::percent_decode_str(part).collect();
        if name.contains(&0) {
            return Err(400);
        }
        match &name[..] {
            b"" | b"." => {}
            b".." => return Err(404),
            name if name.contains(&b'/') => return Err(404),
            _ => names.push(name),
        }
    }
    Ok(names)
}
