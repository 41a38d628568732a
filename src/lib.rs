//! Daypass gives people a Kubernetes role for a limited time.
//!
//! This page is a map for readers of the code. What Daypass does, and how to install it, is in `README.md` of the
//! repository.
//!
//! # How a request becomes a binding, and how the binding ends
//!
//! 1. [`controller::watch`] receives an `AccessRequest` ([`api::request`]), keeps it in [`controller::stores`] and asks for
//!    a pass.
//! 2. [`controller::loops::request`] makes the pass: it puts all that the decision needs into a
//!    [`core::decision::snapshot::Snapshot`].
//! 3. [`core::lifecycle::plan`] turns the snapshot and the current time into a step: which status to store, what to bind,
//!    what to delete, when to look again. [`core::decision::decide`] says yes, no or not yet.
//! 4. [`mod@controller::write`] carries the step out.
//! 5. [`controller::loops::ends`] deletes the binding when its time has come. A pass records that.
//!
//! A loop of its own, [`controller::loops::reaper`], starts from the bindings and removes those that no live request stands
//! behind.
//!
//! # Modules
//!
//! | Module | What it owns |
//! | --- | --- |
//! | [`api`] | The kinds `AccessRequest` and `AccessPolicy` as types, their CRDs and their limits |
//! | [`core`] | Every decision, as pure functions: no client, no clock, no environment |
//! | [`controller`] | Watches, the loops that grant, end and prove, and in [`mod@controller::write`] every write to the cluster |
//! | [`archive`] | The receiver of records, which outlive their objects, and how they are searched: `daypass-archive` |
//! | [`notify`] | Notices in chat, by mail and through webhooks to those who must act |
//! | [`page`] | The page in a browser: what it is made of, who may use it, and the few calls that it forwards: `daypass-page` |
//! | [`stamp`] | The webhook that writes identities where MutatingAdmissionPolicy cannot: `daypass stamp` |
//! | [`witness`] | What a security team runs elsewhere: it sees that the log of an archive only grows: `daypass-witness` |
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
//! [`core::lifecycle::plan`] for what happens next to a request, [`core::decision::decide`] for whether it is granted, and
//! [`mod@controller::write`] for what is written. `e2e/README.md` lists the files to change for a new policy field, Event,
//! metric or guard.
#![allow(rustdoc::private_intra_doc_links, reason = "these pages are for readers of the code")]
#![allow(rustdoc::bare_urls, reason = "comments on arguments are also what `--help` prints")]

pub mod api;
pub mod archive;
pub mod cli;
pub mod controller;
pub mod core;
pub mod notify;
pub mod page;
pub mod runtime;
pub mod stamp;
pub mod witness;
