//! The sending of CloudEvents against receivers of every temper.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::cloud_events::{CloudEventSettings, receiver};
use super::{OutputSettings, RecordOutputs};
use crate::api::record::Record;
use crate::core::record::cloud_event::CloudEventData;
use crate::core::record::golden::RECORDS;
use crate::runtime::metrics::Metrics;

const OLD: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NEW: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";
/// What CloudEvents 1.0 and its JSON format ask of an event in structured mode.
const CLOUD_EVENT: &str = include_str!("cloud-event-1.0.json");

#[derive(Clone)]
struct Delivery {
    headers: BTreeMap<String, String>,
    body: String,
}

/// A receiver that answers by this rule, from the how-manieth call it is.
#[derive(Clone)]
struct Receiver {
    got: Arc<Mutex<Vec<Delivery>>>,
    answer: fn(usize) -> Response,
}

impl Receiver {
    fn new(answer: fn(usize) -> Response) -> Self {
        Self { got: Arc::default(), answer }
    }

    fn routes(&self) -> Router {
        let take = async |State(this): State<Self>, headers: HeaderMap, body: String| {
            let headers = headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
            let mut got = this.got.lock().unwrap();
            got.push(Delivery { headers: headers.collect(), body });
            (this.answer)(got.len())
        };
        Router::new().route("/hook", post(take)).with_state(self.clone())
    }

    /// Its address in plain HTTP.
    async fn listen(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook?key=1", listener.local_addr().unwrap());
        let routes = self.routes();
        tokio::spawn(async move { axum::serve(listener, routes).await });
        url
    }

    /// Its address under a certificate, and that certificate in PEM.
    async fn listen_with_tls(&self) -> (String, String) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let chain = vec![CertificateDer::from_pem_slice(made.cert.pem().as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(made.signing_key.serialize_pem().as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config =
            rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}/hook", listener.local_addr().unwrap().port());
        let routes = self.routes();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let Ok(stream) = acceptor.accept(stream).await else { continue };
                let service = TowerToHyperService::new(routes.clone());
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        (url, made.cert.pem())
    }

    fn got(&self) -> Vec<Delivery> {
        self.got.lock().unwrap().clone()
    }
}

/// Outputs that send to one receiver, and what belongs to them.
struct Sending {
    outputs: RecordOutputs,
    metrics: Metrics,
    folder: tempfile::TempDir,
}

impl Sending {
    fn to(url: &str, authority: Option<&str>) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let (folder, metrics) = (tempfile::tempdir().unwrap(), Metrics::default());
        std::fs::write(folder.path().join("secrets"), OLD).unwrap();
        let authorities: Option<PathBuf> = authority.map(|pem| {
            std::fs::write(folder.path().join("ca.crt"), pem).unwrap();
            folder.path().join("ca.crt")
        });
        let secrets = folder.path().join("secrets");
        let settings =
            CloudEventSettings { receiver: receiver(url).unwrap(), secrets, authorities, data: CloudEventData::Record };
        let settings = OutputSettings {
            cloud_events: Some(settings),
            #[cfg(feature = "otlp")]
            logs: None,
        };
        let (outputs, sending) = RecordOutputs::start(settings, &metrics);
        tokio::spawn(sending);
        Self { outputs, metrics, folder }
    }

    fn counted(&self, result: &str) -> u64 {
        let text = self.metrics.text().unwrap();
        let name = format!("daypass_cloud_events_total{{result=\"{result}\"}} ");
        text.lines().find_map(|line| line.strip_prefix(&name)).unwrap().parse().unwrap()
    }

    async fn until_counted(&self, result: &str, wanted: u64) {
        let counted = async {
            while self.counted(result) < wanted {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), counted).await.expect("it is counted in time");
    }
}

fn some_records(many: usize) -> Vec<Record> {
    RECORDS.lines().take(many).map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn taken(_: usize) -> Response {
    StatusCode::NO_CONTENT.into_response()
}

/// RFC 2104 over SHA-256, by the book and not by the library that signs.
fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let padded = |with: u8| {
        let mut block = [with; 64];
        block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
        block
    };
    let inner = Sha256::new().chain_update(padded(0x36)).chain_update(text).finalize();
    Sha256::new().chain_update(padded(0x5c)).chain_update(inner).finalize().to_vec()
}

/// Whether one of the signatures of a delivery is by this secret.
fn is_signed_by(delivery: &Delivery, secret: &str) -> bool {
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let header = |name: &str| delivery.headers[name].as_str();
    let text = format!("{}.{}.{}", header("webhook-id"), header("webhook-timestamp"), delivery.body);
    let expected = format!("v1,{}", STANDARD.encode(hmac(&key, text.as_bytes())));
    header("webhook-signature").split(' ').any(|signature| signature == expected)
}

#[tokio::test]
async fn each_record_arrives_once_in_order_as_a_signed_cloud_event() {
    let receiver = Receiver::new(taken);
    let sending = Sending::to(&receiver.listen().await, None);
    let records = some_records(5);
    sending.outputs.push(&records[..3]);
    sending.until_counted("delivered", 3).await;
    std::fs::write(sending.folder.path().join("secrets"), format!("{NEW}\n{OLD}\n")).unwrap();
    sending.outputs.push(&records[3..]);
    sending.until_counted("delivered", 5).await;

    let schema = jsonschema::options().should_validate_formats(true);
    let schema = schema.build(&serde_json::from_str(CLOUD_EVENT).unwrap()).unwrap();
    let got = receiver.got();
    assert_eq!(got.len(), records.len());
    for (at, (delivery, record)) in got.iter().zip(&records).enumerate() {
        let event: Value = serde_json::from_str(&delivery.body).unwrap();
        let wrong: Vec<String> = schema.iter_errors(&event).map(|error| error.to_string()).collect();
        assert!(wrong.is_empty(), "{wrong:?}: {event}");
        assert_eq!(event["data"], serde_json::to_value(record).unwrap());
        assert_eq!((&event["id"], delivery.headers["webhook-id"].as_str()), (&json!(record.id), record.id.as_str()));
        assert_eq!(delivery.headers["content-type"], "application/cloudevents+json; charset=utf-8");
        assert!(is_signed_by(delivery, OLD), "{:?}", delivery.headers);
        assert_eq!(is_signed_by(delivery, NEW), at >= 3);
    }
    let mut spoilt: Value = serde_json::from_str(&got[0].body).unwrap();
    spoilt["id"] = json!("");
    assert!(!schema.is_valid(&spoilt), "the schema refuses nothing");
}

#[tokio::test]
async fn what_is_not_taken_is_sent_again_under_the_same_id_before_the_next() {
    let receiver = Receiver::new(|call| match call {
        1 => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        2 => StatusCode::TOO_MANY_REQUESTS.into_response(),
        _ => taken(call),
    });
    let sending = Sending::to(&receiver.listen().await, None);
    let records = some_records(2);
    sending.outputs.push(&records);
    sending.until_counted("delivered", 2).await;
    assert_eq!(sending.counted("failed"), 2);
    let ids: Vec<String> = receiver.got().iter().map(|delivery| delivery.headers["webhook-id"].clone()).collect();
    let (first, second) = (&records[0].id, &records[1].id);
    assert_eq!(ids, [first, first, first, second].map(String::clone));
}

#[tokio::test]
async fn what_will_never_be_taken_holds_nothing_up() {
    let receiver = Receiver::new(|call| if call == 1 { StatusCode::BAD_REQUEST.into_response() } else { taken(call) });
    let sending = Sending::to(&receiver.listen().await, None);
    sending.outputs.push(&some_records(2));
    sending.until_counted("delivered", 1).await;
    assert_eq!((sending.counted("refused"), sending.counted("failed"), receiver.got().len()), (1, 0, 2));
}

static ELSEWHERE: Mutex<String> = Mutex::new(String::new());

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Receiver::new(taken);
    *ELSEWHERE.lock().unwrap() = elsewhere.listen().await;
    let receiver = Receiver::new(|_| {
        (StatusCode::TEMPORARY_REDIRECT, [("location", ELSEWHERE.lock().unwrap().clone())]).into_response()
    });
    let sending = Sending::to(&receiver.listen().await, None);
    sending.outputs.push(&some_records(1));
    sending.until_counted("failed", 2).await;
    assert_eq!((sending.counted("delivered"), elsewhere.got().len()), (0, 0));
}

#[tokio::test]
async fn a_receiver_must_show_a_certificate_of_the_given_authority() {
    let (receiver, other) = (Receiver::new(taken), Receiver::new(taken));
    let (url, authority) = receiver.listen_with_tls().await;
    let (_, another) = other.listen_with_tls().await;
    let sending = Sending::to(&url, Some(&another));
    sending.outputs.push(&some_records(1));
    sending.until_counted("failed", 2).await;
    assert!(receiver.got().is_empty());
    // Put right, it is read again and nothing is lost.
    std::fs::write(sending.folder.path().join("ca.crt"), authority).unwrap();
    sending.until_counted("delivered", 1).await;
    assert_eq!(receiver.got().len(), 1);
}

#[tokio::test]
async fn who_is_away_for_long_costs_events_and_no_time() {
    // It takes calls and says nothing, for ever.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let sending = Sending::to(&format!("http://{}/", listener.local_addr().unwrap()), None);
    let records = some_records(1);
    // Whoever waited here would wait for ever.
    for _ in 0..8_200 {
        sending.outputs.push(&records);
    }
    assert!((7..=8).contains(&sending.counted("dropped")), "{} are dropped", sending.counted("dropped"));
}

#[test]
fn an_address_is_of_http_and_holds_no_secret() {
    for right in ["https://siem.example.com/in?tenant=a", "http://collector.siem:8080/", "https://[::1]:8443/x"] {
        assert_eq!(receiver(right).unwrap().to_string(), right);
    }
    for wrong in ["siem.example.com", "ftp://siem/x", "https://me:secret@siem/x", "https://siem/#x", "/in", ""] {
        assert!(receiver(wrong).is_err(), "{wrong}");
    }
}
