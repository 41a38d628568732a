//! `kubectl daypass watch` and `list -w`: a line for each change of a request, by a watch, until somebody ends it.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};

use super::choice::Choice;
use super::words;
use crate::api::request::{AccessRequest, State};
use crate::cli::plugin::cluster::Cluster;
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::exit::Exit;
use crate::cli::plugin::output::console::Console;
use crate::cli::plugin::output::format::Format;
use crate::cli::plugin::output::text::{Text, TextSpan, Tone};
use crate::cli::plugin::requests;
use crate::controller::observe::DecodedRequest;

/// Something that has become known.
#[derive(Clone, Debug, PartialEq)]
enum News {
    /// A request is there, or stands otherwise than it did.
    Stands(Box<AccessRequest>),
    /// A request is not there any more.
    Gone(Box<AccessRequest>),
}

/// The requests as they were last told of.
#[derive(Debug, Default)]
struct LastTold {
    by_uid: BTreeMap<String, AccessRequest>,
    /// Those of the list that is being read.
    listed: BTreeSet<String>,
}

/// Tells of changes until it is interrupted.
///
/// # Errors
/// When requests may not be watched, or the cluster cannot be reached at the start, or gives no answer then.
pub async fn run(choice: Choice, console: &mut Console) -> Result<Exit, PluginError> {
    let cluster = Cluster::connect(&choice.connection).await?;
    let place = choice.place(&cluster);
    let whose = choice.whose(&cluster).await?;
    let api = requests::api(&cluster, &place);
    let mut changes = watcher(api, watcher::Config::default()).default_backoff().boxed();
    let (mut known, mut was_heard) = (LastTold::default(), false);
    let what = || format!("watch accessrequests{}", place.words());
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    loop {
        let next = async {
            match was_heard {
                true => Ok(changes.next().await),
                false => cluster.call(what(), async { Ok(changes.next().await) }).await,
            }
        };
        let change = tokio::select! {
            change = next => change?,
            _ = &mut interrupted => return Ok(Exit::Done),
        };
        let event = match change {
            Some(Ok(event)) => event,
            Some(Err(error)) => {
                let failed = |source| cluster.failed(what(), source);
                match requests::refusal(error) {
                    Ok(source) => return Err(failed(source)),
                    // It may be another cluster that is meant.
                    Err(watcher::Error::InitialListFailed(source)) if !was_heard => return Err(failed(source)),
                    Err(error) => console.wait_line(&format!("the cluster cannot be heard: {error}"), ""),
                }
                continue;
            }
            None => return Ok(Exit::Done),
        };
        was_heard |= matches!(event, Event::InitDone);
        for news in decoded(event, &mut known, console).map(|event| known.after(event)).unwrap_or_default() {
            let (News::Stands(request) | News::Gone(request)) = &news;
            if choice.wants(request, &whose) {
                tell(&choice, &news, console)?;
            }
        }
    }
}

/// The same event of a request that can be read; one that cannot is named, and is there all the same. When that is deleted, it
/// goes as it was last told of.
fn decoded(event: Event<DecodedRequest>, known: &mut LastTold, console: &mut Console) -> Option<Event<AccessRequest>> {
    let (request, with): (DecodedRequest, fn(AccessRequest) -> Event<AccessRequest>) = match event {
        Event::Init => return Some(Event::Init),
        Event::InitDone => return Some(Event::InitDone),
        Event::InitApply(request) => (request, Event::InitApply),
        Event::Apply(request) => (request, Event::Apply),
        Event::Delete(request) => {
            let last = || known.by_uid.get(&request.uid().unwrap_or_default()).cloned();
            return request.0.as_ref().ok().cloned().or_else(last).map(Event::Delete);
        }
    };
    match request.0 {
        Ok(request) => Some(with(request)),
        Err(invalid) => {
            known.listed.extend(invalid.metadata.uid.clone());
            requests::left_out(&invalid.metadata, console);
            None
        }
    }
}

fn tell(choice: &Choice, news: &News, console: &mut Console) -> Result<(), PluginError> {
    let (News::Stands(request) | News::Gone(request)) = news;
    match choice.format.format().object(request.as_ref())? {
        Some(document) if choice.format.format() == Format::Yaml => console.print(&format!("---\n{document}")),
        Some(document) => console.print(&document),
        None => console.show(&line(news)),
    }
    Ok(())
}

/// When, which, whose, what, and how it stands.
fn line(news: &News) -> Text {
    let (News::Stands(request) | News::Gone(request)) = news;
    let at = last_change(request).map(|at| at.to_string()).unwrap_or_default();
    let facts = format!("  {}  {}  {}  ", words::name(request), words::requester(request), words::what(request));
    let mut spans = vec![TextSpan::new(at, Tone::Dim), facts.into()];
    match news {
        News::Gone(_) => spans.push(TextSpan::new("deleted", Tone::Bad)),
        News::Stands(_) => {
            let message = request.status.as_ref().and_then(|status| status.message.as_deref());
            spans.extend([words::state(request), message.map(|words| format!(": {words}")).unwrap_or_default().into()]);
        }
    }
    let mut text = Text::default();
    text.spans(spans);
    text
}

/// When something last went on record, or when it was made.
fn last_change(request: &AccessRequest) -> Option<Timestamp> {
    let recorded = request.status.as_ref().and_then(|status| status.history.last()).map(|entry| entry.at.0);
    recorded.or_else(|| request.creation_timestamp().map(|made| made.0))
}

impl LastTold {
    /// Takes an event up, and says what is new by it. A list that is read anew after a break tells of nothing twice, and of what
    /// went away meanwhile.
    fn after(&mut self, event: Event<AccessRequest>) -> Vec<News> {
        match event {
            Event::Init => {
                self.listed.clear();
                Vec::new()
            }
            Event::InitApply(request) => {
                self.listed.insert(request.uid().unwrap_or_default());
                self.stands(request)
            }
            Event::Apply(request) => self.stands(request),
            Event::Delete(request) => self.gone(&request.uid().unwrap_or_default()),
            Event::InitDone => {
                let away: Vec<String> = self.by_uid.keys().filter(|uid| !self.listed.contains(*uid)).cloned().collect();
                away.iter().flat_map(|uid| self.gone(uid)).collect()
            }
        }
    }

    fn stands(&mut self, request: AccessRequest) -> Vec<News> {
        let before = self.by_uid.insert(request.uid().unwrap_or_default(), request.clone());
        let same = before.is_some_and(|before| standing(&before) == standing(&request));
        if same { Vec::new() } else { vec![News::Stands(Box::new(request))] }
    }

    fn gone(&mut self, uid: &str) -> Vec<News> {
        self.by_uid.remove(uid).map(|request| News::Gone(Box::new(request))).into_iter().collect()
    }
}

/// What of a request makes a line of its own.
fn standing(request: &AccessRequest) -> (State, Option<&str>, Option<Timestamp>) {
    let status = request.status.as_ref();
    let state = status.map(|status| status.state).unwrap_or_default();
    (state, status.and_then(|status| status.message.as_deref()), words::until(request))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::laws::fixtures::request;
    use serde_json::json;

    fn fix(uid: &str, state: &str) -> AccessRequest {
        let mut request = request(json!({}));
        request.metadata.uid = Some(uid.to_owned());
        request.status = serde_json::from_value(json!({ "state": state })).unwrap();
        request
    }

    fn stands(uid: &str, state: &str) -> Vec<News> {
        vec![News::Stands(Box::new(fix(uid, state)))]
    }

    #[test]
    fn each_change_is_told_once() {
        let mut known = LastTold::default();
        assert_eq!(known.after(Event::Init), []);
        assert_eq!(known.after(Event::InitApply(fix("a", "Pending"))), stands("a", "Pending"));
        assert_eq!(known.after(Event::InitDone), []);
        let mut noted = fix("a", "Pending");
        noted.metadata.resource_version = Some("2".to_owned());
        assert_eq!(known.after(Event::Apply(noted)), [], "nothing that is told has changed");
        assert_eq!(known.after(Event::Apply(fix("a", "Active"))), stands("a", "Active"));
        assert_eq!(known.after(Event::Delete(fix("a", "Active"))), [News::Gone(Box::new(fix("a", "Active")))]);
        assert_eq!(known.after(Event::Delete(fix("a", "Active"))), []);
    }

    #[test]
    fn a_list_that_is_read_anew_tells_what_changed_meanwhile() {
        let mut known = LastTold::default();
        for event in [Event::Init, Event::InitApply(fix("a", "Pending")), Event::InitApply(fix("b", "Pending"))] {
            known.after(event);
        }
        assert_eq!(known.after(Event::InitDone), []);
        assert_eq!(known.after(Event::Init), []);
        assert_eq!(known.after(Event::InitApply(fix("b", "Active"))), stands("b", "Active"));
        assert_eq!(known.after(Event::InitDone), [News::Gone(Box::new(fix("a", "Pending")))]);
    }

    /// Its deletion is told, and that it cannot be read is not taken for one.
    #[test]
    fn a_request_that_cannot_be_read_any_more_is_not_gone() {
        let mut known = LastTold::default();
        for event in [Event::Init, Event::InitApply(fix("a", "Pending")), Event::InitDone, Event::Init] {
            known.after(event);
        }
        let mut broken = json!(fix("a", "Pending"));
        broken["status"] = json!(7);
        let broken: DecodedRequest = serde_json::from_value(broken).unwrap();
        let event = decoded(Event::InitApply(broken.clone()), &mut known, &mut Console::default());
        assert!(event.is_none());
        assert_eq!(known.after(Event::InitDone), []);
        assert!(
            decoded(Event::Delete(broken), &mut known, &mut Console::default())
                .is_some_and(|event| { known.after(event) == [News::Gone(Box::new(fix("a", "Pending")))] })
        );
    }
}
