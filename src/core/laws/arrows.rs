//! Who may use whom, read from the source: parts of the program, rooms of the core, and modules without a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::purity::{code, mentions, root, sources_in};

/// The parts of the program, and which of the others each may use.
const PARTS: [(&str, &[&str]); 10] = [
    ("api", &[]),
    ("core", &["api"]),
    ("runtime", &[]),
    ("stamp", &["api", "runtime"]),
    ("controller", &["api", "core", "runtime"]),
    ("archive", &["api", "core", "runtime"]),
    ("notify", &["api", "core", "runtime"]),
    ("page", &["api", "core", "runtime"]),
    ("witness", &["core", "runtime"]),
    ("cli", &["api", "core", "runtime", "controller", "stamp", "archive", "notify", "page", "witness"]),
];
/// The rooms of the core: each may use those before it.
const ROOMS: [&str; 14] = [
    "model",
    "guard",
    "rbac",
    "activity",
    "policies",
    "decision",
    "lifecycle",
    "record",
    "proof",
    "report",
    "insight",
    "evidence",
    "campaign",
    "notice",
];

#[test]
fn no_part_of_the_program_uses_one_that_is_built_on_it() {
    for (part, may_use) in PARTS {
        let upwards = PARTS.iter().map(|(other, _)| *other).filter(|other| *other != part && !may_use.contains(other));
        let upwards: Vec<String> = upwards.map(|other| format!("crate::{other}")).collect();
        assert_unused(&format!("src/{part}"), &upwards);
    }
}

#[test]
fn no_room_of_the_core_uses_one_that_is_built_on_it() {
    for (index, room) in ROOMS.iter().enumerate() {
        let upwards = ROOMS.iter().skip(index + 1).chain(&["laws"]);
        let upwards: Vec<String> = upwards.map(|other| format!("crate::core::{other}")).collect();
        assert_unused(&format!("src/core/{room}"), &upwards);
    }
    let folders = std::fs::read_dir(root().join("src/core")).unwrap().map(|entry| entry.unwrap().path());
    let folders: BTreeSet<String> = folders.filter(|path| path.is_dir()).map(|path| name_of(&path)).collect();
    assert_eq!(folders, ROOMS.iter().chain(&["laws"]).map(|room| (*room).to_owned()).collect());
}

fn assert_unused(folder: &str, upwards: &[String]) {
    let upwards: Vec<&str> = upwards.iter().map(String::as_str).collect();
    let found: Vec<String> =
        sources_in(folder).iter().filter(|file| !is_of_tests(file)).flat_map(|file| mentions(file, &upwards)).collect();
    assert!(found.is_empty(), "{folder} is what these are built on:\n{}", found.join("\n"));
}

#[test]
fn no_modules_use_each_other_in_a_circle() {
    let modules = Modules::read();
    assert!(modules.uses.len() > 100, "looks in the wrong place");
    let uses = modules.uses.values().map(BTreeSet::len).sum::<usize>();
    assert!(uses > 300, "reads only {uses} uses");
    let circles: Vec<String> = modules.uses.keys().filter_map(|module| modules.circle(module)).collect();
    assert!(circles.is_empty(), "circles of imports:\n{}", circles.join("\n"));
}

/// Which module uses which others. A folder with a `mod.rs` is a room, and each of its files a module; files in the
/// folder of another file are parts of that module.
struct Modules {
    uses: BTreeMap<String, BTreeSet<String>>,
}

impl Modules {
    fn read() -> Self {
        let files: Vec<PathBuf> = sources_in("src").into_iter().filter(|file| !is_of_tests(file)).collect();
        let names: BTreeSet<String> = files.iter().map(|file| path_of(file).join("::")).collect();
        let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for file in &files {
            let here = path_of(file);
            let own = Self::module(&names, &here).unwrap_or_default();
            let text: String = code(file).map(|(_, line)| line + "\n").collect();
            let found = paths(&text).into_iter().filter_map(|path| Self::module(&names, &resolved(&path, &here)?));
            uses.entry(own.clone()).or_default().extend(found.filter(|other| *other != own));
        }
        Self { uses }
    }

    /// The module that a path leads into.
    fn module(names: &BTreeSet<String>, path: &[String]) -> Option<String> {
        let longest = (1..=path.len()).rev().map(|n| path[..n].join("::")).find(|name| names.contains(name))?;
        // What stands in the folder of a file is part of it, and so is what that file uses of it.
        let parts: Vec<&str> = longest.split("::").collect();
        let whole = (1..parts.len()).map(|n| parts[..n].join("::")).find(|above| is_one_module(above));
        Some(whole.unwrap_or(longest))
    }

    /// A way from this module back to itself, if it is the first by name of those on the way.
    fn circle(&self, start: &String) -> Option<String> {
        let mut came_from: BTreeMap<&String, &String> = BTreeMap::new();
        let mut next = vec![start];
        while let Some(module) = next.pop() {
            for used in self.uses.get(module).into_iter().flatten().filter(|used| *used >= start) {
                if came_from.contains_key(used) {
                    continue;
                }
                came_from.insert(used, module);
                next.push(used);
            }
        }
        let mut way = vec![start.as_str()];
        let mut at = *came_from.get(start)?;
        while at != start {
            way.push(at);
            at = came_from[at];
        }
        way.push(start);
        way.reverse();
        Some(way.join(" -> "))
    }
}

fn name_of(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn is_of_tests(file: &Path) -> bool {
    file.iter().any(|part| part == "laws" || part == "tests.rs" || part == "golden.rs" || part == "scripted.rs")
}

/// The module of a file: `core::policies::read` for `src/core/policies/read.rs`, `core::policies` for its `mod.rs`.
fn path_of(file: &Path) -> Vec<String> {
    let path = file.strip_prefix(root().join("src")).unwrap().with_extension("");
    let parts = path.iter().map(|part| part.to_string_lossy().into_owned());
    parts.filter(|part| part != "mod").collect()
}

/// Whether it is a file whose folder, if it has one, holds parts of it.
fn is_one_module(module: &str) -> bool {
    root().join("src").join(module.replace("::", "/")).with_extension("rs").is_file()
}

/// Every path in the text that names a module: those of `use`, one by one, and those that code spells out.
fn paths(text: &str) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    let flat = text.replace('\n', " ");
    for (at, _) in flat.match_indices("use ").filter(|(at, _)| *at == 0 || flat[..*at].ends_with(' ')) {
        let tree = &flat[at + 4..];
        all.extend(leaves(tree.split(';').next().unwrap_or_default()));
    }
    for start in ["crate::", "super::", "self::"] {
        for (at, _) in flat.match_indices(start) {
            let path: String = flat[at..].chars().take_while(|c| c.is_alphanumeric() || "_:".contains(*c)).collect();
            all.push(path.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect());
        }
    }
    all
}

/// The paths of a `use` tree.
fn leaves(tree: &str) -> Vec<Vec<String>> {
    let Some((stem, group)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap_or_default();
        return vec![path.split("::").map(|part| part.trim().to_owned()).collect()];
    };
    let stem: Vec<String> =
        stem.split("::").map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect();
    let (mut items, mut depth) = (vec![String::new()], 0);
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                items.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(item) = items.last_mut() {
            item.push(c);
        }
    }
    let below = items.iter().filter(|item| !item.trim().is_empty()).flat_map(|item| leaves(item));
    below.map(|leaf| stem.iter().cloned().chain(leaf).collect()).collect()
}

/// A path from the root of the crate; none when it leads out of it.
fn resolved(path: &[String], here: &[String]) -> Option<Vec<String>> {
    let up = path.iter().take_while(|part| *part == "super").count();
    let rest = &path[up..];
    match (up, path.first()?.as_str()) {
        (0, "crate") => Some(path[1..].to_vec()),
        (0, "self") => Some(here.iter().chain(&path[1..]).cloned().collect()),
        // A child, or another crate, which is no module here.
        (0, _) => Some(here.iter().chain(path).cloned().collect()),
        _ => Some(here.iter().take(here.len().checked_sub(up)?).chain(rest).cloned().collect()),
    }
}
