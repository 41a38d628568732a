//! What holds of campaigns, whatever happens in them.

use std::collections::BTreeMap;

use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, PolicyRule, RoleBinding};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::judge::{CampaignCaller, CampaignRefusal, MOST_ITEMS, MOST_OWNERS, NextEntry, RefusalKind};
use super::population::{KnownOwners, PopulationSeen, subject_of};
use super::shown::CampaignReader;
use super::so_far::{BrokenCampaign, Campaign, CampaignTexts};
use crate::api::campaign::{
    CampaignStart, CloseAsked, DecisionAsked, DecisionsAsked, ItemKind, ItemSight, ItemStanding, ItemVerdict,
    LookAsked, OwnedItem, ReviewItem,
};
use crate::api::policy::AccessPolicy;
use crate::api::record::{canonical, digest};
use crate::api::subject::{Identity, Subject};
use crate::core::laws::fixtures::{group, noon, request, user};
use crate::core::rbac::binding::Observed;
use crate::core::report::who::{KnownRoles, KnownRules};

/// Somebody in these groups.
pub fn person(username: &str, groups: &[&str]) -> Identity {
    let groups = groups.iter().map(|group| (*group).to_owned()).collect();
    Identity { username: username.to_owned(), groups, ..Identity::default() }
}

/// Access of a subject in namespace `shop` by a binding of this name.
pub fn access(name: &str, subject: &Subject) -> ReviewItem {
    let object = json!({ "kind": "RoleBinding", "namespace": "shop", "name": name, "uid": format!("uid-{name}") });
    let item = json!({
        "kind": "StandingAccess", "object": object, "holder": { "subject": subject },
        "role": { "kind": "ClusterRole", "name": "edit" }, "namespaces": ["shop"],
    });
    serde_json::from_value(item).unwrap()
}

/// Item `alice` is access of alice, `bob` of bob, `ops` of group ops; group owners and bob own each.
pub fn started(name: &str) -> CampaignStart {
    let of = |name: &str, subject: Subject| OwnedItem {
        item: access(name, &subject),
        owners: vec![group("owners"), user("bob")],
    };
    let items = vec![of("alice", user("alice")), of("bob", user("bob")), of("ops", group("ops"))];
    let due = MicroTime(noon() + SignedDuration::from_hours(24));
    let (cluster, purpose) = ("here".to_owned(), "Half-yearly review".to_owned());
    CampaignStart { name: name.to_owned(), cluster, purpose, due, items }
}

/// What a campaign is kept as.
#[derive(Default)]
struct Kept {
    lines: Vec<String>,
    texts: CampaignTexts,
}

impl Kept {
    fn started() -> Self {
        let mut kept = Self::default();
        kept.keep(Ok(at(&person("carol", &[]), 0).start(started("h2"), "here").unwrap())).unwrap();
        kept
    }

    fn keep(&mut self, next: Result<NextEntry, CampaignRefusal>) -> Result<(), CampaignRefusal> {
        let NextEntry { entry, text } = next?;
        if let Some(text) = text {
            self.texts.insert(crate::api::record::digest(text.as_bytes()), text);
        }
        self.lines.push(entry.bytes());
        Ok(())
    }

    fn read(&self) -> Campaign {
        Campaign::read(self.lines.iter().map(String::as_str), &self.texts).unwrap()
    }

    /// Decides on an item as it is now.
    fn decide(&mut self, who: &Identity, of: &str, verdict: ItemVerdict, hour: i64) -> Result<(), CampaignRefusal> {
        let campaign = self.read();
        let asked = asked(&campaign, of, verdict);
        self.keep(at(who, hour).decide(&campaign, asked))
    }

    fn look(&mut self, sights: Vec<ItemSight>, hour: i64) {
        let next = at(&person("carol", &[]), hour).look(&self.read(), LookAsked { items: sights });
        self.keep(next).unwrap();
    }

    fn standing(&self, of: &str, hour: i64) -> ItemStanding {
        let campaign = self.read();
        campaign.items[&id(of)].standing(campaign.due, noon() + SignedDuration::from_hours(hour))
    }
}

fn at(who: &Identity, hour: i64) -> CampaignCaller<'_> {
    CampaignCaller { who, now: noon() + SignedDuration::from_hours(hour) }
}

fn item(of: &str) -> ReviewItem {
    access(of, &if of == "ops" { group("ops") } else { user(of) })
}

fn id(of: &str) -> String {
    item(of).id()
}

fn asked(campaign: &Campaign, of: &str, verdict: ItemVerdict) -> DecisionsAsked {
    let item = id(of);
    let digest = campaign.items.get(&item).map(|kept| kept.digest.clone()).unwrap_or_default();
    DecisionsAsked { decisions: vec![DecisionAsked { item, digest, verdict, reason: "on call".to_owned() }] }
}

const CONFIRM: ItemVerdict = ItemVerdict::Confirm;
const REMOVE: ItemVerdict = ItemVerdict::Remove;

#[test]
fn owners_alone_decide_and_nobody_on_their_own() {
    let mut kept = Kept::started();
    let (bob, olga) = (person("bob", &["dev"]), person("olga", &["owners", "ops"]));
    for (who, of, refusal) in [
        (person("mallory", &["dev"]), "alice", CampaignRefusal::NotYours(id("alice"))),
        (person("carol", &[]), "alice", CampaignRefusal::NotYours(id("alice"))),
        (person("owners", &[]), "alice", CampaignRefusal::NotYours(id("alice"))),
        (person("system:serviceaccount:ci:bot", &["owners"]), "alice", CampaignRefusal::NotYours(id("alice"))),
        (bob.clone(), "bob", CampaignRefusal::Own(id("bob"))),
        (olga.clone(), "ops", CampaignRefusal::Own(id("ops"))),
    ] {
        for verdict in [CONFIRM, REMOVE] {
            assert_eq!(kept.decide(&who, of, verdict, 1), Err(refusal.clone()), "{who:?} {of}");
        }
    }
    assert_eq!(kept.lines.len(), 1);
    kept.decide(&bob, "alice", REMOVE, 1).unwrap();
    kept.decide(&olga, "bob", CONFIRM, 1).unwrap();
    kept.decide(&bob, "ops", CONFIRM, 1).unwrap();
    assert_eq!(kept.read().items[&id("bob")].decisions[0].decision.owner, group("owners"));
    let counts = kept.read().counts(|_| true, noon());
    assert_eq!((counts.items, counts.open, counts.confirmed, counts.still_there), (3, 0, 2, 1));
}

#[test]
fn access_of_the_same_login_by_another_name_is_ones_own() {
    let mut start = started("h2");
    start.items[0].item.holder.as_mut().unwrap().uid = Some("u-1".to_owned());
    let mut kept = Kept::default();
    kept.keep(at(&person("carol", &[]), 0).start(start, "here")).unwrap();
    let second = Identity { uid: Some("u-1".to_owned()), ..person("alice-admin", &["owners"]) };
    assert_eq!(kept.decide(&second, "alice", REMOVE, 1), Err(CampaignRefusal::Own(id("alice"))));
    let everybody = Subject { name: "system:authenticated".to_owned(), ..group("") };
    let mut start = started("h3");
    start.items = vec![OwnedItem { item: access("all", &everybody), owners: vec![group("owners")] }];
    let NextEntry { entry, text } = at(&second, 0).start(start, "here").unwrap();
    let texts = BTreeMap::from([(crate::api::record::digest(text.clone().unwrap().as_bytes()), text.unwrap())]);
    let campaign = Campaign::read([entry.bytes().as_str()], &texts).unwrap();
    let (item, kept) = campaign.items.first_key_value().unwrap();
    let olga = person("olga", &["owners", "system:authenticated"]);
    let decision =
        DecisionAsked { item: item.clone(), digest: kept.digest.clone(), verdict: REMOVE, reason: "no".to_owned() };
    let asked = DecisionsAsked { decisions: vec![decision] };
    assert!(at(&olga, 1).decide(&campaign, asked).is_ok(), "what everybody has is nobody's own");
}

#[test]
fn what_was_not_shown_is_not_decided_on_and_what_changed_is_open_again() {
    let mut kept = Kept::started();
    let bob = person("bob", &[]);
    let old = asked(&kept.read(), "alice", CONFIRM);
    kept.decide(&bob, "alice", CONFIRM, 1).unwrap();
    assert_eq!(kept.standing("alice", 1), ItemStanding::Confirmed);
    let mut wider = item("alice");
    wider.role.as_mut().unwrap().name = "cluster-admin".to_owned();
    kept.look(vec![ItemSight { id: id("alice"), item: Some(wider.clone()) }], 2);
    assert_eq!(kept.standing("alice", 2), ItemStanding::Changed);
    let replayed = at(&bob, 3).decide(&kept.read(), old);
    assert_eq!(replayed, Err(CampaignRefusal::OtherVersion(id("alice"))), "the digest of the one before");
    kept.decide(&bob, "alice", REMOVE, 3).unwrap();
    assert_eq!(kept.standing("alice", 3), ItemStanding::StillThere);
    kept.look(vec![ItemSight { id: id("alice"), item: None }], 4);
    assert_eq!(kept.standing("alice", 4), ItemStanding::Removed);
    assert_eq!(kept.decide(&bob, "alice", CONFIRM, 5), Err(CampaignRefusal::IsGone(id("alice"))));
    kept.look(vec![ItemSight { id: id("alice"), item: Some(wider) }], 5);
    assert_eq!(kept.standing("alice", 5), ItemStanding::StillThere, "it came back");
    kept.look(vec![ItemSight { id: id("ops"), item: None }], 6);
    assert_eq!(kept.standing("ops", 6), ItemStanding::Gone);
    let other = vec![ItemSight { id: id("ops"), item: Some(item("alice")) }];
    let refused = at(&person("carol", &[]), 6).look(&kept.read(), LookAsked { items: other });
    assert_eq!(refused, Err(CampaignRefusal::OtherItem(id("ops"))));
}

#[test]
fn what_is_late_is_said_so_and_what_is_closed_stays() {
    let mut kept = Kept::started();
    let (bob, carol) = (person("bob", &[]), person("carol", &[]));
    assert_eq!((kept.standing("alice", 24), kept.standing("alice", 25)), (ItemStanding::Open, ItemStanding::Overdue));
    kept.decide(&bob, "alice", CONFIRM, 23).unwrap();
    kept.decide(&bob, "alice", REMOVE, 25).unwrap();
    let campaign = kept.read();
    let late: Vec<bool> = campaign.items[&id("alice")].decisions.iter().map(|made| made.late).collect();
    assert_eq!(late, [false, true], "each is kept");
    let before = CloseAsked { acknowledged: "seen".to_owned(), last: campaign.last.clone() };
    kept.decide(&bob, "ops", CONFIRM, 26).unwrap();
    let unseen = at(&carol, 27).close(&kept.read(), before);
    assert_eq!(unseen, Err(CampaignRefusal::NotLast), "what happened since was not seen");
    let campaign = kept.read();
    let close = |last: &str| CloseAsked { acknowledged: "seen".to_owned(), last: last.to_owned() };
    kept.keep(at(&carol, 27).close(&campaign, close(&campaign.last))).unwrap();
    let closed: Value = serde_json::from_str(kept.lines.last().unwrap()).unwrap();
    let counts = json!({ "items": 3, "open": 1, "confirmed": 1, "removed": 0, "stillThere": 1, "gone": 0, "late": 2 });
    assert_eq!((&closed["by"]["username"], &closed["counts"]), (&json!("carol"), &counts));
    let campaign = kept.read();
    let over = Err(CampaignRefusal::Closed("h2".to_owned()));
    assert_eq!(at(&bob, 28).decide(&campaign, asked(&campaign, "alice", CONFIRM)), over);
    assert_eq!(at(&carol, 28).close(&campaign, close(&campaign.last)), over);
    let sight = ItemSight { id: id("alice"), item: None };
    assert_eq!(at(&carol, 28).look(&campaign, LookAsked { items: vec![sight] }), over);
}

#[test]
fn a_campaign_that_cannot_be_one_is_refused_with_the_field() {
    let carol = person("carol", &[]);
    let with = |change: &dyn Fn(&mut CampaignStart)| {
        let mut start = started("h2");
        change(&mut start);
        at(&carol, 0).start(start, "here").map(|_| ()).map_err(|refusal| (refusal.kind(), refusal.to_string()))
    };
    type Change = Box<dyn Fn(&mut CampaignStart)>;
    let changes: Vec<(&str, RefusalKind, Change)> = vec![
        ("name:", RefusalKind::Bad, Box::new(|start| start.name = "../h2".to_owned())),
        ("name:", RefusalKind::Bad, Box::new(|start| start.name = "x".repeat(64))),
        ("cluster:", RefusalKind::Forbidden, Box::new(|start| start.cluster = "there".to_owned())),
        ("purpose:", RefusalKind::Bad, Box::new(|start| start.purpose = " ".to_owned())),
        ("due:", RefusalKind::Bad, Box::new(|start| start.due = MicroTime(noon()))),
        ("due:", RefusalKind::Bad, Box::new(|start| start.due = MicroTime(Timestamp::MAX))),
        ("items:", RefusalKind::Bad, Box::new(|start| start.items.clear())),
        ("items:", RefusalKind::Bad, Box::new(|start| start.items = vec![start.items[0].clone(); MOST_ITEMS + 1])),
        ("items:", RefusalKind::Bad, Box::new(|start| start.items[1] = start.items[0].clone())),
        ("items:", RefusalKind::Bad, Box::new(|start| start.items[1].owners.clear())),
        ("items:", RefusalKind::Bad, Box::new(|start| start.items[1].owners = vec![user("a"); MOST_OWNERS + 1])),
        ("owners:", RefusalKind::Bad, Box::new(|start| start.items[1].owners = vec![user("")])),
        ("items:", RefusalKind::Bad, Box::new(|start| start.items[1].item.object.name = "x".repeat(254))),
        ("items.text:", RefusalKind::Bad, Box::new(|start| start.items[1].item.text = Some("x".repeat(40_000)))),
    ];
    assert_eq!(with(&|_| ()), Ok(()));
    for (field, kind, change) in changes {
        let (found, message) = with(&change).unwrap_err();
        assert!(message.starts_with(field) && found == kind, "{field} {kind:?}: {message}");
    }
}

#[test]
fn an_owner_is_shown_what_they_decide_on_and_who_may_read_all_is_shown_all() {
    let mut start = started("h2");
    start.items[2].owners = vec![group("others")];
    let mut kept = Kept::default();
    kept.keep(at(&person("carol", &[]), 0).start(start, "here")).unwrap();
    let campaign = kept.read();
    let shown = |who: &Identity, whole: bool| {
        let reader = CampaignReader { who, whole, now: noon() };
        let shown = reader.shows(&campaign, true)?;
        let items = shown.items.iter().map(|item| (item.item.object.name.clone(), item.mine, item.own));
        Some((shown.counts.items, items.collect::<Vec<_>>()))
    };
    let line = |name: &str, mine: bool, own: bool| (name.to_owned(), mine, own);
    let bobs = vec![line("alice", true, false), line("bob", false, true)];
    assert_eq!(shown(&person("bob", &[]), false), Some((2, bobs)));
    assert_eq!(shown(&person("mallory", &[]), false), None);
    let all = vec![line("ops", false, false), line("alice", false, false), line("bob", false, false)];
    assert_eq!(shown(&person("greta", &[]), true), Some((3, all)));
    let reader = CampaignReader { who: &person("greta", &[]), whole: true, now: noon() };
    assert_eq!(reader.shows(&campaign, false).unwrap().items, []);
}

#[test]
fn the_population_is_what_people_hold_by_others_or_for_long_and_each_policy() {
    let binding = |value: Value| Observed::from(&serde_json::from_value::<RoleBinding>(value).unwrap());
    let wide = |value: Value| Observed::from(&serde_json::from_value::<ClusterRoleBinding>(value).unwrap());
    let role = json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit" });
    let subject = |kind: &str, name: &str| json!({ "kind": kind, "name": name });
    let robot = json!({ "kind": "ServiceAccount", "name": "bot" });
    let bindings = vec![
        binding(json!({ "metadata": { "name": "devs", "namespace": "shop", "uid": "1" }, "roleRef": role,
            "subjects": [subject("User", "alice"), subject("Group", "dev"), robot, subject("User", "alice")] })),
        wide(json!({ "metadata": { "name": "root", "uid": "2" }, "roleRef": role,
            "subjects": [subject("Group", "system:authenticated"), subject("User", "system:kube-scheduler"),
                subject("User", "system:anonymous")] })),
        wide(json!({ "metadata": { "name": "cluster-admin", "uid": "5" }, "roleRef": role,
            "subjects": [subject("Group", "system:masters"), subject("User", "eve")] })),
        // Whoever writes a binding may write that label.
        wide(
            json!({ "metadata": { "name": "own", "uid": "3", "labels": { "kubernetes.io/bootstrapping": "rbac-defaults" } },
            "roleRef": role, "subjects": [subject("User", "mallory")] }),
        ),
        binding(json!({ "metadata": { "name": "daypass-x", "namespace": "shop", "uid": "4", "labels": {
            "app.kubernetes.io/managed-by": "daypass", "daypass.dev/request-uid": "x" } },
            "roleRef": role, "subjects": [subject("User", "alice")] })),
    ];
    let windows = json!([{ "days": ["Mon"], "start": "08:00", "end": "10:00" }]);
    let mut weekly = request(json!({ "recurrence": { "timeZone": "UTC", "windows": windows, "weeks": 2 } }));
    weekly.metadata.name = Some("weekly".to_owned());
    let grant = |name: &str, days: i64| {
        let mut request = request(json!({}));
        request.metadata.name = Some(name.to_owned());
        let end = noon() + SignedDuration::from_hours(24 * days);
        request.status = serde_json::from_value(
            json!({ "state": "Active", "grantedAt": noon().to_string(), "expiresAt": end.to_string() }),
        )
        .unwrap();
        request
    };
    let policy: AccessPolicy = serde_json::from_value(json!({
        "apiVersion": "daypass.dev/v1alpha1", "kind": "AccessPolicy",
        "metadata": { "name": "shop", "uid": "p", "annotations": { "daypass.dev/owner": "carol, group/sre" } },
        "spec": { "scope": { "namespaces": ["shop"] } },
    }))
    .unwrap();
    let rules: Vec<PolicyRule> =
        serde_json::from_value(json!([{ "apiGroups": [""], "resources": ["pods"], "verbs": ["get"] }])).unwrap();
    let mut roles = KnownRoles::default();
    roles.insert(None, "edit".to_owned(), KnownRules::Rules(rules.clone()));
    let owners = KnownOwners {
        namespaces: [("shop".to_owned(), "group/shopkeepers".to_owned())].into(),
        others: vec![user("admin")],
    };
    let seen = PopulationSeen {
        bindings,
        requests: vec![weekly, grant("long", 7), grant("short", 6)],
        policies: vec![policy],
        roles,
        owners,
        accounts: false,
    };
    let told = |seen: &PopulationSeen| {
        let mut told: Vec<_> = seen
            .items()
            .iter()
            .map(|owned| {
                let holder = owned.item.holder.as_ref().map(|holder| holder.subject.to_string()).unwrap_or_default();
                let owners: Vec<String> = owned.owners.iter().map(Subject::to_string).collect();
                format!("{:?} {} {holder} by {}", owned.item.kind, owned.item.object.name, owners.join(" "))
            })
            .collect();
        told.sort();
        told
    };
    let people = [
        "LongAccess long User/alice by Group/shopkeepers",
        "Policy shop  by User/carol Group/sre",
        "RecurringAccess weekly User/alice by Group/shopkeepers",
        "StandingAccess cluster-admin User/eve by User/admin",
        "StandingAccess devs Group/dev by Group/shopkeepers",
        "StandingAccess devs User/alice by Group/shopkeepers",
        "StandingAccess own User/mallory by User/admin",
        "StandingAccess root Group/system:authenticated by User/admin",
        "StandingAccess root User/system:anonymous by User/admin",
    ];
    assert_eq!(told(&seen), people);
    let standing = seen.items().into_iter().find(|owned| owned.item.kind == ItemKind::StandingAccess).unwrap();
    assert_eq!(standing.item.rules.as_deref(), Some(digest(canonical(&rules).as_bytes()).as_str()));
    assert!(!serde_json::to_string(&seen.items()).unwrap().contains("requester"), "who asks is the holder");
    let all = told(&PopulationSeen { accounts: true, ..seen });
    let accounts: Vec<&String> = all.iter().filter(|line| !people.contains(&line.as_str())).collect();
    assert_eq!(
        accounts,
        [
            "StandingAccess devs ServiceAccount/shop/bot by Group/shopkeepers",
            "StandingAccess root User/system:kube-scheduler by User/admin",
        ]
    );
}

#[test]
fn a_subject_is_read_as_people_write_it() {
    for (text, told) in [
        ("alice", Some("User/alice")),
        ("user/alice", Some("User/alice")),
        ("https://issuer/alice", Some("User/https://issuer/alice")),
        ("group/dev", Some("Group/dev")),
        ("serviceaccount/ci/bot", Some("ServiceAccount/ci/bot")),
        ("serviceaccount/bot", None),
        ("group/", None),
        ("", None),
    ] {
        assert_eq!(subject_of(text).ok().map(|subject| subject.to_string()).as_deref(), told, "{text}");
    }
}

/// Something that somebody tries: who, with which item, what, and how many hours in.
type Try = (usize, usize, u8, i64);

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is tried in whatever order: each decision that is kept is of an owner, of nobody's own access, and of what
    /// was there; and nothing can be taken out of what is kept, or changed, without being found.
    #[test]
    fn what_is_kept_keeps_to_the_rules_and_cannot_be_changed(
        tries in proptest::collection::vec((0..5_usize, 0..3_usize, 0..6_u8, 0..48_i64), 1..14),
        cut in any::<proptest::sample::Index>(),
    ) {
        let kept = played(&tries);
        let campaign = kept.read();
        for (id, item) in &campaign.items {
            for made in &item.decisions {
                let by = made.by.username.as_str();
                prop_assert!(["bob", "olga"].contains(&by), "{by} decided");
                let holder = item.item.holder.as_ref().unwrap().subject.name.as_str();
                prop_assert!(holder != by && (holder, by) != ("ops", "olga"), "{by} decided on {id}, which is {holder}'s");
                prop_assert_eq!(made.late, made.at > campaign.due);
            }
        }
        let counts = campaign.counts(|_| true, noon());
        let told = counts.open + counts.confirmed + counts.removed + counts.still_there + counts.gone;
        prop_assert_eq!((told, counts.items), (3, 3));
        let read = |lines: &[String]| Campaign::read(lines.iter().map(String::as_str), &kept.texts);
        let at = cut.index(kept.lines.len());
        let mut without = kept.lines.clone();
        without.remove(at);
        if at + 1 < kept.lines.len() {
            prop_assert!(read(&without).is_err(), "entry {} is missing", at);
        }
        let mut changed = kept.lines.clone();
        changed[at] = changed[at].replace("\"username\":\"", "\"username\":\"x");
        if at + 1 < kept.lines.len() {
            prop_assert_eq!(read(&changed), Err(BrokenCampaign::Astray(at + 1)));
        }
        for name in kept.texts.keys() {
            let mut texts = kept.texts.clone();
            texts.insert(name.clone(), "[]".to_owned());
            prop_assert!(Campaign::read(kept.lines.iter().map(String::as_str), &texts).is_err());
        }
    }
}

/// Tries all of it in the order of its hours.
fn played(tries: &[Try]) -> Kept {
    let people = [
        person("bob", &["dev"]),
        person("olga", &["owners", "ops"]),
        person("alice", &[]),
        person("mallory", &["own", "owner"]),
        person("system:serviceaccount:ci:bot", &["owners"]),
    ];
    let mut kept = Kept::started();
    let mut tries = tries.to_vec();
    tries.sort_by_key(|(_, _, _, hour)| *hour);
    for (who, of, what, hour) in tries {
        let (who, of) = (&people[who], ["alice", "bob", "ops"][of]);
        let campaign = kept.read();
        let next = match what {
            0 | 1 => at(who, hour).decide(&campaign, asked(&campaign, of, CONFIRM)),
            2 => at(who, hour).decide(&campaign, asked(&campaign, of, REMOVE)),
            3 => at(who, hour).look(&campaign, LookAsked { items: vec![ItemSight { id: id(of), item: None }] }),
            4 => {
                let mut item = item(of);
                item.rules = Some(format!("sha256:{hour}"));
                at(who, hour).look(&campaign, LookAsked { items: vec![ItemSight { id: id(of), item: Some(item) }] })
            }
            _ if hour > 40 => {
                let last = campaign.last.clone();
                at(who, hour).close(&campaign, CloseAsked { acknowledged: "seen".to_owned(), last })
            }
            _ => continue,
        };
        // What is refused is not kept.
        let _ = kept.keep(next);
    }
    kept
}
