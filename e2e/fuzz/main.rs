//! Hostile input: whatever people write into policies and requests, deciding it ends soon, takes little memory and
//! never panics. A program of its own, since it counts every byte that is allocated.
//!
//! `make test` runs a few cases of each kind, always the same ones. `make fuzz` runs many more.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bounds;
mod conditions;
mod forms;
mod largest;
mod schedules;

use std::process::ExitCode;

use libtest_mimic::Arguments;
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

fn main() -> ExitCode {
    bounds::count_panics();
    let mut arguments = Arguments::from_args();
    // What one trial allocates must not count for another.
    arguments.test_threads = Some(1);
    let trials = [bounds::trials(), conditions::trials(), forms::trials(), schedules::trials()];
    libtest_mimic::run(&arguments, trials.into_iter().flatten().collect()).exit_code()
}
