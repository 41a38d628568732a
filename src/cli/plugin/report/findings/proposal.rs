//! A proposed policy and its test, as YAML with comments for people.
//!
//! It must not say more than was proposed. Nothing that somebody typed stands in a comment: as a value it is quoted.

use serde_json::{Value, json};

use crate::api::subject::{RoleKind, Subject, SubjectKind};
use crate::cli::plugin::policy::init::written::test_begins;
use crate::core::insight::finding::PolicyProposal;
use crate::core::insight::remedy::APPROVERS_TO_NAME;

/// The stage of a proposed policy.
const STAGE: &str = "approval";
/// The longest that may be asked for, and more than that.
const LONGEST: &str = "4h";
const LONGER: &str = "5h";

/// The AccessPolicy.
pub fn policy(proposal: &PolicyProposal) -> String {
    let PolicyProposal { name, requester, role, namespace, system_namespaces, approvers } = proposal;
    let to_name = match approvers.iter().any(|one| one.name == APPROVERS_TO_NAME) {
        true => "\n        # No policy names approvers yet: put in who is to agree.",
        false => "",
    };
    let scope = match namespace {
        Some(namespace) => format!("    namespaces: [{}]\n", quoted(namespace)),
        None => "    cluster: true\n".to_owned(),
    };
    let system = match system_namespaces {
        true => {
            "    # It holds in kube-system or in the namespace of Daypass too. Only who may administer policies can write this.
    systemNamespaces: true\n"
        }
        false => "",
    };
    let role = match role.kind {
        RoleKind::ClusterRole => json!({ "name": role.name }),
        RoleKind::Role => json!({ "kind": "Role", "name": role.name }),
    };
    format!(
        "\
# Proposed by `kubectl daypass report findings` for what is held all the time now. Take the standing binding away once it works.
apiVersion: daypass.dev/v1alpha1
kind: AccessPolicy
metadata:
  name: {name}
spec:
  description: Proposed in place of a standing binding.
  # They need the ClusterRole daypass-requester besides.
  requesters:
    - {requester}
  # Daypass must be allowed to bind it (bindableClusterRoles and bindableRoles of its chart).
  roles:
    - {role}
  scope:
{scope}{system}  duration:
    max: {LONGEST}
  approval:
    deadline: 24h
    stages:
      # One of these people must agree, never the requester. They need the ClusterRole daypass-approver besides.{to_name}
      - name: {STAGE}
        approvers:
{approvers}",
        name = quoted(name),
        requester = subject(requester),
        approvers = approvers.iter().map(|one| format!("          - {}\n", subject(one))).collect::<String>(),
    )
}

/// The PolicyTest.
pub fn test(proposal: &PolicyProposal, release: &str) -> String {
    let namespaces = match &proposal.namespace {
        Some(namespace) => format!("  - {{name: {}}}\n  - {{name: elsewhere-than-this}}\n", quoted(namespace)),
        None => "  - {name: default}\n".to_owned(),
    };
    let (begins, cases) = (test_begins(&proposal.name, release, quoted), cases(proposal));
    format!("{begins}namespaces:\n{namespaces}cases:\n{cases}")
}

fn cases(proposal: &PolicyProposal) -> String {
    let who = username(&proposal.requester, "somebody-of-the-group");
    let asks = identity(&proposal.requester, &who);
    let here = proposal.namespace.as_deref().unwrap_or("default");
    let waits = json!({
        "outcome": "Waiting", "policy": proposal.name, "stage": STAGE,
        "approvers": proposal.approvers.iter().map(ToString::to_string).collect::<Vec<_>>(),
    });
    let mut all = vec![
        case("who holds it now asks and waits", here, proposal, &asks, json!({ "expect": waits })),
        case("nobody else may ask", here, proposal, &json!({ "username": "somebody-else" }), denied()),
    ];
    if let Some(approver) = proposal.approvers.first() {
        let name = username(approver, "an-approver");
        let groups: Vec<&str> =
            (approver.kind == SubjectKind::Group).then_some(approver.name.as_str()).into_iter().collect();
        let by = |name: &str| json!({ name: { "verdict": "Approve", "groups": groups } });
        let granted = json!({ "reviews": by(&name), "expect": { "outcome": "Granted" } });
        all.push(case("one approver is enough", here, proposal, &asks, granted));
        let own = json!({ "reviews": by(&who), "expect": { "outcome": "Waiting" } });
        all.push(case("nobody approves their own request", here, proposal, &asks, own));
    }
    if proposal.namespace.is_some() {
        all.push(case("nor is it given elsewhere", "elsewhere-than-this", proposal, &asks, denied()));
    }
    let longer = json!({ "duration": LONGER, "expect": { "outcome": "Denied" } });
    all.push(case("nor for longer", here, proposal, &asks, longer));
    all.concat()
}

fn denied() -> Value {
    json!({ "expect": { "outcome": "Denied" } })
}

/// A case: every JSON value is one of YAML.
fn case(name: &str, namespace: &str, proposal: &PolicyProposal, asks: &Value, more: Value) -> String {
    let mut spec = json!({
        "role": { "kind": proposal.role.kind.as_str(), "name": proposal.role.name }, "reason": "a test",
    });
    if proposal.namespace.is_none() {
        spec["scope"] = json!({ "cluster": true });
    }
    if let Some(length) = more.get("duration") {
        spec["duration"] = length.clone();
    }
    let reviews = more.get("reviews").map(|reviews| format!("    reviews: {reviews}\n")).unwrap_or_default();
    format!(
        "  - name: {name}
    request:
      apiVersion: daypass.dev/v1alpha1
      kind: AccessRequest
      metadata: {{name: ask, namespace: {namespace}}}
      spec: {spec}
    requester: {asks}
    risk: High
{reviews}    expect: {expect}
",
        namespace = quoted(namespace),
        expect = more["expect"],
    )
}

fn subject(subject: &Subject) -> Value {
    let mut all = json!({ "kind": format!("{:?}", subject.kind), "name": subject.name });
    if let Some(namespace) = &subject.namespace {
        all["namespace"] = json!(namespace);
    }
    all
}

/// A user name that the subject stands for.
fn username(subject: &Subject, of_group: &str) -> String {
    match (subject.kind, &subject.namespace) {
        (SubjectKind::Group, _) => of_group.to_owned(),
        (SubjectKind::ServiceAccount, Some(namespace)) => format!("system:serviceaccount:{namespace}:{}", subject.name),
        _ => subject.name.clone(),
    }
}

fn identity(subject: &Subject, username: &str) -> Value {
    match subject.kind {
        SubjectKind::Group => json!({ "username": username, "groups": [subject.name] }),
        _ => json!({ "username": username }),
    }
}

/// A text as a YAML value.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::subject::RoleName;
    use crate::cli::plugin::policy::init::written::faults;
    use crate::cli::plugin::policy::policy_test::of_text;
    use proptest::prelude::*;

    fn of(kind: SubjectKind, name: &str) -> Subject {
        Subject { kind, name: name.to_owned(), namespace: None, api_group: None }
    }

    fn sound(proposal: &PolicyProposal, release: &str) -> Result<(), String> {
        let (policy, test) = (policy(proposal), test(proposal, release));
        let found = faults(&policy, release).map_err(|error| error.to_string())?;
        let report = of_text(&format!("{policy}---\n{test}")).map_err(|error| format!("{error}\n{policy}{test}"))?;
        let many = report.text.lines().count() > 5;
        if found.is_empty() && report.failed == 0 && many { Ok(()) } else { Err(format!("{found:?}\n{}", report.text)) }
    }

    fn any_proposal() -> impl Strategy<Value = PolicyProposal> {
        let kind = prop_oneof![Just(SubjectKind::User), Just(SubjectKind::Group)];
        let name = "[a-z][a-z0-9@.:=, \"'#-]{0,20}[a-z0-9]";
        let place = prop_oneof![
            Just((None, true)),
            Just((Some("kube-system".to_owned()), true)),
            "[a-z][a-z0-9]{0,8}".prop_map(|name| (Some(name), false)),
        ];
        let approver =
            prop_oneof![Just(of(SubjectKind::Group, "leads")), Just(of(SubjectKind::User, "bob the approver"))];
        (kind, name, place, approver).prop_map(|(kind, name, (namespace, system), approver)| PolicyProposal {
            name: "standing".to_owned(),
            requester: of(kind, &name),
            role: RoleName { kind: RoleKind::ClusterRole, name: "edit".to_owned() },
            namespace,
            system_namespaces: system,
            approvers: vec![approver],
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8))]
        #[test]
        fn what_is_proposed_passes_lint_and_its_test(proposal in any_proposal()) {
            prop_assert_eq!(sound(&proposal, "daypass-system"), Ok(()));
            prop_assert_eq!(sound(&proposal, "elsewhere"), Ok(()));
        }
    }
}
