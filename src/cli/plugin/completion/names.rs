//! Names of the cluster and the kubeconfig, read with the caller's own rights by the cluster flags that are on the line. What
//! may not be read is not offered, without a word.

use std::collections::BTreeSet;

use clap::{Args, FromArgMatches};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace as NamespaceObject};
use kube::api::ListParams;
use kube::config::Kubeconfig;
use kube::{Api, ResourceExt};

use super::candidate::Candidate;
use super::line::CursorOnLine;
use super::sources::{NameSource, RequestsMeant};
use crate::api::campaign::ShownCampaign;
use crate::api::policy::Effect;
use crate::api::request::{AccessRequest, ReviewVerdict};
use crate::api::subject::{Identity, RoleKind, RoleName};
use crate::cli::plugin::cluster::{Cluster, Connection};
use crate::cli::plugin::decide::pending::waits_for;
use crate::cli::plugin::decide::review::{has_effect, review};
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::identity::caller;
use crate::cli::plugin::reach;
use crate::cli::plugin::requests::{self, Where};
use crate::cli::plugin::review::calls;
use crate::cli::plugin::see::words;
use crate::cli::plugin::seen::{PoliciesRead, decodable};
use crate::core::decision::protected::USUAL_RELEASE;
use crate::core::model::duration;
use crate::core::report::offers::{Offer, OfferPlace, offers};
use crate::notify::routes::NotifyConfig;

/// The key under which a ConfigMap of the chart has the routes of the notifier.
const ROUTES: &str = "notify.yaml";

/// What is looked for, and where.
pub struct NamesWanted {
    source: NameSource,
    /// None when the flags on the line make no sense.
    connection: Option<Connection>,
    /// The namespaces that the line names.
    namespaces: Vec<String>,
    /// Whether access in the whole cluster is asked for.
    cluster_wide: bool,
    /// The namespace that Daypass is installed in.
    release: String,
}

impl NamesWanted {
    /// As the line says so far.
    pub fn on(cursor: &CursorOnLine<'_>, source: NameSource) -> Self {
        let named = ["namespaces", "namespace"].map(|id| cursor.values(id)).into_iter().find(|all| !all.is_empty());
        Self {
            source,
            connection: connection(cursor),
            namespaces: named.into_iter().flatten().map(str::to_owned).collect(),
            cluster_wide: cursor.given().any(|(arg, _)| arg.get_id() == "cluster_wide"),
            release: cursor.values("release_namespace").last().copied().unwrap_or(USUAL_RELEASE).to_owned(),
        }
    }

    /// Looks for them.
    ///
    /// # Errors
    /// Why nothing can be read.
    pub async fn find(self) -> Result<Vec<Candidate>, PluginError> {
        let Some(connection) = &self.connection else { return Ok(Vec::new()) };
        if self.source == NameSource::Contexts {
            return Ok(contexts(connection));
        }
        let cluster = Cluster::connect(connection).await?;
        match self.source {
            NameSource::Requests(meant) => self.requests(&cluster, meant).await,
            NameSource::Requesters => self.requesters(&cluster).await,
            NameSource::Namespaces => Ok(namespaces(&cluster, connection).await),
            NameSource::Roles => self.roles(&cluster).await,
            NameSource::Policies => policies(&cluster).await,
            NameSource::Routes => Ok(self.routes(&cluster).await),
            NameSource::Campaigns => campaigns(&cluster).await,
            NameSource::Contexts => Ok(Vec::new()),
        }
    }

    fn place<'a>(&'a self, cluster: &'a Cluster) -> &'a str {
        self.namespaces.first().map_or(&cluster.namespace, |name| name.as_str())
    }

    /// The newest first.
    async fn stored(&self, cluster: &Cluster) -> Vec<AccessRequest> {
        let place = Where::Namespace(self.place(cluster).to_owned());
        let mut stored = decodable(cluster, requests::api(cluster, &place)).await.unwrap_or_default();
        stored.sort_by_key(|request| std::cmp::Reverse(request.creation_timestamp().map(|made| made.0)));
        stored
    }

    async fn requests(&self, cluster: &Cluster, meant: RequestsMeant) -> Result<Vec<Candidate>, PluginError> {
        let (stored, who) = futures::join!(self.stored(cluster), caller(cluster));
        let who = who?;
        let policies = match meant {
            RequestsMeant::ToDecide | RequestsMeant::ToRevoke => PoliciesRead::read(cluster).await.ok(),
            _ => None,
        };
        let chosen = stored.iter().filter(|request| is_meant(request, meant, policies.as_ref(), &who));
        Ok(chosen.map(candidate).collect())
    }

    async fn requesters(&self, cluster: &Cluster) -> Result<Vec<Candidate>, PluginError> {
        let stored = self.stored(cluster).await;
        let names: BTreeSet<&str> = stored.iter().map(words::requester).collect();
        Ok(names.into_iter().map(|name| Candidate::new(name, "")).collect())
    }

    /// Those of the notifier's configuration.
    async fn routes(&self, cluster: &Cluster) -> Vec<Candidate> {
        let api: Api<ConfigMap> = Api::namespaced(cluster.client.clone(), &self.release);
        let listed = cluster.read(api.list(&ListParams::default())).await;
        let stored = listed.iter().flat_map(|all| &all.items).flat_map(|map| map.data.iter().flatten());
        let written = stored.filter(|(file, _)| *file == ROUTES).map(|(_, text)| text);
        let read = written.filter_map(|text| serde_saphyr::from_str::<NotifyConfig>(text).ok());
        read.flat_map(|config| config.routes).map(|route| Candidate::new(route.name, "")).collect()
    }

    /// Those that a policy lets the caller ask for there.
    async fn roles(&self, cluster: &Cluster) -> Result<Vec<Candidate>, PluginError> {
        let (who, policies) = futures::join!(caller(cluster), PoliciesRead::read(cluster));
        let (who, policies) = (who?, policies?);
        let names = if self.namespaces.is_empty() { vec![cluster.namespace.clone()] } else { self.namespaces.clone() };
        let (known, _) = policies.namespaces_or(cluster, &names).await?;
        let offered_in = |name: &String| -> Vec<Offer> {
            let all = offers(&policies.set, &who, name, &known).into_iter();
            all.filter(|offer| (offer.place == OfferPlace::Cluster) == self.cluster_wide).collect()
        };
        let same = |a: &Offer, b: &Offer| (&a.role, &a.policy) == (&b.role, &b.policy);
        let places: Vec<Vec<Offer>> = names.iter().map(offered_in).collect();
        let everywhere = |offer: &&Offer| places.iter().all(|place| place.iter().any(|other| same(offer, other)));
        let mut offered: Vec<Candidate> = Vec::new();
        for offer in places.iter().flatten().filter(everywhere) {
            let about = format!("up to {}, policy {}", duration::format(offer.longest), offer.policy);
            let candidate = Candidate::new(typed(&offer.role), about);
            if offered.iter().all(|known| known.value != candidate.value) {
                offered.push(candidate);
            }
        }
        offered.sort_by(|a, b| a.value.cmp(&b.value));
        Ok(offered)
    }
}

/// The cluster flags of the line, read as a command would read them.
fn connection(cursor: &CursorOnLine<'_>) -> Option<Connection> {
    let flags = Connection::augment_args(clap::Command::new("kubectl")).no_binary_name(true);
    let is_one = |long: &str| flags.get_arguments().any(|arg| arg.get_long() == Some(long));
    let given = cursor.given().filter_map(|(arg, value)| Some((arg.get_long()?, value)));
    let line: Vec<String> =
        given.filter(|(long, _)| is_one(long)).map(|(long, value)| format!("--{long}={value}")).collect();
    Connection::from_arg_matches(&flags.try_get_matches_from(line).ok()?).ok()
}

fn is_meant(request: &AccessRequest, meant: RequestsMeant, policies: Option<&PoliciesRead>, who: &Identity) -> bool {
    let set = policies.map(|policies| &policies.set);
    match meant {
        RequestsMeant::All => true,
        RequestsMeant::Own => requests::is_of(request, who),
        RequestsMeant::OwnOpen => requests::is_of(request, who) && !request.is_over(),
        RequestsMeant::OwnRunning => requests::is_of(request, who) && request.has_grant(),
        RequestsMeant::ToDecide => waits_for(request, set, who),
        RequestsMeant::ToRevoke => has_effect(request, set, who, &review(ReviewVerdict::Revoke, None, who)).is_ok(),
    }
}

/// A request, and in a few words what it is.
fn candidate(request: &AccessRequest) -> Candidate {
    let about = format!("{}: {}, {}", words::requester(request), words::what(request), words::state(request).words);
    Candidate::new(request.name_any(), about)
}

/// A role as it is typed.
fn typed(role: &RoleName) -> String {
    match role.kind {
        RoleKind::ClusterRole => role.name.clone(),
        RoleKind::Role => format!("role/{}", role.name),
    }
}

/// All namespaces; for whoever may not list them, those that the kubeconfig and the policies name.
async fn namespaces(cluster: &Cluster, connection: &Connection) -> Vec<Candidate> {
    let api: Api<NamespaceObject> = Api::all(cluster.client.clone());
    let names: BTreeSet<String> = match cluster.read(api.list_metadata(&ListParams::default())).await {
        Ok(all) => all.items.iter().map(ResourceExt::name_any).collect(),
        Err(_) => {
            let policies = PoliciesRead::read(cluster).await.map(|read| read.set).unwrap_or_default();
            let readable = policies.all().filter_map(|(_, entry)| entry.readable());
            let of_policies = readable.flat_map(|policy| policy.scope.named()).map(str::to_owned);
            let of_contexts = kubeconfig(connection).contexts.into_iter().filter_map(|named| named.context?.namespace);
            of_policies.chain(of_contexts).chain([cluster.namespace.clone()]).collect()
        }
    };
    names.into_iter().map(|name| Candidate::new(name, "")).collect()
}

/// The latest, each with how much of it is left to decide.
async fn campaigns(cluster: &Cluster) -> Result<Vec<Candidate>, PluginError> {
    let about = |campaign: &ShownCampaign| match &campaign.closed {
        Some(_) => "closed".to_owned(),
        None => format!("{} of {} open", campaign.counts.open, campaign.counts.items),
    };
    let all = calls::list(cluster).await?;
    Ok(all.into_iter().map(|campaign| Candidate::new(campaign.name.clone(), about(&campaign))).collect())
}

async fn policies(cluster: &Cluster) -> Result<Vec<Candidate>, PluginError> {
    let policies = PoliciesRead::read(cluster).await?;
    let about = |name: &str| match policies.set.get(name).and_then(|entry| entry.readable()) {
        Some(policy) if policy.effect == Effect::Deny => "denies",
        Some(policy) if policy.is_for_break_glass_only() => "break-glass",
        _ => "",
    };
    Ok(policies.set.all().map(|(name, _)| Candidate::new(name, about(name))).collect())
}

fn contexts(connection: &Connection) -> Vec<Candidate> {
    let named = kubeconfig(connection).contexts.into_iter();
    let cluster = |context: Option<kube::config::Context>| context.map(|context| context.cluster).unwrap_or_default();
    let mut contexts: Vec<Candidate> =
        named.map(|named| Candidate::new(named.name, format!("cluster {}", cluster(named.context)))).collect();
    contexts.sort_by(|a, b| a.value.cmp(&b.value));
    contexts
}

/// Without one, there is nothing in it.
fn kubeconfig(connection: &Connection) -> Kubeconfig {
    reach::kubeconfig(connection).unwrap_or_default()
}
