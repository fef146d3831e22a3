//! The names in a folder, in the order in which a page shows them.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::Weak;
use std::time::Duration;

use rustix::fs::Dir;
use rustix::fs::FileType;

/// What the names of one page may take, with what is kept beside each: a page is sent piece by piece, and they wait
/// until the client has it all. What is left over of a larger folder is not shown.
pub const MOST: usize = 4 * 1024 * 1024;

/// The names of a page that have not been taken yet.
#[derive(Debug)]
pub struct Listing {
    names: Arc<Names>,
    taken: usize,
}

/// Names, without what else a page shows of them: that is looked up when their row is drawn.
#[derive(Debug, Default)]
struct Names {
    text: Vec<u8>,
    entries: Vec<Entry>,
    /// The folder has more.
    is_cut: bool,
}

/// The names that pages still have. Those of a folder are kept once, however many clients do not read their pages.
#[derive(Debug, Default)]
pub struct Listings(Mutex<HashMap<Folder, Weak<Names>>>);

/// A folder as it was: its place, and when its names last changed.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct Folder {
    place: (u64, u64),
    changed: (i64, i64),
}

impl Listings {
    /// The names of a folder, read now, or not long ago for a page that is not sent yet. `resolve` says of what the folder
    /// itself does not tell, a link say, whether it is a folder; `None` if it is not to be shown.
    pub fn of(&self, folder: &File, resolve: impl Fn(&[u8]) -> Option<bool>) -> io::Result<Listing> {
        let metadata = folder.metadata()?;
        let key =
            Folder { place: (metadata.dev(), metadata.ino()), changed: (metadata.ctime(), metadata.ctime_nsec()) };
        let known = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(names) = known().get(&key).and_then(Weak::upgrade) {
            return Ok(Listing { names, taken: 0 });
        }
        let names = Arc::new(Names::read(folder, resolve)?);
        // What changes within the same tick of the file system's clock would not be seen.
        let is_settled = metadata.modified().is_ok_and(|at| at.elapsed().is_ok_and(|since| since > SETTLED));
        if is_settled {
            let mut known = known();
            known.retain(|_, names| names.strong_count() > 0);
            known.insert(key, Arc::downgrade(&names));
        }
        Ok(Listing { names, taken: 0 })
    }
}

/// A folder has its names if it has not changed for this long.
const SETTLED: Duration = Duration::from_secs(1);

/// A name in the text; none is longer than 255 bytes.
#[derive(Clone, Copy, Debug)]
struct Entry {
    at: u32,
    length: u8,
    is_folder: bool,
}

impl Names {
    fn read(folder: &File, resolve: impl Fn(&[u8]) -> Option<bool>) -> io::Result<Self> {
        let mut names = Self::default();
        for entry in Dir::read_from(folder)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let is_folder = match entry.file_type() {
                FileType::RegularFile => Some(false),
                FileType::Directory => Some(true),
                FileType::Symlink | FileType::Unknown => resolve(name),
                _ => None,
            };
            if let (Some(is_folder), Ok(length)) = (is_folder, u8::try_from(name.len())) {
                let taken = names.text.len() + names.entries.len() * size_of::<Entry>();
                if taken + name.len() + size_of::<Entry>() > MOST {
                    names.is_cut = true;
                    break;
                }
                names.entries.push(Entry { at: names.text.len() as u32, length, is_folder });
                names.text.extend_from_slice(name);
            }
        }
        let Self { text, entries, .. } = &mut names;
        // Folders first, and then as people look for names; the exact ones decide only between those that read the same.
        entries.sort_unstable_by_key(|entry| entry.name(text));
        entries.sort_by_cached_key(|entry| {
            (Reverse(entry.is_folder), String::from_utf8_lossy(entry.name(text)).to_lowercase())
        });
        Ok(names)
    }
}

impl Listing {
    /// The next name.
    pub fn next(&mut self) -> Option<&[u8]> {
        let entry = self.names.entries.get(self.taken)?;
        self.taken += 1;
        Some(entry.name(&self.names.text))
    }

    /// Whether the folder has more than a page can show.
    pub fn is_cut(&self) -> bool {
        self.names.is_cut
    }
}

impl Entry {
    fn name(self, text: &[u8]) -> &[u8] {
        &text[self.at as usize..][..usize::from(self.length)]
    }
}
