//! Legal holds on a real API server with the archive behind its aggregator: who may set and lift them, and what is told.
//!
//! That what is held stays and the rest goes is tried on both stores, by a clock that goes on for a year.

use daypass::api::keeping::{KeepingTimes, KeptHold};
use serde_json::Value;

use crate::harness::Cluster;
use crate::harness::plugin::Plugin;
use crate::harness::users::{ADMIN, DAVE, GRETA, MALLORY};

/// On a cluster whose archive runs.
pub async fn holds(cluster: &Cluster) {
    let admin = cluster.kubectl(ADMIN);
    for (name, role, user) in [("greta-keeps", "keeper", "greta"), ("dave-reads", "reader", "dave")] {
        let (role, user) = (format!("--clusterrole=daypass-archive-{role}"), format!("--user={user}"));
        admin.ok(&["create", "clusterrolebinding", name, &role, &user]).await;
    }
    let [keeper, reader, nobody] = [GRETA, DAVE, MALLORY].map(|user| Plugin::of(cluster, user));
    let times = keeper.done(&["retention", "show", "-o", "json"]).await;
    assert_eq!(serde_json::from_str::<KeepingTimes>(&times).expect("times"), KeepingTimes::default());

    let set = ["retention", "hold", "case-7", "--person", "alice", "--request", "uid-7", "-m", "Case 7"];
    for other in [&reader, &nobody] {
        let refused = other.run(&set).await;
        assert_eq!(refused.0, Some(1), "{refused:?}");
        assert!(refused.2.contains("create holds.archive.daypass.dev"), "{refused:?}");
    }
    assert_eq!(held(&reader).await, []);
    keeper.done(&set).await;
    let again = keeper.run(&set).await;
    assert!(again.0 == Some(1) && again.2.contains("case-7"), "{again:?}");
    let lift = ["retention", "lift", "case-7", "-m", "Closed", "--yes"];
    for other in [&reader, &nobody] {
        assert_eq!(other.run(&lift).await.0, Some(1), "somebody else lifted it");
    }
    let hold = held(&reader).await.remove(0);
    assert_eq!((hold.by.as_str(), hold.asked.reason.as_str(), &hold.lifted), ("greta", "Case 7", &None));
    assert_eq!((hold.asked.person.as_deref(), hold.asked.requests), (Some("alice"), vec!["uid-7".to_owned()]));
    assert_eq!(nobody.run(&["retention", "holds"]).await.0, Some(1), "who has no right reads holds");
    keeper.done(&lift).await;
    assert_eq!(keeper.run(&lift).await.0, Some(1), "it is lifted once");
    let lifted = held(&reader).await.remove(0).lifted.expect("that it was lifted");
    assert_eq!((lifted.by.as_str(), lifted.reason.as_str()), ("greta", "Closed"));
}

async fn held(reader: &Plugin) -> Vec<KeptHold> {
    let list = reader.done(&["retention", "holds", "-o", "json"]).await;
    let list: Value = serde_json::from_str(&list).expect("a list");
    serde_json::from_value(list["items"].clone()).expect("holds")
}
