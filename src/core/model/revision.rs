//! Resource versions as numbers that can be compared.

/// A state of the cluster. The API server gives increasing ones, in one count for all kinds (KEP-5504).
pub type Revision = u64;

/// The revision that a resource version names; none of what the API server did not store, or of one that is no number.
pub fn revision(version: Option<&String>) -> Option<Revision> {
    version?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_is_no_number_is_no_revision() {
        let of = |version: &str| revision(Some(&version.to_owned()));
        assert_eq!((of("7"), of("seven"), of(""), of("-1"), revision(None)), (Some(7), None, None, None, None));
    }
}
