//! What a shell offers when somebody presses the tab key behind `kubectl daypass`.
//!
//! kubectl runs `kubectl_complete-daypass` with the words so far, and takes cobra's protocol: a candidate a line, after a tab
//! what it is, and in the last line what the shell may do besides. This program answers under that name; [`install`] sees to
//! it that it is found. A shell without kubectl asks in the same way by the scripts of [`shells`], behind the word
//! `__complete`. [`line`](mod@line) reads the words by the tree of commands, [`sources`] says where the values of an
//! argument come from, and [`names`] reads those of the cluster with the caller's own rights. Nothing here complains: at a
//! prompt nobody has asked for anything yet, and nobody waits.

mod candidate;
pub mod install;
pub mod line;
mod names;
pub mod shells;
pub mod sources;

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use clap::Subcommand;

use self::candidate::Candidate;
use self::install::COMPLETER;
use self::line::{CursorOnLine, WordWanted};
use self::names::NamesWanted;
use self::shells::ShellScript;
use self::sources::ValueSource;
use super::error::PluginError;
use super::exit::Exit;
use super::output::console::Console;
use super::output::text::visible;

/// How long somebody waits at a prompt.
const PATIENCE: Duration = Duration::from_millis(1500);

/// The argument behind which the words of a command line to complete come; kubectl has it too.
const COMPLETE: &str = "__complete";

/// What the shell may do besides, as cobra counts it.
const MAY_OFFER_FILES: u8 = 0;
const NO_FILES: u8 = 4;
/// `NO_FILES`, and the order is kept.
const NO_FILES_IN_ORDER: u8 = 36;

/// The commands about completion.
#[derive(Debug, Subcommand)]
pub enum CompletionCommand {
    /// Make the tab key complete `kubectl daypass`: commands, flags, and from the cluster names of requests, namespaces, roles
    /// and policies.
    ///
    /// Puts this program under the name kubectl_complete-daypass into a folder of $PATH, where kubectl from 1.26 on looks for
    /// it. The shell must have kubectl's own completion: see kubectl completion --help.
    Install(install::InstallArgs),
    #[command(flatten)]
    Script(ShellScript),
}

/// Runs one of them.
///
/// # Errors
/// Why it cannot.
pub fn run(command: CompletionCommand, console: &mut Console) -> Result<Exit, PluginError> {
    match command {
        CompletionCommand::Install(args) => install::run(&args, console),
        CompletionCommand::Script(shell) => {
            console.print(shell.text());
            Ok(Exit::Done)
        }
    }
}

/// The words of the command line that the program was started to complete, if it was: by the name that it was started under, or by
/// its first argument.
pub fn words_to_complete(args: &[OsString]) -> Option<&[OsString]> {
    let (program, rest) = args.split_first()?;
    if is_completer(program) {
        return Some(rest);
    }
    rest.split_first().filter(|(first, _)| *first == COMPLETE).map(|(_, words)| words)
}

fn is_completer(program: &OsStr) -> bool {
    Path::new(program).file_stem().is_some_and(|name| name == COMPLETER)
}

/// Writes what may stand in place of the last of these words, for the command line of this tree of commands.
pub fn answer(tree: clap::Command, words: &[OsString]) {
    let words: Vec<String> = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    // Whoever reads may have gone.
    let _ = std::io::stdout().write_all(completed(tree, &words).as_bytes());
}

fn completed(mut tree: clap::Command, words: &[String]) -> String {
    tree.build();
    let cursor = CursorOnLine::read(&tree, words);
    let (candidates, besides) = match &cursor.wanted {
        WordWanted::Nothing => (Vec::new(), NO_FILES),
        WordWanted::Command => (line::commands(cursor.command), NO_FILES),
        WordWanted::Flag => (line::flags(&cursor), NO_FILES),
        WordWanted::Value(arg) => match ValueSource::of(&cursor.path(), arg) {
            Some(ValueSource::Files) => (Vec::new(), MAY_OFFER_FILES),
            Some(ValueSource::Words(words)) => (words, NO_FILES_IN_ORDER),
            Some(ValueSource::Names(source)) => (in_time(NamesWanted::on(&cursor, source)), NO_FILES_IN_ORDER),
            Some(ValueSource::FreeText) | None => (Vec::new(), NO_FILES),
        },
    };
    written(&candidates, &cursor, besides)
}

/// What is found before nobody wants to wait any longer. A login may block the thread, so it is one that can be left behind.
fn in_time(wanted: NamesWanted) -> Vec<Candidate> {
    let (told, hears) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let found = runtime.ok().and_then(|runtime| runtime.block_on(wanted.find()).ok());
        // Nobody hears it when it comes too late.
        let _ = told.send(found);
    });
    hears.recv_timeout(PATIENCE).ok().flatten().unwrap_or_default()
}

/// In cobra's protocol: those that go on from what is typed and are not there yet.
fn written(candidates: &[Candidate], cursor: &CursorOnLine<'_>, besides: u8) -> String {
    let (before, typed) = cursor.typed_of_list();
    let is_plain = |value: &str| !value.is_empty() && visible(value) == value;
    let mut lines = String::new();
    for Candidate { value, about } in candidates.iter().filter(|candidate| is_plain(&candidate.value)) {
        if value.starts_with(typed) && !cursor.has(value) {
            let about = if about.is_empty() { String::new() } else { format!("\t{}", visible(about)) };
            lines.push_str(&format!("{before}{value}{about}\n"));
        }
    }
    format!("{lines}:{besides}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Arg, ArgAction};

    fn tree() -> clap::Command {
        let name = Arg::new("names").value_name("NAME").num_args(1..).action(ArgAction::Append);
        let state = Arg::new("state").long("state").value_delimiter(',').help("Only in these states. No others.");
        let file = Arg::new("file").short('f').value_parser(clap::value_parser!(std::path::PathBuf));
        let yes = Arg::new("yes").short('y').long("yes").action(ArgAction::SetTrue);
        let hidden = clap::Command::new("secret").hide(true);
        let fetch = clap::Command::new("fetch").about("Fetch some").args([name, state, file, yes]);
        clap::Command::new("top").subcommand(fetch).subcommand(hidden).subcommand(clap::Command::new("find"))
    }

    fn completed_at(words: &[&str]) -> String {
        completed(tree(), &words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn commands_and_flags_come_from_the_tree() {
        assert_eq!(completed_at(&["f"]), "fetch\tFetch some\nfind\n:4\n");
        assert_eq!(completed_at(&["secret", "--h"]), "--help\tPrint help\n:4\n");
        assert_eq!(completed_at(&["fetch", "--s"]), "--state\tOnly in these states\n:4\n");
        assert_eq!(completed_at(&["fetch", "--yes", "--y"]), ":4\n", "it is there already");
        assert_eq!(completed_at(&["fetch", "-f", ""]), ":0\n", "a file");
        assert_eq!(completed_at(&["nonsense", ""]), ":4\n");
        assert_eq!(completed_at(&[]), completed_at(&[""]));
    }

    #[test]
    fn a_list_goes_on_behind_its_last_comma() {
        assert_eq!(completed_at(&["fetch", "--state", "Active,Den"]), "Active,Denied\n:36\n");
        assert_eq!(completed_at(&["fetch", "--state=Pen"]), "Pending\n:36\n");
        assert_eq!(completed_at(&["fetch", "--state", "Active,Active"]), ":36\n", "it is there already");
    }

    #[test]
    fn the_words_to_complete_come_behind_the_name_or_the_word_for_it() {
        let words = |args: &[&str]| {
            let args: Vec<OsString> = args.iter().map(OsString::from).collect();
            words_to_complete(&args).map(<[OsString]>::to_vec)
        };
        let one = Some(vec![OsString::from("li")]);
        assert_eq!(words(&["/bin/kubectl_complete-daypass", "li"]), one);
        assert_eq!(words(&["kubectl-daypass", "__complete", "li"]), one);
        assert_eq!(words(&["kubectl-daypass", "__complete"]), Some(Vec::new()));
        assert_eq!(words(&["kubectl-daypass", "show", "__complete"]), None);
        assert_eq!(words(&["kubectl-daypass"]), None);
    }

    #[test]
    fn the_name_says_what_the_program_is_for() {
        for (program, completes) in [
            ("/usr/bin/kubectl_complete-daypass", true),
            ("kubectl_complete-daypass.exe", true),
            ("/kubectl_complete-daypass/kubectl-daypass", false),
            ("", false),
        ] {
            assert_eq!(is_completer(program.as_ref()), completes, "{program}");
        }
    }

    #[test]
    fn what_would_break_the_protocol_is_not_said() {
        let tree = tree();
        let words = [String::new()];
        let cursor = CursorOnLine::read(&tree, &words);
        let candidates = [Candidate::new("a\nb", ""), Candidate::new("", "x"), Candidate::new("ok", "one\ttwo\nthree")];
        assert_eq!(written(&candidates, &cursor, NO_FILES), "ok\tone\\ttwo\\nthree\n:4\n");
    }
}
