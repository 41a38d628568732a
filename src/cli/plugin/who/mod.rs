//! `kubectl daypass who`: who can do what now, until when and through which request, as far as the caller may read it.
//!
//! [`mod@read`] reads with the caller's own rights, the core says what of it is access, and [`row`] is how that is told.

pub mod read;
mod row;

use clap::builder::NonEmptyStringValueParser;

use self::read::{WhoRead, WhoReading};
use self::row::WhoRow;
use super::ask::groups;
use super::ask::rule::{RuleArg, RuleTarget};
use super::cluster::{Cluster, Connection};
use super::contexts::{ContextAnswer, ContextAnswers, ContextsArgs};
use super::error::PluginError;
use super::exit::Exit;
use super::identity;
use super::output::console::Console;
use super::output::format::{Format, FormatArgs};
use super::output::text::{Text, TextSpan};
use super::requests::Where;
use crate::api::request::AccessRequest;
use crate::api::subject::Identity;
use crate::core::model::subjects::{SERVICE_ACCOUNT_PREFIX, service_account};
use crate::core::rbac::allowed::AskedRight;
use crate::core::report::who::{WhoQuestion, WhoseAccess};

/// Groups that everybody is in who is logged in, and every service account.
const EVERYBODY: &str = "system:authenticated";
const ACCOUNTS: &str = "system:serviceaccounts";

/// The command line of `who`.
#[derive(Debug, clap::Args)]
pub struct WhoArgs {
    /// Only the access of this user; or group/NAME, or serviceaccount/NAMESPACE/NAME. Left out: of everybody.
    #[arg(value_name = "WHO", value_parser = NonEmptyStringValueParser::new())]
    who: Option<String>,
    /// Only access that allows this: VERB[,VERB]:RESOURCE[.GROUP][/NAME[/SUBRESOURCE]], such as delete:pods, or create:pods/*/exec.
    /// Of several verbs all. Who may list bindings sees the access of others than Daypass too.
    #[arg(long, value_name = "RIGHT")]
    can: Option<RuleArg>,
    /// Namespace that the access holds in. Left out: that of the context.
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// Access wherever it holds.
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    all_namespaces: bool,
    #[command(flatten)]
    format: FormatArgs,
    #[command(flatten)]
    contexts: ContextsArgs,
    #[command(flatten)]
    connection: Connection,
}

/// Tells who can do what.
///
/// # Errors
/// When requests cannot be read.
pub async fn run(args: WhoArgs, console: &mut Console) -> Result<Exit, PluginError> {
    let answer = async |cluster: Cluster, console: &mut Console| args.answer(&cluster, console).await;
    let told = args.contexts.ask(&args.connection, console, answer).await?;
    let rows: Vec<(&ContextAnswer<Vec<WhoRow>>, &WhoRow)> =
        told.answers.iter().flat_map(|of| of.answer.iter().map(move |row| (of, row))).collect();
    let format = args.format.format();
    let document = if format == Format::Name {
        let sources: Vec<_> = rows.iter().map(|(of, row)| (of.context.as_deref(), row.source())).collect();
        format.side_by_side(&sources, &told.failed)?
    } else {
        let rows: Vec<_> = rows.iter().map(|(of, row)| (of.context.as_deref(), row)).collect();
        format.side_by_side(&rows, &told.failed)?
    };
    match document {
        Some(document) => console.print(&document),
        None if rows.is_empty() => {}
        None => console.show(&args.table(&told, &rows)),
    }
    Ok(told.exit())
}

impl WhoArgs {
    /// The access that one cluster tells of.
    async fn answer(&self, cluster: &Cluster, console: &mut Console) -> Result<Vec<WhoRow>, PluginError> {
        let place = Where::of(cluster, self.all_namespaces, &self.namespace);
        let right = match &self.can {
            Some(RuleArg { on: RuleTarget::Url(path), .. }) => {
                let problem = format!("{path} is no resource, and only access to resources is told: name a resource");
                return Err(PluginError::Flag { flag: "--can", problem });
            }
            Some(typed) => {
                let rule = groups::rules(cluster, "--can", std::slice::from_ref(typed)).await?.pop();
                rule.map(|rule| AskedRight {
                    verbs: rule.verbs,
                    group: rule.api_groups.into_iter().next().unwrap_or_default(),
                    resource: rule.resources.into_iter().next().unwrap_or_default(),
                    name: rule.resource_names.into_iter().next(),
                })
            }
            None => None,
        };
        let reading = WhoReading { cluster, place: &place, right: right.is_some(), subject: self.who.is_some() };
        let read = reading.read(console).await?;
        let subject = match &self.who {
            Some(who) => Some(self.asked(who, &read, cluster, console).await?),
            None => None,
        };
        let namespace = match &place {
            Where::Namespace(name) => Some(name.clone()),
            Where::Everywhere => None,
        };
        let question = WhoQuestion { namespace, right, subject };
        let mut rows = rows(&read, &question);
        if rows.iter().any(WhoRow::is_suspicious) {
            // Something may have begun or ended between two of the reads: only what is so twice is told.
            let again = reading.read(&mut Console::silent()).await?;
            let before = std::mem::take(&mut rows);
            rows = again_so(&before, self::rows(&again, &question));
        }
        if rows.is_empty() && self.format.is_for_people() {
            console.say(self.nobody(&place));
        }
        Ok(rows)
    }

    /// Who is meant, with the groups that they are known to be in.
    async fn asked(
        &self,
        typed: &str,
        read: &WhoRead,
        cluster: &Cluster,
        console: &mut Console,
    ) -> Result<WhoseAccess, PluginError> {
        let username = match typed.split_once('/') {
            Some(("group", name)) => return Ok(WhoseAccess::Group(name.to_owned())),
            Some(("user", name)) => name.to_owned(),
            Some(("serviceaccount", account)) => match account.split_once('/') {
                Some((namespace, name)) => format!("{SERVICE_ACCOUNT_PREFIX}{namespace}:{name}"),
                None => {
                    let problem = "write serviceaccount/NAMESPACE/NAME".to_owned();
                    return Err(PluginError::Flag { flag: "WHO", problem });
                }
            },
            _ => typed.to_owned(),
        };
        let me = identity::caller(cluster).await?;
        let groups = if me.username == username { Some(me.groups) } else { recorded_groups(&read.requests, &username) };
        if groups.is_none() && !read.kinds.is_empty() {
            console.note(&format!(
                "which groups {username} is in is not known here: standing access by groups is told for {EVERYBODY} alone"
            ));
        }
        let mut groups = groups.unwrap_or_default();
        groups.push(EVERYBODY.to_owned());
        if let Some((namespace, _)) = service_account(&username) {
            groups.extend([ACCOUNTS.to_owned(), format!("{ACCOUNTS}:{namespace}")]);
        }
        Ok(WhoseAccess::Person(Identity { username, groups, ..Identity::default() }))
    }

    fn nobody(&self, place: &Where) -> String {
        let more = if *place == Where::Everywhere { "" } else { ": -A looks everywhere" };
        let can = if self.can.is_some() { "can do that" } else { "has access through Daypass" };
        let who = self.who.as_ref().map_or_else(|| "nobody".to_owned(), |who| format!("not even {who}"));
        format!("{who} {can} now{}, as far as you may read{more}", place.words())
    }

    fn table(&self, told: &ContextAnswers<Vec<WhoRow>>, rows: &[(&ContextAnswer<Vec<WhoRow>>, &WhoRow)]) -> Text {
        let narrow = rows.iter().any(|(_, row)| !row.objects().words.is_empty());
        let on: &[&str] = if narrow { &["ON"] } else { &[] };
        let heads = [told.head(), &["WHO", "ROLE"], on, &["WHERE", "UNTIL", "THROUGH", "STATE"]].concat();
        let mut table = self.format.table(&heads, &["ALLOWED BY", "REASON"]);
        for (of, row) in rows {
            let mut cells: Vec<TextSpan> = of.cell().into_iter().collect();
            cells.extend([row.who().into(), row.role_in_words().into()]);
            cells.extend(narrow.then(|| row.objects()));
            cells.extend([row.place().into(), row.until_in_words().into(), row.through().into(), row.state_in_words()]);
            if self.format.is_wide() {
                cells.extend([row.allowed_by().into(), row.reason.clone().unwrap_or_default().into()]);
            }
            table.row(cells);
        }
        table.text()
    }
}

/// The groups of somebody, by the last of their requests that can be read.
fn recorded_groups(requests: &[AccessRequest], username: &str) -> Option<Vec<String>> {
    let mut theirs = requests.iter().filter_map(|request| request.spec.requester.as_ref());
    theirs.rfind(|who| who.username == username).map(|who| who.groups.clone())
}

fn rows(read: &WhoRead, question: &WhoQuestion) -> Vec<WhoRow> {
    read.seen().held(question).iter().map(WhoRow::of).collect()
}

/// What was read later, in which a suspicion that is new is none yet.
fn again_so(before: &[WhoRow], after: Vec<WhoRow>) -> Vec<WhoRow> {
    let confirmed = |row: &WhoRow| !row.is_suspicious() || before.contains(row);
    after.into_iter().filter_map(|row| if confirmed(&row) { Some(row) } else { row.unsuspected() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::laws::fixtures::request;
    use crate::core::report::who::{Evidence, Held, Through};
    use serde_json::json;

    #[test]
    fn only_what_is_so_twice_is_told() {
        let request = request(json!({}));
        let row = |evidence| {
            WhoRow::of(&Held {
                who: crate::core::laws::fixtures::user("alice"),
                role: request.spec.role.clone(),
                namespaces: Some(vec!["shop".to_owned()]),
                allowed: None,
                through: Through::Request(&request, evidence),
            })
        };
        let (missing, bound) = (row(Evidence::Missing), row(Evidence::Bound));
        let was_missing = std::slice::from_ref(&missing);
        assert_eq!(again_so(was_missing, vec![missing.clone()]), was_missing);
        assert_eq!(again_so(was_missing, vec![bound.clone()]), std::slice::from_ref(&bound));
        assert_eq!(again_so(&[bound], vec![missing]), [row(Evidence::OnRecord)], "it may have ended just now");
    }
}
