//! The time by which access is granted and ends: this process's own clock, held against the API server's.
//!
//! Each answer of the API server says what time it is there, in whole seconds: in its `Date`, or in the creation time of an
//! object that was just made. That time lies between the call and its answer, so it bounds how far the two clocks are
//! apart, and several answers bound it better. Between answers the API server's time goes on with the monotonic clock, so
//! that a step of the own clock is seen at once, whoever answers.
//!
//! Up to [`LIMIT`] of difference the own clock counts. Beyond it the time is the latest that the API server's clock can
//! say, so that nothing lasts longer than that clock allows. What a wrong clock means for requests is not decided here.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::clock::Clock;

/// How far the clocks may be apart for the own one to count.
pub const LIMIT: SignedDuration = SignedDuration::from_secs(5);
/// How close they must come for the own one to count again.
const NEAR: SignedDuration = SignedDuration::from_secs(4);
/// Times are said in whole seconds, cut off.
const SECOND: SignedDuration = SignedDuration::from_secs(1);
/// How far the clocks of the API servers of one cluster may be apart. The latest of them counts.
const SPREAD: SignedDuration = SignedDuration::from_secs(2);
/// For how long the API server with the latest clock counts while only others answer, and a creation time against the
/// `Date` of answers.
const REMEMBERED: Duration = Duration::from_secs(60);
/// By one in how many two clocks may drift apart. NTP turns a clock by at most this much.
const DRIFT: i32 = 2_000;

/// The time that counts; clones share what was heard.
#[derive(Clone, Debug)]
pub struct JudgedClock {
    own: Clock,
    heard: Arc<Mutex<Heard>>,
}

/// Who says what time it is at the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Witness {
    /// The header of an answer. A proxy may have written it.
    Date,
    /// The time of an object's creation. Only an API server writes it.
    Creation,
}

/// How the own clock stands to the API server's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockState {
    /// The API server has not said what time it is.
    Unheard,
    /// They agree well enough.
    Right,
    /// It is ahead by more than [`LIMIT`].
    Ahead,
    /// It is behind by more than [`LIMIT`].
    Behind,
}

/// What the clocks say at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockReading {
    /// The time that counts.
    pub now: Timestamp,
    /// What the own clock says.
    pub own: Timestamp,
    /// How the own clock stands to the API server's.
    pub standing: ClockState,
    /// By how much it is ahead at least, negative when behind; zero when it may agree.
    pub ahead: SignedDuration,
    /// Whether the `Date` of answers is contradicted by the times at which objects are created, and so not believed.
    pub contradicted: bool,
}

impl JudgedClock {
    /// One that has heard nothing yet, so that the own clock counts.
    pub fn new(own: Clock) -> Self {
        let heard = Heard { start: Instant::now(), dates: None, creations: None, wrong: false };
        Self { own, heard: Arc::new(Mutex::new(heard)) }
    }

    /// The time that counts.
    pub fn now(&self) -> Timestamp {
        self.read().now
    }

    /// How the own clock stands to the API server's.
    pub fn standing(&self) -> ClockState {
        self.read().standing
    }

    /// All of it.
    pub fn read(&self) -> ClockReading {
        let mut heard = self.lock();
        heard.read(self.own.now(), Instant::now())
    }

    /// An answer that has just come to a call sent then says what time it is at the API server, in whole seconds.
    pub fn hear(&self, witness: Witness, sent: Instant, stated: Timestamp) {
        self.lock().hear(witness, sent, Instant::now(), stated);
    }

    fn lock(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was heard. Times are those of the API server at `start`.
#[derive(Debug)]
struct Heard {
    start: Instant,
    dates: Option<Track>,
    creations: Option<Track>,
    /// Whether the own clock was too far off at the last look.
    wrong: bool,
}

/// What one kind of witness says.
#[derive(Debug)]
struct Track {
    /// The time lies within these.
    bounds: Bounds,
    /// When a witness last agreed.
    at: Instant,
    /// What one witness said that does not agree. It takes two in a row.
    doubted: Option<Bounds>,
}

/// Between what a time lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bounds {
    earliest: SignedDuration,
    latest: SignedDuration,
}

impl Heard {
    fn hear(&mut self, witness: Witness, sent: Instant, received: Instant, stated: Timestamp) {
        let stated = stated.as_duration();
        let bounds = Bounds {
            earliest: stated.saturating_sub(between(self.start, received)),
            latest: stated.saturating_add(SECOND).saturating_sub(between(self.start, sent)),
        };
        let track = match witness {
            Witness::Date => &mut self.dates,
            Witness::Creation => &mut self.creations,
        };
        match track {
            Some(track) => track.hear(bounds, received),
            None => *track = Some(Track { bounds, at: received, doubted: None }),
        }
    }

    fn read(&mut self, own: Timestamp, steady: Instant) -> ClockReading {
        let Some((theirs, contradicted)) = self.theirs(steady) else {
            let (standing, ahead) = (ClockState::Unheard, SignedDuration::ZERO);
            return ClockReading { now: own, own, standing, ahead, contradicted: false };
        };
        let ahead = theirs.until(Bounds { earliest: own.as_duration(), latest: own.as_duration() });
        let limit = if self.wrong { NEAR } else { LIMIT };
        self.wrong = ahead.abs() > limit;
        let standing = match self.wrong {
            false => ClockState::Right,
            true if ahead.is_negative() => ClockState::Behind,
            true => ClockState::Ahead,
        };
        let latest = Timestamp::from_duration(theirs.latest).unwrap_or(own);
        ClockReading { now: if self.wrong { latest } else { own }, own, standing, ahead, contradicted }
    }

    /// Between what the API server's time lies now, and whether its creation times contradict the `Date` of answers. Those
    /// come more seldom, and only an API server can have made them.
    fn theirs(&self, now: Instant) -> Option<(Bounds, bool)> {
        let passed = between(self.start, now);
        let bounds = |track: &Track| track.bounds_at(now).later_by(passed);
        match (&self.dates, &self.creations) {
            (None, None) => None,
            (Some(track), None) | (None, Some(track)) => Some((bounds(track), false)),
            (Some(dates), Some(creations)) => {
                let (by_date, by_creation) = (bounds(dates), bounds(creations));
                let apart = by_creation.until(by_date);
                let (is_far, recent) = (apart.abs() > SPREAD, now.duration_since(creations.at) < REMEMBERED);
                Some(if apart.is_zero() {
                    (by_creation.and(by_date), false)
                } else if is_far && recent {
                    (by_creation, true)
                } else if is_far || !apart.is_negative() {
                    (by_date, false)
                } else {
                    (by_creation, false)
                })
            }
        }
    }
}

impl Track {
    fn hear(&mut self, stated: Bounds, now: Instant) {
        let previous = self.bounds_at(now);
        let apart = previous.until(stated);
        let alone = now.duration_since(self.at) >= REMEMBERED;
        let believed = if apart.is_zero() {
            Some(previous.and(stated))
        } else if apart.abs() <= SPREAD && !alone {
            // Another API server: the latest clock counts.
            Some(stated).filter(|_| !apart.is_negative())
        } else {
            let again = self.doubted.filter(|doubted| doubted.until(stated).is_zero());
            let believed = again.map(|doubted| doubted.and(stated));
            self.doubted = Some(stated);
            believed
        };
        if let Some(bounds) = believed {
            (self.bounds, self.at, self.doubted) = (bounds, now, None);
        }
    }

    /// What is known by now of the API server's time at `start`: clocks drift apart.
    fn bounds_at(&self, now: Instant) -> Bounds {
        let drift = between(self.at, now) / DRIFT;
        let Bounds { earliest, latest } = self.bounds;
        Bounds { earliest: earliest.saturating_sub(drift), latest: latest.saturating_add(drift) }
    }
}

impl Bounds {
    fn and(self, other: Self) -> Self {
        Self { earliest: self.earliest.max(other.earliest), latest: self.latest.min(other.latest) }
    }

    fn later_by(self, by: SignedDuration) -> Self {
        Self { earliest: self.earliest.saturating_add(by), latest: self.latest.saturating_add(by) }
    }

    /// By how much the other lies after this one at least, negative when before; zero when they meet.
    fn until(self, other: Self) -> SignedDuration {
        if other.earliest > self.latest {
            other.earliest.saturating_sub(self.latest)
        } else if self.earliest > other.latest {
            other.latest.saturating_sub(self.earliest)
        } else {
            SignedDuration::ZERO
        }
    }
}

fn between(from: Instant, to: Instant) -> SignedDuration {
    SignedDuration::try_from(to.duration_since(from)).unwrap_or(SignedDuration::MAX)
}

#[cfg(test)]
mod tests;
