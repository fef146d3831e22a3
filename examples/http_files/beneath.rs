//! Looking at what is in a directory and opening it, and nothing outside of it, whatever links lead where and whoever
//! changes them meanwhile.

use std::fs::File;
use std::fs::Metadata;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;

use rustix::fs::OFlags;
#[cfg(target_os = "linux")]
use rustix::io::Errno;

/// The directory that is served.
pub struct Root {
    /// Without symbolic links.
    path: PathBuf,
    #[cfg(target_os = "linux")]
    folder: File,
}

/// Not waiting for a writer, should what was a file have become a FIFO meanwhile.
const READ: OFlags = OFlags::NONBLOCK.union(OFlags::CLOEXEC);

impl Root {
    /// The directory may be one that can be searched and not read: then only those who know names get what they name.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let path = folder.canonicalize()?;
        let root = Self {
            #[cfg(target_os = "linux")]
            folder: {
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                rustix::fs::open(&path, flags, rustix::fs::Mode::empty())?.into()
            },
            path,
        };
        // Said now rather than at the first request.
        root.look(Path::new("./"))?;
        Ok(root)
    }

    /// What has this path below the directory, without opening it: to open a FIFO lets its writer in, and to open a
    /// device may do anything.
    pub fn look(&self, path: &Path) -> io::Result<Metadata> {
        #[cfg(target_os = "linux")]
        match self.at_once(path, OFlags::PATH | OFlags::CLOEXEC) {
            Err(error) if is_unknown(error) => {}
            outcome => return outcome?.metadata(),
        }
        self.step_by_step(path)?.symlink_metadata()
    }

    /// Opens what has this path below the directory, for reading.
    pub fn read(&self, path: &Path) -> io::Result<File> {
        #[cfg(target_os = "linux")]
        match self.at_once(path, OFlags::RDONLY | READ) {
            Err(error) if is_unknown(error) => {}
            outcome => return Ok(outcome?),
        }
        let flags = (READ | OFlags::NOFOLLOW).bits() as i32;
        OpenOptions::new().read(true).custom_flags(flags).open(self.step_by_step(path)?)
    }

    /// The kernel follows links, and refuses (EXDEV) those that lead out of the directory, and absolute ones.
    #[cfg(target_os = "linux")]
    fn at_once(&self, path: &Path, flags: OFlags) -> rustix::io::Result<File> {
        use rustix::fs::Mode;
        use rustix::fs::ResolveFlags;
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        loop {
            match rustix::fs::openat2(&self.folder, path, flags, Mode::empty(), resolve) {
                // Something was renamed meanwhile, and the kernel is not sure any more.
                Err(Errno::AGAIN | Errno::INTR) => {}
                outcome => return Ok(outcome?.into()),
            }
        }
    }

    /// Where the path leads, to be looked at or opened if it is no link: safe as long as no other program writes to the
    /// directory.
    fn step_by_step(&self, path: &Path) -> io::Result<PathBuf> {
        let path = self.path.join(path).canonicalize()?;
        if path.starts_with(&self.path) { Ok(path) } else { Err(io::ErrorKind::NotFound.into()) }
    }
}

/// Linux before 5.6, or a sandbox that does not know the call. Not EACCES, which tells of a file.
#[cfg(target_os = "linux")]
fn is_unknown(error: Errno) -> bool {
    matches!(error, Errno::NOSYS | Errno::PERM)
}
