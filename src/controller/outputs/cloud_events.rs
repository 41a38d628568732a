//! Sends each record as a CloudEvent over HTTP, signed as Standard Webhooks say.
//!
//! Owns the queue and the calls: one at a time in the order of the records, again and again until the receiver takes it or
//! says that it never will. At least once while this process lives; it may come twice, under the same id. It must not follow
//! a redirect, since what is sent is meant for one place, and uses no proxy.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::uri::{PathAndQuery, Scheme};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use kube::Config;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tower::{BoxError, ServiceExt};
use tracing::{info, warn};

use crate::api::record::Record;
use crate::core::record::cloud_event::{self, CloudEvent, CloudEventData};
use crate::runtime::clock::Clock;
use crate::runtime::connection::{self, Unlayered};
use crate::runtime::metrics::{CloudEventOutcome, Metrics};
use crate::runtime::signature::{SecretFault, SigningSecrets};

/// How many events may wait. What goes over is dropped and counted.
const WAITING: usize = 8_192;
/// First wait after a failure; doubles each time.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// Longest wait after a failure.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long the receiver may take to answer.
const ANSWER: Duration = Duration::from_secs(10);
/// How much of an answer is read, in bytes.
const LONGEST_ANSWER: usize = 64 * 1024;

/// Where events go, and what they are.
#[derive(Clone, Debug)]
pub struct CloudEventSettings {
    /// The address that they are posted to.
    pub receiver: Uri,
    /// File with the secrets that sign. It may change.
    pub secrets: PathBuf,
    /// File with the authorities of the receiver's certificate, in PEM. None: those of the machine.
    pub authorities: Option<PathBuf>,
    /// What they have as data.
    pub data: CloudEventData,
}

/// Where records are put to be sent.
pub struct CloudEventQueue {
    queue: mpsc::Sender<WaitingEvent>,
    data: CloudEventData,
    metrics: Metrics,
    /// Whether it is known that events are dropped: what has been said is not said again.
    drops: Arc<AtomicBool>,
}

/// Sends events from a queue.
pub struct CloudEventSender {
    settings: CloudEventSettings,
    queue: mpsc::Receiver<WaitingEvent>,
    metrics: Metrics,
    drops: Arc<AtomicBool>,
    /// Made anew after a failure: the authorities may have changed.
    client: Option<Unlayered<Full<Bytes>>>,
    /// Why the last call failed, while it did.
    away: Option<String>,
}

struct WaitingEvent {
    id: String,
    body: String,
}

/// Why an event was not taken.
#[derive(Debug, thiserror::Error)]
enum SendError {
    #[error("cannot read {0}: {1}")]
    Unreadable(PathBuf, String),
    #[error("{0}: {1}")]
    Secret(PathBuf, SecretFault),
    #[error("{0} holds no certificate in PEM")]
    NoAuthority(PathBuf),
    #[error("cannot call it: {0}")]
    Call(String),
    #[error("it does not answer within {ANSWER:?}")]
    Silent,
    #[error("it answers {0}, and redirects are not followed: give the address where it leads to")]
    Redirected(StatusCode),
    #[error("it answers {0}")]
    Answered(StatusCode),
}

impl SendError {
    /// Whether the receiver will never take this event.
    fn is_final(&self) -> bool {
        matches!(self, Self::Answered(code) if matches!(code.as_u16(), 400 | 413 | 415 | 422))
    }
}

/// The address of a receiver.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub fn receiver(text: &str) -> Result<Uri, String> {
    let uri: Uri = text.parse().map_err(|error| format!("{error}"))?;
    if uri.scheme() != Some(&Scheme::HTTPS) && uri.scheme() != Some(&Scheme::HTTP) {
        return Err("it must be https://HOST/PATH, or http:// inside of the cluster".to_owned());
    }
    // They would be lost.
    let has_user = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
    if text.contains('#') || has_user {
        return Err("it must have no fragment and no user".to_owned());
    }
    Ok(uri)
}

impl CloudEventQueue {
    /// Has a record sent. Waits for nothing.
    pub fn push(&self, record: &Record) {
        let event = CloudEvent::of(record, self.data);
        let waiting = WaitingEvent { body: event.bytes(), id: event.id };
        if self.queue.try_send(waiting).is_err() {
            self.metrics.cloud_event(CloudEventOutcome::Dropped);
            if !self.drops.swap(true, Ordering::Relaxed) {
                warn!(
                    "CloudEvents are dropped, since {WAITING} wait already; the histories in status have all records"
                );
            }
        }
    }
}

impl CloudEventSender {
    /// A sender, and its queue.
    pub fn new(settings: CloudEventSettings, metrics: Metrics) -> (CloudEventQueue, Self) {
        let (sender, queue) = mpsc::channel(WAITING);
        let drops = Arc::new(AtomicBool::new(false));
        let data = settings.data;
        let waiting = CloudEventQueue { queue: sender, data, metrics: metrics.clone(), drops: drops.clone() };
        (waiting, Self { settings, queue, metrics, drops, client: None, away: None })
    }

    /// Sends until the last who could put something into the queue is gone and it is empty.
    pub async fn run(mut self) {
        while let Some(event) = self.queue.recv().await {
            self.deliver(&event).await;
            if self.queue.is_empty() {
                self.drops.store(false, Ordering::Relaxed);
            }
        }
    }

    async fn deliver(&mut self, event: &WaitingEvent) {
        let mut wait = FIRST_WAIT;
        loop {
            match self.send(event).await {
                Ok(()) => {
                    self.metrics.cloud_event(CloudEventOutcome::Delivered);
                    if self.away.take().is_some() {
                        info!("CloudEvents are taken again");
                    }
                    return;
                }
                Err(error) if error.is_final() => {
                    self.metrics.cloud_event(CloudEventOutcome::Refused);
                    warn!(id = event.id, %error, "the receiver refuses a CloudEvent, which is not sent again");
                    return;
                }
                Err(error) => self.failed(&error),
            }
            sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    fn failed(&mut self, error: &SendError) {
        self.metrics.cloud_event(CloudEventOutcome::Failed);
        self.client = None;
        let why = error.to_string();
        if self.away.as_ref() != Some(&why) {
            warn!("CloudEvents wait for their receiver: {why}");
            self.away = Some(why);
        }
    }

    async fn send(&mut self, event: &WaitingEvent) -> Result<(), SendError> {
        let path = self.settings.receiver.path_and_query().map_or("/", PathAndQuery::as_str);
        let sent_at = Clock::wall().now().as_second();
        let request = Request::post(path)
            .header(CONTENT_TYPE, cloud_event::CONTENT_TYPE)
            .header("webhook-id", &event.id)
            .header("webhook-timestamp", sent_at)
            .header("webhook-signature", self.secrets()?.sign(&event.id, sent_at, &event.body))
            .body(Full::from(event.body.clone()))
            .map_err(|error| SendError::Call(error.to_string()))?;
        let client = self.client()?;
        match timeout(ANSWER, exchange(client, request)).await {
            Ok(Ok(status)) if status.is_success() => Ok(()),
            Ok(Ok(status)) if status.is_redirection() => Err(SendError::Redirected(status)),
            Ok(Ok(status)) => Err(SendError::Answered(status)),
            Ok(Err(error)) => Err(SendError::Call(with_causes(error.as_ref()))),
            Err(_) => Err(SendError::Silent),
        }
    }

    fn secrets(&self) -> Result<SigningSecrets, SendError> {
        let path = &self.settings.secrets;
        let text = read(path)?;
        SigningSecrets::read(&String::from_utf8_lossy(&text)).map_err(|fault| SendError::Secret(path.clone(), fault))
    }

    fn client(&mut self) -> Result<Unlayered<Full<Bytes>>, SendError> {
        if let Some(client) = &self.client {
            return Ok(client.clone());
        }
        let receiver = self.settings.receiver.clone();
        let is_tls = receiver.scheme() == Some(&Scheme::HTTPS);
        let mut parts = receiver.into_parts();
        parts.path_and_query = Some(PathAndQuery::from_static("/"));
        let place = Uri::from_parts(parts).map_err(|error| SendError::Call(error.to_string()))?;
        let mut config = Config::new(place);
        config.connect_timeout = Some(CONNECT);
        config.root_cert = match &self.settings.authorities {
            Some(path) => Some(authorities(path)?),
            // Whoever needs no certificate shall not fail for want of authorities.
            None => (!is_tls).then(Vec::new),
        };
        let client = connection::over(&config, connection::tcp());
        let client = client.map_err(|error| SendError::Call(with_causes(&error)))?;
        Ok(self.client.insert(client).clone())
    }
}

async fn exchange(client: Unlayered<Full<Bytes>>, request: Request<Full<Bytes>>) -> Result<StatusCode, BoxError> {
    let (head, mut body) = client.oneshot(request).await?.into_parts();
    // Read, so that the connection serves the next call; what it says is nobody's business.
    let mut read = 0;
    while let Some(frame) = body.frame().await {
        read += frame?.data_ref().map_or(0, Bytes::len);
        if read > LONGEST_ANSWER {
            break;
        }
    }
    Ok(head.status)
}

fn read(path: &Path) -> Result<Vec<u8>, SendError> {
    std::fs::read(path).map_err(|error| SendError::Unreadable(path.to_owned(), error.to_string()))
}

fn authorities(path: &Path) -> Result<Vec<Vec<u8>>, SendError> {
    connection::authorities(&read(path)?).map_err(|_| SendError::NoAuthority(path.to_owned()))
}

/// An error with what it comes from: the outermost says little of a connection.
fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
