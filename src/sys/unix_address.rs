//! Names of Unix sockets, with what the libraries make of one that fills its field: it has no zero byte at its end.
//! unix(7), BUGS.

use rustix::net::SocketAddrAny;
use socket2::SockAddr;
use socket2::SockAddrStorage;

/// How long a name can be, with nothing behind it.
pub(crate) const LONGEST: usize = size_of::<libc::sockaddr_un>() - START;

const START: usize = std::mem::offset_of!(libc::sockaddr_un, sun_path);

/// The name in an address that the kernel has given, as it stands there.
pub(crate) fn name_of(address: &SocketAddrAny) -> &[u8] {
    let length = address.addr_len() as usize;
    // SAFETY: the kernel has written as many bytes.
    let bytes = unsafe { std::slice::from_raw_parts(address.as_ptr().cast::<u8>(), length) };
    bytes.get(START..).unwrap_or_default()
}

/// The address of a path that fills its field.
pub(crate) fn address_of(path: &[u8; LONGEST]) -> SockAddr {
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: the address is one of a Unix socket, whose fields are written below.
    let address = unsafe { storage.view_as::<libc::sockaddr_un>() };
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    address.sun_path = path.map(|byte| byte as libc::c_char);
    // SAFETY: all of the address is initialized.
    unsafe { SockAddr::new(storage, size_of::<libc::sockaddr_un>() as libc::socklen_t) }
}
