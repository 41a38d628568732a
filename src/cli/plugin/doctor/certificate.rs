//! Until when certificates hold. Reads that of X.509 and nothing else, and believes no certificate anything.

use k8s_openapi::jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// Stands before the version, which a certificate of the first version leaves out.
const VERSION: u8 = 0xa0;

/// When each certificate of a PEM file ends; without those that cannot be read.
pub fn ends(pem: &[u8]) -> Vec<Timestamp> {
    CertificateDer::pem_slice_iter(pem).filter_map(|certificate| end(&certificate.ok()?)).collect()
}

fn end(certificate: &[u8]) -> Option<Timestamp> {
    let (certificate, _) = tagged(certificate, SEQUENCE)?;
    let (mut rest, _) = tagged(certificate, SEQUENCE)?;
    if rest.first() == Some(&VERSION) {
        rest = element(rest)?.2;
    }
    // Serial number, algorithm, issuer; then comes the validity.
    for _ in 0..3 {
        rest = element(rest)?.2;
    }
    let (validity, _) = tagged(rest, SEQUENCE)?;
    let (_, _, not_after) = element(validity)?;
    let (tag, text, _) = element(not_after)?;
    time(tag, std::str::from_utf8(text).ok()?)
}

/// `YYMMDDHHMMSSZ`, or the same with four digits of the year, as RFC 5280 has them.
fn time(tag: u8, text: &str) -> Option<Timestamp> {
    let digits = text.strip_suffix('Z').filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?;
    let whole = match tag {
        UTC_TIME if digits.len() == 12 => {
            let century = if digits.get(..2)?.parse::<u8>().ok()? < 50 { "20" } else { "19" };
            format!("{century}{digits}")
        }
        GENERALIZED_TIME if digits.len() == 14 => digits.to_owned(),
        _ => return None,
    };
    let part = |from: usize, to: usize| whole.get(from..to);
    let (date, hour) = (format!("{}-{}-{}", part(0, 4)?, part(4, 6)?, part(6, 8)?), part(8, 10)?);
    format!("{date}T{hour}:{}:{}Z", part(10, 12)?, part(12, 14)?).parse().ok()
}

/// Contents of an element with this tag, and what comes behind it.
fn tagged(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    element(bytes).filter(|(found, ..)| *found == tag).map(|(_, contents, rest)| (contents, rest))
}

/// Tag and contents of the first element of DER, and what comes behind it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (digits, rest) =
            rest.split_at_checked(usize::from(first & 0x7f)).filter(|(digits, _)| digits.len() <= 4)?;
        (digits.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
    };
    let (contents, rest) = rest.split_at_checked(length)?;
    Some((tag, contents, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pem(year: i32) -> String {
        let mut params = rcgen::CertificateParams::new(vec!["stamp".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 3, 2);
        params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem()
    }

    #[test]
    fn the_end_of_each_certificate_is_read_in_both_forms() {
        let both = [2031, 2061].map(pem).concat();
        let expected = ["2031-03-02T00:00:00Z", "2061-03-02T00:00:00Z"].map(|at| at.parse::<Timestamp>().unwrap());
        assert_eq!(ends(both.as_bytes()), expected);
    }

    #[test]
    fn what_is_no_certificate_has_no_end() {
        let whole = CertificateDer::from_pem_slice(pem(2031).as_bytes()).unwrap();
        assert!(end(&whole).is_some());
        for length in 0..whole.len() / 3 {
            assert_eq!(end(&whole[..length]), None, "{length}");
        }
        assert_eq!(ends(b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"), []);
        assert_eq!((time(UTC_TIME, "9912312359"), time(UTC_TIME, "991231235959+")), (None, None));
    }
}
