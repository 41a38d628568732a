//! Reads what findings go by, with the caller's own rights. What they may not read is an unread part, and nothing is made of
//! it.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Namespace as NamespaceObject, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleBinding};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::api::ListParams;
use kube::{Api, ResourceExt};

use crate::api::policy::AccessPolicy;
use crate::api::request::AccessRequest;
use crate::api::subject::RoleKind;
use crate::cli::plugin::cluster::Cluster;
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::output::console::Console;
use crate::cli::plugin::requests::{self, Where};
use crate::cli::plugin::roles::{RolePlace, RoleReading};
use crate::controller::observe::{self, DecodedPolicy};
use crate::core::insight::seen::{ClusterSeen, InstallationSeen, SeenPart, UnreadPart};
use crate::core::model::namespaces::Namespaces;
use crate::core::rbac::binding::Observed;

/// Label of everything that the chart makes, and its value: the name of the chart.
const CHART: (&str, &str) = ("app.kubernetes.io/name", "daypass");
/// The accounts that the chart makes under its usual names, where nobody may look.
const USUAL_ACCOUNTS: [&str; 2] = ["daypass", "daypass-canary"];

/// What to read, and where.
pub struct InsightReading<'a> {
    pub cluster: &'a Cluster,
    pub place: &'a Where,
    /// Namespace that Daypass is installed in.
    pub release: &'a str,
    /// How far back records are looked at.
    pub window: SignedDuration,
    pub now: Timestamp,
}

impl InsightReading<'_> {
    /// Reads it.
    ///
    /// # Errors
    /// When the API server cannot be asked, or the caller may read neither requests nor bindings.
    pub async fn read(&self, console: &mut Console) -> Result<ClusterSeen, PluginError> {
        let requests = match requests::list(self.cluster, self.place, console).await {
            Err(error) if !error.is_forbidden() => return Err(error),
            answer => answer,
        };
        let role_bindings = self.role_bindings().await?;
        let cluster_role_bindings = self.cluster_role_bindings().await?;
        let everywhere = *self.place == Where::Everywhere;
        let has_bindings = role_bindings.is_ok() || (everywhere && cluster_role_bindings.is_ok());
        let requests = match requests {
            Err(error) if error.is_forbidden() && !has_bindings => return Err(error),
            answer => part(&format!("list accessrequests{}", self.place.words()), answer)?,
        };
        let bindings = role_bindings.iter().flatten().chain(cluster_role_bindings.iter().flatten());
        let reading = RoleReading { cluster: self.cluster, place: self.place, may_list: has_bindings };
        let roles = reading.read(needed(requests.iter().flatten(), bindings)).await?;
        let all_accounts = self.accounts().await?;
        let installation = self.installation(&all_accounts);
        let policies = self.policies().await?;
        Ok(ClusterSeen {
            now: self.now,
            window: self.window,
            only: match self.place {
                Where::Namespace(name) => Some(name.clone()),
                Where::Everywhere => None,
            },
            role_bindings,
            cluster_role_bindings,
            roles,
            accounts: all_accounts.map(|all| all.into_keys().collect()),
            namespaces: self.namespaces().await?,
            grants: self.grants(&policies).await,
            policies,
            requests,
            uses: self.uses().await,
            writes: self.writes().await,
            installation,
        })
    }

    async fn role_bindings(&self) -> Result<SeenPart<Vec<Observed>>, PluginError> {
        let client = self.cluster.client.clone();
        let api: Api<RoleBinding> = match self.place {
            Where::Namespace(name) => Api::namespaced(client, name),
            Where::Everywhere => Api::all(client),
        };
        let what = format!("list rolebindings{}", self.place.words());
        let listed = part(&what, self.cluster.call(what.as_str(), api.list(&ListParams::default())).await)?;
        Ok(listed.map(|list| list.items.iter().map(Observed::from).collect()))
    }

    /// Those hold everywhere, and so are about the cluster: who looks at one namespace is not told of them.
    async fn cluster_role_bindings(&self) -> Result<SeenPart<Vec<Observed>>, PluginError> {
        if *self.place != Where::Everywhere {
            return Ok(Ok(Vec::new()));
        }
        let api: Api<ClusterRoleBinding> = Api::all(self.cluster.client.clone());
        let what = "list clusterrolebindings";
        let listed = part(what, self.cluster.call(what, api.list(&ListParams::default())).await)?;
        Ok(listed.map(|list| list.items.iter().map(Observed::from).collect()))
    }

    /// Service accounts, each with its labels.
    async fn accounts(&self) -> Result<SeenPart<BTreeMap<(String, String), BTreeMap<String, String>>>, PluginError> {
        let client = self.cluster.client.clone();
        let api: Api<ServiceAccount> = match self.place {
            Where::Namespace(name) => Api::namespaced(client, name),
            Where::Everywhere => Api::all(client),
        };
        let what = format!("list serviceaccounts{}", self.place.words());
        let listed = part(&what, self.cluster.call(what.as_str(), api.list_metadata(&ListParams::default())).await)?;
        let place = |account: &kube::core::PartialObjectMeta<ServiceAccount>| {
            ((account.namespace().unwrap_or_default(), account.name_any()), account.labels().clone())
        };
        Ok(listed.map(|list| list.items.iter().map(place).collect()))
    }

    async fn namespaces(&self) -> Result<SeenPart<Namespaces>, PluginError> {
        let api: Api<NamespaceObject> = Api::all(self.cluster.client.clone());
        let what = "list namespaces";
        let listed = part(what, self.cluster.call(what, api.list_metadata(&ListParams::default())).await)?;
        Ok(listed.map(|list| list.items.iter().map(observe::namespace).collect()))
    }

    async fn policies(&self) -> Result<SeenPart<Vec<AccessPolicy>>, PluginError> {
        let api: Api<DecodedPolicy> = Api::all(self.cluster.client.clone());
        let what = "list accesspolicies";
        let listed = part(what, self.cluster.call(what, api.list(&ListParams::default())).await)?;
        Ok(listed.map(|list| list.items.into_iter().filter_map(|policy| policy.0.ok()).collect()))
    }

    fn installation(&self, all: &SeenPart<AccountLabels>) -> InstallationSeen {
        let ours = all.iter().flatten().filter(|((namespace, _), labels)| {
            namespace == self.release && labels.get(CHART.0).is_some_and(|value| value == CHART.1)
        });
        let mut accounts: BTreeSet<String> = ours.map(|((_, name), _)| name.clone()).collect();
        if accounts.is_empty() {
            accounts.extend(USUAL_ACCOUNTS.map(str::to_owned));
        }
        InstallationSeen { release: self.release.to_owned(), accounts }
    }
}

/// The labels of service accounts, by namespace and name.
type AccountLabels = BTreeMap<(String, String), BTreeMap<String, String>>;

/// What was answered, or that the right to ask is missing.
fn part<T>(what: &str, answer: Result<T, PluginError>) -> Result<SeenPart<T>, PluginError> {
    match answer {
        Ok(answer) => Ok(Ok(answer)),
        Err(error) if error.is_forbidden() => {
            Ok(Err(UnreadPart { what: what.to_owned(), why: "you may not".to_owned() }))
        }
        Err(error) => Err(error),
    }
}

/// The roles that bindings name, and those that requests ask for where they were granted.
fn needed<'a>(
    requests: impl Iterator<Item = &'a AccessRequest>,
    bindings: impl Iterator<Item = &'a Observed>,
) -> Vec<RolePlace> {
    let whole = requests.filter(|request| request.spec.rules.is_empty());
    let granted = whole.flat_map(|request| {
        let role = &request.spec.role;
        let places = request.status.iter().flat_map(|status| &status.bindings);
        places.map(|place| (place.namespace.clone().filter(|_| role.kind == RoleKind::Role), role.name.clone()))
    });
    let bound = bindings.map(|binding| {
        let namespace = binding.metadata.namespace.clone().filter(|_| binding.role.kind == "Role");
        (namespace, binding.role.name.clone())
    });
    let all: BTreeSet<RolePlace> = granted.chain(bound).collect();
    all.into_iter().collect()
}
