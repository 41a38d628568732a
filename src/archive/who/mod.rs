//! Who may write, and who may read.
//!
//! Writers ([`writers`]) come with a token that is made for the archive alone, and read nothing with it. Feeds of audit events
//! ([`feeders`]) have tokens and secrets of their own, which write nothing else. Readers
//! ([`readers`]) come through the API server, which has authenticated them: their own tokens never arrive here. From outside
//! of the cluster they come with a token of an issuer that is made for the archive alone ([`oidc`]). Who has a part in review
//! campaigns ([`campaigners`]) comes through the API server alone.

pub mod campaigners;
pub mod der;
pub mod feeders;
pub mod front_proxy;
pub mod keys;
pub mod oidc;
pub mod readers;
#[cfg(test)]
mod tests;
pub mod token;
pub mod writers;
