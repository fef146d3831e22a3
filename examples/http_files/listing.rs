//! The names in a folder, in the order in which a page shows them.

use std::cmp::Reverse;
use std::fs::File;
use std::io;

use rustix::fs::Dir;
use rustix::fs::FileType;

/// What the names of one page may take, with what is kept beside each: a page is sent piece by piece, and they wait
/// until the client has it all. What is left over of a larger folder is not shown.
pub const MOST: usize = 4 * 1024 * 1024;

/// Names, without what else a page shows of them: that is looked up when their row is drawn.
#[derive(Debug, Default)]
pub struct Listing {
    text: Vec<u8>,
    entries: Vec<Entry>,
    /// How many have been taken.
    taken: usize,
    /// The folder has more.
    pub is_cut: bool,
}

/// A name in the text; none is longer than 255 bytes.
#[derive(Clone, Copy, Debug)]
struct Entry {
    at: u32,
    length: u8,
    is_folder: bool,
}

impl Listing {
    /// Reads a folder. `resolve` says of what the folder itself does not tell, a link say, whether it is a folder; `None`
    /// if it is not to be shown.
    pub fn read(folder: &File, resolve: impl Fn(&[u8]) -> Option<bool>) -> io::Result<Self> {
        let mut listing = Self::default();
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
                let taken = listing.text.len() + listing.entries.len() * size_of::<Entry>();
                if taken + name.len() + size_of::<Entry>() > MOST {
                    listing.is_cut = true;
                    break;
                }
                listing.entries.push(Entry { at: listing.text.len() as u32, length, is_folder });
                listing.text.extend_from_slice(name);
            }
        }
        let Self { text, entries, .. } = &mut listing;
        // Folders first, and then as people look for names; the exact ones decide only between those that read the same.
        entries.sort_unstable_by_key(|entry| entry.name(text));
        entries.sort_by_cached_key(|entry| {
            (Reverse(entry.is_folder), String::from_utf8_lossy(entry.name(text)).to_lowercase())
        });
        Ok(listing)
    }

    /// The next name.
    pub fn next(&mut self) -> Option<&[u8]> {
        let entry = self.entries.get(self.taken)?;
        self.taken += 1;
        Some(entry.name(&self.text))
    }
}

impl Entry {
    fn name(self, text: &[u8]) -> &[u8] {
        &text[self.at as usize..][..usize::from(self.length)]
    }
}
