//! What an archive says of activity, asked through the API server with the caller's own login.
//!
//! Owns the paths, and what it means when there is no answer. It must not decide what is done without one.

use crate::archive::who::readers::{ACTIVITY, BINDING_USES, FINDINGS};
use crate::cli::plugin::cluster::Cluster;
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::history::archived::{NoArchive, listed, what, why};
use crate::cli::plugin::requests::Where;
use crate::core::activity::told::{ToldActivity, ToldBindings, ToldFinding};
use crate::core::insight::seen::BindingUses;

/// Why nothing is said of what was done with a request's access.
#[derive(Debug)]
pub enum NoActivity {
    /// The archive tells nothing.
    Archive(NoArchive),
    /// It has neither a record of the request nor a call under it.
    Nothing,
}

/// What was done with the access of a request, by its UID.
///
/// # Errors
/// Why nothing is said of it.
pub async fn told(cluster: &Cluster, place: &Where, uid: &str) -> Result<ToldActivity, NoActivity> {
    let uid: String = form_urlencoded::byte_serialize(uid.as_bytes()).collect();
    match listed(cluster, place, ACTIVITY, &format!("request={uid}")).await {
        Ok(items) => items.into_iter().next().ok_or(NoActivity::Nothing),
        Err(error) => Err(NoActivity::Archive(why(cluster, error).await)),
    }
}

/// Writes of the whole cluster, and of others that record to the same archive, that no record explains; the latest first.
///
/// # Errors
/// Why the archive says nothing of them.
pub async fn findings(cluster: &Cluster) -> Result<Vec<ToldFinding>, NoArchive> {
    match listed(cluster, &Where::Everywhere, FINDINGS, "").await {
        Ok(items) => Ok(items),
        Err(error) => Err(why(cluster, error).await),
    }
}

/// When the bindings of the archive's own cluster were last used that Daypass did not make.
///
/// # Errors
/// Why the archive says nothing of them, in words.
pub async fn binding_uses(cluster: &Cluster) -> Result<BindingUses, String> {
    match listed::<ToldBindings>(cluster, &Where::Everywhere, BINDING_USES, "").await {
        Ok(told) => {
            let told = told.into_iter().next().map(BindingUses::of);
            told.ok_or_else(|| "the archive does not say it".to_owned())
        }
        Err(error) => Err(why(cluster, error).await.briefly(BINDING_USES)),
    }
}

impl NoActivity {
    /// The same in words.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub fn words(self, place: &Where) -> Result<String, PluginError> {
        Ok(match self {
            Self::Nothing => "the archive has no record of it, and no call under it".to_owned(),
            Self::Archive(NoArchive::NotServed) => {
                "the cluster has no archive; archive.enabled and archive.audit.enabled of the chart have it kept"
                    .to_owned()
            }
            Self::Archive(NoArchive::Forbidden) => format!(
                "you may not {}: ask for a RoleBinding to ClusterRole daypass-archive-reader",
                what(ACTIVITY, place)
            ),
            Self::Archive(NoArchive::Silent(why)) => format!("the archive does not answer ({why})"),
            Self::Archive(NoArchive::Failed(error)) => return Err(error),
        })
    }
}
