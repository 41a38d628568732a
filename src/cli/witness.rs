//! The program of the witness: its flags, and how the parts of the process are put together.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use tracing::{error, info};

use super::CliError;
use super::log::LogArgs;
use crate::runtime::certificate::{Certificate, CertificateError};
use crate::runtime::door;
use crate::runtime::server::NoListener;
use crate::runtime::{server as probes, shutdown};
use crate::witness::book::{NoBook, WitnessBook, forks};
use crate::witness::config::{BadWitnessConfig, WitnessConfig};
use crate::witness::server;

/// Time between two looks at the certificate.
const LOOKS: Duration = Duration::from_secs(5);

/// Sees that the logs of archives only grow, and cosigns their checkpoints.
///
/// It is for a machine of others than those who run the cluster and the archive. It speaks tlog-witness (c2sp.org), keeps of
/// each log the last checkpoint, and refuses a log that shows another history. It reads no record.
#[derive(Debug, Parser)]
#[command(name = "daypass-witness", version, subcommand_negates_reqs = true, args_conflicts_with_subcommands = true)]
pub struct WitnessArgs {
    #[command(subcommand)]
    command: Option<WitnessCommand>,
    /// File with the name of the witness and the keys of the logs that it knows, in YAML. It is read at the start.
    #[arg(long, value_name = "FILE", required = true)]
    config: Option<PathBuf>,
    /// Folder for its key, which is made at the first start, and what it has cosigned. Back it up: without it a log could be
    /// set back unseen.
    #[arg(long, value_name = "FOLDER", required = true)]
    state: Option<PathBuf>,
    /// Address at which archives call. Without --certificates nothing is encrypted: then something that speaks TLS stands
    /// before it.
    #[arg(long, default_value = "127.0.0.1:8470")]
    listen: SocketAddr,
    /// Folder with the certificate as tls.crt and its key as tls.key, in PEM. They are read again when they change.
    #[arg(long, value_name = "FOLDER")]
    certificates: Option<PathBuf>,
    #[command(flatten)]
    log: LogArgs,
}

#[derive(Debug, clap::Subcommand)]
enum WitnessCommand {
    /// Look whether a log has signed two histories; exit code 1 when one has.
    Check {
        /// Folder of the witness.
        #[arg(long, value_name = "FOLDER")]
        state: PathBuf,
    },
}

/// Why the witness ends.
#[derive(Debug, thiserror::Error)]
enum WitnessEnd {
    #[error(transparent)]
    Config(#[from] BadWitnessConfig),
    #[error(transparent)]
    Book(#[from] NoBook),
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error(transparent)]
    Listener(#[from] NoListener),
    #[error("{0}: {1}")]
    Io(String, #[source] std::io::Error),
}

/// Runs the witness until it is asked to stop, or the command beside it.
///
/// # Errors
/// When it failed, or a log has signed two histories.
pub async fn run(args: WitnessArgs) -> Result<(), CliError> {
    if let Some(WitnessCommand::Check { state }) = args.command {
        return check(&state);
    }
    args.log.start(tracing_subscriber::layer::Identity::new());
    run_on(args).await.map_err(|error| {
        error!(%error, "ends");
        CliError::Logged
    })
}

fn check(state: &std::path::Path) -> Result<(), CliError> {
    let found = forks(state).map_err(|error| CliError::Io(format!("cannot read {}", state.display()), error))?;
    let names: Vec<String> = found.iter().map(|file| file.display().to_string()).collect();
    if names.is_empty() {
        println!("no log has signed two histories");
        return Ok(());
    }
    Err(CliError::Forked(names.join(", ")))
}

async fn run_on(args: WitnessArgs) -> Result<(), WitnessEnd> {
    let stop = shutdown::requested().map_err(|e| WitnessEnd::Io("cannot listen for signals".to_owned(), e))?;
    let config = WitnessConfig::read(&args.config.unwrap_or_default())?;
    let book = Arc::new(WitnessBook::open(&args.state.unwrap_or_default(), config)?);
    let listener = probes::listen(args.listen).await?;
    info!(address = %args.listen, key = %book.verifier(), "witnesses");
    let Some(folder) = args.certificates else {
        server::serve(listener, book, None, stop).await;
        return Ok(());
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let certificate = Certificate::read(&folder, provider.clone())?;
    let tls = door::tls(certificate.clone(), provider);
    let tls = tls.map_err(|e| WitnessEnd::Io("cannot set up TLS".to_owned(), e))?;
    tokio::select! {
        () = server::serve(listener, book, Some(tls), stop) => {}
        () = certificate.follow(LOOKS) => {}
    }
    Ok(())
}
