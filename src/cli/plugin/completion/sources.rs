//! Where the values of an argument come from: its own list, files, the cluster, or nowhere because it is free text.
//!
//! An argument that is nowhere in here has no source, which a test of the whole command line refuses. It must not read
//! anything from a cluster.

use clap::{Arg, ValueHint};

use super::candidate::Candidate;
use crate::api::request::State;
use crate::api::word::Vocabulary;
use crate::core::insight::finding::InsightKind;

/// Where the values of an argument come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueSource {
    /// Files and folders, which the shell knows.
    Files,
    /// These.
    Words(Vec<Candidate>),
    /// The cluster, or the kubeconfig.
    Names(NameSource),
    /// Nobody knows them but whoever types.
    FreeText,
}

/// Things that have names in the cluster or the kubeconfig.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameSource {
    Requests(RequestsMeant),
    /// Those who have made requests.
    Requesters,
    Namespaces,
    /// Those that the caller may ask for.
    Roles,
    Policies,
    Contexts,
    /// Those that the notifier sends by.
    Routes,
    /// Review campaigns that the caller sees.
    Campaigns,
}

/// Which requests a command is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestsMeant {
    All,
    /// The caller's own.
    Own,
    /// The caller's own that are not over.
    OwnOpen,
    /// The caller's own that give access.
    OwnRunning,
    /// Those that wait for the caller's decision.
    ToDecide,
    /// Those that the caller can end.
    ToRevoke,
}

/// Arguments of one command.
const OF_COMMANDS: [(&str, &str, NameSource); 15] = [
    ("show", "name", NameSource::Requests(RequestsMeant::All)),
    ("ui", "request", NameSource::Requests(RequestsMeant::All)),
    ("explain", "name", NameSource::Requests(RequestsMeant::All)),
    ("history", "request", NameSource::Requests(RequestsMeant::All)),
    ("activity", "request", NameSource::Requests(RequestsMeant::All)),
    ("proof", "request", NameSource::Requests(RequestsMeant::All)),
    ("replay", "request", NameSource::Requests(RequestsMeant::All)),
    ("again", "name", NameSource::Requests(RequestsMeant::Own)),
    ("drop", "names", NameSource::Requests(RequestsMeant::OwnOpen)),
    ("extend", "name", NameSource::Requests(RequestsMeant::OwnRunning)),
    ("approve", "names", NameSource::Requests(RequestsMeant::ToDecide)),
    ("deny", "names", NameSource::Requests(RequestsMeant::ToDecide)),
    ("revoke", "names", NameSource::Requests(RequestsMeant::ToRevoke)),
    ("who", "who", NameSource::Requesters),
    ("notify test", "route", NameSource::Routes),
];
/// Arguments that mean the same in every command.
const EVERYWHERE: [(&str, NameSource); 11] = [
    ("campaign", NameSource::Campaigns),
    ("namespace", NameSource::Namespaces),
    ("namespaces", NameSource::Namespaces),
    ("watch_namespaces", NameSource::Namespaces),
    ("release_namespace", NameSource::Namespaces),
    ("context", NameSource::Contexts),
    ("contexts", NameSource::Contexts),
    ("policy", NameSource::Policies),
    ("role", NameSource::Roles),
    ("requester", NameSource::Requesters),
    ("person", NameSource::Requesters),
];
/// Names of values that nobody can list.
const FREE_TEXT: [&str; 19] = [
    "COMMAND",
    "DURATION",
    "GROUP",
    "HOLD",
    "ITEM",
    "KEY",
    "KEY=VALUE",
    "NUMBER",
    "OWNER",
    "RIGHT",
    "ROLES",
    "RULE",
    "TEXT",
    "TIME",
    "TOKEN",
    "UID",
    "URL",
    "USER",
    "WINDOWS",
];
/// Arguments whose value is called a name, and is of nothing that there is.
const NEW_NAMES: [(&str, &str); 2] = [("policy init", "name"), ("review start", "campaign")];
/// The same in every command.
const NEW_NAMES_EVERYWHERE: [&str; 1] = ["tls_server_name"];

impl ValueSource {
    /// Of an argument of a command, which is named from the first word on, such as `policy lint`. None: nobody has said.
    pub fn of(command: &str, arg: &Arg) -> Option<Self> {
        let id = arg.get_id().as_str();
        if NEW_NAMES.contains(&(command, id)) {
            return Some(Self::FreeText);
        }
        let of_command = OF_COMMANDS.iter().find(|(name, its, _)| (*name, *its) == (command, id));
        let anywhere = EVERYWHERE.iter().find(|(its, _)| *its == id);
        if let Some(source) = of_command.map(|(_, _, source)| source).or(anywhere.map(|(_, source)| source)) {
            return Some(Self::Names(*source));
        }
        let possible: Vec<Candidate> = possible(arg);
        if !possible.is_empty() {
            return Some(Self::Words(possible));
        }
        if matches!(arg.get_value_hint(), ValueHint::AnyPath | ValueHint::FilePath | ValueHint::DirPath) {
            return Some(Self::Files);
        }
        let names = arg.get_value_names().unwrap_or_default();
        let is_free = names.iter().any(|name| FREE_TEXT.contains(&name.as_str())) || NEW_NAMES_EVERYWHERE.contains(&id);
        is_free.then_some(Self::FreeText)
    }
}

/// The values that it can have, where they are few.
fn possible(arg: &Arg) -> Vec<Candidate> {
    match arg.get_id().as_str() {
        "state" => State::ALL.map(|state| Candidate::new(state.as_str(), "")).into(),
        "kinds" => InsightKind::ALL.iter().map(|kind| Candidate::new(kind.as_str(), "")).collect(),
        "severity" | "fail_on" => ["low", "medium", "high", "critical"].map(|level| Candidate::new(level, "")).into(),
        "findings_output" => {
            ["json", "yaml", "wide", "jsonpath=", "csv", "html", "ocsf"].map(|form| Candidate::new(form, "")).into()
        }
        "output" if arg.get_possible_values().is_empty() => {
            ["json", "yaml", "name", "wide", "jsonpath="].map(|format| Candidate::new(format, "")).into()
        }
        _ => {
            let shown = arg.get_possible_values().into_iter().filter(|value| !value.is_hide_set());
            let about = |value: &clap::builder::PossibleValue| value.get_help().map(ToString::to_string);
            shown.map(|value| Candidate::new(value.get_name(), about(&value).unwrap_or_default())).collect()
        }
    }
}

/// The arguments of a tree of commands that no source is named for, and the entries of the tables above that no argument
/// has, each in words.
pub fn gaps(tree: &clap::Command) -> Vec<String> {
    let mut args = Vec::new();
    collect(tree, "", &mut args);
    let unknown = args.iter().filter(|(command, arg)| ValueSource::of(command, arg).is_none());
    let unknown = unknown.map(|(command, arg)| format!("{command}: {} has no source", arg.get_id()));
    let is_there = |command: Option<&str>, id: &str| {
        args.iter().any(|(name, arg)| command.is_none_or(|command| command == name) && arg.get_id() == id)
    };
    let of_commands = OF_COMMANDS.iter().filter(|(command, id, _)| !is_there(Some(command), id));
    let of_commands = of_commands.map(|(command, id, _)| format!("{command} has no {id}"));
    let everywhere = EVERYWHERE.iter().filter(|(id, _)| !is_there(None, id)).map(|(id, _)| format!("nobody has {id}"));
    unknown.chain(of_commands).chain(everywhere).collect()
}

fn collect<'a>(command: &'a clap::Command, path: &str, args: &mut Vec<(String, &'a Arg)>) {
    let taking = command.get_arguments().filter(|arg| super::line::takes_value(arg));
    args.extend(taking.map(|arg| (path.to_owned(), arg)));
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        collect(sub, format!("{path} {}", sub.get_name()).trim(), args);
    }
}
