//! The keys that a log is checked by, as they are given on the command line.
//!
//! Owns which flags give them. They must come from somewhere else than the log: none is ever read from what is verified.

use crate::cli::plugin::error::PluginError;
use crate::core::proof::checkpoint::TrustedKeys;
use crate::core::proof::note::{NoteKeyKind, VerifierKey};
use crate::runtime::note_signer::is_signed;

/// Whose word counts.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Keys")]
pub struct KeyArgs {
    /// Key of the log, as NAME+ID+KEY: the archive prints it at its start. Take it from whoever runs the archive, and not from
    /// the log. Repeat for the one that was before.
    #[arg(long, value_name = "KEY", required = true)]
    key: Vec<String>,
    /// Key of a witness, as NAME+ID+KEY: daypass-witness prints it at its start. Repeat for more.
    #[arg(long, value_name = "KEY")]
    witness_key: Vec<String>,
}

impl KeyArgs {
    /// The keys, of one log.
    ///
    /// # Errors
    /// When one is none, or they are of several logs.
    pub fn trusted(&self) -> Result<TrustedKeys, PluginError> {
        let log = read("--key", &self.key, NoteKeyKind::Ed25519)?;
        let witnesses = read("--witness-key", &self.witness_key, NoteKeyKind::CosignatureEd25519)?;
        let origin = log.first().map(|key| key.name().to_owned()).unwrap_or_default();
        if let Some(other) = log.iter().find(|key| key.name() != origin) {
            let problem = format!("{} and {origin} are two logs: verify each by itself", other.name());
            return Err(PluginError::Flag { flag: "--key", problem });
        }
        Ok(TrustedKeys { origin, log, witnesses })
    }
}

fn read(flag: &'static str, texts: &[String], kind: NoteKeyKind) -> Result<Vec<VerifierKey>, PluginError> {
    let one = |text: &String| {
        let key = VerifierKey::read(text);
        let key = key.map_err(|fault| PluginError::Flag { flag, problem: fault.to_string() })?;
        let problem = "it is a key for another use: --key takes that of a log, --witness-key that of a witness";
        let other = PluginError::Flag { flag, problem: problem.to_owned() };
        if key.kind() == kind { Ok(key) } else { Err(other) }
    };
    texts.iter().map(one).collect()
}

/// The arithmetic of signatures.
pub fn arithmetic(_: NoteKeyKind, public: &[u8], message: &[u8], signature: &[u8]) -> bool {
    is_signed(public, message, signature)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::note_signer::{NoteSigner, SignerUse};

    fn key(name: &str, usage: SignerUse) -> String {
        NoteSigner::generate(name, usage).unwrap().verifier_key()
    }

    #[test]
    fn keys_are_of_one_log_and_each_for_its_use() {
        let (one, other) = (key("a", SignerUse::Log), key("a", SignerUse::Log));
        let witness = key("w", SignerUse::Witness);
        let of = |log: &[&String], witnesses: &[&String]| {
            let owned = |keys: &[&String]| keys.iter().map(|key| (*key).clone()).collect();
            KeyArgs { key: owned(log), witness_key: owned(witnesses) }.trusted()
        };
        let trusted = of(&[&one, &other], &[&witness]).unwrap();
        assert_eq!((trusted.origin.as_str(), trusted.log.len(), trusted.witnesses.len()), ("a", 2, 1));
        for (log, witnesses) in [(&witness, &witness), (&one, &one), (&"x".to_owned(), &witness)] {
            assert!(matches!(of(&[log], &[witnesses]), Err(PluginError::Flag { .. })), "{log} {witnesses}");
        }
        assert!(of(&[&one, &key("b", SignerUse::Log)], &[]).is_err());
    }
}
