//! Whether everything is there, and of versions that go together.

use std::collections::BTreeSet;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::ResourceExt;

use crate::api::crds;
use crate::api::keys::VERSION;
use crate::cli::plugin::doctor::facts::{HealthFacts, InstalledController, Looked};
use crate::cli::plugin::doctor::finding::{CheckFinding, HealthCheck};
use crate::cli::plugin::doctor::marked::{MarkedText, NameKind};
use crate::cli::plugin::doctor::setup::OwnSetup;
use crate::core::guard::missing::OLDEST_KUBERNETES;

/// The newest minor of Kubernetes that Daypass is tried on.
const NEWEST_KUBERNETES: &str = "1.37";
/// How many missing fields are named.
const MOST_FIELDS: usize = 5;
const APPLY_AGAIN: &str = "apply the chart again: helm upgrade, with the values of the installation";

/// What this machine has of the plugin.
pub fn setup(setup: &OwnSetup) -> Vec<CheckFinding> {
    let check = HealthCheck::Setup;
    let plugin = match (setup.kubectl, setup.plugin) {
        (true, true) => check.ok("kubectl finds the plugin on the PATH"),
        (false, true) => check.note("kubectl is not on the PATH, so only kubectl-daypass itself can be run"),
        (_, false) => check
            .warning("kubectl does not find the plugin: kubectl-daypass is not on the PATH")
            .fix("put kubectl-daypass into a folder of the PATH"),
    };
    let completion = match setup.completion {
        true => check.ok("kubectl completes the plugin's command lines"),
        false => check
            .note("kubectl does not complete the plugin's command lines: kubectl_complete-daypass is not on the PATH")
            .fix("make a link of the name kubectl_complete-daypass to kubectl-daypass, in a folder of the PATH"),
    };
    vec![plugin.of("plugin"), completion.of("completion")]
}

/// Whether the API server answers.
pub fn api_server(facts: &HealthFacts) -> CheckFinding {
    let check = HealthCheck::ApiServer;
    match (&facts.kubernetes, &facts.me) {
        (Ok(_), _) | (_, Ok(_)) => check.ok("the API server answers"),
        (Err(unread), Err(_)) => check.error(unread.sentence()).fix(
            MarkedText::of("see that the cluster is there (kubectl version")
                .flags()
                .words("), and sign in again where it does not accept your login"),
        ),
    }
}

/// The minor of `v1.37.2`.
fn minor(version: &str) -> Option<u32> {
    let mut parts = version.strip_prefix('v').unwrap_or(version).split('.');
    let (major, minor) = (parts.next()?, parts.next()?);
    let digits: String = minor.chars().take_while(char::is_ascii_digit).collect();
    (major == "1").then(|| digits.parse().ok())?
}

/// Whether Daypass is made for this version of Kubernetes.
pub fn kubernetes(version: &Looked<String>) -> CheckFinding {
    let check = HealthCheck::Kubernetes;
    let version = match version {
        Ok(version) => version,
        Err(unread) => return check.unknown(unread),
    };
    let said = MarkedText::of("Kubernetes ").value(version);
    let range = |text: MarkedText| {
        text.words(": Daypass is tried on ").words(OLDEST_KUBERNETES).words(" to ").words(NEWEST_KUBERNETES)
    };
    match (minor(version), minor(OLDEST_KUBERNETES), minor(NEWEST_KUBERNETES)) {
        (Some(minor), Some(oldest), Some(newest)) if (oldest..=newest).contains(&minor) => check.ok(said),
        (Some(minor), Some(oldest), _) if minor < oldest => {
            check.error(range(said.words(" is too old"))).fix("upgrade the cluster")
        }
        (Some(_), ..) => check
            .warning(range(said.words(" is newer than all that is known")))
            .fix("look for a newer version of Daypass"),
        (None, ..) => check.warning(range(said.words(" says no minor version"))),
    }
}

/// Whether the kinds are served.
pub fn kinds(served: &Looked<BTreeSet<String>>) -> CheckFinding {
    let check = HealthCheck::Kinds;
    let served = match served {
        Ok(served) => served,
        Err(unread) => return check.unknown(unread),
    };
    let wanted = crds().into_iter().map(|crd| crd.spec.names.plural);
    let missing: Vec<String> = wanted.filter(|plural| !served.contains(plural)).collect();
    if missing.is_empty() {
        return check.ok(MarkedText::of("both kinds are served, in ").words(VERSION));
    }
    check
        .error(MarkedText::of("not served in ").words(VERSION).words(": ").value(missing.join(", ")))
        .fix("install Daypass: see charts/daypass/README.md; or apply its CRDs again if they were removed")
}

/// Whether the CRDs are in force, and have all that this version knows.
pub fn definitions(stored: &Looked<Vec<CustomResourceDefinition>>) -> Vec<CheckFinding> {
    let check = HealthCheck::Definition;
    match stored {
        Err(unread) => vec![check.unknown(unread)],
        Ok(stored) => crds().iter().map(|ours| definition(ours, stored)).collect(),
    }
}

fn definition(ours: &CustomResourceDefinition, stored: &[CustomResourceDefinition]) -> CheckFinding {
    let check = HealthCheck::Definition;
    let name = ours.name_any();
    let object = MarkedText::default().value(&name);
    let Some(theirs) = stored.iter().find(|crd| crd.name_any() == name) else {
        return check.error("there is no such CRD").of(object).fix(APPLY_AGAIN);
    };
    let status = theirs.status.clone().unwrap_or_default();
    let established = status.conditions.iter().flatten().any(|c| c.type_ == "Established" && c.status == "True");
    let versions = |names: Vec<String>| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    let served: Vec<String> = theirs.spec.versions.iter().filter(|v| v.served).map(|v| v.name.clone()).collect();
    let stores = status.stored_versions.unwrap_or_default();
    let missing = missing_fields(ours, theirs);
    let finding = if !established {
        check
            .error("the API server has not established it")
            .fix(MarkedText::of("read its conditions: kubectl describe crd ").value(&name).flags())
    } else if !served.iter().any(|name| name == VERSION) {
        let text = MarkedText::of("serves ").value(versions(served)).words(", and not ").words(VERSION);
        check.error(text).fix("use the plugin of the version that is installed, or apply the chart again")
    } else if !missing.is_empty() {
        let named: Vec<&str> = missing.iter().take(MOST_FIELDS).map(String::as_str).collect();
        let more = missing.len() - named.len();
        let text = MarkedText::of("lacks fields that this version has, which the API server drops: ");
        let text = text.value(named.join(", "));
        check.error(if more > 0 { text.words(" and ").value(more).words(" more") } else { text }).fix(APPLY_AGAIN)
    } else {
        let text = MarkedText::of("established; serves ").value(versions(served));
        check.ok(text.words(", stores ").value(versions(stores)))
    };
    finding.of(object)
}

/// Fields of our schema that theirs does not have, by their path, each without those below it.
fn missing_fields(ours: &CustomResourceDefinition, theirs: &CustomResourceDefinition) -> Vec<String> {
    let schema = |crd: &CustomResourceDefinition| -> Option<JSONSchemaProps> {
        let version = crd.spec.versions.iter().find(|version| version.name == VERSION)?;
        version.schema.as_ref()?.open_api_v3_schema.clone()
    };
    let mut missing = Vec::new();
    if let (Some(ours), Some(theirs)) = (schema(ours), schema(theirs)) {
        compare(&ours, &theirs, "", &mut missing);
    }
    missing
}

fn compare(ours: &JSONSchemaProps, theirs: &JSONSchemaProps, path: &str, missing: &mut Vec<String>) {
    for (name, field) in ours.properties.iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match theirs.properties.as_ref().and_then(|properties| properties.get(name)) {
            Some(known) => compare(field, known, &path, missing),
            None => missing.push(path),
        }
    }
    if let (Some(JSONSchemaPropsOrArray::Schema(ours)), Some(JSONSchemaPropsOrArray::Schema(theirs))) =
        (&ours.items, &theirs.items)
    {
        compare(ours, theirs, path, missing);
    }
    if let (Some(JSONSchemaPropsOrBool::Schema(ours)), Some(JSONSchemaPropsOrBool::Schema(theirs))) =
        (&ours.additional_properties, &theirs.additional_properties)
    {
        compare(ours, theirs, path, missing);
    }
}

/// Whether the controller is there, has its pods, and is of this version.
pub fn controller(facts: &HealthFacts) -> Vec<CheckFinding> {
    let check = HealthCheck::Controller;
    match &facts.controller {
        Err(unread) => vec![check.unknown(unread), HealthCheck::Versions.unknown(unread)],
        Ok(None) => {
            let text = MarkedText::of("there is no controller in namespace ").namespace(&facts.release);
            vec![
                check
                    .error(text)
                    .fix("name the namespace that Daypass is installed in: --release-namespace; or install it"),
            ]
        }
        Ok(Some(controller)) => {
            vec![replicas(controller, &facts.release), versions(controller, env!("CARGO_PKG_VERSION"))]
        }
    }
}

fn replicas(controller: &InstalledController, release: &str) -> CheckFinding {
    let (check, InstalledController { name, wanted_replicas, ready_replicas, .. }) =
        (HealthCheck::Controller, controller);
    let text = MarkedText::of("Deployment ").object(name).words(" has ").value(ready_replicas).words(" of ");
    let text = text.value(wanted_replicas).words(" replicas available");
    let fix = MarkedText::of("kubectl describe deployment,pods -n ").namespace(release).flags();
    match (*wanted_replicas, *ready_replicas) {
        (0, _) => check.error(text.words(": it is scaled to none")).fix(
            MarkedText::of("kubectl scale deployment ")
                .object(name)
                .words(" --replicas=2 -n ")
                .namespace(release)
                .flags(),
        ),
        (_, 0) => check.error(text).fix(fix),
        (wanted, ready) if ready < wanted => check.warning(text).fix(fix),
        _ => check.ok(text),
    }
}

fn versions(controller: &InstalledController, own: &str) -> CheckFinding {
    let check = HealthCheck::Versions;
    let InstalledController { version, chart, image, .. } = controller;
    let text = MarkedText::of("the plugin is ").value(own).words(", the controller ").value(version);
    let text = text.words(" (").value(chart).words(", image ").name(NameKind::Host, image).words(")");
    if version == own {
        check.ok(text)
    } else {
        check.warning(text).fix("use the plugin of the version that is installed: it knows the same fields and rules")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::plugin::doctor::facts::{UnreadFact, WhyUnread};
    use crate::cli::plugin::doctor::finding::FindingLevel;
    use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
        CustomResourceDefinitionCondition, CustomResourceDefinitionStatus,
    };

    fn forbidden<T>() -> Looked<T> {
        Err(UnreadFact { why: WhyUnread::Forbidden, ..UnreadFact::hangs_on("read it") })
    }

    #[test]
    fn kubernetes_is_good_from_the_oldest_to_the_newest_that_is_tried() {
        use FindingLevel::{Error, Ok as Good, Warning};
        for (version, level) in [
            ("v1.32.9", Error),
            ("v1.33.0", Good),
            ("v1.36.3-eks-4a5b", Good),
            ("v1.37.2", Good),
            ("v1.38.0-alpha.1", Warning),
            ("v2.0.0", Warning),
            ("unknown", Warning),
        ] {
            assert_eq!(kubernetes(&Ok(version.to_owned())).level, level, "{version}");
        }
        assert_eq!(kubernetes(&forbidden()).level, FindingLevel::Unknown);
        let built = std::fs::read_to_string("e2e/controlplane/go.mod").unwrap();
        assert!(built.contains(&format!("k8s.io/kubernetes v{NEWEST_KUBERNETES}.")), "another is the newest by now");
    }

    fn established(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
        let condition = CustomResourceDefinitionCondition {
            type_: "Established".to_owned(),
            status: "True".to_owned(),
            ..CustomResourceDefinitionCondition::default()
        };
        crd.status = Some(CustomResourceDefinitionStatus {
            conditions: Some(vec![condition]),
            stored_versions: Some(vec![VERSION.to_owned()]),
            ..CustomResourceDefinitionStatus::default()
        });
        crd
    }

    fn levels(stored: Vec<CustomResourceDefinition>) -> Vec<FindingLevel> {
        definitions(&Ok(stored)).into_iter().map(|finding| finding.level).collect()
    }

    #[test]
    fn a_definition_must_be_there_established_served_and_whole() {
        use FindingLevel::{Error, Ok as Good};
        let all = || crds().into_iter().map(established).collect::<Vec<_>>();
        assert_eq!(levels(all()), [Good, Good]);
        assert_eq!(levels(all()[1..].to_vec()), [Error, Good]);
        let with = |change: fn(&mut CustomResourceDefinition)| {
            let mut stored = all();
            change(&mut stored[1]);
            levels(stored)
        };
        assert_eq!(with(|crd| crd.status = None), [Good, Error]);
        assert_eq!(with(|crd| crd.spec.versions[0].served = false), [Good, Error]);
        let without = |crd: &mut CustomResourceDefinition| {
            let schema = crd.spec.versions[0].schema.as_mut().unwrap().open_api_v3_schema.as_mut().unwrap();
            let spec = schema.properties.as_mut().unwrap().get_mut("spec").unwrap();
            let roles = spec.properties.as_mut().unwrap().get_mut("roles").unwrap();
            let Some(JSONSchemaPropsOrArray::Schema(role)) = &mut roles.items else { panic!("no items") };
            role.properties.as_mut().unwrap().remove("kind");
        };
        assert_eq!(with(without), [Good, Error]);
        let mut stored = all();
        without(&mut stored[1]);
        assert_eq!(missing_fields(&crds()[1], &stored[1]), ["spec.roles.kind"]);
        assert_eq!(definitions(&forbidden())[0].level, FindingLevel::Unknown);
        assert_eq!(kinds(&Ok(BTreeSet::from(["accesspolicies".to_owned()]))).level, Error);
    }

    #[test]
    fn a_controller_needs_all_its_replicas_and_the_version_of_the_plugin() {
        use FindingLevel::{Error, Ok as Good, Warning};
        let controller = |wanted_replicas, ready_replicas| InstalledController {
            name: "daypass".to_owned(),
            image: String::new(),
            version: "0.1.0".to_owned(),
            chart: "daypass-0.1.0".to_owned(),
            account: "daypass".to_owned(),
            guards: Vec::new(),
            served: crate::core::decision::served::ServedNamespaces::Cluster,
            archive: None,
            wanted_replicas,
            ready_replicas,
        };
        for (wanted, ready, level) in [(2, 2, Good), (2, 1, Warning), (2, 0, Error), (0, 0, Error)] {
            assert_eq!(replicas(&controller(wanted, ready), "x").level, level, "{ready} of {wanted}");
        }
        assert_eq!(versions(&controller(1, 1), "0.1.0").level, Good);
        assert_eq!(versions(&controller(1, 1), "0.2.0").level, Warning);
    }
}
