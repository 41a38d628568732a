//! Whether a reader may list records, by the roles of the cluster.
//!
//! Owns asking. The API server has asked the same before it passed the call on; it is asked once more, so that nothing but
//! a right in the cluster opens the archive.

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};

use super::front_proxy::ArchiveReader;

/// The API group of the archive.
pub const GROUP: &str = "archive.daypass.dev";
/// Its only version.
pub const VERSION: &str = "v1";
/// What is listed.
pub const RESOURCE: &str = "records";
/// What was done with grants.
pub const ACTIVITY: &str = "activity";
/// What digests in records are digests of.
pub const TEXTS: &str = "texts";
/// Who read what.
pub const READS: &str = "reads";
/// Tiles and checkpoints of the log, which tell of no person.
pub const LOG: &str = "log";
/// What opens the leaves of the log.
pub const OPENINGS: &str = "openings";
/// What no record explains.
pub const FINDINGS: &str = "findings";
/// What is kept beyond its time.
pub const HOLDS: &str = "holds";
/// What is made to erase what is held of somebody.
pub const ERASURES: &str = "erasures";
/// For how long what is kept.
pub const RETENTION: &str = "retention";
/// When bindings that Daypass did not make were last used.
pub const BINDING_USES: &str = "bindinguses";

/// Whether this person may list a resource of the archive about a namespace, or without one all of them.
///
/// # Errors
/// When the API server does not answer.
pub async fn may_list(
    client: &Client,
    reader: &ArchiveReader,
    resource: &str,
    namespace: Option<&str>,
) -> kube::Result<bool> {
    let attributes = ResourceAttributes { namespace: namespace.map(str::to_owned), ..attributes("list", resource) };
    may(client, reader, attributes).await
}

/// A verb on a resource of the archive in the whole cluster.
pub fn attributes(verb: &str, resource: &str) -> ResourceAttributes {
    ResourceAttributes {
        group: Some(GROUP.to_owned()),
        version: Some(VERSION.to_owned()),
        resource: Some(resource.to_owned()),
        verb: Some(verb.to_owned()),
        ..ResourceAttributes::default()
    }
}

/// Whether this person may do something with a resource.
///
/// # Errors
/// When the API server does not answer.
pub async fn may(client: &Client, reader: &ArchiveReader, attributes: ResourceAttributes) -> kube::Result<bool> {
    let spec = SubjectAccessReviewSpec {
        user: Some(reader.username.clone()),
        uid: reader.uid.clone(),
        groups: Some(reader.groups.clone()),
        extra: Some(reader.extra.clone()),
        resource_attributes: Some(attributes),
        ..SubjectAccessReviewSpec::default()
    };
    let reviews: Api<SubjectAccessReview> = Api::all(client.clone());
    let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
    let answer = reviews.create(&PostParams::default(), &review).await?;
    Ok(answer.status.is_some_and(|status| status.allowed && status.denied != Some(true)))
}
