use ipnet::IpNet;
use std::net::IpAddr;
use thiserror::Error;

/// Addresses that clients may come from (policy.md section 2.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// All of these, with the bits of the host as they were written,
    pub cidr: IpNet,
    /// but for these.
    pub except: Box<[IpNet]>,
}

/// A text that is neither an address nor a network.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is neither an IP address nor a network such as 10.0.0.0/8")]
pub struct NetError(String);

/// Reads a network; an address is a network of one.
///
/// # Errors
/// If it is neither.
pub fn parse_net(text: &str) -> Result<IpNet, NetError> {
    let of_one = || text.parse::<IpAddr>().ok().map(IpNet::from);
    let net = text.parse().ok().or_else(of_one);
    net.ok_or_else(|| NetError(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_network_of_one_and_bits_of_the_host_are_kept() {
        for (text, net) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("10.0.0.1/24", "10.0.0.1/24"),
            ("10.0.0.1", "10.0.0.1/32"),
            ("fd00::1", "fd00::1/128"),
        ] {
            assert_eq!(parse_net(text).expect(text).to_string(), net);
        }
        for text in [
            "",
            "10.0.0.0/64",
            "10.0.0/8",
            " 10.0.0.1",
            "fd00::/129",
            "x",
        ] {
            assert_eq!(parse_net(text), Err(NetError(text.to_owned())));
        }
    }
}
