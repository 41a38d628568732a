//! Finds refusals in text: what kubectl, helm, Argo CD, client libraries and controllers print of the API server's answer.
//!
//! Knows the sentence that the authorizer of Kubernetes answers with, however often it was quoted on its way, and nothing of
//! the tools around it. What admission refuses is another sentence, and is not found.

use super::{RefusedCall, RefusedTarget};

/// Every refusal in a text, in the order in which they come, each once.
pub fn refused_calls(text: &str) -> Vec<RefusedCall> {
    let text = plain(text);
    let mut calls = Vec::new();
    let mut rest = text.as_str();
    let mut before = String::new();
    while let Some((ahead, behind)) = rest.split_once("User \"") {
        before.push_str(ahead);
        if let Some(call) = refusal(&before, behind)
            && !calls.contains(&call)
        {
            calls.push(call);
        }
        // What stands before one refusal says nothing of the next.
        before.clear();
        rest = behind;
    }
    calls
}

/// The text without what quoting and wrapped lines have added to it.
fn plain(text: &str) -> String {
    let quotes = ["&quot;", "&#34;", "\u{201c}", "\u{201d}"];
    let text = quotes.iter().fold(text.to_owned(), |text, quote| text.split(quote).collect::<Vec<_>>().join("\""));
    let mut plain = String::with_capacity(text.len());
    let mut slashes = false;
    for c in text.chars() {
        if c == '\\' {
            slashes = true;
            continue;
        }
        // In front of a quote they quote it; elsewhere a name has one.
        if std::mem::take(&mut slashes) && c != '"' {
            plain.push('\\');
        }
        let c = if c.is_whitespace() { ' ' } else { c };
        if c != ' ' || !plain.ends_with(' ') {
            plain.push(c);
        }
    }
    plain
}

/// The refusal whose user begins here.
fn refusal(before: &str, behind: &str) -> Option<RefusedCall> {
    let (user, rest) = behind.split_once("\" cannot ")?;
    let (verb, rest) = rest.split_once(' ')?;
    // A user of another refusal, which is not whole.
    if user.contains("User \"") || user.contains(" cannot ") {
        return None;
    }
    let call = |target| RefusedCall { user: Some(user.to_owned()), verb: verb.to_owned(), target };
    if let Some(rest) = rest.strip_prefix("path \"") {
        return Some(call(RefusedTarget::Path(rest.split_once('"')?.0.to_owned())));
    }
    let (path, rest) = rest.strip_prefix("resource \"")?.split_once('"')?;
    let (group, rest) = rest.strip_prefix(" in API group \"")?.split_once('"')?;
    let namespace = match rest.strip_prefix(" in the namespace \"") {
        Some(rest) => Some(rest.split_once('"')?.0.to_owned()),
        None => {
            rest.strip_prefix(" at the cluster scope")?;
            None
        }
    };
    let (resource, subresource) = path.split_once('/').map_or((path, None), |(r, s)| (r, Some(s.to_owned())));
    let target = RefusedTarget::Resource {
        group: group.to_owned(),
        resource: resource.to_owned(),
        subresource,
        name: name(before, resource, group),
        namespace: namespace.filter(|namespace| !namespace.is_empty()),
    };
    Some(call(target))
}

/// The name of the object, which stands before the refusal: `pods "shop-0" is forbidden: `.
fn name(before: &str, resource: &str, group: &str) -> Option<String> {
    let object = before.trim_end().strip_suffix("is forbidden:")?.trim_end().strip_suffix('"')?;
    let (kind, name) = object.rsplit_once('"')?;
    let kind = kind.trim_end().rsplit([' ', '"', '\'', '(']).next()?;
    // A line break that was quoted with the rest.
    let kind = ["\\n", "\\t"]
        .iter()
        .filter_map(|quoted| kind.rsplit_once(quoted))
        .map(|(_, kind)| kind)
        .next()
        .unwrap_or(kind);
    let full = if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") };
    (kind == full && !name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// User, and the call as people read it.
    fn found(text: &str) -> Vec<(String, String)> {
        refused_calls(text).into_iter().map(|call| (call.user.clone().unwrap_or_default(), call.to_string())).collect()
    }

    #[test]
    fn each_tool_quotes_the_same_answer() {
        let robot = "system:serviceaccount:argo:controller";
        for (text, user, call) in [
            // kubectl
            (
                r#"Error from server (Forbidden): pods "shop-0" is forbidden: User "alice" cannot delete resource "pods" in API group "" in the namespace "shop""#,
                "alice",
                "delete pods shop-0 in namespace shop",
            ),
            (
                r#"Error from server (Forbidden): deployments.apps is forbidden: User "alice" cannot list resource "deployments" in API group "apps" in the namespace "shop""#,
                "alice",
                "list deployments.apps in namespace shop",
            ),
            (
                r#"Error from server (Forbidden): nodes is forbidden: User "alice" cannot list resource "nodes" in API group "" at the cluster scope"#,
                "alice",
                "list nodes in the whole cluster",
            ),
            (
                r#"Error from server (Forbidden): pods "web-5" is forbidden: User "267596194370097065" cannot create resource "pods/exec" in API group "" in the namespace "demo""#,
                "267596194370097065",
                "create pods/exec web-5 in namespace demo",
            ),
            // kubectl apply, over several lines and with another object before it
            (
                "Error from server (Forbidden): error when retrieving current configuration of:\nResource: \"apps/v1, Resource=deployments\", \
                 GroupVersionKind: \"apps/v1, Kind=Deployment\"\nName: \"web\", Namespace: \"shop\"\nfrom server for: \"web.yaml\": \
                 deployments.apps \"web\" is forbidden: User \"alice\" cannot get resource \"deployments\" in API group \"apps\" in the\n namespace \"shop\"",
                "alice",
                "get deployments.apps web in namespace shop",
            ),
            // client-go's reflector
            (
                r#"E0708 16:19:38.760635 7 reflector.go:147] pkg/mod/k8s.io/client-go@v0.29.6/tools/cache/reflector.go:229: Failed to watch *v1.Node: failed to list *v1.Node: nodes is forbidden: User "system:kube-scheduler" cannot list resource "nodes" in API group "" at the cluster scope"#,
                "system:kube-scheduler",
                "list nodes in the whole cluster",
            ),
            // controller-runtime, as JSON in a log
            (
                r#"ERROR controller-runtime.cache.UnhandledError Failed to watch {"type": "*v1.RuntimeClass", "error": "failed to list *v1.RuntimeClass: runtimeclasses.node.k8s.io is forbidden: User \"system:serviceaccount:argo:controller\" cannot list resource \"runtimeclasses\" in API group \"node.k8s.io\" at the cluster scope"}"#,
                robot,
                "list runtimeclasses.node.k8s.io in the whole cluster",
            ),
            // zerolog in a log that is quoted once more
            (
                r#"error="applications.argoproj.io \\\"promtail\\\" is forbidden: User \\\"system:serviceaccount:argo:controller\\\" cannot get resource \\\"applications\\\" in API group \\\"argoproj.io\\\" in the namespace \\\"argo-cd\\\"""#,
                robot,
                "get applications.argoproj.io promtail in namespace argo-cd",
            ),
            // Argo CD
            (
                r#"rpc error: code = PermissionDenied desc = error getting resource: deployments.apps "external-secrets" is forbidden: User "system:node:ip-10-0-0-81" cannot get resource "deployments" in API group "apps" in the namespace "kube-system""#,
                "system:node:ip-10-0-0-81",
                "get deployments.apps external-secrets in namespace kube-system",
            ),
            // Helm
            (
                r#"Error: INSTALLATION FAILED: query: failed to query with labels: secrets is forbidden: User "alice" cannot list resource "secrets" in API group "" in the namespace "shop""#,
                "alice",
                "list secrets in namespace shop",
            ),
            // The Status itself, as client libraries print it
            (
                r#"HTTP response body: {"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"pods \"a\" is forbidden: User \"alice\" cannot get resource \"pods/log\" in API group \"\" in the namespace \"shop\"","reason":"Forbidden","details":{"name":"a","kind":"pods"},"code":403}"#,
                "alice",
                "get pods/log a in namespace shop",
            ),
            // A line break that was quoted too
            (
                r#"msg="apply failed:\npods \"a\" is forbidden: User \"corp\\nina\" cannot get resource \"pods\" in API group \"\" in the namespace \"shop\"""#,
                "corp\\nina",
                "get pods a in namespace shop",
            ),
            // Terraform, with a frame, and a chat program that turned the quotes
            (
                "│ Error: configmaps “app” is forbidden: User “alice” cannot patch resource “configmaps” in API group “” in the namespace “shop”\n│ with x",
                "alice",
                "patch configmaps app in namespace shop",
            ),
            // A path, and what the authorizer adds
            (
                r#"forbidden: User "alice" cannot get path "/metrics": RBAC: clusterrole.rbac.authorization.k8s.io "x" not found"#,
                "alice",
                "get /metrics",
            ),
            // Names that are quoted themselves
            (
                r#"pods "a" is forbidden: User "o\"neil" cannot get resource "pods" in API group "" in the namespace "shop""#,
                "o\"neil",
                "get pods a in namespace shop",
            ),
            (
                r#"pods "a" is forbidden: User "corp\\anna" cannot get resource "pods" in API group "" in the namespace "shop""#,
                "corp\\anna",
                "get pods a in namespace shop",
            ),
        ] {
            assert_eq!(found(text), [(user.to_owned(), call.to_owned())], "{text}");
        }
    }

    #[test]
    fn several_refusals_are_all_found_and_each_once() {
        let one = r#"secrets is forbidden: User "alice" cannot list resource "secrets" in API group "" in the namespace "shop""#;
        let two =
            r#"pods "a" is forbidden: User "alice" cannot get resource "pods" in API group "" in the namespace "shop""#;
        let calls = found(&format!("{one}\n{two}\nW0101 {one}, retrying"));
        let calls: Vec<&str> = calls.iter().map(|(_, call)| call.as_str()).collect();
        assert_eq!(calls, ["list secrets in namespace shop", "get pods a in namespace shop"]);
    }

    #[test]
    fn what_is_no_refusal_by_the_authorizer_is_not_found() {
        for text in [
            "",
            r#"pods "web" is forbidden: exceeded quota: compute"#,
            r#"pods "web" is forbidden: violates PodSecurity "restricted:latest""#,
            r#"User "alice" cannot delete resource "pods" in API group """#,
            r#"User "alice" cannot delete pods in the namespace "shop""#,
            r#"User "alice" is forbidden. User "bob" cannot"#,
        ] {
            assert_eq!(found(text), [], "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_much(text in "(User \"|\" cannot |resource \"|\\\\|\"| in API group \"| in the namespace \"|is forbidden:|\u{17e}|.|\n){0,40}") {
            refused_calls(&text);
        }

        #[test]
        fn a_refusal_is_found_whatever_stands_around_it(before in "\\PC{0,60}", behind in "\\PC{0,60}", quoted in 0_usize..4) {
            let refusal = r#"pods "a" is forbidden: User "alice" cannot get resource "pods" in API group "" in the namespace "shop""#;
            let quote = format!("{}\"", "\\".repeat((1 << quoted) - 1));
            let calls = found(&format!("{before} {} {behind}", refusal.replace('"', &quote)));
            prop_assert!(calls.contains(&("alice".to_owned(), "get pods a in namespace shop".to_owned())), "{calls:?}");
        }
    }
}
