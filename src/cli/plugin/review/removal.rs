//! How something that was decided to go is taken away: the command that does, or the deed itself with the caller's rights.
//!
//! Owns that nothing else goes: the object must be the one that was reviewed, by its UID, and of a binding of several subjects
//! the one alone is taken out.

use kube::ResourceExt;
use kube::core::DynamicObject;
use serde_json::{Value, json};

use super::printed;
use crate::api::campaign::{ItemHolder, ItemKind, ReviewItem};
use crate::api::subject::SubjectKind;
use crate::cli::plugin::cluster::{Cluster, quoted};
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::exit::Exit;
use crate::cli::plugin::output::console::Console;
use crate::cli::plugin::output::text::{Text, TextSpan, Tone};
use crate::cli::plugin::write;

/// A way to take something away.
#[derive(Clone, Debug, PartialEq)]
enum Removal {
    /// The whole object goes.
    Delete,
    /// One of its subjects goes, by its place.
    TakeOut(usize),
    /// Its access is ended by Daypass, as it is of a request.
    Revoke,
    /// It is not there any more.
    Gone,
    /// Another object has its name.
    Another,
}

/// Takes it away, or says how. What fails is said, and keeps nothing else back.
pub async fn go(cluster: &Cluster, item: &ReviewItem, now: bool, console: &mut Console) -> Exit {
    let (removal, there) = match of(cluster, item).await {
        Ok(found) => found,
        // Who may not read it may still pass on what is to be done.
        Err(error) if !now => {
            console.note(&format!("{error}; this is how, where it gives access to nobody else"));
            (Removal::Delete, None)
        }
        Err(error) => return failed(item, &error, console),
    };
    match (&removal, now) {
        (Removal::Gone, _) => console.note(&format!("{} is gone already", printed::object(item))),
        (Removal::Another, _) => {
            let object = printed::object(item);
            console.say(TextSpan::new(
                format!("{object} is another object now than was reviewed: have the campaign look once more, and decide anew"),
                Tone::Bad,
            ));
            return Exit::Error;
        }
        (Removal::Revoke, _) | (_, false) => console.show(&Text::of(command(item, &removal, there.as_ref()))),
        (_, true) => {
            let Some(there) = there else { return Exit::Error };
            if let Err(error) = write::taken_away(cluster, &there, patch(&there, &removal)).await {
                return failed(item, &error, console);
            }
            console.show(&Text::of(TextSpan::new(format!("took away {}", printed::object(item)), Tone::Good)));
        }
    }
    Exit::Done
}

fn failed(item: &ReviewItem, error: &PluginError, console: &mut Console) -> Exit {
    console.say(TextSpan::new(format!("{}: {error}", printed::object(item)), Tone::Bad));
    error.exit()
}

/// The way, and the object as it is now.
async fn of(cluster: &Cluster, item: &ReviewItem) -> Result<(Removal, Option<DynamicObject>), PluginError> {
    if matches!(item.kind, ItemKind::RecurringAccess | ItemKind::LongAccess) {
        return Ok((Removal::Revoke, None));
    }
    let there = write::reviewed(cluster, &item.object).await?;
    Ok((there.as_ref().map_or(Removal::Gone, |there| way(item, there)), there))
}

/// The way to take an item out of the object as it is now.
fn way(item: &ReviewItem, there: &DynamicObject) -> Removal {
    if there.uid() != item.object.uid {
        return Removal::Another;
    }
    let Some(holder) = &item.holder else { return Removal::Delete };
    let subjects = there.data["subjects"].as_array().cloned().unwrap_or_default();
    match subjects.iter().position(|subject| is(subject, holder, there.namespace().as_deref())) {
        None => Removal::Gone,
        Some(_) if subjects.len() == 1 => Removal::Delete,
        Some(place) => Removal::TakeOut(place),
    }
}

fn is(subject: &Value, holder: &ItemHolder, bound_in: Option<&str>) -> bool {
    let text = |field: &str| subject[field].as_str().unwrap_or_default();
    let (kind, namespace) = match holder.subject.kind {
        SubjectKind::User => ("User", ""),
        SubjectKind::Group => ("Group", ""),
        SubjectKind::ServiceAccount => ("ServiceAccount", holder.subject.namespace.as_deref().unwrap_or_default()),
    };
    let stands_in = if text("namespace").is_empty() && kind == "ServiceAccount" {
        bound_in.unwrap_or_default()
    } else {
        text("namespace")
    };
    text("kind") == kind && text("name") == holder.subject.name && (kind != "ServiceAccount" || stands_in == namespace)
}

/// What leaves the other subjects, if nobody has written to the object since; none when the whole object goes.
fn patch(there: &DynamicObject, removal: &Removal) -> Option<Value> {
    let Removal::TakeOut(place) = removal else { return None };
    let mut subjects = there.data["subjects"].as_array().cloned().unwrap_or_default();
    subjects.remove(*place);
    Some(json!({ "metadata": { "resourceVersion": there.resource_version() }, "subjects": subjects }))
}

/// What one types to do it.
fn command(item: &ReviewItem, removal: &Removal, there: Option<&DynamicObject>) -> String {
    let object = &item.object;
    let namespace = object.namespace.as_ref().map(|name| format!(" -n {name}")).unwrap_or_default();
    let (kind, name) = (object.kind.to_lowercase(), quoted(&object.name));
    match removal {
        Removal::Revoke => format!("kubectl daypass revoke {name}{namespace}"),
        Removal::TakeOut(place) => {
            let path = format!("/subjects/{place}");
            // It fails where somebody else stands at that place by then.
            let subject = there.map(|there| &there.data["subjects"][*place]);
            let patch = json!([
                { "op": "test", "path": path, "value": subject },
                { "op": "remove", "path": path },
            ]);
            format!("kubectl patch {kind} {name}{namespace} --type=json -p '{patch}'")
        }
        _ => format!("kubectl delete {kind} {name}{namespace}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::campaign::tests::access;
    use crate::core::laws::fixtures::{group, user};

    fn there(uid: &str, subjects: Value) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": { "name": "devs", "namespace": "shop", "uid": uid }, "subjects": subjects,
        }))
        .unwrap()
    }

    #[test]
    fn what_was_reviewed_goes_and_nothing_beside_it() {
        let subject = |kind: &str, name: &str| json!({ "kind": kind, "name": name });
        let (alice, dev) = (subject("User", "alice"), subject("Group", "dev"));
        let item = access("devs", &user("alice"));
        let found = |uid: &str, subjects: Value| way(&item, &there(uid, subjects));
        assert_eq!(found("uid-devs", json!([alice])), Removal::Delete);
        assert_eq!(found("uid-devs", json!([dev, alice])), Removal::TakeOut(1));
        assert_eq!(found("uid-devs", json!([dev])), Removal::Gone);
        assert_eq!(found("uid-devs", json!([subject("Group", "alice")])), Removal::Gone, "a group of that name");
        assert_eq!(found("another", json!([alice])), Removal::Another);
        let both = there("uid-devs", json!([dev, alice]));
        assert_eq!(patch(&both, &Removal::TakeOut(1)).unwrap()["subjects"], json!([dev]));
        assert_eq!(patch(&both, &Removal::Delete), None);
        assert_eq!(command(&item, &Removal::Delete, None), "kubectl delete rolebinding devs -n shop");
        let typed = command(&item, &Removal::TakeOut(1), Some(&both));
        assert!(
            typed.contains(r#"{"op":"test","path":"/subjects/1","value":{"kind":"User","name":"alice"}}"#),
            "{typed}"
        );
        let robot = crate::api::subject::Subject {
            kind: SubjectKind::ServiceAccount,
            namespace: Some("shop".to_owned()),
            ..group("bot")
        };
        let accounts = json!([{ "kind": "ServiceAccount", "name": "bot", "namespace": "ci" }, { "kind": "ServiceAccount", "name": "bot" }]);
        assert_eq!(way(&access("devs", &robot), &there("uid-devs", accounts)), Removal::TakeOut(1));
    }
}
