//! When a token ends, as far as it says so itself.
//!
//! It must not judge whether a token is good: the API server alone verifies its signature.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::HeaderValue;
use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

/// When a JSON Web Token ends, if it is one and says so.
pub fn end_of(token: &str) -> Option<Timestamp> {
    let claims = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?.trim_end_matches('=')).ok()?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    let end = claims.get("exp")?;
    #[expect(clippy::cast_possible_truncation, reason = "issuers write whole seconds, some as 1.7e9")]
    let seconds = end.as_i64().or_else(|| end.as_f64().map(|end| end as i64))?;
    Timestamp::from_second(seconds).ok()
}

/// The same of the token that a header `Authorization` carries.
pub fn end_of_bearer(header: &HeaderValue) -> Option<Timestamp> {
    end_of(str::from_utf8(header.as_bytes().strip_prefix(b"Bearer ")?).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_says_when_it_ends() {
        let token = |claims: &str| format!("e30.{}.sig", BASE64_URL_SAFE_NO_PAD.encode(claims));
        let end = Timestamp::from_second(1_700_000_000).ok();
        assert_eq!(end_of(&token(r#"{"exp":1700000000}"#)), end);
        assert_eq!(end_of(&token(r#"{"exp":1.7e9}"#)), end);
        for other in ["opaque", "a.b.c", &token("{}"), &token(r#"{"exp":"soon"}"#)] {
            assert_eq!(end_of(other), None, "{other}");
        }
        let header = |scheme: &str| HeaderValue::try_from(format!("{scheme} {}", token(r#"{"exp":1.7e9}"#))).unwrap();
        assert_eq!(["Bearer", "Basic"].map(|scheme| end_of_bearer(&header(scheme))), [end, None]);
    }
}
