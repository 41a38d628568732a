//! Records as events of the Open Cybersecurity Schema Framework, for who collects those.
//!
//! Owns which versions of OCSF there are and what an event has in each; `v1_8` has the table from kinds to classes. An event
//! is made of its record alone: the same record gives the same event. What OCSF has no place for stays as it is, under
//! `unmapped`, so that nothing of a record is lost. It must not send anything.
//!
//! OCSF 1.9 is not published yet. It replaces class 3005 by 3007 and has activities for roles: it will be one more version
//! here with a table of its own, chosen by name, and none of the events of 1.8 will change.

mod event;
mod v1_8;

#[cfg(test)]
mod tests;

pub use event::OcsfEvent;

use crate::api::record::Record;

/// A published version of OCSF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OcsfVersion {
    /// 1.8.0, of March 2026.
    V1_8,
}

impl OcsfVersion {
    /// Every version that records are mapped to.
    pub const ALL: &'static [Self] = &[Self::V1_8];
    /// The one that is sent.
    pub const NEWEST: Self = Self::V1_8;

    /// The version as OCSF writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1_8 => "1.8.0",
        }
    }

    /// A record as an event of this version.
    pub fn event(self, record: &Record) -> OcsfEvent {
        match self {
            Self::V1_8 => v1_8::event(record),
        }
    }
}
