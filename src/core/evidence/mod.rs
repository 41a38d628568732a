//! What an auditor asks for: a pack of tables, made of records alone, that can be tested for completeness without trusting
//! whoever made it.
//!
//! [`chain`] has the records of one request, [`known`] the texts and groups that records name by digests. One file a table:
//! [`population`], [`grants`], [`approvals`], [`break_glass`], [`exceptions`], [`versions`], [`activity`], [`standing`].
//! [`summary`] counts for reports, [`measures`] counts how often a rule held, [`controls`] says which control that shows, and [`pack`] puts the files
//! together with their manifest. [`replay`] makes a decision anew by what is on record. `examples/evidence/check_pack.py` makes the same tables again by rules of its own. It must
//! not judge a person, and never says that something is compliant: it counts.

pub mod activity;
pub mod approvals;
pub mod break_glass;
pub mod chain;
pub mod controls;
pub mod exceptions;
pub mod grants;
pub mod known;
pub mod measures;
pub mod pack;
pub mod population;
pub mod replay;
pub mod standing;
pub mod summary;
pub mod table;
pub mod versions;

#[cfg(test)]
mod tests;
