//! What auditors search by, and the statement that finds it.
//!
//! Owns the meaning of a search, the same in both stores. What is found comes newest first, and a page goes on from a
//! place that later records do not move: the time of the last one found, and its number in the archive.

use std::collections::BTreeSet;
use std::fmt::{self, Write};
use std::str::FromStr;

use super::super::intake::{FoundBy, words};
use crate::api::record::Record;

/// What to look for. All that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Search {
    /// UID of the cluster.
    pub cluster: Option<String>,
    /// UID of the request.
    pub request: Option<String>,
    /// Username of who gets access, or of who did something.
    pub person: Option<String>,
    /// Name of the role, or its kind, a slash and its name.
    pub role: Option<String>,
    /// Namespace of the request, or one that access is for.
    pub namespace: Option<String>,
    /// Name of the policy.
    pub policy: Option<String>,
    /// What happened, in the word of the record.
    pub kind: Option<String>,
    /// What it meant for access, in the word of the record.
    pub outcome: Option<String>,
    /// Not earlier, in microseconds since 1970.
    pub since: Option<i64>,
    /// Earlier, in microseconds since 1970.
    pub until: Option<i64>,
    /// Whole words in what people wrote, in messages and in the name of the request: all of them, in any order. Capitals
    /// make no difference.
    pub text: Option<String>,
    /// Behind this place.
    pub after: Option<PagePlace>,
    /// At most so many.
    pub limit: usize,
    /// What whoever reads says that it is for. It finds nothing more and nothing less.
    pub purpose: Option<String>,
}

/// Where a page ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PagePlace {
    pub at: i64,
    pub n: i64,
}

impl fmt::Display for PagePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.at, self.n)
    }
}

impl FromStr for PagePlace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('.').and_then(|(at, n)| Some(Self { at: at.parse().ok()?, n: n.parse().ok()? }));
        numbers.ok_or_else(|| format!("{text:?} is no place in a list; take it from `continue` of the page before"))
    }
}

/// A record that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundRecord {
    pub place: PagePlace,
    /// Its bytes, as they came.
    pub bytes: String,
}

/// A page of them, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoundPage {
    pub records: Vec<FoundRecord>,
    /// Where the next page begins, if there may be one.
    pub next: Option<PagePlace>,
    /// How many records the store held before it was read.
    pub held: u64,
}

/// A value of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BoundValue {
    Text(String),
    Number(i64),
}

/// How the words of a record are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WordIndex {
    /// The full-text table of SQLite.
    Fts5,
    /// The array of PostgreSQL.
    Array,
}

/// A statement with its values, numbered from `$1` in the order that they stand in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    pub sql: String,
    pub values: Vec<BoundValue>,
}

/// A statement of these words and values.
pub fn statement(sql: &str, values: impl IntoIterator<Item = BoundValue>) -> Statement {
    Statement { sql: sql.to_owned(), values: values.into_iter().collect() }
}

impl Statement {
    fn bind(&mut self, value: BoundValue) -> String {
        self.values.push(value);
        format!("${}", self.values.len())
    }

    fn and(&mut self, column: &str, is: &str, value: BoundValue) {
        let value = self.bind(value);
        self.and_that(format_args!("{column} {is} {value}"));
    }

    fn and_that(&mut self, condition: fmt::Arguments<'_>) {
        // A String takes all that is written.
        let _ = write!(self.sql, " AND {condition}");
    }
}

/// How many records a store holds: none is ever removed, and they are numbered one behind the other.
pub const HELD: &str = "SELECT COALESCE(MAX(n), 0) FROM record";

impl Search {
    /// The statement. Its columns are time, number and bytes.
    pub fn statement(&self, index: WordIndex) -> Statement {
        // The list that is walked through: the shortest that has the order of the answer.
        let (from, at) = match (&self.person, &self.namespace) {
            (Some(_), _) => ("person d JOIN record r ON r.n = d.n", "d"),
            (None, Some(_)) => ("place d JOIN record r ON r.n = d.n", "d"),
            (None, None) => ("record r", "r"),
        };
        let mut statement =
            Statement { sql: format!("SELECT {at}.at, {at}.n, r.body FROM {from} WHERE TRUE"), values: Vec::new() };
        let text = |value: &String| BoundValue::Text(value.clone());
        if let Some(person) = &self.person {
            statement.and("d.username", "=", text(person));
        }
        if let Some(namespace) = &self.namespace {
            if self.person.is_some() {
                let name = statement.bind(text(namespace));
                let here = "SELECT 1 FROM place p WHERE p.n = d.n AND p.at = d.at AND p.namespace";
                statement.and_that(format_args!("EXISTS ({here} = {name})"));
            } else {
                statement.and("d.namespace", "=", text(namespace));
            }
        }
        self.narrow(&mut statement, index);
        for (time, is) in [(self.since, ">="), (self.until, "<")] {
            if let Some(time) = time {
                statement.and(&format!("{at}.at"), is, BoundValue::Number(time));
            }
        }
        if let Some(after) = self.after {
            let time = statement.bind(BoundValue::Number(after.at));
            let n = statement.bind(BoundValue::Number(after.n));
            statement.and_that(format_args!("({at}.at, {at}.n) < ({time}, {n})"));
        }
        let limit = statement.bind(BoundValue::Number(i64::try_from(self.limit).unwrap_or(i64::MAX)));
        let _ = write!(statement.sql, " ORDER BY {at}.at DESC, {at}.n DESC LIMIT {limit}");
        statement
    }

    /// What is said of the record itself.
    fn narrow(&self, statement: &mut Statement, index: WordIndex) {
        let text = |value: &String| BoundValue::Text(value.clone());
        if let Some(cluster) = &self.cluster {
            let uid = statement.bind(text(cluster));
            statement.and_that(format_args!("r.cluster = (SELECT c.n FROM cluster c WHERE c.uid = {uid})"));
        }
        if let Some(request) = &self.request {
            let uid = statement.bind(text(request));
            statement.and_that(format_args!("r.request IN (SELECT q.n FROM request q WHERE q.uid = {uid})"));
        }
        match &self.role {
            Some(role) if role.contains('/') => statement.and("r.role", "=", text(role)),
            Some(role) => {
                let kinds = ["ClusterRole", "Role"].map(|kind| BoundValue::Text(format!("{kind}/{role}")));
                let [of_cluster, of_namespace] = kinds.map(|kind| statement.bind(kind));
                statement.and_that(format_args!("r.role IN ({of_cluster}, {of_namespace})"));
            }
            None => {}
        }
        for (column, value) in [("r.policy", &self.policy), ("r.kind", &self.kind), ("r.outcome", &self.outcome)] {
            if let Some(value) = value {
                statement.and(column, "=", text(value));
            }
        }
        let wanted = self.text.as_deref().map(words).filter(|wanted| !wanted.is_empty());
        match (wanted, index) {
            (Some(wanted), WordIndex::Fts5) => {
                let wanted: Vec<String> = wanted.split(' ').map(|word| format!("\"{word}\"")).collect();
                let wanted = statement.bind(BoundValue::Text(wanted.join(" ")));
                statement.and_that(format_args!("r.n IN (SELECT rowid FROM word WHERE word MATCH {wanted})"));
            }
            (Some(wanted), WordIndex::Array) => {
                let wanted = statement.bind(BoundValue::Text(wanted));
                statement.and_that(format_args!("r.words @> string_to_array({wanted}, ' ')"));
            }
            (None, _) => {}
        }
    }

    /// Whether it finds a record, wherever that stands: `after` and `limit` are not asked.
    pub fn holds(&self, record: &Record) -> bool {
        let found = FoundBy::of(record);
        let is = |wanted: &Option<String>, value: &str| wanted.as_deref().is_none_or(|wanted| wanted == value);
        let among = |wanted: &Option<String>, values: &BTreeSet<String>| {
            wanted.as_ref().is_none_or(|wanted| values.contains(wanted))
        };
        let role = self
            .role
            .as_deref()
            .is_none_or(|role| found.role == role || found.role.split_once('/').is_some_and(|(_, name)| name == role));
        let wanted = self.text.as_deref().map(words).unwrap_or_default();
        let said: BTreeSet<&str> = found.words.split(' ').collect();
        role && is(&self.cluster, &record.cluster)
            && is(&self.request, &record.request.uid)
            && is(&self.kind, &found.kind)
            && is(&self.outcome, &found.outcome)
            && is(&self.policy, found.policy.as_deref().unwrap_or_default())
            && among(&self.person, &found.people)
            && among(&self.namespace, &found.places)
            && self.since.is_none_or(|since| since <= found.at)
            && self.until.is_none_or(|until| found.at < until)
            && wanted.split(' ').all(|word| word.is_empty() || said.contains(word))
    }

    /// The page that these records make, of a store that held so many.
    pub fn page(&self, records: Vec<FoundRecord>, held: i64) -> FoundPage {
        let full = !records.is_empty() && records.len() >= self.limit;
        let next = records.last().filter(|_| full).map(|record| record.place);
        FoundPage { records, next, held: u64::try_from(held).unwrap_or_default() }
    }
}
