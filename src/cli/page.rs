//! The program of the page in the cluster: its flags, and how the parts of the process are put together.
//!
//! It reads no token of a service account and no kubeconfig: what calls it makes, it makes with the token that each of them
//! came with.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, HeaderName, ORIGIN, TRANSFER_ENCODING};
use http::{Uri, uri};
use tracing::{error, info};

use super::CliError;
use super::log::LogArgs;
use super::plugin::cluster::ClusterAddress;
use super::plugin::seen::InstallationArgs;
use super::plugin::ui::desk::UiDesk;
use crate::page::caller::{BearerPlace, PageCaller};
use crate::page::cluster_door::ClusterDoor;
use crate::page::guard::PageGuard;
use crate::page::origin::PageOrigin;
use crate::page::routes::PageServer;
use crate::runtime::certificate::{Certificate, CertificateError};
use crate::runtime::connection::{self, NoAuthorities};
use crate::runtime::server::NoListener;
use crate::runtime::{server as probes, shutdown};

/// Time between two looks at the certificate.
const LOOKS: Duration = Duration::from_secs(5);
/// Headers that say something else than who calls.
const NOT_FOR_TOKENS: [HeaderName; 6] = [CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, ORIGIN, TRANSFER_ENCODING];

/// Serves the page to browsers that a proxy of the organisation has signed in.
///
/// It has no rights: each call goes to the API server with the token that it came with, and a call without one is answered
/// with 401. The proxy before it must take what browsers send in the header of the token out of each call, and put the token
/// of their login there. On your own machine, `kubectl daypass ui` serves the same page with your kubeconfig.
#[derive(Debug, Parser)]
#[command(name = "daypass-page", version)]
pub struct PageArgs {
    /// Where browsers reach the page, exactly as they write it, such as https://access.example.com. Calls for another host
    /// or from another page are refused.
    #[arg(long, value_name = "URL", value_parser = str::parse::<PageOrigin>)]
    origin: PageOrigin,
    /// Address at which the proxy calls.
    #[arg(long, default_value = "0.0.0.0:8443")]
    listen: SocketAddr,
    /// Address for /livez and /readyz, over plain HTTP.
    #[arg(long, default_value = "0.0.0.0:8080")]
    probes: SocketAddr,
    /// Folder with the certificate as tls.crt and its key as tls.key, in PEM. They are read again when they change.
    #[arg(long, value_name = "FOLDER", required_unless_present = "plain_http", conflicts_with = "plain_http")]
    certificates: Option<PathBuf>,
    /// Serve the proxy without TLS. Whoever sees the network between the two sees tokens, so let nothing but the proxy reach
    /// this port, on a network that encrypts or that you trust.
    #[arg(long)]
    plain_http: bool,
    /// URL of the API server. Left out: https:// with KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT.
    #[arg(long, value_name = "URL", value_parser = api_server)]
    api_server: Option<Uri>,
    /// File with the certificates that prove the API server, in PEM, such as that of the ConfigMap kube-root-ca.crt.
    #[arg(long, value_name = "FILE", default_value = "/etc/daypass-page/api-server/ca.crt")]
    api_server_ca: PathBuf,
    /// Header that has the token of the caller. In Authorization it stands behind the word Bearer, in any other alone.
    #[arg(long, value_name = "NAME", default_value = "authorization", value_parser = token_header)]
    token_header: HeaderName,
    /// Path of this origin at which the proxy ends the login of who comes there, such as /oauth2/sign_out. Left out: the page
    /// has no such link.
    #[arg(long, value_name = "PATH", value_parser = sign_out)]
    sign_out: Option<String>,
    #[command(flatten)]
    installation: InstallationArgs,
    #[command(flatten)]
    log: LogArgs,
}

/// Why the page ends.
#[derive(Debug, thiserror::Error)]
enum PageEnd {
    #[error(
        "nobody says where the API server is: give --api-server, or run it in a pod, where KUBERNETES_SERVICE_HOST and \
         KUBERNETES_SERVICE_PORT say so"
    )]
    NoApiServer,
    #[error("--api-server-ca: {0}: {1}; mount the ConfigMap kube-root-ca.crt there")]
    Unreadable(PathBuf, #[source] std::io::Error),
    #[error("--api-server-ca: {0}: {1}; it must be PEM")]
    NoAuthorities(PathBuf, #[source] NoAuthorities),
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error(transparent)]
    Listener(#[from] NoListener),
    #[error("{0}: {1}")]
    Io(String, #[source] std::io::Error),
}

/// Runs the page until it is asked to stop, or a part of it fails.
///
/// # Errors
/// When it failed; what it failed of is in the log then.
pub async fn run(args: PageArgs) -> Result<(), CliError> {
    args.log.start(tracing_subscriber::layer::Identity::new());
    run_on(args).await.map_err(|error| {
        error!(%error, "ends");
        CliError::Logged
    })
}

async fn run_on(args: PageArgs) -> Result<(), PageEnd> {
    let stop = shutdown::requested().map_err(|e| PageEnd::Io("cannot listen for signals".to_owned(), e))?;
    let api_server = args.api_server.clone().or_else(of_pod).ok_or(PageEnd::NoApiServer)?;
    let authorities = authorities(&args.api_server_ca)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let certificate = match &args.certificates {
        Some(folder) => Some(Certificate::read(folder, provider.clone())?),
        None => None,
    };
    let no_tls = |e| PageEnd::Io("cannot serve TLS".to_owned(), e);
    let door = match certificate.clone() {
        Some(certificate) => ClusterDoor::with_certificate(certificate, provider).map_err(no_tls)?,
        None => ClusterDoor::plain(),
    };
    let (calls, probed) = (probes::listen(args.listen).await?, probes::listen(args.probes).await?);
    let (address, header) = (args.listen, args.token_header.clone());
    let origin = format!("{}://{}", args.origin.scheme, args.origin.host);
    info!(%address, origin, %api_server, token = %header, tls = certificate.is_some(), "serves the page");
    let followed = async {
        match &certificate {
            Some(certificate) => certificate.follow(LOOKS).await,
            None => std::future::pending().await,
        }
    };
    let (listening, asked) = (args.probes, stop.clone());
    tokio::select! {
        () = door.serve(calls, server(args, api_server, authorities), stop) => Ok(()),
        served = probes::serve_probes(probed, asked) => Ok(served.map_err(NoListener::on(listening))?),
        () = followed => Ok(()),
    }
}

fn server(args: PageArgs, api_server: Uri, authorities: Vec<Vec<u8>>) -> PageServer<UiDesk> {
    let name = args.log.cluster.unwrap_or_else(|| api_server.host().unwrap_or_default().to_owned());
    let cluster = ClusterAddress::for_tokens(api_server.to_string().trim_end_matches('/').to_owned());
    let place = BearerPlace::new(api_server, authorities).with_tokens_in(args.token_header);
    let place = place.with_sign_out(args.sign_out);
    PageServer {
        guard: PageGuard::new(args.origin.scheme, &args.origin.host),
        session: None,
        caller: PageCaller::Bearer(place),
        desk: UiDesk { cluster, installation: args.installation, flags: String::new(), has_plugin: false },
        cluster: name,
    }
}

fn authorities(file: &Path) -> Result<Vec<Vec<u8>>, PageEnd> {
    let pem = std::fs::read(file).map_err(|error| PageEnd::Unreadable(file.to_owned(), error))?;
    connection::authorities(&pem).map_err(|error| PageEnd::NoAuthorities(file.to_owned(), error))
}

/// Where a pod is told that the API server is. https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/
fn of_pod() -> Option<Uri> {
    let told = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let (host, port) = (told("KUBERNETES_SERVICE_HOST")?, told("KUBERNETES_SERVICE_PORT")?);
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    api_server(&format!("https://{host}:{port}")).ok()
}

/// A token goes nowhere without TLS.
fn api_server(text: &str) -> Result<Uri, String> {
    let way_out = "write it as https://10.96.0.1, with a port where it is another than 443";
    let url: Uri = text.parse().map_err(|error| format!("{error}: {way_out}"))?;
    let is_bare = url.path() == "/" && url.query().is_none();
    let is_named = url.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    if url.scheme() == Some(&uri::Scheme::HTTPS) && is_bare && is_named {
        Ok(url)
    } else {
        Err(format!("it is https:// with a host and nothing behind it: {way_out}"))
    }
}

/// A link of the page leads to no other host.
fn sign_out(text: &str) -> Result<String, String> {
    let is_path = text.starts_with('/') && !text.starts_with("//") && !text.contains('\\');
    let is_uri = text.parse::<Uri>().is_ok_and(|uri| uri.authority().is_none());
    if is_path && is_uri { Ok(text.to_owned()) } else { Err("write a path, such as /oauth2/sign_out".to_owned()) }
}

/// A header that only the proxy writes, as far as can be seen from here.
fn token_header(text: &str) -> Result<HeaderName, String> {
    let name: HeaderName =
        text.parse().map_err(|error| format!("{error}: name one, such as X-Forwarded-Access-Token"))?;
    let is_other = NOT_FOR_TOKENS.contains(&name) || name.as_str().starts_with("sec-") || name == "x-daypass";
    if is_other {
        return Err(format!(
            "{name} says something else: name {AUTHORIZATION}, or one such as X-Forwarded-Access-Token"
        ));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(more: &[&str]) -> Result<PageArgs, String> {
        let always = ["daypass-page", "--origin=https://access.example.com"];
        PageArgs::try_parse_from(always.iter().chain(more)).map_err(|error| error.to_string())
    }

    #[test]
    fn tls_is_left_out_only_when_that_is_said() {
        for wrong in [&[][..], &["--plain-http", "--certificates=/tls"]] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
        assert!(read(&["--plain-http"]).is_ok_and(|args| args.certificates.is_none()));
        assert!(read(&["--certificates=/tls"]).is_ok());
    }

    #[test]
    fn tokens_go_over_tls_alone_and_to_one_place() {
        for wrong in ["http://10.0.0.1", "10.0.0.1", "https://", "https://a/b", "https://a?b", "https://me@a", ""] {
            let why = read(&["--plain-http", "--api-server", wrong]).unwrap_err();
            assert!(why.contains("https://10.96.0.1"), "{wrong}: {why}");
        }
        let args = read(&["--plain-http", "--api-server=https://[fd00::1]:6443"]).unwrap();
        assert_eq!(args.api_server.unwrap().authority().unwrap(), "[fd00::1]:6443");
    }

    #[test]
    fn the_link_that_signs_out_leads_to_no_other_host() {
        for wrong in ["https://evil.example/", "//evil.example", "/\\evil.example", "oauth2/sign_out", ""] {
            let why = read(&["--plain-http", "--sign-out", wrong]).unwrap_err();
            assert!(why.contains("/oauth2/sign_out"), "{wrong}: {why}");
        }
        let args = read(&["--plain-http", "--sign-out=/oauth2/sign_out?rd=%2F"]).unwrap();
        assert_eq!(args.sign_out.as_deref(), Some("/oauth2/sign_out?rd=%2F"));
    }

    #[test]
    fn a_header_that_browsers_or_http_write_has_no_token() {
        for wrong in ["Cookie", "host", "origin", "Sec-Fetch-Site", "X-Daypass", "content-length", "no name", ""] {
            let why = read(&["--plain-http", "--token-header", wrong]).unwrap_err();
            assert!(why.contains("X-Forwarded-Access-Token"), "{wrong}: {why}");
        }
        assert_eq!(read(&["--plain-http"]).unwrap().token_header, AUTHORIZATION);
        let other = read(&["--plain-http", "--token-header=X-Forwarded-Access-Token"]).unwrap();
        assert_eq!(other.token_header, "x-forwarded-access-token");
    }
}
