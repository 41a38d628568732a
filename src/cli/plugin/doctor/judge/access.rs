//! Who the caller is, and what they and the controller may do.

use crate::api::subject::Identity;
use crate::cli::plugin::doctor::facts::{HealthFacts, Looked, RightAsked};
use crate::cli::plugin::doctor::finding::{CheckFinding, FindingLevel, HealthCheck};
use crate::cli::plugin::doctor::marked::{MarkedText, NameKind};
use crate::cli::plugin::doctor::rights;

use super::or_ok;

/// Who the cluster sees.
pub fn identity(me: &Looked<Identity>) -> CheckFinding {
    let check = HealthCheck::Identity;
    let me = match me {
        Ok(me) => me,
        Err(unread) => return check.unknown(unread),
    };
    let text = MarkedText::of("you are ").name(NameKind::User, &me.username);
    let text = match &me.uid {
        Some(uid) => text.words(", UID ").name(NameKind::User, uid),
        None => text.words(", without a UID"),
    };
    let groups = me.groups.iter().fold(text.words(", in "), |text, group| {
        let text = if group == me.groups.first().unwrap_or(group) { text } else { text.words(", ") };
        text.name(NameKind::Group, group)
    });
    let text = if me.groups.is_empty() { groups.words("no group") } else { groups };
    if me.uid.is_some() {
        return check.ok(text);
    }
    check
        .note(text)
        .fix("nothing to do: your login has no UID, as with a client certificate, so records know you by name only")
}

/// Whether the controller has what the chart gives, and nothing that no chart gives.
pub fn controller_rights(facts: &HealthFacts) -> Vec<CheckFinding> {
    let check = HealthCheck::ControllerRights;
    let answers = match &facts.controller_rights {
        Ok(answers) => answers,
        Err(unread) => return vec![check.unknown(unread)],
    };
    let excessive = rights::excessive();
    let (beyond, needed): (Vec<_>, Vec<_>) = answers.iter().partition(|(right, _)| excessive.contains(right));
    let lacks = needed.iter().filter(|(_, allowed)| !allowed).map(|(right, _)| {
        check
            .error(MarkedText::of("the controller may not ").and(right.sentence()))
            .of(right.sentence())
            .fix("apply the chart again: helm upgrade, or bind its role again to its account")
    });
    let has = beyond.iter().filter(|(_, allowed)| *allowed).map(|(right, _)| {
        check
            .warning(
                MarkedText::of("the controller may ").and(right.sentence()).words(", which the chart does not give"),
            )
            .of(right.sentence())
            .fix(
                MarkedText::of("find the binding that gives it, and take its account out: ")
                    .words("kubectl get rolebindings,clusterrolebindings -A -o wide")
                    .flags(),
            )
    });
    or_ok(lacks.chain(has).collect(), || {
        check.ok(MarkedText::of("the controller has the ").value(needed.len()).words(" rights that the chart gives"))
    })
}

/// What the caller may do in the namespace of their context. Not to be allowed something is no fault.
pub fn own_rights(rights: &Looked<Vec<(RightAsked, bool)>>) -> Vec<CheckFinding> {
    let check = HealthCheck::OwnRights;
    let answers = match rights {
        Ok(answers) => answers,
        Err(unread) => return vec![check.unknown(unread)],
    };
    let finding = |(right, allowed): &(RightAsked, bool)| {
        let (level, may) = if *allowed { (FindingLevel::Ok, "you may ") } else { (FindingLevel::Note, "you may not ") };
        let finding = check.found(level, MarkedText::of(may).and(right.sentence())).of(right.kind());
        if *allowed {
            return finding;
        }
        finding.fix(match (right.verb, right.resource) {
            ("create", _) => "to ask for access, have an admin bind you to ClusterRole daypass-requester",
            ("patch", _) => "to approve or to end access, have an admin bind you to ClusterRole daypass-approver",
            ("list", "accesspolicies") => {
                "to see policies, have an admin bind you to ClusterRole daypass-viewer by a ClusterRoleBinding"
            }
            _ => "to see requests, have an admin bind you to ClusterRole daypass-viewer",
        })
    };
    answers.iter().map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_no_uid_is_told_so() {
        let me = |uid: Option<&str>| Identity {
            username: "alice".to_owned(),
            uid: uid.map(str::to_owned),
            groups: vec!["dev".to_owned(), "sre".to_owned()],
            ..Identity::default()
        };
        assert_eq!(identity(&Ok(me(Some("u-1")))).level, FindingLevel::Ok);
        let named = identity(&Ok(me(None)));
        assert_eq!((named.level, named.message.to_string().contains("dev, sre")), (FindingLevel::Note, true));
    }

    #[test]
    fn what_one_may_not_is_no_fault() {
        let answers: Vec<(RightAsked, bool)> =
            rights::of_people("shop").into_iter().map(|right| (right.clone(), right.verb == "list")).collect();
        let levels: Vec<FindingLevel> = own_rights(&Ok(answers)).into_iter().map(|finding| finding.level).collect();
        use FindingLevel::{Note, Ok as Good};
        assert_eq!(levels, [Note, Good, Note, Good]);
    }
}
