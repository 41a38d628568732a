//! Daypass gives people a Kubernetes role for a limited time.
//!
//! This page is a map for readers of the code. What Daypass does, and how to install it, is in `README.md` of the
//! repository.
//!
//! # How a request becomes a binding
//!
//! 1. [`controller::watch`] receives an `AccessRequest` ([`api::request`]) and puts it into a queue.
//! 2. [`controller::request`] takes it through a pass: [`controller::observe`] reads what the decision needs into a
//!    [`core::snapshot::Snapshot`].
//! 3. [`core::plan`] turns the snapshot and the current time into a step: which status to store, what to bind,
//!    what to delete, when to look again. [`core::decide`] says yes, no or not yet.
//! 4. [`mod@controller::write`] carries the step out.
//!
//! A second loop, [`controller::reaper`], starts from the bindings and removes those that no live request stands behind.
//!
//! # Modules
//!
//! | Module | What it owns |
//! | --- | --- |
//! | [`api`] | The kinds `AccessRequest` and `AccessPolicy` as types, their CRDs and their limits |
//! | [`core`] | Every decision, as pure functions: no client, no clock, no environment |
//! | [`controller`] | Watches, passes, the reaper, and the canary that proves the guards. Requests, policies, bindings and roles are written in [`mod@controller::write`] |
//! | [`runtime`] | The process: clock, clients, leader election, probes, metrics, logs, traces |
//! | [`cli`] | The commands: `daypass`, and in [`cli::plugin`] `kubectl daypass` |
//!
//! Beside the crate:
//!
//! | Folder | What it holds |
//! | --- | --- |
//! | `charts/daypass` | The Helm chart with the admission policies that guard requests, and the operator's manual |
//! | `crds` | The CRDs, generated from [`api`] by `make crds` |
//! | `e2e` | Tests against a real API server, one file per behaviour, the demo and the benchmarks |
//! | `examples` | Policies and requests with their tests; `fields` has one example for each field of a policy |
//!
//! # Where to start reading
//!
//! [`core::plan`] for what happens next to a request, [`core::decide`] for whether it is granted, and
//! [`mod@controller::write`] for what is written. `e2e/README.md` lists the files to change for a new policy field, Event,
//! metric or guard.
#![allow(rustdoc::private_intra_doc_links, reason = "these pages are for readers of the code")]
#![allow(rustdoc::bare_urls, reason = "comments on arguments are also what `--help` prints")]

pub mod api;
pub mod cli;
pub mod controller;
pub mod core;
pub mod runtime;
