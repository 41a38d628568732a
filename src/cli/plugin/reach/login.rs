//! The login that each call carries: had once, renewed when it ends, had anew when the cluster no longer takes it.
//!
//! It must not judge what the API server answers beyond that; [`super::place`] has the words for it.

use std::path::PathBuf;
use std::sync::Arc;
use std::task::{Context, Poll};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures::future::BoxFuture;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, Response, StatusCode};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::config::AuthInfo;
use tokio::sync::Mutex;
use tower::{BoxError, Layer, Service, ServiceExt};

use super::exec::{ExecGiven, ExecLogin};
use super::failure::LoginFailure;
use super::oidc::OidcLogin;
use crate::runtime::carried::{LoginEnd, RepeatableBody};
use crate::runtime::clock::Clock;
use crate::runtime::token_end;

/// A token that ends so soon may have ended when it arrives.
const SOON: SignedDuration = SignedDuration::from_secs(10);
/// How long a token that was read from a file is good for: whoever writes the file may change it.
const FILE_IS_NEW: SignedDuration = SignedDuration::from_secs(60);

/// Where a login comes from.
#[derive(Clone, Debug, Default)]
pub enum LoginSource {
    /// From the connection, such as its client certificate, or from nowhere.
    #[default]
    Connection,
    /// A header from the kubeconfig or the command line.
    Fixed(String),
    /// From a file that somebody else writes.
    File {
        /// The user of the kubeconfig.
        user: String,
        /// The file.
        path: PathBuf,
    },
    /// From a program.
    Exec(Box<ExecLogin>),
    /// From an issuer.
    Oidc(OidcLogin),
}

/// A login that is renewed as calls are made.
#[derive(Clone)]
pub struct KubeLogin(Arc<Mutex<LoginState>>);

struct LoginState {
    source: LoginSource,
    /// The token that is carried, and until when it is good.
    had: Option<(HeaderValue, Timestamp)>,
}

impl KubeLogin {
    /// Has a login for the first time. A program may ask a person for it. A certificate that it gives is put into `auth`.
    ///
    /// # Errors
    /// When there is no login to be had.
    pub async fn first(source: LoginSource, auth: &mut AuthInfo) -> Result<Self, LoginFailure> {
        let mut state = LoginState { source, had: None };
        if let LoginSource::Exec(login) = &state.source {
            let given = run(login.clone()).await?;
            if let (Some(certificate), Some(key)) = (&given.client_certificate_data, &given.client_key_data) {
                auth.client_certificate_data = Some(BASE64_STANDARD.encode(certificate));
                auth.client_key_data = Some(BASE64_STANDARD.encode(key).into());
            }
            state.source = if given.token.is_none() { LoginSource::Connection } else { state.source };
            state.take(given)?;
        } else {
            state.header(Clock::wall().now()).await?;
        }
        Ok(Self(Arc::new(Mutex::new(state))))
    }
}

impl KubeLogin {
    /// What a call carries now, and when that ends.
    async fn carried(&self) -> Result<(Option<HeaderValue>, Option<LoginEnd>), LoginFailure> {
        let mut state = self.0.lock().await;
        let header = state.header(Clock::wall().now()).await?;
        Ok((header, state.end()))
    }
}

/// The answer, with the end of the login that its call carried.
fn until<B>(mut answer: Response<B>, end: Option<LoginEnd>) -> Response<B> {
    if let Some(end) = end {
        answer.extensions_mut().insert(end);
    }
    answer
}

/// Runs the program beside what else is done.
async fn run(login: Box<ExecLogin>) -> Result<ExecGiven, LoginFailure> {
    let (user, command) = (login.user.clone(), login.line());
    let ran = tokio::task::spawn_blocking(move || login.run()).await;
    ran.unwrap_or_else(|error| Err(LoginFailure::CommandFailed { user, command, why: error.to_string() }))
}

impl LoginState {
    /// What to send, if anything is.
    async fn header(&mut self, now: Timestamp) -> Result<Option<HeaderValue>, LoginFailure> {
        if let Some((header, end)) = &self.had
            && now + SOON < *end
        {
            return Ok(Some(header.clone()));
        }
        match &mut self.source {
            LoginSource::Connection => return Ok(None),
            LoginSource::Fixed(whole) => self.had = Some((sensitive("of the kubeconfig", whole)?, Timestamp::MAX)),
            LoginSource::File { user, path } => match std::fs::read_to_string(&*path) {
                Ok(token) => self.had = Some((bearer(user, token.trim())?, now + FILE_IS_NEW)),
                // Some remove the file once it was read.
                Err(_) if self.had.is_some() => {}
                Err(error) => {
                    let why = format!("tokenFile: {}: {error}", path.display());
                    return Err(LoginFailure::BadLogin { user: user.clone(), why });
                }
            },
            LoginSource::Exec(login) => {
                let given = run(login.clone()).await?;
                self.take(given)?;
            }
            LoginSource::Oidc(login) => {
                let token = match login.kept(now + SOON) {
                    Some(token) => token.to_owned(),
                    None => login.renew().await?,
                };
                let end = token_end::end_of(&token).unwrap_or(Timestamp::MAX);
                self.had = Some((bearer(&login.user, &token)?, end));
            }
        }
        Ok(self.had.as_ref().map(|(header, _)| header.clone()))
    }

    fn take(&mut self, given: ExecGiven) -> Result<(), LoginFailure> {
        let user = if let LoginSource::Exec(login) = &self.source { login.user.as_str() } else { "" };
        if let Some(token) = &given.token {
            self.had = Some((bearer(user, token)?, given.expiration_timestamp.unwrap_or(Timestamp::MAX)));
        }
        Ok(())
    }

    /// When the login that is carried ends, as far as it or the program that gave it says so.
    fn end(&self) -> Option<LoginEnd> {
        let (header, good_until) = self.had.as_ref()?;
        let said = Some(*good_until).filter(|end| matches!(self.source, LoginSource::Exec(_)) && *end < Timestamp::MAX);
        token_end::end_of_bearer(header).into_iter().chain(said).min().map(LoginEnd)
    }

    /// What to send where the cluster does not take what was sent, if that is something else.
    async fn anew(&mut self, sent: Option<&HeaderValue>, now: Timestamp) -> Result<Option<HeaderValue>, LoginFailure> {
        if !matches!(self.source, LoginSource::Exec(_) | LoginSource::File { .. }) {
            return Ok(None);
        }
        // Another call may have it already.
        if self.had.as_ref().map(|(header, _)| header) == sent {
            self.had = None;
        }
        Ok(self.header(now).await?.filter(|header| Some(header) != sent))
    }
}

/// The same call once more, if its body can be sent twice.
fn copied<R: RepeatableBody>(request: &Request<R>) -> Option<Request<R>> {
    let mut copy = Request::new(request.body().repeated()?);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    Some(copy)
}

fn bearer(user: &str, token: &str) -> Result<HeaderValue, LoginFailure> {
    sensitive(user, &format!("Bearer {token}"))
}

fn sensitive(user: &str, header: &str) -> Result<HeaderValue, LoginFailure> {
    let mut header = HeaderValue::try_from(header).map_err(|_| LoginFailure::BadLogin {
        user: user.to_owned(),
        why: "its token has characters that no token has".to_owned(),
    })?;
    header.set_sensitive(true);
    Ok(header)
}

impl<S> Layer<S> for KubeLogin {
    type Service = LoginCalls<S>;

    fn layer(&self, inner: S) -> LoginCalls<S> {
        LoginCalls { inner, login: self.clone() }
    }
}

/// A service whose calls carry a login.
#[derive(Clone)]
pub struct LoginCalls<S> {
    inner: S,
    login: KubeLogin,
}

impl<S, R, B> Service<Request<R>> for LoginCalls<S>
where
    R: RepeatableBody + Send + 'static,
    S: Service<Request<R>, Response = Response<B>, Error = BoxError> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Send + 'static,
{
    type Response = Response<B>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<B>, BoxError>>;

    fn poll_ready(&mut self, task: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(task)
    }

    fn call(&mut self, mut request: Request<R>) -> Self::Future {
        // The one that is ready makes the call, and the copy gets ready for the next one.
        let copy = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, copy);
        let login = self.login.clone();
        Box::pin(async move {
            let (header, end) = login.carried().await?;
            if let Some(header) = &header {
                request.headers_mut().insert(AUTHORIZATION, header.clone());
            }
            let (spare, now) = (copied(&request), Clock::wall().now());
            let answer = inner.call(request).await?;
            if answer.status() != StatusCode::UNAUTHORIZED {
                return Ok(until(answer, end));
            }
            // A login may end without having said when.
            let Some(anew) = login.0.lock().await.anew(header.as_ref(), now).await? else { return Ok(answer) };
            let Some(mut spare) = spare else { return Ok(answer) };
            spare.headers_mut().insert(AUTHORIZATION, anew);
            let answer = inner.ready().await?.call(spare).await?;
            let end = login.0.lock().await.end();
            Ok(until(answer, end))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::laws::fixtures::noon;

    fn of_file(path: &std::path::Path) -> LoginState {
        LoginState { source: LoginSource::File { user: "alice".to_owned(), path: path.to_owned() }, had: None }
    }

    fn words(header: Option<HeaderValue>) -> Option<String> {
        header.map(|header| header.to_str().unwrap().to_owned())
    }

    /// Whoever writes the file renews the token in it, and a command may wait for hours.
    #[tokio::test]
    async fn the_token_of_a_file_is_read_again_when_it_is_no_longer_new() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut login = of_file(file.path());
        for (token, after, sent) in [
            (Some("one"), 0, "Bearer one"),
            (Some("two"), 40, "Bearer one"),
            (Some("two"), 55, "Bearer two"),
            // Some remove the file once it was read.
            (None, 600, "Bearer two"),
        ] {
            match token {
                Some(token) => std::fs::write(file.path(), token).unwrap(),
                None => std::fs::remove_file(file.path()).unwrap(),
            }
            let header = login.header(noon() + SignedDuration::from_secs(after)).await.unwrap();
            assert_eq!(words(header).as_deref(), Some(sent), "after {after} s");
        }
    }

    #[tokio::test]
    async fn a_login_that_was_refused_is_had_anew_where_it_can_be_another() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "one").unwrap();
        let mut login = of_file(file.path());
        let sent = login.header(noon()).await.unwrap();
        assert_eq!(words(login.anew(sent.as_ref(), noon()).await.unwrap()), None, "it would be refused again");
        std::fs::write(file.path(), "two").unwrap();
        let anew = login.anew(sent.as_ref(), noon()).await.unwrap();
        assert_eq!(words(anew).as_deref(), Some("Bearer two"));
        // Another call was refused as well, with the token of before: it takes what is there by now.
        std::fs::write(file.path(), "three").unwrap();
        let anew = login.anew(sent.as_ref(), noon()).await.unwrap();
        assert_eq!(words(anew).as_deref(), Some("Bearer two"));
        let mut fixed = LoginState { source: LoginSource::Fixed("Bearer one".to_owned()), had: None };
        let sent = fixed.header(noon()).await.unwrap();
        assert_eq!(words(fixed.anew(sent.as_ref(), noon()).await.unwrap()), None);
    }
}
