//! A review: whether it would have an effect, and how it is given to what was shown.

use kube::ResourceExt;

use super::shown::{Changed, Shown};
use crate::api::request::{AccessRequest, Review, ReviewVerdict};
use crate::api::subject::Identity;
use crate::cli::plugin::cluster::Cluster;
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::output::console::Console;
use crate::cli::plugin::output::text::{TextSpan, Tone};
use crate::cli::plugin::requests;
use crate::cli::plugin::seen::Seen;
use crate::cli::plugin::write;
use crate::core::decision::approvals::Eligibility;
use crate::core::lifecycle::stages;

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
pub fn refuse(request: &AccessRequest, why: &Vain, console: &mut Console) {
    let name = format!("{}/{}", request.namespace().unwrap_or_default(), request.name_any());
    console.say(TextSpan::new(format!("{name}: {why}"), Tone::Bad));
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
    seen: Option<&Seen<'_>>,
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
    let same = |said: &Review| said.verdict == review.verdict && said.comment == review.comment;
    if status.reviews.get(&who.username).is_some_and(same) {
        return Err(Vain::Said);
    }
    // Before the controller has looked, nobody can tell who has a say.
    let stages = seen.map(|seen| stages::in_force(&seen.snapshot(), &status)).filter(|stages| !stages.is_empty());
    let requester = request.spec.requester.clone().unwrap_or_default();
    match stages.map(|stages| Eligibility::of(&stages, &requester, &who.username, review)) {
        Some(why) if !why.is_eligible() => Err(Vain::NoSay(why)),
        _ => Ok(()),
    }
}

/// Writes a review to the request that was shown. When somebody else wrote in between, looks again, and goes on only if it is
/// still what was shown and `has_effect` says so.
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
    let mut latest = shown.clone();
    for _ in 0..MOST_LOOKS {
        match write::review(cluster, &latest, &who.username, review).await {
            Ok(reviewed) => return Ok(Ok(reviewed)),
            Err(error) if error.is_conflict() => {}
            Err(error) => return Err(error),
        }
        latest = requests::get(cluster, &namespace, &name).await?;
        // To end access is right under whatever policy it runs.
        let matters = |changed: &Changed| review.verdict != ReviewVerdict::Revoke || *changed == Changed::Request;
        let changed = relied_on.still_holds(&latest).err().filter(matters);
        let unchanged = changed.map_or(Ok(()), |changed| Err(Vain::Changed(changed)));
        if let Err(why) = unchanged.and_then(|()| has_effect(&latest, None, who, review)) {
            return Ok(Err(why));
        }
    }
    Ok(Err(Vain::Busy))
}
