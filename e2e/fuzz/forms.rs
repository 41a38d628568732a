//! Short texts of a form of their own: durations, globs and label selectors.

use std::collections::BTreeMap;

use daypass::core::model::duration;
use daypass::core::model::namespaces::glob_matches;
use daypass::core::model::namespaces::selector;
use daypass::core::policies::PolicySet;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::core::SelectorExt;
use libtest_mimic::Trial;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use crate::bounds::{each, fuzz};
use crate::largest::{decided, policy};

pub fn trials() -> Vec<Trial> {
    vec![
        fuzz("forms::any_duration", any_duration, |text| {
            let _ = duration::parse(text);
            decided(&PolicySet::new([&policy(&json!({ "duration": { "max": text } }))]), false, Timestamp::MAX);
        }),
        fuzz(
            "forms::any_length",
            || (any::<i64>(), -999_999_999..1_000_000_000),
            |(seconds, nanos)| {
                let _ = duration::format(SignedDuration::new(*seconds, *nanos));
            },
        ),
        each("forms::the_worst_globs", worst_globs(), |(glob, name)| {
            glob_matches(glob, name);
        }),
        fuzz(
            "forms::any_glob",
            || ("[ab*]{0,253}", "[ab]{0,253}"),
            |(glob, name)| {
                glob_matches(glob, name);
            },
        ),
        fuzz(
            "forms::any_globs_of_a_policy",
            || vec("[0n*]{1,63}", 1..64),
            |globs| {
                let scope = json!({ "namespaces": globs });
                decided(&PolicySet::new([&policy(&json!({ "scope": scope }))]), false, Timestamp::UNIX_EPOCH);
            },
        ),
        fuzz("forms::any_selector", any_selector, selected),
    ]
}

fn any_duration() -> impl Strategy<Value = String> {
    let part = (any::<u64>(), select(vec!["h", "m", "s", "ms", "us", "d", "", "-", "."]));
    let parts = vec(part, 0..6).prop_map(|parts| parts.into_iter().map(|(n, unit)| format!("{n}{unit}")).collect());
    prop_oneof!["\\PC{0,40}", "[0-9hms]{0,32}", "[0-9]{0,5000}h", parts]
}

fn worst_globs() -> Vec<(String, String)> {
    let long = "a".repeat(253);
    [
        "*a*a*a*a*b".to_owned(),
        format!("{}b", "*a".repeat(126)),
        format!("{}b", "*".repeat(252)),
        format!("{}*b", "a*".repeat(126)),
        format!("*{}b", "a".repeat(126)),
        format!("{}b", "*a".repeat(5000)),
    ]
    .into_iter()
    .flat_map(|glob| [(glob.clone(), long.clone()), (glob, long.repeat(40))])
    .collect()
}

fn any_selector() -> impl Strategy<Value = Value> {
    let key = || {
        prop_oneof![
            select(vec!["wide", "shared.example.com/1", "own.example.com/0-0", ""]).prop_map(str::to_owned),
            "\\PC{0,317}"
        ]
    };
    let value = || prop_oneof![select(vec!["yes", "no", ""]).prop_map(str::to_owned), "\\PC{0,63}"];
    let operator = select(vec!["In", "NotIn", "Exists", "DoesNotExist"]);
    let rule = (key(), operator, vec(value(), 0..32))
        .prop_map(|(key, operator, values)| json!({ "key": key, "operator": operator, "values": values }));
    (proptest::collection::btree_map(key(), value(), 0..16), vec(rule, 0..16))
        .prop_map(|(labels, rules)| json!({ "matchLabels": labels, "matchExpressions": rules }))
}

fn selected(raw: &Value) {
    let labels: BTreeMap<String, String> =
        (0..1000).map(|n| (format!("shared.example.com/{n}"), "yes".to_owned())).collect();
    selector(&serde_json::from_value(raw.clone()).unwrap()).matches(&labels);
    let scope = json!({ "namespaceSelector": raw });
    decided(&PolicySet::new([&policy(&json!({ "scope": scope }))]), false, Timestamp::UNIX_EPOCH);
}
