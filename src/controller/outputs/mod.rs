//! Outputs for records beside standard output, which acknowledge nothing.
//!
//! Owns the ways to what people run already. None of them delays a pass or another output, and none is where a record is
//! kept: what is not taken in time is dropped and counted. `status.history` has it all, and an archive acknowledges.

pub mod cloud_events;
#[cfg(feature = "otlp")]
pub mod otlp;

#[cfg(test)]
mod tests;

use self::cloud_events::{CloudEventQueue, CloudEventSender, CloudEventSettings};
#[cfg(feature = "otlp")]
use self::otlp::RecordLogs;
use crate::api::record::Record;
use crate::runtime::metrics::Metrics;

/// Which outputs there are.
#[derive(Clone, Debug, Default)]
pub struct OutputSettings {
    /// Where CloudEvents go.
    pub cloud_events: Option<CloudEventSettings>,
    /// Their way to a collector.
    #[cfg(feature = "otlp")]
    pub logs: Option<RecordLogs>,
}

/// Where records are put to go out.
#[derive(Default)]
pub struct RecordOutputs {
    cloud_events: Option<CloudEventQueue>,
    #[cfg(feature = "otlp")]
    logs: Option<RecordLogs>,
}

impl RecordOutputs {
    /// The outputs, and what sends for them. It ends after the last who could put something there.
    pub fn start(settings: OutputSettings, metrics: &Metrics) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (queue, sender) = settings.cloud_events.map(|to| CloudEventSender::new(to, metrics.clone())).unzip();
        let sending = async move {
            if let Some(sender) = sender {
                sender.run().await;
            }
        };
        let outputs = Self {
            cloud_events: queue,
            #[cfg(feature = "otlp")]
            logs: settings.logs,
        };
        (outputs, sending)
    }

    /// Has records sent. Waits for nothing.
    pub fn push(&self, records: &[Record]) {
        if let Some(queue) = &self.cloud_events {
            records.iter().for_each(|record| queue.push(record));
        }
        #[cfg(feature = "otlp")]
        if let Some(logs) = &self.logs {
            records.iter().for_each(|record| logs.push(record));
        }
    }
}
