//! Why a command of the plugin fails, in words that name the way out.

use std::time::Duration;

use kube::Resource;
use kube::core::Status;

use super::exit::Exit;
use super::output::format::FormatError;
use super::reach::failure::{ReachError, reason};
use crate::api::policy::AccessPolicy;
use crate::api::request::AccessRequest;
use crate::archive::who::campaigners::CAMPAIGNS;
use crate::core::proof::checkpoint::CheckpointFault;
use crate::core::proof::proof_file::BadProof;

/// Files or documents that cannot be used: every fault, with the file and field.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct InvalidInput(pub Vec<String>);

impl InvalidInput {
    /// One fault of a file or document.
    pub fn one(from: &str, problem: impl std::fmt::Display) -> Self {
        Self(vec![format!("{from}: {problem}")])
    }
}

/// Why a command of the plugin failed.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// A manifest that names somebody else as the one who asks.
    #[error("spec.requester of {name} is {written}, and you are {caller}: leave it out, it is written for you")]
    AsSomebodyElse {
        /// Name of the request, as far as it has one.
        name: String,
        /// Who is written.
        written: String,
        /// Who the caller is.
        caller: String,
    },
    /// A text in which nothing was refused.
    #[error(
        "there is no refusal in that text: it should have a line such as: pods \"a\" is forbidden: User \"me\" cannot get \
         resource \"pods\" in API group \"\" in the namespace \"shop\""
    )]
    NoRefusal,
    /// Refusals of somebody else, for which access of the caller's is of no use.
    #[error("that was refused to {refused}, and you are {caller}: have {refused} ask, or log in as {refused}")]
    RefusedToSomebodyElse {
        /// Whom it was refused to.
        refused: String,
        /// Who the caller is.
        caller: String,
    },
    /// The command line names nothing to look at.
    #[error("name a request, or give one with -f")]
    NothingNamed,
    /// Files that hold nothing of what the command is about.
    #[error("there is no {0}")]
    NothingFound(&'static str),
    /// A manifest names another namespace than the command line.
    #[error("{from}: is for namespace {named}, and -n says {given}")]
    OtherNamespace {
        /// Which document.
        from: String,
        /// The namespace that it names.
        named: String,
        /// The namespace of the command line.
        given: String,
    },
    /// Files that cannot be used.
    #[error(transparent)]
    InvalidInput(#[from] InvalidInput),
    /// A flag whose value makes no sense, and what would.
    #[error("{flag}: {problem}")]
    Flag {
        /// The flag as it is typed.
        flag: &'static str,
        /// What is wrong, and the way out.
        problem: String,
    },
    /// Answers that no flag gives, and nobody who could be asked.
    #[error("nobody is there who could be asked, and these answers are missing: {}", flags.join(", "))]
    Unanswered {
        /// The flags that give them.
        flags: Vec<&'static str>,
    },
    /// Nobody is there who could be asked.
    #[error("this is no terminal, so nobody can be asked: give --yes to go on without")]
    NobodyToAsk,
    /// What completes the command line is in no folder, why, and the way out.
    #[error("kubectl will not find what completes the command line:\n{0}")]
    CompleterNotInstalled(String),
    /// A request that the cluster does not have.
    #[error("there is no request {name} in namespace {namespace}: see kubectl daypass list -n {namespace} --everyone")]
    NoSuchRequest {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// A request that neither the cluster nor the archive knows, as far as the caller may read them.
    #[error("nothing is known of a request {request}{place}: -A looks in all namespaces")]
    NoRecords {
        /// Its name or UID.
        request: String,
        /// Where it was looked for.
        place: String,
    },
    /// The archive has a record of a schema that this version does not know.
    #[error("a record of the archive cannot be read, so nothing would be whole: upgrade the plugin ({problem})")]
    UnknownRecord {
        /// What is wrong with it.
        problem: String,
    },
    /// What was done with grants is on record in the archive alone, and why it does not tell.
    #[error("it is not known what was done with grants: {why}")]
    NothingOnRecord {
        /// What is wrong, and the way out.
        why: String,
    },
    /// Records of requests that are still there carry the UID of a namespace that the caller may not read.
    #[error(
        "you may not get namespace kube-system, whose UID every record carries: have an admin give you get on namespaces, or read \
         when the archive has all records"
    )]
    NoClusterUid,
    /// The archive answered at first, and then no more.
    #[error("cannot {what} to the end, so what is here is not all: {why}")]
    ArchiveBrokeOff {
        /// Verb and resource.
        what: String,
        /// What is wrong.
        why: String,
    },
    /// Nothing is known of what was done with the access of a request.
    #[error("what was done with the access of {request} cannot be known: {why}")]
    NoActivity {
        /// Its name or UID.
        request: String,
        /// Why not.
        why: String,
    },
    /// The cluster has no archive, which alone keeps this.
    #[error(
        "cannot {what}: Daypass is not installed in this cluster, or without its archive: have an admin install its chart with \
         archive.enabled, or choose another cluster with --context"
    )]
    NotArchived {
        /// Verb and resource.
        what: String,
    },
    /// Nothing serves a log in this cluster.
    #[error(
        "cannot {what}: Daypass is not installed in this cluster, or without its archive, which keeps the log: have an admin \
         install its chart with archive.enabled, name an archive elsewhere with --archive, or choose another cluster with \
         --context"
    )]
    NoLogServed {
        /// Verb and resource.
        what: String,
    },
    /// Something of a log is not there.
    #[error("{from} has no {name}: read from an archive that keeps a log, or a folder that verify --keep wrote")]
    NoLog {
        /// Where it was looked for.
        from: String,
        /// Its name.
        name: String,
    },
    /// Something of a log cannot be read.
    #[error("{name} of {from} is not what it must be ({problem}): it was changed, or is of another version")]
    BrokenLog {
        /// Where it is from.
        from: String,
        /// Its name.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The newest checkpoint of a log is not signed by the key that was given.
    #[error("{from}: {fault}")]
    NotTheLog {
        /// Where it is from.
        from: String,
        /// What is wrong with it.
        fault: CheckpointFault,
    },
    /// A file does not prove what it says.
    #[error("{file} proves nothing: {fault}")]
    BadProof {
        /// Its name.
        file: String,
        /// What is wrong with it.
        fault: BadProof,
    },
    /// Several requests have had one name.
    #[error("several requests have had the name {name}: give the UID of one: {}", uids.join(", "))]
    SeveralRequests {
        /// The name.
        name: String,
        /// Their UIDs.
        uids: Vec<String>,
    },
    /// A stored request that is not as its CRD says.
    #[error("request {namespace}/{name} cannot be read: {problem}")]
    Undecodable {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The API server refused, or could not be reached.
    #[error("{}", way_out(what, source))]
    Api {
        /// Verb and resource.
        what: String,
        /// Its answer.
        source: kube::Error,
    },
    /// The API server cannot be reached.
    #[error(
        "cannot {what}: {server} cannot be reached ({why}): see that it is there, and that this is the cluster you mean"
    )]
    Away {
        /// Verb and resource.
        what: String,
        /// The API server, with its context.
        server: String,
        /// What is wrong with the line to it.
        why: String,
    },
    /// The cluster does not know who calls.
    #[error("cannot {what}: {why}")]
    NotLoggedIn {
        /// Verb and resource.
        what: String,
        /// Whose login it is, what is wrong with it, and the way out.
        why: String,
    },
    /// The API server did not answer in time.
    #[error("cannot {what}: no answer of {server} within {within:?}: see that it is there, or give --request-timeout")]
    NoAnswer {
        /// Verb and resource.
        what: String,
        /// How long it was waited for.
        within: Duration,
        /// The API server, with its context.
        server: String,
    },
    /// A watch came to its end, which it never should.
    #[error("the watch of accessrequests in namespace {namespace} ended: run the command again")]
    WatchEnded {
        /// What was watched.
        namespace: String,
    },
    /// The namespace that Daypass is said to be installed in has no notifier.
    #[error(
        "there is no notifier in namespace {namespace}: set notify.enabled in the values of the chart, or name the namespace \
         that Daypass is installed in with --release-namespace"
    )]
    NoNotifier {
        /// Where it was looked for.
        namespace: String,
    },
    /// The notifier is there, and nothing of it runs.
    #[error("no pod of the notifier in namespace {namespace} is ready ({why}): see {look}")]
    NotifierNotReady {
        /// Where it was looked for.
        namespace: String,
        /// How each of its pods is.
        why: String,
        /// The command that tells more.
        look: String,
    },
    /// Nobody says how a program in a pod ended.
    #[error(
        "it is not known how the program in pod {pod} of namespace {namespace} ended ({why}): run the command again"
    )]
    NoExecEnd {
        /// Where the pod is.
        namespace: String,
        /// Where the program ran.
        pod: String,
        /// What is known.
        why: String,
    },
    /// A selector cannot be evaluated by somebody who may not list namespaces.
    #[error(
        "the request asks for namespaces by label, and you may not list namespaces: have an admin give you `list` on \
         namespaces, or name them in spec.scope.namespaces"
    )]
    NamespacesNotListed,
    /// A command has nothing to talk to, or cannot be waited for.
    #[error("cannot serve the command on 127.0.0.1: {source}")]
    NoEndpoint {
        /// What the system says.
        source: std::io::Error,
    },
    /// There is no port for the page.
    #[error("cannot serve the page on {address}: {source}: leave --port out, and one that is free is taken")]
    NoPage {
        /// Where it was to be.
        address: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// No cluster to talk to.
    #[error(transparent)]
    Reach(#[from] ReachError),
    /// The result cannot be written.
    #[error(transparent)]
    Format(#[from] FormatError),
}

impl PluginError {
    /// How the process ends by it.
    pub fn exit(&self) -> Exit {
        match self {
            Self::NothingNamed
            | Self::NothingFound(_)
            | Self::OtherNamespace { .. }
            | Self::InvalidInput(_)
            | Self::Flag { .. }
            | Self::SeveralRequests { .. }
            | Self::AsSomebodyElse { .. }
            | Self::NoRefusal
            | Self::RefusedToSomebodyElse { .. }
            | Self::Unanswered { .. }
            | Self::NobodyToAsk => Exit::Usage,
            _ => Exit::Error,
        }
    }

    /// Whether it is that a right is missing.
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Self::Api { source, .. } if is_forbidden(source))
    }

    /// Whether it is not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Api { source: kube::Error::Api(status), .. } if status.code == 404)
    }

    /// Whether somebody else wrote in between.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Api { source: kube::Error::Api(status), .. } if status.code == 409)
    }
}

fn is_forbidden(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 403)
}

/// Whether it is the authorizer of the API server that speaks, and so a right that is missing. Admission answers with the same
/// code, and says something else; only the advice hangs on it.
fn is_missing_right(said: &str) -> bool {
    said.contains(" cannot ") && said.contains(" resource ")
}

/// Why a call failed; when a right is missing, which one and how to get it.
fn way_out(what: &str, error: &kube::Error) -> String {
    let said = said(error);
    match error {
        kube::Error::Api(status) if status.code == 403 && status.message.contains(" cannot impersonate") => {
            format!("cannot {what}: you may not act as somebody else: leave --as out (the API server says: {said})")
        }
        _ if is_forbidden(error) && is_missing_right(&said) => {
            format!("you may not {what}: have an admin {} (the API server says: {said})", who_has_it(&said))
        }
        kube::Error::Api(status) if status.reason == "AlreadyExists" => {
            format!("cannot {what}: {said}: give it another name, or metadata.generateName in its place")
        }
        kube::Error::Api(status) if is_not_served(what, status) => format!(
            "cannot {what}: Daypass is not installed in this cluster: have an admin install its chart, or choose another \
             cluster with --context (the API server says: {said})"
        ),
        _ => format!("cannot {what}: {said}"),
    }
}

/// Whether the API server does not know the kind of Daypass that a call is about. Of an object that is not there it says the name.
fn is_not_served(what: &str, status: &Status) -> bool {
    let names_one = status.details.as_ref().is_some_and(|details| !details.name.is_empty());
    let kinds = [AccessRequest::plural(&()), AccessPolicy::plural(&())];
    status.code == 404 && !names_one && kinds.iter().any(|kind| what.contains(&**kind))
}

/// What an admin is to do for whoever was refused this: which role of the chart gives it, if one does. What belongs to the
/// cluster takes a ClusterRoleBinding.
fn who_has_it(said: &str) -> &'static str {
    let is_about = |resource: &str| said.contains(&format!("resource \"{resource}\""));
    if is_about("campaigns/decisions") {
        "bind you to ClusterRole daypass-archive-owner, which has that right"
    } else if [CAMPAIGNS, "campaigns/look", "campaigns/close"].into_iter().any(is_about) {
        "bind you to ClusterRole daypass-archive-campaigns, which starts and closes them, or daypass-archive-owner, which decides"
    } else if is_about("accesspolicies") {
        "add you to readers.subjects in the values of the chart, which binds you to ClusterRole daypass-reader, which has that right"
    } else if is_about("rolebindings") || is_about("clusterrolebindings") {
        "bind you to ClusterRole daypass-auditor, which has that right"
    } else if is_about("pods") || is_about("pods/exec") {
        "give you list on pods and create and get on pods/exec there, and what the self-guard of the chart asks of whoever enters its \
         pods: administer on accesspolicies.daypass.dev, or your name in selfGuard.managers"
    } else if is_about("log") || is_about("openings") {
        "bind you to ClusterRole daypass-archive-reader, which has that right"
    } else {
        "bind you to ClusterRole daypass-requester or daypass-approver, which has that right"
    }
}

/// What the API server said, or what is wrong with the line to it.
pub fn said(error: &(dyn std::error::Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    let status = chain.filter_map(|error| error.downcast_ref::<kube::Error>()).find_map(|error| match error {
        kube::Error::Api(status) => Some(status.message.clone()),
        _ => None,
    });
    status.unwrap_or_else(|| reason(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(code: u16, message: &str) -> PluginError {
        let status = Status { code, message: message.to_owned(), ..Status::default() };
        failed("patch accessrequests/status", status)
    }

    fn failed(what: &str, status: Status) -> PluginError {
        PluginError::Api { what: what.to_owned(), source: kube::Error::Api(Box::new(status)) }
    }

    #[test]
    fn a_cluster_without_daypass_is_told_from_an_object_that_is_not_there() {
        let of = |name: &str| Some(serde_json::from_value(serde_json::json!({ "name": name })).unwrap());
        for (what, details, told) in [
            // As the API server says it where the group is not served, and where only the kind is not.
            ("list accessrequests in namespace shop", None, true),
            ("list accesspolicies", of(""), true),
            ("get accessrequests in namespace shop", of("fix"), false),
            ("create selfsubjectreviews", None, false),
        ] {
            let error = failed(what, Status { code: 404, details, ..Status::default() }).to_string();
            assert_eq!(error.contains("Daypass is not installed in this cluster"), told, "{error}");
        }
    }

    #[test]
    fn roles_are_advised_to_whom_a_right_is_missing() {
        let authorizer = "accessrequests.daypass.dev \"fix\" is forbidden: User \"eve\" cannot patch resource \
                          \"accessrequests/status\" in API group \"daypass.dev\" in the namespace \"shop\"";
        let guard = "accessrequests.daypass.dev \"fix\" is forbidden: this is another's review";
        for (message, advised) in [(authorizer, true), (guard, false)] {
            let error = answer(403, message);
            assert!(error.is_forbidden(), "{message}");
            assert_eq!(error.to_string().contains("ClusterRole daypass-requester"), advised, "{error}");
        }
        assert!(!answer(409, authorizer).is_forbidden());
        let policies = "accesspolicies.daypass.dev is forbidden: User \"eve\" cannot list resource \"accesspolicies\"";
        let bindings = "rolebindings is forbidden: User \"eve\" cannot list resource \"rolebindings\"";
        let exec = "pods \"n-1\" is forbidden: User \"eve\" cannot create resource \"pods/exec\" in API group \"\"";
        for (message, role) in
            [(policies, "daypass-reader"), (bindings, "daypass-auditor"), (exec, "selfGuard.managers")]
        {
            assert!(answer(403, message).to_string().contains(role), "{message}");
        }
    }
}
