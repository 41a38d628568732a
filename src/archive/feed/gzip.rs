//! Unpacking gzip (RFC 1952), up to a bound.
//!
//! It must not hold more than the bound, whatever the packed bytes claim.

use std::io::Read;

use flate2::read::MultiGzDecoder;

use super::BadEnvelope;

/// How packed bytes begin.
const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Whether these bytes are packed.
pub fn is_packed(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}

/// What is packed, at most so many bytes.
///
/// # Errors
/// When it is more, or it is broken.
pub fn unpacked(bytes: &[u8], most: usize) -> Result<Vec<u8>, BadEnvelope> {
    let mut found = Vec::new();
    // One more than may be, so that too much shows.
    let bound = (most as u64).saturating_add(1);
    MultiGzDecoder::new(bytes).take(bound).read_to_end(&mut found).map_err(|_| BadEnvelope::Broken)?;
    if found.len() > most { Err(BadEnvelope::TooLarge) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn what_was_packed_comes_out_whole() {
        let two = [packed(b"one "), packed(b"two")].concat();
        assert!(is_packed(&two) && !is_packed(b"{}"));
        assert_eq!(unpacked(&two, 7).unwrap(), b"one two");
    }

    #[test]
    fn a_bomb_ends_at_the_bound_and_broken_bytes_are_told() {
        let bomb = packed(&vec![0; 10 << 20]);
        assert!(bomb.len() < 20_000, "{}", bomb.len());
        assert_eq!(unpacked(&bomb, 1 << 20), Err(BadEnvelope::TooLarge));
        assert_eq!(unpacked(&bomb[..bomb.len() - 9], 16 << 20), Err(BadEnvelope::Broken));
        assert_eq!(unpacked(b"\x1f\x8bno", 9), Err(BadEnvelope::Broken));
    }
}
