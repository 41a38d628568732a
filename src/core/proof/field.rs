//! Fields that a leaf hides: what stands in clear, what is committed to, and how a commitment is opened.
//!
//! A commitment is the SHA-256 of a domain word, the path of the field, a salt of 32 random bytes and the value, each so
//! that no other four give the same bytes. Without the salt nobody can tell whether a guess of the value is right; with
//! salt and value erased it says nothing any more, and the leaf stays as it was.
//!
//! Owns commitments, openings, and the cut of a JSON object by a list of what may stand in clear. All that the list does not
//! name is committed to, fields of tomorrow included. It must not draw a salt, nor know which object it is.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::api::record::digest_of_sum;

/// What is hashed first, so that a commitment is no hash of anything else.
const DOMAIN: &[u8] = b"daypass.dev/commitment/v1\0";
/// How many bytes a salt has.
pub const SALT_BYTES: usize = 32;

/// What keeps the value of one field of one leaf from being guessed. To be drawn from a generator fit for keys, and for no
/// two fields the same.
#[derive(Clone, PartialEq, Eq)]
pub struct FieldSalt([u8; SALT_BYTES]);

impl FieldSalt {
    /// Of random bytes.
    pub fn new(bytes: [u8; SALT_BYTES]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; SALT_BYTES] {
        &self.0
    }
}

/// Says nothing of it.
impl fmt::Debug for FieldSalt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FieldSalt")
    }
}

/// Salts of a leaf, by the path of their field.
pub type FieldSalts = BTreeMap<String, FieldSalt>;

/// What shows the value of a field.
#[derive(Clone, PartialEq, Eq)]
pub struct FieldOpening {
    /// Its salt.
    pub salt: FieldSalt,
    /// Its value.
    pub value: Value,
}

impl FieldOpening {
    /// The commitment that it opens, as a leaf writes it.
    pub fn commitment(&self, path: &str) -> String {
        commitment(path, &self.salt, &self.value)
    }

    /// As a proof file writes it.
    pub fn as_json(&self) -> Value {
        json!({ "salt": STANDARD.encode(self.salt.0), "value": self.value })
    }

    /// Reads it from there; none when it is not of that form.
    pub fn read(value: &Value) -> Option<Self> {
        let object = value.as_object().filter(|object| object.len() == 2)?;
        let salt = STANDARD.decode(object.get("salt")?.as_str()?).ok()?;
        Some(Self { salt: FieldSalt(salt.try_into().ok()?), value: object.get("value")?.clone() })
    }
}

/// Says nothing of the value.
impl fmt::Debug for FieldOpening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FieldOpening")
    }
}

/// Openings of a leaf, by the path of their field.
pub type FieldOpenings = BTreeMap<String, FieldOpening>;

/// The commitment to a value under a path.
pub fn commitment(path: &str, salt: &FieldSalt, value: &Value) -> String {
    let length = u64::try_from(path.len()).unwrap_or(u64::MAX).to_be_bytes();
    let sum = Sha256::new().chain_update(DOMAIN).chain_update(length).chain_update(path);
    digest_of_sum(&sum.chain_update(salt.0).chain_update(value.to_string()).finalize())
}

/// Which fields of an object stand in clear. Paths are JSON pointers (RFC 6901).
#[derive(Clone, Copy, Debug)]
pub struct ClearFields {
    /// Fields in clear, with all that is below them.
    pub clear: &'static [&'static str],
    /// Objects that are cut field by field. Others are committed to as a whole.
    pub cut: &'static [&'static str],
}

/// An object that was cut.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CutObject {
    /// What stands in clear.
    pub clear: Map<String, Value>,
    /// What does not, by path.
    pub hidden: BTreeMap<String, Value>,
}

impl ClearFields {
    /// Cuts an object.
    pub fn cut(&self, object: Map<String, Value>) -> CutObject {
        let mut hidden = BTreeMap::new();
        let clear = self.cut_below("", object, &mut hidden);
        CutObject { clear, hidden }
    }

    fn cut_below(
        &self,
        above: &str,
        object: Map<String, Value>,
        hidden: &mut BTreeMap<String, Value>,
    ) -> Map<String, Value> {
        let mut clear = Map::new();
        for (name, value) in object {
            let path = format!("{above}/{}", name.replace('~', "~0").replace('/', "~1"));
            match value {
                // An empty object would vanish, so it is committed to.
                Value::Object(below) if self.cut.contains(&path.as_str()) && !below.is_empty() => {
                    let below = self.cut_below(&path, below, hidden);
                    if !below.is_empty() {
                        clear.insert(name, below.into());
                    }
                }
                value if self.clear.contains(&path.as_str()) => drop(clear.insert(name, value)),
                value => drop(hidden.insert(path, value)),
            }
        }
        clear
    }

    /// Whether all of this stands in clear by right.
    pub fn allows(&self, clear: &Map<String, Value>) -> bool {
        let cut = self.cut(clear.clone());
        cut.hidden.is_empty() && cut.clear == *clear
    }

    /// Puts an object together again; none when two of its parts are about the same field, or one is not of this object.
    pub fn joined(&self, cut: CutObject) -> Option<Map<String, Value>> {
        let mut whole = Value::Object(cut.clear.clone());
        for (path, value) in &cut.hidden {
            let mut at = &mut whole;
            for name in path.strip_prefix('/')?.split('/') {
                let name = unescaped(name);
                if at.is_null() {
                    *at = Value::Object(Map::new());
                }
                at = at.as_object_mut()?.entry(name).or_insert(Value::Null);
            }
            *at = value.clone();
        }
        let Value::Object(whole) = whole else { return None };
        // Parts that got into each other's way come apart differently.
        (self.cut(whole.clone()) == cut).then_some(whole)
    }
}

/// A name of a path as the object has it.
fn unescaped(name: &str) -> String {
    let parts = name.split("~1").map(|part| part.split("~0").collect::<Vec<_>>().join("~"));
    parts.collect::<Vec<_>>().join("/")
}
