//! Who somebody is, and who may do what: secrets, tokens, impersonation, roles, certificates, and Daypass itself.
//!
//! Owns these findings alone.

use crate::api::risk::RiskLevel::{Critical, High, Low, Medium};
use crate::core::rbac::risk::finding::{
    CHANGE, CREATE, DELETE, EDIT, Finding, IMPERSONATE, NOTHING, READ, Sign, finding,
};

const CORE: &str = "";
const AUTHENTICATION: &str = "authentication.k8s.io";
const CERTIFICATES: &str = "certificates.k8s.io";
const DAYPASS: &str = "daypass.dev";
const RBAC: &str = "rbac.authorization.k8s.io";

/// Cluster roles of Kubernetes itself that let one look at what is no secret, and nothing more.
const ONLY_LOOK: &[&str] = &[
    "system:basic-user",
    "system:discovery",
    "system:public-info-viewer",
    "system:service-account-issuer-discovery",
    "view",
];

/// Whether a signer is one of Kubernetes' own, whose certificates the API server and kubelets believe. `kubernetes.io/*`
/// is all of them.
fn of_kubernetes(signer: Option<&str>) -> bool {
    signer.is_none_or(|signer| signer.starts_with("kubernetes.io/"))
}

fn of_others(signer: Option<&str>) -> bool {
    !of_kubernetes(signer)
}

fn does_more_than_look(role: Option<&str>) -> bool {
    role.is_none_or(|role| !ONLY_LOOK.contains(&role))
}

fn only_looks(role: Option<&str>) -> bool {
    !does_more_than_look(role)
}

pub(in crate::core::rbac::risk) static FINDINGS: &[Finding] = &[
    finding(
        Some(High),
        Critical,
        "reads secrets: the passwords, keys and tokens in them; to list them is as good as to get them",
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
        "makes tokens of service accounts: acts as them, also after this access has ended",
        Sign::Rights(&[(CREATE, CORE, &["serviceaccounts/token"])]),
    ),
    finding(
        Some(Medium),
        High,
        "changes service accounts: to delete one ends its tokens, and annotations say what it is in the cloud",
        Sign::Rights(&[(CHANGE, CORE, &["serviceaccounts"])]),
    ),
    finding(
        NOTHING,
        Critical,
        "impersonates users, groups or what is known of them: acts with their rights, be they administrators",
        Sign::Rights(&[
            (&[IMPERSONATE], CORE, &["users", "groups", "userextras", "userextras/*", "uids"]),
            (&[IMPERSONATE], AUTHENTICATION, &["users", "groups", "userextras", "userextras/*", "uids", "nodes"]),
        ]),
    ),
    finding(
        Some(High),
        Critical,
        "impersonates service accounts: acts with the rights of applications there",
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
    finding(
        Some(High),
        Critical,
        "binds roles of namespaces that it does not hold: gives itself or others what they allow",
        Sign::Rights(&[(&["bind"], RBAC, &["roles"])]),
    ),
    // Unlike to escalate, to bind a cluster role is asked for in the namespace of the binding.
    finding(
        Some(High),
        Critical,
        "binds cluster roles that it does not hold: gives itself or others what they allow",
        Sign::Named(&[(&["bind"], RBAC, &["clusterroles"])], does_more_than_look),
    ),
    finding(
        Some(Medium),
        Medium,
        "binds cluster roles that only look: passes them on to others, beyond the end of this access",
        Sign::Named(&[(&["bind"], RBAC, &["clusterroles"])], only_looks),
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
        "has certificates signed by Kubernetes' own signers: is taken for people, nodes or kubelets, and nobody can revoke it",
        Sign::Named(&[(&["approve", "sign"], CERTIFICATES, &["signers"])], of_kubernetes),
    ),
    finding(
        NOTHING,
        Medium,
        "has certificates signed by other signers than Kubernetes' own: is believed by what trusts these signers",
        Sign::Named(&[(&["approve", "sign"], CERTIFICATES, &["signers"])], of_others),
    ),
    finding(
        NOTHING,
        Critical,
        "gets certificates of nodes that nobody has to approve: acts as any node, and so reads the secrets of its pods",
        Sign::Rights(&[(CREATE, CERTIFICATES, &["certificatesigningrequests/nodeclient"])]),
    ),
    // The API server asks for `approve` or `sign` on the signer besides, which has a finding of its own.
    finding(
        NOTHING,
        High,
        "approves or fills in certificate requests, of those signers that it may approve or sign for",
        Sign::Rights(&[(
            EDIT,
            CERTIFICATES,
            &["certificatesigningrequests/approval", "certificatesigningrequests/status"],
        )]),
    ),
    finding(
        NOTHING,
        Medium,
        "changes or deletes the certificate requests of others: keeps nodes and people from logging in",
        Sign::Rights(&[
            (EDIT, CERTIFICATES, &["certificatesigningrequests"]),
            (DELETE, CERTIFICATES, &["certificatesigningrequests"]),
        ]),
    ),
    finding(
        NOTHING,
        Low,
        "asks for certificates: nothing comes of it until somebody approves",
        Sign::Rights(&[(CREATE, CERTIFICATES, &["certificatesigningrequests"])]),
    ),
    finding(
        Some(High),
        High,
        "asks for certificates of pods, or fills them in: whoever believes their signer takes it for these pods",
        Sign::Rights(&[(CHANGE, CERTIFICATES, &["podcertificaterequests", "podcertificaterequests/status"])]),
    ),
    finding(
        NOTHING,
        High,
        "changes whose certificates pods trust: servers of its choice pass for others",
        Sign::Rights(&[(CHANGE, CERTIFICATES, &["clustertrustbundles"]), (&["attest"], CERTIFICATES, &["signers"])]),
    ),
    finding(
        NOTHING,
        Medium,
        "has tokens reviewed: learns whose a token is that it came by, and whether it works",
        Sign::Rights(&[(CREATE, AUTHENTICATION, &["tokenreviews"])]),
    ),
    finding(
        Some(Low),
        Low,
        "asks what others may do: learns whom it is worth to attack",
        Sign::Rights(&[(CREATE, "authorization.k8s.io", &["localsubjectaccessreviews", "subjectaccessreviews"])]),
    ),
    finding(
        NOTHING,
        Critical,
        "changes access policies of Daypass, or administers it: decides who gets which role, and who is asked",
        Sign::Rights(&[
            (CHANGE, DAYPASS, &["accesspolicies", "accesspolicies/status"]),
            (&["administer"], DAYPASS, &["accesspolicies"]),
        ]),
    ),
    finding(
        Some(Medium),
        High,
        "reviews requests of Daypass: counts where a policy names it as an approver",
        Sign::Rights(&[(EDIT, DAYPASS, &["accessrequests/status"])]),
    ),
    finding(
        Some(Medium),
        Medium,
        "deletes requests of Daypass: ends the access of others, and its record goes",
        Sign::Rights(&[(DELETE, DAYPASS, &["accessrequests"])]),
    ),
];
