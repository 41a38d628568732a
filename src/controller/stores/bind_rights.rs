//! What this process may bind, as the API server last answered. Asks nobody: [`crate::controller::loops::bind_rights`] does.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::{Mutex, MutexGuard, Notify};
use tokio::time::Instant;

use crate::core::policies::usable::{BindRights, MayBind};

/// Answers, and since when they are known.
#[derive(Default)]
pub struct BindRightsStore {
    answers: RwLock<Arc<BindRights>>,
    /// When each question was last asked; held by whoever asks, so that passes that want to know the same ask once.
    asked: Mutex<HashMap<MayBind, Instant>>,
    /// Asks for a round: a role has changed, and rights are made of roles.
    pub round_wanted: Notify,
}

impl BindRightsStore {
    /// What is known now.
    pub fn answers(&self) -> Arc<BindRights> {
        self.answers.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for the lock under which questions are asked.
    pub async fn lock_questions(&self) -> QuestionLock<'_> {
        QuestionLock { rights: self, asked: self.asked.lock().await }
    }
}

/// The lock under which questions are asked, so that the same is not asked twice at once.
pub struct QuestionLock<'a> {
    rights: &'a BindRightsStore,
    asked: MutexGuard<'a, HashMap<MayBind, Instant>>,
}

impl QuestionLock<'_> {
    /// Whether this was asked at that time or later.
    pub fn was_asked_since(&self, question: &MayBind, since: Instant) -> bool {
        self.asked.get(question).is_some_and(|asked| *asked >= since)
    }

    /// Notes answers to what was asked at that time. Which of them are news.
    pub fn note(&mut self, answers: Vec<(MayBind, bool)>, at: Instant) -> Vec<MayBind> {
        let mut known = self.rights.answers.write().unwrap_or_else(PoisonError::into_inner);
        let is_news = |(question, answer): &&(MayBind, bool)| known.answer(question) != Some(*answer);
        let news: Vec<MayBind> = answers.iter().filter(is_news).map(|(question, _)| question.clone()).collect();
        if !news.is_empty() {
            let changed = Arc::make_mut(&mut known);
            answers.iter().for_each(|(question, answer)| changed.note(question.clone(), *answer));
        }
        self.asked.extend(answers.into_iter().map(|(question, _)| (question, at)));
        news
    }

    /// Forgets what is known of other roles than these.
    pub fn keep(&mut self, wanted: impl Fn(&MayBind) -> bool) {
        if self.asked.keys().all(&wanted) {
            return;
        }
        self.asked.retain(|question, _| wanted(question));
        let mut known = self.rights.answers.write().unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(&mut known).keep(|question| wanted(question));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::RoleKind;
    use crate::api::subject::RoleName;

    #[tokio::test]
    async fn only_what_is_another_answer_is_news() {
        let role = |name: &str| RoleName { kind: RoleKind::ClusterRole, name: name.to_owned() };
        let question = |name: &str| MayBind { role: role(name), namespace: None };
        let rights = BindRightsStore::default();
        let before = Instant::now();
        let mut lock = rights.lock_questions().await;
        let answers = |edit: bool| vec![(question("edit"), edit), (question("view"), true)];
        assert_eq!(lock.note(answers(true), before), [question("edit"), question("view")], "nothing was known");
        assert_eq!(lock.note(answers(true), before), []);
        assert_eq!(lock.note(answers(false), before), [question("edit")]);
        assert!(lock.was_asked_since(&question("edit"), before));
        assert!(!lock.was_asked_since(&question("edit"), before + std::time::Duration::from_nanos(1)));
        lock.keep(|question| question.role.name == "edit");
        assert_eq!(rights.answers().may_bind(&role("edit"), None), Some(false));
        assert_eq!(rights.answers().may_bind(&role("view"), None), None, "forgotten");
        assert!(!lock.was_asked_since(&question("view"), before));
    }
}
