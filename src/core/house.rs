//! The rules of this house, checked on its source: the core knows no client, no clock and no environment,
//! cannot panic by `unwrap`, and its files stay short enough to read.

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
const MOST_LINES_OF_CODE: usize = 450;
/// Files that are tests as a whole.
const TESTS: [&str; 4] = ["samples.rs", "laws.rs", "laws", "tests.rs"];

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

/// Every source file of the core but this one, which must name what it looks for.
fn sources() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/core");
    let (mut folders, mut files) = (vec![root], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("house.rs") {
                files.push(path);
            }
        }
    }
    assert!(files.len() > 12, "looks in the wrong place");
    files.sort();
    files
}

fn is_test(file: &Path) -> bool {
    file.iter().any(|part| TESTS.iter().any(|test| part == *test))
}

/// Lines of code with their numbers: no comments, no blank lines, and not the tests at the end.
fn code(file: &Path) -> impl Iterator<Item = (usize, String)> {
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

fn mentions(file: &Path, words: &[&str]) -> Vec<String> {
    code(file)
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
