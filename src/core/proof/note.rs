//! Signed notes: a text and lines of signatures below it (C2SP signed-note), with the cosignatures of witnesses (C2SP
//! tlog-cosignature).
//!
//! Owns the form of notes and of the keys that check them, and which signature counts: one of a key that was given before,
//! by name and key id. A signature of a known key that is wrong spoils the note; one of an unknown key is passed over; two
//! of one key count once. It must not do the arithmetic of a signature, which whoever calls brings along, nor hold a
//! private key.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// What a line of a signature begins with.
const DASH: &str = "\u{2014} ";
/// How many signatures a note has at most. Notes of others have up to 16 at least; those after quantum computers are long.
const MOST_SIGNATURES: usize = 64;
/// How many bytes a note has at most.
const MOST_NOTE_BYTES: usize = 1 << 20;
/// How many bytes a public key of Ed25519 has.
const ED25519_BYTES: usize = 32;
/// How many bytes a time in a cosignature has.
const TIME_BYTES: usize = 8;
/// The first line of what a witness signs.
const COSIGNATURE: &str = "cosignature/v1";

/// What a key signs, and how. The numbers are those of signed-note; others are to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoteKeyKind {
    /// The text of a note, with Ed25519.
    Ed25519,
    /// A checkpoint and when it was seen, with Ed25519: what a witness signs.
    CosignatureEd25519,
}

impl NoteKeyKind {
    const ALL: [Self; 2] = [Self::Ed25519, Self::CosignatureEd25519];

    /// The number of it in a key.
    fn number(self) -> u8 {
        match self {
            Self::Ed25519 => 1,
            Self::CosignatureEd25519 => 4,
        }
    }
}

/// The arithmetic of signatures.
pub trait SignatureArithmetic {
    /// Whether the holder of the key signed the message. `public` is as [`NoteKeyKind`] has its public keys.
    fn is_signed(&self, kind: NoteKeyKind, public: &[u8], message: &[u8], signature: &[u8]) -> bool;
}

impl<F: Fn(NoteKeyKind, &[u8], &[u8], &[u8]) -> bool> SignatureArithmetic for F {
    fn is_signed(&self, kind: NoteKeyKind, public: &[u8], message: &[u8], signature: &[u8]) -> bool {
        self(kind, public, message, signature)
    }
}

/// What is wrong with a key or a note.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteFault {
    /// No key.
    #[error("it is not a verifier key, which is NAME+ID+KEY as the archive prints it")]
    NotAKey,
    /// A key of a kind that this version cannot check.
    #[error("the key is of kind {0}, which this version does not know; use a later one")]
    UnknownKind(u8),
    /// The id of the key is not that of its name and bytes.
    #[error("the key has another id than its name and bytes give; copy it once more")]
    OtherKeyId,
    /// No note.
    #[error("it is not a signed note, which is a text, an empty line and lines of signatures; fetch it again")]
    NotANote,
    /// More than is read.
    #[error("the note is longer than 1 MiB or has more than 64 signatures; fetch it from the log itself")]
    TooLong,
    /// A signature of a known key that is not one.
    #[error("the signature of {0} is wrong; the note was changed, or somebody else has this name")]
    WrongSignature(String),
    /// No key that was given has signed.
    #[error("none of the keys that were given has signed it; give the key of the log, or the one that was before")]
    NotSigned,
}

/// A key that checks signatures, with the name that it signs under.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct VerifierKey {
    name: String,
    kind: NoteKeyKind,
    public: Vec<u8>,
}

impl VerifierKey {
    /// Of an Ed25519 key; none when the name cannot stand in a note.
    pub fn new(name: &str, kind: NoteKeyKind, public: [u8; ED25519_BYTES]) -> Option<Self> {
        is_key_name(name).then(|| Self { name: name.to_owned(), kind, public: public.to_vec() })
    }

    /// Reads `NAME+ID+KEY`.
    ///
    /// # Errors
    /// When it is none, or of a kind that this version cannot check.
    pub fn read(text: &str) -> Result<Self, NoteFault> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoteFault::NotAKey);
        };
        let key = STANDARD.decode(key).map_err(|_| NoteFault::NotAKey)?;
        let (number, public) = key.split_first().ok_or(NoteFault::NotAKey)?;
        let kind = NoteKeyKind::ALL.into_iter().find(|kind| kind.number() == *number);
        let kind = kind.ok_or(NoteFault::UnknownKind(*number))?;
        if !is_key_name(name) || public.len() != ED25519_BYTES {
            return Err(NoteFault::NotAKey);
        }
        let read = Self { name: name.to_owned(), kind, public: public.to_vec() };
        if read.id_in_hex() == id { Ok(read) } else { Err(NoteFault::OtherKeyId) }
    }

    /// The name that it signs under.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it signs.
    pub fn kind(&self) -> NoteKeyKind {
        self.kind
    }

    /// Its id: with the name it tells a key from others. No proof of anything, since another key can be made to have it.
    pub fn id(&self) -> [u8; 4] {
        let sum = Sha256::new().chain_update(&self.name).chain_update([b'\n', self.kind.number()]);
        let [a, b, c, d, ..] = <[u8; 32]>::from(sum.chain_update(&self.public).finalize());
        [a, b, c, d]
    }

    fn id_in_hex(&self) -> String {
        self.id().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn is_of(&self, signature: &NoteSignature) -> bool {
        self.name == signature.name && self.id() == signature.id
    }
}

/// As [`VerifierKey::read`] reads it.
impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [&[self.kind.number()], self.public.as_slice()].concat();
        write!(f, "{}+{}+{}", self.name, self.id_in_hex(), STANDARD.encode(key))
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Whether a key may have this name.
pub fn is_key_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+')
}

/// A line of a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteSignature {
    name: String,
    id: [u8; 4],
    /// What comes behind the id: of a cosignature first the time.
    bytes: Vec<u8>,
}

impl NoteSignature {
    /// Signs a text, which ends with a new line. `sign` signs bytes with the private key of this verifier key. `at` is when, in
    /// seconds since 1970; only a cosignature says it.
    pub fn make(key: &VerifierKey, text: &str, at: u64, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> Self {
        let bytes = match key.kind {
            NoteKeyKind::Ed25519 => sign(text.as_bytes()),
            NoteKeyKind::CosignatureEd25519 => {
                [at.to_be_bytes().as_slice(), &sign(cosigned(text, at).as_bytes())].concat()
            }
        };
        Self { name: key.name.clone(), id: key.id(), bytes }
    }

    /// When a valid signature of this key was made, if it says so.
    fn checked(&self, key: &VerifierKey, text: &str, arithmetic: &impl SignatureArithmetic) -> Option<SignedAt> {
        let is_signed =
            |message: &str, bytes: &[u8]| arithmetic.is_signed(key.kind, &key.public, message.as_bytes(), bytes);
        match key.kind {
            NoteKeyKind::Ed25519 => is_signed(text, &self.bytes).then_some(SignedAt::Unsaid),
            NoteKeyKind::CosignatureEd25519 => {
                let (time, bytes) = self.bytes.split_first_chunk::<TIME_BYTES>()?;
                let at = u64::from_be_bytes(*time);
                let is_time = i64::try_from(at).is_ok();
                (is_time && is_signed(&cosigned(text, at), bytes)).then_some(SignedAt::Second(at))
            }
        }
    }
}

impl fmt::Display for NoteSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [self.id.as_slice(), &self.bytes].concat();
        writeln!(f, "{DASH}{} {}", self.name, STANDARD.encode(bytes))
    }
}

/// What a witness signs of a checkpoint.
fn cosigned(text: &str, at: u64) -> String {
    format!("{COSIGNATURE}\ntime {at}\n{text}")
}

/// When a signature was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SignedAt {
    /// It says nothing of that.
    Unsaid,
    /// In seconds since 1970, as whoever signed says.
    Second(u64),
}

/// A note as it was read. Nothing of it is to be believed before [`SignedNote::signers`] has said who signed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedNote {
    text: String,
    signatures: Vec<NoteSignature>,
}

impl SignedNote {
    /// Of a text, which ends with a new line, and signatures of it.
    pub fn new(text: String, signatures: Vec<NoteSignature>) -> Self {
        Self { text, signatures }
    }

    /// Reads a note.
    ///
    /// # Errors
    /// When it is none, or longer than one may be.
    pub fn read(note: &str) -> Result<Self, NoteFault> {
        if note.len() > MOST_NOTE_BYTES {
            return Err(NoteFault::TooLong);
        }
        if note.chars().any(|c| c < ' ' && c != '\n') {
            return Err(NoteFault::NotANote);
        }
        let at = note.rfind("\n\n").ok_or(NoteFault::NotANote)?;
        let (text, lines) = (&note[..=at], &note[at + 2..]);
        let lines = lines.strip_suffix('\n').ok_or(NoteFault::NotANote)?;
        let signatures = lines.split('\n').map(|line| signature(line).ok_or(NoteFault::NotANote));
        let signatures: Vec<NoteSignature> = signatures.collect::<Result<_, _>>()?;
        if signatures.len() > MOST_SIGNATURES {
            return Err(NoteFault::TooLong);
        }
        Ok(Self { text: text.to_owned(), signatures })
    }

    /// The text, with the new line at its end.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The same note with one signature more. One of the same key that was there before is left out.
    pub fn with(mut self, signature: NoteSignature) -> Self {
        self.signatures.retain(|other| (&other.name, other.id) != (&signature.name, signature.id));
        self.signatures.push(signature);
        self
    }

    /// The same note with the signatures of these keys alone.
    pub fn signed_by(mut self, keys: &[VerifierKey]) -> Self {
        self.signatures.retain(|signature| keys.iter().any(|key| key.is_of(signature)));
        self
    }

    /// Who of these has signed it. A key that signed several times counts once, with the latest of its times.
    ///
    /// # Errors
    /// When the signature of one of them is wrong, or none of them has signed.
    pub fn signers<'a>(
        &self,
        keys: impl IntoIterator<Item = &'a VerifierKey> + Clone,
        arithmetic: &impl SignatureArithmetic,
    ) -> Result<BTreeMap<&'a VerifierKey, SignedAt>, NoteFault> {
        let mut signers = BTreeMap::new();
        for signature in &self.signatures {
            for key in keys.clone().into_iter().filter(|key| key.is_of(signature)) {
                let at = signature.checked(key, &self.text, arithmetic);
                let at = at.ok_or_else(|| NoteFault::WrongSignature(key.name.clone()))?;
                let latest = signers.entry(key).or_insert(at);
                *latest = at.max(*latest);
            }
        }
        if signers.is_empty() { Err(NoteFault::NotSigned) } else { Ok(signers) }
    }
}

impl fmt::Display for SignedNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| write!(f, "{signature}"))
    }
}

fn signature(line: &str) -> Option<NoteSignature> {
    let (name, bytes) = line.strip_prefix(DASH)?.split_once(' ')?;
    let bytes = STANDARD.decode(bytes).ok()?;
    let (id, bytes) = bytes.split_first_chunk::<4>()?;
    let is_one = is_key_name(name) && !bytes.is_empty();
    is_one.then(|| NoteSignature { name: name.to_owned(), id: *id, bytes: bytes.to_vec() })
}

#[cfg(test)]
mod tests;
