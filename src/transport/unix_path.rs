//! The path of a Unix-domain socket: who owns it, who may replace it, and when it is removed.

use std::ffi::OsStr;
use std::fmt;
use std::fs::FileType;
use std::io;
use std::mem::offset_of;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;

use socket2::Domain;
use socket2::SockAddr;
use socket2::Socket;
use socket2::Type;

use super::folder_lock::FolderLock;
use super::listen::step_failed;
use crate::error::BindError;

#[cfg(feature = "systemd")]
pub(crate) mod moving;

/// The address of a Unix-domain socket.
///
/// Displayed as the path, as `@name` for an abstract name (Linux), as `(unnamed)` for a socket that is not bound. Text
/// that begins with `@` is an abstract name on Linux.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum UnixAddress {
    /// An abstract name, without its leading NUL: unix(7).
    Abstract(Vec<u8>),
    /// A file.
    Path(PathBuf),
    /// No name: the address of most clients.
    Unnamed,
}

impl UnixAddress {
    /// The path, if it is one.
    #[must_use]
    pub fn as_path(&self) -> Option<&Path> {
        match self {
            Self::Path(path) => Some(path),
            Self::Abstract(_) | Self::Unnamed => None,
        }
    }

    pub(crate) fn from_std(address: &SocketAddr) -> Self {
        if let Some(path) = address.as_pathname() {
            return Self::Path(path.to_owned());
        }
        #[cfg(target_os = "linux")]
        if let Some(name) = std::os::linux::net::SocketAddrExt::as_abstract_name(address) {
            return Self::Abstract(name.to_owned());
        }
        Self::Unnamed
    }

    /// A name as the kernel gives it: with a zero byte before an abstract one, and behind most paths.
    #[cfg(target_os = "linux")]
    pub(super) fn from_name(name: &[u8]) -> Self {
        match name {
            [] => Self::Unnamed,
            [0, name @ ..] => Self::Abstract(name.to_owned()),
            path => {
                let end = path.iter().position(|byte| *byte == 0).unwrap_or(path.len());
                Self::Path(OsStr::from_bytes(&path[..end]).into())
            }
        }
    }

    /// The sender of a message, if it has an address.
    pub(super) fn of_sender(address: &SockAddr) -> Option<Self> {
        if let Some(path) = address.as_pathname() {
            return Some(Self::Path(path.to_owned()));
        }
        address.as_abstract_namespace().map(|name| Self::Abstract(name.to_owned()))
    }

    pub(super) fn to_socket_address(&self) -> io::Result<SockAddr> {
        match self {
            Self::Path(path) => address_of_path(path),
            Self::Abstract(name) => SockAddr::unix(OsStr::from_bytes(&[b"\0", name.as_slice()].concat())),
            Self::Unnamed => Err(io::Error::new(io::ErrorKind::InvalidInput, "an unnamed socket has no address")),
        }
    }
}

fn address_of_path(path: &Path) -> io::Result<SockAddr> {
    #[cfg(target_os = "linux")]
    if let Ok(path) = path.as_os_str().as_bytes().try_into() {
        return Ok(crate::sys::unix_address::address_of(path));
    }
    SockAddr::unix(path)
}

impl fmt::Display for UnixAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Abstract(name) => write!(f, "@{}", name.escape_ascii()),
            Self::Path(path) => path.display().fmt(f),
            Self::Unnamed => f.write_str("(unnamed)"),
        }
    }
}

impl From<&Path> for UnixAddress {
    fn from(path: &Path) -> Self {
        match path.as_os_str().as_bytes() {
            [b'@', name @ ..] if cfg!(target_os = "linux") => Self::Abstract(name.to_owned()),
            _ => Self::Path(path.to_owned()),
        }
    }
}

impl From<PathBuf> for UnixAddress {
    fn from(path: PathBuf) -> Self {
        path.as_path().into()
    }
}

impl From<&PathBuf> for UnixAddress {
    fn from(path: &PathBuf) -> Self {
        path.as_path().into()
    }
}

impl From<&str> for UnixAddress {
    fn from(path: &str) -> Self {
        Path::new(path).into()
    }
}

impl From<&String> for UnixAddress {
    fn from(path: &String) -> Self {
        path.as_str().into()
    }
}

impl From<String> for UnixAddress {
    fn from(path: String) -> Self {
        path.as_str().into()
    }
}

/// Removes the socket's file when dropped, if it is still the one this process made. It is dropped before the socket.
#[derive(Debug)]
pub(crate) struct OwnedPath {
    path: PathBuf,
    file: FileId,
    /// Which process removes the file: [`NOBODY`], where another has it.
    process: Arc<AtomicU32>,
}

const NOBODY: u32 = 0;

/// What tells a file from one that has taken its place, and perhaps its number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct FileId {
    device: u64,
    inode: u64,
    modified: (i64, i64),
}

impl FileId {
    fn of(path: &Path) -> io::Result<(Self, FileType)> {
        let file = std::fs::symlink_metadata(path)?;
        let modified = (file.mtime(), file.mtime_nsec());
        Ok((Self { device: file.dev(), inode: file.ino(), modified }, file.file_type()))
    }
}

impl OwnedPath {
    fn of(socket: &impl AsFd, path: &Path) -> io::Result<Self> {
        let this = AtomicU32::new(std::process::id());
        let owned = Self { path: absolute(path)?, file: FileId::of(path)?.0, process: Arc::new(this) };
        #[cfg(feature = "systemd")]
        moving::remember(socket.as_fd(), &owned);
        #[cfg(not(feature = "systemd"))]
        let _ = socket;
        Ok(owned)
    }

    /// The file of an adopted socket, if another process has left it to this one together with the socket.
    pub(super) fn inherited(socket: &impl AsFd) -> Option<Self> {
        #[cfg(feature = "systemd")]
        return moving::inherited(socket.as_fd());
        #[cfg(not(feature = "systemd"))]
        {
            let _ = socket;
            None
        }
    }

    /// Leaves the file to another server that has the socket, too.
    pub(super) fn leave(self) {
        self.process.store(NOBODY, Ordering::SeqCst);
    }
}

/// The server may change its working directory before the file is removed.
fn absolute(path: &Path) -> io::Result<PathBuf> {
    std::path::absolute(path)
}

impl Drop for OwnedPath {
    fn drop(&mut self) {
        if std::process::id() != self.process.swap(NOBODY, Ordering::SeqCst) {
            return;
        }
        // Without the lock: as long as the socket is open, no other server takes the path for left over.
        if FileId::of(&self.path).is_ok_and(|(file, _)| file == self.file) {
            // No one to tell; a file that stays is replaced by the next server.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Makes a non-blocking socket bound to `address`, that listens if there is a backlog; the file gets `mode` before
/// anybody can connect.
pub(super) fn bind_unix(
    address: &UnixAddress,
    kind: Type,
    mode: Option<u32>,
    backlog: Option<u32>,
) -> Result<(Socket, Option<OwnedPath>), BindError> {
    let text = address.to_string();
    if let Some(mode) = mode {
        check_mode(mode, address)?;
    }
    check_name(address).map_err(|source| BindError::Bind { address: text.clone(), source })?;
    let target = address.to_socket_address().map_err(|source| BindError::Bind { address: text.clone(), source })?;
    let socket = Socket::new(Domain::UNIX, kind, None).map_err(step_failed(&text, "socket"))?;
    socket.set_nonblocking(true).map_err(step_failed(&text, "O_NONBLOCK"))?;
    #[cfg(target_os = "linux")]
    if let Some(mode) = mode {
        // The file is born with the mode of the unbound socket, less the umask: never with more rights than asked for.
        rustix::fs::fchmod(&socket, rustix::fs::Mode::from_raw_mode(mode))
            .map_err(|errno| step_failed(&text, "fchmod")(errno.into()))?;
    }
    let _lock = address.as_path().map(FolderLock::of);
    bind_replacing_stale(&socket, &target, address, kind)?;
    let owned =
        address.as_path().map(|path| OwnedPath::of(&socket, path)).transpose().map_err(step_failed(&text, "stat"))?;
    if let (Some(path), Some(mode)) = (address.as_path(), mode) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(step_failed(&text, "chmod"))?;
    }
    if let Some(backlog) = backlog {
        socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX)).map_err(step_failed(&text, "listen"))?;
    }
    Ok((socket, owned))
}

/// What the kernel would make something else of: unix(7) has no path without characters, and ends one at a zero byte.
fn check_name(address: &UnixAddress) -> io::Result<()> {
    /// Less the zero byte that ends a path, and that begins an abstract name.
    const MOST: usize = size_of::<libc::sockaddr_un>() - offset_of!(libc::sockaddr_un, sun_path) - 1;
    let invalid = |why: String| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    let length = match address {
        UnixAddress::Path(path) if path.as_os_str().is_empty() => {
            return invalid("the path is empty; choose a file in a folder that exists".to_owned());
        }
        UnixAddress::Path(path) if path.as_os_str().as_bytes().contains(&0) => {
            return invalid("a path cannot contain a zero byte".to_owned());
        }
        UnixAddress::Path(path) => path.as_os_str().len(),
        UnixAddress::Abstract(name) => name.len(),
        UnixAddress::Unnamed => return Ok(()),
    };
    if length <= MOST {
        return Ok(());
    }
    invalid(format!("it has {length} bytes, and the name of a socket at most {MOST}; choose a shorter one"))
}

fn check_mode(mode: u32, address: &UnixAddress) -> Result<(), BindError> {
    let reason = if address.as_path().is_none() {
        format!("{address} is not a path, so it has no file to set the mode of")
    } else if mode > 0o777 {
        // As is every usual mode whose digits were taken for decimal ones.
        "permissions are octal numbers up to 0o777: write 0o660, not 660".to_owned()
    } else {
        return Ok(());
    };
    Err(BindError::Option { option: "mode", value: format!("0o{mode:o}"), reason })
}

/// A socket file at which no process answers is left over from a server that was killed: it is replaced. A live one never
/// is.
fn bind_replacing_stale(
    socket: &Socket,
    target: &SockAddr,
    address: &UnixAddress,
    kind: Type,
) -> Result<(), BindError> {
    let failed = |source| BindError::Bind { address: address.to_string(), source };
    let Err(error) = socket.bind(target) else { return Ok(()) };
    let Some(path) = address.as_path().filter(|_| error.kind() == io::ErrorKind::AddrInUse) else {
        return Err(failed(error));
    };
    let (before, file_type) = match FileId::of(path) {
        // Removed meanwhile, by a program that knows nothing of the lock.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return socket.bind(target).map_err(failed),
        found => found.map_err(failed)?,
    };
    let path_text = || path.display().to_string();
    if !file_type.is_socket() {
        return Err(BindError::NotASocket { path: path_text() });
    }
    let probe = Socket::new(Domain::UNIX, kind, None).map_err(failed)?;
    probe.set_nonblocking(true).map_err(failed)?;
    match probe.connect(target) {
        Err(refused) if refused.kind() == io::ErrorKind::ConnectionRefused => {}
        // Connected, a full backlog, a socket of another type: a process has it.
        _ => return Err(BindError::UnixPathInUse { path: path_text() }),
    }
    if FileId::of(path).map_err(failed)?.0 != before {
        return Err(BindError::UnixPathInUse { path: path_text() });
    }
    std::fs::remove_file(path).map_err(failed)?;
    socket.bind(target).map_err(failed)
}

/// The process at the other end of a Unix-domain connection, as it was when it connected: unix(7), `SO_PEERCRED`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct PeerCredentials {
    /// Process ID.
    pub pid: i32,
    /// User ID.
    pub uid: u32,
    /// Group ID.
    pub gid: u32,
}

/// Extensions of Unix-domain sockets.
pub trait UnixSocketExt: AsFd {
    /// The process at the other end.
    ///
    /// # Errors
    ///
    /// `Unsupported` where the system does not tell (only Linux does).
    fn peer_credentials(&self) -> io::Result<PeerCredentials> {
        credentials(self.as_fd())
    }
}

/// Who is at the other end of a Unix-domain connection.
pub(super) fn credentials(socket: BorrowedFd<'_>) -> io::Result<PeerCredentials> {
    #[cfg(target_os = "linux")]
    {
        let found = rustix::net::sockopt::socket_peercred(socket)?;
        Ok(PeerCredentials { pid: found.pid.as_raw_pid(), uid: found.uid.as_raw(), gid: found.gid.as_raw() })
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = socket;
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl UnixSocketExt for std::os::unix::net::UnixStream {}
