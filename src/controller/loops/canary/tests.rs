//! What a round says of the guards, for each way in which the cluster may have them and answer to a try.

use http::Method;
use kube::runtime::reflector;
use kube::runtime::watcher::Event;
use serde_json::Value;

use super::*;
use crate::controller::scripted::{Script, failure};
use crate::core::guard::missing::{GuardFault, GuardFlaw, Loophole, UnservedKind};
use crate::core::guard::sight::{GuardDrift, digest};
use crate::core::laws::fixtures::noon;
use crate::runtime::clock::Clock;
use crate::runtime::gate::{Seat, seat};
use crate::runtime::judged_clock::JudgedClock;
use crate::runtime::metrics::Metrics;

const NAMESPACE: &str = "daypass-system";
/// The guard that most rounds here are about, and what nobody but Daypass may do while it is in force.
const GUARD: &str = "daypass-binding-guard";
const TRY: &str = "/namespaces/daypass-system/rolebindings?&dryRun=All";
const REQUESTS: &str = "/namespaces/daypass-system/accessrequests";
const OWN: &str = "/namespaces/daypass-system/accessrequests/daypass-canary";
const OWN_STATUS: &str = "/namespaces/daypass-system/accessrequests/daypass-canary/status?&dryRun=All";
const REVIEWS: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
const POLICIES: &str = "/validatingadmissionpolicies";
const BINDINGS: &str = "/validatingadmissionpolicybindings";

/// What the chart makes.
fn policy_spec() -> Value {
    json!({ "failurePolicy": "Fail", "validations": [{ "expression": "false" }] })
}

fn binding_spec(guard: &str) -> Value {
    json!({ "policyName": guard, "validationActions": ["Deny"] })
}

fn object(name: &str, uid: &str, spec: Value) -> Value {
    json!({ "metadata": { "name": name, "uid": uid, "generation": 1 }, "spec": spec })
}

fn policy() -> Value {
    object(GUARD, "p-1", policy_spec())
}

fn binding() -> Value {
    object(GUARD, "b-1", binding_spec(GUARD))
}

fn list(objects: &[Value]) -> Value {
    json!({ "metadata": { "resourceVersion": "70" }, "items": objects })
}

/// When the guard has been in force since, as the canary's request says.
fn since() -> Timestamp {
    noon() - Duration::from_secs(3600)
}

/// The canary's request with this annotation.
fn own(key: &str, text: &str) -> Value {
    json!({
        "apiVersion": "daypass.dev/v1alpha1", "kind": "AccessRequest",
        "metadata": { "name": CANARY, "namespace": NAMESPACE, "annotations": { key: text } },
        "spec": { "role": { "kind": "Role", "name": CANARY }, "reason": "a test" }
    })
}

fn own_since() -> Value {
    own(SINCE, &since().to_string())
}

fn noted_since(since: Option<Timestamp>) -> Value {
    json!({ "metadata": { "annotations": { SINCE: since.map(|since| since.to_string()) } } })
}

/// A refusal in the name of an admission policy.
fn refusal(policy: &str) -> Value {
    reply(&format!("ValidatingAdmissionPolicy '{policy}' with binding '{policy}' denied request: no"))
}

fn reply(message: &str) -> Value {
    let mut refusal = failure(403, "Forbidden");
    refusal["message"] = json!(message);
    refusal
}

fn denied() -> (u16, Value) {
    (403, refusal(GUARD))
}

fn made() -> (u16, Value) {
    (201, json!({ "metadata": { "name": CANARY }, "roleRef": { "apiGroup": "", "kind": "Role", "name": CANARY } }))
}

/// Calls of a round, in the order in which they come.
trait Calls {
    /// The API server says who the canary is, and that it is so many seconds after noon.
    fn says_who_and_when(self, seconds: u64) -> Self;
    /// There is a request to try on, in force since [`since`].
    fn has_own(self) -> Self;
    /// The guard's try, and its answer.
    fn tries(self, answer: (u16, Value)) -> Self;
    /// The controller may write a status.
    fn writes_own_status(self) -> Self;
    /// The guards as they stand.
    fn sees(self, policies: &[Value], bindings: &[Value]) -> Self;
    /// What came of it is noted.
    fn notes(self, since: Option<Timestamp>) -> Self;
}

impl Calls for Script {
    fn says_who_and_when(self, seconds: u64) -> Self {
        let at = (noon() + Duration::from_secs(seconds)).to_string();
        let name = "system:serviceaccount:daypass-system:daypass-canary";
        let extra = json!({ "recorded": ["x"], "other": ["y"] });
        let user = json!({ "username": name, "groups": ["all"], "extra": extra });
        let review = json!({ "metadata": { "creationTimestamp": at }, "status": { "userInfo": user } });
        self.then(Method::POST, REVIEWS, 201, review)
    }

    fn has_own(self) -> Self {
        self.then(Method::GET, OWN, 200, own_since())
    }

    fn tries(self, (code, body): (u16, Value)) -> Self {
        self.then(Method::POST, TRY, code, body)
    }

    fn writes_own_status(self) -> Self {
        self.then(Method::PATCH, OWN_STATUS, 200, own_since())
    }

    fn sees(self, policies: &[Value], bindings: &[Value]) -> Self {
        self.then(Method::GET, POLICIES, 200, list(policies)).then(Method::GET, BINDINGS, 200, list(bindings))
    }

    fn notes(self, since: Option<Timestamp>) -> Self {
        self.then(Method::PATCH, OWN, 200, own_since()).sending(noted_since(since))
    }
}

/// A round up to its try.
fn begins() -> Script {
    Script::default().says_who_and_when(0).has_own()
}

/// A round with this answer to its try, up to what it stores.
fn round(answer: (u16, Value), policies: &[Value], bindings: &[Value]) -> Script {
    begins().tries(answer).writes_own_status().sees(policies, bindings).says_who_and_when(1)
}

/// A round in which all is well.
fn sound() -> Script {
    round(denied(), &[policy()], &[binding()])
}

/// A canary that is signed in, on a replica that may lead.
fn canary(script: &Script, guards: &[&str], leads: bool) -> (Canary, Seat) {
    let (seat, leadership) = seat();
    if leads {
        seat.take_for_good();
    }
    let expected =
        |name: &&str| Expected { name: (*name).to_owned(), digest: digest(&policy_spec(), &binding_spec(name)) };
    let canary = Canary {
        config: Config::new("http://nowhere.invalid".parse().unwrap()),
        client: script.client(),
        watches: script.client(),
        namespace: NAMESPACE.to_owned(),
        guards: guards.iter().map(expected).collect(),
        extra_keys: vec!["recorded".to_owned()],
        hearers: Hearers { metrics: Metrics::default(), clock: JudgedClock::new(Clock::at(noon())) },
        leadership,
        wanted: Arc::default(),
        served: ServedNamespaces::Cluster,
        requests: reflector::store().0,
        doubts: Arc::default(),
        uses: Arc::new(GrantUses::new(false)),
        memory: Mutex::new(Memory { account: Some(CanaryAccount::signed_in(script.client())), ..Memory::default() }),
    };
    (canary, seat)
}

impl Canary {
    async fn makes(&self, depth: Depth) -> Result<Report, CannotTry> {
        self.round(&mut *self.memory.lock().await, depth).await
    }
}

/// What one round about [`GUARD`] says, on a replica that leads.
async fn report_of(script: Script) -> Result<Report, CannotTry> {
    let reply = canary(&script, &[GUARD], true).0.makes(Depth::Whole).await;
    script.is_over();
    reply
}

fn in_force() -> Guard {
    Guard::since(since())
}

/// Why the guard is missing.
fn missing(reply: Result<Report, CannotTry>) -> NotInForce {
    match reply.unwrap().guard {
        Guard::Missing(why) => why,
        Guard::InForce(gaps) => panic!("in force: {gaps:?}"),
    }
}

/// That one guard is not in force.
fn wanting(guard: &str, flaw: GuardFlaw) -> NotInForce {
    NotInForce::Wanting(vec![GuardFault { guard: guard.to_owned(), flaw }])
}

#[tokio::test]
async fn a_guard_that_is_there_and_refuses_is_in_force() {
    let report = report_of(sound().notes(Some(since()))).await.unwrap();
    assert_eq!(report, Report { guard: in_force(), remarks: Vec::new(), sound: None, faultless: true });
    // A stranger beside it changes nothing.
    let stranger = object("somebody-elses", "s-1", json!({}));
    let beside = round(denied(), &[stranger.clone(), policy()], &[binding(), stranger]);
    assert_eq!(report_of(beside.notes(Some(since()))).await.unwrap().guard, in_force());
}

#[tokio::test]
async fn a_guard_without_its_policy_or_binding_is_missing_though_its_try_is_refused() {
    let why = missing(report_of(round(denied(), &[], &[binding()])).await);
    assert_eq!(why, wanting(GUARD, GuardFlaw::Drifted(GuardDrift::NoPolicy)));
    let why = missing(report_of(round(denied(), &[policy()], &[])).await);
    assert_eq!(why, wanting(GUARD, GuardFlaw::Drifted(GuardDrift::NoBinding)));
}

#[tokio::test]
async fn a_guard_that_was_changed_is_missing_though_its_try_is_refused() {
    let changed = |mut object: Value, field: &str, value: Value| {
        object["spec"][field] = value;
        object
    };
    // A field that this version of Daypass does not know is a change like another.
    for (field, value) in [("failurePolicy", json!("Ignore")), ("matchConditions", json!([])), ("new", json!(1))] {
        let policy = changed(policy(), field, value);
        let why = missing(report_of(round(denied(), &[policy], &[binding()])).await);
        assert_eq!(why, wanting(GUARD, GuardFlaw::Drifted(GuardDrift::Changed)), "{field}");
    }
    for (field, value) in [("validationActions", json!(["Audit"])), ("matchResources", json!({}))] {
        let binding = changed(binding(), field, value);
        let why = missing(report_of(round(denied(), &[policy()], &[binding])).await);
        assert_eq!(why, wanting(GUARD, GuardFlaw::Drifted(GuardDrift::Changed)), "{field}");
    }
}

#[tokio::test]
async fn a_guard_that_lets_its_try_through_is_missing_though_it_looks_as_it_should() {
    // From then on it counts as broken, and that is noted.
    let why = missing(report_of(round(made(), &[policy()], &[binding()]).notes(None)).await);
    assert_eq!(why, wanting(GUARD, GuardFlaw::Passed(Loophole::Bindings)));
}

#[tokio::test]
async fn a_guard_whose_try_is_refused_by_something_else_is_believed_by_sight_and_said_to_be() {
    let rbac = reply("rolebindings.rbac.authorization.k8s.io is forbidden: User cannot create resource");
    for (reply, word) in [(refusal("needs-an-owner-label"), "needs-an-owner-label"), (rbac, "cannot create resource")] {
        let answer = (403, reply);
        let report = report_of(round(answer.clone(), &[policy()], &[binding()]).notes(Some(since()))).await.unwrap();
        assert_eq!(report.guard, in_force());
        let [CanaryRemark::BySight(by_sight)] = report.remarks.as_slice() else { panic!("{:?}", report.remarks) };
        assert!(by_sight.guard == GUARD && by_sight.refusal.contains(word), "{by_sight:?}");
        // Not when it does not look as it should.
        let why = missing(report_of(round(answer, &[policy()], &[])).await);
        assert_eq!(why, wanting(GUARD, GuardFlaw::Drifted(GuardDrift::NoBinding)));
    }
}

#[tokio::test]
async fn a_try_that_meets_trouble_says_nothing() {
    for code in [401, 409, 429, 500, 503] {
        let reply = report_of(begins().tries((code, failure(code, "")))).await;
        assert!(matches!(reply, Err(CannotTry::Api(_))), "{code}: {reply:?}");
    }
}

#[tokio::test]
async fn guards_that_cannot_be_seen_are_not_judged() {
    for code in [403, 500] {
        let tried = || begins().tries(denied()).writes_own_status();
        let unseen = tried().then(Method::GET, POLICIES, code, failure(code, ""));
        assert!(matches!(report_of(unseen).await, Err(CannotTry::Api(_))), "{code}");
        let half_seen = tried().then(Method::GET, POLICIES, 200, list(&[policy()]));
        let half_seen = half_seen.then(Method::GET, BINDINGS, code, failure(code, ""));
        assert!(matches!(report_of(half_seen).await, Err(CannotTry::Api(_))), "{code}");
    }
}

/// That there can be no guard is certain, so nobody trusts the last round: what passes is noted as a gap.
#[tokio::test]
async fn an_api_server_without_the_kind_of_the_guards_is_told_by_its_version() {
    let version = json!({
        "major": "1", "minor": "29", "gitVersion": "v1.29.4", "gitCommit": "", "gitTreeState": "", "buildDate": "",
        "goVersion": "", "compiler": "", "platform": ""
    });
    let unknown = |script: Script, path| {
        let script = script.then(Method::GET, path, 404, json!("404 page not found"));
        script.then(Method::GET, "/version", 200, version.clone())
    };
    let tried = || begins().tries(made()).writes_own_status();
    let neither = unknown(unknown(tried(), POLICIES), BINDINGS);
    let why = missing(report_of(neither.says_who_and_when(1).notes(None)).await);
    let unserved = |kind: &str| {
        NotInForce::Unserved(UnservedKind {
            kind: kind.to_owned(),
            group_version: "admissionregistration.k8s.io/v1".to_owned(),
            server: Some("v1.29.4".to_owned()),
        })
    };
    assert_eq!(why, unserved("ValidatingAdmissionPolicy"));
    let no_bindings = unknown(tried().then(Method::GET, POLICIES, 200, list(&[policy()])), BINDINGS);
    let why = missing(report_of(no_bindings.says_who_and_when(1).notes(None)).await);
    assert_eq!(why, unserved("ValidatingAdmissionPolicyBinding"));
}

#[tokio::test]
async fn a_controller_that_may_write_no_status_grants_nothing() {
    let refused = |code| {
        let script = begins().tries(denied()).then(Method::PATCH, OWN_STATUS, code, refusal("anothers-status-guard"));
        report_of(script.sees(&[policy()], &[binding()]).says_who_and_when(1).notes(Some(since())))
    };
    for code in [403, 422] {
        let why = missing(refused(code).await);
        assert!(matches!(&why, NotInForce::OwnWriteRefused(by) if by.contains("anothers-status-guard")), "{why:?}");
    }
    let trouble = begins().tries(denied()).then(Method::PATCH, OWN_STATUS, 500, failure(500, ""));
    assert!(matches!(report_of(trouble).await, Err(CannotTry::Api(_))));
}

#[tokio::test]
async fn the_request_to_try_on_is_made_by_the_replica_that_leads_and_by_no_other() {
    let nothing = || Script::default().says_who_and_when(0).then(Method::GET, OWN, 404, failure(404, "NotFound"));
    let script = nothing();
    let reply = canary(&script, &[GUARD], false).0.makes(Depth::Whole).await;
    assert!(matches!(reply, Err(CannotTry::NothingToTryOn)), "{reply:?}");
    script.is_over();
    let makes = nothing().then(Method::POST, REQUESTS, 201, own("nothing", "said"));
    let makes =
        makes.sending(json!({ "spec": { "requester": { "groups": ["all"], "extra": { "recorded": ["x"] } } } }));
    let first = makes.tries(denied()).writes_own_status().sees(&[policy()], &[binding()]).says_who_and_when(1);
    // Nothing is known of the time before.
    let known_from = noon() + Duration::from_secs(2);
    let why = missing(report_of(first.notes(Some(known_from))).await);
    assert_eq!(why, NotInForce::CountsFrom(known_from));
}

#[tokio::test]
async fn a_replica_that_does_not_lead_judges_for_itself_and_stores_nothing() {
    let script = sound();
    assert_eq!(canary(&script, &[GUARD], false).0.makes(Depth::Whole).await.unwrap().guard, in_force());
    script.is_over();
    let script = round(made(), &[policy()], &[binding()]);
    missing(canary(&script, &[GUARD], false).0.makes(Depth::Whole).await);
    script.is_over();
}

#[tokio::test]
async fn without_guards_to_look_for_nobody_is_asked() {
    let reply = canary(&Script::default(), &[], true).0.makes(Depth::Whole).await;
    assert!(matches!(reply, Err(CannotTry::NothingHandedOver)), "{reply:?}");
}

#[tokio::test]
async fn a_round_counts_only_with_the_time_of_its_begin_and_its_end() {
    let timeless = |script: Script| script.then(Method::POST, REVIEWS, 201, json!({ "metadata": {} }));
    assert!(matches!(report_of(timeless(Script::default())).await, Err(CannotTry::NoTime)));
    let tried = begins().tries(denied()).writes_own_status().sees(&[policy()], &[binding()]);
    assert!(matches!(report_of(timeless(tried)).await, Err(CannotTry::NoTime)));
}

#[tokio::test]
async fn a_canary_that_cannot_sign_in_tries_nothing() {
    let token = "/namespaces/daypass-system/serviceaccounts/daypass-canary/token";
    for code in [403, 404, 500] {
        let script = Script::default().then(Method::POST, token, code, failure(code, ""));
        let (canary, _) = canary(&script, &[GUARD], true);
        canary.memory.lock().await.account = None;
        let reply = canary.makes(Depth::Whole).await;
        assert!(matches!(reply, Err(CannotTry::Api(kube::Error::Api(refused))) if refused.code == code), "{code}");
        script.is_over();
    }
}

#[tokio::test]
async fn a_round_by_sight_tries_nothing() {
    let seen = |policies: &[Value]| begins().sees(policies, &[binding()]).says_who_and_when(1);
    let script = seen(&[policy()]).notes(Some(since()));
    assert_eq!(canary(&script, &[GUARD], true).0.makes(Depth::Sight).await.unwrap().guard, in_force());
    script.is_over();
    let script = seen(&[]);
    missing(canary(&script, &[GUARD], true).0.makes(Depth::Sight).await);
    script.is_over();
}

/// Every try in its order: by which guard it must be refused, what is sent where, and what is answered if it is not.
fn every_try() -> [(&'static str, Method, &'static str, Value, Value); 7] {
    let (post, patch) = (|| Method::POST, || Method::PATCH);
    let forged = json!({ "spec": { "requester": { "username": "system:admin" } } });
    let active = json!({ "status": { "state": "Active" } });
    let reviewed = json!({ "status": { "reviews": { "somebody": { "verdict": "Approve" } } } });
    let bound = json!({ "metadata": { "labels": { "app.kubernetes.io/managed-by": "daypass" } } });
    let held = json!({ "metadata": { "finalizers": ["daypass.dev/canary-try"] } });
    let taken = json!({ "spec": { "holderIdentity": CANARY } });
    let beside = json!({ "metadata": { "name": "daypass-canary-try" } });
    let plain = || json!({ "metadata": {} });
    [
        ("x-identity-check", post(), "accessrequests", forged, own_since()),
        ("x-status-guard", patch(), "accessrequests/daypass-canary/status", active, own_since()),
        ("x-status-guard", patch(), "accessrequests/daypass-canary/status", reviewed, own_since()),
        ("x-binding-guard", post(), "rolebindings", bound, made().1),
        ("x-metadata-guard", patch(), "accessrequests/daypass-canary", held, own_since()),
        ("x-lease-guard", patch(), "leases/daypass", taken, plain()),
        ("x-self-guard", post(), "configmaps", beside, plain()),
    ]
}

/// What a guard leaves open that lets its try through.
fn loophole(guard: &str) -> Loophole {
    match guard {
        "x-identity-check" => Loophole::Requests,
        "x-status-guard" => Loophole::Statuses,
        "x-binding-guard" => Loophole::Bindings,
        "x-metadata-guard" => Loophole::Finalizers,
        "x-lease-guard" => Loophole::Lease,
        "x-self-guard" => Loophole::BesideController,
        other => panic!("{other} is tried by nothing"),
    }
}

#[tokio::test]
async fn every_guard_is_tried_by_what_it_must_refuse_as_a_dry_run() {
    let tries = every_try();
    let mut guards: Vec<&str> = tries.iter().map(|(guard, ..)| *guard).collect();
    guards.dedup();
    // By sight alone.
    guards.push("x-policy-status-guard");
    let policies: Vec<Value> = guards.iter().map(|name| object(name, "p", policy_spec())).collect();
    let bindings: Vec<Value> = guards.iter().map(|name| object(name, "b", binding_spec(name))).collect();
    // None is let through at first, then each in its turn.
    for passing in std::iter::once(None).chain((0..tries.len()).map(Some)) {
        let mut script = begins();
        for (index, (guard, method, path, sends, passed)) in tries.iter().enumerate() {
            if passing.is_some_and(|before| before < index && tries[before].0 == *guard) {
                // Whatever else it refuses.
                continue;
            }
            let (code, body) = if passing == Some(index) { (200, passed.clone()) } else { (422, refusal(guard)) };
            let path = format!("/namespaces/daypass-system/{path}?&dryRun=All");
            script = script.then(method.clone(), &path, code, body).sending(sends.clone());
        }
        let script = script.writes_own_status().sees(&policies, &bindings).says_who_and_when(1);
        let script = script.notes(passing.is_none().then(since));
        let reply = canary(&script, &guards, true).0.makes(Depth::Whole).await;
        script.is_over();
        match passing {
            None => {
                assert_eq!(
                    reply.unwrap(),
                    Report { guard: in_force(), remarks: Vec::new(), sound: None, faultless: true }
                )
            }
            Some(index) => match missing(reply) {
                NotInForce::Wanting(faults) => {
                    let named = faults.iter().map(|fault| (fault.guard.as_str(), fault.flaw)).collect::<Vec<_>>();
                    assert_eq!(named, [(tries[index].0, GuardFlaw::Passed(loophole(tries[index].0)))]);
                }
                other => panic!("{other:?}"),
            },
        }
    }
}

#[tokio::test]
async fn a_forged_request_that_is_stamped_says_nothing_of_the_check() {
    const CHECK: &str = "daypass-identity-check";
    let mut stamped = own_since();
    let name = "system:serviceaccount:daypass-system:daypass-canary";
    stamped["spec"]["requester"] = json!({ "username": name, "groups": ["all"], "extra": { "recorded": ["x"] } });
    let script = begins().then(Method::POST, &format!("{REQUESTS}?&dryRun=All"), 201, stamped).writes_own_status();
    let (policy, binding) = (object(CHECK, "p", policy_spec()), object(CHECK, "b", binding_spec(CHECK)));
    let script = script.sees(&[policy], &[binding]).says_who_and_when(1).notes(Some(since()));
    assert_eq!(canary(&script, &[CHECK], true).0.makes(Depth::Whole).await.unwrap().guard, in_force());
    script.is_over();
}

/// The record of a gap after which nobody has looked at what was written in it.
fn unsettled() -> Value {
    let record = json!({
        "since": since().to_string(),
        "sound": (noon() - Duration::from_secs(1)).to_string(),
        "revision": 70,
        "unsettled": 50,
        "marks": { GUARD: { "policy": ["p-1", 1], "binding": ["b-1", 1] } }
    });
    own(RECORD, &record.to_string())
}

fn after_a_gap() -> Script {
    let begins = Script::default().says_who_and_when(0).then(Method::GET, OWN, 200, unsettled());
    begins.tries(denied()).writes_own_status().sees(&[policy()], &[binding()]).says_who_and_when(1)
}

#[tokio::test]
async fn after_a_gap_the_leader_looks_at_what_was_written_before_anybody_decides() {
    let script = after_a_gap();
    let why = missing(canary(&script, &[GUARD], false).0.makes(Depth::Whole).await);
    assert_eq!(why, NotInForce::LeaderHasToLook);
    script.is_over();

    // Requests have not been listed.
    let script = after_a_gap();
    let (mut canary, _seat) = canary(&script, &[GUARD], true);
    let (requests, mut feed) = reflector::store();
    canary.requests = requests;
    let why = missing(canary.makes(Depth::Whole).await);
    assert_eq!(why, NotInForce::RequestsUnread);
    script.is_over();

    feed.apply_watcher_event(&Event::Init);
    feed.apply_watcher_event(&Event::InitDone);
    let request = |name: &str, version: &str| json!({ "metadata": { "name": name, "namespace": "shop", "resourceVersion": version } });
    let listed = json!({ "metadata": {}, "items": [request("before", "40"), request("meanwhile", "60")] });
    let script = script_of(&mut canary, after_a_gap().then(Method::GET, "/accessrequests", 200, listed));
    assert_eq!(canary.makes(Depth::Whole).await.unwrap().guard, in_force());
    script.is_over();
    let at = |name: &str| reflector::ObjectRef::new(name).within("shop");
    assert!(canary.doubts.has(&at("meanwhile")) && !canary.doubts.has(&at("before")));

    // Found once; when passes have dealt with all, that is noted.
    let script = script_of(&mut canary, after_a_gap());
    assert_eq!(canary.makes(Depth::Whole).await.unwrap().guard, in_force());
    script.is_over();
    assert!(canary.doubts.settle(&at("meanwhile")));
    let script = script_of(&mut canary, after_a_gap().notes(Some(since())));
    assert_eq!(canary.makes(Depth::Whole).await.unwrap().guard, in_force());
    script.is_over();
}

/// Has the canary go on by this script.
fn script_of(canary: &mut Canary, script: Script) -> Script {
    canary.client = script.client();
    canary.memory.get_mut().account = Some(CanaryAccount::signed_in(script.client()));
    script
}

#[tokio::test(start_paused = true)]
async fn a_guard_that_was_sound_is_trusted_for_a_minute_in_which_it_cannot_be_tried() {
    let trouble = |script: Script| script.then(Method::POST, REVIEWS, 503, failure(503, ""));
    // Rounds are a quarter of a minute apart while the guard is trusted.
    let script = (0..4).fold(sound().notes(Some(since())), |script, _| trouble(script));
    let (canary, _seat) = canary(&script, &[GUARD], true);
    let (reports, mut words) = watch::channel(Report::missing(NotInForce::Untried));
    let began = Instant::now();
    let (changed, blind) = (Notify::new(), Blind::default());
    tokio::select! {
        () = canary.rounds(reports, &changed, &blind) => unreachable!("it has no end"),
        () = async {
            words.changed().await.unwrap();
            let sound = words.borrow_and_update().clone();
            assert_eq!(sound, Report { guard: in_force(), remarks: Vec::new(), sound: Some(began), faultless: true });
            words.changed().await.unwrap();
            assert_eq!(began.elapsed().as_secs(), TRUST.as_secs());
            let lost = words.borrow().clone();
            assert!(matches!(lost.guard, Guard::Missing(NotInForce::Unknown(Obstacle::Failed(_)))), "{lost:?}");
            assert_eq!(lost.sound, None);
        } => {}
    }
    script.is_over();
}
