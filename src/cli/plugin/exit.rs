//! What the plugin's exit code says. `--help` and this type must say the same.

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// What was asked for is done.
    Done,
    /// Something failed, or was found wrong.
    Error,
    /// The command line or a file cannot be used.
    Usage,
    /// The answer is no: access is denied, lapsed, failed or revoked.
    Refused,
    /// There is no answer yet.
    Waiting,
}

impl Exit {
    /// Every way to end, in the order of the codes.
    pub const ALL: [Self; 5] = [Self::Done, Self::Error, Self::Usage, Self::Refused, Self::Waiting];

    /// The exit code of the process.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Error => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::Waiting => 4,
        }
    }

    /// What the code says, for `--help`.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Error => "error",
            Self::Usage => "the command line or a file cannot be used",
            Self::Refused => "denied, lapsed, failed or revoked",
            Self::Waiting => "still waiting",
        }
    }

    /// How several things ended together: as the first that is not done.
    pub fn or(self, next: Self) -> Self {
        if self == Self::Done { next } else { self }
    }

    /// All codes, as `--help` prints them.
    pub fn help() -> String {
        let lines = Self::ALL.map(|exit| format!("  {}  {}", exit.code(), exit.meaning()));
        format!("Exit codes:\n{}", lines.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_to_end_has_a_code_of_its_own() {
        assert_eq!(Exit::ALL.map(Exit::code), [0, 1, 2, 3, 4]);
    }
}
