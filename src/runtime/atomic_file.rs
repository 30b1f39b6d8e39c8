//! Files that are replaced in one step: after a crash or a power cut, either the old file is there
//! or the new one, and it is complete.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Replaces the file at `path`. Only its owner can read it, at any time. It is durable on return.
pub fn replace(path: &Path, contents: &[u8]) -> io::Result<()> {
    let unfinished = with_suffix(path, ".new");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    // A file that was left by a crash keeps its mode.
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(contents)?;
    publish(&file, &unfinished, path)
}

/// Renames `file`, which is complete, from `unfinished` to `path`, durably.
pub fn publish(file: &File, unfinished: &Path, path: &Path) -> io::Result<()> {
    file.sync_all()?;
    fs::rename(unfinished, path)?;
    // Without this a power cut can undo the renaming.
    File::open(folder_of(path))?.sync_all()
}

/// The folder that holds the file at `path`.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// `path` with `suffix` behind its last character.
pub fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_private_whatever_a_crash_has_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        fs::write(&path, "old").unwrap();
        let unfinished = folder.path().join("state.json.new");
        fs::write(&unfinished, "longer than the new contents").unwrap();
        fs::set_permissions(&unfinished, Permissions::from_mode(0o644)).unwrap();
        replace(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!unfinished.exists());
    }

    #[test]
    fn a_name_alone_is_in_the_working_directory() {
        assert_eq!(folder_of(Path::new("state.json")), Path::new("."));
        assert_eq!(folder_of(Path::new("data/state.json")), Path::new("data"));
    }
}
