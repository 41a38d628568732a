//! Owns the judgement over a run: what must hold whatever went wrong, told from the API server's audit log, from the
//! weather's own record and from the last status of each request.
//!
//! An end is due when the clock of the controller that leads has come to it; or the API server's, when that controller's
//! is further off than [`LIMIT`]; or when the API server was told of a deletion or a review of Revoke. A leader has recovered when everything passes on its line and it has written the
//! lease since. From when both are so, it has one second, for as long as both stay so: the binding's deletion is
//! complete by then, by the audit log's `stageTimestamp`.

use std::collections::{BTreeMap, HashMap};

use daypass::api::State;
use daypass::api::request::AccessRequestStatus;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::RENEW_DEADLINE;
use super::people::{Asked, Seen, Wish};
use super::weather::What;

/// How long a leader may take over what is due, beside other control planes on the same cores. The verdict prints how long
/// it took.
const AT_ONCE: SignedDuration = SignedDuration::from_secs(3);
/// How long ago a deletion may have been decided that a faulty line carries out now.
const ON_ITS_WAY: SignedDuration = SignedDuration::from_secs(12);
/// Beyond this a clock does not count, and nothing is granted by it.
const LIMIT: SignedDuration = SignedDuration::from_secs(5);
/// How early an end may come by the API server's clock, which says its time in whole seconds, on a line that delays answers.
const EARLY: SignedDuration = SignedDuration::from_secs(3);
/// Names of history entries of which a request has one at its end.
const ENDS: [&str; 6] = ["Expired", "Revoked", "Denied", "Lapsed", "Failed", "Extended"];

/// A change that the API server has made.
struct Change {
    received: Timestamp,
    done: Timestamp,
    /// The controller that asked for it.
    by: Option<String>,
    verb: String,
    resource: String,
    name: String,
    place: String,
    /// False when the API server answered that it failed: its line may have been cut when it was done already.
    sure: bool,
}

impl Change {
    /// Dry runs and questions change nothing.
    fn read(event: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (verb, resource) = (text(&event["verb"]), text(&event["objectRef"]["resource"]));
        let code = event["responseStatus"]["code"].as_u64().unwrap_or(504);
        let sure = code < 300;
        let changes = ["create", "update", "patch", "delete"].contains(&&*verb)
            && !["selfsubjectreviews", "selfsubjectaccessreviews", "serviceaccounts"].contains(&&*resource)
            && !text(&event["requestURI"]).contains("dryRun=All");
        let time = |name: &str| text(&event[name]).parse().expect("a time");
        let agent = text(&event["userAgent"]);
        let by = agent.strip_prefix("daypass/").and_then(|a| a.split(['(', ')']).nth(1)).map(str::to_owned);
        // Who has only claimed the lease does not lead by that.
        let leads = resource != "leases" || !event["requestObject"]["spec"]["acquireTime"].is_null();
        let by = by.filter(|_| leads);
        (changes && (sure || code >= 500)).then(|| Self {
            received: time("requestReceivedTimestamp"),
            done: time("stageTimestamp"),
            by,
            verb,
            resource,
            name: text(&event["objectRef"]["name"]),
            place: text(&event["objectRef"]["namespace"]),
            sure,
        })
    }
}

/// A time in which one leader had nothing in its way.
struct Duty {
    who: String,
    /// Duties of one number follow each other without a gap.
    spell: usize,
    from: Timestamp,
    to: Timestamp,
    /// How wrong the time was that it went by.
    clock: SignedDuration,
}

/// The life of one binding, role or loan.
#[derive(Default)]
struct Life {
    made: Vec<(Timestamp, Option<String>)>,
    unmade: Vec<(Timestamp, Option<String>)>,
    /// When it may have been made or unmade, though the API server could not say so.
    perhaps_made: Option<(Timestamp, Option<String>)>,
    perhaps_unmade: Option<(Timestamp, Option<String>)>,
}

/// What a run came to.
#[derive(Default)]
pub struct Verdict {
    /// What must not be; empty when all is well.
    pub complaints: Vec<String>,
    /// Lateness of stated ends by the clock of who ended them, which was not set and which led all the while, whatever was
    /// in its way; in milliseconds.
    pub late: Vec<f64>,
    /// The same of those that nothing was in the way of.
    pub late_in_calm: Vec<f64>,
    /// How long a leader had for an end that was due.
    pub took: Vec<f64>,
    pub bindings: usize,
    pub handovers: usize,
    pub ends: BTreeMap<String, usize>,
}

/// Judges a run that is over.
pub fn judge(audit: &[Value], log: &[(Timestamp, What)], asked: &[Asked], seen: &Seen) -> Verdict {
    let mut changes: Vec<Change> = audit.iter().filter_map(Change::read).collect();
    changes.sort_by_key(|change| change.done);
    let lives = lives(&changes);
    changes.retain(|change| change.sure);
    let mut verdict = Verdict { complaints: seen.rewritten.clone(), ..Verdict::default() };
    let leases = changes.iter().filter(|change| change.resource == "leases");
    let leases = leases.filter_map(|lease| Some((lease.done, lease.by.clone()?))).collect();
    let court = Court { duties: duties(&changes, log), leases, log, lives };
    for asked in asked {
        court.try_one(asked, seen.of(&asked.uid), &mut verdict);
    }
    two_leaders(&changes, &mut verdict);
    verdict
}

struct Court<'a> {
    duties: Vec<Duty>,
    /// When who has written the lease.
    leases: Vec<(Timestamp, String)>,
    log: &'a [(Timestamp, What)],
    /// By name: bindings, made roles and loans.
    lives: HashMap<(&'static str, String), Vec<(String, Life)>>,
}

impl Court<'_> {
    fn try_one(&self, asked: &Asked, status: Option<&AccessRequestStatus>, verdict: &mut Verdict) {
        let Asked { place, uid, ended_early, .. } = asked;
        let Some(status) = status else {
            // Deleted before anything was decided.
            if ended_early.is_none() {
                verdict.complaints.push(format!("{place}: lost, nothing is known of it"));
            }
            return;
        };
        let deleted = asked.action == Wish::Deleted && ended_early.is_some();
        let end = match (status.state, &status.message) {
            _ if deleted => "Deleted".to_owned(),
            // Nobody here asks for what no policy allows: the faults did it, and the report says how.
            (State::Denied, Some(why)) => format!("Denied: {why}"),
            (state, _) => format!("{state:?}"),
        };
        *verdict.ends.entry(end).or_default() += 1;
        let bound = self.lives(("binding", format!("daypass-{uid}")));
        if !deleted {
            verdict.complaints.extend(incomplete(status, bound).map(|why| format!("{place}: {why}")));
        }
        for (kind, name) in [
            ("binding", format!("daypass-{uid}")),
            ("role", format!("daypass-{uid}")),
            ("loan", format!("daypass-{uid}-loan")),
        ] {
            for (namespace, life) in self.lives((kind, name)) {
                let (made, unmade) = (life.made.len(), life.unmade.len());
                // A role is lent again when the first try to make a narrower one was cut short.
                if made != unmade || (kind != "loan" && made > 1) {
                    verdict
                        .complaints
                        .push(format!("{place}: {kind} in {namespace} made {made} times, unmade {unmade}"));
                }
            }
        }
        for (namespace, life) in bound {
            verdict.bindings += 1;
            for (made, by) in &life.made {
                let by = by.as_deref().unwrap_or_default();
                if self.clocks(by, *made).iter().all(|wrong_by| wrong_by.abs() > LIMIT) {
                    verdict
                        .complaints
                        .push(format!("{place}: bound in {namespace} at {made} by {by}, whose clock is wrong"));
                }
            }
            if let (Some((made, _)), Some((unmade, by))) = (life.made.first(), life.unmade.first()) {
                self.in_time(asked, status, namespace, [*made, *unmade], by.as_deref(), verdict);
            }
        }
    }

    fn lives(&self, of: (&'static str, String)) -> &[(String, Life)] {
        self.lives.get(&of).map(Vec::as_slice).unwrap_or_default()
    }

    fn in_time(
        &self,
        asked: &Asked,
        status: &AccessRequestStatus,
        namespace: &str,
        [made, unmade]: [Timestamp; 2],
        by: Option<&str>,
        verdict: &mut Verdict,
    ) {
        let place = &asked.place;
        let Some(end) = status.expires_at.as_ref().map(|end| end.0) else {
            verdict.complaints.push(format!("{place}: was bound and has no end on record"));
            return;
        };
        let (mut longest, mut worst) = (SignedDuration::ZERO, String::new());
        let (mut spell, mut since) = (usize::MAX, made);
        for duty in &self.duties {
            let due = (end - duty.clock).min(asked.ended_early.unwrap_or(Timestamp::MAX));
            let (from, to) = (duty.from.max(due).max(made), duty.to.min(unmade));
            if from >= to {
                continue;
            }
            if spell != duty.spell || from != duty.from {
                (spell, since) = (duty.spell, from);
            }
            let had = to.duration_since(since);
            if had > longest {
                (longest, worst) = (had, format!("under {} from {since} to {to}", duty.who));
            }
        }
        if longest > AT_ONCE {
            let why = format!("due in {namespace} {worst} and bound; its end {end}, gone {unmade}");
            verdict.complaints.push(format!("{place}: {why}"));
        }
        if longest > SignedDuration::ZERO {
            verdict.took.push(millis(longest));
        }
        if status.state != State::Expired {
            return;
        }
        let Some(by) = by else { return };
        let clocks = self.clocks(by, unmade);
        let early = |wrong_by: &SignedDuration| if wrong_by.abs() > LIMIT { EARLY } else { SignedDuration::ZERO };
        if !clocks.iter().any(|wrong_by| unmade + counted(*wrong_by) + early(wrong_by) >= end) {
            verdict.complaints.push(format!("{place}: gone at {unmade}, before its end {end}"));
        }
        let clock = clocks.last().copied().map(counted).unwrap_or_default();
        let late = millis((unmade + clock).duration_since(end));
        let begin = end - clock;
        if clocks.len() == 1 && late >= 0.0 && self.led(by, begin, unmade) {
            verdict.late.push(late);
            if self.duties.iter().any(|duty| duty.who == by && duty.from <= begin && unmade <= duty.to)
                || self.one_spell(by, begin, unmade)
            {
                verdict.late_in_calm.push(late);
            }
        }
    }

    /// Whether nobody else led between two times.
    fn led(&self, who: &str, from: Timestamp, to: Timestamp) -> bool {
        let before = self.leases.iter().rfind(|(at, _)| *at <= from);
        let meanwhile = self.leases.iter().filter(|(at, _)| *at > from && *at <= to);
        before.is_some() && before.into_iter().chain(meanwhile).all(|(_, by)| by == who)
    }

    /// Whether one leader had nothing in its way between two times.
    fn one_spell(&self, who: &str, from: Timestamp, to: Timestamp) -> bool {
        let spell = self.duties.iter().find(|d| d.who == who && d.from <= from && from < d.to).map(|d| d.spell);
        let last = self.duties.iter().find(|d| d.who == who && d.from <= to && to <= d.to).map(|d| d.spell);
        spell.is_some() && spell == last
    }

    /// How wrong a clock was at a time and shortly before, the last value last.
    fn clocks(&self, who: &str, at: Timestamp) -> Vec<SignedDuration> {
        let mut clocks = vec![SignedDuration::ZERO];
        for (when, what) in self.log {
            if let What::Clock(name, wrong_by) = what
                && *name == who
                && *when <= at
            {
                if *when < at - ON_ITS_WAY {
                    clocks.clear();
                }
                clocks.push(SignedDuration::from_millis(*wrong_by));
            }
        }
        clocks
    }
}

/// How wrong the time is that a controller goes by whose clock is so wrong.
fn counted(wrong_by: SignedDuration) -> SignedDuration {
    if wrong_by.abs() > LIMIT { SignedDuration::ZERO } else { wrong_by }
}

/// What the record lacks, or has too much.
fn incomplete(status: &AccessRequestStatus, bound: &[(String, Life)]) -> Option<String> {
    let history: Vec<&str> = status.history.iter().map(|entry| entry.event.as_str()).collect();
    let count = |word: &str| history.iter().filter(|event| **event == word).count();
    if !status.state.is_final() {
        return Some(format!("has come to no end: {:?}, {history:?}", status.state));
    }
    let state = format!("{:?}", status.state);
    let ends: Vec<&&str> = history.iter().filter(|event| ENDS.contains(event)).collect();
    // A running request that was extended says so too.
    let ends: Vec<&&str> =
        ends.into_iter().filter(|event| **event != "Extended" || status.state == State::Extended).collect();
    if ends != [&&*state] && !(status.state == State::Extended && ends.iter().all(|e| **e == "Extended")) {
        return Some(format!("is {state}, and history says {history:?}"));
    }
    if count("Granted") > 1 || (count("Granted") == 1 && bound.is_empty()) {
        return Some(format!("was bound in {} places, and history says {history:?}", bound.len()));
    }
    if !bound.is_empty() && status.granted_at.is_none() {
        return Some("was bound without a record".to_owned());
    }
    if count("BindingRestored") > 0 {
        return Some(format!("history blames somebody for a change that nobody made: {history:?}"));
    }
    None
}

fn lives(changes: &[Change]) -> HashMap<(&'static str, String), Vec<(String, Life)>> {
    let mut lives: HashMap<(&'static str, String), BTreeMap<String, Life>> = HashMap::new();
    for change in changes.iter().filter(|change| change.name.starts_with("daypass-")) {
        let kind = match &*change.resource {
            "rolebindings" if change.name.ends_with("-loan") => "loan",
            "rolebindings" => "binding",
            "roles" => "role",
            _ => continue,
        };
        let life = lives.entry((kind, change.name.clone())).or_default().entry(change.place.clone()).or_default();
        match (&*change.verb, change.sure) {
            ("create", true) => life.made.push((change.done, change.by.clone())),
            ("create", false) => life.perhaps_made = Some((change.done, change.by.clone())),
            ("delete", true) => life.unmade.push((change.done, change.by.clone())),
            ("delete", false) => life.perhaps_unmade = Some((change.done, change.by.clone())),
            _ => {}
        }
    }
    // What was only tried, and failed, has no life.
    for life in lives.values_mut().flat_map(BTreeMap::values_mut) {
        if life.made.len() < life.unmade.len() {
            life.made.extend(life.perhaps_made.take());
        } else if life.unmade.len() < life.made.len() {
            life.unmade.extend(life.perhaps_unmade.take());
        }
    }
    lives.values_mut().for_each(|places| places.retain(|_, life| !life.made.is_empty() || !life.unmade.is_empty()));
    lives.into_iter().map(|(name, by_place)| (name, by_place.into_iter().collect())).collect()
}

/// Cuts a run into times in which one leader had nothing in its way and one clock.
fn duties(changes: &[Change], log: &[(Timestamp, What)]) -> Vec<Duty> {
    let leases: Vec<&Change> = changes.iter().filter(|c| c.resource == "leases" && c.by.is_some()).collect();
    let deadline = SignedDuration::try_from(RENEW_DEADLINE).expect("a short time");
    let mut duties: Vec<Duty> = Vec::new();
    let mut spell = 0;
    for (number, lease) in leases.iter().enumerate() {
        let who = lease.by.clone().unwrap_or_default();
        let until = lease.done + deadline;
        let until = leases.get(number + 1).map_or(until, |next| next.done.min(until));
        let calm = log.iter().rfind(|(at, what)| *at <= lease.done && matches!(what, What::Calm | What::Storm));
        if calm.is_none_or(|(_, what)| *what == What::Storm) {
            continue;
        }
        let ends = |what: &What| matches!(what, What::Storm) || matches!(what, What::Dead(name) if *name == who);
        let ended = log.iter().find(|(at, what)| *at > lease.done && ends(what)).map_or(Timestamp::MAX, |(at, _)| *at);
        let until = until.min(ended);
        let joins = duties.last().is_some_and(|last| last.who == who && last.to == lease.done);
        spell += usize::from(!joins);
        let mut from = lease.done;
        let set = log.iter().filter_map(|(at, what)| match what {
            What::Clock(name, wrong_by) if *name == who => Some((*at, SignedDuration::from_millis(*wrong_by))),
            _ => None,
        });
        let mut clock = SignedDuration::ZERO;
        for (at, wrong_by) in set.map(|(at, wrong_by)| (at, counted(wrong_by))) {
            if at > from && at < until {
                duties.push(Duty { who: who.clone(), spell, from, to: at, clock });
                from = at;
            }
            if at <= from {
                clock = wrong_by;
            }
        }
        duties.push(Duty { who, spell, from, to: until, clock });
    }
    duties
}

/// Once a new leader has written, the one before it never has a write afterwards until it leads again.
fn two_leaders(changes: &[Change], verdict: &mut Verdict) {
    let mut holder: Option<&str> = None;
    let mut begun: Option<(Timestamp, &str)> = None;
    for change in changes {
        let Some(by) = change.by.as_deref() else { continue };
        if change.resource == "leases" {
            if holder.is_some_and(|holder| holder != by) {
                verdict.handovers += 1;
                begun = None;
            }
            holder = Some(by);
        } else if holder == Some(by) {
            begun.get_or_insert((change.received, by));
        } else if let Some((since, leader)) = begun.filter(|(since, _)| change.received > *since) {
            let Change { verb, resource, place, name, received, .. } = change;
            verdict.complaints.push(format!(
                "{by} had its {verb} of {resource} {place}/{name} at {received}, though {leader} writes since {since}"
            ));
        }
    }
}

fn millis(length: SignedDuration) -> f64 {
    length.as_secs_f64() * 1000.0
}
