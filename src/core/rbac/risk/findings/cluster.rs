//! The cluster itself: nodes, namespaces, volumes, the API server and what guards it.
//!
//! Owns the findings about what belongs to no namespace, and about the namespaces from which the cluster can be taken
//! over.

use k8s_openapi::api::rbac::v1::PolicyRule;

use crate::api::risk::RiskLevel::{Critical, High, Medium};
use crate::core::rbac::risk::finding::{
    CHANGE, CONNECT, CREATE, DELETE, EDIT, Finding, NOTHING, READ, Rights, Sign, finding, finding_in_protected,
};
use crate::core::rbac::rules::{list, url_matches};

const CORE: &str = "";
const ADMISSION: &str = "admissionregistration.k8s.io";
const EXTENSIONS: &str = "apiextensions.k8s.io";
const FLOW_CONTROL: &str = "flowcontrol.apiserver.k8s.io";
const REGISTRATION: &str = "apiregistration.k8s.io";
const RESOURCE: &str = "resource.k8s.io";
const STORAGE: &str = "storage.k8s.io";

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
    (CHANGE, "networking.k8s.io", &["ingresses/*", "networkpolicies/*"]),
    (CHANGE, "policy", &["poddisruptionbudgets/*"]),
    (CHANGE, "rbac.authorization.k8s.io", &["roles/*", "rolebindings/*"]),
    (CHANGE, RESOURCE, &["resourceclaims/*", "resourceclaimtemplates/*"]),
    (CHANGE, "scheduling.k8s.io", &["podgroups/*", "workloads/*"]),
    (CHANGE, STORAGE, &["csistoragecapacities/*"]),
];

pub(in crate::core::rbac::risk) static FINDINGS: &[Finding] = &[
    finding_in_protected(
        Critical,
        "changes what is in kube-system or in Daypass's own namespace: takes over the cluster, or who gets access to it",
        Sign::Anything(IN_NAMESPACES),
    ),
    finding(
        NOTHING,
        Critical,
        "talks to the kubelets of nodes: runs commands in their pods, unseen by admission and audit",
        Sign::Rights(&[(CONNECT, CORE, &["nodes/proxy"])]),
    ),
    finding(
        NOTHING,
        High,
        "changes nodes: draws pods with their secrets to a node of its choice, or takes nodes away",
        Sign::Rights(&[(CHANGE, CORE, &["nodes", "nodes/status"])]),
    ),
    finding(
        NOTHING,
        High,
        "takes checkpoints of containers: their whole memory is written to the disk of the node",
        Sign::Rights(&[(CREATE, CORE, &["nodes/checkpoint"])]),
    ),
    finding(
        NOTHING,
        Medium,
        "reads logs and settings of nodes",
        Sign::Rights(&[(READ, CORE, &["nodes/configz", "nodes/log"])]),
    ),
    finding(
        NOTHING,
        High,
        "changes persistent volumes: mounts disks of nodes (hostPath) and of other namespaces, or gives up data",
        Sign::Rights(&[(CHANGE, CORE, &["persistentvolumes"])]),
    ),
    finding(
        NOTHING,
        High,
        "changes how volumes are made and attached: to which node, by which driver, with whose tokens",
        Sign::Rights(&[(
            CHANGE,
            STORAGE,
            &["csidrivers", "csinodes", "storageclasses", "volumeattachments", "volumeattributesclasses"],
        )]),
    ),
    finding(
        NOTHING,
        High,
        "changes classes and taints for pods and devices: lifts their isolation, or displaces others",
        Sign::Rights(&[
            (CHANGE, "node.k8s.io", &["runtimeclasses"]),
            (CHANGE, "scheduling.k8s.io", &["priorityclasses"]),
            (CHANGE, RESOURCE, &["deviceclasses", "devicetaintrules", "resourceslices"]),
        ]),
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
        Sign::Rights(&[(CREATE, CORE, &["namespaces"]), (CREATE, "project.openshift.io", &["projectrequests"])]),
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
        Sign::Rights(&[(CHANGE, EXTENSIONS, &["customresourcedefinitions"])]),
    ),
    finding(
        NOTHING,
        Critical,
        "changes API services: leads a part of the API, and who asks it, to a server of its choice",
        Sign::Rights(&[(CHANGE, REGISTRATION, &["apiservices"])]),
    ),
    finding(
        NOTHING,
        High,
        "changes whose calls the API server serves first: starves controllers and people, or shuts them out",
        Sign::Rights(&[(CHANGE, FLOW_CONTROL, &["flowschemas", "prioritylevelconfigurations"])]),
    ),
    finding(
        NOTHING,
        High,
        "changes how the API server stores objects: has them written anew, or misleads it about their versions",
        Sign::Rights(&[
            (CHANGE, "internal.apiserver.k8s.io", &["storageversions", "storageversions/status"]),
            (CHANGE, "storagemigration.k8s.io", &["storageversionmigrations", "storageversionmigrations/status"]),
        ]),
    ),
    finding(
        NOTHING,
        Medium,
        "changes the status of what belongs to the cluster: misleads the controllers and people that go by it",
        Sign::Rights(&[
            (EDIT, CORE, &["persistentvolumes/status"]),
            (EDIT, ADMISSION, &["validatingadmissionpolicies/status"]),
            (EDIT, EXTENSIONS, &["customresourcedefinitions/status"]),
            (EDIT, REGISTRATION, &["apiservices/status"]),
            (EDIT, FLOW_CONTROL, &["flowschemas/status", "prioritylevelconfigurations/status"]),
            (EDIT, STORAGE, &["volumeattachments/status"]),
            (EDIT, RESOURCE, &["devicetaintrules/status"]),
            (CHANGE, RESOURCE, &["resourcepoolstatusrequests", "resourcepoolstatusrequests/status"]),
        ]),
    ),
    finding(
        NOTHING,
        High,
        "calls every URL of the API server: its metrics, logs and debugging included",
        Sign::Urls(every_url),
    ),
    finding(NOTHING, Medium, "looks into the API server itself: logs, profiles and settings", Sign::Urls(insides)),
];

fn every_url(rule: &PolicyRule) -> bool {
    let all = |url: &String| url.ends_with('*') && matches!(url.trim_end_matches('*'), "" | "/");
    !rule.verbs.is_empty() && list(&rule.non_resource_urls).iter().any(all)
}

fn insides(rule: &PolicyRule) -> bool {
    // Any path below these: what is there differs by version.
    let below = |folder: &&str| {
        let within = |url: &String| url.starts_with(*folder);
        list(&rule.non_resource_urls).iter().any(within) || url_matches(rule, folder)
    };
    !rule.verbs.is_empty() && ["/debug", "/logs", "/configz", "/flagz", "/statusz"].iter().any(below)
}
