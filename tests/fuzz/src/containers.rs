//! Audio files whose structure is right and whose contents are not: what random changes to a real
//! file hardly ever make.

use arbitrary::{Result, Unstructured};
use support::bombs::{OPUS_HEAD, OPUS_TAGS, block, boxed, element, mend_ogg_page, movie, ogg_page, webm};

/// The deepest nesting of boxes and elements.
const DEPTH: usize = 6;

/// Makes a file of what `bytes` choose. `None` if they are too few to choose anything.
pub fn file(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut choices = Unstructured::new(bytes);
    match choices.int_in_range(0..=4).ok()? {
        0 => ogg(&mut choices),
        1 => mp4(&mut choices),
        2 => matroska(&mut choices),
        3 => chunks(&mut choices, b"RIFF", b"WAVE", u32::to_le_bytes),
        _ => chunks(&mut choices, b"FORM", b"AIFF", u32::to_be_bytes),
    }
    .ok()
}

/// The same bytes with the checksum of every whole Ogg page put right; `None` without such a page.
pub fn with_right_checksums(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut file = bytes.to_vec();
    let mut at = 0;
    let mut sealed = false;
    while let Some(found) = file[at..].windows(4).position(|four| four == b"OggS") {
        at += found;
        let Some(&segments) = file.get(at + 26) else { break };
        let Some(table) = file.get(at + 27..at + 27 + usize::from(segments)) else { break };
        let data: usize = table.iter().map(|&size| usize::from(size)).sum();
        let end = at + 27 + usize::from(segments) + data;
        match file.get_mut(at..end) {
            Some(page) => mend_ogg_page(page),
            None => break,
        }
        sealed = true;
        at = end;
    }
    sealed.then_some(file)
}

/// A number as hostile files have them: small, at a limit, or any.
fn number(choices: &mut Unstructured) -> Result<u64> {
    Ok(match choices.int_in_range(0..=5)? {
        0..=2 => choices.int_in_range(0..=16)?,
        3 => u64::from(choices.arbitrary::<u16>()?),
        4 => *choices.choose(&[0x7fff_ffff, 0x8000_0000, 0xffff_ffff, u64::MAX >> 1, u64::MAX])?,
        _ => choices.arbitrary()?,
    })
}

/// Up to `most` of what `make` makes.
fn several(
    choices: &mut Unstructured,
    most: usize,
    mut make: impl FnMut(&mut Unstructured) -> Result<Vec<u8>>,
) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    for _ in 0..choices.int_in_range(0..=most)? {
        if choices.is_empty() {
            break;
        }
        all.extend(make(choices)?);
    }
    Ok(all)
}

/// What is in a box, element or chunk that contains no others: numbers, or any bytes.
fn content(choices: &mut Unstructured) -> Result<Vec<u8>> {
    if choices.ratio(3, 4)? {
        several(choices, 12, |choices| {
            let number = number(choices)?.to_be_bytes();
            Ok(number[*choices.choose(&[0, 4, 4, 6, 7])?..].to_vec())
        })
    } else {
        let size = choices.int_in_range(0..=choices.len().min(64))?;
        Ok(choices.bytes(size)?.to_vec())
    }
}

fn ogg(choices: &mut Unstructured) -> Result<Vec<u8>> {
    let mut file = Vec::new();
    for page in 0..choices.int_in_range(1..=12u32)? {
        let packets: Vec<Vec<u8>> = match page {
            0 if choices.ratio(7, 8)? => vec![OPUS_HEAD.to_vec()],
            1 if choices.ratio(7, 8)? => vec![OPUS_TAGS.to_vec()],
            _ => (0..choices.int_in_range(0..=6)?)
                .map(|_| {
                    let size = choices.int_in_range(0..=choices.len().min(80))?;
                    Ok(choices.bytes(size)?.to_vec())
                })
                .collect::<Result<_>>()?,
        };
        let packets: Vec<&[u8]> = packets.iter().map(Vec::as_slice).collect();
        let flags = if choices.ratio(3, 4)? { u8::from(page == 0) * 2 } else { choices.arbitrary()? };
        let stream = choices.int_in_range(0..=2)?;
        let count = if choices.ratio(3, 4)? { page } else { choices.arbitrary()? };
        file.extend(ogg_page(flags, stream, count, number(choices)?, &packets));
    }
    Ok(file)
}

/// Boxes that contain boxes, and boxes that do not.
const OUTER: [&[u8; 4]; 10] =
    [b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf", b"mvex", b"edts", b"udta"];
const INNER: [&[u8; 4]; 22] = [
    b"mvhd", b"tkhd", b"mdhd", b"hdlr", b"smhd", b"stsd", b"stts", b"stsc", b"stsz", b"stco", b"co64",
    b"stss", b"elst", b"trex", b"mfhd", b"tfhd", b"tfdt", b"trun", b"mdat", b"meta", b"sidx", b"esds",
];

fn mp4(choices: &mut Unstructured) -> Result<Vec<u8>> {
    let boxes = several(choices, 6, |choices| mp4_box(choices, 0))?;
    Ok(if choices.ratio(1, 2)? {
        movie(&boxes, &several(choices, 4, |choices| mp4_box(choices, 0))?)
    } else {
        [boxed(b"ftyp", b"isom\0\0\0\0"), boxes].concat()
    })
}

fn mp4_box(choices: &mut Unstructured, depth: usize) -> Result<Vec<u8>> {
    let mut made = if depth < DEPTH && choices.ratio(1, 2)? {
        let kind = *choices.choose(&OUTER)?;
        boxed(kind, &several(choices, 5, |choices| mp4_box(choices, depth + 1))?)
    } else {
        let kind = *choices.choose(&INNER)?;
        // The version and flags of most boxes, of which a few mean something.
        let flags = *choices.choose(&[0, 0, 0, 1, 0x0100_0000, 0x301, 0xf01, 0x2_0038])?;
        boxed(kind, &[u32::to_be_bytes(flags).to_vec(), content(choices)?].concat())
    };
    if choices.ratio(1, 16)? {
        made[..4].copy_from_slice(&(number(choices)? as u32).to_be_bytes());
    }
    Ok(made)
}

/// EBML elements that contain others, and elements that do not.
const MASTERS: [u32; 9] =
    [0x1853_8067, 0x1654_AE6B, 0xAE, 0xE1, 0x1F43_B675, 0xA0, 0x1254_C367, 0x1C53_BB6B, 0x114D_9B74];
const VALUES: [u32; 16] = [
    0x2A_D7B1, 0x4489, 0xD7, 0x73C5, 0x83, 0x86, 0x63A2, 0xB5, 0x9F, 0x6264, 0xE7, 0xA1, 0xA3, 0xEC, 0xFB,
    0x9B,
];

fn matroska(choices: &mut Unstructured) -> Result<Vec<u8>> {
    let parts = several(choices, 5, |choices| ebml(choices, 0))?;
    let blocks = several(choices, 8, |choices| {
        if choices.ratio(1, 2)? { ebml(choices, 0) } else { Ok(block(&content(choices)?)) }
    })?;
    Ok(webm(&parts, &blocks))
}

fn ebml(choices: &mut Unstructured, depth: usize) -> Result<Vec<u8>> {
    if depth < DEPTH && choices.ratio(1, 2)? {
        let id = *choices.choose(&MASTERS)?;
        Ok(element(id, &several(choices, 5, |choices| ebml(choices, depth + 1))?))
    } else {
        let id = *choices.choose(&VALUES)?;
        Ok(element(id, &content(choices)?))
    }
}

/// RIFF and its big-endian sister.
fn chunks(
    choices: &mut Unstructured,
    outer: &[u8; 4],
    kind: &[u8; 4],
    bytes: fn(u32) -> [u8; 4],
) -> Result<Vec<u8>> {
    const NAMES: [&[u8; 4]; 9] =
        [b"fmt ", b"data", b"LIST", b"fact", b"COMM", b"SSND", b"MARK", b"JUNK", b"ds64"];
    let body = several(choices, 8, |choices| {
        let name = *choices.choose(&NAMES)?;
        let content = content(choices)?;
        let size = if choices.ratio(7, 8)? { content.len() as u32 } else { number(choices)? as u32 };
        Ok([name.as_slice(), &bytes(size), &content].concat())
    })?;
    let size = bytes(body.len() as u32 + 4);
    Ok([outer.as_slice(), &size, kind, &body].concat())
}
