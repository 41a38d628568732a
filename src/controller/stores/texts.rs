//! Texts that requests were decided by and that the archive is not known to hold yet: specs of policies, rules of roles.
//!
//! They are in memory alone. What is in force is found again after a restart; what was changed or deleted before the archive
//! had it is lost with the last process that saw it. It must not call the archive: `loops::outbox` does.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Most bytes that are kept.
const MOST_KEPT: usize = 8 << 20;
/// Most bytes of a text that is kept: a delivery must have room for it.
const LARGEST: usize = 2 << 20;
/// How many digests are remembered of texts that the archive holds, or that are lost.
const MOST_REMEMBERED: usize = 20_000;

/// Texts by their digests.
pub struct DecisionTexts {
    /// Whether there is an archive to deliver them to.
    delivers: bool,
    known: Mutex<KnownTexts>,
}

#[derive(Default)]
struct KnownTexts {
    kept: HashMap<String, Arc<str>>,
    /// The same, in the order that they came in, some of which may have gone.
    order: VecDeque<String>,
    bytes: usize,
    held: HashSet<String>,
    lost: HashSet<String>,
}

impl DecisionTexts {
    /// With none in it.
    pub fn new(delivers: bool) -> Self {
        Self { delivers, known: Mutex::default() }
    }

    /// Whether it is worth looking for this text: it is neither kept, nor held by the archive, nor lost.
    pub fn wants(&self, digest: &str) -> bool {
        let known = self.lock();
        self.delivers && !known.has(digest) && !known.lost.contains(digest)
    }

    /// Keeps a text until the archive holds it. The oldest go when there are too many.
    pub fn keep(&self, digest: &str, text: Arc<str>) {
        let mut known = self.lock();
        if !self.delivers || known.has(digest) || text.len() > LARGEST {
            return;
        }
        known.lost.remove(digest);
        known.bytes += text.len();
        known.order.push_back(digest.to_owned());
        known.kept.insert(digest.to_owned(), text);
        while known.bytes > MOST_KEPT {
            let Some(oldest) = known.order.pop_front() else { return };
            known.let_go(&oldest);
        }
    }

    /// A text that is kept.
    pub fn kept(&self, digest: &str) -> Option<Arc<str>> {
        self.lock().kept.get(digest).cloned()
    }

    /// Whether the archive has said that it holds this one.
    pub fn is_held(&self, digest: &str) -> bool {
        self.lock().held.contains(digest)
    }

    /// The archive holds these now.
    pub fn hold<'a>(&self, digests: impl Iterator<Item = &'a str>) {
        let mut known = self.lock();
        for digest in digests {
            known.let_go(digest);
            remember(&mut known.held, digest);
        }
        let KnownTexts { kept, order, .. } = &mut *known;
        order.retain(|digest| kept.contains_key(digest));
    }

    /// The archive does not hold this one, whatever it said before.
    pub fn lacks(&self, digest: &str) {
        self.lock().held.remove(digest);
    }

    /// This one is nowhere any more. False when that was said before.
    pub fn lose(&self, digest: &str) -> bool {
        remember(&mut self.lock().lost, digest)
    }

    /// Whether this one is nowhere any more.
    pub fn is_lost(&self, digest: &str) -> bool {
        self.lock().lost.contains(digest)
    }

    fn lock(&self) -> MutexGuard<'_, KnownTexts> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KnownTexts {
    fn has(&self, digest: &str) -> bool {
        self.held.contains(digest) || self.kept.contains_key(digest)
    }

    fn let_go(&mut self, digest: &str) {
        if let Some(text) = self.kept.remove(digest) {
            self.bytes -= text.len();
        }
    }
}

/// False when it was remembered before.
fn remember(set: &mut HashSet<String>, digest: &str) -> bool {
    if set.len() >= MOST_REMEMBERED {
        // They are asked for once more.
        set.clear();
    }
    set.insert(digest.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_kept_until_the_archive_holds_it_and_again_when_it_lost_it() {
        let texts = DecisionTexts::new(true);
        texts.keep("d", "text".into());
        assert_eq!(texts.kept("d").as_deref(), Some("text"));
        texts.hold(["d", "e"].into_iter());
        assert!(texts.kept("d").is_none() && texts.is_held("d") && !texts.wants("e"));
        texts.keep("d", "text".into());
        assert!(texts.kept("d").is_none(), "it is held");
        texts.lacks("d");
        assert!(texts.wants("d") && texts.lose("d") && !texts.lose("d") && texts.is_lost("d"));
        assert!(!texts.wants("d"), "it is not looked for at each event");
        texts.keep("d", "text".into());
        assert!(texts.kept("d").is_some() && !texts.is_lost("d"));
        DecisionTexts::new(false).keep("d", "text".into());
        assert!(!DecisionTexts::new(false).wants("d"), "there is no archive");
    }

    #[test]
    fn the_oldest_go_when_there_is_no_room() {
        let texts = DecisionTexts::new(true);
        let text: Arc<str> = "x".repeat(1 << 20).into();
        for n in 0..8 {
            texts.keep(&n.to_string(), text.clone());
        }
        texts.hold(["3"].into_iter());
        texts.keep("8", text.clone());
        assert!(texts.kept("0").is_some(), "there is room again");
        texts.keep("9", text.clone());
        assert!(texts.kept("0").is_none() && texts.kept("1").is_some() && texts.kept("9").is_some());
        texts.keep("large", "x".repeat(LARGEST + 1).into());
        assert!(texts.kept("large").is_none() && texts.kept("1").is_some());
        let known = texts.lock();
        assert_eq!(known.order.len(), known.kept.len());
    }
}
