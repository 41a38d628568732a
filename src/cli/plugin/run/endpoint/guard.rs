//! Which calls the endpoint takes: those that carry its token, are addressed to it alone, come from no page, and are framed
//! in one way only.
//!
//! It must not know what a call asks of the API server.

use http::header::{AUTHORIZATION, HOST, HeaderName, HeaderValue, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use sha2::{Digest, Sha256};

use crate::runtime::framing::{has_plain_target, is_framed_once};

/// What the calls of one command must carry.
pub struct EndpointGuard {
    /// Where the endpoint listens, as `Host` has it.
    host: String,
    /// Digest of the token: how long it takes to compare digests says nothing of the token.
    token: [u8; 32],
}

/// Why a call is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotTaken {
    /// It does not carry the token.
    NoToken,
    /// It was meant for another host, as a name that leads here would make it.
    OtherHost,
    /// A browser made it for a page.
    FromPage,
    /// It asks for a tunnel, or for something that is no path of the API server.
    Target,
    /// It can be read in two ways.
    Framing,
    /// It impersonates somebody while the whole run impersonates somebody already.
    Impersonates,
}

impl NotTaken {
    /// What the caller is answered.
    pub fn status(self) -> StatusCode {
        match self {
            Self::NoToken => StatusCode::UNAUTHORIZED,
            Self::OtherHost => StatusCode::MISDIRECTED_REQUEST,
            Self::FromPage | Self::Impersonates => StatusCode::FORBIDDEN,
            Self::Target | Self::Framing => StatusCode::BAD_REQUEST,
        }
    }

    /// Why, in words, with the way out.
    pub fn words(self) -> &'static str {
        match self {
            Self::NoToken => "this endpoint serves one command only, and this call does not carry its token",
            Self::OtherHost => "this endpoint is reached by its address only, and this call was meant for another host",
            Self::FromPage => "this endpoint serves no pages: leave out Origin and Sec-Fetch-*",
            Self::Target => "this endpoint forwards to one API server only: ask for a path that begins with /",
            Self::Framing => "this call can be read in two ways: give its length once, and one host",
            Self::Impersonates => {
                "every call of this run is made as somebody else already: leave --as out here, or at kubectl daypass run"
            }
        }
    }
}

impl EndpointGuard {
    /// For an endpoint that listens on an address, such as `127.0.0.1:4711`.
    pub fn new(host: String, token: &str) -> Self {
        Self { host, token: Sha256::digest(token).into() }
    }

    /// Whether a call is taken. Who has no token learns nothing else.
    ///
    /// # Errors
    /// Why it is not.
    pub fn check(&self, call: &Parts) -> Result<(), NotTaken> {
        self.rules(call).into_iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, why)| Err(why))
    }

    /// Whether each rule holds for a call, in the order in which they count.
    fn rules(&self, call: &Parts) -> [(bool, NotTaken); 5] {
        let headers = &call.headers;
        [
            (self.has_token(headers), NotTaken::NoToken),
            (is_framed_once(call), NotTaken::Framing),
            (headers.get(HOST).is_some_and(|host| host.as_bytes() == self.host.as_bytes()), NotTaken::OtherHost),
            (!headers.iter().any(|header| self.is_of_page(header)), NotTaken::FromPage),
            (has_plain_target(call), NotTaken::Target),
        ]
    }

    /// Browsers write these, and pages cannot keep them from doing so. Some clients of WebSockets write the origin of the server
    /// that they call; no page is of that one.
    fn is_of_page(&self, (name, value): (&HeaderName, &HeaderValue)) -> bool {
        let is_own = || value.as_bytes().strip_prefix(b"https://") == Some(self.host.as_bytes());
        *name == ORIGIN && !is_own() || name.as_str().starts_with("sec-fetch-")
    }

    fn has_token(&self, headers: &HeaderMap) -> bool {
        let mut all = headers.get_all(AUTHORIZATION).iter();
        let (Some(only), None) = (all.next(), all.next()) else { return false };
        let token = only.as_bytes().strip_prefix(b"Bearer ").unwrap_or_default();
        <[u8; 32]>::from(Sha256::digest(token)) == self.token
    }
}

#[cfg(test)]
mod tests {
    use http::Version;

    use super::*;

    fn call(method: &str, target: &str, headers: &[(&'static str, &str)]) -> Parts {
        let mut request = http::Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    const GOOD: [(&str, &str); 2] = [("host", "127.0.0.1:4711"), ("authorization", "Bearer t0ken")];

    fn guard() -> EndpointGuard {
        EndpointGuard::new("127.0.0.1:4711".to_owned(), "t0ken")
    }

    /// Each rule is what stops its attacks: without it nothing would.
    #[test]
    fn every_attack_is_stopped_by_one_rule_alone() {
        let [host, login] = GOOD;
        let own = [host, login, ("origin", "https://127.0.0.1:4711")];
        assert_eq!([&GOOD[..], &own].map(|headers| guard().check(&call("GET", "/api", headers))), [Ok(()); 2]);
        for (headers, why) in [
            (vec![host], NotTaken::NoToken),
            (vec![host, ("authorization", "Bearer t0kem")], NotTaken::NoToken),
            (vec![host, ("authorization", "Bearer t0ke")], NotTaken::NoToken),
            (vec![host, ("authorization", "bearer t0ken")], NotTaken::NoToken),
            (vec![host, ("authorization", "Basic t0ken"), ("cookie", "token=t0ken")], NotTaken::NoToken),
            (vec![host, login, login], NotTaken::NoToken),
            (vec![host, host, login], NotTaken::Framing),
            (vec![host, login, ("content-length", "1"), ("transfer-encoding", "chunked")], NotTaken::Framing),
            (vec![host, login, ("content-length", "1"), ("content-length", "1")], NotTaken::Framing),
            (vec![login, ("host", "localhost:4711")], NotTaken::OtherHost),
            (vec![login, ("host", "127.0.0.1")], NotTaken::OtherHost),
            (vec![login, ("host", "127.0.0.1:4711.evil.example")], NotTaken::OtherHost),
            (vec![host, login, ("origin", "null")], NotTaken::FromPage),
            (vec![host, login, ("origin", "http://127.0.0.1:4711")], NotTaken::FromPage),
            (vec![host, login, ("origin", "https://127.0.0.1:47110")], NotTaken::FromPage),
            (vec![host, login, ("sec-fetch-site", "same-origin")], NotTaken::FromPage),
        ] {
            assert_eq!(stopped_by(&call("GET", "/api", &headers)), [why], "{headers:?}");
        }
        for (method, target) in
            [("GET", "https://10.0.0.1/api"), ("CONNECT", "10.0.0.1:443"), ("TRACE", "/api"), ("OPTIONS", "*")]
        {
            assert_eq!(stopped_by(&call(method, target, &GOOD)), [NotTaken::Target], "{method} {target}");
        }
        let mut old = call("GET", "/api", &GOOD);
        old.version = Version::HTTP_10;
        assert_eq!(stopped_by(&old), [NotTaken::Framing]);
    }

    fn stopped_by(call: &Parts) -> Vec<NotTaken> {
        let rules = guard().rules(call);
        rules.into_iter().filter(|(holds, _)| !holds).map(|(_, why)| why).collect()
    }

    #[test]
    fn who_has_no_token_learns_nothing_else() {
        let page = [("host", "evil.example"), ("origin", "https://evil.example")];
        assert_eq!(guard().check(&call("CONNECT", "10.0.0.1:443", &page)), Err(NotTaken::NoToken));
        assert_eq!(guard().check(&call("GET", "/api", &GOOD[1..])), Err(NotTaken::Framing), "no host at all");
    }
}
