//! A file with parts left out or replaced, read as if it were all there is.

use std::ops::Range;

/// Pieces of a view. Ordinary files have a few; each takes memory, and a file can have one per 15
/// bytes.
const MAX_PIECES: usize = 10_000;

/// Parts of a file, and bytes put in between.
pub(super) struct View<'a> {
    file: &'a [u8],
    pieces: Vec<Piece>,
    len: u64,
}

struct Piece {
    /// Where it begins in the view.
    start: u64,
    content: Content,
}

enum Content {
    Part(Range<usize>),
    Added(Vec<u8>),
}

impl<'a> View<'a> {
    /// Nothing of the file yet.
    pub fn of(file: &'a [u8]) -> Self {
        Self { file, pieces: Vec::new(), len: 0 }
    }

    /// All of the file.
    pub fn whole(file: &'a [u8]) -> Self {
        let mut view = Self::of(file);
        view.keep(0..file.len());
        view
    }

    /// Goes on with a part of the file, as far as the file goes.
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

    /// Goes on with these bytes.
    pub fn add(&mut self, bytes: Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let start = self.len;
        self.len += bytes.len() as u64;
        self.pieces.push(Piece { start, content: Content::Added(bytes) });
    }

    /// Goes on with another view of the same file.
    pub fn append(&mut self, other: View<'a>) {
        for Piece { content, .. } in other.pieces {
            match content {
                Content::Part(part) => self.keep(part),
                Content::Added(bytes) => self.add(bytes),
            }
        }
    }

    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has more pieces than any ordinary file.
    pub fn is_scattered(&self) -> bool {
        self.pieces.len() > MAX_PIECES
    }

    /// As many bytes from `position` on as lie together; none at the end.
    pub fn at(&self, position: u64) -> &[u8] {
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
        let mut view = View::of(b"0123456789");
        view.keep(1..3);
        view.keep(3..5);
        view.add(b"ab".to_vec());
        view.keep(8..20);
        view.keep(30..40);
        assert_eq!(view.pieces.len(), 3, "neighbours are one piece");
        let (mut read, mut position) = (Vec::<u8>::new(), 0);
        while !view.at(position).is_empty() {
            read.extend(view.at(position));
            position = read.len() as u64;
        }
        assert_eq!(read, b"1234ab89");
        assert_eq!(view.len(), 8);
        assert_eq!(view.at(5), b"b");
        assert_eq!(view.at(9), b"");
        assert_eq!(View::of(b"x").at(0), b"");
    }
}
