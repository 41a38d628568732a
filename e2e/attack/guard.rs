//! Owns the guards as the cluster has them: how each is taken out of force and put back.

use serde_json::{Value, json};

use super::call::{create, delete, merge, put, read};
use super::ground::Ground;
use crate::harness::install::as_new;
use crate::harness::users::ADMIN;
use crate::harness::webhook;

const BINDINGS: &str = "/apis/admissionregistration.k8s.io/v1";
const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// Rules of a schema that bound what is written.
const BOUNDS: [&str; 12] = [
    "x-kubernetes-validations",
    "maxItems",
    "minItems",
    "maxLength",
    "minLength",
    "maxProperties",
    "minProperties",
    "maximum",
    "minimum",
    "pattern",
    "format",
    "enum",
];

/// Makes the enum and the list of all its variants from one list, so that none can be left out of either.
macro_rules! guards {
    ($($(#[$words:meta])* $name:ident,)+) => {
        /// What keeps an attempt from succeeding.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Guard {
            $($(#[$words])* $name,)+
        }

        impl Guard {
            pub const ALL: &[Self] = &[$(Self::$name,)+];
        }
    };
}

guards! {
    /// The stamp of requests, and the check of it.
    Requester,
    /// The guard of a request's status.
    Status,
    /// That guard and the stamp of reviews.
    Reviewer,
    /// The guard of a policy's status.
    PolicyStatus,
    /// The guard of bindings.
    Bindings,
    /// The guard of policy authors.
    Author,
    /// The guard of deletions.
    Deletion,
    /// The guard of the namespace that Daypass runs in.
    OwnNamespace,
    /// The guard of the Lease.
    Lease,
    /// The guard of a request's metadata.
    Metadata,
    /// What the definitions say of values.
    Schema,
    /// That the definition keeps the status apart.
    Subresource,
}

impl Guard {
    /// The bindings of admission policies that put it into force.
    fn bindings(self) -> &'static [&'static str] {
        match self {
            Self::Requester => &[
                "validatingadmissionpolicybindings/daypass-identity-check",
                "mutatingadmissionpolicybindings/daypass-identity-stamp",
            ],
            Self::Status => &["validatingadmissionpolicybindings/daypass-status-guard"],
            Self::Reviewer => &[
                "validatingadmissionpolicybindings/daypass-status-guard",
                "mutatingadmissionpolicybindings/daypass-review-stamp",
            ],
            Self::PolicyStatus => &["validatingadmissionpolicybindings/daypass-policy-status-guard"],
            Self::Bindings => &["validatingadmissionpolicybindings/daypass-binding-guard"],
            Self::Author => &[
                "validatingadmissionpolicybindings/daypass-policy-author-guard-1",
                "validatingadmissionpolicybindings/daypass-policy-author-guard-2",
                "validatingadmissionpolicybindings/daypass-policy-author-guard-3",
                "validatingadmissionpolicybindings/daypass-policy-author-guard-4",
            ],
            Self::Deletion => &["validatingadmissionpolicybindings/daypass-deletion-guard"],
            Self::OwnNamespace => &["validatingadmissionpolicybindings/daypass-self-guard"],
            Self::Lease => &["validatingadmissionpolicybindings/daypass-lease-guard"],
            Self::Metadata => &["validatingadmissionpolicybindings/daypass-metadata-guard"],
            Self::Schema | Self::Subresource => &[],
        }
    }

    /// The definitions that it is part of.
    fn definitions(self) -> &'static [&'static str] {
        match self {
            Self::Schema => &["accessrequests.daypass.dev", "accesspolicies.daypass.dev"],
            Self::Subresource => &["accessrequests.daypass.dev"],
            _ => &[],
        }
    }

    /// How many attempts are made at a time once it is gone. There is one Lease, so each has to wait for the one before.
    pub fn attempts_at_a_time(self) -> usize {
        if self == Self::Lease { 1 } else { 8 }
    }

    /// Takes it away, and nothing else. A moment later it is out of force.
    pub async fn remove(self, ground: &Ground) -> Removed {
        let mut removed = Removed { bindings: Vec::new(), definitions: Vec::new() };
        for binding in self.bindings() {
            let mut path = format!("{BINDINGS}/{binding}");
            let mut stored = ground.read(&path).await;
            if stored.is_none() && binding.starts_with("mutating") {
                // Where no policy stamps, a webhook does.
                path = format!("{BINDINGS}/mutatingwebhookconfigurations/{}", webhook::NAME);
                stored = ground.read(&path).await;
            }
            let stored = stored.unwrap_or_else(|| panic!("{path} is not there"));
            ground.ok(&delete(ADMIN, path)).await;
            removed.bindings.push(as_new(stored));
        }
        for definition in self.definitions() {
            let path = format!("{DEFINITIONS}/{definition}");
            let stored = ground.read(&path).await.expect("a definition");
            let mut without = stored.clone();
            if self == Self::Schema {
                take_bounds(&mut without["spec"]["versions"][0]["schema"]);
            } else {
                without["spec"]["versions"][0]["subresources"] = json!({});
            }
            ground.ok(&put(ADMIN, path, without)).await;
            removed.definitions.push(stored);
        }
        removed
    }
}

/// What was taken away.
pub struct Removed {
    bindings: Vec<Value>,
    definitions: Vec<Value>,
}

impl Removed {
    pub async fn put_back(self, ground: &Ground) {
        for binding in self.bindings {
            let kind = binding["kind"].as_str().expect("a kind").to_lowercase();
            ground.ok(&create(ADMIN, format!("{BINDINGS}/{kind}s"), binding)).await;
        }
        for definition in self.definitions {
            let path = format!("{DEFINITIONS}/{}", definition["metadata"]["name"].as_str().expect("a name"));
            let now = read(&ground.client(ADMIN).await, &path).await.expect("a definition");
            // A merge patch replaces the list of versions as a whole.
            let version = now["metadata"]["resourceVersion"].clone();
            let spec = json!({ "versions": definition["spec"]["versions"] });
            let back = json!({ "metadata": { "resourceVersion": version }, "spec": spec });
            ground.ok(&merge(ADMIN, path, back)).await;
        }
    }
}

/// Takes the bounds out of a schema, at any depth. Properties may have the names of bounds.
fn take_bounds(schema: &mut Value) {
    let Some(schema) = schema.as_object_mut() else { return };
    schema.retain(|key, _| !BOUNDS.contains(&key.as_str()));
    for (key, part) in schema {
        match (key.as_str(), part) {
            ("properties", Value::Object(properties)) => properties.values_mut().for_each(take_bounds),
            ("items" | "additionalProperties" | "openAPIV3Schema", part) => take_bounds(part),
            _ => {}
        }
    }
}
