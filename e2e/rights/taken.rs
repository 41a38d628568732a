//! Takes every single right out of the installed chart in turn: something that people rely on breaks, and works again
//! when the right is back, with nobody's help. The rights come from the rendered chart; what each is for, from a table.

use std::collections::BTreeSet;
use std::sync::Arc;

use daypass::controller::loops::canary::CanaryRemark;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use k8s_openapi::api::rbac::v1::{ClusterRole, Role};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::operations::Deed::{self, Decide, End, Grant, Judge, Leave, Refuse, Restore, Stray, Tell};
use super::operations::Form::{Edit, Everywhere, Narrow, NarrowEverywhere, Whole};
use super::operations::Ground;
use crate::chart;
use crate::guards::believed_by_sight;
use crate::harness::cast::SOON;
use crate::harness::users::ADMIN;
use crate::harness::{Cluster, eventually, install};

/// What a right is needed for.
#[derive(Clone, Copy)]
enum Need {
    /// For this, while the controller works.
    For(Deed),
    /// For this, by a controller that was started without it: what was allowed when it began goes on.
    FromTheStart(Deed),
    /// To be ready at all. The words that `/readyz` has of it.
    ToBeReady(&'static str),
    /// The same where Daypass has never run: no Lease, and nothing that the canary left.
    ToBeReadyFirst(&'static str),
    /// To prove something that is believed without it, which `/readyz` says, ready or not.
    ToProve(Unproven),
}

/// What is believed without a right.
#[derive(Clone, Copy)]
enum Unproven {
    /// That guards are as they were seen last. They are looked at all the same, now and then.
    Unchanged,
    /// That the guard of this name refuses what it should.
    Guard(&'static str),
}

impl Unproven {
    fn words(self) -> String {
        match self {
            Self::Unchanged => CanaryRemark::Late(String::new()).to_string(),
            Self::Guard(name) => believed_by_sight(name),
        }
    }
}
use Need::{For, FromTheStart, ToBeReady, ToBeReadyFirst, ToProve};

/// Each right, and what breaks without it. A right that is new in the chart needs a row here, with something that
/// breaks; one that nothing needs does not belong into the chart.
const NEEDED: [(&str, Need); 52] = [
    ("daypass may get accessrequests", For(Stray)),
    ("daypass may list accessrequests", ToBeReady("accessrequests (")),
    ("daypass may watch accessrequests", FromTheStart(Decide)),
    ("daypass may patch accessrequests/status", For(Decide)),
    ("daypass may list accesspolicies", ToBeReady("accesspolicies (")),
    ("daypass may watch accesspolicies", FromTheStart(Judge)),
    ("daypass may patch accesspolicies/status", For(Judge)),
    ("daypass may list validatingadmissionpolicies", ToBeReady(GUARD)),
    ("daypass may watch validatingadmissionpolicies", ToProve(Unproven::Unchanged)),
    ("daypass may list validatingadmissionpolicybindings", ToBeReady(GUARD)),
    ("daypass may watch validatingadmissionpolicybindings", ToProve(Unproven::Unchanged)),
    ("daypass may list namespaces", ToBeReady("namespaces (")),
    ("daypass may watch namespaces", FromTheStart(Leave)),
    ("daypass may get roles", For(Refuse(Whole))),
    ("daypass may list roles", ToBeReady("roles (")),
    ("daypass may watch roles", FromTheStart(Restore("roles"))),
    ("daypass may create roles", For(Grant(Narrow))),
    ("daypass may update roles", For(Restore("roles"))),
    ("daypass may delete roles", For(End(Narrow, "role"))),
    ("daypass may get clusterroles", For(Refuse(Everywhere))),
    ("daypass may list clusterroles", ToBeReady("clusterroles (")),
    ("daypass may watch clusterroles", FromTheStart(Restore("clusterroles"))),
    ("daypass may create clusterroles", For(Grant(NarrowEverywhere))),
    ("daypass may update clusterroles", For(Restore("clusterroles"))),
    ("daypass may delete clusterroles", For(End(NarrowEverywhere, "clusterrole"))),
    ("daypass may get rolebindings", For(Restore("rolebindings"))),
    ("daypass may list rolebindings", ToBeReady("rolebindings (")),
    ("daypass may watch rolebindings", FromTheStart(Restore("rolebindings"))),
    ("daypass may create rolebindings", For(Grant(Whole))),
    ("daypass may update rolebindings", For(Restore("rolebindings"))),
    ("daypass may delete rolebindings", For(End(Whole, "rolebinding"))),
    ("daypass may get clusterrolebindings", For(Restore("clusterrolebindings"))),
    ("daypass may list clusterrolebindings", ToBeReady("clusterrolebindings (")),
    ("daypass may watch clusterrolebindings", FromTheStart(Restore("clusterrolebindings"))),
    ("daypass may create clusterrolebindings", For(Grant(Everywhere))),
    ("daypass may update clusterrolebindings", For(Restore("clusterrolebindings"))),
    ("daypass may delete clusterrolebindings", For(End(Everywhere, "clusterrolebinding"))),
    ("daypass may create events", For(Tell)),
    ("daypass may bind clusterroles view", For(Grant(Everywhere))),
    ("daypass may bind clusterroles edit", For(Grant(Edit))),
    ("daypass may bind roles deployer", For(Grant(Whole))),
    ("daypass may create leases", ToBeReadyFirst("lease (")),
    ("daypass may get leases daypass", ToBeReady("lease (")),
    ("daypass may update leases daypass", ToBeReady("lease (")),
    ("daypass may create serviceaccounts/token daypass-canary", ToBeReady(GUARD)),
    ("daypass-canary may create accessrequests", ToBeReadyFirst(GUARD)),
    ("daypass-canary may get accessrequests daypass-canary", ToBeReady(GUARD)),
    ("daypass-canary may patch accessrequests daypass-canary", ToBeReadyFirst(GUARD)),
    ("daypass-canary may patch accessrequests/status daypass-canary", ToProve(Unproven::Guard("daypass-status-guard"))),
    ("daypass-canary may create configmaps", ToProve(Unproven::Guard("daypass-self-guard"))),
    ("daypass-canary may patch leases daypass", ToProve(Unproven::Guard("daypass-lease-guard"))),
    ("daypass-canary may create rolebindings", ToProve(Unproven::Guard("daypass-binding-guard"))),
];

/// What `/readyz` waits for when the guard may be there and cannot be tried. Nothing is granted then.
const GUARD: &str = "guard (";

/// One verb on one resource, on one name where the rule has names.
struct Right {
    account: &'static str,
    /// The role of the chart that has it.
    role: Value,
    /// A rule with this right alone.
    rule: Value,
}

/// The rights that the controller needs while it works.
pub async fn while_it_works(cluster: Arc<Cluster>) {
    missed(cluster, |need| matches!(need, For(_))).await;
}

/// The rights that it needs at its start.
pub async fn at_its_start(cluster: Arc<Cluster>) {
    missed(cluster, |need| matches!(need, FromTheStart(_) | ToBeReady(_))).await;
}

/// The rights that it needs where it has never run.
pub async fn at_its_first_start(cluster: Arc<Cluster>) {
    missed(cluster, |need| matches!(need, ToBeReadyFirst(_))).await;
}

/// The rights without which something is believed that should be proven.
pub async fn to_prove(cluster: Arc<Cluster>) {
    missed(cluster, |need| matches!(need, ToProve(_))).await;
}

async fn missed(cluster: Arc<Cluster>, which: impl Fn(Need) -> bool) {
    let rights = rendered(&cluster).await;
    let ground = Ground::prepare(cluster).await;
    for (right, need) in rights.iter().map(|right| (right, need_of(right))).filter(|(_, need)| which(*need)) {
        is_missed(&ground, right, need).await;
    }
}

/// Every right of the chart. Each has a row in the table, and each row has a right.
async fn rendered(cluster: &Cluster) -> Vec<Right> {
    let objects = chart::render(&cluster.control_plane, &["--set", "bindableRoles={deployer}"]).await;
    let rights: Vec<Right> = ["daypass", "daypass-canary"].into_iter().flat_map(|who| of(&objects, who)).collect();
    let given: BTreeSet<String> = rights.iter().map(Right::name).collect();
    assert_eq!(given.len(), rights.len(), "a right is given twice");
    let explained: BTreeSet<String> = NEEDED.iter().map(|(name, _)| (*name).to_owned()).collect();
    let new: Vec<&String> = given.difference(&explained).collect();
    assert!(new.is_empty(), "add a row with what breaks without it, or take it out of the chart: {new:?}");
    let gone: Vec<&String> = explained.difference(&given).collect();
    assert!(gone.is_empty(), "the chart does not give these, so their rows can go: {gone:?}");
    rights
}

fn need_of(right: &Right) -> Need {
    let name = right.name();
    NEEDED.iter().find(|row| row.0 == name).map(|row| row.1).expect("a row")
}

/// What the bindings of the chart give to one of its accounts.
fn of(objects: &[Value], account: &'static str) -> Vec<Right> {
    let to_it = |binding: &&Value| binding["subjects"].as_array().is_some_and(|s| s[0]["name"] == account);
    let mut rights = Vec::new();
    for binding in objects.iter().filter(to_it) {
        let bound = &binding["roleRef"];
        let is_bound = |o: &&Value| o["kind"] == bound["kind"] && o["metadata"]["name"] == bound["name"];
        let role = objects.iter().find(is_bound).expect("a role of the chart");
        rights.extend(single_rules(role).into_iter().map(|rule| Right { account, role: role.clone(), rule }));
    }
    rights
}

/// The rules of a role, as rules with one right each.
fn single_rules(role: &Value) -> Vec<Value> {
    let all = |rule: &Value, key: &str| rule[key].as_array().cloned().unwrap_or_default();
    let mut single = Vec::new();
    for rule in role["rules"].as_array().expect("rules") {
        let names: Vec<Value> = match all(rule, "resourceNames") {
            names if names.is_empty() => vec![json!([])],
            names => names.into_iter().map(|name| json!([name])).collect(),
        };
        for (group, resource) in
            all(rule, "apiGroups").iter().flat_map(|g| all(rule, "resources").into_iter().map(move |r| (g.clone(), r)))
        {
            for verb in all(rule, "verbs") {
                let of_names = |names: &Value| json!({ "apiGroups": [group], "resources": [resource], "verbs": [verb], "resourceNames": names });
                single.extend(names.iter().map(of_names));
            }
        }
    }
    single
}

impl Right {
    fn part(&self, key: &str) -> &str {
        self.rule[key][0].as_str().unwrap_or_default()
    }

    /// The right in words, without the API group: no two resources here are told apart by it.
    fn name(&self) -> String {
        let (verb, resource, name) = (self.part("verbs"), self.part("resources"), self.part("resourceNames"));
        format!("{} may {verb} {resource} {name}", self.account).trim_end().to_owned()
    }

    fn user(&self) -> String {
        format!("system:serviceaccount:{}:{}", install::NAMESPACE, self.account)
    }

    /// Puts these rules into its role, and waits until the API server goes by them.
    async fn put(&self, cluster: &Cluster, rules: &Value, allowed: bool) {
        let admin = cluster.client(ADMIN).await;
        let (patch, as_is) = (Patch::Merge(json!({ "rules": rules })), PatchParams::default());
        let name = self.role["metadata"]["name"].as_str().expect("a name");
        if self.role["kind"] == "ClusterRole" {
            Api::<ClusterRole>::all(admin.clone()).patch(name, &as_is, &patch).await.expect("write a ClusterRole");
        } else {
            let roles: Api<Role> = Api::namespaced(admin.clone(), install::NAMESPACE);
            roles.patch(name, &as_is, &patch).await.expect("write a Role");
        }
        let reviews: Api<SubjectAccessReview> = Api::all(admin);
        eventually(&format!("that {} is {allowed}", self.name()), SOON, async || {
            let review =
                reviews.create(&Default::default(), &self.question()).await.map_err(|error| error.to_string())?;
            let status = review.status.unwrap_or_default();
            if status.allowed == allowed { Ok(()) } else { Err(format!("{status:?}")) }
        })
        .await;
    }

    fn question(&self) -> SubjectAccessReview {
        let text = |key: &str| Some(self.part(key).to_owned()).filter(|text| !text.is_empty());
        let (resource, part) = match self.part("resources").split_once('/') {
            Some((resource, part)) => (resource, Some(part.to_owned())),
            None => (self.part("resources"), None),
        };
        let namespace = (self.role["kind"] == "Role").then(|| install::NAMESPACE.to_owned());
        let attributes = ResourceAttributes {
            group: text("apiGroups"),
            resource: Some(resource.to_owned()),
            subresource: part,
            verb: text("verbs"),
            name: text("resourceNames"),
            namespace,
            ..ResourceAttributes::default()
        };
        let accounts = "system:serviceaccounts";
        let groups =
            [accounts.to_owned(), format!("{accounts}:{}", install::NAMESPACE), "system:authenticated".to_owned()];
        let spec = SubjectAccessReviewSpec {
            user: Some(self.user()),
            groups: Some(groups.to_vec()),
            resource_attributes: Some(attributes),
            ..SubjectAccessReviewSpec::default()
        };
        SubjectAccessReview { spec, ..SubjectAccessReview::default() }
    }

    /// The rules of its role without it.
    fn others(&self) -> Value {
        single_rules(&self.role).into_iter().filter(|rule| *rule != self.rule).collect()
    }

    /// Whether it is no call of its own: the controller asks for it, and makes no binding without it.
    fn is_asked_for(&self) -> bool {
        self.part("verbs") == "bind"
    }

    /// How often the API server has refused its account for want of it.
    fn refusals(&self, cluster: &Cluster) -> usize {
        let user = self.user();
        let is_it = |event: &&Value| {
            let object = &event["objectRef"];
            let text = |key: &str| object[key].as_str().unwrap_or_default();
            let part = Some(text("subresource")).filter(|part| !part.is_empty()).map(|part| format!("/{part}"));
            let called = format!("{}{}", text("resource"), part.unwrap_or_default());
            let by_verb = event["annotations"]["authorization.k8s.io/decision"] == "forbid";
            let same = event["verb"] == self.part("verbs") && called == self.part("resources") && by_verb;
            same && event["user"]["username"] == user
        };
        cluster.control_plane.refusals().iter().filter(is_it).count()
    }

    async fn until_refused(&self, cluster: &Cluster, before: usize) {
        eventually(&format!("somebody is refused for want of: {}", self.name()), SOON, async || {
            if self.refusals(cluster) > before { Ok(()) } else { Err("nobody is".to_owned()) }
        })
        .await;
    }
}

/// Takes one right away, sees what it is needed for fail, gives it back and sees that come after all.
async fn is_missed(ground: &Ground, right: &Right, need: Need) {
    let (cluster, controller) = (&*ground.cluster, &ground.cluster.controller);
    let name = right.name();
    let prepared = match need {
        For(operation) | FromTheStart(operation) => Some((operation, ground.prepare_for(operation).await)),
        ToBeReady(_) | ToBeReadyFirst(_) | ToProve(_) => None,
    };
    if !matches!(need, For(_)) {
        controller.kill();
    }
    if matches!(need, ToBeReadyFirst(_)) {
        ground.forget_earlier_starts().await;
    }
    let before = right.refusals(cluster);
    right.put(cluster, &right.others(), false).await;
    match need {
        For(_) => {}
        FromTheStart(_) => controller.restart().await,
        ToBeReady(_) | ToBeReadyFirst(_) | ToProve(_) => controller.start_again(),
    }
    let begun = match prepared {
        Some((operation, prepared)) => Some((operation, ground.begin(operation, prepared).await)),
        None => None,
    };
    // A watch that was refused before the deed proves nothing: none may be open after it.
    let before = if matches!(need, FromTheStart(_)) { right.refusals(cluster) } else { before };
    if !right.is_asked_for() {
        right.until_refused(cluster, before).await;
    }
    match (need, &begun) {
        (ToBeReady(words) | ToBeReadyFirst(words), _) => ground.until_it_waits_for(words, &name).await,
        (ToProve(unproven), _) => ground.until_it_says(&unproven.words(), &name).await,
        (FromTheStart(_), Some((operation, outcome))) => ground.has_not_come(*operation, outcome, &name).await,
        (For(_), Some((operation, outcome))) => ground.has_failed(*operation, outcome, &name).await,
        (_, None) => unreachable!("every deed has begun"),
    }
    right.put(cluster, &right.role["rules"], true).await;
    // The waits between tries grow with the time that the right was away, which was short.
    match begun {
        // What is refused for good is asked for again, as people would.
        Some((operation, _)) if operation.is_final() => {
            let prepared = ground.prepare_for(operation).await;
            let outcome = ground.begin(operation, prepared).await;
            ground.comes(&outcome, &name).await;
        }
        Some((_, outcome)) => ground.comes(&outcome, &name).await,
        None => ground.until_it_leads().await,
    }
}
