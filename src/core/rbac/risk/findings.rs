//! The table of what rights are good for: one file for each thing that they are about.
//!
//! Owns that the table is whole. It must not know who holds the rights. Follows "Role Based Access Control Good
//! Practices" of the Kubernetes docs, whose section on privilege escalation names most of these, and `pkg/registry` for
//! which resources there are and which have a namespace. What other projects' kinds do is from their documentation.

mod cluster;
mod extensions;
mod identity;
mod sweeping;
mod traffic;
mod workloads;

use super::finding::Finding;

/// Every finding.
pub(super) fn all() -> impl Iterator<Item = &'static Finding> {
    let tables: [&'static [Finding]; 6] = [
        sweeping::FINDINGS,
        identity::FINDINGS,
        workloads::FINDINGS,
        traffic::FINDINGS,
        cluster::FINDINGS,
        extensions::FINDINGS,
    ];
    tables.into_iter().flatten()
}
