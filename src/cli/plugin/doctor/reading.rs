//! Reads what the doctor goes by, with the caller's own rights, and notes what they may not read. Judges nothing.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, stream};
use http::Request;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleBinding};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::core::{GroupVersionKind, Status};
use kube::{Api, Client, ResourceExt};
use tokio::time::Instant;

use super::facts::{
    ArchiveSeen, HealthFacts, InstalledController, Looked, ProbeSeen, RequestStanding, RequestsSeen, StampSeen,
    UnreadFact, WhyUnread, decoded,
};
use super::judge::guards::{expected, stamp_webhook};
use super::judge::objects::GRACE;
use super::marked::MarkedText;
use super::rights;
use super::setup::OwnSetup;
use crate::api::crds;
use crate::api::keys;
use crate::api::request::{AccessRequest, State};
use crate::api::subject::Identity;
use crate::archive::who::readers::{GROUP, VERSION};
use crate::cli::plugin::activity::reading::findings;
use crate::cli::plugin::cluster::Cluster;
use crate::cli::plugin::history::archived::{self, NoArchive};
use crate::cli::plugin::identity;
use crate::cli::plugin::requests::{self, Where};
use crate::cli::plugin::seen::{InstallationArgs, PoliciesRead, Seen};
use crate::controller::loops::canary::read_guards;
use crate::controller::observe::{DecodedPolicy, DecodedRequest};
use crate::core::activity::told::ToldFinding;
use crate::core::guard::sight::SeenGuard;
use crate::core::rbac::binding::Observed;
use crate::core::report::explain::Outcome;
use crate::runtime::clock::Clock;
use crate::runtime::dates;
use crate::runtime::judged_clock::{JudgedClock, Witness};
use crate::runtime::leader::LEASE;

/// Label of everything that the chart makes for the controller, and its value: the name of the chart.
const CHART: &str = "app.kubernetes.io/name=daypass";
/// How many pods are asked how they are.
const MOST_PODS: usize = 5;
/// How many requests are looked into at a time.
const CONCURRENT_READS: usize = 8;
/// Name of the port of probes and figures.
const PORT: &str = "http";

/// Reads everything. From an API server that says nothing at first, nothing more is asked: each question would take as long.
pub async fn facts(cluster: &Cluster, installation: &InstallationArgs) -> HealthFacts {
    let reader = Reader { cluster, release: installation.release() };
    let clock = JudgedClock::new(Clock::wall());
    let setup = OwnSetup::on(&std::env::var_os("PATH").unwrap_or_default());
    let (kubernetes, me) = match tokio::join!(reader.version(&clock), reader.me()) {
        (Err(kubernetes), Err(me)) => {
            return HealthFacts::of_nothing(reader.release, setup, clock.read(), kubernetes, me);
        }
        asked => asked,
    };
    let controller = reader.controller().await;
    let known = controller.as_ref().ok().and_then(Option::as_ref);
    let rights = async {
        let Some(known) = known else { return Err(UnreadFact::hangs_on("what the controller may do")) };
        let account = (reader.release, known.account.as_str());
        let asked = [rights::needed(known, reader.release), rights::excessive()].concat();
        rights::of_account(cluster, account, asked).await
    };
    let (kinds, definitions, guards, stamp) =
        tokio::join!(reader.kinds(), reader.definitions(), reader.guards(known), reader.stamp(known),);
    let (controller_rights, own_rights, lease, archive, pods) = tokio::join!(
        rights,
        rights::own(cluster, rights::of_people(&cluster.namespace)),
        reader.lease(),
        reader.archive(known),
        reader.pods(known),
    );
    let unexplained = reader.unexplained(known, &archive).await;
    let probes = reader.probes(pods.as_deref().unwrap_or_default()).await;
    let policies = reader.policies().await;
    let before = reader.bindings().await;
    let requests = reader.requests(installation, clock.now()).await;
    let bindings = match (before, reader.bindings().await) {
        (Ok(before), Ok(after)) => Ok(in_both(before, &after)),
        (Err(unread), _) | (_, Err(unread)) => Err(unread),
    };
    HealthFacts {
        release: reader.release.to_owned(),
        setup,
        kubernetes,
        clock: clock.read(),
        me,
        kinds,
        definitions,
        controller,
        guards,
        stamp,
        controller_rights,
        own_rights,
        lease,
        archive,
        unexplained,
        pods,
        probes,
        policies,
        requests,
        bindings,
    }
}

/// What was there both times: access that began or ended between two readings is no fault.
fn in_both(before: Vec<Observed>, after: &[Observed]) -> Vec<Observed> {
    let stayed = |one: &Observed| after.iter().any(|other| other.metadata.uid == one.metadata.uid);
    before.into_iter().filter(stayed).collect()
}

fn unread_archive(what: &'static str, why: NoArchive) -> UnreadFact {
    match why {
        NoArchive::Failed(error) => UnreadFact::of(what.into(), &error),
        NoArchive::Forbidden => UnreadFact { what: what.into(), why: WhyUnread::Forbidden, said: None },
        NoArchive::Silent(_) | NoArchive::NotServed => UnreadFact::hangs_on("the archive"),
    }
}

struct Reader<'a> {
    cluster: &'a Cluster,
    release: &'a str,
}

impl Reader<'_> {
    fn client(&self) -> Client {
        self.cluster.client.clone()
    }

    async fn look<T>(&self, what: MarkedText, call: impl Future<Output = kube::Result<T>>) -> Looked<T> {
        let answer = self.cluster.call(what.to_string(), call).await;
        answer.map_err(|error| UnreadFact::of(what, &error))
    }

    fn here(&self, what: &'static str) -> MarkedText {
        MarkedText::of(what).words(" in namespace ").namespace(self.release)
    }

    /// The version of the API server, and by the way what time it is there.
    async fn version(&self, clock: &JudgedClock) -> Looked<String> {
        let client = self.client();
        let ask = async {
            let sent = Instant::now();
            let question = Request::get("/version").body(Vec::new().into()).map_err(kube::Error::HttpError)?;
            let answer = client.send(question).await?;
            if answer.status().is_success()
                && let Some(stated) = dates::date(answer.headers())
            {
                clock.hear(Witness::Date, sent, stated);
            }
            client.apiserver_version().await
        };
        let version = self.look("ask the API server for its version".into(), ask).await?;
        Ok(version.git_version)
    }

    async fn me(&self) -> Looked<Identity> {
        let what = "create selfsubjectreviews";
        identity::caller(self.cluster).await.map_err(|error| UnreadFact::of(what.into(), &error))
    }

    async fn kinds(&self) -> Looked<BTreeSet<String>> {
        let (client, version) = (self.client(), format!("{}/{}", keys::GROUP, keys::VERSION));
        let served = self.look("ask which kinds are served".into(), client.list_api_group_resources(&version)).await;
        match served {
            Ok(list) => Ok(list.resources.into_iter().map(|resource| resource.name).collect()),
            Err(UnreadFact { why: WhyUnread::NotServed, .. }) => Ok(BTreeSet::new()),
            Err(unread) => Err(unread),
        }
    }

    async fn definitions(&self) -> Looked<Vec<CustomResourceDefinition>> {
        let api: Api<CustomResourceDefinition> = Api::all(self.client());
        let mut found = Vec::new();
        for crd in crds() {
            let what = MarkedText::of("get customresourcedefinitions");
            found.extend(self.look(what, api.get_opt(&crd.name_any())).await?);
        }
        Ok(found)
    }

    async fn controller(&self) -> Looked<Option<InstalledController>> {
        let api: Api<Deployment> = Api::namespaced(self.client(), self.release);
        let listed = self.look(self.here("list deployments"), api.list(&ListParams::default().labels(CHART))).await?;
        Ok(listed.items.iter().find_map(InstalledController::of))
    }

    /// The guards that the chart made, or would have made under its usual names.
    async fn guards(&self, known: Option<&InstalledController>) -> Looked<BTreeMap<String, SeenGuard>> {
        let (client, expected) = (self.client(), expected(known));
        let what = "list validatingadmissionpolicies and validatingadmissionpolicybindings".into();
        self.look(what, async { Ok(read_guards(&client, &expected).await?.guards) }).await
    }

    async fn stamp(&self, known: Option<&InstalledController>) -> StampSeen {
        let api: Api<MutatingWebhookConfiguration> = Api::all(self.client());
        let name = stamp_webhook(known);
        let what = "get mutatingwebhookconfigurations";
        StampSeen { policies: self.stamp_policies().await, webhook: self.look(what.into(), api.get_opt(&name)).await }
    }

    /// Names of the policies that write into objects and have a binding. Of a kind that is not served there is none.
    async fn stamp_policies(&self) -> Looked<BTreeSet<String>> {
        let mut last = Ok(BTreeSet::new());
        for version in ["v1", "v1beta1"] {
            let (policies, bindings) = tokio::join!(
                self.mutating(version, "MutatingAdmissionPolicy", "mutatingadmissionpolicies"),
                self.mutating(version, "MutatingAdmissionPolicyBinding", "mutatingadmissionpolicybindings"),
            );
            let named = |bindings: Vec<DynamicObject>| -> BTreeSet<String> {
                bindings.iter().filter_map(|one| one.data["spec"]["policyName"].as_str().map(str::to_owned)).collect()
            };
            match (policies, bindings) {
                (Ok(policies), Ok(bindings)) => {
                    let bound = named(bindings);
                    return Ok(policies
                        .iter()
                        .map(ResourceExt::name_any)
                        .filter(|name| bound.contains(name))
                        .collect());
                }
                (Err(unread), _) | (_, Err(unread)) if unread.why != WhyUnread::NotServed => last = Err(unread),
                _ => {}
            }
        }
        last
    }

    async fn mutating(
        &self,
        version: &'static str,
        kind: &'static str,
        plural: &'static str,
    ) -> Looked<Vec<DynamicObject>> {
        let kind = GroupVersionKind::gvk("admissionregistration.k8s.io", version, kind);
        let api: Api<DynamicObject> = Api::all_with(self.client(), &ApiResource::from_gvk_with_plural(&kind, plural));
        let what = MarkedText::of("list ").words(plural);
        Ok(self.look(what, api.list(&ListParams::default())).await?.items)
    }

    async fn lease(&self) -> Looked<Option<Lease>> {
        let api: Api<Lease> = Api::namespaced(self.client(), self.release);
        self.look(self.here("get leases"), api.get_opt(LEASE)).await
    }

    /// What the API server says of the archive that the controller delivers to. Of one elsewhere it knows nothing.
    async fn archive(&self, known: Option<&InstalledController>) -> Looked<ArchiveSeen> {
        if known.is_none_or(|known| known.archive.is_none()) {
            return Ok(ArchiveSeen::NotServed);
        }
        match archived::answers(self.cluster).await {
            Ok(()) => Ok(ArchiveSeen::Answers),
            Err(NoArchive::NotServed) => Ok(ArchiveSeen::NotServed),
            Err(NoArchive::Silent(why)) => Ok(ArchiveSeen::Silent(self.unavailable().await.unwrap_or(why))),
            Err(other) => Err(unread_archive("ask the archive", other)),
        }
    }

    /// The writes that no record explains, if there is an archive that can know of them.
    async fn unexplained(
        &self,
        known: Option<&InstalledController>,
        archive: &Looked<ArchiveSeen>,
    ) -> Looked<Option<Vec<ToldFinding>>> {
        let hears = known.and_then(|known| known.archive.as_ref()).is_some_and(|archive| archive.hears);
        if !hears || !matches!(archive, Ok(ArchiveSeen::Answers)) {
            return Ok(None);
        }
        match findings(self.cluster).await {
            Ok(found) => Ok(Some(found)),
            Err(why) => Err(unread_archive("list findings.archive.daypass.dev", why)),
        }
    }

    /// Why the API server does not pass calls on to the archive, if it says so and the caller may read it.
    async fn unavailable(&self) -> Option<String> {
        let kind = GroupVersionKind::gvk("apiregistration.k8s.io", "v1", "APIService");
        let kind = ApiResource::from_gvk_with_plural(&kind, "apiservices");
        let api: Api<DynamicObject> = Api::all_with(self.client(), &kind);
        let service = self.look("get apiservices".into(), api.get(&format!("{VERSION}.{GROUP}"))).await.ok()?;
        let conditions = service.data["status"]["conditions"].as_array()?.clone();
        let unavailable = conditions.iter().find(|one| one["type"] == "Available" && one["status"] != "True")?;
        unavailable["message"].as_str().map(str::to_owned)
    }

    async fn pods(&self, known: Option<&InstalledController>) -> Looked<Vec<Pod>> {
        let api: Api<Pod> = Api::namespaced(self.client(), self.release);
        let listed = self.look(self.here("list pods"), api.list(&ListParams::default().labels(CHART))).await?;
        let account = known.map(|known| known.account.as_str());
        let ours = |pod: &Pod| {
            let of = pod.spec.as_ref().and_then(|spec| spec.service_account_name.as_deref());
            account.is_none() || of == account
        };
        Ok(listed.items.into_iter().filter(ours).collect())
    }

    /// What pods say of themselves, through the API server.
    async fn probes(&self, pods: &[Pod]) -> Vec<ProbeSeen> {
        let mut probes = Vec::new();
        for pod in pods.iter().filter(|pod| is_running(pod)).take(MOST_PODS) {
            let (name, port) = (pod.name_any(), port(pod));
            let ask = |path: &'static str| self.ask_pod(format!("{name}:{port}"), path);
            let (readiness, metrics) = tokio::join!(ask("readyz"), ask("metrics"));
            probes.push(ProbeSeen { pod: name, readiness, metrics });
        }
        probes
    }

    async fn ask_pod(&self, pod: String, path: &'static str) -> Looked<(u16, String)> {
        let client = self.client();
        let url = format!("/api/v1/namespaces/{}/pods/{pod}/proxy/{path}", self.release);
        let ask = async {
            let question = Request::get(url).body(Vec::new().into()).map_err(kube::Error::HttpError)?;
            let answer = client.send(question).await?;
            let status = answer.status().as_u16();
            let text = answer.into_body().collect_bytes().await?;
            let text = String::from_utf8_lossy(&text).into_owned();
            // The API server's own answer, in place of the pod's.
            match serde_json::from_str::<Status>(&text) {
                Ok(refusal) if status != 200 => Err(kube::Error::Api(Box::new(refusal))),
                _ => Ok((status, text)),
            }
        };
        self.look(self.here("get pods/proxy"), ask).await
    }

    async fn policies(&self) -> Looked<Vec<DecodedPolicy>> {
        let api: Api<DecodedPolicy> = Api::all(self.client());
        Ok(self.look("list accesspolicies".into(), api.list(&ListParams::default())).await?.items)
    }

    /// The requests of all namespaces, or of the one that is meant where the caller may not list all.
    async fn requests(&self, installation: &InstallationArgs, now: Timestamp) -> Looked<RequestsSeen> {
        let own = Where::Namespace(self.cluster.namespace.clone());
        let mut elsewhere = None;
        let mut place = Where::Everywhere;
        let listed = match self.listed(&place).await {
            Err(unread) if unread.is_forbidden() => {
                (elsewhere, place) = (Some(unread), own);
                self.listed(&place).await?
            }
            listed => listed?,
        };
        let (all, undecodable) = decoded(listed);
        let policies = PoliciesRead::read(self.cluster).await.ok();
        let policies = policies.as_ref();
        let standing = async |request: AccessRequest| {
            let outcome = match policies {
                Some(policies) => self.outcome(&request, policies, installation, now).await,
                None => None,
            };
            RequestStanding { request, outcome }
        };
        let requests = stream::iter(all).map(standing).buffered(CONCURRENT_READS).collect().await;
        Ok(RequestsSeen { place, requests, undecodable, elsewhere })
    }

    async fn listed(&self, place: &Where) -> Looked<Vec<DecodedRequest>> {
        let what = match place {
            Where::Everywhere => MarkedText::of("list accessrequests in all namespaces"),
            Where::Namespace(name) => MarkedText::of("list accessrequests in namespace ").namespace(name),
        };
        Ok(self.look(what, requests::api(self.cluster, place).list(&ListParams::default())).await?.items)
    }

    /// What the core says of a request that waits, a while ago by the clock: what it says now may be on its way.
    async fn outcome(
        &self,
        request: &AccessRequest,
        policies: &PoliciesRead,
        installation: &InstallationArgs,
        now: Timestamp,
    ) -> Option<Outcome> {
        let state = request.status.as_ref().map(|status| status.state).unwrap_or_default();
        if state != State::Pending {
            return None;
        }
        let seen = Seen::of(self.cluster, request, policies, installation).await.ok()?;
        Some(seen.explain(now.saturating_sub(GRACE).ok()?).outcome)
    }

    async fn bindings(&self) -> Looked<Vec<Observed>> {
        let ours = ListParams::default().labels(&format!("{}={}", keys::MANAGED_BY, keys::DAYPASS));
        let roles: Api<RoleBinding> = Api::all(self.client());
        let cluster_roles: Api<ClusterRoleBinding> = Api::all(self.client());
        let roles = self.look("list rolebindings in all namespaces".into(), roles.list(&ours)).await?;
        let cluster_roles = self.look("list clusterrolebindings".into(), cluster_roles.list(&ours)).await?;
        let roles = roles.items.iter().map(Observed::from);
        Ok(roles.chain(cluster_roles.items.iter().map(Observed::from)).collect())
    }
}

fn is_running(pod: &Pod) -> bool {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running")
}

/// The port of its probes and figures.
fn port(pod: &Pod) -> i32 {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let mut ports = containers.flat_map(|container| container.ports.iter().flatten());
    ports.find(|port| port.name.as_deref() == Some(PORT)).map_or(8080, |port| port.container_port)
}
