//! What is a name in Kubernetes.
//!
//! Owns the two forms that names of objects have (RFC 1123). It must not say which object has which.

/// Whether it is a name as namespaces have it (RFC 1123, a label).
pub fn is_label(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends = |byte: Option<&u8>| byte.is_some_and(|byte| plain(*byte));
    let bytes = name.as_bytes();
    bytes.len() <= 63 && ends(bytes.first()) && ends(bytes.last()) && bytes.iter().all(|b| plain(*b) || *b == b'-')
}

/// Whether it is a name as other objects have it (RFC 1123, a subdomain).
pub fn is_name(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(is_label)
}
