//! Words of stored enums. Another version of Daypass may have stored one that this version does not know; it is read, kept
//! and shown as it stands, and nothing is refused for it (API conventions: clients must tolerate unknown enum values).

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The words of an enum.
pub trait Vocabulary: Copy + PartialEq + 'static {
    /// Every value.
    const ALL: &'static [Self];
    /// The word as the API writes it.
    fn as_str(self) -> &'static str;
}

/// A stored word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word<T> {
    /// One that this version knows.
    Known(T),
    /// One that another version wrote.
    Other(String),
}

impl<T: Vocabulary> Word<T> {
    /// The word as it is stored.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(value) => value.as_str(),
            Self::Other(word) => word,
        }
    }

    /// The value, if this version knows the word.
    pub fn known(&self) -> Option<T> {
        match self {
            Self::Known(value) => Some(*value),
            Self::Other(_) => None,
        }
    }
}

impl<T: Vocabulary> From<&str> for Word<T> {
    fn from(word: &str) -> Self {
        let known = T::ALL.iter().find(|value| value.as_str() == word);
        known.map_or_else(|| Self::Other(word.to_owned()), |value| Self::Known(*value))
    }
}

impl<T> From<T> for Word<T>
where
    T: Vocabulary,
{
    fn from(value: T) -> Self {
        Self::Known(value)
    }
}

impl<T: Vocabulary> PartialEq<T> for Word<T> {
    fn eq(&self, value: &T) -> bool {
        self.known() == Some(*value)
    }
}

impl<T: Vocabulary> Serialize for Word<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de, T: Vocabulary> Deserialize<'de> for Word<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::from(&*Cow::<str>::deserialize(deserializer)?))
    }
}

impl<T: Vocabulary> JsonSchema for Word<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Word".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        String::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::reason::Reason;

    #[test]
    fn a_word_of_another_version_is_read_kept_and_shown() {
        let read: Vec<Word<Reason>> = serde_json::from_str(r#"["Granted", "Teleported"]"#).unwrap();
        assert_eq!(read, [Word::Known(Reason::Granted), Word::Other("Teleported".to_owned())]);
        assert_eq!(serde_json::to_string(&read).unwrap(), r#"["Granted","Teleported"]"#);
        assert!(read[0] == Reason::Granted && read[1] != Reason::Granted && read[1].known().is_none());
    }

    #[test]
    fn every_reason_is_found_by_its_word() {
        for reason in Reason::ALL {
            assert_eq!(Word::from(reason.as_str()), Word::Known(*reason));
        }
    }
}
