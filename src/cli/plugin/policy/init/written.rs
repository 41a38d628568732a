//! The two documents of a first policy, as YAML with comments for people.
//!
//! Nothing that somebody typed stands in a comment: as a value it is quoted.

use std::collections::BTreeMap;

use serde_json::Value;

use super::answers::{FirstPlace, FirstPolicy, LowRisk};
use crate::api::subject::{RoleKind, RoleName};
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::manifests;
use crate::core::decision::protected::{Protected, USUAL_RELEASE};
use crate::core::model::duration;
use crate::core::model::namespaces::glob_matches;
use crate::core::policies::Entry;
use crate::core::report::lint::lint;

/// The stage of a first policy.
const STAGE: &str = "approval";

/// Everything that is wrong with a policy as the API server and `policy lint` see it: field and why, with the way out.
///
/// # Errors
/// When it is no YAML.
pub fn faults(policy: &str, release: &str) -> Result<Vec<(String, String)>, PluginError> {
    let documents = manifests::documents_in("the policy", policy)?;
    let mut found = Vec::new();
    for document in &documents {
        let broken = manifests::faults("AccessPolicy", &document.value);
        if !broken.is_empty() {
            let field_and_why = |fault: &String| match fault.split_once(": ") {
                Some((field, why)) => (field.to_owned(), why.to_owned()),
                None => (String::new(), fault.clone()),
            };
            found.extend(broken.iter().map(field_and_why));
            continue;
        }
        let policy = document.policy()?;
        let entry = Entry::read(&policy);
        found.extend(entry.faults().iter().map(|fault| (fault.field.clone(), fault.problem.to_string())));
        if entry.faults().is_empty() {
            let warnings = lint(&[policy], None, Protected::with_release(release));
            found.extend(warnings.into_iter().map(|w| (w.field, format!("{}: {}", w.what, w.what.way_out()))));
        }
    }
    Ok(found)
}

impl FirstPolicy {
    /// The AccessPolicy.
    pub fn policy(&self) -> String {
        let automatic = match self.low_risk {
            LowRisk::AtOnce => {
                "    # What can do little harm waits for nobody: risk.score is 0 for Low, 1 for Medium, 2 for High, 3 for Critical.
    # An approver can still deny it.
    automaticWhen: risk.score == 0
"
            }
            LowRisk::Approval => "",
        };
        format!(
            "\
# Written by `kubectl daypass policy init`. Change it as you like: `policy test` and `policy lint` say what that does.
apiVersion: daypass.dev/v1alpha1
kind: AccessPolicy
metadata:
  name: {name}
spec:
  description: {description}
  # Who may ask: any one of these. They need the ClusterRole daypass-requester besides.
  requesters:
{requesters}  # For which roles. Daypass must be allowed to bind them (bindableClusterRoles and bindableRoles of its chart).
  roles:
{roles}  # Where.
  scope:
{scope}  duration:
    # The longest that may be asked for. A request that names none gets an hour, or this when it is shorter.
    max: {max}
  approval:
{automatic}    # A request that nobody answers lapses after this long.
    deadline: 24h
    stages:
      # One of these people must agree, never the requester. They need the ClusterRole daypass-approver besides.
      - name: {STAGE}
        approvers:
{approvers}",
            name = quote(&self.name),
            description = quote(&self.description()),
            requesters = groups(&self.teams, 4),
            roles = self.roles.iter().map(|name| format!("    - {}\n", role(name))).collect::<String>(),
            scope = self.scope(),
            max = duration::parse(&self.max).map_or_else(|_| quote(&self.max), |_| self.max.clone()),
            approvers = groups(&self.approvers, 10),
        )
    }

    fn description(&self) -> String {
        let roles: Vec<&str> = self.roles.iter().map(|role| role.name.as_str()).collect();
        let text = format!(
            "{} may have {} for up to {} when one of {} agrees.",
            self.teams.join(", "),
            roles.join(", "),
            self.max,
            self.approvers.join(", ")
        );
        text.chars().take(200).collect()
    }

    fn scope(&self) -> String {
        match &self.place {
            FirstPlace::Names(names) => {
                let names: Vec<String> = names.iter().map(|name| quote(name)).collect();
                format!("    namespaces: [{}]\n", names.join(", "))
            }
            FirstPlace::Labels(labels) => {
                let labels = labels.iter().map(|(key, value)| format!("        {}: {}\n", quote(key), text(value)));
                format!("    namespaceSelector:\n      matchLabels:\n{}", labels.collect::<String>())
            }
        }
    }

    /// The PolicyTest.
    pub fn test(&self) -> String {
        let (inside, labels) = self.inside();
        let labels: Vec<String> =
            labels.iter().map(|(key, value)| format!("{}: {}", quote(key), text(value))).collect();
        let mut namespaces = format!("  - {{name: {}, labels: {{{}}}}}\n", quote(&inside), labels.join(", "));
        if let Some(outside) = self.outside() {
            namespaces.push_str(&format!("  - {{name: {outside}}}\n"));
        }
        format!(
            "\
{}# The namespaces that there are in these cases.
namespaces:
{namespaces}cases:
{}",
            test_begins(&self.name, &self.release, quote),
            self.cases(&inside).concat()
        )
    }

    fn cases(&self, inside: &str) -> Vec<String> {
        let first = FirstCase { team: self.team(0), role: role(&self.roles[0]), namespace: inside };
        let approvers: Vec<String> = self.approvers.iter().map(|group| quote(&format!("Group/{group}"))).collect();
        let waits = format!(
            "{{outcome: Waiting, policy: {}, stage: {STAGE}, approvers: [{}]}}",
            quote(&self.name),
            approvers.join(", ")
        );
        let group = quote(&self.approvers[0]);
        let agreed =
            |who: &str| format!("risk: High\n    reviews:\n      {who}: {{verdict: Approve, groups: [{group}]}}");
        let mut cases = Vec::new();
        for (index, team) in self.teams.iter().enumerate() {
            let of_team = FirstCase { team: self.team(index), ..first.clone() };
            cases.push(of_team.written(&format!("somebody of {team} waits for an approver"), "risk: High", &waits));
        }
        for name in self.roles.iter().skip(1) {
            let of_role = FirstCase { role: role(name), ..first.clone() };
            cases.push(of_role.written(&format!("so does who asks for {}", name.name), "risk: High", &waits));
        }
        cases.push(first.written("one approver is enough", &agreed("bob"), "{outcome: Granted}"));
        cases.push(first.written("nobody approves their own request", &agreed("alice"), "{outcome: Waiting}"));
        cases.push(match self.low_risk {
            LowRisk::AtOnce => first.written("little harm waits for nobody", "risk: Low", "{outcome: Granted}"),
            LowRisk::Approval => first.written("little harm waits too", "risk: Low", "{outcome: Waiting}"),
        });
        let stranger = FirstCase { team: "in-none-of-the-teams".to_owned(), ..first.clone() };
        cases.push(stranger.written("nobody else may ask", "risk: Low", "{outcome: Denied}"));
        let unlisted = FirstCase { role: "{name: not-among-the-roles}".to_owned(), ..first.clone() };
        cases.push(unlisted.written("no other role is given", "risk: Low", "{outcome: Denied}"));
        if let Some(outside) = self.outside() {
            let elsewhere = FirstCase { namespace: outside, ..first.clone() };
            cases.push(elsewhere.written("nor any elsewhere", "risk: Low", "{outcome: Denied}"));
        }
        if let Some(longer) = self.longer() {
            cases.push(first.asking("nor for longer", &longer, "{outcome: Denied}"));
        }
        cases
    }

    fn team(&self, index: usize) -> String {
        quote(&self.teams[index])
    }

    /// A namespace that the policy covers, with its labels.
    fn inside(&self) -> (String, BTreeMap<String, String>) {
        match &self.place {
            FirstPlace::Names(names) => {
                let name = names.first().map_or_else(String::new, |glob| glob.replace('*', "x"));
                (name, BTreeMap::new())
            }
            FirstPlace::Labels(labels) => ("labelled".to_owned(), labels.clone()),
        }
    }

    /// A namespace that it does not cover, if there can be one.
    fn outside(&self) -> Option<&'static str> {
        let covered = |name: &str| match &self.place {
            FirstPlace::Names(names) => names.iter().any(|glob| glob_matches(glob, name)),
            FirstPlace::Labels(_) => false,
        };
        ["elsewhere", "another", "0"].into_iter().find(|name| !covered(name))
    }

    /// A length of time that is longer than may be asked for, if a request can say one.
    fn longer(&self) -> Option<String> {
        let max = duration::parse(&self.max).ok()?;
        let longer = duration::format(max.checked_add(duration::SHORTEST)?);
        duration::parse(&longer).is_ok().then_some(longer)
    }
}

/// A case, with what differs between them. Its texts are YAML already.
#[derive(Clone)]
struct FirstCase<'a> {
    team: String,
    role: String,
    namespace: &'a str,
}

impl FirstCase<'_> {
    fn written(&self, name: &str, more: &str, expect: &str) -> String {
        self.asked(name, None, more, expect)
    }

    fn asking(&self, name: &str, length: &str, expect: &str) -> String {
        self.asked(name, Some(length), "risk: Low", expect)
    }

    fn asked(&self, name: &str, length: Option<&str>, more: &str, expect: &str) -> String {
        let length = length.map(|length| format!(", duration: {length}")).unwrap_or_default();
        format!(
            "  - name: {name}
    request:
      apiVersion: daypass.dev/v1alpha1
      kind: AccessRequest
      metadata: {{name: ask, namespace: {namespace}}}
      spec: {{role: {role}, reason: a test{length}}}
    requester: {{username: alice, groups: [{team}]}}
    {more}
    expect: {expect}
",
            name = quote(name),
            namespace = quote(self.namespace),
            role = self.role,
            team = self.team,
        )
    }
}

fn groups(names: &[String], indent: usize) -> String {
    let of = |name: &String| format!("{:indent$}- {{kind: Group, name: {}}}\n", "", quote(name));
    names.iter().map(of).collect()
}

fn role(role: &RoleName) -> String {
    match role.kind {
        RoleKind::ClusterRole => format!("{{name: {}}}", quote(&role.name)),
        RoleKind::Role => format!("{{kind: Role, name: {}}}", quote(&role.name)),
    }
}

/// How a PolicyTest begins, up to its namespaces; `quoted` makes a text a value of YAML.
pub fn test_begins(name: &str, release: &str, quoted: fn(&str) -> String) -> String {
    let release = match release {
        USUAL_RELEASE => String::new(),
        other => format!("# Where Daypass is installed.\nreleaseNamespace: {}\n", quoted(other)),
    };
    format!(
        "\
# What the policy must say: `kubectl daypass policy test` runs it together with the policy, and needs no cluster. It is no
# kind of the cluster's, so keep it out of the folder that is applied.
apiVersion: daypass.dev/v1alpha1
kind: PolicyTest
metadata:
  name: {}
{release}",
        quoted(name)
    )
}

/// A word as a YAML value: as it is where no reader could take it for something else.
fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./ ".contains(c);
    let starts = word.starts_with(|c: char| c.is_ascii_alphabetic());
    let is_word = !["true", "false", "yes", "no", "on", "off", "y", "n", "null"].contains(&&*word.to_lowercase());
    if starts && is_word && word.chars().all(plain) && word.trim() == word { word.to_owned() } else { text(word) }
}

/// A text as a YAML value in quotes.
fn text(words: &str) -> String {
    // Every JSON text is one of YAML.
    Value::from(words).to_string()
}

#[cfg(test)]
mod tests {
    use super::super::answers::sample;
    use super::*;
    use crate::cli::plugin::policy::policy_test::of_text;
    use proptest::prelude::*;

    fn labels(key: &str, value: &str) -> FirstPlace {
        FirstPlace::Labels(BTreeMap::from([(key.to_owned(), value.to_owned())]))
    }

    fn names(names: &[&str]) -> FirstPlace {
        FirstPlace::Names(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[track_caller]
    fn assert_sound(first: &FirstPolicy) {
        let policy = first.policy();
        let found = faults(&policy, &first.release).unwrap();
        assert!(found.is_empty(), "{found:?}\n{policy}");
        let report = of_text(&format!("{policy}---\n{}", first.test())).unwrap();
        assert!(report.failed == 0 && report.text.lines().count() > 6, "{}\n{policy}{}", report.text, first.test());
    }

    #[test]
    fn what_is_written_passes_lint_and_test_whatever_the_answers() {
        let role = |kind, name: &str| RoleName { kind, name: name.to_owned() };
        let roles = vec![role(RoleKind::Role, "deployer"), role(RoleKind::ClusterRole, "system:node-reader")];
        let odd = |name: &str| vec![name.to_owned(), "second".to_owned()];
        for place in
            [names(&["shop"]), names(&["team-*", "pay"]), names(&["*"]), labels("env", "true"), labels("a.b/c", "")]
        {
            for low_risk in [LowRisk::AtOnce, LowRisk::Approval] {
                for max in ["1s", "2h", "720h"] {
                    assert_sound(&FirstPolicy { place: place.clone(), low_risk, max: max.to_owned(), ..sample() });
                }
            }
        }
        assert_sound(&FirstPolicy { roles, teams: odd("oidc:dev: \"x\""), approvers: odd("cn=a,ou=b #c"), ..sample() });
        assert_sound(&FirstPolicy { name: "yes".to_owned(), release: "guards".to_owned(), ..sample() });
    }

    #[test]
    fn an_answer_that_makes_no_sense_is_found_in_its_field() {
        let no = |first: FirstPolicy| faults(&first.policy(), &first.release).unwrap().remove(0).0;
        let dev = || vec!["dev".to_owned()];
        assert_eq!(no(FirstPolicy { approvers: dev(), ..sample() }), "spec.approval.stages[0].approvers");
        assert_eq!(no(FirstPolicy { teams: vec!["dev*".to_owned()], ..sample() }), "spec.requesters[0]");
        assert_eq!(no(FirstPolicy { place: names(&["kube-system"]), ..sample() }), "spec.scope.namespaces");
        assert!(no(FirstPolicy { place: names(&["Shop"]), ..sample() }).starts_with("spec.scope"));
        assert!(no(FirstPolicy { max: "2 hours".to_owned(), ..sample() }).starts_with("spec.duration.max"));
        assert!(no(FirstPolicy { name: "Dev".to_owned(), ..sample() }).starts_with("metadata.name"));
    }

    proptest! {
        #[test]
        fn a_word_is_read_as_it_was_typed(word in "\\PC{0,20}|[a-z:#\"'\\\\ \n\t-]{0,12}") {
            let read = manifests::documents_in("", &format!("a: {{b: {}}}\n", quote(&word))).unwrap();
            prop_assert_eq!(read[0].value["a"]["b"].as_str(), Some(word.as_str()));
        }
    }
}
