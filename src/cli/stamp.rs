//! The command that runs the webhook: its flags, and how the parts of the process are put together.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tracing::{error, info};

use super::CliError;
use super::log::LogArgs;
use crate::runtime::certificate::Certificate;
use crate::runtime::server::NoListener;
use crate::runtime::{server as probes, shutdown};
use crate::stamp::server::{self, BOUNDS};

/// Time between two looks at the certificate.
const LOOKS: Duration = Duration::from_secs(5);

/// Flags of `daypass stamp`.
#[derive(Debug, clap::Args)]
pub struct StampArgs {
    /// Address at which the API server calls, over TLS.
    #[arg(long, default_value = "0.0.0.0:8443")]
    listen: SocketAddr,
    /// Address for /livez and /readyz, over plain HTTP.
    #[arg(long, default_value = "0.0.0.0:8080")]
    probes: SocketAddr,
    /// Folder with the certificate as tls.crt and its key as tls.key, in PEM. They are read again when they change.
    #[arg(long, value_name = "FOLDER")]
    certificates: PathBuf,
    /// A key of a login's extra that is written into requests too; once for each.
    #[arg(long = "extra-key", value_name = "KEY")]
    extra_keys: Vec<String>,
    #[command(flatten)]
    log: LogArgs,
}

/// Runs the webhook until it is asked to stop, or a part of it fails.
///
/// # Errors
/// When it failed; what it failed of is in the log then, which holds nothing but log lines.
pub async fn run(args: StampArgs) -> Result<(), CliError> {
    args.log.start(tracing_subscriber::layer::Identity::new());
    run_on(args).await.map_err(|error| {
        error!(%error, "ends");
        CliError::Logged
    })
}

async fn run_on(args: StampArgs) -> Result<(), CliError> {
    let stop = shutdown::requested().map_err(|e| CliError::Io("cannot listen for signals".to_owned(), e))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let certificate = Certificate::read(&args.certificates, provider.clone())?;
    let (calls, probed) = (probes::listen(args.listen).await?, probes::listen(args.probes).await?);
    info!(address = %args.listen, "answers reviews");
    tokio::select! {
        served = server::serve(calls, certificate.clone(), provider, (BOUNDS, args.extra_keys), stop.clone()) => {
            Ok(served.map_err(NoListener::on(args.listen))?)
        }
        probed = probes::serve_probes(probed, stop) => Ok(probed.map_err(NoListener::on(args.probes))?),
        () = certificate.follow(LOOKS) => Ok(()),
    }
}
