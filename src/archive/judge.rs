//! Which of the records that arrive may be kept: those that fit behind the ones that are held.
//!
//! Owns the rules: one record for each index, none left out, each on the digest of the one before. It is pure, and the
//! same for both stores.

use std::collections::{BTreeMap, HashMap};

use super::intake::Arrival;
use crate::api::delivery::{ChainAnswer, ChainRefusal, ChainRule, HeldChain};
use crate::api::record::digest;

/// What to do with a delivery.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JudgedDelivery {
    /// What to store: of each request in the order of their indices.
    pub new: Vec<Arrival>,
    /// One for each request of the delivery, by UID.
    pub answers: Vec<ChainAnswer>,
}

/// Bytes that are held, by UID and index.
pub type HeldBytes = HashMap<(String, u32), String>;

/// Judges records of one cluster. `held` has its requests by UID, and `bytes` what is held under the ids that arrive and is not erased.
pub fn judge(arrivals: Vec<Arrival>, held: &HashMap<String, HeldChain>, mut bytes: HeldBytes) -> JudgedDelivery {
    let mut requests: BTreeMap<String, Vec<Arrival>> = BTreeMap::new();
    for arrival in arrivals {
        requests.entry(arrival.record.request.uid.clone()).or_default().push(arrival);
    }
    let mut judged = JudgedDelivery::default();
    for (uid, mut arrivals) in requests {
        // Whoever sends again may send in any order.
        arrivals.sort_by_key(|arrival| arrival.record.index);
        let mut chain = held.get(&uid).cloned().unwrap_or_default();
        let mut refused = None;
        for arrival in arrivals {
            match check(&arrival, &chain, bytes.get(&(uid.clone(), arrival.record.index))) {
                Ok(false) => {}
                Ok(true) => {
                    chain =
                        HeldChain { held: arrival.record.index + 1, digest: Some(digest(arrival.bytes.as_bytes())) };
                    bytes.insert((uid.clone(), arrival.record.index), arrival.bytes.clone());
                    judged.new.push(arrival);
                }
                Err(refusal) => {
                    refused = Some(refusal);
                    break;
                }
            }
        }
        judged.answers.push(ChainAnswer { uid, held: chain, refused });
    }
    judged
}

/// Whether it is new.
fn check(arrival: &Arrival, chain: &HeldChain, known: Option<&String>) -> Result<bool, ChainRefusal> {
    let index = arrival.record.index;
    let refuse = |rule, message: String| Err(ChainRefusal { index, rule, send_from: chain.held, message });
    if index < chain.held {
        // What was held is not new, even when its time was over and it is erased.
        if known.is_none_or(|known| *known == arrival.bytes) {
            return Ok(false);
        }
        let message = format!("index: other bytes are held under {}, and nothing is overwritten", arrival.record.id);
        return refuse(ChainRule::Conflict, message);
    }
    if index > chain.held {
        let message = format!("index: {index} comes behind records that are not held; send from {}", chain.held);
        return refuse(ChainRule::Gap, message);
    }
    if arrival.record.previous != chain.digest {
        let found = arrival.record.previous.as_deref().unwrap_or("nothing");
        let expected = chain.digest.as_deref().unwrap_or("nothing");
        let message = format!("previous: {found} is not the digest of what is held before it, {expected}");
        return refuse(ChainRule::Previous, message);
    }
    Ok(true)
}
