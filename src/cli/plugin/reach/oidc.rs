//! Logins of an OIDC issuer that a kubeconfig keeps (`auth-provider: oidc`): the ID token, and a new one when it ends.
//!
//! A new ID token goes back into the kubeconfig, as with kubectl: many issuers take a refresh token only once.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Request, Uri};
use http_body_util::BodyExt;
use k8s_openapi::jiff::Timestamp;
use kube::Config;
use kube::client::{Body, ClientBuilder};
use kube::config::Kubeconfig;
use serde::Deserialize;
use serde_json::Value;

use super::failure::{LoginFailure, reason};
use super::proxy::{connections, proxy_to, variable};
use crate::runtime::token_end::end_of;

/// How long the issuer may take to be connected to, and to answer.
const ISSUER: std::time::Duration = std::time::Duration::from_secs(10);

/// A login of an issuer.
#[derive(Clone, Debug)]
pub struct OidcLogin {
    /// The user of the kubeconfig that it is for.
    pub user: String,
    /// Name of the provider; only `oidc` is known.
    pub provider: String,
    /// The fields of the provider: `idp-issuer-url`, `client-id`, `id-token` and so on.
    pub fields: HashMap<String, String>,
    /// The kubeconfig that the login is kept in.
    pub file: Option<PathBuf>,
}

/// What an issuer answers to who asks for a new token.
#[derive(Deserialize)]
struct OidcRenewed {
    id_token: Option<String>,
    refresh_token: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
}

impl OidcLogin {
    /// Who the login is from.
    pub fn issuer(&self) -> &str {
        self.field("idp-issuer-url").unwrap_or("an issuer that idp-issuer-url does not name")
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The ID token that is kept, if it is still good.
    pub fn kept(&self, now: Timestamp) -> Option<&str> {
        self.field("id-token").filter(|token| end_of(token).is_some_and(|end| now < end))
    }

    /// Asks the issuer for a new ID token, keeps it, and hands it over.
    ///
    /// # Errors
    /// When the session is over, or the issuer cannot be asked.
    pub async fn renew(&mut self) -> Result<String, LoginFailure> {
        if self.provider != "oidc" {
            let why = format!("auth-provider {} is none of kubectl's any longer: use an exec plugin", self.provider);
            return Err(LoginFailure::BadLogin { user: self.user.clone(), why });
        }
        let ended = match self.field("id-token").and_then(end_of) {
            Some(end) => format!("its ID token ended at {end}"),
            None => "it has no ID token that can be read".to_owned(),
        };
        let missing =
            ["idp-issuer-url", "client-id", "refresh-token"].into_iter().find(|name| self.field(name).is_none());
        if let Some(missing) = missing {
            return Err(self.over(format!("{ended}, and without {missing} no new one can be had")));
        }
        let renewed =
            tokio::time::timeout(ISSUER, self.ask()).await.map_err(|_| self.unheard("no answer in time"))??;
        let Some(token) = renewed.id_token else {
            let said = renewed.error_description.or(renewed.error).unwrap_or_else(|| "no ID token".to_owned());
            return Err(self.over(format!("{ended}, and the issuer gives no new one ({said})")));
        };
        self.fields.insert("id-token".to_owned(), token.clone());
        if let Some(next) = renewed.refresh_token {
            self.fields.insert("refresh-token".to_owned(), next);
        }
        self.keep()?;
        Ok(token)
    }

    async fn ask(&self) -> Result<OidcRenewed, LoginFailure> {
        let issuer = self.issuer().trim_end_matches('/');
        let about = format!("{issuer}/.well-known/openid-configuration");
        let about = self.call(&about, Request::builder(), String::new()).await?.1;
        let about: Value = serde_json::from_slice(&about).map_err(|error| self.unheard(error))?;
        let Some(endpoint) = about.get("token_endpoint").and_then(Value::as_str) else {
            return Err(self.unheard("its configuration names no token_endpoint"));
        };
        let (client, secret) = (self.field("client-id").unwrap_or_default(), self.field("client-secret"));
        let refresh = self.field("refresh-token").unwrap_or_default();
        let asks = form(&[("grant_type", "refresh_token"), ("refresh_token", refresh)]);
        let request = || Request::builder().method("POST").header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        let basic = format!("{}:{}", form_word(client), form_word(secret.unwrap_or_default()));
        let basic = request().header(AUTHORIZATION, format!("Basic {}", BASE64_STANDARD.encode(basic)));
        let in_body = [("client_id", client)].into_iter().chain(secret.map(|secret| ("client_secret", secret)));
        let in_body = format!("{asks}&{}", form(&in_body.collect::<Vec<_>>()));
        let (status, answer) = match secret {
            Some(_) => self.call(endpoint, basic, asks).await?,
            // A public client has nothing to prove, and says only which it is.
            None => self.call(endpoint, request(), in_body.clone()).await?,
        };
        // Issuers read the client's secret in the header or in the body; which one, few configurations tell.
        let refused = secret.is_some() && [400, 401].contains(&status) && !is_over(&answer);
        let answer = if refused { self.call(endpoint, request(), in_body).await?.1 } else { answer };
        serde_json::from_slice(&answer).map_err(|error| self.unheard(error))
    }

    async fn call(
        &self,
        url: &str,
        request: http::request::Builder,
        body: String,
    ) -> Result<(u16, Vec<u8>), LoginFailure> {
        let uri: Uri = url.parse().map_err(|error| self.unheard(error))?;
        let whole = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let base = Uri::builder()
            .scheme(uri.scheme_str().unwrap_or("https"))
            .authority(uri.authority().map_or("", |authority| authority.as_str()))
            .path_and_query("/");
        let mut config = Config::new(base.build().map_err(|error| self.unheard(error))?);
        config.root_cert = self.authority()?;
        config.connect_timeout = Some(ISSUER);
        let proxy = proxy_to(&uri, None, &variable).map_err(|error| self.unheard(error))?;
        let service = connections(&config, proxy.as_ref()).map_err(|error| self.unheard(reason(&error)))?;
        let client = ClientBuilder::new(service, String::new()).build();
        let request = request.uri(whole).body(Body::from(body.into_bytes())).map_err(|error| self.unheard(error))?;
        let answer = client.send(request).await.map_err(|error| self.unheard(reason(&error)))?;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.map_err(|error| self.unheard(reason(&error)))?;
        Ok((status, body.to_bytes().to_vec()))
    }

    /// The certificates that prove the issuer; none for those of the machine.
    fn authority(&self) -> Result<Option<Vec<Vec<u8>>>, LoginFailure> {
        let pem = match (self.field("idp-certificate-authority-data"), self.field("idp-certificate-authority")) {
            (Some(data), _) => BASE64_STANDARD.decode(data).map_err(|error| {
                let why = format!("idp-certificate-authority-data is not in base64: {error}");
                LoginFailure::BadLogin { user: self.user.clone(), why }
            })?,
            (None, Some(file)) => {
                let folder = self.file.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
                std::fs::read(folder.join(file)).map_err(|error| LoginFailure::BadLogin {
                    user: self.user.clone(),
                    why: format!("idp-certificate-authority: {file}: {error}"),
                })?
            }
            (None, None) => return Ok(None),
        };
        use rustls::pki_types::CertificateDer;
        use rustls::pki_types::pem::PemObject;
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        let certificates = certificates.map_err(|error| LoginFailure::BadLogin {
            user: self.user.clone(),
            why: format!("the certificates of idp-certificate-authority cannot be read: {error}"),
        })?;
        Ok(Some(certificates.into_iter().map(|certificate| certificate.to_vec()).collect()))
    }

    /// Writes the fields back into the kubeconfig.
    fn keep(&self) -> Result<(), LoginFailure> {
        let Some(file) = &self.file else { return Ok(()) };
        write_back(file, &self.user, &self.fields).map_err(|error| LoginFailure::BadLogin {
            user: self.user.clone(),
            why: format!("the new ID token cannot be written to {}: {error}", file.display()),
        })
    }

    fn over(&self, why: String) -> LoginFailure {
        LoginFailure::SessionOver { user: self.user.clone(), issuer: self.issuer().to_owned(), why }
    }

    fn unheard(&self, why: impl ToString) -> LoginFailure {
        LoginFailure::NoIssuer { user: self.user.clone(), issuer: self.issuer().to_owned(), why: why.to_string() }
    }
}

/// Whether the issuer says that the session is over (RFC 6749, section 5.2).
fn is_over(answer: &[u8]) -> bool {
    serde_json::from_slice::<OidcRenewed>(answer).is_ok_and(|answer| answer.error.as_deref() == Some("invalid_grant"))
}

/// Puts the fields of a user's login into a kubeconfig, which is never half written.
fn write_back(file: &Path, user: &str, fields: &HashMap<String, String>) -> Result<(), String> {
    let said = |error: std::io::Error| error.to_string();
    let text = std::fs::read_to_string(file).map_err(said)?;
    // Not as it was read for use: there, paths are made absolute.
    let mut kubeconfig = Kubeconfig::from_yaml(&text).map_err(|error| error.to_string())?;
    let provider = kubeconfig.auth_infos.iter_mut().filter(|named| named.name == user);
    let provider = provider.filter_map(|named| named.auth_info.as_mut()?.auth_provider.as_mut()).next();
    provider.ok_or("the user is not in it any longer")?.config.clone_from(fields);
    let text = serde_saphyr::to_string(&kubeconfig).map_err(|error| error.to_string())?;
    // Where a link leads, so that the link stays one.
    let file = std::fs::canonicalize(file).map_err(said)?;
    let draft = file.with_extension(format!("daypass-{}", std::process::id()));
    std::fs::copy(&file, &draft).map_err(said)?;
    let written = std::fs::write(&draft, text).and_then(|()| std::fs::rename(&draft, &file));
    written.inspect_err(|_| drop(std::fs::remove_file(&draft))).map_err(said)
}

/// Pairs as a form has them.
fn form(pairs: &[(&str, &str)]) -> String {
    let pairs = pairs.iter().map(|(name, value)| format!("{name}={}", form_word(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// A word as a form has it (RFC 6749, appendix B).
fn form_word(word: &str) -> String {
    let escaped = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => char::from(byte).to_string(),
        b' ' => "+".to_owned(),
        _ => format!("%{byte:02X}"),
    };
    word.bytes().map(escaped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_has_no_word_that_means_something_else() {
        assert_eq!(form(&[("a", "b c"), ("d", "e&f=g+h/\u{fc}")]), "a=b+c&d=e%26f%3Dg%2Bh%2F%C3%BC");
    }

    #[test]
    fn only_the_login_of_the_user_changes_in_the_kubeconfig() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config");
        let text = "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: []\nmine: kept\n\
             clusters: [{name: c, cluster: {server: 'https://a:1', certificate-authority: ca.crt}}]\n\
             users:\n- {name: alice, user: {auth-provider: {name: oidc, config: {id-token: old, client-id: k}}}}\n\
             - {name: bob, user: {token: t, odd: kept}}\n";
        std::fs::write(&file, text).unwrap();
        let fields = HashMap::from([("id-token".to_owned(), "new".to_owned())]);
        write_back(&file, "alice", &fields).unwrap();
        let read = |text: &str| serde_saphyr::from_str::<Value>(text).unwrap();
        let mut expected = read(text);
        expected["users"][0]["user"]["auth-provider"]["config"] = serde_json::json!({ "id-token": "new" });
        assert_eq!(read(&std::fs::read_to_string(&file).unwrap()), expected);
        assert!(write_back(&file, "carol", &fields).is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
