//! Which requests somebody wants to see: the flags that `list` and `watch` have in common.

use super::words;
use crate::api::request::{AccessRequest, State};
use crate::api::subject::Identity;
use crate::cli::plugin::cluster::{Cluster, Connection};
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::identity;
use crate::cli::plugin::output::format::FormatArgs;
use crate::cli::plugin::requests::{self, Where};

/// Which requests, and how they are shown.
#[derive(Debug, clap::Args)]
pub struct Choice {
    /// Namespace to look in. Left out: that of the context.
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// Look in all namespaces.
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    all_namespaces: bool,
    /// Those of everybody, and not yours alone.
    #[arg(long)]
    everyone: bool,
    /// Only those of this user.
    #[arg(long, value_name = "NAME", conflicts_with = "everyone")]
    requester: Option<String>,
    /// Only those in one of these states, separated by commas: Pending, Scheduled, Active, Suspended, Denied, Expired, Revoked,
    /// Lapsed, Failed, Extended.
    #[arg(long, value_name = "STATES", value_delimiter = ',', value_parser = state)]
    state: Vec<State>,
    /// Only those that this policy decided, or decides.
    #[arg(long, value_name = "NAME")]
    policy: Option<String>,
    #[command(flatten)]
    pub format: FormatArgs,
    #[command(flatten)]
    pub connection: Connection,
}

/// Whose requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    Everybodys,
    /// Of the user of this name.
    Of(String),
    /// Of this person, whatever their name.
    Mine(Identity),
}

/// A state by its name, in whatever letters.
fn state(text: &str) -> Result<State, String> {
    let names = || State::ALL.map(State::as_str).join(", ");
    State::ALL
        .into_iter()
        .find(|state| state.as_str().eq_ignore_ascii_case(text))
        .ok_or_else(|| format!("there is no state {text}: give one of {}", names()))
}

impl Choice {
    /// Where to look.
    pub fn place(&self, cluster: &Cluster) -> Where {
        Where::of(cluster, self.all_namespaces, &self.namespace)
    }

    /// Whose to look at.
    ///
    /// # Errors
    /// When the caller's own are meant, and the API server does not say who the caller is.
    pub async fn whose(&self, cluster: &Cluster) -> Result<Whose, PluginError> {
        Ok(match (&self.requester, self.everyone) {
            (Some(name), _) => Whose::Of(name.clone()),
            (None, true) => Whose::Everybodys,
            (None, false) => Whose::Mine(identity::caller(cluster).await?),
        })
    }

    /// Whether a request is one of those.
    pub fn wants(&self, request: &AccessRequest, whose: &Whose) -> bool {
        let status = request.status.clone().unwrap_or_default();
        let policy = status.policy.map(|policy| policy.name);
        let theirs = match whose {
            Whose::Everybodys => true,
            Whose::Of(name) => words::requester(request) == name,
            Whose::Mine(me) => requests::is_of(request, me),
        };
        theirs
            && (self.state.is_empty() || self.state.contains(&status.state))
            && self.policy.as_ref().is_none_or(|wanted| policy.as_ref() == Some(wanted))
    }

    /// That there is none, and where there may be some.
    pub fn nothing(&self, place: &Where) -> String {
        let place = match place {
            Where::Namespace(name) => format!("in namespace {name}: -A looks in all"),
            Where::Everywhere => "in any namespace".to_owned(),
        };
        match (&self.requester, self.everyone) {
            (Some(name), _) => format!("no such request of {name} {place}"),
            (None, true) => format!("no such request {place}"),
            (None, false) => format!("no such request of yours {place}, and --everyone shows those of others"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_of_the_schema_has_a_name_here() {
        let schema = serde_json::to_value(schemars::schema_for!(State)).unwrap();
        let words = schema["oneOf"].as_array().unwrap().iter().map(|one| one["const"].as_str().unwrap().to_owned());
        let mut words: Vec<String> = words.collect();
        let mut known = State::ALL.map(|state| state.as_str().to_owned()).to_vec();
        words.sort();
        known.sort();
        assert_eq!(known, words);
        for word in words {
            assert_eq!(state(&word.to_lowercase()).map(State::as_str), Ok(word.as_str()));
        }
    }
}
