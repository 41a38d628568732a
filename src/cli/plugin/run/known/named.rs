//! What the command line of kubectl names: kinds, objects and files, as they are typed.
//!
//! It must not know what there is, neither in the cluster nor in the files.

use std::path::PathBuf;

use super::line::{KnownTool, ToolLine};

/// Commands whose words are kinds and names, or files with objects.
const OF_OBJECTS: [&str; 13] = [
    "get", "describe", "delete", "edit", "label", "annotate", "patch", "scale", "apply", "create", "replace", "diff",
    "rollout",
];
/// Of these only files, or a word that says what is done.
const OF_FILES: [&str; 4] = ["apply", "create", "replace", "diff"];

/// What a command line names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TypedObjects {
    /// Kinds, in any of their names, and names of objects; none for all of the kind.
    pub objects: Vec<(String, Option<String>)>,
    /// Files and folders.
    pub files: Vec<PathBuf>,
    /// Whether folders within these folders count.
    pub is_recursive: bool,
}

impl TypedObjects {
    /// Of a command that is for more than one object, as far as that can be told; none of any other.
    pub fn of(line: &ToolLine<'_>) -> Option<Self> {
        let command = *line.words.first().filter(|_| line.tool == KnownTool::Kubectl)?;
        if !OF_OBJECTS.contains(&command) {
            return None;
        }
        let files = line.values("--filename", 'f').into_iter().flat_map(|files| files.split(','));
        // What comes by standard input or from elsewhere is the command's to read.
        let files: Vec<PathBuf> = files.filter(|file| *file != "-" && !file.contains("://")).map(Into::into).collect();
        let words = line.words.get(if command == "rollout" { 2 } else { 1 }..).unwrap_or_default();
        let objects = if OF_FILES.contains(&command) { Vec::new() } else { objects(words) };
        let is_recursive = line.has("R") || line.has("--recursive");
        (objects.len() > 1 || !files.is_empty()).then_some(Self { objects, files, is_recursive })
    }
}

/// `KIND/NAME KIND/NAME`, or `KIND[,KIND] [NAME]...`.
fn objects(words: &[&str]) -> Vec<(String, Option<String>)> {
    let is_name = |word: &&&str| !word.contains(['=', ':']) && !word.ends_with('-');
    let Some(first) = words.first() else { return Vec::new() };
    if first.contains('/') {
        let pairs = words.iter().filter(is_name).filter_map(|word| word.split_once('/'));
        return pairs.map(|(kind, name)| (kind.to_owned(), Some(name.to_owned()))).collect();
    }
    let names: Vec<&&str> = words[1..].iter().filter(is_name).filter(|word| !word.contains('/')).collect();
    let of_kind = |kind: &str| -> Vec<(String, Option<String>)> {
        let named = names.iter().map(|name| (kind.to_owned(), Some((**name).to_owned())));
        if names.is_empty() { vec![(kind.to_owned(), None)] } else { named.collect() }
    };
    first.split(',').filter(|kind| !kind.is_empty()).flat_map(of_kind).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(line: &str) -> String {
        let line: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let Some(typed) = TypedObjects::of(&ToolLine::read(&line).unwrap()) else { return "-".to_owned() };
        let objects = typed.objects.iter().map(|(kind, name)| match name {
            Some(name) => format!("{kind}/{name}"),
            None => kind.clone(),
        });
        objects.chain(typed.files.iter().map(|file| file.display().to_string())).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_line_names_kinds_objects_and_files() {
        for (line, expected) in [
            ("kubectl get pods,svc", "pods svc"),
            ("kubectl get pods", "-"),
            ("kubectl get pod a", "-"),
            ("kubectl get pod a b", "pod/a pod/b"),
            ("kubectl get deploy,sts web -n shop", "deploy/web sts/web"),
            ("kubectl delete deploy/web svc/web", "deploy/web svc/web"),
            ("kubectl label cm a b x=y example.com/z=1 w-", "cm/a cm/b"),
            ("kubectl label cm/a cm/b x=y example.com/z-", "cm/a cm/b"),
            ("kubectl rollout restart deploy/a deploy/b", "deploy/a deploy/b"),
            ("kubectl apply -f a.yaml --filename=b.yaml,c.json -fd", "a.yaml b.yaml c.json d"),
            ("kubectl apply -f - -f https://example.com/x.yaml", "-"),
            ("kubectl create configmap a b", "-"),
            ("kubectl logs -f a b", "-"),
            ("kubectl exec a b", "-"),
            ("helm upgrade a b -f x.yaml", "-"),
        ] {
            assert_eq!(named(line), expected, "{line}");
        }
    }
}
