//! Objects as the stores keep them: compressed, with what is asked for often at hand.
//!
//! Most of what is watched only waits: for its end, or, once it is over, for somebody to delete it. Compressed it takes a
//! part of the memory that the objects themselves would, for some microseconds at each look.

use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use kube::core::DeserializeGuard;
use kube::core::error_boundary::InvalidObject;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher::Event;
use kube::{Resource, ResourceExt};
use lz4_flex::block::{compress_prepend_size_with_dict, decompress_size_prepended_with_dict};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::borrow::Cow;

use crate::api::RoleKind;
use crate::api::request::{AccessRequest, State};
use crate::controller::observe::DecodedRequest;
use crate::core::decision::dependence::Dependence;
use crate::core::lifecycle::break_glass::is_unreviewed;
use crate::core::model::revision::{Revision, revision};
use crate::core::policies::limits::Counted;
use crate::core::rbac::ownership::request_uid;
use crate::core::record::retention::rests_since;

/// What a store can keep.
pub trait Pack: Resource<DynamicType = ()> {
    /// What is packed of it.
    type Whole: Serialize + DeserializeOwned;
    /// What is at hand without unpacking.
    type Summary: Clone + Send + Sync + 'static;
    /// A typical one as JSON. The more an object has in common with it, the less room it takes.
    const LIKE: &'static str;

    /// What to pack; nothing of one that cannot be decoded.
    fn whole(&self) -> Option<&Self::Whole>;

    /// What to have at hand.
    fn summary(&self) -> Self::Summary;

    /// The object again; of one that could not be decoded, its name and UID.
    fn restored(whole: Option<Self::Whole>, identity: &ObjectMeta) -> Self;
}

/// An object as a store keeps it.
#[derive(Clone)]
pub struct Packed<K: Pack> {
    /// What is at hand.
    pub summary: K::Summary,
    /// Name, namespace, UID and version.
    identity: ObjectMeta,
    bytes: Box<[u8]>,
}

/// A request as its store keeps it.
pub type PackedRequest = Packed<DecodedRequest>;

impl<K: Pack> Packed<K> {
    /// Packs an object.
    pub fn of(object: &K) -> Self {
        let metadata = object.meta();
        let identity = ObjectMeta {
            name: metadata.name.clone(),
            namespace: metadata.namespace.clone(),
            uid: metadata.uid.clone(),
            resource_version: metadata.resource_version.clone(),
            ..ObjectMeta::default()
        };
        let text = object.whole().and_then(|whole| serde_json::to_vec(whole).ok());
        let bytes = text.map(|text| compress_prepend_size_with_dict(&text, K::LIKE.as_bytes()));
        Self { summary: object.summary(), identity, bytes: bytes.unwrap_or_default().into() }
    }

    /// The object itself; none if the API server sent something that cannot be decoded.
    pub fn open(&self) -> Option<K::Whole> {
        if self.bytes.is_empty() {
            return None;
        }
        let text = decompress_size_prepended_with_dict(&self.bytes, K::LIKE.as_bytes()).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// The object as what is read of it.
    pub fn seen<T: for<'a> From<&'a K::Whole>>(&self) -> Option<T> {
        self.open().as_ref().map(T::from)
    }

    /// The object as the watch had it.
    pub fn restored(&self) -> K {
        K::restored(self.open(), &self.identity)
    }
}

impl PackedRequest {
    /// The revision that it is from; none if the request cannot be decoded.
    pub fn version(&self) -> Option<Revision> {
        self.summary.as_ref()?;
        revision(self.identity.resource_version.as_ref())
    }
}

/// Where the store has a request, in whatever form it comes.
pub fn reference(request: &impl ResourceExt) -> ObjectRef<PackedRequest> {
    ObjectRef::new(&request.name_any()).within(&request.namespace().unwrap_or_default())
}

/// What the watch says, for a store.
pub fn pack<K: Pack>(event: &Event<K>) -> Event<Packed<K>> {
    match event {
        Event::Init => Event::Init,
        Event::InitDone => Event::InitDone,
        Event::InitApply(object) => Event::InitApply(Packed::of(object)),
        Event::Apply(object) => Event::Apply(Packed::of(object)),
        Event::Delete(object) => Event::Delete(Packed::of(object)),
    }
}

impl<K: Pack> Resource for Packed<K> {
    type DynamicType = ();
    type Scope = K::Scope;

    fn kind(_: &()) -> Cow<'_, str> {
        K::kind(&())
    }

    fn group(_: &()) -> Cow<'_, str> {
        K::group(&())
    }

    fn version(_: &()) -> Cow<'_, str> {
        K::version(&())
    }

    fn plural(_: &()) -> Cow<'_, str> {
        K::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.identity
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.identity
    }
}

/// What is asked of every request at a time, so that it must not be unpacked for that.
#[derive(Clone, Debug)]
pub struct Summary {
    /// How far it is.
    pub state: State,
    /// When its access ends next.
    pub ends: Option<Timestamp>,
    /// Whether its access runs, or rests: it was granted and is not over.
    pub is_granted: bool,
    /// Whether its access has yet to be reviewed.
    pub unreviewed: bool,
    /// What limits count of it.
    pub counted: Option<Counted>,
    /// Since when nothing can happen to it any more, if an archive holds its whole history.
    pub rests_since: Option<Timestamp>,
    /// What its decision depends on.
    pub depends: Dependence,
    role: (RoleKind, Box<str>),
}

impl Summary {
    /// Of a request.
    pub fn of(request: &AccessRequest) -> Self {
        Self {
            state: request.status.as_ref().map_or(State::Pending, |status| status.state),
            ends: request.status.as_ref().and_then(|status| status.next_end()),
            is_granted: request.has_grant(),
            unreviewed: is_unreviewed(request),
            counted: Counted::of(request),
            rests_since: rests_since(request),
            depends: Dependence::of(request),
            role: (request.spec.role.kind, request.spec.role.name.as_str().into()),
        }
    }

    /// Whether it can change by itself, or its access has yet to be reviewed.
    pub fn is_open(&self) -> bool {
        !self.state.is_final() || self.unreviewed
    }

    /// Whether it is for this role.
    pub fn is_for(&self, kind: RoleKind, name: &str) -> bool {
        self.role.0 == kind && *self.role.1 == *name
    }
}

impl Pack for DecodedRequest {
    type Whole = AccessRequest;
    type Summary = Option<Summary>;
    const LIKE: &'static str = include_str!("packed/requests.jsonl");

    fn whole(&self) -> Option<&AccessRequest> {
        self.0.as_ref().ok()
    }

    fn summary(&self) -> Option<Summary> {
        self.whole().map(Summary::of)
    }

    fn restored(whole: Option<AccessRequest>, identity: &ObjectMeta) -> Self {
        let broken = || InvalidObject { error: "it could not be decoded".to_owned(), metadata: identity.clone() };
        DeserializeGuard(whole.ok_or_else(broken))
    }
}

/// UID of the request that an object says it belongs to.
type OwnerUid = Option<Box<str>>;

macro_rules! keep {
    ($($kind:ty: $like:expr),*) => {$(
        impl Pack for $kind {
            type Whole = Self;
            type Summary = OwnerUid;
            const LIKE: &'static str = $like;

            fn whole(&self) -> Option<&Self> {
                Some(self)
            }

            fn summary(&self) -> OwnerUid {
                request_uid(&self.metadata).map(Into::into)
            }

            fn restored(whole: Option<Self>, identity: &ObjectMeta) -> Self {
                whole.unwrap_or_else(|| Self { metadata: identity.clone(), ..Self::default() })
            }
        }
    )*};
}

keep! {
    RoleBinding: include_str!("packed/binding.json"),
    ClusterRoleBinding: include_str!("packed/binding.json"),
    Role: "",
    ClusterRole: ""
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn stored() -> Vec<Value> {
        let objects: Vec<Value> = serde_json::from_str(include_str!("../../../e2e/stored/0.1.0.json")).unwrap();
        objects.into_iter().filter(|object| object["kind"] == "AccessRequest").collect()
    }

    fn decoded(object: &Value) -> DecodedRequest {
        serde_json::from_value(object.clone()).unwrap()
    }

    #[test]
    fn what_is_kept_is_what_was_seen() {
        for object in stored() {
            let packed = Packed::of(&decoded(&object));
            assert_eq!(json!(packed.open().unwrap()), object);
            assert_eq!(packed.name_any(), object["metadata"]["name"].as_str().unwrap());
        }
    }

    #[test]
    fn a_request_takes_a_third_of_its_text_and_a_binding_less() {
        let objects = stored();
        let texts: usize = objects.iter().map(|object| object.to_string().len()).sum();
        let packed: usize = objects.iter().map(|object| Packed::of(&decoded(object)).bytes.len()).sum();
        assert!(packed * 3 < texts, "{packed} of {texts}: is the sample out of date?");
        let binding: RoleBinding = serde_json::from_value(json!({
            "metadata": { "name": "daypass-8e09e1f5-771e-47b4-9be7-3a55681f3676", "namespace": "shop" },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit" },
            "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "dora" }]
        }))
        .unwrap();
        let (packed, text) = (Packed::of(&binding), json!(binding).to_string());
        assert!(packed.bytes.len() * 2 < text.len(), "{} of {}", packed.bytes.len(), text.len());
        assert_eq!(packed.open().unwrap(), binding);
    }

    #[test]
    fn one_that_cannot_be_decoded_is_there_and_cannot_be_opened() {
        let broken =
            json!({ "metadata": { "name": "x", "namespace": "shop", "uid": "u", "resourceVersion": "7" }, "spec": 1 });
        let broken: DecodedRequest = serde_json::from_value(broken).unwrap();
        assert!(DeserializeGuard::<AccessRequest>::clone(&broken).0.is_err());
        let packed = Packed::of(&broken);
        assert!(packed.open().is_none() && packed.summary.is_none() && packed.version().is_none());
        assert_eq!(reference(&broken), ObjectRef::from_obj(&packed));
    }

    #[test]
    fn a_glance_says_what_the_request_says() {
        for object in stored() {
            let packed = Packed::of(&decoded(&object));
            let (summary, request) = (packed.summary.clone().unwrap(), packed.open().unwrap());
            let status = request.status.clone().unwrap();
            assert_eq!((summary.state, summary.ends), (status.state, status.next_end()));
            assert_eq!(summary.is_open(), !request.is_over() || is_unreviewed(&request));
            assert!(summary.is_for(request.spec.role.kind, &request.spec.role.name));
            assert!(!summary.is_for(request.spec.role.kind, "other"));
            assert_eq!(summary.counted.is_some(), Counted::of(&request).is_some());
        }
    }
}
