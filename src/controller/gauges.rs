//! The gauges of `/metrics`: requests and grants as they are now, counted from the stores at each scrape.
//!
//! It must not count transitions: `write/transition_metrics` does.

use std::collections::HashSet;

use super::context::Context;
use super::stores::listed::ACCESS_REQUESTS;
use super::stores::outbox::OutboxCount;
use super::stores::uses::ServerCount;
use crate::api::request::State;
use crate::core::lifecycle::expiry::has_come;
use crate::runtime::metrics::Gauges;
use crate::runtime::metrics::records::RecordsBehind;

const STATES: [State; 10] = [
    State::Pending,
    State::Scheduled,
    State::Active,
    State::Denied,
    State::Expired,
    State::Revoked,
    State::Lapsed,
    State::Failed,
    State::Extended,
    State::Suspended,
];

/// What the stores and the queues have now. Requests that cannot be decoded are in no state.
pub fn count(context: &Context) -> Gauges {
    let mut requests = STATES.map(|state| (state.as_str(), 0));
    for summary in context.stores.requests.store.state().iter().filter_map(|packed| packed.summary.as_ref()) {
        requests[index(summary.state)].1 += 1;
    }
    let owners = owners(context);
    Gauges {
        leads: context.metrics.leads(),
        live_grants: requests[index(State::Active)].1,
        requests: requests.to_vec(),
        overdue_grants: overdue(context, &owners),
        foreign_bindings: owners.iter().filter(|owner| owner.is_none()).count(),
        queue_depth: context.queues.depth(),
        clock_ahead: context.clock.read().ahead,
        records: behind(context),
        policies: context.stores.policies.set().map(|set| set.all().map(|(name, _)| name.to_owned()).collect()),
    }
}

/// How far the archive is behind, as far as this replica knows.
fn behind(context: &Context) -> RecordsBehind {
    let OutboxCount { waiting, since, stuck } = context.stores.outbox.count();
    let oldest = since.map(|since| context.clock.now().duration_since(since));
    let ServerCount { known, heard } = context.stores.uses.count();
    RecordsBehind {
        waiting,
        stuck,
        oldest: oldest.and_then(|age| age.try_into().ok()).unwrap_or_default(),
        servers: known,
        servers_heard: heard,
    }
}

fn index(state: State) -> usize {
    match state {
        State::Pending => 0,
        State::Scheduled => 1,
        State::Active => 2,
        State::Denied => 3,
        State::Expired => 4,
        State::Revoked => 5,
        State::Lapsed => 6,
        State::Failed => 7,
        State::Extended => 8,
        State::Suspended => 9,
    }
}

/// UIDs of the requests that bindings with our mark name; none for one that names no request, so that it is not ours.
fn owners(context: &Context) -> Vec<Option<Box<str>>> {
    let (roles, cluster_roles) =
        (context.stores.rbac.role_bindings.state(), context.stores.rbac.cluster_role_bindings.state());
    let of_namespaces = roles.iter().map(|packed| packed.summary.clone());
    of_namespaces.chain(cluster_roles.iter().map(|packed| packed.summary.clone())).collect()
}

/// How many requests are past their end, or over, or gone, and have a binding.
fn overdue(context: &Context, owners: &[Option<Box<str>>]) -> usize {
    // Before the requests are known, every binding would seem to have none.
    if !context.stores.listed.has(&[ACCESS_REQUESTS]) {
        return 0;
    }
    let now = context.clock.now();
    let may_stay = |uid: &str| {
        let stored =
            context.stores.requests.by_uid.get(uid).and_then(|reference| context.stores.requests.store.get(&reference));
        let summary = stored.as_ref().and_then(|packed| packed.summary.as_ref());
        summary.is_some_and(|summary| !summary.state.is_final() && !summary.ends.is_some_and(|end| has_come(end, now)))
    };
    let owners: HashSet<&str> = owners.iter().filter_map(|owner| owner.as_deref()).collect();
    owners.into_iter().filter(|uid| !may_stay(uid)).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::scripted::{Script, context};
    use crate::controller::stores::packed::pack;
    use crate::core::laws::fixtures::noon;
    use crate::runtime::clock::Clock;
    use k8s_openapi::api::rbac::v1::RoleBinding;
    use kube::runtime::watcher::Event;
    use serde_json::json;

    /// What carries our label alone was made by somebody else, and no access of ours is overdue by it.
    #[tokio::test]
    async fn a_binding_that_names_no_request_is_foreign_and_not_overdue() {
        let (context, mut feeds, _inbox) = context(&Script::default(), Clock::at(noon()));
        context.stores.listed.mark(ACCESS_REQUESTS);
        for (name, labels) in [
            ("foreign", json!({ "app.kubernetes.io/managed-by": "daypass" })),
            ("stray", json!({ "app.kubernetes.io/managed-by": "daypass", "daypass.dev/request-uid": "r-9" })),
        ] {
            let binding: RoleBinding = serde_json::from_value(json!({
                "metadata": { "name": name, "namespace": "shop", "uid": name, "labels": labels },
                "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view" }
            }))
            .unwrap();
            feeds.rbac.role_bindings.apply_watcher_event(&pack(&Event::Apply(binding)));
        }
        let counted = count(&context);
        assert_eq!((counted.overdue_grants, counted.foreign_bindings), (1, 1));
    }

    #[test]
    fn every_state_is_counted_in_its_own_place() {
        for (place, state) in STATES.into_iter().enumerate() {
            assert_eq!(index(state), place, "{state:?}");
        }
    }
}
