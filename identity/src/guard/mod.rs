//! Keeps an issuer that somebody has put there from signing before all pods trust it.
//!
//! A proxy keeps the trust anchors that it was started with, and refuses whoever shows a
//! certificate under another. So as long as the old issuer is good, it signs on: all trust
//! it, those with the new anchor, too. The new one is told of, and signs when nobody is
//! left who would be cut off, or when there is no more time ([`ruling`]).
//!
//! Each replica decides for itself, of the same facts. They may differ for a while, which
//! harms nobody: a new issuer only signs when all trust both.
//!
//! Where Ferrule keeps the issuer, a rotation of the trust anchor sees to that, and nothing
//! is held here.

mod ruling;
mod status;

pub use self::status::{GuardStatus, HeldIssuer};

use self::ruling::{Facts, Laggards, Ruling, Why};
use crate::{Census, Credentials, Issuer, Notice, Notices, Trusts, Validity, Wanted};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use kube::{Api, Client, ResourceExt as _};
use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::time::{Instant, timeout};
use tracing::{debug, info, warn};

/// On the Deployment of the identity pods: the SHA-256 of an issuer, or its beginning, that
/// is to sign whoever does not trust it.
pub const ISSUER_OVERRIDE: &str = "ferrule.io/issuer-override";
/// As few digits of it as tell one issuer from another.
const FEWEST_DIGITS: usize = 12;
/// As Linkerd calls the Deployment.
const DEPLOYMENT: &str = "linkerd-identity";

/// Pods are counted this often at the most while an issuer waits; and so that the API
/// server is not busy with that for more than a thirtieth of its time.
const COUNT_EVERY: Duration = Duration::from_secs(10);
const SHARE: u32 = 30;
/// Likewise while there are some who do not trust the issuer that signs.
const COUNT_SIGNING: Duration = Duration::from_secs(60);
/// After those could not be counted: it may be that nobody has given the right to.
const COUNT_AGAIN: Duration = Duration::from_secs(600);
/// An injector may read a bundle so much later than this process does.
const INJECTORS: Duration = Duration::from_secs(300);
/// Changes of the issuer are not looked at meanwhile.
const COUNT_TIMEOUT: Duration = Duration::from_secs(60);
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// Asks the cluster who would be cut off by an issuer.
pub struct IssuerGuard {
    client: Client,
    control_plane: String,
    /// How long a leaf is good for, clock skew included.
    leaf: Duration,
    count: Option<Count>,
    /// What was told last of an issuer that waits.
    told: Option<Told>,
    signing: Option<Signing>,
    status: Arc<GuardStatus>,
}

/// Who does not trust an issuer that waits.
struct Count {
    /// SHA-256 of its certificate.
    issuer: String,
    /// Or why they could not be counted.
    census: Result<Census, String>,
    again: Instant,
}

/// There is one for each change, and another once it is known who is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    issuers: [String; 2],
    is_counted: bool,
}

/// Who does not trust the issuer that signs is to be found out.
struct Signing {
    why: Why,
    due: Instant,
    /// Whether it was told that there are some.
    is_told: bool,
}

impl IssuerGuard {
    /// For a control plane in this namespace, whose leaves are valid for so long.
    pub fn new(client: &Client, control_plane: &str, validity: &Validity) -> Self {
        Self {
            client: client.clone(),
            control_plane: control_plane.to_owned(),
            leaf: validity.lifetime() + validity.clock_skew(),
            count: None,
            told: None,
            signing: None,
            status: Arc::default(),
        }
    }

    /// What waits and who is cut off, for metrics.
    pub fn status(&self) -> Arc<GuardStatus> {
        self.status.clone()
    }

    /// An issuer signs because there was none before in this process.
    pub(crate) fn began(&mut self) {
        self.took(Why::First);
    }

    /// No other issuer is there than the one that signs.
    pub(crate) fn nothing_waits(&mut self) {
        self.count = None;
        self.told = None;
        if let Some(held) = self.status.held() {
            let issuer = short(&held.sha256);
            info!("issuer {issuer} does not wait any more");
            self.status.set_held(None);
        }
    }

    /// Whether `new` may sign in place of `old`. Its anchors are those that are published,
    /// read here since `published`.
    pub(crate) async fn may_sign(
        &mut self,
        new: &Credentials,
        old: &Issuer,
        published: Option<Timestamp>,
        notices: &Notices,
    ) -> bool {
        let now = SystemTime::now();
        let good = old.verify(&new.anchors, now).ok();
        let mut facts = Facts {
            has_same_anchors: has_same_anchors(old, new, now),
            good_until: good.map(|good| *good.end()),
            margin: ruling::margin(self.leaf, old.certificate()),
            is_asked: false,
            laggards: Laggards::NotCounted,
        };
        let mut ruling = ruling::rule(&facts, now);
        if ruling == Ruling::Count {
            facts.is_asked = self.is_asked(&new.issuer).await;
            facts.laggards = match self.count(&new.issuer, published).await {
                Err(_) => Laggards::Unknown,
                Ok(census) if census.behind() == 0 => Laggards::Gone,
                Ok(_) => Laggards::Some,
            };
            ruling = ruling::rule(&facts, now);
        }
        match ruling {
            Ruling::Take(why) => {
                self.nothing_waits();
                self.took(why);
                true
            }
            Ruling::Hold(until) => {
                self.hold(&new.issuer, old, until, notices);
                false
            }
            Ruling::Count => unreachable!("they were counted"),
        }
    }

    /// Finds out and tells who does not trust the issuer that signs, if that is due.
    pub(crate) async fn watch(&mut self, signs: &Issuer, notices: &Notices) {
        let due = |signing: &mut Signing| signing.due <= Instant::now();
        let Some(mut signing) = self.signing.take_if(due) else {
            return;
        };
        let begun = Instant::now();
        // Who reads the bundle when it starts has read it by now.
        let census = self.ask(signs, Some(Timestamp::MIN)).await;
        let pause = COUNT_SIGNING.max(begun.elapsed() * SHARE);
        let behind = match &census {
            Ok(census) => census.behind(),
            Err(reason) => {
                debug!("who does not trust the issuer is not known: {reason}");
                signing.due = Instant::now() + COUNT_AGAIN;
                self.signing = Some(signing);
                return;
            }
        };
        self.status.set_laggards(behind);
        match census {
            Ok(census) if behind > 0 => {
                if !signing.is_told {
                    tell_cut_off(signs, signing.why, &census, notices);
                }
                signing.is_told = true;
                signing.due = Instant::now() + pause;
                self.signing = Some(signing);
            }
            _ if signing.is_told => info!("all pods trust the issuer that signs"),
            _ => {}
        }
    }

    fn took(&mut self, why: Why) {
        let after = match why {
            // Whoever is to be counted of the one before is of this one.
            Why::SameAnchors => return,
            Why::Trusted => {
                self.status.set_laggards(0);
                INJECTORS
            }
            Why::First | Why::Withdrawn | Why::Ends(_) | Why::Asked => Duration::ZERO,
        };
        self.signing = Some(Signing {
            why,
            due: Instant::now() + after,
            is_told: false,
        });
    }

    fn hold(&mut self, new: &Issuer, old: &Issuer, until: SystemTime, notices: &Notices) {
        let issuers = [old, new].map(|issuer| issuer.certificate().fingerprint().to_owned());
        let [signing, sha256] = issuers.clone();
        let count = self.count.as_ref().expect("counted before it is held");
        let (laggards, waits_for) = match &count.census {
            Ok(census) => (
                Some(census.behind()),
                format!("it is not trusted by {census}"),
            ),
            Err(reason) => (None, format!("nobody can tell who trusts it: {reason}")),
        };
        let held = HeldIssuer {
            sha256,
            signing,
            until,
            laggards,
            waits_for,
        };
        let told = Told {
            issuers,
            is_counted: laggards.is_some(),
        };
        if self.told.as_ref() != Some(&told) {
            let text = format!(
                "{held}; restart them, or have it sign anyway: kubectl annotate -n {} \
                 deployment/{DEPLOYMENT} {ISSUER_OVERRIDE}={}",
                self.control_plane,
                short(&held.sha256)
            );
            warn!("{text}");
            notices.tell(|| Notice::IssuerHeld {
                text,
                change: format!("{told:?}"),
            });
            self.told = Some(told);
        }
        self.status.set_held(Some(held));
    }

    /// Who does not trust it. That there is nobody is never remembered: it was found out
    /// just now.
    async fn count(
        &mut self,
        issuer: &Issuer,
        published: Option<Timestamp>,
    ) -> Result<&Census, &str> {
        let fingerprint = issuer.certificate().fingerprint();
        let is_known = self.count.as_ref().is_some_and(|count| {
            let is_behind = |census: &Census| census.behind() > 0;
            count.issuer == fingerprint
                && Instant::now() < count.again
                && count.census.as_ref().is_ok_and(is_behind)
        });
        if !is_known {
            let begun = Instant::now();
            let census = self.ask(issuer, published).await;
            self.count = Some(Count {
                issuer: fingerprint.to_owned(),
                census,
                again: Instant::now() + COUNT_EVERY.max(begun.elapsed() * SHARE),
            });
        }
        let count = self.count.as_ref().expect("counted just now");
        count.census.as_ref().map_err(String::as_str)
    }

    async fn ask(&self, issuer: &Issuer, published: Option<Timestamp>) -> Result<Census, String> {
        let wanted = Wanted {
            trusts: Trusts::Issuer(issuer),
            published,
            ending: true,
        };
        let census = Census::take(&self.client, &self.control_plane, wanted);
        let problem = match timeout(COUNT_TIMEOUT, census).await {
            Ok(Ok(census)) => return Ok(census),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("the API server takes longer than {COUNT_TIMEOUT:?}"),
        };
        Err(format!("pods cannot be counted: {problem}"))
    }

    /// Whether somebody wants it to sign whoever does not trust it.
    async fn is_asked(&self, issuer: &Issuer) -> bool {
        let deployments: Api<Deployment> =
            Api::namespaced(self.client.clone(), &self.control_plane);
        let read = deployments.get_metadata_opt(DEPLOYMENT);
        let found = match timeout(READ_TIMEOUT, read).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                debug!("the Deployment {DEPLOYMENT} cannot be read: {error}");
                None
            }
            Err(_) => None,
        };
        let found = found.unwrap_or_default();
        let asked = found.annotations().get(ISSUER_OVERRIDE);
        asked.is_some_and(|asked| is_of(issuer.certificate().fingerprint(), asked))
    }
}

/// Whether a text is the beginning of a SHA-256, as people write it.
fn is_of(sha256: &str, text: &str) -> bool {
    let text = text.trim().to_ascii_lowercase().replace(':', "");
    text.len() >= FEWEST_DIGITS && sha256.starts_with(&text)
}

/// Whether all who trust `old` by a published anchor trust `new`, too.
fn has_same_anchors(old: &Issuer, new: &Credentials, now: SystemTime) -> bool {
    let mut anchors = new.anchors.certificates().iter();
    anchors.all(|anchor| !old.is_under(anchor, now) || new.issuer.is_under(anchor, now))
}

fn tell_cut_off(issuer: &Issuer, why: Why, census: &Census, notices: &Notices) {
    let fingerprint = issuer.certificate().fingerprint();
    let text = format!(
        "issuer {} signs, {why}, and is not trusted by {census}: restart them, or they refuse \
         all who have a certificate under it",
        short(fingerprint)
    );
    warn!("{text}");
    notices.tell(|| Notice::IssuerNotTrusted {
        text,
        fingerprint: fingerprint.to_owned(),
    });
}

/// As many digits of a fingerprint as `ferrule identity` shows.
fn short(sha256: &str) -> &str {
    &sha256[..FEWEST_DIGITS.min(sha256.len())]
}

impl fmt::Debug for IssuerGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuerGuard")
            .field("control_plane", &self.control_plane)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_named_by_as_much_of_its_sha256_as_tells_it_from_others() {
        let sha256 = "3fd50a1b8c44e1d2";
        for (text, expected) in [
            ("3fd50a1b8c44", true),
            (" 3FD50A1B8C44\n", true),
            ("3f:d5:0a:1b:8c:44:e1", true),
            ("3fd50a1b8c44e1d2", true),
            ("3fd50a1b8c4", false),
            ("", false),
            ("91c2be07d6f1", false),
            ("3fd50a1b8c44e1d2ff", false),
        ] {
            assert_eq!(is_of(sha256, text), expected, "{text:?}");
        }
    }
}
