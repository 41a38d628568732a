//! Which headers go on to the API server, and which come back.
//!
//! What is meant for one connection stays on it. Nobody but the login says who calls, and the answer cannot lead the command
//! elsewhere.

use http::header::{
    ALT_SVC, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, FORWARDED, HOST, HeaderName, HeaderValue,
    LOCATION, ORIGIN, SEC_WEBSOCKET_PROTOCOL, SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, VIA,
    WWW_AUTHENTICATE,
};
use http::{HeaderMap, Uri};

/// Protocols that a call may be upgraded to: those of kubectl.
const UPGRADES: [&str; 2] = ["websocket", "spdy/3.1"];
/// Headers about one connection, beside those that `Connection` names (RFC 9110, section 7.6.1).
const OF_CONNECTION: [HeaderName; 5] = [CONNECTION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];
/// Likewise, without a name of their own in the library.
const OF_CONNECTION_TOO: [&str; 2] = ["keep-alive", "proxy-connection"];
/// Headers of a call that are made anew, or that say who calls or from where.
const NOT_ONWARD: [HeaderName; 8] = [HOST, CONTENT_LENGTH, EXPECT, AUTHORIZATION, COOKIE, FORWARDED, ORIGIN, VIA];
/// Beginnings of such headers; a front proxy is believed what it says in them.
const NOT_ONWARD_FROM: [&str; 3] = ["x-remote-", "x-forwarded-", "proxy-"];
/// Headers of an answer that would make the command keep something, log in, or go elsewhere.
const NOT_BACK: [HeaderName; 3] = [SET_COOKIE, WWW_AUTHENTICATE, ALT_SVC];
/// Beginnings of such headers; with these a page could read the answer.
const NOT_BACK_FROM: [&str; 2] = ["proxy-", "access-control-"];
/// How a WebSocket carries a token in place of `Authorization`.
const TOKEN_PROTOCOL: &str = "base64url.bearer.authorization.k8s.io.";

/// What a call wants to be upgraded to, if that is one of kubectl's.
pub fn upgrade_of(headers: &HeaderMap) -> Option<HeaderValue> {
    let asks = words(headers, &CONNECTION).any(|word| word.eq_ignore_ascii_case("upgrade"));
    let mut all = headers.get_all(UPGRADE).iter();
    let (Some(to), None) = (all.next(), all.next()) else { return None };
    let known = to.to_str().is_ok_and(|to| UPGRADES.contains(&to.to_ascii_lowercase().as_str()));
    (asks && known).then(|| to.clone())
}

/// Whether a call impersonates somebody.
pub fn impersonates(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| name.as_str().starts_with("impersonate-"))
}

/// The headers of a call as they go to the API server, the login aside.
pub fn onward(headers: &HeaderMap, upgrade: Option<&HeaderValue>) -> HeaderMap {
    let mut sent = without(headers, &NOT_ONWARD, &NOT_ONWARD_FROM);
    let protocols: Vec<HeaderValue> = sent.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(without_token).collect();
    sent.remove(SEC_WEBSOCKET_PROTOCOL);
    for protocol in protocols {
        sent.append(SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    upgraded(&mut sent, upgrade);
    sent
}

/// The headers of an answer as the command gets them.
pub fn back(headers: &HeaderMap, api_server: &Uri, upgrade: Option<&HeaderValue>) -> HeaderMap {
    let mut got = without(headers, &NOT_BACK, &NOT_BACK_FROM);
    if headers.contains_key(TRANSFER_ENCODING) {
        got.remove(CONTENT_LENGTH);
    }
    if let Some(location) = got.remove(LOCATION).and_then(|location| within(&location, api_server)) {
        got.insert(LOCATION, location);
    }
    upgraded(&mut got, upgrade);
    got
}

fn upgraded(headers: &mut HeaderMap, upgrade: Option<&HeaderValue>) {
    if let Some(to) = upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, to.clone());
    }
}

/// All headers but those of the connection, these, and those that begin so.
fn without(headers: &HeaderMap, names: &[HeaderName], beginnings: &[&str]) -> HeaderMap {
    let of_connection: Vec<String> = words(headers, &CONNECTION).map(str::to_ascii_lowercase).collect();
    let stays = |name: &HeaderName| {
        OF_CONNECTION.contains(name)
            || OF_CONNECTION_TOO.contains(&name.as_str())
            || of_connection.iter().any(|word| word == name.as_str())
            || names.contains(name)
            || beginnings.iter().any(|beginning| name.as_str().starts_with(beginning))
    };
    headers.iter().filter(|(name, _)| !stays(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn words<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).filter(|word| !word.is_empty())
}

fn without_token(protocols: &HeaderValue) -> Option<HeaderValue> {
    let listed = protocols.to_str().ok()?.split(',').map(str::trim);
    let kept: Vec<&str> = listed.filter(|protocol| !protocol.starts_with(TOKEN_PROTOCOL)).collect();
    HeaderValue::from_str(&kept.join(", ")).ok().filter(|kept| !kept.is_empty())
}

/// Where a redirect leads, as a path at the endpoint. None when it leads to another server: many clients send their token
/// wherever a redirect leads.
fn within(location: &HeaderValue, api_server: &Uri) -> Option<HeaderValue> {
    let location = location.to_str().ok()?;
    let origin = format!("{}://{}", api_server.scheme_str()?, api_server.authority()?);
    let path = location.strip_prefix(&origin).filter(|rest| rest.starts_with('/')).unwrap_or(location);
    // A browser takes a backslash for a slash, and two slashes begin a host.
    let is_path = path.starts_with('/') && !path[1..].starts_with(['/', '\\']);
    let base = api_server.path().trim_end_matches('/');
    let at_endpoint = path.strip_prefix(base).filter(|rest| rest.starts_with('/')).unwrap_or(path);
    HeaderValue::from_str(at_endpoint).ok().filter(|_| is_path && !at_endpoint.starts_with("//"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        headers.keys().map(HeaderName::as_str).collect()
    }

    #[test]
    fn nothing_goes_on_that_is_of_the_connection_or_says_who_calls() {
        let sent = headers(&[
            ("accept", "application/json"),
            ("user-agent", "kubectl"),
            ("impersonate-user", "bob"),
            ("connection", "X-Hop"),
            ("x-hop", "1"),
            ("keep-alive", "5"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("host", "127.0.0.1:1"),
            ("content-length", "3"),
            ("authorization", "Bearer t"),
            ("cookie", "a=b"),
            ("x-remote-user", "admin"),
            ("x-remote-extra-scopes", "all"),
            ("x-forwarded-for", "10.0.0.1"),
            ("forwarded", "for=10.0.0.1"),
            ("proxy-authorization", "Basic x"),
            ("via", "1.1 x"),
            ("origin", "https://127.0.0.1:1"),
        ]);
        assert_eq!(names(&onward(&sent, None)), ["accept", "user-agent", "impersonate-user"]);
    }

    #[test]
    fn only_what_kubectl_upgrades_to_is_upgraded_to() {
        let to = |connection: &str, upgrade: &str| {
            upgrade_of(&headers(&[("connection", connection), ("upgrade", upgrade)])).is_some()
        };
        assert!(to("Upgrade", "SPDY/3.1") && to("keep-alive, upgrade", "websocket"));
        assert!(!to("Upgrade", "h2c") && !to("keep-alive", "websocket") && !to("Upgrade", "websocket, h2c"));
        let call = headers(&[("connection", "Upgrade"), ("upgrade", "websocket")]);
        let upgrade = upgrade_of(&call);
        assert_eq!(names(&onward(&call, upgrade.as_ref())), ["connection", "upgrade"]);
    }

    #[test]
    fn a_websocket_carries_no_token_of_its_own() {
        let token = "base64url.bearer.authorization.k8s.io.dDBrZW4";
        let call = headers(&[("sec-websocket-protocol", &format!("v5.channel.k8s.io, {token}"))]);
        assert_eq!(onward(&call, None)[SEC_WEBSOCKET_PROTOCOL], "v5.channel.k8s.io");
        assert!(onward(&headers(&[("sec-websocket-protocol", token)]), None).is_empty());
    }

    #[test]
    fn an_answer_leads_nowhere_else() {
        let api_server = Uri::from_static("https://api.example:6443/clusters/a");
        let leads = |location: &str| {
            let got = back(&headers(&[("location", location)]), &api_server, None);
            got.get(LOCATION).map(|location| location.to_str().unwrap().to_owned())
        };
        for (location, expected) in [
            ("/api/v1/", Some("/api/v1/")),
            ("/clusters/a/api/v1/?x=1", Some("/api/v1/?x=1")),
            ("https://api.example:6443/clusters/a/api/v1/", Some("/api/v1/")),
            ("https://api.example:6443/clusters/ab", Some("/clusters/ab")),
            ("https://evil.example/", None),
            ("https://api.example:6443.evil.example/", None),
            ("https://api.example:6443@evil.example/", None),
            ("//evil.example/", None),
            ("/\\evil.example/", None),
            ("/clusters/a//evil.example/", None),
            ("http://api.example:6443/", None),
        ] {
            assert_eq!(leads(location).as_deref(), expected, "{location}");
        }
        let answer = headers(&[
            ("content-type", "application/json"),
            ("warning", "299 - \"old\""),
            ("set-cookie", "a=b"),
            ("www-authenticate", "Basic"),
            ("alt-svc", "h3=\"evil.example:443\""),
            ("access-control-allow-origin", "*"),
            ("transfer-encoding", "chunked"),
            ("content-length", "3"),
        ]);
        assert_eq!(names(&back(&answer, &api_server, None)), ["content-type", "warning"]);
    }
}
