//! Who a subject stands for: RBAC's users, groups and service accounts.

use crate::api::subject::{Identity, Subject, SubjectKind};

/// Prefix of the username of every service account.
pub const SERVICE_ACCOUNT_PREFIX: &str = "system:serviceaccount:";

/// Namespace and name of the service account that a username stands for, if it does.
pub fn service_account(username: &str) -> Option<(&str, &str)> {
    username.strip_prefix(SERVICE_ACCOUNT_PREFIX)?.split_once(':')
}

/// Whether the account is the subject, as RBAC would say.
pub fn is_subject(who: &Identity, subject: &Subject) -> bool {
    match subject.kind {
        SubjectKind::User => who.username == subject.name,
        SubjectKind::Group => who.groups.contains(&subject.name),
        SubjectKind::ServiceAccount => {
            let namespace = subject.namespace.as_deref().unwrap_or_default();
            service_account(&who.username) == Some((namespace, &subject.name))
        }
    }
}

/// Whether the account may approve as one of the subjects. A service account may only when it is named
/// itself: groups such as `system:authenticated` hold every robot of the cluster.
pub fn is_approver(who: &Identity, approvers: &[Subject]) -> bool {
    let robot = who.username.starts_with(SERVICE_ACCOUNT_PREFIX);
    approvers.iter().any(|s| !(robot && s.kind == SubjectKind::Group) && is_subject(who, s))
}

/// Whether two accounts are one person: by name, or by the UID that their login gives them, where it gives one.
pub fn is_same_person(a: &Identity, b: &Identity) -> bool {
    a.username == b.username || (login_uid(a).is_some() && login_uid(a) == login_uid(b))
}

/// The UID of an account, if its login gives it one.
pub fn login_uid(who: &Identity) -> Option<&str> {
    who.uid.as_deref().filter(|uid| !uid.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::laws::fixtures::{group, user};

    #[test]
    fn subjects_are_who_rbac_says_they_are() {
        let robot = |namespace: &str, name: &str| Subject {
            kind: SubjectKind::ServiceAccount,
            namespace: Some(namespace.into()),
            ..user(name)
        };
        let who = |username: &str, groups: &[&str]| Identity {
            username: username.into(),
            groups: groups.iter().map(|g| (*g).to_owned()).collect(),
            ..Identity::default()
        };
        for (who, subject, is) in [
            (who("alice", &[]), user("alice"), true),
            (who("Alice", &[]), user("alice"), false),
            (who("dev", &[]), group("dev"), false),
            (who("alice", &["dev"]), user("dev"), false),
            (who("alice", &["dev"]), group("dev"), true),
            (who("alice", &["dev"]), group("*"), false),
            (who("system:serviceaccount:ci:bot", &[]), robot("ci", "bot"), true),
            (who("system:serviceaccount:other:bot", &[]), robot("ci", "bot"), false),
            (who("ci:bot", &[]), robot("ci", "bot"), false),
        ] {
            assert_eq!(is_subject(&who, &subject), is, "{who:?} {subject:?}");
        }
    }
}
