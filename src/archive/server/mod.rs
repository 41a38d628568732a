//! How the archive is called: HTTP/1.1 over TLS.
//!
//! Owns the routes. Writers call [`writing`] with their token, feeds of audit events [`feeding`]; the API server calls [`reading`] for people, and [`campaigns`] for
//! those who review access, [`keeping`] for those who say what is kept beyond its time, and [`log`] for those who verify. Who
//! calls is for
//! [`super::who`], the port and its bounds for [`door`].

pub mod activity;
pub mod answer;
pub mod audit;
pub mod campaigns;
pub mod discovery;
pub mod door;
pub mod export;
pub mod feeding;
pub mod figures;
pub mod keeping;
pub mod log;
mod noted;
pub mod overdue;
pub mod query;
pub mod reading;
pub mod reads;
#[cfg(test)]
mod tests;
pub mod writing;

use std::sync::Arc;

use axum::Router;
use axum::routing::{delete, get, post, put};
use kube::Client;
use tokio::sync::Semaphore;

use self::figures::ArchiveFigures;
use super::activity::ActivityRules;
use super::store::ArchiveStore;
use super::who::feeders::AuditFeeders;
use super::who::oidc::OidcReaders;
use super::who::writers::RecordWriters;
use crate::api::keeping::KeepingTimes;

/// What is served, for other programs.
const OPENAPI: &str = include_str!("openapi.json");

/// What every call is answered with.
#[derive(Clone)]
pub struct ArchiveDesk {
    pub store: ArchiveStore,
    /// Of the cluster that the archive runs in.
    pub client: Client,
    /// UID of that cluster: a right in one of its namespaces is none in another cluster's.
    pub home: String,
    pub writers: RecordWriters,
    /// Who reads without the API server, if anybody does.
    pub outside: Option<OidcReaders>,
    pub figures: ArchiveFigures,
    /// For how long what is kept.
    pub keeping: KeepingTimes,
    /// What is told of audit events.
    pub activity: Arc<ActivityRules>,
    /// Who feeds audit events.
    pub feeders: AuditFeeders,
    /// Places for feeds that are being read: each may take as much memory as it unpacks to, and a multiple.
    pub feeding: Arc<Semaphore>,
}

/// How many feeds are read at a time.
pub const FEEDS_AT_A_TIME: usize = 4;

/// All of them.
pub fn routes(desk: ArchiveDesk) -> Router {
    Router::new()
        .route("/v1/records", post(writing::deliver))
        .route("/v1/heads", get(writing::heads))
        .route("/v1/open", get(writing::open))
        .route("/v1/audit/events", post(feeding::of_api_server))
        .route("/v1/audit/firehose", post(feeding::of_firehose))
        .route("/v1/audit/pubsub", post(feeding::of_pubsub))
        .route("/v1/audit/eventhubs", post(feeding::of_eventhubs))
        .route("/v1/activity/uses", post(audit::uses))
        .route("/apis", get(discovery::groups))
        .route("/apis/archive.daypass.dev", get(discovery::group))
        .route("/apis/archive.daypass.dev/v1", get(discovery::resources))
        .route("/apis/archive.daypass.dev/v1/records", get(reading::everywhere))
        .route("/apis/archive.daypass.dev/v1/namespaces/{namespace}/records", get(reading::in_namespace))
        .route("/apis/archive.daypass.dev/v1/activity", get(activity::everywhere))
        .route("/apis/archive.daypass.dev/v1/namespaces/{namespace}/activity", get(activity::in_namespace))
        .route("/apis/archive.daypass.dev/v1/findings", get(activity::findings))
        .route("/apis/archive.daypass.dev/v1/bindinguses", get(activity::binding_uses))
        .route("/apis/archive.daypass.dev/v1/reads", get(reads::list))
        .route("/apis/archive.daypass.dev/v1/retention", get(keeping::retention))
        .route("/apis/archive.daypass.dev/v1/holds", get(keeping::list).post(keeping::hold))
        .route("/apis/archive.daypass.dev/v1/holds/{name}", delete(keeping::lift))
        .route("/apis/archive.daypass.dev/v1/erasures", post(keeping::erase))
        .route("/apis/archive.daypass.dev/v1/log", get(log::of_query))
        .route("/apis/archive.daypass.dev/v1/openings", get(log::openings))
        .route("/log/{*path}", get(log::of_path))
        .route("/apis/archive.daypass.dev/v1/texts/{digest}", get(reading::text))
        .route("/apis/archive.daypass.dev/v1/campaigns", get(campaigns::list).post(campaigns::start))
        .route("/apis/archive.daypass.dev/v1/campaigns/{name}", get(campaigns::get))
        .route("/apis/archive.daypass.dev/v1/campaigns/{name}/decisions", post(campaigns::decide))
        .route("/apis/archive.daypass.dev/v1/campaigns/{name}/look", put(campaigns::look))
        .route("/apis/archive.daypass.dev/v1/campaigns/{name}/close", put(campaigns::close))
        .route("/openapi.json", get(async || answer::json(OPENAPI.to_owned())))
        .with_state(desk)
}
