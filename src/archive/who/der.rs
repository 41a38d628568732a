//! The name that a certificate is for.
//!
//! Owns walking to it through DER. Whether the certificate is to be trusted is for TLS, which has verified it before.

/// An element of DER: its tag, what is in it, and what comes behind.
type Element<'a> = (u8, &'a [u8], &'a [u8]);

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_ID: u8 = 0x06;
/// `[0]`, with which a certificate states its version.
const VERSION: u8 = 0xa0;
/// id-at-commonName, 2.5.4.3.
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];

/// The common name of the subject of a certificate: the last one, where there are more.
pub fn common_name(certificate: &[u8]) -> Option<String> {
    let (to_be_signed, _) = inside(certificate, SEQUENCE)?;
    let (mut fields, _) = inside(to_be_signed, SEQUENCE)?;
    if *fields.first()? == VERSION {
        fields = element(fields)?.2;
    }
    // Serial number, signature algorithm, issuer, validity.
    for _ in 0..4 {
        fields = element(fields)?.2;
    }
    let (mut names, _) = inside(fields, SEQUENCE)?;
    let mut found = None;
    while !names.is_empty() {
        let (mut set, rest) = inside(names, SET)?;
        names = rest;
        while !set.is_empty() {
            let (attribute, rest) = inside(set, SEQUENCE)?;
            set = rest;
            let (kind, value) = inside(attribute, OBJECT_ID)?;
            if kind == COMMON_NAME {
                found = Some(String::from_utf8(element(value)?.1.to_vec()).ok()?);
            }
        }
    }
    found
}

/// What is in the first element, which must have this tag, and what comes behind it.
fn inside(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, content, rest) = element(der)?;
    (found == tag).then_some((content, rest))
}

fn element(der: &[u8]) -> Option<Element<'_>> {
    let (tag, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (digits.iter().fold(0, |length, digit| (length << 8) | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair};

    fn certificate(name: Option<&str>) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "an organization");
        if let Some(name) = name {
            params.distinguished_name.push(DnType::CommonName, name);
        }
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn the_name_of_a_certificate_is_found_and_nothing_else_is_taken_for_it() {
        let long = "n".repeat(200);
        for name in ["front-proxy-client", "ü", &long] {
            assert_eq!(common_name(&certificate(Some(name))).as_deref(), Some(name));
        }
        assert_eq!(common_name(&certificate(None)), None);
    }

    #[test]
    fn a_broken_certificate_has_no_name_and_harms_nothing() {
        let whole = certificate(Some("front-proxy-client"));
        for length in 0..whole.len() {
            assert_eq!(common_name(&whole[..length]), None, "{length}");
        }
        for place in 0..whole.len() {
            let mut broken = whole.clone();
            broken[place] ^= 0xff;
            let _ = common_name(&broken);
        }
    }
}
