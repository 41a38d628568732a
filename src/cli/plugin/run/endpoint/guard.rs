//! Which calls the endpoint takes: those that carry its token, are addressed to it alone, come from no page, and are framed
//! in one way only.
//!
//! It must not know what a call asks of the API server.

use http::header::{AUTHORIZATION, CONTENT_LENGTH, HOST, HeaderName, ORIGIN, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode, Version};
use sha2::{Digest, Sha256};

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
        let headers = &call.headers;
        let rules = [
            (self.has_token(headers), NotTaken::NoToken),
            (is_framed_once(call), NotTaken::Framing),
            (headers.get(HOST).is_some_and(|host| host.as_bytes() == self.host.as_bytes()), NotTaken::OtherHost),
            (!headers.keys().any(is_of_page), NotTaken::FromPage),
            (has_plain_target(call), NotTaken::Target),
        ];
        rules.into_iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, why)| Err(why))
    }

    fn has_token(&self, headers: &HeaderMap) -> bool {
        let mut all = headers.get_all(AUTHORIZATION).iter();
        let (Some(only), None) = (all.next(), all.next()) else { return false };
        let token = only.as_bytes().strip_prefix(b"Bearer ").unwrap_or_default();
        <[u8; 32]>::from(Sha256::digest(token)) == self.token
    }
}

/// One length, one host, and a version that has both.
fn is_framed_once(call: &Parts) -> bool {
    let count = |name: HeaderName| call.headers.get_all(name).iter().count();
    let (lengths, codings) = (count(CONTENT_LENGTH), count(TRANSFER_ENCODING));
    call.version == Version::HTTP_11 && lengths + codings <= 1 && count(HOST) == 1
}

/// Browsers write these, and pages cannot keep them from doing so.
fn is_of_page(name: &HeaderName) -> bool {
    *name == ORIGIN || name.as_str().starts_with("sec-fetch-")
}

fn has_plain_target(call: &Parts) -> bool {
    let tunnels = [Method::CONNECT, Method::TRACE].contains(&call.method);
    !tunnels && call.uri.scheme().is_none() && call.uri.authority().is_none() && call.uri.path().starts_with('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(method: &str, target: &str, headers: &[(&'static str, &str)]) -> Parts {
        let mut request = http::Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_call_is_taken_when_it_has_all_and_nothing_of_a_page() {
        let guard = EndpointGuard::new("127.0.0.1:4711".to_owned(), "t0ken");
        let good = [("host", "127.0.0.1:4711"), ("authorization", "Bearer t0ken")];
        let check = |method: &str, target: &str, headers: &[(&'static str, &str)]| {
            guard.check(&call(method, target, headers)).err()
        };
        assert_eq!(check("GET", "/api", &good), None);
        for (headers, why) in [
            (vec![good[0]], NotTaken::NoToken),
            (vec![good[0], ("authorization", "Bearer t0kem")], NotTaken::NoToken),
            (vec![good[0], ("authorization", "Bearer t0ke")], NotTaken::NoToken),
            (vec![good[0], ("authorization", "bearer t0ken")], NotTaken::NoToken),
            (vec![good[0], good[1], good[1]], NotTaken::NoToken),
            (vec![("host", "evil.example"), ("origin", "https://evil.example")], NotTaken::NoToken),
            (vec![good[1]], NotTaken::Framing),
            (vec![good[0], good[0], good[1]], NotTaken::Framing),
            (vec![good[0], good[1], ("content-length", "1"), ("transfer-encoding", "chunked")], NotTaken::Framing),
            (vec![good[1], ("host", "localhost:4711")], NotTaken::OtherHost),
            (vec![good[1], ("host", "127.0.0.1")], NotTaken::OtherHost),
            (vec![good[1], ("host", "127.0.0.1:4711.evil.example")], NotTaken::OtherHost),
            (vec![good[0], good[1], ("origin", "null")], NotTaken::FromPage),
            (vec![good[0], good[1], ("sec-fetch-site", "same-origin")], NotTaken::FromPage),
        ] {
            assert_eq!(check("GET", "/api", &headers), Some(why), "{headers:?}");
        }
        for (method, target) in
            [("GET", "https://10.0.0.1/api"), ("CONNECT", "10.0.0.1:443"), ("TRACE", "/api"), ("OPTIONS", "*")]
        {
            assert_eq!(check(method, target, &good), Some(NotTaken::Target), "{method} {target}");
        }
    }
}
