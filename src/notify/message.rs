//! A notice in words, the same for every provider: a title, facts, one line to copy and one link.
//!
//! Owns the words. It must not know how a place wants them. Every text may hold what people wrote, so whoever shows one
//! escapes it; none has a line break, or anything else that is not seen.

use k8s_openapi::jiff::Timestamp;

use crate::core::notice::{Notice, NoticeEvent, NoticedRequest};
use crate::core::report::spelled::{percent_encoded, quoted, visible};

#[cfg(test)]
pub(in crate::notify) mod golden;

/// By how much the command moves an end that is near.
const LONGER: &str = "30m";

/// A notice in words.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// What is told, for programs.
    pub notice: Notice,
    /// Name of the cluster, where it has one.
    pub cluster: Option<String>,
    /// One line without markup, such as `alice asks for edit in shop`.
    pub title: String,
    /// What else there is to know, in order. No value is empty.
    pub facts: Vec<MessageFact>,
    /// What to run next.
    pub command: Option<String>,
    /// Where to look and decide, with one's own login. It has no power.
    pub link: Option<String>,
}

/// One fact of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageFact {
    pub label: &'static str,
    pub value: String,
}

impl Message {
    /// Puts a notice into words. `cluster` is the name by which people know the cluster, and `link_base` the page that the
    /// link leads to, as `https://HOST` without a slash at its end.
    pub fn of(notice: Notice, cluster: Option<&str>, link_base: Option<&str>) -> Self {
        let (title, facts) = (visible(&title(&notice)), facts(&notice, cluster));
        let (command, link) = (command(&notice), link_base.and_then(|base| link(&notice, base)));
        Self { cluster: cluster.map(str::to_owned), title, facts, command: Some(visible(&command)), link, notice }
    }
}

/// What became of it first, so that nothing of that is lost where a title is cut.
fn title(notice: &Notice) -> String {
    let request = &notice.request;
    let (who, what) = (requester(request), what(request));
    let by = notice.by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
    let end = |verb: &str| request.ends.map(|end| format!(", {verb} {}", instant(end))).unwrap_or_default();
    let review = |word: &str| request.review_by.map(|by| format!(" {word} {}", instant(by))).unwrap_or_default();
    match notice.event {
        NoticeEvent::Waits => format!("{who} asks for {what}"),
        NoticeEvent::Escalated => format!("Still waits: {who} asks for {what}"),
        NoticeEvent::Approved => format!("Approved by {}{}: {what} for {who}", approved_by(notice), end("ends")),
        NoticeEvent::Denied => format!("Denied{by}: {what} for {who}"),
        NoticeEvent::Lapsed => format!("Lapsed, since nobody decided in time: {what} for {who}"),
        NoticeEvent::Failed => format!("Failed, access could not be given: {what} for {who}"),
        NoticeEvent::Extended => format!("Extended{}: {what} for {who}", end("now ends")),
        NoticeEvent::EndsSoon => format!("Ends soon{}: {what} for {who}", end("at")),
        NoticeEvent::Expired => format!("Expired: {what} for {who}"),
        NoticeEvent::Revoked => format!("Revoked{by}: {what} for {who}"),
        NoticeEvent::Deleted => format!("Deleted: {what} for {who}"),
        NoticeEvent::BreakGlass => format!("Break-glass access taken{}: {what} for {who}", end("ends")),
        NoticeEvent::ReviewDue => format!("Break-glass review due{}: {what} for {who}", review("by")),
        NoticeEvent::ReviewOverdue => format!("Break-glass review overdue{}: {what} for {who}", review("since")),
        NoticeEvent::Justified => format!("Found justified{by}: break-glass {what} for {who}"),
        NoticeEvent::Unjustified => format!("Found not justified{by}: break-glass {what} for {who}"),
        NoticeEvent::GuardMissing => "The cluster's admission policies are missing: nothing is granted".to_owned(),
    }
}

fn requester(request: &NoticedRequest) -> &str {
    if request.requester.is_empty() { "somebody" } else { &request.requester }
}

fn what(request: &NoticedRequest) -> String {
    match &request.extends {
        Some(running) => format!("more time for {running}"),
        None => format!("{} in {}", request.access, request.place),
    }
}

/// Whoever decided it: people, or the policy.
fn approved_by(notice: &Notice) -> String {
    let (request, people) = (&notice.request, &notice.request.approved_by);
    match (&notice.by, &request.policy) {
        _ if !people.is_empty() => people.join(", "),
        (Some(by), _) => by.clone(),
        (None, Some(policy)) => format!("policy {policy}"),
        (None, None) => "policy".to_owned(),
    }
}

fn facts(notice: &Notice, cluster: Option<&str>) -> Vec<MessageFact> {
    let request = &notice.request;
    let cluster = ("Cluster", cluster.map(str::to_owned));
    let told: Vec<(&'static str, Option<String>)> = match notice.event {
        // No request is meant.
        NoticeEvent::GuardMissing => vec![cluster, ("Why", notice.message.clone())],
        _ => [vec![cluster], of_request(request), of_decision(notice)].concat(),
    };
    let said = told.into_iter().filter_map(|(label, value)| Some((label, value.filter(|value| !value.is_empty())?)));
    said.map(|(label, value)| MessageFact { label, value: visible(&value) }).collect()
}

fn of_request(request: &NoticedRequest) -> Vec<(&'static str, Option<String>)> {
    // Once it is known when access ends, for how long it was asked for is beside the point.
    let length = request.ends.is_none().then(|| request.length.clone());
    vec![
        ("Request", Some(format!("{}/{}", request.namespace, request.name))),
        ("Requester", Some(request.requester.clone())),
        ("Role", Some(request.access.clone())),
        ("Where", Some(request.place.clone())),
        ("For", length),
        ("From", request.begins.map(instant)),
        ("Until", request.ends.map(instant)),
        ("Break-glass", request.break_glass.then(|| "yes".to_owned())),
        ("Reason", Some(request.reason.clone())),
        ("Ticket", request.ticket.clone()),
        ("Policy", request.policy.clone()),
        ("Risk", request.risk.as_ref().map(|risk| risk.as_str().to_owned())),
    ]
}

fn of_decision(notice: &Notice) -> Vec<(&'static str, Option<String>)> {
    let request = &notice.request;
    let how_far = request.approvals.map(|far| format!(": {} of {} approved", far.given, far.required));
    let stage = request.stage.as_ref().map(|stage| format!("{stage}{}", how_far.unwrap_or_default()));
    let people: Vec<String> = request.approvers.iter().map(ToString::to_string).collect();
    let asked = if request.break_glass { "Reviewers" } else { "Approvers" };
    let comment = notice.comment.as_ref().map(|words| match &notice.by {
        Some(by) => format!("{by}: {words}"),
        None => words.clone(),
    });
    vec![
        ("Stage", stage),
        (asked, Some(people.join(", "))),
        ("Approved by", Some(request.approved_by.join(", "))),
        ("Review by", request.review_by.map(instant)),
        ("Comment", comment),
        ("Why", notice.message.clone().filter(|_| needs_why(notice.event))),
    ]
}

/// Whether its title leaves open why it came to that.
fn needs_why(event: NoticeEvent) -> bool {
    matches!(event, NoticeEvent::Denied | NoticeEvent::Lapsed | NoticeEvent::Failed | NoticeEvent::Revoked)
}

fn command(notice: &Notice) -> String {
    let (name, namespace) = (quoted(&notice.request.name), quoted(&notice.request.namespace));
    match notice.event {
        NoticeEvent::Waits
        | NoticeEvent::Escalated
        | NoticeEvent::BreakGlass
        | NoticeEvent::ReviewDue
        | NoticeEvent::ReviewOverdue => format!("kubectl daypass approve {name} -n {namespace}"),
        NoticeEvent::EndsSoon => format!("kubectl daypass extend {name} -n {namespace} --by {LONGER}"),
        NoticeEvent::Approved
        | NoticeEvent::Denied
        | NoticeEvent::Lapsed
        | NoticeEvent::Failed
        | NoticeEvent::Extended
        | NoticeEvent::Expired
        | NoticeEvent::Revoked
        | NoticeEvent::Deleted
        | NoticeEvent::Justified
        | NoticeEvent::Unjustified => format!("kubectl daypass show {name} -n {namespace}"),
        NoticeEvent::GuardMissing => "kubectl daypass doctor".to_owned(),
    }
}

fn link(notice: &Notice, base: &str) -> Option<String> {
    let request = &notice.request;
    let [namespace, name, uid] =
        [&request.namespace, &request.name, &request.uid].map(|part| percent_encoded(part, b""));
    (notice.event != NoticeEvent::GuardMissing).then(|| format!("{base}/r/{namespace}/{name}?uid={uid}"))
}

fn instant(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}
