//! Owns what every test against a real API server needs: the control plane, its users, the tools that
//! talk to it, the installed product, and the clusters that trials run in.

pub mod archive;
pub mod binaries;
pub mod cast;
pub mod cluster;
pub mod control_plane;
pub mod http;
pub mod https;
pub mod impostor;
pub mod install;
pub mod issuer;
pub mod kubeconfig;
pub mod kubectl;
pub mod line;
pub mod notifier;
pub mod page;
pub mod plugin;
pub mod pod;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod readiness;
pub mod records;
pub mod servers;
pub mod shell;
pub mod sign_in;
pub mod table;
pub mod tail;
pub mod trial;
pub mod tunnel;
pub mod users;
pub mod wait;
pub mod webhook;
pub mod windows;

pub use cluster::Cluster;
pub use control_plane::ControlPlane;
pub use install::{Controller, Daypass};
pub use trial::{alone, audited, bare, flagged, private, shared, signed_in, without_cluster};
pub use wait::eventually;
