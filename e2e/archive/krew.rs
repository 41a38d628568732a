//! The manifest by which krew installs the plugin, and what krew and its index ask of one: the rules of `ValidatePlugin` and
//! of `validate-krew-manifest` in kubernetes-sigs/krew, and those of its developer guide that a program can check.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{LICENCE, PLATFORMS, PLUGIN, Platform, content};
use crate::harness::binaries;

/// The name of the plugin there, which is that of the file too.
const NAME: &str = "daypass";
const SHORT: &str = "Ask for access for a while, and decide on it";
const LONG: &str = "\
Just-in-time access for Kubernetes: asks for a role for a while, approves and
denies such requests, and shows who has what until when. The cluster must have
Daypass: see the homepage.
";
const CAVEATS: &str = "\
To have the tab key complete commands, names, namespaces, roles and policies:
  kubectl daypass completion install
";

/// Writes the manifest for the archives of all platforms in this folder.
pub fn write(folder: &Path) -> Result<PathBuf, String> {
    let manifest = manifest(folder)?;
    let faults = faults(&manifest, folder);
    if !faults.is_empty() {
        return Err(faults.join("\n"));
    }
    let file = folder.join(format!("{NAME}.yaml"));
    let text = serde_saphyr::to_string(&manifest).map_err(|error| error.to_string())?;
    fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(file)
}

fn manifest(folder: &Path) -> Result<Value, String> {
    let platforms = PLATFORMS.iter().map(|platform| entry(*platform, folder)).collect::<Result<Vec<_>, _>>()?;
    Ok(json!({
        "apiVersion": "krew.googlecontainertools.github.com/v1alpha2",
        "kind": "Plugin",
        "metadata": { "name": NAME },
        "spec": {
            "version": format!("v{}", env!("CARGO_PKG_VERSION")),
            "homepage": env!("CARGO_PKG_REPOSITORY"),
            "shortDescription": SHORT,
            "description": LONG,
            "caveats": CAVEATS,
            "platforms": platforms,
        },
    }))
}

fn entry(platform: Platform, folder: &Path) -> Result<Value, String> {
    let (archive, program) = (platform.archive(), platform.program());
    let bytes = fs::read(folder.join(&archive)).map_err(|error| format!("{archive}: {error}"))?;
    let (repository, version) = (env!("CARGO_PKG_REPOSITORY"), env!("CARGO_PKG_VERSION"));
    let copied: Vec<Value> =
        [program.as_str(), LICENCE].iter().map(|file| json!({ "from": file, "to": "." })).collect();
    Ok(json!({
        "selector": { "matchLabels": { "os": platform.os, "arch": platform.arch } },
        "uri": format!("{repository}/releases/download/v{version}/{archive}"),
        "sha256": checksum(&bytes),
        "bin": program,
        "files": copied,
    }))
}

fn checksum(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What krew, its index or who installs would find wrong, by field.
fn faults(manifest: &Value, folder: &Path) -> Vec<String> {
    let mut faults = Vec::new();
    let mut fault = |is_wrong: bool, what: &str| faults.extend(is_wrong.then(|| what.to_owned()));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let fits = |pattern: &str, text: &str| Regex::new(pattern).expect("a pattern").is_match(text);
    let (spec, name) = (&manifest["spec"], text(&manifest["metadata"]["name"]));
    fault(manifest["apiVersion"] != "krew.googlecontainertools.github.com/v1alpha2", "apiVersion");
    fault(manifest["kind"] != "Plugin", "kind");
    fault(name != NAME || !fits(r"^[a-z][a-z0-9-]*$", &name), "metadata.name");
    fault(!fits(r"^v\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$", &text(&spec["version"])), "spec.version");
    fault(!text(&spec["homepage"]).starts_with("https://"), "spec.homepage");
    let short = text(&spec["shortDescription"]);
    fault(short.is_empty() || short.contains(['\r', '\n']) || short.len() > 50, "spec.shortDescription");
    for field in ["description", "caveats"] {
        fault(text(&spec[field]).lines().any(|line| line.len() > 80), &format!("spec.{field}"));
    }
    let platforms = spec["platforms"].as_array().cloned().unwrap_or_default();
    let chosen: Vec<String> = platforms.iter().map(|platform| platform["selector"].to_string()).collect();
    fault(platforms.is_empty() || chosen.iter().collect::<BTreeSet<_>>().len() != chosen.len(), "spec.platforms");
    for (nth, platform) in platforms.iter().enumerate() {
        faults.extend(platform_faults(platform, folder).iter().map(|field| format!("spec.platforms[{nth}].{field}")));
    }
    faults
}

fn platform_faults(platform: &Value, folder: &Path) -> Vec<&'static str> {
    let mut faults = Vec::new();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let labels = platform["selector"]["matchLabels"].as_object().cloned().unwrap_or_default();
    let known = PLATFORMS.iter().find(|known| {
        labels.len() == 2
            && labels.get("os") == Some(&json!(known.os))
            && labels.get("arch") == Some(&json!(known.arch))
    });
    let (uri, bin) = (text(&platform["uri"]), text(&platform["bin"]));
    let archive = folder.join(uri.rsplit('/').next().unwrap_or_default());
    let mut fault = |is_wrong: bool, field| faults.extend(is_wrong.then_some(field));
    fault(known.is_none(), "selector");
    fault(
        !uri.starts_with("https://") || !(uri.ends_with(".tar.gz") || uri.ends_with(".zip")) || !archive.is_file(),
        "uri",
    );
    let bytes = fs::read(&archive).unwrap_or_default();
    fault(text(&platform["sha256"]) != checksum(&bytes), "sha256");
    let copied: Vec<String> =
        platform["files"].as_array().into_iter().flatten().map(|file| text(&file["from"])).collect();
    let within = if archive.is_file() { content(&archive) } else { Vec::new() };
    let to_top = platform["files"].as_array().into_iter().flatten().all(|file| file["to"] == ".");
    let is_there = copied.iter().all(|file| within.contains(file));
    fault(!to_top || !is_there || !copied.iter().any(|file| file == LICENCE), "files");
    let ends_as_it_must = known.is_none_or(|known| bin.ends_with(".exe") == (known.os == "windows"));
    fault(!ends_as_it_must || !bin.starts_with(PLUGIN) || !copied.contains(&bin), "bin");
    faults
}

/// A folder with an archive for each platform, which need not run here.
fn archives() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("program");
    for platform in PLATFORMS {
        fs::write(&program, platform.name()).unwrap();
        super::pack(&program, platform, folder.path()).unwrap();
    }
    folder
}

pub fn keeps_to_the_rules() {
    let folder = archives();
    let file = write(folder.path()).unwrap();
    assert_eq!(file, folder.path().join("daypass.yaml"));
    // As krew reads it.
    let read: Value = serde_saphyr::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    assert_eq!(faults(&read, folder.path()), Vec::<String>::new());
    assert_eq!(read["spec"]["platforms"].as_array().unwrap().len(), PLATFORMS.len());
    fs::remove_file(folder.path().join(PLATFORMS[0].archive())).unwrap();
    assert!(write(folder.path()).is_err_and(|why| why.contains(&PLATFORMS[0].archive())));
}

/// Each of these would go unseen if the check could not fail.
pub fn tells_faults() {
    let folder = archives();
    let whole = manifest(folder.path()).unwrap();
    assert_eq!(faults(&whole, folder.path()), Vec::<String>::new());
    let windows = PLATFORMS.iter().position(|platform| platform.os == "windows").unwrap();
    let (windows_bin, told_of_it) =
        (format!("/spec/platforms/{windows}/bin"), format!("spec.platforms[{windows}].bin"));
    for (field, value, told) in [
        ("/apiVersion", json!("v1"), "apiVersion"),
        ("/kind", json!("Plugins"), "kind"),
        ("/metadata/name", json!("Day pass"), "metadata.name"),
        ("/spec/version", json!("0.1.0"), "spec.version"),
        ("/spec/homepage", json!("here"), "spec.homepage"),
        ("/spec/shortDescription", json!("x".repeat(51)), "spec.shortDescription"),
        ("/spec/shortDescription", json!("two\nlines"), "spec.shortDescription"),
        ("/spec/caveats", json!("x".repeat(81)), "spec.caveats"),
        ("/spec/platforms", json!([]), "spec.platforms"),
        ("/spec/platforms/1/selector", whole["spec"]["platforms"][0]["selector"].clone(), "spec.platforms"),
        ("/spec/platforms/0/selector/matchLabels/os", json!("beos"), "spec.platforms[0].selector"),
        ("/spec/platforms/0/uri", json!("http://example.com/a.tar.gz"), "spec.platforms[0].uri"),
        ("/spec/platforms/0/sha256", json!("0".repeat(64)), "spec.platforms[0].sha256"),
        ("/spec/platforms/0/files/1/from", json!("COPYING"), "spec.platforms[0].files"),
        ("/spec/platforms/0/bin", json!("daypass"), "spec.platforms[0].bin"),
        (windows_bin.as_str(), json!(PLUGIN), told_of_it.as_str()),
    ] {
        let mut broken = whole.clone();
        *broken.pointer_mut(field).unwrap() = value;
        let faults = faults(&broken, folder.path());
        assert!(faults.iter().any(|fault| fault == told), "{field} should be told as {told}: {faults:?}");
    }
}

/// The workflow builds for each platform, and packs and describes all of them.
pub fn the_release_makes_all() {
    let workflow = fs::read_to_string(binaries::repository().join(".github/workflows/release.yaml")).unwrap();
    let workflow: Value = serde_saphyr::from_str(&workflow).unwrap();
    let matrix = workflow["jobs"]["plugin"]["strategy"]["matrix"]["include"].as_array().expect("what is built").clone();
    let built: Vec<String> = matrix.iter().map(|one| one["platform"].as_str().unwrap_or_default().to_owned()).collect();
    assert_eq!(built, PLATFORMS.map(Platform::name));
    for one in &matrix {
        let (platform, target) = (one["platform"].to_string(), one["target"].to_string());
        for (there, in_target) in [
            ("darwin", "apple-darwin"),
            ("windows", "windows"),
            ("linux", "linux-musl"),
            ("amd64", "x86_64"),
            ("arm64", "aarch64"),
        ] {
            assert_eq!(platform.contains(there), target.contains(in_target), "{one}");
        }
    }
}
