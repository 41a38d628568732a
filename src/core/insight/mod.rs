//! Findings: what stands out in who may do what, in how access is asked for and used, and in the policies that give it.
//!
//! Owns what is a finding, how bad it is and what to do about it. It finds only what was read, and says what it could not
//! look for. It must not decide about a request, change anything, or judge a person: it says what is so.
//!
//! | Part | What it owns |
//! | --- | --- |
//! | [`seen`] | What was read of the cluster, and what was not, with why |
//! | [`finding`] | The form of a finding, its kinds and what to do about it |

pub mod finding;
pub mod seen;
