//! Whether somebody may do something with a campaign, and what is kept of it.
//!
//! Owns the rules: owners alone decide, nobody decides on their own access, what is decided on is what was shown, and what is
//! closed stays. That somebody may start, look and close at all is a right in the cluster, which is asked before.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::so_far::{Campaign, CampaignItem};
use crate::api::campaign::{
    CAMPAIGN_SCHEMA, CampaignDeed, CampaignEntry, CampaignStart, CloseAsked, DecisionAsked, DecisionsAsked,
    ItemDecision, ItemVerdict, LookAsked, OwnedItem, ReviewItem,
};
use crate::api::record::{RecordedPerson, canonical, digest};
use crate::api::subject::{Identity, Subject, SubjectKind};
use crate::core::model::name::is_label;
use crate::core::model::subjects::{is_approver, is_subject, login_uid};

/// Most items of a campaign.
pub const MOST_ITEMS: usize = 5000;
/// Most owners of an item.
pub const MOST_OWNERS: usize = 20;
/// Most decisions that are kept of an item: it is changed until then, and no log is filled.
pub const MOST_DECISIONS: usize = 50;
/// How often may be looked.
pub const MOST_LOOKS: usize = 50;
/// Most characters of what people write.
pub const MOST_WORDS: usize = 1024;
/// Most characters of a name.
const MOST_NAME: usize = 253;
/// Most bytes of what an object says.
const MOST_TEXT: usize = 32 << 10;
/// How far ahead a campaign may be due.
const LONGEST: SignedDuration = SignedDuration::from_hours(366 * 24);
/// Groups that everybody is in: what they have is nobody's own.
const EVERYBODY: [&str; 2] = ["system:authenticated", "system:unauthenticated"];

/// Why something is not kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CampaignRefusal {
    /// A name that is none.
    #[error("name: {0:?} is no name; give one to 63 lower-case letters, digits and dashes")]
    Name(String),
    /// It is about a cluster whose people are not known here.
    #[error(
        "cluster: it must be {home}, whose API server says who people are; start it through the API server of {asked}"
    )]
    OtherCluster { home: String, asked: String },
    /// It is due in the past, or in years.
    #[error("due: it must be ahead, and no more than 366 days; give a date within a year")]
    Due,
    /// There is nothing to review, or too much.
    #[error("items: there are {0}; review 1 to {MOST_ITEMS}, of fewer namespaces at a time")]
    Items(usize),
    /// The same twice.
    #[error("items: {0} is there twice; give each once")]
    Twice(String),
    /// Somebody has to decide on it.
    #[error("items: {0} has {1} owners; name 1 to {MOST_OWNERS}")]
    Owners(String, usize),
    /// Something that is too long, or empty.
    #[error("{field}: it has {length} characters; write 1 to {most}")]
    Length { field: &'static str, length: usize, most: usize },
    /// Nothing is asked.
    #[error("decisions: there is none; name an item")]
    Nothing,
    /// It is over.
    #[error("campaign {0} is closed, and nothing of it changes any more; start another one")]
    Closed(String),
    /// There is no such item, or not for who asks.
    #[error("item {0}: it is not in the campaign, or not yours to decide on; take one that is shown to you")]
    NotYours(String),
    /// It is the own access of who asks.
    #[error("item {0}: it is your own access, and nobody decides on that; have another owner do it")]
    Own(String),
    /// It is another now than was shown.
    #[error("item {0}: it is not what you were shown; look at it once more, and decide on that")]
    OtherVersion(String),
    /// There is nothing to stay.
    #[error("item {0}: it was seen to be gone, so that there is nothing to confirm; leave it")]
    IsGone(String),
    /// It was decided on too often.
    #[error("item {0}: it was decided on {MOST_DECISIONS} times; close the campaign, and start another one")]
    TooOften(String),
    /// It was looked at too often.
    #[error("campaign {0}: it was looked at {MOST_LOOKS} times; close it, and start another one")]
    TooManyLooks(String),
    /// What was seen is called otherwise.
    #[error(
        "item {0}: what was seen of it is another object or of another subject; take what is there under the same names"
    )]
    OtherItem(String),
    /// Something happened since.
    #[error("last: something happened in the campaign since it was shown to you; look at it once more, and close that")]
    NotLast,
}

/// What kind of refusal it is, as HTTP tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// What was sent is wrong.
    Bad,
    /// Who sends it may not.
    Forbidden,
    /// It does not fit to what is there.
    Conflict,
}

/// What is to be kept, and the text that it names, if any.
#[derive(Clone, Debug, PartialEq)]
pub struct NextEntry {
    pub entry: CampaignEntry,
    pub text: Option<String>,
}

impl CampaignRefusal {
    /// What kind it is.
    pub fn kind(&self) -> RefusalKind {
        match self {
            Self::NotYours(_) | Self::Own(_) | Self::OtherCluster { .. } => RefusalKind::Forbidden,
            Self::Closed(_)
            | Self::OtherVersion(_)
            | Self::IsGone(_)
            | Self::TooOften(_)
            | Self::TooManyLooks(_)
            | Self::NotLast => RefusalKind::Conflict,
            _ => RefusalKind::Bad,
        }
    }
}

/// Somebody who calls, at a time.
#[derive(Clone, Debug)]
pub struct CampaignCaller<'a> {
    pub who: &'a Identity,
    pub now: Timestamp,
}

impl CampaignCaller<'_> {
    /// Starts a campaign about this cluster.
    ///
    /// # Errors
    /// When what was sent cannot be one.
    pub fn start(&self, asked: CampaignStart, home: &str) -> Result<NextEntry, CampaignRefusal> {
        let CampaignStart { name, cluster, purpose, due, mut items } = asked;
        if !is_label(&name) {
            return Err(CampaignRefusal::Name(name.chars().take(MOST_NAME).collect()));
        }
        if cluster != home {
            return Err(CampaignRefusal::OtherCluster { home: home.to_owned(), asked: cluster });
        }
        within("purpose", &purpose, MOST_WORDS)?;
        if due.0 <= self.now || due.0.duration_since(self.now) > LONGEST {
            return Err(CampaignRefusal::Due);
        }
        if items.is_empty() || items.len() > MOST_ITEMS {
            return Err(CampaignRefusal::Items(items.len()));
        }
        items.sort_by_key(|owned| owned.item.id());
        let mut before = BTreeSet::new();
        for OwnedItem { item, owners } in &items {
            check(item)?;
            let id = item.id();
            if owners.is_empty() || owners.len() > MOST_OWNERS {
                return Err(CampaignRefusal::Owners(id, owners.len()));
            }
            owners.iter().try_for_each(|owner| within("owners", &owner.name, MOST_NAME))?;
            if !before.insert(id.clone()) {
                return Err(CampaignRefusal::Twice(id));
            }
        }
        let (text, count) = (canonical(&items), count_of(items.len()));
        let deed = CampaignDeed::Started { purpose, due, count, items: digest(text.as_bytes()) };
        let entry = self.entry(cluster, name, 0, deed, None);
        Ok(NextEntry { entry, text: Some(text) })
    }

    /// Decides on items.
    ///
    /// # Errors
    /// When the caller may not on one of them, or it is not what was shown to them.
    pub fn decide(&self, campaign: &Campaign, asked: DecisionsAsked) -> Result<NextEntry, CampaignRefusal> {
        open(campaign)?;
        if asked.decisions.is_empty() {
            return Err(CampaignRefusal::Nothing);
        }
        let mut before = BTreeSet::new();
        let decided = asked.decisions.into_iter().map(|decision| {
            if before.insert(decision.item.clone()) {
                self.decided(campaign, decision)
            } else {
                Err(CampaignRefusal::Twice(decision.item))
            }
        });
        let decisions = decided.collect::<Result<Vec<_>, _>>()?;
        let deed = CampaignDeed::Decided { decisions, late: self.now > campaign.due };
        Ok(NextEntry { entry: self.after(campaign, deed), text: None })
    }

    fn decided(&self, campaign: &Campaign, asked: DecisionAsked) -> Result<ItemDecision, CampaignRefusal> {
        let DecisionAsked { item: id, digest, verdict, reason } = asked;
        let found = campaign.items.get(&id).and_then(|item| Some((item, owner_of(self.who, item)?)));
        // Whether there is an item is nothing for who does not own it.
        let Some((item, owner)) = found else { return Err(CampaignRefusal::NotYours(id)) };
        if is_own(self.who, &item.item) {
            return Err(CampaignRefusal::Own(id));
        }
        if digest != item.digest {
            return Err(CampaignRefusal::OtherVersion(id));
        }
        if item.gone_at.is_some() && verdict == ItemVerdict::Confirm {
            return Err(CampaignRefusal::IsGone(id));
        }
        if item.decisions.len() >= MOST_DECISIONS {
            return Err(CampaignRefusal::TooOften(id));
        }
        within("reason", &reason, MOST_WORDS)?;
        Ok(ItemDecision { item: id, digest, verdict, reason, owner: owner.clone() })
    }

    /// Takes down what is there now of the items.
    ///
    /// # Errors
    /// When it is of other items.
    pub fn look(&self, campaign: &Campaign, asked: LookAsked) -> Result<NextEntry, CampaignRefusal> {
        open(campaign)?;
        if campaign.looks >= MOST_LOOKS {
            return Err(CampaignRefusal::TooManyLooks(campaign.name.clone()));
        }
        let mut sights = asked.items;
        if sights.is_empty() || sights.len() > campaign.items.len() {
            return Err(CampaignRefusal::Items(sights.len()));
        }
        sights.sort_by(|a, b| a.id.cmp(&b.id));
        let mut before = BTreeSet::new();
        for sight in &sights {
            sight.item.as_ref().map_or(Ok(()), check)?;
            let is_it = sight.item.as_ref().is_none_or(|item| item.id() == sight.id);
            if !is_it || !campaign.items.contains_key(&sight.id) {
                return Err(CampaignRefusal::OtherItem(sight.id.chars().take(MOST_NAME).collect()));
            }
            if !before.insert(&sight.id) {
                return Err(CampaignRefusal::Twice(sight.id.clone()));
            }
        }
        let text = canonical(&sights);
        let deed = CampaignDeed::Looked { count: count_of(sights.len()), items: digest(text.as_bytes()) };
        Ok(NextEntry { entry: self.after(campaign, deed), text: Some(text) })
    }

    /// Closes a campaign as it was shown.
    ///
    /// # Errors
    /// When something happened since, or it is closed.
    pub fn close(&self, campaign: &Campaign, asked: CloseAsked) -> Result<NextEntry, CampaignRefusal> {
        open(campaign)?;
        within("acknowledged", &asked.acknowledged, MOST_WORDS)?;
        if asked.last != campaign.last {
            return Err(CampaignRefusal::NotLast);
        }
        let counts = campaign.counts(|_| true, self.now);
        let deed = CampaignDeed::Closed { acknowledged: asked.acknowledged, counts };
        Ok(NextEntry { entry: self.after(campaign, deed), text: None })
    }

    fn after(&self, campaign: &Campaign, deed: CampaignDeed) -> CampaignEntry {
        let (cluster, name) = (campaign.cluster.clone(), campaign.name.clone());
        self.entry(cluster, name, campaign.next, deed, Some(campaign.last.clone()))
    }

    fn entry(
        &self,
        cluster: String,
        campaign: String,
        index: u32,
        deed: CampaignDeed,
        previous: Option<String>,
    ) -> CampaignEntry {
        let mut groups = self.who.groups.clone();
        groups.sort();
        let by = RecordedPerson {
            username: self.who.username.clone(),
            uid: login_uid(self.who).map(str::to_owned),
            groups: Some(digest(canonical(&groups).as_bytes())),
        };
        let (schema, at) = (CAMPAIGN_SCHEMA.to_owned(), MicroTime(self.now));
        CampaignEntry { schema, cluster, campaign, index, at, by, deed, previous }
    }
}

/// As which of its owners somebody may decide on an item, their own access or not.
pub fn owner_of<'a>(who: &Identity, item: &'a CampaignItem) -> Option<&'a Subject> {
    item.owners.iter().find(|owner| is_approver(who, std::slice::from_ref(owner)))
}

/// Whether an item is somebody's own access: by name, by a group that they are in and not everybody is, or by the UID of their
/// login.
pub fn is_own(who: &Identity, item: &ReviewItem) -> bool {
    let Some(holder) = &item.holder else { return false };
    let subject = &holder.subject;
    let is_everybody = subject.kind == SubjectKind::Group && EVERYBODY.contains(&subject.name.as_str());
    let same_login = login_uid(who).is_some() && login_uid(who) == holder.uid.as_deref();
    same_login || (!is_everybody && is_subject(who, subject))
}

fn open(campaign: &Campaign) -> Result<(), CampaignRefusal> {
    if campaign.closed.is_some() { Err(CampaignRefusal::Closed(campaign.name.clone())) } else { Ok(()) }
}

fn check(item: &ReviewItem) -> Result<(), CampaignRefusal> {
    let (object, subject) = (&item.object, item.holder.as_ref().map(|holder| &holder.subject));
    let mut names = vec![&object.kind, &object.name];
    names.extend(object.namespace.iter().chain(&object.uid).chain(&item.rules).chain(&item.namespaces));
    names.extend(subject.into_iter().flat_map(|subject| [Some(&subject.name), subject.namespace.as_ref()]).flatten());
    names.extend(item.holder.iter().filter_map(|holder| holder.uid.as_ref()));
    names.extend(item.role.iter().map(|role| &role.name));
    names.into_iter().try_for_each(|name| within("items", name, MOST_NAME))?;
    item.text.as_ref().map_or(Ok(()), |text| within("items.text", text, MOST_TEXT))
}

fn within(field: &'static str, text: &str, most: usize) -> Result<(), CampaignRefusal> {
    let length = text.chars().count();
    let is_empty = text.trim().is_empty();
    if is_empty || length > most { Err(CampaignRefusal::Length { field, length, most }) } else { Ok(()) }
}

fn count_of(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
