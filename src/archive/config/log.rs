//! The log of the file: who signs it, how often, and who holds its checkpoints elsewhere.
//!
//! Owns their fields and rules. It must not hold a key: a file or a program has it.

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::super::log::holder::{CheckpointHolder, LogWitness};
use super::super::log::signer::SignerSource;
use super::{BadConfig, wrong};
use crate::core::proof::checkpoint::SigningPlace;
use crate::core::proof::note::{NoteKeyKind, VerifierKey};
use crate::runtime::connection;

/// Longest time, in seconds, for which new leaves may wait for a checkpoint.
const MOST_SECONDS: u64 = 60;
/// What stands before the 32 bytes of an Ed25519 key where it is written as SubjectPublicKeyInfo (RFC 8410).
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// The log.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct LogEntry {
    signer: Option<SignerEntry>,
    /// Where the key lies, as checkpoints say.
    #[serde(default)]
    place: PlaceWord,
    /// Longest time for which new leaves wait for a checkpoint.
    #[serde(default = "a_minute")]
    every_seconds: u64,
    /// Who cosigns checkpoints.
    #[serde(default)]
    witnesses: Vec<WitnessEntry>,
    /// Where each checkpoint is kept besides.
    #[serde(default)]
    anchors: Vec<AnchorEntry>,
}

impl Default for LogEntry {
    fn default() -> Self {
        let (witnesses, anchors) = (Vec::new(), Vec::new());
        Self { signer: None, place: PlaceWord::default(), every_seconds: a_minute(), witnesses, anchors }
    }
}

fn a_minute() -> u64 {
    MOST_SECONDS
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct SignerEntry {
    file: Option<PathBuf>,
    command: Option<Vec<String>>,
    public_key: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct WitnessEntry {
    url: String,
    key: String,
    certificate_authority: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct AnchorEntry {
    folder: PathBuf,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
enum PlaceWord {
    #[default]
    Inside,
    Outside,
}

/// What it comes to.
#[derive(Clone)]
pub struct LogRules {
    pub signer: SignerSource,
    pub place: SigningPlace,
    pub every: Duration,
    /// Who holds checkpoints elsewhere.
    pub holders: Vec<CheckpointHolder>,
}

impl Default for LogRules {
    fn default() -> Self {
        let every = Duration::from_secs(MOST_SECONDS);
        Self { signer: SignerSource::Own, place: SigningPlace::Inside, every, holders: Vec::new() }
    }
}

impl LogEntry {
    /// Holds it to its rules.
    ///
    /// # Errors
    /// On the first field that breaks one.
    pub fn rules(self) -> Result<LogRules, BadConfig> {
        let signer = self.signer.map_or(Ok(SignerSource::Own), SignerEntry::source)?;
        let place = match (self.place, &signer) {
            (PlaceWord::Inside, _) => SigningPlace::Inside,
            (PlaceWord::Outside, SignerSource::Own) => {
                let why = "the archive makes its own key, which lies where the archive runs; name log.signer, or leave it out";
                return wrong("log.place".to_owned(), why.to_owned());
            }
            (PlaceWord::Outside, _) => SigningPlace::Outside,
        };
        if !(1..=MOST_SECONDS).contains(&self.every_seconds) {
            let why = format!("{} is not from 1 to {MOST_SECONDS}; leave it out for a minute", self.every_seconds);
            return wrong("log.everySeconds".to_owned(), why);
        }
        let witnesses = self.witnesses.into_iter().enumerate();
        let witnesses = witnesses.map(|(n, entry)| entry.witness(&format!("log.witnesses[{n}]")));
        let mut holders: Vec<CheckpointHolder> = witnesses.collect::<Result<_, _>>()?;
        holders.extend(self.anchors.into_iter().map(|anchor| CheckpointHolder::Folder(anchor.folder)));
        Ok(LogRules { signer, place, every: Duration::from_secs(self.every_seconds), holders })
    }
}

impl WitnessEntry {
    fn witness(self, at: &str) -> Result<CheckpointHolder, BadConfig> {
        let key = VerifierKey::read(self.key.trim());
        let key = key.map_err(|why| BadConfig::Field { field: format!("{at}.key"), why: why.to_string() })?;
        if key.kind() != NoteKeyKind::CosignatureEd25519 {
            let why = "it is the key of a log; give the one that the witness prints";
            return wrong(format!("{at}.key"), why.to_owned());
        }
        let authorities = match (&self.certificate_authority, self.url.starts_with("https://")) {
            (Some(pem), true) => connection::authorities(pem.as_bytes()).map(Some).map_err(|why| why.to_string()),
            (None, true) => Err("https needs it; give that of who signed the certificate of the witness".to_owned()),
            (None, false) => Ok(None),
            (Some(_), false) => Err("it goes with https alone; leave it out".to_owned()),
        };
        let field = format!("{at}.certificateAuthority");
        let authorities = authorities.map_err(|why| BadConfig::Field { field, why })?;
        let witness = LogWitness::at(&self.url, key, authorities);
        let witness = witness.map_err(|why| BadConfig::Field { field: format!("{at}.url"), why })?;
        Ok(CheckpointHolder::Witness(witness))
    }
}

impl SignerEntry {
    fn source(self) -> Result<SignerSource, BadConfig> {
        match (self.file, self.command, self.public_key) {
            (Some(file), None, None) => Ok(SignerSource::File(file)),
            (None, Some(command), Some(key)) if !command.is_empty() => match public(&key) {
                Some(key) => Ok(SignerSource::Command(command, key)),
                None => {
                    let why = "it is no Ed25519 key; write the 32 bytes, or the key as `openssl pkey -pubout -outform DER` \
                        does, in base64";
                    wrong("log.signer.publicKey".to_owned(), why.to_owned())
                }
            },
            _ => {
                let why = "the key is in file, or behind command with publicKey; give one of both";
                wrong("log.signer".to_owned(), why.to_owned())
            }
        }
    }
}

fn public(text: &str) -> Option<[u8; 32]> {
    let bytes = STANDARD.decode(text.trim()).ok()?;
    let key = bytes.strip_prefix(&SPKI).unwrap_or(&bytes);
    key.try_into().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::runtime::note_signer::{NoteSigner, SignerUse};

    fn rules(entry: Value) -> Result<LogRules, String> {
        let entry: LogEntry = serde_json::from_value(entry).map_err(|error| error.to_string())?;
        entry.rules().map_err(|error| match error {
            BadConfig::Field { field, .. } => field,
            BadConfig::Unread(..) => "unread".to_owned(),
        })
    }

    #[test]
    fn a_signer_is_a_file_or_a_program_with_its_public_key() {
        let parts = |entry: Value| rules(entry).map(|rules| (rules.signer, rules.place, rules.every.as_secs()));
        assert_eq!(parts(json!({})), Ok((SignerSource::Own, SigningPlace::Inside, 60)));
        let file = parts(json!({ "signer": { "file": "/key" }, "place": "outside", "everySeconds": 5 }));
        assert_eq!(file, Ok((SignerSource::File("/key".into()), SigningPlace::Outside, 5)));
        let der = [SPKI.as_slice(), &[7; 32]].concat();
        for key in [STANDARD.encode([7; 32]), STANDARD.encode(der)] {
            let signer = json!({ "command": ["sign", "key-7"], "publicKey": key });
            let command = SignerSource::Command(vec!["sign".to_owned(), "key-7".to_owned()], [7; 32]);
            assert_eq!(rules(json!({ "signer": signer })).map(|rules| rules.signer), Ok(command));
        }
    }

    #[test]
    fn what_breaks_a_rule_is_named_by_its_field() {
        let key = STANDARD.encode([7; 32]);
        let of = |usage| NoteSigner::generate("w", usage).unwrap().verifier_key();
        for (entry, field) in [
            (json!({ "signer": {} }), "log.signer"),
            (json!({ "signer": { "command": ["sign"] } }), "log.signer"),
            (json!({ "signer": { "command": [], "publicKey": key } }), "log.signer"),
            (json!({ "signer": { "file": "/key", "publicKey": key } }), "log.signer"),
            (json!({ "signer": { "command": ["sign"], "publicKey": "AAAA" } }), "log.signer.publicKey"),
            (json!({ "place": "outside" }), "log.place"),
            (json!({ "everySeconds": 0 }), "log.everySeconds"),
            (json!({ "witnesses": [{ "url": "http://w", "key": "no key" }] }), "log.witnesses[0].key"),
            (json!({ "witnesses": [{ "url": "http://w", "key": of(SignerUse::Log) }] }), "log.witnesses[0].key"),
            (
                json!({ "witnesses": [{ "url": "https://w", "key": of(SignerUse::Witness) }] }),
                "log.witnesses[0].certificateAuthority",
            ),
            (
                json!({ "witnesses": [{ "url": "http://w", "key": of(SignerUse::Witness), "certificateAuthority": "x" }] }),
                "log.witnesses[0].certificateAuthority",
            ),
            (json!({ "everySeconds": 61 }), "log.everySeconds"),
        ] {
            assert_eq!(rules(entry.clone()).err(), Some(field.to_owned()), "{entry}");
        }
    }
}
