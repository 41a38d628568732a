//! What is stored of the canary: the request that it tries reviews on, and on that the note of its rounds. With the canary's
//! own credentials, and only while this replica leads, which its client sees to.

use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Result};
use serde_json::Value;

use crate::api::AccessRequest;

/// Makes the canary's request.
///
/// # Errors
/// When the API server refuses.
pub async fn make(requests: &Api<AccessRequest>, request: &AccessRequest) -> Result<AccessRequest> {
    requests.create(&PostParams::default(), request).await
}

/// Notes annotations on the canary's request.
///
/// # Errors
/// When the API server refuses.
pub async fn note(requests: &Api<AccessRequest>, name: &str, annotations: Value) -> Result<AccessRequest> {
    let note = serde_json::json!({ "metadata": { "annotations": annotations } });
    requests.patch(name, &PatchParams::default(), &Patch::Merge(note)).await
}
