//! Owns the sending of Events, beside the passes that make them. Decides nothing, and delays no pass.

use std::time::Duration;

use futures::{StreamExt, stream};
use k8s_openapi::api::events::v1::Event;
use kube::api::PostParams;
use kube::core::Status;
use kube::{Api, Client};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tracing::warn;

/// How many Events may wait to be sent. What goes over is dropped and logged.
const WAITING: usize = 20_000;
/// How many Events are sent at a time: few, so that in a burst what is decided and granted goes before what is told.
const CONCURRENT: usize = 2;
/// First wait after a failure; doubles each time.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// Longest wait after a failure.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// How long after it was announced an Event is still tried again. Counted from there and not from the first try, so
/// that where no Event can be stored each is tried once more and the queue goes on.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where Events are put to be sent.
#[derive(Clone)]
pub struct EventQueue(mpsc::Sender<Announced>);

/// Sends Events from a queue.
pub struct Announcer {
    client: Client,
    queue: mpsc::Receiver<Announced>,
}

struct Announced {
    event: Event,
    at: Instant,
}

impl EventQueue {
    /// Has an Event sent.
    pub fn push(&self, event: Event) {
        if let Err(error) = self.0.try_send(Announced { event, at: Instant::now() }) {
            warn!(%error, "an Event is dropped; the record in status has it");
        }
    }
}

impl Announcer {
    /// An announcer, and its queue.
    pub fn new(client: Client) -> (EventQueue, Self) {
        let (sender, queue) = mpsc::channel(WAITING);
        (EventQueue(sender), Self { client, queue })
    }

    /// Sends Events until the last who could announce is gone and the queue is empty.
    pub async fn run(mut self) {
        let client = &self.client;
        stream::poll_fn(|task| self.queue.poll_recv(task))
            .for_each_concurrent(CONCURRENT, |announced| async move {
                let Announced { event, at } = announced;
                if let Err(error) = send(client, &event, at + PATIENCE).await {
                    let namespace = event.metadata.namespace;
                    let about = event.regarding.unwrap_or_default();
                    let (name, uid, reason) = (about.name, about.uid, event.reason);
                    warn!(%error, namespace, name, uid, reason, "cannot send an Event; the record in status has it");
                }
            })
            .await;
    }
}

/// Sends an Event, again if need be until a time. Its name is fixed: one that is there was sent before.
async fn send(client: &Client, event: &Event, until: Instant) -> kube::Result<()> {
    let namespace = event.metadata.namespace.as_deref().unwrap_or_default();
    let api: Api<Event> = Api::namespaced(client.clone(), namespace);
    let mut wait = FIRST_WAIT;
    loop {
        match api.create(&PostParams::default(), event).await {
            Ok(_) => return Ok(()),
            Err(kube::Error::Api(status)) if status.is_already_exists() => return Ok(()),
            Err(kube::Error::Api(status)) if is_final(&status) => return Err(kube::Error::Api(status)),
            Err(error) if Instant::now() + wait > until => return Err(error),
            Err(_) => sleep(wait).await,
        }
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// Whether the same Event would be refused again.
fn is_final(status: &Status) -> bool {
    matches!(status.code, 400 | 403 | 404 | 409 | 413 | 422)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use http::{Request, Response};
    use kube::client::Body;
    use tower::{BoxError, service_fn};

    use super::*;

    /// Has one Event sent by an announcer that then ends, through a server that answers with these codes, none at all
    /// for a 0, and with the last one for ever. When it was asked, in milliseconds.
    async fn asked(codes: &'static [u16]) -> Vec<u128> {
        let begin = Instant::now();
        let times = Arc::new(Mutex::new(Vec::new()));
        let seen = times.clone();
        let server = service_fn(move |_: Request<Body>| {
            let mut seen = seen.lock().unwrap();
            let code = codes[seen.len().min(codes.len() - 1)];
            seen.push(begin.elapsed().as_millis());
            let answer = match code {
                0 => Err(BoxError::from("no answer")),
                201 => Ok((201, r#"{"metadata":{},"eventTime":null}"#.to_owned())),
                code => {
                    let reason = if code == 409 { "AlreadyExists" } else { "" };
                    let status = Status::failure("no", reason).with_code(code);
                    Ok((code, serde_json::to_string(&status).unwrap()))
                }
            };
            let answer = answer
                .map(|(code, body)| Response::builder().status(code).body(Body::from(body.into_bytes())).unwrap());
            futures::future::ready(answer)
        });
        let (queue, announcer) = Announcer::new(Client::new(server, "default"));
        queue.push(Event::default());
        drop(queue);
        announcer.run().await;
        std::mem::take(&mut *times.lock().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_stored_is_sent_once() {
        assert_eq!(asked(&[201]).await, [0]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_not_stored_is_sent_again() {
        assert_eq!(asked(&[0, 503, 500, 429, 401, 201]).await, [0, 200, 600, 1_400, 2_400, 3_400]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_there_already_was_sent() {
        assert_eq!(asked(&[0, 409]).await, [0, 200]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_refused_is_not_sent_again() {
        for code in [&[400], &[403], &[404], &[413], &[422]] {
            assert_eq!(asked(code).await, [0], "{code:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_tries_for_more_than_a_minute() {
        let times = asked(&[503]).await;
        assert_eq!(times.last(), Some(&59_400), "{times:?}");
    }
}
