//! The commands of the `daypass` binary, and in [`plugin`] those of the kubectl plugin.

pub mod check;
pub mod explain;
pub mod lint;
pub mod manifests;
pub mod plugin;
pub mod policy_test;
mod schema;
mod show;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};

use crate::controller;
use crate::runtime::metrics::Metrics;
use crate::runtime::server::{self, Readiness};
use crate::runtime::telemetry::{self, LogFormat};
use crate::runtime::{client, shutdown};
use crate::{api, controller::error::Error as ControllerError};

/// Just-in-time access for Kubernetes.
#[derive(Debug, Parser)]
#[command(name = "daypass", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the controller.
    Controller(ControllerArgs),
    /// Write the CRDs as YAML files, one a kind.
    Crds {
        /// Folder to write to.
        #[arg(long)]
        out: PathBuf,
    },
    /// Ask a probe of a running controller whether it is well; exit code 1 when it is not.
    Check(check::CheckArgs),
}

#[derive(Debug, clap::Args)]
struct ControllerArgs {
    /// Kubeconfig to use. Left out: the cluster that this pod runs in.
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
    /// Address for /livez, /readyz and /metrics.
    #[arg(long, default_value = "0.0.0.0:8080")]
    listen: SocketAddr,
    /// How log lines look.
    #[arg(long, value_enum, default_value_t = LogFormat::Json)]
    log_format: LogFormat,
    /// Which log lines to write.
    #[arg(long, env = "RUST_LOG", default_value = "info")]
    log: String,
    /// Name of this process in Events.
    #[arg(long, env = "POD_NAME", default_value = "daypass")]
    instance: String,
    /// Namespace that Daypass is installed in.
    #[arg(long, env = "POD_NAMESPACE", default_value = "daypass-system")]
    namespace: String,
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// No cluster to talk to.
    #[error(transparent)]
    Client(#[from] client::ClientError),
    /// A part of the controller ended.
    #[error(transparent)]
    Controller(#[from] ControllerError),
    /// A file or port cannot be used.
    #[error("{0}: {1}")]
    Io(String, #[source] std::io::Error),
    /// The CRDs cannot be written as YAML.
    #[error("cannot write the CRDs: {0}")]
    Yaml(#[from] serde_saphyr::ser::Error),
    /// A probe does not say that all is well.
    #[error(transparent)]
    Check(#[from] check::CheckError),
}

impl Cli {
    /// Runs the command.
    ///
    /// # Errors
    /// When it failed; the message is for people.
    pub async fn run(self) -> Result<(), CliError> {
        match self.command {
            Command::Controller(args) => run_controller(args).await,
            Command::Crds { out } => write_crds(&out),
            Command::Check(args) => {
                println!("{}", check::run(&args)?);
                Ok(())
            }
        }
    }
}

async fn run_controller(args: ControllerArgs) -> Result<(), CliError> {
    telemetry::start(args.log_format, &args.log);
    let stop = shutdown::requested().map_err(|e| CliError::Io("cannot listen for signals".to_owned(), e))?;
    let cannot_listen = |e| CliError::Io(format!("cannot listen on {}", args.listen), e);
    let listener = server::listen(args.listen).await.map_err(cannot_listen)?;
    let readiness = Readiness::waiting_for(controller::context::KINDS);
    let metrics = Metrics::default();
    let clients = client::clients(args.kubeconfig.as_deref()).await?;
    let identity = controller::Identity { instance: args.instance, namespace: args.namespace };
    tokio::select! {
        served = server::serve(listener, readiness.clone(), metrics.clone()) => served.map_err(cannot_listen),
        ended = controller::run(clients, identity, readiness, metrics, stop) => Ok(ended?),
    }
}

fn write_crds(out: &Path) -> Result<(), CliError> {
    for (name, text) in api::crds_as_yaml()? {
        let path = out.join(name);
        std::fs::write(&path, text).map_err(|e| CliError::Io(format!("cannot write {}", path.display()), e))?;
    }
    Ok(())
}
