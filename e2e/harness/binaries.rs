//! Owns where the programs of the control plane are found, and of which version of Kubernetes they are.

use std::path::{Path, PathBuf};

/// Names the version of Kubernetes whose servers are run, such as `1.33`. Unset or empty: the
/// one that `e2e/controlplane/go.mod` pins.
pub const VERSION: &str = "DAYPASS_KUBERNETES";

/// The folder of the repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The programs that the harness runs.
pub struct Binaries {
    pub etcd: PathBuf,
    pub kube_apiserver: PathBuf,
    pub kube_controller_manager: PathBuf,
    pub kube_scheduler: PathBuf,
    pub kubectl: PathBuf,
    pub helm: PathBuf,
}

/// A version of Kubernetes that `e2e/controlplane` pins.
#[derive(Clone, Debug)]
pub struct Version {
    /// What [`VERSION`] calls it: `1.33`.
    pub minor: String,
    /// The release that is built: `v1.33.13`.
    pub release: String,
    /// Where its `go.mod` is.
    module: PathBuf,
    /// Where its programs are built.
    folder: PathBuf,
}

impl Version {
    /// Those there are; the first is the one that is run when none is named.
    pub fn pinned() -> Vec<Self> {
        let pins = repository().join("e2e/controlplane");
        let built = repository().join("target/controlplane");
        let entries = std::fs::read_dir(&pins).expect("read e2e/controlplane");
        let names = entries.map(|entry| entry.expect("read an entry").file_name().to_string_lossy().into_owned());
        let mut others: Vec<_> = names
            .filter(|name| name.starts_with(|first: char| first.is_ascii_digit()))
            .filter_map(|name| Self::pinned_in(&pins.join(&name), built.join(&name)))
            .collect();
        others.sort_by_key(|version| version.release.clone());
        let default = Self::pinned_in(&pins, built).expect("e2e/controlplane/go.mod pins k8s.io/kubernetes");
        std::iter::once(default).chain(others).collect()
    }

    /// The text of its `go.mod`.
    pub fn go_mod(&self) -> String {
        std::fs::read_to_string(self.module.join("go.mod")).expect("read a go.mod")
    }

    fn pinned_in(module: &Path, folder: PathBuf) -> Option<Self> {
        let text = std::fs::read_to_string(module.join("go.mod")).ok()?;
        let mut words = text.lines().map(str::split_whitespace);
        let release =
            words.find_map(|mut line| line.next().filter(|word| *word == "k8s.io/kubernetes").and(line.next()))?;
        let minor = release.strip_prefix('v')?.rsplit_once('.')?.0.to_owned();
        Some(Self { minor, release: release.to_owned(), module: module.to_owned(), folder })
    }

    /// The one that is run: that which is named, or the default.
    pub fn run() -> Self {
        let asked = Self::asked().unwrap_or_else(|why| panic!("{why}"));
        asked.unwrap_or_else(|| Self::pinned().swap_remove(0))
    }

    /// The 37 of 1.37.
    pub fn number(&self) -> u32 {
        let number = self.minor.split_once('.').and_then(|(_, number)| number.parse().ok());
        number.unwrap_or_else(|| panic!("{} is not a minor of Kubernetes", self.minor))
    }

    /// The one that [`VERSION`] names, `None` when it names none.
    pub fn asked() -> Result<Option<Self>, String> {
        std::env::var(VERSION).ok().filter(|name| !name.is_empty()).map(|name| Self::named(&name)).transpose()
    }

    /// The one of this name; the error says which there are.
    pub fn named(name: &str) -> Result<Self, String> {
        let pinned = Self::pinned();
        pinned.iter().find(|version| version.minor == name).cloned().ok_or_else(|| {
            let there_are: Vec<_> = pinned.iter().map(|version| version.minor.as_str()).collect();
            format!(
                "{VERSION}={name}: that version is not pinned in e2e/controlplane; there are {}",
                there_are.join(", ")
            )
        })
    }
}

impl Binaries {
    /// Finds every program: first in the folder that `KUBEBUILDER_ASSETS` names, then in `target/controlplane`. Of a
    /// version that [`VERSION`] names, the servers of Kubernetes are found where they are built and nowhere else: of which
    /// version others are, nobody knows.
    pub fn find() -> Result<Self, String> {
        Self::of(Version::asked()?.as_ref())
    }

    fn of(version: Option<&Version>) -> Result<Self, String> {
        let folders = folders();
        let servers = version.map_or_else(|| folders.clone(), |version| vec![version.folder.clone()]);
        let find = |folders: &[PathBuf], name: &str| find(folders, name, version);
        Ok(Self {
            etcd: find(&folders, "etcd")?,
            kube_apiserver: find(&servers, "kube-apiserver")?,
            kube_controller_manager: find(&servers, "kube-controller-manager")?,
            kube_scheduler: find(&servers, "kube-scheduler")?,
            kubectl: find(&folders, "kubectl")?,
            helm: find(&folders, "helm")?,
        })
    }
}

/// The program of `e2e/controlplane/client`, which no control plane needs.
pub fn client_go() -> PathBuf {
    find(&folders(), "client-go", None).unwrap_or_else(|why| panic!("{why}"))
}

/// A program by which people sign in to the page: `oauth2-proxy` or `provider`.
pub fn of_sign_in(name: &str) -> PathBuf {
    let path = repository().join("target/signin").join(name);
    assert!(path.is_file(), "{} is not built: run `make signin`", path.display());
    path
}

/// Where programs are looked for, the first first.
fn folders() -> Vec<PathBuf> {
    let assets = std::env::var_os("KUBEBUILDER_ASSETS").filter(|assets| !assets.is_empty()).map(PathBuf::from);
    assets.into_iter().chain([repository().join("target/controlplane")]).collect()
}

fn find(folders: &[PathBuf], name: &str, version: Option<&Version>) -> Result<PathBuf, String> {
    folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file()).ok_or_else(|| {
        let looked: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
        let of = version.map(|version| format!(" KUBERNETES={}", version.minor)).unwrap_or_default();
        format!("{name} is not built (looked in {}): run `make controlplane{of}`", looked.join(" and "))
    })
}
