//! What browsers say of themselves, and ways round the proxy: nothing but the token of a login counts, and only the API
//! server judges it.

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use libtest_mimic::Trial;
use serde_json::json;

use super::visitor::{Visitor, header};
use crate::harness::sign_in::{IDA, OTTO, SignInCluster, Site};
use crate::harness::signed_in;
use crate::harness::users::ADMIN;
use crate::harness::wait::now;

pub fn trials() -> Vec<Trial> {
    vec![
        signed_in("page::signin::what_a_browser_says_of_itself_counts_for_nothing", claims),
        signed_in("page::signin::a_way_round_the_proxy_gives_nothing", ways_round),
    ]
}

/// Headers by which somebody says that they are otto, or somebody greater.
fn claims_of_otto() -> Vec<String> {
    let said = [
        format!("X-Forwarded-User: {}", OTTO.email),
        format!("X-Forwarded-Email: {}", OTTO.email),
        format!("X-Forwarded-Preferred-Username: {}", OTTO.email),
        "X-Forwarded-Groups: approvers,system:masters".to_owned(),
        format!("X-Forwarded-Access-Token: {}", ADMIN.token()),
        format!("X-Auth-Request-User: {}", OTTO.email),
        format!("X-Auth-Request-Access-Token: {}", ADMIN.token()),
        "X-Forwarded-Uri: /oauth2/static/x".to_owned(),
        "X-Forwarded-Host: evil.example".to_owned(),
        "X-Real-IP: 127.0.0.1".to_owned(),
        "X-Forwarded-For: 127.0.0.1".to_owned(),
    ];
    let each = said.iter().map(|line| format!("{line}\r\n"));
    each.chain([said.join("\r\n") + "\r\n"]).collect()
}

/// Tokens that are none, each behind the word that a browser would write.
fn forged_tokens(shared: &SignInCluster) -> Vec<String> {
    let encoded = |part: serde_json::Value| BASE64_URL_SAFE_NO_PAD.encode(part.to_string());
    let claims = encoded(json!({
        "iss": format!("https://{}", shared.provider), "aud": "lasting", "sub": "77ab", "email": OTTO.email,
        "email_verified": true, "groups": OTTO.groups, "exp": now().as_second() + 600
    }));
    let unsigned = format!("{}.{claims}.", encoded(json!({ "alg": "none" })));
    let other = format!("{}.{claims}.{}", encoded(json!({ "alg": "RS256" })), BASE64_URL_SAFE_NO_PAD.encode([7; 256]));
    [unsigned, other, "token-of-nobody".to_owned()]
        .into_iter()
        .map(|token| format!("Authorization: Bearer {token}\r\n"))
        .collect()
}

async fn claims(shared: Arc<SignInCluster>) {
    let mut ida = Visitor::signed_in(&shared, Site::Lasting, IDA).await;
    // The admin's own token among them: who signed in is who acts.
    let stolen = [format!("Authorization: Bearer {}\r\n", ADMIN.token())];
    for claim in claims_of_otto().into_iter().chain(forged_tokens(&shared)).chain(stolen) {
        let me = ida.calls("GET /api/me", &claim, "").await.ok();
        assert_eq!(me["username"], IDA.email, "{claim}");
        let answer = Visitor::of(&shared, Site::Lasting).calls("GET /api/me", &claim, "").await;
        assert_eq!((answer.status, header(&answer, "location")), (401, None), "{claim}: {answer:?}");
    }
    for claim in ["Impersonate-User: admin\r\n", "X-Remote-User: admin\r\n"] {
        assert_eq!(ida.calls("GET /api/me", claim, "").await.refusal(), (403, "SaysWho".to_owned()), "{claim}");
    }
}

/// Everybody gets through this proxy, with what they say: to the files of the page and no further.
async fn ways_round(shared: Arc<SignInCluster>) {
    let mut nobody = Visitor::of(&shared, Site::Open);
    let shown = nobody.opens("/inbox").await;
    assert_eq!((shown.answer.status, shown.at), (200, format!("{}/inbox", nobody.host)), "the proxy is open");
    for claim in [String::new()].into_iter().chain(claims_of_otto()).chain(forged_tokens(&shared)) {
        for path in ["/api/me", "/api/inbox", "/k/apis/daypass.dev/v1alpha1/accesspolicies"] {
            // One that says when it ends has not ended, and is nobody's all the same.
            let why = match claim.strip_prefix("Authorization: Bearer ") {
                None => "NoToken",
                Some(token) if token.contains('.') => "NotTaken",
                Some(_) => "SignInAgain",
            };
            let answer = nobody.calls(&format!("GET {path}"), &claim, "").await;
            assert_eq!(answer.refusal(), (401, why.to_owned()), "{path}: {claim}");
        }
    }
    // What does count came through untouched.
    let token = format!("Authorization: Bearer {}\r\n", ADMIN.token());
    assert_eq!(nobody.calls("GET /api/me", &token, "").await.ok()["username"], "admin");
}
