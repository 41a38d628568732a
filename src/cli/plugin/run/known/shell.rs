//! The command that a shell is started for, where its script is one simple command: `sh -c 'kubectl delete pod a'`.
//!
//! A script that expands, joins or redirects anything is left as it is: what it calls only a shell can tell. Runs nothing.

/// Shells whose `-c` takes a script.
const SHELLS: [&str; 5] = ["sh", "bash", "dash", "ksh", "zsh"];
/// What a shell does something with outside of quotes.
const SPECIAL: &str = "|&;<>()$`\\*?[]#~{}!\n\r";
/// The same within double quotes.
const SPECIAL_IN_QUOTES: &str = "$`\\!";

/// The words of the command, or of the only one that its shell runs.
pub fn unwrapped(line: Vec<String>) -> Vec<String> {
    match &line[..] {
        [shell, flag, script, ..] if is_shell(shell) && flag == "-c" => simple(script).unwrap_or(line),
        _ => line,
    }
}

fn is_shell(program: &str) -> bool {
    program.rsplit('/').next().is_some_and(|name| SHELLS.contains(&name))
}

/// The words of a script that is one simple command. None for any other.
fn simple(script: &str) -> Option<Vec<String>> {
    let mut words: Vec<String> = Vec::new();
    // None between two words.
    let mut word: Option<String> = None;
    let mut quote = None;
    for letter in script.trim().chars() {
        match (quote, letter) {
            (Some(open), letter) if letter == open => quote = None,
            (Some('"'), letter) if SPECIAL_IN_QUOTES.contains(letter) => return None,
            (Some(_), letter) => word.get_or_insert_default().push(letter),
            (None, '\'' | '"') => {
                word.get_or_insert_default();
                quote = Some(letter);
            }
            (None, ' ' | '\t') => words.extend(word.take()),
            (None, letter) if SPECIAL.contains(letter) => return None,
            (None, letter) => word.get_or_insert_default().push(letter),
        }
    }
    if quote.is_some() {
        return None;
    }
    words.extend(word);
    if words.first().is_some_and(|word| word == "exec") {
        words.remove(0);
    }
    // Or it sets a variable.
    words.first().is_some_and(|program| !program.contains('=')).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &[&str]) -> String {
        unwrapped(line.iter().map(|word| (*word).to_owned()).collect()).join("|")
    }

    #[test]
    fn a_shell_with_one_simple_command_is_that_command() {
        for (script, expected) in [
            ("kubectl delete pod a", "kubectl|delete|pod|a"),
            (" exec  kubectl\tget pods ", "kubectl|get|pods"),
            (
                r#"kubectl patch cm a -p '{"x": "$y"}' --type="me"rge"#,
                r#"kubectl|patch|cm|a|-p|{"x": "$y"}|--type=merge"#,
            ),
            ("helm upgrade a '' b", "helm|upgrade|a||b"),
        ] {
            assert_eq!(of(&["/bin/sh", "-c", script]), expected, "{script}");
            assert_eq!(of(&["bash", "-c", script, "name", "more"]), expected, "{script}");
        }
    }

    #[test]
    fn any_other_script_stays_one() {
        for script in [
            "kubectl get pods; kubectl get cm",
            "kubectl get pods\nkubectl get cm",
            "kubectl get pods && true",
            "kubectl get pods | wc",
            "kubectl get pods > file",
            "kubectl get pod $POD",
            "kubectl get pod \"$POD\"",
            "kubectl get pod `cat x`",
            "kubectl delete pod a\\ b",
            "kubectl apply -f *.yaml",
            "kubectl apply -f ~/x.yaml",
            "kubectl get pod {a,b}",
            "NAMESPACE=x kubectl get pods",
            "kubectl get pod 'a",
            "# nothing",
            "exec",
            "",
        ] {
            assert_eq!(of(&["sh", "-c", script]), format!("sh|-c|{script}"), "{script}");
        }
        for line in [&["sh", "-e", "kubectl get pods"][..], &["watch", "-c", "kubectl get pods"], &["sh", "-c"], &[]] {
            assert_eq!(of(line), line.join("|"));
        }
    }
}
