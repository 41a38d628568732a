//! Who may write, and who may read.
//!
//! Writers ([`writers`]) come with a token that is made for the archive alone, and read nothing with it. Readers
//! ([`readers`]) come through the API server, which has authenticated them: their own tokens never arrive here.

pub mod der;
pub mod front_proxy;
pub mod readers;
pub mod writers;
