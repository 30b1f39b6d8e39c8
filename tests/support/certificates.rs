//! Certificates for one test, made by openssl.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::redis::Folder;

/// An authority, and what it has signed: `ca.pem`, `server.pem` for localhost and 127.0.0.1, and
/// `client.pem`, each with its `.key`.
pub struct Certificates(Folder);

impl Certificates {
    #[expect(clippy::new_without_default, reason = "it makes files")]
    pub fn new() -> Self {
        let made = Self(Folder::new("certificates"));
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2";
        made.openssl(&format!(
            "req -x509 {key} -keyout ca.key -out ca.pem -subj /CN=authority \
             -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign"
        ));
        for name in ["server", "client"] {
            made.openssl(&format!(
                "req -x509 {key} -keyout {name}.key -out {name}.pem -subj /CN={name} -CA ca.pem -CAkey ca.key \
                 -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -addext basicConstraints=CA:FALSE"
            ));
        }
        made
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn openssl(&self, arguments: &str) {
        let output = Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(self.0.path())
            .stdin(Stdio::null())
            .output()
            .expect("openssl is installed");
        assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
