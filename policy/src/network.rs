use ferrule_proto::net::IpNetwork;
use ipnet::IpNet;
use std::net::IpAddr;
use thiserror::Error;

/// A text that is no list of networks.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is no network, expected one such as 10.0.0.0/8 or fd00::/8")]
pub struct NetworkError(String);

/// Reads a comma-separated list of networks; an empty text is an empty list. An
/// address without a prefix length is none: it is more often a slip than a
/// network of one.
///
/// # Errors
/// The first item that is no network.
pub fn parse_networks(text: &str) -> Result<Vec<IpNet>, NetworkError> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    text.split(',')
        .map(str::trim)
        .map(|item| item.parse().map_err(|_| NetworkError(item.to_owned())))
        .collect()
}

/// Every address there is.
pub(crate) fn any() -> [IpNet; 2] {
    [IpAddr::from([0; 4]), IpAddr::from([0_u16; 8])]
        .map(|ip| IpNet::new(ip, 0).expect("0 is a prefix length"))
}

/// Whether one of the networks holds the address. An IPv4 address is in no IPv6
/// network.
pub(crate) fn contain(networks: &[IpNet], ip: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&ip))
}

/// The wire's form, with the bits of the host as they were written (policy.md
/// section 2.4).
pub(crate) fn message(network: IpNet) -> IpNetwork {
    IpNetwork {
        ip: Some(network.addr().into()),
        prefix_len: network.prefix_len().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_networks() {
        let texts = |text| {
            parse_networks(text).map(|networks| {
                let texts = networks.iter().map(ToString::to_string);
                texts.collect::<Vec<_>>()
            })
        };
        assert_eq!(texts(""), Ok(vec![]));
        assert_eq!(
            texts("10.0.0.1/24, fd00::/8,0.0.0.0/0"),
            Ok(vec![
                "10.0.0.1/24".into(),
                "fd00::/8".into(),
                "0.0.0.0/0".into()
            ])
        );
        for (text, bad) in [
            ("10.0.0.1", "10.0.0.1"),
            ("10.0.0.0/8,", ""),
            ("10.0.0.0/33", "10.0.0.0/33"),
            ("10.0.0.0/8;x", "10.0.0.0/8;x"),
        ] {
            assert_eq!(parse_networks(text), Err(NetworkError(bad.into())));
        }
    }

    #[test]
    fn the_bits_of_the_host_are_told() {
        let network = message("10.0.0.1/24".parse().unwrap());
        assert_eq!(
            network.ip.map(IpAddr::try_from),
            Some(Ok([10, 0, 0, 1].into()))
        );
        assert_eq!(network.prefix_len, 24);
    }

    #[test]
    fn addresses_are_in_networks_of_their_family() {
        let ip = |text: &str| text.parse().unwrap();
        let networks = parse_networks("10.0.0.1/24,::/0").unwrap();
        assert!(contain(&networks, ip("10.0.0.255")));
        assert!(contain(&networks, ip("fd00::1")));
        assert!(!contain(&networks, ip("10.0.1.0")));
        for ip in [ip("1.2.3.4"), ip("fd00::1")] {
            assert!(contain(&any(), ip));
        }
    }
}
