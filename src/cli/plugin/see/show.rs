//! `kubectl daypass show`: one request on a page. Of one that is gone, what the archive has.

use clap::builder::NonEmptyStringValueParser;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use super::words;
use crate::api::request::{AccessRequest, AccessRequestStatus};
use crate::cli::plugin::cluster::{Cluster, Connection};
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::exit::Exit;
use crate::cli::plugin::history::lives::{self, WantedLife};
use crate::cli::plugin::history::printed;
use crate::cli::plugin::output::console::Console;
use crate::cli::plugin::output::format::FormatArgs;
use crate::cli::plugin::output::table::Table;
use crate::cli::plugin::output::text::{Text, TextSpan, Tone};
use crate::cli::plugin::requests::{self, Where};
use crate::runtime::clock::Clock;

/// The command line of `show`.
#[derive(Debug, clap::Args)]
pub struct ShowArgs {
    /// Name of the request.
    #[arg(required_unless_present = "uid")]
    name: Option<String>,
    /// UID of the request, where others have had its name, or the name is not known.
    #[arg(long, value_name = "UID", value_parser = NonEmptyStringValueParser::new())]
    uid: Option<String>,
    /// Namespace of the request. Left out: that of the context.
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    #[command(flatten)]
    format: FormatArgs,
    #[command(flatten)]
    connection: Connection,
}

/// Shows a request.
///
/// # Errors
/// When it cannot be read.
pub async fn run(args: ShowArgs, console: &mut Console) -> Result<Exit, PluginError> {
    let cluster = Cluster::connect(&args.connection).await?;
    let namespace = cluster.namespace_or(&args.namespace);
    let Some(request) = args.there(&cluster, namespace, console).await? else {
        return args.gone(&cluster, namespace, console).await;
    };
    match args.format.format().object(&request)? {
        Some(document) => console.print(&document),
        None => console.show(&page(&request, Clock::wall().now())),
    }
    Ok(Exit::Done)
}

impl ShowArgs {
    /// The request, if it is there.
    async fn there(
        &self,
        cluster: &Cluster,
        namespace: &str,
        console: &mut Console,
    ) -> Result<Option<AccessRequest>, PluginError> {
        let Some(name) = &self.name else {
            let all = requests::list(cluster, &Where::Namespace(namespace.to_owned()), console).await?;
            return Ok(all.into_iter().find(|request| request.uid() == self.uid));
        };
        match requests::get(cluster, namespace, name).await {
            Ok(request) => Ok(Some(request).filter(|request| self.uid.is_none() || request.uid() == self.uid)),
            Err(PluginError::NoSuchRequest { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Shows what the archive has of it: of several that had its name the last.
    async fn gone(&self, cluster: &Cluster, namespace: &str, console: &mut Console) -> Result<Exit, PluginError> {
        let (place, name) = (Where::Namespace(namespace.to_owned()), self.name.clone().unwrap_or_default());
        let wanted = match &self.uid {
            Some(uid) => WantedLife::Uid(uid.clone()),
            None => WantedLife::Name(name.clone()),
        };
        let mut lives = lives::archived(cluster, &place, &wanted, console).await?;
        let Some(life) = lives.pop() else {
            return Err(match &self.uid {
                Some(uid) => PluginError::NoRecords { request: uid.clone(), place: place.words() },
                None => PluginError::NoSuchRequest { namespace: namespace.to_owned(), name },
            });
        };
        console.note("the request is gone from the cluster, and this is what the archive has of it");
        if !lives.is_empty() {
            console
                .note(&format!("{} before it had that name: kubectl daypass history {name} tells of all", lives.len()));
        }
        match self.format.format().list(&life.items)? {
            Some(document) => console.print(&document),
            None => console.show(&printed::life(&life, &self.format)),
        }
        Ok(Exit::Done)
    }
}

/// A request, in words.
pub fn page(request: &AccessRequest, now: Timestamp) -> Text {
    let status = request.status.clone().unwrap_or_default();
    let mut text = Text::default();
    text.spans(vec![TextSpan::new(words::name(request), Tone::Strong), " ".into(), words::state(request)]);
    if let Some(message) = &status.message {
        text.line(message);
    }
    text.gap();
    text.extend(facts(request, &status, now));
    let approvers = status.stage.as_ref().map(|stage| stage.approvers.as_slice()).unwrap_or_default();
    if let Some(stage) = status.stage.as_ref().filter(|_| !status.state.is_final() && !request.has_grant()) {
        let who: Vec<String> = approvers.iter().map(ToString::to_string).collect();
        text.gap();
        text.line(format!(
            "stage {}: {} of {}, may approve: {}",
            stage.name,
            stage.approved,
            stage.required,
            who.join(", ")
        ));
    }
    let history = history(&status);
    if !history.is_empty() {
        text.gap();
        text.extend(history.text());
    }
    text
}

/// What is asked for, by whom, and what is known of it: a fact a line.
pub fn facts(request: &AccessRequest, status: &AccessRequestStatus, now: Timestamp) -> Text {
    let mut table = Table::new(&[]).without_heads(true);
    let mut fact = |name: &str, words: Option<TextSpan>| {
        if let Some(words) = words.filter(|words| !words.words.is_empty()) {
            table.row(vec![TextSpan::new(name, Tone::Dim), words]);
        }
    };
    fact("who", Some(words::requester(request).into()));
    fact("kind", Some(words::kind(request)));
    fact("role", Some(words::what(request).into()));
    fact("where", Some(words::place(request).into()));
    fact("begins", Some(words::begins(request).into()));
    fact("for", Some(words::length(request).into()));
    fact("extends", request.spec.extends.as_deref().map(TextSpan::from));
    let until = words::until(request).map(|until| match words::left(until, now) {
        Some(left) if !status.state.is_final() => format!("{until} (in {left})"),
        _ => until.to_string(),
    });
    fact("until", until.map(TextSpan::from));
    fact("why", Some(request.spec.reason.as_str().into()));
    fact("ticket", request.spec.ticket.as_deref().map(TextSpan::from));
    fact("risk", Some(words::risk(request)));
    for reason in status.risk.iter().flat_map(|risk| &risk.reasons) {
        fact("", Some(reason.as_str().into()));
    }
    fact("used", Some(words::used(request)));
    fact("policy", status.policy.as_ref().map(|policy| policy.name.as_str().into()));
    for (who, review) in &status.reviews {
        let comment = review.comment.as_deref().map(|comment| format!(": {comment}")).unwrap_or_default();
        fact("review", Some(format!("{} by {who}{comment}", review.verdict.as_str()).into()));
    }
    table.text()
}

fn history(status: &AccessRequestStatus) -> Table {
    let mut table = Table::new(&["WHEN", "WHAT", "BY", "WORDS"]);
    for entry in &status.history {
        let by = entry.by.clone().unwrap_or_default();
        let event = entry.event.as_str().to_owned();
        table.row(vec![entry.at.0.to_string().into(), event.into(), by.into(), entry.message.as_str().into()]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::laws::fixtures::{noon, request};
    use serde_json::json;

    #[test]
    fn a_page_says_how_access_was_used() {
        let page = |activity: serde_json::Value| {
            let mut request = request(json!({}));
            let status = json!({ "state": "Expired", "activity": activity });
            request.status = Some(serde_json::from_value(status).unwrap());
            page(&request, noon()).to_string()
        };
        let used = page(json!({ "used": "Used", "calls": 7, "last": noon().to_string() }));
        assert!(used.contains("7 calls") && used.contains("2026-11-23T12:00:00Z"), "{used}");
        let never = page(json!({ "used": "NotUsed", "calls": 0 }));
        assert!(never.contains("never used"), "{never}");
        assert!(!page(json!(null)).contains("used"));
    }

    #[test]
    fn a_page_has_all_that_an_approver_agrees_to() {
        let facts = |spec| facts(&request(spec), &AccessRequestStatus::default(), noon()).to_string();
        let more = facts(json!({ "extends": "fix-1", "duration": "30m" }));
        assert!(more.contains("fix-1\n") && more.contains("where fix-1 holds") && more.contains("30m more"), "{more}");
        let fire = facts(json!({ "breakGlass": true }));
        assert!(fire.contains("break-glass"), "{fire}");
        let later = facts(json!({ "startTime": noon().to_string() }));
        assert!(later.contains("begins") && later.contains("2026-11-23T12:00:00Z"), "{later}");
    }
}
