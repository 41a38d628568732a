//! How much one person, one namespace and one policy may have at a time. Counts other requests under the same policy;
//! which of them there are is for the caller to say.
//!
//! Limits are looked at when a request is decided and once more at its grant, never afterwards: a later request does
//! not end an earlier one.

use std::borrow::Cow;
use std::fmt;

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use crate::api::conditions;
use crate::api::policy::Limits as RawLimits;
use crate::api::request::{AccessRequest, State};
use crate::api::subject::Identity;
use crate::core::model::ask::{RequestKind, ValidRequest};
use crate::core::model::duration;
use crate::core::model::field_error::FieldError;
use crate::core::model::grant_scope::GrantScope;
use crate::core::model::problem::PolicyProblem;
use crate::core::model::subjects::is_same_person;

/// In what time [`Limits::time_per_day`] is counted.
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// The bounds of one policy.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    open_per_person: Option<usize>,
    open_per_namespace: Option<usize>,
    open: Option<usize>,
    live_per_person: Option<usize>,
    live_per_namespace: Option<usize>,
    live: Option<usize>,
    cooldown: Option<SignedDuration>,
    time_per_day: Option<SignedDuration>,
}

/// Another request under the same policy, as far as limits count it.
#[derive(Clone, Debug)]
pub struct Counted {
    /// Name of the policy that decides it, or has.
    pub policy: String,
    person: Identity,
    /// Where it was made.
    made_in: Option<String>,
    /// When it was granted, when its access ends or ended, and where it holds. None: it waits.
    grant: Option<CountedGrant>,
}

#[derive(Clone, Debug)]
struct CountedGrant {
    from: Timestamp,
    to: Timestamp,
    live: bool,
    namespaces: Vec<String>,
}

impl Counted {
    /// What counts of a request; nothing of one that was never let in and does not wait.
    pub fn of(request: &AccessRequest) -> Option<Self> {
        let status = request.status.as_ref()?;
        let over = status.state.is_final();
        let ended = || conditions::find(&status.conditions, conditions::FINISHED).map(|c| c.last_transition_time.0);
        let grant = status.granted_at.as_ref().zip(status.expires_at.as_ref()).map(|(from, end)| CountedGrant {
            from: from.0,
            to: if over { ended().map_or(end.0, |at| at.min(end.0)) } else { end.0 },
            live: !over,
            namespaces: status.bindings.iter().filter_map(|b| b.namespace.clone()).collect(),
        });
        if grant.is_none() && (over || status.state != State::Pending) {
            return None;
        }
        let (policy, made_in) = (status.policy.as_ref()?.name.clone(), request.metadata.namespace.clone());
        let who = request.spec.requester.as_ref()?;
        let person = Identity { username: who.username.clone(), uid: who.uid.clone(), ..Identity::default() };
        Some(Self { policy, person, made_in, grant })
    }
}

/// What counts for limits of the policies that have any, beside one's own request, of requests by UID.
pub fn others<'a>(
    own: &AccessRequest,
    has_limits: impl Fn(&str) -> bool,
    requests: impl Iterator<Item = (Option<&'a str>, Cow<'a, Counted>)>,
) -> Vec<Counted> {
    let own = own.metadata.uid.as_deref();
    let counts = |(uid, counted): &(_, Cow<'_, Counted>)| *uid != own && has_limits(&counted.policy);
    requests.filter(counts).map(|(_, counted)| counted.into_owned()).collect()
}

impl Limits {
    /// Reads the bounds of a policy.
    pub fn read(raw: Option<&RawLimits>, faults: &mut Vec<FieldError>) -> Self {
        let Some(raw) = raw else { return Self::default() };
        let mut count = |name: &str, value: Option<i32>| {
            let value = value?;
            let count = usize::try_from(value).ok().filter(|count| *count > 0);
            if count.is_none() {
                faults.push(FieldError::new(format!("spec.limits.{name}"), PolicyProblem::LimitBelowOne));
            }
            count
        };
        let limits = Self {
            open_per_person: count("openRequestsPerPerson", raw.open_requests_per_person),
            open_per_namespace: count("openRequestsPerNamespace", raw.open_requests_per_namespace),
            open: count("openRequests", raw.open_requests),
            live_per_person: count("liveGrantsPerPerson", raw.live_grants_per_person),
            live_per_namespace: count("liveGrantsPerNamespace", raw.live_grants_per_namespace),
            live: count("liveGrants", raw.live_grants),
            cooldown: None,
            time_per_day: None,
        };
        let mut length = |name: &str, text: &Option<String>| {
            let field = format!("spec.limits.{name}");
            duration::parse(text.as_deref()?).map_err(|error| faults.push(FieldError::new(field, error))).ok()
        };
        Self {
            cooldown: length("cooldown", &raw.cooldown),
            time_per_day: length("timePerDay", &raw.time_per_day),
            ..limits
        }
    }

    /// For how long it matters that a grant was there which is over.
    pub fn looks_back(&self) -> SignedDuration {
        let day = self.time_per_day.map(|_| DAY);
        self.cooldown.into_iter().chain(day).max().unwrap_or_default()
    }

    /// Whether there are any.
    pub fn are_set(&self) -> bool {
        let open = [self.open_per_person, self.open_per_namespace, self.open];
        let live = [self.live_per_person, self.live_per_namespace, self.live];
        open.iter().chain(&live).any(Option::is_some) || self.cooldown.is_some() || self.time_per_day.is_some()
    }

    /// Why one more grant of this length would be too much, beside these others under the policy.
    pub fn exceeded(
        &self,
        ask: &ValidRequest<'_>,
        place: &GrantScope,
        length: SignedDuration,
        others: &[&Counted],
        now: Timestamp,
    ) -> Vec<Exceeded> {
        let mut exceeded = Vec::new();
        let theirs: Vec<&&Counted> = others.iter().filter(|o| is_same_person(&o.person, ask.requester)).collect();
        let who = &ask.requester.username;
        // An extension is no further grant; only the time that it adds counts.
        if !matches!(ask.aim, RequestKind::Extension { .. }) {
            let live = |others: &mut dyn Iterator<Item = &CountedGrant>| others.filter(|g| g.live).count();
            let of_person = live(&mut theirs.iter().filter_map(|o| o.grant.as_ref()));
            exceeded.extend(full(Count::GrantsOf(who.clone()), of_person, self.live_per_person));
            exceeded.extend(full(Count::Grants, live(&mut others.iter().filter_map(|o| o.grant.as_ref())), self.live));
            let of = |name: &String| {
                live(&mut others.iter().filter_map(|o| o.grant.as_ref()).filter(|g| g.namespaces.contains(name)))
            };
            if let GrantScope::Namespaces(names) = place {
                let full = |name: &String| full(Count::GrantsIn(name.clone()), of(name), self.live_per_namespace);
                exceeded.extend(names.iter().find_map(full));
            }
            exceeded.extend(self.too_soon(&theirs, now));
        }
        exceeded.extend(self.too_long(&theirs, length, now));
        exceeded
    }

    /// Why one more request that waits would be too many. One that waits already has its place: a new one never puts
    /// out one that was there before.
    pub fn too_many_open(&self, ask: &ValidRequest<'_>, others: &[&Counted]) -> Option<Exceeded> {
        if ask.request.status.as_ref().is_some_and(|status| status.stage.is_some()) {
            return None;
        }
        let count = |which: &dyn Fn(&Counted) -> bool| others.iter().filter(|o| o.grant.is_none() && which(o)).count();
        let namespace = ask.request.metadata.namespace.as_ref();
        let (who, here) = (&ask.requester.username, namespace.map_or("", String::as_str));
        let theirs = count(&|o| is_same_person(&o.person, ask.requester));
        full(Count::RequestsOf(who.clone()), theirs, self.open_per_person)
            .or_else(|| {
                let made_here = count(&|o| o.made_in.as_ref() == namespace);
                full(Count::RequestsIn(here.to_owned()), made_here, self.open_per_namespace)
            })
            .or_else(|| full(Count::Requests, count(&|_| true), self.open))
    }

    fn too_soon(&self, theirs: &[&&Counted], now: Timestamp) -> Option<Exceeded> {
        let last = theirs.iter().filter_map(|o| o.grant.as_ref()).filter(|g| !g.live).map(|g| g.to).max()?;
        let again = last.checked_add(self.cooldown?).unwrap_or(Timestamp::MAX);
        (now < again).then(|| Exceeded::Cooldown { again, cooldown: self.cooldown.unwrap_or_default() })
    }

    fn too_long(&self, theirs: &[&&Counted], length: SignedDuration, now: Timestamp) -> Option<Exceeded> {
        let most = self.time_per_day?;
        let since = now.checked_sub(DAY).unwrap_or(Timestamp::MIN);
        let within = |g: &CountedGrant| g.to.duration_since(g.from.max(since)).max(SignedDuration::ZERO);
        let had = theirs
            .iter()
            .filter_map(|o| o.grant.as_ref())
            .map(within)
            .fold(SignedDuration::ZERO, SignedDuration::saturating_add);
        (had.saturating_add(length) > most).then_some(Exceeded::TimePerDay { had, length, most })
    }
}

fn full(what: Count, there: usize, most: Option<usize>) -> Option<Exceeded> {
    most.filter(|most| there >= *most).map(|most| Exceeded::Full { what, there, most })
}

/// A limit that one more request or grant would break.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exceeded {
    /// There are as many as there may be.
    Full {
        what: Count,
        /// How many there are.
        there: usize,
        /// How many there may be.
        most: usize,
    },
    /// The last grant ended too lately.
    Cooldown {
        /// When the next one can begin.
        again: Timestamp,
        /// How long it takes.
        cooldown: SignedDuration,
    },
    /// The person would have too much time in a day.
    TimePerDay {
        had: SignedDuration,
        /// How much more it would be.
        length: SignedDuration,
        /// The most that they may have.
        most: SignedDuration,
    },
}

/// What is counted under a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Count {
    /// Running grants of a person.
    GrantsOf(String),
    /// Running grants in a namespace.
    GrantsIn(String),
    Grants,
    /// Requests of a person that wait.
    RequestsOf(String),
    /// Requests in a namespace that wait.
    RequestsIn(String),
    /// All requests that wait.
    Requests,
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { what, there, most } => {
                write!(f, "there are {there} {what} under it, and it allows {most}")
            }
            Self::Cooldown { again, cooldown } => {
                let cooldown = duration::format(*cooldown);
                write!(f, "the next grant can begin at {again}, {cooldown} after the last one ended")
            }
            Self::TimePerDay { had, length, most } => {
                let [had, length, most] = [had, length, most].map(|length| duration::format(*length));
                write!(f, "{had} of the last 24 hours are granted already, {length} more would be over {most}")
            }
        }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GrantsOf(who) => write!(f, "running grants of {who}"),
            Self::GrantsIn(namespace) => write!(f, "running grants in {namespace}"),
            Self::Grants => f.write_str("running grants"),
            Self::RequestsOf(who) => write!(f, "requests of {who} that wait"),
            Self::RequestsIn(namespace) => write!(f, "requests in {namespace} that wait"),
            Self::Requests => f.write_str("requests that wait"),
        }
    }
}

#[cfg(test)]
mod tests;
