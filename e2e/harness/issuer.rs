//! Owns an OIDC issuer: it signs ID tokens, tells by which key they are known, and renews them, each refresh token once.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::{get, post};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use rcgen::{KeyPair, SigningKey};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::wait::now;

/// The client that the API server and the kubeconfigs know.
pub const CLIENT: &str = "kubectl";
const SECRET: &str = "s3cret&=";

/// A running issuer. It ends with the runtime that it was started on.
pub struct Issuer {
    pub url: String,
    /// The certificate that proves it, in PEM.
    pub certificate: String,
    state: Arc<IssuerState>,
}

struct IssuerState {
    url: String,
    key: KeyPair,
    /// The refresh token that is taken next, and how often one was.
    refresh: Mutex<(String, usize)>,
}

impl Issuer {
    pub async fn start() -> Self {
        let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("make a certificate");
        let acceptor = acceptor(&own);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("https://{}", listener.local_addr().expect("its address"));
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("make a key");
        let state = Arc::new(IssuerState { url: url.clone(), key, refresh: Mutex::new(("refresh-0".to_owned(), 0)) });
        let routes = Router::new()
            .route("/.well-known/openid-configuration", get(about))
            .route("/keys", get(keys))
            .route("/token", post(renew))
            .with_state(state.clone());
        serve(listener, acceptor, routes);
        Self { url, certificate: own.cert.pem(), state }
    }

    /// An ID token of somebody that ends so many seconds from now.
    pub fn token(&self, who: &str, seconds: i64) -> String {
        self.state.token(who, seconds)
    }

    /// A token of other claims than those of an ID token of kubectl; `exp` is added, and `iss` where there is none.
    pub fn signed(&self, claims: Value) -> String {
        self.signed_for(claims, 600)
    }

    /// The same for so many seconds.
    pub fn signed_for(&self, claims: Value, seconds: i64) -> String {
        self.state.signed(claims, now().as_second() + seconds)
    }

    /// The `auth-provider` of a kubeconfig for somebody who holds this ID token and the first refresh token.
    pub fn provider(&self, id_token: &str) -> Value {
        json!({ "name": "oidc", "config": {
            "idp-issuer-url": self.url, "client-id": CLIENT, "client-secret": SECRET, "id-token": id_token,
            "refresh-token": "refresh-0",
            "idp-certificate-authority-data": BASE64_STANDARD.encode(&self.certificate)
        } })
    }

    /// How often a token was renewed.
    pub fn renewals(&self) -> usize {
        self.state.refresh.lock().unwrap_or_else(PoisonError::into_inner).1
    }
}

/// Answers by these routes over TLS, for as long as the runtime runs.
pub fn serve(listener: TcpListener, acceptor: tokio_rustls::TlsAcceptor, routes: Router) {
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, routes) = (acceptor.clone(), routes.clone());
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let service = TowerToHyperService::new(routes);
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
}

/// TLS with a certificate that was made here.
pub fn acceptor(own: &rcgen::CertifiedKey<KeyPair>) -> tokio_rustls::TlsAcceptor {
    let key = rustls::pki_types::PrivateKeyDer::try_from(own.signing_key.serialize_der()).expect("a key");
    let config = rustls::ServerConfig::builder().with_no_client_auth();
    let config = config.with_single_cert(vec![own.cert.der().clone()], key).expect("a certificate with its key");
    tokio_rustls::TlsAcceptor::from(Arc::new(config))
}

impl IssuerState {
    fn token(&self, who: &str, seconds: i64) -> String {
        let end = now().as_second() + seconds;
        self.signed(json!({ "aud": CLIENT, "sub": who, "iat": end - 7200 }), end)
    }

    fn signed(&self, mut claims: Value, end: i64) -> String {
        let head = json!({ "alg": "ES256", "typ": "JWT", "kid": "one" });
        claims["exp"] = json!(end);
        if claims["iss"].is_null() {
            claims["iss"] = json!(self.url);
        }
        let signed = [head, claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
        let signature = self.key.sign(signed.as_bytes()).expect("sign");
        format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(bare(&signature)))
    }
}

/// Two numbers of 32 bytes, as RFC 7518 has a signature, of the two integers that ASN.1 has.
fn bare(signature: &[u8]) -> Vec<u8> {
    let first = usize::from(signature[3]);
    let numbers = [&signature[4..4 + first], &signature[6 + first..]];
    let padded = |number: &[u8]| {
        let number = &number[number.len().saturating_sub(32)..];
        [vec![0; 32 - number.len()], number.to_vec()].concat()
    };
    numbers.map(padded).concat()
}

async fn about(State(issued): State<Arc<IssuerState>>) -> String {
    let url = &issued.url;
    json!({
        "issuer": url, "jwks_uri": format!("{url}/keys"), "token_endpoint": format!("{url}/token"),
        "authorization_endpoint": format!("{url}/authorize"), "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["ES256"]
    })
    .to_string()
}

async fn keys(State(issued): State<Arc<IssuerState>>) -> String {
    // Uncompressed: a mark, and the two coordinates.
    let point = issued.key.public_key_raw();
    let [x, y] = [&point[1..33], &point[33..]].map(|number| BASE64_URL_SAFE_NO_PAD.encode(number));
    json!({ "keys": [{ "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": "one", "x": x, "y": y }] })
        .to_string()
}

async fn renew(State(issued): State<Arc<IssuerState>>, headers: HeaderMap, body: String) -> (StatusCode, String) {
    let proof = BASE64_STANDARD.encode(format!("{CLIENT}:s3cret%26%3D"));
    if headers.get(header::AUTHORIZATION).is_none_or(|sent| sent != format!("Basic {proof}").as_str()) {
        return (StatusCode::UNAUTHORIZED, json!({ "error": "invalid_client" }).to_string());
    }
    let mut refresh = issued.refresh.lock().unwrap_or_else(PoisonError::into_inner);
    if body != format!("grant_type=refresh_token&refresh_token={}", refresh.0) {
        let said = json!({ "error": "invalid_grant", "error_description": "the session is over" });
        return (StatusCode::BAD_REQUEST, said.to_string());
    }
    refresh.1 += 1;
    refresh.0 = format!("refresh-{}", refresh.1);
    (
        StatusCode::OK,
        json!({ "id_token": issued.token("ida", 3600), "refresh_token": refresh.0, "token_type": "Bearer" })
            .to_string(),
    )
}
