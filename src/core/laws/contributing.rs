//! What the lists for contributors in `e2e/README.md` ask for and no compiler sees: of each field of a policy, and of
//! each guard of the chart.
//!
//! Owns, for each step of those lists, what may leave it out and why. It must not say what a field or a guard means.

use std::collections::BTreeSet;

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::fixtures::{deny, namespaces, noon, policy, request};
use super::purity::root;
use crate::api::policy::AccessPolicy;
use crate::api::request::AccessRequest;
use crate::core::decision::snapshot::Snapshot;
use crate::core::guard::Guard;
use crate::core::policies::PolicySet;
use crate::core::policies::limits::Counted;
use crate::core::report::explain::{Explanation, explain};

/// Fields that `policy lint` says nothing of, and why.
const CANNOT_LOOK_WRONG: [(&str, &str); 7] = [
    ("conditions", "whether an expression can hold is not proven; a slip in one is a fault, and lint prints those"),
    ("description", "people alone read it"),
    ("effect", "what a Deny leaves of an Allow is a warning about the scope of that Allow"),
    ("limits", "each number within its bounds is a choice"),
    ("onRoleChange", "both words are safe"),
    ("requireRecord", "whether there is an archive, no policy says; a request that waits for one says it"),
    ("recurrence", "the schema bounds the weeks, and duration.max each time"),
];
/// Fields that say nothing to a requester or an approver, and why.
const NOT_EXPLAINED: [(&str, &str); 2] = [
    ("description", "only whoever keeps the policies reads it"),
    ("onRoleChange", "it is about a change of the role, which is told when it happens"),
];
/// Guards that attempts do not take away, and why.
const NOT_A_GUARD_OF_PEOPLE: [(&str, &str); 1] =
    [("controller-guard", "no person is bound by it; a trial of attack/controller.rs removes it")];

#[test]
fn every_field_of_a_policy_has_a_bad_value_that_is_refused() {
    let source = read("e2e/admission.rs");
    let cases = source.split_once("async fn bad_policies(").and_then(|(_, rest)| rest.split_once("\n}\n")).unwrap().0;
    let untried: Vec<String> = fields().into_iter().filter(|field| !cases.contains(&format!("\"{field}\":"))).collect();
    assert!(untried.is_empty(), "bad_policies of e2e/admission.rs has no bad value for {untried:?}");
}

#[test]
fn every_field_of_a_policy_is_linted_or_cannot_look_wrong() {
    let sources = ["report/lint.rs", "policies/wildcards.rs", "policies/usable.rs"];
    let text: String = sources.map(|file| read(&format!("src/core/{file}"))).concat();
    let program = text.split("#[cfg(test)]\nmod tests").collect::<String>();
    for field in fields() {
        let linted = ["\"", ".", "["].iter().any(|end| program.contains(&format!("\"spec.{field}{end}")));
        let excused = CANNOT_LOOK_WRONG.iter().any(|(name, _)| *name == field);
        assert_ne!(linted, excused, "{field}: have report/lint.rs warn of what looks wrong, or say why nothing can");
    }
    assert_known(&CANNOT_LOOK_WRONG, &fields());
}

/// Two policies that differ in the field alone, and a request about which people are told something else under each.
#[test]
fn every_field_of_a_policy_is_explained_where_it_makes_a_difference() {
    let leads = json!([{ "kind": "Group", "name": "leads" }]);
    let stages = json!({ "approval": { "stages": [{ "name": "s", "approvers": leads }] } });
    let glass = json!({ "breakGlass": { "reviewers": leads, "reviewWithin": "2h" } });
    let weekly = |from: &str| {
        let window = json!({ "days": ["Mon"], "start": from, "end": "14:00" });
        json!({ "timeZone": "UTC", "windows": [window] })
    };
    let mut recurring = weekly("12:30");
    recurring["weeks"] = json!(2);
    let one = |spec: Value| vec![policy("p", spec)];
    let beside = |spec: Value| vec![policy("p", glass.clone()), deny("no", spec)];
    let nothing = || json!({});
    let told: Vec<(&str, Value, Vec<AccessPolicy>, Vec<AccessPolicy>)> = vec![
        ("effect", nothing(), one(nothing()), vec![deny("p", nothing())]),
        ("requesters", nothing(), one(nothing()), one(json!({ "requesters": leads }))),
        ("roles", nothing(), one(nothing()), one(json!({ "roles": [{ "name": "view" }] }))),
        ("scope", nothing(), one(nothing()), one(json!({ "scope": { "namespaces": ["bank"] } }))),
        ("duration", nothing(), one(nothing()), one(json!({ "duration": { "max": "20m" } }))),
        ("schedule", nothing(), one(nothing()), one(json!({ "schedule": weekly("13:00") }))),
        (
            "conditions",
            nothing(),
            one(nothing()),
            one(json!({ "conditions": [{ "expression": "false", "message": "never" }] })),
        ),
        ("approval", nothing(), one(nothing()), one(stages)),
        ("limits", nothing(), one(nothing()), one(json!({ "limits": { "liveGrants": 1 } }))),
        ("breakGlass", json!({ "breakGlass": true }), one(nothing()), one(glass.clone())),
        ("onBreakGlass", json!({ "breakGlass": true }), beside(nothing()), beside(json!({ "onBreakGlass": "Exempt" }))),
        (
            "recurrence",
            json!({ "recurrence": recurring }),
            one(json!({ "schedule": weekly("12:00"), "duration": { "max": "4h" } })),
            one(json!({ "schedule": weekly("12:00"), "duration": { "max": "4h" }, "recurrence": { "weeks": 4 } })),
        ),
        (
            "extension",
            json!({ "extends": "running", "duration": "10m" }),
            one(nothing()),
            one(json!({ "extension": { "max": "1h", "count": 1 } })),
        ),
        ("requireRecord", nothing(), one(nothing()), one(json!({ "requireRecord": true }))),
        ("idleTimeout", nothing(), one(nothing()), one(json!({ "idleTimeout": "10m" }))),
        // What is excused must be so.
        ("description", nothing(), one(nothing()), one(json!({ "description": "for the shop" }))),
        ("onRoleChange", nothing(), one(nothing()), one(json!({ "onRoleChange": "Suspend" }))),
    ];
    for (field, asked, without, with) in &told {
        let request = request(asked.clone());
        let differs = explained(&request, without) != explained(&request, with);
        let excused = NOT_EXPLAINED.iter().any(|(name, _)| name == field);
        assert_ne!(differs, excused, "{field}: have report/explain.rs tell it, or say why nobody needs to know");
    }
    let listed: BTreeSet<String> = told.iter().map(|(field, ..)| (*field).to_owned()).collect();
    assert_eq!(listed, fields(), "give each field two policies between which it makes the difference");
}

/// With a grant of somebody else that runs under the policy.
fn explained(asked: &AccessRequest, policies: &[AccessPolicy]) -> Explanation {
    let binding = json!({ "kind": "RoleBinding", "namespace": "shop", "name": "daypass-r-2" });
    let status = json!({
        "state": "Active", "grantedAt": noon().to_string(), "expiresAt": "2026-11-23T13:00:00Z", "bindings": [binding],
        "policy": { "name": "p", "uid": "p-p", "generation": 1 }
    });
    let mut running = request(json!({}));
    running.metadata.name = Some("running".to_owned());
    running.metadata.uid = Some("r-2".to_owned());
    running.status = Some(serde_json::from_value(status).unwrap());
    let (set, namespaces, guard) = (PolicySet::new(policies), namespaces(), Guard::since(Timestamp::MIN));
    let others = [Counted::of(&running).unwrap()];
    let extended = asked.spec.extends.is_some().then_some(&running);
    let bare = Snapshot::bare(asked, &set, &namespaces, &guard);
    explain(&Snapshot { others: &others, extended, ..bare }, noon())
}

#[test]
fn every_guard_has_an_attack_or_a_reason() {
    let known = read("e2e/attack/guard.rs");
    for guard in guards() {
        let binding = format!("\"validatingadmissionpolicybindings/daypass-{guard}");
        let attacked = ["\"", "-1\""].iter().any(|end| known.contains(&format!("{binding}{end}")));
        let excused = NOT_A_GUARD_OF_PEOPLE.iter().any(|(name, _)| *name == guard);
        assert_ne!(
            attacked, excused,
            "{guard}: add a variant to Guard of e2e/attack/guard.rs, or say why there is none"
        );
    }
    assert_known(&NOT_A_GUARD_OF_PEOPLE, &guards());
}

#[test]
fn the_security_model_names_every_guard() {
    let page = read("charts/daypass/README.md");
    let (_, model) = page.split_once("\n## Security model\n").unwrap();
    let model = model.split_once("\n## ").unwrap().0;
    let unnamed: Vec<String> = guards().into_iter().filter(|guard| !model.contains(&format!("`{guard}`"))).collect();
    assert!(
        unnamed.is_empty(),
        "the security model of charts/daypass/README.md does not say what these do: {unnamed:?}"
    );
}

/// The fields of a policy's spec, by the schema.
fn fields() -> BTreeSet<String> {
    let definition: Value = serde_saphyr::from_str(&read("crds/accesspolicies.yaml")).unwrap();
    let spec = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"];
    let fields: BTreeSet<String> = spec.as_object().unwrap().keys().cloned().collect();
    assert!(fields.len() > 10, "{fields:?}");
    fields
}

/// The guards of the chart, by the list that renders them and, for those that it makes several of, by what it includes.
fn guards() -> BTreeSet<String> {
    let chart = read("charts/daypass/templates/guards/_guards.tpl");
    let list = chart.split_once("range list ").and_then(|(_, rest)| rest.split_once("}}")).unwrap().0;
    let listed = list.split('"').skip(1).step_by(2);
    let included = chart.split("include \"daypass.guard.").skip(1).filter_map(|rest| rest.split('"').next());
    let guards: BTreeSet<String> = listed.chain(included).map(str::to_owned).collect();
    assert!(guards.len() > 8, "{guards:?}");
    guards
}

fn assert_known(excuses: &[(&str, &str)], names: &BTreeSet<String>) {
    for (name, why) in excuses {
        assert!(names.contains(*name), "{name} is not there any more: remove the excuse ({why})");
    }
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}
