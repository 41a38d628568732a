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
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

/// The page itself, which every view begins with.
pub const INDEX: PageAsset = asset!(HTML, "index.html");
/// What it loads.
pub const ASSETS: &[PageAsset] = &[
    asset!(SCRIPT, "activity.js"),
    asset!(SCRIPT, "ask.js"),
    asset!(SCRIPT, "call.js"),
    asset!(SCRIPT, "clock.js"),
    asset!(SCRIPT, "controls.js"),
    asset!(SCRIPT, "decide.js"),
    asset!(SCRIPT, "details.js"),
    asset!(SCRIPT, "draft.js"),
    asset!(SCRIPT, "explain.js"),
    asset!(SCRIPT, "foresee.js"),
    asset!(SCRIPT, "growth.js"),
    asset!(SCRIPT, "health.js"),
    asset!(SCRIPT, "history.js"),
    asset!(SCRIPT, "inbox.js"),
    asset!(SCRIPT, "main.js"),
    asset!(SCRIPT, "now.js"),
    asset!(SCRIPT, "policies.js"),
    asset!(SCRIPT, "readable.js"),
    asset!(SCRIPT, "records.js"),
    asset!(SCRIPT, "request.js"),
    asset!(SCRIPT, "requests.js"),
    asset!(SCRIPT, "reviews.js"),
    asset!(SCRIPT, "route.js"),
    asset!(SCRIPT, "sending.js"),
    asset!(SCRIPT, "shell.js"),
    asset!(SCRIPT, "start.js"),
    asset!(STYLE, "style.css"),
    asset!(SCRIPT, "templates.js"),
    asset!(SCRIPT, "theme.js"),
    asset!(SCRIPT, "timeline.js"),
    asset!(SCRIPT, "vendor/preact-htm.js"),
    asset!(SCRIPT, "waiting.js"),
    asset!(SCRIPT, "weekly.js"),
    asset!(SCRIPT, "words.js"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use sha2::{Digest, Sha256};

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
    fn what_is_not_ours_is_what_was_made_of_the_named_versions() {
        let vendored = ASSETS.iter().find(|asset| asset.name == "vendor/preact-htm.js").unwrap();
        let head = String::from_utf8_lossy(&vendored.bytes[..2000]);
        assert!(head.contains("11.2.0") && head.contains("3.1.1"), "{head}");
        let digest: String = Sha256::digest(vendored.bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(digest, "ef69c231007eefd64e874fc36c60e7ceaca5a2eed0a8ff19c6c0be2dc99c42e3");
    }

    #[test]
    fn no_file_makes_markup_or_code_of_a_text() {
        let forbidden = ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"];
        for asset in ASSETS.iter().filter(|asset| !asset.name.starts_with("vendor/")) {
            let text = std::str::from_utf8(asset.bytes).unwrap();
            let found: Vec<_> = forbidden.iter().filter(|word| text.contains(**word)).collect();
            assert!(found.is_empty(), "{}: {found:?}", asset.name);
        }
    }

    #[test]
    fn a_translation_is_one_file() {
        let of_ours =
            |asset: &&PageAsset| asset.kind == SCRIPT && asset.name != "words.js" && !asset.name.contains('/');
        for asset in ASSETS.iter().filter(of_ours) {
            let text = std::str::from_utf8(asset.bytes).unwrap();
            for (at, _) in text.match_indices("</") {
                // What stands between two tags, without what is put in there. A command is the same in every language.
                let within = text[..at].rsplit(['>', '}']).next().unwrap_or_default();
                let is_command = within.starts_with("kubectl ");
                assert!(
                    is_command || !within.contains(char::is_alphabetic),
                    "{}: {within:?} is for words.js",
                    asset.name
                );
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
