//! The formats of `-o`, and objects written in those for programs.

use std::str::FromStr;

use serde::Serialize;
use serde_json::{Value, json};

use super::jsonpath::Template;
use super::table::Table;

/// How objects are printed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// A table, or sentences.
    #[default]
    People,
    /// A table with more columns.
    Wide,
    /// Kind and name, a line each.
    Name,
    Json,
    Yaml,
    JsonPath(Template),
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "wide" => Ok(Self::Wide),
            "name" => Ok(Self::Name),
            "json" => Ok(Self::Json),
            "yaml" => Ok(Self::Yaml),
            _ => match text.strip_prefix("jsonpath=") {
                Some(template) => template.parse().map(Self::JsonPath),
                None => Err("give json, yaml, name, wide or jsonpath={TEMPLATE}".to_owned()),
            },
        }
    }
}

/// The flags by which output is chosen.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Output")]
pub struct FormatArgs {
    /// One of json, yaml, name, wide, jsonpath={TEMPLATE}. Left out: for people.
    #[arg(short, long = "output", id = "output", value_name = "FORMAT", value_parser = clap::value_parser!(Format))]
    output: Option<Format>,
    /// No line of heads above a table.
    #[arg(long)]
    no_headers: bool,
}

impl FormatArgs {
    /// The format.
    pub fn format(&self) -> Format {
        self.output.clone().unwrap_or_default()
    }

    /// A table with these heads, unless they are not wanted; `more` are those of `-o wide`.
    pub fn table(&self, heads: &[&str], more: &[&str]) -> Table {
        let more = if self.output == Some(Format::Wide) { more } else { &[] };
        Table::new(&[heads, more].concat()).without_heads(self.no_headers)
    }

    /// Whether it is for people: a table, or sentences.
    pub fn is_for_people(&self) -> bool {
        matches!(self.format(), Format::People | Format::Wide)
    }

    /// Whether the columns of `-o wide` are wanted.
    pub fn is_wide(&self) -> bool {
        self.output == Some(Format::Wide)
    }
}

/// Why objects cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// It cannot be written as YAML, which would be a fault in the types.
    #[error(transparent)]
    Yaml(#[from] serde_saphyr::ser::Error),
    /// It cannot be written as JSON, which would be a fault in the types.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// A path that cannot be followed.
    #[error("-o jsonpath: {0}")]
    JsonPath(String),
}

impl Format {
    /// One object for programs; none when the format is for people.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn object(&self, object: &impl Serialize) -> Result<Option<String>, FormatError> {
        self.document(serde_json::to_value(object)?)
    }

    /// Several objects for programs, as a List the way kubectl writes one; none when the format is for people.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn list(&self, objects: &[impl Serialize]) -> Result<Option<String>, FormatError> {
        let items = objects.iter().map(serde_json::to_value).collect::<Result<Vec<_>, _>>()?;
        if *self == Self::Name {
            return Ok(Some(items.iter().map(name).collect()));
        }
        self.document(json!({ "apiVersion": "v1", "kind": "List", "metadata": {}, "items": items }))
    }

    /// The objects of several clusters in one List: each with the context that it is of, and the contexts that failed beside
    /// them, each with why. Without a context an object is as it is.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn side_by_side<T: Serialize>(
        &self,
        objects: &[(Option<&str>, T)],
        failed: &[(String, String)],
    ) -> Result<Option<String>, FormatError> {
        let item = |(context, object): &(Option<&str>, T)| {
            let mut item = serde_json::to_value(object)?;
            if let (Some(context), Some(fields)) = (context, item.as_object_mut()) {
                fields.insert("context".to_owned(), json!(context));
            }
            Ok(item)
        };
        let items = objects.iter().map(item).collect::<Result<Vec<Value>, FormatError>>()?;
        if failed.is_empty() || *self == Self::Name {
            return self.list(&items);
        }
        let failed: Vec<Value> =
            failed.iter().map(|(context, why)| json!({ "context": context, "error": why })).collect();
        self.document(json!({ "apiVersion": "v1", "kind": "List", "metadata": {}, "items": items, "failed": failed }))
    }

    fn document(&self, value: Value) -> Result<Option<String>, FormatError> {
        Ok(Some(match self {
            Self::People | Self::Wide => return Ok(None),
            Self::Name => name(&value),
            Self::Json => serde_json::to_string_pretty(&value)? + "\n",
            Self::Yaml => serde_saphyr::to_string(&value)?,
            Self::JsonPath(template) => template.filled(&value).map_err(FormatError::JsonPath)?,
        }))
    }
}

/// Kind, group and name, as kubectl takes them; behind them the context of one of several clusters.
fn name(object: &Value) -> String {
    let context = object["context"].as_str().map(|context| format!(" {context}")).unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let kind = text(&object["kind"]).to_lowercase();
    let group = text(&object["apiVersion"]).split_once('/').map(|(group, _)| format!(".{group}")).unwrap_or_default();
    format!("{kind}{group}/{}{context}\n", text(&object["metadata"]["name"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fix() -> Value {
        json!({ "apiVersion": "daypass.dev/v1alpha1", "kind": "AccessRequest", "metadata": { "name": "fix" } })
    }

    fn written(format: &str) -> String {
        format.parse::<Format>().unwrap().list(&[fix(), fix()]).unwrap().unwrap()
    }

    #[test]
    fn lists_are_written_as_kubectl_writes_them() {
        assert_eq!(written("name"), "accessrequest.daypass.dev/fix\naccessrequest.daypass.dev/fix\n");
        assert_eq!(written("jsonpath={.items[*].metadata.name}"), "fix fix");
        assert!(written("json").starts_with("{\n  \"apiVersion\": \"v1\",\n"));
        assert!(written("yaml").contains("kind: AccessRequest\n"));
        assert_eq!(
            "name".parse::<Format>().unwrap().object(&fix()).unwrap().unwrap(),
            "accessrequest.daypass.dev/fix\n"
        );
        assert_eq!(Format::Wide.object(&fix()).unwrap(), None);
    }

    #[test]
    fn objects_of_several_clusters_say_which_they_are_of() {
        let written = |objects: &[(Option<&str>, Value)], failed: &[(String, String)]| -> Value {
            serde_json::from_str(&Format::Json.side_by_side(objects, failed).unwrap().unwrap()).unwrap()
        };
        let alone = written(&[(None, fix())], &[]);
        assert_eq!((&alone["items"][0], alone.get("failed")), (&fix(), None));
        let several = written(&[(Some("eu"), fix())], &[("us".to_owned(), "it is away".to_owned())]);
        assert_eq!(
            (&several["items"][0]["context"], &several["items"][0]["kind"]),
            (&json!("eu"), &json!("AccessRequest"))
        );
        assert_eq!(several["failed"], json!([{ "context": "us", "error": "it is away" }]));
        let names = Format::Name.side_by_side(&[(Some("eu"), fix()), (None, fix())], &[]).unwrap().unwrap();
        assert_eq!(names, "accessrequest.daypass.dev/fix eu\naccessrequest.daypass.dev/fix\n");
    }

    #[test]
    fn a_format_that_there_is_not_is_refused_with_those_that_there_are() {
        assert!("xml".parse::<Format>().is_err_and(|why| why.contains("jsonpath={TEMPLATE}")));
        assert!("jsonpath={.a".parse::<Format>().is_err());
    }
}
