//! The chart that helm installs or upgrades to, as its command line names it, and how helm itself says what is in it.
//!
//! Runs nothing. What would be rendered from elsewhere, by another program or from the release, is not known.

use super::line::{KnownTool, ToolLine, takes_next};

/// What `helm template` takes too, and what is rendered hangs on.
const OF_RENDERING: [&str; 12] = [
    "-f",
    "--values",
    "--set",
    "--set-string",
    "--set-file",
    "--set-json",
    "--set-literal",
    "-n",
    "--namespace",
    "--no-hooks",
    "--skip-crds",
    "--disable-openapi-validation",
];
/// With these it is not what the chart on this machine says.
const FROM_ELSEWHERE: [&str; 8] = [
    "--reuse-values",
    "--reset-then-reuse-values",
    "--post-renderer",
    "--dependency-update",
    "--repo",
    "--generate-name",
    "-g",
    "--enable-dns",
];

/// How a chart is rendered on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChartRendering {
    /// File or folder of the chart, if it is on this machine.
    pub chart: String,
    /// The arguments of helm.
    pub args: Vec<String>,
}

impl ChartRendering {
    /// Of the words of a command, the program first. None of what is no `helm install` or `helm upgrade` of one chart.
    pub fn of(line: &[String], usual_namespace: &str) -> Option<Self> {
        let read = ToolLine::read(line).filter(|read| read.tool == KnownTool::Helm)?;
        let [command @ ("install" | "upgrade"), release, chart] = read.words[..] else { return None };
        let mut args = vec!["template".to_owned(), release.to_owned(), chart.to_owned()];
        let mut rest = line.iter().skip(1).map(String::as_str);
        while let Some(arg) = rest.next().filter(|arg| *arg != "--") {
            if !arg.starts_with('-') {
                continue;
            }
            let name = arg.split_once('=').map_or(arg, |(name, _)| name);
            if FROM_ELSEWHERE.contains(&name) {
                return None;
            }
            let value = if takes_next(arg, command) { rest.next() } else { None };
            let is_joined = !arg.starts_with("--") && OF_RENDERING.iter().any(|flag| arg.starts_with(flag));
            if OF_RENDERING.contains(&name) || is_joined {
                args.extend(std::iter::once(arg).chain(value).map(str::to_owned));
            }
        }
        if read.values("--namespace", 'n').is_empty() {
            args.push(format!("--namespace={usual_namespace}"));
        }
        Some(Self { chart: chart.to_owned(), args })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_decides_what_is_rendered_is_handed_on() {
        for (line, expected) in [
            ("helm upgrade web ./c", Some("template web ./c --namespace=shop")),
            (
                "helm upgrade --install --wait --timeout 5m web ./c -fa.yaml --values b.yaml --set=x=y --set z=1 -n bank",
                Some("template web ./c -fa.yaml --values b.yaml --set=x=y --set z=1 -n bank"),
            ),
            (
                "helm install web ./c --set-json a={} --history-max 3",
                Some("template web ./c --set-json a={} --namespace=shop"),
            ),
            ("helm upgrade web ./c --reuse-values", None),
            ("helm upgrade web ./c --post-renderer=x", None),
            ("helm install ./c --generate-name", None),
            ("helm install ./c", None),
            ("helm rollback web 1", None),
            ("kubectl upgrade web ./c", None),
        ] {
            let line: Vec<String> = line.split(' ').map(str::to_owned).collect();
            let args = ChartRendering::of(&line, "shop").map(|rendering| rendering.args.join(" "));
            assert_eq!(args.as_deref(), expected, "{line:?}");
        }
    }
}
