//! Records as log records of OTLP, one each, with the whole record as body.
//!
//! Owns that shape and a queue of fixed length: what does not fit is dropped. Traces name no people and records do, so they
//! are sent only where that is asked for.

use std::time::SystemTime;

use http::Uri;
use opentelemetry::logs::{AnyValue, LogRecord, Logger, LoggerProvider, Severity};
use opentelemetry_otlp::{ExporterBuildError, LogExporter, Protocol, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::logs::{BatchConfigBuilder, BatchLogProcessor, SdkLogger, SdkLoggerProvider};

use crate::api::record::Record;
use crate::runtime::collector::{self, ANSWER, Collector, EVERY, LAST, Signal};

/// How many records wait to be sent. What goes over is dropped.
const WAITING: usize = 8192;
/// How many are sent at once.
const BATCH: usize = 512;
/// Name of the event that each is.
const EVENT: &str = "dev.daypass.record.v1";

/// The way of records to a collector.
#[derive(Clone, Debug)]
pub struct RecordLogs {
    provider: SdkLoggerProvider,
    logger: SdkLogger,
}

impl RecordLogs {
    /// Records that go to the collector with this base URL, in the name of this process. Must be called on the runtime.
    ///
    /// # Errors
    /// When other `OTEL_EXPORTER_OTLP_` variables ask for what this build has not.
    pub fn to(base: &Uri, cluster: Option<&str>, instance: &str) -> Result<Self, ExporterBuildError> {
        let exporter = LogExporter::builder()
            .with_http()
            .with_http_client(Collector::taking(Signal::Records))
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(Signal::Records.url(base))
            .with_timeout(ANSWER)
            .build()?;
        let queue = BatchConfigBuilder::default()
            .with_max_queue_size(WAITING)
            .with_max_export_batch_size(BATCH)
            .with_scheduled_delay(EVERY)
            .build();
        let queue = BatchLogProcessor::builder(exporter).with_batch_config(queue).build();
        let resource = collector::resource(cluster, instance);
        let provider = SdkLoggerProvider::builder().with_resource(resource).with_log_processor(queue).build();
        let logger = provider.logger("daypass");
        Ok(Self { provider, logger })
    }

    /// Has a record sent. Waits for nothing.
    pub fn push(&self, record: &Record) {
        let mut log = self.logger.create_log_record();
        log.set_event_name(EVENT);
        log.set_timestamp(SystemTime::from(record.at.0));
        log.set_severity_number(Severity::Info);
        log.set_severity_text("INFO");
        log.set_body(AnyValue::from(record.bytes()));
        let attributes = [
            ("daypass.record.id", &record.id),
            ("daypass.record.kind", &record.kind.to_string()),
            ("k8s.cluster.uid", &record.cluster),
            ("k8s.namespace.name", &record.request.namespace),
        ];
        log.add_attributes(attributes.map(|(key, value)| (key, value.clone())));
        self.logger.emit(log);
    }

    /// Sends what is left, as far as there is time.
    pub async fn end(self) {
        // It waits in its thread, and no longer than this.
        let _ = tokio::task::spawn_blocking(move || self.provider.shutdown_with_timeout(LAST)).await;
    }
}
