//! Files that messages hold, and parts of files being uploaded.

use std::collections::{BTreeMap, HashMap};

use super::draft::RecordingKind;

/// One file as a message describes it.
#[derive(Clone, Debug)]
pub struct File {
    pub id: i64,
    pub bytes: Vec<u8>,
    /// The datacentre that has it.
    pub dc: i32,
    pub date: i32,
    pub mime: String,
    /// In bytes, as the message says; the truth is `bytes.len()`.
    pub claimed_size: i64,
    pub what: FileKind,
}

#[derive(Clone, Debug)]
pub enum FileKind {
    Recording {
        kind: RecordingKind,
        seconds: u32,
    },
    /// A plain document with this file name.
    Document(String),
}

/// Bounds what a client may upload, in bytes.
const MAX_UPLOAD: usize = 64 * 1024 * 1024;
/// What one part of an upload may hold, in bytes.
const MAX_PART: usize = 512 * 1024;

/// The store of files.
#[derive(Default)]
pub struct Files {
    files: HashMap<i64, File>,
    uploads: HashMap<i64, BTreeMap<i32, Vec<u8>>>,
    /// Counts the times that all file references expired.
    generation: u32,
}

impl Files {
    /// Keeps a file; `make` gets its id.
    pub fn add(&mut self, make: impl FnOnce(i64) -> File) -> i64 {
        let id = 9_000 + self.files.len() as i64;
        self.files.insert(id, make(id));
        id
    }

    /// Puts other bytes into a file that is there.
    pub fn replace(&mut self, id: i64, bytes: Vec<u8>) {
        if let Some(file) = self.files.get_mut(&id) {
            file.claimed_size = bytes.len() as i64;
            file.bytes = bytes;
        }
    }

    pub fn get(&self, id: i64) -> Option<&File> {
        self.files.get(&id)
    }

    /// What a client must show to read `file`, until the references expire.
    pub fn reference(&self, file: i64) -> Vec<u8> {
        format!("{file}/{}", self.generation).into_bytes()
    }

    pub fn expire_references(&mut self) {
        self.generation += 1;
    }

    /// Keeps one part of the upload `id`; false if it is too large.
    pub fn save_part(&mut self, id: i64, part: i32, bytes: Vec<u8>) -> bool {
        let stored: usize = self.uploads.values().flat_map(BTreeMap::values).map(Vec::len).sum();
        let fits = bytes.len() <= MAX_PART && stored + bytes.len() <= MAX_UPLOAD && part >= 0;
        if fits {
            self.uploads.entry(id).or_default().insert(part, bytes);
        }
        fits
    }

    /// The upload `id` put together, once all of its `parts` have come.
    pub fn finish_upload(&mut self, id: i64, parts: i32) -> Option<Vec<u8>> {
        let stored = self.uploads.get(&id)?;
        let whole = stored.keys().copied().eq(0..parts);
        whole.then(|| self.uploads.remove(&id))?.map(|parts| parts.into_values().collect::<Vec<_>>().concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_is_whole_or_nothing() {
        let mut files = Files::default();
        assert!(files.save_part(7, 1, b"b".to_vec()));
        assert_eq!(files.finish_upload(7, 2), None);
        assert!(files.save_part(7, 0, b"a".to_vec()));
        assert_eq!(files.finish_upload(7, 3), None);
        assert_eq!(files.finish_upload(7, 2), Some(b"ab".to_vec()));
        assert_eq!(files.finish_upload(7, 2), None);
        assert!(!files.save_part(7, 0, vec![0; MAX_PART + 1]));
    }
}
