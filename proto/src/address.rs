//! Addresses of the wire from and to those of the standard library.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::net;

/// Why an address of the wire is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Neither an IPv4 nor an IPv6 address is set.
    #[error("address has neither ipv4 nor ipv6 set")]
    NoIp,

    /// TCP has no such port.
    #[error("port {0} is not in 0-65535")]
    Port(u32),
}

impl From<Ipv4Addr> for net::IpAddress {
    fn from(ip: Ipv4Addr) -> Self {
        Self {
            ip: Some(net::ip_address::Ip::Ipv4(ip.to_bits())),
        }
    }
}

impl From<Ipv6Addr> for net::IpAddress {
    fn from(ip: Ipv6Addr) -> Self {
        Self {
            ip: Some(net::ip_address::Ip::Ipv6(ip.into())),
        }
    }
}

impl From<IpAddr> for net::IpAddress {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => ip.into(),
            IpAddr::V6(ip) => ip.into(),
        }
    }
}

impl From<Ipv6Addr> for net::IPv6 {
    fn from(ip: Ipv6Addr) -> Self {
        let bits = ip.to_bits();
        Self {
            first: (bits >> 64) as u64,
            last: bits as u64,
        }
    }
}

impl From<net::IPv6> for Ipv6Addr {
    fn from(ip: net::IPv6) -> Self {
        Self::from_bits(u128::from(ip.first) << 64 | u128::from(ip.last))
    }
}

impl TryFrom<net::IpAddress> for IpAddr {
    type Error = AddressError;

    fn try_from(address: net::IpAddress) -> Result<Self, AddressError> {
        match address.ip.ok_or(AddressError::NoIp)? {
            net::ip_address::Ip::Ipv4(bits) => Ok(Ipv4Addr::from_bits(bits).into()),
            net::ip_address::Ip::Ipv6(ip) => Ok(Ipv6Addr::from(ip).into()),
        }
    }
}

impl From<SocketAddr> for net::TcpAddress {
    fn from(addr: SocketAddr) -> Self {
        Self {
            ip: Some(addr.ip().into()),
            port: addr.port().into(),
        }
    }
}

impl TryFrom<net::TcpAddress> for SocketAddr {
    type Error = AddressError;

    fn try_from(address: net::TcpAddress) -> Result<Self, AddressError> {
        let ip: IpAddr = address.ip.ok_or(AddressError::NoIp)?.try_into()?;
        let port = u16::try_from(address.port).map_err(|_| AddressError::Port(address.port))?;
        Ok(Self::new(ip, port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_octet_of_ipv4_is_the_highest() {
        let address = net::IpAddress::from(IpAddr::from([10, 1, 2, 3]));

        assert_eq!(address.ip, Some(net::ip_address::Ip::Ipv4(0x0A01_0203)));
    }

    #[test]
    fn the_halves_of_ipv6_are_big_endian() {
        let ip: IpAddr = "2001:db8:1:2:3:4:5:6".parse().unwrap();

        assert_eq!(
            net::IpAddress::from(ip).ip,
            Some(net::ip_address::Ip::Ipv6(net::IPv6 {
                first: 0x2001_0db8_0001_0002,
                last: 0x0003_0004_0005_0006,
            }))
        );
    }

    #[test]
    fn addresses_come_back_as_they_went() {
        for text in [
            "0.0.0.0:0",
            "10.1.2.3:8080",
            "255.255.255.255:65535",
            "[::]:1",
            "[2001:db8::1]:443",
            // Still IPv6: unmapping is for whoever compares addresses.
            "[::ffff:10.1.2.3]:80",
        ] {
            let addr: SocketAddr = text.parse().unwrap();

            assert_eq!(SocketAddr::try_from(net::TcpAddress::from(addr)), Ok(addr));
        }
    }

    #[test]
    fn an_address_without_an_ip_is_refused() {
        let empty = net::IpAddress { ip: None };

        assert_eq!(IpAddr::try_from(empty), Err(AddressError::NoIp));
        for ip in [None, Some(empty)] {
            let address = net::TcpAddress { ip, port: 80 };
            assert_eq!(SocketAddr::try_from(address), Err(AddressError::NoIp));
        }
    }

    #[test]
    fn a_port_over_16_bits_is_refused_and_not_truncated() {
        let address = net::TcpAddress {
            ip: Some(Ipv4Addr::LOCALHOST.into()),
            port: 65_536,
        };

        let error = SocketAddr::try_from(address).unwrap_err();

        assert_eq!(error, AddressError::Port(65_536));
        assert_eq!(error.to_string(), "port 65536 is not in 0-65535");
    }
}
