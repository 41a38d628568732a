//! What the kinds of other projects are for, as far as it is known.
//!
//! Owns the findings about custom resources whose controllers do something that Kubernetes itself does not. A kind that
//! is not here is read as an unknown one: named here, it is told what it does, or that it does less.

use crate::api::risk::RiskLevel::{Critical, High, Medium};
use crate::core::rbac::risk::finding::{ANY, CHANGE, CONNECT, DELETE, Finding, NOTHING, Sign, WRITE, finding};
use crate::core::rbac::risk::kinds::{KUBEVIRT_CONSOLES, KUBEVIRT_PARTS, KUBEVIRT_SCREENS, KUBEVIRT_TOKENS};

const ARGO: &str = "argoproj.io";
const CERT_MANAGER: &str = "cert-manager.io";
const ACME: &str = "acme.cert-manager.io";
const EXTERNAL_SECRETS: &str = "external-secrets.io";
const KUBEVIRT: &str = "kubevirt.io";
const KYVERNO: &str = "kyverno.io";
const KYVERNO_POLICIES: &str = "policies.kyverno.io";
const PROMETHEUS: &str = "monitoring.coreos.com";
const SNAPSHOTS: &str = "snapshot.storage.k8s.io";
const TEKTON: &str = "tekton.dev";
const TRIGGERS: &str = "triggers.tekton.dev";

/// Argo Workflows, Events and Rollouts. A template is what the next run is made from.
const ARGO_RUNS: &[&str] = &[
    "analysisruns",
    "analysistemplates",
    "cronworkflows",
    "eventbus",
    "eventsources",
    "experiments",
    "rollouts",
    "sensors",
    "workflowartifactgctasks",
    "workfloweventbindings",
    "workflows",
    "workflowtasksets",
    "workflowtemplates",
];
const ARGO_APPLIES: &[&str] = &["applications", "applicationsets", "appprojects"];
const TEKTON_RUNS: &[&str] = &["customruns", "pipelineruns", "pipelines", "runs", "stepactions", "taskruns", "tasks"];
const TRIGGERS_RUN: &[&str] = &["eventlisteners", "interceptors", "triggerbindings", "triggers", "triggertemplates"];
const KUBEVIRT_RUNS: &[&str] = &[
    "virtualmachineinstancepresets",
    "virtualmachineinstancereplicasets",
    "virtualmachineinstances",
    "virtualmachines",
];
const PROMETHEUS_RUNS: &[&str] = &["alertmanagers", "prometheusagents", "prometheuses", "thanosrulers"];
const KNATIVE_RUNS: &[&str] = &["configurations", "revisions", "services"];
const RAY_RUNS: &[&str] = &["rayclusters", "rayjobs", "rayservices"];
const SPARK_RUNS: &[&str] = &["scheduledsparkapplications", "sparkapplications"];
const OPENSHIFT_BUILDS: &[&str] =
    &["buildconfigs", "buildconfigs/instantiate", "buildconfigs/instantiatebinary", "builds", "builds/clone"];
/// What Flux takes manifests from counts as what is taken: who changes it changes what is applied.
const FLUX_SOURCES: &[&str] =
    &["buckets", "externalartifacts", "gitrepositories", "helmcharts", "helmrepositories", "ocirepositories"];
const OLM_APPLIES: &[&str] =
    &["catalogsources", "clusterserviceversions", "installplans", "operatorgroups", "subscriptions"];
const HELM_OF_K3S: &[&str] = &["helmchartconfigs", "helmcharts"];
const STORES: &[&str] = &["externalsecrets", "pushsecrets", "secretstores"];
const STORES_OF_CLUSTER: &[&str] = &["clusterexternalsecrets", "clusterpushsecrets", "clustersecretstores"];
const CLUSTER_API: &[&str] = &[
    "clusterclasses",
    "clusters",
    "machinedeployments",
    "machinehealthchecks",
    "machinepools",
    "machines",
    "machinesets",
];

pub(in crate::core::rbac::risk) static FINDINGS: &[Finding] = &[
    finding(
        Some(High),
        Critical,
        "has controllers run its code (Argo, Tekton, Knative, KubeVirt and others): in pods, as service accounts it names",
        Sign::Rights(&[
            (WRITE, ARGO, ARGO_RUNS),
            (WRITE, TEKTON, TEKTON_RUNS),
            (WRITE, TRIGGERS, TRIGGERS_RUN),
            (WRITE, "serving.knative.dev", KNATIVE_RUNS),
            (WRITE, KUBEVIRT, KUBEVIRT_RUNS),
            (WRITE, PROMETHEUS, PROMETHEUS_RUNS),
            (WRITE, "batch.volcano.sh", &["jobs"]),
            (WRITE, "jobset.x-k8s.io", &["jobsets"]),
            (WRITE, "keda.sh", &["scaledjobs"]),
            (WRITE, "ray.io", RAY_RUNS),
            (WRITE, "sparkoperator.k8s.io", SPARK_RUNS),
            (WRITE, "apps.openshift.io", &["deploymentconfigs"]),
            (WRITE, "build.openshift.io", OPENSHIFT_BUILDS),
        ]),
    ),
    finding(
        NOTHING,
        Critical,
        "changes templates for the whole cluster (Argo, Tekton): runs its code wherever they are used",
        Sign::Rights(&[
            (CHANGE, ARGO, &["clusteranalysistemplates", "clusterworkflowtemplates"]),
            (CHANGE, TEKTON, &["clustertasks"]),
            (CHANGE, TRIGGERS, &["clusterinterceptors", "clustertriggerbindings"]),
        ]),
    ),
    finding(
        Some(Critical),
        Critical,
        "has manifests applied (Flux, Argo CD, OLM, Helm of k3s, Velero): as cluster administrator, unless that was narrowed",
        Sign::Rights(&[
            (WRITE, ARGO, ARGO_APPLIES),
            (WRITE, "helm.cattle.io", HELM_OF_K3S),
            (WRITE, "helm.toolkit.fluxcd.io", &["helmreleases"]),
            (WRITE, "kustomize.toolkit.fluxcd.io", &["kustomizations"]),
            (WRITE, "source.toolkit.fluxcd.io", FLUX_SOURCES),
            (WRITE, "operators.coreos.com", OLM_APPLIES),
            (WRITE, "velero.io", &["restores"]),
        ]),
    ),
    finding(
        Some(High),
        Critical,
        "deletes what has manifests applied (Flux, Argo CD, OLM, Helm of k3s): with everything that was made from them",
        Sign::Rights(&[
            (DELETE, ARGO, ARGO_APPLIES),
            (DELETE, "helm.cattle.io", HELM_OF_K3S),
            (DELETE, "helm.toolkit.fluxcd.io", &["helmreleases"]),
            (DELETE, "kustomize.toolkit.fluxcd.io", &["kustomizations"]),
            (DELETE, "operators.coreos.com", OLM_APPLIES),
        ]),
    ),
    finding(
        Some(Medium),
        High,
        "stops what controllers of other projects run or keep up to date, or deletes what it is made from",
        Sign::Rights(&[
            (DELETE, ARGO, ARGO_RUNS),
            (CHANGE, ARGO, &["workflowtaskresults"]),
            (DELETE, TEKTON, TEKTON_RUNS),
            (DELETE, TRIGGERS, TRIGGERS_RUN),
            (DELETE, "serving.knative.dev", KNATIVE_RUNS),
            (DELETE, KUBEVIRT, KUBEVIRT_RUNS),
            (CHANGE, KUBEVIRT, &["virtualmachineinstancemigrations"]),
            (
                CHANGE,
                KUBEVIRT_PARTS,
                &[
                    "virtualmachineinstances/freeze",
                    "virtualmachineinstances/pause",
                    "virtualmachineinstances/reset",
                    "virtualmachineinstances/softreboot",
                    "virtualmachineinstances/unfreeze",
                    "virtualmachineinstances/unpause",
                    "virtualmachines/migrate",
                    "virtualmachines/restart",
                    "virtualmachines/start",
                    "virtualmachines/stop",
                ],
            ),
            (DELETE, PROMETHEUS, PROMETHEUS_RUNS),
            (DELETE, "batch.volcano.sh", &["jobs"]),
            (DELETE, "jobset.x-k8s.io", &["jobsets"]),
            (DELETE, "keda.sh", &["scaledjobs"]),
            (DELETE, "ray.io", RAY_RUNS),
            (DELETE, "sparkoperator.k8s.io", SPARK_RUNS),
            (DELETE, "apps.openshift.io", &["deploymentconfigs"]),
            (DELETE, "build.openshift.io", &["buildconfigs", "builds"]),
            (DELETE, "source.toolkit.fluxcd.io", FLUX_SOURCES),
            (DELETE, "velero.io", &["restores"]),
        ]),
    ),
    finding(
        Some(High),
        Critical,
        "opens consoles, screens and ports of virtual machines (KubeVirt): is at them as if sitting in front",
        Sign::Rights(&[(CONNECT, KUBEVIRT_PARTS, KUBEVIRT_CONSOLES), (CONNECT, KUBEVIRT_TOKENS, KUBEVIRT_SCREENS)]),
    ),
    finding(
        Some(High),
        Critical,
        "makes machines and clusters (Cluster API): what they run at their start runs as root",
        Sign::Rights(&[
            (CHANGE, "cluster.x-k8s.io", CLUSTER_API),
            (CHANGE, "addons.cluster.x-k8s.io", &["clusterresourcesets"]),
            (CHANGE, "bootstrap.cluster.x-k8s.io", &["kubeadmconfigs", "kubeadmconfigtemplates"]),
            (CHANGE, "controlplane.cluster.x-k8s.io", &["kubeadmcontrolplanes", "kubeadmcontrolplanetemplates"]),
        ]),
    ),
    finding(
        NOTHING,
        Critical,
        "installs packages and compositions (Crossplane): runs their code, and has made whatever they say",
        Sign::Rights(&[
            (
                CHANGE,
                "apiextensions.crossplane.io",
                &["compositeresourcedefinitions", "compositionrevisions", "compositions", "environmentconfigs"],
            ),
            (CHANGE, "ops.crossplane.io", &["cronoperations", "operations", "watchoperations"]),
            (
                CHANGE,
                "pkg.crossplane.io",
                &[
                    "configurationrevisions",
                    "configurations",
                    "deploymentruntimeconfigs",
                    "functionrevisions",
                    "functions",
                    "imageconfigs",
                    "locks",
                    "providerrevisions",
                    "providers",
                ],
            ),
        ]),
    ),
    finding(
        Some(High),
        Critical,
        "moves secrets in or out (External Secrets): with the credentials of stores, to servers of its choice",
        Sign::Rights(&[(CHANGE, EXTERNAL_SECRETS, STORES), (CHANGE, "generators.external-secrets.io", &[ANY])]),
    ),
    finding(
        NOTHING,
        Critical,
        "moves secrets in or out for the whole cluster (External Secrets): into and from any namespace",
        Sign::Rights(&[(CHANGE, EXTERNAL_SECRETS, STORES_OF_CLUSTER)]),
    ),
    finding(
        Some(High),
        Critical,
        "changes issuers (cert-manager): leads their credentials, secrets of the namespace, to a server of its choice",
        Sign::Rights(&[(WRITE, CERT_MANAGER, &["issuers"]), (WRITE, ACME, &["challenges"])]),
    ),
    finding(
        NOTHING,
        Critical,
        "changes cluster issuers (cert-manager): leads secrets of its own namespace to a server of its choice",
        Sign::Rights(&[(CHANGE, CERT_MANAGER, &["clusterissuers"])]),
    ),
    // What is issued is put into a Secret, which to read is another right.
    finding(
        Some(Medium),
        High,
        "has certificates issued (cert-manager), or no more: is taken for another by what trusts their issuer",
        Sign::Rights(&[
            (CHANGE, CERT_MANAGER, &["certificaterequests", "certificates"]),
            (DELETE, CERT_MANAGER, &["issuers"]),
            (CHANGE, ACME, &["orders"]),
            (DELETE, ACME, &["challenges"]),
        ]),
    ),
    // Without a request nothing is approved, and cert-manager approves them all by itself unless it was told not to.
    finding(
        Some(Medium),
        Medium,
        "approves certificates (cert-manager): lets pass what their issuers would not sign without",
        Sign::Rights(&[(&["approve"], CERT_MANAGER, &["signers"])]),
    ),
    finding(
        Some(Medium),
        Critical,
        "has secrets made (Sealed Secrets): swaps what applications trust, and in kube-system what lets nodes join",
        Sign::Rights(&[(CHANGE, "bitnami.com", &["sealedsecrets"])]),
    ),
    finding(
        Some(High),
        Critical,
        "changes policies of namespaces (Kyverno): changes what is written there, or lifts what guards it",
        Sign::Rights(&[
            (CHANGE, KYVERNO, &["cleanuppolicies", "policies", "policyexceptions", "updaterequests"]),
            (
                CHANGE,
                KYVERNO_POLICIES,
                &[
                    "namespaceddeletingpolicies",
                    "namespacedgeneratingpolicies",
                    "namespacedimagevalidatingpolicies",
                    "namespacedmutatingpolicies",
                    "namespacedvalidatingpolicies",
                    "policyexceptions",
                ],
            ),
        ]),
    ),
    finding(
        NOTHING,
        Critical,
        "changes policies of the whole cluster (Kyverno, Gatekeeper): changes what is written, or lifts what guards it",
        Sign::Rights(&[
            (CHANGE, KYVERNO, &["clustercleanuppolicies", "clusterpolicies", "globalcontextentries"]),
            (
                CHANGE,
                KYVERNO_POLICIES,
                &[
                    "deletingpolicies",
                    "generatingpolicies",
                    "imagevalidatingpolicies",
                    "mutatingpolicies",
                    "validatingpolicies",
                ],
            ),
            (CHANGE, "constraints.gatekeeper.sh", &[ANY]),
            (CHANGE, "mutations.gatekeeper.sh", &[ANY]),
            (CHANGE, "templates.gatekeeper.sh", &["constrainttemplates"]),
        ]),
    ),
    finding(
        Some(Medium),
        Medium,
        "changes reports and alarms (policy reports, Prometheus rules): hides what they would tell",
        Sign::Rights(&[
            (CHANGE, "openreports.io", &[ANY]),
            (CHANGE, "reports.kyverno.io", &[ANY]),
            (CHANGE, "wgpolicyk8s.io", &[ANY]),
            (CHANGE, PROMETHEUS, &["prometheusrules"]),
        ]),
    ),
    finding(
        Some(Medium),
        High,
        "changes snapshots of volumes: deletes what would be restored, or has data copied",
        Sign::Rights(&[(CHANGE, SNAPSHOTS, &["volumesnapshots"])]),
    ),
    finding(
        NOTHING,
        High,
        "changes contents and classes of snapshots: reaches the data of other namespaces",
        Sign::Rights(&[(CHANGE, SNAPSHOTS, &["volumesnapshotclasses", "volumesnapshotcontents"])]),
    ),
];
