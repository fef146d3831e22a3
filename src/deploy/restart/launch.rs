//! How this process was started, and how its successor is.

use std::ffi::OsStr;
use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::READY;
use super::Sockets;
use crate::sys::start::FIRST;
use crate::sys::start::Program;
use crate::sys::start::start;
use crate::transport::kept;
use crate::transport::unix_path::moving;

/// In the environment, followed by the number of a descriptor: the file of that socket.
const FILE_OF: &str = "SOCKETSERVER_FILE_OF_";

/// What was meant for this process alone. The watchdog's is left out, so that it means the process that reads the rest.
const OWN: [&str; 5] = ["LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID", "WATCHDOG_PID", kept::NOT_KEPT];

/// What a new process needs that is to be what this one is.
pub(super) struct Recipe {
    /// Where the program is. Later it could not be found out any more: a file that is replaced has no name.
    pub(super) program: io::Result<PathBuf>,
}

/// A process that has been started.
pub(super) struct Started {
    pub(super) pid: u32,
    /// Where it tells that it serves.
    pub(super) ready: OwnedFd,
}

impl Recipe {
    pub(super) fn of_this_process() -> Self {
        Self { program: std::env::current_exe() }
    }

    pub(super) fn start(&self, listeners: &[(String, OwnedFd)]) -> io::Result<Started> {
        let path = match &self.program {
            Ok(path) => path.clone().into_os_string(),
            Err(error) => {
                return Err(io::Error::new(error.kind(), format!("where this program is, is not known: {error}")));
            }
        };
        let (ready, tells) = rustix::pipe::pipe()?;
        for end in [&ready, &tells] {
            rustix::io::fcntl_setfd(end, rustix::io::FdFlags::CLOEXEC)?;
        }
        rustix::fs::fcntl_setfl(&ready, rustix::fs::OFlags::NONBLOCK)?;
        let descriptors: Vec<BorrowedFd<'_>> =
            listeners.iter().map(|(_, listener)| listener.as_fd()).chain([tells.as_fd()]).collect();
        let environment = environment(listeners);
        let arguments = std::env::args_os().collect();
        let pid = start(Program { path, arguments, environment }, &descriptors)?;
        Ok(Started { pid, ready })
    }
}

/// That of this process, with the listeners and what belongs to them.
fn environment(listeners: &[(String, OwnedFd)]) -> Vec<OsString> {
    let of_this: Vec<_> = std::env::vars_os()
        .filter(|(name, _)| !OWN.iter().any(|own| name == own) && !name.as_bytes().starts_with(FILE_OF.as_bytes()))
        .collect();
    let names = listeners.iter().map(|(name, _)| name.as_str()).chain([READY]).collect::<Vec<_>>().join(":");
    let files = (FIRST..).zip(listeners).filter_map(|(number, (_, listener))| {
        let text = moving::text_of(listener.as_fd())?;
        Some((format!("{FILE_OF}{number}").into(), text))
    });
    let not_kept = (FIRST..).zip(listeners).filter(|(_, (_, listener))| !kept::is_kept(listener.as_fd()));
    let not_kept = not_kept.map(|(number, _)| number.to_string()).collect::<Vec<_>>().join(",");
    let count = (listeners.len() + 1).to_string();
    of_this
        .into_iter()
        .chain([("LISTEN_FDS".into(), count.into()), ("LISTEN_FDNAMES".into(), names.into())])
        .chain([(kept::NOT_KEPT.into(), not_kept.into())])
        .chain(files)
        .map(|(name, value)| [name.as_os_str(), OsStr::new("="), value.as_os_str()].into_iter().collect())
        .collect()
}

/// In the new process: the files of its sockets are to be its own.
pub(super) fn inherit_paths(sockets: &Sockets) {
    for socket in sockets.descriptors() {
        let number = std::os::fd::AsRawFd::as_raw_fd(&socket);
        if let Some(text) = std::env::var_os(format!("{FILE_OF}{number}")) {
            moving::inherit(socket, &text);
        }
    }
}

/// The new process is the main process of the service from now on; without systemd there is none to tell.
pub(super) fn tell_manager(pid: u32) {
    // A manager that cannot be told sees this process end.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::MainPid(pid)]);
}
