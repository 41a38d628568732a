//! A Lease, as an election reads and writes it ([`super::leader`]). Decides nothing, must write nothing else, and must not be
//! given a client that holds writes back: whoever does not lead writes the Lease in order to.

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::PostParams;
use kube::{Api, Client, Result};

use super::leader::LeaseStore;

/// The Lease of one election in the API server.
pub struct Leases {
    api: Api<Lease>,
    name: &'static str,
}

impl Leases {
    /// The Lease with this name in this namespace.
    pub fn new(client: Client, namespace: &str, name: &'static str) -> Self {
        Self { api: Api::namespaced(client, namespace), name }
    }
}

impl LeaseStore for Leases {
    async fn read(&self) -> Result<Option<Lease>> {
        self.api.get_opt(self.name).await
    }

    async fn make(&self, lease: &Lease) -> Result<Lease> {
        let mut named = lease.clone();
        named.metadata.name = Some(self.name.to_owned());
        self.api.create(&PostParams::default(), &named).await
    }

    async fn write_over(&self, lease: &Lease) -> Result<Lease> {
        self.api.replace(self.name, &PostParams::default(), lease).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::scripted::{Script, failure};
    use crate::runtime::leader::LEASE;
    use http::Method;
    use kube::core::ObjectMeta;
    use serde_json::{Value, json};

    const THERE: &str = "/namespaces/daypass-system/leases/daypass";
    const ANY: &str = "/namespaces/daypass-system/leases";

    fn lease(version: &str) -> Value {
        json!({ "metadata": { "name": "daypass", "resourceVersion": version }, "spec": { "holderIdentity": "a" } })
    }

    fn stored(script: &Script) -> Leases {
        Leases::new(script.client(), "daypass-system", LEASE)
    }

    fn code<T>(answer: Result<T>) -> u16 {
        match answer {
            Err(kube::Error::Api(status)) => status.code,
            Err(other) => panic!("{other}"),
            Ok(_) => 200,
        }
    }

    #[tokio::test]
    async fn a_lease_that_is_not_there_is_none_and_one_that_cannot_be_read_is_an_error() {
        let script = Script::default()
            .then(Method::GET, THERE, 200, lease("7"))
            .then(Method::GET, THERE, 404, failure(404, "NotFound"))
            .then(Method::GET, THERE, 403, failure(403, "Forbidden"))
            .then(Method::GET, THERE, 500, failure(500, "InternalError"));
        let leases = stored(&script);
        assert_eq!(leases.read().await.unwrap().unwrap().metadata.resource_version.as_deref(), Some("7"));
        assert!(leases.read().await.unwrap().is_none());
        assert_eq!((code(leases.read().await), code(leases.read().await)), (403, 500));
        script.is_over();
    }

    #[tokio::test]
    async fn a_lease_is_made_and_written_over_the_version_it_was_read_in() {
        let lease_of = |version| serde_json::from_value::<Lease>(lease(version)).unwrap();
        let script = Script::default()
            .then(Method::POST, ANY, 201, lease("1"))
            .sending(json!({ "metadata": { "name": "daypass" }, "spec": { "holderIdentity": "a" } }))
            .then(Method::PUT, THERE, 200, lease("2"))
            .sending(json!({ "metadata": { "resourceVersion": "1" }, "spec": { "holderIdentity": "a" } }));
        let leases = stored(&script);
        let made = leases.make(&Lease { metadata: ObjectMeta::default(), ..lease_of("0") }).await.unwrap();
        assert_eq!(leases.write_over(&made).await.unwrap(), lease_of("2"));
        script.is_over();
    }

    #[tokio::test]
    async fn each_election_has_a_lease_of_its_own() {
        let of_another = "/namespaces/daypass-system/leases/daypass-other";
        let script = Script::default()
            .then(Method::GET, of_another, 404, failure(404, "NotFound"))
            .then(Method::POST, ANY, 201, lease("1"))
            .sending(json!({ "metadata": { "name": "daypass-other" } }))
            .then(Method::PUT, of_another, 200, lease("2"));
        let leases = Leases::new(script.client(), "daypass-system", "daypass-other");
        assert!(leases.read().await.unwrap().is_none());
        let made = leases.make(&Lease::default()).await.unwrap();
        leases.write_over(&made).await.unwrap();
        script.is_over();
    }

    #[tokio::test]
    async fn a_conflict_is_told_as_one_and_nothing_is_tried_again() {
        let lease = serde_json::from_value::<Lease>(lease("1")).unwrap();
        let taken = Script::default()
            .then(Method::POST, ANY, 409, failure(409, "AlreadyExists"))
            .then(Method::PUT, THERE, 409, failure(409, "Conflict"))
            .then(Method::PUT, THERE, 404, failure(404, "NotFound"));
        let leases = stored(&taken);
        assert_eq!(code(leases.make(&lease).await), 409);
        assert_eq!((code(leases.write_over(&lease).await), code(leases.write_over(&lease).await)), (409, 404));
        taken.is_over();
    }
}
