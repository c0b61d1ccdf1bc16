//! The requests' way to the destination: connections of one agent's connection, kept as long as that, so that nothing of one
//! connection is ever seen by another.

use std::cell::RefCell;
use std::rc::Rc;

use http::{Request, Response, Version};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::body::Boxed;
use super::idle::{self, Activity};
use super::room::Room;
use crate::destination::Destination;
use crate::gateway::Gateway;
use crate::places::Counted;
use crate::tls;
use crate::upstream::Unreachable;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// No connection, as too many are open.
    #[error("{0}")]
    Full(String),
    /// No connection.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    /// The server is not who it must be, or speaks no TLS.
    #[error("no verified TLS with `{host}`: {error}")]
    Tls {
        /// The destination.
        host: String,
        /// What rustls says.
        error: std::io::Error,
    },
    /// It does not answer.
    #[error("`{host}` has not answered, and nothing has moved for an hour")]
    Silent {
        /// The destination.
        host: String,
    },
    /// It broke off, or answered what is no HTTP.
    #[error("`{host}` does not answer as an HTTP server: {error}")]
    Http {
        /// The destination.
        host: String,
        /// What hyper says.
        error: hyper::Error,
    },
}

enum Idle {
    One(http1::SendRequest<Boxed>),
    Two(http2::SendRequest<Boxed>),
}

/// The way of one connection of the agent's.
pub(crate) struct Client {
    gateway: Rc<Gateway>,
    destination: Destination,
    secure: bool,
    idle: RefCell<Vec<Idle>>,
}

impl Client {
    /// No connection is made before the first request.
    pub(crate) fn new(gateway: Rc<Gateway>, destination: Destination, secure: bool) -> Self {
        Self { gateway, destination, secure, idle: RefCell::default() }
    }

    /// Sends one request. `upgrade`: it wants to go on as something else, which only HTTP/1.1 can.
    pub(super) async fn send(
        &self,
        request: Request<Boxed>,
        upgrade: bool,
    ) -> Result<Response<idle::Idle<Incoming>>, Error> {
        let activity = Activity::new();
        let request = request.map(|body| Box::pin(idle::Idle::new(body, activity.clone())) as Boxed);
        let answer = activity.within(self.exchange(request, upgrade)).await;
        let answer = answer.ok_or_else(|| Error::Silent { host: self.destination.host.clone() })??;
        Ok(answer.map(|body| idle::Idle::new(body, activity)))
    }

    async fn exchange(&self, request: Request<Boxed>, upgrade: bool) -> Result<Response<Incoming>, Error> {
        let failed = |error| Error::Http { host: self.destination.host.clone(), error };
        let mut request = request;
        if !upgrade {
            // A kept connection that the server has closed meanwhile gives the request back unsent.
            while let Some(sender) = self.take_idle().await {
                match sender {
                    Idle::One(mut sender) => match sender.try_send_request(one(request)).await {
                        Ok(answer) => {
                            self.keep_one(sender);
                            return Ok(answer);
                        }
                        Err(mut error) => match error.take_message() {
                            Some(unsent) => request = unsent,
                            None => return Err(failed(error.into_error())),
                        },
                    },
                    Idle::Two(mut sender) => {
                        self.keep(Idle::Two(sender.clone()));
                        match sender.try_send_request(two(request)).await {
                            Ok(answer) => return Ok(answer),
                            Err(mut error) => {
                                self.idle.borrow_mut().clear();
                                match error.take_message() {
                                    Some(unsent) => request = unsent,
                                    None => return Err(failed(error.into_error())),
                                }
                            }
                        }
                    }
                }
            }
        }
        match self.connect(upgrade).await? {
            Idle::One(mut sender) => {
                let answer = sender.send_request(one(request)).await.map_err(failed)?;
                if !upgrade {
                    self.keep_one(sender);
                }
                Ok(answer)
            }
            Idle::Two(mut sender) => {
                self.keep(Idle::Two(sender.clone()));
                sender.send_request(two(request)).await.map_err(failed)
            }
        }
    }

    fn keep(&self, sender: Idle) {
        self.idle.borrow_mut().push(sender);
    }

    /// Kept for the next request, unless places are scarce: then one gives its place up with its last answer.
    fn keep_one(&self, sender: http1::SendRequest<Boxed>) {
        if !self.gateway.places.are_scarce() {
            self.keep(Idle::One(sender));
        }
    }

    /// A kept connection that is ready, or becomes so at once; the others are busy, or gone.
    async fn take_idle(&self) -> Option<Idle> {
        let mut busy = Vec::new();
        let found = loop {
            let Some(one) = self.idle.borrow_mut().pop() else { break None };
            match one {
                Idle::One(sender) if sender.is_closed() => {}
                Idle::One(sender) if !sender.is_ready() => {
                    // Its last answer is read to the end before the agent asks again, and then it is ready one turn later.
                    tokio::task::yield_now().await;
                    if sender.is_ready() {
                        break Some(Idle::One(sender));
                    }
                    busy.push(Idle::One(sender));
                }
                Idle::Two(sender) if sender.is_closed() => {}
                ready => break Some(ready),
            }
        };
        self.idle.borrow_mut().append(&mut busy);
        found
    }

    async fn connect(&self, upgrade: bool) -> Result<Idle, Error> {
        let places = &self.gateway.places;
        let open = places.take().ok_or_else(|| Error::Full(places.all_taken()))?;
        let room = Room::of(places);
        let stream = self.gateway.upstream.connect(&self.destination).await?;
        let _ = stream.set_nodelay(true);
        let stream = Counted::new(stream, open);
        if !self.secure {
            return self.first_version(stream, room).await;
        }
        let stream = tls::connect(&self.gateway, &self.destination, stream, upgrade)
            .await
            .map_err(|error| Error::Tls { host: self.destination.host.clone(), error })?;
        self.chosen_version(stream, room).await
    }

    async fn first_version(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        room: Room,
    ) -> Result<Idle, Error> {
        let failed = |error| Error::Http { host: self.destination.host.clone(), error };
        let (sender, connection) = room.one().handshake(TokioIo::new(stream)).await.map_err(failed)?;
        tokio::task::spawn_local(connection.with_upgrades());
        Ok(Idle::One(sender))
    }

    async fn chosen_version(&self, stream: TlsStream<Counted<TcpStream>>, room: Room) -> Result<Idle, Error> {
        let failed = |error| Error::Http { host: self.destination.host.clone(), error };
        let second = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        if second {
            let (sender, connection) = room.two().handshake(TokioIo::new(stream)).await.map_err(failed)?;
            tokio::task::spawn_local(connection);
            return Ok(Idle::Two(sender));
        }
        self.first_version(stream, room).await
    }
}

/// As HTTP/1.1 wants it: a path as the target, the authority in Host.
fn one(mut request: Request<Boxed>) -> Request<Boxed> {
    let authority = request.uri().authority().and_then(|authority| authority.as_str().parse().ok());
    if let Some(authority) = authority {
        request.headers_mut().insert(http::header::HOST, authority);
    }
    let target = request.uri().path_and_query().cloned();
    *request.uri_mut() = target.map_or_else(|| http::Uri::from_static("/"), http::Uri::from);
    *request.version_mut() = Version::HTTP_11;
    request
}

/// As HTTP/2 wants it: the authority in the target.
fn two(mut request: Request<Boxed>) -> Request<Boxed> {
    request.headers_mut().remove(http::header::HOST);
    *request.version_mut() = Version::HTTP_2;
    request
}
