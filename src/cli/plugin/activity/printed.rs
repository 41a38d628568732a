//! What was done with the access of a request, in words.

use serde_json::{Value, json};

use crate::api::activity::UseCount;
use crate::api::request::GrantUse;
use crate::archive::who::readers::{GROUP, VERSION};
use crate::cli::plugin::output::format::FormatArgs;
use crate::cli::plugin::output::table::Table;
use crate::cli::plugin::output::text::{Text, TextSpan, Tone};
use crate::core::activity::deed::DeedKind;
use crate::core::activity::told::{ToldActivity, ToldRow};

/// As an object for programs.
pub fn object(told: &ToldActivity) -> Value {
    let mut object = json!(told);
    object["apiVersion"] = json!(format!("{GROUP}/{VERSION}"));
    object["kind"] = json!("Activity");
    object["metadata"] = json!({ "name": told.name, "namespace": told.namespace });
    object
}

/// What is known of its use, and a line for each kind of call.
pub fn page(told: &ToldActivity, format: &FormatArgs) -> Text {
    let mut text = Text::default();
    let name = match (&told.namespace, &told.name) {
        (Some(namespace), Some(name)) => format!("{namespace}/{name}"),
        _ => told.request.clone(),
    };
    let tone = match told.known {
        GrantUse::NotUsed => Tone::Waiting,
        GrantUse::Used | GrantUse::Redundant | GrantUse::Unknown => Tone::Plain,
    };
    text.spans(vec![TextSpan::new(name, Tone::Strong), " ".into(), TextSpan::new(told.known.as_str(), tone)]);
    text.line(&told.why);
    text.gap();
    text.extend(facts(told));
    if told.rows.is_empty() {
        return text;
    }
    text.gap();
    let heads = ["VERB", "RESOURCE", "WHERE", "CALLS", "FIRST", "LAST", "FROM", "WHO", "HOW"];
    let mut table = format.table(&heads, &["SAYS IT IS FROM"]);
    for row in &told.rows {
        table.row(cells(row, format.is_wide()));
    }
    text.extend(table.text());
    text
}

fn facts(told: &ToldActivity) -> Text {
    let mut table = Table::new(&[]).without_heads(true);
    let mut fact = |name: &str, words: Option<String>| {
        if let Some(words) = words {
            table.row(vec![TextSpan::new(name, Tone::Dim), words.into()]);
        }
    };
    let UseCount { calls, refused, standing, ambiguous, first, last, last_beside } = &told.count;
    let of = |calls: u64, more: &str| (calls > 0).then(|| format!("{calls}{more}"));
    fact("calls", Some(calls.to_string()));
    fact("refused", of(*refused, " of them, by the API server for another reason"));
    fact("first", first.map(|first| first.to_string()));
    fact("last", last.map(|last| last.to_string()));
    fact("open", of(told.open, ", watches and streams"));
    fact("beside", of(*standing, " calls that standing access allowed, and it would have too"));
    fact("ambiguous", of(*ambiguous, " calls that another grant allowed, or something that is not named"));
    fact("last beside", last_beside.map(|last| last.to_string()));
    fact("open beside", of(told.open_beside, ", watches and streams"));
    table.text()
}

fn cells(row: &ToldRow, wide: bool) -> Vec<TextSpan> {
    let other = DeedKind { verb: "others".to_owned(), ..DeedKind::default() };
    let deed = row.deed.as_deref().filter(|_| !row.others).unwrap_or(&other);
    let kind = [deed.resource.as_str(), deed.group.as_str()].into_iter().filter(|part| !part.is_empty());
    let place = [&deed.namespace, &deed.target].into_iter().flatten().map(String::as_str);
    let resource = deed.path.clone().unwrap_or_else(|| kind.collect::<Vec<_>>().join("."));
    let who = match &deed.impersonated {
        Some(acting) => format!("{} as {acting}", deed.user),
        None => deed.user.clone(),
    };
    let mut cells: Vec<TextSpan> = vec![
        deed.verb.as_str().into(),
        resource.into(),
        place.collect::<Vec<_>>().join("/").into(),
        row.calls.to_string().into(),
        row.first.to_string().into(),
        row.last.to_string().into(),
        deed.address.as_deref().unwrap_or_default().into(),
        who.into(),
        TextSpan::new(how(row, deed), if deed.refused { Tone::Bad } else { Tone::Plain }),
    ];
    if wide {
        cells.push(row.claimed.join(", ").into());
    }
    cells
}

/// What else there is to say of calls that are alike.
fn how(row: &ToldRow, deed: &DeedKind) -> String {
    let all = [
        row.others.then(|| "of any kind: there was no line left for them".to_owned()),
        deed.program.as_ref().map(|program| format!("ran {program}")),
        (!deed.ports.is_empty()).then(|| format!("port {}", deed.ports.join(", "))),
        deed.refused.then(|| "refused for another reason".to_owned()),
        deed.instead.as_ref().map(|instead| format!("allowed by {}", instead.by)),
    ];
    all.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told() -> ToldActivity {
        let at = "2026-11-30T12:00:00Z";
        serde_json::from_value(json!({
            "cluster": "c", "request": "u-1", "namespace": "shop", "name": "fix", "known": "Used", "why": "so",
            "calls": 3, "refused": 1, "standing": 4, "ambiguous": 0, "open": 1, "openBeside": 0, "first": at, "last": at,
            "rows": [
                { "verb": "get", "resource": "pods/exec", "namespace": "shop", "target": "web", "user": "admin",
                  "impersonated": "alice", "address": "10.0.0.1", "program": "psql", "calls": 2, "first": at, "last": at,
                  "claimed": ["6.6.6.6"] },
                { "verb": "create", "resource": "deployments", "group": "apps", "namespace": "shop", "user": "alice",
                  "refused": true, "calls": 1, "first": at, "last": at },
                { "verb": "list", "resource": "pods", "namespace": "shop", "user": "alice", "calls": 4, "first": at,
                  "last": at, "instead": { "by": "ClusterRoleBinding devs" } },
                { "others": true, "calls": 9, "first": at, "last": at },
            ],
        }))
        .unwrap()
    }

    #[test]
    fn each_kind_of_call_is_a_line_with_all_that_is_known_of_it() {
        let page = page(&told(), &FormatArgs::default()).to_string();
        let line = |words: &[&str]| {
            let found = page.lines().find(|line| words.iter().all(|word| line.contains(word)));
            assert!(found.is_some(), "{words:?} are not in one line of\n{page}");
        };
        line(&["shop/fix", "Used"]);
        line(&["refused", "1 of them"]);
        line(&["get", "pods/exec", "shop/web", "2", "10.0.0.1", "admin as alice", "ran psql"]);
        line(&["create", "deployments.apps", "refused for another reason"]);
        line(&["list", "pods", "4", "allowed by ClusterRoleBinding devs"]);
        line(&["others", "9", "no line left"]);
        assert!(!page.contains("6.6.6.6"), "what a caller makes up is for who asks for it\n{page}");
    }

    #[test]
    fn programs_get_all_of_it() {
        let object = object(&told());
        assert_eq!((&object["kind"], &object["metadata"]["name"]), (&json!("Activity"), &json!("fix")));
        assert_eq!(object["rows"].as_array().map(Vec::len), Some(4));
        assert_eq!(object["rows"][0]["claimed"], json!(["6.6.6.6"]));
    }
}
