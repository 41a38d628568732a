//! Whether a call over HTTP/1.1 can be read in one way only, so that two servers in a row read the same.
//!
//! It must not know what a call asks for, nor who makes it.

use http::header::{CONTENT_LENGTH, HOST, HeaderName, TRANSFER_ENCODING};
use http::request::Parts;
use http::{Method, Version};

/// One length, one host, and a version that has both.
pub fn is_framed_once(call: &Parts) -> bool {
    let count = |name: HeaderName| call.headers.get_all(name).iter().count();
    let (lengths, codings) = (count(CONTENT_LENGTH), count(TRANSFER_ENCODING));
    call.version == Version::HTTP_11 && lengths + codings <= 1 && count(HOST) == 1
}

/// A path of this server, and neither a tunnel nor the URL of another one.
pub fn has_plain_target(call: &Parts) -> bool {
    let tunnels = [Method::CONNECT, Method::TRACE].contains(&call.method);
    !tunnels && call.uri.scheme().is_none() && call.uri.authority().is_none() && call.uri.path().starts_with('/')
}
