//! What a role covers is what the API server's own authorizer says it covers, and its own roles are read for what
//! they are.
//!
//! The API server refuses to let somebody write a ClusterRole with rights that they do not have. So an account is
//! given a role and tries to write others; nothing is stored.

use std::sync::Arc;
use std::time::Duration;

use daypass::api::risk::RiskLevel;
use daypass::core::rbac::risk::{Extent, risk};
use daypass::core::rbac::rules::{Uncovered, covers};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule};
use kube::api::{ListParams, PostParams};
use kube::{Api, ResourceExt};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::harness::kubectl::Kubectl;
use crate::harness::users::ADMIN;
use crate::harness::wait::random;
use crate::harness::{ControlPlane, bare, eventually, kubeconfig};

pub fn trials() -> Vec<Trial> {
    vec![
        bare("rules::cover_what_the_api_server_says_they_cover", cover_what_the_api_server_says),
        bare("rules::of_built_in_roles_cover_each_other_and_are_as_risky_as_they_are", built_in_roles),
    ]
}

/// Accounts, each with a role of its own, and what each tries.
const ACCOUNTS: usize = 40;
const TRIES: usize = 60;
/// Accounts at work at the same time.
const AT_A_TIME: usize = 8;

// The words of the random rules. What accounts have besides their role must stay out: to create cluster roles, what
// `system:authenticated` may ask for and read, and what the product lets everybody do.
const VERBS: [&str; 5] = ["get", "list", "delete", "approve", "*"];
const GROUPS: [&str; 4] = ["", "apps", "example.com", "*"];
const RESOURCES: [&str; 12] = [
    "pods",
    "pods/log",
    "pods/scale",
    "deployments",
    "deployments/scale",
    "*",
    "*/scale",
    "*/log",
    "pods/*",
    "*/*",
    "pods/log/old",
    "*/log/old",
];
const NAMES: [&str; 4] = ["web", "db", "*", "web*"];
const URLS: [&str; 10] =
    ["/logs", "/logs/", "/logs/*", "/logs*", "/logs/a", "/logs/a/*", "/logs/**", "/debug/*/x", "/*", "*"];

async fn cover_what_the_api_server_says(control_plane: Arc<ControlPlane>) {
    let seed = random();
    let admin = control_plane.kubectl(ADMIN);
    let namespace = format!("rules-{seed:x}");
    let mut generator = Generator(seed);
    let cases: Vec<(String, Vec<PolicyRule>)> =
        (0..ACCOUNTS).map(|number| (format!("judge-{number}"), generator.role())).collect();
    prepare(&admin, &namespace, &cases).await;

    let work = futures::stream::iter(cases).map(|(account, role)| {
        let wanted: Vec<Vec<PolicyRule>> = (0..TRIES).map(|_| generator.wanted(&role)).collect();
        judge(&control_plane, &admin, &namespace, account, role, wanted)
    });
    let verdicts: Vec<Verdict> = work.buffer_unordered(AT_A_TIME).concat().await;

    let wrong: Vec<&Verdict> = verdicts.iter().filter(|v| v.ours.is_ok() != v.theirs.is_ok()).collect();
    assert!(wrong.is_empty(), "seed {seed}: {} differ, the first: {:#?}", wrong.len(), wrong[0]);
    // Nor must they agree because nearly everything is one way.
    let covered = verdicts.iter().filter(|v| v.theirs.is_ok()).count();
    let tenth = ACCOUNTS * TRIES / 10;
    assert_eq!(verdicts.len(), ACCOUNTS * TRIES);
    assert!((2 * tenth..=8 * tenth).contains(&covered), "seed {seed}: {covered} of {} are covered", verdicts.len());
}

#[derive(Debug)]
struct Verdict {
    #[expect(dead_code, reason = "printed when the verdicts differ")]
    role: Arc<Vec<PolicyRule>>,
    #[expect(dead_code, reason = "printed when the verdicts differ")]
    wanted: Vec<PolicyRule>,
    ours: Result<(), Vec<Uncovered>>,
    theirs: Result<(), String>,
}

/// Gives each account its role, and all of them the right to write cluster roles.
async fn prepare(admin: &Kubectl, namespace: &str, cases: &[(String, Vec<PolicyRule>)]) {
    let rbac = |kind: &str, name: &str| json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": { "name": name } });
    let bind = |role: &str, subject: Value| {
        let mut binding = rbac("ClusterRoleBinding", role);
        binding["roleRef"] = json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role });
        binding["subjects"] = json!([subject]);
        binding
    };
    let writers = format!("{namespace}-writers");
    let mut writer = rbac("ClusterRole", &writers);
    writer["rules"] =
        json!([{ "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["clusterroles"], "verbs": ["create"] }]);
    let all = format!("system:serviceaccounts:{namespace}");
    let mut objects = vec![
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace } }),
        writer,
        bind(&writers, json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": all })),
    ];
    for (account, rules) in cases {
        let name = format!("{namespace}-{account}");
        let mut role = rbac("ClusterRole", &name);
        role["rules"] = json!(rules);
        let metadata = json!({ "name": account, "namespace": namespace });
        objects.push(json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata }));
        objects.push(role);
        objects.push(bind(&name, json!({ "kind": "ServiceAccount", "name": account, "namespace": namespace })));
    }
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": objects });
    admin.apply_server_side(&list.to_string()).await;
}

/// Has an account try to write roles with the rules that are wanted.
async fn judge(
    control_plane: &ControlPlane,
    admin: &Kubectl,
    namespace: &str,
    account: String,
    role: Vec<PolicyRule>,
    wanted: Vec<Vec<PolicyRule>>,
) -> Vec<Verdict> {
    let token = admin.ok(&["create", "token", &account, "-n", namespace]).await;
    let file = control_plane.kubeconfig_for_token(&format!("{account}-of-{namespace}"), token.trim());
    let roles: Api<ClusterRole> = Api::all(kubeconfig::client(&file).await);
    // The authorizer learns of bindings a moment after they are stored; what an account has, it may pass on.
    eventually(&format!("{account} has its role"), Duration::from_secs(30), async || write(&roles, &role).await).await;
    let role = Arc::new(role);
    let verdicts = wanted.into_iter().map(async |wanted| {
        let theirs = write(&roles, &wanted).await;
        if let Err(refusal) = &theirs {
            assert!(refusal.contains("grant RBAC permissions not currently held"), "{refusal}");
        }
        let ours = covers(&role, &wanted);
        Ok::<_, String>(Verdict { role: role.clone(), wanted, ours, theirs })
    });
    futures::stream::iter(verdicts).buffered(4).try_collect().await.expect("a verdict of each")
}

/// Tries to write a role, without anything being stored. An error is that it is forbidden, in the server's words.
async fn write(roles: &Api<ClusterRole>, rules: &[PolicyRule]) -> Result<(), String> {
    let mut role = ClusterRole { rules: Some(rules.to_vec()), ..ClusterRole::default() };
    role.metadata.name = Some("wanted".to_owned());
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    match roles.create(&dry_run, &role).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(refusal)) if refusal.code == 403 => Err(refusal.message.clone()),
        Err(error) => panic!("{}: {error}", json!(rules)),
    }
}

/// Rules by chance.
struct Generator(u64);

impl Generator {
    /// A number below `n`: the top bits of a linear congruence, which do not repeat soon.
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % n
    }

    fn one<'a>(&mut self, words: &[&'a str]) -> &'a str {
        let word = words[self.below(words.len())];
        // A star covers nearly all else, so it comes less often.
        if word == "*" { words[self.below(words.len())] } else { word }
    }

    fn some(&mut self, words: &[&str], most: usize) -> Vec<String> {
        (0..=self.below(most)).map(|_| self.one(words).to_owned()).collect()
    }

    fn rule(&mut self, most: usize) -> PolicyRule {
        let verbs = self.some(&VERBS, most);
        if self.below(4) == 0 {
            let urls = Some(self.some(&URLS, most));
            return PolicyRule { verbs, non_resource_urls: urls, ..PolicyRule::default() };
        }
        let names = self.below(3) == 0;
        PolicyRule {
            verbs,
            api_groups: Some(self.some(&GROUPS, most)),
            resources: Some(self.some(&RESOURCES, most)),
            resource_names: names.then(|| self.some(&NAMES, most)),
            non_resource_urls: None,
        }
    }

    /// The rules of a role. One that may escalate could write any other, and would show nothing.
    fn role(&mut self) -> Vec<PolicyRule> {
        let escalate: [PolicyRule; 1] = serde_json::from_value(json!([
            { "verbs": ["escalate"], "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["clusterroles"] }
        ]))
        .expect("a rule");
        loop {
            let role: Vec<PolicyRule> = (0..2 + self.below(5)).map(|_| self.rule(3)).collect();
            if covers(&role, &escalate).is_err() {
                return role;
            }
        }
    }

    /// Rules to compare with a role: by chance alone few would be covered, so most are made of the role's own words.
    fn wanted(&mut self, role: &[PolicyRule]) -> Vec<PolicyRule> {
        (0..=self.below(2))
            .map(|_| {
                if self.below(8) == 0 {
                    return self.rule(2);
                }
                let from = &role[self.below(role.len())];
                self.vary(from)
            })
            .collect()
    }

    /// A rule like another: fewer words, and some of them others.
    fn vary(&mut self, rule: &PolicyRule) -> PolicyRule {
        let mut vary = |texts: &[String], words: &[&str]| -> Vec<String> {
            (0..=self.below(2))
                .map(|_| match self.below(6) {
                    0 => self.one(words).to_owned(),
                    _ => texts[self.below(texts.len())].clone(),
                })
                .collect()
        };
        let verbs = vary(&rule.verbs, &VERBS);
        if let Some(urls) = &rule.non_resource_urls {
            let urls = vary(urls, &URLS);
            return PolicyRule { verbs, non_resource_urls: Some(urls), ..PolicyRule::default() };
        }
        let api_groups = rule.api_groups.as_ref().map(|groups| vary(groups, &GROUPS));
        let resources = rule.resources.as_ref().map(|resources| vary(resources, &RESOURCES));
        let resource_names = match &rule.resource_names {
            Some(names) => Some(vary(names, &NAMES)),
            None => Some(self.some(&NAMES, 2)),
        };
        // Now and then all objects.
        let resource_names = if self.below(3) == 0 { None } else { resource_names };
        PolicyRule { verbs, api_groups, resources, resource_names, non_resource_urls: None }
    }
}

async fn built_in_roles(control_plane: Arc<ControlPlane>) {
    let roles: Api<ClusterRole> = Api::all(control_plane.client(ADMIN).await);
    // The roles that are gathered from others fill up in their order.
    let all = eventually("admin has the rules of edit, and edit those of view", Duration::from_secs(30), async || {
        let listed = roles.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
        let all: Vec<(String, Vec<PolicyRule>)> =
            listed.items.into_iter().map(|role| (role.name_any(), role.rules.unwrap_or_default())).collect();
        let rules = |name: &str| rules_of(&all, name).to_vec();
        for (larger, smaller) in [("edit", "view"), ("admin", "edit"), ("cluster-admin", "admin")] {
            let covered = !rules(smaller).is_empty() && covers(&rules(larger), &rules(smaller)).is_ok();
            covered.then_some(()).ok_or_else(|| format!("{larger} does not have what {smaller} has"))?;
        }
        Ok(all)
    })
    .await;
    let rules = |name: &str| rules_of(&all, name);
    for (smaller, larger, verb, group, resource) in [
        ("view", "edit", "get", "", "secrets"),
        ("edit", "admin", "create", "rbac.authorization.k8s.io", "rolebindings"),
        ("admin", "cluster-admin", "get", "", "nodes"),
    ] {
        let right: [PolicyRule; 1] =
            serde_json::from_value(json!([{ "verbs": [verb], "apiGroups": [group], "resources": [resource] }]))
                .expect("a rule");
        assert_eq!(covers(rules(larger), &right), Ok(()), "{larger}");
        let uncovered = covers(rules(smaller), &right).expect_err(smaller);
        let [group, resource] = [group, resource].map(str::to_owned);
        let lack = Uncovered::Resource { verbs: vec![verb.to_owned()], group, resource, name: None };
        assert_eq!(uncovered, [lack], "{smaller}");
        // All that is missing is told, or how much.
        let missing = covers(rules(smaller), rules(larger)).expect_err(larger);
        assert!(missing.len() <= 9, "{smaller} lacks of {larger}: {missing:?}");
    }
    for (name, rules) in &all {
        assert_eq!(covers(self::rules_of(&all, "cluster-admin"), rules), Ok(()), "{name}");
    }

    use RiskLevel::{Critical, High, Low, Medium};
    for (name, here, everywhere, because) in [
        ("view", Low, Low, "logs"),
        ("edit", High, Critical, "runs its own code"),
        ("admin", High, Critical, "changes roles and their bindings"),
        ("cluster-admin", Critical, Critical, "may do everything"),
        ("system:node-proxier", Low, Low, ""),
        ("system:discovery", Low, Low, ""),
        ("system:basic-user", Low, Low, ""),
        ("system:kube-controller-manager", High, Critical, "makes tokens"),
        ("system:node", High, Critical, "changes nodes"),
        ("system:kubelet-api-admin", Medium, Critical, "kubelet"),
        // The controller manager approves by itself what somebody with this asks for, in the name of any node.
        ("system:certificates.k8s.io:certificatesigningrequests:nodeclient", Low, Critical, "acts as any node"),
        ("system:controller:clusterrole-aggregation-controller", Low, Critical, "escalates cluster roles"),
    ] {
        let (in_one, in_all) = (risk(rules(name), Extent::Namespaces), risk(rules(name), Extent::Cluster));
        assert_eq!((in_one.level, in_all.level), (here, everywhere), "{name}: {in_one:#?} {in_all:#?}");
        assert!(because.is_empty() || in_all.reasons.iter().any(|r| r.contains(because)), "{name}: {in_all:#?}");
    }
}

fn rules_of<'a>(all: &'a [(String, Vec<PolicyRule>)], name: &str) -> &'a [PolicyRule] {
    all.iter().find(|(n, _)| n == name).map(|(_, rules)| rules.as_slice()).unwrap_or_default()
}
