//! Owns how the servers of a control plane are configured: their arguments, and the files they read at start.

use std::net::TcpListener;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};

use super::users;

/// Every request is recorded once, when it is complete, without bodies.
pub const AUDIT_POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: Request, resources: [{group: coordination.k8s.io, resources: [leases]}]}
- {level: Metadata}
";

/// What the tests need of the controller manager.
const CONTROLLERS: &str = "garbage-collector-controller,namespace-controller,serviceaccount-controller,\
    serviceaccount-token-controller,clusterrole-aggregation-controller,validatingadmissionpolicy-status-controller";

/// Common name of the certificate that the API server shows to others, as kubeadm makes it.
const FRONT_PROXY: &str = "front-proxy-client";

/// Writes the authority of that certificate, the certificate and its key.
fn write_front_proxy(folder: &Path) {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().expect("a key")).expect("an authority");
    let mut client = CertificateParams::default();
    client.distinguished_name.push(DnType::CommonName, FRONT_PROXY);
    client.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
    let key = KeyPair::generate().expect("a key");
    let certificate = client.signed_by(&key, &authority).expect("a certificate").pem();
    for (name, text) in [
        ("front-proxy-ca.crt", authority.pem()),
        ("front-proxy.crt", certificate),
        ("front-proxy.key", key.serialize_pem()),
    ] {
        std::fs::write(folder.join(name), text).expect("write a file of the front proxy");
    }
}

/// Ports of this machine that nobody listened on a moment ago.
pub fn free_ports<const N: usize>() -> [u16; N] {
    // All are held until all are known, or the same one could be given twice.
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").expect("bind a free port"));
    listeners.map(|listener| listener.local_addr().expect("read a port").port())
}

/// Where the servers of one control plane listen and keep their files.
pub struct Layout {
    pub folder: PathBuf,
    etcd_client: u16,
    etcd_peer: u16,
    api_server: u16,
    more_api_flags: &'static [&'static str],
}

impl Layout {
    /// Chooses ports and writes the files that the servers read.
    pub fn prepare(folder: &Path, audit_policy: &str, more_api_flags: &'static [&'static str]) -> Self {
        let [etcd_client, etcd_peer, api_server] = free_ports();
        std::fs::write(folder.join("tokens.csv"), users::token_file()).expect("write the token file");
        std::fs::write(folder.join("audit-policy.yaml"), audit_policy).expect("write the audit policy");
        write_front_proxy(folder);
        std::fs::create_dir_all(folder.join("home")).expect("create the home folder of the tools");
        Self { folder: folder.to_owned(), etcd_client, etcd_peer, api_server, more_api_flags }
    }

    /// The address of the API server.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.api_server)
    }

    /// The API server's own certificate with the authority that signed it; the server writes it at its start.
    pub fn authority(&self) -> PathBuf {
        self.folder.join("certificates/apiserver.crt")
    }

    /// The key of that certificate signs service-account tokens too: one key less to make.
    fn key(&self) -> PathBuf {
        self.folder.join("certificates/apiserver.key")
    }

    /// The port of the API server.
    pub fn port(&self) -> u16 {
        self.api_server
    }

    /// The audit log of a second API server.
    pub fn second_audit_log(&self) -> PathBuf {
        self.folder.join("second-audit.log")
    }

    /// What a second API server on the same etcd is started with: it proves itself as the first does.
    pub fn second_api_server_args(&self, port: u16) -> Vec<String> {
        let own = [format!("--secure-port={port}"), format!("--audit-log-path={}", self.second_audit_log().display())];
        // Of a flag that is given twice the last counts.
        self.api_server_args().into_iter().chain(own).collect()
    }

    pub fn audit_log(&self) -> PathBuf {
        self.folder.join("audit.log")
    }

    pub fn audit_webhook(&self) -> PathBuf {
        self.folder.join("audit-webhook.json")
    }

    pub fn etcd_args(&self) -> Vec<String> {
        let client = format!("http://127.0.0.1:{}", self.etcd_client);
        let peer = format!("http://127.0.0.1:{}", self.etcd_peer);
        vec![
            "--name=e2e".to_owned(),
            format!("--data-dir={}", self.folder.join("etcd").display()),
            format!("--listen-client-urls={client}"),
            format!("--advertise-client-urls={client}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster=e2e={peer}"),
            // The data need not survive the machine, only the process.
            "--unsafe-no-fsync".to_owned(),
            "--log-level=warn".to_owned(),
        ]
    }

    pub fn api_server_args(&self) -> Vec<String> {
        let path = |name: &str| self.folder.join(name).display().to_string();
        let key = self.key().display().to_string();
        let flags = vec![
            format!("--etcd-servers=http://127.0.0.1:{}", self.etcd_client),
            "--bind-address=127.0.0.1".to_owned(),
            "--advertise-address=127.0.0.1".to_owned(),
            // A loopback address is no valid endpoint of the `kubernetes` Service, and nobody uses that Service.
            "--endpoint-reconciler-type=none".to_owned(),
            format!("--secure-port={}", self.api_server),
            format!("--cert-dir={}", path("certificates")),
            format!("--token-auth-file={}", path("tokens.csv")),
            "--authorization-mode=RBAC".to_owned(),
            "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            format!("--service-account-key-file={key}"),
            format!("--service-account-signing-key-file={key}"),
            format!("--audit-policy-file={}", path("audit-policy.yaml")),
            format!("--audit-log-path={}", self.audit_log().display()),
            // Larger than any run writes: a rotated log would look as if nothing had happened before.
            "--audit-log-maxsize=4096".to_owned(),
            "--allow-privileged".to_owned(),
            // It finds a webhook by the endpoints of its Service: nothing here routes the addresses of Services.
            "--enable-aggregator-routing=true".to_owned(),
            // By these it proves itself to servers of other API groups, and says for whom it asks.
            format!("--requestheader-client-ca-file={}", path("front-proxy-ca.crt")),
            format!("--requestheader-allowed-names={FRONT_PROXY}"),
            "--requestheader-username-headers=X-Remote-User".to_owned(),
            "--requestheader-group-headers=X-Remote-Group".to_owned(),
            "--requestheader-extra-headers-prefix=X-Remote-Extra-".to_owned(),
            format!("--proxy-client-cert-file={}", path("front-proxy.crt")),
            format!("--proxy-client-key-file={}", path("front-proxy.key")),
        ];
        let webhook = self.audit_webhook();
        let webhook = webhook.exists().then(|| format!("--audit-webhook-config-file={}", webhook.display()));
        flags.into_iter().chain(webhook).chain(self.more_api_flags.iter().map(|flag| (*flag).to_owned())).collect()
    }

    /// `more` names controllers besides those that all tests need.
    pub fn controller_manager_args(&self, kubeconfig: &Path, more: &[&str]) -> Vec<String> {
        let controllers: Vec<&str> = std::iter::once(CONTROLLERS).chain(more.iter().copied()).collect();
        vec![
            format!("--kubeconfig={}", kubeconfig.display()),
            format!("--controllers={}", controllers.join(",")),
            format!("--service-account-private-key-file={}", self.key().display()),
            // Each with the rights of its own account, as in any cluster; the admin's would hide what a guard refuses.
            "--use-service-account-credentials=true".to_owned(),
            "--leader-elect=false".to_owned(),
            // It serves nothing that a test asks for.
            "--secure-port=0".to_owned(),
            "--kube-api-qps=1000".to_owned(),
            "--kube-api-burst=2000".to_owned(),
        ]
    }

    pub fn scheduler_args(&self, kubeconfig: &Path) -> Vec<String> {
        vec![
            format!("--kubeconfig={}", kubeconfig.display()),
            "--leader-elect=false".to_owned(),
            // It serves nothing that a test asks for.
            "--secure-port=0".to_owned(),
        ]
    }
}
