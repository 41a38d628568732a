//! What Daypass decides, as pure functions: a snapshot and a time go in, a step comes out.
//!
//! No client, no async, no clock, no environment: `now` is a parameter and every fact is in the snapshot.
//! The same input gives the same output, byte for byte.
//!
//! | Room | What it owns |
//! | --- | --- |
//! | [`model`] | Instants, windows, places, persons, and what a request asks for |
//! | [`guard`] | Whether the cluster's admission policies are in force, and when they were not |
//! | [`rbac`] | Roles, their risk, bindings, and whose an object is |
//! | [`activity`] | What was done with a grant, as audit events of the API server say it |
//! | [`policies`] | Policies as they are read: conditions, limits, scope, faults |
//! | [`decision`] | Whether a request may be granted, and under which policy |
//! | [`lifecycle`] | What happens next to a request, until its end and its review |
//! | [`record`] | What happened to a request, as records that can be made again |
//! | [`proof`] | What somebody who trusts neither cluster nor archive can check: the Merkle log, its proofs and checkpoints |
//! | [`report`] | Events, explanations, findings in policies |
//! | [`insight`] | Findings: who has too much, what is used, what could be asked for instead |
//! | [`evidence`] | What an auditor asks for, from records: tables, tests and their results |
//! | [`campaign`] | Review campaigns: what owners confirm or remove by a date, and how that stands |
//! | [`notice`] | What of a request is told to people who are not looking |
//!
//! A room uses those above it and none below. The tests in `laws` hold that, the purity, and ten properties over a
//! simulated cluster.

pub mod activity;
pub mod campaign;
pub mod decision;
pub mod evidence;
pub mod guard;
pub mod insight;
pub mod lifecycle;
pub mod model;
pub mod notice;
pub mod policies;
pub mod proof;
pub mod rbac;
pub mod record;
pub mod report;

#[cfg(test)]
pub(crate) mod laws;
