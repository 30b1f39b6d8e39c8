//! A file with parts left out or replaced, which reads like a file.

use std::ops::Range;

/// The most pieces of a view. Ordinary files have a few, hostile ones up to one per 15 bytes, and
/// each takes memory.
const MAX_PIECES: usize = 10_000;

/// Parts of a file, and bytes inserted between them.
pub(super) struct View<'a> {
    file: &'a [u8],
    pieces: Vec<Piece>,
    len: u64,
}

struct Piece {
    /// Its position in the view.
    start: u64,
    content: Content,
}

enum Content {
    Part(Range<usize>),
    Added(Vec<u8>),
}

impl<'a> View<'a> {
    /// A view that has nothing of the file yet.
    pub fn empty(file: &'a [u8]) -> Self {
        Self { file, pieces: Vec::new(), len: 0 }
    }

    /// A view of the whole file.
    pub fn whole(file: &'a [u8]) -> Self {
        let mut view = Self::empty(file);
        view.keep(0..file.len());
        view
    }

    /// Appends a part of the file. What lies beyond the file's end is left out.
    pub fn keep(&mut self, part: Range<usize>) {
        let part = part.start.min(self.file.len())..part.end.min(self.file.len());
        if part.is_empty() {
            return;
        }
        let start = self.len;
        self.len += part.len() as u64;
        match self.pieces.last_mut() {
            Some(Piece { content: Content::Part(last), .. }) if last.end == part.start => last.end = part.end,
            _ => self.pieces.push(Piece { start, content: Content::Part(part) }),
        }
    }

    /// Appends these bytes.
    pub fn insert(&mut self, bytes: Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let start = self.len;
        self.len += bytes.len() as u64;
        self.pieces.push(Piece { start, content: Content::Added(bytes) });
    }

    /// Appends another view of the same file.
    pub fn append(&mut self, other: View<'a>) {
        for Piece { content, .. } in other.pieces {
            match content {
                Content::Part(part) => self.keep(part),
                Content::Added(bytes) => self.insert(bytes),
            }
        }
    }

    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has more pieces than any ordinary file has.
    pub fn is_scattered(&self) -> bool {
        self.pieces.len() > MAX_PIECES
    }

    /// The bytes from `position` to the end of their piece; empty at the end of the view.
    pub fn bytes_from(&self, position: u64) -> &[u8] {
        let next = self.pieces.partition_point(|piece| piece.start <= position);
        let Some(piece) = next.checked_sub(1).and_then(|last| self.pieces.get(last)) else { return &[] };
        let content = match &piece.content {
            Content::Part(part) => &self.file[part.clone()],
            Content::Added(bytes) => bytes,
        };
        let offset = usize::try_from(position - piece.start).unwrap_or(usize::MAX);
        content.get(offset..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::View;

    #[test]
    fn pieces_are_read_one_after_the_other() {
        let mut view = View::empty(b"0123456789");
        view.keep(1..3);
        view.keep(3..5);
        view.insert(b"ab".to_vec());
        view.keep(8..20);
        view.keep(30..40);
        assert_eq!(view.pieces.len(), 3, "adjoining parts are one piece");
        let (mut read, mut position) = (Vec::<u8>::new(), 0);
        while !view.bytes_from(position).is_empty() {
            read.extend(view.bytes_from(position));
            position = read.len() as u64;
        }
        assert_eq!(read, b"1234ab89");
        assert_eq!(view.len(), 8);
        assert_eq!(view.bytes_from(5), b"b");
        assert_eq!(view.bytes_from(9), b"");
        assert_eq!(View::empty(b"x").bytes_from(0), b"");
    }
}
