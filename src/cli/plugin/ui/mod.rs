//! `kubectl daypass ui`: the page in a browser, served on this machine with the caller's own login.
//!
//! [`desk`] computes for it what the commands print, [`browser`] opens it. The page itself is [`crate::page`]'s. It must not
//! decide anything, nor have a right that the caller has not.

mod browser;
pub mod desk;

use kube::Api;
use kube::api::ListParams;
use secrecy::ExposeSecret;

use self::desk::UiDesk;
use super::cluster::{Cluster, Connection};
use super::error::PluginError;
use super::exit::Exit;
use super::identity;
use super::output::console::Console;
use super::reach::failure::login_failure;
use super::seen::InstallationArgs;
use crate::api::request::AccessRequest;
use crate::core::model::name::{is_label, is_name};
use crate::page::caller::{OwnLogin, PageCaller};
use crate::page::door::PageDoor;
use crate::page::guard::PageGuard;
use crate::page::routes::PageServer;
use crate::page::session::PageSession;
use crate::runtime::carried::CarriedCalls;

/// The command line of `ui`.
#[derive(Debug, clap::Args)]
pub struct UiArgs {
    /// Open the page at this request: NAME, or NAMESPACE/NAME for one of another namespace than that of the context.
    #[arg(value_name = "NAME")]
    request: Option<String>,
    /// Only print the URL.
    #[arg(long)]
    no_browser: bool,
    /// Port of 127.0.0.1 to serve the page on. Left out: one that is free.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    #[command(flatten)]
    installation: InstallationArgs,
    #[command(flatten)]
    connection: Connection,
}

/// Serves the page until it is interrupted.
///
/// # Errors
/// When there is no cluster, no login, no Daypass, or no port.
pub async fn run(args: UiArgs, console: &mut Console) -> Result<Exit, PluginError> {
    let (cluster, calls) = Cluster::connect_for_others(&args.connection).await?;
    let view = args.view(&cluster)?;
    let who = identity::caller(&cluster).await?;
    is_there(&cluster).await?;
    let address = format!("127.0.0.1:{}", args.port.unwrap_or_default());
    let failed = |source| PluginError::NoPage { address, source };
    let door = match PageDoor::open(args.port).await {
        Ok(door) => door,
        Err(source) => return Err(failed(source)),
    };
    let host = door.address().to_string();
    let (session, token) =
        PageSession::new(door.address().port()).map_err(|error| failed(std::io::Error::other(error)))?;
    let server = server(&args, cluster, calls, &host, session);
    let url = format!("http://{host}{view}#token={}", token.expose_secret());
    console.print(&format!("{url}\n"));
    console.say(format!("this URL opens the page once, as {}; Ctrl-C ends it", who.username));
    let opened = !args.no_browser && browser::open(&url);
    if !opened && !args.no_browser {
        console.note("no browser is here: open the URL in one of this machine");
    }
    let interrupted = tokio::signal::ctrl_c();
    tokio::select! {
        () = door.serve(server) => {}
        _ = interrupted => {}
    }
    Ok(Exit::Done)
}

/// That Daypass is there. Who may list no requests may still look at other things.
async fn is_there(cluster: &Cluster) -> Result<(), PluginError> {
    let namespace = &cluster.namespace;
    let api: Api<AccessRequest> = Api::namespaced(cluster.client.clone(), namespace);
    let one = ListParams::default().limit(1);
    let listed = cluster.call(format!("list accessrequests in namespace {namespace}"), api.list_metadata(&one)).await;
    match listed {
        Err(error) if !error.is_forbidden() => Err(error),
        _ => Ok(()),
    }
}

fn server(
    args: &UiArgs,
    cluster: Cluster,
    calls: CarriedCalls,
    host: &str,
    session: PageSession,
) -> PageServer<UiDesk> {
    let no_login = |error: &(dyn std::error::Error + 'static)| login_failure(error).map(ToString::to_string);
    let name = match &cluster.place.context {
        Some(context) => context.clone(),
        None => cluster.place.server.clone(),
    };
    PageServer {
        guard: PageGuard::new("http", host),
        session: Some(session),
        desk: UiDesk {
            cluster: cluster.address(),
            installation: args.installation.clone(),
            flags: args.connection.flags(),
            has_plugin: true,
        },
        caller: PageCaller::Own(OwnLogin { calls, client: cluster.client, no_login }),
        cluster: name,
    }
}

impl UiArgs {
    /// The path of the view to open the page at.
    fn view(&self, cluster: &Cluster) -> Result<String, PluginError> {
        let Some(request) = &self.request else { return Ok("/".to_owned()) };
        let (namespace, name) = request.split_once('/').unwrap_or((&cluster.namespace, request));
        if is_label(namespace) && is_name(name) {
            return Ok(format!("/r/{namespace}/{name}"));
        }
        let problem = format!("{request} is no name of a request: write NAME, or NAMESPACE/NAME");
        Err(PluginError::Flag { flag: "NAME", problem })
    }
}
