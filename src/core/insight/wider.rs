//! Policies whose roles have more rights than the grants under them used.
//!
//! It must not propose less evidence than [`narrower`](super::narrower) asks for, nor change anything: it says which rules would
//! do.

use super::finding::{AboutKind, AboutObject, CommandLine, InsightFact, InsightFinding, InsightKind, Remedy};
use super::narrower::evidence::NarrowerTerms;
use super::narrower::proposal::{NarrowerRules, propose};
use super::seen::ClusterSeen;
use crate::api::risk::RiskLevel;
use crate::api::subject::RoleName;

/// Finds them; of one policy all roles together.
pub fn wider(seen: &ClusterSeen) -> Vec<InsightFinding> {
    let Ok(grants) = &seen.grants else { return Vec::new() };
    let mut found: Vec<InsightFinding> = Vec::new();
    for of_role in grants {
        let Ok(rules) = propose(&of_role.rules, of_role.extent, &of_role.past, NarrowerTerms::default()) else {
            continue;
        };
        let severity = harm(&rules);
        let fact = InsightFact::Narrower { role: of_role.role.clone(), rules: Box::new(rules) };
        match found.iter_mut().find(|one| one.about.name == of_role.policy) {
            Some(finding) => {
                finding.severity = finding.severity.max(severity);
                finding.evidence.push(fact);
            }
            None => found.push(finding(&of_role.policy, severity, fact)),
        }
    }
    found
}

/// What of the harm would be gone.
fn harm(rules: &NarrowerRules) -> RiskLevel {
    if rules.risk_after.level < rules.risk_before.level { rules.risk_before.level } else { RiskLevel::Low }
}

fn finding(policy: &str, severity: RiskLevel, fact: InsightFact) -> InsightFinding {
    let look = CommandLine::of(&["kubectl", "daypass", "policy", "narrower", policy]);
    InsightFinding {
        kind: InsightKind::WiderThanUsed,
        severity,
        about: AboutObject { kind: AboutKind::AccessPolicy, namespace: None, name: policy.to_owned() },
        who: None,
        holder: None,
        evidence: vec![fact],
        remedy: Remedy::Look(look),
        accepted: None,
    }
}

impl InsightFinding {
    /// The roles that have more than was used, each with the rules that would do.
    pub fn narrower(&self) -> impl Iterator<Item = (&RoleName, &NarrowerRules)> {
        self.evidence.iter().filter_map(|fact| match fact {
            InsightFact::Narrower { role, rules } => Some((role, &**rules)),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::rbac::v1::PolicyRule;
    use k8s_openapi::jiff::SignedDuration;

    use super::super::findings;
    use super::super::narrower::evidence::{GrantCalls, PastGrant, UnseenCalls, UsedCall, UsedRight};
    use super::super::seen::GrantsOfRole;
    use super::super::tests::{rule, seen};
    use super::*;
    use crate::api::subject::RoleKind;
    use crate::core::activity::names::ObjectNames;
    use crate::core::laws::fixtures::noon;
    use crate::core::rbac::risk::Extent;

    /// So many grants, one a week, each of which listed pods.
    fn grants(name: &str, rules: Vec<PolicyRule>, weeks: i64, verb: &str) -> GrantsOfRole {
        let right = UsedRight { group: String::new(), resource: "pods".to_owned(), verb: verb.to_owned() };
        let call = UsedCall { right, names: ObjectNames::default() };
        let grant = |week: i64| {
            let from = noon() - SignedDuration::from_hours(24 * 7 * week);
            let until = from + SignedDuration::from_hours(1);
            let calls = GrantCalls::Seen(vec![call.clone()]);
            PastGrant { name: format!("shop/fix-{week}"), from, until, calls }
        };
        GrantsOfRole {
            policy: "devs".to_owned(),
            role: RoleName { kind: RoleKind::ClusterRole, name: name.to_owned() },
            rules,
            extent: Extent::Namespaces,
            past: (1..=weeks).map(grant).collect(),
        }
    }

    fn found(grants: Vec<GrantsOfRole>) -> Vec<InsightFinding> {
        findings(&ClusterSeen { grants: Ok(grants), ..seen() }).found
    }

    #[test]
    fn a_role_with_more_than_was_used_is_told_with_rules_that_would_do() {
        let wide = || vec![rule("get,list,delete", "", "pods,secrets", &[])];
        let told = found(vec![grants("edit", wide(), 12, "list")]);
        let [one] = told.as_slice() else { panic!("{told:?}") };
        assert_eq!((one.kind, one.severity), (InsightKind::WiderThanUsed, RiskLevel::High));
        let (role, rules) = one.narrower().next().unwrap();
        let [left] = rules.rules.as_slice() else { panic!("{rules:?}") };
        assert_eq!((role.name.as_str(), left.verbs.as_slice()), ("edit", ["list".to_owned()].as_slice()));
        assert_eq!(left.resources, Some(vec!["pods".to_owned()]));
        assert_eq!((rules.replay.grants, rules.replay.lacking.len()), (12, 0));
        assert!(rules.risk_after.level < rules.risk_before.level);

        let two = found(vec![grants("edit", wide(), 12, "list"), grants("other", wide(), 12, "get")]);
        assert_eq!((two.len(), two[0].narrower().count()), (1, 2), "one policy is one finding");
    }

    #[test]
    fn nothing_is_said_with_less_evidence_or_nothing_to_take() {
        let wide = || vec![rule("get,list,delete", "", "pods,secrets", &[])];
        assert!(found(vec![grants("edit", wide(), 9, "list")]).is_empty(), "too few grants");
        assert!(found(vec![grants("edit", vec![rule("list", "", "pods", &[])], 12, "list")]).is_empty());
        let mut unheard = grants("edit", wide(), 12, "list");
        unheard.past[3].calls = GrantCalls::Unseen(UnseenCalls::TooMany);
        assert!(found(vec![unheard]).is_empty(), "what was done with one of them is not known");
    }

    #[test]
    fn what_does_no_harm_is_told_as_low() {
        let extra = vec![rule("get,list", "", "pods", &[])];
        let told = found(vec![grants("view", extra, 12, "list")]);
        assert_eq!(told[0].severity, RiskLevel::Low);
        let as_bad = vec![rule("get,list", "", "secrets", &[]), rule("list", "", "pods", &[])];
        let mut same = grants("reads", as_bad, 12, "list");
        for grant in &mut same.past {
            let right = UsedRight { group: String::new(), resource: "secrets".to_owned(), verb: "list".to_owned() };
            grant.calls = GrantCalls::Seen(vec![UsedCall { right, names: ObjectNames::default() }]);
        }
        let told = found(vec![same]);
        let (_, rules) = told[0].narrower().next().unwrap();
        assert!(rules.risk_before.level > RiskLevel::Low, "{rules:?}");
        assert_eq!((told[0].severity, rules.risk_after.level), (RiskLevel::Low, rules.risk_before.level));
    }
}
