//! Owns what one case may cost, how that is measured, and how many cases there are.

use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use libtest_mimic::{Failed, Trial};
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

use crate::MEMORY;

/// The longest that one case may take of a processor.
const LONGEST: Duration = Duration::from_millis(100);
/// How often a case that took longer is tried; the shortest counts.
const TRIES: usize = 4;
/// The most that the program may grow by over one case, in bytes.
const MOST_MEMORY: usize = 64 << 20;
/// No machine is so busy that a case takes longer: it hangs.
const HANGS: Duration = Duration::from_secs(20);
/// As much as the threads of the controller have.
const STACK: usize = 2 << 20;
/// How many cases of each kind there are, unless `DAYPASS_FUZZ_CASES` says.
const CASES: u32 = 24;

static PANICS: AtomicUsize = AtomicUsize::new(0);

/// Counts every panic from now on, also one that the product catches.
pub fn count_panics() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICS.fetch_add(1, Ordering::SeqCst);
        hook(panic);
    }));
}

/// How many cases to make, and from which seed.
fn cases() -> (u32, u64) {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().expect(name));
    let cases = number("DAYPASS_FUZZ_CASES").map_or(CASES, |cases| u32::try_from(cases).expect("so many"));
    (cases, number("DAYPASS_FUZZ_SEED").unwrap_or_default())
}

/// A trial that makes cases and does something with each.
pub fn fuzz<S>(
    name: &str,
    strategy: impl FnOnce() -> S + Send + 'static,
    act: impl Fn(&S::Value) + Send + 'static,
) -> Trial
where
    S: Strategy,
    S::Value: Debug,
{
    watched(name, move |watch| {
        let (cases, seed) = cases();
        let seed: Vec<u8> = seed.to_le_bytes().repeat(4);
        let config = Config { cases, failure_persistence: None, max_shrink_iters: 2000, ..Config::default() };
        let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
        let judged = runner.run(&strategy(), |case| watch.judge(&case, &act).map_err(TestCaseError::fail));
        judged.map_err(|error| error.to_string())
    })
}

/// A trial of cases that are named.
pub fn each<C: Debug + Send + 'static>(name: &str, cases: Vec<C>, act: impl Fn(&C) + Send + 'static) -> Trial {
    watched(name, move |watch| {
        let faults: Vec<String> = cases.iter().filter_map(|case| watch.judge(case, &act).err()).collect();
        if faults.is_empty() { Ok(()) } else { Err(faults.join("\n")) }
    })
}

/// The case that runs, and since when.
#[derive(Clone, Default)]
struct Watch(Arc<Mutex<Option<(String, Instant)>>>);

impl Watch {
    /// Does it with a case, and says which bound that broke.
    fn judge<C: Debug>(&self, case: &C, act: impl Fn(&C)) -> Result<(), String> {
        let text: String = format!("{case:?}").chars().take(2000).collect();
        let begun = || *self.0.lock().unwrap() = Some((text.clone(), Instant::now()));
        begun();
        let panics = PANICS.load(Ordering::SeqCst);
        let (mut took, grown, ended) = cost(case, &act);
        for _ in 1..TRIES {
            if took > LONGEST && took < LONGEST * 8 && ended {
                begun();
                took = took.min(cost(case, &act).0);
            }
        }
        *self.0.lock().unwrap() = None;
        if !ended || PANICS.load(Ordering::SeqCst) > panics {
            return Err(format!("panics: {text}"));
        }
        if took > LONGEST {
            return Err(format!("takes {took:?}: {text}"));
        }
        if grown > MOST_MEMORY {
            return Err(format!("takes {} MiB: {text}", grown >> 20));
        }
        Ok(())
    }

    /// The case that has run for too long, if one has.
    fn hanging(&self) -> Option<String> {
        self.0.lock().unwrap().as_ref().filter(|(_, since)| since.elapsed() > HANGS).map(|(case, _)| case.clone())
    }
}

/// How long a case takes, by how much the program grows meanwhile, and whether it ends without a panic.
fn cost<C>(case: &C, act: impl Fn(&C)) -> (Duration, usize, bool) {
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    let (begin, spent) = (Instant::now(), processor_time());
    let ended = catch_unwind(AssertUnwindSafe(|| act(case))).is_ok();
    let took = processor_time().zip(spent).map_or_else(|| begin.elapsed(), |(now, before)| now - before);
    (took, MEMORY.peak_usage().saturating_sub(before), ended)
}

/// The time that a processor has worked for this thread, which others on the machine do not make longer. Linux tells it;
/// elsewhere the clock on the wall must do.
fn processor_time() -> Option<Duration> {
    let statistics = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    statistics.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

/// Runs on a thread like those of the controller, and does not wait for one that hangs.
fn watched(name: &str, body: impl FnOnce(&Watch) -> Result<(), String> + Send + 'static) -> Trial {
    Trial::test(name, move || {
        let watch = Watch::default();
        let (sender, answered) = channel();
        let seen = watch.clone();
        let thread = std::thread::Builder::new().stack_size(STACK);
        thread.spawn(move || sender.send(body(&seen))).expect("start a thread");
        loop {
            match answered.recv_timeout(Duration::from_secs(1)) {
                Ok(judged) => return judged.map_err(Failed::from),
                Err(RecvTimeoutError::Disconnected) => return Err("the cases could not be made".into()),
                Err(RecvTimeoutError::Timeout) => {
                    if let Some(case) = watch.hanging() {
                        return Err(format!("does not end: {case}").into());
                    }
                }
            }
        }
    })
}

pub fn trials() -> Vec<Trial> {
    vec![Trial::test("bounds::what_is_slow_or_large_or_panics_is_found", found)]
}

fn found() -> Result<(), Failed> {
    let watch = Watch::default();
    let verdict_on = |act: fn(&u8)| watch.judge(&7, act);
    let slow = verdict_on(|_| {
        let (begin, before) = (Instant::now(), processor_time().unwrap_or_default());
        while processor_time().map_or(begin.elapsed(), |now| now - before) < LONGEST * 2 {}
    });
    let large = verdict_on(|_| drop(std::hint::black_box(vec![1_u8; MOST_MEMORY + 1])));
    let caught = verdict_on(|_| drop(catch_unwind(|| std::panic::resume_unwind(Box::new(())))));
    let panics = verdict_on(|_| std::panic::resume_unwind(Box::new(())));
    let hidden = verdict_on(|_| drop(catch_unwind(|| panic!("a panic on purpose, which is caught"))));
    assert!(slow.unwrap_err().starts_with("takes "), "slow");
    assert!(large.unwrap_err().starts_with("takes 64 MiB"), "large");
    assert!(panics.is_err() && hidden.is_err(), "panics");
    // Not a panic, and so not counted.
    assert_eq!(caught, Ok(()));
    assert_eq!(verdict_on(|_| ()), Ok(()));
    Ok(())
}
