//! A mail server that is not ours, with a certificate of an authority of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;

use crate::harness::cast::SOON;
use crate::harness::servers::free_ports;
use crate::harness::{binaries, eventually};

pub const USERNAME: &str = "daypass";
pub const PASSWORD: &str = "not-a-real-password";
/// The Python of the system, whose packages have the server.
const PYTHON: &str = "/usr/bin/python3";

/// Why there is none on this machine, if there is none.
pub fn is_missing() -> Option<&'static str> {
    let asked = Command::new(PYTHON).args(["-c", "import aiosmtpd"]).stderr(Stdio::null()).status();
    let is_there = asked.is_ok_and(|status| status.success());
    (!is_there).then_some("this machine has no mail server: install Debian's python3-aiosmtpd")
}

/// A mail server that runs.
pub struct PostOffice {
    pub port: u16,
    /// The authority of its certificate.
    pub authority: PathBuf,
    mails: Arc<Mutex<Vec<Value>>>,
    _process: Child,
}

impl PostOffice {
    /// Starts it, with its files in this folder.
    pub async fn start(folder: &Path) -> Self {
        let authority = write_certificate(folder);
        let [port] = free_ports();
        let script = binaries::repository().join("e2e/notices/post_office.py");
        let mut process = tokio::process::Command::new(PYTHON)
            .arg(script)
            .arg(port.to_string())
            .args([folder.join("mail.crt"), folder.join("mail.key")])
            .args([USERNAME, PASSWORD])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("start the mail server");
        let mut lines = BufReader::new(process.stdout.take().expect("its output is piped")).lines();
        let first = lines.next_line().await.expect("read what it says");
        assert_eq!(first.as_deref(), Some("listens"), "the mail server did not start");
        let mails: Arc<Mutex<Vec<Value>>> = Arc::default();
        let taken = mails.clone();
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                taken.lock().expect("no panic").push(serde_json::from_str(&line).expect("JSON"));
            }
        });
        Self { port, authority, mails, _process: process }
    }

    /// Waits until it has so many mails. They, in order.
    pub async fn until(&self, count: usize) -> Vec<Value> {
        eventually(&format!("{count} mails are there"), SOON, async || {
            let mails = self.mails.lock().expect("no panic").clone();
            if mails.len() == count { Ok(mails) } else { Err(format!("{mails:#?}")) }
        })
        .await
    }
}

/// Writes the certificate of the server, its key, and the authority that made it.
fn write_certificate(folder: &Path) -> PathBuf {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().expect("a key")).expect("an authority");
    let key = KeyPair::generate().expect("a key");
    let server = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    let certificate = server.signed_by(&key, &authority).expect("a certificate").pem();
    for (name, text) in [("mail.crt", certificate), ("mail.key", key.serialize_pem()), ("mail-ca.crt", authority.pem())]
    {
        std::fs::write(folder.join(name), text).expect("write a file of the mail server");
    }
    folder.join("mail-ca.crt")
}
