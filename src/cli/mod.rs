//! The commands of the `daypass` binary, in [`archive`], [`notify`], [`page`] and [`witness`] the programs beside it, and in [`plugin`] those of the kubectl plugin.

pub mod archive;
pub mod check;
pub mod controller;
pub mod log;
pub mod notify;
pub mod outputs;
pub mod page;
pub mod plugin;
pub mod stamp;
pub mod witness;

use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};

use crate::api;
use crate::api::campaign::{CAMPAIGN_SCHEMA_FILE, campaign_schema_as_json};
use crate::controller::error::Error as ControllerError;
use crate::core::notice;
use crate::notify::routes::BadRoutes;
use crate::runtime::certificate::CertificateError;
use crate::runtime::client;
use crate::runtime::server::NoListener;

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
    Controller(Box<controller::ControllerArgs>),
    /// Run the webhook that writes who asks and who reviews, for clusters without MutatingAdmissionPolicy.
    ///
    /// The API server calls it with each new AccessRequest and each review, and it answers with the caller's own username,
    /// UID and groups. It refuses nothing, and needs neither rights nor a token. What it writes is verified by the admission
    /// policies identity-check and status-guard, so whoever controls it can keep people from being stamped and nothing more.
    Stamp(stamp::StampArgs),
    /// Write the CRDs as YAML files, one a kind.
    Crds {
        /// Folder to write to.
        #[arg(long)]
        out: PathBuf,
    },
    /// Write the JSON schema of records, which the controller prints on standard output.
    RecordSchema {
        /// Folder to write to.
        #[arg(long)]
        out: PathBuf,
    },
    /// Write the JSON schema of notices, which CloudEvents of a route carry.
    NoticeSchema {
        /// Folder to write to.
        #[arg(long)]
        out: PathBuf,
    },
    /// Ask a probe of a running controller whether it is well; exit code 1 when it is not.
    Check(check::CheckArgs),
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The log says what.
    #[error("it failed; the log says of what")]
    Logged,
    /// Flags that do not go together.
    #[error("{0}")]
    Flags(String),
    /// No cluster to talk to.
    #[error(transparent)]
    Client(#[from] client::ClientError),
    /// A part of the controller ended.
    #[error(transparent)]
    Controller(#[from] ControllerError),
    /// A port cannot be used.
    #[error(transparent)]
    Listener(#[from] NoListener),
    /// A file or signal cannot be used.
    #[error("{0}: {1}")]
    Io(String, #[source] std::io::Error),
    /// The CRDs cannot be written as YAML.
    #[error("cannot write the CRDs: {0}")]
    Yaml(#[from] serde_saphyr::ser::Error),
    /// The webhook has no certificate.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// A file of routes cannot be used, or has no such route.
    #[error(transparent)]
    Routes(#[from] BadRoutes),
    /// A route does not tell a test message.
    #[error("{route}: {why}")]
    RouteTest { route: String, why: String },
    /// A log has signed two histories, and where both are.
    #[error("a log has signed two histories: {0}")]
    Forked(String),
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
            Command::Controller(args) => controller::run(*args).await,
            Command::Stamp(args) => stamp::run(args).await,
            Command::Crds { out } => write_all(&out, api::crds_as_yaml()?),
            Command::RecordSchema { out } => {
                let campaigns = (CAMPAIGN_SCHEMA_FILE.to_owned(), campaign_schema_as_json());
                write_all(&out, [(api::record::SCHEMA_FILE.to_owned(), api::record::schema_as_json()), campaigns])
            }
            Command::NoticeSchema { out } => {
                write_all(&out, [(notice::NOTICE_SCHEMA_FILE.to_owned(), notice::notice_schema_as_json())])
            }
            Command::Check(args) => {
                println!("{}", check::run(&args)?);
                Ok(())
            }
        }
    }
}

fn write_all(out: &Path, files: impl IntoIterator<Item = (String, String)>) -> Result<(), CliError> {
    for (name, text) in files {
        let path = out.join(name);
        std::fs::write(&path, text).map_err(|e| CliError::Io(format!("cannot write {}", path.display()), e))?;
    }
    Ok(())
}
