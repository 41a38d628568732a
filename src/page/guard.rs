//! Which calls the page takes at all: those that are addressed to it alone, framed in one way, and made by itself.
//!
//! It must not know what a call asks for, nor whose session it is.

use http::HeaderMap;
use http::header::{CONNECTION, HOST, HeaderName, HeaderValue, ORIGIN, TRANSFER_ENCODING, UPGRADE};
use http::request::Parts;

use super::refusal::PageRefusal;
use super::rules::{PageRule, PageRules};
use crate::runtime::framing::{has_plain_target, is_framed_once};

/// What browsers write of the page that makes a call, and no page can change.
/// https://www.w3.org/TR/fetch-metadata/
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// What the page writes of itself: neither a form nor a link can, and another origin only after a preflight, which fails.
const OF_PAGE: (HeaderName, &str) = (HeaderName::from_static("x-daypass"), "page");
/// Headers that say who calls, which an API server or a proxy before it might believe.
const SAY_WHO: [&str; 2] = ["impersonate-", "x-remote-"];

/// Says which calls are taken at an address.
#[derive(Debug)]
pub struct PageGuard {
    /// Scheme, host and port.
    origin: String,
    /// Host and port, as `Host` has them.
    host: String,
    /// What calls are held to, here and by whoever looks at them after.
    pub rules: PageRules,
}

/// A rule, whether a call keeps it, and what is said where it does not.
type RuleLook = (PageRule, bool, PageRefusal);

impl PageGuard {
    /// Of a page that browsers reach at this scheme and this host with its port, such as `127.0.0.1:4711`.
    pub fn new(scheme: &str, host: &str) -> Self {
        Self { origin: format!("{scheme}://{host}"), host: host.to_owned(), rules: PageRules::all() }
    }

    /// Whether anything at all is answered.
    ///
    /// # Errors
    /// Why it is not.
    pub fn check_address(&self, call: &Parts) -> Result<(), PageRefusal> {
        self.hold(self.looks_at_address(call))
    }

    /// Whether a call is taken that does or tells something.
    ///
    /// # Errors
    /// Why it is not.
    pub fn check_call(&self, call: &Parts) -> Result<(), PageRefusal> {
        self.hold(self.looks_at_call(&call.headers))
    }

    fn hold<const N: usize>(&self, looks: [RuleLook; N]) -> Result<(), PageRefusal> {
        looks.into_iter().try_for_each(|(rule, keeps, refusal)| self.rules.hold(rule, keeps, refusal))
    }

    /// Whether whatever comes in keeps each rule, in the order in which they count.
    ///
    /// Who reads the wire leaves `Content-Length` out where `Transfer-Encoding` is too, so that both were there is not seen
    /// here any more. Nobody needs chunks for a call of the page, and so whoever sends them is refused.
    fn looks_at_address(&self, call: &Parts) -> [RuleLook; 4] {
        let is_own = call.headers.get(HOST).is_some_and(|host| host.as_bytes() == self.host.as_bytes());
        let is_whole = !call.headers.contains_key(TRANSFER_ENCODING);
        [
            (PageRule::OneFraming, is_framed_once(call), PageRefusal::Framing),
            (PageRule::NoChunks, is_whole, PageRefusal::Framing),
            (PageRule::OwnHost, is_own, PageRefusal::OtherHost),
            (PageRule::OwnTarget, has_plain_target(call), PageRefusal::Target),
        ]
    }

    /// Likewise for a call.
    fn looks_at_call(&self, headers: &HeaderMap) -> [RuleLook; 4] {
        let says_who = |name: &HeaderName| SAY_WHO.iter().any(|beginning| name.as_str().starts_with(beginning));
        [
            (PageRule::SameOrigin, self.is_same_origin(headers), PageRefusal::OtherOrigin),
            (
                PageRule::MadeByPage,
                only(headers, &OF_PAGE.0).is_some_and(|value| value == OF_PAGE.1),
                PageRefusal::NotOfPage,
            ),
            (PageRule::NobodyNamed, !headers.keys().any(says_who), PageRefusal::SaysWho),
            (PageRule::NoUpgrade, !headers.contains_key(UPGRADE) && !asks_to_upgrade(headers), PageRefusal::Upgrade),
        ]
    }

    /// Whether the browser says that this page made it: strictly this origin, since another port or another name of the same
    /// site is somebody else's. Browsers without Fetch Metadata say it by `Origin`; who says neither is no browser.
    fn is_same_origin(&self, headers: &HeaderMap) -> bool {
        let origin = headers.get_all(ORIGIN).iter().all(|origin| origin.as_bytes() == self.origin.as_bytes());
        let is_said = match headers.contains_key(&FETCH_SITE) {
            true => only(headers, &FETCH_SITE).is_some_and(|site| site == "same-origin"),
            false => headers.contains_key(ORIGIN),
        };
        origin && is_said
    }
}

/// The value of a header that is there once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut all = headers.get_all(name).iter();
    let first = all.next()?;
    all.next().is_none().then_some(first)
}

fn asks_to_upgrade(headers: &HeaderMap) -> bool {
    let values = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|word| word.trim().eq_ignore_ascii_case("upgrade"))
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

    const HOST_OF_PAGE: (&str, &str) = ("host", "127.0.0.1:4711");
    const OWN: (&str, &str) = ("origin", "http://127.0.0.1:4711");
    const SAME: (&str, &str) = ("sec-fetch-site", "same-origin");
    const PAGE: (&str, &str) = ("x-daypass", "page");

    /// Why a call is stopped. There is one reason for each attack: without what it names nothing would.
    fn stopped_by(call: &Parts) -> Vec<PageRefusal> {
        let guard = PageGuard::new("http", "127.0.0.1:4711");
        let rules = guard.looks_at_address(call).into_iter().chain(guard.looks_at_call(&call.headers));
        let mut why: Vec<PageRefusal> = rules.filter(|(_, keeps, _)| !keeps).map(|(.., why)| why).collect();
        why.dedup();
        why
    }

    #[test]
    fn what_the_page_itself_does_is_taken() {
        for of_browser in [vec![SAME], vec![OWN], vec![SAME, OWN]] {
            let headers = [vec![HOST_OF_PAGE, PAGE], of_browser].concat();
            assert_eq!(stopped_by(&call("POST", "/session", &headers)), [], "{headers:?}");
        }
    }

    #[test]
    fn what_another_page_makes_is_stopped_by_its_origin_alone() {
        for of_browser in [
            vec![],
            vec![("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")],
            vec![("sec-fetch-site", "same-site"), ("origin", "http://127.0.0.1:9999")],
            vec![("sec-fetch-site", "same-site")],
            vec![("sec-fetch-site", "none")],
            vec![("origin", "null")],
            vec![("origin", "https://127.0.0.1:4711")],
            vec![("origin", "http://127.0.0.1:47110")],
            vec![("origin", "http://localhost:4711")],
            vec![SAME, ("origin", "https://evil.example")],
            vec![OWN, ("origin", "https://evil.example")],
            vec![SAME, ("sec-fetch-site", "cross-site")],
            vec![OWN, ("sec-fetch-site", "cross-site")],
        ] {
            let headers = [vec![HOST_OF_PAGE, PAGE], of_browser].concat();
            assert_eq!(stopped_by(&call("GET", "/api/me", &headers)), [PageRefusal::OtherOrigin], "{headers:?}");
        }
    }

    #[test]
    fn every_other_trick_is_stopped_by_one_rule_alone() {
        for (headers, why) in [
            (vec![HOST_OF_PAGE, SAME], PageRefusal::NotOfPage),
            (vec![HOST_OF_PAGE, SAME, ("x-daypass", "yes")], PageRefusal::NotOfPage),
            (vec![HOST_OF_PAGE, SAME, PAGE, PAGE], PageRefusal::NotOfPage),
            (vec![("host", "localhost:4711"), SAME, PAGE], PageRefusal::OtherHost),
            (vec![("host", "127.0.0.1"), SAME, PAGE], PageRefusal::OtherHost),
            (vec![("host", "rebound.evil.example:4711"), SAME, PAGE], PageRefusal::OtherHost),
            (vec![("host", "127.0.0.1:4711.evil.example"), SAME, PAGE], PageRefusal::OtherHost),
            (vec![HOST_OF_PAGE, HOST_OF_PAGE, SAME, PAGE], PageRefusal::Framing),
            (
                vec![HOST_OF_PAGE, SAME, PAGE, ("content-length", "1"), ("transfer-encoding", "chunked")],
                PageRefusal::Framing,
            ),
            (vec![HOST_OF_PAGE, SAME, PAGE, ("content-length", "1"), ("content-length", "1")], PageRefusal::Framing),
            (vec![HOST_OF_PAGE, SAME, PAGE, ("impersonate-user", "admin")], PageRefusal::SaysWho),
            (vec![HOST_OF_PAGE, SAME, PAGE, ("impersonate-extra-scopes", "x")], PageRefusal::SaysWho),
            (vec![HOST_OF_PAGE, SAME, PAGE, ("x-remote-user", "admin")], PageRefusal::SaysWho),
            (vec![HOST_OF_PAGE, SAME, PAGE, ("upgrade", "websocket")], PageRefusal::Upgrade),
            (vec![HOST_OF_PAGE, SAME, PAGE, ("connection", "keep-alive, Upgrade")], PageRefusal::Upgrade),
        ] {
            assert_eq!(stopped_by(&call("GET", "/api/me", &headers)), [why], "{headers:?}");
        }
        let good = [HOST_OF_PAGE, SAME, PAGE];
        for (method, target) in
            [("GET", "https://10.0.0.1/api/me"), ("CONNECT", "10.0.0.1:443"), ("TRACE", "/"), ("OPTIONS", "*")]
        {
            assert_eq!(stopped_by(&call(method, target, &good)), [PageRefusal::Target], "{method} {target}");
        }
        let mut old = call("GET", "/api/me", &good);
        old.version = Version::HTTP_10;
        assert_eq!(stopped_by(&old), [PageRefusal::Framing]);
    }
}
