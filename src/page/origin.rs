//! The one address at which browsers reach a page in the cluster, written as browsers write it.
//!
//! It must not look into a call: the guard does.

use std::net::IpAddr;
use std::str::FromStr;

use http::Uri;

/// Scheme, host and port of a page, exactly as `Origin` has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageOrigin {
    /// `https`, or `http` on one's own machine.
    pub scheme: &'static str,
    /// As `Host` has it: with the port unless it is the usual one.
    pub host: String,
}

/// Why a text is no origin.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadOrigin {
    /// It is none at all, or has something behind the host.
    #[error("it is a scheme and a host with nothing behind it: write it as https://access.example.com")]
    Form,
    /// Tokens would travel in the clear.
    #[error("a page that is not on one's own machine is reached over TLS: write https://")]
    Plain,
    /// Browsers write it in another way, so that it would never be met.
    #[error("browsers write it as {0}: write it so")]
    Spelling(String),
}

impl FromStr for PageOrigin {
    type Err = BadOrigin;

    fn from_str(text: &str) -> Result<Self, BadOrigin> {
        let uri: Uri = text.trim_end_matches('/').parse().map_err(|_| BadOrigin::Form)?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return Err(BadOrigin::Form) };
        let (scheme, usual) = match scheme {
            "https" => ("https", 443),
            "http" if is_own_machine(authority.host()) => ("http", 80),
            "http" => return Err(BadOrigin::Plain),
            _ => return Err(BadOrigin::Form),
        };
        if uri.path() != "/" || uri.query().is_some() || authority.as_str().contains('@') {
            return Err(BadOrigin::Form);
        }
        let port = authority.port_u16().filter(|port| *port != usual).map(|port| format!(":{port}"));
        let host = format!("{}{}", authority.host().to_ascii_lowercase(), port.unwrap_or_default());
        let written = format!("{scheme}://{host}");
        if written == text { Ok(Self { scheme, host }) } else { Err(BadOrigin::Spelling(written)) }
    }
}

fn is_own_machine(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_what_browsers_write() {
        let origin = |scheme, host: &str| Ok(PageOrigin { scheme, host: host.to_owned() });
        let spelled = |written: &str| Err(BadOrigin::Spelling(written.to_owned()));
        for (text, expected) in [
            ("https://access.example.com", origin("https", "access.example.com")),
            ("https://access.example.com:8443", origin("https", "access.example.com:8443")),
            ("https://10.0.0.1", origin("https", "10.0.0.1")),
            ("http://127.0.0.1:4180", origin("http", "127.0.0.1:4180")),
            ("http://localhost:4180", origin("http", "localhost:4180")),
            ("http://[::1]:4180", origin("http", "[::1]:4180")),
            ("https://access.example.com/", spelled("https://access.example.com")),
            ("https://access.example.com:443", spelled("https://access.example.com")),
            ("https://Access.example.com", spelled("https://access.example.com")),
            ("http://access.example.com", Err(BadOrigin::Plain)),
            ("http://127.evil.example", Err(BadOrigin::Plain)),
            ("access.example.com", Err(BadOrigin::Form)),
            ("https://access.example.com/page", Err(BadOrigin::Form)),
            ("https://access.example.com?x", Err(BadOrigin::Form)),
            ("https://me@access.example.com", Err(BadOrigin::Form)),
            ("ftp://access.example.com", Err(BadOrigin::Form)),
            ("https://", Err(BadOrigin::Form)),
            ("", Err(BadOrigin::Form)),
        ] {
            assert_eq!(text.parse(), expected, "{text}");
        }
    }
}
