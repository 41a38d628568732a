//! The table of the fields of a policy in `examples/fields/README.md`, held against the schema of the CRD and the files
//! that it links.
//!
//! A row stands for its field and for all that is in it, unless other rows go deeper: then each part needs its own.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{FIELDS, TESTS, documents, files, of_kind, stem};
use crate::harness::binaries;

/// Where the table is. Its links begin at this folder.
const README: &str = "examples/fields/README.md";
const HEADING: &str = "## Policy fields\n";

/// Everything that must fit together.
#[derive(Clone)]
struct Book {
    readme: String,
    /// Schema of `AccessPolicy.spec`.
    spec: Value,
    examples: BTreeMap<String, Vec<Value>>,
    tests: BTreeMap<String, Vec<Value>>,
}

struct Row {
    field: String,
    words: String,
    /// The file that it links, from the repository on.
    link: String,
}

pub fn is_complete() {
    let faults = Book::read().faults();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Each of these would go unseen if the check above could not fail.
pub fn tells_gaps() {
    let whole = Book::read();
    let assert_gap = |what: &str, words: &[&str], change: &dyn Fn(&mut Book)| {
        let mut book = whole.clone();
        change(&mut book);
        let faults = book.faults().join("\n");
        assert!(words.iter().all(|words| faults.contains(words)), "{what}: {faults}");
    };
    let new = json!({ "type": "string" });
    let way_out = ["no row for `newest`", "write examples/fields/NAME.yaml", "| `newest` |"];
    assert_gap("a field of spec", &way_out, &|book| book.spec["properties"]["newest"] = new.clone());
    assert_gap("a field of a stage", &["no row for `approval.stages[].newest`"], &|book| {
        book.spec["properties"]["approval"]["properties"]["stages"]["items"]["properties"]["newest"] = new.clone();
    });
    assert_gap("a field of schedule", &["no row for `schedule.newest`"], &|book| {
        book.spec["properties"]["schedule"]["properties"]["newest"] = new.clone();
    });
    assert_gap("a field that is gone", &["`extension.count` is no field"], &|book| {
        book.spec["properties"]["extension"]["properties"].as_object_mut().expect("properties").remove("count");
    });
    assert_gap("a row that is gone", &["no row for `limits.cooldown`"], &|book| {
        let rows = book.readme.lines().filter(|line| !line.starts_with("| `limits.cooldown`"));
        book.readme = rows.collect::<Vec<_>>().join("\n");
    });
    assert_gap("a file that is gone", &["links examples/fields/deadline.yaml, which is not there"], &|book| {
        book.examples.remove("examples/fields/deadline.yaml");
    });
    assert_gap("a file that nobody links", &["examples/fields/odd.yaml is not linked"], &|book| {
        book.examples.insert(format!("{FIELDS}/odd.yaml"), Vec::new());
    });
    assert_gap("an example without its field", &["no policy in it sets `breakGlass.reviewers`"], &|book| {
        let example = book.examples.get_mut("examples/fields/break-glass.yaml").expect("an example");
        example[0]["spec"]["breakGlass"] = Value::Null;
    });
    assert_gap("an example without cases", &["examples/fields/tests/roles.yaml is missing"], &|book| {
        book.tests.remove("examples/fields/tests/roles.yaml");
    });
}

impl Book {
    fn read() -> Self {
        let crd = documents("crds/accesspolicies.yaml").remove(0);
        let spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"].clone();
        assert!(spec["properties"].as_object().is_some_and(|fields| fields.len() > 10), "the schema was not found");
        let readme = std::fs::read_to_string(binaries::repository().join(README)).expect("read the README");
        Self { readme, spec, examples: files(FIELDS), tests: files(TESTS) }
    }

    fn faults(&self) -> Vec<String> {
        let rows = self.rows();
        let fields: Vec<&str> = rows.iter().map(|row| row.field.as_str()).collect();
        let mut faults: Vec<String> = missing("", &self.spec, &fields)
            .into_iter()
            .map(|field| {
                format!(
                    "{README}, table of the policy fields: no row for `{field}`. Way out: write {FIELDS}/NAME.yaml \
                     with a policy that sets it and requests that show it, {TESTS}/NAME.yaml with what comes of them, \
                     and the row\n    | `{field}` | What it means. | [NAME](NAME.yaml) |"
                )
            })
            .collect();
        let known: BTreeSet<String> = all_paths("", &self.spec).into_iter().collect();
        for row in &rows {
            let field = &row.field;
            if !known.contains(field) {
                faults
                    .push(format!("{README}: `{field}` is no field of the schema. Way out: correct or remove the row"));
            }
            if row.words.is_empty() {
                faults.push(format!("{README}: the row of `{field}` does not say what it means"));
            }
            match self.examples.get(&row.link) {
                None => faults.push(format!("{README}: the row of `{field}` links {}, which is not there", row.link)),
                Some(example) if !of_kind(example, "AccessPolicy").any(|policy| sets(&policy["spec"], field)) => {
                    faults.push(format!("{}: no policy in it sets `{field}`, whose row links it", row.link));
                }
                Some(_) => {}
            }
        }
        for path in self.examples.keys() {
            if !rows.iter().any(|row| row.link == *path) {
                faults
                    .push(format!("{path} is not linked in {README}. Way out: add the row of its field, or remove it"));
            }
            let test = format!("{TESTS}/{}.yaml", stem(path));
            if !self.tests.contains_key(&test) {
                faults.push(format!("{test} is missing. Way out: write what comes of {path} into it, as a PolicyTest"));
            }
        }
        let orphans =
            self.tests.keys().filter(|test| !self.examples.contains_key(&format!("{FIELDS}/{}.yaml", stem(test))));
        faults.extend(orphans.map(|test| format!("{test} belongs to no example of that name")));
        faults
    }

    fn rows(&self) -> Vec<Row> {
        let table = self.readme.split(HEADING).nth(1).unwrap_or_default();
        let table = table.split("\n#").next().unwrap_or_default();
        let rows: Vec<Row> = table.lines().filter_map(row).collect();
        assert!(rows.len() > 20, "{README}, below {HEADING:?}: a table of {} rows", rows.len());
        rows
    }
}

/// `| `field` | words | [example](path) |`
fn row(line: &str) -> Option<Row> {
    let cells: Vec<&str> = line.strip_prefix("| `")?.strip_suffix(" |")?.splitn(2, "` | ").collect();
    let [field, rest] = cells.as_slice() else { return None };
    let (words, link) = rest.rsplit_once(" | [")?;
    let link = link.split_once("](")?.1.strip_suffix(')')?;
    Some(Row { field: (*field).to_owned(), words: words.trim().to_owned(), link: format!("{FIELDS}/{link}") })
}

/// The fields in an object of the schema, or in the objects of a list, with their paths.
fn fields_of<'a>(path: &str, schema: &'a Value) -> Vec<(String, &'a Value)> {
    let (path, object) = if schema["items"]["properties"].is_object() {
        (format!("{path}[]"), &schema["items"])
    } else {
        (path.to_owned(), schema)
    };
    let dot = if path.is_empty() { "" } else { "." };
    let fields = object["properties"].as_object().into_iter().flatten();
    fields.map(|(name, schema)| (format!("{path}{dot}{name}"), schema)).collect()
}

fn all_paths(path: &str, schema: &Value) -> Vec<String> {
    let fields = fields_of(path, schema);
    fields.into_iter().flat_map(|(path, schema)| [vec![path.clone()], all_paths(&path, schema)].concat()).collect()
}

/// Fields that no row stands for.
fn missing(path: &str, schema: &Value, rows: &[&str]) -> Vec<String> {
    let below = |path: &str| {
        let inside = |row: &&&str| row.strip_prefix(path).is_some_and(|rest| rest.starts_with(['.', '[']));
        rows.iter().any(|row| inside(&row))
    };
    let part = |(path, schema): (String, &Value)| {
        if below(&path) {
            missing(&path, schema, rows)
        } else if rows.contains(&path.as_str()) {
            Vec::new()
        } else {
            vec![path]
        }
    };
    fields_of(path, schema).into_iter().flat_map(part).collect()
}

/// Whether a spec has a value at a path.
fn sets(spec: &Value, path: &str) -> bool {
    let (step, rest) = path.split_once('.').map_or((path, None), |(step, rest)| (step, Some(rest)));
    let (name, list) = step.strip_suffix("[]").map_or((step, false), |name| (name, true));
    let value = &spec[name];
    match rest {
        None => !value.is_null(),
        Some(rest) if list => value.as_array().into_iter().flatten().any(|item| sets(item, rest)),
        Some(rest) => sets(value, rest),
    }
}
