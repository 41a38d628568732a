//! Counts the calls of a client as they come back. Changes none of them.

use http::{Method, Request, Response};
use kube::client::Body;
use tower::BoxError;

use super::layer::{Interceptor, ResponseFuture};
use super::metrics::Metrics;

/// Has a client's calls counted.
#[derive(Clone)]
pub struct Counting(pub Metrics);

impl Interceptor for Counting {
    fn intercept<B: 'static, F>(
        &self,
        request: Request<Body>,
        call: impl FnOnce(Request<Body>) -> F,
    ) -> ResponseFuture<B>
    where
        F: Future<Output = Result<Response<B>, BoxError>> + Send + 'static,
    {
        let (verb, metrics, answer) = (verb(&request), self.0.clone(), call(request));
        Box::pin(async move {
            let answer = answer.await;
            metrics.called(verb, answer.as_ref().ok().map(|response| response.status().as_u16()));
            answer
        })
    }
}

/// What a call does, as RBAC calls it; but to read one object or all of a kind is the same here.
fn verb<B>(request: &Request<B>) -> &'static str {
    match *request.method() {
        Method::GET if is_watch(request.uri().query().unwrap_or_default()) => "watch",
        Method::GET => "get",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "other",
    }
}

fn is_watch(query: &str) -> bool {
    query.split('&').any(|pair| matches!(pair, "watch=true" | "watch=1"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::layer::With;
    use tower::{Layer, Service};

    #[tokio::test]
    async fn every_call_is_counted_by_verb_and_status() {
        let metrics = Metrics::default();
        let server = tower::service_fn(|request: Request<Body>| async move {
            match *request.method() {
                Method::DELETE => Err(BoxError::from("no line")),
                Method::PATCH => Ok(Response::builder().status(409).body(())?),
                _ => Ok(Response::new(())),
            }
        });
        let mut client = With(Counting(metrics.clone())).layer(server);
        for (method, uri) in [
            (Method::GET, "/pods"),
            (Method::GET, "/pods?limit=1&watch=true"),
            (Method::GET, "/pods?labelSelector=watch"),
            (Method::PATCH, "/pods/a"),
            (Method::DELETE, "/pods/a"),
        ] {
            let request = Request::builder().method(method).uri(uri).body(Body::empty()).unwrap();
            let _ = client.call(request).await;
        }
        let text = metrics.text().unwrap();
        let mut counted: Vec<&str> = text.lines().filter(|line| line.starts_with("daypass_api_calls_total")).collect();
        counted.sort_unstable();
        let expected = [
            r#"daypass_api_calls_total{verb="delete",code="none"} 1"#,
            r#"daypass_api_calls_total{verb="get",code="200"} 2"#,
            r#"daypass_api_calls_total{verb="patch",code="409"} 1"#,
            r#"daypass_api_calls_total{verb="watch",code="200"} 1"#,
        ];
        assert_eq!(counted, expected);
    }
}
