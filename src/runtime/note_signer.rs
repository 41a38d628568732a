//! The private key of a log or a witness: made, read from a file, and signed with (C2SP signed-note, Ed25519).
//!
//! Owns the key while the process runs. It is read from PKCS#8 in PEM, as `openssl genpkey -algorithm ed25519` writes it, or
//! from the one line that programs of signed notes write, `PRIVATE+KEY+NAME+ID+KEY`. It must not know what it signs, and the
//! key appears in no error and no log.

use std::fmt;

use aws_lc_rs::encoding::AsBigEndian;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use sha2::{Digest, Sha256};

/// What a key in one line begins with.
const PRIVATE: &str = "PRIVATE+KEY+";

/// What the key is for, by the numbers that signed notes have for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignerUse {
    /// It signs the checkpoints of a log.
    Log,
    /// It cosigns the checkpoints of logs of others.
    Witness,
}

impl SignerUse {
    fn number(self) -> u8 {
        match self {
            Self::Log => 1,
            Self::Witness => 4,
        }
    }
}

/// Why there is no key. None of it is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignerFault {
    /// The name cannot stand in a note.
    #[error("the name of a key has no spaces and no `+`; name it like daypass.dev/archive/UID")]
    Name,
    /// Neither of the two forms.
    #[error("it holds no Ed25519 key; make one with `openssl genpkey -algorithm ed25519`, or a line PRIVATE+KEY+...")]
    Form,
    /// A line for another use than it is read for.
    #[error("the key in it is made for another use; a log and a witness need a key each")]
    OtherUse,
    /// The id in the line is not that of the key.
    #[error("the id in it is not that of its name and key; copy it once more")]
    OtherId,
    /// The system has no randomness to give.
    #[error("there are no random numbers")]
    NoRandomness,
}

/// A key that signs under a name.
pub struct NoteSigner {
    name: String,
    usage: SignerUse,
    pair: Ed25519KeyPair,
}

impl NoteSigner {
    /// A new key.
    ///
    /// # Errors
    /// When the name cannot be, or there are no random numbers.
    pub fn generate(name: &str, usage: SignerUse) -> Result<Self, SignerFault> {
        Self::new(name, usage, Ed25519KeyPair::generate().map_err(|_| SignerFault::NoRandomness)?)
    }

    /// The key of a file. `name` is what one in PEM signs under; a line brings its own.
    ///
    /// # Errors
    /// When there is none in it, or none for this use.
    pub fn read(text: &str, name: &str, usage: SignerUse) -> Result<Self, SignerFault> {
        if let Some(line) = text.trim().strip_prefix(PRIVATE) {
            return Self::of_line(line, usage);
        }
        let key = PrivatePkcs8KeyDer::from_pem_slice(text.as_bytes()).map_err(|_| SignerFault::Form)?;
        let pair = Ed25519KeyPair::from_pkcs8(key.secret_pkcs8_der());
        Self::new(name, usage, pair.map_err(|_| SignerFault::Form)?)
    }

    fn of_line(line: &str, usage: SignerUse) -> Result<Self, SignerFault> {
        let mut parts = line.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(SignerFault::Form);
        };
        let key = STANDARD.decode(key).map_err(|_| SignerFault::Form)?;
        let (number, seed) = key.split_first().ok_or(SignerFault::Form)?;
        if *number != usage.number() {
            return Err(SignerFault::OtherUse);
        }
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| SignerFault::Form)?;
        let signer = Self::new(name, usage, pair)?;
        if signer.id() == id { Ok(signer) } else { Err(SignerFault::OtherId) }
    }

    fn new(name: &str, usage: SignerUse, pair: Ed25519KeyPair) -> Result<Self, SignerFault> {
        let is_name = !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+');
        if is_name { Ok(Self { name: name.to_owned(), usage, pair }) } else { Err(SignerFault::Name) }
    }

    /// The name that it signs under.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key that checks what this one signs, `NAME+ID+KEY`: it is no secret.
    pub fn verifier_key(&self) -> String {
        let key = [&[self.usage.number()], self.pair.public_key().as_ref()].concat();
        format!("{}+{}+{}", self.name, self.id(), STANDARD.encode(key))
    }

    /// The key itself in one line, for a file that only its owner reads.
    ///
    /// # Errors
    /// When the library does not give it out.
    pub fn private_key(&self) -> Result<String, SignerFault> {
        let seed = self.pair.seed().and_then(|seed| seed.as_be_bytes()).map_err(|_| SignerFault::Form)?;
        let key = [&[self.usage.number()], seed.as_ref()].concat();
        Ok(format!("{PRIVATE}{}+{}+{}", self.name, self.id(), STANDARD.encode(key)))
    }

    /// Signs a message.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }

    fn id(&self) -> String {
        let sum = Sha256::new().chain_update(&self.name).chain_update([b'\n', self.usage.number()]);
        let sum = sum.chain_update(self.pair.public_key().as_ref()).finalize();
        sum.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Says nothing of the key itself.
impl fmt::Debug for NoteSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.verifier_key())
    }
}

/// Whether the holder of an Ed25519 key signed a message.
pub fn is_signed(public: &[u8], message: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ED25519, public).verify(message, signature).is_ok()
}

#[cfg(test)]
mod tests;
