//! Other clusters that write, whose issuers are believed for their own records alone, and people who read by a token of an
//! issuer, with no login of the cluster.

use std::sync::Arc;

use http::Request;
use serde_json::{Value, json};

use super::{RECORDS, Receiver, code};
use crate::harness::install::CONTROLLER;
use crate::harness::issuer::Issuer;
use crate::harness::users::{ADMIN, CAROL};
use crate::harness::{Cluster, ControlPlane};

/// What the tokens of readers are made for.
const AUDITORS: &str = "auditors-app";
const OF_SHOP: &str = "/apis/archive.daypass.dev/v1/namespaces/shop/records";

/// Values that name the issuer of cluster `there`, that of the readers, and the API server itself as the issuer of a third
/// cluster, `alias`: its keys and tokens are real ones.
async fn values(control_plane: &ControlPlane, there: &Issuer, login: &Issuer) -> Vec<String> {
    let admin = control_plane.kubectl(ADMIN);
    let own: Value = serde_json::from_str(&admin.ok(&["get", "--raw", "/.well-known/openid-configuration"]).await)
        .expect("the issuer of the API server");
    let keys = admin.ok(&["get", "--raw", "/openid/v1/jwks"]).await.replace(',', "\\,");
    let issuer = |at: &str, issuer: &Issuer| {
        [
            format!("archive.{at}.issuer={}", issuer.url),
            format!("archive.{at}.keys.url={}/keys", issuer.url),
            format!("archive.{at}.keys.certificateAuthority={}", issuer.certificate),
        ]
    };
    let rest = [
        "archive.enabled=true".to_owned(),
        "archive.clusters[0].uid=there".to_owned(),
        format!("archive.clusters[0].writers={{{CONTROLLER}}}"),
        "archive.clusters[1].uid=alias".to_owned(),
        format!("archive.clusters[1].issuer={}", own["issuer"].as_str().expect("an issuer")),
        format!("archive.clusters[1].keys.jwks= {keys}"),
        "archive.clusters[1].writers={system:serviceaccount:daypass-system:daypass-archive}".to_owned(),
        format!("archive.readers.oidc.audience={AUDITORS}"),
        "archive.readers.oidc.groups[0].name=auditors".to_owned(),
        "archive.readers.oidc.groups[0].everywhere=true".to_owned(),
        "archive.readers.oidc.groups[1].name=shopkeepers".to_owned(),
        "archive.readers.oidc.groups[1].namespaces={shop}".to_owned(),
    ];
    rest.into_iter().chain(issuer("clusters[0]", there)).chain(issuer("readers.oidc", login)).collect()
}

pub async fn believes(control_plane: Arc<ControlPlane>) {
    let (there, login) = (Issuer::start().await, Issuer::start().await);
    let values = values(&control_plane, &there, &login).await;
    let cluster = Cluster::with(control_plane, &values.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let archive = Receiver::start(&cluster).await;
    let push_there = there.signed(json!({ "aud": ["daypass-archive"], "sub": CONTROLLER }));
    writers(&archive, &there, &login, &push_there).await;
    readers(&archive, &cluster, &login, &push_there).await;
}

/// Each writes of its own cluster, and of no other.
async fn writers(archive: &Receiver<'_>, there: &Issuer, login: &Issuer, push_there: &str) {
    let of = |cluster: &str| {
        let mut record = archive.record(cluster, "shop");
        record["cluster"] = json!(cluster);
        record
    };
    let (at_home, home) = (archive.record("home", "shop"), archive.push_token().await);
    let alias = archive.token(crate::harness::archive::ARCHIVE, &["--audience=daypass-archive"]).await;
    for (token, own) in [(&home, &at_home), (&push_there.to_owned(), &of("there")), (&alias, &of("alias"))] {
        for record in [&at_home, &of("there"), &of("alias")] {
            let answer = archive.push(token, record).await.map(|answer| answer["requests"][0]["held"] == 1);
            assert_eq!(answer, if record == own { Ok(true) } else { Err(403) }, "{}", record["cluster"]);
        }
    }
    let stranger = there.signed(json!({ "aud": "daypass-archive", "sub": "system:serviceaccount:shop:web" }));
    assert_eq!(archive.push(&stranger, &of("there")).await, Err(403), "an account that is not named");
    let for_others = there.signed(json!({ "aud": ["daypass-archive", "any"], "sub": CONTROLLER }));
    assert_eq!(archive.push(&for_others, &of("there")).await, Err(401), "a token that is good elsewhere too");
    let of_login = login.signed(json!({ "aud": "daypass-archive", "sub": CONTROLLER, "groups": ["auditors"] }));
    assert_eq!(archive.push(&of_login, &at_home).await, Err(401), "of an issuer of readers");
}

/// They come to the archive itself.
async fn readers(archive: &Receiver<'_>, cluster: &Cluster, login: &Issuer, push_there: &str) {
    let read = async |token: &str, path: &str| {
        let request = Request::get(path).body(Vec::new()).expect("a request");
        let list: Result<Value, u16> = archive.archive.client(token).request(request).await.map_err(code);
        list.map(|list| list["items"].as_array().expect("a list").len())
    };
    let person = |group: &str| login.signed(json!({ "aud": AUDITORS, "sub": "ida", "groups": [group] }));
    let auditor = person("auditors");
    assert_eq!(read(&auditor, RECORDS).await, Ok(3));
    assert_eq!(read(&auditor, &format!("{RECORDS}?cluster=there")).await, Ok(1));
    assert_eq!(archive.push(&auditor, &archive.record("other", "shop")).await, Err(401), "a reader writes nothing");
    // The archive's own cluster alone.
    assert_eq!(read(&person("shopkeepers"), OF_SHOP).await, Ok(1));
    assert_eq!(read(&person("shopkeepers"), RECORDS).await, Err(403));
    assert_eq!(read(&person("shopkeepers"), &OF_SHOP.replace("shop", "bank")).await, Err(403));
    assert_eq!(read(&person("others"), OF_SHOP).await, Err(403));
    // Logins of the API server and tokens of writers are none here, whatever they may do there.
    let admin = cluster.kubectl(ADMIN);
    admin
        .ok(&[
            "create",
            "clusterrolebinding",
            "all-audit",
            "--clusterrole=daypass-archive-reader",
            "--user=carol",
            "--serviceaccount=daypass-system:daypass",
        ])
        .await;
    let login_there = login.signed(json!({ "aud": "kubectl", "sub": "ida", "groups": ["auditors"] }));
    let of_account = archive.token("daypass", &[]).await;
    for token in [&CAROL.token(), &login_there, &of_account, &archive.push_token().await, &push_there.to_owned()] {
        assert_eq!(read(token, RECORDS).await, Err(401));
    }
}
