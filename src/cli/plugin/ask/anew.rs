//! `kubectl daypass extend` and `again`: a request made of one that there is, and then sent like any other.
//!
//! Whether more time can be had, and whether it is granted, the core and the policy say.

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::api::ObjectMeta;

use super::draft::stem;
use super::send::{SendArgs, check_length, send};
use crate::api::request::{AccessRequest, AccessRequestSpec};
use crate::api::subject::Identity;
use crate::cli::plugin::cluster::Cluster;
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::exit::Exit;
use crate::cli::plugin::identity;
use crate::cli::plugin::output::console::Console;
use crate::cli::plugin::requests;
use crate::runtime::clock::Clock;

/// The command line of `extend`.
#[derive(Debug, clap::Args)]
pub struct ExtendArgs {
    /// Name of your request whose access runs.
    name: String,
    /// How much longer, such as 30m or 1h30m.
    #[arg(long, value_name = "DURATION")]
    by: String,
    /// Why it takes longer. Left out: the reason of the request.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Namespace of the request. Left out: that of the context.
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    #[command(flatten)]
    how: SendArgs,
}

/// The command line of `again`.
#[derive(Debug, clap::Args)]
pub struct AgainArgs {
    /// Name of the request, over or not.
    name: String,
    /// For how long, such as 30m or 1h30m. Left out: as that request.
    #[arg(long = "for", id = "for", value_name = "DURATION")]
    duration: Option<String>,
    /// Why access is needed. Left out: the reason of that request.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// An emergency again: access at once, announced by a Warning Event and reviewed afterwards. Left out: people are asked as
    /// the policy says, also if that request was break-glass.
    #[arg(long)]
    break_glass: bool,
    /// Namespace of the request. Left out: that of the context.
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    #[command(flatten)]
    how: SendArgs,
}

/// What is another thing the second time.
#[derive(Debug, Default)]
struct Changes {
    duration: Option<String>,
    reason: Option<String>,
    break_glass: bool,
}

/// Asks for a later end.
///
/// # Errors
/// Why it cannot. A request that is refused is no error.
pub async fn extend(args: ExtendArgs, console: &mut Console) -> Result<Exit, PluginError> {
    check_length("--by", &args.by)?;
    let cluster = Cluster::connect(&args.how.connection).await?;
    let running = requests::get(&cluster, cluster.namespace_or(&args.namespace), &args.name).await?;
    let draft = extension(&running, args.by, args.reason, identity::requester(&cluster).await?);
    send(cluster, &draft, &args.how, console).await
}

/// Asks for the same once more.
///
/// # Errors
/// Why it cannot. A request that is refused is no error.
pub async fn again(args: AgainArgs, console: &mut Console) -> Result<Exit, PluginError> {
    if let Some(length) = &args.duration {
        check_length("--for", length)?;
    }
    let cluster = Cluster::connect(&args.how.connection).await?;
    let before = requests::get(&cluster, cluster.namespace_or(&args.namespace), &args.name).await?;
    let who = identity::requester(&cluster).await?;
    if before.spec.break_glass && !args.break_glass {
        console.note(&format!("{} was break-glass, and this is not: --break-glass asks for that", args.name));
    }
    let changes = Changes { duration: args.duration, reason: args.reason, break_glass: args.break_glass };
    let draft = repetition(&before, changes, who, Clock::wall().now());
    send(cluster, &draft, &args.how, console).await
}

/// The request that moves the end of a running one.
fn extension(running: &AccessRequest, by: String, reason: Option<String>, who: Identity) -> AccessRequest {
    let name = running.name_any();
    let spec = AccessRequestSpec {
        duration: Some(by),
        reason: reason.unwrap_or_else(|| running.spec.reason.clone()),
        requester: Some(who),
        // Where it is, when it began and by which policy is settled by the running one.
        scope: None,
        start_time: None,
        policy: None,
        break_glass: false,
        extends: Some(name.clone()),
        ..running.spec.clone()
    };
    request(running, stem(&format!("{name}-more")), spec)
}

/// The same request by somebody as of now: a start that is past has no meaning any more. That it is an emergency is nothing to
/// repeat unseen, and a policy that was named for one, or by somebody else, is not taken over.
fn repetition(before: &AccessRequest, changes: Changes, who: Identity, now: Timestamp) -> AccessRequest {
    let Changes { duration, reason, break_glass } = changes;
    let spec = &before.spec;
    let is_own = requests::is_of(before, &who);
    let spec = AccessRequestSpec {
        duration: duration.or_else(|| spec.duration.clone()),
        reason: reason.unwrap_or_else(|| spec.reason.clone()),
        start_time: spec.start_time.clone().filter(|start| start.0 > now),
        policy: spec.policy.clone().filter(|_| is_own && spec.break_glass == break_glass),
        break_glass,
        requester: Some(who),
        ..spec.clone()
    };
    let stem = before.metadata.generate_name.clone().unwrap_or_else(|| stem(&before.name_any()));
    request(before, stem, spec)
}

fn request(like: &AccessRequest, stem: String, spec: AccessRequestSpec) -> AccessRequest {
    let namespace = like.namespace();
    let metadata = ObjectMeta { generate_name: Some(stem), namespace, ..ObjectMeta::default() };
    AccessRequest { metadata, spec, status: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::laws::fixtures::{noon, request as fix};
    use serde_json::{Value, json};

    fn eve() -> Identity {
        Identity { username: "eve".to_owned(), ..Identity::default() }
    }

    fn spec(request: &AccessRequest) -> Value {
        serde_json::to_value(&request.spec).unwrap()
    }

    #[test]
    fn the_same_is_asked_for_but_by_whom_and_from_when() {
        let asked = json!({ "duration": "40m", "ticket": "OPS-7", "scope": { "cluster": true }, "startTime": noon().to_string() });
        let mut before = fix(asked);
        let anew = repetition(&before, Changes::default(), eve(), noon());
        let mut expected = spec(&before);
        expected.as_object_mut().unwrap().remove("startTime");
        expected["requester"] = json!({ "username": "eve" });
        assert_eq!(spec(&anew), expected);
        assert_eq!((anew.metadata.generate_name.as_deref(), anew.metadata.name), (Some("fix-"), None));
        before.metadata.generate_name = Some("edit-".to_owned());
        let changes = Changes { duration: Some("5m".to_owned()), reason: Some("more".to_owned()), break_glass: false };
        before.spec.start_time.as_mut().unwrap().0 = noon() + k8s_openapi::jiff::SignedDuration::from_secs(1);
        let anew = repetition(&before, changes, eve(), noon());
        assert_eq!((anew.spec.duration.as_deref(), anew.spec.reason.as_str()), (Some("5m"), "more"));
        assert_eq!(anew.spec.start_time, before.spec.start_time, "it is still to come");
        assert_eq!(anew.metadata.generate_name.as_deref(), Some("edit-"));
    }

    #[test]
    fn an_emergency_is_not_repeated_unseen() {
        let fire = fix(json!({ "breakGlass": true, "policy": "fire" }));
        let alice = fire.spec.requester.clone().unwrap();
        let anew = |break_glass, who: &Identity| {
            let changes = Changes { break_glass, ..Changes::default() };
            let spec = repetition(&fire, changes, who.clone(), noon()).spec;
            (spec.break_glass, spec.policy)
        };
        assert_eq!(anew(false, &alice), (false, None));
        assert_eq!(anew(true, &alice), (true, Some("fire".to_owned())));
        assert_eq!(anew(true, &eve()), (true, None), "another person named that policy");
    }

    #[test]
    fn an_extension_asks_for_the_same_role_and_nothing_that_is_settled() {
        let asked = json!({
            "duration": "40m", "breakGlass": true, "policy": "p", "scope": { "cluster": true },
            "rules": [{ "verbs": ["get"], "apiGroups": [""], "resources": ["pods"] }],
        });
        let running = fix(asked);
        let more = extension(&running, "20m".to_owned(), None, eve());
        let mut expected = spec(&running);
        ["breakGlass", "policy", "scope"]
            .iter()
            .for_each(|field| drop(expected.as_object_mut().unwrap().remove(*field)));
        expected["duration"] = json!("20m");
        expected["extends"] = json!("fix");
        expected["requester"] = json!({ "username": "eve" });
        assert_eq!(spec(&more), expected);
        assert_eq!(more.metadata.generate_name.as_deref(), Some("fix-more-"));
    }
}
