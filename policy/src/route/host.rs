//! Names of hosts, in requests and in the TLS of connections.

use ferrule_cluster::object::Name;
use ferrule_proto::{
    http_route::{HostMatch, host_match},
    tls_route::{SniMatch, sni_match},
};

/// The hosts of requests.
pub(crate) fn hosts(names: &[Name]) -> Vec<HostMatch> {
    let hosts = names.iter().map(|name| HostMatch {
        r#match: Some(match below(name) {
            Some(reverse_labels) => {
                host_match::Match::Suffix(host_match::Suffix { reverse_labels })
            }
            None => host_match::Match::Exact(name.to_string()),
        }),
    });
    hosts.collect()
}

/// The names that TLS clients ask for.
pub(crate) fn snis(names: &[Name]) -> Vec<SniMatch> {
    let snis = names.iter().map(|name| SniMatch {
        r#match: Some(match below(name) {
            Some(reverse_labels) => sni_match::Match::Suffix(sni_match::Suffix { reverse_labels }),
            None => sni_match::Match::Exact(name.to_string()),
        }),
    });
    snis.collect()
}

/// Of `*.x.y` the labels from the last to the first: every name below is meant.
fn below(name: &str) -> Option<Vec<String>> {
    let labels = name.strip_prefix("*.")?.rsplit('.');
    Some(labels.map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_every_name_below() {
        let names = ["web.example.org", "*.example.org", "*"].map(Name::from);
        let exact = |text: &str| host_match::Match::Exact(text.into());
        let below = host_match::Suffix {
            reverse_labels: vec!["org".into(), "example".into()],
        };
        let told = hosts(&names).into_iter().map(|host| host.r#match);
        let told: Vec<_> = told.flatten().collect();
        assert_eq!(
            told,
            [
                exact("web.example.org"),
                host_match::Match::Suffix(below),
                exact("*")
            ]
        );
        let told = snis(&names[1..2]).remove(0).r#match;
        let Some(sni_match::Match::Suffix(below)) = told else {
            panic!("{told:?}");
        };
        assert_eq!(below.reverse_labels, ["org", "example"]);
    }
}
