//! Tables of controls: which records show that a control operated, how often it did, and what the tool does not cover.
//!
//! The tables are data, in `controls/*.yaml` and in files of whoever exports. Owns how they are read. It must not say that
//! anything is compliant: it says how often a rule held.

use serde::Deserialize;

use super::measures::EvidenceMeasure;
use super::table::{EvidenceTable, TableSchema};

/// The tables that come with Daypass, each with the name of its file.
const BUILT_IN: [(&str, &str); 4] = [
    ("soc2.yaml", include_str!("controls/soc2.yaml")),
    ("pci-dss.yaml", include_str!("controls/pci-dss.yaml")),
    ("hipaa.yaml", include_str!("controls/hipaa.yaml")),
    ("gdpr.yaml", include_str!("controls/gdpr.yaml")),
];

/// The table of results.
pub static CONTROLS: TableSchema = TableSchema {
    file: "controls.csv",
    row: "A control, a rule that shows it, and how often the rule held. A control without a rule has one row without result.",
    columns: &[
        ("framework", "Of which catalogue the control is."),
        ("control", "Its number there."),
        ("about", "What it asks for, in the words of Daypass."),
        ("measure", "Name of the rule. Empty: no rule counts it, and the files alone show it."),
        ("rule", "What is counted."),
        ("result", "How often it held: operated N of N times, or did not occur, or not read."),
        ("operated", "How often it held."),
        ("of", "How often it could."),
        ("files", "Files of the pack that show it."),
        ("notCovered", "What Daypass does not cover of it."),
    ],
};

/// A catalogue of controls.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ControlTable {
    /// Name of the catalogue, with its version.
    pub framework: String,
    /// Its controls.
    pub controls: Vec<ControlEntry>,
}

/// A control.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ControlEntry {
    /// Its number in the catalogue.
    pub id: String,
    /// What it asks for, in words of one's own.
    pub about: String,
    /// Names of the rules that show it.
    #[serde(default)]
    pub measures: Vec<String>,
    /// Files of the pack that show it.
    #[serde(default)]
    pub files: Vec<String>,
    /// What of it the records do not show.
    pub not_covered: String,
}

/// Why a table of controls cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadControls {
    /// It does not have the form of one.
    #[error("{file}: {why}; write framework and controls, each with id, about, measures, files and notCovered")]
    Form { file: String, why: String },
    /// It names a rule that there is not.
    #[error("{file}: controls {control}: measures: {measure:?} is no rule; there are {known}")]
    Measure { file: String, control: String, measure: String, known: String },
}

impl ControlTable {
    /// Those that come with Daypass.
    ///
    /// # Errors
    /// When one cannot be read, which would be a fault of the build.
    pub fn built_in() -> Result<Vec<Self>, BadControls> {
        BUILT_IN.iter().map(|(file, text)| Self::read(file, text)).collect()
    }

    /// One from the text of a file.
    ///
    /// # Errors
    /// When it has another form, or names a rule that there is not.
    pub fn read(file: &str, text: &str) -> Result<Self, BadControls> {
        let wrong = |why: serde_saphyr::Error| BadControls::Form { file: file.to_owned(), why: why.to_string() };
        let table: Self = serde_saphyr::from_str(text).map_err(wrong)?;
        for control in &table.controls {
            if let Some(measure) = control.measures.iter().find(|name| EvidenceMeasure::named(name).is_none()) {
                let known: Vec<&str> = super::measures::MEASURES.iter().map(|measure| measure.name).collect();
                let (file, control, measure) = (file.to_owned(), control.id.clone(), measure.clone());
                return Err(BadControls::Measure { file, control, measure, known: known.join(", ") });
            }
        }
        Ok(table)
    }
}

/// The results over the tables that could be made.
pub fn results(controls: &[ControlTable], tables: &[&EvidenceTable]) -> EvidenceTable {
    let mut rows = Vec::new();
    for table in controls {
        for control in &table.controls {
            if control.measures.is_empty() {
                rows.push(row(table, control, None, tables));
            }
            let measures = control.measures.iter().filter_map(|name| EvidenceMeasure::named(name));
            rows.extend(measures.map(|measure| row(table, control, Some(measure), tables)));
        }
    }
    EvidenceTable::new(&CONTROLS, rows)
}

fn row(
    table: &ControlTable,
    control: &ControlEntry,
    measure: Option<&EvidenceMeasure>,
    tables: &[&EvidenceTable],
) -> Vec<String> {
    let found = measure.map(|measure| tables.iter().find(|table| table.schema.file == measure.file));
    let count = measure.zip(found.flatten()).map(|(measure, table)| measure.count(table));
    let result = match (found, count) {
        (None, _) => String::new(),
        (Some(_), None) => "not read".to_owned(),
        (Some(_), Some(count)) => count.to_string(),
    };
    vec![
        table.framework.clone(),
        control.id.clone(),
        control.about.clone(),
        measure.map(|measure| measure.name.to_owned()).unwrap_or_default(),
        measure.map(|measure| measure.words.to_owned()).unwrap_or_default(),
        result,
        count.map(|count| count.operated.to_string()).unwrap_or_default(),
        count.map(|count| count.of.to_string()).unwrap_or_default(),
        control.files.join(" "),
        control.not_covered.clone(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_that_come_with_it_name_rules_and_files_that_there_are() {
        let files = crate::core::evidence::pack::FILES;
        for table in ControlTable::built_in().unwrap() {
            for control in &table.controls {
                assert!(!control.files.is_empty() && !control.not_covered.is_empty(), "{}", control.id);
                let unknown: Vec<&String> =
                    control.files.iter().filter(|file| !files.contains(&file.as_str())).collect();
                assert!(unknown.is_empty(), "{} {}: {unknown:?}", table.framework, control.id);
            }
        }
        let all: String = BUILT_IN.iter().map(|(_, text)| text.to_lowercase()).collect();
        assert!(!all.contains("complian"), "it counts, and says no more");
    }

    #[test]
    fn a_table_of_somebody_elses_is_refused_by_what_is_wrong_with_it() {
        let wrong = "framework: X\ncontrols:\n- { id: '1', about: a, measures: [no-such], notCovered: b }\n";
        assert!(
            matches!(ControlTable::read("x.yaml", wrong), Err(BadControls::Measure { measure, .. }) if measure == "no-such")
        );
        let wrong = "framework: X\ncontrols:\n- { id: '1', about: a, text: c, notCovered: b }\n";
        assert!(matches!(ControlTable::read("x.yaml", wrong), Err(BadControls::Form { .. })));
    }

    #[test]
    fn a_control_says_how_often_it_operated_or_that_it_was_not_read() {
        let good = "framework: X\ncontrols:\n- { id: '1', about: a, measures: [in-order, use-known], notCovered: b }\n\
                    - { id: '2', about: a, notCovered: b }\n";
        let controls = [ControlTable::read("x.yaml", good).unwrap()];
        let width = crate::core::evidence::grants::GRANTS.columns.len();
        let order =
            crate::core::evidence::grants::GRANTS.columns.iter().position(|(name, _)| *name == "order").unwrap();
        let grant =
            |word: &str| (0..width).map(|at| if at == order { word.to_owned() } else { String::new() }).collect();
        let grants =
            EvidenceTable::new(&crate::core::evidence::grants::GRANTS, vec![grant("ok"), grant("end"), grant("ok")]);
        let told = |tables: &[&EvidenceTable]| {
            results(&controls, tables).rows.into_iter().map(|row| row[5].clone()).collect::<Vec<_>>()
        };
        let twice = crate::core::evidence::measures::MeasureCount { operated: 2, of: 3 }.to_string();
        assert_eq!(told(&[&grants]), [twice.as_str(), "not read", ""]);
        let none = EvidenceTable::new(&crate::core::evidence::grants::GRANTS, Vec::new());
        let never = crate::core::evidence::measures::MeasureCount { operated: 0, of: 0 }.to_string();
        assert_eq!(told(&[&none]), [never.as_str(), "not read", ""]);
    }
}
