//! Whose login a call to the API server carries: that of the kubeconfig, on one's own machine, or the token that this very
//! call came with.
//!
//! A token makes a client of its own, which is gone with the call: no cache and no connection is shared between callers, and
//! without a token there is no call at all. It must not look into a token but for its end, nor show one.

use std::error::Error;
use std::fmt;

use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use http::{HeaderMap, Request, Uri};
use hyper::body::{Body as HttpBody, Bytes};
use k8s_openapi::jiff::Timestamp;
use kube::client::{Body, ClientBuilder};
use kube::{Client, Config};
use tower::{BoxError, ServiceExt};

use super::refusal::PageRefusal;
use crate::runtime::carried::CarriedCalls;
use crate::runtime::clock::Clock;
use crate::runtime::connection::{self, Unlayered};
use crate::runtime::token_end::end_of_bearer;

/// What there is to do where the API server does not take a login.
const RUN_AGAIN: &str = "run kubectl daypass ui again";
/// The same in the cluster, where a proxy has logged the caller in.
const LOAD_AGAIN: &str = "load the page again";

/// Says of an error whether it is that there is no login, and why.
type NoLogin = fn(&(dyn Error + 'static)) -> Option<String>;

/// Whose login calls carry.
pub enum PageCaller {
    /// That of the one user of a page on their own machine.
    Own(OwnLogin),
    /// The bearer token of each call, which the organisation's proxy has put there.
    Bearer(BearerPlace),
}

/// The login of a kubeconfig.
pub struct OwnLogin {
    pub calls: CarriedCalls,
    pub client: Client,
    /// Whether a call that failed had no login.
    pub no_login: NoLogin,
}

/// The one API server that tokens are sent to.
pub struct BearerPlace {
    config: Box<Config>,
    /// Which header of a call has the token; no other one is looked at.
    header: HeaderName,
    /// Where people end their login at the proxy, on this origin.
    sign_out: Option<String>,
}

/// The login of one call.
pub struct CallLogin {
    pub calls: CarriedCalls,
    pub client: Client,
    /// When its token ends, where it says so.
    pub ends: Option<Timestamp>,
    no_login: NoLogin,
    way_out: &'static str,
    /// Whether the call brought it along.
    is_carried: bool,
}

impl fmt::Debug for CallLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallLogin").field("ends", &self.ends).finish_non_exhaustive()
    }
}

impl BearerPlace {
    /// An API server, and the certificates of those who vouch for it, in DER. No login of this process is in it.
    pub fn new(server: Uri, authorities: Vec<Vec<u8>>) -> Self {
        let mut config = Config::new(server);
        config.root_cert = Some(authorities);
        config.read_timeout = None;
        Self { config: Box::new(config), header: AUTHORIZATION, sign_out: None }
    }

    /// The same, with tokens in this header. In any but `Authorization` a token stands without a word before it.
    pub fn with_tokens_in(self, header: HeaderName) -> Self {
        Self { header, ..self }
    }

    /// The same, with a path at which the proxy ends the login of who comes there.
    pub fn with_sign_out(self, path: Option<String>) -> Self {
        Self { sign_out: path, ..self }
    }

    fn login(&self, headers: &HeaderMap) -> Result<CallLogin, PageRefusal> {
        let token = only_token(headers, &self.header)?;
        let unusable = |error: kube::Error| PageRefusal::Unusable(error.to_string());
        let calls = self.carrying(&token).map_err(unusable)?;
        let client: Unlayered<Body> = self.carrying(&token).map_err(unusable)?;
        Ok(CallLogin {
            calls: CarriedCalls::new(calls, self.config.cluster_url.clone(), false),
            client: ClientBuilder::new(client, self.config.default_namespace.clone()).build(),
            ends: end_of_bearer(&token),
            no_login: |_| None,
            way_out: LOAD_AGAIN,
            is_carried: true,
        })
    }

    /// Calls of one caller over connections of their own.
    fn carrying<B>(&self, token: &HeaderValue) -> kube::Result<Unlayered<B>>
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let token = token.clone();
        let carried = move |mut request: Request<B>| {
            request.headers_mut().insert(AUTHORIZATION, token.clone());
            request
        };
        Ok(connection::over(&self.config, connection::tcp())?.map_request(carried).boxed_clone())
    }
}

/// The token that a call carries in this header, once, as `Authorization` has it.
fn only_token(headers: &HeaderMap, name: &HeaderName) -> Result<HeaderValue, PageRefusal> {
    let none = || PageRefusal::NoToken(name.to_string());
    let mut all = headers.get_all(name).iter();
    let (Some(only), None) = (all.next(), all.next()) else { return Err(none()) };
    let token = match *name == AUTHORIZATION {
        true => only.as_bytes().strip_prefix(b"Bearer ").ok_or_else(none)?,
        false => only.as_bytes(),
    };
    // What RFC 6750 lets a token be made of: no list of two is taken for one.
    let is_of_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte);
    if token.is_empty() || !token.iter().all(is_of_token) {
        return Err(none());
    }
    let mut header = HeaderValue::from_bytes(&[b"Bearer ", token].concat()).map_err(|_| none())?;
    header.set_sensitive(true);
    Ok(header)
}

impl PageCaller {
    /// The login of a call.
    ///
    /// # Errors
    /// When it has none: nothing else is tried in its place.
    pub fn of(&self, headers: &HeaderMap) -> Result<CallLogin, PageRefusal> {
        match self {
            Self::Own(own) => Ok(CallLogin {
                calls: own.calls.clone(),
                client: own.client.clone(),
                ends: None,
                no_login: own.no_login,
                way_out: RUN_AGAIN,
                is_carried: false,
            }),
            Self::Bearer(place) => place.login(headers),
        }
    }

    /// Whether a network lies between the page and browsers.
    pub fn is_far(&self) -> bool {
        matches!(self, Self::Bearer(_))
    }

    /// The path at which a caller ends their login, where there is one.
    pub fn sign_out(&self) -> Option<&str> {
        match self {
            Self::Own(_) => None,
            Self::Bearer(place) => place.sign_out.as_deref(),
        }
    }

    /// Where the page is, in a word: on somebody's machine, or in the cluster.
    pub fn place(&self) -> &'static str {
        match self {
            Self::Own(_) => "loopback",
            Self::Bearer(_) => "cluster",
        }
    }
}

impl CallLogin {
    /// Why nothing came of a call.
    pub fn failed(&self, error: &(dyn Error + 'static)) -> PageRefusal {
        match (self.no_login)(error) {
            Some(why) => PageRefusal::SignInAgain(format!("{why}; then {}", self.way_out)),
            None => PageRefusal::Away(at_bottom(error)),
        }
    }

    /// Why nothing came of a call that the desk made: it knows of a kubeconfig's login only, and here the token is asked.
    pub fn of_desk(&self, refusal: PageRefusal) -> PageRefusal {
        match refusal {
            PageRefusal::SignInAgain(_) if self.is_carried => self.not_taken(),
            other => other,
        }
    }

    /// That the API server does not take it, or not any longer.
    pub fn not_taken(&self) -> PageRefusal {
        let is_over = self.ends.is_none_or(|end| end <= Clock::wall().now());
        match self.is_carried && !is_over {
            true => PageRefusal::NotTaken,
            false => PageRefusal::SignInAgain(format!(
                "the API server does not take this login any longer: {}",
                self.way_out
            )),
        }
    }
}

/// What is at the bottom of an error, without what each layer above it calls itself.
fn at_bottom(error: &(dyn Error + 'static)) -> String {
    let mut bottom = error;
    while let Some(below) = bottom.source() {
        bottom = below;
    }
    bottom.to_string()
}
