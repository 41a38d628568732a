//! Finds the API group of a resource that was typed without one, by what the API server serves.

use kube::discovery::Discovery;

use super::rule::{RuleArg, RuleTarget};
use crate::api::request::NarrowRule;
use crate::cli::plugin::cluster::Cluster;
use crate::cli::plugin::error::PluginError;

/// A resource that the API server serves, and its group.
type Served = (String, String);

/// The rules of these rights, which a flag names, each with its group. Nothing is asked when all name theirs.
///
/// # Errors
/// When the API server cannot be asked, or serves none or several of a name.
pub async fn rules(cluster: &Cluster, flag: &'static str, rights: &[RuleArg]) -> Result<Vec<NarrowRule>, PluginError> {
    let is_open = |right: &RuleArg| matches!(right.on, RuleTarget::Resource { group: None, .. });
    let served = if rights.iter().any(is_open) { served(cluster).await? } else { Vec::new() };
    let of = |right: &RuleArg| match &right.on {
        RuleTarget::Url(_) => Ok(right.rule(String::new())),
        RuleTarget::Resource { group: Some(group), .. } => Ok(right.rule(group.clone())),
        RuleTarget::Resource { resource, group: None, .. } => group(resource, &served).map(|group| right.rule(group)),
    };
    rights.iter().map(of).collect::<Result<_, String>>().map_err(|problem| PluginError::Flag { flag, problem })
}

async fn served(cluster: &Cluster) -> Result<Vec<Served>, PluginError> {
    let discovery = Discovery::new(cluster.client.clone());
    let found = cluster.call("list what the API server serves", discovery.run_aggregated()).await?;
    let all = found.groups().flat_map(|group| group.recommended_resources());
    let mut served: Vec<Served> = all.map(|(resource, _)| (resource.plural, resource.group)).collect();
    served.sort();
    served.dedup();
    Ok(served)
}

/// The group that serves a resource of this name. The core group goes first, as with kubectl.
fn group(resource: &str, served: &[Served]) -> Result<String, String> {
    let groups: Vec<&str> =
        served.iter().filter(|(plural, _)| plural == resource).map(|(_, group)| group.as_str()).collect();
    match groups[..] {
        [] => {
            let close = |(plural, _): &&Served| strsim::damerau_levenshtein(plural, resource) <= 2;
            let meant: Vec<&str> = served.iter().filter(close).map(|(plural, _)| plural.as_str()).take(3).collect();
            let meant = if meant.is_empty() {
                "kubectl api-resources lists them; for one that is not served write RESOURCE.GROUP".to_owned()
            } else {
                format!("did you mean {}?", meant.join(" or "))
            };
            Err(format!("the cluster serves no resource {resource}: {meant}"))
        }
        [only] => Ok(only.to_owned()),
        // The core group has the empty name, which sorts first.
        ["", ..] => Ok(String::new()),
        ref several => {
            let ways: Vec<String> = several.iter().map(|group| format!("{resource}.{group}")).collect();
            Err(format!("several groups serve {resource}: write {}", ways.join(" or ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_is_in_the_group_that_serves_it() {
        let served: Vec<Served> = [
            ("deployments", "apps"),
            ("events", ""),
            ("events", "events.k8s.io"),
            ("pods", ""),
            ("x", "a.io"),
            ("x", "b.io"),
        ]
        .map(|(plural, group)| (plural.to_owned(), group.to_owned()))
        .into();
        assert_eq!(group("deployments", &served), Ok("apps".to_owned()));
        assert_eq!(group("events", &served), Ok(String::new()));
        assert!(group("pod", &served).is_err_and(|why| why.contains("did you mean pods?")));
        assert!(group("gadgets", &served).is_err_and(|why| why.contains("RESOURCE.GROUP")));
        assert!(group("x", &served).is_err_and(|why| why.contains("write x.a.io or x.b.io")));
    }
}
