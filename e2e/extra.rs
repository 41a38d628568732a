//! What a login says beside name, UID and groups: how somebody signed in, and from where. The API server of these trials has
//! it from ID tokens, by structured authentication; policies ask for it.

use std::sync::Arc;

use daypass::api::conditions::{READY, find};
use daypass::api::policy::Effect;
use daypass::api::{AccessPolicy, AccessRequest, State};
use daypass::core::decision::shortfall::Shortfall;
use daypass::core::policies::cel::Unevaluated;
use daypass::core::policies::unrecorded::UnrecordedKey;
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy;
use kube::api::PostParams;
use kube::{Api, Client};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::attack::call::create;
use crate::harness::binaries::{self, Version};
use crate::harness::cast::{SOON, assert_refused_by, assert_says, falls_short, request};
use crate::harness::issuer::{self, Issuer};
use crate::harness::plugin::Plugin;
use crate::harness::servers::AUDIT_POLICY;
use crate::harness::trial::private_control_plane;
use crate::harness::users::{ADMIN, ALICE, MALLORY};
use crate::harness::{Cluster, ControlPlane, Controller, Daypass, eventually, without_cluster};

pub fn trials() -> Vec<Trial> {
    vec![
        Trial::test("extra::what_a_login_says_is_recorded_and_asked_for", || private_control_plane(recorded)),
        without_cluster("extra::the_example_holds", example),
        Trial::test("extra::without_a_stamp_people_write_it_and_it_is_verified", || private_control_plane(verified)),
    ]
}

/// Its PolicyTest holds, and the chart records what its policies ask for and its API server brings.
fn example() {
    let folder = binaries::repository().join("examples/login");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_kubectl-daypass"));
    let output = command.args(["policy", "test", "policies.yaml", "test.yaml"]).current_dir(&folder).output().unwrap();
    let printed = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && printed.contains(" passed, 0 failed"), "{printed}");
    let read = |file: &str| std::fs::read_to_string(folder.join(file)).unwrap();
    let values: Value = serde_saphyr::from_str(&read("values.yaml")).unwrap();
    assert_eq!(values["identity"]["extraKeys"], json!([AMR, COUNTRY]));
    let login: Value = serde_saphyr::from_str(&read("authentication.yaml")).unwrap();
    let keys = login["jwt"][0]["claimMappings"]["extra"].as_array().unwrap();
    assert_eq!(keys.iter().map(|key| &key["key"]).collect::<Vec<_>>(), [AMR, COUNTRY]);
}

/// How somebody signed in.
const AMR: &str = "example.com/amr";
/// From where.
const COUNTRY: &str = "example.com/country";
/// What the login says and nobody asks for.
const UNNAMED: &str = "example.com/session";
/// The chart records the first two.
const KEYS: &str = "identity.extraKeys={example.com/amr,example.com/country}";
/// What the tokens of service accounts say. Where it is recorded, the canary has to say it of itself.
const CREDENTIAL: &str = ",authentication.kubernetes.io/credential-id";

/// The example, as it is told to an API server.
const AUTHENTICATION: &str = "examples/login/authentication.yaml";

/// One whose API server knows people by ID tokens, and what they say of the login, as the example has it; and one thing that
/// nobody asks for.
async fn control_plane(issuer: &Issuer) -> Arc<ControlPlane> {
    let text = std::fs::read_to_string(binaries::repository().join(AUTHENTICATION)).expect("the example");
    let mut config: Value = serde_saphyr::from_str(&text).expect("YAML");
    // That of 1.33.
    config["apiVersion"] = json!("apiserver.config.k8s.io/v1beta1");
    let login = &mut config["jwt"][0];
    let audiences = [issuer::CLIENT];
    login["issuer"] = json!({ "url": issuer.url, "audiences": audiences, "certificateAuthority": issuer.certificate });
    let extra = login["claimMappings"]["extra"].as_array_mut().expect("keys");
    extra.push(json!({ "key": UNNAMED, "valueExpression": "claims.?sid.orValue('')" }));
    let folder = tempfile::tempdir().expect("a folder").keep();
    let file = folder.join("authentication.json");
    std::fs::write(&file, config.to_string()).expect("write the configuration");
    let flag = format!("--authentication-config={}", file.display());
    Arc::new(ControlPlane::start_with(AUDIT_POLICY, Vec::leak(vec![&*String::leak(flag)])).await)
}

/// Somebody's logins at the issuer.
struct Logins<'a> {
    cluster: &'a Cluster,
    issuer: &'a Issuer,
}

impl Logins<'_> {
    fn token(&self, who: &str, more: Value) -> String {
        let mut claims = json!({ "aud": issuer::CLIENT, "sub": who, "groups": ["dev"], "iat": 1_700_000_000 });
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.issuer.signed(claims)
    }

    async fn client(&self, who: &str, more: Value) -> Client {
        self.cluster.control_plane.client_for_token(who, &self.token(who, more)).await
    }

    fn plugin(&self, login: &str, who: &str, more: Value) -> Plugin {
        Plugin::with(&self.cluster.control_plane.kubeconfig_for_token(login, &self.token(who, more)))
    }

    /// ida, who signed in with a second factor, in Switzerland.
    async fn strong(&self) -> Client {
        self.client("ida", strong()).await
    }

    /// ida, who signed in with a password.
    async fn weak(&self) -> Client {
        self.client("ida", json!({ "amr": ["pwd"], "ctry": "US", "sid": "s-2" })).await
    }
}

fn strong() -> Value {
    json!({ "amr": ["pwd", "mfa"], "ctry": "CH", "sid": "s-1" })
}

async fn asks(by: &Client, namespace: &str, name: &str, spec: Value) -> Result<AccessRequest, String> {
    let request: AccessRequest = serde_json::from_value(request(namespace, name, spec)).unwrap();
    let requests: Api<AccessRequest> = Api::namespaced(by.clone(), namespace);
    requests.create(&PostParams::default(), &request).await.map_err(|error| error.to_string())
}

fn extra(request: &AccessRequest) -> Value {
    json!(request.spec.requester.as_ref().unwrap().extra)
}

/// Until the API server knows people by the issuer, and the guards are those that record.
async fn until_known(by: &Client, namespace: &str, known: impl Fn(&Value) -> bool) {
    let requests: Api<AccessRequest> = Api::namespaced(by.clone(), namespace);
    let plain: AccessRequest = serde_json::from_value(request(namespace, "plain", json!({}))).unwrap();
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    eventually("what a login says is recorded", SOON, async || {
        let made = requests.create(&dry, &plain).await.map_err(|error| error.to_string())?;
        if known(&extra(&made)) { Ok(()) } else { Err(extra(&made).to_string()) }
    })
    .await;
}

/// Who is asked for a second factor.
const MFA: &str = "'mfa' in requester.extra['example.com/amr']";

async fn with_mfa(cluster: &Cluster) -> String {
    let namespace = cluster.namespace("strong").await;
    let condition = json!([{ "expression": MFA, "message": "sign in with a second factor" }]);
    cluster.allow(&namespace, &namespace, json!({ "conditions": condition })).await;
    namespace
}

/// The same with other values of the chart, as an upgrade does it.
async fn upgrade(cluster: &Cluster, values: &[&str]) {
    Daypass::install(&cluster.control_plane, values).await;
    let policies: Api<ValidatingAdmissionPolicy> = Api::all(cluster.client(ADMIN).await);
    let check = policies.get("daypass-identity-check").await.unwrap();
    assert!(json!(check).to_string().contains(AMR), "it records nothing");
    cluster.controller.become_program(&Controller::program(), &cluster.control_plane).await;
    cluster.controller.restart().await;
}

async fn recorded() {
    let issuer = Issuer::start().await;
    let cluster = Cluster::with(control_plane(&issuer).await, &[]).await;
    let logins = Logins { cluster: &cluster, issuer: &issuer };
    let (strong, weak) = (logins.strong().await, logins.weak().await);
    let namespace = with_mfa(&cluster).await;
    let anybody = cluster.namespace("anybody").await;
    cluster.allow(&anybody, &anybody, json!({})).await;
    // Nothing is recorded that nobody has named.
    until_known(&strong, &anybody, |extra| *extra == json!({})).await;
    let forged = json!({ "requester": { "username": "ida", "extra": { AMR: ["mfa"] } } });
    asks(&strong, &anybody, "before", forged.clone()).await.unwrap();
    assert_eq!(extra(&cluster.until(&anybody, "before", State::Active).await), json!({}));
    says_what_is_not_recorded(&cluster, &namespace, &[]).await;

    upgrade(&cluster, &[KEYS]).await;
    let whole = json!({ AMR: ["pwd", "mfa"], COUNTRY: ["CH"] });
    until_known(&strong, &namespace, |extra| *extra == whole).await;
    // What was asked before is as it was, and goes on.
    assert_eq!(extra(&cluster.until(&anybody, "before", State::Active).await), json!({}));

    asks(&strong, &namespace, "strong", json!({})).await.unwrap();
    assert_eq!(extra(&cluster.until(&namespace, "strong", State::Active).await), whole);
    // Who signed in with a password alone is denied, whatever they write; the same person has access by the other login.
    asks(&weak, &namespace, "weak", forged).await.unwrap();
    let denied = cluster.until(&namespace, "weak", State::Denied).await;
    assert_eq!(extra(&denied), json!({ AMR: ["pwd"], COUNTRY: ["US"] }));
    let message = denied.status.unwrap().message.unwrap();
    let condition = Shortfall::Condition("sign in with a second factor".to_owned());
    assert_says(&message, &falls_short(&namespace, [condition]));
    assert!(!message.contains("pwd"), "it tells what the login said: {message}");
    assert_eq!(cluster.our_bindings(&namespace).await.len(), 1);
    lacks_it(&cluster, &namespace).await;
    impersonated(&cluster, &namespace).await;
    says_what_is_not_recorded(&cluster, &namespace, &[AMR, COUNTRY]).await;
    explained(&logins, &namespace).await;
    // Before, a webhook stamps here.
    if Version::run().number() >= 36 {
        without_the_part(&logins, &namespace).await;
    }
}

fn lacks(namespace: &str) -> impl std::fmt::Display {
    let why = Unevaluated::NoExtra { source: MFA.to_owned(), key: AMR.to_owned() };
    falls_short(namespace, [Shortfall::ConditionUnevaluated(why)])
}

/// alice has a login that says nothing, as those of certificates and of most static tokens.
async fn lacks_it(cluster: &Cluster, namespace: &str) {
    cluster.ask(ALICE, namespace, "silent", json!({})).await;
    let denied = cluster.until(namespace, "silent", State::Denied).await;
    assert_eq!(extra(&denied), json!({}));
    assert_says(&denied.status.unwrap().message.unwrap(), &lacks(namespace));
}

/// Whoever may impersonate what a login says, says it: RBAC has a right of its own for that.
async fn impersonated(cluster: &Cluster, namespace: &str) {
    let admin = cluster.kubectl(ADMIN);
    let rules = "--verb=impersonate --resource=users,groups";
    admin.ok(&[&["create", "clusterrole", "acts"], &rules.split(' ').collect::<Vec<_>>()[..]].concat()).await;
    admin.ok(&["create", "clusterrolebinding", "acts", "--clusterrole=acts", "--user=mallory"]).await;
    let collection = format!("/apis/daypass.dev/v1alpha1/namespaces/{namespace}/accessrequests");
    let as_zoe = |by, name: &str| {
        create(by, collection.clone(), request(namespace, name, json!({})))
            .acting_as("zoe")
            .impersonating("Group", "dev")
    };
    let header = "Extra-example.com%2Famr";
    let mallory = cluster.client(MALLORY).await;
    eventually("mallory may act as others", SOON, async || {
        as_zoe(MALLORY, "acted").dry().send(&mallory).await.map(drop)
    })
    .await;
    // Without that right it is refused by RBAC, and without the header nothing is said.
    let refusal = as_zoe(MALLORY, "claims").impersonating(header, "mfa").send(&mallory).await.unwrap_err();
    assert!(refusal.contains("userextras/example.com/amr"), "{refusal}");
    as_zoe(MALLORY, "acted").send(&mallory).await.unwrap();
    let denied = cluster.until(namespace, "acted", State::Denied).await;
    assert_says(&denied.status.unwrap().message.unwrap(), &lacks(namespace));
    // With it, it counts as if the login had said it. The audit log alone has who it was.
    let by_admin = as_zoe(ADMIN, "claims").impersonating(header, "mfa");
    by_admin.send(&cluster.client(ADMIN).await).await.unwrap();
    assert_eq!(extra(&cluster.until(namespace, "claims", State::Active).await), json!({ AMR: ["mfa"] }));
}

/// A policy that asks for a key which is not recorded says so, and so does the plugin.
async fn says_what_is_not_recorded(cluster: &Cluster, namespace: &str, recorded: &[&str]) {
    let name = format!("{namespace}-slip");
    let condition = json!([{ "expression": "'mfa' in requester.extra['example.com/arm']", "message": "m" }]);
    cluster.allow(&name, namespace, json!({ "conditions": condition })).await;
    let policies: Api<AccessPolicy> = Api::all(cluster.client(ADMIN).await);
    let status = eventually("what is recorded is told", SOON, async || {
        let policy = policies.get(&name).await.map_err(|error| error.to_string())?;
        let status = policy.status.filter(|status| status.observed_generation == policy.metadata.generation);
        let status = status.filter(|status| status.extra_keys == recorded);
        status.ok_or_else(|| "it is not judged yet".to_owned())
    })
    .await;
    let key = UnrecordedKey {
        field: "spec.conditions[0].expression".to_owned(),
        key: "example.com/arm".to_owned(),
        near: recorded.first().map(|key| (*key).to_owned()),
        effect: Effect::Allow,
    };
    let ready = find(&status.conditions, READY).unwrap();
    assert_says(&ready.message, &key);
    let (printed, _) = Plugin::of(cluster, ADMIN).ends(&["policy", "lint", "--cluster"], 1).await;
    assert_says(&printed, &format!("{name}: {}: {key}", key.field));
    cluster.kubectl(ADMIN).ok(&["delete", "apol", &name]).await;
}

/// The plugin goes by what the caller's own login says, or by what it is told that another's does.
async fn explained(logins: &Logins<'_>, namespace: &str) {
    let file = tempfile::Builder::new().suffix(".json").tempfile().unwrap();
    std::fs::write(file.path(), request(namespace, "draft", json!({ "duration": "20m" })).to_string()).unwrap();
    let path = file.path().display().to_string();
    let outcome = async |plugin: &Plugin, more: &[&str]| {
        let printed = plugin.done(&[&["explain", "-f", &path, "-o", "json"], more].concat()).await;
        serde_json::from_str::<Value>(&printed).unwrap()["outcome"].clone()
    };
    let plugin = logins.plugin("ida-strong", "ida", strong());
    assert_eq!(outcome(&plugin, &[]).await, "Granted");
    let weak = logins.plugin("ida-weak", "ida", json!({ "amr": ["pwd"] }));
    assert_eq!(outcome(&weak, &[]).await, "Denied");
    let other = ["--for-user=ben", "--for-group=dev"];
    assert_eq!(outcome(&plugin, &other).await, "Denied");
    let said =
        |value: &str| [&other[..], &["--extra", value]].concat().into_iter().map(str::to_owned).collect::<Vec<_>>();
    for (value, expected) in [("example.com/amr=mfa", "Granted"), ("example.com/amr=pwd", "Denied")] {
        let args = said(value);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        assert_eq!(outcome(&weak, &args).await, expected, "{value}");
    }
}

/// A stamp that has lost its part is no way around: who has something to say is refused, and told what is missing.
async fn without_the_part(logins: &Logins<'_>, namespace: &str) {
    let admin = logins.cluster.kubectl(ADMIN);
    let name = ["mutatingadmissionpolicy", "daypass-identity-stamp"];
    let stamp: Value = serde_json::from_str(&admin.ok(&[&["get", "-o", "json"], &name[..]].concat()).await).unwrap();
    let expression = stamp["spec"]["mutations"][0]["jsonPatch"]["expression"].as_str().unwrap();
    let (rest, part) = expression.split_once("+ ([\"example.com/amr\"").expect("the part");
    assert!(part.contains("/spec/requester/extra"), "{part}");
    let patch = json!([{ "op": "replace", "path": "/spec/mutations/0/jsonPatch/expression", "value": rest }]);
    admin.ok(&[&["patch", "--type=json", "-p", &patch.to_string()], &name[..]].concat()).await;
    let strong = logins.strong().await;
    let refusal = eventually("the stamp has lost its part", SOON, async || {
        let requests: Api<AccessRequest> = Api::namespaced(strong.clone(), namespace);
        let plain: AccessRequest = serde_json::from_value(request(namespace, "lost", json!({}))).unwrap();
        let dry = PostParams { dry_run: true, ..PostParams::default() };
        requests.create(&dry, &plain).await.err().map(|error| error.to_string()).ok_or_else(|| "it is made".to_owned())
    })
    .await;
    assert_refused_by(&refusal, "daypass-identity-check");
    assert!(refusal.contains("MutatingAdmissionPolicy daypass-identity-stamp"), "{refusal}");
    // Who has nothing to say asks as ever.
    logins.cluster.ask(ALICE, namespace, "unhindered", json!({})).await;
}

async fn verified() {
    let issuer = Issuer::start().await;
    let cluster = Cluster::with(
        control_plane(&issuer).await,
        &["identity.stamp=off", &format!("{}{CREDENTIAL}}}", KEYS.trim_end_matches('}'))],
    )
    .await;
    let logins = Logins { cluster: &cluster, issuer: &issuer };
    let strong_ida = logins.strong().await;
    let namespace = with_mfa(&cluster).await;
    let who = |extra: Value| {
        json!({ "requester": {
            "username": "ida", "uid": "u-ida", "groups": ["dev", "system:authenticated"], "extra": extra
        } })
    };
    let whole = json!({ AMR: ["pwd", "mfa"], COUNTRY: ["CH"] });
    eventually("the API server knows ida", SOON, async || {
        asks(&strong_ida, &namespace, "true", who(whole.clone())).await.map(drop)
    })
    .await;
    cluster.until(&namespace, "true", State::Active).await;
    for (nth, lie) in [
        json!({}),
        json!({ AMR: ["pwd", "mfa"] }),
        json!({ AMR: ["mfa", "pwd"], COUNTRY: ["CH"] }),
        json!({ AMR: ["pwd", "mfa", "hwk"], COUNTRY: ["CH"] }),
        json!({ AMR: ["pwd", "mfa"], COUNTRY: ["US"] }),
        json!({ AMR: ["pwd", "mfa"], COUNTRY: ["CH"], UNNAMED: ["s-1"] }),
        json!({ AMR: ["pwd", "mfa"], COUNTRY: ["CH"], "example.com/other": ["x"] }),
    ]
    .into_iter()
    .enumerate()
    {
        let refusal = asks(&strong_ida, &namespace, &format!("lie-{nth}"), who(lie.clone())).await;
        assert_refused_by(&refusal.expect_err(&lie.to_string()), "daypass-identity-check");
    }
    let weak = logins.weak().await;
    let refusal = asks(&weak, &namespace, "lie", who(whole)).await.expect_err("it is forged");
    assert_refused_by(&refusal, "daypass-identity-check");
    // The plugin knows from policies what to write.
    let args = ["request", "edit", "-n", &namespace, "--for=20m", "--reason=a trial"];
    logins.plugin("ida-strong", "ida", strong()).done(&args).await;
    let requests = cluster.requests(&namespace).await.list(&Default::default()).await.unwrap().items;
    let written = requests.iter().find(|request| request.metadata.name.as_deref() != Some("true")).expect("a request");
    assert_eq!(extra(written), json!({ AMR: ["pwd", "mfa"], COUNTRY: ["CH"] }));
}
