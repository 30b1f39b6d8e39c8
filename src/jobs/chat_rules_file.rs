//! What the owner has said in chats, kept in a small readable file and in force at once.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::watch;
use tracing::error;

use crate::domain::ChatRules;
use crate::domain::policy::Policy;
use crate::runtime::atomic_file;

/// Its name in DATA_DIR.
pub const FILE_NAME: &str = "chats.json";

/// The rules of the chats: in the file, and in the policy in force.
pub struct ChatRulesFile {
    path: PathBuf,
    policy: Arc<watch::Sender<Policy>>,
}

impl ChatRulesFile {
    /// Reads the file at `path` and puts the rules in it into force. A damaged file is kept aside,
    /// and then the configuration alone says what is answered.
    ///
    /// # Errors
    /// If the file cannot be read. It may be well, so it is left where it is.
    pub fn open(path: PathBuf, policy: Arc<watch::Sender<Policy>>) -> io::Result<Self> {
        match read(&path)? {
            Ok(chats) => policy.send_modify(|policy| policy.chats = chats),
            Err(error) => {
                let aside = atomic_file::with_suffix(&path, ".damaged");
                let kept = fs::rename(&path, &aside).map_or_else(
                    |error| format!("it could not be moved away: {error}"),
                    |()| format!("it is kept as {}", aside.display()),
                );
                error!(
                    event = "chat_rules_damaged",
                    "What you have said in chats is not in force, only the configuration is: {error}; {kept}"
                );
            }
        }
        Ok(Self { path, policy })
    }

    /// The rules in force, with those of the configuration.
    pub fn policy(&self) -> watch::Ref<'_, Policy> {
        self.policy.borrow()
    }

    /// Stores the rules, durably, and puts them into force.
    pub async fn replace(&self, chats: ChatRules) -> io::Result<()> {
        let (path, mut text) = (self.path.clone(), serde_json::to_vec_pretty(&chats)?);
        text.push(b'\n');
        let written = tokio::task::spawn_blocking(move || atomic_file::replace(&path, &text)).await;
        written.map_err(io::Error::other)??;
        self.policy.send_modify(|policy| policy.chats = chats);
        Ok(())
    }
}

/// The rules in the file at `path`; none if there is no file. The inner error says that it is
/// damaged, and names it.
pub fn read(path: &Path) -> io::Result<Result<ChatRules, String>> {
    match fs::read(path) {
        Ok(text) => {
            Ok(serde_json::from_slice(&text)
                .map_err(|error| format!("{} is damaged: {error}", path.display())))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Ok(ChatRules::default())),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::Duration;

    use super::*;
    use crate::domain::rules::Rules;
    use crate::domain::{Command, Settings};

    fn policy() -> Arc<watch::Sender<Policy>> {
        let (max_age, rules, settings) = (Duration::from_secs(60), Rules::default(), Settings::default());
        Arc::new(watch::Sender::new(Policy { max_age, rules, settings, chats: ChatRules::default() }))
    }

    #[tokio::test]
    async fn what_was_said_is_in_force_at_once_and_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE_NAME);
        let (before, after) = (policy(), policy());
        let file = ChatRulesFile::open(path.clone(), Arc::clone(&before)).unwrap();
        let said = ChatRules::default().after(&Command::Answer(false), -500, false, 0).unwrap();
        file.replace(said.clone()).await.unwrap();
        assert_eq!(before.borrow().chats, said);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        ChatRulesFile::open(path, Arc::clone(&after)).unwrap();
        assert_eq!(after.borrow().chats, said);
    }

    #[tokio::test]
    async fn a_damaged_file_is_kept_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE_NAME);
        fs::write(&path, "{\"chats\": {").unwrap();
        assert!(read(&path).unwrap().unwrap_err().contains("is damaged"));
        let policy = policy();
        let file = ChatRulesFile::open(path.clone(), Arc::clone(&policy)).unwrap();
        assert_eq!(policy.borrow().chats, ChatRules::default());
        file.replace(ChatRules::default()).await.unwrap();
        let kept = fs::read_to_string(folder.path().join("chats.json.damaged")).unwrap();
        assert_eq!((kept.as_str(), read(&path).unwrap()), ("{\"chats\": {", Ok(ChatRules::default())));
    }

    #[test]
    fn a_file_that_cannot_be_read_stays_where_it_is() {
        let folder = tempfile::tempdir().unwrap();
        // Nobody can read a folder as a file, root neither.
        let path = folder.path().join(FILE_NAME);
        fs::create_dir(&path).unwrap();
        assert!(ChatRulesFile::open(path.clone(), policy()).is_err());
        assert!(path.exists());
    }

    #[tokio::test]
    async fn what_cannot_be_stored_is_not_in_force() {
        let folder = tempfile::tempdir().unwrap();
        let policy = policy();
        let file =
            ChatRulesFile::open(folder.path().join("missing").join(FILE_NAME), Arc::clone(&policy)).unwrap();
        let said = ChatRules::default().after(&Command::Answer(false), -500, false, 0).unwrap();
        assert!(file.replace(said).await.is_err());
        assert_eq!(policy.borrow().chats, ChatRules::default());
    }
}
