//! The file that `--config` names: what the witness is called, and which logs it knows.
//!
//! Owns its fields and their rules. It must not hold a key that signs.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::core::proof::checkpoint::TrustedKeys;
use crate::core::proof::note::{NoteKeyKind, VerifierKey, is_key_name};

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct WitnessFile {
    /// The name that it signs under.
    name: String,
    /// Keys of the logs, as NAME+ID+KEY. Two of one name are one log that changes its key.
    logs: Vec<String>,
}

/// What the file comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WitnessConfig {
    /// The name that it signs under.
    pub name: String,
    /// The keys of each log, by its origin.
    pub logs: BTreeMap<String, TrustedKeys>,
}

/// Why the file cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadWitnessConfig {
    /// It is not there, or no YAML of these fields.
    #[error("--config {0}: {1}; it has `name` and `logs`")]
    Unread(String, String),
    /// A field breaks a rule.
    #[error("--config: {0}: {1}")]
    Field(&'static str, String),
}

impl WitnessConfig {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be used.
    pub fn read(file: &Path) -> Result<Self, BadWitnessConfig> {
        let unread = |why: String| BadWitnessConfig::Unread(file.display().to_string(), why);
        let text = std::fs::read_to_string(file).map_err(|error| unread(error.to_string()))?;
        Self::of(serde_saphyr::from_str(&text).map_err(|error| unread(error.to_string()))?)
    }

    fn of(file: WitnessFile) -> Result<Self, BadWitnessConfig> {
        if !is_key_name(&file.name) {
            let why = format!("{:?} has a space or a `+`; write it as witness.example/security", file.name);
            return Err(BadWitnessConfig::Field("name", why));
        }
        let mut logs: BTreeMap<String, TrustedKeys> = BTreeMap::new();
        for text in &file.logs {
            let bad = |why: String| BadWitnessConfig::Field("logs", format!("{text}: {why}"));
            let key = VerifierKey::read(text).map_err(|fault| bad(fault.to_string()))?;
            if key.kind() != NoteKeyKind::Ed25519 {
                return Err(bad("it is the key of a witness; give that of a log, which the archive prints".to_owned()));
            }
            let origin = key.name().to_owned();
            let nobody = TrustedKeys { origin: origin.clone(), log: Vec::new(), witnesses: Vec::new() };
            logs.entry(origin).or_insert(nobody).log.push(key);
        }
        if logs.is_empty() {
            return Err(BadWitnessConfig::Field("logs", "there is none; give the key of a log".to_owned()));
        }
        Ok(Self { name: file.name, logs })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::note_signer::{NoteSigner, SignerUse};

    #[test]
    fn a_file_names_logs_by_their_keys() {
        let key = |name: &str, usage| NoteSigner::generate(name, usage).unwrap().verifier_key();
        let (old, new, other) = (key("a", SignerUse::Log), key("a", SignerUse::Log), key("b", SignerUse::Log));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("witness.yaml");
        let read = |text: &str| {
            std::fs::write(&file, text).unwrap();
            WitnessConfig::read(&file)
        };
        let config = read(&format!("name: w.example/1\nlogs: [{old}, {new}, {other}]\n")).unwrap();
        assert_eq!(config.name, "w.example/1");
        let counts: Vec<(&str, usize)> =
            config.logs.iter().map(|(origin, keys)| (origin.as_str(), keys.log.len())).collect();
        assert_eq!(counts, [("a", 2), ("b", 1)]);
        let witness = key("w", SignerUse::Witness);
        for (text, field) in [
            (format!("name: w 1\nlogs: [{old}]\n"), "name"),
            (format!("name: w\nlogs: [{witness}]\n"), "logs"),
            ("name: w\nlogs: []\n".to_owned(), "logs"),
            ("name: w\nlogs: [x]\n".to_owned(), "logs"),
        ] {
            assert!(matches!(read(&text), Err(BadWitnessConfig::Field(found, _)) if found == field), "{text}");
        }
        assert!(matches!(read("name: w\nlog: []\n"), Err(BadWitnessConfig::Unread(..))));
    }
}
