//! Review campaigns: owners confirm or remove each standing or recurring access and each policy by a date.
//!
//! Owns the schema `daypass.dev/campaign/v1` and its bytes, which are frozen as those of records are, and what an archive and
//! those who call it say to each other about campaigns. Must not say who may decide what: `core::campaign` does.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::record::{RecordedPerson, canonical, digest, published};
use super::subject::{RoleName, Subject};

/// The schema that this version writes.
pub const CAMPAIGN_SCHEMA: &str = "daypass.dev/campaign/v1";
/// Name of the file that has the JSON schema.
pub const CAMPAIGN_SCHEMA_FILE: &str = "campaign.v1.schema.json";
/// How many characters of a digest name an item.
const ID_LENGTH: usize = 12;

/// The JSON schema of what happens in campaigns.
pub fn campaign_schema_as_json() -> String {
    published(schemars::schema_for!(CampaignEntry), CAMPAIGN_SCHEMA)
}

/// Something that happened in a campaign.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct CampaignEntry {
    /// `daypass.dev/campaign/v1`.
    #[schemars(extend("const" = CAMPAIGN_SCHEMA))]
    pub schema: String,
    /// UID of the namespace kube-system of the cluster that is reviewed.
    pub cluster: String,
    /// Name of the campaign, of which the cluster has one.
    pub campaign: String,
    /// Place among what happened in the campaign, from 0.
    pub index: u32,
    /// When, in UTC.
    pub at: MicroTime,
    /// Who did it, as the API server authenticated them.
    pub by: RecordedPerson,
    /// What they did.
    #[serde(flatten)]
    pub deed: CampaignDeed,
    /// Digest of what happened before it. Left out of the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<String>,
}

/// What somebody did with a campaign.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(tag = "kind")]
pub enum CampaignDeed {
    /// It was started.
    #[serde(rename_all = "camelCase")]
    Started {
        /// What it is for.
        purpose: String,
        /// When decisions are due.
        due: MicroTime,
        /// How many items are reviewed.
        count: u32,
        /// Digest of the items with their owners, by which their text is found.
        items: String,
    },
    /// Somebody looked once more what is there, with their own rights.
    #[serde(rename_all = "camelCase")]
    Looked {
        /// How many items were looked at.
        count: u32,
        /// Digest of what was there of them, by which its text is found.
        items: String,
    },
    /// Owners decided.
    #[serde(rename_all = "camelCase")]
    Decided {
        /// About which items, and how.
        decisions: Vec<ItemDecision>,
        /// Whether it was due before.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        late: bool,
    },
    /// It was closed: nothing changes any more.
    #[serde(rename_all = "camelCase")]
    Closed {
        /// What whoever closed it says to the result.
        acknowledged: String,
        /// How the items stood.
        counts: CampaignCounts,
    },
}

/// A decision about one item.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ItemDecision {
    /// The item.
    pub item: String,
    /// Digest of the item as it was shown.
    pub digest: String,
    /// What is to become of it.
    pub verdict: ItemVerdict,
    /// Why.
    pub reason: String,
    /// As which of its owners: a user, a group or an account that was named for it.
    pub owner: Subject,
}

/// What is to become of an item.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ItemVerdict {
    /// It stays: somebody needs it.
    Confirm,
    /// It goes.
    Remove,
}

/// How many items stand how.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct CampaignCounts {
    /// All.
    pub items: u32,
    /// Without a decision about what is there now.
    pub open: u32,
    /// To stay.
    pub confirmed: u32,
    /// To go, and seen to be gone.
    pub removed: u32,
    /// To go, and not seen to be gone.
    pub still_there: u32,
    /// Seen to be gone without a decision.
    pub gone: u32,
    /// With a decision that counts and was late.
    pub late: u32,
}

/// What is reviewed: one access of one subject, or one policy.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ReviewItem {
    /// What kind of access it is, or that it is a policy.
    pub kind: ItemKind,
    /// The object that gives it.
    pub object: ItemObject,
    /// Who has it. Left out of a policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<ItemHolder>,
    /// The role. Left out of a policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<RoleName>,
    /// Digest of the role's rules, where they could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<String>,
    /// Where it holds, by name. With none: in the whole cluster, or where its text says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    /// When it ends, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<MicroTime>,
    /// What the object says, as JSON, where that is more than the fields above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// What kind of thing is reviewed.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ItemKind {
    /// A binding that Daypass did not make.
    StandingAccess,
    /// A request that comes back in windows.
    RecurringAccess,
    /// A request whose access runs for a week or longer.
    LongAccess,
    /// An AccessPolicy.
    Policy,
}

/// An object of the cluster.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ItemObject {
    /// Such as RoleBinding.
    pub kind: String,
    /// Its namespace, if it is in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// Its UID: one that is made anew under the same name is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
}

/// Who has access.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ItemHolder {
    /// The subject.
    pub subject: Subject,
    /// UID that the login gave the user, where a request says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
}

/// An item, and who decides on it.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct OwnedItem {
    /// What is reviewed.
    pub item: ReviewItem,
    /// Any of them may decide.
    pub owners: Vec<Subject>,
}

/// What there was of an item when somebody looked.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ItemSight {
    /// The item.
    pub id: String,
    /// As it was. Left out: it was gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<ReviewItem>,
}

impl CampaignEntry {
    /// Its bytes: what digests are made of, what is printed and what is stored.
    pub fn bytes(&self) -> String {
        canonical(self)
    }

    /// Digest of its bytes.
    pub fn digest(&self) -> String {
        digest(self.bytes().as_bytes())
    }
}

impl ReviewItem {
    /// Digest of its bytes: another one when anything of it is another.
    pub fn digest(&self) -> String {
        digest(canonical(self).as_bytes())
    }

    /// What it is called, for as long as the same object gives access to the same subject.
    pub fn id(&self) -> String {
        let Self { kind, object: ItemObject { kind: of, namespace, name, uid: _ }, holder, .. } = self;
        let subject = holder.as_ref().map(|holder| holder.subject.to_string());
        let told = digest(canonical(&(kind, of, namespace, name, subject)).as_bytes());
        told.rsplit(':').next().unwrap_or_default().chars().take(ID_LENGTH).collect()
    }
}

/// What is sent to start a campaign.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CampaignStart {
    /// Its name, as a namespace has one.
    pub name: String,
    /// UID of the cluster that is reviewed.
    pub cluster: String,
    /// What it is for.
    pub purpose: String,
    /// When decisions are due.
    pub due: MicroTime,
    /// What is reviewed.
    pub items: Vec<OwnedItem>,
}

/// What is sent to decide.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DecisionsAsked {
    /// All of them are kept, or none.
    pub decisions: Vec<DecisionAsked>,
}

/// A decision as it is sent.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DecisionAsked {
    /// The item.
    pub item: String,
    /// Digest of the item as it was shown.
    pub digest: String,
    /// What is to become of it.
    pub verdict: ItemVerdict,
    /// Why.
    pub reason: String,
}

/// What is sent to look once more.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LookAsked {
    /// What was there.
    pub items: Vec<ItemSight>,
}

/// What is sent to close a campaign.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CloseAsked {
    /// What whoever closes it says to the result.
    pub acknowledged: String,
    /// Digest of the last thing that happened in it as it was shown: nobody acknowledges what they have not seen.
    pub last: String,
}

/// A campaign as it is shown to somebody.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ShownCampaign {
    /// Its name.
    pub name: String,
    /// UID of the cluster that is reviewed.
    pub cluster: String,
    /// What it is for.
    pub purpose: String,
    /// Who started it.
    pub started_by: String,
    /// When.
    pub started_at: MicroTime,
    /// When decisions are due.
    pub due: MicroTime,
    /// Who closed it, when, and what they said to the result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<ShownClosing>,
    /// When somebody looked last what is there.
    pub looked_at: MicroTime,
    /// Digest of the last thing that happened.
    pub last: String,
    /// Whether all items are shown, or those alone that the reader decides on.
    pub whole: bool,
    /// Of what is shown.
    pub counts: CampaignCounts,
    /// Left out of a list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<ShownItem>,
}

/// How a campaign was closed.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ShownClosing {
    /// Who closed it.
    pub by: String,
    /// When.
    pub at: MicroTime,
    /// What they said to the result.
    pub acknowledged: String,
}

/// An item as it is shown to somebody.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ShownItem {
    /// What it is called.
    pub id: String,
    /// Digest of what is shown, which a decision names.
    pub digest: String,
    /// How it stands.
    pub standing: ItemStanding,
    /// Whether the reader may decide on it.
    pub mine: bool,
    /// Whether it is the reader's own access, on which somebody else has to decide.
    pub own: bool,
    /// Who may decide.
    pub owners: Vec<Subject>,
    /// What is reviewed, as it was seen last.
    pub item: ReviewItem,
    /// When it was first seen to be another than before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_at: Option<MicroTime>,
    /// When it was seen to be gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone_at: Option<MicroTime>,
    /// All that was ever decided, in its order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub decisions: Vec<ShownDecision>,
}

/// How an item stands.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ItemStanding {
    /// No decision, and it is due already.
    Overdue,
    /// It was decided on, and is another since: the decision does not count.
    Changed,
    /// No decision yet.
    Open,
    /// To go, and not seen to be gone.
    StillThere,
    /// To stay.
    Confirmed,
    /// To go, and seen to be gone.
    Removed,
    /// Seen to be gone without a decision.
    Gone,
}

/// A decision as it is shown.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ShownDecision {
    /// Who decided.
    pub by: String,
    /// As which of the owners.
    pub owner: Subject,
    /// When.
    pub at: MicroTime,
    /// What is to become of the item.
    pub verdict: ItemVerdict,
    /// Why.
    pub reason: String,
    /// Whether it was due before.
    pub late: bool,
    /// Whether it is about the item as it was seen last.
    pub counts: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_in_the_examples_is_what_the_types_say() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/record").join(CAMPAIGN_SCHEMA_FILE);
        let stored = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(stored == campaign_schema_as_json(), "{} is not what src/api says: run `make crds`", path.display());
    }

    #[test]
    fn an_item_keeps_its_name_while_its_digest_changes() {
        let item = |name: &str, uid: &str, subject: &str| -> ReviewItem {
            let subject = serde_json::json!({ "kind": "User", "name": subject });
            let object = serde_json::json!({ "kind": "RoleBinding", "namespace": "shop", "name": name, "uid": uid });
            let item =
                serde_json::json!({ "kind": "StandingAccess", "object": object, "holder": { "subject": subject } });
            serde_json::from_value(item).unwrap()
        };
        let (one, anew) = (item("a", "1", "alice"), item("a", "2", "alice"));
        assert_eq!((one.id(), one.id().len()), (anew.id(), ID_LENGTH));
        assert_ne!(one.digest(), anew.digest());
        for other in [item("b", "1", "alice"), item("a", "1", "bob")] {
            assert_ne!(one.id(), other.id());
        }
    }
}
