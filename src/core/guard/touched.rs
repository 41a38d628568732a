//! How it is told that somebody may have written to an object while the guard was missing: by its resource version, the
//! one thing of an object that only the API server gives. All versions of a cluster are taken from one count and can be
//! compared (KEP-5504).
//!
//! The controller itself writes in a gap too, each time on a version that it names. So its writes to one request, one on
//! top of the other, lead back to the last version that was not its own.

use crate::core::model::revision::Revision;

/// Writes of the controller to one request with none of anybody else in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnWrites {
    on: Revision,
    to: Revision,
}

impl OwnWrites {
    /// One write made on a version, which led to another, after those `before` it.
    #[must_use]
    pub fn after(before: Option<Self>, on: Revision, to: Revision) -> Self {
        let first = before.filter(|own| own.to == on).map_or(on, |own| own.on);
        Self { on: first, to }
    }

    /// The version that they led to.
    pub fn to(&self) -> Revision {
        self.to
    }
}

/// Whether somebody else than the controller may have written to a request after `sound`, when the guard was last known
/// to be in force: its version now, and the controller's own writes to it.
pub fn is_touched(version: Revision, own: Option<OwnWrites>, sound: Revision) -> bool {
    own.filter(|own| own.to == version).map_or(version, |own| own.on) > sound
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_another_version_than_before_the_gap_was_written_in_it() {
        assert!(!is_touched(10, None, 10));
        assert!(is_touched(11, None, 10));
    }

    #[test]
    fn the_controllers_own_writes_lead_back_to_what_they_were_made_on() {
        let own = OwnWrites::after(Some(OwnWrites::after(None, 9, 12)), 12, 15);
        assert!(!is_touched(15, Some(own), 10), "from 9 to 15 all was the controller's");
        assert!(is_touched(16, Some(own), 10), "somebody wrote after it");
        assert!(is_touched(15, Some(own), 8), "what it wrote on may have been written in the gap");
    }

    #[test]
    fn a_write_of_somebody_else_in_between_is_not_covered_by_the_next() {
        let own = OwnWrites::after(Some(OwnWrites::after(None, 9, 12)), 13, 15);
        assert!(is_touched(15, Some(own), 10));
        assert_eq!(own.to(), 15);
    }
}
