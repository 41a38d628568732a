//! A record, wherever it is from, and as programs get it: as the archive lists it.

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::api::record::Record;
use crate::api::request::AccessRequest;
use crate::archive::server::reading::{KIND, metadata, version};
use crate::core::record::v1::records;

/// A record and its object.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryItem {
    pub record: Record,
    object: Value,
}

impl HistoryItem {
    /// One that the archive listed.
    ///
    /// # Errors
    /// When it holds no record that this version can read.
    pub fn archived(object: Value) -> Result<Self, serde_json::Error> {
        let record = serde_json::from_value(object["record"].clone())?;
        Ok(Self { record, object })
    }

    /// All of a request that is still there. Without the cluster's UID they name no cluster, and no digest of the record
    /// before, which is made of it too.
    pub fn of_request(request: &AccessRequest, cluster: Option<&str>) -> Vec<Self> {
        let all = records(request, cluster.unwrap_or_default());
        let item = |record: Record| {
            let mut written = json!(record);
            if let (None, Some(fields)) = (cluster, written.as_object_mut()) {
                fields.remove("cluster");
                fields.remove("previous");
            }
            let metadata = metadata(&written);
            let object = json!({ "apiVersion": version(), "kind": KIND, "metadata": metadata, "record": written });
            Self { record, object }
        };
        all.into_iter().map(item).collect()
    }

    /// The record alone, with nothing changed of what was recorded.
    pub fn record_as_written(&self) -> &Value {
        &self.object["record"]
    }
}

impl Serialize for HistoryItem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.object.serialize(serializer)
    }
}
