//! A pack as it is stored: a folder, or one file as `tar` and `gzip` make it.
//!
//! It must not write over anything: a pack that is there may be evidence.

use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::cli::plugin::error::PluginError;
use crate::core::evidence::pack::EvidencePack;

/// How the name of a packed file ends.
const PACKED: [&str; 2] = [".tar.gz", ".tgz"];
/// The folder that a packed file unpacks to.
const INSIDE: &str = "evidence";
/// Size of a block of a tar file.
const BLOCK: usize = 512;

/// Where a pack goes.
#[derive(Debug)]
pub struct PackPlace {
    path: PathBuf,
    packed: bool,
}

impl PackPlace {
    /// One that nothing is at.
    ///
    /// # Errors
    /// When something is.
    pub fn free(path: &Path) -> Result<Self, PluginError> {
        if path.exists() {
            let problem = format!("{} is there already: name a new folder or file", path.display());
            return Err(PluginError::Flag { flag: "--file", problem });
        }
        let packed = PACKED.iter().any(|end| path.to_string_lossy().ends_with(end));
        Ok(Self { path: path.to_owned(), packed })
    }

    /// Writes the pack.
    ///
    /// # Errors
    /// When the folder or file cannot be written.
    pub fn write(&self, pack: &EvidencePack) -> Result<(), PluginError> {
        let written = if self.packed { self.write_packed(pack) } else { self.write_folder(pack) };
        written.map_err(|error| {
            let problem = format!("cannot write {}: {error}: name a place that you may write to", self.path.display());
            PluginError::Flag { flag: "--file", problem }
        })
    }

    fn write_folder(&self, pack: &EvidencePack) -> std::io::Result<()> {
        std::fs::create_dir_all(&self.path)?;
        pack.files.iter().try_for_each(|file| std::fs::write(self.path.join(file.name), &file.text))
    }

    fn write_packed(&self, pack: &EvidencePack) -> std::io::Result<()> {
        let mut out = GzEncoder::new(std::fs::File::create_new(&self.path)?, Compression::default());
        for file in &pack.files {
            out.write_all(&head(&format!("{INSIDE}/{}", file.name), file.text.len()))?;
            out.write_all(file.text.as_bytes())?;
            let rest = file.text.len().next_multiple_of(BLOCK) - file.text.len();
            out.write_all(&vec![0; rest])?;
        }
        out.write_all(&[0; 2 * BLOCK])?;
        out.finish()?.sync_all()
    }
}

/// The head of a file, as POSIX.1-1988 (ustar) has it. All are of the same time and of nobody, so that the same pack is the
/// same bytes.
fn head(name: &str, size: usize) -> [u8; BLOCK] {
    let mut head = [0; BLOCK];
    let mut put = |at: usize, text: &str| head[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000644\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{size:011o}\0"));
    put(136, "00000000000\0");
    // The sum counts its own field as blanks.
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\x0000");
    let sum: u32 = head.iter().map(|byte| u32::from(*byte)).sum();
    head[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    head
}
