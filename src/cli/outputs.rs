//! Flags for where records go besides standard output.

use std::path::PathBuf;

use clap::ValueEnum;
use http::Uri;

use crate::controller::outputs::OutputSettings;
use crate::controller::outputs::cloud_events::{self, CloudEventSettings};
use crate::core::record::cloud_event::CloudEventData;
use crate::core::record::ocsf::OcsfVersion;

/// Where records go besides standard output.
#[derive(Clone, Debug, clap::Args)]
pub struct OutputArgs {
    /// Receiver to post each record to, as a CloudEvent that is signed as Standard Webhooks say: https://HOST/PATH. Nothing
    /// waits for it, and it is no archive: what it does not take for long is dropped.
    #[arg(long, value_name = "URL", value_parser = cloud_events::receiver, requires = "cloud_events_secrets")]
    cloud_events: Option<Uri>,
    /// File with the secrets that sign, each whsec_ and base64, with white space between them. It is read again each time.
    #[arg(long, value_name = "FILE", requires = "cloud_events")]
    cloud_events_secrets: Option<PathBuf>,
    /// File with the authorities of the receiver's certificate, in PEM. Left out: those of the machine; the image has none.
    #[arg(long, value_name = "FILE", requires = "cloud_events")]
    cloud_events_ca: Option<PathBuf>,
    /// What the events have as data.
    #[arg(long, value_name = "FORM", requires = "cloud_events", default_value = "record")]
    cloud_events_data: DataForm,
}

/// What is sent.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum DataForm {
    /// The record, as on standard output.
    Record,
    /// The record as an event of OCSF.
    Ocsf,
}

impl OutputArgs {
    /// What is asked for.
    pub fn settings(self) -> OutputSettings {
        let data = match self.cloud_events_data {
            DataForm::Record => CloudEventData::Record,
            DataForm::Ocsf => CloudEventData::Ocsf(OcsfVersion::NEWEST),
        };
        let cloud_events = self.cloud_events.zip(self.cloud_events_secrets).map(|(receiver, secrets)| {
            CloudEventSettings { receiver, secrets, authorities: self.cloud_events_ca, data }
        });
        OutputSettings {
            cloud_events,
            #[cfg(feature = "otlp")]
            logs: None,
        }
    }
}
