//! What somebody may do with review campaigns, by the roles of the cluster.
//!
//! Owns the rights, as the API server names them: it has asked for the same before it passed a call on. Who may decide on
//! which item is for `core::campaign`.

use std::fmt;

use k8s_openapi::api::authorization::v1::ResourceAttributes;
use kube::Client;

use super::front_proxy::ArchiveReader;
use super::readers::{GROUP, RESOURCE, attributes, may};

/// Of campaigns.
pub const CAMPAIGNS: &str = "campaigns";
/// What owners make in one.
pub const DECISIONS: &str = "decisions";
/// What is made of one to tell what is there now.
pub const LOOK: &str = "look";
/// What is made of one to end it.
pub const CLOSE: &str = "close";

/// Something that takes a right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CampaignRight<'a> {
    /// To list them, and see in each what one decides on.
    List,
    /// The same of one.
    Get(&'a str),
    /// To start one.
    Start,
    /// To decide in one.
    Decide(&'a str),
    /// To say what is there now.
    Look(&'a str),
    /// To close one.
    Close(&'a str),
    /// To list all records, which shows all of each campaign.
    ListRecords,
}

impl CampaignRight<'_> {
    /// Verb, resource with subresource, and the name of the campaign.
    fn parts(&self) -> (&'static str, &'static str, Option<&'static str>, Option<&str>) {
        match self {
            Self::List => ("list", CAMPAIGNS, None, None),
            Self::Get(name) => ("get", CAMPAIGNS, None, Some(name)),
            Self::Start => ("create", CAMPAIGNS, None, None),
            Self::Decide(name) => ("create", CAMPAIGNS, Some(DECISIONS), Some(name)),
            Self::Look(name) => ("update", CAMPAIGNS, Some(LOOK), Some(name)),
            Self::Close(name) => ("update", CAMPAIGNS, Some(CLOSE), Some(name)),
            Self::ListRecords => ("list", RESOURCE, None, None),
        }
    }

    /// Whether somebody has it.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn is_of(&self, client: &Client, reader: &ArchiveReader) -> kube::Result<bool> {
        let (verb, resource, subresource, name) = self.parts();
        let attributes = ResourceAttributes {
            subresource: subresource.map(str::to_owned),
            name: name.map(str::to_owned),
            ..attributes(verb, resource)
        };
        may(client, reader, attributes).await
    }
}

impl fmt::Display for CampaignRight<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (verb, resource, subresource, _) = self.parts();
        write!(f, "{verb} on {resource}.{GROUP}")?;
        subresource.map_or(Ok(()), |of| write!(f, "/{of}"))
    }
}
