//! The program that tells people what waits for them: its flags, and how the parts of the process are put together.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use clap::builder::NonEmptyStringValueParser;
use futures::FutureExt;
use futures::channel::oneshot;
use tokio::sync::watch;
use tracing::{error, info};

use super::CliError;
use super::log::LogArgs;
use crate::notify::figures::NoticeFigures;
use crate::notify::route_test;
use crate::notify::routes::{BadRoutes, NotifyConfig, NotifySettings};
use crate::notify::state::ToldState;
use crate::notify::teller::{REQUESTS, STATE, Teller, TellerEnd, TellerParts};
use crate::runtime::client::{self, ClientError};
use crate::runtime::clock::Clock;
use crate::runtime::gate::{Leadership, Seat, seat};
use crate::runtime::leader::{ELECTION, Election, LeadershipLost, LeaseTimings};
use crate::runtime::leases::Leases;
use crate::runtime::server::{self, NoListener, Readiness};
use crate::runtime::shutdown;

/// Name of the Lease of the replica that tells.
const LEASE: &str = "daypass-notify";
/// Name of the ConfigMap of what was told. The chart makes it, empty.
const TOLD: &str = "daypass-notify-state";
/// The lease, as the controller's is by default.
const TIMINGS: LeaseTimings = LeaseTimings {
    lease: Duration::from_secs(15),
    renew_deadline: Duration::from_secs(10),
    retry: Duration::from_secs(2),
};

/// Tells people in chat, by mail and through webhooks what happens to AccessRequests.
///
/// It reads AccessRequests, and writes what was told into the ConfigMap daypass-notify-state and its Lease, nothing else. It
/// decides nothing, and no link that it sends has any power.
#[derive(Debug, Parser)]
#[command(name = "daypass-notify", version, subcommand_negates_reqs = true, args_conflicts_with_subcommands = true)]
pub struct NotifyArgs {
    #[command(subcommand)]
    command: Option<NotifierCommand>,
    /// File with the routes, in YAML. It is read at the start; the secrets that it names are read each time.
    #[arg(long, value_name = "FILE", required = true)]
    config: Option<PathBuf>,
    /// Address for /livez, /readyz and /metrics.
    #[arg(long, default_value = "0.0.0.0:8080")]
    listen: SocketAddr,
    /// Name of this process in the audit log and, with something that tells processes apart, in the Lease. It must be that
    /// of the pod: who has it takes the place of a dead process of the same name at once.
    #[arg(long, env = "POD_NAME")]
    instance: Option<String>,
    /// Namespace that Daypass is installed in.
    #[arg(long, env = "POD_NAMESPACE", default_value = "daypass-system")]
    namespace: String,
    /// Tell of requests in these namespaces alone, separated by commas. Left out: in the whole cluster.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = NonEmptyStringValueParser::new())]
    watch_namespaces: Vec<String>,
    /// Kubeconfig to use. Left out: the cluster that this pod runs in.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    #[command(flatten)]
    log: LogArgs,
}

#[derive(Debug, clap::Subcommand)]
enum NotifierCommand {
    /// Tell a test message on one route, and say what came of it.
    Test {
        /// Name of the route.
        route: String,
        /// File with the routes, in YAML.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Name of this cluster, as it stands in notices.
        #[arg(long)]
        cluster: Option<String>,
    },
}

/// Why the notifier ends.
#[derive(Debug, thiserror::Error)]
enum NotifyEnd {
    #[error(transparent)]
    Routes(#[from] BadRoutes),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("the ConfigMap {TOLD} cannot be read: {0}; the chart makes it")]
    State(#[from] kube::Error),
    #[error(transparent)]
    Listener(#[from] NoListener),
    #[error(transparent)]
    Teller(#[from] TellerEnd),
    #[error(transparent)]
    Lost(#[from] LeadershipLost),
    #[error("the election ended: {0}")]
    Election(#[from] tokio::task::JoinError),
    #[error("{0}: {1}")]
    Io(String, #[source] std::io::Error),
}

/// Runs the notifier until it is asked to stop, or a part of it fails; or the command beside it.
///
/// # Errors
/// When it failed; what the notifier failed of is in the log then.
pub async fn run(args: NotifyArgs) -> Result<(), CliError> {
    if let Some(NotifierCommand::Test { route, config, cluster }) = args.command {
        return test(&config, &route, cluster.as_deref()).await;
    }
    args.log.start(tracing_subscriber::layer::Identity::new());
    run_on(args).await.map_err(|error| {
        error!(%error, "ends");
        CliError::Logged
    })
}

async fn test(config: &Path, name: &str, cluster: Option<&str>) -> Result<(), CliError> {
    let settings = NotifyConfig::read(config)?;
    let Some(route) = settings.routes.iter().find(|route| route.name == name) else {
        let names: Vec<&str> = settings.routes.iter().map(|route| route.name.as_str()).collect();
        let why = format!("there is no such route in {}; there is {}", config.display(), names.join(", "));
        return Err(CliError::RouteTest { route: name.to_owned(), why });
    };
    let failed = |why| CliError::RouteTest { route: name.to_owned(), why };
    route_test::test(route, cluster, Clock::wall().now()).await.map_err(failed)?;
    println!("{name}: the test message was taken");
    Ok(())
}

async fn run_on(args: NotifyArgs) -> Result<(), NotifyEnd> {
    let stop = shutdown::requested().map_err(|e| NotifyEnd::Io("cannot listen for signals".to_owned(), e))?;
    let settings = NotifyConfig::read(&args.config.clone().unwrap_or_default())?;
    let listener = server::listen(args.listen).await?;
    let (seat, leadership) = seat();
    let readiness = Readiness::waiting_for([ELECTION, STATE], leadership.clone());
    let figures = NoticeFigures::default();
    let (scraped, address) = (figures.clone(), args.listen);
    let telling = tell(args, settings, figures, (seat, leadership), readiness.clone(), stop);
    tokio::select! {
        served = server::serve(listener, readiness, move || scraped.text()) => Ok(served.map_err(NoListener::on(address))?),
        ended = telling => ended,
    }
}

/// Stands by until this replica leads, then tells.
async fn tell(
    args: NotifyArgs,
    settings: NotifySettings,
    figures: NoticeFigures,
    (seat, leadership): (Seat, Leadership),
    readiness: Readiness,
    stop: watch::Receiver<bool>,
) -> Result<(), NotifyEnd> {
    let instance = args.instance.as_deref().unwrap_or(LEASE);
    let client = client::of(args.kubeconfig.as_deref(), instance).await?;
    let watches = client::watching(args.kubeconfig.as_deref(), instance).await?;
    let state = || ToldState::new(client.clone(), &args.namespace, TOLD);
    // Nobody has told anything where nothing is noted: then nobody needs to be waited for.
    let unused = state().is_unused().await?;
    readiness.done(STATE);
    let leases = Leases::new(client.clone(), &args.namespace, LEASE);
    let election = Election::new(seat, leases, args.instance.as_deref(), TIMINGS, Clock::wall());
    let (nothing_is_told, over) = oneshot::channel::<()>();
    let over = over.map(drop);
    let heard = readiness.clone();
    let mut electing = tokio::spawn(async move { election.run(heard, move || Some(unused), over).await });
    let parts = TellerParts {
        settings,
        cluster: args.log.cluster.clone(),
        namespaces: args.watch_namespaces.clone(),
        leadership: leadership.clone(),
        readiness: readiness.clone(),
        figures,
    };
    let telling = async {
        let mut stopped = stop.clone();
        tokio::select! {
            _ = stopped.wait_for(|stop| *stop) => return Ok(()),
            () = leadership.taken() => {}
        }
        readiness.wait_for(REQUESTS, "");
        info!(routes = parts.settings.routes.len(), "leads");
        Ok(Teller::new(parts, state(), Clock::wall()).await?.run(watches, stop).await?)
    };
    let ended = tokio::select! {
        ended = telling => ended,
        // Whoever leads no more tells nothing more.
        ended = &mut electing => return Ok(ended??),
    };
    drop(nothing_is_told);
    let _ = electing.await;
    ended
}
