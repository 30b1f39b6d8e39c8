//! The boxes of an MP4 file (ISO/IEC 14496-12, section 4.2) and the numbers in them.

/// The boxes in `bytes`, one after another: kind and content. Ends at the first that is not
/// well-formed. A box that claims more bytes than there are ends with `bytes`.
pub(super) fn boxes(bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    boxes_at(bytes).map(|(_, kind, content)| (kind, content))
}

/// The same, with the offset of each box in `bytes`.
pub(super) fn boxes_at(bytes: &[u8]) -> impl Iterator<Item = (u64, [u8; 4], &[u8])> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = bytes.get(at..)?;
        let kind: [u8; 4] = rest.get(4..8)?.try_into().ok()?;
        let (header, size) = match number(rest, 0, 4)? {
            0 => (8, rest.len() as u64),
            1 => (16, number(rest, 8, 8)?),
            size => (8, size),
        };
        let size = usize::try_from(size).unwrap_or(usize::MAX).min(rest.len());
        let content = rest.get(header..size)?;
        let start = at as u64;
        at += size;
        Some((start, kind, content))
    })
}

pub(super) fn child<'a>(parent: &'a [u8], wanted: &[u8; 4]) -> Option<&'a [u8]> {
    boxes(parent).find(|(kind, _)| kind == wanted).map(|(_, content)| content)
}

/// The box at the end of a path of kinds.
pub(super) fn descendant<'a>(parent: &'a [u8], path: &[&[u8; 4]]) -> Option<&'a [u8]> {
    path.iter().try_fold(parent, |parent, kind| child(parent, kind))
}

/// The rows of a table: a box with version and flags, the number of rows, and rows of `width`
/// bytes. Rows that the table claims but does not have are left out.
pub(super) fn rows(table: &[u8], width: usize) -> impl Iterator<Item = &[u8]> {
    let count = number(table, 4, 4).unwrap_or(0) as usize;
    table.get(8..).unwrap_or_default().chunks_exact(width).take(count)
}

/// The 32-bit number at `offset`, or zero.
pub(super) fn word(bytes: &[u8], offset: usize) -> u32 {
    number(bytes, offset, 4).unwrap_or(0) as u32
}

/// A big-endian number of `width` bytes at `offset`.
pub(super) fn number(bytes: &[u8], offset: usize, width: usize) -> Option<u64> {
    let bytes = bytes.get(offset..offset.checked_add(width)?)?;
    Some(bytes.iter().fold(0, |value, &byte| value << 8 | u64::from(byte)))
}

/// A box of this kind and content.
pub(super) fn boxed(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    [&(content.len() as u32 + 8).to_be_bytes(), kind.as_slice(), content].concat()
}
