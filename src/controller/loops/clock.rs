//! Watches the clocks: reports when the clock of this process is wrong, and queues everything when the time was set.
//!
//! It must not read the time itself: [`crate::runtime::judged_clock`] does.

use std::time::Duration;

use k8s_openapi::jiff::SignedDuration;
use tokio::sync::Notify;
use tokio::time::sleep;
use tracing::{info, warn};

use super::takeover;
use crate::controller::context::Context;
use crate::controller::observe;
use crate::runtime::clock::Steps;
use crate::runtime::judged_clock::{ClockReading, ClockState};
use crate::runtime::server::Readiness;

/// Name of the clock in readiness.
pub const CLOCK: &str = "clock";
/// Time between two looks.
const LOOK: Duration = Duration::from_millis(200);
/// How often the API server is asked for its time after the own clock was set: it takes two to believe what is new.
const QUESTIONS: usize = 2;
/// What stands in readiness while a proxy has another time than the API server.
const CONTRADICTED: &str = "the Date of answers is not believed, since the API server dates objects otherwise: set the \
                            clock of the proxy before it right";

/// Runs for as long as the process, also while it stands by.
pub async fn run(context: &Context, readiness: &Readiness) {
    let was_set = Notify::new();
    tokio::join!(follow(context, readiness, &was_set), ask(context, &was_set));
}

async fn follow(context: &Context, readiness: &Readiness, was_set: &Notify) {
    let mut last = context.clock.read();
    let (mut own, mut judged) = (Steps::from(last.own), Steps::from(last.now));
    report_readiness(&last, readiness);
    loop {
        sleep(LOOK).await;
        let reading = context.clock.read();
        if let Some(step) = own.step(reading.own) {
            warn!(seconds = step.as_secs_f64(), "the clock was set; asking the API server what time it is there");
            was_set.notify_one();
        }
        if reading.standing != last.standing {
            log_state(&reading);
        }
        if let Some(step) = judged.step(reading.now) {
            info!(seconds = step.as_secs_f64(), "the time that counts was set; looking at everything again");
            context.stores.requests.ends.clock_was_set();
            takeover::enqueue_all(context);
        } else if reading.standing != last.standing {
            context.enqueue_open_requests();
        }
        if reading.contradicted && !last.contradicted {
            warn!("{CONTRADICTED}");
            // Its round has objects dated.
            context.round_wanted.notify_one();
        }
        report_readiness(&reading, readiness);
        last = reading;
    }
}

/// What the answers say is heard where they come in.
async fn ask(context: &Context, was_set: &Notify) {
    loop {
        was_set.notified().await;
        for _ in 0..QUESTIONS {
            if let Err(error) = observe::is_ready(&context.reader).await {
                warn!(%error, "the API server does not say what time it is");
            }
        }
    }
}

fn report_readiness(reading: &ClockReading, readiness: &Readiness) {
    match complaint(reading) {
        None => readiness.done(CLOCK),
        Some(complaint) => readiness.wait_for(CLOCK, &complaint),
    }
    readiness.remark(CLOCK, Some(CONTRADICTED).filter(|_| reading.contradicted));
}

fn log_state(reading: &ClockReading) {
    match complaint(reading) {
        None => info!("the clock agrees with the API server's"),
        Some(complaint) => warn!("{complaint}"),
    }
}

/// What is wrong with the own clock, if it is.
fn complaint(reading: &ClockReading) -> Option<String> {
    let how = match reading.standing {
        ClockState::Right => return None,
        ClockState::Unheard => return Some("the API server has not said yet what time it is there".to_owned()),
        ClockState::Ahead => "ahead of",
        ClockState::Behind => "behind",
    };
    // In whole minutes where it is many: the text is not to change with every look.
    let by = reading.ahead.abs();
    let by =
        if by < SignedDuration::from_mins(2) { format!("{} s", by.as_secs()) } else { format!("{} min", by.as_mins()) };
    Some(format!(
        "the own clock is {by} {how} the API server's: nothing new is granted, and ends come by the API server's time; \
         set the clock of the node right (NTP)"
    ))
}

#[cfg(test)]
mod tests;
