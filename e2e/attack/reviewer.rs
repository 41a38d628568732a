//! Attempts to review in another's name, and to do away with what others said.

use serde_json::{Value, json};

use super::attempt::Attempt;
use super::call::{Call, apply_with_force, json_patch, merge, put};
use super::ground::{Ground, Scene};
use super::guard::Guard;
use crate::harness::install::CONTROLLER;
use crate::harness::users::{
    ADMIN, BACKSLASH, BIG_BOB, BOB, CAROL, LONG, MALLORY, OVERFULL, PETRA, QUOTE, SLASH, SPACE, TILDE, UNICODE, User,
    VOTERS, with_odd_names,
};

const NOT_YOURS: &str = "is not yours";

pub fn attempts() -> Vec<Attempt> {
    [for_others(), of_others(), of_oneself(), similar_names(), odd_names()].into_iter().flatten().collect()
}

fn others(name: &str, act: impl Fn(&Ground) -> Call + Send + Sync + 'static) -> Attempt {
    Attempt::refused(format!("reviewer::{name}"), Guard::Status, Scene::Pending, NOT_YOURS, act)
}

fn submits(by: User, reviews: Value) -> impl Fn(&Ground) -> Call {
    move |g| merge(by, g.status(), json!({ "status": { "reviews": reviews } }))
}

fn approves() -> Value {
    json!({ "verdict": "Approve" })
}

/// Reviews that others have not written.
fn for_others() -> Vec<Attempt> {
    vec![
        others("approves_for_somebody_else", submits(MALLORY, json!({ "dave": approves() }))),
        others("an_admin_approves_for_somebody_else", submits(ADMIN, json!({ "carol": approves() }))),
        others(
            "approves_as_itself_and_for_somebody_else",
            submits(CAROL, json!({ "carol": approves(), "dave": approves() })),
        ),
        others("approves_for_a_service_account", submits(CAROL, json!({ "system:serviceaccount:ci:bot": approves() }))),
        others("approves_for_an_empty_name", submits(CAROL, json!({ "": approves() }))),
        others("approves_for_the_controller", |g| {
            let name = CONTROLLER;
            merge(CAROL, g.status(), json!({ "status": { "reviews": { name: approves() } } }))
        }),
        others("adds_one_by_json_patch", |g| {
            json_patch(CAROL, g.status(), json!([{ "op": "add", "path": "/status/reviews/dave", "value": approves() }]))
        }),
        others("adds_one_by_apply_with_force", |g| {
            apply_with_force(CAROL, g.status(), g.fix(json!({ "status": { "reviews": { "dave": approves() } } })))
        }),
        others("adds_one_by_a_replacement", |g| {
            let both = json!({ "bob": g.request["status"]["reviews"]["bob"], "dave": approves() });
            put(PETRA, g.status(), g.fix_but("/status/reviews", both))
        }),
        others("copies_one_to_another_name", |g| {
            let copy = json!([{ "op": "copy", "from": "/status/reviews/bob", "path": "/status/reviews/dave" }]);
            json_patch(CAROL, g.status(), copy)
        }),
    ]
}

/// bob's review, which is there.
fn of_others() -> Vec<Attempt> {
    let bobs = "/status/reviews/bob";
    let operations =
        |name: &str, operations: Value| others(name, move |g| json_patch(CAROL, g.status(), operations.clone()));
    vec![
        others("turns_one_around", submits(CAROL, json!({ "bob": { "verdict": "Deny" } }))),
        others("an_admin_turns_one_around", submits(ADMIN, json!({ "bob": { "verdict": "Deny" } }))),
        others("puts_words_into_a_mouth", submits(CAROL, json!({ "bob": { "comment": "I take it back" } }))),
        others("takes_a_group_from_one", submits(CAROL, json!({ "bob": { "groups": null } }))),
        others("takes_the_uid_from_one", submits(CAROL, json!({ "bob": { "uid": null } }))),
        others("removes_one", submits(CAROL, json!({ "bob": null }))),
        others("removes_all", submits(CAROL, Value::Null)),
        operations("removes_one_by_json_patch", json!([{ "op": "remove", "path": bobs }])),
        operations(
            "turns_one_around_by_json_patch",
            json!([{ "op": "replace", "path": format!("{bobs}/verdict"), "value": "Deny" }]),
        ),
        operations(
            "removes_one_after_a_test",
            json!([{ "op": "test", "path": format!("{bobs}/verdict"), "value": "Approve" }, { "op": "remove", "path": bobs }]),
        ),
        operations("takes_one_as_their_own", json!([{ "op": "move", "from": bobs, "path": "/status/reviews/carol" }])),
        operations(
            "replaces_all_by_json_patch",
            json!([{ "op": "replace", "path": "/status/reviews", "value": { "carol": approves() } }]),
        ),
        others("turns_one_around_by_apply_with_force", |g| {
            let deny = json!({ "bob": { "verdict": "Deny" } });
            apply_with_force(CAROL, g.status(), g.fix(json!({ "status": { "reviews": deny } })))
        }),
        others("removes_one_by_a_replacement", |g| {
            put(
                PETRA,
                g.status(),
                g.fix_but(
                    "/status/reviews",
                    json!({ "petra": { "verdict": "Approve", "uid": "u-petra", "groups": ["system:authenticated"] } }),
                ),
            )
        }),
        Attempt::refused(
            "reviewer::removes_the_whole_status",
            Guard::Status,
            Scene::Pending,
            "only Daypass writes",
            |g| json_patch(CAROL, g.status(), json!([{ "op": "remove", "path": "/status" }])),
        ),
    ]
}

/// One's own review, that says somebody else wrote it.
fn of_oneself() -> Vec<Attempt> {
    let own = |name: &str, by: User, mut more: Value| {
        more["verdict"] = json!("Approve");
        Attempt::in_vain(
            format!("reviewer::{name}"),
            Guard::Reviewer,
            Scene::Pending,
            submits(by, json!({ by.name: more })),
        )
    };
    let words = "cannot be recorded";
    vec![
        own("gives_itself_a_group", MALLORY, json!({ "groups": ["approvers", "system:authenticated"] })),
        own("gives_itself_a_uid", CAROL, json!({ "uid": "u-bob" })),
        own("gives_itself_both", MALLORY, json!({ "uid": "u-carol", "groups": ["approvers"] })),
        own("hides_its_groups", BOB, json!({ "groups": [] })),
        Attempt::in_vain("reviewer::gives_itself_a_group_by_apply_with_force", Guard::Reviewer, Scene::Pending, |g| {
            let review = json!({ "mallory": { "verdict": "Approve", "groups": ["approvers"] } });
            apply_with_force(MALLORY, g.status(), g.fix(json!({ "status": { "reviews": review } })))
        }),
        Attempt::in_vain("reviewer::gives_itself_a_group_by_json_patch", Guard::Reviewer, Scene::Pending, |g| {
            let review = json!({ "verdict": "Approve", "groups": ["approvers"] });
            json_patch(
                MALLORY,
                g.status(),
                json!([{ "op": "add", "path": "/status/reviews/mallory", "value": review }]),
            )
        }),
        Attempt::refused("reviewer::of_more_groups_than_fit", Guard::Status, Scene::Pending, words, |g| {
            merge(*OVERFULL, g.status(), json!({ "status": { "reviews": { "overfull": approves() } } }))
        }),
        Attempt::refused("reviewer::of_one_review_too_many", Guard::Schema, Scene::Full, "must have at most 64", |g| {
            merge(CAROL, g.status(), json!({ "status": { "reviews": { "carol": approves() } } }))
        }),
        Attempt::refused("reviewer::makes_room_for_its_own", Guard::Status, Scene::Full, NOT_YOURS, |g| {
            let reviews = json!({ VOTERS[0].name: null, "carol": approves() });
            merge(CAROL, g.status(), json!({ "status": { "reviews": reviews } }))
        }),
    ]
}

/// Names that are the same when they are escaped twice, not at all, or read carelessly.
fn similar_names() -> Vec<Attempt> {
    let similar = |by: User, other: &str| {
        let name = format!("reviewer::{}_writes_under_a_similar_name", by.login);
        let reviews = json!({ other: { "verdict": "Deny" } });
        Attempt::refused(name, Guard::Status, Scene::Pending, NOT_YOURS, submits(by, reviews))
    };
    vec![
        similar(SLASH, "team~1anna"),
        similar(TILDE, "anna~01ops"),
        similar(QUOTE, "o\\\"neil"),
        similar(BACKSLASH, "corp\\\\anna"),
        similar(SPACE, "anna smith "),
        similar(UNICODE, "z\u{30c}ofie-\u{43a}\u{43b}\u{44e}\u{447}"),
        similar(BIG_BOB, "bob"),
        similar(*LONG, &LONG.name[1..]),
    ]
}

/// Whatever a name looks like, the stamp finds the review under it.
fn odd_names() -> Vec<Attempt> {
    let forge = |by: User| {
        let forged = json!({ by.name: { "verdict": "Approve", "uid": "u-carol", "groups": ["approvers"] } });
        let name = format!("reviewer::{}_gives_itself_a_group", by.login);
        Attempt::in_vain(name, Guard::Reviewer, Scene::Pending, submits(by, forged))
    };
    with_odd_names().into_iter().map(forge).collect()
}
