//! The account of a request that is not decided for good: what every policy says to it, which one decides, whom that
//! one asks and what would be granted.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use super::{
    Approver, Because, Deciding, Explanation, Grant, Judged, Moves, Outcome, ReviewAfterwards, StageProgress,
    StageState, Verdict, grant, idle_timeout, without_effect, written,
};
use crate::api::policy::{Effect, Stage};
use crate::api::request::AccessRequestStatus;
use crate::api::subject::{Identity, Subject};
use crate::core::decision::answer::{Approved, Decision, HeldBy};
use crate::core::decision::approvals::{Progress, ReviewLog, progress, review_stage};
use crate::core::decision::choose::{Chosen, choose, fits, friction, is_automatic};
use crate::core::decision::context::EvalContext;
use crate::core::decision::decide::decide;
use crate::core::decision::freeze::Stance;
use crate::core::decision::hours::counts;
use crate::core::decision::period::Period;
use crate::core::decision::snapshot::Snapshot;
use crate::core::decision::stance::{denials, stance};
use crate::core::lifecycle::happened::more_approvals;
use crate::core::lifecycle::stages;
use crate::core::model::ask::{RequestKind, ValidRequest};
use crate::core::model::grant_scope::GrantScope;
use crate::core::model::instants::later;
use crate::core::model::schedule::Schedule;
use crate::core::policies::seats::as_escalated;
use crate::core::policies::{Entry, Policy};

/// What an account of an undecided request is made from.
pub struct Account<'s, 'a> {
    pub s: &'s Snapshot<'a>,
    /// The request's status; an empty one when it has none.
    pub status: &'s AccessRequestStatus,
    /// What it asks for, completed.
    pub ask: &'s ValidRequest<'a>,
    pub now: Timestamp,
}

fn in_words(reasons: &[impl ToString]) -> Vec<String> {
    reasons.iter().map(ToString::to_string).collect()
}

impl Account<'_, '_> {
    /// How it stands, and why.
    pub fn give(&self) -> Explanation {
        let Self { s, status, ask, now } = *self;
        let log = ReviewLog::of(status);
        let mut explanation = match decide(ask, s, log, now) {
            Decision::Undecided(policy) => Explanation::new(Outcome::Undecided, format!("undecided: {policy}")),
            Decision::RightUnknown(unknown) => Explanation::new(Outcome::Undecided, format!("undecided: {unknown}")),
            Decision::Denied(reasons) => Explanation::denied(in_words(&reasons)),
            Decision::Refused { refusal, .. } => Explanation::denied(vec![refusal.to_string()]),
            Decision::Lapsed(lapse) => Explanation::new(Outcome::Lapsed, format!("lapsed: {lapse}")),
            Decision::Waiting(waiting) => {
                let (missing, stage) = (more_approvals(waiting.stage.required - waiting.approved), &waiting.stage.name);
                let of = &waiting.policy.reference.name;
                let holds = HeldBy::all(waiting.frozen.as_ref(), waiting.role_away.as_deref());
                let holds: String = holds.iter().map(|hold| format!("; {hold}")).collect();
                let until = waiting.deadline;
                let summary = format!("waits for {missing} in stage {stage} of policy {of}, until {until}{holds}");
                Explanation { deadline: Some(Time(waiting.deadline)), ..Explanation::new(Outcome::Waiting, summary) }
            }
            Decision::Frozen(approved, edge) => self.held_up(&approved, &HeldBy::Frozen(edge)),
            Decision::RoleAway(approved, away) => {
                let deadline = Some(Time(away.deadline));
                Explanation { deadline, ..self.held_up(&approved, &HeldBy::Role(away.why)) }
            }
            Decision::Approved(approved) => {
                let when = match (ask.aim, Some(approved.period.begin).filter(|begin| *begin > now)) {
                    (RequestKind::Extension { of, .. }, _) => format!("granted: the end of {of} moves"),
                    (_, Some(start)) => format!("scheduled for {start}"),
                    (RequestKind::Grant, None) if approved.policy.requires_record => {
                        "granted when the archive has acknowledged that".to_owned()
                    }
                    (_, None) => "granted at once".to_owned(),
                };
                let by = approved.approvers.clone();
                Explanation {
                    grant: Some(grant(ask, &approved.place, approved.period, true, by)),
                    ..Explanation::new(Outcome::Granted, format!("{when}: {}", approved.allowed_by()))
                }
            }
        };
        if let Ok(place) = ask.target.resolve(s.namespaces) {
            self.add_policies(&mut explanation, &place);
        }
        explanation
    }

    /// Approved, and something still keeps it waiting.
    fn held_up(&self, approved: &Approved<'_>, hold: &HeldBy) -> Explanation {
        let summary = format!("waits: {}; {hold}", approved.allowed_by());
        let grant = grant(self.ask, &approved.place, approved.period, true, approved.approvers.clone());
        Explanation { grant: Some(grant), ..Explanation::new(Outcome::Waiting, summary) }
    }

    /// What every policy says, and more about the one that decides.
    fn add_policies(&self, explanation: &mut Explanation, place: &GrantScope) {
        let mut context = EvalContext::new(self.s, place, self.now);
        // Those that deny are told one by one; what they leave open bounds the others.
        (_, context.freezes) = denials(self.ask, self.s.policies, &context);
        explanation.policies = self.s.policies.all().map(|(name, entry)| self.judge(name, entry, &context)).collect();
        let stopped = explanation.policies.iter().any(|judged| {
            judged.verdict == Verdict::Denies || (judged.verdict == Verdict::Broken && judged.effect == Effect::Deny)
        });
        let chosen = choose(self.ask, self.s.policies, &context).ok().filter(|_| !stopped);
        let Some(Chosen { policy, period, automatic }) = chosen else { return };
        let name = &policy.reference.name;
        explanation.decides =
            Some(Deciding { policy: name.clone(), because: self.because(policy, explanation, &context) });
        for judged in explanation.policies.iter_mut().filter(|judged| judged.name == *name) {
            judged.verdict = Verdict::Decides;
        }
        explanation.stages = self.stages(policy, explanation.grant.is_some(), automatic == Ok(true));
        let reviewers = policy.break_glass.as_ref().filter(|_| matches!(self.ask.aim, RequestKind::BreakGlass));
        let heard = match reviewers {
            Some(terms) => vec![review_stage(&terms.reviewers)],
            None => as_escalated(&policy.stages, &self.status.escalated),
        };
        explanation.without_effect = without_effect(&heard, self.status, self.ask);
        if matches!(explanation.outcome, Outcome::Granted | Outcome::Waiting) {
            self.add_grant(explanation, policy, period, place);
        }
    }

    fn add_grant(&self, explanation: &mut Explanation, policy: &Policy, period: Period, place: &GrantScope) {
        let (ask, yes) = (self.ask, explanation.grant.is_some());
        let approved_by = explanation.grant.take().map(|grant| grant.approved_by).unwrap_or_default();
        if let RequestKind::Extension { of, .. } = ask.aim {
            explanation.extension = Some(Moves { of: of.to_owned(), from: Time(period.begin), to: Time(period.end) });
            explanation.grant =
                Some(Grant { idle_timeout: idle_timeout(policy), ..grant(ask, place, period, true, approved_by) });
            return;
        }
        let settled = yes || ask.start.is_some();
        let grant = grant(ask, place, period, settled, approved_by);
        explanation.grant = Some(Grant { idle_timeout: idle_timeout(policy), ..grant });
        if let (RequestKind::BreakGlass, Some(terms)) = (ask.aim, &policy.break_glass) {
            let by = Time(later(period.begin, terms.within));
            explanation.review =
                Some(ReviewAfterwards { reviewers: terms.reviewers.iter().map(written).collect(), by });
        }
    }

    fn judge(&self, name: &str, entry: &Entry, context: &EvalContext<'_>) -> Judged {
        let (effect, verdict, why) = match entry {
            Entry::Broken { effect, faults } => (*effect, Verdict::Broken, in_words(faults)),
            Entry::Doubted { policy, why } if policy.effect == Effect::Allow => {
                (Effect::Allow, Verdict::Doubted, vec![why.to_string()])
            }
            Entry::Faulty(policy) if policy.effect == Effect::Allow => {
                (Effect::Allow, Verdict::Broken, in_words(&policy.faults))
            }
            Entry::Valid(policy) | Entry::Faulty(policy) | Entry::Doubted { policy, .. }
                if policy.effect == Effect::Deny =>
            {
                match stance(policy, self.ask, context) {
                    Some(Stance::Denies(denying)) => (Effect::Deny, Verdict::Denies, vec![denying.to_string()]),
                    Some(Stance::Bounds(schedule)) => (Effect::Deny, Verdict::Freezes, vec![self.freezes(schedule)]),
                    None => (Effect::Deny, Verdict::DoesNotTouch, Vec::new()),
                }
            }
            Entry::Valid(policy) | Entry::Faulty(policy) | Entry::Doubted { policy, .. } => {
                let short = fits(policy, self.ask, context).err().unwrap_or_default();
                let verdict = if short.is_empty() { Verdict::Matches } else { Verdict::FallsShort };
                (Effect::Allow, verdict, in_words(&short))
            }
        };
        Judged { name: name.to_owned(), effect, verdict, why }
    }

    /// When a policy denies that otherwise leaves the request alone.
    fn freezes(&self, schedule: &Schedule) -> String {
        let now = match (schedule.open(self.now), schedule.next_opening(self.now)) {
            (Some(closes), _) => format!("now, and until {closes}"),
            (None, Some(opens)) => format!("next from {opens} on"),
            (None, None) => "never".to_owned(),
        };
        format!("it denies {}: {now}", schedule.describe())
    }

    fn because(&self, policy: &Policy, explanation: &Explanation, context: &EvalContext<'_>) -> Because {
        if let RequestKind::Extension { of, .. } = self.ask.aim {
            return Because::RunsUnder(of.to_owned());
        }
        if self.ask.policy.is_some() {
            return Because::Named;
        }
        let matching = explanation.policies.iter().filter(|judged| judged.verdict == Verdict::Matches);
        let others: Vec<&Policy> = matching
            .filter(|judged| judged.name != policy.reference.name)
            .filter_map(|judged| match self.s.policies.get(&judged.name) {
                Some(Entry::Valid(other)) => Some(&**other),
                _ => None,
            })
            .collect();
        let friction = |of: &Policy| friction(of, self.ask.aim, is_automatic(of, self.ask, context) == Ok(true));
        let least = friction(policy);
        match others.len() {
            0 => Because::OnlyMatch,
            _ if others.iter().any(|other| friction(other) == least) => Because::FirstByName,
            _ => Because::LeastFriction,
        }
    }

    /// The stages and how far they are; none once somebody has said no, since it does not matter then.
    fn stages(&self, policy: &Policy, yes: bool, automatic: bool) -> Vec<StageProgress> {
        let now_asked = as_escalated(&policy.stages, &self.status.escalated);
        let spared = yes && (automatic || matches!(self.ask.aim, RequestKind::BreakGlass));
        let log = ReviewLog::of(self.status);
        let counts = |who: &Identity, stage: &Stage| counts(policy, stage, who, log, self.now);
        let open = match progress(&now_asked, &self.status.reviews, self.ask.requester, counts) {
            _ if spared => None,
            Progress::Denied { .. } => return Vec::new(),
            Progress::Complete(_) => None,
            Progress::Open { stage, approved } => Some((stage, approved)),
        };
        let standing = |index: usize, stage: &Stage| match open {
            _ if spared => (StageState::Spared, 0),
            Some((at, approved)) if index == at => (StageState::Open, approved),
            Some((at, _)) if index > at => (StageState::Later, 0),
            _ => (StageState::Full, stage.required),
        };
        let asked = |(index, (stage, before)): (usize, (&Stage, &Stage))| {
            let (state, approved) = standing(index, stage);
            let approver = |(at, subject): (usize, &Subject)| Approver {
                subject: written(subject),
                escalated: at >= before.approvers.len(),
            };
            let opened = self.status.stage.as_ref().filter(|open| open.name == stage.name);
            let opened_at = opened.map_or(self.now, |open| open.opened_at.0);
            let waits = state == StageState::Open;
            let escalates_at = stages::escalation(self.status, stage, opened_at).filter(|_| waits).map(Time);
            StageProgress {
                name: stage.name.clone(),
                state,
                required: stage.required,
                approved,
                approvers: stage.approvers.iter().enumerate().map(approver).collect(),
                escalates_at,
            }
        };
        now_asked.iter().zip(&policy.stages).enumerate().map(asked).collect()
    }
}
