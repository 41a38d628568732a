//! Where a log is read from: an archive, by the API server or by its own address, or a folder that was kept of one.
//!
//! Owns the paths and the forms of what is read. It must not judge any of it: what is read here is believed by nobody.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::AsyncReadExt;
use http::{Request, Uri};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api::record::canonical;
use crate::archive::who::readers::{GROUP, LOG, OPENINGS, VERSION};
use crate::cli::plugin::cluster::{Cluster, ClusterAddress};
use crate::cli::plugin::error::{InvalidInput, PluginError};
use crate::cli::plugin::history::archived::is_served;
use crate::core::proof::field::{FieldSalt, FieldSalts, SALT_BYTES};
use crate::core::proof::tile::{TILE_WIDTH, Tile, TileKind};
use crate::runtime::archive_line::{ArchiveLine, ArchivePlace, LineError};

/// Name of the newest checkpoint.
pub const CHECKPOINT: &str = "checkpoint";
/// Name of the earlier ones, in a folder with an end.
const CHECKPOINTS: &str = "checkpoints";
/// The word by which the archive says that something is not there.
const OF_THE_ARCHIVE: &str = "NotFound";
/// Most bytes of an answer: 256 records of the largest size, with their salts.
const MOST_BYTES: u64 = 64 << 20;
/// For how long an archive may stay without an answer.
const ANSWER: Duration = Duration::from_secs(30);

/// Where the archive's own address is, for who reads without the API server.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Archive")]
pub struct ArchiveAddress {
    /// Read from the archive at this address, as https://HOST:PORT, and no cluster. Left out: by the API server of the
    /// cluster that it is in.
    #[arg(long, value_name = "URL", requires_all = ["archive_ca", "archive_token"])]
    archive: Option<Uri>,
    /// File with the authority of the archive's certificate, in PEM.
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath, requires = "archive")]
    archive_ca: Option<PathBuf>,
    /// File with a token of the issuer that the archive lets read.
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath, requires = "archive")]
    archive_token: Option<PathBuf>,
}

impl ArchiveAddress {
    /// The archive at this address; none when no address is given.
    ///
    /// # Errors
    /// When a file cannot be used.
    pub fn served(&self) -> Result<Option<LogSource>, PluginError> {
        let Some(url) = self.archive.clone() else { return Ok(None) };
        let file = |path: &Option<PathBuf>| path.clone().unwrap_or_default();
        let address = ClusterAddress::for_tokens(url.to_string());
        let place = ArchivePlace {
            url,
            server_name: None,
            authority: file(&self.archive_ca),
            token: file(&self.archive_token),
        };
        let client = ArchiveLine::to(place, ANSWER).client().map_err(|error| match error {
            LineError::File(path, why) => InvalidInput::one(&path.display().to_string(), why).into(),
            error => PluginError::Flag { flag: "--archive", problem: format!("{error}: give it as https://HOST:PORT") },
        })?;
        Ok(Some(LogSource::Served(Box::new(address.with(client)))))
    }
}

/// Where a log is read from.
pub enum LogSource {
    /// A folder, as `verify --keep` writes it.
    Folder(PathBuf),
    /// An archive, through the API server or at its own address.
    Served(Box<Cluster>),
}

/// An earlier checkpoint as the archive keeps it.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct FiledCheckpoint {
    /// How many leaves the log had.
    pub size: u64,
    /// When, in seconds since 1970.
    pub at: u64,
    /// As the log signed it.
    pub note: String,
}

/// What is kept beside a leaf.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct KeptOpening {
    /// Place of the leaf.
    pub place: u64,
    /// The bytes of the record. Left out of other leaves, and where it was erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
    /// What the archive said of itself. Left out of records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<Value>,
    /// Salts in base64, by the path of their field.
    #[serde(default)]
    pub salts: std::collections::BTreeMap<String, String>,
}

/// A list of the archive.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub struct KeptItems<T> {
    /// What it has.
    pub items: Vec<T>,
}

impl KeptOpening {
    /// What the leaf is about, where it is there still, and its salts. None when that is not of one form.
    pub fn stored(&self) -> Option<(Option<String>, FieldSalts)> {
        use base64::Engine;
        let salt = |(path, salt): (&String, &String)| {
            let bytes = base64::engine::general_purpose::STANDARD.decode(salt).ok()?;
            Some((path.clone(), FieldSalt::new(<[u8; SALT_BYTES]>::try_from(bytes).ok()?)))
        };
        let salts: FieldSalts = self.salts.iter().map(salt).collect::<Option<_>>()?;
        match (&self.record, &self.event) {
            (Some(_), Some(_)) => None,
            (record, event) => Some((record.clone().or_else(|| event.as_ref().map(canonical)), salts)),
        }
    }
}

impl LogSource {
    /// What it is called in messages.
    pub fn words(&self) -> String {
        match self {
            Self::Folder(path) => path.display().to_string(),
            Self::Served(cluster) => format!("the archive at {}", cluster.place.words()),
        }
    }

    /// Whether it is a folder, which does not change.
    pub fn is_folder(&self) -> bool {
        matches!(self, Self::Folder(_))
    }

    /// The newest checkpoint.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub async fn checkpoint(&self) -> Result<String, PluginError> {
        let bytes = self.log_file(CHECKPOINT).await?.ok_or_else(|| self.none(CHECKPOINT))?;
        String::from_utf8(bytes).map_err(|_| self.broken(CHECKPOINT, "it is no text"))
    }

    /// The bytes of a tile; none when it is not there. A partial tile that has grown since is cut to its width.
    ///
    /// # Errors
    /// When nothing is answered.
    pub async fn tile(&self, tile: Tile) -> Result<Option<Vec<u8>>, PluginError> {
        if let Some(bytes) = self.log_file(&tile.to_string()).await? {
            return Ok(Some(bytes));
        }
        let Some(full) = Tile::new(tile.kind(), tile.number(), TILE_WIDTH).filter(|full| *full != tile) else {
            return Ok(None);
        };
        Ok(self.log_file(&full.to_string()).await?.and_then(|bytes| cut(tile, bytes)))
    }

    /// Earlier checkpoints behind this size, the smallest first; no more when there are none.
    ///
    /// # Errors
    /// When nothing is answered, or it cannot be read.
    pub async fn checkpoints(&self, after: u64) -> Result<Vec<FiledCheckpoint>, PluginError> {
        match self {
            Self::Folder(path) => {
                let all: Option<KeptItems<FiledCheckpoint>> = self.kept(path, &format!("{CHECKPOINTS}.json"))?;
                let items = all.map(|all| all.items).unwrap_or_default();
                Ok(items.into_iter().filter(|kept| kept.size > after).collect())
            }
            Self::Served(cluster) => {
                let path = format!("{LOG}?path={CHECKPOINTS}&after={after}");
                let listed: Option<KeptItems<FiledCheckpoint>> = self.listed(cluster, LOG, &path).await?;
                Ok(listed.map(|listed| listed.items).unwrap_or_default())
            }
        }
    }

    /// Whether it has anything of what is kept beside the leaves.
    ///
    /// # Errors
    /// When nothing is answered.
    pub async fn has_openings(&self) -> Result<bool, PluginError> {
        match self {
            Self::Folder(path) => Ok(path.join(OPENINGS).is_dir()),
            Self::Served(_) => Ok(self.openings(0).await?.is_some()),
        }
    }

    /// What is kept beside the 256 leaves of a bundle; none when it is not shown.
    ///
    /// # Errors
    /// When nothing is answered, or it cannot be read.
    pub async fn openings(&self, bundle: u64) -> Result<Option<Vec<KeptOpening>>, PluginError> {
        let listed: Option<KeptItems<KeptOpening>> = match self {
            Self::Folder(path) => self.kept(path, &openings_file(bundle))?,
            Self::Served(cluster) => {
                let path = format!("{OPENINGS}?from={}", bundle * u64::from(TILE_WIDTH));
                self.listed(cluster, OPENINGS, &path).await?
            }
        };
        Ok(listed.map(|listed| listed.items))
    }

    async fn log_file(&self, path: &str) -> Result<Option<Vec<u8>>, PluginError> {
        match self {
            Self::Folder(folder) => read_file(&folder.join(path)),
            Self::Served(cluster) => {
                let query: String = form_urlencoded::byte_serialize(path.as_bytes()).collect();
                absent(get(cluster, LOG, &format!("{LOG}?path={query}")).await)
            }
        }
    }

    async fn listed<T: DeserializeOwned>(
        &self,
        cluster: &Cluster,
        resource: &str,
        path: &str,
    ) -> Result<Option<T>, PluginError> {
        let Some(bytes) = absent(get(cluster, resource, path).await)? else { return Ok(None) };
        let read = serde_json::from_slice(&bytes);
        read.map(Some).map_err(|error| self.broken(path, &error.to_string()))
    }

    /// A file of JSON, which is in a folder in the one form that [`super::keep`] writes: so no byte of it can be another.
    fn kept<T: DeserializeOwned + Serialize>(&self, folder: &Path, name: &str) -> Result<Option<T>, PluginError> {
        let Some(bytes) = read_file(&folder.join(name))? else { return Ok(None) };
        let read: T = serde_json::from_slice(&bytes).map_err(|error| self.broken(name, &error.to_string()))?;
        if format!("{}\n", canonical(&read)).into_bytes() == bytes {
            Ok(Some(read))
        } else {
            Err(self.broken(name, "it is not in the form in which --keep writes it"))
        }
    }

    /// That something must be there.
    pub fn none(&self, name: &str) -> PluginError {
        PluginError::NoLog { from: self.words(), name: name.to_owned() }
    }

    /// That something cannot be read.
    pub fn broken(&self, name: &str, problem: &str) -> PluginError {
        PluginError::BrokenLog { from: self.words(), name: name.to_owned(), problem: problem.to_owned() }
    }
}

/// Name of the file with what is kept beside the leaves of a bundle: numbered as tiles are.
pub fn openings_file(bundle: u64) -> String {
    let tile = Tile::new(TileKind::Entries, bundle, TILE_WIDTH).map(|tile| tile.to_string()).unwrap_or_default();
    format!("{OPENINGS}/{}.json", tile.trim_start_matches("tile/entries/"))
}

fn read_file(path: &Path) -> Result<Option<Vec<u8>>, PluginError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(InvalidInput::one(&path.display().to_string(), error).into()),
    }
}

/// What is not there is none, as long as the archive itself says so.
fn absent(answer: Result<Vec<u8>, PluginError>) -> Result<Option<Vec<u8>>, PluginError> {
    match answer {
        Ok(bytes) => Ok(Some(bytes)),
        Err(PluginError::Api { source: kube::Error::Api(status), .. })
            if status.code == 404 && status.reason == OF_THE_ARCHIVE && status.details.is_none() =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

async fn get(cluster: &Cluster, resource: &str, path: &str) -> Result<Vec<u8>, PluginError> {
    let ask = async {
        let question = Request::get(format!("/apis/{GROUP}/{VERSION}/{path}")).body(Vec::new());
        let answer = cluster.client.request_stream(question.map_err(kube::Error::HttpError)?).await?;
        let mut bytes = Vec::new();
        let read = Box::pin(answer).take(MOST_BYTES).read_to_end(&mut bytes).await;
        read.map_err(|error| kube::Error::Service(Box::new(error)))?;
        Ok(bytes)
    };
    let what = format!("list {resource}.{GROUP}");
    let answer = cluster.call(what.clone(), ask).await;
    let nobody = answer.as_ref().is_err_and(PluginError::is_not_found) && !is_served(cluster).await?;
    if nobody { Err(PluginError::NoLogServed { what }) } else { answer }
}

/// The first so many hashes or entries of a full tile.
fn cut(tile: Tile, mut bytes: Vec<u8>) -> Option<Vec<u8>> {
    let length = match tile.kind() {
        TileKind::Hashes(_) => usize::from(tile.width()) * crate::core::proof::tree::HASH_BYTES,
        TileKind::Entries => {
            let mut at = 0;
            for _ in 0..tile.width() {
                let length = bytes.get(at..at + 2)?;
                at += 2 + usize::from(u16::from_be_bytes(length.try_into().ok()?));
            }
            at
        }
    };
    (bytes.len() >= length).then(|| {
        bytes.truncate(length);
        bytes
    })
}
