use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use http::Method;
use kube::core::Status;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::*;
use crate::runtime::gate::{Leadership, seat};

const TERMS: LeaseTimings = LeaseTimings {
    lease: Duration::from_secs(15),
    renew_deadline: Duration::from_secs(10),
    retry: Duration::from_secs(2),
};
const MILLI: Duration = Duration::from_millis(1);

/// An API server that has one Lease, and compares versions as the real one does. And a stranger, who at once writes over
/// what holders write whose names begin so.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<(u64, Option<Value>)>>, Arc<Mutex<Option<&'static str>>>);

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
    fn reached(&self) -> (Reached, Arc<Line>) {
        let line = Arc::new(Line::default());
        (Reached { server: self.clone(), line: line.clone() }, line)
    }

    fn answer(&self, method: &Method, body: Value) -> (u16, Value) {
        let answer = self.stored(method, body);
        let hidden = *self.1.lock().unwrap();
        if method != Method::GET && hidden.is_some_and(|names| self.holder().starts_with(names)) {
            self.overwrite(&for_ever());
        }
        answer
    }

    fn holder(&self) -> String {
        self.spec()["holderIdentity"].as_str().unwrap_or_default().to_owned()
    }

    fn stored(&self, method: &Method, mut body: Value) -> (u16, Value) {
        let mut stored = self.0.lock().unwrap();
        let (version, lease) = &mut *stored;
        let status = |code: u16| (code, json!({}));
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

    /// Somebody else writes the lease, or makes one.
    fn overwrite(&self, spec: &Value) {
        let (version, lease) = &mut *self.0.lock().unwrap();
        *version += 1;
        let mut written = lease.take().unwrap_or_else(|| json!({ "metadata": { "name": LEASE } }));
        written["metadata"]["resourceVersion"] = version.to_string().into();
        for (key, value) in spec.as_object().unwrap() {
            written["spec"][key] = value.clone();
        }
        *lease = Some(written);
    }

    fn delete(&self) {
        self.0.lock().unwrap().1 = None;
    }

    fn spec(&self) -> Value {
        self.0.lock().unwrap().1.as_ref().map(|lease| lease["spec"].clone()).unwrap_or_default()
    }
}

/// The server, as one replica reaches it.
struct Reached {
    server: Server,
    line: Arc<Line>,
}

impl Reached {
    async fn call(&self, method: Method, lease: Option<&Lease>) -> kube::Result<Lease> {
        sleep(MILLI).await;
        if self.line.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        let (code, answer) = match self.line.fails.load(Ordering::SeqCst) {
            true => (500, json!({})),
            false => self.server.answer(&method, serde_json::to_value(lease).unwrap()),
        };
        if method != Method::GET && self.line.deaf.load(Ordering::SeqCst) {
            return Err(kube::Error::Service("the answer is lost".into()));
        }
        match code {
            200 => Ok(serde_json::from_value(answer).unwrap()),
            code => Err(kube::Error::Api(Status::failure("no", "").with_code(code).boxed())),
        }
    }
}

impl LeaseStore for Reached {
    async fn read(&self) -> kube::Result<Option<Lease>> {
        match self.call(Method::GET, None).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            found => found.map(Some),
        }
    }

    async fn make(&self, lease: &Lease) -> kube::Result<Lease> {
        self.call(Method::POST, Some(lease)).await
    }

    async fn write_over(&self, lease: &Lease) -> kube::Result<Lease> {
        self.call(Method::PUT, Some(lease)).await
    }
}

/// One replica: whether it leads, its line to the server, how to stop it, and how it ended.
struct Replica {
    leadership: Leadership,
    line: Arc<Line>,
    stop: oneshot::Sender<()>,
    ended: tokio::task::JoinHandle<Result<(), LeadershipLost>>,
}

fn replica(server: &Server, pod: Option<&str>) -> Replica {
    replica_where(server, pod, true)
}

/// A replica on a cluster where a request has been decided, or where none ever was.
fn replica_where(server: &Server, pod: Option<&str>, unused: bool) -> Replica {
    let (seat, leadership) = seat();
    let (leases, line) = server.reached();
    let election = Election::new(seat, leases, pod, TERMS, Clock::wall());
    let readiness = Readiness::waiting_for([ELECTION], leadership.clone());
    let (stop, stopped) = oneshot::channel();
    let over = async {
        let _ = stopped.await;
    };
    Replica { leadership, line, stop, ended: tokio::spawn(election.run(readiness, move || Some(unused), over)) }
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
        assert!(matches!(old.ended.await.unwrap(), Err(LeadershipLost::Late(_))));
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
    assert!(matches!(lost.unwrap(), Err(LeadershipLost::Taken(_))));
}

/// What a stranger makes of it.
fn for_ever() -> Value {
    json!({ "holderIdentity": "eve", "leaseDurationSeconds": i32::MAX, "renewTime": "9999-01-01T00:00:00.000000Z" })
}

async fn lasts(replicas: &[&Replica], length: Duration) {
    let later = Instant::now() + length;
    until(replicas, || Instant::now() >= later).await;
}

#[tokio::test(start_paused = true)]
async fn a_leader_takes_its_lease_back_from_a_stranger() {
    let server = Server::default();
    let old = replica(&server, Some("old"));
    until(&[&old], || old.leadership.holds()).await;
    let new = replica(&server, Some("new"));
    let odd = [
        json!({ "holderIdentity": "" }),
        json!({ "holderIdentity": null }),
        json!({ "holderIdentity": "eve", "leaseDurationSeconds": -1, "renewTime": null }),
        json!({ "leaseDurationSeconds": i32::MAX }),
        for_ever(),
    ];
    for spec in odd.into_iter().map(Some).chain([None]) {
        match &spec {
            Some(spec) => server.overwrite(spec),
            None => server.delete(),
        }
        lasts(&[&old, &new], TERMS.retry + LOOK).await;
        assert!(server.spec()["holderIdentity"].as_str().unwrap().starts_with("old_"), "{spec:?}: {}", server.spec());
        lasts(&[&old, &new], TERMS.lease * 2).await;
        assert_eq!((&*old.leadership.role(), &*new.leadership.role()), ("leads", "stands by; old leads"), "{spec:?}");
    }
    assert!(!old.ended.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_stranger_s_lease_is_waited_for_as_long_as_one_s_own() {
    for there_before in [true, false] {
        let server = Server::default();
        let old = replica(&server, Some("old"));
        until(&[&old], || old.leadership.holds()).await;
        let new = there_before.then(|| replica(&server, Some("new")));
        lasts(&[&old], Duration::from_secs(3)).await;
        old.line.hangs.store(true, Ordering::SeqCst);
        server.overwrite(&for_ever());
        let began = Instant::now();
        let new = new.unwrap_or_else(|| replica(&server, Some("new")));
        lasts(&[&old, &new], LOOK * 2).await;
        let role = "stands by; the Lease names \"eve\", which is no replica of Daypass";
        assert_eq!(new.leadership.role(), role);
        until(&[&old, &new], || new.leadership.holds()).await;
        let waited = began.elapsed();
        assert!(waited >= TERMS.lease && waited < TERMS.lease + LOOK * 3, "{waited:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_deleted_lease_is_taken_like_any_other_and_at_once_only_on_a_new_cluster() {
    for unused in [true, false] {
        let (server, began) = (Server::default(), Instant::now());
        let [one, other] = [Some("one"), Some("other")].map(|pod| replica_where(&server, pod, unused));
        until(&[&one, &other], || one.leadership.holds() || other.leadership.holds()).await;
        let waited = began.elapsed();
        assert_eq!(waited >= TERMS.lease, !unused, "{waited:?}");
        assert!(waited < TERMS.lease + LOOK * 3, "{waited:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_writes_it_every_second_neither_ends_a_leader_nor_keeps_a_successor_out() {
    let server = Server::default();
    let old = replica(&server, Some("old"));
    until(&[&old], || old.leadership.holds()).await;
    let new = replica(&server, Some("new"));
    let other = server.clone();
    let eve = tokio::spawn(async move {
        for round in 0.. {
            sleep(Duration::from_secs(1)).await;
            if round % 3 == 0 { other.delete() } else { other.overwrite(&for_ever()) }
        }
    });
    lasts(&[&old, &new], Duration::from_secs(50)).await;
    assert!(old.leadership.holds());
    old.ended.abort();
    old.line.hangs.store(true, Ordering::SeqCst);
    // Dead as it is, its leadership is told until its deadline.
    let waited = until(&[&old, &new], || new.leadership.holds()).await;
    assert!(waited < TERMS.lease + Duration::from_secs(3), "{waited:?}");
    eve.abort();
}

#[tokio::test(start_paused = true)]
async fn a_leader_whose_writes_nobody_can_see_stops_before_another_begins() {
    let server = Server::default();
    let old = replica(&server, Some("old"));
    until(&[&old], || old.leadership.holds()).await;
    let new = replica(&server, Some("new"));
    lasts(&[&old, &new], Duration::from_secs(5)).await;
    *server.1.lock().unwrap() = Some("old");
    let began = Instant::now();
    until(&[&old, &new], || new.leadership.holds()).await;
    assert!(began.elapsed() >= TERMS.lease && !old.leadership.holds(), "{:?}", began.elapsed());
    assert!(matches!(old.ended.await.unwrap(), Err(LeadershipLost::Late(_))));
}

#[tokio::test(start_paused = true)]
async fn while_nobody_can_see_who_takes_the_lease_nobody_leads() {
    let server = Server::default();
    server.overwrite(&for_ever());
    *server.1.lock().unwrap() = Some("");
    let [one, other] = [Some("one"), Some("other")].map(|pod| replica(&server, pod));
    let later = Instant::now() + TERMS.lease * 3;
    until(&[&one, &other], || Instant::now() > later).await;
    assert!(!one.leadership.holds() && !other.leadership.holds());
    *server.1.lock().unwrap() = None;
    let waited = until(&[&one, &other], || one.leadership.holds() || other.leadership.holds()).await;
    assert!(waited <= STANDS + LOOK, "{waited:?}");
    lasts(&[&one, &other], TERMS.lease * 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_a_stranger_empties_is_not_given_back() {
    let server = Server::default();
    let old = replica(&server, Some("old"));
    until(&[&old], || old.leadership.holds()).await;
    let new = replica(&server, Some("new"));
    lasts(&[&old, &new], Duration::from_secs(3)).await;
    old.line.hangs.store(true, Ordering::SeqCst);
    server.overwrite(&json!({ "holderIdentity": "" }));
    let waited = until(&[&old, &new], || new.leadership.holds()).await;
    assert!(waited >= TERMS.lease, "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn however_long_a_dead_replica_s_lease_claims_to_last_the_wait_is_one_s_own() {
    for claimed in [i32::MAX, 1, 0, -1] {
        let server = Server::default();
        let old = replica(&server, Some("old"));
        until(&[&old], || old.leadership.holds()).await;
        old.ended.abort();
        server.overwrite(&json!({ "leaseDurationSeconds": claimed }));
        let (new, began) = (replica(&server, Some("new")), Instant::now());
        new.leadership.taken().await;
        let waited = began.elapsed();
        assert!(waited >= TERMS.lease && waited < TERMS.lease + LOOK * 2, "{claimed}: {waited:?}");
    }
}

/// Whatever strangers write, whenever lines hang and answers are lost, two never lead. Each number is another course.
#[tokio::test(start_paused = true)]
async fn of_all_that_can_go_wrong_nothing_makes_two_leaders() {
    let mut led = 0;
    for seed in 0..12_u64 {
        let mut state = seed;
        let mut random = move |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let server = Server::default();
        *server.1.lock().unwrap() = [None, Some("a"), Some("b"), None, Some("")][usize::try_from(seed % 5).unwrap()];
        let mut all: Vec<Replica> =
            ["a", "b", "c"].into_iter().map(|pod| replica_where(&server, Some(pod), false)).collect();
        // Some strangers are fast, and some are slow.
        let pace = [30, 200, 700, 3_000][usize::try_from(seed % 4).unwrap()];
        let end = Instant::now() + Duration::from_secs(120);
        while Instant::now() < end {
            let next = Instant::now() + Duration::from_millis(random(pace) + 1);
            while Instant::now() < next {
                sleep(MILLI * 20).await;
                assert!(all.iter().filter(|r| r.leadership.holds()).count() < 2, "two lead in course {seed}");
            }
            match random(8) {
                0..3 => server.overwrite(&for_ever()),
                3..5 => server.delete(),
                5 => server.overwrite(&json!({ "holderIdentity": "" })),
                _ => {}
            }
            let place = usize::try_from(random(3)).unwrap();
            let line = &all[place].line;
            match random(40) {
                0 => line.hangs.store(true, Ordering::SeqCst),
                1 => line.deaf.store(true, Ordering::SeqCst),
                2 => line.fails.store(true, Ordering::SeqCst),
                3..9 => [&line.hangs, &line.deaf, &line.fails].iter().for_each(|l| l.store(false, Ordering::SeqCst)),
                _ => {}
            }
            led += usize::from(all.iter().any(|replica| replica.leadership.holds()));
            for (replica, pod) in all.iter_mut().zip(["a", "b", "c"]) {
                if replica.ended.is_finished() {
                    *replica = replica_where(&server, Some(pod), false);
                }
            }
        }
        all.iter().for_each(|replica| replica.ended.abort());
    }
    assert!(led > 0, "nobody ever leads");
}

#[test]
fn terms_leave_time_for_a_write_to_die() {
    let secs = Duration::from_secs;
    let terms = |lease, renew_deadline, retry| LeaseTimings { lease, renew_deadline, retry }.checked().map(drop);
    assert_eq!(terms(secs(15), secs(10), secs(2)), Ok(()));
    assert!(terms(secs(10), secs(10), secs(2)).is_err());
    assert!(terms(secs(15), secs(3), secs(2)).is_err());
    assert!(terms(Duration::from_millis(15_500), secs(10), secs(2)).is_err());
}
