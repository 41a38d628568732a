//! What the chart says of the states of a request, in admission policies, holds for all of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use daypass::api::State;
use serde_json::Value;

use super::{folder, render};
use crate::harness::ControlPlane;

/// What can still come of a request. A new state has to be thought of here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stands {
    /// Not decided.
    Open,
    /// Decided, and not over: it can be ended.
    Granted,
    /// It was never granted, and will not be.
    Refused,
    /// It is over.
    Over,
}

fn stands(state: State) -> Stands {
    match state {
        State::Pending => Stands::Open,
        State::Scheduled | State::Active | State::Suspended => Stands::Granted,
        State::Denied | State::Lapsed => Stands::Refused,
        State::Expired | State::Revoked | State::Failed | State::Extended => Stands::Over,
    }
}

/// Every state, as the definition in the chart has them.
fn states() -> Vec<State> {
    let text = std::fs::read_to_string(folder().join("files/crds/accessrequests.yaml")).expect("the definition");
    let definition: Value = serde_saphyr::from_str(&text).expect("YAML");
    let status = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"];
    serde_json::from_value(status["properties"]["state"]["enum"].clone()).expect("states")
}

/// Each list of states in an admission policy is all of a kind, and none but the first state stands alone: what is
/// decided and not over would otherwise be open to some things in one state and forgotten in another.
pub async fn knows_all_states(control_plane: Arc<ControlPlane>) {
    let of = |wanted: Stands| -> BTreeSet<&str> {
        states().into_iter().filter(|state| stands(*state) == wanted).map(State::as_str).collect()
    };
    for state in states() {
        assert_eq!(state.is_final(), matches!(stands(state), Stands::Refused | Stands::Over), "{state:?}");
    }
    let names: BTreeSet<&str> = states().into_iter().map(State::as_str).collect();
    let mut lists = 0;
    for policy in render(&control_plane, &[]).await.iter().filter(|o| o["spec"]["validations"].is_array()) {
        let mut text = policy["spec"].to_string();
        while let Some((list, found)) = list_of(&text, &names) {
            lists += 1;
            let over = of(Stands::Refused).union(&of(Stands::Over)).copied().collect();
            let known = [of(Stands::Granted), of(Stands::Refused), over].contains(&found);
            assert!(known, "{}: {list} forgets a state, or has one too many", policy["metadata"]["name"]);
            text = text.replace(&list, "");
        }
        for name in names.iter().filter(|name| **name != State::Pending.as_str()) {
            assert!(!text.contains(&format!("'{name}'")), "{}: '{name}' stands alone", policy["metadata"]["name"]);
        }
    }
    assert!(lists > 0, "the guards speak of states in another form");
}

/// The first list of states, as it is written and what it holds.
fn list_of<'a>(text: &str, names: &BTreeSet<&'a str>) -> Option<(String, BTreeSet<&'a str>)> {
    text.match_indices('[').find_map(|(begin, _)| {
        let list = text[begin..].split_inclusive(']').next()?;
        let quoted = list.trim_matches(['[', ']']).split(',').map(str::trim);
        let items: Vec<&str> = quoted.map(|item| item.trim_matches('\'')).collect();
        let found: BTreeSet<&str> = names.iter().copied().filter(|name| items.contains(name)).collect();
        (!found.is_empty() && found.len() == items.len()).then(|| (list.to_owned(), found))
    })
}
