//! What a reader asks for, from the parameters of a call.
//!
//! Owns their names, for who writes a call and for who reads it. One that it does not know is refused: a filter with a slip
//! in its name would show everything.

use k8s_openapi::jiff::Timestamp;

use super::super::store::search::Search;
use super::answer::FailedCall;

/// Most records on a page.
const MOST: usize = 1000;
/// How many there are where nobody says.
const PLAIN: usize = 500;
/// What Kubernetes clients send with any list, and makes no difference here.
pub(super) const OF_KUBERNETES: [&str; 4] = ["pretty", "resourceVersion", "resourceVersionMatch", "timeout"];
/// Parameters that are texts, in the order of [`texts`].
pub(super) const NAMES: [&str; 10] =
    ["cluster", "request", "person", "role", "namespace", "policy", "kind", "outcome", "text", "purpose"];

/// Parameters of a call about activity.
pub(super) const OF_ACTIVITY: [&str; 3] = ["cluster", "request", "format"];

/// A form to export in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportFormat {
    /// Each record as it came, on a line.
    JsonLines,
    /// A line with the columns of [`super::export`] for each.
    Csv,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedList {
    pub search: Search,
    /// Left out: a page, as a list of Kubernetes.
    pub format: Option<ExportFormat>,
}

/// Which request is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedActivity {
    /// UID of the request.
    pub request: String,
    /// UID of the cluster; left out, that of the archive.
    pub cluster: Option<String>,
    /// Whether the events themselves are asked for.
    pub lines: bool,
}

impl AskedActivity {
    /// From the query of a call.
    ///
    /// # Errors
    /// On a parameter that is none, or when no request is named.
    pub fn read(query: &str) -> Result<Self, FailedCall> {
        let (mut request, mut cluster, mut lines) = (None, None, false);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match name.as_ref() {
                "request" => request = Some(value.into_owned()),
                "cluster" => cluster = Some(value.into_owned()),
                "format" if value == "jsonl" => lines = true,
                "format" => return Err(FailedCall::bad(format!("format: {value:?} is not jsonl; leave it out"))),
                name if OF_KUBERNETES.contains(&name) => {}
                name => {
                    let known = OF_ACTIVITY.join(", ");
                    return Err(FailedCall::bad(format!("{name}: it is no parameter; there are {known}")));
                }
            }
        }
        let missing = || FailedCall::bad("request: it is missing; ask with request=UID".to_owned());
        Ok(Self { request: request.ok_or_else(missing)?, cluster, lines })
    }
}

/// The cluster that is asked about, of a call that asks for nothing else; none where it does not say.
///
/// # Errors
/// On a parameter that is none.
pub fn cluster_alone(query: &str) -> Result<Option<String>, FailedCall> {
    let mut cluster = None;
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match name.as_ref() {
            "cluster" => cluster = Some(value.into_owned()),
            name if OF_KUBERNETES.contains(&name) => {}
            name => return Err(FailedCall::bad(format!("{name}: it is no parameter; there is cluster"))),
        }
    }
    Ok(cluster)
}

impl AskedList {
    /// From the query of a call.
    ///
    /// # Errors
    /// On a parameter that is none, or has a value that is none.
    pub fn read(query: &str) -> Result<Self, FailedCall> {
        let mut listing = Self { search: Search { limit: PLAIN, ..Search::default() }, format: None };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let wrong = |why: String| FailedCall::bad(format!("{name}: {why}"));
            let search = &mut listing.search;
            match name.as_ref() {
                "since" => search.since = Some(instant(&value).map_err(wrong)?),
                "until" => search.until = Some(instant(&value).map_err(wrong)?),
                "continue" if value.is_empty() => {}
                "continue" => search.after = Some(value.parse().map_err(wrong)?),
                "limit" => search.limit = limit(&value).map_err(wrong)?,
                "format" => listing.format = Some(format(&value).map_err(wrong)?),
                name if OF_KUBERNETES.contains(&name) => {}
                name => match NAMES.iter().zip(texts(search)).find(|(known, _)| **known == name) {
                    Some((_, text)) => *text = Some(value.into_owned()),
                    None => return Err(wrong(format!("it is no parameter; there are {}", NAMES.join(", ")))),
                },
            }
        }
        Ok(listing)
    }
}

/// The query that asks for a page of this, as [`AskedList::read`] reads it.
pub fn written(search: &Search) -> String {
    let mut search = search.clone();
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, time) in [("since", search.since), ("until", search.until)] {
        // A time that no clock has is no bound.
        if let Some(time) = time.and_then(|time| Timestamp::from_microsecond(time).ok()) {
            query.append_pair(name, &time.to_string());
        }
    }
    if let Some(after) = search.after {
        query.append_pair("continue", &after.to_string());
    }
    // A question without its place in a list has none.
    if search.limit > 0 {
        query.append_pair("limit", &search.limit.to_string());
    }
    for (name, text) in NAMES.iter().zip(texts(&mut search)) {
        if let Some(text) = text {
            query.append_pair(name, text);
        }
    }
    query.finish()
}

fn texts(search: &mut Search) -> [&mut Option<String>; 10] {
    [
        &mut search.cluster,
        &mut search.request,
        &mut search.person,
        &mut search.role,
        &mut search.namespace,
        &mut search.policy,
        &mut search.kind,
        &mut search.outcome,
        &mut search.text,
        &mut search.purpose,
    ]
}

fn instant(text: &str) -> Result<i64, String> {
    let instant = text.parse::<Timestamp>();
    instant.map(Timestamp::as_microsecond).map_err(|_| format!("{text:?} is no time; write it as 2026-11-29T16:00:00Z"))
}

fn limit(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Ok(PLAIN),
        Ok(limit) if limit <= MOST => Ok(limit),
        _ => Err(format!("{text:?} is not a number up to {MOST}; use continue for more")),
    }
}

fn format(text: &str) -> Result<ExportFormat, String> {
    match text {
        "jsonl" => Ok(ExportFormat::JsonLines),
        "csv" => Ok(ExportFormat::Csv),
        _ => Err(format!("{text:?} is neither jsonl nor csv")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_as_it_was_meant() {
        let mut search = Search { limit: 7, since: Some(1_000_001), until: Some(-5), ..Search::default() };
        search.after = Some("5.6".parse().unwrap());
        for (n, text) in texts(&mut search).into_iter().enumerate() {
            *text = Some(format!("a b&c=%2f+\u{e9} {n}"));
        }
        for search in [search, Search { limit: PLAIN, ..Search::default() }] {
            assert_eq!(AskedList::read(&written(&search)), Ok(AskedList { search, format: None }));
        }
    }
}
