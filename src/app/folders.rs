//! The folders that the daemon keeps its files in, and who else may look into them.

use std::io;
use std::path::Path;

use tracing::{info, warn};

use crate::runtime::private::{self, SharedFolder};

/// How the names of the files in DATA_DIR begin.
const DATA_FILES: &[&str] =
    &["account.", "budgets.redb", "languages.json", "notices.json", "queue.redb", "spool", "updates.redb"];
/// Whoever could read this one had the account: the daemon refuses it instead of hiding that.
const SESSION_FILE: &str = "account.session";

/// Makes DATA_DIR, or takes the rights of other users from what is in it.
pub fn close_data_dir(folder: &Path) -> io::Result<()> {
    let is_ours = |name: &str| DATA_FILES.iter().any(|beginning| name.starts_with(beginning));
    if let Some(shared) = private::make_folder(folder, is_ours)? {
        report_shared_folder("DATA_DIR", &shared);
    }
    private::tighten_files(folder, |name| name != SESSION_FILE && is_ours(name))
}

/// Logs that `variable` names a folder that other users can look into, or worse.
pub fn report_shared_folder(variable: &str, shared: &SharedFolder) {
    let SharedFolder { path, mode, is_writable } = shared;
    let path = path.display();
    if *is_writable {
        warn!(
            event = "folder_shared",
            "Other users can replace files in {variable} {path} (mode {mode:03o}); it holds files that are not \
             stenogram's, so its rights are left to you: name a folder of its own, or run `chmod go-w {path}`"
        );
    } else {
        info!(
            event = "folder_shared",
            "Other users can list the files in {variable} {path} (mode {mode:03o}), but not read them"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn what_is_there_is_closed_but_for_the_session() {
        let folder = tempfile::tempdir().unwrap();
        let mode = |name: &str| fs::metadata(folder.path().join(name)).unwrap().permissions().mode() & 0o777;
        let open = |name: &str, bits| {
            fs::set_permissions(folder.path().join(name), fs::Permissions::from_mode(bits)).unwrap();
        };
        for name in ["languages.json", "updates.redb", SESSION_FILE] {
            fs::write(folder.path().join(name), "").unwrap();
            open(name, 0o644);
        }
        open("", 0o755);
        close_data_dir(folder.path()).unwrap();
        assert_eq!(
            ["", "languages.json", "updates.redb", SESSION_FILE].map(mode),
            [0o700, 0o600, 0o600, 0o644]
        );
    }
}
