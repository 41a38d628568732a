//! Sends requests: says what would be decided, makes them, and waits for the answers.
//!
//! Nothing here decides, and nothing here knows what a command line asks for.

use std::time::Duration;

use kube::ResourceExt;
use tokio::time::Instant;

use super::ending;
use super::forecast::{Forecast, ForecastReading};
use super::line;
use super::wait::{self, Waited, Why};
use crate::api::request::AccessRequest;
use crate::cli::plugin::cluster::{Cluster, Connection, Timeout, quoted, timeout};
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::exit::Exit;
use crate::cli::plugin::output::console::Console;
use crate::cli::plugin::output::format::{Format, FormatArgs};
use crate::cli::plugin::output::text::{Text, TextSpan, Tone};
use crate::cli::plugin::see::words;
use crate::cli::plugin::seen::{InstallationArgs, PoliciesRead};
use crate::cli::plugin::write;
use crate::core::model::duration;
use crate::runtime::clock::Clock;

/// How a request is sent, whatever it asks for.
#[derive(Debug, clap::Args)]
pub struct SendArgs {
    /// Say what would be decided, have the API server look at the request, and make none. That the cluster's guard and the clock
    /// of Daypass are in order, and that Daypass is installed as --watch-namespaces and --release-namespace say, is taken for
    /// granted: neither can be seen from here.
    #[arg(long)]
    pub dry_run: bool,
    /// Do not wait for the answer.
    #[arg(long)]
    no_wait: bool,
    /// How long to wait for the answer, such as 10m. When that is up the exit code is 4, and the request stays. Left out, or 0:
    /// until there is one.
    #[arg(long, value_name = "DURATION", value_parser = timeout, conflicts_with = "no_wait")]
    timeout: Option<Timeout>,
    #[command(flatten)]
    pub format: FormatArgs,
    #[command(flatten)]
    pub installation: InstallationArgs,
    #[command(flatten)]
    pub connection: Connection,
}

/// Looks at a length of time that was typed.
///
/// # Errors
/// That it is none, and what one looks like.
pub fn check_length(flag: &'static str, length: &str) -> Result<(), PluginError> {
    let bad = duration::parse(length).err();
    bad.map_or(Ok(()), |bad| Err(PluginError::Flag { flag, problem: format!("{bad}: write 30m or 1h30m") }))
}

/// Says what would be decided about a request, sends it, and waits for the answer.
///
/// # Errors
/// Why it cannot. A request that is refused is no error.
pub async fn send(
    cluster: Cluster,
    draft: &AccessRequest,
    how: &SendArgs,
    console: &mut Console,
) -> Result<Exit, PluginError> {
    let mut asking = RequestRun::new(cluster, how, false);
    match asking.ask(draft, console).await? {
        Some(sent) => asking.finish(sent, console).await,
        None => Ok(Exit::Refused),
    }
}

/// The same of several: all are sent before one is waited for. What is wrong with one is said and keeps no other back; the
/// command ends as the first that is not done.
///
/// # Errors
/// When they cannot be written for programs.
pub async fn send_all(
    cluster: Cluster,
    drafts: &[AccessRequest],
    how: &SendArgs,
    console: &mut Console,
) -> Result<Exit, PluginError> {
    if let [only] = drafts {
        return send(cluster, only, how, console).await;
    }
    let mut asking = RequestRun::new(cluster, how, true);
    let (mut sent, mut exit) = (Vec::new(), Exit::Done);
    for draft in drafts {
        match asking.ask(draft, console).await {
            Ok(Some(made)) => sent.push(made),
            Ok(None) => exit = exit.or(Exit::Refused),
            Err(error) => {
                console.say(TextSpan::new(error.to_string(), Tone::Bad));
                exit = exit.or(error.exit());
            }
        }
    }
    for made in sent {
        match asking.finish(made, console).await {
            Ok(ended) => exit = exit.or(ended),
            Err(error) => {
                console.say(TextSpan::new(error.to_string(), Tone::Bad));
                exit = exit.or(error.exit());
            }
        }
    }
    if let Some(document) = how.format.format().list(&asking.ended)? {
        console.print(&document);
    }
    Ok(exit)
}

/// What would be decided about a draft.
struct Outlook {
    forecast: Forecast,
    /// What the caller may not read of what decides it.
    notes: Vec<String>,
    /// What would be allowed in place of what would not.
    nearest: Option<(AccessRequest, Forecast)>,
}

impl Outlook {
    async fn read(
        cluster: &Cluster,
        installation: &InstallationArgs,
        draft: &AccessRequest,
    ) -> Result<Self, PluginError> {
        let policies = match PoliciesRead::read(cluster).await {
            Ok(policies) => policies,
            Err(error) if error.is_forbidden() => {
                let forecast = Forecast::Unknown { why: error.to_string() };
                return Ok(Self { forecast, notes: Vec::new(), nearest: None });
            }
            Err(error) => return Err(error),
        };
        let reading = ForecastReading { cluster, policies: &policies, installation, now: Clock::wall().now() };
        let foreseen = reading.of(draft).await?;
        let nearest = reading.nearest(&foreseen).await?;
        let notes = foreseen.gaps.iter().map(ToString::to_string).collect();
        Ok(Self { forecast: foreseen.forecast, notes, nearest })
    }

    fn text(&self, flags: &str) -> Text {
        let mut text = self.forecast.text();
        if let Some((request, forecast)) = &self.nearest {
            text.spans(vec!["the nearest that you may ask for: ".into(), forecast.brief()]);
            let line = line::line(request, flags);
            text.line(format!("    {}", line.unwrap_or_else(|| "a manifest with those changes".to_owned())));
        }
        text
    }
}

/// One run of the command.
struct RequestRun<'a> {
    cluster: Cluster,
    how: &'a SendArgs,
    /// Whether there is more than one request, so that each is told by its name.
    several: bool,
    /// Until when answers are waited for; none before the first is.
    until: Option<Instant>,
    /// Whether somebody has had enough of waiting.
    interrupted: bool,
    /// For programs: the requests of several that are done with.
    ended: Vec<AccessRequest>,
}

impl<'a> RequestRun<'a> {
    fn new(cluster: Cluster, how: &'a SendArgs, several: bool) -> Self {
        Self { cluster, how, several, until: None, interrupted: false, ended: Vec::new() }
    }

    /// Says what would be decided about a draft, and makes it unless that is in vain.
    async fn ask(&self, draft: &AccessRequest, console: &mut Console) -> Result<Option<AccessRequest>, PluginError> {
        let outlook = Outlook::read(&self.cluster, &self.how.installation, draft).await?;
        outlook.notes.iter().for_each(|note| console.note(note));
        if self.several {
            let name = draft.metadata.name.as_ref().or(draft.metadata.generate_name.as_ref());
            self.tell(&Text::of(format!("{}:", name.map_or("", String::as_str))), console);
        }
        self.tell(&outlook.text(&self.how.connection.flags()), console);
        if outlook.forecast.is_in_vain() {
            return Ok(None);
        }
        let sent = write::request(&self.cluster, draft, self.how.dry_run).await?;
        if !self.how.dry_run {
            self.tell(&Text::of(format!("request {} is made", words::name(&sent))), console);
        }
        Ok(Some(sent))
    }

    /// Waits for the answer to a request that is made, if it is to be waited for.
    async fn finish(&mut self, sent: AccessRequest, console: &mut Console) -> Result<Exit, PluginError> {
        if self.how.dry_run {
            return self.end(&sent, "nothing was asked for: that was a dry run", Exit::Done, console);
        }
        if self.how.no_wait {
            console.next(&self.see(&sent));
            return self.end(&sent, "", Exit::Done, console);
        }
        self.wait(sent, console).await
    }

    /// What happens on the way: a result for people, and beside the result for programs.
    fn tell(&self, text: &Text, console: &mut Console) {
        match self.how.format.format() {
            Format::People | Format::Wide => console.show(text),
            _ => console.remark(text),
        }
    }

    /// The end: words for people, and for programs the request with the words beside it.
    fn end(
        &mut self,
        request: &AccessRequest,
        words: impl Into<TextSpan>,
        exit: Exit,
        console: &mut Console,
    ) -> Result<Exit, PluginError> {
        let words = words.into();
        match self.how.format.format().object(request)? {
            Some(_) if self.several => self.ended.push(request.clone()),
            Some(document) => {
                if !words.words.is_empty() {
                    console.remark(&Text::of(words));
                }
                console.print(&document);
            }
            None if words.words.is_empty() => {}
            None if self.several => {
                let mut text = Text::default();
                text.spans(vec![format!("{}: ", words::name(request)).into(), words]);
                console.show(&text);
            }
            None => console.show(&Text::of(words)),
        }
        Ok(exit)
    }

    async fn wait(&mut self, sent: AccessRequest, console: &mut Console) -> Result<Exit, PluginError> {
        let flags = self.how.connection.flags();
        let long = self.how.timeout.and_then(|timeout| timeout.0);
        let left = long.map(|long| {
            self.until.get_or_insert_with(|| Instant::now() + long).saturating_duration_since(Instant::now())
        });
        // Whoever has had enough is not kept by the next one.
        let left = if self.interrupted { Some(Duration::ZERO) } else { left };
        match wait::until_answered(&self.cluster, &sent, left, console).await? {
            Waited::Answered(request) => {
                let exit = ending::exit(request.status.clone().unwrap_or_default().state);
                let ended = self.end(&request, ending::line(&request), exit, console)?;
                if exit == Exit::Done {
                    console.next(&ending::to_try(&request, &flags));
                } else {
                    console.next(&self.explain(&request));
                }
                Ok(ended)
            }
            Waited::Deleted => {
                console.say(ending::deleted());
                Ok(Exit::Refused)
            }
            Waited::StillOpen(why) => {
                self.interrupted |= why == Why::Interrupted;
                let why = match why {
                    Why::Timeout if !self.interrupted => "no answer in time",
                    _ => "you do not wait any more",
                };
                console.say(TextSpan::new(
                    format!("{why}: the request stays, and is decided all the same"),
                    Tone::Waiting,
                ));
                console.say(format!("to come back: {}", self.see(&sent)));
                self.end(&sent, "", Exit::Waiting, console)
            }
        }
    }

    fn see(&self, request: &AccessRequest) -> String {
        self.command("show", request)
    }

    fn explain(&self, request: &AccessRequest) -> String {
        self.command("explain", request)
    }

    fn command(&self, command: &str, request: &AccessRequest) -> String {
        let (namespace, name) = (request.namespace().unwrap_or_default(), request.name_any());
        format!("kubectl daypass {command} {} -n {namespace}{}", quoted(&name), self.how.connection.flags())
    }
}
