// SPDX-License-Identifier: Apache-2.0
//! passt: a process that is the network of one interface. It speaks for the guest with plain sockets of the host, so that
//! neither it nor whoever starts it needs a privilege.
//!
//! It gets one end of a socket pair, and ends by itself when the other end is closed; so nobody has to remember it. It
//! puts itself into the background once its ports are open: until then whoever starts it waits, and afterwards it is a child
//! of nobody and outlives its starter as the worker does.

use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::{PasstError, sys};

/// The program.
const PROGRAM: &str = "passt";
/// Where it is looked for without `PATH`.
const SYSTEM_PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// How long it may take until its ports are open; it takes some milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a port may be in use by a machine that has just ended.
const RELEASE: Duration = Duration::from_secs(2);
const STEP: Duration = Duration::from_millis(5);
/// Most of its complaints that are read.
const MAX_SAID: u64 = 4096;
/// The largest MTU it hands out.
const MAX_MTU: u16 = 65_520;

/// What is forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Connections.
    Tcp,
    /// Datagrams.
    Udp,
}

/// A port of the host that leads into the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forward {
    /// Of what.
    pub protocol: Protocol,
    /// The address of the host to listen at. `None` is its loopback: nobody else reaches that.
    pub host_address: Option<IpAddr>,
    /// The port of the host.
    pub host_port: u16,
    /// The port of the guest.
    pub guest_port: u16,
}

impl Forward {
    fn host(&self) -> SocketAddr {
        SocketAddr::new(self.host_address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)), self.host_port)
    }

    /// As passt takes it.
    fn arguments(&self) -> [String; 2] {
        let flag = match self.protocol {
            Protocol::Tcp => "-t",
            Protocol::Udp => "-u",
        };
        let host = self.host();
        [flag.to_owned(), format!("{}/{}:{}", host.ip(), host.port(), self.guest_port)]
    }

    /// Tries whether the port can be had: passt itself tells no reason.
    fn probe(&self) -> io::Result<()> {
        let deadline = Instant::now() + RELEASE;
        loop {
            let result = match self.protocol {
                Protocol::Tcp => TcpListener::bind(self.host()).map(drop),
                Protocol::Udp => UdpSocket::bind(self.host()).map(drop),
            };
            match result {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < deadline => {
                    thread::sleep(STEP);
                }
                done => return done,
            }
        }
    }
}

/// Starts a network with these forwards, which hands this MTU out to its guest; our end of its socket. Waits until all
/// ports are open.
pub fn start(forwards: &[Forward], mtu: Option<u16>) -> Result<OwnedFd, PasstError> {
    // passt takes a UDP port that another one has: two that start at once would both find it free.
    static STARTING: Mutex<()> = Mutex::new(());
    let _alone = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    for (index, forward) in forwards.iter().enumerate() {
        forward.probe().map_err(|source| PasstError::port(index, forward.host(), source))?;
    }
    let host = |step| move |source| PasstError::Host { step, source };
    let (ours, theirs) = UnixStream::pair().map_err(host("make a socket pair for"))?;
    let child = command(theirs.as_raw_fd(), forwards, mtu).spawn();
    drop(theirs);
    let child = child.map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => PasstError::Missing,
        _ => PasstError::Host { step: "start", source },
    })?;
    wait(child)?;
    Ok(ours.into())
}

fn command(socket: RawFd, forwards: &[Forward], mtu: Option<u16>) -> Command {
    let mut command = Command::new(PROGRAM);
    let path = std::env::var_os("PATH").unwrap_or_else(|| SYSTEM_PATH.into());
    // Secrets of ours may be in the environment.
    command.env_clear().env("PATH", path).current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    // Without --no-map-gw the address of the gateway is the loopback of the host.
    command.args(["--quiet", "--no-map-gw", "--fd", &socket.to_string()]);
    if let Some(mtu) = mtu {
        command.args(["--mtu", &mtu.min(MAX_MTU).to_string()]);
    }
    command.args(forwards.iter().flat_map(Forward::arguments));
    // SAFETY: what runs between fork and exec makes one system call and takes neither memory nor locks.
    unsafe { command.pre_exec(move || sys::keep_over_exec(socket)) };
    command
}

/// Waits until it is in the background, or has said why not.
fn wait(mut child: Child) -> Result<(), PasstError> {
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        let ended = child.try_wait().map_err(|source| PasstError::Host { step: "wait for", source })?;
        if let Some(status) = ended {
            break status;
        }
        if Instant::now() >= deadline {
            let _ = child.kill();
            let _ = child.wait();
            return Err(PasstError::Failed { said: "it does not get ready".to_owned() });
        }
        thread::sleep(STEP);
    };
    if status.success() {
        return Ok(());
    }
    let mut said = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        let _ = stderr.take(MAX_SAID).read_to_end(&mut said);
    }
    Err(PasstError::Failed { said: last_words(&String::from_utf8_lossy(&said), status.to_string()) })
}

/// The last line that says something: without a system log it complains of that as well.
fn last_words(said: &str, otherwise: String) -> String {
    let line = said.lines().rev().find(|line| !line.trim().is_empty() && !line.starts_with("Failed to send"));
    line.map_or(otherwise, |line| {
        line.trim().chars().filter(|letter| !letter.is_control()).take(200).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(address: &str, host_port: u16) -> Forward {
        let host_address = Some(address.parse().unwrap());
        Forward { protocol: Protocol::Tcp, host_address, host_port, guest_port: 80 }
    }

    #[test]
    fn forwards_are_written_as_passt_reads_them_and_stay_on_the_loopback_unless_told_otherwise() {
        assert_eq!(tcp("192.0.2.1", 8080).arguments(), ["-t", "192.0.2.1/8080:80"]);
        let udp = Forward { protocol: Protocol::Udp, host_address: None, host_port: 53, guest_port: 5353 };
        assert_eq!(udp.arguments(), ["-u", "127.0.0.1/53:5353"]);
        assert_eq!(tcp("::1", 8080).arguments(), ["-t", "::1/8080:80"]);
    }

    #[test]
    fn the_gateway_is_never_the_loopback_of_the_host_and_the_environment_stays_here() {
        let command = command(7, &[tcp("127.0.0.1", 8080)], Some(65_535));
        let arguments: Vec<_> = command.get_args().map(|text| text.to_str().unwrap()).collect();
        let wanted = ["--quiet", "--no-map-gw", "--fd", "7", "--mtu", "65520", "-t", "127.0.0.1/8080:80"];
        assert_eq!(arguments, wanted);
        assert!(command.get_envs().all(|(name, _)| name == "PATH"));
    }

    #[test]
    fn a_port_in_use_is_named() {
        let held = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = held.local_addr().unwrap().port();
        // The kernel gives nobody a port of another loopback address, so that this one is free.
        let error = start(&[tcp("127.0.0.2", port), tcp("127.0.0.1", port)], None).unwrap_err();
        assert_eq!((error.code(), error.forward()), ("forward.port_busy", Some(1)));
        let error = start(&[tcp("198.51.100.7", port)], None).unwrap_err();
        assert_eq!((error.code(), error.forward()), ("forward.address_unknown", Some(0)));
    }

    #[test]
    fn last_words_leave_out_what_is_said_of_the_system_log() {
        let said = "Failed to send 40 bytes to syslog\nNo external interface\n\n";
        assert_eq!(last_words(said, "1".to_owned()), "No external interface");
        assert_eq!(last_words("Failed to send 40 bytes to syslog\n", "exit 1".to_owned()), "exit 1");
    }
}
