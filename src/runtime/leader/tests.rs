use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use http::{Method, Request, Response, StatusCode};
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tower::{BoxError, service_fn};

use super::*;
use crate::runtime::gate::{Leadership, seat};

const TERMS: Terms =
    Terms { lease: Duration::from_secs(15), renew_deadline: Duration::from_secs(10), retry: Duration::from_secs(2) };
const MILLI: Duration = Duration::from_millis(1);

/// An API server that has one Lease, and compares versions as the real one does.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<(u64, Option<Value>)>>);

/// How one replica reaches the server.
#[derive(Default)]
struct Line {
    /// Nothing is ever answered.
    hangs: AtomicBool,
    /// Everything is answered by 500.
    fails: AtomicBool,
    /// Writes arrive, and their answers are lost.
    deaf: AtomicBool,
}

impl Server {
    fn client(&self) -> (Client, Arc<Line>) {
        let (server, line) = (self.clone(), Arc::new(Line::default()));
        let seen = line.clone();
        let service = service_fn(move |request: Request<Body>| {
            let (server, line) = (server.clone(), seen.clone());
            async move {
                tokio::time::sleep(MILLI).await;
                if line.hangs.load(Ordering::SeqCst) {
                    std::future::pending::<()>().await;
                }
                let method = request.method().clone();
                let body = request.into_body().collect_bytes().await?;
                let (code, answer) = match line.fails.load(Ordering::SeqCst) {
                    true => (500, json!({})),
                    false => server.answer(&method, serde_json::from_slice(&body).unwrap_or_default()),
                };
                if method != Method::GET && line.deaf.load(Ordering::SeqCst) {
                    return Err("the answer is lost".into());
                }
                let mut response = Response::new(Body::from(answer.to_string().into_bytes()));
                *response.status_mut() = StatusCode::from_u16(code)?;
                Ok::<_, BoxError>(response)
            }
        });
        (Client::new(service, "default"), line)
    }

    fn answer(&self, method: &Method, mut body: Value) -> (u16, Value) {
        let mut stored = self.0.lock().unwrap();
        let (version, lease) = &mut *stored;
        let status = |code: u16| {
            let reason = if code == 404 { "NotFound" } else { "Conflict" };
            (code, json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason }))
        };
        match (method, &lease) {
            (&Method::GET, Some(lease)) => return (200, (*lease).clone()),
            (&Method::POST, None) => {}
            (&Method::PUT, Some(old)) => {
                if old["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"] {
                    return status(409);
                }
            }
            (&Method::POST, Some(_)) => return status(409),
            _ => return status(404),
        }
        *version += 1;
        body["metadata"]["resourceVersion"] = version.to_string().into();
        *lease = Some(body.clone());
        (200, body)
    }

    fn spec(&self) -> Value {
        self.0.lock().unwrap().1.as_ref().map(|lease| lease["spec"].clone()).unwrap_or_default()
    }
}

/// One replica: whether it leads, its line to the server, how to stop it, and how it ended.
struct Replica {
    leadership: Leadership,
    line: Arc<Line>,
    stop: oneshot::Sender<()>,
    ended: tokio::task::JoinHandle<Result<(), Lost>>,
}

fn replica(server: &Server, pod: Option<&str>) -> Replica {
    let (seat, leadership) = seat();
    let (client, line) = server.client();
    let election = Election::new(seat, client, "default", pod, TERMS, Clock);
    let readiness = Readiness::waiting_for([ELECTION], leadership.clone());
    let (stop, stopped) = oneshot::channel();
    let over = async {
        let _ = stopped.await;
    };
    Replica { leadership, line, stop, ended: tokio::spawn(election.run(readiness, over)) }
}

/// Sleeps in small steps until `done`, and says how long it took. Never do two replicas lead.
async fn until(replicas: &[&Replica], done: impl Fn() -> bool) -> Duration {
    let began = Instant::now();
    while !done() {
        assert!(replicas.iter().filter(|r| r.leadership.holds()).count() < 2, "two lead");
        assert!(began.elapsed() < Duration::from_secs(60), "it never comes");
        sleep(MILLI).await;
    }
    began.elapsed()
}

#[tokio::test(start_paused = true)]
async fn of_many_candidates_one_leads_and_the_others_know_it() {
    let server = Server::default();
    let all: Vec<Replica> = ["a", "b", "c"].into_iter().map(|pod| replica(&server, Some(pod))).collect();
    let seen: Vec<&Replica> = all.iter().collect();
    let leaders = || all.iter().filter(|r| r.leadership.holds()).count();
    until(&seen, || leaders() == 1).await;
    let later = Instant::now() + Duration::from_secs(50);
    until(&seen, || Instant::now() > later).await;
    assert_eq!(leaders(), 1);
    let roles: Vec<String> = all.iter().map(|r| r.leadership.role()).collect();
    let leader = ["a", "b", "c"][roles.iter().position(|role| role == "leads").unwrap()];
    assert_eq!(roles.iter().filter(|role| **role == format!("stands by; {leader} leads")).count(), 2, "{roles:?}");
    assert_eq!(server.spec()["leaseTransitions"], 0);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_hears_nothing_stops_well_before_another_begins() {
    for cut in
        [|line: &Line| line.hangs.store(true, Ordering::SeqCst), |line: &Line| line.fails.store(true, Ordering::SeqCst)]
    {
        let server = Server::default();
        let old = replica(&server, Some("old"));
        until(&[&old], || old.leadership.holds()).await;
        let new = replica(&server, Some("new"));
        sleep(Duration::from_secs(7)).await;
        cut(&old.line);
        let lost = until(&[&old, &new], || !old.leadership.holds()).await;
        // The deadline counts from the last good renewal, of which the last began up to a retry ago.
        assert!((Duration::from_millis(7990)..=Duration::from_secs(10)).contains(&lost), "{lost:?}");
        let gap = until(&[&old, &new], || new.leadership.holds()).await;
        assert!(gap >= Duration::from_millis(4900), "{gap:?}");
        assert!(gap <= Duration::from_secs(6), "{gap:?}");
        assert!(matches!(old.ended.await.unwrap(), Err(Lost::Late(_))));
        assert_eq!(server.spec()["leaseTransitions"], 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_renewal_whose_answer_is_lost_does_not_count_and_does_no_harm() {
    let server = Server::default();
    let old = replica(&server, Some("old"));
    until(&[&old], || old.leadership.holds()).await;
    let new = replica(&server, Some("new"));
    old.line.deaf.store(true, Ordering::SeqCst);
    sleep(Duration::from_secs(5)).await;
    assert!(old.leadership.holds());
    old.line.deaf.store(false, Ordering::SeqCst);
    let later = Instant::now() + Duration::from_secs(60) - MILLI;
    until(&[&old, &new], || Instant::now() >= later).await;
    assert!(old.leadership.holds() && !old.ended.is_finished());
    // Heard by nobody, it has to stop all the same, though its writes arrive.
    old.line.deaf.store(true, Ordering::SeqCst);
    until(&[&old, &new], || !old.leadership.holds()).await;
    until(&[&old, &new], || new.leadership.holds()).await;
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_given_back_is_taken_at_once() {
    let server = Server::default();
    let old = replica(&server, Some("old"));
    until(&[&old], || old.leadership.holds()).await;
    let new = replica(&server, Some("new"));
    sleep(Duration::from_secs(3)).await;
    old.stop.send(()).unwrap();
    old.ended.await.unwrap().unwrap();
    assert!(!old.leadership.holds());
    assert_eq!(server.spec()["holderIdentity"], "");
    let began = Instant::now();
    new.leadership.taken().await;
    assert!(began.elapsed() <= LOOK + Duration::from_millis(10), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_next_process_of_the_same_pod_need_not_wait_and_any_other_must() {
    for (pod, waits) in [(Some("old"), false), (Some("new"), true), (None, true)] {
        let server = Server::default();
        let old = replica(&server, Some("old"));
        until(&[&old], || old.leadership.holds()).await;
        old.ended.abort();
        let began = Instant::now();
        let new = replica(&server, pod);
        new.leadership.taken().await;
        let waited = began.elapsed();
        assert_eq!(waited >= TERMS.lease, waits, "{pod:?}: {waited:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_whose_name_is_used_by_another_process_ends() {
    let server = Server::default();
    let [one, other] = [replica(&server, Some("same")), replica(&server, Some("same"))];
    until(&[], || one.ended.is_finished() || other.ended.is_finished()).await;
    let lost = if one.ended.is_finished() { one.ended.await } else { other.ended.await };
    assert!(matches!(lost.unwrap(), Err(Lost::Taken(_))));
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_deleted_under_its_holder_is_not_free() {
    let server = Server::default();
    let old = replica(&server, Some("old"));
    until(&[&old], || old.leadership.holds()).await;
    let new = replica(&server, Some("new"));
    sleep(Duration::from_secs(1)).await;
    server.0.lock().unwrap().1 = None;
    until(&[&old, &new], || old.ended.is_finished()).await;
    let waited = until(&[&old, &new], || new.leadership.holds()).await;
    assert!(waited > Duration::from_secs(10), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn the_lease_of_another_replica_lasts_as_long_as_that_one_says() {
    let server = Server::default();
    let old = replica(&server, Some("old"));
    until(&[&old], || old.leadership.holds()).await;
    old.ended.abort();
    server.0.lock().unwrap().1.as_mut().unwrap()["spec"]["leaseDurationSeconds"] = 40.into();
    let waited = {
        let new = replica(&server, Some("new"));
        let began = Instant::now();
        new.leadership.taken().await;
        began.elapsed()
    };
    assert!(waited >= Duration::from_secs(40), "{waited:?}");
}

#[test]
fn terms_leave_time_for_a_write_to_die() {
    let secs = Duration::from_secs;
    let terms = |lease, renew_deadline, retry| Terms { lease, renew_deadline, retry }.checked().map(drop);
    assert_eq!(terms(secs(15), secs(10), secs(2)), Ok(()));
    assert!(terms(secs(10), secs(10), secs(2)).is_err());
    assert!(terms(secs(15), secs(3), secs(2)).is_err());
    assert!(terms(Duration::from_millis(15_500), secs(10), secs(2)).is_err());
}
