//! Manifests from files: reads YAML documents, and holds those of Daypass against their schema as the API server
//! would.

mod schema;

use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;

pub use self::schema::faults;
use super::error::{InvalidInput, PluginError};
use crate::api::{AccessPolicy, AccessRequest};

/// A document, and where it is from.
pub struct Document {
    /// File, and which of its documents.
    pub from: String,
    /// The document.
    pub value: Value,
}

impl Document {
    /// Whether it is of a kind of Daypass's.
    pub fn is(&self, kind: &str) -> bool {
        let ours = self.value["apiVersion"].as_str() == Some("daypass.dev/v1alpha1");
        ours && self.value["kind"].as_str() == Some(kind)
    }

    /// The policy in it.
    ///
    /// # Errors
    /// Every fault, with file and field.
    pub fn policy(&self) -> Result<AccessPolicy, InvalidInput> {
        read(&self.from, "AccessPolicy", &self.value)
    }

    /// The request in it.
    ///
    /// # Errors
    /// Every fault, with file and field.
    pub fn request(&self) -> Result<AccessRequest, InvalidInput> {
        read(&self.from, "AccessRequest", &self.value)
    }
}

/// An object of one of the two kinds, held against its schema. `from` is named in what is wrong.
///
/// # Errors
/// Every fault, one a line.
pub fn read<T: serde::de::DeserializeOwned>(from: &str, kind: &str, value: &Value) -> Result<T, InvalidInput> {
    let faults = faults(kind, value);
    if !faults.is_empty() {
        let lines: Vec<String> = faults.iter().map(|fault| format!("{from}: {fault}")).collect();
        return Err(InvalidInput(lines));
    }
    serde_json::from_value(value.clone()).map_err(|error| InvalidInput::one(from, error))
}

/// The requests of a file, or of standard input when it is `-`, each with its namespace: that of the manifest or that which
/// is `given`, which must not contradict each other, or else `usual`.
///
/// # Errors
/// When there is none, or one cannot be used.
pub fn requests_in(file: &Path, given: Option<&str>, usual: &str) -> Result<Vec<AccessRequest>, PluginError> {
    let documents = from_file_or_input(file)?;
    let mut requests = Vec::new();
    for document in documents.iter().filter(|document| document.is("AccessRequest")) {
        let mut request = document.request()?;
        let named = request.metadata.namespace.take();
        if let (Some(named), Some(given)) = (&named, given)
            && named != given
        {
            let (from, named, given) = (document.from.clone(), named.clone(), given.to_owned());
            return Err(PluginError::OtherNamespace { from, named, given });
        }
        request.metadata.namespace = Some(named.unwrap_or_else(|| given.unwrap_or(usual).to_owned()));
        requests.push(request);
    }
    if requests.is_empty() { Err(PluginError::NothingFound("AccessRequest in this file")) } else { Ok(requests) }
}

/// Every document of these files and of the YAML and JSON files in these folders, in the order of their names.
///
/// # Errors
/// When one cannot be read.
pub fn documents(paths: &[PathBuf]) -> Result<Vec<Document>, InvalidInput> {
    let mut documents = Vec::new();
    for path in paths {
        for file in files(path)? {
            let name = file.display().to_string();
            let text = std::fs::read_to_string(&file).map_err(|error| InvalidInput::one(&name, error))?;
            documents.extend(documents_in(&name, &text)?);
        }
    }
    Ok(documents)
}

/// The documents of one file, or of standard input for `-`.
///
/// # Errors
/// When it cannot be read.
pub fn from_file_or_input(path: &Path) -> Result<Vec<Document>, InvalidInput> {
    if path != Path::new("-") {
        return documents(&[path.to_owned()]);
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).map_err(|error| InvalidInput::one("standard input", error))?;
    documents_in("standard input", &text)
}

fn files(path: &Path) -> Result<Vec<PathBuf>, InvalidInput> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let failed = |error: std::io::Error| InvalidInput::one(&path.display().to_string(), error);
    let entries = std::fs::read_dir(path).map_err(failed)?;
    let mut inside = entries.map(|entry| entry.map(|e| e.path())).collect::<Result<Vec<_>, _>>().map_err(failed)?;
    inside.sort();
    let mut found = Vec::new();
    for entry in inside {
        let manifest = entry.extension().is_some_and(|end| end == "yaml" || end == "yml" || end == "json");
        if entry.is_dir() || manifest {
            found.extend(files(&entry)?);
        }
    }
    Ok(found)
}

/// The documents of a text; the items of a List are documents too. `name` is that of the text.
///
/// # Errors
/// When it is no YAML.
pub fn documents_in(name: &str, text: &str) -> Result<Vec<Document>, InvalidInput> {
    let values: Vec<Value> = serde_saphyr::from_multiple(text).map_err(|error| InvalidInput::one(name, error))?;
    let mut documents = Vec::new();
    for (index, value) in values.into_iter().enumerate().filter(|(_, value)| !value.is_null()) {
        let from = if index == 0 { name.to_owned() } else { format!("{name} (document {})", index + 1) };
        match value["items"].as_array().filter(|_| value["kind"] == "List") {
            Some(items) => {
                documents.extend(items.iter().map(|item| Document { from: from.clone(), value: item.clone() }));
            }
            None => documents.push(Document { from, value }),
        }
    }
    Ok(documents)
}
