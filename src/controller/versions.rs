//! Which requests there are and in which version, as the API server has them. Decides nothing.

use std::collections::HashMap;

use kube::api::ListParams;
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Client};

use crate::api::AccessRequest;
use crate::controller::stores::packed::PackedRequest;
use crate::core::decision::served::ServedNamespaces;
use crate::core::model::revision::{Revision, revision};

/// How many requests are listed at a time.
const PAGE: u32 = 500;

/// Requests by where they are, and their versions.
pub type Versions = HashMap<ObjectRef<PackedRequest>, Revision>;

/// Every request in reach and its version, as the API server has them now.
///
/// # Errors
/// When the API server cannot be asked.
pub async fn list(client: &Client, reach: &ServedNamespaces) -> kube::Result<Versions> {
    let client = || client.clone();
    let ServedNamespaces::Namespaces(names) = reach else { return list_all(Api::all(client())).await };
    let mut all = Versions::default();
    for name in names {
        match list_all(Api::namespaced(client(), name)).await {
            // Nor does the watch wait for it.
            Err(kube::Error::Api(status)) if status.is_forbidden() => {}
            listed => all.extend(listed?),
        }
    }
    Ok(all)
}

async fn list_all(api: Api<AccessRequest>) -> kube::Result<Versions> {
    let mut page = ListParams::default().limit(PAGE);
    let mut all = Versions::default();
    loop {
        let list = api.list_metadata(&page).await?;
        all.extend(list.items.iter().filter_map(place_and_version));
        match list.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => return Ok(all),
        }
    }
}

fn place_and_version(request: &PartialObjectMeta<AccessRequest>) -> Option<(ObjectRef<PackedRequest>, u64)> {
    let metadata = &request.metadata;
    let place = ObjectRef::new(metadata.name.as_deref()?).within(metadata.namespace.as_deref()?);
    Some((place, revision(metadata.resource_version.as_ref())?))
}
