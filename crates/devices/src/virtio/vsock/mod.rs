// SPDX-License-Identifier: Apache-2.0
//! The socket device (virtio 1.2 §5.10): stream connections between programs of the guest and programs of the host, which
//! meet them at UNIX sockets.
//!
//! ```text
//!   guest program ─ AF_VSOCK ─ queues ─▶ service ─▶ muxer ─▶ connection ─ UNIX stream ─ host program
//!                                        (chains)   (table)  (states, credit)
//! ```
//!
//! A host program connects to the listening socket and begins with one line ([`hello`]): `CONNECT <port>` to reach a port
//! of the guest, `ACCEPT <port>` to be reached by it. A guest's connection to a port for which nobody waits goes to
//! [`flotilla_device_model::vsock::VsockHost::connect`], else it is refused.
//!
//! Nothing grows without bound: connections and waiting host programs have a common limit, a connection keeps at most
//! the bytes it gave the guest credit for, and whatever waits to be told to the guest is a set of flags.

mod connection;
pub mod device;
mod hello;
mod metrics;
mod muxer;
mod packet;
mod service;
mod socket;
mod state;
#[cfg(test)]
mod tests;
mod timers;
