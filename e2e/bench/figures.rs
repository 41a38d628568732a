//! Figures and how they are printed, beside those of the bare client. It must not measure.

use std::time::Duration;

/// How figures are spread, in milliseconds.
pub struct Spread {
    pub p50: f64,
    pub p99: f64,
    pub max: f64,
    /// How many are below zero: they came before their time.
    early: usize,
}

impl Spread {
    /// Of figures in any order; there is one at least.
    pub fn of(mut millis: Vec<f64>) -> Self {
        millis.sort_by(f64::total_cmp);
        let at = |share: f64| millis[((millis.len() - 1) as f64 * share).round() as usize];
        Self { p50: at(0.5), p99: at(0.99), max: at(1.0), early: millis.iter().filter(|m| **m < 0.0).count() }
    }
}

/// Prints figures that are compared with nothing.
pub fn line(what: &str, of: &Spread) {
    println!("{what:<54} {:>9} {:>9} {:>9}", ms(of.p50), ms(of.p99), ms(of.max));
    tell_early(of);
}

/// Prints figures, and how many times those of the bare client they are.
pub fn beside(what: &str, ours: &Spread, bare: &Spread) {
    let (p50, p99) = (ours.p50 / bare.p50, ours.p99 / bare.p99);
    println!("{what:<54} {:>9} {:>9} {:>9} {p50:>7.1} {p99:>7.1}", ms(ours.p50), ms(ours.p99), ms(ours.max));
    tell_early(ours);
}

/// Prints how long all of it took, and how many times what the bare client took that is.
pub fn whole(what: &str, ours: Duration, bare: Duration) {
    println!("{what:<54} {ours:>9.2?} {:>35.1}", ours.as_secs_f64() / bare.as_secs_f64());
}

fn tell_early(of: &Spread) {
    if of.early > 0 {
        println!("  {} were early", of.early);
    }
}

pub fn ms(millis: f64) -> String {
    format!("{millis:.1} ms")
}
