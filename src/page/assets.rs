//! The files of the front end, as they are in `src/page/front`: the program carries them, and serves no other.
//!
//! It must not change one: what a reader of the repository sees is what the browser runs.

/// A file of the front end.
#[derive(Debug, PartialEq, Eq)]
pub struct PageAsset {
    /// Its path in `src/page/front`.
    pub name: &'static str,
    /// What kind of file it is, for the browser.
    pub kind: &'static str,
    pub bytes: &'static [u8],
}

/// One file, of the kind that its name says.
macro_rules! asset {
    ($kind:ident, $name:literal) => {
        PageAsset { name: $name, kind: $kind, bytes: include_bytes!(concat!("front/", $name)) }
    };
}

const HTML: &str = "text/html; charset=utf-8";

/// The page itself, which every view begins with.
pub const INDEX: PageAsset = asset!(HTML, "index.html");
/// What it loads.
pub const ASSETS: &[PageAsset] = &[];

/// The file of this name.
pub fn named(name: &str) -> Option<&'static PageAsset> {
    ASSETS.iter().find(|asset| asset.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    fn files(folder: &Path, within: &str, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = format!("{within}{}", path.file_name().unwrap().to_string_lossy());
            if path.is_dir() {
                files(&path, &format!("{name}/"), found);
            } else {
                found.insert(name);
            }
        }
    }

    #[test]
    fn every_file_of_the_front_end_is_in_the_list() {
        let mut there = BTreeSet::new();
        files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/page/front"), "", &mut there);
        let listed = ASSETS.iter().chain([&INDEX]).map(|asset| asset.name.to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(listed, there);
    }
}
