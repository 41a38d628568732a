//! The fixed table of what goes to the API server: methods, paths and parameters, and no others.
//!
//! A call that fits is made anew from its parts, so nothing of how it was written goes on. It must not know whether the
//! caller may make it: the API server does.

use http::Method;

use super::refusal::PageRefusal;
use super::rules::{PageRule, PageRules};
use crate::core::model::name::{is_label, is_name};

/// Where calls to the API server begin on the page.
pub const FORWARDED: &str = "/k/";
/// Kinds of Daypass and of its archive, as paths of the API server.
const REQUESTS: &str = "accessrequests";
/// Parameters of a list, which may be a watch.
const OF_WATCH: &[&str] = &[
    "watch",
    "resourceVersion",
    "allowWatchBookmarks",
    "limit",
    "continue",
    "sendInitialEvents",
    "resourceVersionMatch",
];
/// Those of a list that is none.
const OF_PAGES: &[&str] = &["limit", "continue"];
/// Those of the archive, as its `openapi.json` has them.
const OF_RECORDS: &[&str] = &[
    "cluster",
    "request",
    "person",
    "role",
    "namespace",
    "policy",
    "kind",
    "outcome",
    "text",
    "since",
    "until",
    "limit",
    "continue",
    "format",
];
/// Parameters that have one value only here.
const FIXED: [(&str, &[&str]); 2] = [("dryRun", &["All"]), ("watch", &["true", "false", "1", "0"])];
const GROUP: [&str; 3] = ["apis", "daypass.dev", "v1alpha1"];
const ARCHIVE: [&str; 3] = ["apis", "archive.daypass.dev", "v1"];

/// What a call does there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TableDeed {
    /// It reads.
    Read,
    /// It reads, and goes on for as long as it may.
    Watch,
    /// It asks for access, or tries to; or it decides in a review campaign.
    Ask,
    /// It writes the caller's own review.
    Review,
}

/// A call of the table, made anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableCall {
    pub method: Method,
    /// Path and parameters at the API server.
    pub target: String,
    pub deed: TableDeed,
}

/// A piece of a path in the table.
#[derive(Clone, Copy)]
enum Piece {
    /// This word.
    Word(&'static str),
    /// The name of a namespace.
    Namespace,
    /// The name of an object.
    Name,
}

/// A row of the table.
struct Row {
    method: Method,
    path: Vec<Piece>,
    keys: &'static [&'static str],
}

/// The table.
fn rows() -> Vec<Row> {
    use Piece::{Name, Namespace, Word};
    let of = |group: [&'static str; 3], more: &[Piece]| [&group.map(Word)[..], more].concat();
    let get = |path, keys| Row { method: Method::GET, path, keys };
    let in_namespace = [Word("namespaces"), Namespace, Word(REQUESTS)];
    let one = [&in_namespace[..], &[Name]].concat();
    let ask = Row { method: Method::POST, path: of(GROUP, &in_namespace), keys: &["dryRun"] };
    let decisions = of(ARCHIVE, &[Word("campaigns"), Name, Word("decisions")]);
    let decide = Row { method: Method::POST, path: decisions, keys: &[] };
    let status = of(GROUP, &[&one[..], &[Word("status")]].concat());
    vec![
        get(of(GROUP, &[Word(REQUESTS)]), OF_WATCH),
        get(of(GROUP, &in_namespace), OF_WATCH),
        get(of(GROUP, &one), &[]),
        ask,
        Row { method: Method::PATCH, path: status, keys: &[] },
        get(of(GROUP, &[Word("accesspolicies")]), OF_WATCH),
        get(of(GROUP, &[Word("accesspolicies"), Name]), OF_WATCH),
        get(vec![Word("api"), Word("v1"), Word("namespaces")], OF_PAGES),
        get(of(ARCHIVE, &[Word("namespaces"), Namespace, Word("activity")]), &["request"]),
        get(of(ARCHIVE, &[Word("records")]), OF_RECORDS),
        get(of(ARCHIVE, &[Word("namespaces"), Namespace, Word("records")]), OF_RECORDS),
        get(of(ARCHIVE, &[Word("campaigns")]), &[]),
        get(of(ARCHIVE, &[Word("campaigns"), Name]), &[]),
        decide,
    ]
}

impl Piece {
    fn fits(self, written: &str) -> bool {
        match self {
            Self::Word(word) => word == written,
            Self::Namespace => is_label(written),
            Self::Name => is_name(written),
        }
    }
}

impl TableDeed {
    /// None of a method that the table has nowhere.
    fn of(method: &Method, watches: bool) -> Option<Self> {
        match method.as_str() {
            "GET" => Some(if watches { Self::Watch } else { Self::Read }),
            "POST" => Some(Self::Ask),
            "PATCH" => Some(Self::Review),
            _ => None,
        }
    }
}

impl TableCall {
    /// The call that a path and a query of the page ask for.
    ///
    /// # Errors
    /// When the table does not have it, or it can be read in two ways.
    pub fn of(rules: &PageRules, method: &Method, path: &str, query: Option<&str>) -> Result<Self, PageRefusal> {
        rules.hold(PageRule::PlainPath, !is_odd(path), PageRefusal::OddPath)?;
        let path = path.strip_prefix(FORWARDED).ok_or(PageRefusal::NotInTable)?;
        let pieces: Vec<&str> = path.split('/').collect();
        let fits = |row: &Row| row.path.len() == pieces.len() && row.path.iter().zip(&pieces).all(|(p, w)| p.fits(w));
        let row = rows().into_iter().find(|row| row.method == *method && fits(row));
        rules.hold(PageRule::InTable, row.is_some(), PageRefusal::NotInTable)?;
        let parameters = parameters(rules, row.map(|row| row.keys).unwrap_or_default(), query)?;
        let watches = parameters.iter().any(|(key, value)| key == "watch" && (value == "true" || value == "1"));
        let mut written = form_urlencoded::Serializer::new(String::new());
        written.extend_pairs(&parameters);
        let query = if parameters.is_empty() { String::new() } else { format!("?{}", written.finish()) };
        let deed = TableDeed::of(method, watches).ok_or(PageRefusal::NotInTable)?;
        Ok(Self { method: method.clone(), target: format!("/{path}{query}"), deed })
    }
}

/// The parameters, each of which must be known and be there once.
fn parameters(rules: &PageRules, known: &[&str], query: Option<&str>) -> Result<Vec<(String, String)>, PageRefusal> {
    let mut read: Vec<(String, String)> = Vec::new();
    for (key, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        let fixed = FIXED.iter().find(|(name, _)| *name == key);
        let refusal = || PageRefusal::BadParameter(key.to_string());
        let is_other = |(other, _): &(String, String)| *other != key;
        rules.hold(PageRule::KnownParameter, known.contains(&&*key), refusal())?;
        rules.hold(PageRule::SingleParameter, read.iter().all(is_other), refusal())?;
        let fits = fixed.is_none_or(|(_, values)| values.contains(&&*value));
        rules.hold(PageRule::FixedValue, fits, refusal())?;
        read.push((key.into_owned(), value.into_owned()));
    }
    Ok(read)
}

/// Whether some server would read a path as another one than it looks like.
fn is_odd(path: &str) -> bool {
    path.contains(['%', ';', '\\']) || path.contains("//") || path.split('/').any(|piece| piece == "." || piece == "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(method: &str, target: &str) -> Result<TableCall, PageRefusal> {
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        TableCall::of(&PageRules::all(), &method.parse().unwrap(), path, query)
    }

    #[test]
    fn what_the_page_needs_goes_on_as_it_is() {
        let requests = "apis/daypass.dev/v1alpha1/namespaces/shop/accessrequests";
        for (method, target, deed) in [
            ("GET", "apis/daypass.dev/v1alpha1/accessrequests".to_owned(), TableDeed::Read),
            ("GET", format!("{requests}?limit=500&continue=abc%3D"), TableDeed::Read),
            (
                "GET",
                format!(
                    "{requests}?watch=true&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion="
                ),
                TableDeed::Watch,
            ),
            ("GET", format!("{requests}?watch=1"), TableDeed::Watch),
            ("GET", format!("{requests}?watch=false"), TableDeed::Read),
            ("GET", format!("{requests}/fix.1"), TableDeed::Read),
            ("POST", requests.to_owned(), TableDeed::Ask),
            ("POST", format!("{requests}?dryRun=All"), TableDeed::Ask),
            ("PATCH", format!("{requests}/fix/status"), TableDeed::Review),
            (
                "GET",
                "apis/daypass.dev/v1alpha1/accesspolicies?watch=true&resourceVersion=5".to_owned(),
                TableDeed::Watch,
            ),
            ("GET", "apis/daypass.dev/v1alpha1/accesspolicies/shop".to_owned(), TableDeed::Read),
            ("GET", "api/v1/namespaces?limit=5&continue=x".to_owned(), TableDeed::Read),
            ("GET", "apis/archive.daypass.dev/v1/records?person=alice&text=a+b%26c".to_owned(), TableDeed::Read),
            ("GET", "apis/archive.daypass.dev/v1/namespaces/shop/activity?request=1f2e-3d".to_owned(), TableDeed::Read),
            (
                "GET",
                "apis/archive.daypass.dev/v1/namespaces/shop/records?since=2026-11-23T12%3A00%3A00Z".to_owned(),
                TableDeed::Read,
            ),
            ("GET", "apis/archive.daypass.dev/v1/campaigns".to_owned(), TableDeed::Read),
            ("GET", "apis/archive.daypass.dev/v1/campaigns/2027-h1".to_owned(), TableDeed::Read),
            ("POST", "apis/archive.daypass.dev/v1/campaigns/2027-h1/decisions".to_owned(), TableDeed::Ask),
        ] {
            let made = TableCall { method: method.parse().unwrap(), target: format!("/{target}"), deed };
            assert_eq!(of(method, &format!("/k/{target}")), Ok(made), "{method} {target}");
        }
    }

    #[test]
    fn nothing_else_goes_on() {
        let requests = "/k/apis/daypass.dev/v1alpha1/namespaces/shop/accessrequests";
        for (method, target) in [
            ("GET", "/k/api/v1/secrets"),
            ("GET", "/k/api/v1/namespaces/shop/secrets"),
            ("GET", "/k/api/v1/namespaces/shop"),
            ("GET", "/k/api/v1"),
            ("GET", "/k/"),
            ("GET", "/k"),
            ("GET", "/apis/daypass.dev/v1alpha1/accessrequests"),
            ("GET", "/k/apis/daypass.dev/v1alpha1/accessrequests/"),
            ("GET", "/k/apis/Daypass.dev/v1alpha1/accessrequests"),
            ("GET", "/k/apis/daypass.dev/v1alpha1/AccessRequests"),
            ("GET", "/K/apis/daypass.dev/v1alpha1/accessrequests"),
            ("GET", "/k/apis/daypass.dev/v1/accessrequests"),
            ("GET", "/k/apis/archive.daypass.dev/v1/activity"),
            ("GET", "/k/apis/archive.daypass.dev/v1/findings"),
            ("GET", &format!("{requests}/Fix")),
            ("GET", &format!("{requests}/fix/status")),
            ("GET", "/k/apis/daypass.dev/v1alpha1/namespaces/a.b/accessrequests"),
            ("GET", "/k/apis/daypass.dev/v1alpha1/namespaces/-/accessrequests"),
            ("PUT", &format!("{requests}/fix")),
            ("DELETE", &format!("{requests}/fix")),
            ("PATCH", &format!("{requests}/fix")),
            ("PATCH", requests),
            ("POST", "/k/apis/daypass.dev/v1alpha1/accessrequests"),
            ("POST", "/k/apis/daypass.dev/v1alpha1/accesspolicies"),
            ("PATCH", "/k/apis/daypass.dev/v1alpha1/accesspolicies/p"),
            ("POST", "/k/apis/archive.daypass.dev/v1/campaigns"),
            ("GET", "/k/apis/archive.daypass.dev/v1/campaigns/h1/decisions"),
            ("PUT", "/k/apis/archive.daypass.dev/v1/campaigns/h1/close"),
            ("PUT", "/k/apis/archive.daypass.dev/v1/campaigns/h1/look"),
            ("OPTIONS", requests),
            ("HEAD", requests),
        ] {
            assert_eq!(of(method, target), Err(PageRefusal::NotInTable), "{method} {target}");
        }
    }

    #[test]
    fn a_path_that_can_be_read_in_two_ways_is_refused() {
        let group = "/k/apis/daypass.dev/v1alpha1";
        for path in [
            "/k/api/v1/namespaces/../secrets".to_owned(),
            format!("{group}/../../../api/v1/secrets"),
            format!("{group}/namespaces/..%2f..%2fsecrets/accessrequests"),
            format!("{group}/namespaces/shop%2faccessrequests"),
            format!("{group}/namespaces/%2e%2e/accessrequests"),
            format!("{group}/namespaces/./accessrequests"),
            format!("{group}//accessrequests"),
            "/k//api/v1/secrets".to_owned(),
            "//k/api/v1/namespaces".to_owned(),
            format!("{group}/accessrequests;x=1"),
            format!("{group}/accessrequests\\"),
            format!("{group}/accessrequests%00"),
        ] {
            assert_eq!(of("GET", &path), Err(PageRefusal::OddPath), "{path}");
        }
    }

    #[test]
    fn parameters_are_those_of_the_table_and_each_once() {
        let requests = "/k/apis/daypass.dev/v1alpha1/namespaces/shop/accessrequests";
        for (method, query, key) in [
            ("GET", "fieldSelector=metadata.name%3Dx", "fieldSelector"),
            ("GET", "watch=yes", "watch"),
            ("GET", "watch=true&watch=false", "watch"),
            ("GET", "Watch=true", "Watch"),
            ("GET", "timeoutSeconds=999999", "timeoutSeconds"),
            ("GET", "dryRun=All", "dryRun"),
            ("POST", "dryRun=", "dryRun"),
            ("POST", "dryRun=All&dryRun=All", "dryRun"),
            ("POST", "fieldManager=x", "fieldManager"),
            ("GET", "limit=1&%6cimit=2", "limit"),
        ] {
            let refusal = PageRefusal::BadParameter(key.to_owned());
            assert_eq!(of(method, &format!("{requests}?{query}")), Err(refusal), "{method} {query}");
        }
    }

    #[test]
    fn a_name_is_one_that_an_object_can_have() {
        for (name, label, whole) in [
            ("shop", true, true),
            ("a-1", true, true),
            ("a.b", false, true),
            ("", false, false),
            ("-a", false, false),
            ("a-", false, false),
            ("A", false, false),
            ("a..b", false, false),
            ("a_b", false, false),
            ("\u{e4}", false, false),
            (&"a".repeat(64), false, false),
        ] {
            assert_eq!((is_label(name), is_name(name)), (label, whole), "{name}");
        }
    }
}
