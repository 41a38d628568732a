//! What "who can do what" is answered from: requests, bindings and roles, as far as the caller may read them. What may not be
//! read is said.

use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleBinding};
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::ListParams;

use crate::api::request::{AccessRequest, BindingKind};
use crate::api::subject::{RoleKind, RoleName};
use crate::cli::plugin::cluster::Cluster;
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::output::console::Console;
use crate::cli::plugin::requests::{self, Where};
use crate::cli::plugin::roles::{RolePlace, RoleReading, allowed};
use crate::core::rbac::binding::Observed;
use crate::core::report::who::{KnownRoles, WhoSeen, is_active};
use crate::runtime::clock::Clock;

/// All that was read.
#[derive(Debug)]
pub struct WhoRead {
    pub requests: Vec<AccessRequest>,
    has_all_requests: bool,
    /// The bindings that hold in the place, of the kinds that could be listed.
    pub bindings: Vec<Observed>,
    /// The kinds of bindings that could be listed.
    pub kinds: Vec<BindingKind>,
    roles: KnownRoles,
    now: Timestamp,
}

impl WhoRead {
    /// The kinds of bindings of a place that could not be listed, in words.
    pub fn unread(&self, place: &Where) -> Option<String> {
        let of_namespaces = format!("rolebindings{}", place.words());
        let all = [
            (BindingKind::RoleBinding, of_namespaces.as_str()),
            (BindingKind::ClusterRoleBinding, "clusterrolebindings"),
        ];
        let unread: Vec<&str> =
            all.into_iter().filter(|(kind, _)| !self.kinds.contains(kind)).map(|(_, words)| words).collect();
        (!unread.is_empty()).then(|| unread.join(" and "))
    }

    /// The same for the core.
    pub fn seen(&self) -> WhoSeen<'_> {
        WhoSeen {
            requests: &self.requests,
            has_all_requests: self.has_all_requests,
            bindings: &self.bindings,
            kinds: &self.kinds,
            roles: &self.roles,
            now: self.now,
        }
    }
}

/// What to read, and where.
pub struct WhoReading<'a> {
    pub cluster: &'a Cluster,
    pub place: &'a Where,
    /// Whether a right is asked about, so that the rules of roles matter.
    pub right: bool,
    /// Whether somebody is asked about.
    pub subject: bool,
}

impl WhoReading<'_> {
    /// Reads it. What may not be read is said on the console.
    ///
    /// # Errors
    /// When requests may not be read, or the API server cannot be asked.
    pub async fn read(&self, console: &mut Console) -> Result<WhoRead, PluginError> {
        let (requests, has_all_requests) = self.requests(console).await?;
        let (bindings, kinds) = self.bindings(console).await?;
        let roles = self.roles(&requests, &bindings, console).await?;
        Ok(WhoRead { requests, has_all_requests, bindings, kinds, roles, now: Clock::wall().now() })
    }

    /// The requests of all namespaces, since those of others may hold here; or else those of the namespace.
    async fn requests(&self, console: &mut Console) -> Result<(Vec<AccessRequest>, bool), PluginError> {
        match requests::list(self.cluster, &Where::Everywhere, console).await {
            Ok(all) => Ok((all, true)),
            Err(error) if error.is_forbidden() && *self.place != Where::Everywhere => {
                let some = requests::list(self.cluster, self.place, console).await?;
                console.note(&format!(
                    "you may not list the requests of all namespaces: access that was asked for in others, and holds{}, is not \
                     told",
                    self.place.words()
                ));
                Ok((some, false))
            }
            Err(error) => Err(error),
        }
    }

    /// The bindings that hold in the place, and the kinds of them that may be listed.
    async fn bindings(&self, console: &mut Console) -> Result<(Vec<Observed>, Vec<BindingKind>), PluginError> {
        let client = || self.cluster.client.clone();
        let here: Api<RoleBinding> = match self.place {
            Where::Namespace(name) => Api::namespaced(client(), name),
            Where::Everywhere => Api::all(client()),
        };
        let everywhere: Api<ClusterRoleBinding> = Api::all(client());
        let what = format!("rolebindings{}", self.place.words());
        let (mut bindings, mut kinds, mut unseen) = (Vec::new(), Vec::new(), Vec::new());
        match allowed(self.cluster.call(format!("list {what}"), here.list(&ListParams::default())).await)? {
            Some(list) => {
                kinds.push(BindingKind::RoleBinding);
                bindings.extend(list.items.iter().map(Observed::from));
            }
            None => unseen.push(what.as_str()),
        }
        match allowed(self.cluster.call("list clusterrolebindings", everywhere.list(&ListParams::default())).await)? {
            Some(list) => {
                kinds.push(BindingKind::ClusterRoleBinding);
                bindings.extend(list.items.iter().map(Observed::from));
            }
            None => unseen.push("clusterrolebindings"),
        }
        if !unseen.is_empty() {
            console.note(&format!(
                "you may not list {}: access is told as requests have it on record, and what others than Daypass gave is not \
                 told",
                unseen.join(" and ")
            ));
        }
        Ok((bindings, kinds))
    }

    /// The roles whose rules matter.
    async fn roles(
        &self,
        requests: &[AccessRequest],
        bindings: &[Observed],
        console: &mut Console,
    ) -> Result<KnownRoles, PluginError> {
        // Who is asked about without a right has whatever they have.
        if !self.right && (self.subject || bindings.is_empty()) {
            return Ok(KnownRoles::default());
        }
        let reading = RoleReading { cluster: self.cluster, place: self.place, may_list: !bindings.is_empty() };
        let roles = reading.read(needed(requests, bindings)).await?;
        if self.right {
            for (namespace, name, why) in roles.unread() {
                let role = match namespace {
                    Some(namespace) => format!("Role/{name} in namespace {namespace}"),
                    None => format!("ClusterRole/{name}"),
                };
                console.note(&format!("{role} could not be read ({why}): whether it allows that is not known"));
            }
        }
        Ok(roles)
    }
}

/// The roles that running requests give as a whole, and those that bindings name.
fn needed(requests: &[AccessRequest], bindings: &[Observed]) -> Vec<RolePlace> {
    let whole = requests.iter().filter(|request| is_active(request) && request.spec.rules.is_empty());
    let granted = whole.flat_map(|request| {
        let RoleName { kind, name } = request.spec.role.clone();
        let places = request.status.iter().flat_map(|status| &status.bindings);
        places.map(move |place| (place.namespace.clone().filter(|_| kind == RoleKind::Role), name.clone()))
    });
    let bound = bindings.iter().map(|binding| {
        let namespace = binding.metadata.namespace.clone().filter(|_| binding.role.kind == "Role");
        (namespace, binding.role.name.clone())
    });
    let mut all: Vec<RolePlace> = granted.chain(bound).collect();
    all.sort();
    all.dedup();
    all
}
