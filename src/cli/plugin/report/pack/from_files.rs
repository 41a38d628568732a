//! Records and texts from files: what the archive exports, and what stands in packs.
//!
//! It must not ask a cluster anything.

use std::path::PathBuf;

use super::blank;
use crate::archive::intake;
use crate::cli::plugin::error::{InvalidInput, PluginError};
use crate::core::evidence::chain::ChainLink;
use crate::core::evidence::controls::ControlTable;
use crate::core::evidence::pack::{PackInput, PackOrigin};

/// What a pack is made of that is read from these files.
///
/// # Errors
/// When one cannot be read, or a line of it is no record and no text.
pub fn input(files: &[PathBuf], origin: PackOrigin, controls: Vec<ControlTable>) -> Result<PackInput, PluginError> {
    let queries = files.iter().map(|file| file.display().to_string()).collect();
    let origin = PackOrigin { by: "whoever read the files".to_owned(), source: "files", queries, ..origin };
    let mut input = blank(origin, controls);
    for file in files {
        let name = file.display().to_string();
        let body = std::fs::read(file).map_err(|error| InvalidInput::one(&name, error))?;
        let exported = intake::read_of_any(&body).map_err(|error| InvalidInput::one(&name, error))?;
        let links = exported.records.into_iter().map(|(record, line)| ChainLink { record, line });
        input.links.extend(links);
        input.texts.extend(exported.texts.into_iter().map(|text| (text.digest, text.text)));
    }
    Ok(input)
}
