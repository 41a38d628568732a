//! `daypass-archive tail`: its flags, and how the parts of the process are put together.
//!
//! What it does is for [`crate::archive::feed::tail`].

use std::net::SocketAddr;
use std::path::PathBuf;

use axum::Router;
use axum::http::{StatusCode, Uri};
use axum::routing::get;
use tracing::error;

use super::super::CliError;
use super::super::log::LogArgs;
use crate::archive::feed::tail::figures::TailFigures;
use crate::archive::feed::tail::sender::FeedSender;
use crate::archive::feed::tail::{AuditTail, TailEnd};
use crate::runtime::archive_line::ArchivePlace;
use crate::runtime::server::NoListener;
use crate::runtime::{server as probes, shutdown};

/// Its flags.
#[derive(Debug, clap::Args)]
pub struct TailArgs {
    /// The audit log, as --audit-log-path of the API server has it. Files that were renamed are beside it.
    #[arg(long = "audit-log", value_name = "FILE", default_value = "/var/log/kubernetes/audit/audit.log")]
    audit_log: PathBuf,
    /// The archive, as https://HOST:PORT.
    #[arg(long, value_name = "URL", value_parser = address)]
    archive: Uri,
    /// Authority of its certificate, in PEM. It is read again when it changes.
    #[arg(long, value_name = "FILE")]
    archive_ca: PathBuf,
    /// Token to feed with: of audience daypass-archive-audit, or that of a webhook in the file of the archive. It is read
    /// again when it changes.
    #[arg(long, value_name = "FILE")]
    archive_token: PathBuf,
    /// Name in the certificate of the archive, where that is not the host.
    #[arg(long, value_name = "NAME")]
    archive_server_name: Option<String>,
    /// File that says how far the log was sent, on a disk that outlives the process. It is made when it is not there.
    #[arg(long, value_name = "FILE")]
    state: PathBuf,
    /// Address for /livez, /readyz and /metrics, over plain HTTP.
    #[arg(long, default_value = "0.0.0.0:8080")]
    probes: SocketAddr,
    #[command(flatten)]
    log: LogArgs,
}

fn address(text: &str) -> Result<Uri, String> {
    let uri: Uri = text.parse().map_err(|error| format!("it is no URL: {error}"))?;
    if uri.scheme_str() != Some("https") || uri.authority().is_none() || uri.path() != "/" {
        return Err("write it as https://HOST:PORT, with no path; the token is sent there".to_owned());
    }
    Ok(uri)
}

/// Why a tail ends.
#[derive(Debug, thiserror::Error)]
enum TailFailure {
    #[error(transparent)]
    Tail(#[from] TailEnd),
    #[error(transparent)]
    Listener(#[from] NoListener),
    #[error("cannot listen for signals: {0}")]
    Signals(#[source] std::io::Error),
}

impl TailArgs {
    /// Follows the log until it is asked to stop, or a part of it fails.
    ///
    /// # Errors
    /// When it failed; what of is in the log then.
    pub async fn run(self) -> Result<(), CliError> {
        self.log.start(tracing_subscriber::layer::Identity::new());
        self.follow().await.map_err(|error| {
            error!(%error, "ends");
            CliError::Logged
        })
    }

    async fn follow(self) -> Result<(), TailFailure> {
        let stop = shutdown::requested().map_err(TailFailure::Signals)?;
        let figures = TailFigures::default();
        let probed = probes::listen(self.probes).await?;
        let place = ArchivePlace {
            url: self.archive,
            server_name: self.archive_server_name,
            authority: self.archive_ca,
            token: self.archive_token,
        };
        let tail = AuditTail::of(self.audit_log, self.state, FeedSender::to(place), figures.clone())?;
        tokio::select! {
            ended = tail.follow(stop) => Ok(ended?),
            served = axum::serve(probed, routes(figures)) => Ok(served.map_err(NoListener::on(self.probes))?),
        }
    }
}

fn routes(figures: TailFigures) -> Router {
    let ready = figures.clone();
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route(
            "/readyz",
            get(async move || match ready.waiting() {
                None => (StatusCode::OK, "ok\n".to_owned()),
                Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("waiting for: {why}\n")),
            }),
        )
        .route("/metrics", get(async move || probes::scraped(|| figures.text())))
}
