//! What live grants cost: with nothing, a hundred, a thousand and ten thousand of them, how fast the next one comes, how
//! late an end is, and what the controller takes when nothing happens. `make bench ONLY=live LIVE=50000` goes further.

use std::time::Duration;

use futures::{StreamExt, stream};
use tokio::time::{Instant, sleep};

use super::figures::{Spread, ms};
use super::{Bench, CLIENTS};
use crate::harness::install::CONTROLLER;
use crate::harness::wait::eventually;

const STEPS: [usize; 4] = [0, 100, 1_000, 10_000];
const SAMPLES: usize = 100;
const ENDS: usize = 50;
const ENDS_WITHIN: usize = 10;
/// How many are filed before it is waited for that all are bound.
const BATCH: usize = 1_000;
/// How long the controller is watched doing nothing: the guard is tried within it.
const AT_REST: Duration = Duration::from_secs(30);
/// How long what is left over from a burst may take: Events follow behind.
const SETTLED: Duration = Duration::from_secs(300);

impl Bench {
    pub async fn live(&self, most: Option<usize>) {
        println!(
            "\nLive grants, with {SAMPLES} more one at a time, {ENDS} that end within {ENDS_WITHIN} s, {AT_REST:?} of rest"
        );
        let columns = [
            "filled in",
            "bound p50",
            "p99",
            "x bare p50",
            "late p50",
            "p99",
            "memory",
            "at most",
            "CPU",
            "writes/min",
        ];
        println!("{:>7} {}", "live", columns.map(|column| format!("{column:>10}")).join(" "));
        let mut live = 0;
        for step in STEPS.into_iter().filter(|step| most.is_none_or(|most| *step < most)).chain(most) {
            let begin = Instant::now();
            self.fill(live, step).await;
            let filled = begin.elapsed();
            live = step;
            self.step(live, filled).await;
        }
        let begin = Instant::now();
        self.cluster.controller.restart().await;
        let ready = begin.elapsed();
        self.at_rest().await;
        let (memory, most) = (self.memory(), self.most_memory());
        println!("started again with {live} live: ready after {ready:.2?}, {memory} at rest, at most {most}");
    }

    async fn step(&self, live: usize, filled: Duration) {
        self.settled().await;
        let ours = self.one_by_one(&format!("at-{live}"), SAMPLES, true).await;
        let late = Spread::of(self.lateness(&format!("end-at-{live}"), ENDS, ENDS_WITHIN).await);
        self.seen.many(live + SAMPLES).await;
        for n in 0..SAMPLES {
            self.delete_request(format!("at-{live}-{n}")).await;
        }
        self.seen.many(live).await;
        let (cpu, writes) = self.at_rest().await;
        let row = [
            format!("{filled:.1?}"),
            ms(ours.p50),
            ms(ours.p99),
            format!("{:.1}", ours.p50 / self.bare.one.p50),
            ms(late.p50),
            ms(late.p99),
            self.memory(),
            self.most_memory(),
            format!("{cpu:.2} %"),
            format!("{writes:.0}"),
        ];
        println!("{live:>7} {}", row.map(|cell| format!("{cell:>10}")).join(" "));
    }

    /// Brings the live grants from so many to so many.
    pub async fn fill(&self, from: usize, to: usize) {
        for batch in (from..to).step_by(BATCH) {
            let end = to.min(batch + BATCH);
            let asked = stream::iter(batch..end).map(|n| async move { self.ask(&format!("live-{n}"), "1h").await });
            asked.buffer_unordered(CLIENTS).collect::<Vec<_>>().await;
            self.seen.many(end).await;
        }
    }

    /// How late each of so many ends was, in milliseconds, spread over so many seconds.
    pub async fn lateness(&self, prefix: &str, ends: usize, within: usize) -> Vec<f64> {
        // Stored ends have whole seconds, so they come in as many salvos as there are seconds.
        let asked = stream::iter(0..ends).map(|n| async move {
            let name = format!("{prefix}-{n}");
            let binding = self.ask(&name, &format!("{}s", 5 + n * within / ends)).await;
            let gone = self.seen.removed(&binding).await;
            let status = self.requests.get(&name).await.expect("read it").status.expect("a status");
            super::late(gone, status.expires_at.expect("an end").0)
        });
        asked.buffer_unordered(ends).collect().await
    }

    /// Waits until the controller writes nothing any more: Events follow behind what they tell of.
    pub async fn settled(&self) {
        let mut before = usize::MAX;
        eventually("the controller has nothing left to write", SETTLED, async || {
            let written = self.writes();
            let last = std::mem::replace(&mut before, written);
            sleep(Duration::from_secs(2)).await;
            if written == last { Ok(()) } else { Err(format!("it has written {written} times")) }
        })
        .await;
    }

    /// The share of one core that the controller takes when nothing happens, in percent, and its writes a minute.
    async fn at_rest(&self) -> (f64, f64) {
        self.settled().await;
        // To count writes takes a while itself when there have been many.
        let writes = self.writes();
        let (cpu, begin) = (self.cpu(), Instant::now());
        sleep(AT_REST).await;
        let (cpu, seconds) = (self.cpu() - cpu, begin.elapsed().as_secs_f64());
        let share = cpu.as_secs_f64() / seconds * 100.0;
        (share, (self.writes() - writes) as f64 / seconds * 60.0)
    }

    /// How often the controller has written so far, the lease aside and its token as the canary, from the audit log.
    fn writes(&self) -> usize {
        let ours = self.cluster.control_plane.calls_of(CONTROLLER).into_iter().filter(super::is_write);
        let aside = ["leases", "serviceaccounts"];
        ours.filter(|event| !aside.contains(&event["objectRef"]["resource"].as_str().unwrap_or_default())).count()
    }

    /// Processor time that the controller has taken, as the kernel tells it.
    fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.cluster.controller.pid())).unwrap_or_default();
        // Fields 14 and 15 of proc(5), in ticks of 10 ms; the second field is a name, and may hold anything.
        let fields = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
        let ticks: u64 = fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
        Duration::from_millis(ticks * 10)
    }
}
