//! The table of what rights are good for.
//!
//! Owns the findings: which rights are one, how bad each is, and the sentence that says why. It must not know
//! who holds them. Follows "Role Based Access Control Good Practices" of the Kubernetes docs, whose section on
//! privilege escalation names most of these, and `pkg/apis` for which resources have a namespace.
//!
//! Every finding asks whether there is some single right, never how many there are or how they are written, so
//! that rules say the same however they are split, and more rules never say less.

use k8s_openapi::api::rbac::v1::PolicyRule;

use super::Extent;
use crate::api::risk::RiskLevel::{self, Critical, High, Low, Medium};
use crate::core::rbac::rules::{ALL, group_matches, list, resource_matches, url_matches, verb_matches};

/// Something that rights are good for.
pub(super) struct Finding {
    /// What somebody can do with it, and why that matters.
    pub text: &'static str,
    /// How bad it is in single namespaces that are not protected; none when it is nothing there.
    pub here: Option<RiskLevel>,
    /// How bad it is in single namespaces with a protected one among them; none when it is nothing there.
    system: Option<RiskLevel>,
    /// How bad it is in the whole cluster.
    pub everywhere: RiskLevel,
    sign: Sign,
}

/// What shows that a rule has it.
enum Sign {
    /// Any of these rights.
    Rights(&'static [Rights]),
    /// A wildcard of some kind.
    Wildcard(fn(&PolicyRule) -> bool),
    /// Resources that cannot be listed.
    Objects(fn(&PolicyRule) -> bool),
    /// URLs that are no resources.
    Urls(fn(&PolicyRule) -> bool),
}

/// Verbs by API group by resources.
type Rights = (&'static [&'static str], &'static str, &'static [&'static str]);

impl Finding {
    /// How bad it is there; none when it is nothing there.
    pub(super) fn level(&self, extent: Extent) -> Option<RiskLevel> {
        match extent {
            Extent::Namespaces => self.here,
            Extent::SystemNamespaces => self.system,
            Extent::Cluster => Some(self.everywhere),
        }
    }

    pub(super) fn is_in(&self, rule: &PolicyRule) -> bool {
        match self.sign {
            Sign::Rights(rights) => rights.iter().any(|rights| has_any(rule, rights)),
            Sign::Wildcard(is_in) | Sign::Objects(is_in) | Sign::Urls(is_in) => is_in(rule),
        }
    }

    /// Whether it is about rights that nobody has listed one by one.
    pub(super) fn is_wildcard(&self) -> bool {
        matches!(self.sign, Sign::Wildcard(_))
    }

    /// Whether names of objects say anything here. URLs have none, and Kubernetes does not look at them there.
    pub(super) fn is_of_objects(&self) -> bool {
        !matches!(self.sign, Sign::Urls(_))
    }
}

fn has_any(rule: &PolicyRule, (verbs, group, resources): &Rights) -> bool {
    verbs.iter().any(|verb| has_verb(rule, verb))
        && group_matches(rule, group)
        && resources.iter().any(|resource| has_resource(rule, resource))
}

fn has_verb(rule: &PolicyRule, verb: &str) -> bool {
    // `impersonate:user-info` and its kin are what constrained impersonation asks for (KEP-5284).
    let kin = |own: &String| own.starts_with("impersonate:");
    verb_matches(rule, verb) || (verb == IMPERSONATE && rule.verbs.iter().any(kin))
}

fn has_resource(rule: &PolicyRule, resource: &str) -> bool {
    match resource.strip_suffix("/*") {
        // Any subresource: an extra of a user is one, by its name.
        Some(resource) => list(&rule.resources).iter().any(|own| match own.split_once('/') {
            Some((of, _)) => of == resource || of == ALL,
            None => own == resource || own == ALL,
        }),
        None => resource_matches(rule, resource),
    }
}

const IMPERSONATE: &str = "impersonate";
const READ: &[&str] = &["get", "list", "watch"];
/// Puts something in place, or something else.
const WRITE: &[&str] = &["create", "update", "patch"];
/// Changes what is there.
const EDIT: &[&str] = &["update", "patch"];
const DELETE: &[&str] = &["delete", "deletecollection"];
const CHANGE: &[&str] = &["create", "update", "patch", "delete", "deletecollection"];
/// A request to a pod, service or node itself: its method is the verb. A websocket begins with a get.
const CONNECT: &[&str] = &["create", "get", "update", "patch", "delete"];
const CREATE: &[&str] = &["create"];

const CORE: &str = "";
const ADMISSION: &str = "admissionregistration.k8s.io";
const AUTHENTICATION: &str = "authentication.k8s.io";
const CERTIFICATES: &str = "certificates.k8s.io";
const NETWORKING: &str = "networking.k8s.io";
const RBAC: &str = "rbac.authorization.k8s.io";

/// Resources of group `apps` that make pods. A revision is what a rollback takes the pods from.
const APPS: &[&str] = &["deployments", "daemonsets", "statefulsets", "replicasets", "controllerrevisions"];
const APPS_SCALES: &[&str] = &["deployments/scale", "statefulsets/scale", "replicasets/scale"];
const BATCH: &[&str] = &["jobs", "cronjobs"];
const CORE_WORKLOADS: &[&str] = &["pods", "replicationcontrollers"];

/// What lives in a namespace, of the groups of Kubernetes, without what only tells (events) or only asks (reviews of
/// access); each with its subresources.
const IN_NAMESPACES: &[Rights] = &[
    (
        CHANGE,
        CORE,
        &[
            "bindings/*",
            "configmaps/*",
            "endpoints/*",
            "limitranges/*",
            "persistentvolumeclaims/*",
            "pods/*",
            "podtemplates/*",
            "replicationcontrollers/*",
            "resourcequotas/*",
            "secrets/*",
            "serviceaccounts/*",
            "services/*",
        ],
    ),
    // The namespace itself, which is read as being in it.
    (EDIT, CORE, &["namespaces/*"]),
    (CHANGE, "apps", &["controllerrevisions/*", "daemonsets/*", "deployments/*", "replicasets/*", "statefulsets/*"]),
    (CHANGE, "autoscaling", &["horizontalpodautoscalers/*"]),
    (CHANGE, "batch", &["cronjobs/*", "jobs/*"]),
    (CHANGE, "coordination.k8s.io", &["leases/*", "leasecandidates/*"]),
    (CHANGE, "discovery.k8s.io", &["endpointslices/*"]),
    (CHANGE, NETWORKING, &["ingresses/*", "networkpolicies/*"]),
    (CHANGE, "policy", &["poddisruptionbudgets/*"]),
    (CHANGE, RBAC, &["roles/*", "rolebindings/*"]),
    (CHANGE, "resource.k8s.io", &["resourceclaims/*", "resourceclaimtemplates/*"]),
    (CHANGE, "storage.k8s.io", &["csistoragecapacities/*"]),
];

/// API groups whose resources are all weighed in this table, or harmless: those of Kubernetes, and our own.
const KNOWN_GROUPS: &[&str] = &[
    CORE,
    ADMISSION,
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "apps",
    AUTHENTICATION,
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    CERTIFICATES,
    "coordination.k8s.io",
    "daypass.dev",
    "discovery.k8s.io",
    "events.k8s.io",
    "extensions",
    "flowcontrol.apiserver.k8s.io",
    "internal.apiserver.k8s.io",
    "metrics.k8s.io",
    NETWORKING,
    "node.k8s.io",
    "policy",
    RBAC,
    "resource.k8s.io",
    "scheduling.k8s.io",
    "storage.k8s.io",
    "storagemigration.k8s.io",
];

fn is_star(text: &String) -> bool {
    text == ALL
}

fn any_star(texts: &[String]) -> bool {
    texts.iter().any(is_star)
}

fn any_other(texts: &[String]) -> bool {
    texts.iter().any(|text| !is_star(text))
}

// The four kinds of wildcards are apart: each single right is of one kind at most, so one right is told once.

fn everything(rule: &PolicyRule) -> bool {
    any_star(&rule.verbs) && any_star(list(&rule.api_groups)) && any_star(list(&rule.resources))
}

fn every_resource(rule: &PolicyRule) -> bool {
    any_other(&rule.verbs) && any_star(list(&rule.api_groups)) && any_star(list(&rule.resources))
}

fn whole_groups(rule: &PolicyRule) -> bool {
    let (groups, resources) = (list(&rule.api_groups), list(&rule.resources));
    let one_is = (any_star(groups) && any_other(resources)) || (any_other(groups) && any_star(resources));
    !rule.verbs.is_empty() && one_is
}

fn every_verb(rule: &PolicyRule) -> bool {
    any_star(&rule.verbs) && any_other(list(&rule.api_groups)) && any_other(list(&rule.resources))
}

fn unknown_groups(rule: &PolicyRule) -> bool {
    let unknown = |group: &String| !KNOWN_GROUPS.contains(&group.as_str());
    let changes = |verb: &String| !READ.contains(&verb.as_str());
    rule.verbs.iter().any(changes) && list(&rule.api_groups).iter().any(unknown) && !list(&rule.resources).is_empty()
}

fn every_url(rule: &PolicyRule) -> bool {
    let all = |url: &String| url.ends_with('*') && matches!(url.trim_end_matches('*'), "" | "/");
    !rule.verbs.is_empty() && list(&rule.non_resource_urls).iter().any(all)
}

fn insides(rule: &PolicyRule) -> bool {
    // Any path below these: what is there differs by version.
    let below = |folder: &str| {
        let within = |url: &String| url.starts_with(folder);
        list(&rule.non_resource_urls).iter().any(within) || url_matches(rule, folder)
    };
    !rule.verbs.is_empty() && (below("/debug") || below("/logs") || below("/configz"))
}

/// What is something in a namespace is in a protected one what it is in the whole cluster: that includes it.
const fn finding(here: Option<RiskLevel>, everywhere: RiskLevel, text: &'static str, sign: Sign) -> Finding {
    let system = match here {
        Some(_) => Some(everywhere),
        None => None,
    };
    Finding { text, here, system, everywhere, sign }
}

/// Nothing in a single namespace.
const NOTHING: Option<RiskLevel> = None;

/// Every finding.
pub(super) static FINDINGS: &[Finding] = &[
    finding(
        Some(Critical),
        Critical,
        "may do everything (* on * of *), also what guards the place itself and what is yet to be installed",
        Sign::Wildcard(everything),
    ),
    finding(
        Some(High),
        Critical,
        "has its verbs on every resource (* of *), secrets and those yet to be installed included",
        Sign::Wildcard(every_resource),
    ),
    finding(
        Some(Medium),
        High,
        "has whole API groups or a resource of every group (*), also those yet to be installed",
        Sign::Wildcard(whole_groups),
    ),
    finding(
        Some(Medium),
        High,
        "has every verb (*), also those that Kubernetes guards on their own and those yet to come",
        Sign::Wildcard(every_verb),
    ),
    Finding {
        text: "changes what is in kube-system or in Daypass's own namespace: takes over the cluster, or who gets access to it",
        here: NOTHING,
        system: Some(Critical),
        everywhere: Critical,
        sign: Sign::Rights(IN_NAMESPACES),
    },
    finding(
        Some(High),
        Critical,
        "reads secrets: passwords, keys and tokens of every application there; to list them is as good as to get them",
        Sign::Rights(&[(READ, CORE, &["secrets"])]),
    ),
    finding(
        Some(Medium),
        High,
        "changes secrets: swaps the passwords and certificates that applications trust",
        Sign::Rights(&[(CHANGE, CORE, &["secrets"])]),
    ),
    finding(
        Some(High),
        Critical,
        "runs its own code in workloads: as any service account of the namespace, with its secrets mounted",
        Sign::Rights(&[(WRITE, CORE, CORE_WORKLOADS), (WRITE, "apps", APPS), (WRITE, "batch", BATCH)]),
    ),
    finding(
        Some(High),
        Critical,
        "runs commands in running pods: with their data, secrets and service account",
        Sign::Rights(&[(CONNECT, CORE, &["pods/exec", "pods/attach"]), (EDIT, CORE, &["pods/ephemeralcontainers"])]),
    ),
    finding(
        Some(Medium),
        Critical,
        "connects to pods and services through the API server: past network policies, to ports that trust whoever gets there",
        Sign::Rights(&[(CONNECT, CORE, &["pods/portforward", "pods/proxy", "services/proxy"])]),
    ),
    finding(
        NOTHING,
        Critical,
        "talks to the kubelet of any node: runs commands in all pods, unseen by admission and audit",
        Sign::Rights(&[(CONNECT, CORE, &["nodes/proxy"])]),
    ),
    finding(
        NOTHING,
        High,
        "changes nodes: draws pods with their secrets to a node of its choice, or takes nodes away",
        Sign::Rights(&[(CHANGE, CORE, &["nodes", "nodes/status"])]),
    ),
    finding(
        Some(High),
        Critical,
        "makes tokens of service accounts: acts as any of them, also after this access has ended",
        Sign::Rights(&[(CREATE, CORE, &["serviceaccounts/token"])]),
    ),
    finding(
        NOTHING,
        Critical,
        "impersonates users, groups or what is known of them: acts as anybody, administrators included",
        Sign::Rights(&[
            (&[IMPERSONATE], CORE, &["users", "groups", "userextras/*", "uids"]),
            (&[IMPERSONATE], AUTHENTICATION, &["users", "groups", "userextras/*", "uids", "nodes"]),
        ]),
    ),
    finding(
        Some(High),
        Critical,
        "impersonates service accounts: acts with the rights of any application there",
        Sign::Rights(&[
            (&[IMPERSONATE], CORE, &["serviceaccounts"]),
            (&[IMPERSONATE], AUTHENTICATION, &["serviceaccounts"]),
        ]),
    ),
    finding(
        Some(High),
        Critical,
        "escalates roles: writes rights into them that it does not have itself",
        Sign::Rights(&[(&["escalate"], RBAC, &["roles"])]),
    ),
    finding(
        NOTHING,
        Critical,
        "escalates cluster roles: writes any right in the cluster into them",
        Sign::Rights(&[(&["escalate"], RBAC, &["clusterroles"])]),
    ),
    // Unlike to escalate, to bind a cluster role is asked for in the namespace of the binding.
    finding(
        Some(High),
        Critical,
        "binds roles that it does not hold: gives itself or others any of them",
        Sign::Rights(&[(&["bind"], RBAC, &["roles", "clusterroles"])]),
    ),
    finding(
        Some(High),
        High,
        "changes roles and their bindings: passes its rights on, beyond the end of this access, or takes those of others",
        Sign::Rights(&[(CHANGE, RBAC, &["roles", "rolebindings"])]),
    ),
    finding(
        NOTHING,
        Critical,
        "changes cluster roles and their bindings: passes cluster-wide rights on, beyond the end of this access",
        Sign::Rights(&[(CHANGE, RBAC, &["clusterroles", "clusterrolebindings"])]),
    ),
    finding(
        NOTHING,
        Critical,
        "has certificates signed: logs in as anybody, with what nobody can revoke",
        Sign::Rights(&[
            (EDIT, CERTIFICATES, &["certificatesigningrequests/approval", "certificatesigningrequests/status"]),
            (&["approve", "sign"], CERTIFICATES, &["signers"]),
        ]),
    ),
    finding(
        NOTHING,
        Critical,
        "changes admission webhooks: sees and changes every object that is written, or lifts what guards the cluster",
        Sign::Rights(&[(CHANGE, ADMISSION, &["mutatingwebhookconfigurations", "validatingwebhookconfigurations"])]),
    ),
    finding(
        NOTHING,
        Critical,
        "changes admission policies: changes every object that is written, or lifts what guards the cluster",
        Sign::Rights(&[(
            CHANGE,
            ADMISSION,
            &[
                "validatingadmissionpolicies",
                "validatingadmissionpolicybindings",
                "mutatingadmissionpolicies",
                "mutatingadmissionpolicybindings",
            ],
        )]),
    ),
    finding(
        NOTHING,
        High,
        "changes CRDs: to delete one deletes all of its objects, and its conversion webhook sees and changes them",
        Sign::Rights(&[(CHANGE, "apiextensions.k8s.io", &["customresourcedefinitions"])]),
    ),
    finding(
        NOTHING,
        Critical,
        "changes API services: leads a part of the API, and who asks it, to a server of its choice",
        Sign::Rights(&[(CHANGE, "apiregistration.k8s.io", &["apiservices"])]),
    ),
    finding(
        NOTHING,
        High,
        "changes persistent volumes: mounts disks of nodes (hostPath) and of other namespaces, or gives up data",
        Sign::Rights(&[(CHANGE, CORE, &["persistentvolumes"])]),
    ),
    // The one resource without a namespace on which a RoleBinding holds: in the namespace of that name.
    finding(
        Some(High),
        High,
        "changes namespaces: their labels switch pod security off and policies on or off",
        Sign::Rights(&[(EDIT, CORE, &["namespaces", "namespaces/finalize", "namespaces/status"])]),
    ),
    finding(
        Some(High),
        Critical,
        "deletes namespaces: with everything that is in them",
        Sign::Rights(&[(DELETE, CORE, &["namespaces"])]),
    ),
    finding(
        NOTHING,
        Medium,
        "creates namespaces: with labels that may switch pod security off and policies on",
        Sign::Rights(&[(CREATE, CORE, &["namespaces"])]),
    ),
    finding(
        Some(Medium),
        High,
        "stops workloads: deletes, evicts or scales them",
        Sign::Rights(&[
            (DELETE, CORE, CORE_WORKLOADS),
            (DELETE, "apps", APPS),
            (DELETE, "batch", BATCH),
            (CREATE, CORE, &["pods/eviction"]),
            (EDIT, CORE, &["replicationcontrollers/scale", "pods/resize"]),
            (EDIT, "apps", APPS_SCALES),
            (CHANGE, "autoscaling", &["horizontalpodautoscalers"]),
        ]),
    ),
    finding(
        Some(Medium),
        High,
        "deletes persistent volume claims: the data goes with them",
        Sign::Rights(&[(DELETE, CORE, &["persistentvolumeclaims"])]),
    ),
    finding(
        Some(Medium),
        High,
        "changes config maps: what applications, and in kube-system the cluster, are told to do",
        Sign::Rights(&[(CHANGE, CORE, &["configmaps"])]),
    ),
    finding(
        Some(Medium),
        Medium,
        "changes where traffic goes: leads requests, and what is in them, elsewhere or past network policies",
        Sign::Rights(&[
            (CHANGE, CORE, &["services", "services/status", "endpoints"]),
            (CHANGE, "discovery.k8s.io", &["endpointslices"]),
            (CHANGE, NETWORKING, &["ingresses", "ingressclasses", "networkpolicies"]),
            // A pod's status has its addresses and whether it is ready.
            (EDIT, CORE, &["pods/status"]),
        ]),
    ),
    finding(
        NOTHING,
        Medium,
        "has tokens reviewed: learns whose a token is that it came by, and whether it works",
        Sign::Rights(&[(CREATE, AUTHENTICATION, &["tokenreviews"])]),
    ),
    finding(
        NOTHING,
        Critical,
        "changes access policies of Daypass: decides who gets which role, and who is asked",
        Sign::Rights(&[(CHANGE, "daypass.dev", &["accesspolicies", "accesspolicies/status"])]),
    ),
    finding(
        Some(Medium),
        High,
        "reviews requests of Daypass: counts where a policy names it as an approver",
        Sign::Rights(&[(EDIT, "daypass.dev", &["accessrequests/status"])]),
    ),
    finding(
        Some(Medium),
        Medium,
        "changes objects of API groups that this reading does not know: what comes of it is up to their controllers",
        Sign::Objects(unknown_groups),
    ),
    finding(
        NOTHING,
        High,
        "calls every URL of the API server: its metrics, logs and debugging included",
        Sign::Urls(every_url),
    ),
    finding(NOTHING, Medium, "looks into the API server itself: logs, profiles and settings", Sign::Urls(insides)),
    finding(
        Some(Low),
        Low,
        "reads logs of pods: some applications write there what should be secret",
        Sign::Rights(&[(READ, CORE, &["pods/log"])]),
    ),
];
