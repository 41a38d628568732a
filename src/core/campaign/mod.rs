//! Review campaigns: whether each standing or recurring access and each policy is still needed, said by its owners by a date.
//!
//! Owns what is reviewed ([`population`]), what a campaign has come to by all that happened in it ([`so_far`]), how each
//! item stands ([`standing`]), what somebody may do with it ([`judge`]) and what is shown of it to whom ([`shown`]). It must
//! not remove anything, and says of no person more than what they decided.

pub mod judge;
pub mod population;
pub mod shown;
pub mod so_far;
pub mod standing;
#[cfg(test)]
pub(crate) mod tests;
