//! What runs in a namespace, and what it needs to run.
//!
//! Owns the findings about Kubernetes' own workloads. Those of other projects are in `extensions`.

use crate::api::risk::RiskLevel::{Critical, High, Low, Medium};
use crate::core::rbac::risk::finding::{
    CHANGE, CONNECT, CREATE, DELETE, EDIT, Finding, READ, Sign, WRITE, finding, finding_in_protected,
};

const CORE: &str = "";

/// Resources of group `apps` whose template can be changed: the pods of the new one are made at once.
const APPS: &[&str] = &["deployments", "daemonsets", "statefulsets", "replicasets"];
const BATCH: &[&str] = &["jobs", "cronjobs"];
const CORE_WORKLOADS: &[&str] = &["pods", "replicationcontrollers"];

/// Of which config map of kube-system it is known what it says; without a name it is all of them.
fn steers_the_cluster(config_map: Option<&str>) -> bool {
    const STEER: &[&str] = &[
        "aws-auth",
        "coredns",
        "extension-apiserver-authentication",
        "kube-proxy",
        "kubeadm-config",
        "kubelet-config",
    ];
    config_map.is_none_or(|name| STEER.contains(&name))
}

pub(in crate::core::rbac::risk) static FINDINGS: &[Finding] = &[
    finding(
        Some(High),
        Critical,
        "runs its own code in workloads: as any service account of the namespace, with its secrets mounted",
        Sign::Rights(&[
            (WRITE, CORE, CORE_WORKLOADS),
            (WRITE, "apps", APPS),
            (WRITE, "batch", &["cronjobs"]),
            // The template of a job, and what is in a revision, cannot be changed: only a new one runs new code.
            (CREATE, "batch", &["jobs"]),
            (CREATE, "apps", &["controllerrevisions"]),
        ]),
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
        Some(Medium),
        High,
        "stops workloads: deletes, evicts, suspends, rolls back or scales them",
        Sign::Rights(&[
            (DELETE, CORE, CORE_WORKLOADS),
            (DELETE, "apps", APPS),
            (EDIT, "apps", &["controllerrevisions"]),
            (DELETE, "apps", &["controllerrevisions"]),
            (WRITE, "apps", &["deployments/rollback"]),
            (DELETE, "batch", BATCH),
            (EDIT, "batch", &["jobs"]),
            (CREATE, CORE, &["pods/eviction"]),
            (EDIT, CORE, &["replicationcontrollers/scale", "pods/resize"]),
            (EDIT, "apps", &["deployments/scale", "statefulsets/scale", "replicasets/scale"]),
            (CHANGE, "autoscaling", &["horizontalpodautoscalers"]),
            (CHANGE, "autoscaling.k8s.io", &["verticalpodautoscalers", "verticalpodautoscalercheckpoints"]),
        ]),
    ),
    finding(
        Some(Medium),
        High,
        "places pods on nodes: runs them beside others, or where they get what they should not",
        Sign::Rights(&[(CREATE, CORE, &["bindings", "pods/binding"])]),
    ),
    finding(
        Some(Medium),
        High,
        "changes leases: takes the lead from controllers, which then stop, or lets them work twice",
        Sign::Rights(&[(CHANGE, "coordination.k8s.io", &["leases", "leasecandidates"])]),
    ),
    finding(
        Some(Medium),
        High,
        "changes config maps: what applications are told to do",
        Sign::Rights(&[(CHANGE, CORE, &["configmaps"])]),
    ),
    finding_in_protected(
        Critical,
        "changes config maps that steer the cluster: on EKS aws-auth says who is an administrator, coredns where names lead",
        Sign::Named(&[(CHANGE, CORE, &["configmaps"])], steers_the_cluster),
    ),
    finding(
        Some(Medium),
        High,
        "deletes persistent volume claims: the data goes with them",
        Sign::Rights(&[(DELETE, CORE, &["persistentvolumeclaims"])]),
    ),
    finding(
        Some(Medium),
        Medium,
        "claims volumes and devices: uses up what there is of them, or gets what others have left on them",
        Sign::Rights(&[
            (WRITE, CORE, &["persistentvolumeclaims"]),
            (
                CHANGE,
                "resource.k8s.io",
                &[
                    "resourceclaims",
                    "resourceclaims/binding",
                    "resourceclaims/driver",
                    "resourceclaims/status",
                    "resourceclaimtemplates",
                ],
            ),
        ]),
    ),
    finding(
        Some(Medium),
        Medium,
        "changes quotas and limits: lets applications take what others need, or keeps them from starting",
        Sign::Rights(&[(CHANGE, CORE, &["limitranges", "resourcequotas", "resourcequotas/status"])]),
    ),
    finding(
        Some(Medium),
        Medium,
        "changes disruption budgets: all pods of an application may be evicted at once, or no node can be drained",
        Sign::Rights(&[(CHANGE, "policy", &["poddisruptionbudgets", "poddisruptionbudgets/status"])]),
    ),
    finding(
        Some(Medium),
        Medium,
        "changes what controllers go by: templates, groups of pods, capacities and the status of objects",
        Sign::Rights(&[
            (CHANGE, CORE, &["podtemplates"]),
            (CHANGE, "scheduling.k8s.io", &["podgroups", "podgroups/status", "workloads"]),
            (CHANGE, "storage.k8s.io", &["csistoragecapacities"]),
            (EDIT, CORE, &["persistentvolumeclaims/status", "replicationcontrollers/status"]),
            (EDIT, "apps", &["daemonsets/status", "deployments/status", "replicasets/status", "statefulsets/status"]),
            (EDIT, "autoscaling", &["horizontalpodautoscalers/status"]),
            (EDIT, "batch", &["cronjobs/status", "jobs/status"]),
        ]),
    ),
    finding(
        Some(Medium),
        Medium,
        "deletes events: the record of what happened goes, that of Daypass among it",
        Sign::Rights(&[(DELETE, CORE, &["events"]), (DELETE, "events.k8s.io", &["events"])]),
    ),
    finding(
        Some(Low),
        Low,
        "writes events: can tell of what never happened",
        Sign::Rights(&[(WRITE, CORE, &["events"]), (WRITE, "events.k8s.io", &["events"])]),
    ),
    finding(
        Some(Low),
        Low,
        "reads logs of pods: some applications write there what should be secret",
        Sign::Rights(&[(READ, CORE, &["pods/log"])]),
    ),
];
