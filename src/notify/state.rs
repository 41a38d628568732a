//! The one ConfigMap that this part writes: what was told.
//!
//! Owns reading and writing it. Each write names the version that was read, so that of two processes that believe they tell
//! one fails, and ends. It must not write anything else.

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;

use super::ledger::NoticeLedger;

/// The ConfigMap.
pub struct ToldState {
    maps: Api<ConfigMap>,
    name: String,
    version: Option<String>,
}

impl ToldState {
    /// The ConfigMap of this name.
    pub fn new(client: Client, namespace: &str, name: &str) -> Self {
        Self { maps: Api::namespaced(client, namespace), name: name.to_owned(), version: None }
    }

    /// Whether nothing was ever noted in it.
    ///
    /// # Errors
    /// When it is not there or cannot be read.
    pub async fn is_unused(&self) -> kube::Result<bool> {
        Ok(self.maps.get(&self.name).await?.data.is_none_or(|data| data.is_empty()))
    }

    /// What it says.
    ///
    /// # Errors
    /// When it is not there or cannot be read.
    pub async fn read(&mut self, now: Timestamp) -> kube::Result<NoticeLedger> {
        let map = self.maps.get(&self.name).await?;
        self.version = map.metadata.resource_version;
        Ok(NoticeLedger::read(&map.data.unwrap_or_default(), now))
    }

    /// Stores what has changed.
    ///
    /// # Errors
    /// A conflict when somebody else has written it; any other when it may be tried again.
    pub async fn store(&mut self, ledger: &mut NoticeLedger) -> kube::Result<()> {
        let Some(changes) = ledger.changes() else { return Ok(()) };
        let patch = json!({ "metadata": { "resourceVersion": self.version }, "data": &changes });
        let stored = self.maps.patch(&self.name, &PatchParams::default(), &Patch::Merge(patch)).await?;
        self.version = stored.metadata.resource_version;
        ledger.stored(&changes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use http::Method;
    use serde_json::Value;

    use super::*;
    use crate::controller::scripted::{Script, failure};
    use crate::core::laws::fixtures::{noon, request};
    use crate::core::notice::of_history;

    const THERE: &str = "/namespaces/daypass-system/configmaps/daypass-notify-state";

    fn map(version: &str, data: Value) -> Value {
        json!({ "metadata": { "name": "daypass-notify-state", "resourceVersion": version }, "data": data })
    }

    fn asked() -> crate::api::request::AccessRequest {
        let mut asked = request(json!({}));
        let waits = json!({ "at": noon().to_string(), "event": "ApprovalNeeded", "message": "" });
        asked.status = serde_json::from_value(json!({ "history": [waits] })).unwrap();
        asked
    }

    fn state(script: &Script) -> ToldState {
        ToldState::new(script.client(), "daypass-system", "daypass-notify-state")
    }

    #[tokio::test]
    async fn each_write_names_the_version_that_was_read_or_written_last() {
        let script = Script::default()
            .then(Method::GET, THERE, 200, map("7", json!({})))
            .then(Method::PATCH, THERE, 200, map("8", json!({})))
            .sending(json!({ "metadata": { "resourceVersion": "7" }, "data": { "since": noon() } }))
            .then(Method::PATCH, THERE, 409, failure(409, "Conflict"))
            .sending(json!({ "metadata": { "resourceVersion": "8" }, "data": {} }));
        let mut state = state(&script);
        let mut ledger = state.read(noon()).await.unwrap();
        state.store(&mut ledger).await.unwrap();
        state.store(&mut ledger).await.unwrap();
        assert!(ledger.changes().is_none(), "there is nothing to store, and nothing was sent");
        let (_, notice) = of_history(&asked(), 0).remove(0);
        ledger.bury("chat", &notice, "no such channel", noon());
        assert!(matches!(state.store(&mut ledger).await, Err(kube::Error::Api(status)) if status.code == 409));
        script.is_over();
    }

    #[tokio::test]
    async fn it_is_unused_until_something_is_noted() {
        let script = Script::default()
            .then(Method::GET, THERE, 200, json!({ "metadata": { "name": "daypass-notify-state" } }))
            .then(Method::GET, THERE, 200, map("2", json!({ "since": noon() })))
            .then(Method::GET, THERE, 404, failure(404, "NotFound"));
        let state = state(&script);
        assert!(state.is_unused().await.unwrap() && !state.is_unused().await.unwrap());
        assert!(state.is_unused().await.is_err(), "the chart makes it");
        script.is_over();
    }
}
