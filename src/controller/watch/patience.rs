//! How long a watch that fails waits before it is tried again, and what ends the waiting. Knows no kind.

use std::time::Duration;

use futures::{Stream, StreamExt, future, stream};
use kube::runtime::WatchStreamExt;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Event};

/// The same watch, which waits after each failure, longer each time, until something comes of it. That a list begins is
/// told with the first that comes of the list: by itself it would count as a success, before each failure anew.
pub fn patient<K: Send>(
    watch: impl Stream<Item = watcher::Result<Event<K>>> + Send,
) -> impl Stream<Item = watcher::Result<Event<K>>> + Send {
    let mut listing = false;
    let news = watch.filter(|event| future::ready(!matches!(event, Ok(Event::Init))));
    news.backoff(Patience::default()).flat_map(move |event| {
        let of_list = matches!(event, Ok(Event::InitApply(_) | Event::InitDone));
        let begins = of_list && !listing;
        listing = matches!(event, Ok(Event::InitApply(_)));
        stream::iter(begins.then_some(Ok(Event::Init)).into_iter().chain([event]))
    })
}

/// Waits between attempts: doubled from 200 ms to 5 s. The runtime's own go up to 30 s, which is long for somebody who
/// has just revoked access.
#[derive(Default)]
struct Patience(u32);

impl Iterator for Patience {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let wait = Duration::from_millis(200 << self.0);
        self.0 = (self.0 + 1).min(5);
        Some(wait.min(Duration::from_secs(5)))
    }
}

impl Backoff for Patience {
    fn reset(&mut self) {
        self.0 = 0;
    }
}

#[cfg(test)]
mod tests {
    use futures::pin_mut;
    use tokio::time::Instant;

    use super::*;

    type Said = watcher::Result<Event<&'static str>>;

    /// What comes out, each with the milliseconds that have passed since the start.
    async fn heard(said: impl IntoIterator<Item = Said, IntoIter: Send>) -> Vec<(u128, String)> {
        let start = Instant::now();
        let watch = patient(stream::iter(said));
        pin_mut!(watch);
        let mut heard = Vec::new();
        while let Some(event) = watch.next().await {
            let event = event.map_or_else(|_| "failure".to_owned(), |event| format!("{event:?}"));
            heard.push((start.elapsed().as_millis(), event));
        }
        heard
    }

    fn fails() -> Said {
        Err(watcher::Error::NoResourceVersion)
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_that_fails_is_tried_less_and_less_often() {
        let tries = (0..7).flat_map(|_| [Ok(Event::Init), fails()]);
        let times: Vec<u128> = heard(tries).await.into_iter().map(|(time, _)| time).collect();
        assert_eq!(times, [0, 200, 600, 1_400, 3_000, 6_200, 11_200]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_of_a_list_ends_the_waiting() {
        let said = [
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
        assert_eq!(heard(said).await, expected.map(|(time, event)| (time, event.to_owned())));
    }
}
