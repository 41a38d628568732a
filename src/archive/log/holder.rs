//! Who holds checkpoints where the archive cannot reach them: witnesses (C2SP tlog-witness), and folders on other volumes.
//!
//! Owns what each is told, and what counts as held: a cosignature that its key verifies, or a file that is on disk. Each is
//! served by itself, so that one that is away holds up nobody else. It must not sign, and writes over nothing.

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use kube::client::Body;
use kube::{Client, Config};
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::figures::LogFigures;
use crate::archive::store::leaves::KeptCheckpoint;
use crate::archive::store::{ArchiveStore, StoreError};
use crate::core::proof::checkpoint::decimal;
use crate::core::proof::climb::{NoProof, prove_consistency, tiles_of_consistency};
use crate::core::proof::note::{NoteKeyKind, SignedNote, VerifierKey};
use crate::runtime::connection;
use crate::runtime::note_signer::is_signed;

/// How long a witness may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Time from one try that failed to the next.
const PAUSE: Duration = Duration::from_secs(10);
/// Where a witness takes checkpoints.
const ADD: &str = "/add-checkpoint";
/// Most bytes of what a witness answers.
const ANSWER: usize = 64 << 10;

/// Why a checkpoint is not held.
#[derive(Debug, thiserror::Error)]
pub enum NotHeld {
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The tree in the store is not whole.
    #[error("there is no proof for it: {0}")]
    Proof(#[from] NoProof),
    /// It does not answer, or not as a witness.
    #[error("the witness {0}")]
    Answer(String),
    /// It has seen a longer log.
    #[error(
        "the witness has seen {witness} leaves and the log has {log}; an old database was put back, or this is another log: \
         tell whoever runs the witness"
    )]
    Behind {
        /// Leaves that the witness has seen.
        witness: u64,
        /// Leaves of the log.
        log: u64,
    },
    /// The file cannot be written.
    #[error("{0}: {1}")]
    File(String, std::io::Error),
    /// The file holds something else.
    #[error("{0}: another checkpoint of as many leaves is in it; the log has two histories, so compare both")]
    Forked(String),
}

/// A witness.
#[derive(Clone)]
pub struct LogWitness {
    /// What checks its cosignatures.
    pub key: VerifierKey,
    client: Client,
    /// How many leaves it has seen, as far as is known.
    seen: u64,
}

impl LogWitness {
    /// The witness at a URL, whose server has a certificate of one of these authorities.
    ///
    /// # Errors
    /// When the address cannot be called.
    pub fn at(url: &str, key: VerifierKey, authorities: Option<Vec<Vec<u8>>>) -> Result<Self, String> {
        let uri: Uri = url.parse().map_err(|error| format!("{url:?} is no URL: {error}"))?;
        let mut config = Config::new(uri.clone());
        (config.root_cert, config.proxy_url) = (authorities, None);
        (config.connect_timeout, config.read_timeout) = (Some(PATIENCE), Some(PATIENCE));
        let client = connection::builder(config).map_err(|error| format!("{url:?}: {error}"))?.build();
        Ok(Self { key, client, seen: 0 })
    }

    /// Has it cosign a checkpoint, and keeps the cosignature with that.
    async fn hold(&mut self, store: &ArchiveStore, checkpoint: &KeptCheckpoint) -> Result<(), NotHeld> {
        if checkpoint.note.contains(&format!("\n\u{2014} {} ", self.key.name())) {
            return Ok(());
        }
        // It says once from where to go on, where this is not known.
        let answer = match self.ask(store, checkpoint).await? {
            (StatusCode::CONFLICT, size) => {
                let known = decimal(size.trim());
                self.seen = known.ok_or_else(|| NotHeld::Answer("answers 409 without a size".to_owned()))?;
                self.ask(store, checkpoint).await?
            }
            answer => answer,
        };
        let (code, lines) = answer;
        if code != StatusCode::OK {
            return Err(NotHeld::Answer(format!("answers {code}: {}", lines.trim())));
        }
        let line = self.cosignature(&checkpoint.note, &lines).ok_or_else(|| {
            NotHeld::Answer("gives no cosignature that its key verifies; compare the key in log.witnesses".to_owned())
        })?;
        store.add_cosignature(checkpoint.size, &line).await?;
        self.seen = checkpoint.size;
        Ok(())
    }

    async fn ask(&self, store: &ArchiveStore, checkpoint: &KeptCheckpoint) -> Result<(StatusCode, String), NotHeld> {
        let (seen, size) = (self.seen, checkpoint.size);
        if seen > size {
            return Err(NotHeld::Behind { witness: seen, log: size });
        }
        let tiles = store.fetched(tiles_of_consistency(seen, size)?).await?;
        let proof = prove_consistency(seen, size, &tiles)?;
        let lines: String = proof.iter().map(|hash| format!("{hash}\n")).collect();
        let body = format!("old {seen}\n{lines}\n{}", checkpoint.note);
        let answer = timeout(PATIENCE, self.post(body)).await;
        answer.unwrap_or_else(|_| Err("takes too long".to_owned())).map_err(NotHeld::Answer)
    }

    async fn post(&self, body: String) -> Result<(StatusCode, String), String> {
        let away = |error: &dyn std::fmt::Display| format!("does not answer ({error})");
        let request = Request::post(ADD).body(Body::from(body.into_bytes())).map_err(|error| away(&error))?;
        let answer = self.client.send(request).await.map_err(|error| away(&error))?;
        let code = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER).collect().await.map_err(|error| away(&error))?;
        Ok((code, String::from_utf8_lossy(&body.to_bytes()).into_owned()))
    }

    /// The line among these by which it cosigns the note.
    fn cosignature(&self, note: &str, lines: &str) -> Option<String> {
        let check =
            |_: NoteKeyKind, public: &[u8], message: &[u8], signature: &[u8]| is_signed(public, message, signature);
        let is_one = |line: &&str| {
            let with = SignedNote::read(&format!("{note}{line}\n"));
            with.is_ok_and(|with| with.signers([&self.key], &check).is_ok())
        };
        lines.lines().find(is_one).map(|line| format!("{line}\n"))
    }
}

/// Somebody who holds checkpoints.
#[derive(Clone)]
pub enum CheckpointHolder {
    /// Cosigns them.
    Witness(LogWitness),
    /// Has a file of each in a folder of the log.
    Folder(PathBuf),
}

impl CheckpointHolder {
    /// What figures call it.
    fn name(&self) -> String {
        match self {
            Self::Witness(witness) => witness.key.name().to_owned(),
            Self::Folder(folder) => folder.display().to_string(),
        }
    }

    /// Gives it each checkpoint that it has not yet, the last first, for good. `uid` is that of the log.
    pub async fn serve(
        mut self,
        store: ArchiveStore,
        uid: String,
        figures: LogFigures,
        mut last: watch::Receiver<Option<KeptCheckpoint>>,
    ) {
        let name = self.name();
        figures.awaits(&name);
        loop {
            let checkpoint = last.borrow_and_update().clone();
            let Some(checkpoint) = checkpoint else {
                if last.changed().await.is_err() {
                    return;
                }
                continue;
            };
            match self.hold(&store, &uid, &checkpoint).await {
                Ok(()) => {
                    info!(holder = name, size = checkpoint.size, "a checkpoint is held elsewhere");
                    figures.held(&name, &checkpoint);
                    if last.changed().await.is_err() {
                        return;
                    }
                }
                Err(error) => {
                    warn!(holder = name, size = checkpoint.size, %error, "a checkpoint is not held elsewhere");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    async fn hold(&mut self, store: &ArchiveStore, uid: &str, checkpoint: &KeptCheckpoint) -> Result<(), NotHeld> {
        match self {
            Self::Witness(witness) => witness.hold(store, checkpoint).await,
            Self::Folder(folder) => {
                let (folder, checkpoint) = (folder.join(uid), checkpoint.clone());
                let written = spawn_blocking(move || keep_file(&folder, &checkpoint)).await;
                written.unwrap_or_else(|error| Err(NotHeld::File(uid.to_owned(), std::io::Error::other(error))))
            }
        }
    }
}

/// Writes a checkpoint into a file that is named after its size. One that is there already is compared.
fn keep_file(folder: &Path, checkpoint: &KeptCheckpoint) -> Result<(), NotHeld> {
    let file = folder.join(format!("checkpoint-{}", checkpoint.size));
    let name = file.display().to_string();
    let fault = |error| NotHeld::File(name.clone(), error);
    match std::fs::read_to_string(&file) {
        Ok(there) => {
            let text = |note: &str| SignedNote::read(note).map(|note| note.text().to_owned());
            let is_same = text(&there).is_ok() && text(&there) == text(&checkpoint.note);
            return if is_same { Ok(()) } else { Err(NotHeld::Forked(name)) };
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(fault(error)),
    }
    std::fs::create_dir_all(folder).map_err(fault)?;
    let half = folder.join(".new");
    let mut written = std::fs::File::create(&half).map_err(fault)?;
    written.write_all(checkpoint.note.as_bytes()).and_then(|()| written.sync_all()).map_err(fault)?;
    std::fs::rename(&half, &file).map_err(fault)
}

#[cfg(test)]
mod tests;
