//! Calls that somebody else makes, and that go to the cluster with a login that they do not have themselves.
//!
//! It must not judge such calls, nor change them: whoever takes them does.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use http::{Request, Response, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body as HttpBody, Bytes, Frame, SizeHint};
use k8s_openapi::jiff::Timestamp;
use kube::client::{Body, DynBody};
use tower::{BoxError, ServiceExt};

use super::connection::Unlayered;

/// Body of a call: whole, or as it comes.
pub struct CarriedBody {
    /// What can be sent once more.
    whole: Option<Bytes>,
    sent: UnsyncBoxBody<Bytes, BoxError>,
}

/// When the login ends that a call carried, in the extensions of its answer. Not there where nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoginEnd(pub Timestamp);

/// A way to the cluster for calls of others.
#[derive(Clone)]
pub struct CarriedCalls {
    // It may go from one thread to another, and not be seen from two.
    service: Arc<Mutex<Unlayered<CarriedBody>>>,
    /// URL of the API server.
    pub api_server: Uri,
    /// Whether each call is made as somebody else, as the kubeconfig or the command line says.
    pub impersonates: bool,
}

impl CarriedCalls {
    /// Of a service that carries the login.
    pub fn new(service: Unlayered<CarriedBody>, api_server: Uri, impersonates: bool) -> Self {
        Self { service: Arc::new(Mutex::new(service)), api_server, impersonates }
    }

    /// Sends one call. The login takes the place of what `Authorization` it has; nothing else of it is changed. An answer of
    /// 101 can be upgraded.
    ///
    /// # Errors
    /// When the API server cannot be reached, or there is no login any longer.
    pub async fn send(&self, call: Request<CarriedBody>) -> Result<Response<Box<DynBody>>, BoxError> {
        let service = self.service.lock().unwrap_or_else(PoisonError::into_inner).clone();
        service.oneshot(call).await
    }
}

/// A body that may be sent a second time.
pub trait RepeatableBody: Sized {
    /// The same body once more; none for one that comes only once.
    fn repeated(&self) -> Option<Self>;
}

impl RepeatableBody for Body {
    fn repeated(&self) -> Option<Self> {
        self.try_clone()
    }
}

impl RepeatableBody for CarriedBody {
    fn repeated(&self) -> Option<Self> {
        self.whole.clone().map(Self::from)
    }
}

impl From<Bytes> for CarriedBody {
    fn from(whole: Bytes) -> Self {
        let sent = Full::new(whole.clone()).map_err(|never| match never {}).boxed_unsync();
        Self { whole: Some(whole), sent }
    }
}

impl From<UnsyncBoxBody<Bytes, BoxError>> for CarriedBody {
    fn from(sent: UnsyncBoxBody<Bytes, BoxError>) -> Self {
        Self { whole: None, sent }
    }
}

impl HttpBody for CarriedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.sent).poll_frame(task)
    }

    fn is_end_stream(&self) -> bool {
        self.sent.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.sent.size_hint()
    }
}
