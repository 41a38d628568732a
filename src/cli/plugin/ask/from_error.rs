//! `request --from-error`: of calls that were refused, the narrowest requests that would let them pass.
//!
//! Finds the calls in what is pasted or piped, and has [`super::propose`] look for requests.

use std::io::Read;

use super::forecast::ForecastReading;
use super::propose::{AskedTerms, propose};
use super::send::{SendArgs, send_all};
use crate::api::subject::Identity;
use crate::cli::plugin::cluster::Cluster;
use crate::cli::plugin::error::{InvalidInput, PluginError};
use crate::cli::plugin::exit::Exit;
use crate::cli::plugin::identity;
use crate::cli::plugin::output::console::Console;
use crate::cli::plugin::output::text::{TextSpan, Tone};
use crate::cli::plugin::refused::RefusedCall;
use crate::cli::plugin::refused::message::refused_calls;
use crate::cli::plugin::seen::PoliciesRead;
use crate::runtime::clock::Clock;

/// Proposes what to ask for, and asks for it when there is a reason to give.
///
/// # Errors
/// When nothing was refused to the caller, or the cluster cannot be asked.
pub async fn run(
    cluster: Cluster,
    terms: &AskedTerms,
    who: Identity,
    how: &SendArgs,
    console: &mut Console,
) -> Result<Exit, PluginError> {
    let calls = of_caller(refused_calls(&read(console)?), &who, console)?;
    let calls = missing(&cluster, calls, console).await?;
    if calls.is_empty() {
        return Ok(Exit::Done);
    }
    let policies = PoliciesRead::read(&cluster).await?;
    let now = Clock::wall().now();
    let reading = ForecastReading { cluster: &cluster, policies: &policies, installation: &how.installation, now };
    let proposals = propose(&reading, &who, terms, &calls).await?;
    let mut drafts = Vec::new();
    let mut exit = Exit::Done;
    for proposal in &proposals {
        let (text, draft) = proposal.told(&reading, &how.connection.flags(), terms.reason.is_none()).await?;
        console.remark(&text);
        exit = exit.or(if draft.is_some() { Exit::Done } else { Exit::Refused });
        drafts.extend(draft);
    }
    if drafts.is_empty() || !is_wanted(terms, console) {
        return Ok(exit);
    }
    if let (None, Some(reason)) = (&terms.reason, asked_reason(terms, console)) {
        drafts.iter_mut().for_each(|draft| draft.spec.reason.clone_from(&reason));
    }
    Ok(exit.or(send_all(cluster, &drafts, how, console).await?))
}

/// Whether the proposals are to be asked for: at a terminal somebody is asked, elsewhere the reason says it.
fn is_wanted(terms: &AskedTerms, console: &mut Console) -> bool {
    terms.reason.is_some() || (console.can_ask() && console.confirm("ask for it?"))
}

fn asked_reason(terms: &AskedTerms, console: &mut Console) -> Option<String> {
    terms.reason.clone().or_else(|| console.ask("why is access needed? "))
}

/// The text: all of standard input, or at a terminal what is pasted up to an empty line.
fn read(console: &mut Console) -> Result<String, PluginError> {
    let mut text = String::new();
    if console.can_ask() {
        console.say("paste the error, and an empty line after it:");
        while let Some(line) = console.ask("").filter(|line| !line.is_empty()) {
            text = text + &line + "\n";
        }
        return Ok(text);
    }
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes).map_err(|error| InvalidInput::one("standard input", error))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The calls that were refused to the caller; that some were to others is said.
fn of_caller(calls: Vec<RefusedCall>, who: &Identity, console: &mut Console) -> Result<Vec<RefusedCall>, PluginError> {
    if calls.is_empty() {
        return Err(PluginError::NoRefusal);
    }
    let is_own = |call: &RefusedCall| call.user.as_ref().is_none_or(|user| *user == who.username);
    let (own, others): (Vec<_>, Vec<_>) = calls.into_iter().partition(is_own);
    let refused = others.first().and_then(|call| call.user.clone()).unwrap_or_default();
    if own.is_empty() {
        return Err(PluginError::RefusedToSomebodyElse { refused, caller: who.username.clone() });
    }
    if !others.is_empty() {
        console.note(&format!("{} of the refusals are of {refused} or others, and are left out", others.len()));
    }
    Ok(own)
}

/// The calls that the caller may not make now; what they may is said.
async fn missing(
    cluster: &Cluster,
    calls: Vec<RefusedCall>,
    console: &mut Console,
) -> Result<Vec<RefusedCall>, PluginError> {
    let mut missing = Vec::new();
    for call in calls {
        if identity::may(cluster, call.question()).await? {
            console.say(TextSpan::new(format!("you may {call} already: try again"), Tone::Good));
        } else {
            missing.push(call);
        }
    }
    Ok(missing)
}
