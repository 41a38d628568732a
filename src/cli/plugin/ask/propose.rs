//! Of calls that were refused, the narrowest requests that would let them pass.
//!
//! Takes the calls themselves, wherever they were refused. Which of the roles that one may ask for covers a call, and what would
//! be decided, the core says. Makes no request, and asks nobody.

use super::draft::Wish;
use super::forecast::{ForecastReading, Foreseen};
use super::line;
use super::options::REASON_TO_GIVE;
use crate::api::request::{AccessRequest, NarrowRule};
use crate::api::selector::RequestScope;
use crate::api::subject::Identity;
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::output::text::{Text, TextSpan, Tone};
use crate::cli::plugin::refused::{RefusedCall, listed, rules};
use crate::core::report::offers::{Offer, OfferPlace, offers};

/// What the command line says of the requests that are proposed.
pub struct AskedTerms {
    pub duration: Option<String>,
    pub reason: Option<String>,
    pub ticket: Option<String>,
    pub policy: Option<String>,
    /// Where requests are made for what is refused at the scope of the cluster.
    pub namespace: String,
}

/// A request for what was refused.
pub struct Proposal {
    /// What it is for.
    pub calls: Vec<RefusedCall>,
    /// None when no policy lets the caller ask for anything there.
    pub answer: Option<(AccessRequest, Foreseen)>,
}

/// The narrowest requests for calls that were refused: one for each namespace if a role covers all that was refused there, or
/// else one for each call.
///
/// # Errors
/// When the cluster cannot be asked.
pub async fn propose(
    reading: &ForecastReading<'_>,
    who: &Identity,
    terms: &AskedTerms,
    calls: &[RefusedCall],
) -> Result<Vec<Proposal>, PluginError> {
    let mut places: Vec<Option<&str>> = calls.iter().map(RefusedCall::namespace).collect();
    places.sort_unstable();
    places.dedup();
    let mut proposals = Vec::new();
    for place in places {
        let here: Vec<RefusedCall> = calls.iter().filter(|call| call.namespace() == place).cloned().collect();
        let choice = ProposalReading { reading, who, terms, place };
        let together = choice.best(&here).await?;
        if together.is_allowed() || here.len() == 1 {
            proposals.push(together);
            continue;
        }
        for call in here {
            proposals.push(choice.best(&[call]).await?);
        }
    }
    Ok(proposals)
}

/// What requests are looked for with, for what was refused in one place.
struct ProposalReading<'a> {
    reading: &'a ForecastReading<'a>,
    who: &'a Identity,
    terms: &'a AskedTerms,
    /// None at the scope of the cluster.
    place: Option<&'a str>,
}

impl ProposalReading<'_> {
    /// Of what one may ask for and covers these calls, what asks least of people; of those the role with fewest rights. In the
    /// namespace, or else in the whole cluster.
    async fn best(&self, calls: &[RefusedCall]) -> Result<Proposal, PluginError> {
        let namespace = self.place.unwrap_or(&self.terms.namespace);
        let here = [namespace.to_owned()];
        let (namespaces, _) = self.reading.policies.namespaces_or(self.reading.cluster, &here).await?;
        let offered = offers(&self.reading.policies.set, self.who, namespace, &namespaces);
        let (in_cluster, in_namespace): (Vec<Offer>, Vec<Offer>) =
            offered.into_iter().filter(|o| !o.break_glass).partition(|offer| offer.place == OfferPlace::Cluster);
        let in_namespace = in_namespace.into_iter().filter(|_| self.place.is_some()).collect();
        let rules = rules(calls);
        let mut best = self.of_offers(in_namespace, namespace, &rules).await?;
        if best.as_ref().is_none_or(|(_, foreseen)| foreseen.forecast.is_denied()) {
            let wider = self.of_offers(in_cluster, namespace, &rules).await?;
            best = wider.filter(|(_, foreseen)| best.is_none() || !foreseen.forecast.is_denied()).or(best);
        }
        Ok(Proposal { calls: calls.to_vec(), answer: best })
    }

    async fn of_offers(
        &self,
        offered: Vec<Offer>,
        namespace: &str,
        rules: &[NarrowRule],
    ) -> Result<Option<(AccessRequest, Foreseen)>, PluginError> {
        let mut best = None;
        let mut seen = Vec::new();
        for offer in offered {
            let draft = self.draft(&offer, namespace, rules);
            if seen.contains(&draft.spec.role) {
                continue;
            }
            seen.push(draft.spec.role.clone());
            let foreseen = self.reading.of(&draft).await?;
            // A role that cannot be read is taken to cover everything, which `view` never does.
            let is_short = foreseen.rights_of_role.is_none() && only_looks_in_vain(&draft);
            let rank = foreseen.forecast.rank();
            let key = (is_short, rank, foreseen.rights_of_role.unwrap_or(usize::MAX), reads(&draft));
            if best.as_ref().is_none_or(|(least, _)| key < *least) {
                best = Some((key, (draft, foreseen)));
            }
        }
        Ok(best.map(|(_, found)| found))
    }

    fn draft(&self, offer: &Offer, namespace: &str, rules: &[NarrowRule]) -> AccessRequest {
        let whole = RequestScope { namespaces: Vec::new(), namespace_selector: None, cluster: true };
        Wish {
            role: &line::role(&offer.role),
            namespace,
            duration: self.terms.duration.clone(),
            start: None,
            recurrence: None,
            reason: self.terms.reason.clone().unwrap_or_else(|| REASON_TO_GIVE.to_owned()),
            ticket: self.terms.ticket.clone(),
            rules: rules.to_vec(),
            scope: (offer.place == OfferPlace::Cluster).then_some(whole),
            policy: self.terms.policy.clone(),
            break_glass: false,
            requester: self.who.clone(),
        }
        .request()
    }
}

/// For roles that cannot be read, and so are not known to cover anything: `view` is tried first for what looks.
fn reads(draft: &AccessRequest) -> bool {
    (draft.spec.role.name == "view") != looks(draft)
}

/// Whether it asks `view` for more than to look.
fn only_looks_in_vain(draft: &AccessRequest) -> bool {
    draft.spec.role.name == "view" && !looks(draft)
}

fn looks(draft: &AccessRequest) -> bool {
    let looks = |verb: &String| ["get", "list", "watch"].contains(&verb.as_str());
    draft.spec.rules.iter().all(|rule| rule.verbs.iter().all(looks))
}

impl Proposal {
    /// Whether it would be allowed, as far as one can see.
    pub fn is_allowed(&self) -> bool {
        self.answer.as_ref().is_some_and(|(_, foreseen)| !foreseen.forecast.is_denied())
    }

    /// In words, and the request that is proposed. `as_line` says how it is asked for.
    ///
    /// # Errors
    /// When the cluster cannot be asked.
    pub async fn told(
        &self,
        reading: &ForecastReading<'_>,
        flags: &str,
        as_line: bool,
    ) -> Result<(Text, Option<AccessRequest>), PluginError> {
        let calls = listed(&self.calls);
        let Some((draft, foreseen)) = &self.answer else {
            let none = format!("{calls}: no policy lets you ask for anything there");
            return Ok((Text::of(TextSpan::new(none, Tone::Bad)), None));
        };
        let mut text = Text::default();
        if foreseen.forecast.is_denied() {
            text.line(TextSpan::new(format!("{calls}: nothing that you may ask for covers it"), Tone::Bad));
            text.extend(foreseen.forecast.text());
            if let Some((near, forecast)) = reading.nearest(foreseen).await? {
                text.spans(vec!["the nearest that you may ask for: ".into(), forecast.brief()]);
                text.line(format!("    {}", line::line(&near, flags).unwrap_or_default()));
            }
            return Ok((text, None));
        }
        text.spans(vec![format!("{calls}: {} covers it: ", draft.spec.role).into(), foreseen.forecast.brief()]);
        if let Some(line) = line::line(draft, flags).filter(|_| as_line) {
            text.line(format!("    {line}"));
        }
        Ok((text, Some(draft.clone())))
    }
}
