//! A tower layer around each call of a client, for all that count, time, trace or hold back calls.
//!
//! It must not know what its interceptors do.

use std::task::{self, Poll};

use futures::future::BoxFuture;
use http::{Request, Response};
use kube::client::Body;
use tower::{BoxError, Layer, Service};

/// The future of a call's response.
pub type ResponseFuture<B> = BoxFuture<'static, Result<Response<B>, BoxError>>;

/// Is done around each call.
pub trait Interceptor: Clone {
    /// Answers a request, by `call` or without it.
    fn intercept<B: 'static, F>(
        &self,
        request: Request<Body>,
        call: impl FnOnce(Request<Body>) -> F,
    ) -> ResponseFuture<B>
    where
        F: Future<Output = Result<Response<B>, BoxError>> + Send + 'static;
}

/// Has this done around the calls of a client.
#[derive(Clone)]
pub struct With<A>(pub A);

impl<S, A: Interceptor> Layer<S> for With<A> {
    type Service = Calls<S, A>;

    fn layer(&self, inner: S) -> Calls<S, A> {
        Calls { inner, intercept: self.0.clone() }
    }
}

/// A client's service with something around its calls.
#[derive(Clone)]
pub struct Calls<S, A> {
    inner: S,
    intercept: A,
}

impl<S, B, A> Service<Request<Body>> for Calls<S, A>
where
    S: Service<Request<Body>, Response = Response<B>, Error = BoxError>,
    S::Future: Send + 'static,
    B: 'static,
    A: Interceptor,
{
    type Response = Response<B>;
    type Error = BoxError;
    type Future = ResponseFuture<B>;

    fn poll_ready(&mut self, task: &mut task::Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(task)
    }

    fn call(&mut self, request: Request<Body>) -> ResponseFuture<B> {
        self.intercept.intercept(request, |request| self.inner.call(request))
    }
}
