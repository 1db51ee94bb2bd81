//! Connections to the services of a control plane (api.md section 2.2).

use super::{
    address::ControlAddr, anchors::TrustAnchors, certificate::Certificate,
    identity::CertifyFailure, tls, watched::Seen,
};
use hyper_util::rt::TokioIo;
use rustls::{CertificateError, sign::CertifiedKey};
use rustls_pki_types::ServerName;
use std::{io, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::watch,
    time::timeout,
};
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint, Uri};

/// HTTP/2 windows in bytes, as a proxy has them.
const STREAM_WINDOW: u32 = 65_535;
const CONNECTION_WINDOW: u32 = 1 << 20;

/// Which connections are encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// Plaintext to loopback addresses and `localhost.`, mesh TLS to all others.
    #[default]
    AsProxy,
    /// None.
    Plaintext,
    /// All.
    MeshTls,
}

/// What servers are shown when they ask for a certificate.
#[derive(Clone, Debug, Default)]
pub enum ClientCertificate {
    /// The certificate that the identity service gave, once there is one.
    #[default]
    Own,
    /// Nothing.
    None,
    /// This one, whoever it is from.
    This(Arc<CertifiedKey>),
}

/// The certificate for the next connection.
#[derive(Clone, Debug)]
pub(crate) struct Credentials {
    pub(crate) shown: ClientCertificate,
    pub(crate) own: watch::Receiver<Seen<Certificate, CertifyFailure>>,
}

/// Makes connections to one service.
#[derive(Clone, Debug)]
pub(crate) struct Dialer {
    pub(crate) addr: ControlAddr,
    /// With mesh TLS: what is trusted, and who the service must be.
    pub(crate) tls: Option<(TrustAnchors, String)>,
    pub(crate) credentials: Credentials,
    /// For TCP and TLS together.
    pub(crate) timeout: Duration,
}

impl Credentials {
    fn certificate(&self) -> Option<Arc<CertifiedKey>> {
        match &self.shown {
            ClientCertificate::Own => self.own.borrow().value.as_ref().map(|own| own.key()),
            ClientCertificate::None => None,
            ClientCertificate::This(this) => Some(this.clone()),
        }
    }

    /// Waits until there is what is to be shown; not where no identity service
    /// is asked for it.
    pub(crate) async fn ready(&self) {
        if let ClientCertificate::Own = self.shown {
            let mut own = self.own.clone();
            let _ = own.wait_for(|own| own.value.is_some()).await;
        }
    }
}

/// What HTTP/2 is spoken over.
trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

impl Dialer {
    /// A channel that connects at its first request, and again whenever its
    /// connection ends; each time with the certificate that there is then.
    pub(crate) fn channel(&self) -> Channel {
        self.endpoint()
            .connect_with_connector_lazy(self.connector())
    }

    /// A connection of its own. What a server says of the client's certificate
    /// is seen at the first request: TLS 1.3 does not wait for it.
    pub(crate) async fn connect(&self) -> Result<Channel, tonic::transport::Error> {
        self.endpoint()
            .connect_with_connector(self.connector())
            .await
    }

    /// # Panics
    /// Never: an address that was parsed is an authority.
    fn endpoint(&self) -> Endpoint {
        // The scheme is http over TLS, too.
        let uri = format!("http://{}", self.addr.authority());
        Endpoint::from_shared(uri)
            .expect("an authority")
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
    }

    fn connector(
        &self,
    ) -> impl tower::Service<Uri, Response = TokioIo<Box<dyn Io>>, Error = io::Error, Future: Send>
    + Send
    + 'static {
        let dialer = self.clone();
        tower::service_fn(move |_| {
            let dialer = dialer.clone();
            async move { dialer.dial().await.map(TokioIo::new) }
        })
    }

    async fn dial(&self) -> io::Result<Box<dyn Io>> {
        let timed_out = || {
            let text = format!("no connection within {:?}", self.timeout);
            io::Error::new(io::ErrorKind::TimedOut, text)
        };
        timeout(self.timeout, self.dial_patiently())
            .await
            .unwrap_or_else(|_| Err(timed_out()))
            .map_err(|error| {
                let text = format!("{}: {}", self.addr, reason(&error));
                io::Error::new(error.kind(), text)
            })
    }

    async fn dial_patiently(&self) -> io::Result<Box<dyn Io>> {
        let addrs = self.addr.resolve().await?;
        let tcp = TcpStream::connect(&*addrs).await?;
        tcp.set_nodelay(true)?;
        let Some((anchors, name)) = &self.tls else {
            return Ok(Box::new(tcp));
        };
        let config = tls::client_config(anchors, name, self.credentials.certificate());
        let sni = ServerName::try_from(name.clone()).map_err(io::Error::other)?;
        let tls = TlsConnector::from(config).connect(sni, tcp).await?;
        Ok(Box::new(tls))
    }
}

/// What is wrong, where TLS would write out how it holds what is wrong.
fn reason(error: &io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    match inner {
        Some(rustls::Error::InvalidCertificate(CertificateError::Other(rejection))) => {
            format!("the server's certificate: {}", rejection.0)
        }
        _ => error.to_string(),
    }
}
