//! Looks for findings while this replica leads, where its chart says so: at once, and every ten minutes.
//!
//! Owns the pace and what is told of a look: a gauge for each kind and severity, and a line on standard output for each finding
//! that appeared or is gone. What a finding is, the core says. It must not write to the cluster, and nothing is decided by
//! what it finds.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::try_join5;
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding};
use k8s_openapi::jiff::SignedDuration;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use tokio::time::sleep;
use tracing::warn;

use super::ends::until_listed;
use crate::api::word::Vocabulary;
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::core::insight::findings;
use crate::core::insight::line::{KnownFindings, known, lines};
use crate::core::insight::seen::{ClusterSeen, InstallationSeen, UnreadPart};
use crate::core::rbac::binding::Observed;
use crate::core::report::who::{KnownRoles, KnownRules};

/// Time between two looks.
const PACE: Duration = Duration::from_secs(600);
/// How far back requests are looked at.
const WINDOW: SignedDuration = SignedDuration::from_hours(90 * 24);
/// Label of what the chart makes, and its value.
const CHART: (&str, &str) = ("app.kubernetes.io/name", "daypass");

/// Runs for as long as this replica leads.
pub async fn run(context: &Context, cluster: &str) {
    until_listed(context).await;
    let mut before = KnownFindings::new();
    loop {
        match seen(context).await {
            Ok(seen) => {
                let after = known(&findings(&seen).found);
                tell(context, &before, &after, cluster);
                before = after;
            }
            Err(error) => warn!(%error, "cannot look for findings; trying again in ten minutes"),
        }
        sleep(PACE).await;
    }
}

fn tell(context: &Context, before: &KnownFindings, after: &KnownFindings, cluster: &str) {
    let mut counts: BTreeMap<(&'static str, &'static str), usize> = BTreeMap::new();
    for found in after.values().filter(|found| !found.is_accepted()) {
        *counts.entry((found.kind.as_str(), found.severity.as_str())).or_default() += 1;
    }
    context.metrics.shown.findings.are(&counts);
    context.writer.tell_lines(lines(before, after, cluster, context.clock.now()));
}

/// What there is now: bindings, roles and accounts in lists of their own, and the rest as it is followed anyway.
async fn seen(context: &Context) -> Result<ClusterSeen, Error> {
    let (client, all) = (|| context.reader.clone(), ListParams::default());
    let bindings: Api<RoleBinding> = Api::all(client());
    let cluster_bindings: Api<ClusterRoleBinding> = Api::all(client());
    let (roles, cluster_roles): (Api<Role>, Api<ClusterRole>) = (Api::all(client()), Api::all(client()));
    let accounts: Api<ServiceAccount> = Api::all(client());
    let read = try_join5(
        bindings.list(&all),
        cluster_bindings.list(&all),
        roles.list(&all),
        cluster_roles.list(&all),
        accounts.list_metadata(&all),
    );
    let (bindings, cluster_bindings, roles, cluster_roles, accounts) =
        read.await.map_err(Error::api("list bindings, roles and service accounts"))?;
    let role_bindings: Vec<Observed> = bindings.items.iter().map(Observed::from).collect();
    let cluster_role_bindings: Vec<Observed> = cluster_bindings.items.iter().map(Observed::from).collect();
    let rules = roles.items.into_iter().map(|role| ((role.namespace(), role.name_any()), role.rules));
    let cluster_rules = cluster_roles.items.into_iter().map(|role| ((None, role.name_any()), role.rules));
    let roles = of_bindings(rules.chain(cluster_rules).collect(), role_bindings.iter().chain(&cluster_role_bindings));
    let own = accounts.items.iter().filter(|account| {
        account.namespace().as_deref() == Some(&context.release)
            && account.labels().get(CHART.0).is_some_and(|value| value == CHART.1)
    });
    let installation =
        InstallationSeen { release: context.release.clone(), accounts: own.map(ResourceExt::name_any).collect() };
    let place = |account: &kube::core::PartialObjectMeta<ServiceAccount>| {
        (account.namespace().unwrap_or_default(), account.name_any())
    };
    let accounts: BTreeSet<(String, String)> = accounts.items.iter().map(place).collect();
    let policies = context.stores.policies.store.state();
    let requests = context.stores.requests.store.state();
    let unread = |what: &str| UnreadPart { what: what.to_owned(), why: "it is not known yet".to_owned() };
    let of_archive = |what: &str| UnreadPart { what: what.to_owned(), why: "people ask the archive for it".to_owned() };
    Ok(ClusterSeen {
        now: context.clock.now(),
        window: WINDOW,
        only: None,
        role_bindings: Ok(role_bindings),
        cluster_role_bindings: Ok(cluster_role_bindings),
        roles,
        accounts: Ok(accounts),
        namespaces: context.stores.namespaces().map(|all| (*all).clone()).ok_or_else(|| unread("namespaces")),
        policies: Ok(policies.iter().filter_map(|policy| policy.0.as_ref().ok().cloned()).collect()),
        requests: Ok(requests.iter().filter_map(|packed| packed.open()).collect()),
        uses: Err(of_archive("when bindings were last used")),
        grants: Err(of_archive("what was done with grants")),
        writes: Err(of_archive("writes that no record explains")),
        installation,
    })
}

/// The roles that are there, and those that bindings name and are not.
fn of_bindings<'a>(
    there: BTreeMap<(Option<String>, String), Option<Vec<PolicyRule>>>,
    bindings: impl Iterator<Item = &'a Observed>,
) -> KnownRoles {
    let mut roles = KnownRoles::default();
    for ((namespace, name), rules) in there {
        roles.insert(namespace, name, KnownRules::Rules(rules.unwrap_or_default()));
    }
    for binding in bindings {
        let namespace = binding.metadata.namespace.clone().filter(|_| binding.role.kind == "Role");
        if !roles.contains(namespace.as_deref(), &binding.role.name) {
            roles.insert(namespace, binding.role.name.clone(), KnownRules::Gone);
        }
    }
    roles
}

#[cfg(test)]
mod tests {
    use http::Method;
    use serde_json::{Value, json};

    use super::*;
    use crate::api::keys::ACCEPTED_FINDING;
    use crate::controller::scripted::{Script, failure, printing_context};
    use crate::controller::stores::listed::ACCESS_REQUESTS;
    use crate::controller::stores::outbox::OutboxSettings;
    use crate::core::laws::fixtures::noon;
    use crate::runtime::clock::Clock;

    /// A ClusterRoleBinding of cluster-admin to somebody.
    fn admin(name: &str, who: &str) -> Value {
        json!({
            "metadata": { "name": name, "creationTimestamp": "2026-01-01T00:00:00Z" },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin" },
            "subjects": [{ "kind": "User", "name": who, "apiGroup": "rbac.authorization.k8s.io" }],
        })
    }

    /// The calls of a look at which there are these bindings in one namespace and in the whole cluster, and whether service
    /// accounts may be listed.
    fn look(script: Script, [here, wide]: [&[Value]; 2], may_list: bool) -> Script {
        let list = |items: Value| json!({ "metadata": {}, "items": items });
        let everything = json!([{ "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"] }]);
        let role = json!({ "metadata": { "name": "cluster-admin" }, "rules": everything });
        let some = json!([{ "verbs": ["get", "create"], "apiGroups": [""], "resources": ["pods", "secrets"] }]);
        let edit = json!({ "metadata": { "name": "edit" }, "rules": some });
        let own = json!({ "metadata": {
            "name": "daypass", "namespace": "daypass-system", "labels": { "app.kubernetes.io/name": "daypass" },
        } });
        let script = script
            .then(Method::GET, "/rolebindings", 200, list(json!(here)))
            .then(Method::GET, "/clusterrolebindings", 200, list(json!(wide)))
            .then(Method::GET, "/roles", 200, list(json!([])))
            .then(Method::GET, "/clusterroles", 200, list(json!([role, edit])));
        match may_list {
            true => script.then(Method::GET, "/serviceaccounts", 200, list(json!([own]))),
            false => script.then(Method::GET, "/serviceaccounts", 403, failure(403, "Forbidden")),
        }
    }

    /// Event, name of the object and whether it is noted as known, of each line.
    fn told(lines: Vec<String>) -> Vec<(String, String, bool)> {
        let line = |line: String| {
            let line: Value = serde_json::from_str(&line).unwrap();
            assert_eq!(line["cluster"], "uid", "{line}");
            let text = |path: &str| line.pointer(path).unwrap().as_str().unwrap().to_owned();
            (text("/event"), text("/about/name"), line["accepted"] == true)
        };
        lines.into_iter().map(line).collect()
    }

    fn shown(context: &Context) -> Vec<String> {
        let text = context.metrics.shown.text().unwrap();
        text.lines().filter(|line| line.starts_with("daypass_findings{")).map(str::to_owned).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn each_look_tells_what_is_new_and_what_is_gone_and_one_that_fails_changes_nothing() {
        // Who holds it could not have written the note.
        let mut noted = admin("noted", "carol");
        noted["roleRef"]["name"] = json!("edit");
        noted["metadata"]["namespace"] = json!("shop");
        noted["metadata"]["annotations"] = json!({ ACCEPTED_FINDING: "StandingReplaceable: on call until May" });
        let own = json!({ "kind": "ServiceAccount", "name": "daypass", "namespace": "daypass-system" });
        let mut ours = admin("ours", "x");
        ours["subjects"] = json!([own]);
        let alices = [admin("a", "alice"), ours];
        let script = look(Script::default(), [&[], &alices], true);
        let script = look(script, [&[], &[]], false);
        let script = look(script, [&[noted], &[admin("b", "bob")]], true);
        let (context, _feeds, _inbox, mut printer) =
            printing_context(&script, Clock::at(noon()), OutboxSettings::default());
        let of = |event: &str, name: &str, known| (event.to_owned(), name.to_owned(), known);
        let one = r#"daypass_findings{kind="ClusterAdminBound",severity="Critical"} 1"#;
        let story = async {
            sleep(PACE).await;
            assert_eq!(script.left(), 15, "nothing is known of requests before they are listed");
            context.stores.listed.mark(ACCESS_REQUESTS);
            sleep(PACE / 2).await;
            assert_eq!(told(printer.waiting_lines()), [of("Found", "a", false)]);
            assert_eq!(shown(&context), [one]);
            sleep(PACE).await;
            assert_eq!(script.left(), 5);
            assert_eq!((printer.waiting_lines().len(), shown(&context)), (0, vec![one.to_owned()]));
            sleep(PACE).await;
            let now = [of("Found", "b", false), of("Found", "noted", true), of("Gone", "a", false)];
            let mut lines = told(printer.waiting_lines());
            lines.sort();
            assert_eq!(lines, now);
            assert_eq!(shown(&context), [one]);
        };
        tokio::select! {
            () = run(&context, "uid") => unreachable!("it has no end"),
            () = story => {}
        }
        script.is_over();
    }
}
