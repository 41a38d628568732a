//! A request in a few words, the same wherever one is shown or told.
//!
//! It must not judge a request, and knows no colours.

use kube::ResourceExt;

use crate::api::request::{AccessRequest, GrantActivity, GrantUse, NarrowRule};
use crate::api::subject::{RoleKind, RoleName};
use crate::core::activity::verdict;
use crate::core::model::namespaces::selector;
use crate::core::model::recurrence::Recurrence;
use crate::core::rbac::rules::describe;

/// Its namespace and name.
pub fn name(request: &AccessRequest) -> String {
    format!("{}/{}", request.namespace().unwrap_or_default(), request.name_any())
}

/// How access that is over was used.
pub fn use_of(activity: &GrantActivity) -> String {
    let last = activity.last.as_ref().map(|last| format!(", the last at {}", last.0)).unwrap_or_default();
    match (activity.used, activity.calls) {
        (GrantUse::Used, 1) => format!("used: 1 call or more{last}"),
        (GrantUse::Used, calls) => format!("used: {calls} calls or more{last}"),
        (used, _) => verdict::words(used).to_owned(),
    }
}

/// When access ends before its time since nobody uses it for so long.
pub fn ends_unused(length: &str) -> String {
    format!("when it is proven that nobody used it for {length}")
}

/// Who asks.
pub fn requester(request: &AccessRequest) -> &str {
    request.spec.requester.as_ref().map_or("", |who| who.username.as_str())
}

/// The role, and what of it.
pub fn what(request: &AccessRequest) -> String {
    role(&request.spec.role, &request.spec.rules)
}

/// A role, and what of it.
pub fn role(role: &RoleName, rules: &[NarrowRule]) -> String {
    let name = match role.kind {
        RoleKind::ClusterRole => role.name.clone(),
        RoleKind::Role => format!("role/{}", role.name),
    };
    if rules.is_empty() { name } else { format!("{name}: {}", describe(rules)) }
}

/// Where: its own namespace unless it says otherwise. An extension says nothing of its own: it holds where the request does
/// that it extends.
pub fn place(request: &AccessRequest) -> String {
    let scope = request.spec.scope.as_ref();
    let labels = scope.and_then(|scope| scope.namespace_selector.as_ref());
    match (&request.spec.extends, scope, labels) {
        (Some(extended), ..) => format!("where {extended} holds"),
        (_, Some(scope), _) if scope.cluster => "the whole cluster".to_owned(),
        (_, Some(scope), _) if !scope.namespaces.is_empty() => scope.namespaces.join(", "),
        (.., Some(labels)) => {
            let labels = match selector(labels).to_string() {
                all if all.is_empty() => "all namespaces".to_owned(),
                labels => format!("namespaces with {labels}"),
            };
            let granted = granted_in(request);
            if granted.is_empty() { labels } else { format!("{} ({labels})", granted.join(", ")) }
        }
        _ => request.namespace().unwrap_or_default(),
    }
}

fn granted_in(request: &AccessRequest) -> Vec<String> {
    let bindings = request.status.iter().flat_map(|status| &status.bindings);
    bindings.filter_map(|binding| binding.namespace.clone()).collect()
}

/// For how long access was asked for: an extension for so much more, and what recurs for the windows of so many weeks.
pub fn length(request: &AccessRequest) -> String {
    let spec = &request.spec;
    match (&spec.recurrence, &spec.duration, &spec.extends) {
        (Some(raw), ..) => {
            let windows = Recurrence::read(raw).map(|windows| windows.describe());
            let windows = windows.unwrap_or_else(|_| "in windows that cannot be read".to_owned());
            format!("every {windows}, for {} {}", raw.weeks, if raw.weeks == 1 { "week" } else { "weeks" })
        }
        (None, Some(length), None) => length.clone(),
        (None, Some(more), Some(_)) => format!("{more} more"),
        (None, None, _) => "as long as the policy says".to_owned(),
    }
}

/// When access begins, if not as soon as it is approved.
pub fn begins(request: &AccessRequest) -> String {
    request.spec.start_time.as_ref().map(|start| start.0.to_string()).unwrap_or_default()
}
