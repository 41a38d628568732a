//! Owns what goes wrong, when, and the record of it: storms of faults on the line, watches that are cut, controllers
//! that are killed, clocks that are set, a lease that others write or delete. It judges nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::Method;
use k8s_openapi::jiff::Timestamp;
use tokio::time::sleep;

use crate::harness::Controller;
use crate::harness::proxy::{Call, Fault, Proxy};
use crate::harness::wait::now;
use crate::leader::{Stranger, for_ever};

/// Of a hundred requests in a storm, how many something happens to.
const DISTURBED: u64 = 35;
/// How long a storm and a calm last, in milliseconds.
const STORM: [u64; 2] = [3_000, 6_000];
const CALM: [u64; 2] = [5_000, 7_000];
/// For how long a killed controller stays dead, in milliseconds: from less than the lease to more.
const DEAD: [u64; 4] = [0, 500, 7_000, 7_000];
/// How often in a row others spoil the lease, and how long they rest in between, in milliseconds: from slower than it is
/// renewed to faster than a name can stand in it.
const SPOILT: [u64; 2] = [1, 8];
const RESTS: [u64; 4] = [50, 300, 700, 1_500];
/// What a clock is wrong by, in milliseconds: less than what ends are judged by the API server's clock for, and more. It is
/// nowhere near the limit, where it depends on what was before.
const STEPS: [i64; 10] = [2_000, -2_000, 3_000, -3_000, 20_000, -20_000, 120_000, -120_000, 3_600_000, -3_600_000];

/// Numbers that only look like chance: the same seed gives the same ones.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Splitmix64.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number of `from..to`.
    pub fn within(&mut self, [from, to]: [u64; 2]) -> u64 {
        from + self.next() % (to - from)
    }

    pub fn percent(&mut self, of_a_hundred: u64) -> bool {
        self.next() % 100 < of_a_hundred
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.next() % from.len() as u64).expect("an index")]
    }

    /// Dice of their own, for something that runs beside.
    pub fn more(&mut self) -> Self {
        Self(self.next())
    }
}

/// A controller, and the line that it speaks through.
pub struct Replica {
    pub name: &'static str,
    pub proxy: Proxy,
    pub controller: Controller,
    dead_until: Mutex<Option<Instant>>,
}

impl Replica {
    pub fn new(name: &'static str, (proxy, controller): (Proxy, Controller)) -> Self {
        Self { name, proxy, controller, dead_until: Mutex::new(None) }
    }
}

/// What happened to the controllers, and when it had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// From now on the line may be disturbed.
    Storm,
    /// From now on everything passes.
    Calm,
    /// The clock of a controller is wrong by so many milliseconds.
    Clock(&'static str, i64),
    /// A controller is dead, killed or by itself.
    Dead(&'static str),
}

/// Makes the weather of one run.
pub struct Weather {
    replicas: [Arc<Replica>; 2],
    log: Mutex<Vec<(Timestamp, What)>>,
    counts: Arc<Mutex<BTreeMap<String, usize>>>,
    longest_step: i64,
    stranger: Stranger,
}

impl Weather {
    /// Fine weather. No clock will be wrong by more than `longest_step` milliseconds.
    pub fn new(replicas: [Arc<Replica>; 2], longest_step: i64, stranger: Stranger) -> Arc<Self> {
        let log = Mutex::new(vec![(now(), What::Calm)]);
        Arc::new(Self { replicas, log, counts: Arc::default(), longest_step, stranger })
    }

    /// Storms and calms in turns, until there have been so many faults.
    pub async fn rage(&self, dice: &mut Dice, faults: usize) {
        while self.count() < faults {
            self.storm(dice).await;
            self.calm(dice).await;
        }
    }

    async fn storm(&self, dice: &mut Dice) {
        let lasts = dice.within(STORM);
        self.note(What::Storm);
        for replica in &self.replicas {
            let (counts, dice) = (self.counts.clone(), Mutex::new(dice.more()));
            replica.proxy.disturb(move |call| {
                let fault = choose(call, &mut dice.lock().unwrap_or_else(PoisonError::into_inner))?;
                add(&counts, &name_of(fault), 1);
                Some(fault)
            });
        }
        for _ in 0..3 {
            sleep(Duration::from_millis(lasts / 4)).await;
            let replica = self.either(dice);
            match dice.within([0, 12]) {
                0..4 => add(&self.counts, "watch cut", replica.proxy.cut_watches()),
                4..7 => self.kill(&replica, dice),
                7..9 => self.set_clock(&replica, dice),
                9..11 => self.spoil_lease(dice).await,
                _ => {}
            }
        }
        sleep(Duration::from_millis(lasts / 4)).await;
    }

    async fn calm(&self, dice: &mut Dice) {
        self.clear();
        let lasts = dice.within(CALM);
        sleep(Duration::from_millis(lasts / 3)).await;
        // An end must be kept by a clock that is set in fine weather too.
        if dice.percent(60) {
            self.set_clock(&self.either(dice), dice);
        }
        sleep(Duration::from_millis(lasts * 2 / 3)).await;
    }

    fn clear(&self) {
        self.replicas.iter().for_each(|replica| replica.proxy.calm());
        self.note(What::Calm);
    }

    /// All clocks are right, from now on and for good.
    pub fn set_clocks_right(&self) {
        for replica in &self.replicas {
            replica.controller.set_clock(0);
            self.note(What::Clock(replica.name, 0));
        }
    }

    fn either(&self, dice: &mut Dice) -> Arc<Replica> {
        self.replicas[usize::from(dice.percent(50))].clone()
    }

    fn kill(&self, replica: &Replica, dice: &mut Dice) {
        let dead_for = Duration::from_millis(dice.pick(&DEAD));
        *replica.dead_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + dead_for);
        replica.controller.kill();
        self.note(What::Dead(replica.name));
        add(&self.counts, "controller killed", 1);
    }

    /// Half of all steps set the clock right.
    fn set_clock(&self, replica: &Replica, dice: &mut Dice) {
        let wrong_by = if dice.percent(50) { 0 } else { dice.pick(&STEPS) };
        let wrong_by = wrong_by.clamp(-self.longest_step, self.longest_step);
        replica.controller.set_clock(wrong_by);
        self.note(What::Clock(replica.name, wrong_by));
        add(&self.counts, "clock set", 1);
    }

    /// Somebody writes the lease so that it is theirs for ever, or deletes it, some times in a row.
    async fn spoil_lease(&self, dice: &mut Dice) {
        let rest = Duration::from_millis(dice.pick(&RESTS));
        for _ in 0..dice.within(SPOILT) {
            let (kind, spoilt) = if dice.percent(50) {
                ("lease overwritten", self.stranger.write(&for_ever()).await.is_ok())
            } else {
                ("lease deleted", self.stranger.delete().await.is_ok())
            };
            // There may be none.
            add(&self.counts, kind, usize::from(spoilt));
            sleep(rest).await;
        }
    }

    /// Starts controllers that have ended, as the kubelet does, for as long as it is polled.
    pub async fn keep_alive(&self) {
        loop {
            for replica in &self.replicas {
                let dead_until = *replica.dead_until.lock().unwrap_or_else(PoisonError::into_inner);
                if dead_until.is_none_or(|until| Instant::now() >= until) && replica.controller.revive() {
                    self.note(What::Dead(replica.name));
                }
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    fn note(&self, what: What) {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).push((now(), what));
    }

    /// What happened, in order.
    pub fn log(&self) -> Vec<(Timestamp, What)> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How often what went wrong.
    pub fn counts(&self) -> BTreeMap<String, usize> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn count(&self) -> usize {
        self.counts().values().sum()
    }
}

fn add(counts: &Mutex<BTreeMap<String, usize>>, kind: &str, many: usize) {
    *counts.lock().unwrap_or_else(PoisonError::into_inner).entry(kind.to_owned()).or_default() += many;
}

/// What happens to a request in a storm. Nothing conflicts with a read, and to read twice is no fault.
fn choose(call: &Call, dice: &mut Dice) -> Option<Fault> {
    if !dice.percent(DISTURBED) {
        return None;
    }
    let reads = [Method::GET, Method::HEAD].contains(&call.method);
    let delay = Fault::Delay(Duration::from_millis(dice.within([50, 1_500])));
    let always = [Fault::Drop, delay, Fault::Answer(401), Fault::Answer(429), Fault::Answer(500), Fault::Answer(503)];
    let answered = [always[0], always[1], always[2], always[3], always[4], always[5], Fault::Lose];
    let written = [&answered[..], &[Fault::Twice, Fault::Answer(409), Fault::Lose, Fault::Twice]].concat();
    Some(match (call.watch, reads) {
        (true, _) => dice.pick(&always),
        (_, true) => dice.pick(&answered),
        _ => dice.pick(&written),
    })
}

fn name_of(fault: Fault) -> String {
    match fault {
        Fault::Drop => "dropped".to_owned(),
        Fault::Lose => "answer lost".to_owned(),
        Fault::Delay(_) => "delayed".to_owned(),
        Fault::Twice => "sent twice".to_owned(),
        Fault::Answer(429) => "answered 429, Retry-After".to_owned(),
        Fault::Answer(code) => format!("answered {code}"),
    }
}
