//! The scripts by which a shell completes the command line of `kubectl-daypass` itself. Each hands its words to this program and
//! shows what that answers, so none knows a command or a flag.

/// A shell that there is a script for, and the command that prints it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::Subcommand)]
pub enum ShellScript {
    /// Print what makes bash complete `kubectl-daypass`: source <(kubectl-daypass completion bash). Needs no completion of kubectl's.
    Bash,
    /// Print what makes zsh complete `kubectl-daypass`: source <(kubectl-daypass completion zsh), after compinit.
    Zsh,
    /// Print what makes fish complete `kubectl-daypass`: kubectl-daypass completion fish | source.
    Fish,
    /// Print what makes PowerShell complete `kubectl-daypass`: kubectl-daypass completion powershell | Out-String | Invoke-Expression.
    #[command(name = "powershell")]
    PowerShell,
}

impl ShellScript {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Bash, Self::Zsh, Self::Fish, Self::PowerShell];

    /// The script.
    pub fn text(self) -> &'static str {
        match self {
            Self::Bash => include_str!("scripts/kubectl-daypass.bash"),
            Self::Zsh => include_str!("scripts/kubectl-daypass.zsh"),
            Self::Fish => include_str!("scripts/kubectl-daypass.fish"),
            Self::PowerShell => include_str!("scripts/kubectl-daypass.ps1"),
        }
    }

    /// The name of the file that its shell looks for, as far as it looks for one.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Bash => "kubectl-daypass.bash",
            Self::Zsh => "_kubectl-daypass",
            Self::Fish => "kubectl-daypass.fish",
            Self::PowerShell => "_kubectl-daypass.ps1",
        }
    }
}
