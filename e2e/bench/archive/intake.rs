//! The archive's own program, and clients that push to it and search in it over TLS.

use futures::{StreamExt, stream};
use http::Request;
use kube::{Client, Config};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};

use super::PAGE;
use super::records::Batch;
use crate::harness::issuer::Issuer;
use crate::harness::process::{self, Process};
use crate::harness::servers::free_ports;
use crate::harness::users::ADMIN;
use crate::harness::{ControlPlane, readiness};

/// How many push at a time.
pub const CLIENTS: usize = 4;
const ACCOUNT: &str = "system:serviceaccount:daypass-system:daypass";

/// A running archive.
pub struct BenchArchive {
    process: Process,
    writer: Client,
    reader: Client,
}

impl BenchArchive {
    /// With this store. Writers and readers come with tokens of the issuer, whose keys are in a file.
    pub async fn start(control_plane: &ControlPlane, issuer: &Issuer, store: &[String]) -> Self {
        let ([port], [probed]) = (free_ports(), free_ports());
        let folder = control_plane.dir().join("archive");
        std::fs::create_dir_all(&folder).expect("make a folder");
        let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("make a certificate");
        let keys = json!({ "url": format!("{}/keys", issuer.url), "certificateAuthority": issuer.certificate });
        let readers = json!({ "oidc": {
            "issuer": "https://readers", "audience": "readers", "keys": keys, "groups": [{ "name": "all", "everywhere": true }],
        } });
        let clusters = json!([{ "uid": "bench", "issuer": issuer.url, "writers": [ACCOUNT], "keys": keys }]);
        for (name, text) in [
            ("tls.crt", own.cert.pem()),
            ("tls.key", own.signing_key.serialize_pem()),
            ("archive.yaml", json!({ "clusters": clusters, "readers": readers }).to_string()),
        ] {
            std::fs::write(folder.join(name), text).expect("write a file");
        }
        let flags = [
            format!("--listen=127.0.0.1:{port}"),
            format!("--probes=127.0.0.1:{probed}"),
            format!("--certificates={}", folder.display()),
            format!("--config={}", folder.join("archive.yaml").display()),
            format!("--kubeconfig={}", control_plane.kubeconfig(ADMIN).display()),
            "--log=warn".to_owned(),
        ];
        let program = std::path::Path::new(env!("CARGO_BIN_EXE_daypass-archive"));
        let mut process = Process::spawn(&folder, "archive", program, &[&flags, store].concat(), &[]);
        readiness::process("the archive is ready", &mut process, probed).await;
        let client = |claims: Value| {
            let mut config = Config::new(format!("https://127.0.0.1:{port}").parse().expect("a URL"));
            let root = CertificateDer::from_pem_slice(own.cert.pem().as_bytes()).expect("a certificate");
            config.root_cert = Some(vec![root.to_vec()]);
            config.auth_info.token = Some(issuer.signed(claims).into());
            Client::try_from(config).expect("make a client")
        };
        let writer = client(json!({ "aud": "daypass-archive", "sub": ACCOUNT }));
        let reader = client(json!({ "iss": "https://readers", "aud": "readers", "sub": "ida", "groups": ["all"] }));
        Self { process, writer, reader }
    }

    /// Pushes them, some at a time.
    pub async fn push(&self, batches: Vec<Batch>) {
        let pushed = stream::iter(batches).map(|batch| async move {
            let many = batch.arrivals.len() as u64;
            let request = Request::post("/v1/records").body(batch.body()).expect("a request");
            let answer: Value = self.writer.request(request).await.expect("the batch is kept");
            let answers = answer["requests"].as_array().expect("answers");
            assert!(answers.iter().all(|answer| answer["refused"].is_null()), "{answer}");
            many
        });
        pushed.buffer_unordered(CLIENTS).collect::<Vec<_>>().await;
    }

    /// How many records are on the first page of somebody.
    pub async fn search(&self, person: String) -> usize {
        let path = format!("/apis/archive.daypass.dev/v1/records?limit={PAGE}&person={person}");
        let request = Request::get(path).body(Vec::new()).expect("a request");
        let list: Value = self.reader.request(request).await.expect("a list");
        list["items"].as_array().expect("items").len()
    }

    /// The most that it has been resident, as the kernel tells it.
    pub fn memory(&self) -> String {
        process::size(self.process.pid(), "VmHWM")
    }
}
