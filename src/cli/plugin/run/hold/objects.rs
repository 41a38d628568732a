//! The objects and kinds that a command names, found in its files and by what the API server serves.
//!
//! Reads what the command itself is about to read, as the same user, and only where a line names more than one thing, or a chart. What
//! cannot be read is left out: then it is asked for when it is refused.

use std::path::{Path, PathBuf};

use futures::StreamExt;
use kube::Api;
use kube::api::{ApiResource, DynamicObject};
use kube::core::discovery::v2::{APIGroupDiscoveryList, APIResourceDiscovery};
use serde_json::Value;

use super::rendered::rendered;
use crate::cli::plugin::cluster::Cluster;
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::manifests::documents;
use crate::cli::plugin::run::known::CommandObject;
use crate::cli::plugin::run::known::line::{KnownTool, ToolLine};
use crate::cli::plugin::run::known::named::TypedObjects;

/// More of a command is asked for as it is refused.
const MOST_OBJECTS: usize = 100;
/// Larger files are not read, in bytes.
const MOST_BYTES: u64 = 4 << 20;
/// How many objects are looked for at the same time.
const AT_ONCE: usize = 8;

/// A kind that the API server serves.
#[derive(Clone, Debug)]
struct ServedKind {
    api: ApiResource,
    /// Its other names, in lower case.
    names: Vec<String>,
    is_namespaced: bool,
}

/// What a command names.
#[derive(Clone, Debug)]
pub struct ObjectsOfLine(Vec<(ApiResource, CommandObject)>);

impl ObjectsOfLine {
    /// Finds what a line names; nothing for most lines.
    ///
    /// # Errors
    /// When the API server does not say what it serves.
    pub async fn find(cluster: &Cluster, line: &[String]) -> Result<Self, PluginError> {
        let typed = ToolLine::read(line).and_then(|line| TypedObjects::of(&line)).unwrap_or_default();
        let of_chart = rendered(line, &cluster.namespace).await;
        let values = [values(&typed.files, typed.is_recursive), of_chart].concat();
        // Of one object kubectl calls the very one that is refused.
        let is_of_one = ToolLine::read(line).is_none_or(|line| line.tool == KnownTool::Kubectl);
        if typed.objects.len() + values.len() < if is_of_one { 2 } else { 1 } {
            return Ok(Self(Vec::new()));
        }
        let served = served(cluster).await?;
        let typed = typed.objects.iter().filter_map(|(kind, name)| {
            let kind = served.iter().find(|served| served.is_called(kind))?;
            Some(kind.object(name.clone(), None))
        });
        let in_files = values.iter().filter_map(|value| in_file(value, &served));
        Ok(Self(typed.chain(in_files).take(MOST_OBJECTS).collect()))
    }

    /// All of them.
    pub fn all(&self) -> Vec<CommandObject> {
        self.0.iter().map(|(_, object)| object.clone()).collect()
    }

    /// Those of the objects that are known not to be there, in this namespace where they do not say theirs.
    pub async fn missing(&self, cluster: &Cluster, usual: &str) -> Vec<CommandObject> {
        let looked = futures::stream::iter(self.0.clone()).map(|(api, object)| async move {
            let name = object.name.as_deref()?;
            let objects: Api<DynamicObject> = match object.is_namespaced {
                true => {
                    let namespace = object.namespace.as_deref().unwrap_or(usual);
                    Api::namespaced_with(cluster.client.clone(), namespace, &api)
                }
                false => Api::all_with(cluster.client.clone(), &api),
            };
            matches!(objects.get_metadata_opt(name).await, Ok(None)).then_some(object)
        });
        looked.buffered(AT_ONCE).filter_map(std::future::ready).collect().await
    }
}

impl ServedKind {
    /// Whether it is what somebody types so: `deploy`, `deployments.apps` or `Deployment`.
    fn is_called(&self, typed: &str) -> bool {
        let typed = typed.to_lowercase();
        let (name, group) = typed.split_once('.').unwrap_or((&typed, ""));
        let is_group =
            group.is_empty() || group == self.api.group || group == format!("{}.{}", self.api.version, self.api.group);
        is_group && (self.api.plural == name || self.names.iter().any(|own| own == name))
    }

    fn object(&self, name: Option<String>, namespace: Option<String>) -> (ApiResource, CommandObject) {
        let object = CommandObject {
            group: self.api.group.clone(),
            resource: self.api.plural.clone(),
            name,
            namespace,
            is_namespaced: self.is_namespaced,
        };
        (self.api.clone(), object)
    }
}

fn in_file(value: &Value, served: &[ServedKind]) -> Option<(ApiResource, CommandObject)> {
    let (version, kind) = (value["apiVersion"].as_str()?, value["kind"].as_str()?);
    let group = version.split_once('/').map_or("", |(group, _)| group);
    let kind = served.iter().find(|served| served.api.group == group && served.api.kind == kind)?;
    let text = |field: &str| value["metadata"][field].as_str().map(str::to_owned);
    // With a name that the API server makes up it is made, and nothing else.
    Some(kind.object(text("name"), text("namespace")))
}

/// The documents of files and of what is in folders, as far as they can be read.
fn values(paths: &[PathBuf], is_recursive: bool) -> Vec<Value> {
    let files = paths.iter().flat_map(|path| match path.is_dir() {
        true => files_in(path, is_recursive),
        false => vec![path.clone()],
    });
    // A pipe can be read once, and that is for the command.
    let is_readable = |file: &PathBuf| file.metadata().is_ok_and(|file| file.is_file() && file.len() <= MOST_BYTES);
    let read = files.filter(is_readable).filter_map(|file| documents(&[file]).ok()).flatten();
    read.map(|document| document.value).take(MOST_OBJECTS).collect()
}

fn files_in(folder: &Path, is_recursive: bool) -> Vec<PathBuf> {
    let Ok(entries) = folder.read_dir() else { return Vec::new() };
    let mut inside: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    inside.sort();
    let is_manifest = |path: &Path| path.extension().is_some_and(|end| end == "yaml" || end == "yml" || end == "json");
    let of = |path: PathBuf| match path.is_dir() {
        true if is_recursive && !path.is_symlink() => files_in(&path, true),
        false if is_manifest(&path) => vec![path],
        _ => Vec::new(),
    };
    inside.into_iter().flat_map(of).collect()
}

async fn served(cluster: &Cluster) -> Result<Vec<ServedKind>, PluginError> {
    let what = || "list what the API server serves";
    let (core, groups) = tokio::try_join!(
        cluster.call(what(), cluster.client.list_core_api_versions_aggregated()),
        cluster.call(what(), cluster.client.list_api_groups_aggregated())
    )?;
    Ok([core, groups].into_iter().flat_map(of_list).collect())
}

/// Each kind once, in the version that comes first, as kubectl takes it.
fn of_list(list: APIGroupDiscoveryList) -> Vec<ServedKind> {
    let mut served: Vec<ServedKind> = Vec::new();
    for group in list.items {
        let name = group.metadata.and_then(|metadata| metadata.name).unwrap_or_default();
        for version in group.versions {
            let version_name = version.version.unwrap_or_default();
            let kinds =
                version.resources.into_iter().filter_map(|resource| of_resource(&name, &version_name, resource));
            for kind in kinds {
                let same = |one: &ServedKind| one.api.group == kind.api.group && one.api.plural == kind.api.plural;
                if !served.iter().any(same) {
                    served.push(kind);
                }
            }
        }
    }
    served
}

fn of_resource(group: &str, version: &str, resource: APIResourceDiscovery) -> Option<ServedKind> {
    let (plural, kind) = (resource.resource?, resource.response_kind.and_then(|kind| kind.kind)?);
    let api_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    let singular = resource.singular_resource.filter(|name| !name.is_empty()).unwrap_or_else(|| kind.to_lowercase());
    let names = std::iter::once(singular).chain(resource.short_names).collect();
    let is_namespaced = resource.scope.as_deref() == Some("Namespaced");
    let (group, version) = (group.to_owned(), version.to_owned());
    Some(ServedKind { api: ApiResource { group, version, api_version, kind, plural }, names, is_namespaced })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn kinds() -> Vec<ServedKind> {
        let resource = |plural: &str, kind: &str, short: &str, scope: &str| {
            json!({
                "resource": plural, "responseKind": { "kind": kind }, "scope": scope,
                "singularResource": kind.to_lowercase(), "shortNames": [short]
            })
        };
        let list = json!({ "items": [
            { "metadata": {}, "versions": [{ "version": "v1", "resources": [
                resource("namespaces", "Namespace", "ns", "Cluster"), resource("events", "Event", "ev", "Namespaced")
            ] }] },
            { "metadata": { "name": "apps" }, "versions": [
                { "version": "v1", "resources": [resource("deployments", "Deployment", "deploy", "Namespaced")] },
                { "version": "v1beta1", "resources": [resource("deployments", "Deployment", "deploy", "Namespaced")] }
            ] },
            { "metadata": { "name": "events.k8s.io" }, "versions": [
                { "version": "v1", "resources": [resource("events", "Event", "ev", "Namespaced")] }
            ] }
        ] });
        of_list(serde_json::from_value(list).unwrap())
    }

    #[test]
    fn a_kind_has_the_names_that_kubectl_takes() {
        let kinds = kinds();
        let found = |typed: &str| {
            let found = kinds.iter().find(|served| served.is_called(typed))?;
            Some(format!("{} {}", found.api.api_version, found.api.plural))
        };
        for (typed, expected) in [
            ("deploy", Some("apps/v1 deployments")),
            ("Deployment", Some("apps/v1 deployments")),
            ("deployments.apps", Some("apps/v1 deployments")),
            ("deployments.v1.apps", Some("apps/v1 deployments")),
            ("deployments.batch", None),
            ("ev", Some("v1 events")),
            ("events.events.k8s.io", Some("events.k8s.io/v1 events")),
            ("gadgets", None),
        ] {
            assert_eq!(found(typed).as_deref(), expected, "{typed}");
        }
    }

    #[test]
    fn files_and_folders_are_read_as_kubectl_reads_them() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        std::fs::create_dir(folder.path().join("inner")).unwrap();
        let object =
            |name: &str| format!("{{apiVersion: v1, kind: Event, metadata: {{name: {name}, namespace: x}}}}\n");
        write("a.yaml", &format!("{}---\n{}", object("one"), object("two")));
        write(
            "b.json",
            r#"{"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "v1", "kind": "Namespace"}]}"#,
        );
        write("c.yaml", "{apiVersion: apps/v1, kind: Gadget, metadata: {name: unknown}}");
        write("c.yml", "{apiVersion: events.k8s.io/v1, kind: Namespace, metadata: {name: of-another-group}}");
        write("d.yaml", "{");
        write("e.txt", &object("text"));
        let pipe = std::process::Command::new("mkfifo").arg(folder.path().join("e.yaml")).status();
        assert!(pipe.is_ok_and(|made| made.success()));
        write("inner/f.yml", &object("inner"));
        let kinds = kinds();
        let found = |is_recursive| {
            let values = values(&[folder.path().to_owned()], is_recursive);
            let objects = values.iter().filter_map(|value| in_file(value, &kinds)).map(|(_, object)| object);
            objects.map(|object| object.name.unwrap_or(object.resource)).collect::<Vec<_>>()
        };
        assert_eq!(found(false), ["one", "two", "namespaces"]);
        assert_eq!(found(true), ["one", "two", "namespaces", "inner"]);
        assert!(values(&[folder.path().join("none.yaml")], false).is_empty());
    }
}
