//! What a request is for: a host, and names that lead to a file or folder.

use fluent_uri::UriRef;

/// Whether this is a host with or without a port, and nothing else.
pub fn is_host(value: &[u8]) -> bool {
    let Ok(value) = std::str::from_utf8(value) else { return false };
    let reference = format!("//{value}");
    let Ok(reference) = UriRef::parse(&*reference) else { return false };
    // The rest would have become a path, a query or a fragment.
    reference.authority().is_some_and(|authority| {
        authority.as_str() == value && authority.userinfo().is_none() && authority.port_to_u16().is_ok()
    })
}

/// The path of a target and its query.
pub fn split(target: &str) -> Result<(&str, &str), u16> {
    let path = match target.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest.find('/').map_or("/", |at| &rest[at..]),
        _ => target,
    };
    if !path.starts_with('/') {
        return Err(400);
    }
    Ok(path.split_at(path.find(['?', '#']).unwrap_or(path.len())))
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
