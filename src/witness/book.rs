//! What a witness has cosigned: of each log the last checkpoint, kept so that a crash never sets it back.
//!
//! Owns the folder: the witness's key, a file for each log, and evidence of logs that have signed two histories. There is
//! one writer, who holds a lock; a file is written beside and put in its place when it is on the disk. It must not judge a
//! checkpoint: [`crate::core::proof::add_checkpoint`] does.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};

use super::config::WitnessConfig;
use crate::core::proof::add_checkpoint::{AddCheckpoint, WitnessRefusal, is_fork};
use crate::core::proof::checkpoint::{Checkpoint, CheckpointFault};
use crate::core::proof::note::{NoteFault, NoteKeyKind, NoteSignature, SignedNote, VerifierKey};
use crate::runtime::note_signer::{NoteSigner, SignerFault, SignerUse, is_signed};

/// Name of the file with the key.
const KEY: &str = "key";
/// Name of the file that the writer holds.
const LOCK: &str = "lock";
/// How the name of a file with a checkpoint ends.
const CHECKPOINT: &str = ".checkpoint";
/// How the name of a file with two histories ends.
const FORK: &str = ".fork";
/// How many forks are kept of all logs: one is enough.
const MOST_FORKS: usize = 64;

/// Why there is no book.
#[derive(Debug, thiserror::Error)]
pub enum NoBook {
    /// A file cannot be read or written.
    #[error("{0}: {1}")]
    File(PathBuf, #[source] io::Error),
    /// Another process works on it.
    #[error("{0}: another witness works on this folder; stop it, or give each a folder of its own")]
    Held(PathBuf),
    /// The key cannot be used.
    #[error("{0}: {1}")]
    Key(PathBuf, SignerFault),
    /// The key is none of a witness.
    #[error("{0}: {1}")]
    Verifier(PathBuf, NoteFault),
    /// What was cosigned last cannot be read, so nothing can be cosigned.
    #[error("{0}: {1}; restore it from a copy, for without it a log could be set back unseen")]
    Last(PathBuf, CheckpointFault),
}

/// What a witness does with a question.
#[derive(Debug, thiserror::Error)]
pub enum NotCosigned {
    /// It refuses.
    #[error(transparent)]
    Refused(#[from] WitnessRefusal),
    /// It refuses, and has evidence that the log signed two histories.
    #[error("{refusal}: the log has signed two histories; both are in {}", evidence.display())]
    Forked {
        /// As it is answered.
        refusal: WitnessRefusal,
        /// The file with both.
        evidence: PathBuf,
    },
    /// It cannot keep what it would cosign.
    #[error("cannot keep the checkpoint: {0}")]
    Unkept(#[from] io::Error),
}

/// The book of one witness.
pub struct WitnessBook {
    folder: PathBuf,
    config: WitnessConfig,
    signer: NoteSigner,
    verifier: VerifierKey,
    /// By origin: what was cosigned last, as it is kept.
    last: Mutex<BTreeMap<String, CosignedCheckpoint>>,
    /// Held as long as the process works on the folder.
    _lock: File,
}

#[derive(Clone)]
struct CosignedCheckpoint {
    checkpoint: Checkpoint,
    note: String,
}

impl WitnessBook {
    /// Opens a folder, which is made where it is not there, with a new key.
    ///
    /// # Errors
    /// When another process works on it, or a file of it cannot be used.
    pub fn open(folder: &Path, config: WitnessConfig) -> Result<Self, NoBook> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |error| NoBook::File(path, error)
        };
        std::fs::create_dir_all(folder).map_err(failed(folder))?;
        let lock_file = folder.join(LOCK);
        let lock = File::create(&lock_file).map_err(failed(&lock_file))?;
        lock.try_lock().map_err(|_| NoBook::Held(lock_file))?;
        let key_file = folder.join(KEY);
        let signer = signer(&key_file, &config.name)?;
        let verifier = VerifierKey::read(&signer.verifier_key());
        let verifier = verifier.map_err(|fault| NoBook::Verifier(key_file, fault))?;
        let mut last = BTreeMap::new();
        for origin in config.logs.keys() {
            let file = folder.join(name_of(origin, CHECKPOINT));
            let note = match std::fs::read_to_string(&file) {
                Ok(note) => note,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(NoBook::File(file, error)),
            };
            let checkpoint = own(&note, origin, &verifier).map_err(|fault| NoBook::Last(file, fault))?;
            last.insert(origin.clone(), CosignedCheckpoint { checkpoint, note });
        }
        Ok(Self { folder: folder.to_owned(), config, signer, verifier, last: Mutex::new(last), _lock: lock })
    }

    /// The key that checks its cosignatures.
    pub fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// Cosigns a checkpoint that continues the last one, and keeps it first. The line of the signature. `at` is now, in
    /// seconds since 1970.
    ///
    /// # Errors
    /// When it does not continue it, or cannot be kept.
    pub fn add(&self, body: &str, at: u64) -> Result<String, NotCosigned> {
        let question = AddCheckpoint::read(body)?;
        let unknown = || WitnessRefusal::UnknownLog(question.origin().to_owned());
        let keys = self.config.logs.get(question.origin()).ok_or_else(unknown)?;
        let (note, checkpoint) = question.signed(keys, &arithmetic)?;
        // From the check to the file nobody else may come between.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let before = last.get(&keys.origin);
        if let Err(refusal) = question.continues(&checkpoint, before.map(|before| &before.checkpoint)) {
            return Err(match before.filter(|before| is_fork(&before.checkpoint, &checkpoint)) {
                Some(before) => self.forked(refusal, &before.note, &question.note, &checkpoint)?,
                None => refusal.into(),
            });
        }
        let signature = NoteSignature::make(&self.verifier, note.text(), at, |message| self.signer.sign(message));
        let line = signature.to_string();
        // Of what others signed only the log's own signatures are kept, so that nobody can fill the file.
        let kept = note.signed_by(&keys.log).with(signature).to_string();
        put(&self.folder, &name_of(&keys.origin, CHECKPOINT), kept.as_bytes())?;
        last.insert(keys.origin.clone(), CosignedCheckpoint { checkpoint, note: kept });
        Ok(line)
    }

    /// The last checkpoint that was cosigned, by the SHA-256 of the log's origin in hexadecimal digits.
    pub fn last(&self, hash: &str) -> Option<String> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.iter().find(|(origin, _)| hash_of(origin) == hash).map(|(_, last)| last.note.clone())
    }

    /// Keeps two histories side by side.
    fn forked(
        &self,
        refusal: WitnessRefusal,
        one: &str,
        other: &str,
        checkpoint: &Checkpoint,
    ) -> io::Result<NotCosigned> {
        let root = checkpoint.root.as_bytes().iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>();
        let name = name_of(&checkpoint.origin, &format!("-{}-{root}{FORK}", checkpoint.size));
        let evidence = self.folder.join(&name);
        if !evidence.exists() && forks(&self.folder)?.len() < MOST_FORKS {
            put(&self.folder, &name, format!("{one}\n\n{other}").as_bytes())?;
        }
        Ok(NotCosigned::Forked { refusal, evidence })
    }
}

/// The files of a folder with two histories of a log, by name.
///
/// # Errors
/// When the folder cannot be read.
pub fn forks(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.to_string_lossy().ends_with(FORK) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The arithmetic of signatures.
fn arithmetic(_: NoteKeyKind, public: &[u8], message: &[u8], signature: &[u8]) -> bool {
    is_signed(public, message, signature)
}

/// The SHA-256 of an origin, by which it is asked for.
pub fn hash_of(origin: &str) -> String {
    Sha256::digest(origin).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn name_of(origin: &str, end: &str) -> String {
    format!("{}{end}", hash_of(origin))
}

/// The key of a file, which is made where it is not there.
fn signer(file: &Path, name: &str) -> Result<NoteSigner, NoBook> {
    let fault = |fault| NoBook::Key(file.to_owned(), fault);
    match std::fs::read_to_string(file) {
        Ok(text) => NoteSigner::read(&text, name, SignerUse::Witness).map_err(fault),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let signer = NoteSigner::generate(name, SignerUse::Witness).map_err(fault)?;
            let line = format!("{}\n", signer.private_key().map_err(fault)?);
            let folder = file.parent().unwrap_or(Path::new("."));
            let kept = put(folder, KEY, line.as_bytes());
            kept.map_err(|error| NoBook::File(file.to_owned(), error))?;
            Ok(signer)
        }
        Err(error) => Err(NoBook::File(file.to_owned(), error)),
    }
}

/// What was cosigned last, which the witness itself has signed.
fn own(note: &str, origin: &str, verifier: &VerifierKey) -> Result<Checkpoint, CheckpointFault> {
    let note = SignedNote::read(note)?;
    note.signers([verifier], &arithmetic)?;
    let checkpoint = Checkpoint::read(note.text())?;
    if checkpoint.origin == origin {
        Ok(checkpoint)
    } else {
        Err(CheckpointFault::OtherOrigin { found: checkpoint.origin, wanted: origin.to_owned() })
    }
}

/// Puts a file in its place at once, and returns when it is on the disk. Only its owner reads it.
fn put(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let beside = folder.join(format!("{name}.new"));
    let mut file = File::create(&beside)?;
    // Before anything is in it.
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&beside, folder.join(name))?;
    // The name as well as the bytes.
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    Ok(())
}
