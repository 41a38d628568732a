//! Findings as events of the Open Cybersecurity Schema Framework, version 1.8.
//!
//! What is about rights is an IAM Analysis Finding (2008); how somebody behaves, and what was written past Daypass, is a
//! Detection Finding (2004), since 2008 wants an analysis of rights. Whether an event fits is held against the schema that is
//! derived from what OCSF publishes (`core/record/ocsf/schema.py`). It must not send anything.

use k8s_openapi::jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::finding::{AboutKind, InsightFact, InsightFinding, InsightKind};
use super::line::{SCHEMA, identity};
use crate::api::risk::RiskLevel;
use crate::api::word::Vocabulary;
use crate::core::record::ocsf::OcsfVersion;

/// A finding of a cluster, as it was found then; `way_out`: what to do, in words.
pub fn event(found: &InsightFinding, cluster: Option<&str>, at: Timestamp, way_out: &str) -> Value {
    let id = identity(found);
    let of_rights = is_of_rights(found);
    let (class, name) = if of_rights { (2008, "IAM Analysis Finding") } else { (2004, "Detection Finding") };
    let (severity_id, severity) = severity(found.severity);
    let (status_id, status) = if found.is_accepted() { (3, "Suppressed") } else { (1, "New") };
    let about = json!({ "name": found.about.to_string(), "type": found.about.kind.as_str() });
    let mut event = json!({
        "activity_id": 1, "activity_name": "Create",
        "category_uid": 2, "category_name": "Findings",
        "class_uid": class, "class_name": name,
        "type_uid": class * 100 + 1, "type_name": format!("{name}: Create"),
        "severity_id": severity_id, "severity": severity,
        "status_id": status_id, "status": status,
        "time": at.as_millisecond(),
        "message": format!("{} {}: {}", found.about, found.kind.sentence(), found.why()),
        "metadata": {
            "version": OcsfVersion::NEWEST.as_str(), "product": { "name": "Daypass", "vendor_name": "Daypass" },
            "uid": id, "event_code": found.kind.as_str(), "log_version": SCHEMA, "original_time": at.to_string(),
        },
        "finding_info": {
            "uid": id, "title": found.kind.sentence(), "desc": found.why(), "types": [found.kind.as_str()],
        },
        "resources": [about],
        "remediation": { "desc": way_out },
        "unmapped": unmapped(found),
    });
    let comment = found.accepted.as_ref().map(|accepted| json!(accepted.reason));
    let user = found.who.as_ref().filter(|_| of_rights).map(|who| json!({ "name": who.to_string() }));
    let analysed = of_rights.then(|| json!([analysis(found)]));
    let more = [("comment", comment), ("user", user), ("permission_analysis_results", analysed)];
    if let Value::Object(members) = &mut event {
        members.extend(more.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
    }
    if let Some(cluster) = cluster {
        event["metadata"]["tenant_uid"] = json!(cluster);
    }
    event
}

/// Whether it says what somebody may do, or a policy gives.
fn is_of_rights(found: &InsightFinding) -> bool {
    found.kind != InsightKind::UnexplainedWrite && found.about.kind != AboutKind::User
}

/// The object that gives the rights, and what is known of them.
fn analysis(found: &InsightFinding) -> Value {
    let roles = found.evidence.iter().filter_map(|fact| match fact {
        InsightFact::Bound { role, .. } | InsightFact::Narrower { role, .. } => Some(role.to_string()),
        _ => None,
    });
    let privileges: Vec<String> = roles.chain(found.rights().map(ToString::to_string)).collect();
    let policy = json!({ "name": found.about.to_string(), "type": found.about.kind.as_str() });
    json!({ "policy": policy, "granted_privileges": privileges })
}

/// What OCSF has no place for.
fn unmapped(found: &InsightFinding) -> Map<String, Value> {
    let mut members = Map::new();
    if let Some(who) = &found.who {
        members.insert("who".to_owned(), json!(who));
    }
    if let Some(holder) = found.holder {
        members.insert("holder".to_owned(), json!(holder.as_str()));
    }
    if let Some(accepted) = &found.accepted {
        members.insert("noteCounts".to_owned(), json!(!accepted.by_holder));
    }
    members
}

fn severity(level: RiskLevel) -> (u32, &'static str) {
    match level {
        RiskLevel::Low => (2, "Low"),
        RiskLevel::Medium => (3, "Medium"),
        RiskLevel::High => (4, "High"),
        RiskLevel::Critical => (5, "Critical"),
        RiskLevel::Unknown => (0, "Unknown"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::LazyLock;

    use jsonschema::Validator;

    use super::super::finding::{AboutObject, AcceptedFinding, CommandLine, Remedy};
    use super::*;
    use crate::api::subject::{Subject, SubjectKind};
    use crate::core::laws::fixtures::noon;

    const PUBLISHED: &str = include_str!("../record/ocsf/schema-1.8.0.json");

    static VALIDATOR: LazyLock<Validator> =
        LazyLock::new(|| jsonschema::validator_for(&serde_json::from_str(PUBLISHED).unwrap()).unwrap());

    fn wrong(event: &Value) -> Vec<String> {
        VALIDATOR.iter_errors(event).map(|error| format!("{}: {error}", error.instance_path())).collect()
    }

    fn finding(kind: InsightKind, about: AboutKind, severity: RiskLevel) -> InsightFinding {
        let who = Subject { kind: SubjectKind::Group, name: "dev".to_owned(), namespace: None, api_group: None };
        InsightFinding {
            kind,
            severity,
            about: AboutObject { kind: about, namespace: Some("shop".to_owned()), name: "b".to_owned() },
            who: Some(who),
            holder: Some(super::super::finding::Holder::Group),
            evidence: vec![InsightFact::Last(noon())],
            remedy: Remedy::Look(CommandLine::of(&["kubectl"])),
            accepted: None,
        }
    }

    fn all() -> Vec<InsightFinding> {
        let mut all = Vec::new();
        for kind in InsightKind::ALL {
            for about in [AboutKind::RoleBinding, AboutKind::AccessPolicy, AboutKind::User] {
                for level in RiskLevel::ALL {
                    let whole = finding(*kind, about, *level);
                    let accepted = AcceptedFinding { reason: "known".to_owned(), by_holder: false };
                    let noted = InsightFinding { accepted: Some(accepted), ..whole.clone() };
                    all.extend([InsightFinding { who: None, holder: None, evidence: Vec::new(), ..whole.clone() }]);
                    all.extend([whole, noted]);
                }
            }
        }
        all
    }

    #[test]
    fn every_kind_of_finding_is_an_event_that_ocsf_knows() {
        let mut classes = BTreeSet::new();
        for found in all() {
            for cluster in [None, Some("uid")] {
                let event = event(&found, cluster, noon(), "kubectl get");
                assert_eq!(wrong(&event), [] as [String; 0], "{event:#}");
                classes.insert(event["class_uid"].to_string());
                assert_eq!(event["finding_info"]["uid"], json!(identity(&found)));
            }
        }
        assert_eq!(classes, ["2004", "2008"].map(str::to_owned).into());
    }

    #[test]
    fn the_schema_refuses_what_ocsf_does_not_have() {
        let found = finding(InsightKind::UnusedHighRights, AboutKind::RoleBinding, RiskLevel::High);
        let good = event(&found, Some("uid"), noon(), "kubectl get");
        assert_eq!(good["status"], "New");
        for (path, bad) in [
            ("/class_uid", json!(2004)),
            ("/class_name", json!("Finding")),
            ("/activity_id", json!(4)),
            ("/type_uid", json!(200_802)),
            ("/severity", json!("Low")),
            ("/status_id", json!(3)),
            ("/finding_info", json!({ "title": "no uid" })),
            ("/permission_analysis_results", json!([{ "shoe_size": 38 }])),
            ("/permission_analysis_results/0/policy", json!({})),
            ("/remediation", json!({})),
            ("/user", json!({})),
        ] {
            let mut event = good.clone();
            *event.pointer_mut(path).unwrap() = bad.clone();
            assert!(!wrong(&event).is_empty(), "{path} may be {bad}");
        }
    }

    #[test]
    fn what_is_noted_as_known_is_suppressed_and_says_why() {
        let note = |by_holder| AcceptedFinding { reason: "known".to_owned(), by_holder };
        let of = |by_holder| {
            let found = finding(InsightKind::UnusedHighRights, AboutKind::RoleBinding, RiskLevel::High);
            event(&InsightFinding { accepted: Some(note(by_holder)), ..found }, None, noon(), "kubectl get")
        };
        assert_eq!((&of(false)["status"], &of(false)["comment"]), (&json!("Suppressed"), &json!("known")));
        assert_eq!(of(true)["status"], "New", "a note of whom it is about does not count");
    }
}
