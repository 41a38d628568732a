//! Whether the admission policies stand as the chart made them, and what writes identities.

use std::collections::BTreeMap;

use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::unknown;
use crate::cli::plugin::doctor::certificate;
use crate::cli::plugin::doctor::facts::{HealthFacts, InstalledController, UnreadFact};
use crate::cli::plugin::doctor::finding::{CheckFinding, HealthCheck};
use crate::cli::plugin::doctor::marked::MarkedText;
use crate::core::guard::sight::{Expected, GuardDrift, Marks, SeenGuard, judge};
use crate::core::model::instants::later;

/// The guards of the chart, by their short names.
const GUARDS: [&str; 13] = [
    "identity-check",
    "status-guard",
    "policy-status-guard",
    "binding-guard",
    "controller-guard",
    "deletion-guard",
    "metadata-guard",
    "lease-guard",
    "self-guard",
    "policy-author-guard-1",
    "policy-author-guard-2",
    "policy-author-guard-3",
    "policy-author-guard-4",
];
/// The policies that write identities.
const STAMPS: [&str; 2] = ["identity-stamp", "review-stamp"];
/// Name of the chart's objects, unless its values say otherwise.
const USUAL_NAME: &str = "daypass";
const APPLY_AGAIN: &str = "apply the chart again: helm upgrade, with the values of the installation";
/// How long before its end a certificate is to be renewed.
const RENEW_BEFORE: SignedDuration = SignedDuration::from_hours(30 * 24);

fn name_of(known: Option<&InstalledController>) -> &str {
    known.map_or(USUAL_NAME, |known| &known.name)
}

/// The guards to look for: those that the controller was told of, or those of the usual names without a digest.
pub fn expected(known: Option<&InstalledController>) -> Vec<Expected> {
    match known {
        Some(known) if !known.guards.is_empty() => known.guards.clone(),
        _ => {
            let name = |guard| format!("{}-{guard}", name_of(known));
            GUARDS.map(|guard| Expected { name: name(guard), digest: String::new() }).into()
        }
    }
}

/// Name of the webhook that writes identities, if there is one.
pub fn stamp_webhook(known: Option<&InstalledController>) -> String {
    format!("{}-stamp", name_of(known))
}

fn known(facts: &HealthFacts) -> Option<&InstalledController> {
    facts.controller.as_ref().ok().and_then(Option::as_ref)
}

/// A guard without the name of the release: all of them are known, and name nobody.
fn short<'a>(guard: &'a str, release: &str) -> Option<&'a str> {
    guard.strip_prefix(release)?.strip_prefix('-').filter(|short| GUARDS.contains(short))
}

/// Each guard by name.
pub fn guards(facts: &HealthFacts) -> Vec<CheckFinding> {
    let (check, known) = (HealthCheck::Guard, known(facts));
    let seen = match &facts.guards {
        Ok(seen) => seen,
        Err(unread) => return vec![check.unknown(unread)],
    };
    let expected = expected(known);
    let drifted: BTreeMap<String, GuardDrift> =
        judge(&expected, seen, &BTreeMap::new(), &Marks::new()).drifted.into_iter().collect();
    expected
        .iter()
        .map(|guard| {
            let object = match short(&guard.name, name_of(known)) {
                Some(short) => MarkedText::default().value(short),
                None => MarkedText::default().object(&guard.name),
            };
            let none = SeenGuard::default();
            let seen = seen.get(&guard.name).unwrap_or(&none);
            one(seen, drifted.get(&guard.name).copied(), guard.digest.is_empty()).of(object)
        })
        .collect()
}

/// `untold`: nobody says what the chart made of it.
fn one(seen: &SeenGuard, drift: Option<GuardDrift>, untold: bool) -> CheckFinding {
    let check = HealthCheck::Guard;
    let missing = |kind: &'static str| check.error(MarkedText::of("there is no ").words(kind)).fix(APPLY_AGAIN);
    let (policy, binding) = match (&seen.policy, &seen.binding) {
        (None, _) => return missing("ValidatingAdmissionPolicy of this name"),
        (_, None) => return missing("ValidatingAdmissionPolicyBinding of this name"),
        (Some(policy), Some(binding)) => (&policy.spec, &binding.spec),
    };
    let actions: Vec<&str> =
        binding["validationActions"].as_array().into_iter().flatten().filter_map(|action| action.as_str()).collect();
    if !actions.contains(&"Deny") {
        let text = MarkedText::of("it refuses nothing: its binding has the actions ").value(actions.join(", "));
        return check.error(text.words(", and not Deny")).fix(APPLY_AGAIN);
    }
    if policy["failurePolicy"] == "Ignore" {
        return check.error("it lets pass what it cannot judge: failurePolicy is Ignore").fix(APPLY_AGAIN);
    }
    match drift {
        _ if untold => {
            let what = "compare it with what the chart made, which the arguments of the controller's Deployment say";
            check.unknown(&UnreadFact::hangs_on(what))
        }
        None => check.ok("is there, denies, and is what the chart made"),
        Some(_) => check
            .error("is not what the chart made: its policy or its binding was changed, such as what it matches")
            .fix(APPLY_AGAIN),
    }
}

/// What writes identities.
pub fn stamp(facts: &HealthFacts) -> Vec<CheckFinding> {
    let (check, name) = (HealthCheck::Stamp, name_of(known(facts)));
    let seen = &facts.stamp;
    let bound = |policies: &std::collections::BTreeSet<String>| {
        STAMPS.iter().filter(|stamp| policies.contains(&format!("{name}-{stamp}"))).count()
    };
    let policies = seen.policies.as_ref().map(bound);
    match (policies, &seen.webhook) {
        (Ok(2), _) => vec![check.ok("identities are written by MutatingAdmissionPolicies")],
        (Ok(1), _) => vec![
            check
                .warning(
                    "one of the two MutatingAdmissionPolicies that write identities is not there, or has no binding",
                )
                .fix(APPLY_AGAIN),
        ],
        (_, Ok(Some(webhook))) => {
            vec![check.ok("identities are written by the webhook"), certificate_of(webhook, facts.clock.now)]
        }
        (Ok(_), Ok(None)) => vec![
            check
                .note("nothing writes identities: this plugin writes them, and who uses kubectl alone writes their own")
                .fix("helm upgrade with --set identity.stamp=auto, unless it is off on purpose"),
        ],
        (Err(_), _) => unknown(check, &seen.policies).into_iter().collect(),
        (_, Err(_)) => unknown(check, &seen.webhook).into_iter().collect(),
    }
}

/// Of the webhook's certificate what the cluster shows to everybody: until when the authorities hold that it must be signed by.
fn certificate_of(webhook: &MutatingWebhookConfiguration, now: Timestamp) -> CheckFinding {
    let check = HealthCheck::StampCertificate;
    let bundles = webhook.webhooks.iter().flatten().filter_map(|webhook| webhook.client_config.ca_bundle.as_ref());
    let ends: Vec<Timestamp> = bundles.flat_map(|bundle| certificate::ends(&bundle.0)).collect();
    let renew =
        "helm upgrade makes a new one when the Secret of the webhook is deleted before; cert-manager renews its own";
    match ends.iter().max() {
        None => check.warning("the API server is told of no authority, so it cannot call the webhook").fix(renew),
        Some(end) if *end <= now => {
            check.error(MarkedText::of("the authority of its certificate ended at ").value(end)).fix(renew)
        }
        Some(end) if *end <= later(now, RENEW_BEFORE) => {
            check.warning(MarkedText::of("the authority of its certificate ends at ").value(end)).fix(renew)
        }
        Some(end) => check.ok(MarkedText::of("the authority of its certificate holds until ").value(end)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::plugin::doctor::finding::FindingLevel;
    use crate::core::guard::sight::Stored;
    use serde_json::{Value, json};

    fn seen(policy: Value, binding: Value) -> SeenGuard {
        let stored = |spec| Some(Stored { uid: "u".to_owned(), generation: 1, spec });
        SeenGuard { policy: stored(policy), binding: stored(binding) }
    }

    #[test]
    fn a_guard_must_be_there_deny_and_be_what_the_chart_made() {
        use FindingLevel::{Error, Ok as Good, Unknown};
        let denies = || seen(json!({ "failurePolicy": "Fail" }), json!({ "validationActions": ["Deny"] }));
        for (seen, drift, untold, level) in [
            (denies(), None, false, Good),
            (denies(), Some(GuardDrift::Changed), false, Error),
            (denies(), Some(GuardDrift::Changed), true, Unknown),
            (seen(json!({}), json!({ "validationActions": ["Audit"] })), Some(GuardDrift::Changed), true, Error),
            (
                seen(json!({ "failurePolicy": "Ignore" }), json!({ "validationActions": ["Deny"] })),
                Some(GuardDrift::Changed),
                true,
                Error,
            ),
            (SeenGuard { binding: None, ..denies() }, Some(GuardDrift::NoBinding), true, Error),
            (SeenGuard::default(), Some(GuardDrift::NoPolicy), false, Error),
        ] {
            assert_eq!(one(&seen, drift, untold).level, level, "{seen:?}");
        }
    }

    #[test]
    fn the_guards_are_those_of_the_chart() {
        let text = std::fs::read_to_string("charts/daypass/templates/guards/_guards.tpl").unwrap();
        let list = text.lines().find_map(|line| line.strip_prefix("{{- range list ")).unwrap();
        let named: Vec<&str> = list.split('"').skip(1).step_by(2).collect();
        assert!(named.len() > 5 && text.contains(r#"until 4 }}"#) && text.contains("policy-author-guard-%d"), "{list}");
        assert_eq!(GUARDS[..named.len()], named[..]);
        assert!(GUARDS[named.len()..].iter().all(|guard| guard.starts_with("policy-author-guard-")));
        assert_eq!(GUARDS.len(), named.len() + 4);
        assert_eq!(short("mine-self-guard", "mine"), Some("self-guard"));
        assert_eq!(short("mine-secret", "mine"), None);
    }
}
