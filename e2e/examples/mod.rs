//! The examples of `examples/fields`, `examples/gitops` and `examples/page`: each one does on a real API server what it says
//! that it does, as far as it speaks of that, and the table of `examples/fields/README.md` names them all. [`people`] plays
//! the pages for each kind of person.
//!
//! The outcome of an example stands in its PolicyTest, which `kubectl daypass policy test` decides without a cluster and
//! [`cases`] plays with real users. There is no other place for it.

mod again;
mod cases;
mod gitops;
mod page;
mod people;
mod table;

use std::collections::BTreeMap;
use std::path::Path;

use libtest_mimic::Trial;
use serde_json::Value;

use crate::harness::{bare, binaries, private, shared, without_cluster};

/// Folder of the examples of fields.
const FIELDS: &str = "examples/fields";
/// Folder of their PolicyTests, each of the same name.
const TESTS: &str = "examples/fields/tests";

pub fn trials() -> Vec<Trial> {
    let mut trials = vec![
        without_cluster("examples::the_readme_has_a_row_for_every_field", table::is_complete),
        without_cluster("examples::a_gap_in_the_table_is_told_with_a_way_out", table::tells_gaps),
        without_cluster("examples::gitops_files_fit_together", gitops::fit_together),
        without_cluster("examples::gitops_checks_pass_in_ci", gitops::checks_pass),
        bare("examples::the_page_behind_a_proxy_fits_the_chart", page::fits_the_chart),
        Trial::test(
            "examples::the_proxy_is_asked_for_what_the_page_needs",
            page::asks_the_proxy_for_what_the_page_needs,
        ),
        Trial::test(
            "examples::gateways_before_the_page_take_out_what_browsers_say",
            page::takes_out_what_browsers_say_of_themselves,
        ),
        private("examples::every_file_applied_again_changes_nothing", again::changes_nothing),
        private("examples::what_was_stored_with_defaults_is_clean_after_one_apply", again::is_clean_after_one_apply),
        private("examples::gitops_tools_see_whether_a_policy_is_ready", gitops::see_readiness),
        shared("examples::gitops_values_fit_the_chart", gitops::values_fit),
    ];
    trials.extend(people::trials());
    trials.extend(files(FIELDS).into_keys().map(|path| {
        let name = stem(&path);
        shared(&format!("examples::field_{}", name.replace('-', "_")), move |cluster| async move {
            cases::play(&cluster, &name).await;
        })
    }));
    trials
}

/// The YAML documents of every file of a folder, by path below the repository.
fn files(folder: &str) -> BTreeMap<String, Vec<Value>> {
    let entries = std::fs::read_dir(binaries::repository().join(folder)).unwrap_or_else(|e| panic!("{folder}: {e}"));
    let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    names
        .filter(|name| Path::new(name).extension().is_some_and(|end| end == "yaml"))
        .map(|name| format!("{folder}/{name}"))
        .map(|path| (path.clone(), documents(&path)))
        .collect()
}

/// The YAML documents of a file.
fn documents(path: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(binaries::repository().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap_or_else(|e| panic!("{path}: {e}"));
    documents.into_iter().filter(|document| !document.is_null()).collect()
}

/// The name of an example: its file's, without folder and ending.
fn stem(path: &str) -> String {
    Path::new(path).file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// The documents of a kind.
fn of_kind<'a>(documents: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    documents.iter().filter(move |document| document["kind"] == kind)
}
