//! Why the API server let a call through, as it writes it into each audit event: the binding that allowed it.
//!
//! Owns the reading of `authorization.k8s.io/reason` and of Go's quotes in it. What people choose stands in quotes there, so
//! it is read from its start, piece by piece, and never searched. The sentence is that of `String` of the descriptions in
//! Kubernetes' `pkg/registry/rbac/validation/rule.go`.

use std::fmt;

use crate::api::request::BindingKind;
use crate::core::rbac::ownership::NAME_PREFIX;

/// How much is kept of a reason that names no binding, in characters.
const MOST_OF_REASON: usize = 200;
/// How a UID of the API server is written: groups of hexadecimal digits with dashes between them.
const UID_GROUPS: [usize; 5] = [8, 4, 4, 4, 12];

/// What decided that a call may be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authorized {
    /// RBAC, by this binding.
    By(NamedBinding),
    /// Something else, in its own words, shortened: the access policies of a cloud, the group of masters.
    Otherwise(String),
    /// Nothing: it was refused.
    Refused,
    /// The event does not say.
    Unsaid,
}

/// A binding that the API server names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NamedBinding {
    pub kind: BindingKind,
    /// Of a RoleBinding.
    pub namespace: Option<String>,
    pub name: String,
}

impl Authorized {
    /// From the annotations `decision` and `reason` of `authorization.k8s.io`.
    pub fn read(decision: Option<&str>, reason: Option<&str>) -> Self {
        match decision {
            Some("allow") => {
                let reason = reason.unwrap_or_default();
                let other = || Self::Otherwise(reason.chars().take(MOST_OF_REASON).collect());
                named(reason).map_or_else(other, Self::By)
            }
            Some(_) => Self::Refused,
            None => Self::Unsaid,
        }
    }

    /// UID of the request whose binding allowed the call.
    pub fn request(&self) -> Option<&str> {
        match self {
            Self::By(binding) => binding.request(),
            _ => None,
        }
    }

    /// Whether it is what the cluster gives to everybody, such as the right to ask what is served.
    pub fn is_for_everybody(&self) -> bool {
        matches!(self, Self::By(NamedBinding { kind: BindingKind::ClusterRoleBinding, name, .. }) if name.starts_with("system:"))
    }
}

impl NamedBinding {
    /// UID of the request that it was made for, by its name.
    pub fn request(&self) -> Option<&str> {
        named_request(&self.name)
    }
}

impl fmt::Display for NamedBinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", word(self.kind), self.name),
            None => write!(f, "{} {}", word(self.kind), self.name),
        }
    }
}

impl fmt::Display for Authorized {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::By(binding) => binding.fmt(f),
            Self::Otherwise(reason) if reason.is_empty() => f.write_str("an authorizer that gives no reason"),
            Self::Otherwise(reason) => f.write_str(reason),
            Self::Refused | Self::Unsaid => f.write_str("nothing"),
        }
    }
}

/// UID of the request that an object of this name was made for: the names of bindings are a prefix and a UID, no more.
pub fn named_request(name: &str) -> Option<&str> {
    name.strip_prefix(NAME_PREFIX).filter(|uid| is_uid(uid))
}

/// Whether it is written as the API server writes UIDs.
pub fn is_uid(text: &str) -> bool {
    let mut groups = text.split('-');
    let mut lengths = UID_GROUPS.iter();
    lengths.all(|length| groups.next().is_some_and(|group| group.len() == *length && is_hexadecimal(group)))
        && groups.next().is_none()
}

/// The kind as RBAC writes it.
fn word(kind: BindingKind) -> &'static str {
    match kind {
        BindingKind::RoleBinding => "RoleBinding",
        BindingKind::ClusterRoleBinding => "ClusterRoleBinding",
    }
}

fn is_hexadecimal(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

fn named(reason: &str) -> Option<NamedBinding> {
    let rest = reason.strip_prefix("RBAC: ")?.strip_prefix("allowed by ")?;
    let (kind, rest) = rest.split_once(' ')?;
    let kind =
        [BindingKind::RoleBinding, BindingKind::ClusterRoleBinding].into_iter().find(|known| word(*known) == kind)?;
    let (bound, rest) = unquoted(rest)?;
    let (_, rest) = unquoted(rest.strip_prefix(" of ")?.split_once(' ')?.1)?;
    let (_, rest) = unquoted(rest.strip_prefix(" to ")?.split_once(' ')?.1)?;
    if !rest.is_empty() {
        return None;
    }
    match (kind, bound.split_once('/')) {
        (BindingKind::RoleBinding, Some((name, namespace))) if !namespace.contains('/') => {
            Some(NamedBinding { kind, namespace: Some(namespace.to_owned()), name: name.to_owned() })
        }
        (BindingKind::ClusterRoleBinding, None) => Some(NamedBinding { kind, namespace: None, name: bound }),
        _ => None,
    }
}

/// The text that stands quoted at the start, as Go's `%q` quotes it, and what follows.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut rest = text.strip_prefix('"')?;
    let mut found = String::new();
    loop {
        let letter = rest.chars().next()?;
        rest = &rest[letter.len_utf8()..];
        match letter {
            '"' => return Some((found, rest)),
            '\\' => {
                let (letter, after) = escaped(rest)?;
                found.push(letter);
                rest = after;
            }
            letter => found.push(letter),
        }
    }
}

/// What stands behind a backslash.
fn escaped(rest: &str) -> Option<(char, &str)> {
    let sign = rest.chars().next()?;
    let after = &rest[sign.len_utf8()..];
    let digits = match sign {
        'x' => 2,
        'u' => 4,
        'U' => 8,
        _ => {
            let letter = match sign {
                'a' => '\u{7}',
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'v' => '\u{b}',
                '\\' | '"' => sign,
                _ => return None,
            };
            return Some((letter, after));
        }
    };
    let (number, after) = after.split_at_checked(digits)?;
    let number = u32::from_str_radix(number, 16).ok()?;
    // A byte that is no UTF-8 by itself stands for no letter.
    let letter = if sign == 'x' && number > 0x7f { char::REPLACEMENT_CHARACTER } else { char::from_u32(number)? };
    Some((letter, after))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const UID: &str = "0f0e2d1c-3b4a-4958-8776-655443322110";

    fn allowed(sentence: &str) -> Authorized {
        Authorized::read(Some("allow"), Some(&format!("RBAC: {sentence}")))
    }

    fn of_alice(binding: &str) -> String {
        format!("allowed by {binding} of ClusterRole \"edit\" to User \"alice\"")
    }

    #[test]
    fn the_binding_that_allows_names_the_request() {
        let by = allowed(&of_alice(&format!("RoleBinding \"daypass-{UID}/shop\"")));
        let binding = NamedBinding {
            kind: BindingKind::RoleBinding,
            namespace: Some("shop".to_owned()),
            name: format!("daypass-{UID}"),
        };
        assert_eq!(by, Authorized::By(binding));
        assert_eq!(by.request(), Some(UID));
        assert_eq!(allowed(&of_alice(&format!("ClusterRoleBinding \"daypass-{UID}\""))).request(), Some(UID));
        for name in [
            "daypass-archive".to_owned(),
            format!("daypass-{UID}-loan"),
            format!("daypass-{UID}0"),
            format!("x-daypass-{UID}"),
            format!("daypass-{}", UID.to_uppercase()),
            "daypass-".to_owned(),
        ] {
            assert_eq!(allowed(&of_alice(&format!("ClusterRoleBinding \"{name}\""))).request(), None, "{name}");
        }
    }

    #[test]
    fn nothing_that_a_name_says_is_taken_for_the_reason() {
        let forged = format!("x\" of ClusterRole \"edit\" to User \"alice\"; RoleBinding \"daypass-{UID}/shop");
        let quoted = format!("{forged:?}");
        let binding =
            allowed(&format!("allowed by ClusterRoleBinding \"devs\" of ClusterRole \"edit\" to User {quoted}"));
        assert_eq!(binding.request(), None);
        assert!(matches!(binding, Authorized::By(NamedBinding { name, .. }) if name == "devs"));
        // The same without Go's escapes is no sentence of the API server.
        let unescaped =
            allowed(&format!("allowed by ClusterRoleBinding \"devs\" of ClusterRole \"edit\" to User \"{forged}\""));
        assert!(matches!(unescaped, Authorized::Otherwise(_)));
        let prefixed = format!("EKS Access Policy: {}", of_alice(&format!("RoleBinding \"daypass-{UID}/shop\"")));
        assert!(matches!(Authorized::read(Some("allow"), Some(&prefixed)), Authorized::Otherwise(_)));
        assert_eq!(allowed(&of_alice(&format!("RoleBinding \"daypass-{UID}/a/b\""))).request(), None);
        assert_eq!(allowed(&of_alice(&format!("ClusterRoleBinding \"daypass-{UID}/shop\""))).request(), None);
    }

    #[test]
    fn a_refusal_and_silence_are_allowed_by_nothing() {
        let reason = format!("RBAC: {}", of_alice(&format!("RoleBinding \"daypass-{UID}/shop\"")));
        assert_eq!(Authorized::read(Some("forbid"), Some(&reason)), Authorized::Refused);
        assert_eq!(Authorized::read(None, Some(&reason)), Authorized::Unsaid);
        assert_eq!(Authorized::read(Some("allow"), None), Authorized::Otherwise(String::new()));
        assert!(allowed(&of_alice("ClusterRoleBinding \"system:discovery\"")).is_for_everybody());
        assert!(!allowed(&of_alice("ClusterRoleBinding \"devs\"")).is_for_everybody());
    }

    /// As Go's `strconv.Quote` writes it, for letters that it writes as they are, and those that it does not.
    fn quoted(text: &str) -> String {
        let letters = text.chars().map(|letter| match letter {
            '"' => "\\\"".to_owned(),
            '\\' => "\\\\".to_owned(),
            '\u{7}' => "\\a".to_owned(),
            '\n' => "\\n".to_owned(),
            letter if (letter as u32) < 0x20 || letter == '\u{7f}' => format!("\\x{:02x}", letter as u32),
            letter if letter.is_control() => format!("\\u{:04x}", letter as u32),
            letter if letter as u32 > 0xffff => format!("\\U{:08x}", letter as u32),
            letter => letter.to_string(),
        });
        format!("\"{}\"", letters.collect::<String>())
    }

    proptest! {
        #[test]
        fn what_go_quotes_is_read_as_it_was(text in any::<String>(), rest in any::<String>()) {
            let written = format!("{}{rest}", quoted(&text));
            prop_assert_eq!(unquoted(&written), Some((text, rest.as_str())));
        }

        #[test]
        fn no_reason_ties_to_a_request_that_it_does_not_name(reason in any::<String>(), decision in any::<Option<String>>()) {
            let read = Authorized::read(decision.as_deref(), Some(&reason));
            if let Some(uid) = read.request() {
                let name = format!("daypass-{uid}");
                prop_assert!(reason.contains(&name));
            }
        }

        #[test]
        fn whatever_the_user_is_called_the_binding_is_the_one_that_is_named(user in any::<String>(), role in any::<String>()) {
            let sentence = format!(
                "allowed by RoleBinding \"daypass-{UID}/shop\" of ClusterRole {} to User {}", quoted(&role), quoted(&user)
            );
            let by = allowed(&sentence);
            prop_assert_eq!(by.request(), Some(UID));
            let of_another = format!("allowed by RoleBinding \"devs/shop\" of Role {} to User {}", quoted(&user), quoted(&role));
            let by = allowed(&of_another);
            prop_assert_eq!(by.request(), None);
        }
    }
}
