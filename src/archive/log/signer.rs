//! What signs the checkpoints of the log: a key of the archive's own, one from a file, or a program that asks somebody else.
//!
//! Owns where the key comes from, and the bounds of the program: it reads the bytes to sign on standard input and writes the
//! signature in base64 on standard output. What it gives is checked before it counts. It must not know what is signed.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

use crate::core::proof::note::{NoteKeyKind, VerifierKey};
use crate::runtime::note_signer::{NoteSigner, SignerFault, SignerUse, is_signed};

/// How long the program may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// What the name of the archive's own key ends with, beside its database.
const OWN: &str = ".log-key";

/// Where the key is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SignerSource {
    /// Nobody says: the archive makes one, and keeps it beside its SQLite database.
    #[default]
    Own,
    /// In this file.
    File(PathBuf),
    /// Behind this program, which signs for the holder of the public key.
    Command(Vec<String>, [u8; 32]),
}

/// Why there is no signature.
#[derive(Debug, thiserror::Error)]
pub enum SigningFault {
    /// The file of the key.
    #[error("the key of the log, {0}: {1}")]
    File(String, std::io::Error),
    /// What is in it.
    #[error("the key of the log: {0}")]
    Key(#[from] SignerFault),
    /// The name of the log cannot stand in a note.
    #[error("the key of the log has no name that a note can have")]
    Name,
    /// The program.
    #[error("log.signer.command: {0} {1}; it must write the signature of its input in base64, within 15 s")]
    Command(String, String),
}

/// It signs.
pub enum LogSigner {
    /// With a key.
    Key(NoteSigner),
    /// By a program and what checks it.
    Command(Vec<String>, [u8; 32]),
}

impl LogSigner {
    /// The signer of a log. `database` is where the archive keeps a key of its own; without one there is no signer where none
    /// is named.
    ///
    /// # Errors
    /// When the key cannot be read or made.
    pub fn open(source: SignerSource, origin: &str, database: Option<&Path>) -> Result<Option<Self>, SigningFault> {
        match (source, database) {
            (SignerSource::Command(command, public), _) => Ok(Some(Self::Command(command, public))),
            (SignerSource::File(file), _) => {
                let text = std::fs::read_to_string(&file).map_err(at(&file))?;
                Ok(Some(Self::Key(NoteSigner::read(&text, origin, SignerUse::Log)?)))
            }
            (SignerSource::Own, Some(database)) => Ok(Some(Self::Key(own(database, origin)?))),
            (SignerSource::Own, None) => Ok(None),
        }
    }

    /// What checks its signatures.
    ///
    /// # Errors
    /// When the name of the log cannot stand in a note.
    pub fn verifier(&self, origin: &str) -> Result<VerifierKey, SigningFault> {
        let key = match self {
            Self::Key(signer) => VerifierKey::read(&signer.verifier_key()).ok(),
            Self::Command(_, public) => VerifierKey::new(origin, NoteKeyKind::Ed25519, *public),
        };
        key.ok_or(SigningFault::Name)
    }

    /// Signs.
    ///
    /// # Errors
    /// When the program does not give a signature of these bytes.
    pub async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningFault> {
        match self {
            Self::Key(signer) => Ok(signer.sign(message)),
            Self::Command(command, public) => {
                let name = command.first().cloned().unwrap_or_default();
                let fault = |why: String| SigningFault::Command(name.clone(), why);
                let late = |_| fault("takes too long".to_owned());
                let said = timeout(PATIENCE, run(command, message)).await.map_err(late)?;
                let said = said.map_err(|error| fault(format!("cannot be run ({error})")))?;
                let signature = STANDARD.decode(said.trim_ascii()).unwrap_or_default();
                match is_signed(public, message, &signature) {
                    true => Ok(signature),
                    false => Err(fault("gives no signature of log.signer.publicKey".to_owned())),
                }
            }
        }
    }
}

async fn run(command: &[String], message: &[u8]) -> std::io::Result<Vec<u8>> {
    let (program, arguments) = command.split_first().ok_or(std::io::ErrorKind::NotFound)?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()?;
    // Closed when it is dropped, so that the program sees the end.
    if let Some(mut input) = child.stdin.take() {
        input.write_all(message).await?;
    }
    let output = child.wait_with_output().await?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(std::io::Error::other(output.status.to_string()))
}

fn at(file: &Path) -> impl Fn(std::io::Error) -> SigningFault {
    let name = file.display().to_string();
    move |error| SigningFault::File(name.clone(), error)
}

/// The key beside the database, made where there is none.
fn own(database: &Path, origin: &str) -> Result<NoteSigner, SigningFault> {
    let mut name = database.as_os_str().to_owned();
    name.push(OWN);
    let file = PathBuf::from(name);
    if file.exists() {
        let text = std::fs::read_to_string(&file).map_err(at(&file))?;
        return Ok(NoteSigner::read(&text, origin, SignerUse::Log)?);
    }
    let signer = NoteSigner::generate(origin, SignerUse::Log)?;
    let line = format!("{}\n", signer.private_key()?);
    // Written whole before it has its name, so that a crash leaves no half of one.
    let half = file.with_extension("log-key.new");
    // What a crash left of one.
    let _ = std::fs::remove_file(&half);
    let mut written =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&half).map_err(at(&half))?;
    written.write_all(line.as_bytes()).and_then(|()| written.sync_all()).map_err(at(&half))?;
    std::fs::rename(&half, &file).map_err(at(&file))?;
    Ok(signer)
}

#[cfg(test)]
mod tests;
