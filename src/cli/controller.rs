//! The command that runs the controller: its flags, and how the parts of the process are put together.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
#[cfg(feature = "otlp")]
use futures::future::{OptionFuture, join};
use http::Uri;
use http::uri::Scheme;
use k8s_openapi::jiff::SignedDuration;
use tracing::error;

use super::CliError;
use super::log::LogArgs;
use super::outputs::OutputArgs;
use crate::controller::loops::clock::CLOCK;
use crate::controller::outputs::OutputSettings;
#[cfg(feature = "otlp")]
use crate::controller::outputs::otlp::RecordLogs;
use crate::controller::stores::outbox::OutboxSettings;
use crate::controller::{self, stores};
use crate::core::decision::served::ServedNamespaces;
use crate::core::guard::sight::Expected;
use crate::core::model::duration;
use crate::runtime::archive_line::ArchivePlace;
use crate::runtime::client::Hearers;
use crate::runtime::clock::Clock;
#[cfg(feature = "otlp")]
use crate::runtime::collector;
use crate::runtime::gate::seat;
use crate::runtime::judged_clock::JudgedClock;
use crate::runtime::leader::{ELECTION, Election, LEASE, LeaseTimings};
use crate::runtime::leases::Leases;
use crate::runtime::metrics::Metrics;
use crate::runtime::server::{self, NoListener, Readiness};
#[cfg(feature = "otlp")]
use crate::runtime::traces::Traces;
use crate::runtime::{client, shutdown};

/// Flags of `daypass controller`.
#[derive(Debug, clap::Args)]
pub struct ControllerArgs {
    /// Kubeconfig to use. Left out: the cluster that this pod runs in.
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
    /// Address for /livez, /readyz and /metrics.
    #[arg(long, default_value = "0.0.0.0:8080")]
    listen: SocketAddr,
    #[command(flatten)]
    log: LogArgs,
    /// Name of this process in Events, in the audit log and, with something that tells processes apart, in the Lease.
    /// It must be that of the pod: who has it takes the place of a dead process of the same name at once.
    #[arg(long, env = "POD_NAME")]
    instance: Option<String>,
    /// Namespace that Daypass is installed in.
    #[arg(long, env = "POD_NAMESPACE", default_value = "daypass-system")]
    namespace: String,
    /// Serve only these namespaces, separated by commas, with rights in them alone. Left out: the whole cluster.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = NonEmptyStringValueParser::new())]
    watch_namespaces: Vec<String>,
    /// A guard of the chart and the digest of it, as NAME=SHA256; once for each. The cluster is held against them.
    #[arg(long = "guard", value_name = "NAME=SHA256")]
    guards: Vec<Expected>,
    /// A key of a login's extra that the chart has recorded in requests, so that conditions can ask for it; once for each.
    #[arg(long = "extra-key", value_name = "KEY")]
    extra_keys: Vec<String>,
    /// Look for findings every ten minutes while this replica leads: who holds too much, who can forge or stop Daypass. It tells them
    /// in metrics and in lines on standard output, and changes nothing.
    #[arg(long, conflicts_with = "watch_namespaces")]
    insight: bool,
    #[command(flatten)]
    election: ElectionArgs,
    #[command(flatten)]
    outputs: OutputArgs,
    #[command(flatten)]
    outbox: OutboxArgs,
    /// Collector to send traces to, in OTLP over plain HTTP. Left out or empty: none are made.
    #[cfg(feature = "otlp")]
    #[arg(long, value_name = "URL", env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    otlp_endpoint: Option<String>,
    /// Send each record to that collector too, as a log record. Traces name no people; records do.
    #[cfg(feature = "otlp")]
    #[arg(long)]
    otlp_records: bool,
}

#[derive(Debug, clap::Args)]
struct ElectionArgs {
    /// Work without the Lease. Only for one process outside of the cluster.
    #[arg(long)]
    no_leader_election: bool,
    /// For how long this replica leaves another's Lease alone that was not renewed. Longer than the renew deadline of
    /// any replica, also of those that run while this value is being changed.
    #[arg(long, value_parser = length, default_value = "15s")]
    lease_duration: Duration,
    /// For how long the leader works on without having renewed the Lease. Shorter than the Lease.
    #[arg(long, value_parser = length, default_value = "10s")]
    lease_renew_deadline: Duration,
    /// Time between two renewals. At most half of the deadline.
    #[arg(long, value_parser = length, default_value = "2s")]
    lease_retry: Duration,
}

/// Where records are delivered.
#[derive(Debug, clap::Args)]
struct OutboxArgs {
    /// Archive to deliver records to, as https://HOST:PORT. Left out: they go to standard output alone.
    #[arg(long, value_name = "URL", requires = "archive_ca", requires = "archive_token")]
    archive: Option<Uri>,
    /// Authority of its certificate, in PEM.
    #[arg(long, value_name = "FILE")]
    archive_ca: Option<PathBuf>,
    /// Token of audience daypass-archive to deliver with. It is read again when it changes.
    #[arg(long, value_name = "FILE")]
    archive_token: Option<PathBuf>,
    /// Name in its certificate, where that is not the host of the URL.
    #[arg(long, value_name = "NAME")]
    archive_server_name: Option<String>,
    /// For how long a request stays in the cluster that is over, reviewed and wholly acknowledged by the archive; longer where a
    /// policy counts it. Left out: for good.
    #[arg(long, value_name = "DURATION", value_parser = span, requires = "archive")]
    retention: Option<SignedDuration>,
    /// That archive hears the audit logs of the API servers: each of them is called every 15 s, which proves that its log
    /// arrives, access that is idle ends where a policy says so, and requests that are over say how access was used.
    #[arg(long, requires = "archive")]
    activity: bool,
}

impl OutboxArgs {
    fn place(&self) -> Result<Option<ArchivePlace>, CliError> {
        let (Some(url), Some(authority), Some(token)) = (&self.archive, &self.archive_ca, &self.archive_token) else {
            return Ok(None);
        };
        if url.scheme() != Some(&Scheme::HTTPS) {
            return Err(CliError::Flags(format!("--archive: {url} is not https://HOST:PORT, and a token goes there")));
        }
        let server_name = self.archive_server_name.clone();
        Ok(Some(ArchivePlace { url: url.clone(), server_name, authority: authority.clone(), token: token.clone() }))
    }
}

fn span(text: &str) -> Result<SignedDuration, String> {
    duration::parse(text).map_err(|error| error.to_string())
}

fn length(text: &str) -> Result<Duration, String> {
    Duration::try_from(span(text)?).map_err(|error| error.to_string())
}

impl ElectionArgs {
    fn terms(&self) -> Result<Option<LeaseTimings>, CliError> {
        if self.no_leader_election {
            return Ok(None);
        }
        let (lease, renew_deadline, retry) = (self.lease_duration, self.lease_renew_deadline, self.lease_retry);
        LeaseTimings { lease, renew_deadline, retry }.checked().map(Some).map_err(CliError::Flags)
    }
}

/// Runs the controller until it is asked to stop, or a part of it fails.
///
/// # Errors
/// When flags do not go together, and when it failed; what it failed of is in the log then, which holds nothing but
/// log lines.
pub async fn run(args: ControllerArgs) -> Result<(), CliError> {
    let terms = args.election.terms()?;
    #[cfg(feature = "otlp")]
    let (traces, logs) = sent_to_collector(&args)?;
    #[cfg(feature = "otlp")]
    let beside = traces.as_ref().map(Traces::layer);
    #[cfg(not(feature = "otlp"))]
    let beside = tracing_subscriber::layer::Identity::new();
    args.log.start(beside);
    let outputs = args.outputs.clone().settings();
    #[cfg(feature = "otlp")]
    let outputs = OutputSettings { logs: logs.clone(), ..outputs };
    let ended = run_on(args, terms, outputs).await.map_err(|error| {
        error!(%error, "ends");
        CliError::Logged
    });
    // When all is done: the lease is given back by now. Both wait for one collector, so they wait at once.
    #[cfg(feature = "otlp")]
    join(OptionFuture::from(traces.map(Traces::end)), OptionFuture::from(logs.map(RecordLogs::end))).await;
    ended
}

/// What goes to a collector, if there is one: traces, and records where that is asked for.
#[cfg(feature = "otlp")]
fn sent_to_collector(args: &ControllerArgs) -> Result<(Option<Traces>, Option<RecordLogs>), CliError> {
    let Some(given) = args.otlp_endpoint.as_deref().filter(|url| !url.is_empty()) else {
        let refusal = "--otlp-records: give --otlp-endpoint too, the collector that they go to";
        return if args.otlp_records { Err(CliError::Flags(refusal.to_owned())) } else { Ok((None, None)) };
    };
    let wrong = |why: String| CliError::Flags(format!("cannot send to {given:?}: {why}"));
    let base = collector::endpoint(given).map_err(wrong)?;
    let (cluster, instance) = (args.log.cluster.as_deref(), instance(args));
    let traces = Traces::to(&base, cluster, instance).map_err(|error| wrong(error.to_string()))?;
    let logs = args.otlp_records.then(|| RecordLogs::to(&base, cluster, instance)).transpose();
    Ok((Some(traces), logs.map_err(|error| wrong(error.to_string()))?))
}

fn instance(args: &ControllerArgs) -> &str {
    args.instance.as_deref().unwrap_or("daypass")
}

async fn run_on(args: ControllerArgs, terms: Option<LeaseTimings>, outputs: OutputSettings) -> Result<(), CliError> {
    let archive = args.outbox.place()?;
    let stop = shutdown::requested().map_err(|e| CliError::Io("cannot listen for signals".to_owned(), e))?;
    let listener = server::listen(args.listen).await?;
    let (seat, leadership) = seat();
    let parts = stores::listed::KINDS.into_iter().chain([CLOCK]).chain(terms.map(|_| ELECTION));
    let readiness = Readiness::waiting_for(parts, leadership.clone());
    let metrics = Metrics::default();
    let hearers = Hearers { metrics: metrics.clone(), clock: JudgedClock::new(Clock::wall()) };
    let instance = instance(&args).to_owned();
    let clients = client::clients(args.kubeconfig.as_deref(), &instance, leadership.clone(), &hearers).await?;
    let election = match terms {
        Some(terms) => {
            let leases = Leases::new(clients.lease.clone(), &args.namespace, LEASE);
            let pod = args.instance.as_deref();
            Some(Election::new(seat, leases, pod, terms, Clock::wall()))
        }
        None => {
            seat.take_for_good();
            None
        }
    };
    let served = ServedNamespaces::of(args.watch_namespaces);
    let (namespace, guards, extra_keys, insight) = (args.namespace, args.guards, args.extra_keys, args.insight);
    let records =
        OutboxSettings { delivers: archive.is_some(), retention: args.outbox.retention, hears: args.outbox.activity };
    let identity = controller::Installation {
        instance,
        namespace,
        served,
        guards,
        extra_keys,
        insight,
        outputs,
        archive,
        records,
    };
    let process = controller::Process { readiness: readiness.clone(), hearers, leadership, election };
    tokio::select! {
        served = server::serve(listener, readiness, move || metrics.text()) => Ok(served.map_err(NoListener::on(args.listen))?),
        ended = controller::run(clients, identity, process, stop) => Ok(ended?),
    }
}

#[cfg(all(test, not(feature = "otlp")))]
mod tests {
    use crate::cli::Cli;
    use clap::Parser;
    use clap::error::ErrorKind;

    #[test]
    fn a_build_without_traces_refuses_to_be_asked_for_them() {
        let refused =
            Cli::try_parse_from(["daypass", "controller", "--otlp-endpoint=http://collector:4318"]).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::UnknownArgument, "{refused}");
        assert!(Cli::try_parse_from(["daypass", "controller", "--cluster=eu-1"]).is_ok());
    }
}
