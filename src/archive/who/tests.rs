//! Issuers that sign tokens, and what is believed of them.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::path::PathBuf;
use std::time::Duration;

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, Request, Response};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, get_current_timestamp};
use kube::Client;
use kube::client::Body;
use rcgen::KeyPair;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tower::service_fn;

use super::super::feed::FEED_AUDIENCE;
use super::feeders::{AuditFeeders, FeedKind, FeedProof, FeedSecret, NamedFeed, NotAFeeder};
use super::keys::{IssuerKeys, KeySource};
use super::oidc::{OidcReaders, ReadableRecords};
use super::token::{BadToken, TokenIssuer};
use super::writers::{NotAWriter, RecordWriters, WritingCluster};

/// The name that the issuers of most clusters share.
const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
const ACCOUNT: &str = "system:serviceaccount:daypass-system:daypass";

/// A key that signs.
pub struct SigningIssuer {
    id: &'static str,
    algorithm: Algorithm,
    key: EncodingKey,
}

impl SigningIssuer {
    pub fn of(id: &'static str, algorithm: Algorithm) -> Self {
        let key = match algorithm {
            Algorithm::RS256 => {
                let pair = KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
                // Past the head of PKCS #8 is the key as PKCS #1 has it.
                EncodingKey::from_rsa_der(&pair.serialize_der()[26..])
            }
            Algorithm::ES384 => EncodingKey::from_ec_der(
                &KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap().serialize_der(),
            ),
            _ => EncodingKey::from_ec_der(
                &KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap().serialize_der(),
            ),
        };
        Self { id, algorithm, key }
    }

    /// A key set with it.
    pub fn set(&self) -> Value {
        json!({ "keys": [self.public()] })
    }

    fn public(&self) -> Value {
        let mut jwk = Jwk::from_encoding_key(&self.key, self.algorithm).unwrap();
        jwk.common.key_id = Some(self.id.to_owned());
        serde_json::to_value(jwk).unwrap()
    }

    pub fn token(&self, claims: &Value) -> String {
        let header = Header { kid: Some(self.id.to_owned()), ..Header::new(self.algorithm) };
        encode(&header, claims, &self.key).unwrap()
    }
}

/// What a push token says, with these changes.
fn claims(changes: Value) -> Value {
    let now = get_current_timestamp();
    let mut claims = json!({ "iss": ISSUER, "aud": ["daypass-archive"], "sub": ACCOUNT, "iat": now, "exp": now + 600 });
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

/// A folder of key sets.
struct KeySets(tempfile::TempDir);

impl KeySets {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, set: &Value) -> PathBuf {
        let file = self.0.path().join(name);
        std::fs::write(&file, set.to_string()).unwrap();
        file
    }

    fn issuer(&self, name: &str, set: &Value) -> TokenIssuer {
        let keys = IssuerKeys::of(KeySource::File(self.write(name, set)));
        TokenIssuer { issuer: ISSUER.to_owned(), audience: "daypass-archive".to_owned(), keys }
    }

    fn cluster(&self, uid: &str, set: &Value) -> WritingCluster {
        WritingCluster { uid: uid.to_owned(), issuer: self.issuer(uid, set), accounts: [ACCOUNT.to_owned()].into() }
    }
}

/// An API server that knows tokens of its own: `home` of who writes records, `tail` of who feeds, each for its audience, and
/// `both` of who writes records for either.
fn api_server() -> Client {
    let server = service_fn(async |request: Request<Body>| {
        let body = request.into_body().collect_bytes().await.unwrap();
        let mut review: Value = serde_json::from_slice(&body).unwrap();
        let (account, audiences) = match review["spec"]["token"].as_str().unwrap() {
            "home" => (ACCOUNT, vec!["daypass-archive"]),
            "tail" => (TAIL, vec!["daypass-archive-audit"]),
            "both" => (ACCOUNT, vec!["daypass-archive", "daypass-archive-audit"]),
            _ => ("", vec![]),
        };
        let asked = review["spec"]["audiences"].as_array().unwrap();
        let audiences: Vec<&str> = audiences.into_iter().filter(|one| asked.contains(&json!(one))).collect();
        review["status"] = match audiences.is_empty() {
            false => json!({ "authenticated": true, "audiences": audiences, "user": { "username": account } }),
            true => json!({ "authenticated": false }),
        };
        Ok::<_, Infallible>(Response::new(Body::from(review.to_string().into_bytes())))
    });
    Client::new(server, "default")
}

fn headers(token: &str) -> HeaderMap {
    HeaderMap::from_iter([(AUTHORIZATION, format!("Bearer {token}").parse().unwrap())])
}

#[tokio::test]
async fn each_cluster_writes_of_itself_alone_though_issuers_share_a_name() {
    let sets = KeySets::new();
    let (a, b) = (SigningIssuer::of("a", Algorithm::ES256), SigningIssuer::of("b", Algorithm::RS256));
    let others = vec![sets.cluster("of-a", &a.set()), sets.cluster("of-b", &b.set())];
    let writers = RecordWriters { clusters: [(ACCOUNT.to_owned(), "here".to_owned())].into(), others };
    let writes = async |token: &str| writers.cluster(&api_server(), &headers(token)).await;
    assert_eq!(writes("home").await.unwrap(), "here");
    assert_eq!(writes(&a.token(&claims(json!({})))).await.unwrap(), "of-a");
    assert_eq!(writes(&b.token(&claims(json!({})))).await.unwrap(), "of-b");
    let stranger = writes(&a.token(&claims(json!({ "sub": "system:serviceaccount:shop:web" })))).await.unwrap_err();
    assert!(matches!(stranger, NotAWriter::StrangerThere(..)), "{stranger}");
    // One that calls itself a, and signs with a key of its own.
    let forger = SigningIssuer::of("a", Algorithm::ES256);
    let forged = writes(&forger.token(&claims(json!({})))).await.unwrap_err();
    assert!(matches!(forged, NotAWriter::Unknown), "{forged}");
    let elsewhere = writes(&a.token(&claims(json!({ "iss": "https://elsewhere" })))).await.unwrap_err();
    assert!(matches!(elsewhere, NotAWriter::Unknown), "{elsewhere}");
    let for_the_api_server = writes(&a.token(&claims(json!({ "aud": [ISSUER] })))).await.unwrap_err();
    assert!(matches!(for_the_api_server, NotAWriter::Token(BadToken::Audience(_))), "{for_the_api_server}");
}

#[tokio::test]
async fn a_token_is_believed_within_its_time_and_for_the_archive_alone() {
    let sets = KeySets::new();
    let signing = SigningIssuer::of("one", Algorithm::ES384);
    let issuer = sets.issuer("keys", &signing.set());
    let verdict = async |changes: Value| issuer.verify(&signing.token(&claims(changes))).await.map(|_| ());
    let now = get_current_timestamp();
    assert_eq!(verdict(json!({})).await, Ok(()));
    assert_eq!(verdict(json!({ "aud": "daypass-archive", "nbf": now - 1 })).await, Ok(()));
    for times in [json!({ "exp": now - 60 }), json!({ "nbf": now + 60 })] {
        assert_eq!(verdict(times.clone()).await, Err(BadToken::Ended), "{times}");
    }
    for audience in [json!("other"), json!(["other"]), json!([]), json!(["daypass-archive", "other"])] {
        let refused = Err(BadToken::Audience("daypass-archive".to_owned()));
        assert_eq!(verdict(json!({ "aud": audience })).await, refused, "{audience}");
    }
    for wrong in [
        json!({ "exp": null }),
        json!({ "sub": null }),
        json!({ "aud": null }),
        json!({ "iss": "https://other" }),
        json!({ "iss": [ISSUER] }),
        json!({ "exp": "soon" }),
    ] {
        assert_eq!(verdict(wrong.clone()).await, Err(BadToken::Unknown), "{wrong}");
    }
}

#[tokio::test]
async fn neither_no_signature_nor_a_public_key_as_a_secret_passes() {
    use base64::Engine;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
    let sets = KeySets::new();
    let signing = SigningIssuer::of("one", Algorithm::ES256);
    let public = signing.public();
    // A set that names a secret too, as one for all purposes may.
    let secret = BASE64.encode("secret");
    let set = json!({ "keys": [public, { "kty": "oct", "kid": "two", "k": secret, "alg": "HS256" }] });
    let issuer = sets.issuer("keys", &set);
    let good = signing.token(&claims(json!({})));
    let payload = good.split('.').nth(1).unwrap();
    let point = [
        &[4][..],
        &BASE64.decode(public["x"].as_str().unwrap()).unwrap(),
        &BASE64.decode(public["y"].as_str().unwrap()).unwrap(),
    ]
    .concat();
    let hmac = |kid: &str, secret: &[u8]| {
        let header = Header { kid: Some(kid.to_owned()), ..Header::new(Algorithm::HS256) };
        encode(&header, &claims(json!({})), &EncodingKey::from_secret(secret).unwrap()).unwrap()
    };
    let none = |alg: &str| format!("{}.{payload}.", BASE64.encode(json!({ "alg": alg, "kid": "one" }).to_string()));
    let cut = good.rsplit_once('.').unwrap().0.to_owned() + ".";
    let refused = [
        none("none"),
        none("None"),
        none("ES256"),
        cut,
        hmac("one", &point),
        hmac("one", public.to_string().as_bytes()),
        hmac("two", b"secret"),
        "a.b".to_owned(),
        "a.b.c.d".to_owned(),
        String::new(),
    ];
    for token in refused {
        assert_eq!(issuer.verify(&token).await.unwrap_err(), BadToken::Unknown, "{token}");
    }
    assert!(issuer.verify(&good).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn keys_are_read_again_for_a_new_one_and_when_they_are_old_but_not_at_every_call() {
    let sets = KeySets::new();
    let (old, new) = (SigningIssuer::of("old", Algorithm::ES256), SigningIssuer::of("new", Algorithm::ES256));
    let issuer = sets.issuer("keys", &old.set());
    let known = async |signing: &SigningIssuer| issuer.verify(&signing.token(&claims(json!({})))).await.map(|_| ());
    assert_eq!(known(&new).await, Err(BadToken::Unknown));
    sets.write("keys", &new.set());
    assert_eq!(known(&new).await, Err(BadToken::Unknown), "read again at once");
    tokio::time::advance(Duration::from_secs(11)).await;
    assert_eq!(known(&new).await, Ok(()));
    assert_eq!(known(&old).await, Err(BadToken::Unknown));
    let file = sets.write("keys", &json!({ "keys": [] }));
    assert_eq!(known(&new).await, Ok(()), "read again for a key that is known");
    tokio::time::advance(Duration::from_secs(301)).await;
    assert_eq!(known(&new).await, Err(BadToken::Unknown), "it was taken back");
    sets.write("keys", &new.set());
    tokio::time::advance(Duration::from_secs(11)).await;
    assert_eq!(known(&new).await, Ok(()));
    std::fs::remove_file(file).unwrap();
    tokio::time::advance(Duration::from_secs(301)).await;
    assert_eq!(known(&new).await, Ok(()), "a source that is away takes nothing back");
    let away = known(&old).await.unwrap_err();
    assert!(matches!(away, BadToken::NoKeys(..)), "{away}");
}

#[tokio::test]
async fn readers_come_with_a_token_of_their_own_audience_and_read_what_their_groups_may() {
    let sets = KeySets::new();
    let signing = SigningIssuer::of("one", Algorithm::ES256);
    let mut issuer = sets.issuer("keys", &signing.set());
    issuer.audience = "auditors-app".to_owned();
    let shop = ReadableRecords::Namespaces(BTreeSet::from(["shop".to_owned()]));
    let groups = [("auditors".to_owned(), ReadableRecords::Everywhere), ("shopkeepers".to_owned(), shop)].into();
    let (username_claim, groups_claim) = ("email".to_owned(), "groups".to_owned());
    let readers = OidcReaders { issuer, username_claim, groups_claim, groups };
    let ask = async |changes: Value| {
        let reader = readers.reader(&headers(&signing.token(&claims(changes)))).await?;
        Ok::<_, BadToken>([None, Some("shop"), Some("bank")].map(|place| reader.may_list(place)))
    };
    let person = |groups: Value| json!({ "aud": "auditors-app", "email": "ida@example.com", "groups": groups });
    assert_eq!(ask(person(json!(["auditors", "else"]))).await, Ok([true, true, true]));
    assert_eq!(ask(person(json!("shopkeepers"))).await, Ok([false, true, false]));
    assert_eq!(ask(person(json!(["else"]))).await, Ok([false, false, false]));
    assert_eq!(ask(person(Value::Null)).await, Ok([false, false, false]));
    for stolen in
        [json!("daypass-archive"), json!("https://kubernetes.default.svc"), json!(["auditors-app", "kubectl"])]
    {
        let mut of = person(json!(["auditors"]));
        of["aud"] = stolen;
        assert!(matches!(ask(of).await, Err(BadToken::Audience(_))));
    }
    let mut unverified = person(json!(["auditors"]));
    unverified["email_verified"] = json!(false);
    assert_eq!(ask(unverified).await, Err(BadToken::Unknown));
    let nameless = json!({ "aud": "auditors-app", "groups": ["auditors"] });
    assert_eq!(ask(nameless).await, Err(BadToken::Unknown));
    assert_eq!(readers.reader(&HeaderMap::new()).await, Err(BadToken::Unknown));
}

const TAIL: &str = "system:serviceaccount:daypass-system:daypass-archive-tail";
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// FeedTrial of every kind, each of a cluster of its own, with their secrets and issuers in a folder.
struct FeedTrial {
    sets: KeySets,
    google: SigningIssuer,
    there: SigningIssuer,
    feeders: AuditFeeders,
}

impl FeedTrial {
    fn new() -> Self {
        let sets = KeySets::new();
        let (google, there) = (SigningIssuer::of("g", Algorithm::RS256), SigningIssuer::of("t", Algorithm::ES256));
        let mut other = sets.cluster("there", &there.set());
        (other.issuer.audience, other.accounts) = (FEED_AUDIENCE.to_owned(), [TAIL.to_owned()].into());
        let keys = IssuerKeys::of(KeySource::File(sets.write("google", &google.set())));
        let issuer = TokenIssuer { issuer: "https://google".to_owned(), audience: "https://archive".to_owned(), keys };
        let secret = |kind: FeedKind, name: &str| {
            let file = sets.0.path().join(name);
            std::fs::write(&file, format!("{TOKEN}-{name}\n")).unwrap();
            NamedFeed {
                name: name.to_owned(),
                cluster: name.to_owned(),
                proof: FeedProof::Secret(kind, FeedSecret::File(file)),
            }
        };
        let digest = Sha256::digest(format!("{TOKEN}-digest").as_bytes()).into();
        let feeds = vec![
            secret(FeedKind::Events, "webhook"),
            secret(FeedKind::Firehose, "eks"),
            secret(FeedKind::EventHubs, "aks"),
            NamedFeed {
                name: "digest".to_owned(),
                cluster: "digest".to_owned(),
                proof: FeedProof::Secret(FeedKind::Events, FeedSecret::Digest(digest)),
            },
            NamedFeed {
                name: "gke".to_owned(),
                cluster: "gke".to_owned(),
                proof: FeedProof::PubSub { issuer, email: "push@p.example".to_owned() },
            },
        ];
        let accounts = [(TAIL.to_owned(), "here".to_owned())].into();
        let feeders = AuditFeeders { accounts, others: vec![other], feeds };
        Self { sets, google, there, feeders }
    }

    async fn ask(&self, kind: FeedKind, headers: &HeaderMap) -> Result<String, NotAFeeder> {
        self.feeders.feeder(&api_server(), headers, kind).await.map(|feeder| feeder.cluster)
    }

    async fn bearer(&self, kind: FeedKind, token: &str) -> Result<String, NotAFeeder> {
        self.ask(kind, &headers(token)).await
    }
}

fn key(key: &str) -> HeaderMap {
    HeaderMap::from_iter([("x-amz-firehose-access-key".parse().unwrap(), key.parse().unwrap())])
}

#[tokio::test]
async fn each_proof_opens_its_own_path_for_its_own_cluster() {
    let feeds = FeedTrial::new();
    assert_eq!(feeds.bearer(FeedKind::Events, "tail").await.unwrap(), "here");
    for (kind, name) in [(FeedKind::Events, "webhook"), (FeedKind::Events, "digest"), (FeedKind::EventHubs, "aks")] {
        assert_eq!(feeds.bearer(kind, &format!("{TOKEN}-{name}")).await.unwrap(), name);
    }
    assert_eq!(feeds.ask(FeedKind::Firehose, &key(&format!("{TOKEN}-eks"))).await.unwrap(), "eks");
    let kinds = [FeedKind::Events, FeedKind::Firehose, FeedKind::PubSub, FeedKind::EventHubs];
    for (own, name) in [(FeedKind::Events, "webhook"), (FeedKind::Firehose, "eks"), (FeedKind::EventHubs, "aks")] {
        let shown = format!("{TOKEN}-{name}");
        for kind in kinds.into_iter().filter(|kind| *kind != own) {
            for headers in [headers(&shown), key(&shown)] {
                assert!(matches!(feeds.ask(kind, &headers).await, Err(NotAFeeder::Unknown(_))), "{name} as {kind:?}");
            }
        }
    }
    for kind in kinds {
        assert!(matches!(feeds.ask(kind, &HeaderMap::new()).await, Err(NotAFeeder::Unknown(_))), "{kind:?}");
        assert!(matches!(feeds.bearer(kind, "").await, Err(NotAFeeder::Unknown(_))), "{kind:?}");
    }
}

#[tokio::test]
async fn who_writes_records_feeds_nothing_and_who_feeds_writes_no_records() {
    let feeds = FeedTrial::new();
    let stranger = feeds.bearer(FeedKind::Events, "both").await.unwrap_err();
    assert!(matches!(stranger, NotAFeeder::Stranger(_)), "an account that is not named: {stranger}");
    let of_records = feeds.bearer(FeedKind::Events, "home").await.unwrap_err();
    assert!(matches!(of_records, NotAFeeder::Unknown(_)), "a token of the other audience: {of_records}");
    let there = |changes: Value| feeds.there.token(&claims(changes));
    let good = json!({ "aud": FEED_AUDIENCE, "sub": TAIL });
    assert_eq!(feeds.bearer(FeedKind::Events, &there(good.clone())).await.unwrap(), "there");
    let of_records = feeds.bearer(FeedKind::Events, &there(json!({ "sub": TAIL }))).await.unwrap_err();
    assert!(matches!(of_records, NotAFeeder::Token(BadToken::Audience(_))), "{of_records}");
    let controller = feeds.bearer(FeedKind::Events, &there(json!({ "aud": FEED_AUDIENCE }))).await.unwrap_err();
    assert!(matches!(controller, NotAFeeder::StrangerThere(..)), "{controller}");
    let forged = SigningIssuer::of("t", Algorithm::ES256).token(&claims(good.clone()));
    assert!(matches!(feeds.bearer(FeedKind::Events, &forged).await, Err(NotAFeeder::Unknown(_))));
    // The other way round, with an account that may do both.
    let mut cluster = feeds.sets.cluster("there", &feeds.there.set());
    cluster.accounts.insert(TAIL.to_owned());
    let clusters = [(TAIL.to_owned(), "here".to_owned())].into();
    let writers = RecordWriters { clusters, others: vec![cluster] };
    for token in ["tail", &there(good), &format!("{TOKEN}-webhook")] {
        let refused = writers.cluster(&api_server(), &headers(token)).await.unwrap_err();
        assert!(matches!(refused, NotAWriter::Unknown | NotAWriter::Token(BadToken::Audience(_))), "{refused}");
    }
}

#[tokio::test]
async fn pubsub_feeds_with_a_token_of_google_for_this_archive_and_this_subscription_alone() {
    let feeds = FeedTrial::new();
    let push = |changes: Value| {
        let mut all = claims(json!({
            "iss": "https://google", "aud": "https://archive", "email": "push@p.example", "email_verified": true,
        }));
        all.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        feeds.google.token(&all)
    };
    let verdict = async |changes: Value| feeds.bearer(FeedKind::PubSub, &push(changes)).await;
    assert_eq!(verdict(json!({})).await.unwrap(), "gke");
    for other in
        [json!({ "email": "other@p.example" }), json!({ "email_verified": false }), json!({ "email_verified": "true" })]
    {
        assert!(matches!(verdict(other.clone()).await, Err(NotAFeeder::OtherAccount)), "{other}");
    }
    let elsewhere = verdict(json!({ "aud": "https://elsewhere" })).await.unwrap_err();
    assert!(matches!(elsewhere, NotAFeeder::Token(BadToken::Audience(_))), "{elsewhere}");
    assert!(matches!(verdict(json!({ "exp": 1 })).await, Err(NotAFeeder::Token(BadToken::Ended))));
    assert!(matches!(verdict(json!({ "iss": ISSUER })).await, Err(NotAFeeder::Unknown(_))));
    assert!(matches!(feeds.bearer(FeedKind::Events, &push(json!({}))).await, Err(NotAFeeder::Unknown(_))));
}

#[tokio::test]
async fn a_secret_may_change_and_is_told_nowhere_and_a_short_one_counts_as_none() {
    let feeds = FeedTrial::new();
    let file = feeds.sets.0.path().join("webhook");
    let shown = format!("{TOKEN}-next");
    let refused = feeds.bearer(FeedKind::Events, &shown).await.unwrap_err();
    std::fs::write(&file, &shown).unwrap();
    assert_eq!(feeds.bearer(FeedKind::Events, &shown).await.unwrap(), "webhook");
    for short in ["", "short"] {
        std::fs::write(&file, short).unwrap();
        assert!(feeds.bearer(FeedKind::Events, short).await.is_err(), "{short:?}");
    }
    std::fs::remove_file(&file).unwrap();
    assert!(feeds.bearer(FeedKind::Events, &shown).await.is_err());
    let secret = FeedSecret::Digest([7; 32]);
    assert!(!format!("{refused} {refused:?} {secret:?}").contains(TOKEN));
    assert_eq!(format!("{secret:?}"), "Digest");
}
