//! Where each call goes: to a file, to the session, to the desk, or by way of the table to the API server.
//!
//! All calls go through the guard first, and all but those for files through the session. It must not compute anything
//! itself.

use std::time::Duration;

use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, SET_COOKIE, TRANSFER_ENCODING};
use http::request::Parts;
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use hyper::body::{Body, Bytes};
use kube::Client;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::timeout;
use tower::BoxError;

use super::answer::{JSON, PageBody, bytes, kept_apart, refused, value};
use super::caller::{CallLogin, PageCaller};
use super::desk::{PageDesk, PagePerson};
use super::files::{ASSETS_PATH, AskedFile};
use super::forward::{MERGE_PATCH, forward, known};
use super::guard::PageGuard;
use super::refusal::PageRefusal;
use super::review;
use super::rules::{PageRule, PageRules};
use super::session::{EXCHANGED, PageSession};
use super::table::{FORWARDED, TableCall, TableDeed};
use crate::api::request::AccessRequest;
use crate::core::model::name::{is_label, is_name};

/// Most bytes of a body.
const MOST: usize = 64 << 10;
/// Up to here one that is longer is read and thrown away, or who sends it would see a broken connection and not why.
const HEARD_OUT: usize = 1 << 20;
/// How long a body may take.
const UNTIL_BODY: Duration = Duration::from_secs(10);
/// Paths of views, which the front end tells apart.
const VIEWS: [&str; 8] = ["/", "/now", "/inbox", "/ask", "/policies", "/history", "/health", "/you"];

/// A page at one address.
pub struct PageServer<D> {
    pub guard: PageGuard,
    /// Whose browser it is; none where a proxy before the page says so with a token for each call.
    pub session: Option<PageSession>,
    pub caller: PageCaller,
    pub desk: D,
    /// What people call the cluster.
    pub cluster: String,
}

/// What a browser exchanges for the cookie.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OneTimeToken {
    token: String,
}

/// A request that somebody would make.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AskedByPerson {
    person: PagePerson,
    /// The manifest.
    draft: Value,
}

/// Where a call goes.
enum PageRoute {
    File(AskedFile),
    Session,
    Api(ApiCall),
    Forward,
}

/// What is computed here.
enum ApiCall {
    Me,
    Foresee,
    Explain,
    Options,
    Inbox,
    Health,
    Lint,
}

impl PageRoute {
    fn of(method: &Method, path: &str) -> Result<Self, PageRefusal> {
        let get = |route| if *method == Method::GET { Ok(route) } else { Err(PageRefusal::NoSuchPage) };
        let post = |route| if *method == Method::POST { Ok(route) } else { Err(PageRefusal::NoSuchPage) };
        match path {
            "/session" => post(Self::Session),
            "/api/foresee" => post(Self::Api(ApiCall::Foresee)),
            "/api/explain" => post(Self::Api(ApiCall::Explain)),
            "/api/me" => get(Self::Api(ApiCall::Me)),
            "/api/options" => get(Self::Api(ApiCall::Options)),
            "/api/inbox" => get(Self::Api(ApiCall::Inbox)),
            "/api/health" => get(Self::Api(ApiCall::Health)),
            "/api/lint" => get(Self::Api(ApiCall::Lint)),
            _ if path.starts_with(FORWARDED) => Ok(Self::Forward),
            _ if is_view(path) => get(Self::File(AskedFile::Index)),
            _ => match path.strip_prefix(ASSETS_PATH).and_then(AskedFile::of) {
                Some(asked) => get(Self::File(asked)),
                None => Err(PageRefusal::NoSuchPage),
            },
        }
    }
}

/// Whether a path is one of the page's own, that of a request among them.
fn is_view(path: &str) -> bool {
    let request = path.strip_prefix("/r/").and_then(|request| request.split_once('/'));
    VIEWS.contains(&path) || request.is_some_and(|(namespace, name)| is_label(namespace) && is_name(name))
}

impl<D: PageDesk> PageServer<D> {
    /// Answers a call.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<PageBody>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let (head, body) = request.into_parts();
        let body = body.map_err(Into::into).boxed_unsync();
        kept_apart(self.led(&head, body).await.unwrap_or_else(|refusal| {
            let mut answer = refused(&refusal);
            // Where it ends is not known, so nothing behind it is read as a call of its own.
            if refusal == PageRefusal::Framing {
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            answer
        }))
    }

    async fn led(&self, head: &Parts, body: PageBody) -> Result<Response<PageBody>, PageRefusal> {
        self.guard.check_address(head)?;
        match PageRoute::of(&head.method, head.uri.path())? {
            PageRoute::File(asked) => Ok(asked.answer(&head.headers, self.caller.is_far())),
            PageRoute::Session => {
                self.guard.check_call(head)?;
                self.exchanged(&whole(&self.guard.rules, head, body, JSON).await?)
            }
            PageRoute::Api(call) => {
                let login = self.login(head)?;
                self.computed(&call, head, body, &login).await.map_err(|refusal| login.of_desk(refusal))
            }
            PageRoute::Forward => {
                let login = self.login(head)?;
                let call = TableCall::of(&self.guard.rules, &head.method, head.uri.path(), head.uri.query())?;
                let body = sent(&self.guard.rules, &call, head, body, &login).await?;
                forward(&login, call, body).await
            }
        }
    }

    /// The login of a call that may be made.
    fn login(&self, head: &Parts) -> Result<CallLogin, PageRefusal> {
        self.guard.check_call(head)?;
        if let Some(session) = &self.session {
            session.check(&self.guard.rules, &head.headers)?;
        }
        self.caller.of(&head.headers)
    }

    fn exchanged(&self, body: &[u8]) -> Result<Response<PageBody>, PageRefusal> {
        let session = self.session.as_ref().ok_or(PageRefusal::NoSuchPage)?;
        // What is wrong with it is not said, since that might repeat it.
        let wrong = |_| PageRefusal::BadBody("it is {\"token\": \"...\"}".to_owned());
        let OneTimeToken { token } = serde_json::from_slice(body).map_err(wrong)?;
        let cookie = session.exchange(&self.guard.rules, &token)?;
        let mut answer = bytes(EXCHANGED, JSON, Bytes::new());
        answer.headers_mut().insert(SET_COOKIE, cookie);
        Ok(answer)
    }

    async fn computed(
        &self,
        call: &ApiCall,
        head: &Parts,
        body: PageBody,
        login: &CallLogin,
    ) -> Result<Response<PageBody>, PageRefusal> {
        if let ApiCall::Foresee | ApiCall::Explain = call {
            let body = whole(&self.guard.rules, head, body, JSON).await?;
            return self.foreseen(call, &body, login.client.clone()).await;
        }
        none(&self.guard.rules, head)?;
        let namespace = only_parameter(head, call)?;
        let client: Client = login.client.clone();
        Ok(match call {
            ApiCall::Me => value(&self.me(login).await?),
            ApiCall::Inbox => value(&self.desk.inbox(client).await?),
            ApiCall::Health => value(&self.desk.health(client).await?),
            ApiCall::Lint => value(&self.desk.lint(client).await?),
            ApiCall::Options | ApiCall::Foresee | ApiCall::Explain => {
                value(&self.desk.options(client, namespace).await?)
            }
        })
    }

    /// What would be decided, if the caller asked or if somebody else did.
    async fn foreseen(&self, call: &ApiCall, body: &[u8], client: Client) -> Result<Response<PageBody>, PageRefusal> {
        if let ApiCall::Foresee = call {
            let manifest = serde_json::from_slice(body).map_err(bad)?;
            return Ok(value(&self.desk.foresee(client, draft(manifest)?).await?));
        }
        let AskedByPerson { person, draft: manifest } = serde_json::from_slice(body).map_err(bad)?;
        if person.username.trim().is_empty() {
            return Err(PageRefusal::BadBody("person.username is missing: say who would ask".to_owned()));
        }
        Ok(value(&self.desk.explain(client, draft(manifest)?, person).await?))
    }

    /// Who the caller is, and where.
    async fn me(&self, login: &CallLogin) -> Result<Value, PageRefusal> {
        let known = known(login).await?;
        let mut me = json!({
            "username": known.who.username,
            "groups": known.who.groups,
            "cluster": self.cluster,
            "place": self.caller.place(),
            "expires": known.ends.map(|end| end.to_string()),
            "version": env!("CARGO_PKG_VERSION"),
        });
        if let Some(path) = self.caller.sign_out() {
            me["signOut"] = json!(path);
        }
        Ok(me)
    }
}

/// The body that goes on with a call: checked, and made anew.
async fn sent(
    rules: &PageRules,
    call: &TableCall,
    head: &Parts,
    body: PageBody,
    login: &CallLogin,
) -> Result<Bytes, PageRefusal> {
    match call.deed {
        TableDeed::Read | TableDeed::Watch => none(rules, head).map(|()| Bytes::new()),
        TableDeed::Ask => {
            let body = whole(rules, head, body, JSON).await?;
            // Read and written again, it can be read in one way only.
            let manifest: Value = serde_json::from_slice(&body).map_err(bad)?;
            Ok(manifest.to_string().into())
        }
        TableDeed::Review => {
            let body = whole(rules, head, body, MERGE_PATCH).await?;
            review::patch(rules, &body, &known(login).await?.who.username)
        }
    }
}

/// The namespace that options are asked for in; no other call has a parameter.
fn only_parameter(head: &Parts, call: &ApiCall) -> Result<String, PageRefusal> {
    let parameters: Vec<_> = form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes()).collect();
    match (&parameters[..], call) {
        ([(key, value)], ApiCall::Options) if key == "namespace" && is_label(value) => Ok(value.to_string()),
        ([], ApiCall::Options) => Err(PageRefusal::BadParameter("namespace".to_owned())),
        ([(key, _), ..], _) => Err(PageRefusal::BadParameter(key.to_string())),
        ([], _) => Ok(String::new()),
    }
}

/// The request that a body has, as it would be sent.
fn draft(manifest: Value) -> Result<AccessRequest, PageRefusal> {
    if manifest.get("status").is_some_and(|status| !status.is_null()) {
        return Err(PageRefusal::BadBody("status is not for the caller to write: leave it out".to_owned()));
    }
    let draft: AccessRequest = serde_json::from_value(manifest).map_err(bad)?;
    if draft.metadata.namespace.as_deref().is_some_and(is_label) {
        Ok(draft)
    } else {
        Err(PageRefusal::BadBody("metadata.namespace is missing, or no name of a namespace".to_owned()))
    }
}

fn bad(error: serde_json::Error) -> PageRefusal {
    PageRefusal::BadBody(error.to_string())
}

/// That a call has no body.
fn none(rules: &PageRules, head: &Parts) -> Result<(), PageRefusal> {
    let headers = &head.headers;
    let is_empty = headers.get(CONTENT_LENGTH).is_none_or(|length| length == "0");
    let is_none = is_empty && !headers.contains_key(TRANSFER_ENCODING);
    rules.hold(PageRule::NoBody, is_none, PageRefusal::NoBodyHere)
}

/// The whole body, of this kind.
async fn whole(rules: &PageRules, head: &Parts, body: PageBody, kind: &'static str) -> Result<Bytes, PageRefusal> {
    let mut kinds = head.headers.get_all(CONTENT_TYPE).iter().map(|kind| kind.to_str().unwrap_or_default());
    let (first, second) = (kinds.next().unwrap_or_default(), kinds.next());
    // A charset may stand behind it. Forms and plain texts, which any page may send, are of other kinds.
    let is_right = first.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(kind);
    rules.hold(PageRule::RightKind, is_right && second.is_none(), PageRefusal::ContentType(kind))?;
    timeout(UNTIL_BODY, up_to_most(body)).await.unwrap_or(Err(PageRefusal::NoBody))
}

async fn up_to_most(mut body: PageBody) -> Result<Bytes, PageRefusal> {
    let (mut kept, mut length) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame.map_err(|_| PageRefusal::NoBody)?.into_data() else { continue };
        length += piece.len();
        if length <= MOST {
            kept.extend_from_slice(&piece);
        } else if length > HEARD_OUT {
            break;
        }
    }
    if length > MOST { Err(PageRefusal::TooLarge) } else { Ok(kept.into()) }
}
