//! The read buffer of a connection: lent by the worker for a turn, kept only while it holds unread bytes.

use crate::sys::bytes::Bytes;

/// `data[start..end]` is unread.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    data: Bytes,
    start: usize,
    end: usize,
}

/// The size of a worker's buffer; one system call reads at most so much.
pub(crate) const SIZE: usize = 64 * 1024;

impl Buffer {
    /// A buffer with these bytes unread.
    pub(crate) fn holding(unread: Vec<u8>) -> Self {
        let data = Bytes::from(unread);
        Self { start: 0, end: data.len(), data }
    }

    #[inline]
    pub(crate) fn unread(&self) -> &[u8] {
        &self.data[self.start..self.end]
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.end - self.start
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Whether it is as [`default`](Self::default) makes it.
    pub(crate) fn has_no_memory(&self) -> bool {
        self.data.is_empty()
    }

    #[inline]
    pub(crate) fn consume(&mut self, count: usize) {
        self.start = self.end.min(self.start + count);
        if self.is_empty() {
            self.start = 0;
            self.end = 0;
        }
    }

    /// Takes the worker's buffer, with the unread bytes at its front; gives back one that is not needed.
    #[inline]
    pub(crate) fn lend(&mut self, mut lent: Bytes) -> Option<Bytes> {
        if self.data.len() >= lent.len() {
            return Some(lent);
        }
        let length = self.len();
        if length > 0 {
            lent[..length].copy_from_slice(self.unread());
        }
        self.data = lent;
        self.start = 0;
        self.end = length;
        None
    }

    /// Gives the large buffer back and keeps a copy of what is unread; a buffer that has grown for a long message
    /// stays, because to copy the message at each of its pieces would cost the square of its length.
    #[inline]
    pub(crate) fn reclaim(&mut self) -> Option<Bytes> {
        if self.data.len() > SIZE && self.len() >= self.data.len() / 4 {
            return None;
        }
        let kept = if self.is_empty() { Bytes::default() } else { Bytes::copy_of(self.unread()) };
        self.start = 0;
        self.end = kept.len();
        Some(std::mem::replace(&mut self.data, kept))
    }

    /// Room for at least a byte behind what is unread, up to `limit` bytes in all; empty if that many are unread.
    #[inline]
    pub(crate) fn room(&mut self, limit: usize) -> &mut [u8] {
        if self.end == self.data.len() {
            self.make_room(limit);
        }
        let end = self.start.saturating_add(limit).clamp(self.end, self.data.len());
        &mut self.data[self.end..end]
    }

    #[inline]
    pub(crate) fn filled(&mut self, count: usize) {
        self.end += count;
    }

    fn make_room(&mut self, limit: usize) {
        let length = self.len();
        if self.start > 0 {
            self.data.copy_within(self.start..self.end, 0);
            self.start = 0;
            self.end = length;
        } else if length < limit || self.data.is_empty() {
            let size = if length == 0 { SIZE } else { (length * 2).min(limit.max(length + 1)).max(4096) };
            let mut larger = Bytes::zeroed(size);
            larger[..length].copy_from_slice(&self.data[..length]);
            self.data = larger;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(buffer: &mut Buffer, bytes: &[u8]) {
        let room = buffer.room(1 << 20);
        room[..bytes.len()].copy_from_slice(bytes);
        buffer.filled(bytes.len());
    }

    #[test]
    fn unread_bytes_survive_being_lent_and_reclaimed() {
        let mut buffer = Buffer::default();
        assert!(buffer.lend(Bytes::zeroed(SIZE)).is_none());
        fill(&mut buffer, b"hello world");
        buffer.consume(6);
        let large = buffer.reclaim().expect("the worker's own");
        assert_eq!(large.len(), SIZE);
        assert_eq!(buffer.unread(), b"world");
        assert_eq!(buffer.data.len(), 5, "an idle connection keeps what is unread and no more");
        assert!(buffer.lend(large).is_none());
        fill(&mut buffer, b"!");
        assert_eq!(buffer.unread(), b"world!");
    }

    #[test]
    fn a_long_message_is_not_copied_at_each_of_its_pieces() {
        let mut buffer = Buffer::default();
        assert!(buffer.lend(Bytes::zeroed(SIZE)).is_none());
        while buffer.len() < 3 * SIZE {
            let room = buffer.room(1 << 20).len();
            buffer.filled(room);
        }
        let place = buffer.unread().as_ptr();
        assert!(buffer.reclaim().is_none(), "what is unread stays where it is");
        assert!(buffer.lend(Bytes::zeroed(SIZE)).is_some(), "the worker's buffer is not needed");
        assert_eq!(buffer.unread().as_ptr(), place);
        buffer.consume(buffer.len() - 5);
        assert!(buffer.reclaim().is_some(), "most of it is free again");
        assert_eq!(buffer.data.len(), 5);
    }

    #[test]
    fn room_ends_at_the_limit() {
        let mut buffer = Buffer::default();
        assert!(buffer.lend(Bytes::zeroed(8)).is_none());
        for _ in 0..100 {
            let room = buffer.room(100).len();
            buffer.filled(room);
        }
        assert_eq!(buffer.len(), 100);
        assert!(buffer.room(100).is_empty());
        buffer.consume(10);
        assert_eq!(buffer.room(100).len(), 10);
    }
}
