//! The Dockerfile and .dockerignore, held together without a container tool: what the one copies, the other lets through,
//! and what Cargo looks for is among it. The rules are those of Docker, by
//! <https://docs.docker.com/build/concepts/context/#dockerignore-files>.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use clap::Parser;
use daypass::cli::Cli;
use daypass::cli::archive::ArchiveArgs;
use daypass::cli::notify::NotifyArgs;
use daypass::cli::page::PageArgs;
use daypass::cli::witness::WitnessArgs;
use libtest_mimic::Trial;
use regex::Regex;

use crate::harness::{binaries, without_cluster};

pub fn trials() -> Vec<Trial> {
    vec![
        without_cluster("dockerfile::what_it_copies_is_let_through", copies_are_let_through),
        without_cluster("dockerfile::cargo_finds_what_the_manifest_names", manifest_is_whole),
        without_cluster("dockerfile::each_program_is_started_as_it_can_be", programs_are_started),
        without_cluster("dockerfile::what_is_held_back_is_told_by_its_line", tells_what_is_held_back),
        without_cluster("dockerfile::dockerignore_is_read_as_docker_reads_it", read_as_docker_reads_it),
    ]
}

fn copies_are_let_through() {
    let copied = copied(&read("Dockerfile"), &Dockerignore::of_the_repository());
    let copied = copied.unwrap_or_else(|faults| panic!("{}", faults.join("\n")));
    assert!(copied.len() > 50, "only {} files are copied: {copied:?}", copied.len());
}

/// Cargo does not build what `--bin daypass` does not need, and wants to find it all the same.
fn manifest_is_whole() {
    let copied = copied(&read("Dockerfile"), &Dockerignore::of_the_repository()).expect("a Dockerfile that copies");
    let manifest = read("Cargo.toml");
    let paths = manifest.lines().filter_map(|line| line.strip_prefix("path = \"")?.strip_suffix('"'));
    let wanted: BTreeSet<String> = paths.chain(["Cargo.toml", "Cargo.lock"]).map(str::to_owned).collect();
    assert!(wanted.len() > 5, "Cargo.toml names its targets in another form: {wanted:?}");
    let missing: Vec<&String> = wanted.difference(&copied).collect();
    assert!(missing.is_empty(), "Cargo.toml names {missing:?}, which the Dockerfile does not copy");
}

/// Of each program that there is an image of, the last stage: by name, and what it is started with where nobody says more.
fn programs_are_started() {
    let dockerfile = read("Dockerfile");
    let plain = started(&dockerfile, "daypass");
    assert_eq!(plain, (vec!["/daypass".to_owned()], vec!["controller".to_owned()]));
    Cli::try_parse_from(plain.0.into_iter().chain(plain.1)).expect("the controller starts without a word");
    let (entry, archive) = started(&dockerfile, "daypass-archive");
    assert_eq!((entry, &archive), (vec!["/daypass".to_owned()], &Vec::new()));
    let flags = ["--certificates=/certificates", "--database=/data/archive.db"].map(str::to_owned);
    let all = ["daypass-archive".to_owned()].into_iter().chain(archive).chain(flags);
    ArchiveArgs::try_parse_from(all).expect("the archive starts with its own flags alone");
    assert_eq!(started(&dockerfile, "daypass-notify"), (vec!["/daypass".to_owned()], Vec::new()));
    NotifyArgs::try_parse_from(["daypass-notify", "--config=notify.yaml"])
        .expect("the notifier starts with its routes");
    assert_eq!(started(&dockerfile, "daypass-page"), (vec!["/daypass".to_owned()], Vec::new()));
    PageArgs::try_parse_from(["daypass-page", "--origin=https://access.example.com", "--plain-http"])
        .expect("the page starts with its address and how it is called");
    assert_eq!(started(&dockerfile, "daypass-witness"), (vec!["/daypass".to_owned()], Vec::new()));
    WitnessArgs::try_parse_from(["daypass-witness", "--config=witness.yaml", "--state=/state"])
        .expect("the witness starts with its logs and its folder");
    let chosen = instructions(&dockerfile).last().map(|(_, line)| line.clone());
    assert_eq!(chosen.as_deref(), Some("FROM ${BINARY}"), "the program that was built is not what is chosen by");
    let built = dockerfile.contains("ARG BINARY=daypass\n") && dockerfile.contains("BINARY=\"$BINARY\"");
    assert!(built, "the stage that builds is not told which program");
}

/// ENTRYPOINT and CMD of a stage, or of the one that it stands on.
fn started(dockerfile: &str, stage: &str) -> (Vec<String>, Vec<String>) {
    let (mut entry, mut command, mut wanted) = (None, None, Some(stage.to_owned()));
    let lines: Vec<String> = instructions(dockerfile).into_iter().map(|(_, line)| line).collect();
    while let Some(name) = wanted.take() {
        let begins = lines.iter().position(|line| line.starts_with("FROM ") && line.ends_with(&format!(" AS {name}")));
        let Some(begins) = begins else { break };
        let body = lines[begins + 1..].iter().take_while(|line| !line.starts_with("FROM "));
        for line in body {
            let words = |rest: &str| serde_json::from_str::<Vec<String>>(rest).expect("a list of words");
            match line.split_once(' ') {
                Some(("ENTRYPOINT", rest)) if entry.is_none() => entry = Some(words(rest)),
                Some(("CMD", rest)) if command.is_none() => command = Some(words(rest)),
                _ => {}
            }
        }
        wanted = lines[begins].split(' ').nth(1).map(str::to_owned);
    }
    (entry.unwrap_or_default(), command.unwrap_or_default())
}

/// Each of these would go unseen if the check above could not fail.
fn tells_what_is_held_back() {
    let faults = |dockerfile: &str, ignore: &str| copied(dockerfile, &Dockerignore::read(ignore)).unwrap_err();
    let held_back = |source: &str, file: &str| format!("Dockerfile:1: COPY {source}: .dockerignore holds {file} back");
    assert_eq!(
        faults("COPY e2e/fuzz/main.rs e2e/fuzz/main.rs\n", "*\n!e2e/main.rs\n"),
        [held_back("e2e/fuzz/main.rs", "e2e/fuzz/main.rs")]
    );
    let lost = faults("COPY Makefile \\\n  # why\n  src /src/\n", "src/lib.rs\n");
    assert_eq!(lost, [held_back("src", "src/lib.rs")]);
    assert_eq!(faults("copy [\"Makefile\", \"to/\"]\n", "Make*"), [held_back("Makefile", "Makefile")]);
    assert_eq!(faults("ADD --chown=1:1 *.toml .\n", "Cargo.toml"), [held_back("*.toml", "Cargo.toml")]);
    assert_eq!(faults("COPY nowhere to\n", ""), ["Dockerfile:1: COPY nowhere: it is not there"]);
    for line in ["COPY . .", "COPY $NAME to", "COPY <<EOF to", "COPY only-one", "ADD https://example.com/x to"] {
        let ignored = faults(&format!("{line}\n"), "");
        assert!(ignored.len() == 1 && ignored[0].contains("this check does not understand"), "{line}: {ignored:?}");
    }
    let bound = "RUN --mount=type=bind,source=src,target=/src make\n";
    assert!(faults(bound, "")[0].contains("this check does not understand"), "{bound}");
    let of_another_stage = "COPY --from=build /image/daypass /daypass\nRUN --mount=type=cache,target=/x make\n";
    assert_eq!(copied(of_another_stage, &Dockerignore::read("*")), Ok(BTreeSet::new()));
}

/// The examples of Docker's documentation, and what its matcher does beyond them.
fn read_as_docker_reads_it() {
    let cases: [(&str, &[&str], &[&str]); 11] = [
        ("*/temp*", &["a/temporary.txt", "a/temp", "a/temp/b"], &["temp", "a/b/temp"]),
        ("*/*/temp*", &["a/b/temporary.txt"], &["a/temp", "a/b/c/temp"]),
        ("temp?", &["tempa", "tempb/c"], &["temp", "tempab", "a/tempa"]),
        ("**/*.go", &["a.go", "a/b/c.go"], &["a.gone"]),
        ("/foo/bar/", &["foo/bar", "foo/bar/baz"], &["foo", "x/foo/bar"]),
        ("*.md\n!README.md", &["a.md"], &["README.md"]),
        ("*.md\n!README*.md\nREADME-secret.md", &["README-secret.md", "a.md"], &["README.md"]),
        ("*.md\nREADME-secret.md\n!README*.md", &["a.md"], &["README-secret.md"]),
        ("\u{feff}# *\n #a\n\n[a-c].x", &["a.x", "#a"], &["d.x"]),
        ("a/../b\n./c\n**/d/**", &["b", "c", "d/e", "x/d/e"], &["a", "x/d"]),
        (
            "*\n!e2e/main.rs\n!src\nsrc/**/*.jsonl",
            &["e2e/fuzz/main.rs", "src/a/b.jsonl"],
            &["e2e/main.rs", "src/a/b.rs"],
        ),
    ];
    for (rules, held_back, let_through) in cases {
        let ignore = Dockerignore::read(rules);
        let wrong = held_back.iter().filter(|path| !ignore.holds_back(path));
        let wrong: Vec<_> = wrong.chain(let_through.iter().filter(|path| ignore.holds_back(path))).collect();
        assert!(wrong.is_empty(), "{rules:?} judges {wrong:?} the other way");
    }
}

/// The rules of a .dockerignore file. A path is held back when the last rule that matches it, or a folder above it, says so.
struct Dockerignore(Vec<Rule>);

struct Rule {
    pattern: Regex,
    lets_through: bool,
}

impl Dockerignore {
    /// The one that Docker goes by: a Dockerfile may have its own.
    fn of_the_repository() -> Self {
        let own = binaries::repository().join("Dockerfile.dockerignore");
        Self::read(&read(if own.exists() { "Dockerfile.dockerignore" } else { ".dockerignore" }))
    }

    fn read(text: &str) -> Self {
        let lines = text.trim_start_matches('\u{feff}').lines().filter(|line| !line.starts_with('#')).map(str::trim);
        let rule = |line: &str| {
            let (pattern, lets_through) = line.strip_prefix('!').map_or((line, false), |rest| (rest.trim(), true));
            let pattern = clean(pattern).trim_start_matches('/').to_owned();
            (!pattern.is_empty()).then(|| Rule { pattern: expression(&pattern), lets_through })
        };
        Self(lines.filter_map(rule).collect())
    }

    fn holds_back(&self, path: &str) -> bool {
        let with_those_above: Vec<_> = Path::new(path).ancestors().filter_map(Path::to_str).collect();
        let concerns = |rule: &&Rule| with_those_above.iter().any(|path| rule.pattern.is_match(path));
        self.0.iter().rfind(concerns).is_some_and(|rule| !rule.lets_through)
    }
}

/// A path without `.`, `..` and slashes too many, as Go's `filepath.Clean` has it.
fn clean(path: &str) -> String {
    let mut cleaned = PathBuf::new();
    for part in Path::new(path).components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if cleaned.file_name().is_some() => drop(cleaned.pop()),
            part => cleaned.push(part),
        }
    }
    cleaned.display().to_string()
}

/// A pattern of Docker's as a regular expression: `*` and `?` stop at a slash, `**` does not.
fn expression(pattern: &str) -> Regex {
    let (mut expression, mut letters) = ("^".to_owned(), pattern.chars().peekable());
    while let Some(letter) = letters.next() {
        match letter {
            '*' if letters.next_if_eq(&'*').is_some() => {
                let _ = letters.next_if_eq(&'/');
                expression += if letters.peek().is_none() { ".*" } else { "(.*/)?" };
            }
            '*' => expression += "[^/]*",
            '?' => expression += "[^/]",
            '[' | ']' | '-' | '^' => expression.push(letter),
            '\\' => expression += &regex::escape(&letters.next().map(String::from).unwrap_or_default()),
            letter => expression += &regex::escape(&letter.to_string()),
        }
    }
    Regex::new(&format!("{expression}$")).unwrap_or_else(|error| panic!("{pattern}: {error}"))
}

/// Every file of the repository that the Dockerfile copies, or why one of them does not come.
fn copied(dockerfile: &str, ignore: &Dockerignore) -> Result<BTreeSet<String>, Vec<String>> {
    let (mut files, mut faults) = (BTreeSet::new(), Vec::new());
    for (line, instruction) in instructions(dockerfile) {
        let sources = sources(&instruction).map_err(|why| {
            faults.push(format!("Dockerfile:{line}: {instruction}: this check does not understand {why}"))
        });
        for source in sources.unwrap_or_default() {
            let fault = |what: &str| format!("Dockerfile:{line}: COPY {source}: {what}");
            let found = found(&source);
            if found.is_empty() {
                faults.push(fault("it is not there"));
            }
            let held_back = found.iter().filter(|file| ignore.holds_back(file));
            faults.extend(held_back.map(|file| fault(&format!(".dockerignore holds {file} back"))));
            files.extend(found);
        }
    }
    if faults.is_empty() { Ok(files) } else { Err(faults) }
}

/// The instructions of a Dockerfile, each on one line, with the number of its first.
fn instructions(dockerfile: &str) -> Vec<(usize, String)> {
    let mut instructions: Vec<(usize, String)> = Vec::new();
    let mut goes_on = false;
    for (index, line) in dockerfile.lines().map(str::trim).enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let text = line.trim_end_matches('\\').trim_end();
        match instructions.last_mut() {
            Some((_, instruction)) if goes_on => *instruction = format!("{instruction} {text}"),
            _ => instructions.push((index + 1, text.to_owned())),
        }
        goes_on = line.ends_with('\\');
    }
    instructions
}

/// What an instruction takes out of the repository; the error says what of it is not understood here.
fn sources(instruction: &str) -> Result<Vec<String>, String> {
    let (name, rest) = instruction.split_once(' ').unwrap_or((instruction, ""));
    let (flags, rest): (Vec<&str>, Vec<&str>) = rest.split_whitespace().partition(|word| word.starts_with("--"));
    if name.eq_ignore_ascii_case("RUN") {
        let binds = |flag: &&&str| {
            flag.starts_with("--mount=")
                && !["type=cache", "type=secret", "type=ssh", "type=tmpfs", "from="]
                    .iter()
                    .any(|kind| flag.contains(kind))
        };
        return flags.iter().find(binds).map_or(Ok(Vec::new()), |flag| Err((*flag).to_owned()));
    }
    let copies = ["COPY", "ADD"].iter().any(|copy| name.eq_ignore_ascii_case(copy));
    if !copies || flags.iter().any(|flag| flag.starts_with("--from=")) {
        return Ok(Vec::new());
    }
    if let Some(flag) =
        flags.iter().find(|flag| !["--chown=", "--chmod=", "--link"].iter().any(|f| flag.starts_with(f)))
    {
        return Err((*flag).to_owned());
    }
    let rest = rest.join(" ");
    let words: Vec<String> = match serde_json::from_str(&rest) {
        Ok(words) => words,
        Err(_) => rest.split_whitespace().map(str::to_owned).collect(),
    };
    let strange = |word: &&String| word.contains('$') || word.starts_with("<<") || word.contains("://");
    match (words.iter().find(strange), words.split_last()) {
        (Some(word), _) => Err(word.clone()),
        (None, Some((_, sources))) if sources.iter().any(|source| clean(source).is_empty()) => {
            Err("a copy of the whole folder".to_owned())
        }
        (None, Some((_, sources))) if !sources.is_empty() => Ok(sources.to_vec()),
        _ => Err("a copy of nothing".to_owned()),
    }
}

/// The files that a source stands for: itself, what matches it, or all that is below a folder.
fn found(source: &str) -> Vec<String> {
    let cleaned = clean(source).trim_start_matches('/').to_owned();
    let pattern = expression(&cleaned);
    let folder = Path::new(&cleaned).parent().map(|parent| parent.to_str().expect("a plain path")).unwrap_or_default();
    let mut files = Vec::new();
    for path in entries(folder).into_iter().filter(|path| *path == cleaned || pattern.is_match(path)) {
        below(&path, &mut files);
    }
    files
}

fn below(path: &str, files: &mut Vec<String>) {
    if binaries::repository().join(path).is_dir() {
        entries(path).iter().for_each(|path| below(path, files));
    } else {
        files.push(path.to_owned());
    }
}

/// What is in a folder, by its path in the repository.
fn entries(folder: &str) -> Vec<String> {
    let read = std::fs::read_dir(binaries::repository().join(folder)).into_iter().flatten();
    let names = read.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    let mut paths: Vec<String> = names.map(|name| Path::new(folder).join(name).display().to_string()).collect();
    paths.sort();
    paths
}

fn read(path: &str) -> String {
    std::fs::read_to_string(binaries::repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}
