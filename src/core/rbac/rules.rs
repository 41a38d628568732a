//! Rights as rules: whether a role has every right that somebody wants, judged as Kubernetes judges it.
//!
//! Owns how RBAC rules match, what is wrong in the rules of a request, and how many rights are compared at most.
//! It must not know who asks, which role is meant or what becomes of the answer.
//!
//! The comparison mirrors `Covers`, `BreakdownRule` and `ruleCovers` in Kubernetes'
//! `component-helpers/auth/rbac/validation/policy_comparator.go`, by which the API server refuses to let somebody
//! write a role with more rights than they have. The matching is that of `pkg/apis/rbac/v1/evaluation_helpers.go`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use k8s_openapi::api::rbac::v1::PolicyRule;

use crate::api::request::NarrowRule;
use crate::core::model::field_error::FieldError;
use crate::core::model::problem::{RuleProblem, WordFault};

/// The most single rights that are compared at once. The schema of a request would let it name some eight
/// million; nobody reads that many, and each has to be looked for in the role.
pub const MOST_RIGHTS: usize = 4096;
/// The most that is told of anything: things that are not covered, verbs of one of them, faults.
const MOST_NAMED: usize = 8;
/// The longest that a text from outside is quoted.
const MOST_QUOTED: usize = 64;
/// Kubernetes' word for all of them.
pub(in crate::core) const ALL: &str = "*";

/// What a role does not allow; each prints as one sentence.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Uncovered {
    /// Verbs on a resource.
    Resource {
        /// What the role does not let one do with it, sorted.
        verbs: Vec<String>,
        /// API group, empty for the core group.
        group: String,
        /// Resource, with its subresource if any.
        resource: String,
        /// The one object that is wanted; none is every object.
        name: Option<String>,
    },
    /// Verbs on a URL that is no resource.
    Url {
        /// What the role does not let one do with it, sorted.
        verbs: Vec<String>,
        /// The path, as it is wanted.
        url: String,
    },
    /// So many single rights more, which are not told.
    More(usize),
    /// So many single rights are wanted, which is more than are compared: none of them counts as covered.
    TooMany(usize),
}

/// What a single right is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum SingleRight<'a> {
    Resource { group: &'a str, resource: &'a str, name: Option<&'a str> },
    Url(&'a str),
}

/// Whether a role has every single right that is wanted: verb by API group by resource by name, or verb by URL.
///
/// Each right must be in one of the role's rules; different rights may be in different rules. A right to all
/// (`*`, or no `resourceNames`) is only covered by a rule for all, however many a role names one by one.
/// Nothing wanted is always covered.
///
/// # Errors
/// What is not covered, sorted: at most eight things and how many rights there are besides. When more than
/// [`MOST_RIGHTS`] single rights are wanted, nothing is compared and nothing counts as covered.
pub fn covers(role: &[PolicyRule], wanted: &[PolicyRule]) -> Result<(), Vec<Uncovered>> {
    let count = rights(wanted);
    if count > MOST_RIGHTS {
        return Err(vec![Uncovered::TooMany(count)]);
    }
    let missing = missing(role, wanted);
    if missing.is_empty() {
        return Ok(());
    }
    let mut message: Vec<Uncovered> =
        missing.iter().take(MOST_NAMED).map(|(object, verbs)| uncovered(*object, verbs)).collect();
    match missing.values().skip(MOST_NAMED).map(BTreeSet::len).sum() {
        0 => {}
        more => message.push(Uncovered::More(more)),
    }
    Err(message)
}

/// How many single rights rules name, counting what is named twice twice.
pub fn rights(rules: &[PolicyRule]) -> usize {
    let rights_of = |rule: &PolicyRule| {
        let names = list(&rule.resource_names).len().max(1);
        let objects = list(&rule.api_groups).len().saturating_mul(list(&rule.resources).len()).saturating_mul(names);
        rule.verbs.len().saturating_mul(objects.saturating_add(list(&rule.non_resource_urls).len()))
    };
    rules.iter().map(rights_of).fold(0, usize::saturating_add)
}

/// The rights that no rule of the role has: what for, and which verbs.
///
/// The rules that can still have a right get fewer with each step, so that a large role is not searched as a
/// whole for every single one.
fn missing<'a>(role: &[PolicyRule], wanted: &'a [PolicyRule]) -> BTreeMap<SingleRight<'a>, BTreeSet<&'a str>> {
    let mut missing: BTreeMap<SingleRight<'a>, BTreeSet<&'a str>> = BTreeMap::new();
    let mut miss = |object, verb| _ = missing.entry(object).or_default().insert(verb);
    // A rule without rights is passed over, or its lists would be walked through without any bound.
    for rule in wanted.iter().filter(|rule| rights(std::slice::from_ref(rule)) > 0) {
        for verb in &rule.verbs {
            let with_verb: Vec<&PolicyRule> = role.iter().filter(|r| verb_matches(r, verb)).collect();
            for group in list(&rule.api_groups) {
                let with_group: Vec<_> = with_verb.iter().filter(|r| group_matches(r, group)).collect();
                for resource in list(&rule.resources) {
                    let here: Vec<_> = with_group.iter().filter(|r| resource_matches(r, resource)).collect();
                    for name in names(rule) {
                        if !here.iter().any(|r| name_matches(r, name)) {
                            miss(SingleRight::Resource { group, resource, name }, verb.as_str());
                        }
                    }
                }
            }
            for url in list(&rule.non_resource_urls) {
                // A URL has no name, so a rule for names has none of them: `ruleCovers` says so too.
                if !with_verb.iter().any(|r| url_matches(r, url) && name_matches(r, None)) {
                    miss(SingleRight::Url(url), verb.as_str());
                }
            }
        }
    }
    missing
}

fn uncovered(object: SingleRight<'_>, verbs: &BTreeSet<&str>) -> Uncovered {
    let verbs = verbs.iter().map(|verb| (*verb).to_owned()).collect();
    match object {
        SingleRight::Url(url) => Uncovered::Url { verbs, url: url.to_owned() },
        SingleRight::Resource { group, resource, name } => {
            let name = name.map(str::to_owned);
            Uncovered::Resource { verbs, group: group.to_owned(), resource: resource.to_owned(), name }
        }
    }
}

/// Whether a rule is for a verb: `VerbMatches`. A `*` that is asked for is only matched by `*`, as everywhere here.
pub(in crate::core) fn verb_matches(rule: &PolicyRule, verb: &str) -> bool {
    has(&rule.verbs, ALL) || has(&rule.verbs, verb)
}

/// Whether a rule is for an API group: `APIGroupMatches`.
pub(in crate::core) fn group_matches(rule: &PolicyRule, group: &str) -> bool {
    let groups = list(&rule.api_groups);
    has(groups, ALL) || has(groups, group)
}

/// Whether a rule is for a resource or `resource/subresource`: `ResourceMatches`. A rule may say `*/scale` for that
/// subresource of every resource; `pods/*` means nothing to Kubernetes but a subresource of that very name.
pub(in crate::core) fn resource_matches(rule: &PolicyRule, path: &str) -> bool {
    let resources = list(&rule.resources);
    let of_any = |subresource| resources.iter().any(|r| r.strip_prefix("*/") == Some(subresource));
    has(resources, ALL) || has(resources, path) || path.split_once('/').is_some_and(|(_, sub)| of_any(sub))
}

/// Whether a rule is for an object of this name, or for every object: `ResourceNameMatches`. No `*` here: it is
/// a name as any other.
fn name_matches(rule: &PolicyRule, name: Option<&str>) -> bool {
    let names = list(&rule.resource_names);
    names.is_empty() || name.is_some_and(|name| has(names, name))
}

/// Whether a rule is for a URL: `NonResourceURLMatches`. A rule's `*` at the end stands for any rest, also none.
pub(in crate::core) fn url_matches(rule: &PolicyRule, url: &str) -> bool {
    let is_for = |own: &String| own == url || (own.ends_with('*') && url.starts_with(own.trim_end_matches('*')));
    list(&rule.non_resource_urls).iter().any(is_for)
}

/// A list of a rule; one that is left out is empty.
pub(in crate::core) fn list(texts: &Option<Vec<String>>) -> &[String] {
    texts.as_deref().unwrap_or_default()
}

fn has(texts: &[String], text: &str) -> bool {
    texts.iter().any(|t| t == text)
}

/// The names that a rule is for; a single none is every object.
fn names(rule: &PolicyRule) -> Vec<Option<&str>> {
    let names = list(&rule.resource_names);
    if names.is_empty() { vec![None] } else { names.iter().map(|name| Some(name.as_str())).collect() }
}

/// A request's rule as a rule of RBAC.
pub fn from_narrow(rule: &NarrowRule) -> PolicyRule {
    let some = |texts: &[String]| (!texts.is_empty()).then(|| texts.to_vec());
    PolicyRule {
        verbs: rule.verbs.clone(),
        api_groups: some(&rule.api_groups),
        resources: some(&rule.resources),
        resource_names: some(&rule.resource_names),
        non_resource_urls: some(&rule.non_resource_urls),
    }
}

/// A rule of RBAC as a request would ask for it.
pub fn to_narrow(rule: &PolicyRule) -> NarrowRule {
    let all = |texts: &Option<Vec<String>>| texts.clone().unwrap_or_default();
    NarrowRule {
        verbs: rule.verbs.clone(),
        api_groups: all(&rule.api_groups),
        resources: all(&rule.resources),
        resource_names: all(&rule.resource_names),
        non_resource_urls: all(&rule.non_resource_urls),
    }
}

/// The rules of a request in words: `delete on pods checkout-0`. Of many the first few, and how many more there are.
pub fn describe(rules: &[NarrowRule]) -> String {
    const MOST_DESCRIBED: usize = 3;
    let all = |texts: &[String]| quote_all(texts.iter().map(String::as_str));
    let one = |rule: &NarrowRule| {
        let what = if rule.resources.is_empty() { &rule.non_resource_urls } else { &rule.resources };
        let names =
            if rule.resource_names.is_empty() { String::new() } else { format!(" {}", all(&rule.resource_names)) };
        format!("{} on {}{names}", all(&rule.verbs), all(what))
    };
    let described: Vec<String> = rules.iter().take(MOST_DESCRIBED).map(one).collect();
    let described = described.join(" and ");
    match rules.len().saturating_sub(MOST_DESCRIBED) {
        0 => described,
        more => format!("{described} and {more} rules more"),
    }
}

/// What is wrong in the rules of a request; at most eight faults, of each list the first.
///
/// Stricter than Kubernetes, which takes any text and gives nothing for it: who writes `Get` or `pods/*` is told,
/// rather than let go with a role that does not do what it says.
pub fn faults(rules: &[NarrowRule]) -> Vec<FieldError> {
    let each = rules.iter().enumerate();
    let faults: Vec<FieldError> =
        each.flat_map(|(at, rule)| faults_of(rule, &format!("spec.rules[{at}]"))).take(MOST_NAMED).collect();
    let count = rights(&rules.iter().map(from_narrow).collect::<Vec<_>>());
    if faults.is_empty() && count > MOST_RIGHTS {
        return vec![FieldError::new("spec.rules", RuleProblem::TooMany { there: count, most: MOST_RIGHTS })];
    }
    faults
}

/// What is wrong in a word, if anything.
type Reading<'a> = &'a dyn Fn(&str) -> Option<WordFault>;

fn faults_of(rule: &NarrowRule, path: &str) -> Vec<FieldError> {
    let resources = !rule.resources.is_empty();
    let urls = !rule.non_resource_urls.is_empty();
    let mut faults = Vec::new();
    let mut fault = |field: &str, problem: RuleProblem| faults.push(FieldError::new(format!("{path}{field}"), problem));
    if resources == urls {
        fault("", RuleProblem::ResourcesOrUrls);
    }
    if rule.verbs.is_empty() {
        fault(".verbs", RuleProblem::NoVerb);
    }
    if resources && rule.api_groups.is_empty() {
        fault(".apiGroups", RuleProblem::NoGroup);
    }
    if urls && !(rule.api_groups.is_empty() && rule.resource_names.is_empty()) {
        fault(".nonResourceURLs", RuleProblem::UrlsAndMore);
    }
    // Kubernetes itself reads `DOMAIN/*` as a name of signers: every signer of that domain.
    let signers = resources && rule.resources.iter().all(|resource| resource == "signers");
    let name_fault = |name: &str| name_fault(name, signers);
    let lists: [(&str, &[String], Reading<'_>); 5] = [
        ("verbs", &rule.verbs, &verb_fault),
        ("apiGroups", &rule.api_groups, &group_fault),
        ("resources", &rule.resources, &resource_fault),
        ("resourceNames", &rule.resource_names, &name_fault),
        ("nonResourceURLs", &rule.non_resource_urls, &url_fault),
    ];
    for (field, texts, problem_of) in lists {
        let wrong = texts.iter().enumerate().find_map(|(at, text)| Some((at, text, problem_of(text)?)));
        if let Some((at, text, fault)) = wrong {
            let problem = RuleProblem::Word { written: quote(text), fault };
            faults.push(FieldError::new(format!("{path}.{field}[{at}]"), problem));
        }
    }
    faults
}

fn verb_fault(verb: &str) -> Option<WordFault> {
    // Colons and slashes: verbs such as `impersonate:user-info`.
    if verb == ALL { None } else { word_fault(verb, 63, "-_.:/") }
}

fn group_fault(group: &str) -> Option<WordFault> {
    if group.is_empty() || group == ALL { None } else { word_fault(group, 253, "-.") }
}

fn resource_fault(path: &str) -> Option<WordFault> {
    let Some((resource, sub)) = path.split_once('/') else {
        return if path == ALL { None } else { word_fault(path, 253, "-_.") };
    };
    if sub == ALL {
        return Some(WordFault::AllSubresources);
    }
    let resource = if resource == ALL { None } else { word_fault(resource, 253, "-_.") };
    resource.or_else(|| word_fault(sub, 253, "-_."))
}

fn name_fault(name: &str, signer: bool) -> Option<WordFault> {
    let plain = if signer { name.strip_suffix("/*").unwrap_or(name) } else { name };
    first_fault([
        (plain.is_empty(), WordFault::Empty),
        (name == ALL, WordFault::AllNames),
        (plain.contains('*'), WordFault::Star),
        (name.len() > 253, WordFault::TooLong),
        // Users and groups may be impersonated by name, and those have nearly any letter.
        (name.contains(char::is_control), WordFault::Letter),
    ])
}

fn url_fault(url: &str) -> Option<WordFault> {
    if url == ALL {
        return None;
    }
    first_fault([
        (url.is_empty(), WordFault::Empty),
        (!url.starts_with('/'), WordFault::NoSlash),
        (url.strip_suffix('*').unwrap_or(url).contains('*'), WordFault::Star),
        (url.len() > 253, WordFault::TooLong),
        (url.contains(|c: char| c.is_control() || c.is_whitespace()), WordFault::Letter),
    ])
}

/// What is wrong in a word of small letters, digits and these signs.
fn word_fault(word: &str, most: usize, signs: &str) -> Option<WordFault> {
    let belongs = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || signs.contains(c);
    first_fault([
        (word.is_empty(), WordFault::Empty),
        (word.contains('*'), WordFault::Star),
        (word.contains(char::is_uppercase), WordFault::UpperCase),
        (word.len() > most, WordFault::TooLong),
        (!word.chars().all(belongs), WordFault::Letter),
    ])
}

fn first_fault<const N: usize>(faults: [(bool, WordFault); N]) -> Option<WordFault> {
    faults.into_iter().find_map(|(is, problem)| is.then_some(problem))
}

/// A text from outside, fit for a message: cut when long, and without anything that does not print.
pub(in crate::core) fn quote(text: &str) -> String {
    let mut quoted: String = text.chars().take(MOST_QUOTED).flat_map(char::escape_debug).collect();
    if text.chars().nth(MOST_QUOTED).is_some() {
        quoted.push_str("...");
    }
    quoted
}

/// Texts from outside as one list, cut when there are many.
pub(in crate::core) fn quote_all<'a>(texts: impl ExactSizeIterator<Item = &'a str>) -> String {
    let more = texts.len().saturating_sub(MOST_NAMED);
    let mut quoted = texts.take(MOST_NAMED).map(quote).collect::<Vec<_>>().join(", ");
    if more > 0 {
        quoted.push_str(&format!(" and {more} more"));
    }
    quoted
}

impl fmt::Display for Uncovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = |verbs: &[String]| quote_all(verbs.iter().map(String::as_str));
        match self {
            Self::Resource { verbs, group, resource, name } => {
                write!(f, "the role does not allow {} on {}", all(verbs), quote(resource))?;
                match group.as_str() {
                    "" => write!(f, " of the core group")?,
                    ALL => write!(f, " of every API group")?,
                    group => write!(f, " of {}", quote(group))?,
                }
                name.as_ref().map_or(Ok(()), |name| write!(f, " named {}", quote(name)))
            }
            Self::Url { verbs, url } => write!(f, "the role does not allow {} on URL {}", all(verbs), quote(url)),
            Self::More(1) => write!(f, "nor does it allow 1 more right"),
            Self::More(more) => write!(f, "nor does it allow {more} more rights"),
            Self::TooMany(count) => {
                write!(f, "{}", RuleProblem::TooMany { there: *count, most: MOST_RIGHTS })
            }
        }
    }
}

#[cfg(test)]
mod tests;
