//! Reads what findings go by that an archive alone knows, with the caller's own rights. Whatever it does not tell is an unread
//! part, with why.

use k8s_openapi::jiff::Timestamp;

use super::read::InsightReading;
use crate::api::policy::{AccessPolicy, Effect};
use crate::api::subject::RoleName;
use crate::archive::who::readers::FINDINGS;
use crate::cli::plugin::activity::reading::{binding_uses, findings};
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::history::still_there::home;
use crate::cli::plugin::policy::narrower::read::{GrantsRead, grants, role};
use crate::cli::plugin::requests::Where;
use crate::core::activity::told::ToldFinding;
use crate::core::insight::seen::{BindingUses, GrantsOfRole, SeenPart, UnreadPart};

impl InsightReading<'_> {
    /// When bindings were last used: only where that is known for all of the time that is looked at.
    pub async fn uses(&self) -> SeenPart<BindingUses> {
        let read = binding_uses(self.cluster).await.and_then(|uses| uses.heard_from(self.since()).map(|()| uses));
        read.map_err(|why| unread("when bindings were last used", why))
    }

    /// Writes of this cluster that no record explains.
    pub async fn writes(&self) -> SeenPart<Vec<ToldFinding>> {
        let unread = |why| unread("writes that no record explains", why);
        let all = findings(self.cluster).await.map_err(|none| unread(none.briefly(FINDINGS)))?;
        // Other clusters may record to the same archive.
        let home = home(self.cluster).await;
        let home = home.ok_or_else(|| {
            unread("you may not get namespace kube-system, whose UID tells clusters apart".to_owned())
        })?;
        Ok(all.into_iter().filter(|one| one.cluster == home).collect())
    }

    /// The grants under each policy that allows, with what was done with them. Those of one namespace say nothing of a policy
    /// that is for others too.
    pub async fn grants(&self, policies: &SeenPart<Vec<AccessPolicy>>) -> SeenPart<Vec<GrantsOfRole>> {
        if *self.place != Where::Everywhere {
            return Ok(Vec::new());
        }
        let mut all = Vec::new();
        let allow = policies.iter().flatten().filter(|policy| policy.spec.effect == Effect::Allow);
        for policy in allow {
            let read = self.grants_under(policy).await;
            all.extend(read.map_err(|error| unread("what was done with grants", error.to_string()))?);
        }
        Ok(all)
    }

    async fn grants_under(&self, policy: &AccessPolicy) -> Result<Vec<GrantsOfRole>, PluginError> {
        let all = grants(self.cluster, policy, self.since(), self.now).await?;
        let mut by_role = Vec::new();
        for of in &policy.spec.roles {
            by_role.extend(self.of_role(policy, of, &all.of(of)).await?);
        }
        Ok(by_role)
    }

    /// None of a role that was not granted: nobody knows where it would hold.
    async fn of_role(
        &self,
        policy: &AccessPolicy,
        name: &RoleName,
        of_role: &GrantsRead,
    ) -> Result<Option<GrantsOfRole>, PluginError> {
        let past = of_role.past();
        if past.is_empty() {
            return Ok(None);
        }
        let rules = match role(self.cluster, name, of_role).await {
            Ok(read) => read.rules,
            // One that is gone has nothing to take.
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error),
        };
        let policy = policy.metadata.name.clone().unwrap_or_default();
        Ok(Some(GrantsOfRole { policy, role: name.clone(), rules, extent: of_role.extent(self.release), past }))
    }

    fn since(&self) -> Timestamp {
        self.now.saturating_sub(self.window).unwrap_or(self.now)
    }
}

fn unread(what: &str, why: String) -> UnreadPart {
    UnreadPart { what: what.to_owned(), why }
}
