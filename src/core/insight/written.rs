//! Writes past Daypass: of its bindings, roles and statuses, that no record explains, as an archive tells of them.
//!
//! It must not judge a write itself: the archive holds the records.

use std::collections::BTreeMap;

use super::bound::holder;
use super::finding::{
    AboutKind, AboutObject, CommandLine, CountedThing, InsightFact, InsightFinding, InsightKind, Remedy,
};
use super::seen::ClusterSeen;
use crate::api::risk::RiskLevel;
use crate::api::subject::{Subject, SubjectKind};
use crate::core::activity::told::ToldFinding;

/// Finds them; those of one object by one user are one.
pub fn written(seen: &ClusterSeen) -> Vec<InsightFinding> {
    let (Ok(writes), Ok(since)) = (&seen.writes, seen.now.saturating_sub(seen.window)) else { return Vec::new() };
    let is_here = |write: &&ToldFinding| seen.only.is_none() || seen.only == write.namespace;
    let mut by_object: BTreeMap<(AboutObject, &str), Vec<&ToldFinding>> = BTreeMap::new();
    for write in writes.iter().filter(|write| write.at >= since).filter(is_here) {
        by_object.entry((about(write), &write.user)).or_default().push(write);
    }
    by_object.into_iter().filter_map(|((about, user), writes)| finding(about, user, &writes)).collect()
}

fn finding(about: AboutObject, user: &str, writes: &[&ToldFinding]) -> Option<InsightFinding> {
    let last = writes.iter().max_by_key(|write| write.at)?;
    let who = Subject { kind: SubjectKind::User, name: user.to_owned(), namespace: None, api_group: None };
    let mut evidence = vec![
        InsightFact::Told(last.message.clone()),
        InsightFact::Count { what: CountedThing::Writes, count: writes.len(), of: writes.len() },
        InsightFact::Last(last.at),
    ];
    evidence.extend(last.impersonated.clone().map(InsightFact::ActingAs));
    let place: Vec<&str> = about.namespace.iter().flat_map(|namespace| ["-n", namespace]).collect();
    // Of more than one object at a time the audit log names none.
    let object: Vec<&str> = Some(about.name.as_str()).filter(|name| !name.is_empty()).into_iter().collect();
    let kind = about.kind.as_str().to_lowercase();
    let look = CommandLine::of(&[&["kubectl", "get", &kind], object.as_slice(), &place, &["-o", "yaml"]].concat());
    Some(InsightFinding {
        kind: InsightKind::UnexplainedWrite,
        // What a binding gives stands in no audit event, and who writes past Daypass may give anything.
        severity: RiskLevel::High,
        holder: holder(&who),
        who: Some(who),
        about,
        evidence,
        remedy: Remedy::Look(look),
        accepted: None,
    })
}

fn about(write: &ToldFinding) -> AboutObject {
    let kind = match write.resource.split('/').next() {
        Some("rolebindings") => AboutKind::RoleBinding,
        Some("clusterrolebindings") => AboutKind::ClusterRoleBinding,
        Some("roles") => AboutKind::Role,
        Some("clusterroles") => AboutKind::ClusterRole,
        _ => AboutKind::AccessRequest,
    };
    AboutObject { kind, namespace: write.namespace.clone(), name: write.name.clone().unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::jiff::SignedDuration;

    use super::super::findings;
    use super::super::tests::seen;
    use super::*;
    use crate::core::laws::fixtures::noon;

    fn write(resource: &str, name: &str, user: &str, days: i64) -> ToldFinding {
        ToldFinding {
            cluster: "c".to_owned(),
            at: noon() - SignedDuration::from_hours(24 * days),
            why: "OtherHand".to_owned(),
            message: "somebody else wrote it".to_owned(),
            user: user.to_owned(),
            impersonated: None,
            address: None,
            verb: "update".to_owned(),
            group: String::new(),
            resource: resource.to_owned(),
            namespace: Some("shop".to_owned()),
            name: Some(name.to_owned()),
            request: None,
        }
    }

    #[test]
    fn writes_of_one_object_by_one_user_are_told_once_with_the_last_of_them() {
        let writes = vec![
            write("rolebindings", "b", "mallory", 3),
            write("rolebindings", "b", "mallory", 2),
            write("rolebindings", "b", "eve", 2),
            write("accessrequests/status", "fix", "mallory", 2),
            write("roles", "old", "mallory", 91),
        ];
        let look = |only: Option<&str>| {
            let only = only.map(str::to_owned);
            findings(&ClusterSeen { writes: Ok(writes.clone()), only, ..seen() }).found
        };
        let told: Vec<_> = look(None).into_iter().map(|one| (one.about.to_string(), one.who.unwrap().name)).collect();
        let one = |about: &str, who: &str| (about.to_owned(), who.to_owned());
        assert_eq!(
            told,
            [
                one("RoleBinding/shop/b", "eve"),
                one("RoleBinding/shop/b", "mallory"),
                one("AccessRequest/shop/fix", "mallory"),
            ]
        );
        let of_mallory = &look(None)[1];
        assert!(of_mallory.evidence.contains(&InsightFact::Last(noon() - SignedDuration::from_hours(48))));
        let twice = InsightFact::Count { what: CountedThing::Writes, count: 2, of: 2 };
        assert!(of_mallory.evidence.contains(&twice), "{of_mallory:?}");
        assert_eq!((look(Some("shop")).len(), look(Some("bank")).len()), (3, 0));
    }
}
