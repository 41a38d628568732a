//! What the stamp goes by of an AdmissionReview: the caller, the object as far as it has to be known, and where it is
//! written.
//!
//! Owns how a review is read, whatever its writer put into the object: a part of another type is no fault here, since the
//! schema refuses it later and says more. It must not know what is stamped.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// A call of the webhook, read as far as `T` says.
#[derive(Deserialize)]
pub struct AdmissionReview<T> {
    pub request: T,
}

/// What an answer needs, even to a request that cannot be read.
#[derive(Deserialize)]
pub struct OnlyUid {
    pub uid: String,
}

/// The parts of `request` that the stamp goes by. The rest, such as the old object, is read over and not kept.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Asked {
    pub uid: String,
    pub operation: String,
    pub resource: Resource,
    #[serde(default)]
    pub sub_resource: String,
    pub user_info: Login,
    #[serde(default)]
    pub object: Option<MapOr<Written>>,
}

/// What is written, by its API.
#[derive(Deserialize)]
pub struct Resource {
    pub group: String,
    pub version: String,
    pub resource: String,
}

/// Who the caller is to the API server.
#[derive(Deserialize)]
pub struct Login {
    #[serde(default)]
    pub username: String,
    #[serde(default)]
    pub uid: String,
    #[serde(default)]
    pub groups: Vec<String>,
    /// What else the login says. The API server writes a key without values as null.
    #[serde(default)]
    pub extra: BTreeMap<String, Option<Vec<String>>>,
}

/// The object, as far as identities come into it.
#[derive(Deserialize)]
pub struct Written {
    #[serde(default)]
    pub spec: Option<MapOr<Anything>>,
    #[serde(default)]
    pub status: Option<MapOr<Status>>,
}

/// Any map.
#[derive(Deserialize)]
pub struct Anything {}

/// The status of a request, as far as identities come into it.
#[derive(Deserialize)]
pub struct Status {
    #[serde(default)]
    pub reviews: Option<MapOr<BTreeMap<String, MapOr<OfReviewer>>>>,
}

/// Whether a review says who its reviewer is.
#[derive(Deserialize)]
pub struct OfReviewer {
    #[serde(default, deserialize_with = "is_there")]
    pub uid: bool,
    #[serde(default, deserialize_with = "is_there")]
    pub groups: bool,
}

/// Asked only of a field that is there, be it null.
fn is_there<'de, D: Deserializer<'de>>(field: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(field).map(|IgnoredAny| true)
}

/// A map, or anything else where a map should be: the schema refuses that after this, with a better message.
pub enum MapOr<T> {
    Map(T),
    Other,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for MapOr<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MapVisitor(PhantomData))
    }
}

struct MapVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for MapVisitor<T> {
    type Value = MapOr<T>;

    fn expecting(&self, words: &mut fmt::Formatter<'_>) -> fmt::Result {
        words.write_str("anything")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(MapOr::Map)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(MapOr::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(MapOr::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(MapOr::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(MapOr::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(MapOr::Other)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(MapOr::Other)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(MapOr::Other)
    }
}
