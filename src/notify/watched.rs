//! The requests of the cluster, or of the namespaces that are served, as they are seen.
//!
//! Owns the watches, and that one which fails goes on by itself. It must not judge what a request means.

use std::collections::BTreeSet;

use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, ResourceExt};

use crate::api::request::AccessRequest;

/// What a watch has seen.
#[derive(Debug)]
pub enum Sight {
    /// A request as it is now. By its UID.
    Request(String, Box<AccessRequest>),
    /// A request is deleted. By its UID.
    Gone(String),
    /// All were listed, these. What was seen before and is not among them was deleted unseen.
    Listed(BTreeSet<String>),
    /// It failed, and is tried again.
    Failed(String),
}

/// Watches requests in these namespaces; none stands for the whole cluster. Each sight has the number of its watch, from zero on.
pub fn requests(client: &Client, namespaces: &[String]) -> impl Stream<Item = (usize, Sight)> + use<> {
    let apis: Vec<Api<AccessRequest>> = match namespaces {
        [] => vec![Api::all(client.clone())],
        some => some.iter().map(|namespace| Api::namespaced(client.clone(), namespace)).collect(),
    };
    let watches = apis.into_iter().enumerate().map(|(n, api)| sights(api).map(move |sight| (n, sight)).boxed());
    stream::select_all(watches.collect::<Vec<_>>())
}

fn sights(api: Api<AccessRequest>) -> BoxStream<'static, Sight> {
    let mut listed = BTreeSet::new();
    let events = watcher::watcher(api, watcher::Config::default()).default_backoff();
    events.filter_map(move |event| futures::future::ready(sight(event, &mut listed))).boxed()
}

fn sight(event: watcher::Result<Event<AccessRequest>>, listed: &mut BTreeSet<String>) -> Option<Sight> {
    let seen = |mut request: AccessRequest| {
        // Only bulk here.
        request.metadata.managed_fields = None;
        request.uid().map(|uid| Sight::Request(uid, Box::new(request)))
    };
    match event {
        Ok(Event::Init) => {
            listed.clear();
            None
        }
        Ok(Event::InitApply(request)) => {
            listed.extend(request.uid());
            seen(request)
        }
        Ok(Event::InitDone) => Some(Sight::Listed(std::mem::take(listed))),
        Ok(Event::Apply(request)) => seen(request),
        Ok(Event::Delete(request)) => request.uid().map(Sight::Gone),
        Err(error) => Some(Sight::Failed(error.to_string())),
    }
}
