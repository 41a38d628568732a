//! `kubectl daypass options`: what the policies let the caller ask for here, what would be decided, and the line to ask.
//!
//! [`crate::core::report::offers`] lists what is worth asking about, and [`super::forecast`] asks the core about each. Decides
//! nothing.

use futures::{StreamExt, TryStreamExt, stream};
use serde::Serialize;

use super::draft::Wish;
use super::forecast::{Forecast, ForecastReading, Foreseen};
use super::line;
use crate::api::request::AccessRequest;
use crate::api::selector::RequestScope;
use crate::api::subject::{Identity, RoleName};
use crate::cli::plugin::cluster::{Cluster, Connection, quoted};
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::exit::Exit;
use crate::cli::plugin::identity;
use crate::cli::plugin::output::console::Console;
use crate::cli::plugin::output::format::{Format, FormatArgs};
use crate::cli::plugin::output::text::{Text, TextSpan, Tone};
use crate::cli::plugin::seen::{InstallationArgs, PoliciesRead, Unseen};
use crate::core::model::duration;
use crate::core::report::alternatives::TICKET_TO_NAME;
use crate::core::report::offers::{Offer, OfferPlace, may_be_offered_by_label, offered_in, offers};
use crate::runtime::clock::Clock;

/// What stands for a reason while the core is asked: policies may have conditions on it.
const SOME_REASON: &str = "a reason that says why this access is needed";
/// What stands in a line for the reason that somebody has to fill in.
pub const REASON_TO_GIVE: &str = "WHY";
/// How many offers are asked about at a time.
const AT_A_TIME: usize = 8;

/// The command line of `options`.
#[derive(Debug, clap::Args)]
pub struct OptionsArgs {
    /// Namespace to ask in. Left out: that of the context.
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    #[command(flatten)]
    format: FormatArgs,
    #[command(flatten)]
    installation: InstallationArgs,
    #[command(flatten)]
    connection: Connection,
}

/// Lists what the caller may ask for.
///
/// # Errors
/// When policies cannot be read.
pub async fn run(args: OptionsArgs, console: &mut Console) -> Result<Exit, PluginError> {
    let cluster = Cluster::connect(&args.connection).await?;
    let who = identity::requester(&cluster).await?;
    let namespace = cluster.namespace_or(&args.namespace);
    let options = AskOptions::read(&cluster, &args.installation, namespace, &who, args.connection.flags()).await?;
    options.tell_notes(console);
    options.show(&args.format.format(), console)?;
    Ok(Exit::Done)
}

/// Something that one may ask for.
pub struct AskOption {
    pub offer: Offer,
    /// The request, without a reason of its own, and without a ticket.
    pub draft: AccessRequest,
    /// Whether it is not allowed without a ticket.
    pub needs_ticket: bool,
    pub forecast: Forecast,
    gaps: Vec<Unseen>,
}

/// All that one may ask for in a namespace and in the whole cluster.
pub struct AskOptions {
    namespace: String,
    who: Identity,
    /// Flags that lead a further command to the same cluster.
    flags: String,
    pub options: Vec<AskOption>,
    /// Namespaces in which policies name the caller, this one included.
    elsewhere: Vec<String>,
    /// What could not be read.
    gaps: Vec<Unseen>,
}

impl AskOptions {
    /// Reads policies and has the core decide about each thing that they offer.
    ///
    /// # Errors
    /// When policies cannot be read.
    pub async fn read(
        cluster: &Cluster,
        installation: &InstallationArgs,
        namespace: &str,
        who: &Identity,
        flags: String,
    ) -> Result<Self, PluginError> {
        let policies = PoliciesRead::read(cluster).await?;
        let here = [namespace.to_owned()];
        let (namespaces, unread) = policies.namespaces_or(cluster, &here).await?;
        let forecasts = ForecastReading { cluster, policies: &policies, installation, now: Clock::wall().now() };
        let reading = OfferReading { forecasts, namespace, who };
        let offered = offers(&policies.set, who, namespace, &namespaces);
        let options: Vec<AskOption> =
            stream::iter(offered).map(|offer| reading.option(offer)).buffered(AT_A_TIME).try_collect().await?;
        let elsewhere = offered_in(&policies.set, who, &namespaces).into_iter().collect();
        let mut gaps = Vec::new();
        if !unread.is_empty() && may_be_offered_by_label(&policies.set, who, namespace) {
            gaps.push(Unseen::Namespaces(unread));
        }
        for gap in options.iter().flat_map(|option| &option.gaps) {
            if !gaps.contains(gap) {
                gaps.push(gap.clone());
            }
        }
        let options = worth_showing(options);
        Ok(Self { namespace: namespace.to_owned(), who: who.clone(), flags, options, elsewhere, gaps })
    }

    /// Whether there is nothing to ask for.
    pub fn is_empty(&self) -> bool {
        self.options.is_empty()
    }

    /// Says what could not be read.
    pub fn tell_notes(&self, console: &mut Console) {
        self.notes().iter().for_each(|note| console.note(note));
    }

    /// What could not be read, in sentences. Roles that could not be read are told together: there may be many.
    pub fn notes(&self) -> Vec<String> {
        let unread: Vec<&RoleName> = self
            .gaps
            .iter()
            .filter_map(|gap| match gap {
                Unseen::Role { role, .. } => Some(role),
                _ => None,
            })
            .collect();
        let others = self.gaps.iter().filter(|gap| !matches!(gap, Unseen::Role { .. }));
        let mut notes: Vec<String> = others.map(ToString::to_string).collect();
        match &unread[..] {
            [] => {}
            [_] => {
                notes.extend(self.gaps.iter().filter(|gap| matches!(gap, Unseen::Role { .. })).map(ToString::to_string))
            }
            several => notes.push(format!(
                "you may not read {}: what they allow and how risky that is bears on the answer",
                several.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
            )),
        }
        notes
    }

    /// Shows them.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn show(&self, format: &Format, console: &mut Console) -> Result<(), PluginError> {
        match format {
            Format::People | Format::Wide => console.show(&self.text()),
            Format::Name => self.options.iter().for_each(|option| {
                console.print(&format!("{}\n", line::role(&option.offer.role)));
            }),
            _ => console.print(&format.object(&self.document())?.unwrap_or_default()),
        }
        Ok(())
    }

    fn text(&self) -> Text {
        let mut text = Text::default();
        for option in &self.options {
            text.spans(option.spans());
            if let Some(line) = option.line(&self.flags).filter(|_| !option.forecast.is_denied()) {
                text.line(format!("    {line}"));
            }
        }
        if self.options.is_empty() {
            let (who, namespace) = (&self.who.username, &self.namespace);
            text.line(format!(
                "no policy lets {who} ask for anything in namespace {namespace} or in the whole cluster"
            ));
            let others: Vec<&str> =
                self.elsewhere.iter().map(String::as_str).filter(|name| *name != self.namespace).collect();
            if let Some(first) = others.first() {
                text.line(format!(
                    "there is something in namespace {}: kubectl daypass options -n {}{}",
                    others.join(", "),
                    quoted(first),
                    self.flags
                ));
            }
        }
        text
    }

    fn document(&self) -> OptionsDocument<'_> {
        let options = self.options.iter().map(|option| option.document(&self.flags)).collect();
        OptionsDocument { namespace: &self.namespace, options, notes: self.notes() }
    }
}

/// What there is to ask for, as JSON and YAML.
#[derive(Serialize)]
struct OptionsDocument<'a> {
    namespace: &'a str,
    options: Vec<OptionDocument>,
    notes: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OptionDocument {
    role: RoleName,
    cluster: bool,
    break_glass: bool,
    policy: String,
    usual_duration: String,
    max_duration: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    recurring_weeks: Option<i32>,
    needs_ticket: bool,
    allowed: bool,
    sure: bool,
    says: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<String>,
}

impl AskOption {
    /// What it is, how long it lasts and what would be decided.
    pub fn spans(&self) -> Vec<TextSpan> {
        let offer = &self.offer;
        let place = match &offer.place {
            OfferPlace::Namespace(name) => format!(" in namespace {name}"),
            OfferPlace::Cluster => " in the whole cluster".to_owned(),
        };
        let fire = if offer.break_glass { ", in an emergency" } else { "" };
        let weeks = offer.weeks.map(|weeks| format!(", every week for up to {weeks} weeks")).unwrap_or_default();
        let ticket = if self.needs_ticket { ", with a ticket" } else { "" };
        let longest = duration::format(offer.longest);
        vec![
            TextSpan::new(line::role(&offer.role), Tone::Strong),
            format!("{place}{fire}, for up to {longest}{weeks}{ticket}: ").into(),
            self.forecast.brief(),
            TextSpan::new(format!(" (policy {})", offer.policy), Tone::Dim),
        ]
    }

    /// The line that asks for it, with these flags; none for what no line asks for.
    pub fn line(&self, flags: &str) -> Option<String> {
        let mut draft = self.draft.clone();
        draft.spec.reason = REASON_TO_GIVE.to_owned();
        draft.spec.ticket = self.needs_ticket.then(|| TICKET_TO_NAME.to_owned());
        line::line(&draft, flags)
    }

    fn document(&self, flags: &str) -> OptionDocument {
        let (offer, allowed) = (&self.offer, !self.forecast.is_denied());
        OptionDocument {
            role: offer.role.clone(),
            cluster: offer.place == OfferPlace::Cluster,
            break_glass: offer.break_glass,
            policy: offer.policy.clone(),
            usual_duration: duration::format(offer.usual),
            max_duration: duration::format(offer.longest),
            recurring_weeks: offer.weeks,
            needs_ticket: self.needs_ticket,
            allowed,
            sure: self.forecast.is_sure(),
            says: self.forecast.brief().words,
            command: self.line(flags).filter(|_| allowed),
        }
    }
}

/// What offers are looked at with.
struct OfferReading<'a> {
    forecasts: ForecastReading<'a>,
    namespace: &'a str,
    who: &'a Identity,
}

impl OfferReading<'_> {
    /// What would be decided about an offer: without a ticket, or else with one if that helps.
    async fn option(&self, offer: Offer) -> Result<AskOption, PluginError> {
        let mut draft = self.draft(&offer);
        let mut foreseen = self.forecasts.of(&draft).await?;
        let mut needs_ticket = false;
        if foreseen.forecast.is_denied() {
            draft.spec.ticket = Some(TICKET_TO_NAME.to_owned());
            let with_ticket = self.forecasts.of(&draft).await?;
            draft.spec.ticket = None;
            if !with_ticket.forecast.is_denied() {
                (foreseen, needs_ticket) = (with_ticket, true);
            }
        }
        draft.spec.policy = None;
        let Foreseen { forecast, gaps, .. } = foreseen;
        Ok(AskOption { offer, draft, needs_ticket, forecast, gaps })
    }

    fn draft(&self, offer: &Offer) -> AccessRequest {
        let whole = RequestScope { namespaces: Vec::new(), namespace_selector: None, cluster: true };
        Wish {
            role: &line::role(&offer.role),
            namespace: self.namespace,
            duration: None,
            start: None,
            recurrence: None,
            reason: SOME_REASON.to_owned(),
            ticket: None,
            rules: Vec::new(),
            scope: (offer.place == OfferPlace::Cluster).then_some(whole),
            policy: Some(offer.policy.clone()),
            break_glass: offer.break_glass,
            requester: self.who.clone(),
        }
        .request()
    }
}

/// Of what is for the same thing, what asks least of people, and what asks more but lasts longer or takes no ticket. A no is
/// shown only of what nobody gives. Whatever is not the first names its length: the policies before it do not give that.
fn worth_showing(mut options: Vec<AskOption>) -> Vec<AskOption> {
    let thing = |o: &AskOption| (o.offer.role.clone(), o.offer.place.clone(), o.offer.break_glass);
    options.sort_by_key(|o| (thing(o), o.forecast.rank(), o.needs_ticket, o.offer.policy.clone()));
    let mut shown: Vec<AskOption> = Vec::new();
    for mut option in options {
        let same: Vec<&AskOption> = shown.iter().filter(|other| thing(other) == thing(&option)).collect();
        let gives_no_less = |other: &&AskOption| {
            other.offer.longest >= option.offer.longest && (option.needs_ticket || !other.needs_ticket)
        };
        if same.iter().any(gives_no_less) || (option.forecast.is_denied() && !same.is_empty()) {
            continue;
        }
        if !same.is_empty() {
            option.draft.spec.duration = Some(duration::format(option.offer.longest));
        }
        shown.push(option);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::laws::fixtures::request;
    use k8s_openapi::jiff::SignedDuration;
    use serde_json::json;

    fn option(policy: &str, hours: i64, needs_ticket: bool, forecast: Forecast) -> AskOption {
        let role = crate::cli::plugin::ask::draft::role_name("edit");
        let (usual, longest) = (SignedDuration::from_hours(1), SignedDuration::from_hours(hours));
        let place = OfferPlace::Namespace("shop".to_owned());
        let offer = Offer { role, place, break_glass: false, policy: policy.to_owned(), usual, longest, weeks: None };
        AskOption { offer, draft: request(json!({})), needs_ticket, forecast, gaps: Vec::new() }
    }

    fn at_once() -> Forecast {
        Forecast::Granted { policy: String::new(), grant: None, sure: true }
    }

    fn asks() -> Forecast {
        Forecast::Needs { policy: String::new(), stages: Vec::new(), deadline: None }
    }

    fn no() -> Forecast {
        Forecast::Denied { reasons: Vec::new(), sure: true }
    }

    fn shown(options: Vec<AskOption>) -> String {
        let words = |o: AskOption| format!("{}/{}", o.offer.policy, o.draft.spec.duration.unwrap_or_default());
        worth_showing(options).into_iter().map(words).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_another_gives_for_less_is_not_shown() {
        assert_eq!(shown(vec![option("b", 1, false, asks()), option("a", 1, false, at_once())]), "a/");
        assert_eq!(shown(vec![option("b", 8, false, asks()), option("a", 1, false, at_once())]), "a/ b/8h");
        assert_eq!(shown(vec![option("b", 1, false, asks()), option("a", 1, true, at_once())]), "a/ b/1h");
        assert_eq!(shown(vec![option("b", 8, false, no()), option("a", 1, false, at_once())]), "a/");
        assert_eq!(shown(vec![option("b", 8, false, no())]), "b/");
    }
}
