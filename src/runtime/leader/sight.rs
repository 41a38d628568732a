//! When a replica that stands by may take the lease, told from what it has seen of it and when. Asks nobody.

use std::time::Duration;

use tokio::time::Instant;

use super::record::{LeaseRecord, pod_of};

/// For how long a name must stand that was written over something strange before it counts.
pub const STANDS: Duration = Duration::from_millis(500);
/// What comes and goes between two looks unseen has not stood for longer. Shorter than [`STANDS`] by what clocks may
/// differ in speed.
const UNSEEN: Duration = Duration::from_millis(400);

/// One look at the lease.
pub struct LeaseRead {
    pub record: LeaseRecord,
    pub version: Option<String>,
    /// When it was asked for.
    pub sent: Instant,
    /// When the answer was there.
    pub answered: Instant,
}

/// What to do after a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElectionStep {
    Wait,
    /// Write this process's name over what was seen, and see whether that stands.
    Claim,
    /// Write it over what was seen, and lead.
    Take,
}

/// What was seen last.
struct Last {
    version: Option<String>,
    /// Whether a replica wrote it, other than this one.
    of_a_replica: bool,
    sent: Instant,
    /// Since when no other replica can have written anything that counts.
    since: Instant,
}

/// What one replica that stands by has seen.
pub struct LeaseSight {
    me: String,
    lease: Duration,
    last: Option<Last>,
    /// Version of what was written in this process's name, and since when it is known to stand.
    claim: Option<(Option<String>, Instant)>,
}

impl LeaseSight {
    /// Nothing has been seen.
    pub fn new(me: &str, lease: Duration) -> Self {
        Self { me: me.to_owned(), lease, last: None, claim: None }
    }

    /// Whether nothing has been seen yet.
    pub fn is_first(&self) -> bool {
        self.last.is_none()
    }

    /// A claim was written in this version, and answered now.
    pub fn claimed(&mut self, version: Option<String>) {
        self.claim = Some((version, Instant::now()));
    }

    /// What follows from one more look. `unused`: no replica has ever worked on this cluster.
    pub fn judge(&mut self, lease_read: LeaseRead, unused: bool) -> ElectionStep {
        let LeaseRead { record, version, sent, answered } = lease_read;
        let since = self.since(&record, version.as_deref(), answered);
        let of_a_replica =
            matches!(&record, LeaseRecord::Held { by, .. } | LeaseRecord::GivenBack(by) if *by != self.me);
        let first = self.last.is_none();
        self.last = Some(Last { version: version.clone(), of_a_replica, sent, since });
        let over = answered.duration_since(since) >= self.lease;
        match record {
            // A claim, or a take whose answer was lost.
            LeaseRecord::Held { by, .. } if by == self.me => {
                let stood = self.claim.as_ref().filter(|(claimed, _)| *claimed == version).map(|(_, at)| *at);
                if stood.is_some_and(|at| answered.duration_since(at) >= STANDS) {
                    return ElectionStep::Take;
                }
                self.claim = Some((version, stood.unwrap_or(answered)));
                ElectionStep::Wait
            }
            LeaseRecord::GivenBack(_) => ElectionStep::Take,
            LeaseRecord::Held { by, settled } if pod_of(&by) == pod_of(&self.me) => {
                if settled {
                    ElectionStep::Take
                } else {
                    ElectionStep::Claim
                }
            }
            LeaseRecord::Held { .. } if over => ElectionStep::Take,
            LeaseRecord::Absent if first && unused => ElectionStep::Take,
            LeaseRecord::Strange(_) | LeaseRecord::Absent if over => ElectionStep::Claim,
            _ => ElectionStep::Wait,
        }
    }

    fn since(&self, record: &LeaseRecord, version: Option<&str>, answered: Instant) -> Instant {
        let Some(last) = &self.last else { return answered };
        // No version comes twice.
        let unchanged = version.is_some() && last.version.as_deref() == version;
        let other = matches!(record, LeaseRecord::Held { by, .. } | LeaseRecord::GivenBack(by) if *by != self.me);
        let seen_all = answered.duration_since(last.sent) <= UNSEEN;
        // Where a replica wrote last, another record of one may have stood up to this moment.
        if unchanged || (!other && !last.of_a_replica && seen_all) { last.since } else { answered }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(15);
    const ME: &str = "me_0000000000000001";

    fn held(by: &str) -> LeaseRecord {
        LeaseRecord::Held { by: by.to_owned(), settled: true }
    }

    fn strange() -> LeaseRecord {
        LeaseRecord::Strange("eve".to_owned())
    }

    /// What comes of looks at these moments, in milliseconds, each of which takes 10.
    fn judged(reads: &[(u64, LeaseRecord, u64)]) -> Vec<ElectionStep> {
        let (mut sight, begin) = (LeaseSight::new(ME, LEASE), Instant::now());
        let lease_read = |&(at, ref record, version): &(u64, LeaseRecord, u64)| {
            let sent = begin + Duration::from_millis(at);
            let version = (*record != LeaseRecord::Absent).then(|| version.to_string());
            LeaseRead { record: record.clone(), version, sent, answered: sent + Duration::from_millis(10) }
        };
        reads.iter().map(|seen| sight.judge(lease_read(seen), false)).collect()
    }

    /// Looks every 100 ms in a span, each at another version.
    fn strange_from(from: u64, to: u64) -> Vec<(u64, LeaseRecord, u64)> {
        (from..=to)
            .step_by(100)
            .map(|at| (at, if at % 200 == 0 { strange() } else { LeaseRecord::Absent }, at))
            .collect()
    }

    fn first_not_to_wait(reads: &[(u64, LeaseRecord, u64)]) -> Option<(u64, ElectionStep)> {
        let steps = judged(reads);
        let place = steps.iter().position(|step| *step != ElectionStep::Wait)?;
        Some((reads[place].0, steps[place]))
    }

    #[test]
    fn whatever_strangers_write_the_wait_begins_once() {
        let reads = [vec![(0, held("old_0000000000000001"), 1)], strange_from(100, 15_200)].concat();
        assert_eq!(first_not_to_wait(&reads), Some((15_100, ElectionStep::Claim)));
    }

    #[test]
    fn a_name_of_a_replica_in_between_begins_it_anew() {
        let between = vec![(5_050, held("old_0000000000000001"), 1)];
        let reads = [strange_from(0, 5_000), between, strange_from(5_100, 21_000)].concat();
        assert_eq!(first_not_to_wait(&reads), Some((20_100, ElectionStep::Claim)));
    }

    #[test]
    fn what_may_have_been_there_unseen_begins_it_anew() {
        let reads = [strange_from(0, 5_000), strange_from(5_500, 21_000)].concat();
        assert_eq!(first_not_to_wait(&reads), Some((20_500, ElectionStep::Claim)));
    }

    #[test]
    fn a_replica_s_record_that_stays_as_it_is_needs_no_close_look() {
        let old = || held("old_0000000000000001");
        let reads = [(0, old(), 1), (9_000, old(), 1), (14_900, old(), 1), (15_000, old(), 1)];
        assert_eq!(judged(&reads), [ElectionStep::Wait, ElectionStep::Wait, ElectionStep::Wait, ElectionStep::Take]);
        let renewed = [(0, old(), 1), (9_000, old(), 2), (15_000, old(), 2), (24_000, old(), 2)];
        assert_eq!(judged(&renewed), [ElectionStep::Wait, ElectionStep::Wait, ElectionStep::Wait, ElectionStep::Take]);
    }

    #[test]
    fn what_a_dead_process_of_the_pod_only_claimed_is_claimed_again() {
        let claimed = |settled| vec![(0, LeaseRecord::Held { by: "me_0000000000000009".to_owned(), settled }, 1)];
        assert_eq!(judged(&claimed(true)), [ElectionStep::Take]);
        assert_eq!(judged(&claimed(false)), [ElectionStep::Claim]);
    }

    #[test]
    fn a_claim_counts_once_it_has_stood() {
        let reads = [(0, held(ME), 1), (300, held(ME), 1), (400, held(ME), 2), (800, held(ME), 2), (900, held(ME), 2)];
        assert_eq!(
            judged(&reads),
            [ElectionStep::Wait, ElectionStep::Wait, ElectionStep::Wait, ElectionStep::Wait, ElectionStep::Take]
        );
    }

    #[test]
    fn no_lease_at_all_is_free_only_where_nobody_has_ever_worked() {
        let lease_read = |at| LeaseRead { record: LeaseRecord::Absent, version: None, sent: at, answered: at };
        let now = Instant::now();
        assert_eq!(LeaseSight::new(ME, LEASE).judge(lease_read(now), true), ElectionStep::Take);
        let mut sight = LeaseSight::new(ME, LEASE);
        assert_eq!(sight.judge(lease_read(now), false), ElectionStep::Wait);
        assert_eq!(sight.judge(lease_read(now + UNSEEN), true), ElectionStep::Wait, "somebody may have begun to");
    }
}
