//! The flags that say which cluster and as whom; kubectl has them too.
//!
//! It must not read files or the environment: [`super::chosen`] does.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use k8s_openapi::jiff::SignedDuration;

pub use crate::core::report::spelled::quoted;

/// How long a call may take unless the command line says otherwise.
const ANSWER: Duration = Duration::from_secs(10);

/// Which cluster and as whom, as kubectl is told.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Cluster")]
pub struct Connection {
    /// Kubeconfig to use, or several as in $KUBECONFIG. Left out: the files of $KUBECONFIG, merged as kubectl does, or else
    /// ~/.kube/config, or in a pod its service account.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig.
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// Address of the API server, in place of that of the kubeconfig.
    #[arg(short, long, value_name = "URL")]
    pub server: Option<String>,
    /// File with the certificates that prove the API server, in place of those of the kubeconfig.
    #[arg(long, value_name = "FILE")]
    pub certificate_authority: Option<PathBuf>,
    /// Name that the API server's certificate is for, when it is another than that of its address.
    #[arg(long, value_name = "NAME")]
    pub tls_server_name: Option<String>,
    /// Believe any certificate: whoever is in between can read and change everything.
    #[arg(long)]
    pub insecure_skip_tls_verify: bool,
    /// Bearer token to log in with, in place of the login of the kubeconfig.
    #[arg(long, value_name = "TOKEN", value_parser = NonEmptyStringValueParser::new())]
    pub token: Option<String>,
    /// User to impersonate. Takes the right to.
    #[arg(long = "as", id = "as", value_name = "USER")]
    pub as_user: Option<String>,
    /// Group to impersonate, together with --as. Can be given again.
    #[arg(long, value_name = "GROUP", requires = "as")]
    pub as_group: Vec<String>,
    /// UID to impersonate, together with --as.
    #[arg(long, value_name = "UID", requires = "as")]
    pub as_uid: Option<String>,
    /// How long a call of the API server may take, such as 30s; 0 for no limit.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = timeout)]
    pub request_timeout: Timeout,
}

impl Connection {
    /// The flags that lead a further command to the same cluster as the same person, with a space before each; both kubectl and
    /// this plugin take them. A token is not repeated: it would be on the screen.
    pub fn flags(&self) -> String {
        let file = |flag, path: &Option<PathBuf>| Some((flag, path.as_ref()?.display().to_string()));
        let files = [file("kubeconfig", &self.kubeconfig), file("certificate-authority", &self.certificate_authority)];
        let one = [
            ("context", &self.context),
            ("server", &self.server),
            ("tls-server-name", &self.tls_server_name),
            ("as", &self.as_user),
            ("as-uid", &self.as_uid),
        ];
        let one = one.into_iter().filter_map(|(flag, value)| Some((flag, value.clone()?)));
        let groups = self.as_group.iter().map(|group| ("as-group", group.clone()));
        let insecure = self.insecure_skip_tls_verify.then_some(" --insecure-skip-tls-verify".to_owned());
        let with_value = files.into_iter().flatten().chain(one).chain(groups);
        with_value.map(|(flag, value)| format!(" --{flag} {}", quoted(&value))).chain(insecure).collect()
    }
}

/// How long a call may take; none for no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeout(pub Option<Duration>);

impl Default for Timeout {
    fn default() -> Self {
        Self(Some(ANSWER))
    }
}

/// A length of time, as kubectl takes it: `30s`, `5m`, or a bare number of seconds; 0 for no limit.
pub fn timeout(text: &str) -> Result<Timeout, String> {
    let way_out = "give a length of time such as 30s or 5m, or 0 for no limit";
    let length = match text.parse::<u32>() {
        Ok(seconds) => Duration::from_secs(seconds.into()),
        Err(_) => {
            let length: SignedDuration = text.parse().map_err(|error| format!("{error}: {way_out}"))?;
            Duration::try_from(length).map_err(|_| format!("it is negative: {way_out}"))?
        }
    };
    Ok(Timeout((!length.is_zero()).then_some(length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_further_command_goes_to_the_same_cluster_and_shows_no_token() {
        let connection = Connection {
            context: Some("prod eu".to_owned()),
            as_user: Some("o'neil".to_owned()),
            as_group: vec!["dev".to_owned()],
            token: Some("secret".to_owned()),
            ..Connection::default()
        };
        assert_eq!(connection.flags(), r" --context 'prod eu' --as 'o'\''neil' --as-group dev");
        assert_eq!(Connection::default().flags(), "");
    }

    #[test]
    fn a_timeout_is_a_length_of_time_or_none() {
        let seconds = |n| Ok(Timeout(Some(Duration::from_secs(n))));
        for (text, expected) in
            [("30s", seconds(30)), ("5m", seconds(300)), ("7", seconds(7)), ("0", Ok(Timeout(None)))]
        {
            assert_eq!(timeout(text), expected, "{text}");
        }
        assert!(timeout("-5s").is_err_and(|why| why.contains("negative")));
        assert!(timeout("soon").is_err_and(|why| why.contains("such as 30s")));
    }
}
