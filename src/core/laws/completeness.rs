//! What a change must not forget, read from the source: a type of its own name, words for what is public, a reason that
//! something gives, a figure that something moves.
//!
//! Owns these walks over the text. It must not say what a reason or a figure means.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::purity::{code, root, sources_in};
use crate::api::reason::Reason;
use crate::api::word::Vocabulary;

/// Types of the API whose value as the core reads it has the same name, as internal and versioned types of Kubernetes do.
const AS_READ: [(&str, &str); 6] = [
    ("BreakGlass", "core/policies/policy.rs"),
    ("Extension", "core/policies/policy.rs"),
    ("Limits", "core/policies/limits.rs"),
    ("Recurrence", "core/model/recurrence.rs"),
    ("Schedule", "core/model/schedule.rs"),
    ("Window", "core/model/schedule.rs"),
];

#[test]
fn no_two_types_share_a_name_when_one_of_them_is_public() {
    let mut defined: BTreeMap<String, Vec<(bool, PathBuf)>> = BTreeMap::new();
    for file in program() {
        for (_, line) in code(&file) {
            if let Some((public, name)) = definition(&line) {
                defined.entry(name.to_owned()).or_default().push((public, file.clone()));
            }
        }
    }
    assert!(defined.len() > 250, "reads only {} types", defined.len());
    let as_read = |name: &str, file: &Path| {
        AS_READ.iter().any(|(known, place)| *known == name && file == root().join("src").join(place))
    };
    for (name, place) in AS_READ {
        let found =
            defined.get(name).is_some_and(|all| all.len() > 1 && all.iter().any(|(_, file)| as_read(name, file)));
        assert!(found, "{name} of {place} shares its name with nothing: remove the exception");
    }
    let twice = defined.iter().filter(|(name, all)| {
        let counted: Vec<_> = all.iter().filter(|(_, file)| !as_read(name, file)).collect();
        counted.len() > 1 && counted.iter().any(|(public, _)| *public)
    });
    let twice: Vec<String> = twice.map(|(name, all)| format!("{name}: {all:?}")).collect();
    assert!(twice.is_empty(), "give each a name of its own:\n{}", twice.join("\n"));
}

#[test]
fn every_reason_is_given_somewhere() {
    let text = text_of(program().into_iter().filter(|file| !file.ends_with("api/reason.rs")));
    // What only decides about every reason without a wildcard gives none.
    let mentions = |word: &str| text.lines().filter(|line| gives(line, word)).count();
    let idle: Vec<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).filter(|word| mentions(word) == 0).collect();
    assert!(idle.is_empty(), "nothing gives these reasons: {idle:?}");
}

#[test]
fn every_figure_is_moved_by_somebody() {
    let metrics = root().join("src/runtime/metrics.rs");
    let own = text_of([metrics.clone()]);
    let methods: Vec<&str> = own
        .lines()
        .filter_map(|line| line.trim().strip_prefix("pub fn ")?.split_once(['(', '<']))
        .filter(|(_, rest)| rest.contains("&self"))
        .map(|(name, _)| name)
        .collect();
    assert!(methods.len() > 10, "finds only {methods:?}");
    let text = text_of(program().into_iter().filter(|file| *file != metrics));
    let idle: Vec<&&str> = methods.iter().filter(|name| !text.contains(&format!(".{name}("))).collect();
    assert!(idle.is_empty(), "nothing calls these methods of Metrics: {idle:?}");
}

/// Fields and variants are named so that most need no words. In `api` the compiler asks for those of each.
#[test]
fn what_is_public_between_rooms_is_documented() {
    const ITEMS: [&str; 7] =
        ["pub fn ", "pub async fn ", "pub const fn ", "pub struct ", "pub enum ", "pub trait ", "pub type "];
    let (mut items, mut bare) = (0, Vec::new());
    for file in program().into_iter().filter(|file| !file.starts_with(root().join("src/api"))) {
        let text = std::fs::read_to_string(&file).unwrap();
        let program = text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or_default();
        let mut documented = false;
        for (number, line) in program.lines().map(str::trim).enumerate() {
            if ITEMS.iter().any(|item| line.starts_with(item)) {
                items += 1;
                if !documented {
                    bare.push(format!("{}:{}: {line}", file.display(), number + 1));
                }
            }
            let is_attribute = line.starts_with("#[") || line.ends_with(")]");
            documented = line.starts_with("///") || documented && is_attribute;
        }
    }
    assert!(items > 500, "finds only {items} items");
    assert!(bare.is_empty(), "say what these are for:\n{}", bare.join("\n"));
}

/// Every source file that becomes part of the program.
fn program() -> Vec<PathBuf> {
    let is_test = |file: &PathBuf| {
        file.iter().any(|part| part == "laws" || part == "tests.rs" || part == "golden.rs" || part == "scripted.rs")
    };
    sources_in("src").into_iter().filter(|file| !is_test(file)).collect()
}

fn text_of(files: impl IntoIterator<Item = PathBuf>) -> String {
    files.into_iter().flat_map(|file| code(&file).map(|(_, line)| line + "\n").collect::<Vec<_>>()).collect()
}

/// Whether a line names a reason other than as an arm of a match over all of them, which stands alone on its line.
fn gives(line: &str, reason: &str) -> bool {
    let named = format!("Reason::{reason}");
    let whole = line.match_indices(&named).any(|(at, _)| !line[at + named.len()..].starts_with(char::is_alphanumeric));
    let arm = line.trim().trim_start_matches("| ").trim_end_matches(" => true,").trim_end_matches(" => false,");
    whole && arm != named
}

/// Whether a type that a line defines is public, and its name. Types that belong to a trait are indented and not meant.
fn definition(line: &str) -> Option<(bool, &str)> {
    let public = line.starts_with("pub");
    let line = line.strip_prefix("pub").map_or(line, |rest| rest.split_once(' ').map_or("", |(_, rest)| rest));
    let (kind, rest) = line.split_once(' ')?;
    let is_type = matches!(kind, "struct" | "enum" | "trait" | "type" | "union");
    is_type.then(|| (public, rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default()))
}
