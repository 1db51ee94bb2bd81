//! A connection to the destination API, whose streams are read by hand.

use super::endpoints::EndpointSet;
use anyhow::{Context as _, bail};
use ferrule_proto::destination::{
    DestinationProfile, GetDestination, Update, WeightedAddr, destination_client::DestinationClient,
};
use ferrule_test_cluster::PATIENCE;
use std::{collections::BTreeMap, net::SocketAddr, time::Duration};
use tokio::time::{Instant, timeout_at};
use tonic::{Status, Streaming, transport::Channel};

/// A proxy as the destination API sees one, without an identity: it asks once,
/// and a stream that ends is an error. For all else there is
/// [`TestProxy`](super::TestProxy).
#[derive(Clone, Debug)]
pub struct Proxy {
    client: DestinationClient<Channel>,
    context: String,
}

/// A `Get` stream and what it has come to.
#[derive(Debug)]
pub struct Endpoints {
    stream: Streaming<Update>,
    told: EndpointSet,
    fresh: bool,
    /// Messages read so far.
    pub messages: usize,
}

impl Proxy {
    /// Connects to a destination listener that speaks plaintext.
    ///
    /// # Errors
    /// If nobody listens there.
    pub async fn connect(addr: SocketAddr) -> anyhow::Result<Self> {
        let client = DestinationClient::connect(format!("http://{addr}"))
            .await
            .with_context(|| format!("connecting to {addr}"))?;
        Ok(Self::of(client))
    }

    /// One that asks by a connection which the caller has made.
    pub fn over(channel: Channel) -> Self {
        Self::of(DestinationClient::new(channel))
    }

    fn of(client: DestinationClient<Channel>) -> Self {
        Self {
            client,
            context: r#"{"ns":"default"}"#.into(),
        }
    }

    /// Says something else of the workload that it stands for: the context token.
    #[must_use]
    pub fn with_context(mut self, context: &str) -> Self {
        context.clone_into(&mut self.context);
        self
    }

    /// Opens a `Get` stream.
    ///
    /// # Errors
    /// The refusal.
    pub async fn get(&self, path: &str) -> Result<Endpoints, Status> {
        Ok(Endpoints {
            stream: self.updates(path).await?,
            told: EndpointSet::default(),
            fresh: true,
            messages: 0,
        })
    }

    /// Opens a `Get` stream whose messages are for the caller to fold.
    ///
    /// # Errors
    /// The refusal.
    pub async fn updates(&self, path: &str) -> Result<Streaming<Update>, Status> {
        let request = self.request(path);
        Ok(self.client.clone().get(request).await?.into_inner())
    }

    /// The first message of a `GetProfile` stream.
    ///
    /// # Errors
    /// The refusal, or that the stream ended.
    pub async fn profile(&self, path: &str) -> Result<DestinationProfile, Status> {
        self.profiles(path)
            .await?
            .message()
            .await?
            .ok_or_else(|| Status::unknown("the stream ended without a message"))
    }

    /// Opens a `GetProfile` stream.
    ///
    /// # Errors
    /// The refusal.
    pub async fn profiles(&self, path: &str) -> Result<Streaming<DestinationProfile>, Status> {
        let request = self.request(path);
        Ok(self.client.clone().get_profile(request).await?.into_inner())
    }

    fn request(&self, path: &str) -> GetDestination {
        GetDestination {
            scheme: String::new(),
            path: path.into(),
            context_token: self.context.clone(),
        }
    }
}

impl Endpoints {
    /// The endpoints as the proxy now has them.
    pub fn told(&self) -> &EndpointSet {
        &self.told
    }

    /// Reads until the set is as wanted.
    ///
    /// # Errors
    /// If that does not come within a minute, or the stream ends.
    pub async fn until(
        &mut self,
        what: &str,
        mut is: impl FnMut(&BTreeMap<SocketAddr, WeightedAddr>) -> bool,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !is(&self.told) {
            match timeout_at(deadline, self.stream.message()).await {
                Err(_) => bail!("still waiting for {what}, have {:?}", self.told.keys()),
                Ok(message) => match message? {
                    Some(update) => self.fold(update),
                    None => bail!("the stream ended"),
                },
            }
        }
        Ok(())
    }

    /// Reads until there are `count` endpoints.
    ///
    /// # Errors
    /// As [`until`](Self::until).
    pub async fn until_count(&mut self, count: usize) -> anyhow::Result<()> {
        let what = format!("{count} endpoints");
        self.until(&what, |told| told.len() == count).await
    }

    /// Whether nothing is told for so long.
    ///
    /// # Errors
    /// If the stream ends.
    pub async fn is_silent_for(&mut self, time: Duration) -> anyhow::Result<bool> {
        match timeout_at(Instant::now() + time, self.stream.message()).await {
            Err(_) => Ok(true),
            Ok(message) => match message? {
                Some(update) => {
                    self.fold(update);
                    Ok(false)
                }
                None => bail!("the stream ended"),
            },
        }
    }

    fn fold(&mut self, update: Update) {
        self.fresh &= !self.told.fold(update, self.fresh);
        self.messages += 1;
    }
}
