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
