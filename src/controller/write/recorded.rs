//! The writes of a request that is over: the note that an archive holds its history, and its removal.

use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use super::{Writer, exactly, version_of};
use crate::api::request::{AccessRequest, GrantActivity};
use crate::controller::error::Error;
use crate::controller::observe;

impl Writer {
    /// Notes how many entries of the history of a request an archive holds, and how its access was used where that is told.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the request is not the version that `request` is.
    pub async fn note_recorded(
        &self,
        request: &AccessRequest,
        length: i64,
        activity: Option<&GrantActivity>,
    ) -> Result<(), Error> {
        let (namespace, name) = observe::place(request)?;
        let api: Api<AccessRequest> = Api::namespaced(self.client.clone(), &namespace);
        let version = request.resource_version().ok_or(Error::Incomplete("resourceVersion"))?;
        let mut patch = json!({ "metadata": { "resourceVersion": version }, "status": { "recorded": length } });
        if let Some(activity) = activity {
            patch["status"]["activity"] = json!(activity);
        }
        let stored = api.patch_status(&name, &PatchParams::default(), &Patch::Merge(patch)).await;
        self.unless_changed("note that a request is recorded", stored, &api, request).await
    }

    /// Removes a request that is in this version.
    ///
    /// # Errors
    /// [`Error::Conflict`] when it is not.
    pub async fn remove(&self, request: &AccessRequest) -> Result<(), Error> {
        let (namespace, name) = observe::place(request)?;
        let api: Api<AccessRequest> = Api::namespaced(self.client.clone(), &namespace);
        let mut exactly = exactly(request.uid().ok_or(Error::Incomplete("uid"))?);
        if let Some(only) = &mut exactly.preconditions {
            only.resource_version = request.resource_version();
        }
        let removed = api.delete(&name, &exactly).await;
        self.unless_changed("remove a request that is over", removed, &api, request).await
    }

    /// What came of a write, where one that is gone has changed.
    async fn unless_changed<T>(
        &self,
        what: &'static str,
        outcome: kube::Result<T>,
        api: &Api<AccessRequest>,
        request: &AccessRequest,
    ) -> Result<(), Error> {
        match outcome {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.is_not_found() => Err(Error::Conflict),
            Err(error) => {
                let sent = request.metadata.resource_version.as_deref();
                let name = request.name_any();
                let now = version_of(api, &name);
                Err(Error::of_write(what, error, sent, now).await)
            }
        }
    }
}
