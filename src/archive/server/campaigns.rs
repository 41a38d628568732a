//! What people call who review access: start a campaign, look at it, decide in it, close it.
//!
//! Owns the order: first who, then whether they may by the roles of the cluster, then what the core says to it. Campaigns are
//! of the archive's own cluster, whose API server alone says who people are; nobody from outside of it writes to one. Who
//! writes at the same time as another is judged anew, by what is there then.

use axum::Extension;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::super::campaign::printed::print;
use super::super::store::campaign::KeptCampaign;
use super::super::who::campaigners::CampaignRight;
use super::super::who::front_proxy::ArchiveReader;
use super::ArchiveDesk;
use super::answer::{self, FailedCall};
use super::door::CalledBy;
use super::reading::version;
use super::writing::asked_in;
use crate::api::campaign::{CampaignStart, ShownCampaign};
use crate::api::delivery::TextLine;
use crate::api::subject::Identity;
use crate::core::campaign::judge::{CampaignCaller, CampaignRefusal, NextEntry, RefusalKind};
use crate::core::campaign::shown::CampaignReader;
use crate::core::campaign::so_far::{BrokenCampaign, Campaign};
use crate::core::model::name::is_label;
use crate::runtime::clock::Clock;

/// How often it is tried to be the next, where several decide at the same time.
const TRIES: usize = 16;
/// Of a campaign as an object.
pub const KIND: &str = "Campaign";
/// How a campaign is taken along: what happened and the texts, to the byte.
const LINES: &str = "format=jsonl";

impl From<CampaignRefusal> for FailedCall {
    fn from(refusal: CampaignRefusal) -> Self {
        let message = refusal.to_string();
        match refusal.kind() {
            RefusalKind::Bad => Self::bad(message),
            RefusalKind::Forbidden => Self::forbidden(message),
            RefusalKind::Conflict => Self { code: StatusCode::CONFLICT, reason: "Conflict", message },
        }
    }
}

impl From<BrokenCampaign> for FailedCall {
    fn from(broken: BrokenCampaign) -> Self {
        let message = broken.to_string();
        tracing::error!(message, "a campaign was changed where it is kept");
        Self { code: StatusCode::INTERNAL_SERVER_ERROR, reason: "InternalError", message }
    }
}

/// `GET .../campaigns`: the latest, each with how it stands.
pub async fn list(
    State(desk): State<ArchiveDesk>,
    Extension(by): Extension<CalledBy>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, FailedCall> {
    let (who, whole) = reader(&desk, &by, &headers, CampaignRight::List).await?;
    no_more(query.as_deref(), &[])?;
    let reader = CampaignReader { who: &who, whole, now: Clock::wall().now() };
    let mut items = Vec::new();
    for name in desk.store.campaigns(&desk.home).await? {
        let (campaign, _) = desk.campaign(&name).await?;
        items.extend(reader.shows(&campaign, false).map(|shown| object(&shown)));
    }
    let list = json!({ "apiVersion": version(), "kind": "CampaignList", "metadata": {}, "items": items });
    Ok(answer::json(list.to_string()))
}

/// `GET .../campaigns/NAME`: one with its items, or with `format=jsonl` all that happened in it, to the byte.
pub async fn get(
    State(desk): State<ArchiveDesk>,
    Extension(by): Extension<CalledBy>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, FailedCall> {
    let (who, whole) = reader(&desk, &by, &headers, CampaignRight::Get(&name)).await?;
    no_more(query.as_deref(), &[LINES])?;
    let (campaign, kept) = desk.campaign(&name).await?;
    if query.as_deref() == Some(LINES) {
        return if whole { Ok(lines(&kept)) } else { Err(not_whole(&who)) };
    }
    let reader = CampaignReader { who: &who, whole, now: Clock::wall().now() };
    let shown = reader.shows(&campaign, true).ok_or_else(|| none(&name))?;
    Ok(answer::json(object(&shown).to_string()))
}

/// `POST .../campaigns`: starts one.
pub async fn start(
    State(desk): State<ArchiveDesk>,
    Extension(by): Extension<CalledBy>,
    request: Request,
) -> Result<Response, FailedCall> {
    let (who, asked): (Identity, CampaignStart) = sent(&desk, &by, request, CampaignRight::Start).await?;
    let caller = CampaignCaller { who: &who, now: Clock::wall().now() };
    let next = caller.start(asked, &desk.home)?;
    if !desk.store.keep_entry(&next).await? {
        let message = format!("name: there is a campaign {:?} already; give another name", next.entry.campaign);
        return Err(FailedCall { code: StatusCode::CONFLICT, reason: "AlreadyExists", message });
    }
    Ok((StatusCode::CREATED, happened(next).await).into_response())
}

/// `POST .../campaigns/NAME/decisions`: decides on items, on all that are sent or on none.
pub async fn decide(
    State(desk): State<ArchiveDesk>,
    Extension(by): Extension<CalledBy>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, FailedCall> {
    let right = CampaignRight::Decide(&name);
    next(&desk, &by, request, right, &name, |caller, campaign, asked| caller.decide(campaign, asked)).await
}

/// `PUT .../campaigns/NAME/look`: says what is there now of the items.
pub async fn look(
    State(desk): State<ArchiveDesk>,
    Extension(by): Extension<CalledBy>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, FailedCall> {
    let right = CampaignRight::Look(&name);
    next(&desk, &by, request, right, &name, |caller, campaign, asked| caller.look(campaign, asked)).await
}

/// `PUT .../campaigns/NAME/close`: ends it as it was shown.
pub async fn close(
    State(desk): State<ArchiveDesk>,
    Extension(by): Extension<CalledBy>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, FailedCall> {
    let right = CampaignRight::Close(&name);
    next(&desk, &by, request, right, &name, |caller, campaign, asked| caller.close(campaign, asked)).await
}

/// Keeps what is next in a campaign, as what is there then allows it.
async fn next<T: DeserializeOwned + Clone>(
    desk: &ArchiveDesk,
    by: &CalledBy,
    request: Request,
    right: CampaignRight<'_>,
    name: &str,
    judge: impl Fn(&CampaignCaller<'_>, &Campaign, T) -> Result<NextEntry, CampaignRefusal>,
) -> Result<Response, FailedCall> {
    let (who, asked): (Identity, T) = sent(desk, by, request, right).await?;
    for _ in 0..TRIES {
        let (campaign, _) = desk.campaign(name).await?;
        let caller = CampaignCaller { who: &who, now: Clock::wall().now() };
        let next = judge(&caller, &campaign, asked.clone())?;
        if desk.store.keep_entry(&next).await? {
            return Ok(happened(next).await);
        }
    }
    let message = "decisions: too many are made at the same time; send yours once more".to_owned();
    Err(FailedCall { code: StatusCode::CONFLICT, reason: "Conflict", message })
}

impl ArchiveDesk {
    async fn campaign(&self, name: &str) -> Result<(Campaign, KeptCampaign), FailedCall> {
        let kept = if is_label(name) { self.store.campaign(&self.home, name).await? } else { None };
        let kept = kept.ok_or_else(|| none(name))?;
        let campaign = Campaign::read(kept.lines.iter().map(String::as_str), &kept.texts)?;
        Ok((campaign, kept))
    }
}

/// Who calls, and what they send. Nobody else's body takes memory.
async fn sent<T: DeserializeOwned>(
    desk: &ArchiveDesk,
    by: &CalledBy,
    request: Request,
    right: CampaignRight<'_>,
) -> Result<(Identity, T), FailedCall> {
    let (parts, body) = request.into_parts();
    let proxy = by.0.as_ref().ok_or_else(from_nobody)?;
    let caller = proxy.reader(&parts.headers).ok_or_else(from_nobody)?;
    if !has(desk, right, &caller).await? {
        return Err(forbidden(&caller.username, right));
    }
    no_more(parts.uri.query(), &[])?;
    Ok((identity(caller), asked_in(body, "review").await?))
}

/// Who reads, and whether they may see all of each campaign: who may read all records or close campaigns.
async fn reader(
    desk: &ArchiveDesk,
    by: &CalledBy,
    headers: &HeaderMap,
    right: CampaignRight<'_>,
) -> Result<(Identity, bool), FailedCall> {
    let Some(proxy) = &by.0 else {
        let outside = desk.outside.as_ref().ok_or_else(from_nobody)?.reader(headers).await?;
        // Groups of that issuer are not those of the cluster's login, so nobody owns anything by them.
        let who = Identity { username: outside.username.clone(), ..Identity::default() };
        return if outside.may_list(None) { Ok((who, true)) } else { Err(not_whole(&who)) };
    };
    let caller = proxy.reader(headers).ok_or_else(from_nobody)?;
    if !has(desk, right, &caller).await? {
        return Err(forbidden(&caller.username, right));
    }
    let name = if let CampaignRight::Get(name) = right { name } else { "" };
    let closes = CampaignRight::Close(name);
    let whole = has(desk, CampaignRight::ListRecords, &caller).await? || has(desk, closes, &caller).await?;
    tracing::info!(user = caller.username, resource = "campaigns", whole, "reads");
    Ok((identity(caller), whole))
}

async fn has(desk: &ArchiveDesk, right: CampaignRight<'_>, caller: &ArchiveReader) -> Result<bool, FailedCall> {
    let asked = right.is_of(&desk.client, caller).await;
    asked.map_err(|error| FailedCall::away(format!("cannot ask who may review: {error}")))
}

fn identity(caller: ArchiveReader) -> Identity {
    let ArchiveReader { username, uid, groups, extra: _ } = caller;
    Identity { username, uid, groups, ..Identity::default() }
}

fn forbidden(username: &str, right: CampaignRight<'_>) -> FailedCall {
    FailedCall::forbidden(format!("user {username:?} needs a role with verb {right} in the whole cluster; ask for one"))
}

fn not_whole(who: &Identity) -> FailedCall {
    let username = &who.username;
    FailedCall::forbidden(format!("user {username:?} may not list all records, and so not see all; ask for that right"))
}

fn from_nobody() -> FailedCall {
    FailedCall::unknown("only the API server may ask for people; use kubectl daypass review".to_owned())
}

fn none(name: &str) -> FailedCall {
    let name: String = name.chars().take(64).collect();
    let message = format!(
        "name: there is no campaign {name:?} in which you decide on something; see kubectl daypass review list"
    );
    FailedCall { code: StatusCode::NOT_FOUND, reason: "NotFound", message }
}

fn no_more(query: Option<&str>, known: &[&str]) -> Result<(), FailedCall> {
    match query.filter(|query| !query.is_empty() && !known.contains(query)) {
        Some(_) => Err(FailedCall::bad(format!("query: only {known:?} is known here; leave the rest out"))),
        None => Ok(()),
    }
}

async fn happened(next: NextEntry) -> Response {
    print(&next.entry).await;
    let entry = next.entry;
    answer::json(json!({ "apiVersion": version(), "kind": "CampaignEntry", "entry": entry }).to_string())
}

fn object(shown: &ShownCampaign) -> Value {
    let metadata = json!({ "name": shown.name, "creationTimestamp": shown.started_at });
    json!({ "apiVersion": version(), "kind": KIND, "metadata": metadata, "campaign": shown })
}

/// The texts, and then what names them.
fn lines(kept: &KeptCampaign) -> Response {
    let texts = kept.texts.iter().map(|(digest, text)| json!(TextLine::of(digest, text)).to_string());
    let all: String = texts.chain(kept.lines.iter().cloned()).map(|line| line + "\n").collect();
    ([(header::CONTENT_TYPE, "application/jsonl")], all).into_response()
}
