//! The sentences of notices, in one place to read.

use super::*;
use crate::api::risk::RiskLevel;
use crate::core::laws::fixtures::{group, user};
use crate::core::notice::Approvals;

/// Sample.
pub(in crate::notify) fn notice(event: NoticeEvent) -> Notice {
    let at = |text: &str| Some(text.parse().unwrap());
    let is_review = matches!(event, NoticeEvent::BreakGlass | NoticeEvent::ReviewDue | NoticeEvent::ReviewOverdue);
    let waits = matches!(event, NoticeEvent::Waits | NoticeEvent::Escalated);
    let decided = matches!(event, NoticeEvent::Approved | NoticeEvent::Extended | NoticeEvent::EndsSoon);
    let by = [NoticeEvent::Denied, NoticeEvent::Revoked, NoticeEvent::Justified, NoticeEvent::Unjustified];
    let request = NoticedRequest {
        namespace: "shop".to_owned(),
        name: "fix".to_owned(),
        uid: "r-1".to_owned(),
        requester: "alice".to_owned(),
        access: "edit".to_owned(),
        place: "shop, bank".to_owned(),
        length: "1h".to_owned(),
        reason: "prices are wrong".to_owned(),
        ticket: Some("OPS-7".to_owned()),
        policy: Some("edit-shop".to_owned()),
        risk: Some(RiskLevel::High.into()),
        break_glass: is_review,
        stage: waits.then(|| "leads".to_owned()),
        approvers: if waits || is_review { vec![group("leads"), user("bob")] } else { Vec::new() },
        approvals: waits.then_some(Approvals { required: 2, given: 1 }),
        approved_by: if decided { vec!["bob".to_owned(), "carol".to_owned()] } else { Vec::new() },
        begins: at("2026-11-30T14:50:59Z").filter(|_| decided || is_review),
        ends: at("2026-11-30T15:50:59Z").filter(|_| decided || is_review),
        review_by: at("2026-12-02T14:50:00Z").filter(|_| is_review),
        extends: None,
    };
    let by = by.contains(&event).then(|| "bob".to_owned());
    let comment = by.as_ref().map(|_| "not today".to_owned());
    let id = "r-1/3".to_owned();
    let message = Some("a sentence of the controller".to_owned());
    Notice { id, event, at: "2026-11-30T14:50:59Z".parse().unwrap(), request, automatic: false, by, comment, message }
}

fn told(event: NoticeEvent) -> Message {
    Message::of(notice(event), Some("prod"), Some("https://daypass.example"))
}

#[test]
fn what_each_event_is_called() {
    let titles: Vec<String> = NoticeEvent::ALL.iter().map(|event| told(*event).title).collect();
    assert_eq!(
        titles,
        [
            "alice asks for edit in shop, bank",
            "Still waits: alice asks for edit in shop, bank",
            "Approved by bob, carol, ends 2026-11-30 15:50 UTC: edit in shop, bank for alice",
            "Denied by bob: edit in shop, bank for alice",
            "Lapsed, since nobody decided in time: edit in shop, bank for alice",
            "Failed, access could not be given: edit in shop, bank for alice",
            "Extended, now ends 2026-11-30 15:50 UTC: edit in shop, bank for alice",
            "Ends soon, at 2026-11-30 15:50 UTC: edit in shop, bank for alice",
            "Expired: edit in shop, bank for alice",
            "Revoked by bob: edit in shop, bank for alice",
            "Deleted: edit in shop, bank for alice",
            "Break-glass access taken, ends 2026-11-30 15:50 UTC: edit in shop, bank for alice",
            "Break-glass review due by 2026-12-02 14:50 UTC: edit in shop, bank for alice",
            "Break-glass review overdue since 2026-12-02 14:50 UTC: edit in shop, bank for alice",
            "Found justified by bob: break-glass edit in shop, bank for alice",
            "Found not justified by bob: break-glass edit in shop, bank for alice",
            "The cluster's admission policies are missing: nothing is granted",
        ]
    );
}

#[test]
fn what_to_run_and_where_to_look_after_each_event() {
    for event in NoticeEvent::ALL {
        let (command, link) = match event {
            NoticeEvent::Waits
            | NoticeEvent::Escalated
            | NoticeEvent::BreakGlass
            | NoticeEvent::ReviewDue
            | NoticeEvent::ReviewOverdue => ("kubectl daypass approve fix -n shop", true),
            NoticeEvent::EndsSoon => ("kubectl daypass extend fix -n shop --by 30m", true),
            NoticeEvent::GuardMissing => ("kubectl daypass doctor", false),
            _ => ("kubectl daypass show fix -n shop", true),
        };
        let message = told(event);
        assert_eq!(message.command.as_deref(), Some(command), "{event:?}");
        let link = link.then_some("https://daypass.example/r/shop/fix?uid=r-1");
        assert_eq!(message.link.as_deref(), link, "{event:?}");
    }
    assert_eq!(Message::of(notice(NoticeEvent::Waits), None, None).link, None);
}

fn facts_of(message: &Message) -> Vec<String> {
    message.facts.iter().map(|fact| format!("{}: {}", fact.label, fact.value)).collect()
}

#[test]
fn what_is_known_of_a_request_that_waits() {
    assert_eq!(
        facts_of(&told(NoticeEvent::Waits)),
        [
            "Cluster: prod",
            "Request: shop/fix",
            "Requester: alice",
            "Role: edit",
            "Where: shop, bank",
            "For: 1h",
            "Reason: prices are wrong",
            "Ticket: OPS-7",
            "Policy: edit-shop",
            "Risk: High",
            "Stage: leads: 1 of 2 approved",
            "Approvers: Group/leads, User/bob",
        ]
    );
}

#[test]
fn what_is_known_of_break_glass_access_of_a_denial_and_of_a_missing_guard() {
    let facts = facts_of(&told(NoticeEvent::BreakGlass));
    assert_eq!(
        facts[5..],
        [
            "From: 2026-11-30 14:50 UTC",
            "Until: 2026-11-30 15:50 UTC",
            "Break-glass: yes",
            "Reason: prices are wrong",
            "Ticket: OPS-7",
            "Policy: edit-shop",
            "Risk: High",
            "Reviewers: Group/leads, User/bob",
            "Review by: 2026-12-02 14:50 UTC",
        ]
    );
    let facts = facts_of(&told(NoticeEvent::Denied));
    assert_eq!(facts[10..], ["Comment: bob: not today", "Why: a sentence of the controller"]);
    let facts = facts_of(&told(NoticeEvent::GuardMissing));
    assert_eq!(facts, ["Cluster: prod", "Why: a sentence of the controller"]);
}

#[test]
fn what_is_left_out_of_a_request_leaves_no_hole() {
    let title = |event, change: fn(&mut NoticedRequest)| {
        let mut notice = notice(event);
        change(&mut notice.request);
        Message::of(notice, None, None).title
    };
    for (event, change, expected) in [
        (
            NoticeEvent::Waits,
            (|r| r.extends = Some("fix-0".to_owned())) as fn(&mut NoticedRequest),
            "alice asks for more time for fix-0",
        ),
        (NoticeEvent::Waits, |r| r.requester.clear(), "somebody asks for edit in shop, bank"),
        (
            NoticeEvent::Approved,
            |r| (r.approved_by, r.ends) = (Vec::new(), None),
            "Approved by policy edit-shop: edit in shop, bank for alice",
        ),
        (
            NoticeEvent::Approved,
            |r| (r.approved_by, r.ends, r.policy) = (Vec::new(), None, None),
            "Approved by policy: edit in shop, bank for alice",
        ),
        (
            NoticeEvent::ReviewOverdue,
            |r| r.review_by = None,
            "Break-glass review overdue: edit in shop, bank for alice",
        ),
    ] {
        assert_eq!(title(event, change), expected);
    }
    let mut denied = notice(NoticeEvent::Denied);
    denied.by = None;
    assert_eq!(Message::of(denied, None, None).title, "Denied: edit in shop, bank for alice");
}

#[test]
fn what_people_wrote_adds_no_line_and_leads_nowhere_else() {
    let mut notice = notice(NoticeEvent::Waits);
    notice.request.reason = "x\nApproved by: bob\u{202e}".to_owned();
    notice.request.place = "shop\r\nbank".to_owned();
    notice.request.name = "fix/../a?b#c d;ls".to_owned();
    let message = Message::of(notice, None, Some("https://daypass.example"));
    assert_eq!(message.title, r"alice asks for edit in shop\r\nbank");
    assert!(facts_of(&message).contains(&r"Reason: x\nApproved by: bob\u{202e}".to_owned()));
    assert_eq!(message.link.as_deref(), Some("https://daypass.example/r/shop/fix%2F..%2Fa%3Fb%23c%20d%3Bls?uid=r-1"));
    assert_eq!(message.command.as_deref(), Some("kubectl daypass approve 'fix/../a?b#c d;ls' -n shop"));
}
