//! Who is at the other end of a connection on this machine, as far as the system says so.
//!
//! A server's token decides; this only keeps other people of the machine from holding connections open. Root may read the
//! kubeconfig anyway, so it passes.

#[cfg(any(target_os = "linux", test))]
use std::net::IpAddr;
use std::net::SocketAddr;

/// Whether a connection comes from a process of the same user or of root. So it counts where the system does not say.
pub fn is_own(listener: SocketAddr, peer: SocketAddr) -> bool {
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::fs::MetadataExt;

        let Ok(own) = std::fs::metadata("/proc/self").map(|process| process.uid()) else { return true };
        // A program may reach the address by a socket of IPv6 too.
        let tables: Vec<String> = ["/proc/self/net/tcp", "/proc/self/net/tcp6"]
            .iter()
            .filter_map(|table| std::fs::read_to_string(table).ok())
            .collect();
        let owner = tables.iter().find_map(|table| owner_of(table, peer, listener));
        tables.is_empty() || owner.is_some_and(|owner| owner == own || owner == 0)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (listener, peer);
        true
    }
}

/// The user whose socket has these two ends, by a table of the Linux kernel (proc_pid_net(5)).
#[cfg(any(target_os = "linux", test))]
fn owner_of(table: &str, local: SocketAddr, remote: SocketAddr) -> Option<u32> {
    const ESTABLISHED: &str = "01";
    let rows = table.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    let mut ours = rows.filter(|row| row.len() > 7 && row[3] == ESTABLISHED);
    let row = ours.find(|row| end(row[1]) == Some(local) && end(row[2]) == Some(remote))?;
    row[7].parse().ok()
}

/// One end of a row: an address in words of the machine's own byte order, and a port.
#[cfg(any(target_os = "linux", test))]
fn end(written: &str) -> Option<SocketAddr> {
    let (address, port) = written.split_once(':')?;
    let words = address.as_bytes().chunks(8).map(|word| u32::from_str_radix(str::from_utf8(word).ok()?, 16).ok());
    let words: Option<Vec<[u8; 4]>> = words.map(|word| word.map(u32::to_ne_bytes)).collect();
    let address = match words?.concat() {
        four if four.len() == 4 => IpAddr::from(<[u8; 4]>::try_from(four).ok()?),
        sixteen => IpAddr::from(<[u8; 16]>::try_from(sixteen).ok()?).to_canonical(),
    };
    Some(SocketAddr::new(address, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_endian = "little")]
    #[test]
    fn the_owner_of_a_connection_is_read_from_its_row() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
            0: 0100007F:1267 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 1 1\n   \
            1: 0100007F:C001 0100007F:1267 01 00000000:00000000 00:00000000 00000000  1001        0 2 1\n   \
            2: 0100007F:C002 0100007F:1267 06 00000000:00000000 00:00000000 00000000     0        0 0 1\n   \
            3: 0000000000000000FFFF00000100007F:C003 0000000000000000FFFF00000100007F:1267 01 0:0 0:0 0  1002 0 3 1\n   \
            4: 0100007F:C004 0100007F:1268 01 00000000:00000000 00:00000000 00000000  1003        0 4 1\n";
        let owner = |port: u16| owner_of(table, ([127, 0, 0, 1], port).into(), ([127, 0, 0, 1], 0x1267).into());
        assert_eq!(owner(0xC001), Some(1001));
        assert_eq!(owner(0xC002), None, "a connection that is over has no owner any more");
        assert_eq!(owner(0xC003), Some(1002));
        assert_eq!(owner(0xC004), None, "it is connected to somebody else");
        assert_eq!(owner(0xC005), None);
    }
}
