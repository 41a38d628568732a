//! The kubectl plugin: its command line, and which module runs which command.
//!
//! It decides with `core` and acts with the caller's own rights only. [`reach`] finds the cluster and logs in, [`cluster`]
//! talks to the API server, [`contexts`] asks several clusters at once, [`identity`] asks who the caller is, [`refused`] reads
//! what was refused, [`seen`] what the core decides by, [`mod@write`] is all that is written, [`output`] prints, and [`exit`]
//! has the exit codes. The commands stand on these: [`ask`], [`decide`], [`see`], [`history`], [`who`], [`explain`],
//! [`policy`], [`review`], [`verify`], [`proof`],
//! [`replay`], [`run`], [`notify`], [`ui`].
//!
//! [`doctor`] examines the installation that they all need, and [`completion`] answers the tab key.

pub mod activity;
pub mod ask;
pub mod cluster;
pub mod completion;
pub mod contexts;
pub mod decide;
pub mod doctor;
pub mod error;
pub mod exit;
pub mod explain;
pub mod history;
pub mod identity;
pub mod manifests;
pub mod notify;
pub mod output;
pub mod policy;
pub mod proof;
pub mod reach;
pub mod refused;
pub mod replay;
pub mod report;
pub mod requests;
pub mod retention;
pub mod review;
pub mod roles;
pub mod run;
pub mod see;
pub mod seen;
pub mod ui;
pub mod verify;
pub mod who;
pub mod write;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use self::exit::Exit;
use self::output::console::Console;

/// Ask for access, decide on it, and see who has what until when.
#[derive(Debug, Parser)]
#[command(name = "kubectl daypass", bin_name = "kubectl daypass", version, max_term_width = 120)]
pub struct Plugin {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Ask for a role for a while, and wait for the answer.
    Request(ask::RequestArgs),
    /// List what you may ask for here, what would be decided, and the line that asks for it.
    Options(ask::options::OptionsArgs),
    /// Ask for more time for access of yours that runs.
    Extend(ask::anew::ExtendArgs),
    /// Ask once more for what a request asked for.
    Again(ask::anew::AgainArgs),
    /// List requests: yours, or with --everyone all of them.
    List(see::list::ListArgs),
    /// Tell of each change of requests, as it happens: of yours, or with --everyone of all. Ctrl-C ends it.
    Watch(see::choice::Choice),
    /// Show one request on a page: who, what, why, who may approve, and what happened.
    Show(see::show::ShowArgs),
    /// Tell what happened to requests, also to those that are long gone: from the archive where there is one.
    History(history::HistoryArgs),
    /// List what was done with the access of a request: the calls that it allowed, as far as they are known.
    Activity(activity::ActivityArgs),
    /// Tell what happened in sum.
    #[command(subcommand)]
    Report(report::ReportCommand),
    /// Review access: owners confirm or remove what people have for good, and policies, by a date.
    #[command(subcommand)]
    Review(review::CampaignCommand),
    /// Tell for how long the archive keeps what, and keep records beyond their time.
    #[command(subcommand)]
    Retention(retention::RetentionCommand),
    /// Verify the archive's log, or the proof of a request, without trusting whoever keeps them: what is proven, and what not.
    Verify(verify::VerifyArgs),
    /// Write the proof of a request as a file that somebody else can verify.
    Proof(proof::ProofArgs),
    /// Make a decision anew by what is on record of it: whether the answer is the same, and what is not recorded.
    Replay(replay::ReplayArgs),
    /// Tell who can do what now, until when and through which request.
    Who(who::WhoArgs),
    /// List what waits for your decision, what is due first at the top.
    Pending(decide::pending::PendingArgs),
    /// Approve requests.
    Approve(decide::ReviewArgs),
    /// Deny requests.
    Deny(decide::ReviewArgs),
    /// End access of others that you have a say in, before its end has come.
    Revoke(decide::ReviewArgs),
    /// End access of your own, or take back what you asked for.
    Drop(decide::drop::DropArgs),
    /// Tell how a request is decided and why; with -f, one that is not made yet.
    Explain(explain::ExplainArgs),
    /// Look at the installation: what is wrong, and how to mend it. Begin with this when something does not work.
    Doctor(doctor::DoctorArgs),
    /// Run a command whose refused calls are asked for, held and sent again.
    Run(run::RunArgs),
    /// Try what the notifier sends.
    #[command(subcommand)]
    Notify(notify::NotifyCommand),
    /// Ask, decide and look in a browser: a page on this machine, with your own login. Ctrl-C ends it.
    Ui(ui::UiArgs),
    /// Look at policies before they are applied.
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Make the tab key complete what is typed.
    #[command(subcommand)]
    Completion(completion::CompletionCommand),
}

impl Plugin {
    /// Reads a command line, or prints why it cannot, or what `--help` and `--version` ask for. Nothing but the tree of
    /// commands is made for it.
    ///
    /// # Errors
    /// The exit code, when there is nothing more to do.
    pub fn read(args: impl IntoIterator<Item = std::ffi::OsString>) -> Result<Self, ExitCode> {
        let command = Self::command().after_help(Exit::help());
        let read = command.try_get_matches_from(args).and_then(|matches| Self::from_arg_matches(&matches));
        read.map_err(|error| {
            // Whoever reads may have gone, as `head` does.
            let _ = error.print();
            if error.use_stderr() { ExitCode::from(Exit::Usage.code()) } else { ExitCode::SUCCESS }
        })
    }

    /// Runs the command.
    pub async fn run(self) -> ExitCode {
        let mut console = Console::default();
        let console = &mut console;
        // Whatever is wrong with policies, CI tells it apart from a finding.
        let only_usage = matches!(self.command, Command::Policy(_));
        let ended = match self.command {
            Command::Request(args) => ask::run(args, console).await,
            Command::Options(args) => ask::options::run(args, console).await,
            Command::Extend(args) => ask::anew::extend(args, console).await,
            Command::Again(args) => ask::anew::again(args, console).await,
            Command::List(args) => see::list::run(args, console).await,
            Command::Watch(choice) => see::watch::run(choice, console).await,
            Command::Who(args) => who::run(args, console).await,
            Command::History(args) => history::run(args, console).await,
            Command::Activity(args) => activity::run(args, console).await,
            Command::Report(command) => report::run(command, console).await,
            Command::Review(command) => review::run(command, console).await,
            Command::Retention(command) => retention::run(command, console).await,
            Command::Verify(args) => verify::run(args, console).await,
            Command::Replay(args) => replay::run(args, console).await,
            Command::Proof(args) => proof::run(args, console).await,
            Command::Show(args) => see::show::run(args, console).await,
            Command::Approve(args) => decide::run(args, decide::ReviewCommand::Approve, console).await,
            Command::Deny(args) => decide::run(args, decide::ReviewCommand::Deny, console).await,
            Command::Revoke(args) => decide::run(args, decide::ReviewCommand::Revoke, console).await,
            Command::Drop(args) => decide::drop::run(args, console).await,
            Command::Pending(args) => decide::pending::run(args, console).await,
            Command::Explain(args) => explain::run(args, console).await,
            Command::Doctor(args) => doctor::run(args, console).await,
            Command::Run(args) => match run::run(args, console).await {
                Ok(code) => return code,
                Err(error) => Err(error),
            },
            Command::Notify(command) => notify::run(command, console).await,
            Command::Ui(args) => ui::run(args, console).await,
            Command::Policy(command) => policy::run(command, console).await,
            Command::Completion(command) => completion::run(command, console),
        };
        let exit = ended.unwrap_or_else(|error| {
            for line in format!("kubectl daypass: {error}").lines() {
                console.say(line);
            }
            if only_usage { Exit::Usage } else { error.exit() }
        });
        ExitCode::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_in_order() {
        Plugin::command().debug_assert();
    }

    /// Whoever adds an argument says where its values come from, or gives its value a name that says that it is free text.
    #[test]
    fn every_value_has_a_source_of_candidates() {
        let mut tree = Plugin::command();
        tree.build();
        let gaps = completion::sources::gaps(&tree);
        assert!(gaps.is_empty(), "see completion/sources.rs:\n{}", gaps.join("\n"));
        let nameless = tree.mut_subcommand("list", |list| list.mut_arg("requester", |arg| arg.id("whoever")));
        assert_eq!(completion::sources::gaps(&nameless).len(), 1, "nobody has said where it comes from");
    }

    /// The commands that have no commands below them, by the words that choose them.
    fn leaves<'a>(command: &'a clap::Command, path: &str, found: &mut Vec<(String, &'a clap::Command)>) {
        if !command.has_subcommands() {
            found.push((path.to_owned(), command));
        }
        for below in command.get_subcommands() {
            leaves(below, format!("{path} {}", below.get_name()).trim(), found);
        }
    }

    /// What kubectl's users type must mean the same here. A command has all of these flags, or talks to no cluster and has none.
    #[test]
    fn impersonation_flags_mean_what_they_mean_to_kubectl() {
        let (tree, mut commands) = (Plugin::command(), Vec::new());
        leaves(&tree, "", &mut commands);
        let (mut offline, flags) = (Vec::new(), ["as", "as_group", "as_uid", "context", "kubeconfig", "token"]);
        for (path, command) in &commands {
            let missing = |flag: &&str| !command.get_arguments().any(|arg| arg.get_id() == *flag);
            match flags.into_iter().filter(missing).count() {
                0 => {}
                all if all == flags.len() => offline.push(path.as_str()),
                _ => panic!("{path} has some of {flags:?}"),
            }
        }
        let shells = ["bash", "zsh", "fish", "powershell"].map(|shell| format!("completion {shell}"));
        let shells = shells.iter().map(String::as_str);
        let expected: Vec<&str> = ["policy test", "completion install"].into_iter().chain(shells).collect();
        assert_eq!(offline, expected);
    }
}
