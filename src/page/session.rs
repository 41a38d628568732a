//! Whose browser it is, on this machine: a token that opens the page once, and the cookie that it is exchanged for.
//!
//! Both are random, made at the start, and gone with the process; only digests are kept of what callers must show. It must
//! not know what a session may do.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use http::header::{COOKIE, HeaderValue, InvalidHeaderValue};
use http::{HeaderMap, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::refusal::PageRefusal;
use super::rules::{PageRule, PageRules};
use crate::runtime::secret::{self, NoSecret};

/// The session of the one user of a page on this machine.
pub struct PageSession {
    /// The cookie's name has the port in it: browsers send cookies to every port of a host.
    cookie: String,
    secret: SecretString,
    /// Digest of the token that opens it.
    token: [u8; 32],
    /// Whether somebody has used it.
    is_used: Mutex<bool>,
}

impl fmt::Debug for PageSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PageSession").field("cookie", &self.cookie).finish_non_exhaustive()
    }
}

impl PageSession {
    /// A session at a port, and the token that opens it.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn new(port: u16) -> Result<(Self, SecretString), NoSecret> {
        let (token, secret) = (secret::random()?, secret::random()?);
        let (cookie, digest) = (format!("daypass-{port}"), digest(&token));
        Ok((Self { cookie, secret: secret.into(), token: digest, is_used: Mutex::new(false) }, token.into()))
    }

    /// Exchanges the token for the cookie. It counts once: a wrong one leaves it as it is.
    ///
    /// # Errors
    /// When it is another one, or was used.
    pub fn exchange(&self, rules: &PageRules, token: &str) -> Result<HeaderValue, PageRefusal> {
        let mut is_used = self.is_used.lock().unwrap_or_else(PoisonError::into_inner);
        rules.hold(PageRule::OwnToken, digest(token) == self.token, PageRefusal::TokenSpent)?;
        rules.hold(PageRule::UnusedToken, !*is_used, PageRefusal::TokenSpent)?;
        *is_used = true;
        self.cookie().map_err(|_| PageRefusal::TokenSpent)
    }

    fn cookie(&self) -> Result<HeaderValue, InvalidHeaderValue> {
        let (name, secret) = (&self.cookie, self.secret.expose_secret());
        let mut cookie = HeaderValue::try_from(format!("{name}={secret}; HttpOnly; SameSite=Strict; Path=/"))?;
        cookie.set_sensitive(true);
        Ok(cookie)
    }

    /// Whether a call is of this session.
    ///
    /// # Errors
    /// When it does not carry the cookie.
    pub fn check(&self, rules: &PageRules, headers: &HeaderMap) -> Result<(), PageRefusal> {
        let texts = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut cookies = texts.flat_map(|text| text.split(';')).filter_map(|cookie| cookie.trim().split_once('='));
        // Somebody at another port may have set one of the same name: it takes nothing away, and counts for nothing.
        let secret = digest(self.secret.expose_secret());
        let is_own = |(name, value): (&str, &str)| name == self.cookie && digest(value) == secret;
        rules.hold(PageRule::OwnCookie, cookies.any(is_own), PageRefusal::NoSession)
    }
}

/// How long it takes to compare digests says nothing of the secret.
fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret).into()
}

/// What a browser that has exchanged the token is answered.
pub const EXCHANGED: StatusCode = StatusCode::NO_CONTENT;

#[cfg(test)]
mod tests {
    use super::*;

    fn session(port: u16) -> (PageSession, SecretString) {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        PageSession::new(port).unwrap()
    }

    fn carrying(cookie: &str) -> HeaderMap {
        HeaderMap::from_iter([(COOKIE, HeaderValue::from_str(cookie).unwrap())])
    }

    /// What the browser would send back.
    fn kept(cookie: &HeaderValue) -> String {
        cookie.to_str().unwrap().split_once(';').unwrap().0.to_owned()
    }

    #[test]
    fn the_token_counts_once() {
        let (session, token) = session(4711);
        for wrong in ["", "x", &token.expose_secret()[1..]] {
            assert_eq!(session.exchange(&PageRules::all(), wrong), Err(PageRefusal::TokenSpent));
        }
        let cookie = session.exchange(&PageRules::all(), token.expose_secret()).unwrap();
        assert!(cookie.to_str().unwrap().ends_with("; HttpOnly; SameSite=Strict; Path=/"), "{cookie:?}");
        assert_eq!(session.exchange(&PageRules::all(), token.expose_secret()), Err(PageRefusal::TokenSpent));
        assert_eq!(session.check(&PageRules::all(), &carrying(&kept(&cookie))), Ok(()), "the session goes on");
    }

    #[test]
    fn only_the_cookie_of_this_page_opens_it() {
        let ((one, token), (other, other_token)) = (session(4711), session(4712));
        let cookie = kept(&one.exchange(&PageRules::all(), token.expose_secret()).unwrap());
        let foreign = kept(&other.exchange(&PageRules::all(), other_token.expose_secret()).unwrap());
        assert_eq!(one.check(&PageRules::all(), &carrying(&format!("a=b; {cookie}"))), Ok(()));
        assert_eq!(one.check(&PageRules::all(), &carrying(&format!("daypass-4711=mine; {cookie}"))), Ok(()));
        let renamed = foreign.replacen("4712", "4711", 1);
        let token = format!("daypass-4711={}", token.expose_secret());
        for wrong in [&foreign, &renamed, &token, "daypass-4711=", "daypass-4711"] {
            assert_eq!(one.check(&PageRules::all(), &carrying(wrong)), Err(PageRefusal::NoSession), "{wrong}");
        }
        assert_eq!(one.check(&PageRules::all(), &HeaderMap::new()), Err(PageRefusal::NoSession));
    }

    #[test]
    fn no_secret_is_printed() {
        let (session, token) = session(4711);
        let cookie = session.exchange(&PageRules::all(), token.expose_secret()).unwrap();
        let shown = format!("{session:?} {cookie:?} {token:?}");
        assert!(!shown.contains(token.expose_secret()) && !shown.contains(session.secret.expose_secret()), "{shown}");
    }
}
