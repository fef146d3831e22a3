//! Opening what is in a directory, and nothing outside of it, whatever links lead where and whoever changes them
//! meanwhile.

use std::fs::File;
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

/// Not waiting for somebody to write to a FIFO.
const FLAGS: OFlags = OFlags::NONBLOCK.union(OFlags::CLOEXEC);

impl Root {
    pub fn open(folder: &Path) -> io::Result<Self> {
        let path = folder.canonicalize()?;
        // Said now rather than at the first request.
        std::fs::read_dir(&path)?;
        Ok(Self {
            #[cfg(target_os = "linux")]
            folder: File::open(&path)?,
            path,
        })
    }

    /// Opens what has this path below the directory, for reading.
    pub fn find(&self, path: &Path) -> io::Result<File> {
        #[cfg(target_os = "linux")]
        match self.find_at_once(path) {
            // Linux before 5.6, or a sandbox that does not know the call. Not EACCES, which tells of a file.
            Err(Errno::NOSYS | Errno::PERM) => {}
            outcome => return Ok(outcome?),
        }
        self.find_step_by_step(path)
    }

    /// The kernel follows links, and refuses (EXDEV) those that lead out of the directory, and absolute ones.
    #[cfg(target_os = "linux")]
    fn find_at_once(&self, path: &Path) -> rustix::io::Result<File> {
        use rustix::fs::Mode;
        use rustix::fs::ResolveFlags;
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        loop {
            match rustix::fs::openat2(&self.folder, path, OFlags::RDONLY | FLAGS, Mode::empty(), resolve) {
                // Something was renamed meanwhile, and the kernel is not sure any more.
                Err(Errno::AGAIN | Errno::INTR) => {}
                outcome => return Ok(outcome?.into()),
            }
        }
    }

    /// Looks where the path leads, then opens what is there if it is no link: safe as long as nobody else writes to the
    /// directory.
    fn find_step_by_step(&self, path: &Path) -> io::Result<File> {
        let path = self.path.join(path).canonicalize()?;
        if !path.starts_with(&self.path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        OpenOptions::new().read(true).custom_flags((FLAGS | OFlags::NOFOLLOW).bits() as i32).open(path)
    }
}
