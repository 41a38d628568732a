//! Templates of `-o jsonpath=`: text with paths in braces, as kubectl takes them. What a path means is for the library to
//! say; this turns kubectl's way of writing one into that of RFC 9535.

use std::str::FromStr;

use jsonpath_rust::JsonPath;
use serde_json::Value;

/// A template that can be filled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Words(String),
    /// A path from the root, or within a range from its item.
    Path(String),
    /// These parts, for each thing that the path leads to.
    Range(String, Vec<Part>),
}

impl FromStr for Template {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut ranges: Vec<(String, Vec<Part>)> = Vec::new();
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some(open) = rest.find('{') {
            if open > 0 {
                parts.push(Part::Words(rest[..open].to_owned()));
            }
            let inside = &rest[open + 1..];
            let close = end_of(inside).ok_or_else(|| format!("{{{inside}: the brace is not closed"))?;
            let expression = inside[..close].trim();
            rest = &inside[close + 1..];
            if let Some(path) = expression.strip_prefix("range ") {
                ranges.push((path_of(path.trim())?, std::mem::take(&mut parts)));
            } else if expression == "end" {
                let (path, before) = ranges.pop().ok_or("{end} stands without {range ...}")?;
                let inner = std::mem::replace(&mut parts, before);
                parts.push(Part::Range(path, inner));
            } else if expression.starts_with(['"', '\'']) {
                parts.push(Part::Words(literal(expression)?));
            } else {
                parts.push(Part::Path(path_of(expression)?));
            }
        }
        if !ranges.is_empty() {
            return Err("{range ...} has no {end}".to_owned());
        }
        if !rest.is_empty() {
            parts.push(Part::Words(rest.to_owned()));
        }
        Ok(Self(parts))
    }
}

/// Where the expression ends: at the first brace that is in no quotes.
fn end_of(inside: &str) -> Option<usize> {
    let (mut quote, mut escaped) = (None, false);
    for (at, c) in inside.char_indices() {
        match (quote, c) {
            _ if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, '}') => return Some(at),
            _ => {}
        }
    }
    None
}

fn literal(quoted: &str) -> Result<String, String> {
    let inner = quoted.get(1..quoted.len().saturating_sub(1)).filter(|_| quoted.len() > 1).unwrap_or_default();
    let (mut words, mut escaped) = (String::new(), false);
    for c in inner.chars() {
        match (escaped, c) {
            (false, '\\') => escaped = true,
            (false, c) => words.push(c),
            (true, c) => {
                words.push(match c {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    '\\' | '"' | '\'' => c,
                    other => return Err(format!("{quoted}: \\{other} stands for nothing")),
                });
                escaped = false;
            }
        }
    }
    Ok(words)
}

/// kubectl's way of writing a path, as RFC 9535 has it: a `$` before it, and a name with a `\.` in it in brackets.
fn path_of(written: &str) -> Result<String, String> {
    let path = written.trim_start_matches(['$', '@']);
    let (mut whole, mut name, mut depth) = (String::from("$"), String::new(), 0);
    let dot = if path.is_empty() || path.starts_with(['.', '[']) { "" } else { "." };
    let mut letters = dot.chars().chain(path.chars()).peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '[' | ']' => {
                name_step(&mut whole, &mut name);
                depth += if letter == '[' { 1 } else { -1 };
                whole.push(letter);
            }
            _ if depth > 0 => whole.push(letter),
            '\\' if letters.peek() == Some(&'.') => name.extend(letters.next()),
            '.' => {
                name_step(&mut whole, &mut name);
                if letters.peek() != Some(&'[') {
                    whole.push('.');
                }
            }
            _ => name.push(letter),
        }
    }
    name_step(&mut whole, &mut name);
    jsonpath_rust::parser::parse_json_path(&whole).map_err(|error| format!("{written}: {error}"))?;
    Ok(whole)
}

/// A step to a member of this name; in brackets when it is no plain word, and then without the dot before it.
fn name_step(whole: &mut String, name: &mut String) {
    let name = std::mem::take(name);
    if name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '*') {
        whole.push_str(&name);
    } else {
        let bare = whole.strip_suffix('.').filter(|bare| !bare.ends_with('.')).unwrap_or(whole).to_owned();
        *whole = format!("{bare}['{name}']");
    }
}

impl Template {
    /// The template with what its paths lead to in `root`; several things have a space between them.
    ///
    /// # Errors
    /// When a path cannot be followed.
    pub fn filled(&self, root: &Value) -> Result<String, String> {
        fill(&self.0, root)
    }
}

fn fill(parts: &[Part], root: &Value) -> Result<String, String> {
    let mut text = String::new();
    for part in parts {
        match part {
            Part::Words(words) => text.push_str(words),
            Part::Path(path) => {
                let found = follow(path, root)?;
                text.push_str(&found.into_iter().map(printed).collect::<Vec<_>>().join(" "));
            }
            Part::Range(path, inner) => {
                for item in follow(path, root)? {
                    text.push_str(&fill(inner, item)?);
                }
            }
        }
    }
    Ok(text)
}

fn follow<'a>(path: &str, root: &'a Value) -> Result<Vec<&'a Value>, String> {
    root.query(path).map_err(|error| error.to_string())
}

/// A text without its quotes, anything else as JSON.
fn printed(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn filled(template: &str) -> Result<String, String> {
        let root = json!({
            "metadata": { "name": "fix", "annotations": { "daypass.dev/ttl": "30m" } },
            "items": [{ "n": "a", "s": { "on": true } }, { "n": "b" }],
            "conditions": [{ "type": "Approved", "status": "True" }, { "type": "Granted", "status": "False" }],
        });
        template.parse::<Template>()?.filled(&root)
    }

    #[test]
    fn paths_are_followed_as_kubectl_does() {
        for (template, expected) in [
            ("{.metadata.name}", "fix"),
            ("{$.metadata.name}", "fix"),
            ("{metadata.name}", "fix"),
            ("is {.metadata.name}!", "is fix!"),
            ("{.items[*].n}", "a b"),
            ("{.items[1].n}", "b"),
            ("{.items[-1:].n}", "b"),
            ("{..n}", "a b"),
            ("{.items[0].s}", r#"{"on":true}"#),
            (r"{.metadata.annotations.daypass\.dev/ttl}", "30m"),
            ("{.metadata.annotations['daypass.dev/ttl']}", "30m"),
            (r#"{.conditions[?(@.type=="Granted")].status}"#, "False"),
            (r#"{range .items[*]}{.n}{"\n"}{end}"#, "a\nb\n"),
            ("{.nothing.there}", ""),
        ] {
            assert_eq!(filled(template).as_deref(), Ok(expected), "{template}");
        }
    }

    #[test]
    fn a_template_that_cannot_be_read_says_where() {
        for (template, words) in [
            ("{.a", "not closed"),
            ("{end}", "without"),
            ("{range .a}", "no {end}"),
            ("{.a[}", ".a["),
            ("{'\\q'}", "\\q"),
        ] {
            assert!(filled(template).is_err_and(|why| why.contains(words)), "{template}: {:?}", filled(template));
        }
    }
}
