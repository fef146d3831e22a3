//! Addresses: RFC 5321, 4.1.2.

/// RFC 5321, 4.5.3.1.
const LONGEST_LOCAL: usize = 64;
const LONGEST_PATH: usize = 254;

/// Takes `FROM:<path> SIZE=1` apart, into the address and the parameters.
pub fn parse<'a>(argument: &'a str, keyword: &str) -> Option<(&'a str, &'a str)> {
    let (name, rest) = argument.split_once(':')?;
    // Nothing belongs between the colon and the path, but much has been sent there.
    let rest = rest.trim_start().strip_prefix('<').filter(|_| name.eq_ignore_ascii_case(keyword))?;
    let end = end_of_path(rest)?;
    let (path, parameters) = (&rest[..end], &rest[end + 1..]);
    if !(parameters.is_empty() || parameters.starts_with(' ')) {
        return None;
    }
    // The way to it, `<@one,@two:name@three>`, has been of no interest for decades: RFC 5321, C.
    let address = if path.starts_with('@') { path.split_once(':')?.1 } else { path };
    Some((address, parameters.trim()))
}

/// Where the `>` is that is not quoted.
fn end_of_path(path: &str) -> Option<usize> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    path.bytes().position(|byte| {
        let is_plain = !std::mem::take(&mut is_escaped);
        match byte {
            b'"' if is_plain => is_quoted = !is_quoted,
            b'\\' if is_plain => is_escaped = true,
            _ => {}
        }
        byte == b'>' && is_plain && !is_quoted
    })
}

/// Whether it is a mailbox: a name, plain or quoted, at a domain or an address in brackets.
pub fn is_mailbox(address: &str) -> bool {
    let Some((local, domain)) = address.rsplit_once('@') else { return false };
    let is_atom = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&byte);
    let is_quoted = local.len() >= 2 && local.starts_with('"') && local.ends_with('"');
    (1..=LONGEST_LOCAL).contains(&local.len())
        && address.len() <= LONGEST_PATH
        && (is_quoted || local.bytes().all(is_atom))
        && is_domain(domain)
}

/// Whether it is a name of a host, or an address in brackets: what `EHLO` is followed by.
pub fn is_domain(domain: &str) -> bool {
    let literal = domain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let is_of_literal = |byte: u8| byte.is_ascii_alphanumeric() || b"-.:".contains(&byte);
    (1..=255).contains(&domain.len())
        && literal.map_or_else(|| domain.bytes().all(is_of_name), |literal| literal.bytes().all(is_of_literal))
}
