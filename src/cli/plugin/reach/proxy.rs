//! Which proxy is between here and a server, and the connections through it.
//!
//! A kubeconfig's `proxy-url` goes first and is meant for whatever host. Otherwise HTTPS_PROXY and HTTP_PROXY say it, but
//! for the hosts of NO_PROXY and for this machine, as with kubectl.

use std::net::IpAddr;

use http::Uri;
use hyper::body::{Body, Bytes};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use kube::Config;
use kube::client::ConfigExt;
use tower::BoxError;

use super::failure::ReachError;
use crate::runtime::connection::{self, Unlayered};

/// A variable of the environment; empty is as good as unset.
type Variable<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A variable of the environment that is set and not empty.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The proxy to a server, if there is one.
///
/// # Errors
/// When what names it is no URL of a proxy.
pub fn proxy_to(server: &Uri, proxy_url: Option<&str>, env: Variable<'_>) -> Result<Option<Intercept>, ReachError> {
    if let Some(url) = proxy_url.filter(|url| !url.is_empty()) {
        return one("proxy-url", url, "", server);
    }
    let names =
        if server.scheme_str() == Some("http") { ["HTTP_PROXY", "http_proxy"] } else { ["HTTPS_PROXY", "https_proxy"] };
    let Some((from, url)) = names.into_iter().find_map(|name| Some((name, env(name)?))) else { return Ok(None) };
    if server.host().is_some_and(is_this_machine) {
        return Ok(None);
    }
    let direct = env("NO_PROXY").or_else(|| env("no_proxy")).unwrap_or_default();
    one(from, &url, &direct, server)
}

fn one(from: &'static str, url: &str, direct: &str, server: &Uri) -> Result<Option<Intercept>, ReachError> {
    let bad = || ReachError::BadProxy { from, url: without_password(url) };
    // The field of a kubeconfig is a whole URL; the variables may leave the scheme out.
    if from == "proxy-url" && !url.contains("://") {
        return Err(bad());
    }
    let any: Uri = Uri::from_static("https://server.invalid");
    let parsed = Matcher::builder().all(url.to_owned()).build().intercept(&any).ok_or_else(bad)?;
    if !["http", "https", "socks5", "socks5h"].contains(&parsed.uri().scheme_str().unwrap_or_default()) {
        return Err(bad());
    }
    Ok(Matcher::builder().all(url.to_owned()).no(direct.to_owned()).build().intercept(server))
}

fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// A URL as it may be shown.
fn without_password(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => format!("{scheme}://{}", rest.rsplit_once('@').map_or(rest, |(_, host)| host)),
        None => url.rsplit_once('@').map_or(url, |(_, host)| host).to_owned(),
    }
}

/// A proxy as it may be shown.
pub fn shown(proxy: &Intercept) -> String {
    without_password(proxy.uri().to_string().trim_end_matches('/'))
}

/// Connections to the server of a configuration, through a proxy if there is one. The login is not in it.
///
/// # Errors
/// When the certificates of the configuration cannot be used.
pub fn connections<B>(config: &Config, proxy: Option<&Intercept>) -> kube::Result<Unlayered<B>>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    let Some(proxy) = proxy else { return connection::over(config, connection::tcp()) };
    let uri = proxy.uri().clone();
    if uri.scheme_str().is_some_and(|scheme| scheme.starts_with("socks5")) {
        let mut socks = SocksV5::new(uri, connection::tcp());
        if let Some((user, password)) = proxy.raw_auth() {
            socks = socks.with_auth(user.to_owned(), password.to_owned());
        }
        return connection::over(config, socks);
    }
    if uri.scheme_str() == Some("https") {
        // Its certificate is judged as that of the API server is: kubectl does so too.
        let secured = config.rustls_https_connector_with_connector::<HttpConnector>(connection::tcp())?;
        return connection::over(config, authorized(Tunnel::new(uri, secured), proxy));
    }
    connection::over(config, authorized(Tunnel::new(uri, connection::tcp()), proxy))
}

fn authorized<C>(tunnel: Tunnel<C>, proxy: &Intercept) -> Tunnel<C> {
    match proxy.basic_auth() {
        Some(auth) => tunnel.with_auth(auth.clone()),
        None => tunnel,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXY: &str = "http://10.0.0.7:3128/";

    /// The proxy to a server with these variables set.
    fn to(server: &str, proxy_url: Option<&str>, variables: &[(&str, &str)]) -> Result<Option<String>, String> {
        let env = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        let found = proxy_to(&server.parse().unwrap(), proxy_url, &env);
        found.map(|proxy| proxy.map(|proxy| proxy.uri().to_string())).map_err(|error| error.to_string())
    }

    #[test]
    fn the_environment_says_it_by_the_scheme_of_the_server() {
        let both = [("HTTPS_PROXY", PROXY), ("HTTP_PROXY", "http://10.0.0.8:1")];
        assert_eq!(to("https://api.example:6443", None, &both), Ok(Some(PROXY.to_owned())));
        assert_eq!(to("http://api.example", None, &both), Ok(Some("http://10.0.0.8:1/".to_owned())));
        assert_eq!(to("https://api.example", None, &[("https_proxy", "10.0.0.7:3128")]), Ok(Some(PROXY.to_owned())));
        assert_eq!(to("https://api.example", None, &[]), Ok(None));
    }

    #[test]
    fn hosts_of_no_proxy_and_this_machine_are_reached_directly() {
        let direct =
            |server: &str, no: &str| to(server, None, &[("HTTPS_PROXY", PROXY), ("NO_PROXY", no)]).unwrap().is_none();
        for (server, no, expected) in [
            ("https://api.example:6443", "example", true),
            ("https://api.example:6443", ".example", true),
            ("https://api.example:6443", "*", true),
            ("https://10.1.2.3:6443", "10.0.0.0/8", true),
            ("https://10.1.2.3:6443", "10.1.2.3", true),
            ("https://10.1.2.3:6443", "192.168.0.0/16", false),
            ("https://notexample:6443", "example", false),
            // It is about the server, not the proxy.
            ("https://api.example:6443", "10.0.0.7", false),
            ("https://127.0.0.1:6443", "", true),
            ("https://[::1]:6443", "", true),
            ("https://localhost:6443", "", true),
        ] {
            assert_eq!(direct(server, no), expected, "{server} {no}");
        }
    }

    #[test]
    fn the_kubeconfig_goes_before_the_environment_and_no_proxy_is_not_asked() {
        let variables = [("HTTPS_PROXY", "http://other:1"), ("NO_PROXY", "*")];
        for url in [PROXY, "socks5://10.0.0.7:1080/", "https://10.0.0.7:443/"] {
            assert_eq!(to("https://127.0.0.1:6443", Some(url), &variables), Ok(Some(url.to_owned())));
        }
        assert_eq!(to("https://api.example", Some(""), &variables), Ok(None));
    }

    #[test]
    fn what_is_no_proxy_is_refused_without_its_password() {
        for url in ["ftp://u:secret@proxy:21", "socks4://u:secret@proxy:1080", "u:secret@proxy:3128"] {
            let error = to("https://api.example", Some(url), &[]).unwrap_err();
            assert!(error.contains("proxy-url") && !error.contains("secret"), "{error}");
        }
    }
}
