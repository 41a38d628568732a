//! What stands in the Lease, and what this program writes there. Who may take it is for [`super::sight`].
//!
//! A record is a replica's when its holder has the form that every process of Daypass writes. Any other, and none at
//! all, is strange: somebody else wrote or deleted it, so that it says nothing about who leads. How long it claims to
//! last, and when it claims to have been renewed, is read by nobody here.

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};

use super::LeaseTimings;

/// Says on a Lease without a holder which replica gave it back.
const GIVEN_BACK: &str = "daypass.dev/given-back-by";
/// Stands between the name of a pod and what tells its processes apart.
const MARK: char = '_';
/// How many hexadecimal digits tell processes apart.
const DIGITS: usize = 16;
/// Of a strange holder's name, how much is repeated.
const SHOWN: usize = 63;

/// What a Lease says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseRecord {
    /// A replica holds it.
    Held {
        by: String,
        /// Whether it leads by it. If not, it has only written its name over something strange, to see whether that
        /// stands.
        settled: bool,
    },
    /// This replica gave it back: it leads no more.
    GivenBack(String),
    /// No replica wrote it; a clause that says what it is.
    Strange(String),
    Absent,
}

/// The identity of one process: of this pod, or of none.
pub fn identity(pod: Option<&str>, process: u64) -> String {
    match pod {
        Some(pod) => format!("{pod}{MARK}{process:016x}"),
        None => format!("daypass-{process:016x}{MARK}"),
    }
}

/// The part of an identity that all processes of a pod share.
pub fn pod_of(identity: &str) -> &str {
    identity.rsplit_once(MARK).map_or(identity, |(pod, _)| pod)
}

fn is_identity(holder: &str) -> bool {
    let hex = |text: &str| text.len() == DIGITS && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    match holder.rsplit_once(MARK) {
        Some((name, "")) => name.strip_prefix("daypass-").is_some_and(hex),
        Some((pod, process)) => !pod.is_empty() && hex(process),
        None => false,
    }
}

impl LeaseRecord {
    /// Reads what the API server has.
    pub fn of(found: Option<&Lease>) -> Self {
        let Some(lease) = found else { return Self::Absent };
        let spec = lease.spec.as_ref();
        let holder = spec.and_then(|spec| spec.holder_identity.as_deref()).unwrap_or_default();
        if is_identity(holder) {
            let settled = spec.is_some_and(|spec| spec.acquire_time.is_some());
            return Self::Held { by: holder.to_owned(), settled };
        }
        let giver = lease.metadata.annotations.as_ref().and_then(|a| a.get(GIVEN_BACK));
        match giver.filter(|giver| holder.is_empty() && is_identity(giver)) {
            Some(giver) => Self::GivenBack(giver.clone()),
            None if holder.is_empty() => Self::Strange("the Lease names no holder".to_owned()),
            None => {
                let shown: String = holder.chars().take(SHOWN).collect();
                Self::Strange(format!("the Lease names {shown:?}, which is no replica of Daypass"))
            }
        }
    }

    /// In a clause.
    pub fn clause(&self) -> String {
        match self {
            Self::Held { by, settled: true } => format!("{} leads", pod_of(by)),
            Self::Held { by, settled: false } => format!("{} is about to lead", pod_of(by)),
            Self::GivenBack(by) => format!("{} gave the Lease back", pod_of(by)),
            Self::Strange(what) => what.clone(),
            Self::Absent => "the Lease was deleted".to_owned(),
        }
    }
}

/// The Lease `found` as `me` writes it over that. What is not settled yet has no `acquireTime`.
pub fn held(found: Option<Lease>, me: &str, terms: &LeaseTimings, settled: bool, now: MicroTime) -> Lease {
    let before = found.as_ref().and_then(|lease| lease.spec.clone()).unwrap_or_default();
    let mine = before.holder_identity.as_deref() == Some(me);
    let acquired = before.acquire_time.filter(|_| mine).unwrap_or_else(|| now.clone());
    let spec = LeaseSpec {
        holder_identity: Some(me.to_owned()),
        lease_duration_seconds: i32::try_from(terms.lease.as_secs()).ok(),
        acquire_time: settled.then_some(acquired),
        renew_time: Some(now),
        lease_transitions: Some(before.lease_transitions.map_or(0, |n| n.saturating_add(i32::from(!mine)))),
        ..LeaseSpec::default()
    };
    // A new one is named by who stores it.
    let mut metadata = found.map_or_else(ObjectMeta::default, |lease| lease.metadata);
    if let Some(annotations) = &mut metadata.annotations {
        annotations.remove(GIVEN_BACK);
    }
    Lease { metadata, spec: Some(spec) }
}

/// The Lease as `me` gives it back; nothing when it is not `me`'s.
pub fn given_back(mut lease: Lease, me: &str) -> Option<Lease> {
    let spec = lease.spec.as_mut().filter(|spec| spec.holder_identity.as_deref() == Some(me))?;
    spec.holder_identity = Some(String::new());
    lease.metadata.annotations.get_or_insert_default().insert(GIVEN_BACK.to_owned(), me.to_owned());
    Some(lease)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_is_told_by_the_form_of_its_name() {
        for ours in [identity(Some("daypass-7d4b9-x2x"), 7), identity(None, u64::MAX), identity(Some("a_b"), 0)] {
            assert!(is_identity(&ours), "{ours}");
        }
        let others =
            ["", "eve", "eve_", "_", "_0000000000000007", "eve_7", "eve_000000000000000g", "eve_000000000000000A"];
        for other in
            others.into_iter().chain(["daypass_", "daypass-0000_", "eve-0000000000000007_", "eve 0000000000000007"])
        {
            assert!(!is_identity(other), "{other}");
        }
    }

    #[test]
    fn a_lease_without_a_holder_is_given_back_only_if_a_replica_says_so() {
        let now = || MicroTime(k8s_openapi::jiff::Timestamp::UNIX_EPOCH);
        let terms = LeaseTimings {
            lease: std::time::Duration::from_secs(15),
            renew_deadline: std::time::Duration::from_secs(10),
            retry: std::time::Duration::from_secs(2),
        };
        let me = identity(Some("one"), 1);
        let mine = held(None, &me, &terms, true, now());
        assert_eq!(LeaseRecord::of(Some(&mine)), LeaseRecord::Held { by: me.clone(), settled: true });
        assert_eq!(given_back(mine.clone(), "two_0000000000000001"), None);
        let mut back = given_back(mine, &me).unwrap();
        assert_eq!(LeaseRecord::of(Some(&back)), LeaseRecord::GivenBack(me.clone()));
        let again = held(Some(back.clone()), &me, &terms, false, now());
        assert_eq!(LeaseRecord::of(Some(&again)), LeaseRecord::Held { by: me, settled: false });
        assert!(again.metadata.annotations.unwrap().is_empty());
        back.metadata.annotations = None;
        assert!(matches!(LeaseRecord::of(Some(&back)), LeaseRecord::Strange(_)));
        assert_eq!(LeaseRecord::of(None), LeaseRecord::Absent);
    }
}
