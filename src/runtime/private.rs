//! Files and folders that other users of the machine must not read.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::process::{getegid, geteuid};

/// Has every file that this process makes be readable by its own user alone, and every folder too,
/// whichever crate makes it.
pub fn set_mask() {
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
}

/// A folder that is shared with other users, so its rights were left as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedFolder {
    pub path: PathBuf,
    /// Its permission bits.
    pub mode: u32,
    /// Whether other users may add, rename and remove files in it.
    pub is_writable: bool,
}

/// Makes the folder with mode 0700, or takes the rights of other users from one that is there.
///
/// A folder is left as it is, and returned, if it belongs to another user or holds a file of which
/// `is_ours` says no, given its name: then other users or programs may rely on its rights, as on
/// those of /var/log. The files in it are private all the same.
pub fn make_folder(path: &Path, is_ours: impl Fn(&str) -> bool) -> io::Result<Option<SharedFolder>> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    let folder = fs::metadata(path)?;
    let mode = folder.permissions().mode() & 0o7777;
    if mode & 0o077 == 0 {
        return Ok(None);
    }
    let mut is_own = folder.uid() == geteuid().as_raw();
    for entry in fs::read_dir(path)? {
        // A file system's own folder is at its root.
        is_own &= entry?.file_name().to_str().is_some_and(|name| name == "lost+found" || is_ours(name));
    }
    if is_own {
        fs::set_permissions(path, Permissions::from_mode(0o700))?;
        return Ok(None);
    }
    // With the sticky bit, as in /tmp, others cannot touch what is not theirs.
    let is_writable = mode & 0o022 != 0 && mode & 0o1000 == 0;
    Ok(Some(SharedFolder { path: path.to_owned(), mode, is_writable }))
}

/// Takes the rights of other users from the files in `folder` of which `is_ours` says yes, given
/// their names. Those of other users stay as they are.
pub fn tighten_files(folder: &Path, is_ours: impl Fn(&str) -> bool) -> io::Result<()> {
    let user = geteuid().as_raw();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let file = entry.metadata()?;
        let is_open = file.is_file() && file.uid() == user && file.permissions().mode() & 0o077 != 0;
        if is_open && entry.file_name().to_str().is_some_and(&is_ours) {
            fs::set_permissions(entry.path(), Permissions::from_mode(0o600))?;
        }
    }
    Ok(())
}

/// The permission bits of the file at `path` if users other than its owner, root and this process
/// can read or change it; `None` otherwise, and if there is no such file.
pub fn mode_if_open(path: &Path) -> Option<u32> {
    let file = fs::metadata(path).ok()?;
    let mode = file.permissions().mode() & 0o777;
    // Root may give a file to this process by its group, as deploy/install.sh and systemd do.
    let is_of_root = file.uid() == 0 && (file.gid() == 0 || file.gid() == getegid().as_raw());
    let harmless = if is_of_root { 0o740 } else { 0o700 };
    (mode & !harmless != 0).then_some(mode)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    fn is_ours(name: &str) -> bool {
        name.starts_with("ours.")
    }

    #[test]
    fn a_folder_of_ours_is_closed_whether_or_not_it_was_there() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("a/b");
        assert_eq!(make_folder(&folder, is_ours).unwrap(), None);
        assert_eq!((mode(&folder), mode(folder.parent().unwrap())), (0o700, 0o700));

        fs::write(folder.join("ours.redb"), "").unwrap();
        fs::create_dir(folder.join("lost+found")).unwrap();
        set_mode(&folder, 0o775);
        assert_eq!(make_folder(&folder, is_ours).unwrap(), None);
        assert_eq!(mode(&folder), 0o700);
    }

    #[test]
    fn a_shared_folder_keeps_its_rights_and_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("syslog"), "").unwrap();
        for (bits, is_writable) in [(0o755, false), (0o775, true), (0o1777, false), (0o777, true)] {
            set_mode(folder.path(), bits);
            let path = folder.path().to_owned();
            let shared = make_folder(folder.path(), is_ours).unwrap();
            assert_eq!(shared, Some(SharedFolder { path, mode: bits, is_writable }));
            assert_eq!(mode(folder.path()), bits);
        }
    }

    #[test]
    fn only_files_of_ours_are_closed() {
        let folder = tempfile::tempdir().unwrap();
        let (ours, other) = (folder.path().join("ours.log"), folder.path().join("syslog"));
        for file in [&ours, &other] {
            fs::write(file, "").unwrap();
            set_mode(file, 0o644);
        }
        tighten_files(folder.path(), is_ours).unwrap();
        assert_eq!((mode(&ours), mode(&other)), (0o600, 0o644));
    }

    #[test]
    fn a_file_that_others_can_read_or_write_is_open() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".env");
        assert_eq!(mode_if_open(&path), None, "there is none");
        fs::write(&path, "").unwrap();
        let is_root = geteuid().is_root();
        for (bits, is_open) in
            [(0o600, false), (0o400, false), (0o640, !is_root), (0o660, true), (0o604, true)]
        {
            set_mode(&path, bits);
            assert_eq!(mode_if_open(&path), is_open.then_some(bits), "{bits:o}");
        }
    }
}
