//! The command line of kubectl or helm, as far as it says what will be called.
//!
//! Reads words and flags. It must not know what a command calls.

/// A program whose commands are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KnownTool {
    Kubectl,
    Helm,
}

/// Flags that take the word behind them, where it is not behind an equals sign.
const WITH_VALUE: [&str; 52] = [
    "--namespace",
    "--context",
    "--kube-context",
    "--kubeconfig",
    "--cluster",
    "--user",
    "--token",
    "--server",
    "--as",
    "--as-group",
    "--as-uid",
    "--request-timeout",
    "--cache-dir",
    "--certificate-authority",
    "--client-certificate",
    "--client-key",
    "--tls-server-name",
    "--output",
    "--selector",
    "--field-selector",
    "--filename",
    "--kustomize",
    "--container",
    "--image",
    "--from",
    "--patch",
    "--patch-file",
    "--type",
    "--subresource",
    "--replicas",
    "--current-replicas",
    "--resource-version",
    "--grace-period",
    "--timeout",
    "--field-manager",
    "--tail",
    "--since",
    "--since-time",
    "--limit-bytes",
    "--sort-by",
    "--chunk-size",
    "--template",
    "--values",
    "--set",
    "--set-string",
    "--set-file",
    "--set-json",
    "--set-literal",
    "--post-renderer",
    "--description",
    "--version",
    "--history-max",
];
/// The same with one letter.
const LETTERS_WITH_VALUE: [char; 9] = ['n', 's', 'v', 'o', 'l', 'f', 'c', 'k', 'L'];

/// A command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolLine<'a> {
    pub tool: KnownTool,
    /// What is no flag and no value of one, up to `--`.
    pub words: Vec<&'a str>,
    /// Long flags with their values, and each letter of short ones.
    flags: Vec<&'a str>,
    /// Flags and the words behind them that belong to them.
    pairs: Vec<(&'a str, &'a str)>,
}

impl<'a> ToolLine<'a> {
    /// Reads the words of a command, the program first. None for another program.
    pub fn read(line: &'a [String]) -> Option<Self> {
        let (program, args) = line.split_first()?;
        let program = program.rsplit(['/', '\\']).next()?;
        let tool = match program.strip_suffix(".exe").unwrap_or(program) {
            "kubectl" => KnownTool::Kubectl,
            "helm" => KnownTool::Helm,
            _ => return None,
        };
        let (mut words, mut flags, mut pairs) = (Vec::new(), Vec::new(), Vec::new());
        let mut rest = args.iter().map(String::as_str).take_while(|arg| *arg != "--");
        while let Some(arg) = rest.next() {
            if !arg.starts_with('-') || arg == "-" {
                words.push(arg);
                continue;
            }
            flags.push(arg);
            if takes_next(arg, words.first().copied().unwrap_or_default()) {
                pairs.extend(rest.next().map(|value| (arg, value)));
            }
        }
        Some(Self { tool, words, flags, pairs })
    }

    /// The values that a flag is given, by its name or by its letter.
    pub fn values(&self, long: &str, letter: char) -> Vec<&'a str> {
        let behind = self.pairs.iter().filter(|(flag, _)| match flag.strip_prefix("--") {
            Some(_) => *flag == long,
            None => flag.ends_with(letter),
        });
        let within = self.flags.iter().filter_map(|flag| match flag.split_once('=') {
            Some((name, value)) if !is_short(flag) => Some(value).filter(|_| name == long),
            _ if is_short(flag) => flag[1..].strip_prefix(letter).map(|value| value.trim_start_matches('=')),
            _ => None,
        });
        behind.map(|(_, value)| *value).chain(within.filter(|value| !value.is_empty())).collect()
    }

    /// Whether a flag is there, and not turned off. Of one letter, also among others.
    pub fn has(&self, flag: &str) -> bool {
        let mut letters = flag.chars();
        let letter = letters.next().filter(|_| letters.next().is_none());
        self.flags.iter().any(|given| match letter {
            Some(letter) => letters_of(given).any(|given| given == letter),
            None => given.split_once('=').map_or(*given == flag, |(name, value)| name == flag && value != "false"),
        })
    }

    /// Whether a flag is turned off.
    pub fn lacks(&self, flag: &str) -> bool {
        self.flags.iter().any(|given| given.split_once('=') == Some((flag, "false")))
    }
}

fn is_short(flag: &str) -> bool {
    !flag.starts_with("--")
}

/// The letters of a short flag, up to one that has its value behind it.
fn letters_of(flag: &str) -> impl Iterator<Item = char> {
    let mut has_value = !is_short(flag);
    flag.chars()
        .skip(1)
        .take_while(move |letter| !std::mem::replace(&mut has_value, LETTERS_WITH_VALUE.contains(letter)))
}

/// Whether the word behind a flag belongs to it.
pub fn takes_next(flag: &str, command: &str) -> bool {
    if !is_short(flag) {
        return WITH_VALUE.contains(&flag);
    }
    // One before the last has the rest of the word for its value.
    if letters_of(flag).count() + 1 != flag.chars().count() {
        return false;
    }
    match flag.chars().last() {
        // logs -f follows, and logs -p looks at the one before.
        Some('f') => command != "logs",
        Some('p') => command == "patch",
        Some(letter) => LETTERS_WITH_VALUE.contains(&letter),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> (Vec<String>, bool) {
        let line: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let read = ToolLine::read(&line).unwrap();
        (read.words.iter().map(|word| (*word).to_owned()).collect(), read.has("f"))
    }

    #[test]
    fn values_of_flags_are_no_words() {
        for (line, words, follows) in [
            ("kubectl -n shop delete pod a b --grace-period 5", &["delete", "pod", "a", "b"][..], false),
            ("/usr/bin/kubectl --namespace=shop logs -f a -c web", &["logs", "a"], true),
            ("kubectl exec -it a -nshop -- sh -c x", &["exec", "a"], false),
            ("kubectl apply -f x.yaml", &["apply"], true),
            ("kubectl patch -p {} deploy/web", &["patch", "deploy/web"], false),
            ("helm upgrade --install web ./chart --set a=b", &["upgrade", "web", "./chart"], false),
        ] {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(read(line), (words, follows), "{line}");
        }
    }

    #[test]
    fn a_flag_has_its_values_behind_it_or_within() {
        let line: Vec<String> =
            ["kubectl", "apply", "-f", "a", "-fb", "-f=c", "--filename", "d", "--filename=e", "-nf", "-n", "g"]
                .map(str::to_owned)
                .into();
        let read = ToolLine::read(&line).unwrap();
        assert_eq!(read.values("--filename", 'f'), ["a", "d", "b", "c", "e"]);
        assert_eq!(read.values("--namespace", 'n'), ["g", "f"]);
    }

    #[test]
    fn a_flag_can_be_turned_off() {
        let line: Vec<String> = ["kubectl", "delete", "--wait=false", "--force=true"].map(str::to_owned).into();
        let read = ToolLine::read(&line).unwrap();
        assert_eq!((read.has("--wait"), read.lacks("--wait"), read.has("--force")), (false, true, true));
        let line: Vec<String> = ["kubectl", "get", "-itowide"].map(str::to_owned).into();
        let read = ToolLine::read(&line).unwrap();
        assert_eq!((read.has("t"), read.has("o"), read.has("w")), (true, true, false));
        assert_eq!(ToolLine::read(&["k9s".to_owned()]), None);
        assert_eq!(ToolLine::read(&[]), None);
    }
}
