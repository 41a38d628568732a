//! `kubectl daypass explain`: reads what a request is decided by, with the rights of whoever asks, and has the core
//! explain it. Writes nothing.

use std::borrow::Cow;
use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::core::v1::Namespace as NamespaceObject;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ListParams, PostParams};
use kube::{Api, Client, ResourceExt};

use super::manifests::from_file_or_input;
use super::output::{Connection, Output, PluginError, is_forbidden};
use super::show;
use crate::api::conditions::{self, ConditionStatus};
use crate::api::reason::Reason;
use crate::api::request::AccessRequest;
use crate::api::subject::Identity;
use crate::controller::observe::{self, DecodedPolicy, DecodedRequest};
use crate::core::decision::protected::{Protected, USUAL_RELEASE};
use crate::core::decision::served::ServedNamespaces;
use crate::core::decision::snapshot::Snapshot;
use crate::core::guard::Guard;
use crate::core::lifecycle::break_glass::is_unreviewed;
use crate::core::model::namespaces::{Namespace, Namespaces};
use crate::core::policies::limits::{self, Counted};
use crate::core::policies::usable::BindRights;
use crate::core::policies::{PolicySet, origin};
use crate::core::rbac::role::RoleSeen;
use crate::core::report::explain::explain;
use crate::runtime::client::{self, ClientError};
use crate::runtime::clock::Clock;

/// The command line of `explain`.
#[derive(Debug, clap::Args)]
pub struct ExplainArgs {
    /// Name of the request.
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    name: Option<String>,
    /// A request that is not made yet: a file, or - for standard input.
    #[arg(short, long = "filename", value_name = "FILE", id = "file")]
    file: Option<PathBuf>,
    /// Namespace of the request. Left out: that of the file or context.
    #[arg(short, long)]
    namespace: Option<String>,
    /// How to print it.
    #[arg(short, long, value_enum, default_value_t = show::Format::Text)]
    output: show::Format,
    /// With -f: as if this user asked, rather than you.
    #[arg(long, requires = "file")]
    as_user: Option<String>,
    /// With --as-user: a group of that user. Can be given again.
    #[arg(long, requires = "as_user")]
    as_group: Vec<String>,
    /// The namespaces that the cluster's Daypass is limited to (`watchNamespaces` of its chart), separated by commas. They
    /// cannot be read from the cluster. Left out: it serves all.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = NonEmptyStringValueParser::new())]
    watch_namespaces: Vec<String>,
    /// Namespace that the cluster's Daypass is installed in: it is protected, as kube-system is.
    #[arg(long, value_name = "NAME", default_value = USUAL_RELEASE)]
    release_namespace: String,
    #[command(flatten)]
    connection: Connection,
}

/// Explains the requests that the command line names.
///
/// # Errors
/// Why it cannot.
pub async fn run(args: ExplainArgs) -> Result<Output, PluginError> {
    let connection = &args.connection;
    let config = client::of_person(connection.kubeconfig.as_deref(), connection.context.as_deref()).await?;
    let fallback = config.default_namespace.clone();
    let client = Client::try_from(config).map_err(ClientError::from)?;
    let (reach, release) = (ServedNamespaces::of(args.watch_namespaces.clone()), args.release_namespace.clone());
    let cluster = Cluster { client, reach, release, notes: Vec::new() };
    let now = Clock::wall().now();
    let requests = match (&args.name, &args.file) {
        (Some(name), _) => vec![cluster.request(args.namespace.as_deref().unwrap_or(&fallback), name).await?],
        (None, Some(_)) => cluster.drafts(&args, &fallback, now).await?,
        (None, None) => return Err(PluginError::NothingNamed),
    };
    let mut text = String::new();
    for request in &requests {
        let mut cluster = Cluster { notes: Vec::new(), ..cluster.clone() };
        text.push_str(&cluster.explain(request, now, args.output).await?);
    }
    Ok(Output { text, code: 0 })
}

/// The cluster as whoever asks may see it.
#[derive(Clone)]
struct Cluster {
    client: Client,
    /// Where requests are served, as whoever asks says.
    reach: ServedNamespaces,
    /// Namespace that Daypass is installed in, as whoever asks says.
    release: String,
    /// What could not be read.
    notes: Vec<String>,
}

impl Cluster {
    async fn request(&self, namespace: &str, name: &str) -> Result<AccessRequest, PluginError> {
        let api: Api<DecodedRequest> = Api::namespaced(self.client.clone(), namespace);
        let what = format!("get accessrequests in namespace {namespace}");
        let found = api.get_opt(name).await.map_err(|error| PluginError::api(what, error))?;
        let found = found
            .ok_or_else(|| PluginError::NoSuchRequest { namespace: namespace.to_owned(), name: name.to_owned() })?;
        found.0.map_err(|invalid| PluginError::Undecodable {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            problem: invalid.error.to_string(),
        })
    }

    /// Requests that are not made yet, as the cluster would stamp them.
    async fn drafts(&self, args: &ExplainArgs, own: &str, now: Timestamp) -> Result<Vec<AccessRequest>, PluginError> {
        let documents = from_file_or_input(args.file.as_deref().unwrap_or("-".as_ref()))?;
        let who = match &args.as_user {
            Some(username) => Identity { username: username.clone(), uid: None, groups: args.as_group.clone() },
            None => self.caller().await?,
        };
        let mut drafts = Vec::new();
        for document in documents.iter().filter(|document| document.is("AccessRequest")) {
            let mut request = document.request()?;
            let given = args.namespace.as_deref();
            let named = request.metadata.namespace.take();
            if let (Some(named), Some(given)) = (&named, given)
                && named != given
            {
                return Err(PluginError::OtherNamespace {
                    from: document.from.clone(),
                    named: named.clone(),
                    given: given.to_owned(),
                });
            }
            request.metadata.namespace = named.or_else(|| given.map(str::to_owned)).or_else(|| Some(own.to_owned()));
            request.metadata.creation_timestamp = Some(Time(now));
            request.spec.requester = Some(who.clone());
            request.status = None;
            drafts.push(request);
        }
        if drafts.is_empty() { Err(PluginError::NothingFound("AccessRequest in this file")) } else { Ok(drafts) }
    }

    /// Who asks, as the API server knows them.
    async fn caller(&self) -> Result<Identity, PluginError> {
        let api: Api<SelfSubjectReview> = Api::all(self.client.clone());
        let review = api.create(&PostParams::default(), &SelfSubjectReview::default()).await;
        let review = review.map_err(|error| PluginError::api("create selfsubjectreviews", error))?;
        let who = review.status.and_then(|status| status.user_info).unwrap_or_default();
        let (username, groups) = (who.username.unwrap_or_default(), who.groups.unwrap_or_default());
        Ok(Identity { username, uid: who.uid.filter(|uid| !uid.is_empty()), groups })
    }

    async fn explain(
        &mut self,
        request: &AccessRequest,
        now: Timestamp,
        format: show::Format,
    ) -> Result<String, PluginError> {
        let (policies, rights) = self.policies().await?;
        let extended = self.extended(request).await;
        let namespaces = self.namespaces(request, extended.as_ref()).await?;
        let namespaces = self.reach.known(namespaces);
        let role = self.role(request, &namespaces).await;
        let recorded = request.status.as_ref().and_then(|status| status.risk.clone());
        let protected = Protected::with_release(&self.release);
        let extent = protected.extent(request, extended.as_ref(), &namespaces);
        let risk = role.as_ref().map(|role| role.risk(&request.spec.rules, extent)).or(recorded);
        let all = self.requests(request, &policies).await;
        let unreviewed: Vec<AccessRequest> = all.iter().filter(|other| is_unreviewed(other)).cloned().collect();
        let counted = all.iter().filter_map(|r| Some((r.metadata.uid.as_deref(), Cow::Owned(Counted::of(r)?))));
        let others = limits::others(request, |name| policies.has_limits(name), counted);
        let guard = guard(request);
        let snapshot = Snapshot {
            reach: &self.reach,
            protected: Protected::with_release(&self.release),
            others: &others,
            role: role.as_ref(),
            bind_rights: Some(&rights),
            risk: risk.as_ref(),
            extended: extended.as_ref(),
            unreviewed: &unreviewed,
            ..Snapshot::bare(request, &policies, &namespaces, &guard)
        };
        show::written(request, &explain(&snapshot, now), &self.notes, format)
    }

    /// All policies, and what they say of themselves of the roles that can be bound: nobody but the controller may ask what
    /// it may.
    async fn policies(&self) -> Result<(PolicySet, BindRights), PluginError> {
        let api: Api<DecodedPolicy> = Api::all(self.client.clone());
        let listed =
            api.list(&ListParams::default()).await.map_err(|error| PluginError::api("list accesspolicies", error))?;
        let rights = BindRights::on_record(listed.items.iter().filter_map(|policy| policy.0.as_ref().ok()));
        Ok((observe::policy_set(&PolicySet::default(), &listed.items, origin::doubt_on_record), rights))
    }

    /// All namespaces, or as many as the request names and one may read.
    async fn namespaces(
        &mut self,
        request: &AccessRequest,
        extended: Option<&AccessRequest>,
    ) -> Result<Namespaces, PluginError> {
        let api: Api<NamespaceObject> = Api::all(self.client.clone());
        match api.list_metadata(&ListParams::default()).await {
            Ok(list) => return Ok(list.items.iter().map(observe::namespace).collect()),
            Err(error) if is_forbidden(&error) => {}
            Err(error) => return Err(PluginError::api("list namespaces", error)),
        }
        if request.spec.scope.as_ref().is_some_and(|scope| scope.namespace_selector.is_some()) {
            return Err(PluginError::NamespacesNotListed);
        }
        let mut found = Namespaces::new();
        let mut unread = Vec::new();
        for name in named(request, extended) {
            match api.get_metadata_opt(&name).await {
                Ok(Some(object)) => found.extend([observe::namespace(&object)]),
                Ok(None) => {}
                Err(error) if is_forbidden(&error) => {
                    found.insert(name.clone(), Namespace::default());
                    unread.push(name);
                }
                Err(error) => return Err(PluginError::api("get namespaces", error)),
            }
        }
        if !unread.is_empty() {
            self.notes.push(format!(
                "you may not read namespace {}: taken to be there without labels, so the answer may differ where a \
                 policy asks for labels",
                unread.join(", ")
            ));
        }
        Ok(found)
    }

    async fn extended(&mut self, request: &AccessRequest) -> Option<AccessRequest> {
        let (name, namespace) = (request.spec.extends.as_ref()?, request.namespace()?);
        match observe::request(&self.client, &namespace, name).await {
            Ok(found) => found,
            Err(error) => {
                self.notes
                    .push(format!("{name}, which it extends, could not be read ({error}): the answer may differ"));
                None
            }
        }
    }

    /// The role, as the cluster has it; nothing when it cannot be read, or does not matter any more.
    async fn role(&mut self, request: &AccessRequest, namespaces: &Namespaces) -> Option<RoleSeen> {
        if request.is_over() {
            return None;
        }
        match observe::role(&self.client, request, namespaces).await {
            Ok(role) => Some(role),
            Err(error) => {
                let recorded = request.status.as_ref().and_then(|status| status.risk.as_ref());
                let known = recorded.map_or("Unknown", |risk| risk.level.as_str());
                self.notes.push(format!(
                    "{} could not be read ({error}): its risk is taken to be {known}, so the answer may differ where a \
                     policy asks for it, and for the whole cluster",
                    request.spec.role
                ));
                // What it lacks of rules that are asked for cannot be said without it.
                (!request.spec.rules.is_empty()).then(RoleSeen::with_every_right)
            }
        }
    }

    /// Other requests, as far as some are looked at: for limits, and for reviews of break-glass access that are open.
    async fn requests(&mut self, request: &AccessRequest, policies: &PolicySet) -> Vec<AccessRequest> {
        if request.is_decided() || !(request.spec.break_glass || policies.any_limits()) {
            return Vec::new();
        }
        let all: Api<DecodedRequest> = Api::all(self.client.clone());
        let own: Api<DecodedRequest> = Api::namespaced(self.client.clone(), &request.namespace().unwrap_or_default());
        let mut listed = all.list(&ListParams::default()).await;
        if let Err(error) = &listed {
            self.notes.push(format!(
                "the requests of all namespaces could not be listed ({error}): what other namespaces have counts for limits, \
                 and an overdue review there would deny break-glass access"
            ));
            listed = own.list(&ListParams::default()).await;
        }
        let others = listed.map(|list| list.items).unwrap_or_default().into_iter().filter_map(|decoded| decoded.0.ok());
        others.filter(|other| other.uid() != request.uid()).collect()
    }
}

/// What the controller last said of the cluster's guard or of its own clock, on the request itself: while one of them is not
/// as it should be, nothing new is granted. Neither can be tried from here.
fn guard(request: &AccessRequest) -> Guard {
    let waits = [Reason::GuardMissing, Reason::ClockWrong].map(Reason::as_str);
    let conditions = request.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    match conditions::find(conditions, conditions::APPROVED) {
        Some(known) if known.status == ConditionStatus::Unknown && waits.contains(&&*known.reason) => {
            Guard::Missing(known.message.clone())
        }
        _ => Guard::since(Timestamp::MIN),
    }
}

/// The namespaces that a request is about.
fn named(request: &AccessRequest, extended: Option<&AccessRequest>) -> Vec<String> {
    let asked = request.spec.scope.iter().flat_map(|scope| scope.namespaces.clone());
    let granted = [Some(request), extended].into_iter().flatten().filter_map(|r| r.status.as_ref());
    let granted = granted.flat_map(|status| status.bindings.iter().filter_map(|b| b.namespace.clone()));
    let mut names: Vec<String> = asked.chain(granted).chain(request.namespace()).collect();
    names.sort();
    names.dedup();
    names
}
