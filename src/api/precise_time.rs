//! An instant as a history has it: finer than the whole seconds of [`Time`], and the same bytes again for those.
//!
//! Must not say what time it is.
//!
//! [`Time`]: k8s_openapi::apimachinery::pkg::apis::meta::v1::Time

use std::borrow::Cow;

use k8s_openapi::jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// An instant in UTC, to the microsecond. Whole seconds are written without a fraction, as versions before this one wrote
/// all of them: a history that is stored again is the same, byte for byte.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[serde(transparent)]
pub struct PreciseTime(pub Timestamp);

impl PreciseTime {
    /// The microsecond that an instant is in.
    pub fn of(at: Timestamp) -> Self {
        Self(Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at))
    }
}

impl JsonSchema for PreciseTime {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "PreciseTime".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_seconds_are_written_as_before_and_others_to_the_microsecond() {
        for (nanoseconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_999, "1970-01-01T00:00:00.000001Z"),
            (500_000_000, "1970-01-01T00:00:00.5Z"),
        ] {
            let instant = PreciseTime::of(Timestamp::from_nanosecond(nanoseconds).unwrap());
            assert_eq!(serde_json::to_value(instant).unwrap(), text);
            assert_eq!(serde_json::from_value::<PreciseTime>(text.into()).unwrap(), instant);
        }
    }
}
