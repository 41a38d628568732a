//! The archive over real connections, with an API server that knows a few tokens and rights.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;

use axum::http::{Method, Request, StatusCode};
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use kube::client::Body as KubeBody;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsConnector;
use tower::service_fn;

use super::super::activity::{ClusterAccounts, tests as activity};
use super::super::feed::{FEED_AUDIENCE, MOST_UNPACKED};
use super::super::store::sqlite::SqliteStore;
use super::super::tests::Story;
use super::super::who::feeders::{FeedKind, FeedProof, FeedSecret, NamedFeed};
use super::super::who::front_proxy::FrontProxy;
use super::door::ArchiveDoor;
use super::*;
use crate::api::delivery::{MOST_BYTES, TextLine};
use crate::api::keeping::KeepingTimes;
use crate::api::record::digest;
use crate::runtime::certificate::{CHAIN, Certificate, KEY};

mod campaigns;
mod log;

const WRITER: &str = "system:serviceaccount:daypass-system:daypass";
const TAIL: &str = "system:serviceaccount:daypass-system:daypass-archive-tail";
const RECORDS: &str = "/apis/archive.daypass.dev/v1/records";
const OF_SHOP: &str = "/apis/archive.daypass.dev/v1/namespaces/shop/records";

/// Answers reviews: `push` is a token of the writer for the archive, `stray` one of somebody else, `login` one for the API
/// server, `tail` one of who feeds audit events, made for that alone. `auditor` may list everywhere, `shopkeeper` in namespace shop.
fn api_server() -> Client {
    let server = service_fn(async |request: Request<KubeBody>| {
        let (parts, body) = request.into_parts();
        let mut review: Value = serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap();
        let spec = &review["spec"];
        let status = if parts.uri.path().ends_with("/tokenreviews") {
            let here = ["daypass-archive"];
            match spec["token"].as_str().unwrap() {
                "tail" if spec["audiences"] == json!([FEED_AUDIENCE]) => {
                    json!({ "authenticated": true, "audiences": [FEED_AUDIENCE], "user": { "username": TAIL } })
                }
                "push" => json!({ "authenticated": true, "audiences": here, "user": { "username": WRITER } }),
                "stray" => json!({ "authenticated": true, "audiences": here, "user": { "username": "mallory" } }),
                "login" => json!({ "authenticated": true, "user": { "username": WRITER } }),
                _ => json!({ "authenticated": false }),
            }
        } else {
            let asked = &spec["resourceAttributes"];
            let archives = [("group", "archive.daypass.dev"), ("verb", "list")];
            let about_records = archives.iter().all(|(name, value)| asked[*name] == *value)
                || campaigns::may(spec["user"].as_str().unwrap(), asked);
            let allowed = match spec["user"].as_str().unwrap() {
                user if asked["resource"] == "campaigns" => campaigns::may(user, asked),
                "auditor" => true,
                "reader-of-records" => asked["resource"] == "records",
                "shopkeeper" => asked["namespace"] == "shop",
                _ => false,
            };
            json!({ "allowed": allowed && about_records })
        };
        review["status"] = status;
        Ok::<_, Infallible>(axum::http::Response::new(KubeBody::from(review.to_string().into_bytes())))
    });
    Client::new(server, "default")
}

/// A tail, and a feed of each kind with a secret, whose name is in it.
fn feeders(folder: &Path) -> AuditFeeders {
    let feed = |name: &str, kind: FeedKind| {
        let file = folder.join(name);
        std::fs::write(&file, secret_of(name)).unwrap();
        let proof = FeedProof::Secret(kind, FeedSecret::File(file));
        NamedFeed { name: name.to_owned(), cluster: "here".to_owned(), proof }
    };
    let feeds = vec![feed("eks", FeedKind::Firehose), feed("aks", FeedKind::EventHubs)];
    AuditFeeders { accounts: [(TAIL.to_owned(), "here".to_owned())].into(), feeds, ..AuditFeeders::default() }
}

fn secret_of(name: &str) -> String {
    format!("0123456789abcdef0123456789abcdef-{name}")
}

/// Whose events are told apart, in the cluster of the archive.
fn rules() -> ActivityRules {
    let here = ClusterAccounts::of_writers([&WRITER.to_owned()]);
    ActivityRules { clusters: [("here".to_owned(), here)].into(), lines: true }
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate of a caller, and its key.
type Shown = (CertificateDer<'static>, PrivateKeyDer<'static>);

fn shown(by: &CertifiedIssuer<'static, KeyPair>, name: &str) -> Shown {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, by).unwrap();
    (certificate.der().clone(), PrivateKeyDer::try_from(key.serialize_der()).unwrap())
}

/// An archive at work.
struct OpenArchive {
    address: SocketAddr,
    root: CertificateDer<'static>,
    authority: CertifiedIssuer<'static, KeyPair>,
    proxy: Shown,
    store: ArchiveStore,
    figures: ArchiveFigures,
    _stop: watch::Sender<bool>,
    _folder: tempfile::TempDir,
}

impl OpenArchive {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["archive.test".to_owned()]).unwrap();
        std::fs::write(folder.path().join(CHAIN), made.cert.pem()).unwrap();
        std::fs::write(folder.path().join(KEY), made.signing_key.serialize_pem()).unwrap();
        let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let certificate = Certificate::read(folder.path(), provider.clone()).unwrap();
        let authority = authority();
        let stated = [
            ("requestheader-client-ca-file", authority.pem()),
            ("requestheader-allowed-names", r#"["front-proxy-client"]"#.to_owned()),
        ];
        let stated = stated.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let door = ArchiveDoor::new(certificate, provider, FrontProxy::read(&stated).unwrap()).unwrap();
        let store = ArchiveStore::Sqlite(SqliteStore::open(&folder.path().join("archive.db")).unwrap());
        let writers = RecordWriters { clusters: [(WRITER.to_owned(), "here".to_owned())].into(), others: Vec::new() };
        let (home, figures) = ("here".to_owned(), ArchiveFigures::default());
        let desk = ArchiveDesk {
            keeping: KeepingTimes::default(),
            store: store.clone(),
            client: api_server(),
            home,
            writers,
            outside: None,
            figures: figures.clone(),
            activity: Arc::new(rules()),
            feeders: feeders(folder.path()),
            feeding: Arc::new(Semaphore::new(FEEDS_AT_A_TIME)),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(door.serve(listener, routes(desk), stopped));
        let root = CertificateDer::from_pem_slice(made.cert.pem().as_bytes()).unwrap();
        let proxy = shown(&authority, "front-proxy-client");
        Self { address, root, authority, proxy, store, figures, _stop: stop, _folder: folder }
    }

    /// Calls it, showing a certificate or none. None: there was no answer.
    async fn call(&self, shown: Option<&Shown>, request: Request<Full<Bytes>>) -> Option<(StatusCode, String)> {
        let (code, body) = self.call_for_bytes(shown, request).await?;
        Some((code, String::from_utf8(body).unwrap()))
    }

    async fn call_for_bytes(
        &self,
        shown: Option<&Shown>,
        request: Request<Full<Bytes>>,
    ) -> Option<(StatusCode, Vec<u8>)> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.root.clone()).unwrap();
        let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_root_certificates(roots);
        let config = match shown {
            Some((certificate, key)) => {
                config.with_client_auth_cert(vec![certificate.clone()], key.clone_key()).unwrap()
            }
            None => config.with_no_client_auth(),
        };
        let stream = TcpStream::connect(self.address).await.unwrap();
        let name = ServerName::try_from("archive.test").unwrap();
        let stream = TlsConnector::from(std::sync::Arc::new(config)).connect(name, stream).await.ok()?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
        tokio::spawn(connection);
        let (parts, body) = sender.send_request(request).await.ok()?.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Some((parts.status, body.to_vec()))
    }

    async fn push(&self, token: &str, body: String) -> (StatusCode, Value) {
        self.post(token, "/v1/records", body).await
    }

    /// Calls as the writer.
    async fn post(&self, token: &str, path: &str, body: String) -> (StatusCode, Value) {
        let request = Request::post(path).header("authorization", format!("Bearer {token}"));
        let (code, body) = self.call(None, request.header("host", "a").body(body.into()).unwrap()).await.unwrap();
        (code, serde_json::from_str(&body).unwrap())
    }

    /// As the API server asks for somebody.
    async fn read(&self, user: &str, path: &str) -> (StatusCode, String) {
        self.call(Some(&self.proxy), get_for(user, path)).await.unwrap()
    }
}

fn get_for(user: &str, path: &str) -> Request<Full<Bytes>> {
    let request = Request::get(path).header("host", "a").header("x-remote-user", user);
    request.body(Full::default()).unwrap()
}

fn ids(list: &str) -> Vec<String> {
    let list: Value = serde_json::from_str(list).unwrap();
    let ids = list["items"].as_array().unwrap().iter().map(|item| item["record"]["id"].as_str().unwrap().to_owned());
    ids.collect()
}

#[tokio::test]
async fn a_writer_writes_of_its_cluster_and_reads_nothing() {
    let archive = OpenArchive::start().await;
    let story = Story::of("uid", 2);
    let body = story.bytes().join("\n");
    for (token, code) in [("none", 401), ("login", 401), ("stray", 403)] {
        assert_eq!(archive.push(token, body.clone()).await.0.as_u16(), code, "{token}");
    }
    let (code, answer) = archive.push("push", body.clone()).await;
    assert_eq!(code, StatusCode::OK, "{answer}");
    let held = json!({ "uid": "uid", "held": 2, "digest": story.held(2).digest });
    assert_eq!(answer, json!({ "requests": [held] }));
    let of_another = Story::told("other", 1, |record| record.cluster = "there".to_owned());
    let (code, answer) = archive.push("push", of_another.bytes().join("\n")).await;
    assert_eq!((code, &answer["reason"]), (StatusCode::FORBIDDEN, &json!("Forbidden")), "{answer}");
    assert_eq!(archive.store.held("there", vec!["other".into()]).await.unwrap().len(), 0);
    let (code, answer) = archive.push("push", Story::of("gap", 2).bytes().remove(1)).await;
    assert_eq!((code, &answer["requests"][0]["refused"]["sendFrom"]), (StatusCode::OK, &json!(0)), "{answer}");
    assert_eq!(archive.push("push", "x".repeat(MOST_BYTES + 1)).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    let asks = async |path: &str| {
        let request = Request::get(path).header("authorization", "Bearer push").header("x-remote-user", "auditor");
        archive.call(None, request.header("host", "a").body(Full::default()).unwrap()).await.unwrap()
    };
    let (code, answer) = asks("/v1/heads?uid=uid&uid=none").await;
    let none = json!({ "uid": "none", "held": 0 });
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((code, answer), (StatusCode::OK, json!({ "requests": [held, none] })));
    for path in [RECORDS, OF_SHOP, "/apis/archive.daypass.dev/v1/texts/sha256:x"] {
        assert_eq!(asks(path).await.0, StatusCode::UNAUTHORIZED, "{path}");
    }
}

#[tokio::test]
async fn it_says_which_texts_it_lacks_until_they_come() {
    let archive = OpenArchive::start().await;
    let (rules, spec) = ("[]", "{}");
    let story = Story::told("uid", 2, |record| {
        record.policy.as_mut().unwrap().digest = Some(digest(spec.as_bytes()));
        record.access.role_digest = Some(if record.index == 0 { "none".to_owned() } else { digest(rules.as_bytes()) });
    });
    let text = |text: &str| json!(TextLine::of(&digest(text.as_bytes()), text)).to_string();
    let lacks = async |lines: Vec<String>| archive.push("push", lines.join("\n")).await.1["lacks"].clone();
    let mut both = vec![digest(spec.as_bytes()), digest(rules.as_bytes())];
    both.sort();
    assert_eq!(lacks(story.bytes()).await, json!(both));
    assert_eq!(lacks(vec![text(rules)]).await, Value::Null, "no record is delivered");
    assert_eq!(lacks(story.bytes()).await, json!([digest(spec.as_bytes())]), "it comes again");
    let path = |text: &str| format!("/apis/archive.daypass.dev/v1/texts/{}", digest(text.as_bytes()));
    assert_eq!(archive.read("auditor", &path(spec)).await.0, StatusCode::NOT_FOUND);
    let together = [vec![text(spec), text(rules)], story.bytes()].concat();
    assert_eq!(lacks(together).await, Value::Null);
    let (code, answer) = archive.read("auditor", &path(spec)).await;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((code, &answer["text"]), (StatusCode::OK, &json!(spec)));
    assert!(archive.figures.text().unwrap().contains("daypass_archive_texts_lacking_total 3"));
}

#[tokio::test]
async fn only_whom_the_api_server_brings_and_who_has_the_right_may_read() {
    let archive = OpenArchive::start().await;
    archive.push("push", Story::of("uid", 2).bytes().join("\n")).await;
    for (user, everywhere, of_shop) in [("auditor", 200, 200), ("shopkeeper", 403, 200), ("alice", 403, 403)] {
        assert_eq!(archive.read(user, RECORDS).await.0.as_u16(), everywhere, "{user}");
        assert_eq!(archive.read(user, OF_SHOP).await.0.as_u16(), of_shop, "{user}");
    }
    assert_eq!(ids(&archive.read("auditor", RECORDS).await.1), ["uid/1", "uid/0"]);
    // The authority of the API server, and another name; and the name, of another authority.
    let other_name = shown(&archive.authority, "kubelet");
    let other_authority = shown(&authority(), "front-proxy-client");
    for shown in [None, Some(&other_name)] {
        let answer = archive.call(shown, get_for("auditor", RECORDS)).await.unwrap();
        assert_eq!(answer.0, StatusCode::UNAUTHORIZED, "{}", answer.1);
    }
    assert_eq!(archive.call(Some(&other_authority), get_for("auditor", RECORDS)).await, None);
    let nobody = Request::get(RECORDS).header("host", "a").body(Full::default()).unwrap();
    assert_eq!(archive.call(Some(&archive.proxy), nobody).await.unwrap().0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn the_path_of_a_namespace_shows_that_of_the_home_cluster_alone() {
    let archive = OpenArchive::start().await;
    let here = Story::of("here", 1);
    let bank = Story::told("bank", 1, |record| {
        record.request.namespace = "bank".to_owned();
        record.access.namespaces = vec!["bank".to_owned()];
    });
    let there = Story::told("there", 1, |record| record.cluster = "there".to_owned());
    for story in [&here, &bank, &there] {
        archive.store.take(&story.cluster, story.delivery()).await.unwrap();
    }
    assert_eq!(ids(&archive.read("shopkeeper", OF_SHOP).await.1), ["here/0"]);
    for escape in ["namespace=bank", "cluster=there"] {
        let answer = archive.read("shopkeeper", &format!("{OF_SHOP}?{escape}")).await;
        assert_eq!(answer.0, StatusCode::BAD_REQUEST, "{escape}: {}", answer.1);
    }
    assert_eq!(ids(&archive.read("shopkeeper", &format!("{OF_SHOP}?namespace=shop&cluster=here")).await.1), ["here/0"]);
    assert_eq!(ids(&archive.read("auditor", RECORDS).await.1).len(), 3);
    assert_eq!(ids(&archive.read("auditor", &format!("{RECORDS}?cluster=there")).await.1), ["there/0"]);
}

#[tokio::test]
async fn lists_go_page_by_page_and_exports_are_whole() {
    let archive = OpenArchive::start().await;
    let story = Story::told("uid", 5, |record| record.message = Some("=1+1, \"so\"".to_owned()));
    archive.store.take("here", story.delivery()).await.unwrap();
    let (mut found, mut path) = (Vec::new(), format!("{RECORDS}?limit=2"));
    for _ in 0..3 {
        let (_, list) = archive.read("auditor", &path).await;
        found.extend(ids(&list));
        let list: Value = serde_json::from_str(&list).unwrap();
        path = format!("{RECORDS}?limit=2&continue={}", list["metadata"]["continue"].as_str().unwrap_or("none"));
    }
    assert_eq!(found, ["uid/4", "uid/3", "uid/2", "uid/1", "uid/0"]);
    assert!(path.ends_with("none"), "{path}");
    let newest_first: Vec<String> = story.bytes().into_iter().rev().collect();
    let (_, lines) = archive.read("auditor", &format!("{RECORDS}?format=jsonl")).await;
    assert_eq!(lines.lines().collect::<Vec<_>>(), newest_first);
    let (_, table) = archive.read("auditor", &format!("{RECORDS}?format=csv&request=uid")).await;
    let rows: Vec<&str> = table.split("\r\n").collect();
    assert_eq!(rows.len(), 7, "{table}");
    assert!(rows[1].starts_with("uid/4,2026-11-29T16:00:04.000001Z,here,shop,fix,"), "{table}");
    assert!(rows[1].ends_with(",\"'=1+1, \"\"so\"\"\""), "{table}");
    for wrong in ["persn=alice", "limit=1001", "since=today", "continue=x", "format=xml", "watch=true"] {
        let (code, answer) = archive.read("auditor", &format!("{RECORDS}?{wrong}")).await;
        assert_eq!(code, StatusCode::BAD_REQUEST, "{wrong}");
        let name = wrong.split('=').next().unwrap();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert!(answer["message"].as_str().unwrap().starts_with(&format!("{name}: ")), "{answer}");
    }
}

#[tokio::test]
async fn events_are_taken_of_feeders_and_what_was_done_is_told_to_who_may_see_it() {
    let archive = OpenArchive::start().await;
    let start = crate::runtime::clock::Clock::wall().now();
    archive.push("push", Story::of(activity::UID, 2).bytes().join("\n")).await;
    let (one, two) = (activity::call("one", activity::UID, start, 0), activity::call("two", activity::UID, start, 1));
    let events = "/v1/audit/events";
    for (token, code) in [("none", 401), ("push", 401)] {
        assert_eq!(archive.post(token, events, one.to_string()).await.0.as_u16(), code, "{token}");
    }
    let lines = format!("{one}\n{{\"kind\":\"secret\"}}\nno event\n\n{one}\n");
    assert_eq!(archive.post("tail", events, lines).await, (StatusCode::OK, json!({ "events": 2, "unreadable": 2 })));
    let list = json!({ "kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": [one, two] });
    let answer = archive.post("tail", events, list.to_string()).await;
    assert_eq!(answer, (StatusCode::OK, json!({ "events": 2, "unreadable": 0 })));
    let figures = archive.figures.text().unwrap();
    for line in
        ["events_total{readable=\"true\"} 4", "events_total{readable=\"false\"} 2", "calls_total{by=\"grant\"} 2"]
    {
        assert!(figures.contains(&format!("daypass_archive_audit_{line}")), "{figures}");
    }

    let asked = json!({ "requests": [activity::UID, "none"] }).to_string();
    let (code, known) = archive.post("push", "/v1/activity/uses", asked.clone()).await;
    assert_eq!(
        (code, &known["uses"][0]["calls"], known["uses"].as_array().unwrap().len()),
        (StatusCode::OK, &json!(2), 1)
    );
    assert_eq!(archive.post("stray", "/v1/activity/uses", asked).await.0, StatusCode::FORBIDDEN);
    let many = json!({ "requests": vec!["uid"; 501] }).to_string();
    assert_eq!(archive.post("push", "/v1/activity/uses", many).await.0, StatusCode::BAD_REQUEST);

    let base = "/apis/archive.daypass.dev/v1";
    let of = |namespace: &str| format!("{base}{namespace}/activity?request={}", activity::UID);
    for (user, path, code) in [
        ("auditor", of(""), 200),
        ("shopkeeper", of(""), 403),
        ("shopkeeper", of("/namespaces/shop"), 200),
        ("shopkeeper", of("/namespaces/bank"), 403),
        ("reader-of-records", of(""), 403),
        ("reader-of-records", format!("{base}/findings"), 403),
        ("auditor", format!("{base}/findings"), 200),
        ("reader-of-records", format!("{base}/bindinguses"), 403),
        ("shopkeeper", format!("{base}/bindinguses"), 403),
        ("auditor", format!("{base}/bindinguses"), 200),
        ("auditor", format!("{base}/bindinguses?namespace=shop"), 400),
        ("auditor", format!("{base}/activity"), 400),
        ("auditor", format!("{base}/activity?request=a&person=alice"), 400),
        ("auditor", format!("{base}/activity?request=a&format=csv"), 400),
    ] {
        assert_eq!(archive.read(user, &path).await.0.as_u16(), code, "{user}: {path}");
    }
    let answer: Value = serde_json::from_str(&archive.read("shopkeeper", &of("/namespaces/shop")).await.1).unwrap();
    let found = &answer["items"][0];
    assert_eq!(
        (&found["known"], &found["calls"], &found["name"]),
        (&json!("Used"), &json!(2), &json!("fix")),
        "{answer}"
    );
    assert_eq!((&found["rows"][0]["verb"], &found["rows"][0]["calls"]), (&json!("list"), &json!(2)), "{answer}");
    let elsewhere: Value = serde_json::from_str(&archive.read("auditor", &of("/namespaces/bank")).await.1).unwrap();
    assert_eq!(elsewhere["items"], json!([]), "a path of a namespace shows no other");
    let lines = archive.read("auditor", &format!("{}&format=jsonl", of(""))).await.1;
    assert_eq!(lines.lines().count(), 2, "{lines}");
}

#[tokio::test]
async fn the_last_use_of_other_bindings_is_told_of_one_cluster_and_noted_as_a_read() {
    let archive = OpenArchive::start().await;
    let now = crate::runtime::clock::Clock::wall().now();
    let event = activity::bindings::call_by("one", "alice", "admins", now);
    archive.post("tail", "/v1/audit/events", event.to_string()).await;
    let path = "/apis/archive.daypass.dev/v1/bindinguses";
    let of = async |query: &str| -> Value {
        let answer = archive.read("auditor", &format!("{path}{query}")).await.1;
        serde_json::from_str::<Value>(&answer).unwrap()["items"][0].clone()
    };
    let told = of("").await;
    assert_eq!((&told["cluster"], &told["since"]), (&json!("here"), &Value::Null), "{told}");
    assert!(told["unheard"].is_string(), "{told}");
    let one = &told["uses"][0];
    assert_eq!(
        (&one["kind"], &one["name"], &one["user"]),
        (&json!("ClusterRoleBinding"), &json!("admins"), &json!("alice")),
        "{told}"
    );
    assert_eq!(of("?cluster=there").await["uses"], json!([]));
    let reads = archive.read("auditor", "/apis/archive.daypass.dev/v1/reads").await.1;
    let reads: Value = serde_json::from_str(&reads).unwrap();
    let last = &reads["items"][0];
    assert_eq!((&last["resource"], &last["query"]), (&json!("bindinguses"), &json!("cluster=there")), "{reads}");
}

#[tokio::test]
async fn each_read_is_noted_once_and_told_to_who_may_read_all() {
    let archive = OpenArchive::start().await;
    let story = Story::of("uid", 5);
    archive.store.take("here", story.delivery()).await.unwrap();
    let mut path = format!("{RECORDS}?person=alice&limit=2&purpose=audit+7");
    for _ in 0..3 {
        let (_, list) = archive.read("auditor", &path).await;
        let list: Value = serde_json::from_str(&list).unwrap();
        assert_eq!(list["metadata"]["resourceVersion"], "5", "how many records there are");
        let next = list["metadata"]["continue"].as_str().unwrap_or_default().to_owned();
        path = format!("{RECORDS}?person=alice&limit=2&purpose=audit+7&continue={next}");
    }
    archive.read("auditor", &format!("{RECORDS}?format=csv")).await;
    archive.read("shopkeeper", OF_SHOP).await;
    archive.read("auditor", "/apis/archive.daypass.dev/v1/texts/sha256:none").await;
    archive.read("mallory", RECORDS).await;
    let reads = "/apis/archive.daypass.dev/v1/reads";
    assert_eq!(archive.read("shopkeeper", reads).await.0, StatusCode::FORBIDDEN);
    let (code, told) = archive.read("auditor", reads).await;
    assert_eq!(code, StatusCode::OK);
    let told: Value = serde_json::from_str(&told).unwrap();
    let short = |read: &Value| {
        json!([
            read["user"],
            read["resource"],
            read["namespace"],
            read["query"],
            read["purpose"],
            read["rows"],
            read["calls"]
        ])
    };
    let told: Vec<Value> = told["items"].as_array().unwrap().iter().map(short).collect();
    let expected = [
        json!(["auditor", "texts", "", "sha256:none", "", 1, 1]),
        json!(["shopkeeper", "records", "shop", "cluster=here&namespace=shop", "", 5, 1]),
        json!(["auditor", "records", "", "", "", 5, 1]),
        json!(["auditor", "records", "", "person=alice", "audit 7", 5, 3]),
    ];
    assert_eq!(told, expected);
    let (_, again) = archive.read("auditor", reads).await;
    assert!(again.contains("\"resource\":\"reads\""), "that is a read too: {again}");
}

#[tokio::test]
async fn anybody_may_ask_what_is_served() {
    let archive = OpenArchive::start().await;
    for path in ["/apis", "/apis/archive.daypass.dev", "/apis/archive.daypass.dev/v1"] {
        let request = Request::builder().method(Method::GET).uri(path).header("host", "a");
        let (code, body) = archive.call(None, request.body(Full::default()).unwrap()).await.unwrap();
        assert_eq!(code, StatusCode::OK);
        assert!(body.contains("archive.daypass.dev"), "{path}: {body}");
    }
}

#[test]
fn what_is_served_is_what_the_document_says() {
    let document: Value = serde_json::from_str(OPENAPI).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let said: BTreeSet<(String, String)> = paths
        .iter()
        .flat_map(|(path, methods)| methods.as_object().unwrap().keys().map(|method| (path.clone(), method.clone())))
        .collect();
    let source = include_str!("mod.rs").split(".route(\"").skip(1);
    let served: BTreeSet<(String, String)> = source
        .flat_map(|route| {
            let (path, rest) = route.split_once("\", ").unwrap();
            let calls = rest.lines().next().unwrap().split('.').filter_map(|call| call.split_once('('));
            let methods = calls.filter(|(method, _)| ["delete", "get", "post", "put"].contains(method));
            methods.map(|(method, _)| (path.to_owned(), method.to_owned())).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(said, served);
    let parameters = |path: &str| -> BTreeSet<String> {
        let all = document["paths"][path]["get"]["parameters"].as_array().unwrap().iter();
        all.filter(|one| one["in"] == "query").map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    for path in ["activity", "namespaces/{namespace}/activity"] {
        let known: BTreeSet<String> = query::OF_ACTIVITY.map(str::to_owned).into();
        assert_eq!(parameters(&format!("/apis/archive.daypass.dev/v1/{path}")), known, "{path}");
    }
    let known = query::NAMES.iter().chain(&["since", "until", "limit", "continue", "format"]);
    let known: BTreeSet<String> = known.map(|name| (*name).to_owned()).collect();
    for path in [RECORDS, "/apis/archive.daypass.dev/v1/namespaces/{namespace}/records"] {
        assert_eq!(parameters(path), known, "{path}");
    }
}

const LINES: &str = include_str!("../feed/fixtures/events.jsonl");
const MESSAGE: &str = include_str!("../feed/fixtures/cloudwatch.json");
const BATCH: &str = include_str!("../feed/fixtures/eventhubs.json");
/// The request by whose binding all of them were allowed.
const REQUEST: &str = "0d0b6a3c-5f0e-4c6e-9d54-2f4c5a7b9e10";

impl OpenArchive {
    /// Feeds with these headers.
    async fn feed(&self, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> (StatusCode, Value) {
        let mut request = Request::post(format!("/v1/audit/{path}")).header("host", "a");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (code, body) = self.call(None, request.body(body.into()).unwrap()).await.unwrap();
        (code, serde_json::from_str(&body).unwrap())
    }

    /// How many calls are counted of the one request.
    async fn calls(&self) -> u64 {
        let known = self.store.uses("here", &[REQUEST.to_owned()]).await.unwrap();
        known.uses.first().map_or(0, |used| used.count.calls)
    }
}

/// A fixture, as if it happened now: what is old is not known again.
fn now(fixture: &str) -> String {
    let now = crate::runtime::clock::Clock::wall().now().to_string();
    fixture.replace("2026-11-30T09:15:02", &now[..19])
}

fn gzip(text: &str) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(text.as_bytes()).unwrap();
    packed.finish().unwrap()
}

#[tokio::test]
async fn a_feed_brings_events_and_one_that_cannot_be_read_keeps_no_other_back() {
    let archive = OpenArchive::start().await;
    let (lines, by_tail) = (now(LINES), [("authorization", "Bearer tail")]);
    for token in ["none", "push", "login", "stray"] {
        let shown = format!("Bearer {token}");
        let (code, _) = archive.feed("events", &[("authorization", &shown)], lines.clone().into()).await;
        assert_eq!(code, StatusCode::UNAUTHORIZED, "{token}");
    }
    assert_eq!(archive.calls().await, 0);
    let mixed = format!("{{\"half\n{lines}\n{{}}\n");
    for _ in 0..2 {
        let (code, answer) = archive.feed("events", &by_tail, mixed.clone().into()).await;
        assert_eq!((code, answer), (StatusCode::OK, json!({ "events": 2, "unreadable": 2 })));
        assert_eq!(archive.calls().await, 2, "an event that comes again changes nothing");
    }
    let packed = [by_tail[0], ("content-encoding", "gzip")];
    assert_eq!(archive.feed("events", &packed, gzip(&lines)).await.0, StatusCode::OK);
    let bomb = gzip(&" ".repeat(MOST_UNPACKED + 1));
    assert_eq!(archive.feed("events", &packed, bomb).await.0, StatusCode::BAD_REQUEST);
    let too_much = vec![b' '; MOST_BYTES + 1];
    assert_eq!(archive.feed("events", &by_tail, too_much).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(archive.push("tail", Story::of("uid", 1).bytes().join("\n")).await.0, StatusCode::UNAUTHORIZED);
    let figures = archive.figures.text().unwrap();
    for (figure, is) in [("events", 6), ("unreadable", 4)] {
        let line = format!("daypass_archive_audit_feed_{figure}_total{{feed=\"{TAIL}\"}} {is}");
        assert!(figures.contains(&line), "{line} in {figures}");
    }
    assert!(figures.contains("daypass_archive_audit_shut_out_total 4"), "{figures}");
}

#[tokio::test]
async fn clouds_bring_the_same_events_each_in_its_wrapping_and_are_answered_in_their_form() {
    let archive = OpenArchive::start().await;
    let data = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, gzip(&now(MESSAGE)));
    let delivery = json!({ "requestId": "in-body", "timestamp": 1, "records": [{ "data": data }] }).to_string();
    let key = secret_of("eks");
    let firehose = [("x-amz-firehose-access-key", key.as_str()), ("x-amz-firehose-request-id", "in-header")];
    let (code, answer) = archive.feed("firehose", &firehose, delivery.clone().into()).await;
    assert_eq!(
        (code, &answer["requestId"], &answer["errorMessage"]),
        (StatusCode::OK, &json!("in-body"), &Value::Null)
    );
    assert!(answer["timestamp"].is_i64(), "{answer}");
    assert_eq!(archive.calls().await, 2);
    let (code, answer) = archive.feed("firehose", &firehose, "{}".into()).await;
    assert_eq!((code, &answer["requestId"]), (StatusCode::BAD_REQUEST, &json!("in-header")));
    assert!(answer["errorMessage"].is_string(), "{answer}");
    let (code, answer) = archive.feed("firehose", &firehose[1..], delivery.into()).await;
    assert_eq!((code, &answer["requestId"]), (StatusCode::UNAUTHORIZED, &json!("in-header")));
    let bearer = format!("Bearer {}", secret_of("aks"));
    let (code, answer) = archive.feed("eventhubs", &[("authorization", &bearer)], now(BATCH).into()).await;
    assert_eq!((code, answer), (StatusCode::OK, json!({ "events": 2, "unreadable": 0 })));
    assert_eq!(archive.calls().await, 2, "they are the same calls");
    let (code, _) = archive.feed("events", &[("authorization", &bearer)], LINES.into()).await;
    assert_eq!(code, StatusCode::UNAUTHORIZED, "the secret of another path");
}
