//! Which names and addresses of hosts are those of a private network.

use std::net::{IpAddr, Ipv4Addr};

/// Suffixes that the public DNS does not have, so that nobody on the internet can have such a name.
const LOCAL_SUFFIXES: [&str; 6] = [".localhost", ".local", ".lan", ".home", ".internal", ".home.arpa"];

/// Whether nobody on the internet can have this name: it has a single label, or a suffix that is
/// kept for local networks.
pub fn is_local_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let is_single_label =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    is_single_label || LOCAL_SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
}

/// Whether `host`, a name or an address without brackets, is on this machine or a private network:
/// loopback, RFC 1918, link-local, the addresses shared behind a carrier's NAT (RFC 6598), which
/// Tailscale uses, IPv6's unique local addresses, and local names.
pub fn is_private(host: &str) -> bool {
    match host.parse() {
        Ok(IpAddr::V4(address)) => is_private_v4(address),
        Ok(IpAddr::V6(address)) => match address.to_ipv4_mapped() {
            Some(mapped) => is_private_v4(mapped),
            None => address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local(),
        },
        Err(_) => is_local_name(host),
    }
}

/// Whether the host that a request names, perhaps with a port, is an IP address or a local name, so
/// that no web page can have pointed it here (DNS rebinding).
pub fn is_local_authority(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.parse::<IpAddr>().is_ok() || is_local_name(name)
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    let is_shared = first == 100 && (64..128).contains(&second);
    address.is_loopback() || address.is_private() || address.is_link_local() || is_shared
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_hosts_are_told_from_public_ones() {
        for host in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.7",
            "169.254.1.1",
            "100.64.0.1",
            "100.127.255.255",
            "::1",
            "fd00::7",
            "fe80::1",
            "::ffff:192.168.1.7",
            "localhost",
            "gpu",
            "GPU-box",
            "pc.local",
            "pc.lan",
            "nas.home.arpa",
        ] {
            assert!(is_private(host), "{host}");
        }
        for host in [
            "8.8.8.8",
            "172.32.0.1",
            "192.169.1.1",
            "100.63.0.1",
            "100.128.0.1",
            "0.0.0.0",
            "2001:db8::1",
            "::ffff:8.8.8.8",
            "api.openai.com",
            "local.example",
            "pc.local.example",
            "",
        ] {
            assert!(!is_private(host), "{host}");
        }
    }

    #[test]
    fn only_names_that_the_internet_cannot_have_are_local() {
        for host in [
            "127.0.0.1:9464",
            "192.168.1.7",
            "[::1]:9464",
            "[fd00::7]",
            "localhost:9464",
            "userbot:9464",
            "Proxmox",
            "nas.local:9464",
            "nas.home.arpa",
        ] {
            assert!(is_local_authority(host), "{host}");
        }
        for host in [
            "",
            ":9464",
            "evil.example",
            "evil.example:9464",
            "127.0.0.1.evil.example",
            "local.evil.com",
            "a.b]",
        ] {
            assert!(!is_local_authority(host), "{host:?}");
        }
    }
}
