//! The table of known commands: what each calls beside its first call, as seen in the audit log of an API server.
//!
//! Data only. A command is known by its first words and its flags; several rows may be of the same command.

use super::line::KnownTool;

/// A command, and what it calls.
pub struct KnownCommand {
    pub tool: KnownTool,
    /// The first words.
    pub words: &'static [&'static str],
    /// One of these flags must be there; none: it does not matter.
    pub with: &'static [&'static str],
    /// None of these flags may be there, nor be turned off.
    pub without: &'static [&'static str],
    /// Group and resource of what was refused; none: of any kind.
    pub kinds: &'static [(&'static str, &'static str)],
    /// Whether what was refused must be one object.
    pub is_of_one: bool,
    pub calls: &'static [BesideCall],
}

/// Calls of one object or kind.
pub struct BesideCall {
    pub verbs: &'static [&'static str],
    pub on: BesideObject,
}

/// What is called.
pub enum BesideObject {
    /// The object that was refused; where that has no name, all of its kind.
    Same,
    /// A subresource of it.
    Part(&'static str),
    /// All objects of another kind, by group and resource.
    Kind(&'static str, &'static str),
}

const fn kubectl(words: &'static [&'static str], calls: &'static [BesideCall]) -> KnownCommand {
    KnownCommand { tool: KnownTool::Kubectl, words, with: &[], without: &[], kinds: &[], is_of_one: true, calls }
}

const fn helm(words: &'static [&'static str], calls: &'static [BesideCall]) -> KnownCommand {
    KnownCommand { tool: KnownTool::Helm, ..kubectl(words, calls) }
}

const fn of(kinds: &'static [(&'static str, &'static str)], command: KnownCommand) -> KnownCommand {
    KnownCommand { kinds, ..command }
}

const fn with(with: &'static [&'static str], command: KnownCommand) -> KnownCommand {
    KnownCommand { with, ..command }
}

const fn without(without: &'static [&'static str], command: KnownCommand) -> KnownCommand {
    KnownCommand { without, ..command }
}

/// Of what is refused as a whole kind.
const fn of_all(command: KnownCommand) -> KnownCommand {
    KnownCommand { is_of_one: false, ..command }
}

const fn same(verbs: &'static [&'static str]) -> BesideCall {
    BesideCall { verbs, on: BesideObject::Same }
}

const fn part(verbs: &'static [&'static str], name: &'static str) -> BesideCall {
    BesideCall { verbs, on: BesideObject::Part(name) }
}

const fn kind(verbs: &'static [&'static str], group: &'static str, resource: &'static str) -> BesideCall {
    BesideCall { verbs, on: BesideObject::Kind(group, resource) }
}

const PODS: &[(&str, &str)] = &[("", "pods")];
const NODES: &[(&str, &str)] = &[("", "nodes")];
const SECRETS: &[(&str, &str)] = &[("", "secrets")];
const DEPLOYMENTS: &[(&str, &str)] = &[("apps", "deployments")];
/// What the API server keeps for a while after it was deleted, so that kubectl watches it go.
const LINGERING: &[(&str, &str)] =
    &[("", "pods"), ("", "namespaces"), ("", "persistentvolumeclaims"), ("", "persistentvolumes")];
/// What has pods of its own, by which kubectl finds one.
const WORKLOADS: &[(&str, &str)] = &[
    ("apps", "deployments"),
    ("apps", "replicasets"),
    ("apps", "statefulsets"),
    ("apps", "daemonsets"),
    ("batch", "jobs"),
    ("", "services"),
];
/// What a connection into a pod takes: a WebSocket begins with the first, and the API server asks for the second whatever it is.
pub const CONNECTED: &[&str] = &["get", "create"];

/// All that is known.
pub const COMMANDS: &[KnownCommand] = &[
    with(&["w", "--watch"], of_all(kubectl(&["get"], &[same(&["watch"])]))),
    of_all(kubectl(&["get", "all"], ALL)),
    of_all(kubectl(&["describe"], &[same(&["get"]), kind(&["list"], "", "events")])),
    of(DEPLOYMENTS, kubectl(&["describe"], &[kind(&["list"], "apps", "replicasets")])),
    of(&[("", "services")], kubectl(&["describe"], &[kind(&["list"], "discovery.k8s.io", "endpointslices")])),
    without(&["--wait"], kubectl(&["delete"], &[same(&["delete", "get"])])),
    without(&["--wait"], of(LINGERING, kubectl(&["delete"], &[same(&["watch"])]))),
    kubectl(&["edit"], GET_AND_PATCH),
    kubectl(&["patch"], GET_AND_PATCH),
    kubectl(&["label"], GET_AND_PATCH),
    kubectl(&["annotate"], GET_AND_PATCH),
    kubectl(&["set"], GET_AND_PATCH),
    kubectl(&["taint"], GET_AND_PATCH),
    kubectl(&["cordon"], GET_AND_PATCH),
    kubectl(&["uncordon"], GET_AND_PATCH),
    kubectl(&["rollout", "restart"], GET_AND_PATCH),
    kubectl(&["rollout", "pause"], GET_AND_PATCH),
    kubectl(&["rollout", "resume"], GET_AND_PATCH),
    kubectl(&["rollout", "status"], &[same(&["get", "watch"])]),
    of(DEPLOYMENTS, kubectl(&["rollout", "undo"], &[same(&["get", "patch"]), kind(&["list"], "apps", "replicasets")])),
    of(DEPLOYMENTS, kubectl(&["rollout", "history"], &[same(&["get"]), kind(&["list"], "apps", "replicasets")])),
    without(&["--server-side"], kubectl(&["apply"], GET_AND_PATCH)),
    kubectl(&["diff"], GET_AND_PATCH),
    kubectl(&["replace"], &[same(&["get", "update"])]),
    kubectl(&["scale"], &[same(&["get"]), part(&["patch"], "scale")]),
    kubectl(&["autoscale"], &[kind(&["create"], "autoscaling", "horizontalpodautoscalers")]),
    kubectl(&["expose"], &[kind(&["create"], "", "services")]),
    of(&[("batch", "cronjobs")], kubectl(&["create", "job"], &[kind(&["create"], "batch", "jobs")])),
    of(PODS, kubectl(&["exec"], &[same(&["get"]), part(CONNECTED, "exec")])),
    of(PODS, kubectl(&["cp"], &[same(&["get"]), part(CONNECTED, "exec")])),
    of(PODS, kubectl(&["attach"], &[same(&["get"]), part(CONNECTED, "attach")])),
    of(PODS, kubectl(&["port-forward"], &[same(&["get"]), part(CONNECTED, "portforward")])),
    of(PODS, kubectl(&["logs"], &[same(&["get"]), part(&["get"], "log")])),
    of(WORKLOADS, kubectl(&["logs"], &[kind(&["list"], "", "pods")])),
    of(WORKLOADS, kubectl(&["exec"], &[kind(&["list"], "", "pods")])),
    of(WORKLOADS, kubectl(&["port-forward"], &[kind(&["list"], "", "pods")])),
    without(&["--copy-to"], of(PODS, kubectl(&["debug"], &[same(&["get"]), part(&["patch"], "ephemeralcontainers")]))),
    with(&["--copy-to"], of(PODS, kubectl(&["debug"], &[same(&["get"]), kind(&["create"], "", "pods")]))),
    with(
        &["i", "--stdin", "--attach"],
        without(&["--copy-to"], of(PODS, kubectl(&["debug"], &[same(&["watch"]), part(CONNECTED, "attach")]))),
    ),
    of(
        NODES,
        kubectl(
            &["drain"],
            &[
                same(&["get", "patch"]),
                kind(&["list", "get"], "", "pods"),
                kind(&["create"], "", "pods/eviction"),
                kind(&["get"], "apps", "daemonsets"),
            ],
        ),
    ),
    of(SECRETS, of_all(helm(&["install"], RELEASE))),
    of(SECRETS, of_all(helm(&["upgrade"], RELEASE))),
    of(SECRETS, of_all(helm(&["rollback"], RELEASE_READ))),
    of(SECRETS, of_all(helm(&["uninstall"], &[same(&["list", "get", "update", "delete"])]))),
    helm(&["install"], &[same(&["get", "patch", "create"])]),
    helm(&["upgrade"], GET_AND_PATCH),
    helm(&["rollback"], GET_AND_PATCH),
    helm(&["uninstall"], &[same(&["get", "delete"])]),
];

const GET_AND_PATCH: &[BesideCall] = &[same(&["get", "patch"])];
/// What helm does with the secrets that hold its releases; their names have numbers that it reads from them.
const RELEASE: &[BesideCall] = &[same(&["list", "create", "update"])];
const RELEASE_READ: &[BesideCall] = &[same(&["list", "get", "create", "update"])];
/// What kubectl takes for everything.
const ALL: &[BesideCall] = &[
    kind(&["list"], "", "pods"),
    kind(&["list"], "", "replicationcontrollers"),
    kind(&["list"], "", "services"),
    kind(&["list"], "apps", "daemonsets"),
    kind(&["list"], "apps", "deployments"),
    kind(&["list"], "apps", "replicasets"),
    kind(&["list"], "apps", "statefulsets"),
    kind(&["list"], "autoscaling", "horizontalpodautoscalers"),
    kind(&["list"], "batch", "cronjobs"),
    kind(&["list"], "batch", "jobs"),
];
