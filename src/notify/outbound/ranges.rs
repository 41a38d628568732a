//! Which addresses are public, and which others a route names.
//!
//! It must not look up a name.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What no public receiver has (RFC 6890 and the registries of special addresses), in IPv4.
const SPECIAL_V4: [([u8; 4], u8); 16] = [
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    // The metadata of clouds among them.
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    ([192, 88, 99, 0], 24),
    ([192, 168, 0, 0], 16),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    // Metadata and platform services of a cloud, at an address that is public by its number.
    ([168, 63, 129, 16], 32),
    ([224, 0, 0, 0], 4),
    ([240, 0, 0, 0], 4),
];
/// What of the global unicast of IPv6, 2000::/3, no public receiver has. All else of IPv6 is special.
const SPECIAL_V6: [([u16; 2], u8); 4] = [
    // Teredo, ORCHID, benchmarks and other protocols.
    ([0x2001, 0], 23),
    ([0x2001, 0x0db8], 32),
    // 6to4
    ([0x2002, 0], 16),
    ([0x3fff, 0], 20),
];

/// Whether anybody on the Internet may have this address: no private, local, shared, reserved or translated one.
pub fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => !SPECIAL_V4.iter().any(|(net, prefix)| within_v4(v4, Ipv4Addr::from(*net), *prefix)),
        IpAddr::V6(v6) => {
            let global = within_v6(v6, Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
            let net = |[a, b]: [u16; 2]| Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0);
            global && !SPECIAL_V6.iter().any(|(start, prefix)| within_v6(v6, net(*start), *prefix))
        }
    }
}

/// A range of addresses as it is named in `allowPrivate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamedRange {
    start: IpAddr,
    prefix: u8,
}

/// Why a text is no range.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRange {
    /// It is not an address, a slash and a length.
    #[error("allowPrivate: {0:?} is no range of addresses; write ADDRESS/LENGTH, as 10.20.0.0/16 or fd00:1::/32")]
    Form(String),
    /// The length is more than an address has bits.
    #[error("allowPrivate: {text:?}: an address of this kind has {bits} bits; give a length of 0 to {bits}")]
    Length { text: String, bits: u8 },
    /// There are bits beyond the length, so that something else may be meant.
    #[error("allowPrivate: {text:?} has bits beyond its length; write {meant}")]
    Beyond { text: String, meant: String },
}

impl NamedRange {
    /// Reads `ADDRESS/LENGTH`.
    ///
    /// # Errors
    /// When it is none; the error names the field.
    pub fn read(text: &str) -> Result<Self, BadRange> {
        let form = || BadRange::Form(text.to_owned());
        let (start, prefix) = text.split_once('/').ok_or_else(form)?;
        let start: IpAddr = start.parse().map_err(|_| form())?;
        if prefix.is_empty() || !prefix.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(form());
        }
        let bits = if start.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.parse().ok().filter(|prefix| *prefix <= bits);
        let prefix: u8 = prefix.ok_or_else(|| BadRange::Length { text: text.to_owned(), bits })?;
        let first = match start {
            IpAddr::V4(v4) => IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask_v4(prefix))),
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask_v6(prefix))),
        };
        if first != start {
            return Err(BadRange::Beyond { text: text.to_owned(), meant: format!("{first}/{prefix}") });
        }
        Ok(Self { start, prefix })
    }

    /// Whether an address is in it, as it is written: an IPv4 address in a form of IPv6 is none of IPv4.
    pub fn contains(self, ip: IpAddr) -> bool {
        match (self.start, ip) {
            (IpAddr::V4(start), IpAddr::V4(ip)) => within_v4(ip, start, self.prefix),
            (IpAddr::V6(start), IpAddr::V6(ip)) => within_v6(ip, start, self.prefix),
            _ => false,
        }
    }
}

/// Which addresses a route may connect to.
#[derive(Clone, Debug, Default)]
pub struct AddressRule {
    named: Vec<NamedRange>,
}

impl AddressRule {
    /// All public ones, and those in these ranges.
    ///
    /// # Errors
    /// On the first text that is no range.
    pub fn new(allow_private: &[String]) -> Result<Self, BadRange> {
        Ok(Self { named: allow_private.iter().map(|text| NamedRange::read(text)).collect::<Result<_, _>>()? })
    }

    /// Whether this one is among them. What IPv6 carries of IPv4 must be too.
    pub fn allows(&self, ip: IpAddr) -> bool {
        let named = |ip| self.named.iter().any(|range| range.contains(ip));
        match ip {
            IpAddr::V4(_) => is_public(ip) || named(ip),
            IpAddr::V6(v6) => {
                is_public(ip)
                    || named(ip) && carried(v6).map(IpAddr::V4).is_none_or(|inner| is_public(inner) || named(inner))
            }
        }
    }
}

/// The IPv4 address that an address of IPv6 stands for: mapped, compatible, by NAT64 or by 6to4.
fn carried(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = v6.segments();
    let of = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match [a, b, c, d, e, f] {
        [0, 0, 0, 0, 0, 0] if g != 0 => Some(of(g, h)),
        [0, 0, 0, 0, 0, 0xffff] | [0x64, 0xff9b, 0, 0, 0, 0] | [0x64, 0xff9b, 1, _, _, _] => Some(of(g, h)),
        [0x2002, ..] => Some(of(b, c)),
        _ => None,
    }
}

fn within_v4(ip: Ipv4Addr, start: Ipv4Addr, prefix: u8) -> bool {
    ip.to_bits() & mask_v4(prefix) == start.to_bits()
}

fn within_v6(ip: Ipv6Addr, start: Ipv6Addr, prefix: u8) -> bool {
    ip.to_bits() & mask_v6(prefix) == start.to_bits()
}

fn mask_v4(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

fn mask_v6(prefix: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn no_special_address_is_public_and_its_neighbours_are() {
        for special in "0.0.0.0 0.255.255.255 10.0.0.0 10.255.255.255 100.64.0.0 100.127.255.255 127.0.0.1 127.255.255.255 \
            169.254.0.0 169.254.169.254 172.16.0.0 172.31.255.255 192.0.0.0 192.0.0.255 192.0.2.1 192.88.99.1 192.168.0.1 \
            192.168.255.255 198.18.0.0 198.19.255.255 198.51.100.9 203.0.113.9 224.0.0.1 239.255.255.255 240.0.0.1 \
            255.255.255.255 168.63.129.16 :: ::1 ::2 ::7f00:1 ::ffff:127.0.0.1 ::ffff:8.8.8.8 64:ff9b::8.8.8.8 64:ff9b:1::1 100::1 \
            1fff:: 2001::1 2001:2::1 2001:10::1 2001:20::1 2001:1ff:: 2001:db8::1 2001:db8:ffff:: 2002::1 2002:7f00:1::1 \
            3fff::1 3fff:fff:: 4000::1 5f00::1 fc00::1 fdff::1 fe80::1 febf::1 fec0::1 feff::1 ff02::1 ffff::1"
            .split_whitespace()
        {
            assert!(!is_public(ip(special)), "{special}");
        }
        for public in "1.0.0.0 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 169.253.255.255 \
            169.255.0.0 172.15.255.255 172.32.0.0 192.0.1.0 192.0.3.0 192.88.98.255 192.88.100.0 192.167.255.255 192.169.0.0 \
            198.17.255.255 198.20.0.0 198.51.99.255 198.51.101.0 203.0.112.255 203.0.114.0 223.255.255.255 168.63.129.17 2000::1 \
            2001:200::1 2001:db7::1 2001:db9::1 2003::1 2606:4700::1111 3ffe::1 3fff:1000::1"
            .split_whitespace()
        {
            assert!(is_public(ip(public)), "{public}");
        }
    }

    #[test]
    fn a_route_reaches_what_it_names_and_no_more() {
        let rule =
            |named: &[&str]| AddressRule::new(&named.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>()).unwrap();
        let some = rule(&["10.20.0.0/16", "fd00:1::/32"]);
        for allowed in ["10.20.0.0", "10.20.255.255", "fd00:1::1", "8.8.8.8", "2606:4700::1111"] {
            assert!(some.allows(ip(allowed)), "{allowed}");
        }
        for refused in
            ["10.19.255.255", "10.21.0.0", "fd00:2::1", "::ffff:10.20.0.1", "64:ff9b::10.20.0.1", "127.0.0.1"]
        {
            assert!(!some.allows(ip(refused)), "{refused}");
        }
        let translated = rule(&["::/0", "10.20.0.0/16"]);
        for allowed in ["64:ff9b::8.8.8.8", "64:ff9b::10.20.0.1", "::ffff:10.20.0.1", "::1", "2002:0a14:1::1"] {
            assert!(translated.allows(ip(allowed)), "{allowed}");
        }
        for refused in
            ["64:ff9b::169.254.169.254", "::ffff:127.0.0.1", "::127.0.0.1", "2002:7f00:1::1", "64:ff9b:1::10.21.0.1"]
        {
            assert!(!translated.allows(ip(refused)), "{refused}");
        }
        assert!(rule(&["0.0.0.0/0"]).allows(ip("127.0.0.1")) && !rule(&["0.0.0.0/0"]).allows(ip("::1")));
        assert!(rule(&["127.0.0.1/32"]).allows(ip("127.0.0.1")) && !rule(&["127.0.0.1/32"]).allows(ip("127.0.0.2")));
    }

    #[test]
    fn what_is_no_range_is_told_with_the_way_out() {
        for form in [
            "",
            "10.0.0.0",
            "10.0.0/8",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0.0/8/8",
            "::1",
            "a/8",
            " 10.0.0.0/8",
            "010.0.0.0/8",
        ] {
            assert_eq!(NamedRange::read(form), Err(BadRange::Form(form.to_owned())), "{form}");
        }
        for (text, bits) in [("10.0.0.0/33", 32), ("10.0.0.0/999", 32), ("fd00::/129", 128)] {
            assert_eq!(NamedRange::read(text), Err(BadRange::Length { text: text.to_owned(), bits }));
        }
        for (text, meant) in
            [("10.20.0.5/16", "10.20.0.0/16"), ("fd00:1::1/32", "fd00:1::/32"), ("1.0.0.0/0", "0.0.0.0/0")]
        {
            let (text, meant) = (text.to_owned(), meant.to_owned());
            assert_eq!(NamedRange::read(&text), Err(BadRange::Beyond { text: text.clone(), meant }));
        }
    }
}
