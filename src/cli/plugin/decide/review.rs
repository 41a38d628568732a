//! A review: whether it would have an effect, and how it is given to what was shown.

use std::collections::BTreeSet;

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use super::shown::{Changed, Shown};
use crate::api::policy::Stage;
use crate::api::request::{AccessRequest, AccessRequestStatus, Review, ReviewVerdict};
use crate::api::subject::Identity;
use crate::cli::plugin::cluster::Cluster;
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::exit::Exit;
use crate::cli::plugin::output::console::Console;
use crate::cli::plugin::output::text::{TextSpan, Tone};
use crate::cli::plugin::requests;
use crate::cli::plugin::see::words;
use crate::cli::plugin::seen::policy_now;
use crate::cli::plugin::write;
use crate::core::decision::approvals::Eligibility;
use crate::core::decision::snapshot::Snapshot;
use crate::core::guard::Guard;
use crate::core::lifecycle::stages;
use crate::core::model::namespaces::Namespaces;
use crate::core::policies::PolicySet;

/// How often a review is sent anew because somebody else wrote in between.
const MOST_LOOKS: usize = 8;

/// Why a review is not given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Vain {
    /// The request is over, in this state.
    Over(&'static str),
    /// Access runs, and only Revoke can be said to it.
    Running,
    /// It is somebody else's, of this name, and only one's own can be dropped.
    NotYours(String),
    /// The reviewer has no say.
    NoSay(Eligibility),
    /// The reviewer says so already.
    Said,
    /// It is not what the reviewer was shown any more.
    Changed(Changed),
    /// Others wrote to it all the time.
    Busy,
}

impl std::fmt::Display for Vain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Over(state) => write!(f, "it is over ({state}), and nothing that is said to it has an effect"),
            Self::Running => f.write_str("its access runs: only a review of Revoke has an effect now"),
            Self::NotYours(whose) => {
                write!(f, "it is {whose}'s and not yours: an approver ends it with kubectl daypass revoke")
            }
            Self::NoSay(why) => write!(f, "{why}, so it would have no effect"),
            Self::Said => f.write_str("you have said so already"),
            Self::Changed(what) => write!(f, "{what}: look at it again, and then decide"),
            Self::Busy => f.write_str("others write to it all the time: try again"),
        }
    }
}

/// Says why a review is not given.
pub fn refuse(request: &AccessRequest, why: &Vain, console: &mut Console) -> Exit {
    console.say(TextSpan::new(format!("{}: {why}", words::name(request)), Tone::Bad));
    Exit::Error
}

/// Says that a review could not be given.
pub fn fail(request: &AccessRequest, error: &PluginError, console: &mut Console) -> Exit {
    console.say(TextSpan::new(format!("{}: {error}", words::name(request)), Tone::Bad));
    error.exit()
}

/// A review by somebody, as the cluster would stamp it.
pub fn review(verdict: ReviewVerdict, comment: Option<&str>, who: &Identity) -> Review {
    let comment = comment.map(str::to_owned).filter(|comment| !comment.is_empty());
    Review { verdict, comment, uid: who.uid.clone(), groups: who.groups.clone() }
}

/// Whether a review would have an effect now, as far as can be seen; without the policies, only the request itself is looked
/// at.
///
/// # Errors
/// Why it would not.
pub fn has_effect(
    request: &AccessRequest,
    policies: Option<&PolicySet>,
    who: &Identity,
    review: &Review,
) -> Result<(), Vain> {
    let status = request.status.clone().unwrap_or_default();
    let revokes = review.verdict == ReviewVerdict::Revoke;
    let to_be_reviewed = status.break_glass.as_ref().is_some_and(|review| review.is_open());
    if request.is_over() && (revokes || !to_be_reviewed) {
        return Err(Vain::Over(status.state.as_str()));
    }
    if request.has_grant() && !revokes && !to_be_reviewed {
        return Err(Vain::Running);
    }
    // Before the controller has looked, nobody can tell who has a say.
    let stages = in_force(request, &status, policies);
    let requester = request.spec.requester.clone().unwrap_or_default();
    match Eligibility::of(&stages, &requester, &who.username, review) {
        why if !stages.is_empty() && !why.is_eligible() => Err(Vain::NoSay(why)),
        _ if status.reviews.get(&who.username).is_some_and(|said| says_nothing_new(review, said)) => Err(Vain::Said),
        _ => Ok(()),
    }
}

/// Whether a review would leave the one that is there as it is. Groups that the reviewer has gained or lost since do count.
fn says_nothing_new(review: &Review, said: &Review) -> bool {
    let groups = |review: &Review| review.groups.iter().cloned().collect::<BTreeSet<_>>();
    said.verdict == review.verdict
        && (review.comment.is_none() || said.comment == review.comment)
        && said.uid == review.uid
        && groups(said) == groups(review)
}

/// Everybody who has a say, as the policies say it now; the review of break-glass access comes last. Nobody when the policies
/// are not known.
pub fn in_force(request: &AccessRequest, status: &AccessRequestStatus, policies: Option<&PolicySet>) -> Vec<Stage> {
    let (namespaces, guard) = (Namespaces::new(), Guard::since(Timestamp::MIN));
    let snapshot = policies.map(|policies| Snapshot::bare(request, policies, &namespaces, &guard));
    snapshot.map(|snapshot| stages::in_force(&snapshot, status)).unwrap_or_default()
}

/// Writes a review to the request that was shown, unless the policy that decides was changed since. When somebody else wrote in
/// between, looks again, and goes on only if it is still what was shown and `has_effect` says so.
///
/// # Errors
/// When the API server refuses it. That it is not given is no error.
pub async fn give(
    cluster: &Cluster,
    shown: &AccessRequest,
    who: &Identity,
    review: &Review,
) -> Result<Result<AccessRequest, Vain>, PluginError> {
    let (namespace, name) = (shown.namespace().unwrap_or_default(), shown.name_any());
    let relied_on = Shown::of(shown);
    // To end access is right under whatever policy it runs, and a review of break-glass access is asked for by the policy that
    // allowed it.
    if review.verdict != ReviewVerdict::Revoke && !shown.is_decided() && policy_changed(cluster, shown).await? {
        return Ok(Err(Vain::Changed(Changed::Policy)));
    }
    let mut latest = shown.clone();
    for _ in 0..MOST_LOOKS {
        match write::review(cluster, &latest, &who.username, review).await {
            Ok(reviewed) => return Ok(Ok(reviewed)),
            Err(error) if error.is_conflict() => {}
            Err(error) => return Err(error),
        }
        latest = requests::get(cluster, &namespace, &name).await?;
        let matters = |changed: &Changed| review.verdict != ReviewVerdict::Revoke || *changed == Changed::Request;
        let changed = relied_on.still_holds(&latest).err().filter(matters);
        let unchanged = changed.map_or(Ok(()), |changed| Err(Vain::Changed(changed)));
        if let Err(why) = unchanged.and_then(|()| has_effect(&latest, None, who, review)) {
            return Ok(Err(why));
        }
    }
    Ok(Err(Vain::Busy))
}

/// Whether the policy that decides is another now than the controller has put on record, as far as the reviewer may read it.
async fn policy_changed(cluster: &Cluster, shown: &AccessRequest) -> Result<bool, PluginError> {
    let Some(recorded) = shown.status.as_ref().and_then(|status| status.policy.as_ref()) else { return Ok(false) };
    match policy_now(cluster, &recorded.name).await {
        Ok(now) => Ok(now.as_ref() != Some(recorded)),
        Err(error) if error.is_forbidden() => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::laws::fixtures::{group, policy, request};
    use serde_json::json;

    fn carol() -> Identity {
        let groups = ["leads", "system:authenticated"].map(str::to_owned).to_vec();
        Identity { username: "carol".to_owned(), uid: Some("u-carol".to_owned()), groups, ..Identity::default() }
    }

    #[test]
    fn what_was_said_before_is_said_again_only_if_it_is_another_thing() {
        let said = |verdict: &str, comment: Option<&str>, groups: &[&str]| {
            let review = json!({ "verdict": verdict, "comment": comment, "uid": "u-carol", "groups": groups });
            let status = json!({ "state": "Pending", "reviews": { "carol": review } });
            AccessRequest { status: serde_json::from_value(status).unwrap(), ..request(json!({})) }
        };
        let (both, one) = (["system:authenticated", "leads"], ["leads"]);
        let deny = |comment| review(ReviewVerdict::Deny, comment, &carol());
        let effect = |request, review| has_effect(&request, None, &carol(), &review);
        assert_eq!(effect(said("Deny", Some("no"), &both), deny(Some("no"))), Err(Vain::Said));
        assert_eq!(effect(said("Deny", Some("no"), &both), deny(None)), Err(Vain::Said), "no other comment was given");
        assert_eq!(effect(said("Deny", Some("no"), &both), deny(Some("never"))), Ok(()));
        assert_eq!(effect(said("Approve", Some("no"), &both), deny(None)), Ok(()));
        assert_eq!(effect(said("Deny", None, &one), deny(None)), Ok(()), "carol has joined a group since");
    }

    /// The policies are enough to tell: nothing of the namespaces that are asked for is read.
    #[test]
    fn who_has_a_say_is_known_for_namespaces_by_label_too() {
        let mut asked = request(json!({ "scope": { "namespaceSelector": { "matchLabels": { "team": "pay" } } } }));
        let decides = json!({ "name": "p", "uid": "u-p", "generation": 1 });
        asked.status = serde_json::from_value(json!({ "state": "Pending", "policy": decides })).unwrap();
        let stages = json!([{ "name": "leads", "approvers": [group("leads")] }]);
        let policies = PolicySet::new([&policy("p", json!({ "approval": { "stages": stages } }))]);
        let approve =
            |who: &Identity| has_effect(&asked, Some(&policies), who, &review(ReviewVerdict::Approve, None, who));
        assert_eq!(approve(&carol()), Ok(()));
        let eve = Identity { username: "eve".to_owned(), ..Identity::default() };
        assert_eq!(approve(&eve), Err(Vain::NoSay(Eligibility::NotAnApprover)));
    }
}
