//! Networks with exceptions, as three kinds have them.

use super::Refusal;
use ferrule_cluster::object::parse_net;
use ferrule_crds::Network;
use ipnet::IpNet;

/// A network and the parts that are left out of it, each with its field.
type Parsed = (IpNet, Vec<(String, IpNet)>);

/// Looks at a list of networks.
pub(super) fn check(networks: &[Network], path: &str) -> Result<(), Refusal> {
    let parsed: Vec<_> = networks
        .iter()
        .enumerate()
        .map(|(at, network)| parse(network, &format!("{path}[{at}]")))
        .collect::<Result<_, _>>()?;
    for ((cidr, except), written) in parsed.into_iter().zip(networks) {
        for (path, part) in except {
            let of = &written.cidr;
            if part.contains(&cidr) {
                return Err(Refusal(format!(
                    "{path}: \"{part}\" leaves nothing of {of:?}: remove this network, or except \
                     less of it"
                )));
            }
            if !cidr.contains(&part) {
                return Err(Refusal(format!(
                    "{path}: \"{part}\" is not inside of {of:?}: remove it"
                )));
            }
        }
    }
    Ok(())
}

fn parse(network: &Network, path: &str) -> Result<Parsed, Refusal> {
    let net = |text: &str, path: &str| {
        parse_net(text).map_err(|error| Refusal(format!("{path}: {error}")))
    };
    let cidr = net(&network.cidr, &format!("{path}.cidr"))?;
    let except = network.except.iter().flatten().enumerate();
    let except = except.map(|(at, text)| {
        let path = format!("{path}.except[{at}]");
        net(text, &path).map(|part| (path, part))
    });
    Ok((cidr, except.collect::<Result<_, _>>()?))
}
