//! Which cluster and which user the flags, the kubeconfigs and the environment choose.
//!
//! It must not talk to anything: [`super`] makes the client of what is chosen here.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::Uri;
use hyper_util::client::proxy::matcher::Intercept;
use kube::Config;
use kube::config::{AuthInfo, Context, KubeConfigOptions, Kubeconfig, NamedAuthInfo, NamedCluster, NamedContext};
use secrecy::ExposeSecret;

use super::exec::ExecLogin;
use super::failure::{ReachError, bad_kubeconfig, reason};
use super::flags::Connection;
use super::login::LoginSource;
use super::oidc::OidcLogin;
use super::place::{ClusterPlace, LoginKind};
use super::proxy::{proxy_to, shown, variable};
use crate::runtime::token_end::end_of;

/// Where a pod finds its service account.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// What was chosen.
pub struct ChosenContext {
    /// The cluster, the certificates and whom to act as; the login is in `login`.
    pub config: Config,
    /// The login.
    pub login: LoginSource,
    /// The proxy in between.
    pub proxy: Option<Intercept>,
    /// All of it in words.
    pub place: ClusterPlace,
}

/// Chooses as kubectl does.
///
/// # Errors
/// When nothing is there to choose, or what is chosen cannot be used.
pub async fn choose(connection: &Connection) -> Result<ChosenContext, ReachError> {
    let (files, named) = files_of(connection);
    let (made, mut file) = match without_kubeconfig(connection, &files, named)? {
        Some((made, file)) => (Some(made), file),
        None => (None, read(&files, named)?),
    };
    let name = context_name(connection, &file, &files)?;
    let context = context_of(&file, &name, &files)?;
    lay_over(&mut file, &context, connection);
    let bad = |why: String| ReachError::BadContext { context: name.clone(), files: files.clone(), why };
    let user = context.user.clone().unwrap_or_default();
    let written = file.auth_infos.iter().find(|named| named.name == user).and_then(|named| named.auth_info.clone());
    let cluster = file.clusters.iter().find(|named| named.name == context.cluster);
    let cluster = cluster.and_then(|named| named.cluster.clone()).unwrap_or_default();
    let server = cluster.server.clone().filter(|server| !server.is_empty());
    let server: Uri = server
        .ok_or_else(|| bad("its cluster has no server".to_owned()))?
        .parse()
        .map_err(|error| bad(format!("the server of its cluster is no URL: {error}")))?;
    let proxy = proxy_to(&server, cluster.proxy_url.as_deref(), &variable)?;
    let options = KubeConfigOptions { context: Some(name.clone()), ..KubeConfigOptions::default() };
    let mut config = Config::from_custom_kubeconfig(file, &options).await.map_err(|error| bad(reason(&error)))?;
    // Where there is a proxy, the connections are made through it by `super::proxy`.
    config.proxy_url = None;
    let place = ClusterPlace {
        server: server.to_string().trim_end_matches('/').to_owned(),
        context: made.is_none().then_some(name),
        login: kind(connection, &written.unwrap_or_default(), &user),
        proxy: proxy.as_ref().map(shown),
        user,
    };
    let login = source(&mut config.auth_info, &place, &files);
    Ok(ChosenContext { config, login, proxy, place })
}

/// What makes a context where no kubeconfig has one.
#[derive(Clone, Copy, Debug)]
enum MadeContext {
    /// The service account of the pod.
    Pod,
    /// The flags of the command line.
    Flags,
}

impl MadeContext {
    /// What it is called in a sentence, and its cluster and user with it.
    fn name(self) -> &'static str {
        match self {
            Self::Pod => "in this pod",
            Self::Flags => "of the command line",
        }
    }

    fn of(self, cluster: kube::config::Cluster, user: AuthInfo, namespace: Option<String>) -> (Self, Kubeconfig) {
        let name = self.name().to_owned();
        let context = Context { cluster: name.clone(), user: Some(name.clone()), namespace, ..Context::default() };
        let clusters = NamedCluster { name: name.clone(), cluster: Some(cluster), ..NamedCluster::default() };
        let users = NamedAuthInfo { name: name.clone(), auth_info: Some(user), ..NamedAuthInfo::default() };
        let contexts = NamedContext { name: name.clone(), context: Some(context), ..NamedContext::default() };
        let file = Kubeconfig {
            clusters: vec![clusters],
            auth_infos: vec![users],
            contexts: vec![contexts],
            current_context: Some(name),
            ..Kubeconfig::default()
        };
        (self, file)
    }
}

/// The files of the kubeconfig, merged as kubectl does.
///
/// # Errors
/// When one cannot be read.
pub fn kubeconfig(connection: &Connection) -> Result<Kubeconfig, ReachError> {
    let (files, named) = files_of(connection);
    read(&files, named)
}

/// The files to read, and whether each must be there.
fn files_of(connection: &Connection) -> (Vec<PathBuf>, bool) {
    if let Some(path) = &connection.kubeconfig {
        // A colon may be part of a name.
        let several = !path.exists() && std::env::split_paths(path).count() > 1;
        return (if several { std::env::split_paths(path).collect() } else { vec![path.clone()] }, true);
    }
    let listed = std::env::var_os("KUBECONFIG").unwrap_or_default();
    let listed: Vec<PathBuf> = std::env::split_paths(&listed).filter(|path| !path.as_os_str().is_empty()).collect();
    if !listed.is_empty() {
        return (listed, false);
    }
    (std::env::home_dir().map(|home| home.join(".kube/config")).into_iter().collect(), false)
}

/// The files as one: whoever is first says it.
fn read(files: &[PathBuf], named: bool) -> Result<Kubeconfig, ReachError> {
    let mut there = files.iter().filter(|file| named || file.exists());
    there.try_fold(Kubeconfig::default(), |merged, file| {
        let read = Kubeconfig::read_from(file).map_err(|error| bad_kubeconfig(file, &error))?;
        merged.merge(read).map_err(|error| bad_kubeconfig(file, &error))
    })
}

/// Where no file says anything: the service account of the pod, or what the flags say.
fn without_kubeconfig(
    connection: &Connection,
    files: &[PathBuf],
    named: bool,
) -> Result<Option<(MadeContext, Kubeconfig)>, ReachError> {
    if named || connection.context.is_some() {
        return Ok(None);
    }
    let read = read(files, named)?;
    if !read.contexts.is_empty() || !read.clusters.is_empty() {
        return Ok(None);
    }
    let folder = Path::new(SERVICE_ACCOUNT);
    if let (Some(host), Some(port)) = (variable("KUBERNETES_SERVICE_HOST"), variable("KUBERNETES_SERVICE_PORT"))
        && folder.join("token").exists()
    {
        return pod(folder, &host, &port).map(Some);
    }
    if connection.server.is_none() {
        return Err(ReachError::NoKubeconfig(files.to_owned()));
    }
    Ok(Some(MadeContext::Flags.of(kube::config::Cluster::default(), AuthInfo::default(), None)))
}

fn pod(folder: &Path, host: &str, port: &str) -> Result<(MadeContext, Kubeconfig), ReachError> {
    let namespace = folder.join("namespace");
    let namespace = std::fs::read_to_string(&namespace)
        .map_err(|error| ReachError::Pod(format!("{}: {error}", namespace.display())))?;
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let cluster = kube::config::Cluster {
        server: Some(format!("https://{host}:{port}")),
        certificate_authority: Some(folder.join("ca.crt").display().to_string()),
        ..kube::config::Cluster::default()
    };
    let token_file = Some(folder.join("token").display().to_string());
    let user = AuthInfo { token_file, ..AuthInfo::default() };
    Ok(MadeContext::Pod.of(cluster, user, Some(namespace.trim().to_owned())))
}

fn context_name(connection: &Connection, file: &Kubeconfig, files: &[PathBuf]) -> Result<String, ReachError> {
    let name = connection.context.as_ref().or(file.current_context.as_ref()).filter(|name| !name.is_empty());
    name.cloned().ok_or_else(|| ReachError::NoCurrentContext {
        files: files.to_owned(),
        contexts: names(file.contexts.iter().map(|named| named.name.as_str())),
    })
}

/// The context of a name, whose cluster and user there are.
fn context_of(file: &Kubeconfig, name: &str, files: &[PathBuf]) -> Result<Context, ReachError> {
    let missing = |kind, name: &str, there: String| ReachError::NotInKubeconfig {
        kind,
        name: name.to_owned(),
        files: files.to_owned(),
        there,
    };
    let contexts = || names(file.contexts.iter().map(|named| named.name.as_str()));
    let found = file.contexts.iter().find(|named| named.name == name).and_then(|named| named.context.clone());
    let context = found.ok_or_else(|| missing("context", name, contexts()))?;
    if !file.clusters.iter().any(|named| named.name == context.cluster) {
        let there = names(file.clusters.iter().map(|named| named.name.as_str()));
        return Err(missing("cluster", &context.cluster, there));
    }
    let user = context.user.as_deref().filter(|user| !user.is_empty());
    if let Some(user) = user.filter(|user| !file.auth_infos.iter().any(|named| named.name == *user)) {
        return Err(missing("user", user, names(file.auth_infos.iter().map(|named| named.name.as_str()))));
    }
    Ok(context)
}

fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// The flags of the command line go over the context that is chosen.
fn lay_over(file: &mut Kubeconfig, context: &Context, connection: &Connection) {
    let user = context.user.clone().unwrap_or_default();
    for cluster in file.clusters.iter_mut().filter(|named| named.name == context.cluster) {
        lay_over_cluster(cluster.cluster.get_or_insert_default(), connection);
    }
    if !file.auth_infos.iter().any(|named| named.name == user) {
        file.auth_infos.push(NamedAuthInfo { name: user.clone(), ..NamedAuthInfo::default() });
        for named in file.contexts.iter_mut().filter_map(|named| named.context.as_mut()) {
            named.user.get_or_insert_default();
        }
    }
    for named in file.auth_infos.iter_mut().filter(|named| named.name == user) {
        lay_over_user(named.auth_info.get_or_insert_default(), connection);
    }
}

fn lay_over_cluster(cluster: &mut kube::config::Cluster, connection: &Connection) {
    if let Some(server) = &connection.server {
        // The name was that of the other server.
        (cluster.server, cluster.tls_server_name) = (Some(server.clone()), None);
    }
    if let Some(name) = &connection.tls_server_name {
        cluster.tls_server_name = Some(name.clone());
    }
    if connection.certificate_authority.is_some() || connection.insecure_skip_tls_verify {
        let authority = connection.certificate_authority.as_ref().map(|file| file.display().to_string());
        (cluster.certificate_authority, cluster.certificate_authority_data) = (authority, None);
        cluster.insecure_skip_tls_verify = Some(connection.insecure_skip_tls_verify);
    }
}

fn lay_over_user(user: &mut AuthInfo, connection: &Connection) {
    if let Some(token) = &connection.token {
        *user = AuthInfo { token: Some(token.clone().into()), ..AuthInfo::default() };
    }
    if let Some(name) = &connection.as_user {
        user.impersonate = Some(name.clone());
        user.impersonate_groups = Some(connection.as_group.clone()).filter(|groups| !groups.is_empty());
        user.impersonate_uid.clone_from(&connection.as_uid);
        user.impersonate_user_extra = None;
    }
}

/// What the login of a user is made of, in the order in which client-go looks.
fn kind(connection: &Connection, user: &AuthInfo, name: &str) -> LoginKind {
    let exec = |config: &kube::config::ExecConfig| {
        LoginKind::Exec(ExecLogin { user: name.to_owned(), config: config.clone() }.line())
    };
    if connection.token.is_some() {
        LoginKind::Flag
    } else if let Some(file) = &user.token_file {
        LoginKind::TokenFile(file.into())
    } else if let Some(token) = &user.token {
        LoginKind::Token(end_of(token.expose_secret()))
    } else if user.username.is_some() {
        LoginKind::Password
    } else if let Some(provider) = &user.auth_provider {
        LoginKind::Oidc(provider.config.get("idp-issuer-url").cloned().unwrap_or_else(|| provider.name.clone()))
    } else if let Some(config) = &user.exec {
        exec(config)
    } else if user.client_certificate.is_some() || user.client_certificate_data.is_some() {
        LoginKind::Certificate
    } else {
        LoginKind::Nothing
    }
}

/// Takes the login out of what is chosen, as far as it is one that each call carries.
fn source(auth: &mut AuthInfo, place: &ClusterPlace, files: &[PathBuf]) -> LoginSource {
    let (token, file) = (auth.token.take(), auth.token_file.take());
    let (provider, exec) = (auth.auth_provider.take(), auth.exec.take());
    let user = place.user.clone();
    match place.login {
        LoginKind::TokenFile(_) => file.map(|path| LoginSource::File { user, path: path.into() }),
        LoginKind::Token(_) | LoginKind::Flag => {
            token.map(|token| LoginSource::Fixed(format!("Bearer {}", token.expose_secret())))
        }
        LoginKind::Password => auth.username.take().map(|name| {
            let password = auth.password.take();
            let both = format!("{name}:{}", password.as_ref().map_or("", |password| password.expose_secret()));
            LoginSource::Fixed(format!("Basic {}", BASE64_STANDARD.encode(both)))
        }),
        LoginKind::Oidc(_) => provider.map(|provider| {
            let file = files.iter().find(|file| has_user(file, &user)).cloned();
            LoginSource::Oidc(OidcLogin { user, provider: provider.name, fields: provider.config, file })
        }),
        LoginKind::Exec(_) => exec.map(|config| LoginSource::Exec(Box::new(ExecLogin { user, config }))),
        LoginKind::Nothing | LoginKind::Certificate | LoginKind::Carried => None,
    }
    .unwrap_or(LoginSource::Connection)
}

fn has_user(file: &Path, user: &str) -> bool {
    let read = Kubeconfig::read_from(file);
    read.is_ok_and(|read| read.auth_infos.iter().any(|named| named.name == user))
}
