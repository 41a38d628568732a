//! What was done by one call, as far as it may be kept: who, what, where, and how it went.
//!
//! Owns what of a call is kept and what never is. The commands of an exec may hold secrets, so of them the program alone is
//! kept. The names of objects are kept where they say whom somebody reached into; of other calls about one object a few are
//! kept beside what the calls have in common, from which narrower rules can be made. Each text is bounded.

use serde::{Deserialize, Serialize};

use super::names::ObjectNames;

/// Subresources by which somebody reaches into one object, whose name is kept.
const REACHING: [&str; 6] = ["exec", "attach", "portforward", "proxy", "ephemeralcontainers", "token"];
/// Verbs of calls about one object of which the API server knows the name.
const ABOUT_ONE: [&str; 4] = ["get", "update", "patch", "delete"];
/// Verbs that are meant for objects that are there, and make them where they are not.
const MAKING: [&str; 2] = ["update", "patch"];
/// The code of HTTP for what was made.
const CREATED: u16 = 201;
/// The longest that a name is kept, in characters. Kubernetes has none that are longer, but usernames may be.
const MOST_OF_NAME: usize = 253;
/// The longest that other texts are kept, in characters.
const MOST_OF_TEXT: usize = 128;
/// How many addresses, and how many ports, are kept of a call.
const MOST_LISTED: usize = 4;

/// One call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deed {
    pub verb: String,
    /// API group, empty for the core group.
    pub group: String,
    /// Resource, with `/` and its subresource if any; empty where the call is for a path.
    pub resource: String,
    pub namespace: Option<String>,
    /// Name of the object.
    pub name: Option<String>,
    /// The path of a call that is for no resource.
    pub path: Option<String>,
    /// Who was logged in.
    pub user: String,
    /// As whom they acted, if as somebody else.
    pub impersonated: Option<String>,
    /// Where the call came from, as the API server saw it.
    pub address: Option<String>,
    /// Where it is said to have come from, which whoever calls can make up.
    pub claimed: Vec<String>,
    /// Status code of HTTP.
    pub code: u16,
    /// What an exec ran, without its arguments.
    pub program: Option<String>,
    /// Ports that a call names which forwards them.
    pub ports: Vec<String>,
}

/// What makes calls alike, so that they are counted together.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DeedKind {
    pub verb: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub resource: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The object that was reached into.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    pub user: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub impersonated: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<String>,
    /// Whether it was refused for another reason, after it was authorised.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub refused: bool,
    /// Whether it made the object that it was to change, for which the API server asked for the verb `create` too.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub created: bool,
    /// What allowed it instead of the grant, which would have allowed it too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instead: Option<Instead>,
}

/// What allowed a call that a grant would have allowed too.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Instead {
    /// The binding, or another authorizer in its own words.
    pub by: String,
    /// UID of the request that the binding is of, where it is one of Daypass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// Whether nobody says what it was, or what the grant allows, so that it may or may not have been the grant's to allow.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unsaid: bool,
}

impl Instead {
    /// Whether the grant may have been needed all the same: another grant may have ended before, or nobody knows.
    pub fn is_ambiguous(&self) -> bool {
        self.request.is_some() || self.unsaid
    }
}

impl Deed {
    /// Who acted, as RBAC judged it.
    pub fn actor(&self) -> &str {
        self.impersonated.as_deref().unwrap_or(&self.user)
    }

    /// Whether it was refused.
    pub fn is_refused(&self) -> bool {
        self.code >= 400
    }

    fn reaches(&self) -> bool {
        let subresource = self.resource.split_once('/').map(|(_, subresource)| subresource);
        subresource.is_some_and(|subresource| REACHING.contains(&subresource))
    }

    /// The name of the object, where it is kept beside what it is counted with.
    pub fn names(&self) -> ObjectNames {
        let is_one = ABOUT_ONE.contains(&self.verb.as_str()) && !self.resource.is_empty() && !self.reaches();
        ObjectNames::of(self.name.as_ref().filter(|_| is_one).map(|name| bounded(name, MOST_OF_NAME)))
    }

    /// What it is counted with.
    pub fn kind(&self, instead: Option<Instead>) -> DeedKind {
        let name = |name: &String| bounded(name, MOST_OF_NAME);
        let text = |text: &String| bounded(text, MOST_OF_TEXT);
        DeedKind {
            verb: text(&self.verb),
            group: name(&self.group),
            resource: name(&self.resource),
            namespace: self.namespace.as_ref().map(name),
            target: self.name.as_ref().filter(|_| self.reaches()).map(name),
            path: self.path.as_ref().map(text),
            user: name(&self.user),
            impersonated: self.impersonated.as_ref().map(name),
            address: self.address.as_ref().map(text),
            program: self.program.clone(),
            ports: self.ports.clone(),
            refused: self.is_refused(),
            created: self.code == CREATED && MAKING.contains(&self.verb.as_str()),
            instead,
        }
    }
}

/// The path of a URI, without its parameters.
pub fn path(uri: &str) -> &str {
    uri.split(['?', '#']).next().unwrap_or_default()
}

/// What the parameters of an exec say is run, without arguments: also where all of it came as one.
pub fn program(uri: &str) -> Option<String> {
    let first = parameters(uri).find(|(name, _)| name == "command")?.1;
    Some(bounded(first.split_whitespace().next().unwrap_or_default(), MOST_OF_TEXT))
}

/// The ports that the parameters of a call name which forwards them. Of one over SPDY they are in no URI.
pub fn ports(uri: &str) -> Vec<String> {
    let values = parameters(uri).filter(|(name, _)| name == "ports").map(|(_, value)| value);
    let numbers = values.flat_map(|value| value.split(',').map(str::to_owned).collect::<Vec<_>>());
    numbers.filter(|port| port.parse::<u16>().is_ok()).take(MOST_LISTED).collect()
}

/// Whether the parameters say that nothing is to be stored.
pub fn is_dry_run(uri: &str) -> bool {
    parameters(uri).any(|(name, _)| name == "dryRun")
}

/// A URI with the arguments of what an exec runs cut off.
pub fn without_arguments(uri: &str) -> String {
    let Some((path, _)) = uri.split_once('?').filter(|_| parameters(uri).any(|(name, _)| name == "command")) else {
        return uri.to_owned();
    };
    let mut kept = form_urlencoded::Serializer::new(String::new());
    for (name, value) in parameters(uri).filter(|(name, _)| name != "command") {
        kept.append_pair(&name, &value);
    }
    if let Some(program) = program(uri) {
        kept.append_pair("command", &program);
    }
    format!("{path}?{}", kept.finish())
}

fn parameters(uri: &str) -> impl Iterator<Item = (String, String)> {
    let query = uri.split_once('?').map_or("", |(_, query)| query);
    form_urlencoded::parse(query.as_bytes()).map(|(name, value)| (name.into_owned(), value.into_owned()))
}

/// Where a call came from: the last of its addresses, which alone the API server saw itself, and the others, which whoever
/// calls can make up.
pub fn addresses(all: Vec<String>) -> (Option<String>, Vec<String>) {
    let mut all = all;
    let seen = all.pop().map(|seen| bounded(&seen, MOST_OF_TEXT));
    (seen, all.iter().take(MOST_LISTED).map(|claimed| bounded(claimed, MOST_OF_TEXT)).collect())
}

/// At most so many letters of a text.
pub fn bounded(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}\u{2026}", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_exec_the_program_alone_is_kept() {
        let uri = "/api/v1/namespaces/shop/pods/web/exec?command=psql&command=-psecret&container=app&stdin=true";
        assert_eq!(program(uri), Some("psql".to_owned()));
        let cut = "/api/v1/namespaces/shop/pods/web/exec?container=app&stdin=true&command=psql";
        assert_eq!(without_arguments(uri), cut);
        let together = "/exec?command=psql+-psecret%20--all";
        assert_eq!(program(together), Some("psql".to_owned()));
        assert_eq!(without_arguments(together), "/exec?command=psql");
        let escaped = "/exec?c%6fmmand=sh&command=secret&commands=2";
        assert_eq!(without_arguments(escaped), "/exec?commands=2&command=sh");
        let plain = "/api/v1/pods?limit=500&fieldSelector=a%3Db";
        assert_eq!((program(plain), without_arguments(plain).as_str()), (None, plain));
        assert_eq!(program("/exec?command="), Some(String::new()));
    }

    #[test]
    fn ports_are_numbers() {
        assert_eq!(ports("/portforward?ports=8080,9090&ports=1"), ["8080", "9090", "1"]);
        assert_eq!(ports("/portforward?ports=x&ports=99999&ports="), [""; 0]);
        assert_eq!(ports("/portforward"), [""; 0]);
    }

    #[test]
    fn only_the_last_address_is_seen() {
        let all = |all: &[&str]| addresses(all.iter().map(|one| (*one).to_owned()).collect());
        assert_eq!(all(&["6.6.6.6", "10.0.0.1"]), (Some("10.0.0.1".to_owned()), vec!["6.6.6.6".to_owned()]));
        assert_eq!(all(&[]), (None, Vec::new()));
        let many: Vec<String> = (0..100).map(|n| n.to_string()).collect();
        assert_eq!(addresses(many).1.len(), MOST_LISTED);
    }

    #[test]
    fn what_a_change_made_is_told() {
        let created = |verb: &str, code| Deed { verb: verb.to_owned(), code, ..Deed::default() }.kind(None).created;
        assert!(created("patch", 201) && created("update", 201));
        assert!(!created("patch", 200) && !created("create", 201), "a creation is told by its verb");
    }

    #[test]
    fn names_are_kept_of_what_was_reached_into() {
        let kind = |resource: &str| {
            Deed { resource: resource.to_owned(), name: Some("n".repeat(253)), ..Deed::default() }.kind(None)
        };
        assert_eq!(kind("pods/exec").target, Some("n".repeat(253)));
        assert_eq!(kind("pods").target, None);
        let named = |verb: &str, resource: &str| {
            let (verb, resource, name) = (verb.to_owned(), resource.to_owned(), Some("db".to_owned()));
            !Deed { verb, resource, name, ..Deed::default() }.names().is_empty()
        };
        for (verb, resource, is_named) in [
            ("get", "secrets", true),
            ("patch", "deployments/scale", true),
            ("get", "pods/exec", false),
            ("create", "secrets", false),
            ("list", "secrets", false),
            ("get", "", false),
        ] {
            assert_eq!(named(verb, resource), is_named, "{verb} {resource}");
        }
        let long = Deed { user: "u".repeat(5000), path: Some("/".repeat(5000)), ..Deed::default() }.kind(None);
        assert!(long.user.chars().count() <= 254 && long.path.unwrap().chars().count() <= 129);
    }
}
