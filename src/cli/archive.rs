//! The program of the archive: its flags, and how the parts of the process are put together.

mod backup;
mod tail;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use clap::Parser;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::{Api, Client};
use tokio::sync::{Semaphore, watch};
use tracing::{error, info, warn};

use super::CliError;
use super::log::LogArgs;
use crate::archive::config::log::LogRules;
use crate::archive::config::{ArchiveConfig, BadConfig};
use crate::archive::keeping::sweep;
use crate::archive::log::keeper::{DoneAt, LogKeeper};
use crate::archive::log::signer::{LogSigner, SigningFault};
use crate::archive::server::door::ArchiveDoor;
use crate::archive::server::figures::ArchiveFigures;
use crate::archive::server::{self, ArchiveDesk, overdue};
use crate::archive::store::postgres::PostgresStore;
use crate::archive::store::search::Search;
use crate::archive::store::sqlite::SqliteStore;
use crate::archive::store::{ArchiveStore, StoreError};
use crate::archive::who::feeders::AuditFeeders;
use crate::archive::who::front_proxy::{self, FrontProxy, NoFrontProxy};
use crate::archive::who::writers::RecordWriters;
use crate::runtime::certificate::{Certificate, CertificateError};
use crate::runtime::server::NoListener;
use crate::runtime::{client, secret, server as probes, shutdown};

/// Time between two looks at the certificate, and at what the API server states of itself.
const LOOKS: Duration = Duration::from_secs(5);
/// What the name of a log begins with, before its UID.
const ORIGIN: &str = "daypass.dev/archive/";
/// Name of the namespace by whose UID a cluster is known.
const CLUSTER: &str = "kube-system";

/// Keeps the records of what happened to AccessRequests, and shows them to auditors.
///
/// Controllers push them with a token of audience daypass-archive. People read through the API server, which has
/// authenticated them: `kubectl get --raw /apis/archive.daypass.dev/v1/records?person=alice`, with the right to list
/// records.archive.daypass.dev in a namespace or everywhere.
#[derive(Debug, Parser)]
#[command(name = "daypass-archive", version, subcommand_negates_reqs = true, args_conflicts_with_subcommands = true)]
pub struct ArchiveArgs {
    #[command(subcommand)]
    command: Option<ArchiveCommand>,
    /// Address at which it is called, over TLS.
    #[arg(long, default_value = "0.0.0.0:8443")]
    listen: SocketAddr,
    /// Address for /livez, /readyz and /metrics, over plain HTTP.
    #[arg(long, default_value = "0.0.0.0:8080")]
    probes: SocketAddr,
    /// Folder with the certificate as tls.crt and its key as tls.key, in PEM. They are read again when they change.
    #[arg(long, value_name = "FOLDER", required = true)]
    certificates: Option<PathBuf>,
    /// File of the SQLite database. It is made when it is not there.
    #[arg(long, value_name = "FILE", required_unless_present = "database_url", conflicts_with = "database_url")]
    database: Option<PathBuf>,
    /// PostgreSQL instead of SQLite, as postgresql://USER:PASSWORD@HOST/NAME. Passwords belong into the environment.
    #[arg(long, value_name = "URL", env = "DAYPASS_DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
    /// Authority of PostgreSQL's certificate, in PEM. With it the connection is encrypted and the certificate verified;
    /// without it nothing is encrypted, and sslmode=require is refused.
    #[arg(long, value_name = "FILE", requires = "database_url")]
    database_ca: Option<PathBuf>,
    /// File with other clusters that may write, and readers outside of the cluster, in YAML. It is read at the start; the
    /// files of keys that it names are read again when they change.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Account of this cluster that may write its records; repeat for more.
    #[arg(long, value_name = "USERNAME", default_value = "system:serviceaccount:daypass-system:daypass")]
    writer: Vec<String>,
    /// Account of this cluster that may feed its audit events, with a token of audience daypass-archive-audit; repeat for
    /// more. It writes no records by that, and who writes records feeds nothing.
    #[arg(long, value_name = "USERNAME")]
    feeder: Vec<String>,
    /// Kubeconfig of the cluster that the archive runs in. Left out: the pod's own.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    #[command(flatten)]
    log: LogArgs,
}

#[derive(Debug, clap::Subcommand)]
enum ArchiveCommand {
    /// Write a copy of a SQLite database, while the archive works on it.
    ///
    /// The copy is whole, and has what was answered to be held before this began. Of PostgreSQL, pg_dump makes one.
    Backup(backup::BackupArgs),
    /// Follow the audit log of an API server, and feed it to an archive.
    ///
    /// Every line is sent at least once and in order, through restarts, renaming and packing of the log, and an archive that
    /// is away. It runs where the log is: on each node of the control plane.
    Tail(Box<tail::TailArgs>),
}

/// Why the archive ends.
#[derive(Debug, thiserror::Error)]
enum ArchiveEnd {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Config(#[from] BadConfig),
    #[error(transparent)]
    Signing(#[from] SigningFault),
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error(transparent)]
    Client(#[from] client::ClientError),
    #[error("the API server does not answer: {0}")]
    ApiServer(#[from] kube::Error),
    #[error(transparent)]
    FrontProxy(#[from] NoFrontProxy),
    #[error(transparent)]
    Listener(#[from] NoListener),
    #[error("namespace {CLUSTER} has no UID")]
    NoCluster,
    #[error("{0}: {1}")]
    Io(String, #[source] std::io::Error),
}

/// Runs the archive until it is asked to stop, or a part of it fails; or the command beside it.
///
/// # Errors
/// When it failed; what the archive failed of is in the log then.
pub async fn run(args: ArchiveArgs) -> Result<(), CliError> {
    match args.command {
        Some(ArchiveCommand::Backup(args)) => return args.run(),
        Some(ArchiveCommand::Tail(args)) => return args.run().await,
        None => {}
    }
    args.log.start(tracing_subscriber::layer::Identity::new());
    run_on(args).await.map_err(|error| {
        error!(%error, "ends");
        CliError::Logged
    })
}

async fn run_on(args: ArchiveArgs) -> Result<(), ArchiveEnd> {
    let stop = shutdown::requested().map_err(|e| ArchiveEnd::Io("cannot listen for signals".to_owned(), e))?;
    let config = args.config.as_deref().map(ArchiveConfig::read).transpose()?.unwrap_or_default();
    let store = open(&args).await?;
    let client = client::of(args.kubeconfig.as_deref(), "archive").await?;
    let home = cluster_of(&client).await?;
    let believed = config.believed(&home)?;
    let figures = ArchiveFigures::default();
    let kept = keep_log(&store, &args, believed.log.clone(), &figures).await?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let certificate = Certificate::read(&args.certificates.unwrap_or_default(), provider.clone())?;
    let proxy = front_proxy_of(&client).await?;
    let unusable = |e| ArchiveEnd::Io("cannot use the authority of the API server".to_owned(), e);
    let door = ArchiveDoor::new(certificate.clone(), provider, proxy).map_err(unusable)?;
    let (calls, probed) = (probes::listen(args.listen).await?, probes::listen(args.probes).await?);
    let activity = Arc::new(believed.activity(&home, &args.writer));
    let at_home = |accounts: Vec<String>| -> BTreeMap<String, String> {
        accounts.into_iter().map(|account| (account, home.clone())).collect()
    };
    let writers = RecordWriters { clusters: at_home(args.writer), others: believed.clusters };
    let feeders = AuditFeeders { accounts: at_home(args.feeder), others: believed.feeders, feeds: believed.feeds };
    let (keeping, cluster) = (believed.keeping, home.clone());
    let desk = ArchiveDesk {
        store: store.clone(),
        client: client.clone(),
        home,
        writers,
        outside: believed.readers,
        figures: figures.clone(),
        keeping,
        activity,
        feeders,
        feeding: Arc::new(Semaphore::new(server::FEEDS_AT_A_TIME)),
    };
    info!(address = %args.listen, cluster = desk.home, "receives records");
    tokio::select! {
        () = door.clone().serve(calls, server::routes(desk), stop) => Ok(()),
        () = sweep::follow(store.clone(), keeping) => Ok(()),
        () = overdue::follow(&store, &cluster, &figures) => Ok(()),
        served = axum::serve(probed, probe_routes(store.clone(), figures.clone())) => Ok(served.map_err(NoListener::on(args.probes))?),
        () = certificate.follow(LOOKS) => Ok(()),
        () = follow(&door, &client) => Ok(()),
        () = kept => Ok(()),
    }
}

async fn open(args: &ArchiveArgs) -> Result<ArchiveStore, StoreError> {
    match (&args.database_url, &args.database) {
        (Some(url), _) => Ok(ArchiveStore::Postgres(PostgresStore::open(url, args.database_ca.as_deref()).await?)),
        (None, Some(file)) => Ok(ArchiveStore::Sqlite(SqliteStore::open(file)?)),
        (None, None) => Err(StoreError::Address("give --database or --database-url".to_owned())),
    }
}

/// Keeps the log alive, signs it, and has others hold what is signed.
async fn keep_log(
    store: &ArchiveStore,
    args: &ArchiveArgs,
    rules: LogRules,
    figures: &ArchiveFigures,
) -> Result<impl Future<Output = ()> + use<>, ArchiveEnd> {
    let uid = store.log_end().await?.uid;
    let origin = format!("{ORIGIN}{uid}");
    let database = args.database.as_deref().filter(|_| args.database_url.is_none());
    let signer = LogSigner::open(rules.signer, &origin, database)?;
    match &signer {
        Some(signer) => info!(key = %signer.verifier(&origin)?, "signs the log, which this key verifies"),
        None => warn!("the log is not signed, so nobody can verify it: with PostgreSQL, name log.signer in --config"),
    }
    let (store, figures) = (store.clone(), figures.log());
    let replica = secret::random().unwrap_or_default();
    let LogRules { place, every, holders, .. } = rules;
    let (signed, last) = watch::channel(store.last_checkpoint().await?);
    for holder in holders {
        tokio::spawn(holder.serve(store.clone(), uid.clone(), figures.clone(), last.clone()));
    }
    let keeper = LogKeeper { store, origin, signer, place, every, replica, figures, done: DoneAt::default() };
    Ok(keeper.run(move |checkpoint| drop(signed.send_replace(Some(checkpoint)))))
}

async fn cluster_of(client: &Client) -> Result<String, ArchiveEnd> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    namespaces.get(CLUSTER).await?.metadata.uid.ok_or(ArchiveEnd::NoCluster)
}

async fn front_proxy_of(client: &Client) -> Result<FrontProxy, ArchiveEnd> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), front_proxy::NAMESPACE);
    let map = maps.get(front_proxy::CONFIG_MAP).await?;
    Ok(FrontProxy::read(&map.data.unwrap_or_default())?)
}

/// Takes up what the API server states of itself, which changes when its certificates are renewed.
async fn follow(door: &ArchiveDoor, client: &Client) {
    loop {
        tokio::time::sleep(LOOKS).await;
        let changed = match front_proxy_of(client).await {
            Ok(proxy) => door.changed(proxy).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = changed {
            warn!("{error}; what the API server stated before holds on");
        }
    }
}

fn probe_routes(store: ArchiveStore, figures: ArchiveFigures) -> Router {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(move || ready(store)))
        .route("/metrics", get(async move || probes::scraped(|| figures.text())))
}

/// Ready is who can read its store.
async fn ready(store: ArchiveStore) -> (StatusCode, String) {
    match store.search(Search { limit: 1, ..Search::default() }).await {
        Ok(_) => (StatusCode::OK, "ok\n".to_owned()),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("waiting for: store ({error})\n")),
    }
}
