use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client};
use tower::{Layer, service_fn};

use super::*;
use crate::runtime::layer::With;

/// A client behind the gate, of a server that takes two seconds for a write; how many writes have reached it; and how
/// many it has answered.
fn gated(leadership: Leadership) -> (Api<ConfigMap>, Arc<[AtomicUsize; 2]>) {
    let counts = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
    let seen = counts.clone();
    let server = service_fn(move |request: Request<Body>| {
        let seen = seen.clone();
        async move {
            if request.method() != Method::GET {
                seen[0].fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_secs(2)).await;
                seen[1].fetch_add(1, Ordering::SeqCst);
            }
            let body = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}"#;
            Ok::<_, BoxError>(Response::new(Body::from(body.as_bytes().to_vec())))
        }
    });
    (Api::namespaced(Client::new(With(Gate(leadership)).layer(server), "default"), "default"), counts)
}

fn refused<T>(answer: kube::Result<T>) -> bool {
    matches!(answer, Err(kube::Error::Service(error)) if error.is::<NotLeading>())
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_stands_by_reads_and_sends_no_write() {
    let (seat, leadership) = seat();
    let (api, counts) = gated(leadership.clone());
    assert!(api.get("a").await.is_ok());
    assert!(refused(api.create(&PostParams::default(), &ConfigMap::default()).await));
    assert!(refused(api.delete("a", &DeleteParams::default()).await));
    assert_eq!(counts[0].load(Ordering::SeqCst), 0);
    seat.take_until(Instant::now() + Duration::from_secs(10));
    assert!(api.create(&PostParams::default(), &ConfigMap::default()).await.is_ok());
    assert_eq!(counts[1].load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_write_on_its_way_is_cut_at_the_deadline_and_none_is_sent_after_it() {
    let (seat, leadership) = seat();
    let (api, counts) = gated(leadership.clone());
    let began = Instant::now();
    seat.take_until(began + Duration::from_secs(1));
    assert!(refused(api.create(&PostParams::default(), &ConfigMap::default()).await));
    assert_eq!(began.elapsed().as_millis() / 10, 100, "{:?}", began.elapsed());
    assert!(!leadership.holds());
    assert!(refused(api.create(&PostParams::default(), &ConfigMap::default()).await));
    assert_eq!([0, 1].map(|n| counts[n].load(Ordering::SeqCst)), [1, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_renewal_lets_a_write_go_on_and_a_loss_cuts_it_at_once() {
    let (seat, leadership) = seat();
    let (api, _) = gated(leadership);
    let began = Instant::now();
    seat.take_until(began + Duration::from_secs(1));
    let renewing = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        seat.take_until(began + Duration::from_secs(5));
    };
    let creation = (PostParams::default(), ConfigMap::default());
    let (answer, ()) = tokio::join!(api.create(&creation.0, &creation.1), renewing);
    assert!(answer.is_ok());
    let losing = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        seat.stand_by(None);
    };
    let began = Instant::now();
    let (answer, ()) = tokio::join!(api.create(&creation.0, &creation.1), losing);
    assert!(refused(answer) && began.elapsed() < Duration::from_millis(600), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn without_an_election_nothing_lapses() {
    let (seat, leadership) = seat();
    seat.take_for_good();
    drop(seat);
    leadership.taken().await;
    let waited = tokio::time::timeout(Duration::from_secs(86_400), leadership.lapsed()).await;
    assert!(waited.is_err() && leadership.holds());
}

#[tokio::test(start_paused = true)]
async fn a_deadline_holds_also_when_nobody_renews_any_more() {
    let (seat, leadership) = seat();
    let began = Instant::now();
    seat.take_until(began + Duration::from_secs(3));
    drop(seat);
    leadership.lapsed().await;
    assert!(began.elapsed() >= Duration::from_secs(3) && !leadership.holds());
}
