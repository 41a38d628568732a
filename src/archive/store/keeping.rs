//! What a store does with what is held and what is due.

use k8s_openapi::jiff::Timestamp;

use super::super::activity::tables::{number, text};
use super::super::intake::FoundBy;
use super::super::keeping::tables;
use super::{ArchiveStore, StoreError, WriteRule};
use crate::api::keeping::{KeptHold, LiftedHold};

impl ArchiveStore {
    /// Keeps a hold. False: there is or was one of its name, and nothing is kept.
    ///
    /// # Errors
    /// When the store fails; then nothing is kept.
    pub async fn keep_hold(&self, hold: &KeptHold) -> Result<bool, StoreError> {
        self.write(tables::hold(hold), WriteRule::IfTheFirstIsNew).await
    }

    /// Ends a hold; none when there is none of this name that lasts.
    ///
    /// # Errors
    /// When the store fails; then it lasts on.
    pub async fn lift_hold(&self, name: &str, lifted: LiftedHold) -> Result<Option<KeptHold>, StoreError> {
        let rows = self.rows(vec![tables::hold_of(name)]).await?;
        let Some(mut hold) = rows.first().and_then(|row| kept(text(row, 0))) else { return Ok(None) };
        let at = lifted.at.0;
        hold.lifted = Some(lifted);
        let is_lifted = self.write(vec![tables::lift(&hold, at)], WriteRule::IfTheFirstIsNew).await?;
        Ok(is_lifted.then_some(hold))
    }

    /// The latest holds, those that are over included.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn holds(&self) -> Result<Vec<KeptHold>, StoreError> {
        let rows = self.rows(vec![tables::holds()]).await?;
        Ok(rows.iter().filter_map(|row| kept(text(row, 0))).collect())
    }

    /// Erases the records of some requests whose latest record is from before, with what is known of their use. How many
    /// requests it was; none when nothing is due any more.
    ///
    /// # Errors
    /// When the store fails; then what was erased so far is.
    pub async fn erase_due(&self, before: Timestamp, now: Timestamp) -> Result<usize, StoreError> {
        let due = self.rows(vec![tables::due(before, now)]).await?;
        for row in &due {
            let mut erasing = tables::erase_uses(text(row, 2), text(row, 1));
            for record in self.rows(vec![tables::records_of(number(row, 0))]).await? {
                let n = number(&record, 0);
                // What is held was read when it came, so all can be read but what was changed where it lies.
                if let Ok(read) = serde_json::from_str(text(&record, 1)) {
                    let by = FoundBy::of(&read);
                    erasing.extend(tables::erase_found_by(n, &by));
                    if matches!(self, Self::Sqlite(_)) {
                        erasing.push(tables::erase_words_of_sqlite(n, &by.words));
                    }
                }
                erasing.push(tables::erase_record(n));
            }
            self.write(erasing, WriteRule::Always).await?;
        }
        Ok(due.len())
    }

    /// Erases single calls made before, of requests that are over.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn erase_calls(&self, before: Timestamp, now: Timestamp) -> Result<(), StoreError> {
        self.write(tables::erase_calls(before, now), WriteRule::Always).await.map(|_| ())
    }

    /// Erases campaigns that were closed before.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn erase_campaigns(&self, before: Timestamp) -> Result<(), StoreError> {
        self.write(tables::erase_campaigns(before), WriteRule::Always).await.map(|_| ())
    }
}

fn kept(body: &str) -> Option<KeptHold> {
    serde_json::from_str(body).ok()
}
