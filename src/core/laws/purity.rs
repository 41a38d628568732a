//! What the source of the core must not contain, checked on its text: the core knows no client, no clock and no environment, cannot panic by
//! `unwrap`, its files stay short enough to read, and few files write to the cluster.

use std::path::{Path, PathBuf};

/// What would let the outside in. Looked for in code, not in comments.
const NOT_HERE: [&str; 31] = [
    "kube::Client",
    "kube::client",
    "kube::Api",
    "kube::api::Api",
    "kube::runtime",
    "async ",
    ".await",
    "tokio",
    "futures",
    "tracing",
    "Timestamp::now",
    "Zoned::now",
    "SystemTime",
    "Instant::now",
    "UNIX_EPOCH.elapsed",
    "std::env",
    "std::fs",
    "std::io",
    "std::net",
    "std::process",
    "std::thread",
    "println!",
    "thread_local!",
    "static mut ",
    // They look for time zones on the machine; the database that is compiled in is the same everywhere.
    "TimeZone::get(",
    "TimeZone::system(",
    "TimeZone::try_system(",
    "tz::db(",
    "in_tz(",
    // Their order differs from run to run.
    "HashMap",
    "HashSet",
];
/// What would let a pass end in a panic.
const NEVER: [&str; 7] =
    [".unwrap()", ".expect(", "panic!(", "todo!(", "unimplemented!(", "unreachable!(", "#[allow(clippy"];
/// Calls that write to the cluster, or look as if they did.
const WRITES: [&str; 8] = [
    ".create(",
    ".patch(",
    ".patch_status(",
    ".patch_metadata(",
    ".replace(",
    ".replace_status(",
    ".delete(",
    ".delete_collection(",
];
/// A character in place of a name: text is replaced, and no object.
const NO_WRITE: &str = ".replace('";
/// Where such calls may stand, and why.
const MAY_WRITE: [(&str, &str); 10] = [
    ("controller/write", "writes are its business"),
    ("runtime/leases.rs", "an election writes its Lease, and must before anybody leads"),
    ("archive/who", "reviews of tokens and rights store nothing"),
    ("cli/plugin/doctor/rights.rs", "access reviews store nothing"),
    ("controller/loops/canary/tries.rs", "dry runs alone"),
    ("controller/loops/canary/account.rs", "a SelfSubjectReview stores nothing"),
    ("controller/loops/bind_rights.rs", "a SelfSubjectAccessReview stores nothing"),
    ("notify/state.rs", "what was told, in the one ConfigMap that is for it"),
    ("cli/plugin/identity.rs", "reviews of the caller store nothing"),
    ("cli/plugin/write.rs", "a person's own request and review, with their own rights"),
];
const MOST_LINES_OF_CODE: usize = 450;
/// Files that are tests as a whole.
const TESTS: [&str; 3] = ["laws", "tests.rs", "golden.rs"];

#[test]
fn the_core_has_no_client_no_clock_and_no_environment() {
    let found: Vec<String> = sources().iter().flat_map(|file| mentions(file, &NOT_HERE)).collect();
    assert!(found.is_empty(), "the core must stay pure:\n{}", found.join("\n"));
}

#[test]
fn the_core_does_not_panic_on_purpose() {
    let found: Vec<String> =
        sources().iter().filter(|file| !is_test(file)).flat_map(|file| mentions(file, &NEVER)).collect();
    assert!(found.is_empty(), "return an error or a plan instead:\n{}", found.join("\n"));
}

#[test]
fn files_stay_short_enough_to_read() {
    for file in sources().iter().filter(|file| !is_test(file)) {
        let count = code(file).count();
        assert!(count <= MOST_LINES_OF_CODE, "{} has {count} lines of code: split it", file.display());
    }
}

#[test]
fn tests_come_last_in_a_file_so_that_nothing_hides_behind_them() {
    for file in sources() {
        let text = std::fs::read_to_string(&file).unwrap();
        if let Some((_, tests)) = text.split_once("\n#[cfg(test)]\nmod tests {\n") {
            let after = tests.split_once("\n}\n").map(|(_, after)| after);
            assert_eq!(after, Some(""), "{}", file.display());
        }
    }
}

#[test]
fn what_writes_to_the_cluster_stands_where_it_is_looked_for() {
    let all = sources_in("src");
    let may = |file: &Path| MAY_WRITE.iter().any(|(place, _)| file.starts_with(root().join("src").join(place)));
    let writes = |file: &&PathBuf| !is_test(file) && !writes_in(file).is_empty();
    let (at_home, elsewhere): (Vec<&PathBuf>, Vec<&PathBuf>) = all.iter().filter(writes).partition(|file| may(file));
    let found: Vec<String> = elsewhere.iter().flat_map(|file| writes_in(file)).collect();
    assert!(found.is_empty(), "have controller/write do it:\n{}", found.join("\n"));
    for (place, why) in MAY_WRITE {
        let place = root().join("src").join(place);
        assert!(at_home.iter().any(|file| file.starts_with(&place)), "nothing writes in {}: {why}", place.display());
    }
}

pub(super) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every source file of the core.
fn sources() -> Vec<PathBuf> {
    let files = sources_in("src/core");
    assert!(files.len() > 12, "looks in the wrong place");
    files
}

/// Every source file of a folder but those that must name what they look for.
pub(super) fn sources_in(folder: &str) -> Vec<PathBuf> {
    let (mut folders, mut files) = (vec![root().join(folder)], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs")
                && !path.ends_with("purity.rs")
                && !path.ends_with("arrows.rs")
                && !path.ends_with("completeness.rs")
                && !path.ends_with("contributing.rs")
                && !path.ends_with("wording.rs")
            {
                files.push(path);
            }
        }
    }
    assert!(files.len() > 2, "looks in the wrong place");
    files.sort();
    files
}

fn is_test(file: &Path) -> bool {
    file.iter().any(|part| TESTS.iter().any(|test| part == *test))
}

/// Lines of code with their numbers: no comments, no blank lines, and not the tests at the end.
pub(super) fn code(file: &Path) -> impl Iterator<Item = (usize, String)> {
    let text = std::fs::read_to_string(file).unwrap();
    let code = text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or_default().to_owned();
    let lines: Vec<(usize, String)> = code
        .lines()
        .enumerate()
        .map(|(index, line)| (index + 1, without_comment(line).trim_end().to_owned()))
        .filter(|(_, line)| !line.is_empty())
        .collect();
    lines.into_iter()
}

/// `//` inside a word is part of a URL, not a comment.
fn without_comment(line: &str) -> &str {
    let start = line.match_indices("//").map(|(at, _)| at).find(|at| *at == 0 || line[..*at].ends_with(' '));
    &line[..start.unwrap_or(line.len())]
}

fn writes_in(file: &Path) -> Vec<String> {
    mentions_in(file, code(file).map(|(number, line)| (number, line.replace(NO_WRITE, ""))), &WRITES)
}

pub(super) fn mentions(file: &Path, words: &[&str]) -> Vec<String> {
    mentions_in(file, code(file), words)
}

fn mentions_in(file: &Path, lines: impl Iterator<Item = (usize, String)>, words: &[&str]) -> Vec<String> {
    lines
        .flat_map(|(number, line)| {
            let found: Vec<String> = words
                .iter()
                .filter(|word| line.contains(**word))
                .map(|word| format!("{}:{number}: {word}", file.display()))
                .collect();
            found
        })
        .collect()
}
