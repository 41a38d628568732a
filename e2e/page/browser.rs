//! The page in a real browser: people ask, decide and look with what they see, their mouse and their keys.
//!
//! [`chromium`] is the browser. Where it is not installed, its trials are left out with a line that says so. One trial at a
//! time has browsers, and most share a cluster.

mod activity;
mod asking;
pub mod chromium;
mod deciding;
pub mod looks;
mod many;
mod opening;
mod people;
mod reading;
mod reports;
pub mod reviews;
mod scripts;
mod sentences;

use std::sync::Arc;

use libtest_mimic::{Completion, Failed, Trial};
use serde_json::{Value, json};

use self::chromium::Chromium;
use crate::harness::cast::SOON;
use crate::harness::plugin::{Plugin, Running};
use crate::harness::trial;
use crate::harness::users::User;
use crate::harness::{Cluster, eventually};

/// What the names of the trials with browsers begin with.
pub const PREFIX: &str = "page::browser::";

pub fn trials() -> Vec<Trial> {
    vec![
        trial("two_people_ask_and_decide_and_see_it_at_once", people::ask_and_decide),
        trial("a_grant_is_made_longer_given_back_and_taken", people::longer_back_and_taken),
        trial("what_is_not_needed_any_more_is_given_back_by_whose_it_is", people::given_back),
        trial("an_emergency_is_let_in_and_reviewed", people::emergency),
        trial("a_link_opens_once_and_a_lost_sign_in_says_the_way", opening::once),
        trial("several_are_decided_with_one_look", deciding::several_at_once),
        trial("a_denial_is_told_with_its_comment_alone", deciding::denies),
        trial("what_changes_is_looked_at_again_before_it_is_decided", deciding::looks_again),
        trial("less_than_a_role_is_asked_for_again_and_kept", asking::again_and_templates),
        trial("no_view_is_empty_without_a_sentence", sentences::never_empty),
        trial("a_link_to_another_request_of_the_name_says_so", sentences::another_of_the_name),
        trial("history_is_printed_as_a_paper", looks::paper),
        trial("now_shows_in_order_and_by_bars_who_has_what", reading::now),
        trial("policies_health_and_the_own_login_are_readable", reading::policies),
        trial("history_is_found_and_taken_along", reading::history),
        trial("reports_are_pages_that_load_nothing_and_print", reports::pages),
        trial("an_ended_sign_in_loses_nothing_that_was_typed", opening::ended),
        alone("goes_on_by_itself_when_it_is_refused_no_longer", opening::refused),
        alone("goes_on_by_itself_when_the_api_server_is_back", opening::away),
        trial("script_in_any_field_is_shown_and_does_not_run", scripts::none_runs),
        alone("shows_and_filters_a_thousand_requests", many::thousand),
        trial("every_view_fits_a_phone_and_has_no_barrier", looks::every_view),
        trial("one_asks_and_approves_without_a_mouse", looks::keys_only),
        left_out_without_browser("what_was_done_with_a_grant_is_shown_call_for_call", || {
            trial::browsed_private(activity::told)
        }),
    ]
}

/// A trial in the cluster of the browsers, left out where there is none.
fn trial<F>(name: &str, body: impl FnOnce(Arc<Cluster>) -> F + Send + 'static) -> Trial
where
    F: Future<Output = ()>,
{
    left_out_without_browser(name, move || trial::browsed(body))
}

/// The same in a cluster of its own, which it may break.
fn alone<F>(name: &str, body: impl FnOnce(Arc<Cluster>) -> F + Send + 'static) -> Trial
where
    F: Future<Output = ()>,
{
    left_out_without_browser(name, move || trial::browsed_alone(body))
}

fn left_out_without_browser(name: &str, run: impl FnOnce() -> Result<(), Failed> + Send + 'static) -> Trial {
    Trial::ignorable_test(format!("{PREFIX}{name}"), || match chromium::is_missing() {
        Some(why) => Ok(Completion::ignored_with(why)),
        None => run().map(|()| Completion::Completed),
    })
}

/// Somebody at the page: their `kubectl daypass ui`, and their browser.
struct Seat {
    browser: Chromium,
    _ui: Running,
    /// Host and port of the page.
    origin: String,
}

impl Seat {
    /// Opens the page for somebody, by the URL that is printed.
    async fn of(cluster: &Cluster, user: User) -> Self {
        let (ui, url) = started(cluster, user, &[]).await;
        let browser = Chromium::start(&cluster.control_plane, user.login).await;
        browser.open(&url).await;
        let origin = url.split_once("/#").map(|(origin, _)| origin.to_owned()).expect("a URL with a token");
        browser.until_shows("Live").await;
        // Whoever loads the page anew loses it.
        browser.run("window.daypassTrial = { at: {} }", json!([])).await;
        Self { browser, _ui: ui, origin }
    }

    /// Goes to a view as a link of the page does, without loading it anew.
    async fn go(&self, view: &str) {
        // Where something waits there, the link says how much.
        let link = if view == "Inbox" { "Inbox…" } else { view };
        self.browser.press("link", link).await;
        self.browser.until_there("heading", view).await;
    }

    /// Notes the time at which these words are shown, from now on, under a name.
    async fn note(&self, name: &str, words: &str) {
        let script = "const [name, words] = arguments; const { at } = window.daypassTrial;
            const look = () => { if (!at[name] && document.body.innerText.includes(words)) at[name] = Date.now(); };
            new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true });
            look();";
        self.browser.run(script, json!([name, words])).await;
    }

    /// Notes the time at which a form is sent.
    async fn note_sending(&self) {
        let script = "addEventListener('submit', () => { window.daypassTrial.at.sent = Date.now(); }, true)";
        self.browser.run(script, json!([])).await;
    }

    /// When it was, in milliseconds since 1970. The page was not loaded anew since then.
    async fn noted(&self, name: &str) -> Result<i64, String> {
        let at = self.browser.run("return window.daypassTrial?.at[arguments[0]] ?? null", json!([name])).await;
        at.as_i64().ok_or_else(|| format!("{name} is not noted"))
    }
}

/// Waits until a view has all that it reads.
pub async fn until_read(browser: &Chromium) {
    eventually("the view has read all", SOON, async || {
        let text = browser.text().await;
        let is_there = browser.run("return document.querySelector('main h1') !== null", json!([])).await == true;
        let reads = text.contains("Loading.") || text.contains("is loading.");
        if is_there && !reads { Ok(()) } else { Err(text) }
    })
    .await;
}

/// Starts `kubectl daypass ui`, and hands over the URL that it prints.
async fn started(cluster: &Cluster, user: User, more: &[&str]) -> (Running, String) {
    opened(&Plugin::of(cluster, user), more).await
}

/// The same by way of a plugin.
pub async fn opened(plugin: &Plugin, more: &[&str]) -> (Running, String) {
    let mut ui = plugin.start(&[&["ui", "--no-browser"], more].concat());
    let url = ui.until_printed("\n").await.trim().to_owned();
    (ui, url)
}

/// A namespace whose policy asks one approver, allows more time, and nobody in an emergency.
async fn with_approval(cluster: &Cluster) -> String {
    let namespace = cluster.namespace("shop").await;
    cluster.allow(&namespace, &namespace, asks_approvers()).await;
    namespace
}

fn asks_approvers() -> Value {
    let approvers = json!([{ "kind": "Group", "name": "approvers" }]);
    json!({
        "approval": { "stages": [{ "name": "leads", "approvers": approvers }] },
        "breakGlass": { "reviewers": approvers, "reviewWithin": "24h" },
        "extension": { "max": "1h", "count": 2 }
    })
}
