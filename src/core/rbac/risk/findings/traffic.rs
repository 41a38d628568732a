//! Where requests between applications go.
//!
//! Owns the findings about services, routes and network policies, those of other projects included.

use crate::api::risk::RiskLevel::{High, Medium};
use crate::core::rbac::risk::finding::{CHANGE, EDIT, Finding, NOTHING, Sign, finding};

pub(in crate::core::rbac::risk) static FINDINGS: &[Finding] = &[
    finding(
        Some(Medium),
        Medium,
        "changes where traffic goes: leads requests, and what is in them, elsewhere or past network policies",
        Sign::Rights(&[
            (CHANGE, "", &["services", "services/status", "endpoints"]),
            (CHANGE, "discovery.k8s.io", &["endpointslices"]),
            (CHANGE, "networking.k8s.io", &["ingresses", "ingresses/status", "networkpolicies"]),
            // A pod's status has its addresses and whether it is ready.
            (EDIT, "", &["pods/status"]),
        ]),
    ),
    finding(
        Some(Medium),
        Medium,
        "changes routes of other projects (Gateway API, Istio, Traefik): leads requests, and what is in them, elsewhere",
        Sign::Rights(&[
            (
                CHANGE,
                "gateway.networking.k8s.io",
                &["grpcroutes", "httproutes", "referencegrants", "tcproutes", "tlsroutes", "udproutes"],
            ),
            (CHANGE, "networking.istio.io", &["destinationrules", "serviceentries", "sidecars", "virtualservices"]),
            (CHANGE, "traefik.io", &["ingressroutes", "ingressroutetcps", "ingressrouteudps", "traefikservices"]),
            (
                CHANGE,
                "traefik.containo.us",
                &["ingressroutes", "ingressroutetcps", "ingressrouteudps", "traefikservices"],
            ),
            (CHANGE, "projectcontour.io", &["httpproxies"]),
            (CHANGE, "split.smi-spec.io", &["trafficsplits"]),
            (CHANGE, "multicluster.x-k8s.io", &["serviceexports", "serviceimports"]),
            (CHANGE, "route.openshift.io", &["routes", "routes/custom-host"]),
            (CHANGE, "serving.knative.dev", &["domainmappings", "routes"]),
        ]),
    ),
    finding(
        NOTHING,
        High,
        "changes addresses and ingress classes of the cluster: who serves what comes in, and what services can be reached",
        Sign::Rights(&[(
            CHANGE,
            "networking.k8s.io",
            &["ingressclasses", "ipaddresses", "servicecidrs", "servicecidrs/status"],
        )]),
    ),
];
