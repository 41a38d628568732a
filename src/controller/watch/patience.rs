//! How long a watch that fails waits before it is tried again, and what ends the waiting. Knows no kind.

use std::time::Duration;

use futures::{Stream, StreamExt, future, stream};
use kube::runtime::watcher::{self, Event};
use tokio::time::sleep;

/// First wait after a failure; doubles each time.
const FIRST: Duration = Duration::from_millis(200);
/// Longest wait while the API server does not answer, or fails itself: what has ended meanwhile waits for its return.
const LONGEST: Duration = Duration::from_millis(500);
/// Longest wait for a right that is missing, which somebody must give first.
const LONGEST_REFUSED: Duration = Duration::from_secs(5);

/// How long after its start a process takes what the API server does not know for a part of an install that is under way:
/// a kind is served, and its objects can be tried, some seconds after its definition was made.
pub const SETTLING: Duration = Duration::from_secs(20);

/// The same watch, which waits after each failure, longer each time, until something comes of it. That a list begins is
/// told with the first that comes of the list: by itself it would count as a success, before each failure anew.
pub fn patient<K: Send>(
    watch: impl Stream<Item = watcher::Result<Event<K>>> + Send,
) -> impl Stream<Item = watcher::Result<Event<K>>> + Send {
    let news = watch.filter(|event| future::ready(!matches!(event, Ok(Event::Init))));
    let news = stream::unfold((Box::pin(news), WatchFailures::default()), |(mut news, failures)| async move {
        if let Some(wait) = failures.wait() {
            sleep(wait).await;
        }
        let event = news.next().await?;
        let failures = event.as_ref().map_or_else(|error| failures.and(error), |_| WatchFailures::default());
        Some((event, (news, failures)))
    });
    let mut listing = false;
    news.flat_map(move |event| {
        let of_list = matches!(event, Ok(Event::InitApply(_) | Event::InitDone));
        let begins = of_list && !listing;
        listing = matches!(event, Ok(Event::InitApply(_)));
        stream::iter(begins.then_some(Ok(Event::Init)).into_iter().chain([event]))
    })
}

/// Whether the API server does not serve the kind.
pub fn is_unknown(error: &watcher::Error) -> bool {
    code(error) == Some(404)
}

/// Whether the API server does not serve the kind, or asks to come again: it does so while it makes the storage of a kind.
pub fn is_not_yet(error: &watcher::Error) -> bool {
    matches!(code(error), Some(404 | 429))
}

/// With which code the API server refused to list or to watch.
fn code(error: &watcher::Error) -> Option<u16> {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status)) => Some(status.code),
        _ => None,
    }
}

/// Whether the API server refused to list or to watch, rather than failed to.
pub fn is_refusal(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error) => {
            matches!(error, kube::Error::Api(status) if status.is_forbidden())
        }
        _ => false,
    }
}

/// Failures of one sort in a row. An API server that was away and then refuses may only not know its roles yet, so the
/// wait for a right begins with the first refusal.
#[derive(Clone, Copy, Default)]
struct WatchFailures {
    refused: bool,
    in_a_row: u32,
}

impl WatchFailures {
    /// These, and one more.
    fn and(self, error: &watcher::Error) -> Self {
        let refused = is_refusal(error);
        Self { refused, in_a_row: if refused == self.refused { self.in_a_row.saturating_add(1) } else { 1 } }
    }

    /// How long to wait after them.
    fn wait(self) -> Option<Duration> {
        let longest = if self.refused { LONGEST_REFUSED } else { LONGEST };
        let before = self.in_a_row.checked_sub(1)?;
        Some(FIRST.saturating_mul(1 << before.min(5)).min(longest))
    }
}

#[cfg(test)]
mod tests {
    use futures::pin_mut;
    use kube::core::Status;
    use tokio::time::Instant;

    use super::*;

    type WatchResult = watcher::Result<Event<&'static str>>;

    /// What comes out, each with the milliseconds that have passed since the start.
    async fn heard(answer: impl IntoIterator<Item = WatchResult, IntoIter: Send>) -> Vec<(u128, String)> {
        let start = Instant::now();
        let watch = patient(stream::iter(answer));
        pin_mut!(watch);
        let mut heard = Vec::new();
        while let Some(event) = watch.next().await {
            let event = event.map_or_else(|_| "failure".to_owned(), |event| format!("{event:?}"));
            heard.push((start.elapsed().as_millis(), event));
        }
        heard
    }

    fn fails() -> WatchResult {
        Err(watcher::Error::NoResourceVersion)
    }

    fn is_refused() -> WatchResult {
        let status = Status::failure("no", "Forbidden").with_code(403);
        Err(watcher::Error::InitialListFailed(kube::Error::Api(status.boxed())))
    }

    /// When each of seven lists failed so.
    async fn tried(failure: fn() -> WatchResult) -> Vec<u128> {
        let tries = (0..7).flat_map(|_| [Ok(Event::Init), failure()]);
        heard(tries).await.into_iter().map(|(time, _)| time).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_refused_is_tried_less_and_less_often() {
        assert_eq!(tried(is_refused).await, [0, 200, 600, 1_400, 3_000, 6_200, 11_200]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_api_server_that_is_away_is_tried_twice_a_second() {
        assert_eq!(tried(fails).await, [0, 200, 600, 1_100, 1_600, 2_100, 2_600]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_wait_for_a_right_begins_with_the_first_refusal() {
        let answer = [[Ok(Event::Init), fails()], [Ok(Event::Init), fails()], [Ok(Event::Init), fails()]];
        let refused = [[Ok(Event::Init), is_refused()], [Ok(Event::Init), is_refused()], [Ok(Event::Init), fails()]];
        let tries: Vec<u128> =
            heard(answer.into_iter().chain(refused).flatten()).await.into_iter().map(|h| h.0).collect();
        assert_eq!(tries, [0, 200, 600, 1_100, 1_300, 1_700]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_of_a_list_ends_the_waiting() {
        let answer = [
            Ok(Event::Init),
            fails(),
            Ok(Event::Init),
            fails(),
            Ok(Event::Init),
            Ok(Event::InitApply("a")),
            fails(),
            Ok(Event::Init),
            Ok(Event::InitApply("a")),
            Ok(Event::InitApply("b")),
            Ok(Event::InitDone),
            Ok(Event::Apply("c")),
            fails(),
            Ok(Event::Init),
            Ok(Event::InitDone),
        ];
        let expected = [
            (0, "failure"),
            (200, "failure"),
            (600, "Init"),
            (600, "InitApply(\"a\")"),
            (600, "failure"),
            (800, "Init"),
            (800, "InitApply(\"a\")"),
            (800, "InitApply(\"b\")"),
            (800, "InitDone"),
            (800, "Apply(\"c\")"),
            (800, "failure"),
            (1_000, "Init"),
            (1_000, "InitDone"),
        ];
        assert_eq!(heard(answer).await, expected.map(|(time, event)| (time, event.to_owned())));
    }
}
