//! Requests from a manifest, made ready to be sent: who asks is written.

use std::path::Path;

use crate::api::request::AccessRequest;
use crate::api::subject::Identity;
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::manifests::requests_in;
use crate::core::model::subjects::is_same_person;

/// The requests of a file, or of standard input for `-`, as this person sends them.
///
/// # Errors
/// When there is none, or one cannot be used.
pub fn drafts(
    file: &Path,
    namespace: Option<&str>,
    usual: &str,
    who: &Identity,
) -> Result<Vec<AccessRequest>, PluginError> {
    requests_in(file, namespace, usual)?.into_iter().map(|request| ready(request, who)).collect()
}

fn ready(mut request: AccessRequest, who: &Identity) -> Result<AccessRequest, PluginError> {
    if let Some(written) = request.spec.requester.as_ref().filter(|written| !is_same_person(written, who)) {
        let name = request.metadata.name.or(request.metadata.generate_name).unwrap_or_default();
        let (written, caller) = (written.username.clone(), who.username.clone());
        return Err(PluginError::AsSomebodyElse { name, written, caller });
    }
    request.spec.requester = Some(who.clone());
    request.status = None;
    Ok(request)
}
