//! The name, labels and owner reference by which a binding or made role belongs to its request.
//!
//! It must not say whether the object should exist.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use crate::api::keys;

/// What the name of every binding begins with; the request's UID follows.
pub const NAME_PREFIX: &str = "daypass-";

/// UID of the request that an object says it belongs to, when it carries our mark.
pub fn request_uid(metadata: &ObjectMeta) -> Option<&str> {
    let labels = metadata.labels.as_ref()?;
    let ours = labels.get(keys::MANAGED_BY).map(String::as_str) == Some(keys::DAYPASS);
    labels.get(keys::REQUEST_UID).map(String::as_str).filter(|_| ours)
}

/// UIDs of requests that an object may belong to: by its label, and by its name in case the label was edited.
pub fn possible_request_uids(metadata: &ObjectMeta) -> impl Iterator<Item = &str> {
    let by_label = metadata.labels.as_ref().and_then(|l| l.get(keys::REQUEST_UID)).map(String::as_str);
    let by_name = metadata.name.as_deref().and_then(|n| n.strip_prefix(NAME_PREFIX));
    by_label.into_iter().chain(by_name)
}

/// What is wanted, over what is seen: the labels and annotations of others stay, and the version is the one that was seen.
pub fn over(seen: &ObjectMeta, wanted: ObjectMeta) -> ObjectMeta {
    let over = |theirs: &Option<BTreeMap<String, String>>, ours: Option<BTreeMap<String, String>>| {
        let mut all = theirs.clone().unwrap_or_default();
        all.extend(ours.unwrap_or_default());
        Some(all)
    };
    ObjectMeta {
        labels: over(&seen.labels, wanted.labels),
        annotations: over(&seen.annotations, wanted.annotations),
        uid: seen.uid.clone(),
        resource_version: seen.resource_version.clone(),
        ..wanted
    }
}

/// Whether an object carries the marks that it should, and no finalizers.
pub fn carries(seen: &ObjectMeta, wanted: &ObjectMeta) -> bool {
    has(&seen.labels, &wanted.labels) && owners(seen) == owners(wanted) && !has_finalizers(seen)
}

/// They would keep it in force after it was deleted.
pub fn has_finalizers(metadata: &ObjectMeta) -> bool {
    metadata.finalizers.as_ref().is_some_and(|finalizers| !finalizers.is_empty())
}

/// Who owns an object, as the garbage collector sees it.
pub fn owners(metadata: &ObjectMeta) -> &[OwnerReference] {
    metadata.owner_references.as_deref().unwrap_or_default()
}

/// Whether all of these labels or annotations are there, with these values.
pub fn has(have: &Option<BTreeMap<String, String>>, want: &Option<BTreeMap<String, String>>) -> bool {
    want.iter().flatten().all(|(k, v)| have.as_ref().and_then(|have| have.get(k)) == Some(v))
}
