//! Owns a cluster whose people sign in to the page in its place in the cluster: an OpenID provider, an API server that trusts
//! it, and before each page an oauth2-proxy, as processes.
//!
//! Proxies, API server and pages are set as `examples/page` and the chart say, in places of this machine. In the place of the
//! gateway the proxy itself serves TLS.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::binaries::{self, Version};
use super::cluster::Cluster;
use super::control_plane::ControlPlane;
use super::https::Tls;
use super::page::{ClusterPage, VALUES};
use super::process::{Keeper, Process, private_folder};
use super::servers::{AUDIT_POLICY, free_ports};
use super::wait::eventually;

/// How long a server may take to answer.
const LIMIT: Duration = Duration::from_secs(60);
const EXAMPLE: &str = "examples/page";
/// The folder of the proxy's pod with its secrets.
const SECRETS: &str = "/etc/oauth2-proxy";
/// What clients prove themselves to the provider with.
const SECRET: &str = "the secret of a client";

/// Somebody whom the provider knows.
#[derive(Clone, Copy, Debug)]
pub struct Person {
    /// `sub` of their tokens.
    id: &'static str,
    pub email: &'static str,
    pub password: &'static str,
    pub groups: &'static [&'static str],
}

const fn person(
    id: &'static str,
    email: &'static str,
    password: &'static str,
    groups: &'static [&'static str],
) -> Person {
    Person { id, email, password, groups }
}

/// A developer.
pub const IDA: Person = person("5f1c", "ida@example.com", "ida's own", &["dev"]);
/// Approves.
pub const OTTO: Person = person("77ab", "otto@example.com", "otto's own", &["approvers"]);
/// A developer who signs out: at the provider that ends all that she is signed in to by the same client.
pub const KIM: Person = person("c03d", "kim@example.com", "kim's own", &["dev"]);
/// Likewise.
pub const LEA: Person = person("e9a4", "lea@example.com", "lea's own", &["dev"]);

/// How a page and the proxy before it are set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Site {
    /// As the example is, with tokens of ten minutes.
    Lasting,
    /// The same with tokens of six seconds, renewed when they are two seconds old.
    Short,
    /// Such tokens, and the proxy does not renew them: what it does when nothing is said.
    Stale,
    /// As `Short`, and the provider takes each refresh token once.
    Once,
    /// The proxy lets everybody through, and leaves alone what browsers say of themselves.
    Open,
    /// The API server takes no token of its client, as on a cluster that cannot be told to.
    Foreign,
}

impl Site {
    const ALL: [Self; 6] = [Self::Lasting, Self::Short, Self::Stale, Self::Once, Self::Open, Self::Foreign];

    /// The client of the provider that it is; the first is that of the example.
    fn client(self) -> &'static str {
        match self {
            Self::Lasting => "kubernetes",
            Self::Short => "short",
            Self::Stale => "stale",
            Self::Once => "once",
            Self::Open => "open",
            Self::Foreign => "foreign",
        }
    }

    fn token_seconds(self) -> u32 {
        if matches!(self, Self::Lasting | Self::Foreign) { 600 } else { 6 }
    }

    /// Flags in the place of those of the example, or beside them.
    fn flags(self) -> &'static [&'static str] {
        match self {
            Self::Lasting | Self::Foreign => &[],
            Self::Short | Self::Once => &["--cookie-refresh=2s"],
            Self::Stale => &["--cookie-refresh=0"],
            Self::Open => &["--skip-auth-route=.*", "--trusted-ip=127.0.0.1", "--skip-auth-strip-headers=false"],
        }
    }
}

/// A page with the proxy before it.
pub struct RunningSite {
    /// Host and port at which browsers reach it, over TLS.
    pub host: String,
    _proxy: Process,
    _page: ClusterPage,
}

/// A cluster whose people sign in.
pub struct SignInCluster {
    sites: Vec<RunningSite>,
    /// The provider, by its host and port.
    pub provider: String,
    /// Proves provider and proxies.
    pub tls: Tls,
    pub cluster: Cluster,
    _provider: Process,
    _keeper: Keeper,
}

impl SignInCluster {
    pub async fn start() -> Self {
        let files = SignInFiles::write();
        // Before the first server, or the death of this program in between would leave that one behind.
        let keeper = Keeper::start(&files.folder);
        let [port, ports @ ..] = free_ports::<7>();
        let provider = format!("127.0.0.1:{port}");
        let running = files.start_provider(&provider, ports);
        let tls = Tls::believing(&files.certificate);
        // First: an API server looks for it when it starts, and then not for ten seconds.
        until_answered(&tls, &provider, "/.well-known/openid-configuration").await;
        let flags = Vec::leak(vec![&*String::leak(files.trust(&provider))]);
        let control_plane = Arc::new(ControlPlane::start_with(AUDIT_POLICY, flags).await);
        let cluster = Cluster::on(control_plane.clone()).await;
        let mut sites = Vec::new();
        for (site, port) in Site::ALL.into_iter().zip(ports) {
            sites.push(files.start_site(site, port, &provider, &control_plane).await);
        }
        for site in &sites {
            until_answered(&tls, &site.host, "/ready").await;
        }
        Self { sites, provider, tls, cluster, _provider: running, _keeper: keeper }
    }

    pub fn site(&self, site: Site) -> &RunningSite {
        &self.sites[site as usize]
    }
}

/// The files that the servers read.
struct SignInFiles {
    folder: PathBuf,
    certificate: String,
}

impl SignInFiles {
    fn write() -> Self {
        let folder = private_folder("sign-in-");
        let names = ["127.0.0.1", "localhost"].map(str::to_owned);
        let own = rcgen::generate_simple_self_signed(names).expect("make a certificate");
        let certificate = own.cert.pem();
        for (name, text) in [
            ("tls.crt", certificate.as_str()),
            ("tls.key", &own.signing_key.serialize_pem()),
            ("client-secret", SECRET),
            ("cookie-secret", "0123456789abcdef0123456789abcdef"),
        ] {
            std::fs::write(folder.join(name), text).expect("write a file of a server");
        }
        Self { folder, certificate }
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// The provider, with a client for each site.
    fn start_provider(&self, host: &str, ports: [u16; 6]) -> Process {
        let client = |(site, port): (Site, u16)| {
            json!({
                "id": site.client(), "secret": SECRET, "redirects": [format!("https://localhost:{port}/oauth2/callback")],
                "tokenSeconds": site.token_seconds(), "refreshOnce": site == Site::Once
            })
        };
        let known =
            |who: Person| json!({ "id": who.id, "email": who.email, "password": who.password, "groups": who.groups });
        let people = [IDA, OTTO, KIM, LEA].map(known);
        let settings = json!({
            "issuer": format!("https://{host}"), "listen": host,
            "certificate": self.path("tls.crt"), "key": self.path("tls.key"),
            "clients": Site::ALL.into_iter().zip(ports).map(client).collect::<Vec<Value>>(),
            "people": people
        });
        let file = self.path("provider.json");
        std::fs::write(&file, settings.to_string()).expect("write the settings of the provider");
        Process::spawn(&self.folder, "provider", &binaries::of_sign_in("provider"), &[file], &[])
    }

    /// The API server's flag by which it trusts the provider: the file of the example, with this provider in it.
    fn trust(&self, provider: &str) -> String {
        let mut trust = example("authentication.yaml").remove(0);
        if Version::run().number() < 34 {
            trust["apiVersion"] = json!("apiserver.config.k8s.io/v1beta1");
        }
        let issuer = &mut trust["jwt"][0]["issuer"];
        issuer["url"] = json!(format!("https://{provider}"));
        issuer["certificateAuthority"] = json!(self.certificate);
        // Sites differ in how long their client's tokens are good.
        assert_eq!(issuer["audiences"], json!([Site::Lasting.client()]));
        let taken: Vec<&str> = Site::ALL.into_iter().filter(|site| *site != Site::Foreign).map(Site::client).collect();
        issuer["audiences"] = json!(taken);
        issuer["audienceMatchPolicy"] = json!("MatchAny");
        let file = self.path("authentication.json");
        std::fs::write(&file, trust.to_string()).expect("write whom the API server trusts");
        format!("--authentication-config={file}")
    }

    async fn start_site(&self, site: Site, port: u16, provider: &str, control_plane: &ControlPlane) -> RunningSite {
        let host = format!("localhost:{port}");
        let name = format!("page-{}", site.client());
        let values = [&VALUES[..], &["page.signOutPath=/oauth2/sign_out"]].concat();
        let page = ClusterPage::start(control_plane, &name, &values, &[&format!("--origin=https://{host}")]).await;
        let args = self.proxy_args(site, port, provider, page.port);
        let name = format!("proxy-{}", site.client());
        // It ends sessions at the provider as whoever the system trusts, and not as `--provider-ca-file` says.
        let env = [("SSL_CERT_FILE", &*self.path("tls.crt"))];
        let program = binaries::of_sign_in("oauth2-proxy");
        // Beside the control plane, with which logs are kept when a trial fails.
        let proxy = Process::spawn(control_plane.dir(), &name, &program, &args, &env);
        RunningSite { host, _proxy: proxy, _page: page }
    }

    /// The arguments of the example, with the places of this machine and what the site has of its own.
    fn proxy_args(&self, site: Site, port: u16, provider: &str, page: u16) -> Vec<String> {
        let deployment = example("oauth2-proxy.yaml").into_iter().find(|object| object["kind"] == "Deployment");
        let args = deployment.expect("a Deployment")["spec"]["template"]["spec"]["containers"][0]["args"].take();
        let args = args.as_array().expect("arguments").iter().map(|arg| arg.as_str().expect("a text").to_owned());
        let here = [
            "--http-address=".to_owned(),
            format!("--https-address=127.0.0.1:{port}"),
            format!("--tls-cert-file={}", self.path("tls.crt")),
            format!("--tls-key-file={}", self.path("tls.key")),
            format!("--oidc-issuer-url=https://{provider}"),
            format!("--provider-ca-file={}", self.path("tls.crt")),
            format!("--client-id={}", site.client()),
            format!("--redirect-url=https://localhost:{port}/oauth2/callback"),
            format!("--upstream=http://127.0.0.1:{page}/"),
        ];
        let own: Vec<String> = here.into_iter().chain(site.flags().iter().map(|flag| (*flag).to_owned())).collect();
        let name = |flag: &str| flag.split('=').next().map(str::to_owned);
        let kept = args.filter(|arg| !own.iter().any(|other| name(other) == name(arg)));
        let end_of_session = format!("https://{provider}/end_session");
        let kept = kept.map(|arg| arg.replace("https://idp.example.com/END_SESSION", &end_of_session));
        let kept: Vec<String> = kept.map(|arg| arg.replace(SECRETS, &self.folder.display().to_string())).collect();
        kept.into_iter().chain(own).collect()
    }
}

/// The documents of a file of the example.
fn example(name: &str) -> Vec<Value> {
    let path = binaries::repository().join(EXAMPLE).join(name);
    serde_saphyr::from_multiple(&std::fs::read_to_string(path).expect("read a file of the example")).expect("YAML")
}

/// Waits until a server answers a path with 200.
async fn until_answered(tls: &Tls, host: &str, path: &str) {
    let call = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    eventually(&format!("{host} answers"), LIMIT, async || {
        let answer = tls.exchange(host, &call).await.map_err(|error| error.to_string())?;
        if answer.split(' ').nth(1) == Some("200") { Ok(()) } else { Err(answer) }
    })
    .await;
}
