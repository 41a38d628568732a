//! Logins that a program makes: the credential plugins of client-go.
//!
//! The program is told what is wanted in KUBERNETES_EXEC_INFO and prints an ExecCredential. It must not be run more often
//! than its answer requires: some ask a person.

use std::io::{ErrorKind, IsTerminal};
use std::process::{Command, Output, Stdio};

use k8s_openapi::jiff::Timestamp;
use kube::config::{ExecConfig, ExecInteractiveMode};
use serde::Deserialize;
use serde_json::json;

use super::failure::{LoginFailure, reason};

const V1: &str = "client.authentication.k8s.io/v1";
const V1BETA1: &str = "client.authentication.k8s.io/v1beta1";

/// A login that a program makes.
#[derive(Clone, Debug)]
pub struct ExecLogin {
    /// The user of the kubeconfig that it is for.
    pub user: String,
    /// What the kubeconfig says of it.
    pub config: ExecConfig,
}

/// What the program gave.
#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ExecGiven {
    /// A bearer token.
    pub token: Option<String>,
    /// A certificate in PEM, with its key.
    pub client_certificate_data: Option<String>,
    /// The key in PEM.
    pub client_key_data: Option<String>,
    /// Until when it is good; none for as long as the process lives.
    pub expiration_timestamp: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExecAnswer {
    kind: String,
    api_version: String,
    status: Option<ExecGiven>,
}

impl ExecLogin {
    /// The program with its arguments, as it would be typed.
    pub fn line(&self) -> String {
        let words = self.config.command.iter().chain(self.config.args.iter().flatten());
        words.map(|word| super::flags::quoted(word)).collect::<Vec<_>>().join(" ")
    }

    /// Runs the program. It may ask at the terminal, so this may take as long as a person does; it blocks.
    ///
    /// # Errors
    /// When the program is not there, fails, or prints something else.
    pub fn run(&self) -> Result<ExecGiven, LoginFailure> {
        let version = self.version()?;
        let output = self.command(version)?.output().map_err(|error| match error.kind() {
            ErrorKind::NotFound => LoginFailure::NoCommand {
                user: self.user.clone(),
                command: self.config.command.clone().unwrap_or_default(),
                hint: self.config.install_hint.as_ref().map(|hint| hint.trim().to_owned()),
            },
            _ => self.failed(format!("cannot be run ({error})")),
        })?;
        self.read(version, &output)
    }

    fn version(&self) -> Result<&'static str, LoginFailure> {
        match self.config.api_version.as_deref() {
            Some(V1) if self.config.interactive_mode.is_none() => {
                Err(self.bad("exec.interactiveMode is missing: write Never, IfAvailable or Always".to_owned()))
            }
            Some(V1) => Ok(V1),
            Some(V1BETA1) => Ok(V1BETA1),
            other => {
                let found = other.unwrap_or("nothing");
                Err(self
                    .bad(format!("exec.apiVersion is {found}: write {V1}, or {V1BETA1}, whichever the program speaks")))
            }
        }
    }

    fn command(&self, version: &str) -> Result<Command, LoginFailure> {
        let Some(program) = &self.config.command else {
            return Err(self.bad("exec.command is missing: name the program that logs in".to_owned()));
        };
        let asks = self.asks(std::io::stdin().is_terminal())?;
        let mut spec = json!({ "interactive": asks });
        if let Some(cluster) = self.config.cluster.as_ref().filter(|_| self.config.provide_cluster_info) {
            spec["cluster"] = json!(cluster);
        }
        let told = json!({ "kind": "ExecCredential", "apiVersion": version, "spec": spec });
        let variables = self.config.env.iter().flatten().filter_map(|one| Some((one.get("name")?, one.get("value")?)));
        let mut command = Command::new(program);
        command
            .args(self.config.args.iter().flatten())
            .envs(variables)
            .env("KUBERNETES_EXEC_INFO", told.to_string())
            .stdin(if asks { Stdio::inherit() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit());
        Ok(command)
    }

    /// Whether the program may ask a person.
    fn asks(&self, terminal: bool) -> Result<bool, LoginFailure> {
        match self.config.interactive_mode.as_ref().unwrap_or(&ExecInteractiveMode::IfAvailable) {
            ExecInteractiveMode::Never => Ok(false),
            ExecInteractiveMode::IfAvailable => Ok(terminal),
            ExecInteractiveMode::Always if terminal => Ok(true),
            ExecInteractiveMode::Always => {
                Err(LoginFailure::NoTerminal { user: self.user.clone(), command: self.line() })
            }
        }
    }

    fn read(&self, version: &str, output: &Output) -> Result<ExecGiven, LoginFailure> {
        if !output.status.success() {
            return Err(self.failed(format!("ended with {}", output.status)));
        }
        let other = |why: &dyn std::fmt::Display| self.failed(format!("printed no ExecCredential ({why})"));
        // client-go takes YAML too.
        let answer: ExecAnswer = serde_saphyr::from_slice(&output.stdout).map_err(|error| other(&reason(&error)))?;
        if (answer.kind.as_str(), answer.api_version.as_str()) != ("ExecCredential", version) {
            return Err(other(&format!("{} {} and not {version}", answer.kind, answer.api_version)));
        }
        let given = answer.status.ok_or_else(|| other(&"it has no status"))?;
        match (&given.token, &given.client_certificate_data, &given.client_key_data) {
            (_, Some(_), None) | (_, None, Some(_)) => Err(other(&"a certificate and its key go together")),
            (None, None, None) => Err(other(&"neither a token nor a certificate is in it")),
            _ => Ok(given),
        }
    }

    fn failed(&self, why: String) -> LoginFailure {
        LoginFailure::CommandFailed { user: self.user.clone(), command: self.line(), why }
    }

    fn bad(&self, why: String) -> LoginFailure {
        LoginFailure::BadLogin { user: self.user.clone(), why }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(mode: Option<ExecInteractiveMode>, version: Option<&str>) -> ExecLogin {
        let config = ExecConfig {
            command: Some("/nowhere/login".to_owned()),
            api_version: version.map(str::to_owned),
            interactive_mode: mode,
            ..ExecConfig::default()
        };
        ExecLogin { user: "alice".to_owned(), config }
    }

    #[test]
    fn a_person_is_asked_where_one_is_and_the_mode_lets() {
        use ExecInteractiveMode::{Always, IfAvailable, Never};
        for (mode, terminal, expected) in [
            (Some(Never), true, Some(false)),
            (Some(IfAvailable), true, Some(true)),
            (Some(IfAvailable), false, Some(false)),
            (None, true, Some(true)),
            (Some(Always), true, Some(true)),
            (Some(Always), false, None),
        ] {
            assert_eq!(login(mode.clone(), None).asks(terminal).ok(), expected, "{mode:?} {terminal}");
        }
    }

    #[test]
    fn only_versions_that_client_go_speaks_are_spoken() {
        for (version, mode, expected) in [
            (Some(V1), Some(ExecInteractiveMode::Never), Some(V1)),
            (Some(V1), None, None),
            (Some(V1BETA1), None, Some(V1BETA1)),
            (Some("client.authentication.k8s.io/v1alpha1"), None, None),
            (None, None, None),
        ] {
            assert_eq!(login(mode, version).version().ok(), expected, "{version:?}");
        }
    }
}
