//! All that is recorded of one request, from its first record on, by its name or UID. Requests may have had the same name one
//! after the other, and then each is told.

use std::collections::BTreeMap;

use kube::ResourceExt;

use super::archived::{self, NoArchive};
use super::item::HistoryItem;
use super::still_there;
use crate::api::record::RecordKind;
use crate::api::request::{AccessRequest, GrantActivity};
use crate::archive::store::search::Search;
use crate::cli::plugin::cluster::Cluster;
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::output::console::Console;
use crate::cli::plugin::requests::{self, Where};

/// How many requests of one name are told, the newest ones.
const MOST_LIVES: usize = 20;
/// How many pages are looked through for a name.
const MOST_PAGES: usize = 20;
/// Length of a UID, and where its strokes are.
const UID_STROKES: [usize; 4] = [8, 13, 18, 23];
const UID_LENGTH: usize = 36;

/// By what a request is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WantedLife {
    /// Those of this name.
    Name(String),
    /// The one of this UID.
    Uid(String),
}

/// The records of one request, in their order.
#[derive(Debug, PartialEq)]
pub struct RequestLife {
    pub items: Vec<HistoryItem>,
    /// How its access was used, where the request is still there and says so.
    pub activity: Option<GrantActivity>,
}

/// The records of requests, by their UIDs, and how the access of some was used.
#[derive(Default)]
struct KnownLives {
    items: BTreeMap<String, BTreeMap<u32, HistoryItem>>,
    activity: BTreeMap<String, GrantActivity>,
}

impl WantedLife {
    /// What is meant by a word that may be either.
    pub fn of(word: &str) -> Self {
        let fits = |(at, byte): (usize, u8)| {
            if UID_STROKES.contains(&at) { byte == b'-' } else { byte.is_ascii_hexdigit() }
        };
        let is_uid = word.len() == UID_LENGTH && word.bytes().enumerate().all(fits);
        if is_uid { Self::Uid(word.to_owned()) } else { Self::Name(word.to_owned()) }
    }

    fn is(&self, request: &AccessRequest) -> bool {
        match self {
            Self::Name(name) => request.name_any() == *name,
            Self::Uid(uid) => request.uid().as_ref() == Some(uid),
        }
    }
}

/// All that the archive alone says of it, the oldest request first. Says when the archive tells nothing.
///
/// # Errors
/// When the API server does not answer.
pub async fn archived(
    cluster: &Cluster,
    place: &Where,
    wanted: &WantedLife,
    console: &mut Console,
) -> Result<Vec<RequestLife>, PluginError> {
    let mut known = KnownLives::default();
    known.archived(cluster, place, wanted, console).await?;
    Ok(known.in_order())
}

/// All that the archive and the requests say of it, the oldest request first; none of them is empty. Says when the archive is
/// not what tells.
///
/// # Errors
/// When neither can be read.
pub async fn named(
    cluster: &Cluster,
    place: &Where,
    wanted: &WantedLife,
    console: &mut Console,
) -> Result<Vec<RequestLife>, PluginError> {
    let mut known = KnownLives::default();
    let has_archive = known.archived(cluster, place, wanted, console).await?;
    let there = match (wanted, place) {
        (WantedLife::Name(name), Where::Namespace(namespace)) => match requests::get(cluster, namespace, name).await {
            Ok(request) => vec![request],
            Err(PluginError::NoSuchRequest { .. }) => Vec::new(),
            Err(error) if has_archive && error.is_forbidden() => Vec::new(),
            Err(error) => return Err(error),
        },
        _ => {
            let all = still_there::requests(cluster, place, has_archive, console).await?;
            all.into_iter().filter(|request| wanted.is(request)).collect()
        }
    };
    let home = if there.is_empty() { None } else { still_there::home(cluster).await };
    for request in &there {
        known.add(HistoryItem::of_request(request, home.as_deref()));
        let activity = request.status.as_ref().and_then(|status| status.activity.clone());
        known.activity.extend(request.uid().zip(activity));
    }
    Ok(known.in_order())
}

impl KnownLives {
    /// Takes up what the archive has. Whether it has answered.
    async fn archived(
        &mut self,
        cluster: &Cluster,
        place: &Where,
        wanted: &WantedLife,
        console: &mut Console,
    ) -> Result<bool, PluginError> {
        let uids = match wanted {
            WantedLife::Uid(uid) => Ok(vec![uid.clone()]),
            WantedLife::Name(name) => uids_of(cluster, place, name).await,
        };
        let read = async {
            let mut uids = uids?;
            if uids.len() > MOST_LIVES {
                uids.truncate(MOST_LIVES);
                console.note(&format!("only the newest {MOST_LIVES} requests of that name are told: give a UID"));
            }
            for uid in uids {
                self.add(
                    archived::all(cluster, place, Search { request: Some(uid), ..Search::default() }, usize::MAX)
                        .await?,
                );
            }
            Ok(())
        };
        match read.await {
            Ok(()) => Ok(true),
            Err(NoArchive::Silent(why)) if !self.items.is_empty() => Err(NoArchive::Silent(why).error(place)),
            Err(none) => none.say(place, console).map(|()| false),
        }
    }

    /// Those that are known stay as they are.
    fn add(&mut self, items: Vec<HistoryItem>) {
        for item in items {
            let life = self.items.entry(item.record.request.uid.clone()).or_default();
            life.entry(item.record.index).or_insert(item);
        }
    }

    fn in_order(self) -> Vec<RequestLife> {
        let Self { items, mut activity } = self;
        let lives = items
            .into_iter()
            .map(|(uid, life)| RequestLife { items: life.into_values().collect(), activity: activity.remove(&uid) });
        let mut lives: Vec<RequestLife> = lives.collect();
        lives.sort_by_key(|life| life.items.first().map(|item| item.record.at.0));
        lives
    }
}

/// The UIDs of all requests of a name that the archive knows, the newest first. It is searched by the words of the name.
async fn uids_of(cluster: &Cluster, place: &Where, name: &str) -> Result<Vec<String>, NoArchive> {
    let kind = Some(crate::api::record::StoredRecordKind::from(RecordKind::Requested).as_str().to_owned());
    let search = Search { text: Some(name.to_owned()), kind, ..Search::default() };
    let found = archived::all(cluster, place, search, MOST_PAGES).await?;
    let of_name = found.into_iter().filter(|item| item.record.request.name == name);
    Ok(of_name.map(|item| item.record.request.uid).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uid_is_told_from_a_name() {
        let uid = "8657bf0a-21a0-4a53-8bfa-0369dec5c83d";
        assert_eq!(WantedLife::of(uid), WantedLife::Uid(uid.to_owned()));
        for name in [
            "fix-1",
            "8657bf0a-21a0-4a53-8bfa-0369dec5c83",
            "8657bf0a-21a0-4a53-8bfa-0369dec5c83x",
            "8657bf0a21a0-4a53-8bfa-0369dec5c83d-",
        ] {
            assert_eq!(WantedLife::of(name), WantedLife::Name(name.to_owned()));
        }
    }
}
