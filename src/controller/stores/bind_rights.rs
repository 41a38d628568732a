//! What this process may bind, as the API server last answered. Asks nobody: [`crate::controller::loops::bind_rights`] does.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::{Mutex, MutexGuard, Notify};
use tokio::time::Instant;

use crate::core::policies::usable::{BindRights as Answers, MayBind};

/// Answers, and since when they are known.
#[derive(Default)]
pub struct BindRights {
    answers: RwLock<Arc<Answers>>,
    /// When each question was last asked; held by whoever asks, so that passes that want to know the same ask once.
    asked: Mutex<HashMap<MayBind, Instant>>,
    /// Asks for a round: a role has changed, and rights are made of roles.
    pub round_wanted: Notify,
}

impl BindRights {
    /// What is known now.
    pub fn answers(&self) -> Arc<Answers> {
        self.answers.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes the turn to ask.
    pub async fn turn(&self) -> Turn<'_> {
        Turn { rights: self, asked: self.asked.lock().await }
    }
}

/// The turn to ask: only one has it at a time.
pub struct Turn<'a> {
    rights: &'a BindRights,
    asked: MutexGuard<'a, HashMap<MayBind, Instant>>,
}

impl Turn<'_> {
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
        let rights = BindRights::default();
        let before = Instant::now();
        let mut turn = rights.turn().await;
        let answers = |edit: bool| vec![(question("edit"), edit), (question("view"), true)];
        assert_eq!(turn.note(answers(true), before), [question("edit"), question("view")], "nothing was known");
        assert_eq!(turn.note(answers(true), before), []);
        assert_eq!(turn.note(answers(false), before), [question("edit")]);
        assert!(turn.was_asked_since(&question("edit"), before));
        assert!(!turn.was_asked_since(&question("edit"), before + std::time::Duration::from_nanos(1)));
        turn.keep(|question| question.role.name == "edit");
        assert_eq!(rights.answers().may_bind(&role("edit"), None), Some(false));
        assert_eq!(rights.answers().may_bind(&role("view"), None), None, "forgotten");
        assert!(!turn.was_asked_since(&question("view"), before));
    }
}
