//! What a finding is, and how it is held against a rule.
//!
//! Owns the form of the table and the matching. It must not know which rights are dangerous: the table in
//! [`findings`](super::findings) says that.
//!
//! Every finding asks whether there is some single right, never how many there are or how they are written, so
//! that rules say the same however they are split, and more rules never say less.

use k8s_openapi::api::rbac::v1::PolicyRule;

use super::Extent;
use super::kinds::BUILT_IN;
use crate::api::risk::RiskLevel;
use crate::core::rbac::rules::{ALL, group_matches, list, resource_matches, verb_matches};

/// Something that rights are good for.
pub(super) struct Finding {
    /// What somebody can do with it, and why that matters.
    pub text: &'static str,
    /// How bad it is in single namespaces that are not protected; none when it is nothing there.
    pub here: Option<RiskLevel>,
    /// How bad it is in single namespaces with a protected one among them; none when it is nothing there.
    pub system: Option<RiskLevel>,
    /// How bad it is in the whole cluster.
    pub everywhere: RiskLevel,
    /// What shows that a rule has it.
    pub sign: Sign,
}

/// What shows that a rule has it.
pub(super) enum Sign {
    /// Any of these rights. That a kind is named here makes it a known one.
    Rights(&'static [Rights]),
    /// The same, but only on objects of some names: whether it counts for a name, and without one for every object.
    Named(&'static [Rights], fn(Option<&str>) -> bool),
    /// Any of these rights, whatever their kinds are for: that a kind is named here says nothing of it.
    Anything(&'static [Rights]),
    /// A wildcard of some kind.
    Wildcard(fn(&PolicyRule) -> bool),
    /// Resources that cannot be listed.
    Objects(fn(&PolicyRule) -> bool),
    /// URLs that are no resources.
    Urls(fn(&PolicyRule) -> bool),
}

/// Verbs by API group by resources. A resource may be `KIND/*` for any subresource of a kind; alone, it may be [`ANY`].
pub(super) type Rights = (&'static [&'static str], &'static str, &'static [&'static str]);

/// Every resource of a group whose kinds are all of one sort.
pub(super) const ANY: &str = ALL;

/// Nothing in a single namespace.
pub(super) const NOTHING: Option<RiskLevel> = None;

/// What is something in a namespace is in a protected one what it is in the whole cluster: that includes it.
pub(super) const fn finding(here: Option<RiskLevel>, everywhere: RiskLevel, text: &'static str, sign: Sign) -> Finding {
    let system = match here {
        Some(_) => Some(everywhere),
        None => None,
    };
    Finding { text, here, system, everywhere, sign }
}

/// What is nothing in most namespaces, and as bad in a protected one as in the whole cluster.
pub(super) const fn finding_in_protected(level: RiskLevel, text: &'static str, sign: Sign) -> Finding {
    Finding { text, here: NOTHING, system: Some(level), everywhere: level, sign }
}

impl Finding {
    /// How bad it is there; none when it is nothing there.
    pub(super) fn level(&self, extent: Extent) -> Option<RiskLevel> {
        match extent {
            Extent::Namespaces => self.here,
            Extent::SystemNamespaces => self.system,
            Extent::Cluster => Some(self.everywhere),
        }
    }

    /// Whether the rule has it.
    pub(super) fn is_in(&self, rule: &PolicyRule) -> bool {
        match self.sign {
            Sign::Rights(rights) | Sign::Anything(rights) => rights.iter().any(|rights| has_any(rule, rights)),
            Sign::Named(rights, counts) => {
                let names = list(&rule.resource_names);
                let counted = if names.is_empty() { counts(None) } else { names.iter().any(|name| counts(Some(name))) };
                counted && rights.iter().any(|rights| has_any(rule, rights))
            }
            Sign::Wildcard(is_in) | Sign::Objects(is_in) | Sign::Urls(is_in) => is_in(rule),
        }
    }

    /// Of the names in a rule that has it, those for which it counts. Empty when it counts for every object.
    pub(super) fn names<'a>(&self, rule: &'a PolicyRule) -> Vec<&'a str> {
        let names = list(&rule.resource_names).iter().map(String::as_str);
        match self.sign {
            // URLs have no names, and Kubernetes does not look at them there.
            Sign::Urls(_) => Vec::new(),
            Sign::Named(_, counts) => names.filter(|name| counts(Some(name))).collect(),
            _ => names.collect(),
        }
    }

    /// Whether it is about rights that nobody has listed one by one.
    pub(super) fn is_wildcard(&self) -> bool {
        matches!(self.sign, Sign::Wildcard(_))
    }

    /// The rights that it names, with what they are for.
    pub(super) fn rights(&self) -> &'static [Rights] {
        match self.sign {
            Sign::Rights(rights) | Sign::Named(rights, _) => rights,
            _ => &[],
        }
    }
}

fn has_any(rule: &PolicyRule, (verbs, group, resources): &Rights) -> bool {
    let of_group = || match *resources {
        [ANY] => has_any_kind(rule, group),
        _ => {
            let foreign = !BUILT_IN.contains(group);
            let has = |resource: &&str| has_resource(rule, resource) || (foreign && has_status(rule, resource));
            group_matches(rule, group) && resources.iter().any(has)
        }
    };
    verbs.iter().any(|verb| has_verb(rule, verb)) && of_group()
}

/// Whether the rule is for any kind of a group. One kind of every group is not taken to be one of this.
fn has_any_kind(rule: &PolicyRule, group: &str) -> bool {
    let (groups, resources) = (list(&rule.api_groups), list(&rule.resources));
    let named = groups.iter().any(|own| own == group) && resources.iter().any(|own| is_a_kind(own));
    named || groups.iter().any(|own| own == ALL) && resources.iter().any(|own| own == ALL)
}

fn has_verb(rule: &PolicyRule, verb: &str) -> bool {
    // `impersonate:user-info` and its kin are what constrained impersonation asks for (KEP-5284).
    let kin = |own: &String| own.starts_with("impersonate:");
    verb_matches(rule, verb) || (verb == IMPERSONATE && rule.verbs.iter().any(kin))
}

fn has_resource(rule: &PolicyRule, resource: &str) -> bool {
    match resource.strip_suffix("/*") {
        // Any subresource: an extra of a user is one, by its name.
        Some(resource) => list(&rule.resources).iter().any(|own| match own.split_once('/') {
            Some((of, _)) => (of == resource || of == ALL) && is_a_kind(own),
            None => own == resource || own == ALL,
        }),
        None => resource_matches(rule, resource),
    }
}

/// Whether the rule is for the status of a kind. Other projects' controllers work from it: Tekton runs the steps that it
/// finds there, and Flux fetches manifests from the address in it. So to write it is to write the object.
fn has_status(rule: &PolicyRule, kind: &str) -> bool {
    list(&rule.resources).iter().any(|own| match own.split_once('/') {
        Some((of, "status")) => of == kind || of == ALL,
        _ => false,
    })
}

/// Whether a resource is a kind or a part of one that can be asked for: to Kubernetes `pods/*` is a subresource of that
/// very name, which there is not. `X/finalizers` is asked for when somebody names an X as an owner, and changes nothing.
pub(super) fn is_a_kind(resource: &str) -> bool {
    match resource.split_once('/') {
        Some((kind, part)) => !kind.is_empty() && !matches!(part, "" | ALL | "finalizers"),
        None => !resource.is_empty(),
    }
}

/// Asks to act as somebody else.
pub(super) const IMPERSONATE: &str = "impersonate";
/// Only looks, where it is not the beginning of a connection.
pub(super) const READ: &[&str] = &["get", "list", "watch"];
/// Puts something in place, or something else.
pub(super) const WRITE: &[&str] = &["create", "update", "patch"];
/// Changes what is there. Neither makes an object that is not there: the API server asks for `create` as well.
pub(super) const EDIT: &[&str] = &["update", "patch"];
/// Takes away.
pub(super) const DELETE: &[&str] = &["delete", "deletecollection"];
/// Any of these.
pub(super) const CHANGE: &[&str] = &["create", "update", "patch", "delete", "deletecollection"];
/// A request to a pod, service or node itself: its method is the verb. A websocket begins with a get.
pub(super) const CONNECT: &[&str] = &["create", "get", "update", "patch", "delete"];
/// Makes anew.
pub(super) const CREATE: &[&str] = &["create"];
