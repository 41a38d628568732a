//! Several contexts of a kubeconfig, asked at the same time and shown side by side. One that fails is shown with its error, and
//! keeps nothing of the others back.
//!
//! Owns which contexts are meant and how their answers come together. It must not know what is asked.

use futures::future::join_all;

use super::cluster::{Cluster, Connection};
use super::error::PluginError;
use super::exit::Exit;
use super::output::console::Console;
use super::output::text::{TextSpan, Tone};
use super::reach;

/// Which contexts are asked, if more than one.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Cluster")]
pub struct ContextsArgs {
    /// Ask these contexts of the kubeconfig at the same time, separated by commas, and show them side by side; with -o name the
    /// context is behind each name. When one fails the exit code is 1, and the others are shown all the same.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', conflicts_with_all = ["context", "server", "token"])]
    contexts: Vec<String>,
    /// Ask all contexts of the kubeconfig, as --contexts does.
    #[arg(long, conflicts_with_all = ["contexts", "context", "server", "token"])]
    all_contexts: bool,
}

/// What one cluster answered.
#[derive(Debug)]
pub struct ContextAnswer<T> {
    /// Its context; none when it is the one that is meant without a name.
    pub context: Option<String>,
    /// How it was reached, for a further command.
    pub connection: Connection,
    pub answer: T,
}

/// What all that were asked answered.
#[derive(Debug)]
pub struct ContextAnswers<T> {
    /// In the order in which they were asked for.
    pub answers: Vec<ContextAnswer<T>>,
    /// The contexts that failed, each with why.
    pub failed: Vec<(String, String)>,
    /// Whether several were asked, so that each is named.
    pub are_named: bool,
}

impl ContextsArgs {
    /// Asks each context at the same time, or the one that is meant where several are not asked for. What is said while one of
    /// several is asked begins with its name. Which of them failed, and why, is said.
    ///
    /// # Errors
    /// When the kubeconfig cannot be read. Where one cluster is asked, its error.
    pub async fn ask<T>(
        &self,
        connection: &Connection,
        console: &mut Console,
        ask: impl AsyncFn(Cluster, &mut Console) -> Result<T, PluginError>,
    ) -> Result<ContextAnswers<T>, PluginError> {
        if self.contexts.is_empty() && !self.all_contexts {
            let answer = ask(Cluster::connect(connection).await?, console).await?;
            let answers = vec![ContextAnswer { context: None, connection: connection.clone(), answer }];
            return Ok(ContextAnswers { answers, failed: Vec::new(), are_named: false });
        }
        let asked = self.names(connection)?.into_iter().map(async |name| {
            let to = Connection { context: Some(name.clone()), ..connection.clone() };
            let answer = match Cluster::connect(&to).await {
                Ok(cluster) => ask(cluster, &mut Console::about(&name)).await,
                Err(error) => Err(error),
            };
            (name, to, answer)
        });
        let mut all = ContextAnswers { answers: Vec::new(), failed: Vec::new(), are_named: true };
        for (name, connection, answer) in join_all(asked).await {
            match answer {
                Ok(answer) => all.answers.push(ContextAnswer { context: Some(name), connection, answer }),
                Err(error) => {
                    console.say(TextSpan::new(format!("{name}: {error}"), Tone::Bad));
                    all.failed.push((name, error.to_string()));
                }
            }
        }
        Ok(all)
    }

    /// The contexts that are asked for, each once.
    fn names(&self, connection: &Connection) -> Result<Vec<String>, PluginError> {
        let all = if self.all_contexts {
            reach::kubeconfig(connection)?.contexts.into_iter().map(|context| context.name).collect()
        } else {
            self.contexts.clone()
        };
        let mut names: Vec<String> = Vec::new();
        for name in all {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        Ok(names)
    }
}

impl<T> ContextAnswers<T> {
    /// How the command ends by it.
    pub fn exit(&self) -> Exit {
        if self.failed.is_empty() { Exit::Done } else { Exit::Error }
    }

    /// The head of the column for contexts, where there is one.
    pub fn head(&self) -> &'static [&'static str] {
        if self.are_named { &["CONTEXT"] } else { &[] }
    }
}

impl<T> ContextAnswer<T> {
    /// The cell of that column.
    pub fn cell(&self) -> Option<TextSpan> {
        self.context.as_deref().map(TextSpan::from)
    }
}
