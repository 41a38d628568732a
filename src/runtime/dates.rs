//! Hears what time it is at the API server, from the `Date` of its answers. Changes none of them.

use http::header::DATE;
use http::{HeaderMap, Request, Response};
use k8s_openapi::jiff::Timestamp;
use k8s_openapi::jiff::fmt::rfc2822::DateTimeParser;
use kube::client::Body;
use tokio::time::Instant;
use tower::BoxError;

use super::judged_clock::{JudgedClock, Witness};
use super::layer::{Interceptor, ResponseFuture};

/// Has a clock hear the answers to a client's calls.
#[derive(Clone)]
pub struct Hearing(pub JudgedClock);

impl Interceptor for Hearing {
    fn intercept<B: 'static, F>(
        &self,
        request: Request<Body>,
        call: impl FnOnce(Request<Body>) -> F,
    ) -> ResponseFuture<B>
    where
        F: Future<Output = Result<Response<B>, BoxError>> + Send + 'static,
    {
        let (clock, sent, answer) = (self.0.clone(), Instant::now(), call(request));
        Box::pin(async move {
            let answer = answer.await;
            // Where there is no API server, a proxy answers in its own time.
            let success = answer.as_ref().ok().filter(|response| response.status().is_success());
            if let Some(stated) = success.and_then(|response| date(response.headers())) {
                clock.hear(Witness::Date, sent, stated);
            }
            answer
        })
    }
}

/// The time that an answer was given at; none when it says none, or nonsense.
pub fn date(headers: &HeaderMap) -> Option<Timestamp> {
    DateTimeParser::new().parse_timestamp(headers.get(DATE)?.as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::clock::Clock;
    use crate::runtime::judged_clock::ClockState;
    use crate::runtime::layer::With;
    use k8s_openapi::jiff::SignedDuration;
    use tower::{Layer, Service};

    const SAID: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    /// How a clock that is an hour ahead stands after an answer.
    async fn standing(code: u16, stated: Option<&'static str>) -> ClockState {
        let right: Timestamp = "1994-11-06T08:49:37Z".parse().unwrap();
        let clock = JudgedClock::new(Clock::at(right + SignedDuration::from_hours(1)));
        let server = tower::service_fn(|_: Request<Body>| async move {
            let answer = Response::builder().status(code);
            let answer = stated.into_iter().fold(answer, |answer, stated| answer.header(DATE, stated));
            answer.body(Body::empty()).map_err(BoxError::from)
        });
        With(Hearing(clock.clone())).layer(server).call(Request::new(Body::empty())).await.unwrap();
        clock.standing()
    }

    #[tokio::test(start_paused = true)]
    async fn the_date_of_a_success_is_heard_and_no_other() {
        assert_eq!(standing(200, Some(SAID)).await, ClockState::Ahead);
        assert_eq!(standing(201, Some(SAID)).await, ClockState::Ahead);
        for (code, stated) in
            [(200, None), (200, Some("tomorrow")), (200, Some("")), (503, Some(SAID)), (302, Some(SAID))]
        {
            assert_eq!(standing(code, stated).await, ClockState::Unheard, "{code} {stated:?}");
        }
    }
}
