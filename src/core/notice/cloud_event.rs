//! Notices as CloudEvents 1.0, and the schema of their data.
//!
//! The same notice gives the same event, so that one that is sent twice is known by its source and id. It must not send anything.

use schemars::JsonSchema;
use serde::Serialize;

use super::{NOTICE_SCHEMA, Notice, NoticeEvent};
use crate::api::record::published;
use crate::core::record::cloud_event::CloudEvent;

/// Name of the file that has the JSON schema.
pub const NOTICE_SCHEMA_FILE: &str = "notice.v1.schema.json";

/// A notice as programs get it.
#[derive(Serialize, JsonSchema)]
#[schemars(title = "Notice")]
struct NoticeData<'a> {
    /// `daypass.dev/notice/v1`.
    #[schemars(extend("const" = NOTICE_SCHEMA))]
    schema: &'static str,
    #[serde(flatten)]
    notice: &'a Notice,
}

/// The JSON schema of notices.
pub fn notice_schema_as_json() -> String {
    published(schemars::schema_for!(NoticeData<'_>), NOTICE_SCHEMA)
}

/// The event of a notice. `source` is by what the cluster is known; it must not be empty.
pub fn event_of_notice(notice: &Notice, source: String) -> CloudEvent {
    let request = &notice.request;
    let subject = match notice.event {
        // No request is meant.
        NoticeEvent::GuardMissing => "guard".to_owned(),
        _ => format!("{}/{}", request.namespace, request.name),
    };
    CloudEvent {
        specversion: "1.0",
        id: notice.id.clone(),
        source,
        kind: format!("dev.daypass.notice.v1.{:?}", notice.event),
        subject,
        time: notice.at.to_string(),
        datacontenttype: "application/json",
        dataschema: format!("https://{NOTICE_SCHEMA}"),
        data: serde_json::to_value(NoticeData { schema: NOTICE_SCHEMA, notice }).unwrap_or_default(),
    }
}
