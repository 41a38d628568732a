//! What the small cluster calls a breach of the record: looked for whenever a status is stored.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

use super::{Law, Simulator};
use crate::api::record::{Record, RecordedPolicy};
use crate::api::request::{AccessRequest, AccessRequestStatus};
use crate::core::policies::Entry;
use crate::core::record::v1::records;

impl Simulator {
    /// Records never change, each carries the digest of the former, and the last says what the status says.
    pub(super) fn judge_records(&mut self, new: &AccessRequestStatus) {
        let of = |status: &AccessRequestStatus| {
            records(&AccessRequest { status: Some(status.clone()), ..self.request.clone() }, "cluster")
        };
        let old = self.status();
        let (before, after) = (of(&old), of(new));
        let is_linked = |pair: &[Record]| pair[1].previous == Some(pair[0].digest());
        if !after.starts_with(&before) {
            self.breach(Law::Records, format!("what was recorded changes: {before:#?} {after:#?}"));
        }
        if !after.windows(2).all(is_linked) {
            self.breach(Law::Records, "a record does not follow its former");
        }
        let Some(last) = after.last().filter(|_| new.history.len() > old.history.len()) else { return };
        let policy = last.policy.as_ref().map(|policy| (&policy.name, &policy.uid, policy.generation));
        if policy != new.policy.as_ref().map(|policy| (&policy.name, &policy.uid, policy.generation)) {
            self.breach(Law::Records, format!("the policy is {:?}: {last:#?}", new.policy));
        }
        // Of one that went before its decision was stored, nobody has the text any more.
        let has_text = |policy: &RecordedPolicy| {
            let is_same = |other: &RecordedPolicy| {
                other.digest.is_some() && (&other.uid, other.generation) == (&policy.uid, policy.generation)
            };
            let is_named = before.iter().filter_map(|record| record.policy.as_ref()).any(is_same);
            is_named
                // The policies of this cluster are changed without a new generation, also to what cannot be read.
                || self.policies.iter().any(|there| {
                    let version = Entry::read(there).readable().map(|policy| policy.reference.clone());
                    version.is_some_and(|there| (&there.uid, there.generation) == (&policy.uid, policy.generation))
                })
        };
        if last.policy.as_ref().is_some_and(|policy| policy.digest.is_none() && has_text(policy)) {
            self.breach(Law::Records, format!("the text of the policy is not named: {last:#?}"));
        }
        let given = last.given.as_ref().map(|given| (given.from.clone(), given.until.clone()));
        let micro = |time: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Time| MicroTime(time.0);
        if given != new.expires_at.as_ref().map(|end| (new.granted_at.as_ref().map(micro), micro(end))) {
            self.breach(Law::Records, format!("{:?} to {:?} is given: {last:#?}", new.granted_at, new.expires_at));
        }
        let risk = new.risk.as_ref().map(|risk| risk.level.as_str().to_owned());
        if last.access.risk != risk {
            self.breach(Law::Records, format!("the risk is {risk:?}: {last:#?}"));
        }
        let role = new.role.as_ref().map(|role| role.changed_to.clone().unwrap_or(role.digest.clone()));
        if last.access.role_digest != role {
            self.breach(Law::Records, format!("the rules of the role are {role:?}: {last:#?}"));
        }
    }
}
