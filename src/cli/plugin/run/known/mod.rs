//! What a known command calls beside the first call of it that was refused, so that it is asked for whole.
//!
//! [`mod@line`] reads the command, [`shell`] the one that a shell is for, [`named`] and [`chart`] what it names, [`table`] has what each
//! calls, and this holds the one against the other. Of a command that is not in the table nothing is known but what was refused. It must not ask anybody, and nothing here
//! gives a right.

pub mod chart;
pub mod line;
pub mod named;
pub mod shell;
mod table;

use self::line::{KnownTool, ToolLine};
use self::table::{BesideObject, COMMANDS, CONNECTED, KnownCommand};
use crate::cli::plugin::refused::{RefusedCall, RefusedTarget};

/// An object or a kind that a command names, as the API server serves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandObject {
    pub group: String,
    /// In plural.
    pub resource: String,
    /// None for all of the kind.
    pub name: Option<String>,
    /// Where its file says that it is.
    pub namespace: Option<String>,
    /// Whether it is in a namespace at all.
    pub is_namespaced: bool,
}

/// What a command is known to be for.
#[derive(Clone, Copy, Debug)]
pub struct CommandScope<'a> {
    /// Its words, the program first.
    pub line: &'a [String],
    /// What it names, as far as that is more than one object.
    pub named: &'a [CommandObject],
    /// Namespace of what does not say its own.
    pub namespace: &'a str,
}

impl CommandScope<'_> {
    /// The calls that the command makes beside a refused one, as far as it is known.
    pub fn beside(&self, refused: &RefusedCall) -> Vec<RefusedCall> {
        let Some(object) = RefusedObject::of(refused) else { return Vec::new() };
        let mut calls = connection(refused);
        if let Some(line) = ToolLine::read(self.line) {
            let others = self.others(refused, &object, line.tool);
            let own = COMMANDS.iter().filter(|command| is_given(command, &line, &object));
            for command in own {
                calls.extend(object.names(&line).into_iter().flat_map(|name| object.called(command, name)));
            }
            for other in &others {
                // What helm does with its releases it does not do with what is in a chart.
                let is_of_it = |command: &&KnownCommand| line.tool == KnownTool::Kubectl || command.is_of_one;
                for command in COMMANDS.iter().filter(is_of_it).filter(|command| is_given(command, &line, other)) {
                    calls.extend(other.names(&line).into_iter().flat_map(|name| other.called(command, name)));
                }
            }
            if line.tool == KnownTool::Kubectl {
                calls.extend(others.iter().map(|other| other.call(&refused.verb)));
            }
        }
        let mut seen = vec![RefusedCall { user: None, ..refused.clone() }];
        calls.retain(|call| {
            let is_new = !seen.contains(call);
            seen.push(call.clone());
            is_new
        });
        calls
    }

    /// What else the command names, where it names what was refused: it does the same with all of it. helm turns to what is in
    /// a chart when it has read its releases.
    fn others<'b>(
        &'b self,
        refused: &'b RefusedCall,
        object: &RefusedObject<'_>,
        tool: KnownTool,
    ) -> Vec<RefusedObject<'b>> {
        let is_part = matches!(&refused.target, RefusedTarget::Resource { subresource: Some(_), .. });
        let is_release = tool == KnownTool::Helm && (object.group, object.resource) == ("", "secrets");
        let is_all = is_release && object.name.is_none();
        let own = self.named.iter().find(|named| !is_part && !is_all && object.is(named));
        if own.is_none() && !is_release {
            return Vec::new();
        }
        // What is listed in the whole cluster is so for every kind.
        let usual = if own.is_none_or(|own| own.is_namespaced) { refused.namespace() } else { Some(self.namespace) };
        let others = self.named.iter().filter(|other| Some(*other) != own);
        let of = |other: &'b CommandObject| RefusedObject {
            group: &other.group,
            resource: &other.resource,
            // What is made has no name yet.
            name: other.name.as_deref().filter(|_| refused.verb != "create"),
            namespace: other.namespace.as_deref().or(usual).filter(|_| other.is_namespaced),
        };
        others.map(of).collect()
    }
}

/// Whether a command gets on without a call that it makes for its messages only.
pub fn does_without(line: &[String], refused: &RefusedCall) -> bool {
    let Some(line) = ToolLine::read(line) else { return false };
    let RefusedTarget::Resource { group, resource, .. } = &refused.target else { return false };
    // Of an object that is not there, kubectl looks whether its namespace is.
    let is_of_namespace = refused.verb == "get" && group.is_empty() && resource == "namespaces";
    let is_asked_for = line.words.iter().any(|word| word.starts_with("ns") || word.starts_with("namespace"));
    line.tool == KnownTool::Kubectl && is_of_namespace && !is_asked_for
}

/// What a connection into a pod takes beside the call that opens it, whichever program opens it.
fn connection(refused: &RefusedCall) -> Vec<RefusedCall> {
    match &refused.target {
        RefusedTarget::Resource { resource, subresource: Some(part), .. }
            if resource == "pods"
                && matches!(part.as_str(), "exec" | "attach" | "portforward")
                && refused.verb == "get" =>
        {
            let call =
                |verb: &&str| RefusedCall { user: None, verb: (*verb).to_owned(), target: refused.target.clone() };
            CONNECTED.iter().map(call).collect()
        }
        _ => Vec::new(),
    }
}

fn is_given(command: &KnownCommand, line: &ToolLine<'_>, object: &RefusedObject<'_>) -> bool {
    command.tool == line.tool
        && line.words.starts_with(command.words)
        && (command.with.is_empty() || command.with.iter().any(|flag| line.has(flag)))
        && !command.without.iter().any(|flag| line.has(flag) || line.lacks(flag))
        && (command.kinds.is_empty() || command.kinds.contains(&(object.group, object.resource)))
        && (object.name.is_some() || !command.is_of_one)
}

/// The object that was refused, whatever was to be done with it.
struct RefusedObject<'a> {
    group: &'a str,
    resource: &'a str,
    name: Option<&'a str>,
    namespace: Option<&'a str>,
}

impl<'a> RefusedObject<'a> {
    fn of(refused: &'a RefusedCall) -> Option<Self> {
        match &refused.target {
            RefusedTarget::Path(_) => None,
            RefusedTarget::Resource { group, resource, name, namespace, .. } => {
                Some(Self { group, resource, name: name.as_deref(), namespace: namespace.as_deref() })
            }
        }
    }

    /// Whether it is the one that a command names.
    fn is(&self, named: &CommandObject) -> bool {
        let is_kind = (self.group, self.resource) == (named.group.as_str(), named.resource.as_str());
        is_kind && (self.name.is_none() || self.name == named.name.as_deref())
    }

    fn call(&self, verb: &str) -> RefusedCall {
        let target = RefusedTarget::Resource {
            group: self.group.to_owned(),
            resource: self.resource.to_owned(),
            subresource: None,
            name: self.name.map(str::to_owned),
            namespace: self.namespace.map(str::to_owned),
        };
        RefusedCall { user: None, verb: verb.to_owned(), target }
    }

    /// Its name, and those of the same kind that stand behind it in the command.
    fn names(&self, line: &ToolLine<'a>) -> Vec<Option<&'a str>> {
        let Some(own) = self.name else { return vec![None] };
        let at = line.words.iter().position(|word| *word == own).filter(|at| *at > 1);
        let behind = at.and_then(|at| line.words.get(at + 1..)).unwrap_or_default();
        let others = behind.iter().filter(|word| !word.contains(['/', '=', ':']) && !word.ends_with('-'));
        std::iter::once(own).chain(others.copied()).map(Some).collect()
    }

    /// What a command calls of the object of this name.
    fn called(&self, command: &KnownCommand, name: Option<&str>) -> Vec<RefusedCall> {
        let mut calls = Vec::new();
        for beside in command.calls {
            let own = (self.group, self.resource);
            let ((group, resource), part, name) = match beside.on {
                BesideObject::Same => (own, None, name),
                BesideObject::Part(part) => (own, Some(part), name),
                BesideObject::Kind(group, resource) => ((group, resource), None, None),
            };
            let (resource, part) = resource.split_once('/').map_or((resource, part), |(r, part)| (r, Some(part)));
            let target = RefusedTarget::Resource {
                group: group.to_owned(),
                resource: resource.to_owned(),
                subresource: part.map(str::to_owned),
                name: name.map(str::to_owned),
                namespace: self.namespace.map(str::to_owned),
            };
            let call = |verb: &&str| RefusedCall { user: None, verb: (*verb).to_owned(), target: target.clone() };
            let unnamed = |call: RefusedCall| if call.is_of_one() { call } else { call.of_all() };
            calls.extend(beside.verbs.iter().map(call).map(unnamed));
        }
        calls
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    fn call(verb: &str, path: &str, name: &str) -> RefusedCall {
        let (path, group) = path.split_once('.').unwrap_or((path, ""));
        let (resource, part) = path.split_once('/').map_or((path, None), |(r, p)| (r, Some(p.to_owned())));
        let target = RefusedTarget::Resource {
            group: group.to_owned(),
            resource: resource.to_owned(),
            subresource: part,
            name: Some(name.to_owned()).filter(|name| !name.is_empty()),
            namespace: Some("shop".to_owned()),
        };
        RefusedCall { user: None, verb: verb.to_owned(), target }
    }

    fn asked(line: &str, refused: &RefusedCall) -> String {
        asked_beside(line, refused, &[])
    }

    fn asked_beside(line: &str, refused: &RefusedCall, named: &[CommandObject]) -> String {
        let line = words(line);
        let called: Vec<String> = CommandScope { line: &line, named, namespace: "shop" }
            .beside(refused)
            .iter()
            .map(|call| call.to_string().replace(" in namespace shop", ""))
            .collect();
        called.join(", ")
    }

    #[test]
    fn a_known_command_is_asked_for_whole() {
        for (line, refused, expected) in [
            ("kubectl get pods", call("list", "pods", ""), ""),
            ("kubectl get pods -w", call("list", "pods", ""), "watch pods"),
            ("kubectl get pods -owide", call("list", "pods", ""), ""),
            ("kubectl describe pod a", call("get", "pods", "a"), "list events"),
            ("kubectl describe pods", call("list", "pods", ""), "get pods, list events"),
            ("kubectl delete cm a", call("delete", "configmaps", "a"), "get configmaps a"),
            ("kubectl delete pod a", call("delete", "pods", "a"), "get pods a, watch pods a"),
            ("kubectl delete pod a --wait=false", call("delete", "pods", "a"), ""),
            (
                "kubectl delete cm a b",
                call("delete", "configmaps", "a"),
                "get configmaps a, delete configmaps b, get configmaps b",
            ),
            ("kubectl label cm a x=y y-", call("get", "configmaps", "a"), "patch configmaps a"),
            (
                "kubectl scale deploy web --replicas 3",
                call("get", "deployments.apps", "web"),
                "patch deployments/scale.apps web",
            ),
            ("kubectl exec a -- ls", call("get", "pods", "a"), "get pods/exec a, create pods/exec a"),
            ("k9s", call("get", "pods/exec", "a"), "create pods/exec a"),
            ("kubectl create job x --from=cronjob/y", call("get", "cronjobs.batch", "y"), "create jobs.batch"),
            ("helm upgrade x ./x", call("list", "secrets", ""), "create secrets, update secrets"),
            ("helm upgrade x ./x", call("get", "configmaps", "a"), "patch configmaps a"),
            ("helm install x ./x", call("get", "configmaps", "a"), "patch configmaps a, create configmaps"),
            ("terraform apply", call("get", "configmaps", "a"), ""),
        ] {
            assert_eq!(asked(line, &refused), expected, "{line}");
        }
    }

    #[test]
    fn what_a_command_names_is_asked_for_with_the_first_of_it() {
        let object = |kind: &str, name: Option<&str>, namespace: Option<&str>| {
            let (resource, group) = kind.split_once('.').unwrap_or((kind, ""));
            CommandObject {
                group: group.to_owned(),
                resource: resource.to_owned(),
                name: name.map(str::to_owned),
                namespace: namespace.map(str::to_owned),
                is_namespaced: resource != "namespaces",
            }
        };
        let kinds = [object("pods", None, None), object("services", None, None)];
        assert_eq!(asked_beside("kubectl get pods,svc", &call("list", "pods", ""), &kinds), "list services");
        let beside = asked_beside("kubectl get pods,svc -w", &call("list", "pods", ""), &kinds);
        assert_eq!(beside, "watch pods, watch services, list services");
        let everywhere = RefusedCall { target: in_cluster("pods"), ..call("list", "pods", "") };
        let beside = asked_beside("kubectl get pods,svc -A", &everywhere, &kinds);
        assert_eq!(beside, "list services in the whole cluster");
        let applied = [
            object("namespaces", Some("shop"), None),
            object("configmaps", Some("a"), None),
            object("deployments.apps", Some("web"), Some("bank")),
        ];
        let apply = |refused: &RefusedCall| asked_beside("kubectl apply -f x", refused, &applied);
        let bank = "get deployments.apps web in namespace bank, patch deployments.apps web in namespace bank";
        let all = "get namespaces shop in the whole cluster, patch namespaces shop in the whole cluster";
        assert_eq!(apply(&call("get", "configmaps", "a")), format!("patch configmaps a, {all}, {bank}"));
        let namespace = RefusedCall { target: in_cluster("namespaces"), ..call("create", "namespaces", "") };
        let made = "create configmaps, create deployments.apps in namespace bank";
        assert_eq!(apply(&namespace), made, "in the namespace of the command");
        assert_eq!(apply(&call("get", "secrets", "a")), "patch secrets a", "which is not what the files are for");
    }

    #[test]
    fn a_chart_is_asked_for_with_the_release() {
        let object = |name: &str| CommandObject {
            group: String::new(),
            resource: name.split('/').next().unwrap_or_default().to_owned(),
            name: name.split('/').nth(1).map(str::to_owned),
            namespace: None,
            is_namespaced: true,
        };
        let chart = [object("configmaps/a"), object("secrets/b")];
        let upgrade = |refused| asked_beside("helm upgrade x ./x", &refused, &chart);
        let release = "create secrets, update secrets";
        let named = "get configmaps a, patch configmaps a, get secrets b, patch secrets b";
        assert_eq!(upgrade(call("list", "secrets", "")), format!("{release}, {named}"));
        assert_eq!(upgrade(call("get", "configmaps", "a")), "patch configmaps a, get secrets b, patch secrets b");
        assert_eq!(upgrade(call("get", "services", "a")), "patch services a", "which is not in the chart");
    }

    fn in_cluster(resource: &str) -> RefusedTarget {
        RefusedTarget::Resource {
            group: String::new(),
            resource: resource.to_owned(),
            subresource: None,
            name: None,
            namespace: None,
        }
    }

    #[test]
    fn what_kubectl_calls_for_its_messages_only_is_not_asked_for() {
        let refused = call("get", "namespaces", "shop");
        assert!(does_without(&words("kubectl apply -f x.yaml"), &refused));
        assert!(!does_without(&words("kubectl get ns shop"), &refused));
        assert!(!does_without(&words("helm upgrade x ./x"), &refused));
        assert!(!does_without(&words("kubectl apply -f x.yaml"), &call("get", "pods", "a")));
    }

    proptest! {
        /// Nothing is asked for in another place, nor what was refused twice.
        #[test]
        fn nothing_is_asked_for_elsewhere(index in 0..COMMANDS.len(), verb in "get|list|delete|patch", name in "[a-c]?") {
            let command = &COMMANDS[index];
            let (group, resource) = command.kinds.first().copied().unwrap_or(("", "configmaps"));
            let refused = call(&verb, &format!("{resource}.{group}"), &name);
            let program = if command.tool == KnownTool::Helm { "helm" } else { "kubectl" };
            let line: Vec<String> = std::iter::once(program).chain(command.words.iter().copied()).map(str::to_owned).collect();
            let called = CommandScope { line: &line, named: &[], namespace: "elsewhere" }.beside(&refused);
            prop_assert!(called.iter().all(|call| call.namespace() == Some("shop") && *call != refused));
        }
    }
}
