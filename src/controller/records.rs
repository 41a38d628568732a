//! Prints the record of each transition that this process stores: one JSON line on standard output, beside the passes. Other
//! outputs get it too, and before, so that none waits for who reads the lines. Lines of other schemas go to standard output alone.
//!
//! Owns that queue, and the UID by which records tell clusters apart. Decides nothing and delays no pass. A reader of standard
//! output that stands still, or a process that is killed, costs lines; the histories of the requests have them all.

use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::jiff::Timestamp;
use kube::api::ListParams;
use kube::{Api, Client};
use tokio::io::{AsyncWriteExt, stdout};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tracing::warn;

use super::outputs::RecordOutputs;
use crate::api::AccessRequest;
use crate::api::record::Record;
use crate::core::record::v1::{deleted, records};

/// The namespace that every cluster has, and that is never deleted.
const KUBE_SYSTEM: &str = "kube-system";
/// How many transitions may wait to be printed. What goes over is dropped and logged.
const WAITING: usize = 20_000;
/// First wait after a failure; doubles each time.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// Longest wait after a failure.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Where transitions are put to be printed.
#[derive(Clone)]
pub struct TransitionQueue(mpsc::Sender<StoredTransition>);

/// Prints records from a queue.
pub struct RecordPrinter {
    client: Client,
    outputs: RecordOutputs,
    queue: mpsc::Receiver<StoredTransition>,
}

enum StoredTransition {
    /// A request has a new status; so many of its records were printed before.
    Stored(Box<AccessRequest>, usize),
    /// It was seen to be gone.
    Gone(Box<AccessRequest>, Timestamp),
    /// It went unseen, and this was made of its last record.
    Unseen(Box<Record>),
    /// Lines of another schema, which are for standard output alone.
    Lines(Vec<String>),
}

impl StoredTransition {
    fn records(self, cluster: &str) -> Vec<Record> {
        match self {
            Self::Stored(request, printed) => records(&request, cluster).into_iter().skip(printed).collect(),
            Self::Gone(request, at) => vec![deleted(&request, cluster, at)],
            Self::Unseen(record) => vec![*record],
            Self::Lines(_) => Vec::new(),
        }
    }
}

impl TransitionQueue {
    /// Has what is new in a request printed. `before` is how many entries its history had.
    pub fn push(&self, request: &AccessRequest, before: usize) {
        let entries = request.status.as_ref().map_or(0, |status| status.history.len());
        if entries <= before {
            return;
        }
        // That it was made is told together with the first entry.
        let printed = if before == 0 { 0 } else { before + 1 };
        self.send(StoredTransition::Stored(Box::new(request.clone()), printed));
    }

    /// Has it printed that a request is gone.
    pub fn push_gone(&self, request: &AccessRequest, at: Timestamp) {
        self.send(StoredTransition::Gone(Box::new(request.clone()), at));
    }

    /// Has the last record of a request printed that went unseen.
    pub fn push_last(&self, record: Record) {
        self.send(StoredTransition::Unseen(Box::new(record)));
    }

    /// Has lines printed that are no records of requests.
    pub fn push_lines(&self, lines: Vec<String>) {
        if !lines.is_empty() {
            self.send(StoredTransition::Lines(lines));
        }
    }

    fn send(&self, transition: StoredTransition) {
        if let Err(error) = self.0.try_send(transition) {
            warn!(%error, "records are not printed; the history in status has them");
        }
    }
}

impl RecordPrinter {
    /// A printer, and its queue.
    pub fn new(client: Client) -> (TransitionQueue, Self) {
        let (sender, queue) = mpsc::channel(WAITING);
        (TransitionQueue(sender), Self { client, outputs: RecordOutputs::default(), queue })
    }

    /// The lines of other schemas that wait to be printed.
    #[cfg(test)]
    pub fn waiting_lines(&mut self) -> Vec<String> {
        let next = || self.queue.try_recv().ok();
        let lines = std::iter::from_fn(next).filter_map(|transition| match transition {
            StoredTransition::Lines(lines) => Some(lines),
            _ => None,
        });
        lines.flatten().collect()
    }

    /// The same, with other outputs beside it.
    pub fn beside(self, outputs: RecordOutputs) -> Self {
        Self { outputs, ..self }
    }

    /// Prints records until the last who could store is gone and the queue is empty.
    pub async fn run(mut self) {
        let Some(first) = self.queue.recv().await else { return };
        let cluster = uid_of_cluster(&self.client).await;
        let mut next = Some(first);
        while let Some(transition) = next {
            let lines = match transition {
                StoredTransition::Lines(lines) => lines,
                stored => {
                    let new = stored.records(&cluster);
                    self.outputs.push(&new);
                    new.iter().map(Record::bytes).collect()
                }
            };
            if let Err(error) = print(&lines).await {
                warn!(%error, "records are not printed; the history in status has them");
            }
            next = self.queue.recv().await;
        }
    }
}

async fn print(lines: &[String]) -> std::io::Result<()> {
    let lines: String = lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
    let mut out = stdout();
    out.write_all(lines.as_bytes()).await?;
    out.flush().await
}

/// UID of the namespace kube-system, once it can be read.
pub async fn uid_of_cluster(client: &Client) -> String {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let by_name = ListParams::default().fields(&format!("metadata.name={KUBE_SYSTEM}"));
    let mut wait = FIRST_WAIT;
    loop {
        // A list, since namespaces are listed anyway and no further right is needed.
        let error = match namespaces.list_metadata(&by_name).await {
            Ok(found) => match found.items.into_iter().find_map(|namespace| namespace.metadata.uid) {
                Some(uid) => return uid,
                None => "it is not there".to_owned(),
            },
            Err(error) => error.to_string(),
        };
        warn!(error, "cannot read namespace {KUBE_SYSTEM}, whose UID is in each record: none is printed until then");
        sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}
