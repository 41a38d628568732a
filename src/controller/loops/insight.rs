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
