//! The Markdown files of the repository: every link leads somewhere, README.md stays short, and what they name is there.
//! None of these trials needs a cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use libtest_mimic::Trial;

use crate::chart::metrics::{HISTOGRAM_OF_NOTIFIER, HISTOGRAMS, METRICS, OF_ARCHIVE, OF_FEEDS, OF_NOTIFIER};
use crate::harness::{binaries, without_cluster};

/// The page that a visitor sees first, and how long it may be.
const FRONT_DOOR: &str = "README.md";
const MOST_LINES: usize = 200;
/// Where the metrics are described, a row each.
const OPERATE: &str = "charts/daypass/README.md";
/// Folders that hold no text of this repository.
const NOT_OURS: [&str; 2] = [".git", "target"];

pub fn trials() -> Vec<Trial> {
    vec![
        without_cluster("docs::every_link_leads_somewhere_and_the_readme_is_short", are_in_order),
        without_cluster("docs::what_is_broken_is_told_by_file_and_line", tells_what_is_broken),
        without_cluster("docs::headings_have_the_anchors_that_github_gives_them", anchors_are_those_of_github),
        without_cluster("docs::every_trial_test_and_make_target_that_is_named_exists", names_are_there),
        without_cluster("docs::the_policy_of_the_quick_start_is_that_of_the_tour", quick_start_shows_the_tour),
        without_cluster("docs::every_metric_has_a_row_and_is_known_to_the_chart", metrics_have_rows),
    ]
}

/// Every Markdown file, by its path in the repository.
#[derive(Clone)]
struct Book {
    pages: BTreeMap<String, String>,
}

fn are_in_order() {
    let book = Book::read();
    assert!(book.links().count() > 60, "only {} links were found", book.links().count());
    let faults = book.faults();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Each of these would go unseen if the check above could not fail.
fn tells_what_is_broken() {
    let whole = Book::read();
    let documented = |page: &str, more: &str, words: &str| {
        let mut book = whole.clone();
        let text = book.pages.get_mut(page).expect("a page");
        let line = text.lines().count() + 1;
        text.push_str(more);
        let faults = book.faults().join("\n");
        let wanted = format!("{page}:{line}: {words}");
        assert!(faults.contains(&wanted), "{more:?} should be told as {wanted:?}, but: {faults}");
    };
    documented(FRONT_DOOR, "[x](examples/nowhere.yaml)\n", "links examples/nowhere.yaml, which is not there");
    documented(OPERATE, "[x](../nowhere.md)\n", "links charts/nowhere.md, which is not there");
    documented(OPERATE, "[x](../../../nowhere.md)\n", "links ../../../nowhere.md, which is outside of the repository");
    documented(FRONT_DOOR, "![x](examples/nowhere.svg)\n", "links examples/nowhere.svg, which is not there");
    documented(FRONT_DOOR, "[x]: examples/nowhere.yaml\n", "links examples/nowhere.yaml, which is not there");
    documented(FRONT_DOOR, "[x](#no-such-heading)\n", "links README.md, which has no heading #no-such-heading");
    documented(
        FRONT_DOOR,
        "[x](charts/daypass/README.md#no-such-heading)\n",
        "links charts/daypass/README.md, which has no heading #no-such-heading",
    );
    documented(FRONT_DOOR, "[x](Makefile#L3)\n", "links an anchor in Makefile, which is no Markdown");
    let mut long = whole.clone();
    let text = long.pages.get_mut(FRONT_DOOR).expect("the README");
    let (lines, faults) = (text.lines().count(), whole.faults());
    text.push_str(&"x\n".repeat(MOST_LINES - lines));
    assert_eq!(long.faults(), faults, "{MOST_LINES} lines are enough, and no more than may be");
    long.pages.get_mut(FRONT_DOOR).expect("the README").push_str("x\n");
    assert!(long.faults().iter().any(|fault| fault.starts_with("README.md has 201 lines")), "{:?}", long.faults());
}

fn anchors_are_those_of_github() {
    let page = "# A **bold** `code::word`, and [a link](x.md)!\n\n## Twice\n\n```sh\n# no heading\n```\n\n## Twice\n\
                ### It's 1.36 & up: under_score - dash ###\n";
    let expected = ["a-bold-codeword-and-a-link", "twice", "twice-1", "its-136--up-under_score---dash"];
    assert_eq!(anchors(page), expected.map(str::to_owned).into());
}

/// Trials and unit tests are named where contributors are told what catches a mistake; a name must not outlive its test.
fn names_are_there() {
    let trials: BTreeSet<String> = crate::trials().iter().map(|trial| trial.name().to_owned()).collect();
    let files: BTreeSet<&str> = trials.iter().filter_map(|name| name.split("::").next()).collect();
    let makefile = read("Makefile");
    let phony = makefile.lines().find_map(|line| line.strip_prefix(".PHONY: ")).expect("the list of targets");
    let targets: BTreeSet<&str> = phony.split(' ').collect();
    let sources = sources();
    let (mut faults, mut found) = (Vec::new(), 0);
    for (page, text) in Book::read().pages {
        for span in code_spans(&text) {
            let is_name =
                !span.is_empty() && span.chars().all(|c| c.is_ascii_lowercase() || "_:0123456789".contains(c));
            let first = span.split("::").next().unwrap_or_default();
            let missing = if let Some(line) = span.strip_prefix("make ") {
                !targets.contains(line.split(' ').next().unwrap_or_default())
            } else if is_name && span.contains("::") && !span.ends_with(':') && files.contains(first) {
                !trials.contains(span)
            } else if is_name
                && span.matches('_').count() >= 3
                && !span.contains(':')
                // Metrics, ours and the API server's.
                && !["daypass_", "apiserver_"].iter().any(|metric| span.starts_with(metric))
            {
                !sources.contains(&format!("fn {span}("))
            } else {
                continue;
            };
            found += 1;
            if missing {
                faults.push(format!("{page} names `{span}`, which is not there"));
            }
        }
    }
    assert!(found > 20, "only {found} names were found");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// What is registered, what alerts and dashboard are held against, and the table for people are the same metrics.
fn metrics_have_rows() {
    // Asked for its text, a metric with labels says nothing before something has happened; so the source is asked.
    let parts = ["", "/findings", "/records", "/stages"].map(|part| read(&format!("src/runtime/metrics{part}.rs")));
    let source = parts.concat();
    let registered = source.split("r.register(\"").skip(1).filter_map(|rest| rest.split('"').next());
    let registered: BTreeSet<String> = registered.map(|name| format!("daypass_{name}")).collect();
    assert!(registered.len() > 10, "src/runtime/metrics.rs registers in another form: {registered:?}");
    let known = METRICS.iter().chain(&HISTOGRAMS).map(|name| registered_as(name)).collect();
    assert_eq!(
        registered, known,
        "what src/runtime/metrics.rs registers, and METRICS and HISTOGRAMS of e2e/chart/metrics.rs"
    );
    let page = read(OPERATE);
    let rows = page.lines().filter(|line| line.starts_with("| `daypass_"));
    // The notifier shows its own, and a trial asks it.
    let (of_notifier, rows): (Vec<_>, Vec<_>) = rows.partition(|row| row.starts_with("| `daypass_notify_"));
    let documented: BTreeSet<_> = of_notifier.iter().filter_map(|row| row.split(['`', '{']).nth(1)).collect();
    assert_eq!(documented, OF_NOTIFIER.into_iter().chain([HISTOGRAM_OF_NOTIFIER]).collect());
    // So do what feeds audit events and what takes them.
    let (of_feeds, rows): (Vec<_>, Vec<_>) = rows
        .into_iter()
        .partition(|row| ["| `daypass_archive_", "| `daypass_tail_"].iter().any(|start| row.starts_with(start)));
    let documented: BTreeSet<_> = of_feeds.iter().filter_map(|row| row.split(['`', '{']).nth(1)).collect();
    assert_eq!(documented, OF_FEEDS.into_iter().chain(OF_ARCHIVE).collect());
    let documented = rows.into_iter().filter_map(|row| row.split(['`', '{']).nth(1)).map(registered_as).collect();
    assert_eq!(registered, documented, "what src/runtime/metrics.rs registers, and the table of metrics of {OPERATE}");
}

/// The name that a metric is registered by: the format adds the end of it.
fn registered_as(name: &str) -> String {
    name.strip_suffix("_total").or_else(|| name.strip_suffix("_info")).unwrap_or(name).to_owned()
}

/// What the README shows of a policy is a part of the file that the quick start applies.
fn quick_start_shows_the_tour() {
    let (page, tour) = (read(FRONT_DOOR), read("examples/tour/policies.yaml"));
    let blocks: Vec<&str> = page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(!blocks.is_empty(), "{FRONT_DOOR} shows no policy");
    for block in blocks {
        assert!(tour.contains(block), "{FRONT_DOOR} shows what examples/tour/policies.yaml does not have:\n{block}");
    }
}

impl Book {
    fn read() -> Self {
        let paths = files(binaries::repository(), &|name| !NOT_OURS.contains(&name));
        let pages = paths.into_iter().filter(|path| path.ends_with(".md"));
        Self { pages: pages.map(|path| (path.clone(), read(&path))).collect() }
    }

    /// Every link, with the page and the line that it is on.
    fn links(&self) -> impl Iterator<Item = (&str, usize, String)> {
        self.pages.iter().flat_map(|(page, text)| {
            let lines = unfenced(text).into_iter();
            let links = lines.flat_map(|(line, text)| targets(&text_of(text)).into_iter().map(move |to| (line, to)));
            links.map(|(line, to)| (page.as_str(), line, to))
        })
    }

    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let anchors: BTreeMap<&str, BTreeSet<String>> =
            self.pages.iter().map(|(page, text)| (page.as_str(), anchors(text))).collect();
        for (page, line, link) in self.links().filter(|(_, _, link)| !link.contains("://")) {
            let (path, anchor) = link.split_once('#').map_or((link.as_str(), None), |(path, to)| (path, Some(to)));
            let path = if path.is_empty() { Some(page.to_owned()) } else { resolve(page, path) };
            let fault = match (path, anchor) {
                (None, _) => Some(format!("links {link}, which is outside of the repository")),
                (Some(path), _) if !binaries::repository().join(&path).exists() => {
                    Some(format!("links {path}, which is not there"))
                }
                (Some(_), None) => None,
                (Some(path), Some(anchor)) => match anchors.get(path.as_str()) {
                    None => Some(format!("links an anchor in {path}, which is no Markdown")),
                    Some(headings) if headings.contains(anchor) => None,
                    Some(_) => Some(format!("links {path}, which has no heading #{anchor}")),
                },
            };
            faults.extend(fault.map(|fault| format!("{page}:{line}: {fault}")));
        }
        // A span of code over two lines would hide links and names from the checks here.
        let open = |(_, line): &(usize, &str)| line.matches('`').count() % 2 == 1;
        for (page, text) in &self.pages {
            let lines = unfenced(text).into_iter().filter(open);
            faults.extend(lines.map(|(line, _)| format!("{page}:{line}: the span of code does not end on its line")));
        }
        let lines = self.pages.get(FRONT_DOOR).map_or(0, |text| text.lines().count());
        if lines > MOST_LINES {
            faults.push(format!(
                "{FRONT_DOOR} has {lines} lines, and may have {MOST_LINES}. Way out: move what a first visitor does not \
                 need into the page of its subject, and link it"
            ));
        }
        faults
    }
}

fn read(path: &str) -> String {
    std::fs::read_to_string(binaries::repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All source code of tests and program, as one text.
fn sources() -> String {
    let is_source = |path: &String| path.ends_with(".rs") && (path.starts_with("src/") || path.starts_with("e2e/"));
    let paths = files(binaries::repository(), &|name| !NOT_OURS.contains(&name));
    paths.into_iter().filter(is_source).map(|path| read(&path)).collect()
}

/// Every file below a folder, by its path in the repository; only in folders of wanted names.
fn files(folder: &Path, wanted: &dyn Fn(&str) -> bool) -> Vec<String> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("list a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_symlink() || (path.is_dir() && !wanted(&name)) {
            continue;
        }
        if path.is_dir() {
            files.extend(self::files(&path, wanted));
        } else {
            files.push(path.strip_prefix(binaries::repository()).expect("below it").display().to_string());
        }
    }
    files.sort();
    files
}

/// Where a link on a page leads, from the repository on. None: out of it.
fn resolve(page: &str, link: &str) -> Option<String> {
    let mut path = PathBuf::from(page);
    path.pop();
    for part in Path::new(link).components() {
        match part {
            Component::Normal(name) => path.push(name),
            Component::CurDir => {}
            Component::ParentDir => path.pop().then_some(())?,
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(path.display().to_string())
}

/// The lines outside of fenced blocks, with their numbers.
fn unfenced(text: &str) -> Vec<(usize, &str)> {
    let mut fenced = false;
    let lines = text.lines().enumerate().filter(|(_, line)| {
        let is_fence = line.trim_start().starts_with("```");
        fenced ^= is_fence;
        !fenced && !is_fence
    });
    lines.map(|(index, line)| (index + 1, line)).collect()
}

/// A line without what stands in it as code.
fn text_of(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("``")
}

/// Where the links of a line lead: `[text](target)`, `[name]: target`, and `src` and `href` of HTML.
fn targets(line: &str) -> Vec<String> {
    let until = |text: &str, end: char| text.split([end, ' ']).next().unwrap_or_default().to_owned();
    let mut targets: Vec<String> = line.split("](").skip(1).map(|rest| until(rest, ')')).collect();
    for attribute in ["src=\"", "href=\""] {
        targets.extend(line.split(attribute).skip(1).map(|rest| until(rest, '"')));
    }
    if let Some((_, target)) = line.strip_prefix('[').and_then(|rest| rest.split_once("]: ")) {
        targets.push(until(target, ' '));
    }
    targets
}

/// The anchors of a page's headings, by GitHub's rule: the words of the heading in lower case, spaces as dashes, all but
/// letters, digits, dashes and underscores left out, and a number behind what was there before.
fn anchors(text: &str) -> BTreeSet<String> {
    let (mut anchors, mut seen) = (BTreeSet::new(), BTreeMap::<String, usize>::new());
    for (_, line) in unfenced(text) {
        let heading = line.trim_start_matches('#');
        if heading.len() == line.len() || !heading.starts_with(' ') {
            continue;
        }
        let words = without_links(heading.trim().trim_end_matches('#').trim());
        let current =
            words.to_lowercase().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>();
        let anchor = current.replace(' ', "-");
        let times = seen.entry(anchor.clone()).or_default();
        anchors.insert(if *times == 0 { anchor } else { format!("{anchor}-{times}") });
        *times += 1;
    }
    anchors
}

/// `[text](target)` as its text.
fn without_links(text: &str) -> String {
    let mut parts = text.split("](");
    let first = parts.next().unwrap_or_default().replacen('[', "", 1);
    parts.fold(first, |text, rest| text + &rest.split_once(')').map_or("", |(_, rest)| rest).replacen('[', "", 1))
}

/// What stands between backquotes outside of fenced blocks.
fn code_spans(text: &str) -> Vec<&str> {
    unfenced(text).into_iter().flat_map(|(_, line)| line.split('`').skip(1).step_by(2)).collect()
}
