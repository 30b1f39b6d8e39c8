//! A file of the spool: a head, and then the chunks in the order in which they came, each with its
//! checksum. It is not synced: a killed process loses nothing of it, and after a power cut what is
//! damaged is cut off.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use tracing::debug;

/// A chunk that is not the last has a multiple of this many bytes.
const CHUNK_UNIT: usize = 16 << 10;
/// The head: this, and the number of the document.
const MAGIC: &[u8; 8] = b"stenspl1";
pub(super) const HEAD: usize = 16;
/// Before each chunk: its length, and its CRC-32.
pub(super) const CHUNK_HEAD: usize = 8;

/// Reads the chunks that are whole, and cuts off the rest. Returns them, and the size of the file.
pub(super) fn load(path: &Path, document: i64, size: u64) -> io::Result<(Vec<u8>, u64)> {
    let no_use = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why.to_owned());
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut reader = BufReader::new(file);
    let mut found = [0; HEAD];
    reader.read_exact(&mut found)?;
    if found != head(document) {
        return Err(no_use("it is of another document, or its head is damaged"));
    }
    // A file has more than its recording, and a recording may be larger than it was said to be.
    let mut bytes = Vec::with_capacity(usize::try_from(size.min(length)).unwrap_or(0));
    let mut whole = HEAD as u64;
    while let Some(chunk) = next_chunk(&mut reader, &mut bytes)? {
        whole += CHUNK_HEAD as u64 + chunk;
    }
    if (bytes.len() as u64) < size && !bytes.len().is_multiple_of(CHUNK_UNIT) {
        return Err(no_use("it ends with a short chunk before the end"));
    }
    if whole < length {
        OpenOptions::new().write(true).open(path)?.set_len(whole)?;
    }
    Ok((bytes, whole))
}

/// Adds the next chunk to `bytes` and returns its length; `None` if it is not whole.
fn next_chunk(reader: &mut impl Read, bytes: &mut Vec<u8>) -> io::Result<Option<u64>> {
    let mut head = Vec::with_capacity(CHUNK_HEAD);
    reader.by_ref().take(CHUNK_HEAD as u64).read_to_end(&mut head)?;
    let Some((length, rest)) = head.split_first_chunk::<4>() else { return Ok(None) };
    let Some(checksum) = rest.first_chunk::<4>() else { return Ok(None) };
    let (length, before) = (u64::from(u32::from_le_bytes(*length)), bytes.len());
    let read = reader.by_ref().take(length).read_to_end(bytes)?;
    if read as u64 == length && crc32fast::hash(&bytes[before..]) == u32::from_le_bytes(*checksum) {
        return Ok(Some(length));
    }
    bytes.truncate(before);
    Ok(None)
}

/// How many bytes [`append`] adds.
pub(super) fn appended(begins: Option<i64>, chunk: &[u8]) -> u64 {
    (chunk.len() + CHUNK_HEAD + if begins.is_some() { HEAD } else { 0 }) as u64
}

/// Appends a chunk, to a new file if it `begins` that of a document.
pub(super) fn append(path: &Path, begins: Option<i64>, chunk: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.append(true).mode(0o600);
    let mut record = Vec::with_capacity(HEAD + CHUNK_HEAD + chunk.len());
    if let Some(document) = begins {
        // One that is not known of would be of no use.
        remove(path);
        options.create_new(true);
        record.extend_from_slice(&head(document));
    }
    let mut file = options.open(path)?;
    record.extend_from_slice(&(chunk.len() as u32).to_le_bytes());
    record.extend_from_slice(&crc32fast::hash(chunk).to_le_bytes());
    record.extend_from_slice(chunk);
    file.write_all(&record)
}

fn head(document: i64) -> [u8; HEAD] {
    let mut head = [0; HEAD];
    head[..MAGIC.len()].copy_from_slice(MAGIC);
    head[MAGIC.len()..].copy_from_slice(&document.to_le_bytes());
    head
}

pub(super) fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        debug!(%error, path = %path.display(), "a file of the spool could not be removed");
    }
}
