//! The answers that a first policy is made of: from flags, and on a terminal from questions for those that are missing.

use std::collections::BTreeMap;

use super::InitArgs;
use super::written::faults;
use crate::api::subject::RoleName;
use crate::cli::plugin::ask::draft::role_name;
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::output::console::Console;

/// Where the first policy is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FirstPlace {
    /// Namespaces of these names and globs.
    Names(Vec<String>),
    /// Namespaces with these labels.
    Labels(BTreeMap<String, String>),
}

/// What becomes of requests with low risk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LowRisk {
    /// They are granted at once.
    AtOnce,
    /// They wait for an approver, as all others.
    Approval,
}

/// All that a first policy says.
#[derive(Clone, Debug)]
pub struct FirstPolicy {
    pub name: String,
    /// Groups that may ask.
    pub teams: Vec<String>,
    pub place: FirstPlace,
    pub roles: Vec<RoleName>,
    /// Groups that approve.
    pub approvers: Vec<String>,
    /// The longest that may be asked for.
    pub max: String,
    pub low_risk: LowRisk,
    /// Namespace that Daypass is installed in.
    pub release: String,
}

/// An answer: its flag, its question, what no answer means, and the part of the policy that it becomes.
struct Topic {
    flag: &'static str,
    question: &'static str,
    usual: Option<&'static str>,
    field: &'static str,
    answer: fn(&mut FirstPolicy, &str) -> Result<(), String>,
}

const TOPICS: [Topic; 6] = [
    Topic {
        flag: "--team",
        question: "Which groups may ask (several with commas)?",
        usual: None,
        field: "spec.requesters",
        answer: |first, typed| {
            first.teams = several(typed);
            Ok(())
        },
    },
    Topic {
        flag: "--namespaces",
        question: "In which namespaces (names or globs such as team-* with commas, or labels such as env=dev)?",
        usual: None,
        field: "spec.scope",
        answer: |first, typed| {
            first.place = place(several(typed))?;
            Ok(())
        },
    },
    Topic {
        flag: "--role",
        question: "For which roles (several with commas)?",
        usual: Some("edit"),
        field: "spec.roles",
        answer: |first, typed| {
            first.roles = roles(&several(typed));
            Ok(())
        },
    },
    Topic {
        flag: "--approver",
        question: "Which groups approve (several with commas; one person of them is enough)?",
        usual: None,
        field: "spec.approval",
        answer: |first, typed| {
            first.approvers = several(typed);
            Ok(())
        },
    },
    Topic {
        flag: "--max",
        question: "For how long at most?",
        usual: Some("2h"),
        field: "spec.duration",
        answer: |first, typed| {
            first.max = typed.to_owned();
            Ok(())
        },
    },
    Topic {
        flag: "--low-risk",
        question: "Is low risk granted at once, without an approver (yes or no)?",
        usual: Some("yes"),
        field: "spec.approval.automaticWhen",
        answer: |first, typed| {
            first.low_risk = low_risk(typed)?;
            Ok(())
        },
    },
];

/// The flag of the answer that a field of the policy is made of.
pub fn flag_of(field: &str) -> Option<&'static str> {
    if field.starts_with("metadata.name") {
        return Some("--name");
    }
    TOPICS.iter().find(|topic| field.starts_with(topic.field)).map(|topic| topic.flag)
}

/// All answers, those that no flag gives asked for on the terminal.
///
/// # Errors
/// When one is missing and nobody is there who could be asked.
pub fn ask(args: &InitArgs, console: &mut Console) -> Result<FirstPolicy, PluginError> {
    // Sound in every part, so that what is said of one answer is said of that alone.
    let mut first = FirstPolicy {
        name: args.name.clone().unwrap_or_default(),
        teams: or(&args.teams, "team"),
        place: match args.labels.is_empty() {
            true => FirstPlace::Names(or(&args.namespaces, "namespace")),
            false => FirstPlace::Labels(args.labels.iter().cloned().collect()),
        },
        roles: roles(&or(&args.roles, "edit")),
        approvers: or(&args.approvers, "approvers"),
        max: args.max.clone().unwrap_or_else(|| "2h".to_owned()),
        low_risk: args.low_risk.unwrap_or(LowRisk::AtOnce),
        release: args.release_namespace.clone(),
    };
    let given = |flag: &str| match flag {
        "--team" => !args.teams.is_empty(),
        "--namespaces" => !args.namespaces.is_empty() || !args.labels.is_empty(),
        "--role" => !args.roles.is_empty(),
        "--approver" => !args.approvers.is_empty(),
        "--max" => args.max.is_some(),
        _ => args.low_risk.is_some(),
    };
    let missing: Vec<&Topic> = TOPICS.iter().filter(|topic| !given(topic.flag)).collect();
    let unanswered = || PluginError::Unanswered { flags: missing.iter().map(|topic| topic.flag).collect() };
    if !missing.is_empty() && !console.can_ask() {
        return Err(unanswered());
    }
    for topic in &missing {
        topic.ask(&mut first, console).ok_or_else(unanswered)?;
    }
    if first.name.is_empty() {
        first.name = usual_name(&first);
    }
    Ok(first)
}

impl Topic {
    /// Asks until there is an answer that makes sense; none when there is no more input.
    fn ask(&self, first: &mut FirstPolicy, console: &mut Console) -> Option<()> {
        let usual = self.usual.map(|usual| format!(" [{usual}]")).unwrap_or_default();
        loop {
            let typed = console.ask(&format!("{}{usual} ", self.question))?;
            let typed = match (typed.as_str(), self.usual) {
                ("", Some(usual)) => usual,
                (typed, _) => typed,
            };
            let mut next = first.clone();
            match (self.answer)(&mut next, typed).err().or_else(|| self.fault(&next)) {
                None => {
                    *first = next;
                    return Some(());
                }
                Some(why) => console.say(why),
            }
        }
    }

    /// What is wrong with this answer, beside those before.
    fn fault(&self, first: &FirstPolicy) -> Option<String> {
        let named = FirstPolicy { name: "policy".to_owned(), ..first.clone() };
        let found = faults(&named.policy(), &first.release).ok()?;
        found.into_iter().find(|(field, _)| field.starts_with(self.field)).map(|(_, why)| why)
    }
}

fn or(given: &[String], placeholder: &str) -> Vec<String> {
    if given.is_empty() { vec![placeholder.to_owned()] } else { given.to_vec() }
}

fn several(typed: &str) -> Vec<String> {
    typed.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn roles(typed: &[String]) -> Vec<RoleName> {
    typed.iter().map(|typed| role_name(typed)).collect()
}

fn place(typed: Vec<String>) -> Result<FirstPlace, String> {
    if !typed.iter().any(|word| word.contains('=')) {
        return Ok(FirstPlace::Names(typed));
    }
    typed.iter().map(|word| label(word)).collect::<Result<_, _>>().map(FirstPlace::Labels)
}

/// A label with its value, as it is typed.
pub fn label(typed: &str) -> Result<(String, String), String> {
    let (key, value) = typed.split_once('=').ok_or("write a label as KEY=VALUE, such as env=dev")?;
    Ok((key.to_owned(), value.to_owned()))
}

fn low_risk(typed: &str) -> Result<LowRisk, String> {
    match typed.to_lowercase().as_str() {
        "y" | "yes" => Ok(LowRisk::AtOnce),
        "n" | "no" => Ok(LowRisk::Approval),
        _ => Err("answer yes or no".to_owned()),
    }
}

/// A name that says whose policy it is and for what.
fn usual_name(first: &FirstPolicy) -> String {
    let words = first.teams.iter().take(1).chain(first.roles.iter().take(1).map(|role| &role.name));
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = words.map(|word| format!("{word}-")).collect::<String>().chars().map(plain).take(100).collect();
    match name.trim_matches('-') {
        "" => "first-policy".to_owned(),
        name => name.to_owned(),
    }
}

/// Answers that make sense.
#[cfg(test)]
pub fn sample() -> FirstPolicy {
    use crate::core::decision::protected::USUAL_RELEASE;

    FirstPolicy {
        name: "dev-edit".to_owned(),
        teams: vec!["dev".to_owned()],
        place: FirstPlace::Names(vec!["shop".to_owned()]),
        roles: roles(&["edit".to_owned()]),
        approvers: vec!["approvers".to_owned()],
        max: "2h".to_owned(),
        low_risk: LowRisk::AtOnce,
        release: USUAL_RELEASE.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_whose_policy_it_is_and_can_be_one() {
        let of = |team: &str| usual_name(&FirstPolicy { teams: vec![team.to_owned()], ..sample() });
        assert_eq!(of("dev"), "dev-edit");
        assert_eq!(of("oidc:Team Pay"), "oidc-team-pay-edit");
    }

    #[test]
    fn namespaces_are_names_or_labels_and_not_both() {
        assert_eq!(place(several("a, b-*")), Ok(FirstPlace::Names(vec!["a".to_owned(), "b-*".to_owned()])));
        let labels = BTreeMap::from([("env".to_owned(), "dev".to_owned())]);
        assert_eq!(place(several("env=dev")), Ok(FirstPlace::Labels(labels)));
        assert!(place(several("a,env=dev")).is_err());
    }
}
