//! How much harm a role can do, as a level that is stored, shown and compared.

use serde::{Deserialize, Serialize};

use super::word::{Vocabulary, Word};

/// How much harm rights can do, in order.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum RiskLevel {
    /// Reads what is no secret, tells or asks.
    #[default]
    Low,
    /// Disturbs or changes applications.
    Medium,
    /// Takes over the namespaces where it holds, or a part of the cluster.
    High,
    /// Takes over the cluster, or whatever is there and comes to be there.
    Critical,
    /// Nobody can say, since the role cannot be read. It counts as the worst.
    Unknown,
}

/// A level as it is stored.
pub type StoredRiskLevel = Word<RiskLevel>;

impl Vocabulary for RiskLevel {
    const ALL: &'static [Self] = &[Self::Low, Self::Medium, Self::High, Self::Critical, Self::Unknown];

    fn as_str(self) -> &'static str {
        match self {
            Self::Low => "Low",
            Self::Medium => "Medium",
            Self::High => "High",
            Self::Critical => "Critical",
            Self::Unknown => "Unknown",
        }
    }
}

impl RiskLevel {
    /// The level as a number, to compare: from 0 for Low to 3 for Critical, and 3 for what nobody can say.
    pub fn score(self) -> i64 {
        match self {
            Self::Low => 0,
            Self::Medium => 1,
            Self::High => 2,
            Self::Critical | Self::Unknown => 3,
        }
    }
}

impl std::fmt::Display for RiskLevel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
