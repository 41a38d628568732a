//! A command line that is still being typed, read by the tree of commands: which command it is, what is given so far, and
//! what may come next. It knows no command by name, so that a new one is completed without a word here.

use clap::{Arg, ArgAction, Command};

use super::candidate::Candidate;

/// Where somebody wants to go on.
#[derive(Debug)]
pub struct CursorOnLine<'a> {
    /// The command that is chosen so far.
    pub command: &'a Command,
    /// What may stand there.
    pub wanted: WordWanted<'a>,
    commands: Vec<&'a str>,
    given: Vec<(&'a Arg, &'a str)>,
    typed: &'a str,
    /// Whether a word means nothing here, so that nobody knows what may follow.
    is_lost: bool,
}

/// What may stand where the cursor is.
#[derive(Debug)]
pub enum WordWanted<'a> {
    Command,
    Flag,
    Value(&'a Arg),
    Nothing,
}

impl<'a> CursorOnLine<'a> {
    /// Reads the words behind the program, the last of which is being typed. The tree must be built.
    pub fn read(tree: &'a Command, words: &'a [String]) -> Self {
        let (last, before) = words.split_last().map_or(("", words), |(last, before)| (last.as_str(), before));
        let mut cursor = Self {
            command: tree,
            wanted: WordWanted::Nothing,
            commands: Vec::new(),
            given: Vec::new(),
            typed: last,
            is_lost: false,
        };
        let mut open: Option<&'a Arg> = None;
        let mut only_values = false;
        for word in before {
            if let Some(arg) = open.take() {
                cursor.given.push((arg, word));
            } else if only_values || !word.starts_with('-') || word == "-" {
                cursor.take_plain(word);
            } else if word == "--" {
                only_values = true;
            } else {
                open = cursor.take_flag(word);
            }
        }
        cursor.wanted = match (open, last.strip_prefix("--").and_then(|flag| flag.split_once('='))) {
            (Some(arg), _) => WordWanted::Value(arg),
            (None, Some((flag, value))) if !only_values => {
                cursor.typed = value;
                let arg = cursor.long(flag).filter(|arg| takes_value(arg));
                arg.map_or(WordWanted::Nothing, WordWanted::Value)
            }
            _ if last.starts_with('-') && !only_values => WordWanted::Flag,
            _ => cursor.plain_wanted(),
        };
        cursor
    }

    /// The commands that are chosen, one after the other.
    pub fn path(&self) -> String {
        self.commands.join(" ")
    }

    /// The values that are given for arguments of these, in order.
    pub fn given(&self) -> impl Iterator<Item = (&'a Arg, &'a str)> + '_ {
        self.given.iter().copied()
    }

    /// What is given for an argument, by its name, each value of a list on its own.
    pub fn values(&self, id: &str) -> Vec<&'a str> {
        let of_it = self.given.iter().filter(|(arg, _)| arg.get_id() == id);
        of_it.flat_map(|(arg, value)| split(arg, value)).filter(|value| !value.is_empty()).collect()
    }

    /// What is typed, in two: the values of a list that are whole, with their commas, and the one that is not.
    pub fn typed_of_list(&self) -> (&'a str, &'a str) {
        let delimiter = match self.wanted {
            WordWanted::Value(arg) => arg.get_value_delimiter(),
            _ => None,
        };
        let end = delimiter.and_then(|delimiter| Some(self.typed.rfind(delimiter)? + delimiter.len_utf8()));
        self.typed.split_at(end.unwrap_or(0))
    }

    /// Whether this value is given for the argument already.
    pub fn has(&self, value: &str) -> bool {
        let WordWanted::Value(arg) = self.wanted else { return false };
        let repeats = arg.is_positional() || arg.get_value_delimiter().is_some();
        repeats
            && (self.values(arg.get_id().as_str()).contains(&value)
                || split(arg, self.typed_of_list().0).any(|v| v == value))
    }

    /// A word that is no flag: a command, or a value by its place.
    fn take_plain(&mut self, word: &'a str) {
        let chosen = self.command.find_subcommand(word).filter(|_| self.positionals() == 0);
        if let Some(command) = chosen {
            self.command = command;
            self.commands.push(command.get_name());
        } else if let Some(arg) = self.positional() {
            self.given.push((arg, word));
        } else {
            self.is_lost = true;
        }
    }

    /// A flag; the argument whose value is the next word, if it is.
    fn take_flag(&mut self, word: &'a str) -> Option<&'a Arg> {
        if let Some(flag) = word.strip_prefix("--") {
            let (flag, value) = flag.split_once('=').map_or((flag, None), |(flag, value)| (flag, Some(value)));
            return self.take(self.long(flag)?, value);
        }
        let letters = word.strip_prefix('-')?;
        for (at, letter) in letters.char_indices() {
            let arg = self.command.get_arguments().find(|arg| arg.get_short() == Some(letter))?;
            if takes_value(arg) {
                let rest = &letters[at + letter.len_utf8()..];
                return self.take(arg, (!rest.is_empty()).then(|| rest.strip_prefix('=').unwrap_or(rest)));
            }
            self.given.push((arg, ""));
        }
        None
    }

    fn take(&mut self, arg: &'a Arg, value: Option<&'a str>) -> Option<&'a Arg> {
        let waits = value.is_none() && takes_value(arg) && !may_stand_alone(arg);
        if !waits {
            self.given.push((arg, value.unwrap_or_default()));
        }
        waits.then_some(arg)
    }

    fn long(&self, flag: &str) -> Option<&'a Arg> {
        let is_it = |arg: &&Arg| {
            arg.get_long() == Some(flag) || arg.get_all_aliases().is_some_and(|aliases| aliases.contains(&flag))
        };
        self.command.get_arguments().find(is_it)
    }

    fn positionals(&self) -> usize {
        self.given.iter().filter(|(arg, _)| arg.is_positional()).count()
    }

    /// The argument that a value at the next place is for.
    fn positional(&self) -> Option<&'a Arg> {
        let mut places: Vec<&Arg> = self.command.get_positionals().collect();
        places.sort_by_key(|arg| arg.get_index());
        let last = places.last().copied().filter(|arg| arg.get_num_args().is_some_and(|many| many.max_values() > 1));
        places.get(self.positionals()).copied().or(last)
    }

    fn plain_wanted(&self) -> WordWanted<'a> {
        match self.positional() {
            _ if self.is_lost => WordWanted::Nothing,
            Some(arg) => WordWanted::Value(arg),
            None if self.command.has_subcommands() => WordWanted::Command,
            None => WordWanted::Nothing,
        }
    }
}

/// The commands below this one.
pub fn commands(command: &Command) -> Vec<Candidate> {
    let shown = command.get_subcommands().filter(|command| !command.is_hide_set());
    shown.map(|command| Candidate::new(command.get_name(), sentence(command.get_about()))).collect()
}

/// The flags of the command that are not given yet, or can be given again.
pub fn flags(cursor: &CursorOnLine<'_>) -> Vec<Candidate> {
    let again = |arg: &Arg| matches!(arg.get_action(), ArgAction::Append | ArgAction::Count);
    let open = |arg: &&Arg| again(arg) || !cursor.given().any(|(given, _)| given.get_id() == arg.get_id());
    let shown = cursor.command.get_arguments().filter(|arg| !arg.is_positional() && !arg.is_hide_set()).filter(open);
    shown
        .flat_map(|arg| {
            let long = arg.get_long().map(|long| format!("--{long}"));
            let short = arg.get_short().map(|short| format!("-{short}"));
            long.into_iter().chain(short).map(|flag| Candidate::new(flag, sentence(arg.get_help())))
        })
        .collect()
}

/// Whether something comes behind it.
pub fn takes_value(arg: &Arg) -> bool {
    arg.get_action().takes_values()
}

/// Whether its value may be left out, so that the next word is none.
fn may_stand_alone(arg: &Arg) -> bool {
    arg.is_require_equals_set() || arg.get_num_args().is_some_and(|many| many.min_values() == 0)
}

fn split<'v>(arg: &Arg, value: &'v str) -> impl Iterator<Item = &'v str> + use<'v> {
    let delimiter = arg.get_value_delimiter();
    value.split(move |c| Some(c) == delimiter)
}

/// The first sentence of a help text.
fn sentence(help: Option<&clap::builder::StyledStr>) -> String {
    let help = help.map(ToString::to_string).unwrap_or_default();
    let first = help.lines().next().unwrap_or_default();
    first.split(". ").next().unwrap_or_default().trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Command {
        let value = |id: &'static str| Arg::new(id).long(id);
        let switch = |id: &'static str, short| Arg::new(id).short(short).action(ArgAction::SetTrue);
        let maybe = value("maybe").num_args(0..=1).require_equals(true);
        let names = Arg::new("names").num_args(1..).action(ArgAction::Append);
        let list = value("list").value_delimiter(',').action(ArgAction::Append);
        let show = Command::new("show").args([
            switch("all", 'A'),
            value("as").short('n'),
            maybe,
            list,
            Arg::new("first"),
            names,
        ]);
        let mut tree = Command::new("top").subcommand(Command::new("policy").subcommand(show));
        tree.build();
        tree
    }

    /// The commands, what is given, and the argument whose value is wanted.
    fn at(words: &[&str]) -> (String, Vec<String>, Option<String>) {
        let tree = tree();
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let cursor = CursorOnLine::read(&tree, &words);
        let given = cursor.given().map(|(arg, value)| format!("{}={value}", arg.get_id())).collect();
        let wanted = match cursor.wanted {
            WordWanted::Value(arg) => Some(arg.get_id().to_string()),
            _ => None,
        };
        (cursor.path(), given, wanted)
    }

    #[test]
    fn values_go_to_the_arguments_that_clap_gives_them_to() {
        for (words, given, wanted) in [
            (&[][..], &[][..], Some("first")),
            (&["--as", "x"], &["as=x"], Some("first")),
            (&["--as=x"], &["as=x"], Some("first")),
            (&["-Anx"], &["all=", "as=x"], Some("first")),
            (&["-n=x"], &["as=x"], Some("first")),
            (&["-An"], &["all="], Some("as")),
            (&["--as"], &[], Some("as")),
            (&["--maybe"], &["maybe="], Some("first")),
            (&["a"], &["first=a"], Some("names")),
            (&["a", "-A", "b", "c"], &["first=a", "all=", "names=b", "names=c"], Some("names")),
            (&["--", "--as"], &["first=--as"], Some("names")),
            (&["-"], &["first=-"], Some("names")),
            (&["--unknown"], &[], Some("first")),
        ] {
            let line = [&["policy", "show"], words, &[""]].concat();
            let expected = given.iter().map(|given| (*given).to_owned()).collect();
            assert_eq!(at(&line), ("policy show".to_owned(), expected, wanted.map(str::to_owned)), "{words:?}");
        }
    }

    #[test]
    fn a_command_is_wanted_until_one_without_commands_is_chosen() {
        let tree = tree();
        for (words, command) in [(&[""][..], true), (&["policy", ""], true), (&["policy", "show", ""], false)] {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(matches!(CursorOnLine::read(&tree, &words).wanted, WordWanted::Command), command, "{words:?}");
        }
    }

    #[test]
    fn what_is_given_in_lists_is_known_one_by_one() {
        let tree = tree();
        let words = ["policy", "show", "--list", "a,b", "--list=c", "--list=d,e,f"].map(str::to_owned);
        let cursor = CursorOnLine::read(&tree, &words);
        assert_eq!(cursor.values("list"), ["a", "b", "c"]);
        assert_eq!(cursor.typed_of_list(), ("d,e,", "f"));
        assert!(["a", "c", "d", "e"].iter().all(|value| cursor.has(value)) && !cursor.has("f"));
    }
}
