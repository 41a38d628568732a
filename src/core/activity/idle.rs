//! Whether a grant is proven idle: from what an archive has heard of the audit logs, and which API servers there are.
//!
//! An archive knows the uses that it has heard of, and those are the fewest there can be. So idle is what is proven alone:
//! each API server must have been heard without a gap for as long as the timeout, with no use in it. Whatever is missing
//! makes it unknown, and what is unknown ends nothing. It must not end anything itself: `core::lifecycle` does.
//!
//! **Clocks.** What an archive says is dated by the clocks of API servers, what the controller knows by the time that counts
//! there, which is never further from an API server's than [`SKEW`]. So a use counts as [`SKEW`] later than its date, what is
//! heard begins [`SKEW`] later and ends [`SKEW`] earlier than it is dated. A date further ahead of the controller's time is
//! that of no clock of this cluster, and nothing is proven by it.

use std::collections::BTreeSet;
use std::fmt;

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use crate::api::activity::{HeardServer, KnownUse, UseCount};

/// How far the clock of an API server may be from the time that counts: that is held within 5 s of the latest of them, and they
/// within 2 s of each other; the rest is for events that come out of their order.
pub const SKEW: SignedDuration = SignedDuration::from_secs(10);
/// For how long an API server is taken for heard after its last mark, and the list of them after it was read.
pub const FRESH: SignedDuration = SignedDuration::from_secs(60);
/// For how long an answer counts: somebody may have used the grant since.
pub const ANSWER: SignedDuration = SignedDuration::from_secs(10);

/// The API servers of the cluster, as far as they are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServersKnown {
    /// Their addresses, as HOST:PORT.
    pub servers: BTreeSet<String>,
    /// Since when there was no other. One that is gone may have been called until then, and left no word of it.
    pub since: Timestamp,
    /// When they were read last.
    pub until: Timestamp,
}

impl ServersKnown {
    /// What is known after they were read once more. Where that was too long ago, others may have come and gone meanwhile.
    pub fn read(before: Option<Self>, servers: BTreeSet<String>, now: Timestamp) -> Self {
        let unbroken = before.filter(|known| now.duration_since(known.until) <= FRESH);
        let still = unbroken.filter(|known| known.servers.is_subset(&servers));
        Self { servers, since: still.map_or(now, |known| known.since.min(now)), until: now }
    }
}

/// What is known of the use of one grant: what an archive said, and of which API servers it should have heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsesHeard {
    /// When it said so.
    pub at: Timestamp,
    /// The API servers that there were then.
    pub known: ServersKnown,
    /// Those that the archive has heard.
    pub heard: Vec<HeardServer>,
    /// What was done with the grant; none where no use was seen.
    pub used: Option<KnownUse>,
}

/// When a grant is idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdleTerms {
    /// Since when it can be used without a break, or was last confirmed by people.
    pub begin: Timestamp,
    /// For how long nobody must use it.
    pub timeout: SignedDuration,
}

/// Whether a grant is idle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Idleness {
    /// It is proven that nobody used it for as long as the timeout, from this instant on.
    Idle { since: Timestamp },
    /// It was used, or began, less than that ago; it cannot be idle before this instant.
    InUse { until: Timestamp },
    /// Nothing is proven.
    Unknown(Unproven),
}

/// Why nothing is proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unproven {
    /// The answer is too old.
    OldAnswer,
    /// No API server is known.
    NoServers,
    /// Which there are was not read of late.
    ServersUnread,
    /// This one was not heard of late.
    Silent(String),
    /// What is said of this one cannot be: it begins after its end, or lies ahead.
    Odd(String),
    /// All are heard, and not for long enough yet.
    TooShort,
    /// There were uses, or calls beside it, and nobody says when.
    Undated,
}

impl fmt::Display for Unproven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OldAnswer => f.write_str("the archive has not said anything of late"),
            Self::NoServers => f.write_str("no API server is known"),
            Self::ServersUnread => f.write_str("which API servers there are could not be read of late"),
            Self::Silent(server) => write!(f, "nothing of the audit log of API server {server} arrives"),
            Self::Odd(server) => write!(f, "what the archive says of API server {server} cannot be"),
            Self::TooShort => f.write_str("the audit logs of all API servers have not arrived for long enough yet"),
            Self::Undated => f.write_str("the archive does not say when it was used"),
        }
    }
}

/// Whether a grant is idle now, by what was heard. A call that it would have allowed too keeps it as one of its own does,
/// whatever allowed it: whoever has it does what it is for, and would need it as soon as the other access is gone.
pub fn judge(heard: &UsesHeard, terms: IdleTerms, now: Timestamp) -> Idleness {
    let used = heard.used.as_ref();
    if used.is_some_and(|used| used.open > 0 || used.open_beside > 0) {
        return Idleness::InUse { until: after(now, terms.timeout) };
    }
    let last = used.and_then(|used| used.count.last.max(used.count.last_beside)).map(|last| after(last, SKEW));
    let unused_from = last.map_or(terms.begin, |last| last.max(terms.begin));
    let earliest = after(unused_from, terms.timeout);
    if now < earliest {
        return Idleness::InUse { until: earliest };
    }
    let is_undated =
        |count: &UseCount| count.calls > 0 && count.last.is_none() || count.beside() > 0 && count.last_beside.is_none();
    if used.is_some_and(|used| is_undated(&used.count)) {
        return Idleness::Unknown(Unproven::Undated);
    }
    match listened(heard, now) {
        Err(why) => Idleness::Unknown(why),
        Ok(Listened { from, until }) => {
            let since = unused_from.max(from);
            if after(since, terms.timeout) <= until {
                Idleness::Idle { since }
            } else {
                Idleness::Unknown(Unproven::TooShort)
            }
        }
    }
}

/// From when until when no use can have stayed unheard, by the time that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listened {
    pub from: Timestamp,
    pub until: Timestamp,
}

/// When every API server was heard, and still is.
///
/// # Errors
/// Why that cannot be said.
pub fn listened(heard: &UsesHeard, now: Timestamp) -> Result<Listened, Unproven> {
    if !(SignedDuration::ZERO..=ANSWER).contains(&now.duration_since(heard.at)) {
        return Err(Unproven::OldAnswer);
    }
    if heard.known.servers.is_empty() {
        return Err(Unproven::NoServers);
    }
    if now.duration_since(heard.known.until) > FRESH {
        return Err(Unproven::ServersUnread);
    }
    let mut all = Listened { from: heard.known.since, until: now };
    for server in &heard.known.servers {
        let mut runs = heard.heard.iter().filter(|run| run.server == *server).peekable();
        if runs.peek().is_none() {
            return Err(Unproven::Silent(server.clone()));
        }
        for run in runs {
            if run.until < run.from || run.until > after(now, SKEW) {
                return Err(Unproven::Odd(server.clone()));
            }
            if now.duration_since(run.until) > FRESH + SKEW {
                return Err(Unproven::Silent(server.clone()));
            }
            let until = run.until.checked_sub(SKEW).unwrap_or(Timestamp::MIN);
            all = Listened { from: all.from.max(after(run.from, SKEW)), until: all.until.min(until) };
        }
    }
    Ok(all)
}

/// How many of the API servers that there are were heard of late.
pub fn heard_servers(heard: &UsesHeard, now: Timestamp) -> usize {
    let of_late = |run: &HeardServer| now.duration_since(run.until) <= FRESH + SKEW;
    let is_heard = |server: &&String| heard.heard.iter().any(|run| run.server == **server && of_late(run));
    heard.known.servers.iter().filter(is_heard).count()
}

fn after(from: Timestamp, length: SignedDuration) -> Timestamp {
    from.checked_add(length).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
