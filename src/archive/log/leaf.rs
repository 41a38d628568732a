//! A leaf that is ready to be kept, with the salts that were drawn for it.
//!
//! Owns drawing them. What a leaf says is for `core::proof::leaf`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use crate::core::proof::event::LogEvent;
use crate::core::proof::field::{FieldSalt, FieldSalts};
use crate::core::proof::leaf::{LeafEntry, LeafFault};
use crate::core::proof::tree::TreeHash;
use crate::runtime::secret::random_bytes;

/// Why there is no leaf.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoLeaf {
    /// It cannot be told in one.
    #[error(transparent)]
    Unfit(#[from] LeafFault),
    /// The system has no randomness to give.
    #[error("there are no random numbers to hide its fields by; try again")]
    NoRandomness,
}

/// A leaf, and what opens it.
#[derive(Clone, PartialEq, Eq)]
pub struct MadeLeaf {
    /// Its bytes, which are hashed and kept for good.
    pub bytes: String,
    /// What opens its commitments, as [`salts_written`] writes it.
    pub salts: String,
    /// What the archive says of itself, in clear. Empty for a record, which is kept as it came.
    pub event: String,
}

/// Says nothing of what it hides.
impl std::fmt::Debug for MadeLeaf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MadeLeaf").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl MadeLeaf {
    /// Of a record, from its bytes.
    ///
    /// # Errors
    /// When the record cannot be told in a leaf, or there are no random numbers.
    pub fn of_record(record: &str) -> Result<Self, NoLeaf> {
        Self::drawn(String::new(), |salts| LeafEntry::of_record(record, salts))
    }

    /// Of something that the archive says of itself.
    ///
    /// # Errors
    /// When it is too long for one leaf, or there are no random numbers.
    pub fn of_event(event: &LogEvent) -> Result<Self, NoLeaf> {
        let (_, told) = event.told()?;
        Self::drawn(Value::Object(told).to_string(), |salts| event.leaf(salts))
    }

    fn drawn(
        event: String,
        make: impl FnOnce(&mut dyn FnMut() -> FieldSalt) -> Result<(LeafEntry, FieldSalts), LeafFault>,
    ) -> Result<Self, NoLeaf> {
        let mut lacked = false;
        let mut draw = || {
            let salt = random_bytes();
            lacked |= salt.is_err();
            FieldSalt::new(salt.unwrap_or_default())
        };
        let (leaf, salts) = make(&mut draw)?;
        if lacked {
            return Err(NoLeaf::NoRandomness);
        }
        Ok(Self { bytes: leaf.bytes(), salts: salts_written(&salts), event })
    }

    /// Its hash in the tree.
    pub fn hash(&self) -> TreeHash {
        TreeHash::of_leaf(self.bytes.as_bytes())
    }
}

/// Salts as they are kept and served: an object with each salt in base64 under its path.
pub fn salts_written(salts: &FieldSalts) -> String {
    let all = salts.iter().map(|(path, salt)| (path.clone(), STANDARD.encode(salt.as_bytes()).into()));
    Value::Object(all.collect::<Map<_, _>>()).to_string()
}
