//! How the API server's audit events come to the archive, and what they come wrapped in.
//!
//! Owns the wrappings: lines and lists of the API server itself ([`events`]), CloudWatch logs of EKS by Firehose
//! ([`firehose`]), Cloud Audit Logs of GKE by Pub/Sub ([`pubsub`], [`gke`]), resource logs of AKS by Event Hubs
//! ([`eventhubs`]); and the [`tail`] of a log file. Unwrapping is pure and bounded. It must not judge an event, or keep one:
//! what an event says is for `core::activity`. Who may feed is for [`super::who::feeders`].

pub mod eventhubs;
pub mod events;
pub mod firehose;
pub mod gke;
pub mod gzip;
pub mod pubsub;
pub mod tail;

/// The audience of the token that a tail feeds with. It opens nothing else, as that of records opens no feed.
pub const FEED_AUDIENCE: &str = "daypass-archive-audit";
/// Where lines and lists of events are sent.
pub const EVENTS_PATH: &str = "/v1/audit/events";
/// Most bytes that one call may come to when it is unpacked.
pub const MOST_UNPACKED: usize = 32 << 20;

/// What one call brings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unwrapped {
    /// Events as JSON of audit.k8s.io/v1, which nobody has read yet, in the order that they came in.
    pub events: Vec<String>,
    /// How many things are there that should hold an event and do not.
    pub unreadable: usize,
    /// How many things are there that are something else, such as another log of the same cluster.
    pub passed_over: usize,
    /// How the call names itself, where it must be answered with that.
    pub call: Option<String>,
}

impl Unwrapped {
    /// Adds an event, unless there is nothing in it.
    fn take(&mut self, text: &str) {
        let text = text.trim();
        if !text.is_empty() {
            self.events.push(text.to_owned());
        }
    }
}

/// Why nothing of a call is taken. What was in it is not told: it may hold secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadEnvelope {
    /// It is not what this path takes.
    #[error("body: it is not what {wanted}, at line {line}, column {column}; {way_out}")]
    Unread {
        /// What this path takes.
        wanted: &'static str,
        /// Where it is something else, from 1.
        line: usize,
        /// Where in the line, from 1.
        column: usize,
        /// What to do.
        way_out: &'static str,
    },
    /// It is of a version of audit events that is not read.
    #[error(
        "apiVersion: it must be audit.k8s.io/v1; start the API server with --audit-webhook-version=audit.k8s.io/v1"
    )]
    Version,
    /// It unpacks to too much.
    #[error("body: it unpacks to more than {MOST_UNPACKED} bytes; send less at a time")]
    TooLarge,
    /// It is packed, and broken.
    #[error("body: its gzip is broken; send it whole, or without Content-Encoding")]
    Broken,
}

impl BadEnvelope {
    /// What a reader of JSON says of the place, and nothing of what stands there.
    fn unread(wanted: &'static str, way_out: &'static str, error: &serde_json::Error) -> Self {
        Self::Unread { wanted, line: error.line(), column: error.column(), way_out }
    }
}
