//! The view of review campaigns: an owner decides without a mouse, on a phone as on a screen.

use serde_json::json;

use super::chromium::{self, ENTER, SPACE};
use super::looks::{PHONE, SCREEN, axe, overhang, violations};
use super::{Seat, until_read};
use crate::harness::Cluster;
use crate::harness::users::{CAROL, MALLORY};

/// Has carol confirm the item of this id, the one in campaign h2 that waits for her. False: there is no browser.
pub async fn confirm(cluster: &Cluster, id: &str) -> bool {
    if let Some(why) = chromium::is_missing() {
        println!("the view of reviews is left out: {why}");
        return false;
    }
    let carol = Seat::of(cluster, CAROL).await;
    carol.go("Reviews").await;
    carol.browser.until_shows("Half-yearly review").await;
    carol.browser.tab_to("h2").await;
    carol.browser.keys(ENTER).await;
    carol.browser.until_there("heading", "Yours to decide").await;
    until_read(&carol.browser).await;
    let text = carol.browser.text().await;
    assert!(text.contains("group dev") && text.contains("so somebody else decides"), "{text}");
    let mut wrong = Vec::new();
    for theme in ["dark", "light"] {
        carol.browser.system_theme(theme).await;
        for (size, (width, height)) in [("phone", PHONE), ("screen", SCREEN)] {
            carol.browser.resize(width, height).await;
            wrong.extend(
                overhang(&carol.browser).await.iter().map(|each| format!("{theme} {size} scrolls to the side: {each}")),
            );
            if let Some(axe) = axe() {
                let found = violations(&carol.browser, &axe).await;
                wrong.extend(found.into_iter().map(|each| format!("{theme} {size}: {each}")));
            }
            carol.browser.picture(&format!("reviews-{theme}-{size}")).await;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    carol.browser.tab_to(&format!("Choose devs {id}")).await;
    carol.browser.keys(SPACE).await;
    assert!(!carol.browser.is_enabled("button", "Confirm 1").await, "nobody has said why");
    carol.browser.tab_to("Why").await;
    carol.browser.keys("the team works there").await;
    carol.browser.tab_to("Confirm 1").await;
    carol.browser.keys(ENTER).await;
    carol.browser.until_shows("Nothing in it waits for your decision.").await;
    carol.browser.until_shows("the team works there").await;
    let said = carol.browser.run("return document.querySelector('[aria-live]')?.textContent", json!([])).await;
    assert!(said.as_str().is_some_and(|said| said.contains("1 item is confirmed.")), "{said}");
    let mallory = Seat::of(cluster, MALLORY).await;
    mallory.go("Reviews").await;
    mallory.browser.until_shows("There is no review in which you decide on something").await;
    true
}
